//! A typed client of the few ZITADEL routes that are needed: one method per call.
//!
//! * [`Zitadel`] the calls, as a trait; [`Client`] the one that speaks HTTP
//! * [`issuer`] which URLs are taken, and what another endpoint implies
//! * [`credential`] what an administrator hands over; `token` what is sent for it
//! * [`answer`] what came back, unjudged
//! * [`outcome`] what an answer of generate means; pure
//! * [`application`], [`project`], [`journal`], [`since`], [`introspection`], [`discovery`] parsers of answers; pure
//! * [`detail`] what exactly went wrong, in the operator's own words
//! * [`proxy`] the proxy on the way, and its credentials
//! * [`error`] error classes; nothing in them was written by the remote side
//! * [`secret`] the one type that holds a client secret

pub mod answer;
pub mod application;
mod assertion;
mod calls;
mod client;
pub mod credential;
pub mod detail;
pub mod discovery;
mod dns;
pub mod error;
mod error_body;
mod error_class;
pub mod introspection;
pub mod issuer;
pub mod journal;
mod last_look;
pub mod outcome;
pub mod project;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod proxy;
pub mod secret;
mod sensitive;
pub mod since;
mod token;
mod token_answer;
mod transport;
mod trust;
mod wire;

use async_trait::async_trait;

pub use application::{AppKind, AppState, Application};
pub use client::{Client, ClientConfig, ConfigError, Timeouts};
pub use credential::{Credential, CredentialError};
pub use detail::{Detail, Fault};
pub use discovery::Discovery;
pub use error::{ErrorClass, ErrorId, Operation, ZitadelError};
pub use introspection::{Introspection, ProbeToken};
pub use issuer::{Endpoint, Issuer, IssuerError};
pub use journal::{Change, ChangeKind};
pub use outcome::Outcome;
pub use project::ProjectState;
pub use proxy::{NoProxyError, Proxy, ProxyAuth, ProxyAuthError, ProxyUrlError};
pub use secret::{ClientSecret, SecretError};
pub use since::Since;

use crate::ids::{AppId, AttemptId, OrganizationId, ProjectId, UserId};
use crate::process::clock::ServerClock;

/// One application, and the organisation in which calls about it act.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppRef {
    /// Sent as `x-zitadel-orgid`; it must be the one that owns the project. `None` is the caller's own organisation.
    pub organization: Option<OrganizationId>,
    /// The project of the application.
    pub project: ProjectId,
    /// The application.
    pub app: AppId,
}

/// The calls. Every one has a deadline of its own and ends, whatever the other side does.
#[async_trait]
pub trait Zitadel: Send + Sync + 'static {
    /// Whose credential this is: the editor of own journal entries (`GET /auth/v1/users/me`).
    async fn me(&self) -> Result<UserId, ZitadelError>;

    /// Has a token at hand, so that generate does not have to ask for one first.
    async fn prepare(&self, project: &ProjectId) -> Result<(), ZitadelError>;

    /// Makes a new secret and so kills the present one. At most one request is sent, ever: no retry, no redirect.
    async fn generate(&self, app: &AppRef, attempt: AttemptId) -> Outcome;

    /// Reads one application. As a side effect ZITADEL's projection catches up, so that a new secret is known afterwards.
    async fn app(&self, app: &AppRef) -> Result<Application, ZitadelError>;

    /// Whether a project takes part (`GET /management/v1/projects/{id}`, which needs `project.read`).
    async fn project(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<ProjectState, ZitadelError>;

    /// All applications of a project.
    async fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<Vec<Application>, ZitadelError>;

    /// The application's journal as far back as is asked, and perhaps further; ascending, each sequence once. Complete that far or
    /// an error: a gap could hide a rotation. Only where there are tens of thousands of entries the oldest of them are left out;
    /// without a new secret among the newest ones it is an error ([`ErrorClass::TooLarge`]).
    async fn changes(&self, app: &AppRef, since: Since) -> Result<Vec<Change>, ZitadelError>;

    /// What ZITADEL says of a client id and secret.
    async fn introspect(
        &self,
        client_id: &str,
        secret: &ClientSecret,
        token: ProbeToken,
    ) -> Result<Introspection, ZitadelError>;

    /// What ZITADEL says of itself; an error unless it calls itself by the configured URL.
    async fn discovery(&self) -> Result<Discovery, ZitadelError>;

    /// ZITADEL's clock, by the newest answer that had a `Date` header.
    fn clock(&self) -> &ServerClock;
}
