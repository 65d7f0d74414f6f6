//! The kinds people write, their status and its vocabulary. No client, no I/O.

mod api_app_secret;
mod auth;
mod condition;
mod grant;
mod proxy;
mod reason;
mod rotation;
mod rule;
mod secret_template;
mod status;
mod tls;
mod zitadel_connection;

pub use api_app_secret::{ApiAppSecret, ApiAppSecretSpec, ConnectionRef, Standby, StandbyType};
pub use auth::{Auth, AuthMethod, KeyRef, SecretSource};
pub use condition::{Condition, ConditionType, Conditions, Status, seconds};
pub use grant::{Grant, GrantedId, LabelOperator, LabelRequirement, NamespaceSelector};
pub use proxy::{NoProxyHost, Proxy};
pub use reason::Reason;
pub use rotation::{Overlap, Recovery, RecoveryPolicy, Rotation, Window};
pub use secret_template::{AdoptionPolicy, DataEntry, DeletionPolicy, SecretTemplate, ValueSource};
pub use status::{
    ApiAppSecretStatus, ForeignSecret, HistoryEntry, LastRotation, OpenAttempt, Outcome,
    PreviousPair,
};
pub use tls::{CaBundle, PlaintextPolicy, Tls};
pub use zitadel_connection::{
    DEFAULT_CLASS, Limits, RehearsalPolicy, RepairLimit, ZitadelConnection, ZitadelConnectionSpec,
    ZitadelConnectionStatus,
};

/// The API group of both kinds.
pub const GROUP: &str = "zitadel-secrets.dev";

use kube::CustomResourceExt;

/// The custom resource definitions as YAML documents: file name and content, as they stand in `crds/`.
///
/// # Errors
/// Only if a definition can't be serialised, which a test rules out.
pub fn definitions() -> Result<[(String, String); 2], serde_saphyr::ser::Error> {
    let file = |crd: &k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| {
        let name = format!("{GROUP}_{}.yaml", crd.spec.names.plural);
        serde_saphyr::to_string(crd).map(|yaml| (name, yaml))
    };
    Ok([
        file(&ApiAppSecret::crd())?,
        file(&ZitadelConnection::crd())?,
    ])
}
