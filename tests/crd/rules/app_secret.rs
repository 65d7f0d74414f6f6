//! A manifest for each rule of an `ApiAppSecret`.

use serde_json::{Value, json};

use super::{Changes, DURATION, ID, KEY, LONGER, NAME, OBJECT, Refused, change, refused};
use crate::kinds::standby;
use crate::support::data;

fn window(field: &str, value: &str) -> Changes {
    let mut window = json!({"name": "w", "schedule": "0 3 * * *", "duration": "1h"});
    window[field] = json!(value);
    vec![("rotation.windows", json!([window]))]
}

fn waits(maximum: &str) -> Changes {
    let overlap = json!({"until": "ConsumersCurrent", "maximum": maximum});
    vec![("standby", standby("3")), ("rotation.overlap", overlap)]
}

fn workload(version: &str, kind: &str, name: &str) -> Changes {
    let workload = json!({"apiVersion": version, "kind": kind, "name": name});
    vec![("consumers.workloads", json!([workload]))]
}

pub fn manifests() -> Vec<Refused> {
    let id = |field, path| refused(field, ID, vec![(path, json!("a b"))]);
    let entry = |entry: Value| {
        let secret = json!({"key": "s", "from": "ClientSecret"});
        vec![("secret.data", json!([secret, entry]))]
    };
    vec![
        change(
            "spec",
            "organizationId cannot be changed",
            ("organizationId", "9", "10"),
        ),
        refused(
            "spec",
            "must be another application than appId",
            vec![("standby", standby("2"))],
        ),
        refused(
            "spec",
            "rotation.overlap needs standby",
            vec![("rotation.overlap.minimum", json!("1h"))],
        ),
        refused(
            "spec.standby",
            "standby of type Existing needs the appId",
            vec![("standby", json!({"type": "Existing"}))],
        ),
        refused(
            "spec.standby",
            "standby of type Provisioned must not have an appId",
            vec![("standby", json!({"type": "Provisioned", "appId": "3"}))],
        ),
        id("spec.appId", "appId"),
        change("spec.appId", "cannot be changed", ("appId", "2", "3")),
        refused(
            "spec.connectionRef.name",
            OBJECT,
            vec![("connectionRef.name", json!("a/b"))],
        ),
        id("spec.organizationId", "organizationId"),
        id("spec.projectId", "projectId"),
        change(
            "spec.projectId",
            "cannot be changed",
            ("projectId", "1", "3"),
        ),
        refused(
            "spec.rotation.interval",
            DURATION,
            vec![("rotation.interval", json!("1.5h"))],
        ),
        refused(
            "spec.rotation.interval",
            LONGER,
            vec![("rotation.interval", json!("0s"))],
        ),
        refused(
            "spec.rotation.overlap.minimum",
            DURATION,
            vec![
                ("standby", standby("3")),
                ("rotation.overlap.minimum", json!("1.5h")),
            ],
        ),
        refused(
            "spec.rotation.overlap",
            "overlap.minimum is missing",
            vec![
                ("standby", standby("3")),
                ("rotation.overlap", json!({"until": "Elapsed"})),
            ],
        ),
        refused(
            "spec.rotation.overlap",
            "overlap.maximum limits the wait for consumers",
            vec![
                ("standby", standby("3")),
                (
                    "rotation.overlap",
                    json!({"minimum": "1h", "maximum": "2h"}),
                ),
            ],
        ),
        refused("spec.rotation.overlap.maximum", DURATION, waits("1.5h")),
        refused("spec.rotation.overlap.maximum", LONGER, waits("0s")),
        refused(
            "spec.consumers.deadline",
            DURATION,
            vec![("consumers.deadline", json!("1.5h"))],
        ),
        refused(
            "spec.consumers.deadline",
            LONGER,
            vec![("consumers.deadline", json!("0s"))],
        ),
        refused(
            "spec.consumers.workloads[].apiVersion",
            "is not the apiVersion of a workload",
            workload("argoproj.io/v1alpha1", "Deployment", "web"),
        ),
        refused(
            "spec.consumers.workloads[].kind",
            "is not a kind that the operator can restart",
            workload("apps/v1", "ReplicaSet", "web"),
        ),
        refused(
            "spec.consumers.workloads[].name",
            OBJECT,
            workload("apps/v1", "Deployment", "a/b"),
        ),
        refused(
            "spec.rotation.trigger",
            "is not a trigger",
            vec![("rotation.trigger", json!("é"))],
        ),
        refused(
            "spec.rotation.windows[].duration",
            DURATION,
            window("duration", "1.5h"),
        ),
        refused(
            "spec.rotation.windows[].duration",
            LONGER,
            window("duration", "0s"),
        ),
        refused(
            "spec.rotation.windows[].name",
            NAME,
            window("name", "Nightly"),
        ),
        refused(
            "spec.rotation.windows[].schedule",
            "is not a schedule",
            window("schedule", "@daily"),
        ),
        refused(
            "spec.rotation.windows[].timeZone",
            "is not the name of a time zone",
            window("timeZone", "CEST"),
        ),
        refused(
            "spec.secret.annotations",
            "has a reserved name",
            vec![("secret.annotations", json!({"x.k8s.io/y": ""}))],
        ),
        refused(
            "spec.secret.annotations",
            "must be up to 63 letters",
            vec![("secret.annotations", json!({"-a": ""}))],
        ),
        refused(
            "spec.secret.data",
            "no entry has from: ClientSecret",
            vec![("secret.data", data(&[("a", "ClientId")]))],
        ),
        refused(
            "spec.secret.data[]",
            "exactly one of from and template",
            entry(json!({"key": "a"})),
        ),
        refused(
            "spec.secret.data[].key",
            KEY,
            entry(json!({"key": "a/b", "from": "Issuer"})),
        ),
        refused(
            "spec.secret.labels",
            "has a reserved name",
            vec![("secret.labels", json!({"x.k8s.io/y": ""}))],
        ),
        refused(
            "spec.secret.labels",
            "the name of a label must be",
            vec![("secret.labels", json!({"-a": ""}))],
        ),
        refused(
            "spec.secret.labels",
            "the value of a label must be",
            vec![("secret.labels", json!({"a": "-"}))],
        ),
        refused(
            "spec.secret.name",
            OBJECT,
            vec![("secret.name", json!("Orders"))],
        ),
        refused(
            "spec.secret.type",
            "is not a type of a Secret",
            vec![("secret.type", json!("a b"))],
        ),
        refused(
            "spec.secret.type",
            "Kubernetes gives a meaning",
            vec![("secret.type", json!("kubernetes.io/tls"))],
        ),
        refused("spec.standby.appId", ID, vec![("standby", standby("a b"))]),
    ]
}

/// Those that are about fields of both kinds of objects.
pub fn manifests_without_standby() -> Vec<Refused> {
    let of_standby = |field: &str| field.contains("standby") || field.contains("overlap");
    let mut all = manifests();
    all.retain(|refused| {
        let mut changes = refused.changes.iter();
        !of_standby(&refused.field) && !changes.any(|(path, _)| of_standby(path))
    });
    all
}
