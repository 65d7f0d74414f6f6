//! How long a credential stays lost when the operator is killed between ZITADEL's execution and the Secret, with default times.

use std::time::{Duration, Instant};

use serde_json::json;
use zitadel_simulator::Operation;

use crate::figures::{Figures, number, quantile};
use crate::stage::{LONG, Stage};
use crate::support::fleet::name;
use crate::support::process::{Launch, Process};

/// Who comes after the replica that is killed.
#[derive(Clone, Copy, PartialEq)]
enum Successor {
    SamePod,
    OtherPod,
    Standby,
}

/// The container restarts; another pod comes; another pod stands by, with leader election.
pub async fn run(figures: &mut Figures) {
    let kinds = [
        ("recovery_same_pod", Successor::SamePod, 8),
        ("recovery", Successor::OtherPod, 5),
        ("recovery_with_standby", Successor::Standby, 2),
    ];
    // An object of its own for each kill: of too many repairs of one the breaker opens.
    let objects = kinds.iter().map(|(.., times)| times).sum();
    let stage = Stage::new(objects).await;
    let operator = stage.operator().await;
    stage.issue(&operator, objects).await;
    drop(operator);
    let mut generates = Vec::new();
    for (figure, successor, times) in kinds {
        let mut took = Vec::new();
        for _ in 0..times {
            let (seconds, made) = once(&stage, successor, generates.len()).await;
            took.push(seconds);
            generates.push(number(made));
        }
        figures.show(&format!("{figure}_seconds_p50"), quantile(&took, 0.5), "s");
        figures.show(&format!("{figure}_seconds_p99"), quantile(&took, 0.99), "s");
    }
    // The one that was lost and the one that replaces it.
    let most = generates.iter().copied().fold(0.0, f64::max);
    figures.at_most("generates_per_kill_in_the_window", most, 2.0, "calls");
}

/// Seconds from the start of the successor, or from the kill where it stands by, to a Secret that ZITADEL accepts; and how many
/// values were made.
async fn once(stage: &Stage, successor: Successor, n: usize) -> (f64, usize) {
    let elects = successor == Successor::Standby;
    let first = stage.launch().pod("operator-a").leader_elect(elects);
    let victim = first.start();
    let other = first.clone().pod("operator-b");
    let standby = elects.then(|| other.start());
    leads(&victim, &standby).await;
    stage.zitadel().clear_ledger();
    let gate = stage.zitadel().hold_after(Operation::Generate);
    stage.fleet.trigger(n..n + 1, "1").await;
    tokio::time::timeout(LONG, gate.reached()).await.unwrap();
    victim.kill();
    let began = Instant::now();
    stage.zitadel().clear_faults();
    let next: Launch = if successor == Successor::SamePod {
        first
    } else {
        other
    };
    let operator = standby.unwrap_or_else(|| next.start());
    until_accepted(stage, n).await;
    let seconds = began.elapsed().as_secs_f64();
    stage.fleet.settled(n..n + 1, "1", LONG).await;
    drop(operator);
    if elects {
        // The next pair must not wait for the Lease of this one.
        let params = kube::api::DeleteParams::default();
        let leases: kube::Api<k8s_openapi::api::coordination::v1::Lease> = kube::Api::namespaced(
            stage.fleet.tenant.client.clone(),
            crate::stage::claims_namespace(),
        );
        leases
            .delete(crate::stage::LEADER_LEASE, &params)
            .await
            .unwrap();
    }
    (seconds, stage.zitadel().executions().len())
}

/// Waits until the first of two replicas leads, or works without leader election.
async fn leads(victim: &Process, standby: &Option<Process>) {
    while victim.metric("leader").await != Some(1.0) {
        if let Some(standby) = standby {
            assert_ne!(
                standby.metric("leader").await,
                Some(1.0),
                "the wrong one leads"
            );
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

async fn until_accepted(stage: &Stage, n: usize) {
    let (tenant, app) = (&stage.fleet.tenant, &stage.fleet.apps[n]);
    let began = Instant::now();
    while !tenant.accepted(app, &name(n)).await {
        assert!(
            began.elapsed() < LONG,
            "{}",
            json!(tenant.objects().get(&name(n)).await.unwrap().status)
        );
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}
