//! The application service v2: Connect with JSON. No sequence, no journal, and reads that may lag behind. No I/O.
//!
//! The organization decides nothing: the project must be the application's. Observed on a running ZITADEL, v4.13 and v5 development.

use reqwest::Method;
use serde_json::{Value, json};

use super::application::{self, AppPage, AppRef, AppState, Application};
use super::backend::{Backend, Call};
use super::error::ErrorClass;
use super::generate_outcome::{self, Generated};
use super::project::{self, ProjectState};
use super::wire;
use crate::api::Kind;
use crate::ids::{AppId, OrganizationId, ProjectId, Sequence};

/// The application service v2.
pub(super) struct V2;

fn application_service(method: &str, organization: Option<&OrganizationId>, body: Value) -> Call {
    let path = format!("/zitadel.application.v2.ApplicationService/{method}");
    Call::new(Method::POST, path, organization).json(body)
}

impl Backend for V2 {
    // NB: one call for both kinds, which does not check the type of the application.
    fn generate(&self, _: Kind, app: &AppRef) -> Call {
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

    fn read_app(&self, app: &AppRef, body: &[u8]) -> Result<Application, ErrorClass> {
        let answer: Option<Value> = serde_json::from_slice(body).ok();
        let read = answer.and_then(|answer| application(answer.get("application")?));
        let read = read.filter(|(_, read)| read.id == app.app);
        let (project, read) = read.ok_or(ErrorClass::Malformed)?;
        // NB: it was found by its id alone.
        if project != app.project {
            return Err(ErrorClass::AppNotFound);
        }
        Ok(read)
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
        let read = apps.iter().filter_map(application);
        Some(AppPage {
            len: apps.len(),
            apps: read.map(|(_, app)| app).collect(),
        })
    }
}

/// The project of an application, and the application.
fn application(app: &Value) -> Option<(ProjectId, Application)> {
    let project = ProjectId::try_from(app.get("projectId")?.as_str()?).ok()?;
    let config = |kind: &str| app.get(kind);
    let kind = application::kind_of(
        config("apiConfiguration"),
        config("oidcConfiguration"),
        config("samlConfiguration"),
    );
    let configured = config("apiConfiguration").or_else(|| config("oidcConfiguration"));
    let change_date = wire::timestamp(app.get("changeDate")?)?;
    let application = Application {
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
    };
    Some((project, application))
}

#[cfg(test)]
mod tests {
    use super::super::application::AppKind;
    use super::*;

    const CHANGED: &str = "2026-11-29T06:05:52.274067Z";

    fn app(config: &str, value: Value) -> Value {
        let mut app = json!({
            "applicationId": "7", "creationDate": "2026-11-29T06:05:49.502009Z", "changeDate": CHANGED,
            "state": "APPLICATION_STATE_ACTIVE", "name": "orders", "projectId": "42",
        });
        app[config] = value;
        app
    }

    fn read(app: &Value, project: &str) -> Result<Application, ErrorClass> {
        let wanted = AppRef {
            organization: None,
            project: ProjectId::try_from(project).unwrap(),
            app: AppId::try_from("7").unwrap(),
        };
        let body = json!({ "application": app }).to_string();
        V2.read_app(&wanted, body.as_bytes())
    }

    #[test]
    fn an_application_has_the_time_of_its_last_change_for_a_sequence() {
        let read = read(&app("apiConfiguration", json!({"clientId": "1"})), "42").unwrap();
        let changed = CHANGED.parse().unwrap();
        let expected = Application {
            id: AppId::try_from("7").unwrap(),
            client_id: Some("1".to_owned()),
            state: AppState::Active,
            kind: AppKind::ApiBasic,
            sequence: Sequence::of_time(changed),
            change_date: changed,
            resource_owner: None,
        };
        assert_eq!(read, expected);
    }

    #[test]
    fn the_configuration_determines_the_kind() {
        let key = json!({"authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"});
        for (config, value, kind) in [
            ("apiConfiguration", key, AppKind::ApiPrivateKeyJwt),
            (
                "oidcConfiguration",
                json!({"clientId": "1"}),
                AppKind::OidcSecret,
            ),
            (
                "oidcConfiguration",
                json!({"authMethodType": "OIDC_AUTH_METHOD_TYPE_NONE"}),
                AppKind::OidcPublic,
            ),
            ("samlConfiguration", json!({}), AppKind::Saml),
            ("newConfiguration", json!({}), AppKind::Other),
        ] {
            assert_eq!(read(&app(config, value), "42").unwrap().kind, kind);
        }
    }

    #[test]
    fn an_application_of_another_project_is_not_found_and_another_one_is_no_answer() {
        let good = app("apiConfiguration", json!({"clientId": "1"}));
        assert_eq!(read(&good, "43"), Err(ErrorClass::AppNotFound));
        for (field, bad) in [
            ("applicationId", json!("8")),
            ("applicationId", json!("a/b")),
            ("projectId", json!(null)),
            ("changeDate", json!("soon")),
        ] {
            let mut app = good.clone();
            app[field] = bad;
            assert_eq!(read(&app, "42"), Err(ErrorClass::Malformed), "{field}");
        }
    }

    #[test]
    fn an_empty_list_of_a_project_that_has_applications_is_no_list() {
        let page = |body: Value| V2.read_apps(body.to_string().as_bytes());
        let hidden = json!({"pagination": {"totalResult": "6", "appliedLimit": "100"}});
        assert!(page(hidden).is_none());
        let none = page(json!({"pagination": {"appliedLimit": "100"}})).unwrap();
        assert_eq!((none.len, none.apps.len()), (0, 0));
        let some = json!({"applications": [app("apiConfiguration", json!({})), {"id": 7}], "pagination": {"totalResult": "2"}});
        let some = page(some).unwrap();
        assert_eq!((some.len, some.apps.len()), (2, 1));
        assert!(V2.read_apps(b"[]").is_none() && V2.read_apps(b"<html>").is_none());
    }

    #[test]
    fn an_answer_has_a_date_and_without_one_the_client_secret_is_kept() {
        let generated = |body: Value| V2.generated(body.to_string().as_bytes());
        let dated = generated(json!({"clientSecret": "s", "creationDate": CHANGED})).unwrap();
        let changed = CHANGED.parse().unwrap();
        assert_eq!(dated.made, Some((Sequence::of_time(changed), changed)));
        for odd in [json!(null), json!(7), json!("soon")] {
            let odd = generated(json!({"clientSecret": "s", "creationDate": odd})).unwrap();
            assert_eq!((odd.secret.expose(), odd.made), ("s", None));
        }
        assert!(generated(json!({"creationDate": CHANGED})).is_none());
        assert!(generated(json!({"clientSecret": ""})).is_none());
    }
}
