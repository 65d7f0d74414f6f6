//! Reports an object that cannot even be read: a value that the schema of another version let through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::Patch;
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::{Api, Resource};
use serde_json::json;

use super::context::{Context, lock};
use super::event::Regarding;
use super::report::stall;
use super::target::edition;
use super::write;
use crate::api::{Conditions, Reason};

/// Says so in the object's status and in the log, once for each generation. Of serde's message only what quotes no value is told.
pub(super) async fn tell<K: Resource<DynamicType = ()>>(
    context: &Context,
    metadata: &ObjectMeta,
    error: &str,
) -> Result<(), kube::Error> {
    let key = edition(metadata);
    if !lock(&context.unreadable).insert(key.clone()) {
        return Ok(());
    }
    let field = wanted(error);
    let field = field.as_str();
    tracing::warn!(
        kind = %K::kind(&()),
        namespace = metadata.namespace,
        name = metadata.name,
        field,
        "an object cannot be read"
    );
    let mut conditions = Conditions::default();
    let message = format!(
        "The object cannot be read ({field}): compare it with the installed custom resource definition"
    );
    stall(
        &mut conditions,
        Reason::InvalidObject,
        &message,
        metadata.generation,
        context,
    );
    let status = json!({"observedGeneration": metadata.generation, "conditions": conditions});
    let patch = Patch::Merge(json!({"metadata": {"uid": key.0}, "status": status}));
    let resource = ApiResource::erase::<K>(&());
    let client = context.client.clone();
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    let told = api.patch_status(name, &write::patch(), &patch).await;
    if told.is_err() {
        lock(&context.unreadable).remove(&key);
    } else {
        let about = Regarding::new::<K>(metadata);
        context
            .events
            .warning(about, Reason::InvalidObject, &message);
    }
    told.map(drop)
}

/// The part of the message that does not quote the value: which field is missing, or what was expected.
///
/// NB: kube reads an object in two steps, so most messages are those of serde-value: `Missing field X`, `Invalid type X. Expected Y`,
/// `Unknown variant X. Expected one of Y`. What comes last is text of this program, never of the object.
fn wanted(error: &str) -> String {
    let short = |text: &&str| text.len() <= 200;
    let lower = error.to_ascii_lowercase();
    let known = [
        "invalid type",
        "invalid value",
        "invalid length",
        "unknown variant",
        "unknown field",
    ];
    if let Some(field) = error.get("missing field ".len()..).filter(short)
        && lower.starts_with("missing field ")
    {
        return format!("missing field {}", field.trim_matches('`'));
    }
    let expected = lower
        .rfind("expected ")
        .filter(|_| known.iter().any(|known| lower.starts_with(known)))
        .and_then(|at| error.get(at + "expected ".len()..))
        .filter(short);
    expected.map_or_else(
        || "a field has another type".to_owned(),
        |expected| format!("expected {expected}"),
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_object_that_cannot_be_read_is_not_repeated() {
        for (error, told) in [
            ("missing field `projectId`", "missing field projectId"),
            (
                "invalid type: string \"canary, expected x\", expected struct X",
                "expected struct X",
            ),
            (
                "unknown variant `canary`, expected `Delete` or `Retain`",
                "expected `Delete` or `Retain`",
            ),
            ("canary", "a field has another type"),
            (
                "failed to parse: expected a year, found canary",
                "a field has another type",
            ),
        ] {
            assert_eq!(wanted(error), told);
        }
    }

    #[test]
    fn what_kube_says_of_an_object_names_what_was_expected_and_not_what_is_there() {
        let read = |spec: serde_json::Value| {
            let object = json!({
                "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
                "metadata": {"name": "api", "namespace": "orders"}, "spec": spec,
            });
            let guard: kube::core::DeserializeGuard<crate::api::ApiAppSecret> =
                serde_json::from_value(object).unwrap();
            wanted(&guard.0.unwrap_err().error)
        };
        assert_eq!(read(json!({"appId": "canary"})), "missing field projectId");
        let told =
            read(json!({"projectId": "1", "appId": "2", "suspend": "canary. Expected canary"}));
        assert_eq!(told, "expected a boolean");
        let policy = json!({"missingSecret": "canary"});
        let told = read(json!({"projectId": "1", "appId": "2", "recovery": policy}));
        assert!(told.contains("Rotate") && told.contains("Report"), "{told}");
        assert!(!told.contains("canary"), "{told}");
    }
}
