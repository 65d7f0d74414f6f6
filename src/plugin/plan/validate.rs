//! What becomes of an object if a document is applied, where the API server may not be asked: by the types of the operator. No I/O.

use kube::ResourceExt as _;
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};

use crate::api::{ApiAppSecretSpec, AppSecret, Kind, OidcAppSecretSpec, ZitadelConnection};
use crate::plugin::plan::manifest::{ConnectionDocument, Document};
use crate::target::Target;

/// The fields of an object.
const FIELDS: [&str; 5] = ["apiVersion", "kind", "metadata", "spec", "status"];

/// The object as it will be. The spec of the document is taken as all of it.
///
/// # Errors
/// The field that cannot be used, and why.
pub fn applied(
    document: &Document,
    namespace: &str,
    before: Option<&AppSecret>,
) -> Result<AppSecret, String> {
    let spec = spec(document)?;
    let mut object = AppSecret {
        kind: document.kind,
        metadata: before.map_or_else(Default::default, |before| before.metadata.clone()),
        spec,
        status: before.and_then(|before| before.status.clone()),
    };
    object.metadata.name = Some(document.name.clone());
    object.metadata.namespace = Some(namespace.to_owned());
    if let Some(before) = before
        && before.spec != object.spec
    {
        object.metadata.generation = before.metadata.generation.map(|it| it + 1);
        for (field, was, is) in [
            (
                "spec.projectId",
                &before.spec.project_id,
                &object.spec.project_id,
            ),
            ("spec.appId", &before.spec.app_id, &object.spec.app_id),
        ] {
            if was != is {
                return Err(format!(
                    "{field} cannot be changed from \"{was}\" to \"{is}\": delete the object and create another"
                ));
            }
        }
        let organization = &before.spec.organization_id;
        if organization.is_some() && *organization != object.spec.organization_id {
            return Err(
                "spec.organizationId cannot be changed: delete the object and create another"
                    .to_owned(),
            );
        }
    }
    Target::read_unlimited(&object).map_err(|error| error.to_string())?;
    debug_assert_eq!(object.name_any(), document.name);
    Ok(object)
}

/// The connection as it will be. The spec of the document is taken as all of it.
///
/// # Errors
/// The field that cannot be used, and why.
pub fn connection(document: &ConnectionDocument) -> Result<ZitadelConnection, String> {
    let spec = read(&document.object)?;
    Ok(ZitadelConnection::new(&document.name, spec))
}

fn spec(document: &Document) -> Result<ApiAppSecretSpec, String> {
    match document.kind {
        Kind::ApiApp => read(&document.object),
        Kind::OidcApp => read::<OidcAppSecretSpec>(&document.object).map(Into::into),
    }
}

/// The spec of an object, without a field that is not known.
fn read<T: DeserializeOwned + Serialize>(object: &Value) -> Result<T, String> {
    let empty = Map::new();
    let object = object.as_object().unwrap_or(&empty);
    if let Some(field) = object
        .keys()
        .find(|field| !FIELDS.contains(&field.as_str()))
    {
        return Err(format!("{field} is an unknown field"));
    }
    let given = object.get("spec").cloned().unwrap_or(Value::Object(empty));
    let read = serde_path_to_error::deserialize::<_, T>(&given).map_err(|error| wrong(&error))?;
    let written = serde_json::to_value(&read).map_err(|error| error.to_string())?;
    match unknown("spec", &given, &written) {
        Some(field) => Err(format!("{field} is an unknown field")),
        None => Ok(read),
    }
}

fn wrong(error: &serde_path_to_error::Error<serde_json::Error>) -> String {
    match error.path().to_string().as_str() {
        "." => format!("spec: {}", error.inner()),
        path => format!("spec.{path}: {}", error.inner()),
    }
}

/// A field that was given and is not among those that were read.
fn unknown(path: &str, given: &Value, read: &Value) -> Option<String> {
    match (given, read) {
        (Value::Object(given), Value::Object(read)) => given.iter().find_map(|(name, value)| {
            let path = format!("{path}.{name}");
            match (value, read.get(name)) {
                (Value::Null, None) => None,
                (_, None) => Some(path),
                (value, Some(read)) => unknown(&path, value, read),
            }
        }),
        (Value::Array(given), Value::Array(read)) => {
            let mut pairs = given.iter().zip(read).enumerate();
            pairs.find_map(|(index, (given, read))| {
                unknown(&format!("{path}[{index}]"), given, read)
            })
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::plan::manifest::Manifest;

    fn document(spec: &Value, kind: Kind) -> Document {
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": kind, "metadata": {"name": "api"}, "spec": spec,
        });
        Manifest::read(&object.to_string()).documents.remove(0)
    }

    fn refused(spec: &Value) -> String {
        applied(&document(spec, Kind::ApiApp), "orders", None).unwrap_err()
    }

    #[test]
    fn a_field_that_is_unknown_or_has_a_wrong_value_is_named() {
        for (more, part) in [
            (json!({"rotatoin": {}}), "spec.rotatoin is an unknown field"),
            (
                json!({"rotation": {"intervall": "1d"}}),
                "spec.rotation.intervall is an unknown field",
            ),
            (
                json!({"rotation": {"windows": [{"name": "w", "schedule": "0 3 * * *", "duration": "2h", "zone": "x"}]}}),
                "spec.rotation.windows[0].zone is",
            ),
            (
                json!({"rotation": {"interval": 1}}),
                "spec.rotation.interval: invalid type: integer `1`",
            ),
            (
                json!({"rotation": {"interval": "1x"}}),
                "spec.rotation.interval has something",
            ),
            (
                json!({"standby": {"type": "Other"}}),
                "spec.standby.type: unknown variant `Other`",
            ),
            (json!({"appId": null}), "spec.appId: invalid type: null"),
            (
                json!({"secret": {"name": "a..b"}}),
                "spec.secret.name must be",
            ),
        ] {
            let mut spec = json!({"projectId": "1", "appId": "2"});
            spec.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            let text = refused(&spec);
            assert!(text.starts_with(part), "{text}");
        }
        assert!(refused(&json!({"appId": "2"})).contains("missing field `projectId`"));
        let oidc = document(
            &json!({"projectId": "1", "appId": "2", "standby": {}}),
            Kind::OidcApp,
        );
        let text = applied(&oidc, "orders", None).unwrap_err();
        assert_eq!(text, "spec.standby is an unknown field");
    }

    #[test]
    fn what_cannot_be_changed_is_refused_and_what_can_be_is_the_next_generation() {
        let first = document(&json!({"projectId": "1", "appId": "2"}), Kind::ApiApp);
        let mut before = applied(&first, "orders", None).unwrap();
        before.metadata.generation = Some(4);
        let after = |spec: &Value| applied(&document(spec, Kind::ApiApp), "orders", Some(&before));
        let same = after(&json!({"projectId": "1", "appId": "2", "secret": null})).unwrap();
        assert_eq!(same.metadata.generation, Some(4));
        let edited = after(&json!({"projectId": "1", "appId": "2", "suspend": true})).unwrap();
        assert_eq!(edited.metadata.generation, Some(5));
        let text = after(&json!({"projectId": "1", "appId": "3"})).unwrap_err();
        assert_eq!(
            text,
            "spec.appId cannot be changed from \"2\" to \"3\": delete the object and create another"
        );
    }
}
