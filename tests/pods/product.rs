//! What happens to the operator's Pod: it is made, deleted, killed, cut off from the API server, drained; its memory.

use std::collections::BTreeSet;
use std::time::{Duration, Instant};

use futures::StreamExt as _;
use kube::ResourceExt as _;
use kube::api::{DeleteParams, ListParams, WatchEvent, WatchParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use zitadel_simulator::{Gate, Operation};

use super::installed::{Installed, RELEASE, container, figure, import, installed, released_image};
use crate::support::eventually;
use crate::support::fleet::Fleet;
use crate::support::node::Node;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE};

/// The Pods that a drain is about.
const OPERATORS: &str = "--pod-selector=app.kubernetes.io/component=operator";

async fn held(gate: &Gate) {
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
}

fn kill(process: u32) {
    signal(process, Signal::KILL);
}

fn signal(process: u32, signal: Signal) {
    let pid = Pid::from_raw(i32::try_from(process).unwrap()).unwrap();
    kill_process(pid, signal).unwrap();
}

/// Waits until the Lease was free, that is until its holder gave it up. One that is killed does not.
async fn released(installed: &Installed, version: String) {
    let leases = installed.leases().await;
    let params = WatchParams::default().fields(&format!("metadata.name={RELEASE}"));
    let mut changes = leases.watch(&params, &version).await.unwrap().boxed();
    while let Some(change) = changes.next().await {
        if let WatchEvent::Modified(lease) = change.unwrap()
            && lease.spec.unwrap().holder_identity.as_deref() == Some("")
        {
            return;
        }
    }
    panic!("the watch ended");
}

async fn lease_version(installed: &Installed) -> String {
    let lease = installed.leases().await.get(RELEASE).await.unwrap();
    lease.resource_version().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn it_is_installed_by_its_chart_passes_helm_test_and_issues_a_secret() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("first").await;
    let began = Instant::now();
    let app = tenant.issued("orders", json!({})).await;
    figure("node_first_secret", began.elapsed());
    assert!(tenant.accepted(&app, "orders").await);
    let test = ["test", RELEASE, "--namespace", OPERATOR_NAMESPACE, "--logs"];
    let printed = installed.run_helm(&test).await;
    assert!(printed.contains("Phase:          Succeeded"), "{printed}");
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_deleted_pod_writes_what_is_under_way_and_hands_over_the_lease() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("deleted").await;
    tenant.connected().await;
    let pod = installed.pod().await;
    let name = pod.name_any();
    let app = tenant.app("orders");
    let gate = installed.world.zitadel.hold_after(Operation::Generate);
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    held(&gate).await;
    let version = lease_version(installed).await;
    let pods = installed.pods().await;
    pods.delete(&name, &DeleteParams::default()).await.unwrap();
    eventually(PATIENCE, || async {
        installed.log(&name).contains("stopping").then_some(())
    })
    .await;
    assert!(!tenant.accepted(&app, "orders").await);
    let began = Instant::now();
    gate.release();
    tokio::time::timeout(PATIENCE, released(installed, version))
        .await
        .unwrap();
    assert!(
        tenant.accepted(&app, "orders").await,
        "written before the end"
    );
    let next = installed.pod().await;
    assert_ne!(next.name_any(), name);
    installed.leads(&next).await;
    figure("node_deleted_next_leads", began.elapsed());
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_killed_process_is_restarted_and_replaces_a_value_that_died_with_it() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("killed").await;
    let orders = tenant.issued("orders", json!({})).await;
    let pod = installed.pod().await;
    let before = container(&pod).unwrap().restart_count;
    let holder = installed.holder().await;

    let began = Instant::now();
    kill(installed.process(&pod));
    eventually(PATIENCE, || async {
        (installed.holder().await != holder).then_some(())
    })
    .await;
    figure("node_killed_idle_leads_again", began.elapsed());
    let pod = installed.restarted(&pod, before + 1).await;
    tenant.trigger("orders", "after").await;
    tenant.handled("orders", "after").await;
    assert_eq!(
        tenant.generates(&orders),
        2,
        "nothing but what was asked for"
    );

    // In a new Pod: the kubelet waits 10 s before the second restart in one.
    let pods = installed.pods().await;
    let params = DeleteParams::default();
    pods.delete(&pod.name_any(), &params).await.unwrap();
    let pod = installed.pod().await;
    installed.leads(&pod).await;
    let app = tenant.app("billing");
    let gate = installed.world.zitadel.hold_after(Operation::Generate);
    tenant.apply("billing", &app.id, json!({})).await.unwrap();
    held(&gate).await;
    let began = Instant::now();
    kill(installed.process(&pod));
    gate.release();
    tenant.ready("billing").await;
    figure("node_killed_in_flight_ready", began.elapsed());
    installed.restarted(&pod, 1).await;
    assert!(tenant.accepted(&app, "billing").await);
    assert_eq!(
        tenant.generates(&app),
        2,
        "the lost one and its replacement"
    );
}

