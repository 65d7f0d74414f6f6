//! Connections that are accepted.

use kube::api::PostParams;
use serde_json::{Value, json};

use crate::kinds::Kind;

#[tokio::test]
async fn a_connection_with_every_field_is_accepted_and_unchanged() {
    let kind = Kind::connections().await;
    let grant = |field: &str, namespaces: Value| json!([{"name": "a", field: namespaces, "projectIds": ["*"]}]);
    let selector = |selector: Value| vec![("grants", grant("namespaceSelector", selector))];
    kind.accepts(vec![
        vec![],
        vec![("url", json!("https://iam.example.com:8443/"))],
        vec![("url", json!("http://localhost"))],
        vec![("url", json!("http://localhost:8080/"))],
        vec![("url", json!("http://127.0.0.1:8080"))],
        vec![("url", json!("http://[::1]:8080"))],
        vec![
            ("url", json!("http://zitadel.zitadel:8080")),
            ("tls.plaintext", json!("Allow")),
        ],
        vec![("endpoint", json!("http://127.0.0.1:9000"))],
        vec![
            ("endpoint", json!("http://zitadel:8080")),
            ("tls.plaintext", json!("Allow")),
        ],
        vec![(
            "tls.caBundle",
            json!({"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}),
        )],
        vec![(
            "tls.caBundle",
            json!({"secretKeyRef": {"name": "ca", "key": "ca.crt"}}),
        )],
        vec![("proxy", json!({"url": "http://proxy:3128"}))],
        vec![("proxy", json!({"url": "http://[fd00::1]:3128/", "noProxy": ["zitadel", ".svc.cluster.local", "10.0.0.5", "10.0.0.0/8", "::1", "fd00::/8", "a_b.example-1.com"]}))],
        vec![("proxy", json!({"url": "https://proxy.example.com", "caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}}))],
        vec![("grants", json!([]))],
        vec![("grants", grant("namespaces", json!(["orders"])))],
        selector(json!({"matchLabels": {"team": "orders"}})),
        selector(json!({"matchExpressions": [{"key": "team", "operator": "In", "values": ["a", "b"]}, {"key": "x", "operator": "DoesNotExist"}]})),
        vec![("grants", json!([
            {"name": "a", "namespaces": ["a"], "projectIds": ["1"]},
            {"name": "b", "namespaces": ["a"], "projectIds": ["1"], "appIds": ["2", "3"]},
        ]))],
        vec![("limits", json!({"concurrentGenerates": 16, "repairs": {"count": 10_000, "window": "1d"}}))],
        vec![("limits", json!({"repairs": {"window": "5m"}}))],
        vec![("rehearsal", json!("Required"))],
        vec![("tls.plaintext", json!("Forbid"))],
    ])
    .await;
    let full = json!({
        "url": "https://iam.example.com", "endpoint": "https://zitadel.zitadel:8443", "rehearsal": "BestEffort",
        "tls": {"caBundle": {"configMapKeyRef": {"name": "ca", "key": "ca.crt"}}, "plaintext": "Allow"},
        "proxy": {
            "url": "https://proxy.example.com:3128", "noProxy": ["10.0.0.0/8"],
            "auth": {"secretKeyRef": {"name": "proxy", "key": "auth"}},
            "caBundle": {"secretKeyRef": {"name": "proxy", "key": "ca.crt"}},
        },
        "auth": {"personalAccessToken": {"secretKeyRef": {"name": "key", "key": "key.json"}}},
        "organizationId": "9", "controllerClass": "team-a",
        "grants": [{"name": "orders", "namespaces": ["orders"], "projectIds": ["1"], "appIds": ["2"]}],
        "limits": {"concurrentGenerates": 1, "repairs": {"count": 30, "window": "10m"}},
    });
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let mut object = kind.object("full", &[]);
    object.data["spec"] = full.clone();
    assert_eq!(
        kind.api.create(&params, &object).await.unwrap().data["spec"],
        full
    );
}
