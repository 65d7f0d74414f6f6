//! How many requests an application with a long change list costs.

use crate::support::world::{Tenant, World};
use serde_json::json;
use zitadel_simulator::{AppHandle, Config, Operation, Simulator};

fn journal_requests(tenant: &Tenant, app: &AppHandle) -> usize {
    let log = tenant.zitadel.request_log();
    let about = |operation, named: Option<&str>| {
        operation == Operation::Journal && named == Some(app.id.as_str())
    };
    log.iter()
        .filter(|request| about(request.operation, request.app.as_deref()))
        .count()
}

#[tokio::test]
async fn a_rotation_reads_one_page_of_a_long_journal_at_a_time() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("long-journal", &zitadel).await;
    let app = tenant.app("orders");
    zitadel.configure(|settings| settings.clock_skew_ms = -3 * 24 * 3_600_000);
    for _ in 0..3_000 {
        zitadel.rotate_elsewhere(&app.id, None).unwrap();
    }
    zitadel.configure(|settings| settings.clock_skew_ms = 0);
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let first = journal_requests(&tenant, &app);
    assert!((2..=4).contains(&first), "first issue: {first} requests");
    for (made, trigger) in [(2, "leak"), (3, "another-leak")] {
        let before = journal_requests(&tenant, &app);
        tenant.trigger("orders", trigger).await;
        tenant.handled("orders", trigger).await;
        tenant.ready("orders").await;
        assert_eq!(tenant.generates(&app), 3_000 + made);
        let asked = journal_requests(&tenant, &app) - before;
        assert!((2..=4).contains(&asked), "{trigger}: {asked} requests");
    }
}

#[tokio::test]
async fn a_lost_answer_is_found_behind_thousands_of_other_changes() {
    let tenant = World::shared().await.tenant("lost-behind").await;
    let app = tenant.issued("orders", json!({})).await;
    // An own rotation whose answer was lost, and then much else.
    tenant
        .zitadel
        .rotate_elsewhere(&app.id, Some(&tenant.user))
        .unwrap();
    for number in 0..1_200 {
        let name = format!("orders-{number}");
        tenant.zitadel.rename_app(&app.id, &name).unwrap();
    }
    tenant.until_generates(&app, 3).await;
    tenant.until_accepted(&app, "orders").await;
}
