//! How the operator authenticates to ZITADEL: `spec.auth` of a connection. No I/O.

use kube::KubeSchema;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule;

/// How the operator authenticates to ZITADEL: exactly one way.
#[derive(KubeSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
#[x_kube(validation = Rule::new("has(self.serviceAccountKey) != has(self.personalAccessToken)").message("auth must have exactly one of serviceAccountKey and personalAccessToken, such as serviceAccountKey: {secretKeyRef: {name: zitadel-key, key: key.json}}"))]
pub struct Auth {
    /// The JSON key file of a service user, used with the JWT profile. Preferred.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub service_account_key: Option<SecretSource>,
    /// A personal access token of a service user.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personal_access_token: Option<SecretSource>,
}

/// A value in a Secret in the operator's own namespace.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct SecretSource {
    /// The key of the Secret that holds it. It is read again when it changes.
    pub secret_key_ref: KeyRef,
}

/// A key of a Secret or ConfigMap in the operator's own namespace.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub struct KeyRef {
    /// The name of the Secret or ConfigMap.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::object_name("zitadel-key")))]
    pub name: String,
    /// The key in it.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::data_key()))]
    pub key: String,
}

/// The one way in which the operator authenticates, with the place of the credential.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum AuthMethod<'a> {
    /// The JSON key file of a service user.
    ServiceAccountKey(&'a KeyRef),
    /// A personal access token of a service user.
    PersonalAccessToken(&'a KeyRef),
}

impl Auth {
    /// The one member that is given; none if there is none, or more than one, which the API server refuses.
    pub fn method(&self) -> Option<AuthMethod<'_>> {
        match (&self.service_account_key, &self.personal_access_token) {
            (Some(key), None) => Some(AuthMethod::ServiceAccountKey(&key.secret_key_ref)),
            (None, Some(token)) => Some(AuthMethod::PersonalAccessToken(&token.secret_key_ref)),
            (None, None) | (Some(_), Some(_)) => None,
        }
    }
}

impl<'a> AuthMethod<'a> {
    /// The key that holds the credential.
    pub const fn key(self) -> &'a KeyRef {
        match self {
            Self::ServiceAccountKey(key) | Self::PersonalAccessToken(key) => key,
        }
    }

    /// The field of the spec that is used.
    pub const fn field(self) -> &'static str {
        match self {
            Self::ServiceAccountKey(_) => "spec.auth.serviceAccountKey",
            Self::PersonalAccessToken(_) => "spec.auth.personalAccessToken",
        }
    }
}
