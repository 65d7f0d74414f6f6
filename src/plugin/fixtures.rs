//! Objects for tests.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::AppSecret;

/// The time of the tests.
pub const NOW: &str = "2026-11-30T12:00:00Z";

/// A time.
pub fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Fields, some of them replaced by others.
pub fn with(mut fields: Value, others: &Value) -> Value {
    for (field, value) in others.as_object().unwrap() {
        fields[field] = value.clone();
    }
    fields
}

/// The object `orders/api`.
pub fn object(spec: &Value, status: &Value) -> AppSecret {
    let object = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
        "metadata": {"name": "api", "namespace": "orders", "uid": "u", "generation": 1},
        "spec": with(json!({"projectId": "1", "appId": "2"}), spec),
        "status": status,
    });
    serde_json::from_value(object).unwrap()
}
