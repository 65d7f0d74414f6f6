//! `ApiAppSecret`: one ZITADEL API application whose client secret is kept in one Kubernetes Secret. No I/O.

use std::collections::BTreeMap;

use kube::{CustomResource, KubeSchema};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::{ApiAppSecretStatus, rule};
use crate::ids::AppId;

/// An OAuth2 client secret of a ZITADEL API application, kept in a Kubernetes Secret and rotated.
#[derive(CustomResource, KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[kube(
    group = "zitadel-secrets.dev",
    version = "v1alpha1",
    kind = "ApiAppSecret",
    plural = "apiappsecrets",
    singular = "apiappsecret",
    shortname = "aas",
    category = "zitadel",
    namespaced,
    status = "ApiAppSecretStatus",
    derive = "PartialEq",
    doc = "The client secret of one ZITADEL API application, kept in a Kubernetes Secret: created, rotated, verified and repaired.",
    selectable = ".spec.projectId",
    selectable = ".spec.appId",
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
    printcolumn(name = "Secret", type_ = "string", json_path = ".status.secretName"),
    printcolumn(name = "Sequence", type_ = "string", json_path = ".status.sequence"),
    printcolumn(
        name = "Last Rotation",
        type_ = "date",
        json_path = ".status.lastRotation.time"
    ),
    printcolumn(
        name = "Next Rotation",
        type_ = "string",
        json_path = ".status.nextRotationTime",
        description = "A text: kubectl prints dates in the future as <invalid>"
    ),
    printcolumn(
        name = "Age",
        type_ = "date",
        json_path = ".metadata.creationTimestamp"
    ),
    printcolumn(
        name = "App",
        type_ = "string",
        json_path = ".spec.appId",
        priority = 1
    ),
    printcolumn(
        name = "Schedule",
        type_ = "string",
        json_path = ".status.schedule",
        priority = 1
    )
)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("!has(self.standbyAppId) || self.standbyAppId != self.appId").message(Message::Expression("'standbyAppId must be another application than appId: both are \"' + self.appId + '\"'".to_owned())))]
#[x_kube(validation = Rule::new("!has(self.rotation) || !has(self.rotation.overlap) || has(self.standbyAppId)").message("rotation.overlap needs standbyAppId: one application has one client secret at a time"))]
pub struct ApiAppSecretSpec {
    /// The `ZitadelConnection` to use. Default: the one named `default`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection_ref: Option<ConnectionRef>,

    /// The organisation that owns the project. Default: the connection's organizationId.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub organization_id: Option<String>,

    /// The project of the application. Cannot be changed.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(Message::Expression("'projectId cannot be changed from \"' + oldSelf + '\" to \"' + self + '\": delete the object and create another'".to_owned())))]
    pub project_id: String,

    /// The API application whose client secret is kept. Cannot be changed.
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    #[x_kube(validation = Rule::new("self == oldSelf").message(Message::Expression("'appId cannot be changed from \"' + oldSelf + '\" to \"' + self + '\": delete the object and create another'".to_owned())))]
    pub app_id: String,

    /// A second API application of the same project: rotations alternate between the two, without an outage.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 200), regex(pattern = r"^[A-Za-z0-9_.-]+$"))]
    pub standby_app_id: Option<String>,

    /// The Kubernetes Secret to write.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub secret: Option<SecretTemplate>,

    /// When to rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rotation: Option<Rotation>,

    /// What to do when the stored credential is gone or refused.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub recovery: Option<Recovery>,

    /// Stops everything: no rotation, no repair, no change of the Secret. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suspend: Option<bool>,
}

/// A reference to a `ZitadelConnection`.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
pub struct ConnectionRef {
    /// The name of the `ZitadelConnection`.
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$")
    )]
    pub name: String,
}

/// The Kubernetes Secret to write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Its name. Default: the object's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[a-z0-9]([-a-z0-9]*[a-z0-9])?(\.[a-z0-9]([-a-z0-9]*[a-z0-9])?)*$")
    )]
    pub name: Option<String>,

    /// Its type. Opaque, kubernetes.io/basic-auth or one of your own. Default: Opaque.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 253),
        regex(pattern = r"^[A-Za-z0-9]([-A-Za-z0-9_./]*[A-Za-z0-9])?$")
    )]
    #[x_kube(validation = Rule::new("self == 'kubernetes.io/basic-auth' || !self.matches('^([^/]*[.])?(kubernetes|k8s)[.]io/')").message("must be Opaque, kubernetes.io/basic-auth or a type of your own: to the others Kubernetes gives a meaning, such as the token of a service account"))]
    pub secret_type: Option<String>,

    /// The names of its keys.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub keys: Option<SecretKeys>,

    /// Labels for the Secret. Names under zitadel-secrets.dev, kubernetes.io and k8s.io are reserved, but for app.kubernetes.io.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("maxProperties" = 32, "x-kubernetes-validations" = rule::labels()))]
    pub labels: Option<BTreeMap<String, LabelValue>>,

    /// Annotations for the Secret. Names under zitadel-secrets.dev, kubernetes.io and k8s.io are reserved, but for app.kubernetes.io.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32, "x-kubernetes-validations" = rule::annotations()))]
    pub annotations: Option<BTreeMap<String, AnnotationValue>>,

    /// Adopt the existing Secret of that name: its value is kept if ZITADEL accepts it. Without such a value nothing is generated until a new trigger is set. Default: false.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adopt: Option<bool>,

    /// What happens to the Secret when this object is deleted. Default: Delete.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub deletion_policy: Option<DeletionPolicy>,
}

