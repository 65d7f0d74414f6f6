//! How connections to ZITADEL are secured: `spec.tls` of a connection. No I/O.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::auth::KeyRef;

/// How connections to ZITADEL are secured.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Tls {
    /// Certificate authorities (PEM) in the operator's own namespace; they replace the system's. Default: the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,
    /// Whether plain http is allowed to addresses that are not loopback: the credential can then be read on the way. Default: Forbid.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub plaintext: Option<PlaintextPolicy>,
}

/// Whether plain http is allowed to addresses that are not loopback.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum PlaintextPolicy {
    /// Only https, and plain http to loopback addresses.
    #[default]
    Forbid,
    /// Plain http to any address.
    Allow,
}

/// A PEM bundle in a ConfigMap or a Secret: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapKeyRef) != has(self.secretKeyRef)").message("caBundle must have exactly one of configMapKeyRef and secretKeyRef, such as configMapKeyRef: {name: zitadel-ca, key: ca.crt}"))]
pub struct CaBundle {
    /// A key of a ConfigMap in the operator's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_key_ref: Option<KeyRef>,
    /// A key of a Secret in the operator's own namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_key_ref: Option<KeyRef>,
}
