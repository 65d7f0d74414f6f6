//! Rotations by `spec.rotation.trigger`.

use crate::fixtures::tenant;
use crate::support::eventually;
use crate::support::world::PATIENCE;
use serde_json::json;

#[tokio::test]
async fn a_new_trigger_rotates_once_and_the_old_value_is_refused() {
    let tenant = tenant("trigger").await;
    let app = tenant
        .issued("orders", json!({"rotation": {"trigger": "a"}}))
        .await;
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
    let object = tenant.handled("orders", "b").await;
    let status = object.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    assert_eq!(tenant.generates(&app), 2);
    assert!(tenant.accepted(&app, "orders").await && !tenant.zitadel.accepts(&app.id, &first));
    let note = tenant.event("orders", "Rotated").await;
    assert!(note.contains("Trigger"), "{note}");
    // Taking the trigger away, and giving the same again, is no new trigger.
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "b"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn a_trigger_that_is_set_while_the_claim_is_damaged_rotates_once() {
    let tenant = tenant("spoilt").await;
    let app = tenant.issued("spoilt", json!({})).await;
    let claim = tenant.claims("spoilt").await;
    tenant.write_claim(&claim[0], "{").await;
    tenant.trigger("spoilt", "leak").await;
    tenant.until_generates(&app, 2).await;
    tenant.until_accepted(&app, "spoilt").await;
    let object = tenant.reason("spoilt", "UpToDate").await;
    let status = object.status.unwrap();
    assert_eq!(status.observed_trigger.as_deref(), Some("leak"));
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    assert_eq!(tenant.generates(&app), 2);
}
