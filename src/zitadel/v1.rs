//! Management v1: REST, with an organization in a header. Reading an application makes ZITADEL's projection catch up. No I/O.
//!
//! Deprecated since ZITADEL v4 and announced for removal in v5.

use reqwest::Method;
use serde_json::{Value, json};

use super::application::{self, AppPage, AppRef, Application};
use super::backend::{Backend, Call};
use super::error::ErrorClass;
use super::generate_outcome::{self, Generated};
use super::project::{self, ProjectState};
use crate::api::Kind;
use crate::ids::{OrganizationId, ProjectId, Sequence};

/// Management v1.
pub(super) struct V1;

impl Backend for V1 {
    fn generate(&self, kind: Kind, app: &AppRef) -> Call {
        let config = match kind {
            Kind::ApiApp => "api_config",
            Kind::OidcApp => "oidc_config",
        };
        let path = format!("{}/{config}/_generate_client_secret", app_path(app));
        Call::new(Method::POST, path, app.organization.as_ref()).json(json!({}))
    }

    fn generated(&self, body: &[u8]) -> Option<Generated> {
        generate_outcome::with_sequence(body)
    }

    fn app(&self, app: &AppRef) -> Call {
        Call::new(Method::GET, app_path(app), app.organization.as_ref())
    }

    fn read_app(&self, app: &AppRef, body: &[u8]) -> Result<Application, ErrorClass> {
        let read = application::parse(body).filter(|read| read.id == app.app);
        read.ok_or(ErrorClass::Malformed)
    }

    fn project(&self, organization: Option<&OrganizationId>, project: &ProjectId) -> Call {
        let path = format!("/management/v1/projects/{project}");
        Call::new(Method::GET, path, organization)
    }

    fn read_project(&self, project: &ProjectId, body: &[u8]) -> Option<ProjectState> {
        project::parse(body, project)
    }

    fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
        offset: usize,
        limit: usize,
    ) -> Call {
        let query = json!({"offset": offset.to_string(), "limit": limit, "asc": true});
        search(organization, project, json!({ "query": query }))
    }

    fn read_apps(&self, body: &[u8]) -> Option<AppPage> {
        application::parse_page(body)
    }
}

/// Creates an API application that authenticates by client secret.
pub(super) fn create_app(
    organization: Option<&OrganizationId>,
    project: &ProjectId,
    name: &str,
) -> Call {
    let path = format!("/management/v1/projects/{project}/apps/api");
    let body = json!({"name": name, "authMethodType": "API_AUTH_METHOD_TYPE_BASIC"});
    Call::new(Method::POST, path, organization).json(body)
}

/// Lists the application with that name, in whatever case.
pub(super) fn app_named(
    organization: Option<&OrganizationId>,
    project: &ProjectId,
    name: &str,
) -> Call {
    let name = json!({"name": name, "method": "TEXT_QUERY_METHOD_EQUALS_IGNORE_CASE"});
    search(
        organization,
        project,
        json!({"queries": [{"nameQuery": name}]}),
    )
}

/// Lists entries of the journal of an application, the newest first, and only those before `before`.
pub(super) fn changes(app: &AppRef, limit: usize, before: Option<Sequence>) -> Call {
    // NB: ZITADEL reads the parameters from the query string and ignores a body, and `query.sequence` means "less than".
    let mut query = vec![("query.limit", limit.to_string())];
    query.extend(before.map(|before| ("query.sequence", before.0.to_string())));
    let path = format!("{}/changes/_search", app_path(app));
    Call::new(Method::POST, path, app.organization.as_ref()).query(query)
}

fn search(organization: Option<&OrganizationId>, project: &ProjectId, query: Value) -> Call {
    let path = format!("/management/v1/projects/{project}/apps/_search");
    Call::new(Method::POST, path, organization).json(query)
}

fn app_path(app: &AppRef) -> String {
    format!("/management/v1/projects/{}/apps/{}", app.project, app.app)
}
