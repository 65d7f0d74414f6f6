//! An object that keeps a client secret, of whatever kind, as the operator has it in memory. No I/O.

use std::borrow::Cow;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::Resource;
use kube::core::DynamicResourceScope;
use serde::de::{Deserialize, Deserializer, Error as _};
use serde::ser::{Serialize, SerializeStruct as _, Serializer};
use serde_value::Value;

use crate::api::api_app_secret::{ApiAppSecret, ApiAppSecretSpec};
use crate::api::kind::{GROUP, Kind};
use crate::api::oidc_app_secret::OidcAppSecret;
use crate::api::status::AppSecretStatus;

/// The version of the API that is read and written.
const VERSION: &str = "v1alpha1";

/// An object that keeps a client secret.
#[derive(Clone, Debug, PartialEq)]
pub struct AppSecret {
    /// Its kind.
    pub kind: Kind,
    /// Its metadata.
    pub metadata: ObjectMeta,
    /// Its spec: that of an `ApiAppSecret`, which has the fields of all kinds.
    pub spec: ApiAppSecretSpec,
    /// Its status.
    pub status: Option<AppSecretStatus>,
}

impl AppSecret {
    /// Reads an object of a kind.
    pub(crate) fn read<'de, D: Deserializer<'de>>(
        kind: Kind,
        deserializer: D,
    ) -> Result<Self, D::Error> {
        match kind {
            Kind::ApiApp => ApiAppSecret::deserialize(deserializer).map(Self::from),
            Kind::OidcApp => OidcAppSecret::deserialize(deserializer).map(Self::from),
        }
    }
}

impl From<ApiAppSecret> for AppSecret {
    fn from(object: ApiAppSecret) -> Self {
        Self {
            kind: Kind::ApiApp,
            metadata: object.metadata,
            spec: object.spec,
            status: object.status,
        }
    }
}

impl From<OidcAppSecret> for AppSecret {
    fn from(object: OidcAppSecret) -> Self {
        Self {
            kind: Kind::OidcApp,
            metadata: object.metadata,
            spec: object.spec.into(),
            status: object.status,
        }
    }
}

/// By the kind that it names.
impl<'de> Deserialize<'de> for AppSecret {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        #[derive(serde::Deserialize)]
        struct Named {
            kind: Kind,
        }
        let object = Value::deserialize(deserializer)?;
        let Named { kind } = object
            .clone()
            .deserialize_into()
            .map_err(D::Error::custom)?;
        Self::read(kind, object).map_err(serde_value::DeserializerError::into_error)
    }
}

impl Serialize for AppSecret {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut object = serializer.serialize_struct(self.kind.as_str(), 5)?;
        object.serialize_field("apiVersion", &Self::api_version(&self.kind))?;
        object.serialize_field("kind", &self.kind)?;
        object.serialize_field("metadata", &self.metadata)?;
        object.serialize_field("spec", &self.spec)?;
        if let Some(status) = &self.status {
            object.serialize_field("status", status)?;
        }
        object.end()
    }
}

impl Resource for AppSecret {
    type DynamicType = Kind;
    // NB: kube makes an `Api` of a namespace for a kind that is chosen at run time with this scope alone.
    type Scope = DynamicResourceScope;

    fn kind(kind: &Kind) -> Cow<'_, str> {
        kind.as_str().into()
    }

    fn group(_: &Kind) -> Cow<'_, str> {
        GROUP.into()
    }

    fn version(_: &Kind) -> Cow<'_, str> {
        VERSION.into()
    }

    fn plural(kind: &Kind) -> Cow<'_, str> {
        kind.plural().into()
    }

    fn meta(&self) -> &ObjectMeta {
        &self.metadata
    }

    fn meta_mut(&mut self) -> &mut ObjectMeta {
        &mut self.metadata
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_of_each_kind_is_written_as_it_was_read() {
        for kind in Kind::ALL {
            let object = serde_json::json!({
                "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": kind, "metadata": {"name": "orders"},
                "spec": {"connectionRef": {"name": "default"}, "projectId": "1", "appId": "2"},
                "status": {"sequence": "42", "conditions": []},
            });
            let read: AppSecret = serde_json::from_value(object.clone()).unwrap();
            assert_eq!(read.kind, kind);
            assert_eq!(serde_json::to_value(&read).unwrap(), object);
        }
    }

    #[test]
    fn each_kind_is_called_as_in_its_definition() {
        let definitions = crate::api::definitions().unwrap();
        for kind in Kind::ALL {
            let named = |crd: &&k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition| crd.spec.names.kind == kind.as_str();
            let crd = definitions.iter().find(named).unwrap();
            assert_eq!(crd.spec.names.plural, kind.plural());
            assert_eq!(crd.spec.group, AppSecret::group(&kind));
            assert_eq!(crd.spec.versions[0].name, AppSecret::version(&kind));
            assert_eq!(serde_json::to_value(kind).unwrap(), kind.as_str());
        }
    }
}
