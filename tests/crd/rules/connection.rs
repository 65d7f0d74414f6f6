//! A manifest for each rule of a connection.

use serde_json::{Value, json};

use super::{DURATION, ID, KEY, LONGER, NAME, OBJECT, Refused, refused};

pub fn manifests() -> Vec<Refused> {
    let grant = |changes: Value| {
        let mut grant = json!({"name": "a", "namespaces": ["a"], "projectIds": ["1"]});
        let fields = grant.as_object_mut().unwrap();
        fields.extend(changes.as_object().unwrap().clone());
        fields.retain(|_, value| !value.is_null());
        vec![("grants", json!([grant]))]
    };
    let selector =
        |selector: Value| grant(json!({"namespaces": null, "namespaceSelector": selector}));
    let bundle = json!({"configMapKeyRef": {"name": "a", "key": "b"}});
    let mut all = vec![
        refused(
            "spec",
            "url must be https",
            vec![("url", json!("http://iam.example.com"))],
        ),
        refused(
            "spec",
            "endpoint must be https",
            vec![("endpoint", json!("http://iam.example.com"))],
        ),
        refused("spec.auth", "exactly one of", vec![("auth", json!({}))]),
        refused(
            "spec.controllerClass",
            NAME,
            vec![("controllerClass", json!("Team A"))],
        ),
        refused(
            "spec.grants[]",
            "exactly one of namespaces and namespaceSelector",
            grant(json!({"namespaces": null})),
        ),
        refused(
            "spec.grants[].appIds[]",
            "is neither an id",
            grant(json!({"appIds": ["a/b"]})),
        ),
        refused(
            "spec.grants[].kinds[]",
            "is not a kind that can be granted",
            grant(json!({"kinds": ["Pod"]})),
        ),
        refused("spec.grants[].name", NAME, grant(json!({"name": "A"}))),
        refused(
            "spec.grants[].namespaceSelector",
            "must not be empty",
            selector(json!({})),
        ),
        refused(
            "spec.grants[].namespaceSelector.matchExpressions[]",
            "the requirement on label",
            selector(json!({"matchExpressions": [{"key": "a", "operator": "In"}]})),
        ),
        refused(
            "spec.grants[].namespaces[]",
            NAME,
            grant(json!({"namespaces": ["A"]})),
        ),
        refused(
            "spec.grants[].projectIds[]",
            "is neither an id",
            grant(json!({"projectIds": ["a/b"]})),
        ),
        refused(
            "spec.limits.repairs.window",
            DURATION,
            vec![("limits.repairs.window", json!("1.5h"))],
        ),
        refused(
            "spec.limits.repairs.window",
            LONGER,
            vec![("limits.repairs.window", json!("0s"))],
        ),
        refused(
            "spec.organizationId",
            ID,
            vec![("organizationId", json!("a/b"))],
        ),
        refused(
            "spec.proxy",
            "for a proxy with an https:// URL",
            vec![(
                "proxy",
                json!({"url": "http://proxy:3128", "caBundle": bundle}),
            )],
        ),
        refused(
            "spec.proxy.caBundle",
            "exactly one of",
            vec![("proxy", json!({"url": "https://proxy", "caBundle": {}}))],
        ),
        refused(
            "spec.proxy.noProxy",
            "is not a host",
            vec![("proxy", json!({"url": "http://proxy", "noProxy": ["*"]}))],
        ),
        refused(
            "spec.proxy.url",
            "must not contain a user or password",
            vec![("proxy.url", json!("http://me@proxy:3128"))],
        ),
        refused(
            "spec.proxy.url",
            "\" is not the address of an HTTP proxy",
            vec![("proxy.url", json!("proxy:3128"))],
        ),
        refused(
            "spec.proxy.url",
            "the value, which is not shown",
            vec![("proxy.url", json!("http://me:hunter2"))],
        ),
        refused(
            "spec.tls.caBundle",
            "exactly one of",
            vec![("tls.caBundle", json!({}))],
        ),
    ];
    for (field, path) in [("spec.url", "url"), ("spec.endpoint", "endpoint")] {
        all.extend([
            refused(
                field,
                "must not contain a user name",
                vec![(path, json!("https://me@iam.example.com"))],
            ),
            refused(
                field,
                "\" is not a scheme and a host",
                vec![(path, json!("https://iam.example.com/path"))],
            ),
            refused(
                field,
                "the value, which is not shown",
                vec![(path, json!("https://me:hunter2"))],
            ),
        ]);
    }
    for (path, proxy) in [
        ("auth.personalAccessToken.secretKeyRef", None),
        ("auth.serviceAccountKey.secretKeyRef", None),
        ("proxy.auth.secretKeyRef", Some("http://proxy")),
        ("proxy.caBundle.configMapKeyRef", Some("https://proxy")),
        ("proxy.caBundle.secretKeyRef", Some("https://proxy")),
        ("tls.caBundle.configMapKeyRef", None),
        ("tls.caBundle.secretKeyRef", None),
    ] {
        let references = [
            ("name", OBJECT, json!({"name": "A", "key": "b"})),
            ("key", KEY, json!({"name": "a", "key": "b/c"})),
        ];
        for (part, words, reference) in references {
            let mut changes = vec![(path, reference)];
            changes.extend(proxy.map(|url| ("proxy.url", json!(url))));
            if path.starts_with("auth.personal") {
                changes.push(("auth.serviceAccountKey", Value::Null));
            }
            all.push(refused(&format!("spec.{path}.{part}"), words, changes));
        }
    }
    all
}
