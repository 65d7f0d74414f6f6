//! What the tests of the checks share.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::api::Kind;
use crate::plugin::cluster::Listed;
use crate::plugin::doctor::installation::Installation;
use crate::plugin::doctor::objects::{Connections, Owned};

/// The time of the tests.
const NOW: &str = "2026-11-30T12:00:00Z";

/// The same, read.
pub fn now() -> Timestamp {
    NOW.parse().unwrap()
}

/// An object that is well, but for a change.
pub fn owned(name: &str, change: impl FnOnce(&mut Value)) -> Owned {
    let mut object = json!({
        "metadata": {"namespace": "orders", "name": name, "uid": format!("uid of {name}"), "creationTimestamp": "2026-11-01T00:00:00Z"},
        "spec": {"projectId": "1", "appId": "2"},
        "status": {"conditions": [{
            "type": "Ready", "status": "True", "reason": "UpToDate", "message": "x", "lastTransitionTime": "2026-11-01T00:00:00Z",
        }]},
    });
    change(&mut object);
    let object = serde_json::from_value(object).unwrap();
    Owned::of(Kind::ApiApp, Listed::Read(object), now())
}

/// A connection of a class, and one that cannot be read.
pub fn connections(class: &str) -> Connections {
    let connection = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "default"},
        "spec": {
            "url": "https://iam.example.com/", "controllerClass": class,
            "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "k", "key": "key.json"}}},
        },
    });
    let connection = serde_json::from_value(connection).unwrap();
    Connections::from([
        ("default".to_owned(), Some(connection)),
        ("newer".to_owned(), None),
    ])
}

/// A Deployment as the chart makes it.
pub fn deployment(arguments: &[&str]) -> Value {
    let arguments: Vec<_> = std::iter::once("run")
        .chain(arguments.iter().copied())
        .collect();
    json!({
        "metadata": {"name": "zso", "namespace": "operators", "labels": {"app.kubernetes.io/version": env!("CARGO_PKG_VERSION")}},
        "spec": {
            "replicas": 1, "selector": {},
            "template": {
                "metadata": {"labels": {"app.kubernetes.io/component": "operator"}},
                "spec": {
                    "serviceAccountName": "zso",
                    "containers": [{"name": "operator", "image": "x", "args": arguments, "env": [{"name": "CONTROLLER_CLASS", "value": "b"}]}],
                },
            },
        },
        "status": {"readyReplicas": 1, "updatedReplicas": 1},
    })
}

/// The same, read.
pub fn installation(arguments: &[&str]) -> Installation {
    Installation::of(&serde_json::from_value(deployment(arguments)).unwrap()).unwrap()
}
