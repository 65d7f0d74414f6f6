//! `ZitadelConnection`: where the operator's credential goes and who may use it. No I/O.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{Conditions, Proxy, rule};

/// A ZITADEL instance, the operator's credential for it, and the namespaces that may use it.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "zitadel-secrets.dev",
    version = "v1alpha1",
    kind = "ZitadelConnection",
    plural = "zitadelconnections",
    singular = "zitadelconnection",
    shortname = "zc",
    category = "zitadel",
    status = "ZitadelConnectionStatus",
    derive = "PartialEq",
    doc = "A ZITADEL instance: where the operator's credential goes, and which namespaces may use it for which projects.",
    printcolumn(
        name = "Ready",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].status"#
    ),
    printcolumn(
        name = "Status",
        type_ = "string",
        json_path = r#".status.conditions[?(@.type=="Ready")].reason"#
    ),
    printcolumn(name = "URL", type_ = "string", json_path = ".spec.url"),
    printcolumn(
        name = "Credential Expiry",
        type_ = "string",
        json_path = ".status.credentialExpiry",
        description = "A text: kubectl prints dates in the future as <invalid>"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.url.startsWith('https://') || (has(self.allowInsecure) && self.allowInsecure) || self.url.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?/?$')").message("url must be https; plain http only for loopback addresses or with allowInsecure"))]
#[x_kube(validation = Rule::new("!has(self.endpoint) || self.endpoint.startsWith('https://') || (has(self.allowInsecure) && self.allowInsecure) || self.endpoint.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?/?$')").message("endpoint must be https; plain http only for loopback addresses or with allowInsecure"))]
pub struct ZitadelConnectionSpec {
    /// External URL of ZITADEL, which is its issuer: https, or plain http for loopback addresses or with allowInsecure.
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-validations" = rule::origin("https://iam.example.com"))
    )]
    pub url: String,

    /// Where to dial instead of url, for a ZITADEL in the same cluster; the external host is sent along.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 512),
        extend("x-kubernetes-validations" = rule::origin("https://zitadel.zitadel.svc:8443"))
    )]
    pub endpoint: Option<String>,

    /// Allow plain http to addresses that are not loopback. The credential can be read on the way. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_insecure: Option<bool>,

    /// A forward proxy to go through. Default: none; the environment variables of proxies never count for ZITADEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,

    /// Certificate authorities (PEM) in the operator's namespace; they replace the system's.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ca_bundle: Option<CaBundle>,

    /// The operator's credential, in a Secret in the operator's own namespace.
    pub credential: Credential,

    /// The organisation of objects that name none. Default: the credential's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub organization_id: Option<String>,

    /// Who may use it. Without a grant nothing is rotated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 256))]
    pub grants: Vec<Grant>,

    /// How much at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Rotate even where a webhook cannot take part in a dry run, so that the write of the Secret cannot be rehearsed.
    /// Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub allow_without_rehearsal: Option<bool>,

    /// Which operator keeps it, where a cluster has several: the one that runs with this --controller-class. Default: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub controller_class: Option<String>,
}

/// The class of a connection that names none, and of an operator that is told none.
pub const DEFAULT_CLASS: &str = "default";

/// Where a PEM bundle is: exactly one of the two.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.configMapRef) != has(self.secretRef)").message("exactly one of configMapRef and secretRef must be given"))]
pub struct CaBundle {
    /// A ConfigMap in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub config_map_ref: Option<KeyRef>,
    /// A Secret in the operator's namespace.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret_ref: Option<KeyRef>,
}

/// A key of a Secret or ConfigMap in the operator's namespace.
#[derive(
    KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct KeyRef {
    /// Its name.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
    /// The key in it.
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub key: String,
}

/// The operator's credential.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Credential {
    /// The Secret that holds it. It is read again when it changes.
    pub secret_ref: KeyRef,
    /// What it is.
    #[serde(rename = "type")]
    pub type_: CredentialType,
}

/// The kind of credential.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq)]
pub enum CredentialType {
    /// The JSON key file of a service user (JWT profile). Preferred.
    ServiceAccountKey,
    /// A personal access token of a service user.
    PersonalAccessToken,
}

/// Namespaces, and what they may use.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Grant {
    /// Which namespaces.
    pub namespaces: NamespaceGrant,
    /// Which projects. `*` stands for all and must be written out.
    #[schemars(length(min = 1, max = 256))]
    pub project_ids: Vec<GrantedId>,
    /// Which applications of them. Absent: all.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub app_ids: Option<Vec<GrantedId>>,
}

/// An id, or `*`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct GrantedId(
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^([A-Za-z0-9_.-]+|\*)$"))] pub String,
);

/// Namespaces by name or label: one of the two is enough.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.names) || has(self.selector)").message("names or selector must be given"))]
pub struct NamespaceGrant {
    /// By name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 256))]
    pub names: Option<Vec<NamespaceName>>,
    /// By label.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub selector: Option<NamespaceSelector>,
}

/// The name of a namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct NamespaceName(
    #[schemars(
        length(min = 1, max = 63),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?$")
    )]
    pub String,
);

/// Labels that a namespace must have, all of them.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct NamespaceSelector {
    /// Label and value.
    #[schemars(extend("minProperties" = 1, "maxProperties" = 16))]
    pub match_labels: BTreeMap<String, super::api_app_secret::LabelValue>,
}

/// How much at once.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Generate calls under way at once. Default: 1; ZITADEL can lose a rotation when several are committed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub max_in_flight: Option<i32>,
    /// Repairs (not scheduled rotations) within ten minutes. Default: 30.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        rename = "repairsPer10Minutes"
    )]
    #[schemars(range(min = 1, max = 10000))]
    pub repairs_per_10_minutes: Option<i32>,
}

/// What is known of the connection.
// NB: the default is for kstatus, see ApiAppSecretStatus.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct ZitadelConnectionStatus {
    /// The generation of the spec that this status speaks of; -1 before the operator has seen the connection.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Ready.
    #[serde(default)]
    pub conditions: Conditions,
    /// The user that the credential belongs to.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub user_id: Option<String>,
    /// When the credential expires, as RFC 3339, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 40))]
    pub credential_expiry: Option<String>,
    /// Whether ZITADEL's change list could be read the last time it was tried.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub journal_readable: Option<bool>,
}

impl ZitadelConnectionSpec {
    /// Which operator keeps it.
    pub fn class(&self) -> &str {
        self.controller_class.as_deref().unwrap_or(DEFAULT_CLASS)
    }

    /// Generate calls under way at once.
    pub fn max_in_flight(&self) -> usize {
        let limit = self
            .limits
            .and_then(|limits| limits.max_in_flight)
            .unwrap_or(1);
        usize::try_from(limit).unwrap_or(1).clamp(1, 16)
    }

    /// Repairs within ten minutes.
    pub fn repairs_per_10_minutes(&self) -> u32 {
        let limit = self
            .limits
            .and_then(|limits| limits.repairs_per_10_minutes)
            .unwrap_or(30);
        u32::try_from(limit).unwrap_or(30).clamp(1, 10_000)
    }
}
