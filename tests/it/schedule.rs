//! Rotations by interval and window.

use crate::fixtures::{assert_status, tenant};
use crate::support::world::World;
use serde_json::json;

#[tokio::test]
async fn an_interval_rotates_when_it_is_due_never_earlier_and_the_history_keeps_the_last_ten() {
    // A fourth as fast as the shared one: on a busy machine no call must run into its deadline, and be repaired.
    let world = World::shared().await;
    let own = world.own_operator(&["--protocol-speed", "5"]).await;
    let tenant = own.tenant_at("interval", world, &world.zitadel).await;
    let app = tenant.app("orders");
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}}),
        )
        .await
        .unwrap();
    let first = tenant.ready("orders").await;
    assert!(first.status.unwrap().next_rotation_time.is_some());
    tenant.until_generates(&app, 12).await;
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}, "suspend": true}),
        )
        .await
        .unwrap();
    tenant.reason("orders", "Suspended").await;
    tenant.fence().await;
    let made: Vec<_> = tenant
        .zitadel
        .executions()
        .into_iter()
        .filter(|made| made.app == app.id && made.request.is_some())
        .collect();
    for pair in made.windows(2) {
        let apart = pair[1].change_date.duration_since(pair[0].change_date);
        assert!(apart >= jiff::SignedDuration::from_secs(1), "{apart}");
    }
    let status = tenant.status("orders").await;
    let newest: Vec<_> = made
        .iter()
        .rev()
        .take(10)
        .map(|made| Some(made.sequence.to_string()))
        .collect();
    let history: Vec<_> = status
        .history
        .iter()
        .map(|past| past.sequence.clone())
        .collect();
    assert!(status.history.iter().all(|past| past.reason == "Due"));
    assert_eq!(history, newest);
    assert_eq!(status.schedule.as_deref(), Some("every 1s"));
    assert!(tenant.accepted(&app, "orders").await);
    tenant.event("orders", "Rotated").await;
}

#[tokio::test]
async fn a_due_rotation_waits_for_its_window_and_says_when_it_opens() {
    let tenant = tenant("window").await;
    let app = tenant.app("orders");
    // A window on 29 February only.
    let windows = json!([{"name": "w", "schedule": "0 3 29 2 *", "duration": "1m"}]);
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0, "windows": windows}}),
        )
        .await
        .unwrap();
    let object = assert_status!(tenant, "orders", "AwaitingWindow", Ready);
    let next = object
        .status
        .unwrap()
        .next_rotation_time
        .unwrap()
        .0
        .to_string();
    assert!(next.ends_with("-02-29T03:00:00Z"), "{next}");
    tenant.apply("orders", &app.id, json!({"rotation": {"interval": "1s", "jitterPercent": 0, "windows": windows, "trigger": "now"}})).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.reason("orders", "AwaitingWindow").await;
    assert_eq!(
        tenant.generates(&app),
        2,
        "a trigger does not wait for a window"
    );
}

#[tokio::test]
async fn an_edited_interval_never_rotates_a_credential_that_is_not_due_by_it() {
    let tenant = tenant("edits").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"rotation": {"interval": "30d"}}))
        .await
        .unwrap();
    let before = tenant
        .ready("orders")
        .await
        .status
        .unwrap()
        .next_rotation_time
        .unwrap();
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1h"}, "recovery": {"missing": "Report"}}),
        )
        .await
        .unwrap();
    let after = tenant.ready("orders").await.status.unwrap();
    assert!(after.next_rotation_time.unwrap() < before);
    assert_eq!(after.schedule.as_deref(), Some("every 1h"));
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}
