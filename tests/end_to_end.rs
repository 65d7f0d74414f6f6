//! The main job on real parts: a cluster, the operator's binary, and a server that behaves as ZITADEL does.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use serde_json::json;
use support::eventually;
use support::world::{PATIENCE, World};

#[tokio::test]
async fn an_object_gets_a_secret_that_zitadel_accepts_and_a_status_that_says_so() {
    let tenant = World::shared().await.tenant("issue").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.ready("orders").await;
    let status = object.status.unwrap();
    assert_eq!(tenant.generates(&app), 1);
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(
        tenant.value("orders", "CLIENT_ID").await,
        Some(app.client_id.clone())
    );
    assert_eq!(
        status.sequence,
        tenant
            .zitadel
            .latest(&app.id)
            .map(|sequence| sequence.to_string())
    );
    assert_eq!(status.secret_name.as_deref(), Some("orders"));
    assert_eq!(status.history.len(), 1);
}

#[tokio::test]
async fn a_new_trigger_rotates_once_and_the_old_value_is_refused() {
    let tenant = World::shared().await.tenant("trigger").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "a"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    let first = tenant.client_secret("orders").await.unwrap();
    assert_eq!(
        tenant.generates(&app),
        1,
        "a trigger that is there at the first issue counts as handled"
    );
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "b"}}))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        (tenant.client_secret("orders").await.unwrap() != first).then_some(())
    })
    .await;
    let object = tenant.until("orders", |object| {
        (object.status.as_ref()?.observed_trigger.as_deref() == Some("b")).then_some(())
    });
    let status = object.await.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    assert_eq!(tenant.generates(&app), 2);
    assert!(tenant.accepted(&app, "orders").await && !tenant.zitadel.accepts(&app.id, &first));
}
