//! The kinds people write, their status and its vocabulary. No client, no I/O.

mod api_app_secret;
mod condition;
mod proxy;
mod reason;
mod rule;
mod status;
mod zitadel_connection;

pub use api_app_secret::{
    ApiAppSecret, ApiAppSecretSpec, ConnectionRef, DeletionPolicy, Recovery, RecoveryPolicy,
    Rotation, SecretKeys, SecretTemplate, Window,
};
pub use condition::{Condition, ConditionType, Conditions, Status, seconds};
pub use proxy::{NoProxyHost, Proxy, ProxyAuth, ProxyCaBundle};
pub use reason::Reason;
pub use status::{
    ApiAppSecretStatus, ForeignSecret, HistoryEntry, LastRotation, OpenAttempt, Outcome,
    PreviousPair,
};
pub use zitadel_connection::{
    CaBundle, Credential, CredentialType, DEFAULT_CLASS, Grant, KeyRef, Limits, NamespaceGrant,
    ZitadelConnection, ZitadelConnectionSpec, ZitadelConnectionStatus,
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
