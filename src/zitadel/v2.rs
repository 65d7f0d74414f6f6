//! The application service v2: Connect with JSON. No sequence, no journal, and reads that may lag behind. No I/O.
//!
//! The organization decides nothing: the project must be the application's. Observed on a running ZITADEL, v4.13 and v5 development.

use reqwest::Method;
use serde_json::{Value, json};

use super::application::{self, AppKind, AppPage, AppRef, AppState, Application};
use super::backend::{Backend, Call};
use super::generate_outcome::{self, Generated};
use super::project::{self, ProjectState};
use super::wire;
use crate::ids::{AppId, OrganizationId, ProjectId, Sequence};

/// The application service v2.
pub(super) struct V2;

fn application_service(method: &str, organization: Option<&OrganizationId>, body: Value) -> Call {
    let path = format!("/zitadel.application.v2.ApplicationService/{method}");
    Call::new(Method::POST, path, organization).json(body)
}

impl Backend for V2 {
    fn generate(&self, app: &AppRef) -> Call {
        let body = json!({"applicationId": app.app, "projectId": app.project});
        application_service("GenerateClientSecret", app.organization.as_ref(), body)
    }

    fn generated(&self, body: &[u8]) -> Option<Generated> {
        generate_outcome::with_date(body)
    }

    fn app(&self, app: &AppRef) -> Call {
        let body = json!({"applicationId": app.app});
        application_service("GetApplication", app.organization.as_ref(), body)
    }

    fn read_app(&self, app: &AppRef, body: &[u8]) -> Option<Application> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let read = application(answer.get("application")?, &app.project)?;
        (read.id == app.app).then_some(read)
    }

    fn project(&self, organization: Option<&OrganizationId>, project: &ProjectId) -> Call {
        let path = "/zitadel.project.v2.ProjectService/GetProject";
        Call::new(Method::POST, path, organization).json(json!({"projectId": project}))
    }

    fn read_project(&self, project: &ProjectId, body: &[u8]) -> Option<ProjectState> {
        project::parse_v2(body, project)
    }

    fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
        offset: usize,
        limit: usize,
    ) -> Call {
        let body = json!({
            "filters": [{"projectIdFilter": {"projectId": project}}],
            "pagination": {"offset": offset.to_string(), "limit": limit, "asc": true},
            "sortingColumn": "APPLICATION_SORT_BY_ID",
        });
        application_service("ListApplications", organization, body)
    }

    /// NB: without the right to read them the list is empty, and only the total says that there are some: that is no list.
    fn read_apps(&self, body: &[u8]) -> Option<AppPage> {
        let answer: Value = serde_json::from_slice(body).ok()?;
        let answer = answer.as_object()?;
        let apps = match answer.get("applications") {
            None => &Vec::new(),
            Some(apps) => apps.as_array()?,
        };
        let total = answer
            .get("pagination")
            .and_then(|it| it.get("totalResult"));
        if apps.is_empty() && total.and_then(wire::sequence).is_some() {
            return None;
        }
        let read = apps.iter().filter_map(|app| {
            let project = app.get("projectId")?.as_str()?;
            application(app, &ProjectId::try_from(project).ok()?)
        });
        Some(AppPage {
            len: apps.len(),
            apps: read.collect(),
        })
    }
}

fn application(app: &Value, project: &ProjectId) -> Option<Application> {
    if app.get("projectId")?.as_str()? != project.as_str() {
        return None;
    }
    let config = |kind: &str| app.get(kind);
    let kind = match (
        config("apiConfiguration"),
        config("oidcConfiguration"),
        config("samlConfiguration"),
    ) {
        (Some(api), None, None) => application::api_kind(api),
        (None, Some(_), None) => AppKind::Oidc,
        (None, None, Some(_)) => AppKind::Saml,
        _ => AppKind::Other,
    };
    let configured = config("apiConfiguration").or_else(|| config("oidcConfiguration"));
    let change_date = wire::timestamp(app.get("changeDate")?)?;
    Some(Application {
        id: AppId::try_from(app.get("applicationId")?.as_str()?).ok()?,
        client_id: configured.and_then(application::client_id),
        state: match app.get("state").and_then(Value::as_str) {
            Some("APPLICATION_STATE_ACTIVE") => AppState::Active,
            Some("APPLICATION_STATE_INACTIVE") => AppState::Inactive,
            _ => AppState::Other,
        },
        kind,
        sequence: Sequence::of_time(change_date),
        change_date,
        resource_owner: None,
    })
}
