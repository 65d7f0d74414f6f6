//! Ten times as many objects as elsewhere: what the operator has in memory, how many connections it keeps, and what its restart asks for.

use serde_json::json;

use crate::figures::{Figures, number, quantile};
use crate::needless::count;
use crate::stage::{LONG, Stage, quiet, rotated};
use crate::support::process::Process;

const OBJECTS: usize = 10_000;

/// After 10,000 first issues, and after a restart with as many.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    let plain = json!({"rotation": {"trigger": "0"}});
    stage.fleet.create(0..OBJECTS, &plain).await;
    rotated(&operator, OBJECTS).await;
    quiet(&operator, LONG).await;
    stage.fleet.settled(0..OBJECTS, "0", LONG).await;
    size(figures, "issued_10000", &operator);
    scrape(figures, &operator).await;
    drop(operator);
    stage.requests();
    stage.zitadel().clear_ledger();

    let operator = stage.operator().await;
    quiet(&operator, LONG).await;
    let made = count(figures, &mut stage, "restart_10000").await;
    size(figures, "restart_10000", &operator);
    figures.exactly("generates_with_10000", number(made), 0.0, "calls");
}

/// How long a scrape takes, without series of each object.
async fn scrape(figures: &mut Figures, operator: &Process) {
    let mut took = Vec::new();
    for _ in 0..11 {
        let started = std::time::Instant::now();
        let answer = reqwest::get(format!("{}/metrics", operator.admin)).await;
        let text = answer.unwrap().text().await.unwrap();
        took.push(started.elapsed().as_secs_f64() * 1000.0);
        let ready = format!("managed_objects{{state=\"ready\"}} {OBJECTS}\n");
        assert!(text.contains(&ready), "the scrape shows all objects");
        assert!(!text.contains("object_condition{"), "and none by its name");
    }
    figures.at_most(
        "metrics_scrape_ms_at_10000",
        quantile(&took, 0.5),
        50.0,
        "ms",
    );
}

fn size(figures: &mut Figures, when: &str, operator: &Process) {
    let memory = operator.memory();
    figures.show(&format!("{when}_rss_mib"), memory.resident, "MiB");
    figures.show(&format!("{when}_heap_mib"), memory.anonymous, "MiB");
    let open = number(sockets(operator.pid()));
    figures.at_most(&format!("{when}_sockets"), open, 64.0, "sockets");
}

/// How many sockets a process has open.
fn sockets(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
