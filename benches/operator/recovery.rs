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
    /// The container restarts in the same pod.
    SamePod,
    /// The same, with leader election: its own Lease has not run out.
    SamePodElected,
    /// Another pod, without leader election.
    OtherPod,
    /// Another pod that stood by, with leader election.
    Standby,
}

/// A figure, who comes, how often, and the target for the slowest in seconds.
const KINDS: [(&str, Successor, usize, f64); 4] = [
    ("recovery_same_pod", Successor::SamePod, 8, 3.0),
    (
        "recovery_same_pod_with_election",
        Successor::SamePodElected,
        8,
        3.0,
    ),
    ("recovery", Successor::OtherPod, 5, 20.0),
    ("recovery_with_election", Successor::Standby, 5, 20.0),
];

/// Kills a replica in the destructive window, and waits for its successor to mend it.
pub async fn run(figures: &mut Figures) {
    // An object of its own for each kill: of too many repairs of one the breaker opens.
    let objects = KINDS.iter().map(|(_, _, times, _)| times).sum();
    let stage = Stage::new(objects).await;
    let operator = stage.operator().await;
    stage.issue(&operator, objects).await;
    drop(operator);
    let mut generates = Vec::new();
    for (figure, successor, times, most) in KINDS {
        let mut took = Vec::new();
        for _ in 0..times {
            let (seconds, made) = once(&stage, successor, generates.len()).await;
            took.push(seconds);
            generates.push(number(made));
        }
        figures.show(&format!("{figure}_seconds_p50"), quantile(&took, 0.5), "s");
        let slowest = quantile(&took, 0.99);
        figures.at_most(&format!("{figure}_seconds_p99"), slowest, most, "s");
    }
    // The one that was lost and the one that replaces it.
    let most = generates.iter().copied().fold(0.0, f64::max);
    figures.at_most("generates_per_kill_in_the_window", most, 2.0, "calls");
}

/// Seconds from the start of the successor, or from the kill where it stands by, to a Secret that ZITADEL accepts; and how many
/// values were made.
async fn once(stage: &Stage, successor: Successor, n: usize) -> (f64, usize) {
    let elects = matches!(successor, Successor::Standby | Successor::SamePodElected);
    let first = stage.launch().pod("operator-a").leader_elect(elects);
    let victim = first.start();
    let other = first.clone().pod("operator-b");
    leads(&victim).await;
    let standby = (successor == Successor::Standby).then(|| other.start());
    if let Some(standby) = &standby {
        while !standby.is_ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
    stage.zitadel().clear_ledger();
    let gate = stage.zitadel().hold_after(Operation::Generate);
    stage.fleet.trigger(n..n + 1, "1").await;
    tokio::time::timeout(LONG, gate.reached()).await.unwrap();
    victim.kill();
    let began = Instant::now();
    stage.zitadel().clear_faults();
    let next: Launch = match successor {
        Successor::SamePod | Successor::SamePodElected => first,
        Successor::OtherPod | Successor::Standby => other,
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

/// Waits until a replica leads, or works without leader election.
async fn leads(replica: &Process) {
    while replica.metric("leader").await != Some(1.0) {
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
