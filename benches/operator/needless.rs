//! What never makes a credential: restarts, another leader, a wiped status, an object made again over its Secret, label edits.

use std::time::Duration;

use futures::{StreamExt as _, stream};
use kube::api::{Patch, PatchParams};
use serde_json::json;

use crate::figures::{Figures, number};
use crate::stage::{LONG, Stage, quiet};
use crate::support::fleet::{IN_FLIGHT, name};
use crate::support::process::Process;

const OBJECTS: usize = 1000;
/// Of these the Secret outlives the object.
const RETAINED: usize = 100;
const EDITS: usize = 10;

/// Each in turn over 1,000 healthy objects.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    let retain = json!({"rotation": {"trigger": "0"}, "secret": {"deletionPolicy": "Retain"}});
    let plain = json!({"rotation": {"trigger": "0"}});
    stage.fleet.create(0..RETAINED, &retain).await;
    stage.fleet.create(RETAINED..OBJECTS, &plain).await;
    stage.fleet.settled(0..OBJECTS, "0", LONG).await;
    quiet(&operator, LONG).await;
    drop(operator);
    stage.requests();
    stage.zitadel().clear_ledger();
    let mut needless = 0;

    let operator = stage.operator().await;
    needless += count(figures, &mut stage, "restart").await;
    let memory = operator.memory();
    figures.show("restart_1000_rss_mib", memory.resident, "MiB");
    figures.show("restart_1000_heap_mib", memory.anonymous, "MiB");

    wipe_status(&stage).await;
    settle(&stage, &operator).await;
    needless += count(figures, &mut stage, "status_wipe").await;

    for n in 0..RETAINED {
        stage.fleet.tenant.delete(&name(n)).await;
    }
    stage.fleet.create(0..RETAINED, &retain).await;
    settle(&stage, &operator).await;
    needless += count(figures, &mut stage, "recreate").await;

    for edit in 0..EDITS {
        let patch = json!({"metadata": {"labels": {"edit": edit.to_string()}}});
        stage.fleet.patch(0..OBJECTS, &patch).await;
    }
    quiet(&operator, LONG).await;
    needless += count(figures, &mut stage, "label_edits").await;

    let standby = stage.launch().pod("operator-1").start();
    quiet(&standby, LONG).await;
    drop(operator);
    quiet(&standby, LONG).await;
    needless += count(figures, &mut stage, "another_replica").await;
    drop(standby);

    figures.exactly("needless_generates", number(needless), 0.0, "calls");
    let faults = stage.fleet.faults().await;
    faults
        .iter()
        .take(10)
        .for_each(|fault| eprintln!("{fault}"));
    figures.exactly("faults_at_the_end", number(faults.len()), 0.0, "objects");
}

async fn settle(stage: &Stage, operator: &Process) {
    stage.fleet.settled(0..OBJECTS, "0", LONG).await;
    quiet(operator, LONG).await;
}

/// Prints and forgets what was asked; returns the values that were made.
pub async fn count(figures: &mut Figures, stage: &mut Stage, what: &str) -> usize {
    // What an event reports may come a moment after the work itself.
    tokio::time::sleep(Duration::from_secs(1)).await;
    let requests = stage.requests();
    let writes = requests.iter().filter(|request| request.is_write()).count();
    let lists = requests
        .iter()
        .filter(|request| request.verb == "list")
        .count();
    let zitadel = stage.zitadel().request_log().len();
    let made = stage.zitadel().executions().len();
    let mut show = |kind: &str, count: usize| {
        figures.show(&format!("{what}_{kind}"), number(count), "requests");
    };
    show("requests", requests.len());
    show("lists", lists);
    show("writes", writes);
    show("zitadel_requests", zitadel);
    show("generates", made);
    stage.zitadel().clear_ledger();
    made
}

async fn wipe_status(stage: &Stage) {
    let objects = stage.fleet.tenant.objects();
    let wipe = Patch::Merge(json!({"status": null}));
    let params = PatchParams::default();
    stream::iter(0..OBJECTS)
        .map(|n| {
            let (objects, wipe, params) = (&objects, &wipe, &params);
            async move {
                objects
                    .patch_status(&name(n), params, wipe)
                    .await
                    .map(drop)
                    .unwrap()
            }
        })
        .buffer_unordered(IN_FLIGHT)
        .collect::<()>()
        .await;
}
