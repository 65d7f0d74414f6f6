//! Connections that are refused.

use serde_json::{Value, json};

use crate::kinds::Kind;

#[tokio::test]
async fn a_connection_that_could_send_the_credential_astray_is_refused() {
    let kind = Kind::connections().await;
    let grant = |field: &str, namespaces: Value| {
        let grant = json!([{"name": "a", field: namespaces, "projectIds": ["*"]}]);
        vec![("grants", grant)]
    };
    let requirement = |requirement: Value| {
        grant(
            "namespaceSelector",
            json!({"matchExpressions": [requirement]}),
        )
    };
    let one_of = "grant \"a\" must have exactly one of namespaces and namespaceSelector";
    let key = json!({"secretKeyRef": {"name": "a", "key": "b"}});
    let granted = |more: Value| {
        let mut grant = json!({"name": "a", "namespaces": ["a"]});
        grant
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        vec![("grants", json!([grant]))]
    };
    let insecure =
        "must be https; plain http only for loopback addresses or with tls.plaintext: Allow";
    let mut cases = vec![
        (vec![("url", Value::Null)], "spec.url"),
        (vec![("auth", Value::Null)], "spec.auth"),
        (vec![("auth", json!({}))], "auth must have exactly one of"),
        (
            vec![("auth.personalAccessToken", key.clone())],
            "auth must have exactly one of",
        ),
        (
            vec![("auth", json!({"password": key}))],
            "auth must have exactly one of",
        ),
        (
            vec![("auth.serviceAccountKey.secretKeyRef.key", json!("a/b"))],
            "spec.auth.serviceAccountKey.secretKeyRef.key",
        ),
        (
            vec![("auth.serviceAccountKey.secretKeyRef.name", json!("../x"))],
            "spec.auth.serviceAccountKey.secretKeyRef.name",
        ),
        (
            vec![("organizationId", json!("a/b"))],
            "spec.organizationId",
        ),
        (
            vec![("controllerClass", json!("Team A"))],
            "spec.controllerClass",
        ),
        (vec![("controllerClass", json!(""))], "spec.controllerClass"),
        (
            vec![("tls.caBundle", json!({}))],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![(
                "tls.caBundle",
                json!({"configMapKeyRef": {"name": "a", "key": "b"}, "secretKeyRef": {"name": "a", "key": "b"}}),
            )],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![("tls.plaintext", json!("Maybe"))],
            "spec.tls.plaintext",
        ),
        (vec![("rehearsal", json!("Never"))], "spec.rehearsal"),
        (vec![("proxy", json!({}))], "spec.proxy.url"),
        (
            vec![("proxy", json!({"url": "http://a", "auth": {}}))],
            "spec.proxy.auth.secretKeyRef",
        ),
        (
            vec![("proxy", json!({"url": "https://a", "caBundle": {}}))],
            "exactly one of configMapKeyRef and secretKeyRef",
        ),
        (
            vec![(
                "proxy",
                json!({"url": "http://a", "caBundle": {"secretKeyRef": {"name": "a", "key": "b"}}}),
            )],
            "proxy.caBundle is for a proxy with an https:// URL",
        ),
        (grant("appIds", json!(["1"])), one_of),
        (
            granted(json!({"projectIds": ["1"], "namespaceSelector": {"matchLabels": {"a": "b"}}})),
            one_of,
        ),
        (grant("namespaces", json!([])), "namespaces"),
        (grant("namespaces", json!(["A"])), "\"A\" is not a name"),
        (grant("namespaces", json!(["x".repeat(64)])), "namespaces"),
        (grant("namespaces", json!(["a", "a"])), "Duplicate value"),
        (grant("namespaceSelector", json!({})), "must not be empty"),
        (
            grant("namespaceSelector", json!({"matchLabels": {}})),
            "must not be empty",
        ),
        (
            grant("namespaceSelector", json!({"matchExpressions": []})),
            "must not be empty",
        ),
        (
            requirement(json!({"key": "team", "operator": "In"})),
            "the requirement on label \"team\": In and NotIn need values",
        ),
        (
            requirement(json!({"key": "team", "operator": "Exists", "values": ["a"]})),
            "Exists and DoesNotExist have none",
        ),
        (
            requirement(json!({"key": "team", "operator": "in", "values": ["a"]})),
            "operator",
        ),
        (
            vec![(
                "grants",
                json!([{"namespaces": ["a"], "projectIds": ["1"]}]),
            )],
            "name",
        ),
        (
            vec![(
                "grants",
                json!([{"name": "a", "namespaces": ["a"], "projectIds": ["1"]}, {"name": "a", "namespaces": ["b"], "projectIds": ["1"]}]),
            )],
            "Duplicate value",
        ),
        (granted(json!({})), "projectIds"),
        (granted(json!({"projectIds": []})), "projectIds"),
        (
            granted(json!({"name": "Team A", "projectIds": ["1"]})),
            "spec.grants[0].name",
        ),
        (
            granted(json!({"projectIds": ["1"], "appIds": ["a/b"]})),
            "appIds",
        ),
        (granted(json!({"projectIds": ["**"]})), "projectIds"),
        (granted(json!({"projectIds": ["1*"]})), "projectIds"),
        (
            granted(json!({"projectIds": ["*"], "appIds": []})),
            "appIds",
        ),
        (
            granted(json!({"projectIds": ["*"], "namespaces": null})),
            "exactly one of namespaces and namespaceSelector",
        ),
        (
            vec![("limits.concurrentGenerates", json!(0))],
            "spec.limits.concurrentGenerates",
        ),
        (
            vec![("limits.concurrentGenerates", json!(17))],
            "spec.limits.concurrentGenerates",
        ),
        (
            vec![("limits.repairs.count", json!(0))],
            "spec.limits.repairs.count",
        ),
        (
            vec![("limits.repairs.window", json!("ten minutes"))],
            "\"ten minutes\" is not a duration",
        ),
        (
            vec![("limits.repairs.window", json!("0s"))],
            "must be longer than 0s, such as 10m",
        ),
    ];
    for bad in [
        "proxy:3128",
        "socks5://proxy:1080",
        "http://proxy:3128/path",
        "http://proxy:3128?a=b",
        "http://proxy example:3128",
    ] {
        let proxy = vec![("proxy", json!({ "url": bad }))];
        cases.push((
            proxy,
            "such as http://proxy.example.com:3128: http or https, without a path",
        ));
    }
    let reference = |kind: &str, field: &str, bad: &str| {
        let mut reference = json!({"name": "a", "key": "b"});
        reference[field] = json!(bad);
        json!({ kind: reference })
    };
    let references = [
        ("auth.serviceAccountKey", "secretKeyRef"),
        ("auth.personalAccessToken", "secretKeyRef"),
        ("proxy.auth", "secretKeyRef"),
        ("proxy.caBundle", "configMapKeyRef"),
        ("proxy.caBundle", "secretKeyRef"),
        ("tls.caBundle", "configMapKeyRef"),
        ("tls.caBundle", "secretKeyRef"),
    ];
    let at = references
        .map(|(path, kind)| ["name", "key"].map(|field| format!("spec.{path}.{kind}.{field}")));
    for ((path, kind), at) in references.into_iter().zip(&at) {
        for ((field, bad), at) in [("name", "../x"), ("key", "a/b")].into_iter().zip(at) {
            // One of the two, and a proxy needs its URL.
            let other = match path {
                "auth.personalAccessToken" => ("auth.serviceAccountKey", Value::Null),
                _ if path.starts_with("proxy") => ("proxy.url", json!("https://proxy:3128")),
                _ => ("rehearsal", Value::Null),
            };
            cases.push((vec![other, (path, reference(kind, field, bad))], at));
        }
    }
    let secret =
        "proxy.url must not contain a user or password: store them as user:password in a Secret";
    for bad in ["http://user@proxy:3128", "http://user:password@proxy:3128"] {
        cases.push((vec![("proxy", json!({ "url": bad }))], secret));
    }
    for bad in [
        "*",
        "*.example.com",
        "zitadel:8080",
        "10.0.0.5:8080",
        "https://zitadel",
        "a,b",
        "[::1]",
        "example.com.",
    ] {
        let proxy = json!({"url": "http://proxy:3128", "noProxy": [bad]});
        cases.push((
            vec![("proxy", proxy)],
            "such as zitadel.internal, .svc.cluster.local, 10.0.0.5 or 10.0.0.0/8",
        ));
    }
    for field in ["url", "endpoint"] {
        for bad in [
            "http://iam.example.com",
            "http://localhost.example.com",
            "http://127.0.0.1.example.com",
            "http://10.0.0.1:8080",
            "http://localhosts",
        ] {
            cases.push((vec![(field, json!(bad))], insecure));
        }
        for bad in [
            "ftp://iam.example.com",
            "https://",
            "https://iam.example.com/path",
            "https://iam.example.com?x",
            "https://iam.example.com#x",
            "iam.example.com",
            "https://a\n",
        ] {
            cases.push((vec![(field, json!(bad))], "Invalid value"));
        }
        cases.push((
            vec![(field, json!("https://user@iam.example.com"))],
            "must not contain a user name",
        ));
        cases.push((
            vec![(field, json!(format!("https://{}", "x".repeat(505))))],
            "Too long",
        ));
    }
    kind.refuses(cases).await;
}