/// The value of a label.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct LabelValue(#[schemars(length(max = 63))] pub String);

/// The value of an annotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(transparent)]
pub struct AnnotationValue(#[schemars(length(max = 1024))] pub String);

/// The names of the keys in the Secret. Keys without a default appear only when named.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("[has(self.clientId) ? self.clientId : 'CLIENT_ID', has(self.clientSecret) ? self.clientSecret : 'CLIENT_SECRET', has(self.issuer) ? self.issuer : '/1', has(self.introspectionEndpoint) ? self.introspectionEndpoint : '/2', has(self.tokenEndpoint) ? self.tokenEndpoint : '/3', has(self.projectId) ? self.projectId : '/4', has(self.appId) ? self.appId : '/5'].all(x, [has(self.clientId) ? self.clientId : 'CLIENT_ID', has(self.clientSecret) ? self.clientSecret : 'CLIENT_SECRET', has(self.issuer) ? self.issuer : '/1', has(self.introspectionEndpoint) ? self.introspectionEndpoint : '/2', has(self.tokenEndpoint) ? self.tokenEndpoint : '/3', has(self.projectId) ? self.projectId : '/4', has(self.appId) ? self.appId : '/5'].exists_one(y, y == x))").message("two values cannot have the same key"))]
pub struct SecretKeys {
    /// Key of the client id. Default: `CLIENT_ID`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_id: Option<String>,
    /// Key of the client secret. Default: `CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub client_secret: Option<String>,
    /// Key of the issuer, the URL of ZITADEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub issuer: Option<String>,
    /// Key of the introspection endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub introspection_endpoint: Option<String>,
    /// Key of the token endpoint.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub token_endpoint: Option<String>,
    /// Key of the project id.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub project_id: Option<String>,
    /// Key of the id of the application whose pair the Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 253), regex(pattern = r"^[-._a-zA-Z0-9]+$"))]
    pub app_id: Option<String>,
}

/// What happens to the Secret when the `ApiAppSecret` is deleted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum DeletionPolicy {
    /// The Secret is deleted with it (by an ownerReference).
    #[default]
    Delete,
    /// The Secret stays.
    Retain,
}

/// When to rotate.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The age at which the credential is rotated, such as 30d or 1d12h (units w d h m s, each once, from large to small). Absent: only on trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("30d"))
    )]
    pub interval: Option<String>,

    /// When a due rotation may start. None: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 16))]
    pub windows: Option<Vec<Window>>,

    /// Percent of the interval over which objects with the same interval are spread, the same for an object every time. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub jitter: Option<i32>,

    /// Standby only: how long the old credential goes on working. Absent: until the next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = rule::duration()))]
    pub overlap: Option<String>,

    /// Any text. The credential is rotated once each time it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 128), regex(pattern = r"^[\x20-\x7e]+$"))]
    pub trigger: Option<String>,
}

/// A time of the week, month or year in which rotations may start.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// When it opens: five fields of cron, such as `0 3 * * MON-FRI`.
    #[schemars(length(max = 128), extend("x-kubernetes-validations" = rule::schedule()))]
    pub schedule: String,

    /// Time zone by its IANA name, such as Europe/Zurich. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rule::time_zone()))]
    pub time_zone: Option<String>,

    /// How long it stays open, such as 2h.
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("2h"))
    )]
    pub duration: String,
}

/// What to do when the stored credential is gone or refused.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Recovery {
    /// The Secret, or the client secret in it, is gone. Default: Rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing_secret: Option<RecoveryPolicy>,
    /// ZITADEL refuses the stored client secret. Default: Rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_secret: Option<RecoveryPolicy>,
}

/// Repair, or only say so.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecoveryPolicy {
    /// Generate a new client secret.
    #[default]
    Rotate,
    /// Report it and wait for a person.
    Report,
}

impl ApiAppSecretSpec {
    /// Whether an application is one of the object's.
    pub fn names(&self, app: &AppId) -> bool {
        self.app_id == app.as_str() || self.standby_app_id.as_deref() == Some(app.as_str())
    }

    /// The name of the connection, `default` when none is given.
    pub fn connection_name(&self) -> &str {
        self.connection_ref
            .as_ref()
            .map_or("default", |reference| &reference.name)
    }

    /// Whether everything is stopped.
    pub fn is_suspended(&self) -> bool {
        self.suspend.unwrap_or(false)
    }

    /// The trigger, if one is set.
    pub fn trigger(&self) -> Option<&str> {
        self.rotation
            .as_ref()
            .and_then(|rotation| rotation.trigger.as_deref())
    }

    /// The Secret's name, `object` when none is given.
    pub fn secret_name<'a>(&'a self, object: &'a str) -> &'a str {
        self.secret
            .as_ref()
            .and_then(|secret| secret.name.as_deref())
            .unwrap_or(object)
    }

    /// Whether an existing Secret may be taken over.
    pub fn adopt(&self) -> bool {
        self.secret
            .as_ref()
            .and_then(|secret| secret.adopt)
            .unwrap_or(false)
    }

    /// What happens to the Secret when the object is deleted.
    pub fn deletion_policy(&self) -> DeletionPolicy {
        self.secret
            .as_ref()
            .and_then(|secret| secret.deletion_policy)
            .unwrap_or_default()
    }
}

impl Recovery {
    /// The policy for a Secret that is gone.
    pub fn missing(self) -> RecoveryPolicy {
        self.missing_secret.unwrap_or_default()
    }

    /// The policy for a client secret that ZITADEL refuses.
    pub fn invalid(self) -> RecoveryPolicy {
        self.invalid_secret.unwrap_or_default()
    }
}
