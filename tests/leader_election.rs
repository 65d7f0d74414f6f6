//! Leader election against a real API server: electors with the default times divided by five, and the operator itself with its
//! default times.
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
use rustix::process::Signal;
use serde_json::json;
use support::controlplane::{ControlPlane, Options};
use support::process::{Launch, Process};
use support::world::{OPERATOR_NAMESPACE, Tenant, World};
use support::{eventually, rights};
use tokio::task::JoinHandle;
use tokio::time::timeout;
use tokio_util::sync::CancellationToken;
use zitadel_secret_operator::api::AppSecret;
use zitadel_secret_operator::process::clock::{ServerClock, SystemClock};
use zitadel_secret_operator::process::kube_client::{KubeRequestLayer, kube_client};
use zitadel_secret_operator::process::leader::{
    Identity, LeaderElector, LeadershipWatch, LeaseTiming,
};
use zitadel_secret_operator::process::metrics::Metrics;
use zitadel_secret_operator::process::relist::Relist;
use zitadel_simulator::{AppHandle, Operation};

const TIMING: LeaseTiming = LeaseTiming {
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
    let elector = LeaderElector::new(
        client,
        namespace,
        "lock",
        identity,
        TIMING,
        clock,
        Relist::default(),
    )
    .unwrap();
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
    let kubeconfig = rights::grant(cluster, &namespace).await;
    let first = candidate(&kubeconfig, &namespace, "first").await;
    assert!(leads(&first).await);
    assert!(first.server_clock.now().is_some());
    let second = candidate(&kubeconfig, &namespace, "second").await;
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
    let kubeconfig = rights::grant(cluster, &namespace).await;
    let first = candidate(&kubeconfig, &namespace, "first").await;
    assert!(leads(&first).await);
    first.release.cancel();
    timeout(LONG, first.task).await.unwrap().unwrap();
    let released = spec(cluster, &namespace).await;
    assert_eq!(released.holder_identity.as_deref(), Some(""));
    assert_eq!(released.lease_duration_seconds, Some(1));
    assert_eq!(released.lease_transitions, Some(0));

    let second = candidate(&kubeconfig, &namespace, "second").await;
    assert!(leads(&second).await);
    assert_eq!(spec(cluster, &namespace).await.lease_transitions, Some(1));
}

#[tokio::test]
async fn a_leader_steps_down_by_itself_when_the_api_server_is_gone() {
    let cluster = ControlPlane::start(Options::default()).await;
    let namespace = cluster.fresh_namespace("leader-alone").await;
    let kubeconfig = rights::grant(&cluster, &namespace).await;
    let leader = candidate(&kubeconfig, &namespace, "first").await;
    assert!(leads(&leader).await);
    cluster.kill();
    let gone = Instant::now();
    timeout(LONG, leader.watch.standby()).await.unwrap();
    assert!(!leader.watch.leads());
    assert!(gone.elapsed() < TIMING.lease, "{:?}", gone.elapsed());

    cluster.restart().await;
    assert!(leads(&leader).await);
}

#[tokio::test]
async fn a_process_that_begins_in_the_leaders_pod_leads_without_waiting() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.fresh_namespace("leader-restarted").await;
    let kubeconfig = &rights::grant(cluster, &namespace).await;
    let first = process(kubeconfig, &namespace, "first", "1").await;
    assert!(leads(&first).await);
    let standby = candidate(kubeconfig, &namespace, "second").await;
    first.task.abort();
    let again = process(kubeconfig, &namespace, "first", "2").await;
    assert!(leads(&again).await);
    // No other replica led in between: the Lease went from one process of the pod to the next.
    let spec = spec(cluster, &namespace).await;
    assert_eq!(spec.holder_identity.as_deref(), Some("first_2"));
    assert_eq!(spec.lease_transitions, Some(1));
    assert!(again.watch.leads() && !standby.watch.leads());
}

/// The Lease of the operator.
async fn operators_lease(tenant: &Tenant) -> LeaseSpec {
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let lease = leases.get("zitadel-secret-operator").await.unwrap();
    lease.spec.unwrap()
}

async fn until_leader(process: &Process) {
    eventually(LONG, || async {
        (process.metric("leader").await == Some(1.0)).then_some(())
    })
    .await;
}

async fn until_ready(process: &Process) {
    eventually(LONG, || async { process.is_ready().await.then_some(()) }).await;
}

/// A control plane of one's own with an object at rest, and how replicas with leader election and default times are started.
async fn at_rest(prefix: &str) -> (World, Tenant, AppHandle, Launch) {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant(prefix).await;
    let app = tenant.app("orders");
    let launch = Launch::new(&world.kubeconfig, &world.directory)
        // NB: of two processes with the name of one pod, the second is not believed.
        .pod(prefix)
        .leader_elect(true);
    (world, tenant, app, launch)
}

