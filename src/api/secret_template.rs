//! The Kubernetes Secret that is wanted: `spec.secret`. No I/O.

use std::collections::BTreeMap;

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule;

/// The Kubernetes Secret to write.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretTemplate {
    /// Its name. Default: the object's own name.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::object_name("orders-api")))]
    pub name: Option<String>,

    /// Its type: Opaque, kubernetes.io/basic-auth or one of your own. Default: Opaque.
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::secret_type()))]
    pub secret_type: Option<String>,

    /// What the Secret contains, by key. One entry at least must be `from: ClientSecret`. Default: `CLIENT_ID` and `CLIENT_SECRET`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(min = 1, max = 32),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["key"])
    )]
    #[x_kube(validation = Rule::new("self.exists(entry, has(entry.from) && entry.from == 'ClientSecret')").message("no entry has from: ClientSecret: add one, such as {key: CLIENT_SECRET, from: ClientSecret}; the operator verifies the value that it reads there"))]
    pub data: Option<Vec<DataEntry>>,

    /// Labels for the Secret. Names under zitadel-secrets.dev, kubernetes.io and k8s.io are reserved, but for app.kubernetes.io.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("maxProperties" = 32, "x-kubernetes-validations" = rule::labels()))]
    pub labels: Option<BTreeMap<String, LabelValue>>,

    /// Annotations for the Secret. Names under zitadel-secrets.dev, kubernetes.io and k8s.io are reserved, but for app.kubernetes.io.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(extend("maxProperties" = 32, "x-kubernetes-validations" = rule::annotations()))]
    pub annotations: Option<BTreeMap<String, AnnotationValue>>,

    /// Whether the existing Secret of that name is adopted. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub adoption_policy: Option<AdoptionPolicy>,

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

/// One key of the Secret.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[x_kube(validation = Rule::new("has(self.from) != has(self.template)").message(Message::Expression("'the entry of key \"' + self.key + '\" must have exactly one of from and template'".to_owned())))]
pub struct DataEntry {
    /// The key.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::data_key()))]
    pub key: String,
    /// A value as it is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<ValueSource>,
    /// A template in a small part of Jinja, such as `{"id": {{ clientId | tojson }}, "secret": {{ clientSecret | tojson }}}`. The values
    /// are clientId, clientSecret, issuer, introspectionEndpoint, tokenEndpoint, projectId and appId; the filters are tojson, b64,
    /// urlencode, shellquote and properties.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(min = 1, max = 8192))]
    pub template: Option<String>,
}

/// What a key holds.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum ValueSource {
    /// The client id.
    ClientId,
    /// The client secret.
    ClientSecret,
    /// The issuer, which is the URL of ZITADEL.
    Issuer,
    /// The introspection endpoint.
    IntrospectionEndpoint,
    /// The token endpoint.
    TokenEndpoint,
    /// The id of the project.
    ProjectId,
    /// The id of the application whose pair the Secret holds.
    AppId,
}

impl ValueSource {
    /// The word in the spec.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ClientId => "ClientId",
            Self::ClientSecret => "ClientSecret",
            Self::Issuer => "Issuer",
            Self::IntrospectionEndpoint => "IntrospectionEndpoint",
            Self::TokenEndpoint => "TokenEndpoint",
            Self::ProjectId => "ProjectId",
            Self::AppId => "AppId",
        }
    }
}

/// Whether an existing Secret is adopted.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum AdoptionPolicy {
    /// A Secret that the operator does not manage is left alone.
    #[default]
    Never,
    /// The value of the existing Secret is kept if ZITADEL accepts it. Without such a value nothing is generated until a new trigger is
    /// set.
    Required,
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
