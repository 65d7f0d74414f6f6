//! Limits of a connection, and the breaker.

use crate::fixtures::{assert_status, message, tenant};
use crate::support::world::World;
use serde_json::json;
use std::time::Duration;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Action, Config, Cut, Fault, Operation, Simulator};

#[tokio::test]
async fn more_repairs_than_the_connection_allows_wait() {
    let tenant = tenant("limit").await;
    tenant
        .apply_connection(json!({"limits": {"repairs": {"count": 1}}}))
        .await;
    tenant.connected().await;
    let apps = [tenant.app("first"), tenant.app("second")];
    let generates = || apps.each_ref().map(|app| tenant.generates(app));
    for (name, app) in ["first", "second"].iter().zip(&apps) {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
    }
    tenant.delete_secret("first").await;
    tenant.until_generates(&apps[0], 2).await;
    tenant.ready("first").await;
    tenant.delete_secret("second").await;
    tenant.reason("second", "RepairLimit").await;
    tenant.fence().await;
    assert_eq!(generates(), [2, 1]);
    // What a person asks for is no repair.
    let trigger = json!({"rotation": {"trigger": "now"}});
    tenant.apply("second", &apps[1].id, trigger).await.unwrap();
    tenant.ready("second").await;
    assert_eq!(generates(), [2, 2]);
}

#[tokio::test]
async fn no_more_generate_calls_are_under_way_than_the_connection_allows() {
    for limit in [1, 2] {
        let zitadel = Simulator::start(Config::default()).unwrap();
        let tenant = World::shared().await.tenant_at("in-flight", &zitadel).await;
        let limits = json!({"limits": {"concurrentGenerates": limit}});
        tenant.apply_connection(limits).await;
        tenant.connected().await;
        let slow = Action::DelayAfter(Duration::from_millis(300));
        zitadel.inject(Fault::on(Operation::Generate, slow).always());
        let names: Vec<_> = (0..5).map(|n| format!("app-{n}")).collect();
        for name in &names {
            let app = tenant.app(name);
            tenant.apply(name, &app.id, json!({})).await.unwrap();
        }
        for name in &names {
            tenant.ready(name).await;
        }
        let most = zitadel.counters().max_generates_in_flight;
        assert!((1..=limit).contains(&most), "{most}");
    }
}

#[tokio::test]
async fn triggers_leave_the_breaker_closed_and_repairs_open_it() {
    let tenant = tenant("asked").await;
    let app = tenant.issued("orders", json!({})).await;
    for (trigger, made) in [("a", 2), ("b", 3), ("c", 4)] {
        tenant.trigger("orders", trigger).await;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    for made in [5, 6, 7] {
        tenant.delete_secret("orders").await;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    tenant.delete_secret("orders").await;
    tenant.reason("orders", "BreakerOpen").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 7);
}

#[tokio::test]
async fn answers_that_are_lost_every_time_open_the_breaker_until_a_new_trigger() {
    let tenant = tenant("breaker").await;
    let app = tenant.app("orders");
    let fault = tenant.zitadel.inject(
        Fault::on(Operation::Generate, Action::ReplaceBody("{}".to_owned()))
            .app(&app.id)
            .always(),
    );
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = assert_status!(tenant, "orders", "BreakerOpen", Stalled);
    assert_eq!(tenant.generates(&app), 4, "three of them are repairs");
    let ready = message(&object, ConditionType::Ready);
    let lost =
        "carried out 4 rotations whose responses could not be used (malformed response, HTTP 200)";
    assert!(ready.contains(lost), "{ready}");
    assert!(ready.starts_with("Consumers are down"), "{ready}");
    assert!(!ready.contains("find out"), "{ready}");
    let note = tenant.event("orders", "LostAttempt").await;
    assert!(note.contains("malformed response, HTTP 200"), "{note}");
    let opened = tenant.event("orders", "BreakerOpen").await;
    assert!(opened.contains("Consumers are down"), "{opened}");
    tenant.trigger("orders", "once").await;
    tenant.until_generates(&app, 5).await;
    tenant.reason("orders", "BreakerOpen").await;
    tenant.fence().await;
    assert_eq!(
        tenant.generates(&app),
        5,
        "a trigger gives one attempt past the breaker"
    );
    tenant.zitadel.remove_fault(fault);
    tenant.trigger("orders", "good").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 6);
}

#[tokio::test]
async fn what_counts_towards_the_repair_limit_survives_an_edit_of_the_connection() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("limit-edited", &zitadel).await;
    let limits = |count: u32, generates: u32| json!({"limits": {"concurrentGenerates": generates, "repairs": {"count": count, "window": "10m"}}});
    tenant.apply_connection(limits(1, 1)).await;
    tenant.connected().await;
    let lose = async |name: &str| {
        let app = tenant.issued(name, json!({})).await;
        let cut = Action::DropAfter(Cut::Reset);
        zitadel.inject(Fault::on(Operation::Generate, cut).app(&app.id));
        tenant.trigger(name, "lost").await;
        app
    };
    let first = lose("first").await;
    tenant.until_generates(&first, 3).await;
    tenant.ready("first").await;
    // Edited, broken and whole again.
    tenant.apply_connection(limits(1, 2)).await;
    tenant.connected().await;
    tenant.set_credential("none").await;
    tenant.until_connection("CredentialRejected").await;
    tenant.set_credential(&tenant.pat).await;
    tenant.until_connection("Connected").await;
    let second = lose("second").await;
    tenant.reason("second", "RepairLimit").await;
    assert_eq!(tenant.generates(&second), 2);
    // A higher limit counts at once.
    tenant.apply_connection(limits(2, 2)).await;
    tenant.until_generates(&second, 3).await;
    tenant.ready("second").await;
    assert_eq!(tenant.generates(&first) + tenant.generates(&second), 6);
}
