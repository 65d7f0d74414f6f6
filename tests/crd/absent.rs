//! Optional fields that are absent, null or emptied, and lists that several writers share.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{self, ApiAppSecret};

use crate::kinds::{Kind, many_keys, standby};

/// The nullable fields of a schema, by their paths.
fn nullable(schema: &Value, path: &str) -> Vec<String> {
    let own = (schema["nullable"] == json!(true)).then(|| path.to_owned());
    let fields = schema["properties"].as_object().into_iter().flatten();
    let fields = fields.map(|(name, field)| (format!("{path}.{name}"), field));
    let items = schema
        .get("items")
        .map(|items| (format!("{path}[]"), items));
    let inner = fields.chain(items);
    let inner = inner.flat_map(|(path, schema)| nullable(schema, &path));
    own.into_iter().chain(inner).collect()
}

#[tokio::test]
async fn an_optional_field_is_absent_and_never_null_unless_the_api_server_itself_makes_it_null() {
    for definition in api::definitions().unwrap() {
        let definition = serde_json::to_value(definition).unwrap();
        let schema = &definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        for path in nullable(schema, "") {
            let pointer = path.replace("[]", "/items").replace('.', "/properties/");
            let field = schema.pointer(&pointer).unwrap();
            assert!(path.starts_with(".spec."), "{path}");
            assert_eq!(field["type"], "object", "{path}");
        }
    }
    let kind = Kind::app_secrets("nulls").await;
    let mut object = kind.object("orders", &[]);
    // What `interval: {{ .Values.interval }}` gives where there is no value.
    object.data["spec"]["organizationId"] = Value::Null;
    object.data["spec"]["rotation"] = json!({"interval": null, "trigger": "one", "windows": null});
    let stored = kind
        .api
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
    let spec = &stored.data["spec"];
    assert_eq!(spec["rotation"], json!({"trigger": "one"}), "{spec}");
    assert!(spec.get("organizationId").is_none(), "{spec}");
    object.data["spec"]["projectId"] = Value::Null;
    let refused = kind.api.create(&PostParams::default(), &object).await;
    let message = refused.unwrap_err().to_string();
    assert!(message.contains("spec.projectId"), "{message}");
}

#[tokio::test]
async fn what_was_applied_by_the_server_can_be_emptied() {
    let kind = Kind::app_secrets("emptied").await;
    let params = PatchParams::apply("flux");
    let apply = async |changes: &[(&str, Value)]| {
        let mut object = kind.object("orders", changes);
        object.metadata.namespace = None;
        let patch = Patch::Apply(&object);
        kind.api.patch("orders", &params, &patch).await
    };
    let windows = json!([{"name": "nightly", "schedule": "0 3 * * *", "duration": "2h"}]);
    let full = [
        ("standby", standby("3")),
        ("secret.labels.team", json!("orders")),
        ("secret.annotations.team", json!("orders")),
        ("secret.data", many_keys(2)),
        ("rotation.interval", json!("30d")),
        ("rotation.windows", windows),
        ("rotation.overlap.minimum", json!("1h")),
        ("recovery.missing", json!("Report")),
    ];
    let emptied = [
        ("secret.labels", json!({})),
        ("secret.annotations", json!({})),
        ("secret.data", json!([])),
        ("secret", json!({})),
        ("rotation.windows", json!([])),
        ("rotation.overlap", json!({})),
        ("rotation", json!({})),
        ("recovery", json!({})),
    ];
    for (path, empty) in emptied {
        apply(&full).await.unwrap();
        let inside = format!("{path}.");
        let kept = full
            .iter()
            .filter(|(name, _)| !name.starts_with(&inside) && *name != path);
        let changes: Vec<_> = kept.cloned().chain([(path, empty)]).collect();
        let stored = apply(&changes).await;
        let stored = stored.unwrap_or_else(|error| panic!("{path}: {error}"));
        serde_json::from_value::<ApiAppSecret>(serde_json::to_value(&stored).unwrap())
            .unwrap_or_else(|error| panic!("{path}: {error}"));
    }
}

#[tokio::test]
async fn conditions_are_a_list_by_type_and_numbers_that_overflow_are_not_in_the_schema() {
    let kind = Kind::app_secrets("conditions").await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let condition = |type_: &str, status: &str| json!({"type": type_, "status": status, "reason": "X", "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"});
    let write = async |manager: &str, conditions: Vec<Value>| {
        let object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "orders"}, "status": {"conditions": conditions}});
        kind.api
            .patch_status(
                "orders",
                &PatchParams::apply(manager),
                &Patch::Apply(&object),
            )
            .await
    };
    write("one", vec![condition("Ready", "True")])
        .await
        .unwrap();
    let both = write("other", vec![condition("Verified", "True")])
        .await
        .unwrap();
    assert_eq!(
        both.data["status"]["conditions"].as_array().unwrap().len(),
        2,
        "entries of two writers are merged by type"
    );
    let double = write(
        "third",
        vec![condition("Stalled", "True"), condition("Stalled", "False")],
    )
    .await;
    assert!(double.is_err());
    for (_, yaml) in api::documents().unwrap() {
        assert!(!yaml.contains("uint64") && !yaml.contains("uint32"));
    }
}
