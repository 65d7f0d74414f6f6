//! Objects of kind `ApiAppSecret` that are refused.

use serde_json::{Value, json};

use crate::kinds::{Kind, many, many_keys, standby, windows};
use crate::support::data;

#[tokio::test]
async fn an_api_app_secret_that_can_never_work_is_refused_with_the_field_named() {
    let kind = Kind::app_secrets("refused").await;
    let mut cases = Vec::new();
    for (field, path) in [
        ("organizationId", "spec.organizationId"),
        ("projectId", "spec.projectId"),
        ("appId", "spec.appId"),
        ("standby.appId", "spec.standby.appId"),
    ] {
        // A standby needs its type, which is not what is tried here.
        let existing = match field {
            "standby.appId" => ("standby.type", json!("Existing")),
            _ => ("suspend", json!(false)),
        };
        for bad in [
            "", "a/b", "../x", "a%2fb", "a\n", "\n", "a b", "ä", "a?b", "a\0",
        ] {
            cases.push((vec![existing.clone(), (field, json!(bad))], path));
        }
        cases.push((
            vec![existing.clone(), (field, json!("x".repeat(201)))],
            path,
        ));
        cases.push((vec![existing.clone(), (field, json!(7))], path));
    }
    for id in ["projectId", "appId"] {
        cases.push((vec![(id, Value::Null)], "Required value"));
    }
    let secret = "no entry has from: ClientSecret";
    let entries = |entry: Value| {
        vec![(
            "secret.data",
            json!([{"key": "s", "from": "ClientSecret"}, entry]),
        )]
    };
    cases.extend([
        (
            vec![("standby", standby("2"))],
            "standby.appId must be another application than appId",
        ),
        (
            vec![("standby", json!({"type": "Existing"}))],
            "standby of type Existing needs the appId of the application",
        ),
        (
            vec![("standby", json!({"appId": "3"}))],
            "spec.standby.type",
        ),
        (
            vec![("standby", json!({"type": "Provisioned", "appId": "3"}))],
            "standby of type Provisioned must not have an appId, because the operator creates the application: leave it out, or write type: Existing to use \"3\"",
        ),
        (
            vec![("standby", json!({"type": "Created"}))],
            "spec.standby.type",
        ),
        (
            vec![("rotation.overlap.minimum", json!("1h"))],
            "rotation.overlap needs standby",
        ),
        (vec![("secret.data", json!([]))], "spec.secret.data"),
        (vec![("secret.data", data(&[("a", "ClientId")]))], secret),
        (
            entries(json!({"key": "s", "from": "ClientId"})),
            "Duplicate value",
        ),
        (entries(json!({"from": "ClientId"})), "key"),
        (
            entries(json!({"key": "a", "from": "clientId"})),
            "spec.secret.data[1].from",
        ),
        (
            entries(json!({"key": "", "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            entries(json!({"key": "a/b", "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            entries(json!({"key": "a"})),
            "the entry of key \"a\" must have exactly one of from and template",
        ),
        (
            entries(json!({"key": "a", "from": "Issuer", "template": "x"})),
            "the entry of key \"a\" must have exactly one of from and template",
        ),
        (
            entries(json!({"key": "x".repeat(254), "from": "Issuer"})),
            "spec.secret.data[1].key",
        ),
        (
            vec![("secret.data", many_keys(33))],
            "spec.secret.data",
        ),
        (
            vec![("rotation.windows", json!([{"name": "Nightly", "schedule": "0 3 * * *", "duration": "1h"}]))],
            "spec.rotation.windows[0].name",
        ),
        (vec![("secret.name", json!("Orders"))], "spec.secret.name"),
        (vec![("secret.name", json!("../x"))], "spec.secret.name"),
        (
            vec![("secret.name", json!("x".repeat(254)))],
            "spec.secret.name",
        ),
        (vec![("secret.name", json!("a..b"))], "spec.secret.name"),
        (vec![("secret.name", json!("a.-b"))], "spec.secret.name"),
        (vec![("secret.type", json!("a b"))], "spec.secret.type"),
        (
            vec![(
                "secret.labels",
                json!({"zitadel-secrets.dev/managed": "no"}),
            )],
            "reserved name",
        ),
        (
            vec![(
                "secret.labels",
                json!({"app.kubernetes.io/managed-by": "me"}),
            )],
            "reserved name",
        ),
        (
            vec![("secret.labels", json!({"a": "b c"}))],
            "the label \"a\" has the value \"b c\": the value of a label must be",
        ),
        (
            vec![("secret.labels", json!({"a": "-b"}))],
            "the label \"a\" has the value \"-b\"",
        ),
        (
            vec![("secret.labels", json!({"a": "x".repeat(64)}))],
            "spec.secret.labels",
        ),
        (vec![("secret.labels", many(33))], "spec.secret.labels"),
        (
            vec![(
                "secret.annotations",
                json!({"zitadel-secrets.dev/commit": "{}"}),
            )],
            "the annotation \"zitadel-secrets.dev/commit\" has a reserved name",
        ),
        (
            vec![("secret.annotations", json!({"a": "x".repeat(1025)}))],
            "spec.secret.annotations",
        ),
        (
            vec![("secret.annotations", many(33))],
            "spec.secret.annotations",
        ),
        (
            vec![("secret.deletionPolicy", json!("Orphan"))],
            "spec.secret.deletionPolicy",
        ),
        (
            vec![("secret.adoptionPolicy", json!("Always"))],
            "spec.secret.adoptionPolicy",
        ),
        (
            vec![("recovery.missing", json!("Ignore"))],
            "spec.recovery.missing",
        ),
        (
            vec![("recovery.rejected", json!("rotate"))],
            "spec.recovery.rejected",
        ),
        (vec![("rotation.jitterPercent", json!(51))], "spec.rotation.jitterPercent"),
        (vec![("rotation.jitterPercent", json!(-1))], "spec.rotation.jitterPercent"),
        (
            vec![("rotation.trigger", json!(""))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.trigger", json!("a\nb"))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.trigger", json!("x".repeat(129)))],
            "spec.rotation.trigger",
        ),
        (
            vec![("rotation.windows", windows(17))],
            "spec.rotation.windows",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "@daily", "duration": "1h"}]),
            )],
            "spec.rotation.windows[0].schedule",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "x".repeat(129), "duration": "1h"}]),
            )],
            "spec.rotation.windows[0].schedule",
        ),
        (
            vec![("rotation.windows", json!([{"name": "w", "schedule": "0 3 * * *"}]))],
            "spec.rotation.windows[0].duration",
        ),
        (
            vec![(
                "rotation.windows",
                json!([{"name": "w", "schedule": "0 3 * * *", "duration": "1h", "timeZone": "Europe/Zürich"}]),
            )],
            "spec.rotation.windows[0].timeZone",
        ),
        (
            vec![("connectionRef", json!({}))],
            "spec.connectionRef.name",
        ),
        (
            vec![("connectionRef.name", json!("a/b"))],
            "spec.connectionRef.name",
        ),
        (vec![("suspend", json!("yes"))], "spec.suspend"),
        (
            vec![("rotation.windows", json!([{"schedule": "0 3 * * *", "duration": "1h"}]))],
            "name",
        ),
        (
            vec![("rotation.windows", json!([{"name": "a", "schedule": "0 3 * * *", "duration": "1h"}, {"name": "a", "schedule": "0 4 * * *", "duration": "1h"}]))],
            "Duplicate value",
        ),
    ]);
    for refused in [
        "kubernetes.io/service-account-token",
        "bootstrap.kubernetes.io/token",
        "kubernetes.io/tls",
        "kubernetes.io/dockerconfigjson",
        "x.k8s.io/y",
    ] {
        cases.push((vec![("secret.type", json!(refused))], "spec.secret.type"));
    }
    let account = "kubernetes.io/service-account.name";
    for (field, reserved) in [
        ("secret.annotations", account),
        ("secret.annotations", "x.k8s.io/y"),
        ("secret.labels", account),
        ("secret.labels", "node.kubernetes.io/y"),
    ] {
        cases.push((vec![(field, json!({reserved: "x"}))], "a reserved name"));
    }
    for field in ["secret.annotations", "secret.labels"] {
        for bad in ["", "a b", "-a", "a/b/c", "/a", "a..b/c"] {
            cases.push((vec![(field, json!({bad: "x"}))], "must be up to 63 letters"));
        }
    }
    for zero in ["0s", "00d0h"] {
        let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": zero}]);
        cases.push((
            vec![("rotation.interval", json!(zero))],
            "spec.rotation.interval",
        ));
        cases.push((
            vec![("rotation.windows", windows)],
            "spec.rotation.windows[0].duration",
        ));
    }
    for field in ["rotation.interval", "rotation.overlap.minimum"] {
        for bad in [
            "1h1d",
            "1h1h",
            "",
            "30",
            "30 d",
            "-1d",
            "1y",
            "1.5d",
            "P30D",
            "1234567d",
            "1s1s1s1s1s1s",
            "1d\n",
        ] {
            cases.push((vec![(field, json!(bad))], "spec.rotation."));
        }
    }
    kind.refuses(cases).await;
}