/// Has the leader killed after ZITADEL has made a new value and before it is written.
async fn killed_in_the_window(tenant: &Tenant, app: &AppHandle, leader: Process) {
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let gate = tenant.zitadel.hold_after(Operation::Generate);
    let trigger = json!({"rotation": {"trigger": "now"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    timeout(LONG, gate.reached()).await.unwrap();
    leader.kill();
    tenant.zitadel.clear_faults();
}

#[tokio::test]
async fn a_standby_has_watched_the_open_claim_when_it_takes_over() {
    let (world, tenant, app, launch) = at_rest("standby").await;
    let leader = launch.clone().pod("one").start();
    until_leader(&leader).await;
    let standby = launch.pod("two").start();
    until_ready(&standby).await;
    killed_in_the_window(&tenant, &app, leader).await;
    let killed = Instant::now();
    tenant.until_accepted(&app, "orders").await;
    let took = killed.elapsed();
    assert_eq!(
        tenant.generates(&app),
        3,
        "one, the one lost, its replacement"
    );
    // What was watched while the Lease ran out need not be watched again.
    let taken = operators_lease(&tenant).await.acquire_time.unwrap().0;
    let replaced = world.zitadel.executions().last().unwrap().executed_at;
    let after = replaced.duration_since(taken);
    assert!(after.as_secs() < 5, "{after} after the Lease was taken");
    assert!(took <= Duration::from_secs(20), "{took:?}");
}

#[tokio::test]
async fn a_container_that_restarts_mends_what_it_lost_without_waiting_for_its_own_lease() {
    let (_world, tenant, app, launch) = at_rest("restarted").await;
    let leader = launch.clone().start();
    until_leader(&leader).await;
    killed_in_the_window(&tenant, &app, leader).await;
    let killed = Instant::now();
    let _again = launch.start();
    tenant.until_accepted(&app, "orders").await;
    // Either wait would have been 15 s: for the Lease, or for the open claim.
    assert!(
        killed.elapsed() < Duration::from_secs(8),
        "{:?}",
        killed.elapsed()
    );
    assert_eq!(tenant.generates(&app), 3);
}

#[tokio::test]
async fn a_second_container_of_the_pod_does_not_take_the_first_one_for_dead() {
    let (_world, tenant, _app, launch) = at_rest("twins").await;
    let first = launch.start();
    until_leader(&first).await;
    let before = operators_lease(&tenant).await;
    let second = launch.start();
    // It has read the Lease more than once, and left it alone.
    eventually(LONG, || async {
        let reads = second
            .metric_of("kubernetes_requests_total", &["get", "leases"])
            .await;
        (reads >= Some(3.0)).then_some(())
    })
    .await;
    let after = operators_lease(&tenant).await;
    assert_eq!(after.holder_identity, before.holder_identity);
    assert_eq!(after.lease_transitions, Some(0));
    assert_eq!(first.metric("leader").await, Some(1.0));
    assert!(
        second
            .printed()
            .contains("another process of this pod is alive")
    );
}

#[tokio::test]
async fn a_process_outlives_an_outage_of_the_api_server_leads_again_and_repairs_what_was_deleted_meanwhile()
 {
    let (world, tenant, app, launch) = at_rest("outage").await;
    let process = launch.start();
    until_leader(&process).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    world.cluster.kill();
    eventually(LONG, || async {
        (process.metric("leader").await == Some(0.0)).then_some(())
    })
    .await;
    world.cluster.restart().await;
    // No watch shows this: each begins anew with a list.
    tenant.delete_secret("orders").await;
    let back = Instant::now();
    until_leader(&process).await;
    let took = back.elapsed();
    assert!(took < Duration::from_secs(15), "{took:?}");
    assert_eq!(process.ended(), None);
    until_ready(&process).await;
    tenant.until_generates(&app, 2).await;
    tenant.until_accepted(&app, "orders").await;
    let trigger = json!({"rotation": {"trigger": "after the outage"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    tenant.until_generates(&app, 3).await;
}

#[tokio::test]
async fn a_leader_that_stood_still_rotates_nothing_when_it_wakes_up_and_leads_again_in_the_same_process()
 {
    let (_world, tenant, app, launch) = at_rest("frozen").await;
    let first = launch.clone().pod("one").start();
    until_leader(&first).await;
    let second = launch.pod("two").start();
    until_ready(&second).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let rotated = async |trigger: &str, generates: u64| {
        let change = json!({"spec": {"rotation": {"trigger": trigger}}});
        tenant.edit("orders", change).await;
        let handled = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            (status.observed_trigger.as_deref() == Some(trigger)).then_some(())
        };
        tokio::time::timeout(LONG, tenant.until_accepted(&app, "orders"))
            .await
            .unwrap();
        tenant.until("orders", handled).await;
        assert_eq!(tenant.generates(&app), generates, "{trigger}");
    };

    first.signal(Signal::STOP);
    until_leader(&second).await;
    rotated("while the first stands still", 2).await;
    first.signal(Signal::CONT);
    let says = "standby: this replica led and lost it, and stands for election again";
    eventually(LONG, || async {
        first.readiness().await?.contains(says).then_some(())
    })
    .await;
    assert!(first.is_ready().await);
    assert_eq!(first.metric("leader").await, Some(0.0));
    rotated("while it stands by", 3).await;
    let calls = first.metric("generates_total").await;

    second.signal(Signal::TERM);
    until_leader(&first).await;
    assert_eq!(first.ended(), None);
    rotated("once more", 4).await;
    assert_eq!(calls, Some(1.0), "the first issue alone");
    assert_eq!(first.metric("generates_total").await, Some(2.0));
}
