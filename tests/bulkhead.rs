//! Objects that hang delay no others: those of another connection, and of another namespace of the same one, are reconciled meanwhile.
//! And how much a tenant writes into annotations is the tenant's own affair.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use support::controlplane::Options;
use support::eventually;
use support::fleet::{Fleet, is_ready, name};
use support::process::{Launch, Process};
use support::world::{PATIENCE, World};
use zitadel_simulator::{Action, Config, Fault, Operation, Simulator};

/// More than are reconciled at once in all.
const HANGING: usize = 80;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn objects_that_hang_delay_none_of_another_namespace_or_connection() {
    let world = World::shared().await;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let slow = world.tenant_at("slow", &zitadel).await;
    let neighbour = world.tenant_at("neighbour", &zitadel).await;
    let stranger = world.tenant("stranger").await;
    let namespaces = json!([slow.namespace, neighbour.namespace]);
    slow.apply_connection(
        json!({"grants": [{"name": "both", "namespaces": namespaces, "projectIds": [slow.project]}]}),
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
    // So many of one namespace are reconciled at once, and no more.
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
    // No object had to wait until one of those that hang was given up.
    let of_the_fleet = |id: &String| fleet.apps.iter().any(|app| app.id == *id);
    let held = zitadel.request_log().into_iter().filter(|request| {
        request.operation == Operation::GetApp && request.app.as_ref().is_some_and(of_the_fleet)
    });
    let (open, over): (Vec<_>, Vec<_>) = held.partition(|request| request.finished_at.is_none());
    assert_eq!((open.len(), over.len()), (12, 0));
    // And all the others come to their end.
    zitadel.clear_faults();
    gate.release();
    fleet.settled(0..HANGING, "0", PATIENCE * 2).await;
    assert_eq!(fleet.faults().await, Vec::<String>::new());
}

/// What each object and each Secret has of annotations, besides the operator's. Kubernetes takes 256 KiB.
const ANNOTATIONS: usize = 200_000;
/// The memory limit of the chart, in MiB.
const LIMIT: f64 = 128.0;
/// For thousands of rotations on a busy machine.
const LONG: Duration = Duration::from_mins(20);

/// Creates the objects of a range, a few at a time.
async fn create_annotated(fleet: &Fleet, range: std::ops::Range<usize>) {
    let tenant = &fleet.tenant;
    let each = stream::iter(range).map(|n| async move {
        let trigger = json!({"rotation": {"trigger": "0"}});
        let mut object = tenant.manifest(&name(n), &fleet.apps[n].id, trigger);
        object["metadata"]["annotations"] = json!({"tenant": "x".repeat(ANNOTATIONS)});
        let object = serde_json::from_value(object).unwrap();
        let params = PostParams::default();
        tenant
            .untyped_objects()
            .create(&params, &object)
            .await
            .unwrap();
    });
    each.buffer_unordered(4).collect::<()>().await;
}

/// Annotates the Secrets of a range, a few at a time.
async fn annotate_secrets(fleet: &Fleet, range: std::ops::Range<usize>) {
    let secrets = fleet.tenant.secrets();
    let each = stream::iter(range).map(|n| {
        let secrets = secrets.clone();
        async move {
            let annotations = json!({"tenant": "x".repeat(ANNOTATIONS)});
            let change = Patch::Merge(json!({"metadata": {"annotations": annotations}}));
            let params = PatchParams::default();
            secrets.patch(&name(n), &params, &change).await.unwrap();
        }
    });
    each.buffer_unordered(4).collect::<()>().await;
}

/// Waits until a counter of a process has that value.
async fn until_counted(operator: &Process, counter: &str, count: usize) {
    eventually(LONG, || async {
        assert_eq!(operator.ended(), None, "{}", operator.printed());
        let seen = operator.metric(counter).await?;
        #[allow(clippy::cast_precision_loss, reason = "a small count")]
        let enough = seen >= count as f64;
        enough.then_some(())
    })
    .await;
}

/// The most that a process had in memory at any time, in MiB. Prints it, and what it has now.
fn peak(what: &str, operator: &Process) -> f64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", operator.pid())).unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    let kibibytes = line.and_then(|line| line.split_whitespace().next());
    let peak = kibibytes.unwrap().parse::<f64>().unwrap() / 1024.0;
    let now = operator.memory();
    println!("figure annotated_{what}_peak_mib {peak:.0} MiB (target: at most {LIMIT})");
    println!("figure annotated_{what}_rss_mib {:.0} MiB", now.resident);
    println!("figure annotated_{what}_heap_mib {:.0} MiB", now.anonymous);
    peak
}

/// Waits until every object is Ready, a few of them in memory at a time.
async fn until_all_ready(fleet: &Fleet) {
    let objects = fleet.tenant.objects();
    eventually(LONG, || async {
        let mut page = ListParams::default().limit(25);
        loop {
            let found = objects.list(&page).await.ok()?;
            if !found.items.iter().all(is_ready) {
                return None;
            }
            match found.metadata.continue_ {
                Some(token) if !token.is_empty() => page = page.continue_token(&token),
                _ => return Some(()),
            }
        }
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes and gigabytes: cargo test --release --test bulkhead -- --ignored --nocapture"]
async fn two_thousand_objects_with_200_kb_of_annotations_each_fit_into_the_memory_of_the_chart() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("annotated").await;
    let fleet = Fleet::new(tenant, 2000);
    let launch = Launch::new(&world.kubeconfig, &world.directory);
    let operator = launch.start();
    let mut peaks = vec![peak("0", &operator)];
    create_annotated(&fleet, 0..750).await;
    until_counted(&operator, "rotations_total", 750).await;
    peaks.push(peak("750", &operator));
    annotate_secrets(&fleet, 0..750).await;
    create_annotated(&fleet, 750..2000).await;
    until_counted(&operator, "rotations_total", 2000).await;
    annotate_secrets(&fleet, 750..2000).await;
    until_all_ready(&fleet).await;
    peaks.push(peak("2000", &operator));
    operator.kill();
    let made = world.zitadel.executions().len();
    let operator = launch.start();
    until_counted(&operator, "reconciles_total", 2000).await;
    peaks.push(peak("2000_restart", &operator));
    assert_eq!(world.zitadel.executions().len(), made);
    assert!(peaks.iter().all(|peak| *peak <= LIMIT), "{peaks:?}");
}
