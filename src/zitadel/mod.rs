//! A typed client of the few ZITADEL routes that are needed: one method per call.
//!
//! * [`Client`] the calls
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
mod config;
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

pub use application::{AppKind, AppRef, AppState, Application};
pub use client::Client;
pub use config::{ClientConfig, ConfigError, Observer, Timeouts};
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
