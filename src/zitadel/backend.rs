//! What the operator asks of one of ZITADEL's APIs, and how the answers read. No I/O: [`Client`](super::Client) sends.

use reqwest::{Method, RequestBuilder};
use serde_json::Value;

use super::application::{AppPage, AppRef, Application};
use super::error::ErrorClass;
use super::generate_outcome::Generated;
use super::project::ProjectState;
use super::transport::Transport;
use crate::api::Kind;
use crate::ids::{OrganizationId, ProjectId};

/// A request, before the transport makes it one of HTTP.
pub(super) struct Call {
    method: Method,
    path: String,
    organization: Option<OrganizationId>,
    query: Vec<(&'static str, String)>,
    body: Option<Value>,
}

impl Call {
    pub(super) fn new(
        method: Method,
        path: impl Into<String>,
        organization: Option<&OrganizationId>,
    ) -> Self {
        Self {
            method,
            path: path.into(),
            organization: organization.cloned(),
            query: Vec::new(),
            body: None,
        }
    }

    pub(super) fn query(self, query: Vec<(&'static str, String)>) -> Self {
        Self { query, ..self }
    }

    pub(super) fn json(self, body: Value) -> Self {
        Self {
            body: Some(body),
            ..self
        }
    }

    /// As a request that may be repeated.
    pub(super) fn read(&self, transport: &Transport) -> RequestBuilder {
        self.complete(transport.read(self.method.clone(), &self.path))
    }

    /// As a request that is sent at most once.
    pub(super) fn once(&self, transport: &Transport) -> RequestBuilder {
        self.complete(transport.once(self.method.clone(), &self.path))
    }

    fn complete(&self, mut request: RequestBuilder) -> RequestBuilder {
        if let Some(organization) = &self.organization {
            request = request.header("x-zitadel-orgid", organization.as_str());
        }
        if !self.query.is_empty() {
            request = request.query(&self.query);
        }
        match &self.body {
            Some(body) => request.json(body),
            None => request,
        }
    }
}

/// One of ZITADEL's APIs. What only v1 has is in [`v1`](super::v1).
pub(super) trait Backend: Send + Sync {
    /// Generates a client secret of an application that objects of this kind are for.
    fn generate(&self, kind: Kind, app: &AppRef) -> Call;
    /// The answer to that, if it has a client secret.
    fn generated(&self, body: &[u8]) -> Option<Generated>;
    /// Reads an application.
    fn app(&self, app: &AppRef) -> Call;
    /// The application in the answer to that. It must be that one; it is not found if it is another project's.
    fn read_app(&self, app: &AppRef, body: &[u8]) -> Result<Application, ErrorClass>;
    /// Reads a project.
    fn project(&self, organization: Option<&OrganizationId>, project: &ProjectId) -> Call;
    /// The state in the answer to that, if it is of that project.
    fn read_project(&self, project: &ProjectId, body: &[u8]) -> Option<ProjectState>;
    /// Lists the applications of a project, a page of them.
    fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
        offset: usize,
        limit: usize,
    ) -> Call;
    /// The page in the answer to that.
    fn read_apps(&self, body: &[u8]) -> Option<AppPage>;
}
