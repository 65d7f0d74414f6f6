//! 1,000 new objects at once, against a bare loop of the same requests; and what the operator has in memory before and after.

use std::time::Duration;

use serde_json::json;

use crate::bare::Recipe;
use crate::figures::{Figures, number};
use crate::stage::{LONG, Stage, quiet, rotated, rotations};
use crate::support::fleet::name;

const OBJECTS: usize = 1000;

/// Memory without objects, burst, memory with 1,000 objects; the bare loop before and after.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS + 1).await;
    let operator = stage.operator().await;
    let memory = operator.memory();
    figures.at_most("idle_rss_mib", memory.resident, 12.0, "MiB");
    figures.at_most("idle_heap_mib", memory.anonymous, 5.0, "MiB");

    stage.requests();
    stage.zitadel().clear_ledger();
    let extra = json!({"rotation": {"trigger": "0"}});
    stage.fleet.create(OBJECTS..OBJECTS + 1, &extra).await;
    rotated(&operator, 1).await;
    quiet(&operator, LONG).await;
    let asked = stage.requests();
    let recipe = Recipe::learn(&stage, OBJECTS, &asked).await;
    let (kubernetes, zitadel) = recipe.counts();
    figures.show("bare_requests_per_object", number(kubernetes), "requests");
    figures.show(
        "bare_zitadel_requests_per_object",
        number(zitadel),
        "requests",
    );
    drop(operator);
    stage.fleet.tenant.delete(&name(OBJECTS)).await;

    let tenant = stage.world.tenant("bare").await;
    let before = recipe.run(&tenant, OBJECTS).await.as_secs_f64();
    figures.show("bare_1000_seconds_before", before, "s");

    let operator = stage.operator().await;
    stage.requests();
    let done = rotations(&operator).await;
    let first = jiff::Timestamp::now();
    stage.fleet.create(0..OBJECTS, &extra).await;
    rotated(&operator, done + OBJECTS).await;
    // Sampled from here on, so this is what passes at least.
    let cpu = idle_after(&operator).await;
    let requests = stage.requests();
    let written = requests
        .iter()
        .filter(|request| request.resource() == "secrets" && request.is_write());
    let written = written.map(|request| request.answered).max().unwrap();
    let took = written.duration_since(first).as_secs_f64();
    figures.show("burst_1000_seconds", took, "s");
    let last = requests
        .iter()
        .map(|request| request.answered)
        .max()
        .unwrap();
    let idle = cpu.duration_since(last).as_secs_f64().max(0.0);
    figures.at_most("cpu_after_burst_seconds", idle, 2.0, "s");
    figures.show(
        "burst_requests_per_object",
        number(requests.len()) / number(OBJECTS),
        "requests",
    );
    figures.show("burst_cpu_seconds", operator.cpu(), "s");
    quiet(&operator, LONG).await;
    let memory = operator.memory();
    figures.show("rss_1000_mib", memory.resident, "MiB");
    figures.show("heap_1000_mib", memory.anonymous, "MiB");
    drop(operator);

    let tenant = stage.world.tenant("bare").await;
    let after = recipe.run(&tenant, OBJECTS).await.as_secs_f64();
    figures.show("bare_1000_seconds_after", after, "s");
    figures.at_least(
        "burst_ratio",
        f64::midpoint(before, after) / took,
        0.85,
        "of_bare_loop",
    );
}

/// When the process began to use no CPU: none in the following half second.
async fn idle_after(operator: &crate::support::process::Process) -> jiff::Timestamp {
    let mut since = jiff::Timestamp::now();
    let mut before = operator.cpu();
    loop {
        tokio::time::sleep(Duration::from_millis(50)).await;
        let (now, used) = (jiff::Timestamp::now(), operator.cpu());
        if used > before {
            (since, before) = (now, used);
        } else if now.duration_since(since).as_secs_f64() > 0.5 {
            return since;
        }
    }
}
