//! Whoever hangs delays nobody else: objects of another connection, and of another namespace of the same one, are looked at meanwhile.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use serde_json::json;
use support::fleet::Fleet;
use support::world::{PATIENCE, World};
use zitadel_simulator::{Action, Config, Fault, Operation, Simulator};

/// More than are looked at at once in all.
const HANGING: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_hang_delay_none_of_another_namespace_or_connection() {
    let world = World::shared().await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let slow = world.tenant_at("slow", &zitadel).await;
    let neighbour = world.tenant_at("neighbour", &zitadel).await;
    let stranger = world.tenant("stranger").await;
    let namespaces = json!({"names": [slow.namespace, neighbour.namespace]});
    slow.apply_connection(
        json!({"grants": [{"namespaces": namespaces, "projectIds": [slow.project]}]}),
    )
    .await;
    slow.connected().await;
    stranger.connected().await;
    let next_door = slow.app("next-door");
    let fleet = Fleet::new(slow, HANGING);
    let gate = zitadel.gate("hangs");
    for app in &fleet.apps {
        let hang = Action::HoldBefore {
            gate: gate.name().to_owned(),
            outlives_client: false,
        };
        zitadel.inject(Fault::on(Operation::GetApp, hang).app(&app.id).always());
    }
    fleet.create_all().await;
    // So many of one namespace are looked at at once, and no more.
    gate.reached_by(12).await;
    let elsewhere = stranger.app("elsewhere");
    stranger
        .apply("elsewhere", &elsewhere.id, json!({}))
        .await
        .unwrap();
    let of_the_same = json!({
        "connectionRef": {"name": fleet.tenant.namespace}, "projectId": fleet.tenant.project,
    });
    neighbour
        .apply("next-door", &next_door.id, of_the_same)
        .await
        .unwrap();
    tokio::join!(stranger.ready("elsewhere"), neighbour.ready("next-door"));
    // Nobody had to wait until one of those that hang was given up.
    let held = zitadel.request_log().into_iter().filter(|request| {
        request.operation == Operation::GetApp && request.app.as_ref() != Some(&next_door.id)
    });
    let (open, over): (Vec<_>, Vec<_>) = held.partition(|request| request.finished_at.is_none());
    assert_eq!((open.len(), over.len()), (12, 0));
    // And all the others come to their end.
    zitadel.clear_faults();
    gate.release();
    fleet.settled(0..HANGING, "0", PATIENCE * 2).await;
    assert_eq!(fleet.faults().await, Vec::<String>::new());
}
