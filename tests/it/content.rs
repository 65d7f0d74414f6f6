//! What the Secret holds: keys, labels and annotations.

use crate::fixtures::tenant;
use crate::support::world::PATIENCE;
use crate::support::{apply, data, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn the_secret_is_made_as_the_template_says_and_nothing_of_the_object_itself_is_copied() {
    let tenant = tenant("template").await;
    let app = tenant.app("orders");
    let mut manifest = tenant.manifest("orders", &app.id, json!({"secret": {
        "name": "oauth", "type": "example.com/oauth", "labels": {"team": "orders"}, "annotations": {"reloader.example.com/match": "true"},
        "data": data(&[
            ("id", "ClientId"), ("secret", "ClientSecret"), ("issuer", "Issuer"), ("introspection", "IntrospectionEndpoint"),
            ("token", "TokenEndpoint"), ("project", "ProjectId"), ("app", "AppId"),
        ]),
    }}));
    manifest["metadata"]["labels"] = json!({"argocd.argoproj.io/instance": "x"});
    manifest["metadata"]["annotations"] = json!({"note": "x"});
    apply(&tenant.objects(), &manifest).await.unwrap();
    tenant.ready("orders").await;
    let mut data = tenant.data("oauth").await;
    let value = data.remove("secret").unwrap();
    assert!(tenant.zitadel.accepts(&app.id, &value));
    let expected = json!({
        "id": app.client_id, "issuer": tenant.url, "introspection": format!("{}/oauth/v2/introspect", tenant.url),
        "token": format!("{}/oauth/v2/token", tenant.url), "project": tenant.project, "app": app.id,
    });
    assert_eq!(json!(data), expected);
    let secret = tenant.secret("oauth").await;
    assert_eq!(secret.type_.as_deref(), Some("example.com/oauth"));
    assert_eq!(
        json!(secret.metadata.labels),
        json!({"team": "orders", "zitadel-secrets.dev/managed": "true"})
    );
    let annotations = secret.metadata.annotations.unwrap();
    let names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["reloader.example.com/match", "zitadel-secrets.dev/commit"]
    );
    let owners = secret.metadata.owner_references.unwrap();
    assert_eq!(
        (
            owners.len(),
            owners[0].kind.as_str(),
            owners[0].controller,
            owners[0].block_owner_deletion
        ),
        (1, "ApiAppSecret", None, None)
    );
}

#[tokio::test]
async fn a_changed_template_is_rendered_from_the_value_that_is_held_and_old_names_vanish() {
    let tenant = tenant("render").await;
    let app = tenant.app("orders");
    let secret = |entries: &[(&str, &str)], labels: Value, annotations: Value| json!({"secret": {"data": data(entries), "labels": labels, "annotations": annotations}});
    let (id, pair) = (("CLIENT_ID", "ClientId"), ("CLIENT_SECRET", "ClientSecret"));
    tenant
        .apply(
            "orders",
            &app.id,
            secret(
                &[id, pair, ("ISSUER", "Issuer")],
                json!({"a": "1", "b": "1"}),
                json!({"a": "1"}),
            ),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await.unwrap();
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"mine": "kept"}, "metadata": {"labels": {"mine": "kept"}}}),
        )
        .await;
    for (key, entries, names) in [
        (
            "password",
            vec![id, ("password", "ClientSecret"), ("project", "ProjectId")],
            vec!["CLIENT_ID", "mine", "password", "project"],
        ),
        (
            "x",
            vec![("x", "ClientSecret"), ("y", "ClientId")],
            vec!["mine", "x", "y"],
        ),
        // The two names swapped.
        (
            "y",
            vec![("y", "ClientSecret"), ("x", "ClientId")],
            vec!["mine", "x", "y"],
        ),
    ] {
        tenant
            .apply(
                "orders",
                &app.id,
                secret(&entries, json!({"b": "2"}), json!({})),
            )
            .await
            .unwrap();
        tenant.ready("orders").await;
        let data = tenant.data("orders").await;
        assert_eq!(data.keys().map(String::as_str).collect::<Vec<_>>(), names);
        assert_eq!(data[key], value);
    }
    let metadata = tenant.secret("orders").await.metadata;
    assert_eq!(
        json!(metadata.labels),
        json!({"b": "2", "mine": "kept", "zitadel-secrets.dev/managed": "true"})
    );
    assert!(!metadata.annotations.unwrap().contains_key("a"));
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_client_id_or_label_edited_by_hand_is_put_right_without_a_generate() {
    let tenant = tenant("putright").await;
    let app = tenant
        .issued("orders", json!({"secret": {"labels": {"team": "orders"}}}))
        .await;
    tenant.edit_secret("orders", json!({"stringData": {"CLIENT_ID": "by-hand"}, "metadata": {"labels": {"team": "by-hand"}}})).await;
    eventually(PATIENCE, || async {
        let right = tenant.value("orders", "CLIENT_ID").await.as_ref() == Some(&app.client_id);
        let labels = tenant.secret("orders").await.metadata.labels.unwrap();
        (right && labels["team"] == "orders").then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn whatever_stands_beside_the_pair_is_put_right_without_a_generate() {
    let tenant = tenant("beside").await;
    let app = tenant.app("orders");
    let entries = data(&[
        ("CLIENT_ID", "ClientId"),
        ("CLIENT_SECRET", "ClientSecret"),
        ("ISSUER", "Issuer"),
        ("INTROSPECTION", "IntrospectionEndpoint"),
        ("APP", "AppId"),
    ]);
    let extra = json!({"secret": {"data": entries}});
    tenant.apply("orders", &app.id, extra).await.unwrap();
    tenant.ready("orders").await;
    let written = tenant.data("orders").await;
    let elsewhere =
        json!({"ISSUER": "https://elsewhere.example", "INTROSPECTION": "x", "APP": "7"});
    tenant
        .edit_secret("orders", json!({"stringData": elsewhere}))
        .await;
    eventually(PATIENCE, || async {
        (tenant.data("orders").await == written).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_secret_can_have_the_type_for_basic_authentication() {
    let tenant = tenant("basic").await;
    let app = tenant.app("orders");
    let extra = |trigger: &str| {
        let entries = data(&[("username", "ClientId"), ("password", "ClientSecret")]);
        json!({"secret": {"type": "kubernetes.io/basic-auth", "data": entries}, "rotation": {"trigger": trigger}})
    };
    for (trigger, generates) in [("a", 1), ("b", 2)] {
        tenant
            .apply("orders", &app.id, extra(trigger))
            .await
            .unwrap();
        tenant.until_generates(&app, generates).await;
        tenant.ready("orders").await;
        let data = tenant.data("orders").await;
        assert_eq!(data["username"], app.client_id);
        assert!(tenant.zitadel.accepts(&app.id, &data["password"]));
    }
    assert_eq!(tenant.generates(&app), 2);
}
