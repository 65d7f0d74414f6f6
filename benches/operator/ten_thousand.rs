//! Ten times as many objects as elsewhere: what the operator has in memory, how many connections it keeps, what its restart asks for,
//! what a replica costs that stands by, and how long the plugin takes.

use std::time::Duration;

use serde_json::json;

use crate::figures::{Figures, number, quantile};
use crate::needless::count;
use crate::plugin;
use crate::stage::{LONG, Stage, quiet, rotated};
use crate::support::process::Process;

const OBJECTS: usize = 10_000;

/// For how long a standby is watched.
const STANDBY: Duration = Duration::from_secs(60);

/// After 10,000 first issues, after a restart with as many, and of a replica beside the one that leads.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    let plain = json!({"rotation": {"trigger": "0"}});
    stage.fleet.create(0..OBJECTS, &plain).await;
    rotated(&operator, OBJECTS).await;
    quiet(&operator, LONG).await;
    stage.fleet.settled(0..OBJECTS, "0", LONG).await;
    size(figures, "after_issue", &operator);
    scrape(figures, &operator).await;
    plugin::run(figures, stage.cluster().admin_kubeconfig());
    drop(operator);
    stage.requests();
    stage.zitadel().clear_ledger();

    let operator = stage.operator().await;
    quiet(&operator, LONG).await;
    let made = count(figures, &mut stage, "restart_10000").await;
    size(figures, "after_restart", &operator);
    figures.exactly("generates_with_10000", number(made), 0.0, "calls");
    drop(operator);
    standby(figures, &stage).await;
}

/// What a standby costs that has nothing to do but to be ready.
async fn standby(figures: &mut Figures, stage: &Stage) {
    let leader = stage.launch().leader_elect(true).start();
    while leader.metric("leader").await != Some(1.0) {
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
    quiet(&leader, LONG).await;
    let standby = stage.launch().pod("operator-1").leader_elect(true).start();
    while !standby.is_ready().await {
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    quiet(&standby, Duration::from_secs(30)).await;
    let cpu = standby.cpu();
    tokio::time::sleep(STANDBY).await;
    let percent = (standby.cpu() - cpu) / STANDBY.as_secs_f64() * 100.0;
    figures.at_most("standby_cpu_percent_at_10000", percent, 0.5, "%");
    figures.show("standby_10000_mib", standby.memory().resident, "MiB");
    assert_eq!(standby.metric("leader").await, Some(0.0));
}

/// How long a scrape takes, without series of each object.
async fn scrape(figures: &mut Figures, operator: &Process) {
    let mut took = Vec::new();
    for _ in 0..11 {
        let started = std::time::Instant::now();
        let answer = reqwest::get(format!("{}/metrics", operator.admin)).await;
        let text = answer.unwrap().text().await.unwrap();
        took.push(started.elapsed().as_secs_f64() * 1000.0);
        let ready = format!("managed_objects{{kind=\"ApiAppSecret\",state=\"ready\"}} {OBJECTS}\n");
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
    let name = format!("ten_thousand_{when}");
    figures.at_most(&format!("{name}_mib"), memory.resident, 80.0, "MiB");
    figures.show(&format!("{name}_heap_mib"), memory.anonymous, "MiB");
    let open = number(sockets(operator.pid()));
    figures.at_most(&format!("{name}_sockets"), open, 64.0, "sockets");
}

/// How many sockets a process has open.
fn sockets(pid: u32) -> usize {
    let open = std::fs::read_dir(format!("/proc/{pid}/fd")).unwrap();
    let targets = open.filter_map(|entry| std::fs::read_link(entry.ok()?.path()).ok());
    targets
        .filter(|target| target.to_string_lossy().starts_with("socket:"))
        .count()
}
