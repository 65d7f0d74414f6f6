//! Leader election against a real API server, with the default times divided by five.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::path::Path;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use kube::Api;
use kube::config::{KubeConfigOptions, Kubeconfig};
use support::controlplane::{ControlPlane, Options};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zitadel_secret_operator::runtime::clock::{ServerClock, SystemClock};
use zitadel_secret_operator::runtime::kube_client::{KubeRequestLayer, kube_client};
use zitadel_secret_operator::runtime::leader::{Identity, LeaderElector, LeadershipWatch, Timing};
use zitadel_secret_operator::runtime::metrics::Metrics;

const TIMING: Timing = Timing {
    lease: Duration::from_secs(3),
    renew_deadline: Duration::from_secs(2),
    retry: Duration::from_millis(400),
    jitter: 0.2,
};

/// For what has to happen, on a machine that is busy with other tests.
const LONG: Duration = Duration::from_mins(1);

struct Candidate {
    watch: LeadershipWatch,
    task: JoinHandle<()>,
    release: CancellationToken,
    server_clock: ServerClock,
}

async fn candidate(kubeconfig: &Path, namespace: &str, pod: &str) -> Candidate {
    process(kubeconfig, namespace, pod, "1").await
}

async fn process(kubeconfig: &Path, namespace: &str, pod: &str, process: &str) -> Candidate {
    let identity = Identity {
        pod: pod.to_owned(),
        process: process.to_owned(),
    };
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let options = KubeConfigOptions::default();
    let config = kube::Config::from_custom_kubeconfig(kubeconfig, &options)
        .await
        .unwrap();
    let clock = Arc::new(SystemClock);
    let server_clock = ServerClock::new(clock.clone());
    let layer = KubeRequestLayer::new(Metrics::new(), server_clock.clone(), TIMING.retry);
    let client = kube_client(config, &layer).unwrap();
    let elector = LeaderElector::new(client, namespace, "lock", identity, TIMING, clock).unwrap();
    let release = CancellationToken::new();
    Candidate {
        watch: elector.watch(),
        task: tokio::spawn(elector.run(release.clone())),
        release,
        server_clock,
    }
}

async fn leads(candidate: &Candidate) -> bool {
    timeout(LONG, candidate.watch.leading()).await == Ok(true)
}

async fn spec(cluster: &ControlPlane, namespace: &str) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(cluster.client().await, namespace);
    leases.get("lock").await.unwrap().spec.unwrap()
}

#[tokio::test]
async fn another_takes_over_when_the_leader_is_killed_but_not_before_its_lease_is_over() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.fresh_namespace("leader-killed").await;
    let first = candidate(cluster.admin_kubeconfig(), &namespace, "first").await;
    assert!(leads(&first).await);
    assert!(first.server_clock.now().is_some());
    let second = candidate(cluster.admin_kubeconfig(), &namespace, "second").await;
    // Longer than the lease: the first renews it.
    assert!(
        timeout(TIMING.lease * 2, second.watch.leading())
            .await
            .is_err()
    );
    assert!(first.watch.leads());

    let killed = Instant::now();
    first.task.abort();
    assert!(leads(&second).await);
    assert!(
        killed.elapsed() + TIMING.retry * 2 > TIMING.lease,
        "{:?}",
        killed.elapsed()
    );
    assert!(!first.watch.leads());
    let spec = spec(cluster, &namespace).await;
    assert_eq!(spec.holder_identity.as_deref(), Some("second_1"));
    assert_eq!(spec.lease_transitions, Some(1));
}

#[tokio::test]
async fn a_lease_that_is_released_is_free_at_once() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.fresh_namespace("leader-released").await;
    let first = candidate(cluster.admin_kubeconfig(), &namespace, "first").await;
    assert!(leads(&first).await);
    first.release.cancel();
    timeout(LONG, first.task).await.unwrap().unwrap();
    let released = spec(cluster, &namespace).await;
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
    assert_eq!(released.lease_transitions, Some(0));

    let second = candidate(cluster.admin_kubeconfig(), &namespace, "second").await;
    assert!(leads(&second).await);
    assert_eq!(spec(cluster, &namespace).await.lease_transitions, Some(1));
}

#[tokio::test]
async fn a_leader_steps_down_by_itself_when_the_api_server_is_gone() {
    if !ControlPlane::can_start() {
        return;
    }
    let cluster = ControlPlane::start(Options::default()).await;
    let namespace = cluster.fresh_namespace("leader-alone").await;
    let leader = candidate(cluster.admin_kubeconfig(), &namespace, "first").await;
    assert!(leads(&leader).await);
    cluster.kill();
    let gone = Instant::now();
    timeout(LONG, leader.watch.standby()).await.unwrap();
    assert!(!leader.watch.leads());
    assert!(gone.elapsed() < TIMING.lease, "{:?}", gone.elapsed());

    cluster.restart().await;
    assert!(leads(&leader).await);
}
