//! Reports an object that cannot even be read: a value that the schema of another version let through.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use kube::api::{ListParams, Patch};
use kube::core::{DeserializeGuard, DynamicObject};
use kube::discovery::ApiResource;
use kube::runtime::controller::Action;
use kube::{Api, Resource};
use serde::Deserialize as _;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use serde_path_to_error::Segment;

use crate::api::{ApiAppSecret, Conditions, Kind, OidcAppSecret, Reason};
use crate::reconcile::context::Context;
use crate::report::event::Regarding;
use crate::report::stall;
use crate::store::apply;
use crate::target::object_version;

/// What is known of an object that a watch shows and that cannot be read.
pub(crate) enum Unreadable {
    /// It was reported now, with this sentence.
    Reported(String),
    /// It was reported before.
    Known,
    /// The API server has it whole: the watch begins anew and shows it again.
    Elsewhere,
}

impl Unreadable {
    /// When to look at it again.
    pub(crate) fn again(&self, context: &Context) -> Action {
        match self {
            Self::Elsewhere => Action::requeue(context.process.settings.timing.retry_first),
            Self::Reported(_) | Self::Known => Action::await_change(),
        }
    }
}

/// Says so of an object that keeps a client secret.
pub(crate) async fn object(
    context: &Context,
    kind: Kind,
    metadata: &ObjectMeta,
    error: &str,
) -> Result<Unreadable, kube::Error> {
    match kind {
        Kind::ApiApp => report::<ApiAppSecret>(context, metadata, error).await,
        Kind::OidcApp => report::<OidcAppSecret>(context, metadata, error).await,
    }
}

/// Says so in the object's status and in the log, once for each generation: which field, and what was expected.
pub(crate) async fn report<K>(
    context: &Context,
    metadata: &ObjectMeta,
    error: &str,
) -> Result<Unreadable, kube::Error>
where
    K: Resource<DynamicType = ()> + DeserializeOwned,
{
    let resource = ApiResource::erase::<K>(&());
    let client = context.process.client.clone();
    let api: Api<DynamicObject> = match &metadata.namespace {
        Some(namespace) => Api::namespaced_with(client, namespace, &resource),
        None => Api::all_with(client, &resource),
    };
    let name = metadata.name.as_deref().unwrap_or_default();
    // NB: what could not be read is dropped together with its path, so it is read once more. By a list: the operator may list and
    // watch connections, but not get one.
    let alone = ListParams::default().fields(&format!("metadata.name={name}"));
    let stored = api.list(&alone).await.ok();
    let stored = stored.and_then(|stored| stored.items.into_iter().next());
    let stored = stored.and_then(|stored| serde_json::to_value(stored).ok());
    if stored.as_ref().is_some_and(is_readable::<K>) {
        let relist = &context.process.relist;
        relist.shown_otherwise(&K::kind(&()), metadata);
        return Ok(Unreadable::Elsewhere);
    }
    let key = object_version(metadata);
    if !context.store.unreadable.lock().insert(key.clone()) {
        return Ok(Unreadable::Known);
    }
    let field = stored.and_then(|stored| fault::<K>(&stored));
    let field = field.unwrap_or_else(|| wanted(error));
    tracing::warn!(
        kind = %K::kind(&()),
        namespace = metadata.namespace,
        name = metadata.name,
        field,
        "an object cannot be read"
    );
    let mut conditions = Conditions::default();
    let message = format!(
        "The object cannot be read: {field}. Correct the field, or apply the custom resource definitions of this version of the operator"
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
    if let Err(error) = api.patch_status(name, &apply::patch(), &patch).await {
        context.store.unreadable.lock().remove(&key);
        return Err(error);
    }
    let about = Regarding::new::<K>(&(), metadata);
    context
        .events
        .warning(about, Reason::InvalidObject, &message);
    Ok(Unreadable::Reported(message))
}

/// Whether an object can be read as the watches read it.
fn is_readable<K: Resource + DeserializeOwned>(object: &Value) -> bool {
    DeserializeGuard::<K>::deserialize(object).is_ok_and(|guard| guard.0.is_ok())
}

/// The field that cannot be read, what was expected and what kind of value is there; none if all can be read. No value is quoted.
fn fault<K: DeserializeOwned>(object: &Value) -> Option<String> {
    let error = serde_path_to_error::deserialize::<_, K>(object).err()?;
    let path = error.path().clone();
    let wanted = wanted(&error.into_inner().to_string());
    let inside = path.iter().next().is_some();
    if let Some(field) = wanted.strip_prefix("missing field ") {
        let field = if inside {
            format!("{path}.{field}")
        } else {
            field.to_owned()
        };
        return Some(format!("{field} is missing"));
    }
    if !inside {
        return Some(wanted);
    }
    let mut place = Some(object);
    for segment in &path {
        place = place.and_then(|place| match segment {
            Segment::Seq { index } => place.get(index),
            Segment::Map { key } => place.get(key),
            Segment::Enum { .. } | Segment::Unknown => Some(place),
        });
    }
    let found = place.map_or_else(String::new, |place| format!(", found {}", kind(place)));
    Some(format!("{path}: {wanted}{found}"))
}

const fn kind(value: &Value) -> &'static str {
    match value {
        Value::Null => "null",
        Value::Bool(_) => "a boolean",
        Value::Number(_) => "a number",
        Value::String(_) => "a string",
        Value::Array(_) => "a list",
        Value::Object(_) => "a map",
    }
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
        for (error, message) in [
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
            assert_eq!(wanted(error), message);
        }
    }

    #[test]
    fn the_field_that_cannot_be_read_is_named_with_what_was_expected_and_what_is_there() {
        let message = |spec: Value| {
            let object = json!({
                "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
                "metadata": {"name": "api", "namespace": "orders"}, "spec": spec,
            });
            fault::<crate::api::ApiAppSecret>(&object)
        };
        let with = |field: &str, value: Value| {
            let mut spec = json!({"projectId": "1", "appId": "2"});
            spec[field] = value;
            message(spec)
        };
        assert_eq!(with("suspend", json!(true)), None);
        for (message, expected) in [
            (
                with("suspend", json!("canary")),
                "spec.suspend: expected a boolean, found a string",
            ),
            (
                with("projectId", json!(7)),
                "spec.projectId: expected a string, found a number",
            ),
            (message(json!({"projectId": "1"})), "spec.appId is missing"),
            (
                with(
                    "rotation",
                    json!({"windows": [{"name": "a", "schedule": "0 3 * * *"}]}),
                ),
                "spec.rotation.windows[0].duration is missing",
            ),
            (
                with("rotation", json!({"windows": {"canary": 1}})),
                "spec.rotation.windows: expected a sequence, found a map",
            ),
            (
                with("rotation", json!({"jitterPercent": 1.5})),
                "spec.rotation.jitterPercent: expected i32, found a number",
            ),
        ] {
            assert_eq!(message.as_deref(), Some(expected));
        }
        let policy = with("recovery", json!({"missing": "canary"})).unwrap();
        assert!(
            policy.starts_with("spec.recovery.missing: expected") && policy.contains("Report"),
            "{policy}"
        );
        assert!(!policy.contains("canary"), "{policy}");
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
        let message =
            read(json!({"projectId": "1", "appId": "2", "suspend": "canary. Expected canary"}));
        assert_eq!(message, "expected a boolean");
        let policy = json!({"missing": "canary"});
        let message = read(json!({"projectId": "1", "appId": "2", "recovery": policy}));
        assert!(
            message.contains("Rotate") && message.contains("Report"),
            "{message}"
        );
        assert!(!message.contains("canary"), "{message}");
    }
}