/// Much longer than a process that hangs should last: 45 s of failed probes, and 20 s of grace. With the grace period of its Pod it
/// would be 185 s.
const HUNG: Duration = Duration::from_secs(150);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_process_that_hangs_is_restarted_and_leads_again() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("hung").await;
    let app = tenant.issued("orders", json!({})).await;
    // In a new Pod: the kubelet waits before another restart in the same one.
    let pods = installed.pods().await;
    let before = installed.pod().await.name_any();
    pods.delete(&before, &DeleteParams::default())
        .await
        .unwrap();
    let pod = installed.pod().await;
    installed.leads(&pod).await;
    let holder = installed.holder().await;

    let began = Instant::now();
    signal(installed.process(&pod), Signal::STOP);
    eventually(HUNG, || async {
        let now = installed.holder().await;
        (now.is_some() && now != holder).then_some(())
    })
    .await;
    figure("node_hung_leads_again", began.elapsed());
    let again = installed.restarted(&pod, 1).await;
    installed.leads(&again).await;
    tenant.trigger("orders", "after").await;
    tenant.handled("orders", "after").await;
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn an_api_server_that_is_away_for_45_s_restarts_nothing() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("away").await;
    let app = tenant.issued("orders", json!({})).await;
    let pod = installed.pod().await;
    let (before, process) = (container(&pod).unwrap(), installed.process(&pod));
    installed.world.cluster.kill();
    // As long as a probe would take to fail for good, if it asked the API server.
    tokio::time::sleep(Duration::from_secs(45)).await;
    assert_eq!(installed.process(&pod), process, "not restarted meanwhile");
    installed.world.cluster.restart().await;
    let began = Instant::now();
    tenant.trigger("orders", "after").await;
    tenant.handled("orders", "after").await;
    figure("node_api_server_back_rotated", began.elapsed());
    let pod = installed.pod().await;
    let after = container(&pod).unwrap();
    assert_eq!(
        (after.container_id, after.restart_count),
        (before.container_id, before.restart_count)
    );
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_thousand_objects_fit_into_the_memory_that_the_chart_allows() {
    let (installed, _turn) = installed().await;
    let tenant = installed.tenant("thousand").await;
    tenant.connected().await;
    // The binary of a debug build is another one.
    let size = if released_image().is_some() { 1000 } else { 50 };
    let pod = installed.pod().await;
    let status = container(&pod).unwrap();
    let cgroup = installed
        .node
        .cgroup("memory", &status.container_id.unwrap());
    let bytes = |file: &str| -> u64 {
        let text = std::fs::read_to_string(cgroup.join(file)).unwrap();
        text.trim().parse().unwrap()
    };
    let anonymous = || -> u64 {
        let text = std::fs::read_to_string(cgroup.join("memory.stat")).unwrap();
        let line = text.lines().find_map(|line| line.strip_prefix("rss "));
        line.unwrap().parse().unwrap()
    };
    let mebibytes = |bytes: u64| f64::from(u32::try_from(bytes >> 10).unwrap()) / 1024.0;
    println!(
        "figure node_memory_before {:.1} MiB",
        mebibytes(anonymous())
    );
    let fleet = Fleet::new(tenant, size);
    fleet.create_all().await;
    fleet.settled(0..size, "0", PATIENCE * 5).await;
    println!(
        "figure node_memory_{size}_objects {:.1} MiB",
        mebibytes(anonymous())
    );
    println!(
        "figure node_memory_{size}_objects_peak_with_cache {:.1} MiB",
        mebibytes(bytes("memory.max_usage_in_bytes"))
    );
    assert_eq!(bytes("memory.limit_in_bytes"), 128 << 20, "the chart's");
    assert_eq!(bytes("memory.failcnt"), 0, "the limit was never reached");
    assert_eq!(installed.pod().await.name_any(), pod.name_any());
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_drained_node_moves_two_replicas_one_after_the_other() {
    let (installed, _turn) = installed().await;
    let world = &installed.world;
    let tenant = installed.tenant("drained").await;
    let app = tenant.issued("orders", json!({})).await;
    installed.helm("upgrade", &["--set", "replicas=2"]).await;
    let before = installed.ready(2).await;
    let other = Node::join(&world.cluster, &[installed.port], "127.0.0.2").await;
    import(&other);

    let gate = world.zitadel.hold_after(Operation::Generate);
    tenant.trigger("orders", "during").await;
    held(&gate).await;
    let kubeconfig = world.cluster.clone();
    let began = Instant::now();
    let drain = tokio::task::spawn_blocking(move || {
        kubeconfig.kubectl(&["drain", "localhost", OPERATORS, "--timeout=150s"])
    });
    // The one that does not lead goes first or second; with the other on its way out, the first may not be evicted.
    eventually(PATIENCE, || async {
        let pods = installed.pods().await;
        let listed = pods.list(&ListParams::default()).await.ok()?;
        listed
            .iter()
            .any(|pod| pod.metadata.deletion_timestamp.is_some())
            .then_some(())
    })
    .await;
    gate.release();
    let drained = drain.await.unwrap();
    assert!(
        drained.status.success(),
        "{}",
        String::from_utf8_lossy(&drained.stderr)
    );
    figure("node_drained", began.elapsed());
    let after = installed.ready(2).await;
    let nodes: BTreeSet<_> = after
        .iter()
        .filter_map(|pod| pod.spec.as_ref()?.node_name.clone())
        .collect();
    assert_eq!(nodes, BTreeSet::from(["127.0.0.2".to_owned()]));
    assert!(
        before
            .iter()
            .all(|old| after.iter().all(|new| new.name_any() != old.name_any()))
    );
    tenant.handled("orders", "during").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 2);

    // As it was before, for the other tests.
    installed.helm("upgrade", &["--set", "replicas=1"]).await;
    for arguments in [
        &["uncordon", "localhost"][..],
        &["drain", "127.0.0.2", OPERATORS, "--timeout=60s"],
    ] {
        let done = world.cluster.kubectl(arguments);
        assert!(done.status.success(), "{arguments:?}");
    }
    installed.pod().await;
    world.cluster.kubectl(&["delete", "node", "127.0.0.2"]);
    drop(other);
}
