//! Secrets that exist before their object.

use crate::fixtures::{assert_status, message, tenant};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;

#[tokio::test]
async fn a_foreign_secret_is_refused_and_untouched_unless_adopt_is_set() {
    let tenant = tenant("foreign").await;
    let app = tenant.app("orders");
    tenant
        .create_secret("orders", json!({"CLIENT_SECRET": "theirs", "other": "x"}))
        .await;
    let before = tenant.secret("orders").await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = assert_status!(tenant, "orders", "SecretNotOwned", Stalled);
    tenant.fence().await;
    assert_eq!(tenant.secret("orders").await, before);
    assert_eq!(tenant.generates(&app), 0);
    assert!(message(&object, ConditionType::Ready).contains("adoptionPolicy"));
}

#[tokio::test]
async fn an_adopted_secret_keeps_its_value_if_it_authenticates_and_its_other_keys_always() {
    let tenant = tenant("adopt").await;
    let app = tenant.app("orders");
    let value = app.secret.clone().unwrap();
    tenant
        .create_secret("oauth", json!({"CLIENT_SECRET": value, "other": "x"}))
        .await;
    tenant
        .edit_secret(
            "oauth",
            json!({"metadata": {"labels": {"theirs": "kept"}, "annotations": {"theirs": "kept"}}}),
        )
        .await;
    let spec = |trigger: &str| json!({"secret": {"name": "oauth", "adoptionPolicy": "Required"}, "rotation": {"trigger": trigger, "interval": "30d"}});
    tenant.apply("orders", &app.id, spec("a")).await.unwrap();
    let object = tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 0);
    let data = tenant.data("oauth").await;
    assert_eq!(
        json!(data),
        json!({"CLIENT_ID": app.client_id, "CLIENT_SECRET": value, "other": "x"})
    );
    let status = object.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "Adopted");
    assert!(status.next_rotation_time.is_some());
    let note = tenant.event("orders", "Adopted").await;
    assert!(note.contains("Secret oauth"), "{note}");
    tenant.apply("orders", &app.id, spec("b")).await.unwrap();
    tenant.until_generates(&app, 1).await;
    tenant.ready("orders").await;
    tenant.until_accepted(&app, "oauth").await;
    assert_eq!(tenant.value("oauth", "other").await.as_deref(), Some("x"));
    let metadata = tenant.secret("oauth").await.metadata;
    assert_eq!(metadata.labels.unwrap()["theirs"], "kept");
    assert_eq!(metadata.annotations.unwrap()["theirs"], "kept");
}

#[tokio::test]
async fn with_nothing_to_adopt_nothing_is_generated_until_a_trigger_asks_for_it() {
    let tenant = tenant("adoptnone").await;
    let spec = |secret: &str, trigger: &str| json!({"secret": {"name": secret, "adoptionPolicy": "Required"}, "rotation": {"trigger": trigger}});
    let objects = ["absent", "lacking", "rejected"];
    let apps = objects.map(|name| tenant.app(name));
    tenant
        .create_secret("lacking", json!({"client-secret": "live", "other": "x"}))
        .await;
    tenant
        .create_secret("rejected", json!({"CLIENT_SECRET": "dead", "other": "x"}))
        .await;
    for (name, app) in objects.iter().zip(&apps) {
        tenant.apply(name, &app.id, spec(name, "a")).await.unwrap();
    }
    for (name, said) in [
        ("absent", "Secret absent does not exist"),
        (
            "lacking",
            "no client secret under the key CLIENT_SECRET; its keys are client-secret, other",
        ),
        ("rejected", "ZITADEL rejects the value of key CLIENT_SECRET"),
    ] {
        let object = assert_status!(tenant, name, "NothingToAdopt", Stalled);
        assert!(
            message(&object, ConditionType::Ready).contains(said),
            "{}",
            message(&object, ConditionType::Ready)
        );
    }
    for app in &apps {
        assert_eq!(tenant.generates(app), 0);
        assert!(app.secret.is_some());
    }
    assert_eq!(
        tenant.client_secret("rejected").await.as_deref(),
        Some("dead")
    );
    for (name, app) in objects.iter().zip(&apps) {
        tenant.apply(name, &app.id, spec(name, "b")).await.unwrap();
        tenant.until_accepted(app, name).await;
        tenant.ready(name).await;
        assert_eq!(tenant.generates(app), 1, "{name}");
    }
    assert_eq!(
        tenant.value("rejected", "other").await.as_deref(),
        Some("x")
    );
}
