//! A typed client of the ZITADEL routes that the operator needs: one method per call.
//!
//! * [`Client`] the calls; `config` what it is made from
//! * [`issuer`] accepted URLs of ZITADEL and of its endpoint
//! * [`credential`] the service user's credential; `token` the access tokens for it
//! * `backend` what is asked of an API, [`ApiVersion`](crate::ids::ApiVersion): `v1`, `v2`; pure
//! * [`answer`] answers before they are interpreted
//! * [`generate_outcome`] the outcome of a generate call; pure
//! * [`application`], [`project`], [`journal`], [`introspection`], [`discovery`] parsers of answers; pure
//! * [`journal_depth`] how far back the journal is read; pure
//! * [`detail`] the cause of a failed call, in the operator's own words
//! * [`deprecation`] what ZITADEL announces of an API; pure
//! * [`proxy`] the forward proxy and its credentials
//! * [`error`] error classes, without text from the remote side
//! * [`secret`] the one type that holds a client secret

pub mod answer;
pub mod application;
mod assertion;
mod backend;
mod calls;
mod client;
mod config;
pub mod credential;
pub mod deprecation;
pub mod detail;
pub mod discovery;
pub mod error;
mod error_body;
mod error_class;
pub mod generate_outcome;
pub mod introspection;
pub mod issuer;
pub mod journal;
pub mod journal_depth;
pub mod project;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod proxy;
pub mod secret;
mod send_deadline;
mod sensitive;
mod token;
mod token_answer;
mod transport;
mod trust;
mod v1;
mod v2;
mod wire;

pub use application::{AppKind, AppRef, AppState, Application};
pub use client::Client;
pub use config::{ClientConfig, ConfigError, Observer, Timeouts};
pub use credential::{Credential, CredentialError};
pub use deprecation::Deprecation;
pub use detail::{Detail, Fault};
pub use discovery::Discovery;
pub use error::{ErrorClass, ErrorId, Operation, ZitadelError};
pub use generate_outcome::GenerateOutcome;
pub use introspection::{Introspection, ProbeToken};
pub use issuer::{Endpoint, Issuer, IssuerError};
pub use journal::{Change, ChangeKind};
pub use journal_depth::JournalDepth;
pub use project::ProjectState;
pub use proxy::{NoProxyError, Proxy, ProxyAuth, ProxyAuthError, ProxyUrlError};
pub use secret::{ClientSecret, SecretError};
