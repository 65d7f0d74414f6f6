//! `ZitadelConnection`: where the operator's credential goes and who may use it. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::tls::PlaintextPolicy;
use crate::api::auth::Auth;
use crate::api::condition::Conditions;
use crate::api::grant::Grant;
use crate::api::proxy::Proxy;
use crate::api::rule;
use crate::api::tls::CaBundle;
use crate::api::tls::Tls;

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
    printcolumn(name = "API", type_ = "string", json_path = ".status.api.inUse"),
    printcolumn(
        name = "Credential Expiry",
        type_ = "string",
        json_path = ".status.credentialExpiry",
        description = "A string: kubectl prints dates in the future as <invalid>"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("self.url.startsWith('https://') || (has(self.tls) && has(self.tls.plaintext) && self.tls.plaintext == 'Allow') || self.url.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?/?$')").message("url must be https; plain http only for loopback addresses or with tls.plaintext: Allow"))]
#[x_kube(validation = Rule::new("!has(self.endpoint) || self.endpoint.startsWith('https://') || (has(self.tls) && has(self.tls.plaintext) && self.tls.plaintext == 'Allow') || self.endpoint.matches('^http://(localhost|127[.][0-9.]+|[[]::1[]])(:[0-9]+)?/?$')").message("endpoint must be https; plain http only for loopback addresses or with tls.plaintext: Allow"))]
pub struct ZitadelConnectionSpec {
    /// External URL of ZITADEL, which is its issuer: https, or plain http for loopback addresses or with tls.plaintext: Allow.
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

    /// A forward proxy to go through. Default: none; the environment variables of proxies never count for ZITADEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub proxy: Option<Proxy>,

    /// How connections to ZITADEL are secured. Default: https, with the system's certificate authorities.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tls: Option<Tls>,

    /// How the operator authenticates to ZITADEL: exactly one way.
    pub auth: Auth,

    /// Which version of ZITADEL's API is used. V1 has a journal, by which a lost client secret is known at once; over V2 it takes minutes.
    /// Default: Auto, V1 as long as ZITADEL serves it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiPolicy>,

    /// The organization of objects that name none. Default: the organization of the operator's user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200), extend("x-kubernetes-validations" = rule::id()))]
    pub organization_id: Option<String>,

    /// Who may use the connection. Without a grant nothing is rotated.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(
        length(max = 128),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub grants: Vec<Grant>,

    /// How much the operator does at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub limits: Option<Limits>,

    /// Whether a rotation needs the rehearsal of its write, a dry run of the Secret's write. Default: Required.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rehearsal: Option<RehearsalPolicy>,

    /// The operator that manages it, where a cluster has several: the one that runs with this --controller-class. Default: default.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::label_name("default")))]
    pub controller_class: Option<String>,
}

/// The class of a connection that names none, and of an operator without `--controller-class`.
pub const DEFAULT_CLASS: &str = "default";

/// How much the operator does at once.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Limits {
    /// Generate calls in flight at once. Default: 1; ZITADEL can lose a rotation when several are committed at once.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 16))]
    pub concurrent_generates: Option<i32>,
    /// Repairs of all objects together; scheduled and triggered rotations do not count. Default: 30 within 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repairs: Option<RepairLimit>,
}

/// So many repairs within a time.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
pub struct RepairLimit {
    /// How many. Default: 30.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 1, max = 10000))]
    pub count: Option<i32>,
    /// Within how long, such as 10m; at most 1d. Default: 10m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("10m"))
    )]
    pub window: Option<String>,
}

/// Which version of ZITADEL's API is used.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum ApiPolicy {
    /// V1 as long as ZITADEL serves it, then V2.
    #[default]
    Auto,
    /// Management v1.
    V1,
    /// The application service v2. Standby applications cannot be created over it.
    V2,
}

/// Which version of ZITADEL's API is in use.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct ApiInUse {
    /// V1 or V2.
    #[schemars(length(max = 64))]
    pub in_use: String,
    /// Whether ZITADEL's change list of applications, the journal, can be read: Readable or Unreadable, Unknown before it was tried, None where
    /// the API has none.
    #[schemars(length(max = 64))]
    pub journal: String,
}

/// Whether a rotation needs the rehearsal of its write.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RehearsalPolicy {
    /// Nothing is rotated where the write of the Secret cannot be rehearsed.
    #[default]
    Required,
    /// Rotations go on where an admission webhook does not support dry runs.
    BestEffort,
}

/// What is known of the connection.
// NB: the default is for kstatus, see AppSecretStatus.
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
    /// When the credential expires, if it says so.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub credential_expiry: Option<Time>,
    /// Which version of ZITADEL's API is in use, and what it can tell.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub api: Option<ApiInUse>,
    /// How many objects name this connection, also those that no grant covers. Counted once a minute.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0))]
    pub objects: Option<i64>,
}

impl ZitadelConnectionSpec {
    /// The class of the operator that manages it.
    pub fn class(&self) -> &str {
        self.controller_class.as_deref().unwrap_or(DEFAULT_CLASS)
    }

    /// Whether plain http is allowed to addresses that are not loopback.
    pub fn allows_plaintext(&self) -> bool {
        let plaintext = self.tls.as_ref().and_then(|tls| tls.plaintext);
        plaintext.unwrap_or_default() == PlaintextPolicy::Allow
    }

    /// The certificate authorities for ZITADEL, if they are not the system's.
    pub fn ca_bundle(&self) -> Option<&CaBundle> {
        self.tls.as_ref()?.ca_bundle.as_ref()
    }

    /// Which version of ZITADEL's API is used.
    pub fn api(&self) -> ApiPolicy {
        self.api.unwrap_or_default()
    }

    /// Whether a rotation needs the rehearsal of its write.
    pub fn rehearsal(&self) -> RehearsalPolicy {
        self.rehearsal.unwrap_or_default()
    }

    /// Generate calls in flight at once.
    pub fn concurrent_generates(&self) -> usize {
        let limit = self
            .limits
            .as_ref()
            .and_then(|limits| limits.concurrent_generates)
            .unwrap_or(1);
        usize::try_from(limit).unwrap_or(1).clamp(1, 16)
    }

    /// The limit of repairs, if one is given.
    pub fn repair_limit(&self) -> Option<&RepairLimit> {
        self.limits.as_ref()?.repairs.as_ref()
    }
}
