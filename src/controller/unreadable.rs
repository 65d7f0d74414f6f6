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

/// The part of serde's message that does not quote the value: which field is missing, or what was expected.
fn wanted(error: &str) -> &str {
    let short = |text: &&str| text.len() <= 200;
    if error.starts_with("missing field `") {
        return Some(error).filter(short).unwrap_or("a field is missing");
    }
    let expected = error.rfind("expected ").and_then(|at| error.get(at..));
    expected.filter(short).unwrap_or("a field has another type")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_stands_in_an_object_that_cannot_be_read_is_not_repeated() {
        for (error, told) in [
            ("missing field `projectId`", "missing field `projectId`"),
            (
                "invalid type: string \"canary, expected x\", expected struct X",
                "expected struct X",
            ),
            (
                "unknown variant `canary`, expected `Delete` or `Retain`",
                "expected `Delete` or `Retain`",
            ),
            ("canary", "a field has another type"),
        ] {
            assert_eq!(wanted(error), told);
        }
    }
}
