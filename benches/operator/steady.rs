//! What 100 objects cost while nothing happens, with leader election as in a real cluster.

use std::time::Duration;

use crate::figures::{Figures, number};
use crate::stage::{LEADER_LEASE, Stage, USER, quiet};
use crate::support::audit::AuditLog;

const OBJECTS: usize = 100;

/// Watches for `BENCH_STEADY_SECONDS`, five minutes by default.
pub async fn run(figures: &mut Figures) {
    let seconds = std::env::var("BENCH_STEADY_SECONDS");
    let seconds: u64 = seconds
        .ok()
        .and_then(|text| text.parse().ok())
        .unwrap_or(300);
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.launch().leader_elect(true).start();
    let began = AuditLog::from_now(stage.cluster().audit_log());
    stage.issue(&operator, OBJECTS).await;
    quiet(&operator, Duration::from_secs(10)).await;
    stage.requests();
    stage.zitadel().clear_ledger();
    let cpu = operator.cpu();

    tokio::time::sleep(Duration::from_secs(seconds)).await;

    let requests = stage.requests();
    for request in &requests {
        eprintln!("unexpected: {} {}", request.verb, request.uri);
    }
    let per_object = |count: usize| number(count) / number(OBJECTS);
    figures.exactly(
        "steady_requests_per_object",
        per_object(requests.len()),
        0.0,
        "requests",
    );
    let lists = requests
        .iter()
        .filter(|request| request.verb == "list")
        .count();
    figures.exactly("lists_after_start", number(lists), 0.0, "requests");
    let election = whole(began, |request| {
        request.user() == USER && request.name() == LEADER_LEASE
    });
    figures.show("leader_election_requests", election, "requests");
    let zitadel = stage.zitadel().request_log().len();
    figures.show(
        "steady_zitadel_requests_per_object",
        per_object(zitadel),
        "requests",
    );
    figures.show("steady_cpu_seconds", operator.cpu() - cpu, "s");
    figures.show(
        "steady_seconds",
        Duration::from_secs(seconds).as_secs_f64(),
        "s",
    );
}

fn whole(mut log: AuditLog, wanted: impl Fn(&crate::support::audit::Request) -> bool) -> f64 {
    number(log.read().iter().filter(|request| wanted(request)).count())
}
