//! The kinds people write, their status and its vocabulary. No client, no I/O.

mod api_app_secret;
mod app_secret;
mod auth;
mod condition;
mod consumers;
mod grant;
mod kind;
mod oidc_app_secret;
mod proxy;
mod reason;
mod rotation;
mod rule;
mod secret_template;
mod status;
mod tls;
mod zitadel_connection;

pub use api_app_secret::{ApiAppSecret, ApiAppSecretSpec, ConnectionRef, Standby, StandbyType};
pub use app_secret::AppSecret;
pub use auth::{Auth, AuthMethod, KeyRef, SecretSource};
pub use condition::{Condition, ConditionType, Conditions, Status, seconds};
pub use consumers::{
    Behind, Consumers, ConsumersStatus, RefreshPolicy, RestartPolicy, WorkloadRef,
};
pub use grant::{
    Grant, GrantedId, GrantedKind, LabelOperator, LabelRequirement, NamespaceSelector,
};
pub use kind::{GROUP, Kind};
pub use oidc_app_secret::{OidcAppSecret, OidcAppSecretSpec, OidcRotation};
pub use proxy::{NoProxyHost, Proxy};
pub use reason::Reason;
pub use rotation::{Overlap, OverlapEnd, Recovery, RecoveryPolicy, Rotation, Window};
pub use secret_template::{AdoptionPolicy, DataEntry, DeletionPolicy, SecretTemplate, ValueSource};
pub use status::{
    AppSecretStatus, ForeignSecret, HistoryEntry, LastRotation, OpenAttempt, Outcome, PreviousPair,
};
pub use tls::{CaBundle, PlaintextPolicy, Tls};
pub use zitadel_connection::{
    ApiInUse, ApiPolicy, DEFAULT_CLASS, Limits, RehearsalPolicy, RepairLimit, ZitadelConnection,
    ZitadelConnectionSpec, ZitadelConnectionStatus,
};

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::CustomResourceExt;
use serde_json::Value;

/// The custom resource definitions of all kinds.
///
/// # Errors
/// Only if a definition can't be read back from its own JSON, which a test rules out.
pub fn definitions() -> Result<[CustomResourceDefinition; 3], serde_json::Error> {
    Ok([
        absent_not_null(&ApiAppSecret::crd())?,
        absent_not_null(&OidcAppSecret::crd())?,
        absent_not_null(&ZitadelConnection::crd())?,
    ])
}

/// The definitions as YAML documents: file name and content, as they stand in `crds/`.
///
/// # Errors
/// As [`definitions`].
pub fn documents() -> Result<Vec<(String, String)>, serde_saphyr::ser::Error> {
    let document = |crd: &CustomResourceDefinition| {
        let name = format!("{GROUP}_{}.yaml", crd.spec.names.plural);
        serde_saphyr::to_string(crd).map(|yaml| (name, yaml))
    };
    let definitions = definitions().map_err(|error| error.to_string())?;
    definitions.iter().map(document).collect()
}

/// An optional field is absent and never null: schemars takes every [`Option`] for nullable. An API server drops the null of a field that is
/// not, so that the empty line of a rendered template means the default:
/// <https://kubernetes.io/docs/tasks/extend-kubernetes/custom-resources/custom-resource-definitions/#defaulting-and-nullable>
///
/// NB: but for the objects and maps of a spec: where a server-side apply leaves `{}` of what it applied before, it is the API server itself
/// that writes null, and it would refuse that.
fn absent_not_null(
    crd: &CustomResourceDefinition,
) -> Result<CustomResourceDefinition, serde_json::Error> {
    fn strip(value: &mut Value, is_spec: bool) {
        match value {
            Value::Object(object) => {
                let of_spec = is_spec && object.get("type").is_some_and(|type_| type_ == "object");
                if !of_spec {
                    object.remove("nullable");
                }
                for (name, inner) in object {
                    strip(inner, is_spec || name == "spec");
                }
            }
            Value::Array(items) => items.iter_mut().for_each(|item| strip(item, is_spec)),
            _ => {}
        }
    }
    let mut value = serde_json::to_value(crd)?;
    let versions = value.pointer_mut("/spec/versions");
    if let Some(versions) = versions {
        strip(versions, false);
    }
    serde_json::from_value(value)
}
