//! The node itself: a Pod runs on it, kubectl reaches it, and nothing of it remains.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::core::v1::Pod;
use kube::api::Api;
use serde_json::json;

use crate::support::controlplane::{ControlPlane, Options};
use crate::support::node::Node;
use crate::support::world::PATIENCE;
use crate::support::{apply, eventually};

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn a_killed_node_leaves_nothing() {
    let cluster = ControlPlane::start(Options::default()).await;
    let node = Node::start(&cluster, &[]).await;
    node.import_program(Path::new("/bin/sh"), "localhost/sh:1");
    let namespace = cluster.fresh_namespace("node").await;
    let pods: Api<Pod> = Api::namespaced(cluster.client().await, &namespace);
    let script = "echo started; read line";
    let pod = json!({
        "apiVersion": "v1", "kind": "Pod", "metadata": {"name": "sh"},
        "spec": {"containers": [{"name": "sh", "image": "localhost/sh:1", "command": ["/sh", "-c", script], "stdin": true}]},
    });
    apply(&pods, &pod).await.unwrap();
    let container = eventually(PATIENCE, || async {
        let statuses = pods.get("sh").await.unwrap().status?.container_statuses?;
        statuses
            .first()
            .filter(|status| status.ready)?
            .container_id
            .clone()
    })
    .await;

    let logs = cluster.kubectl(&["logs", "--namespace", &namespace, "sh"]);
    assert_eq!(String::from_utf8_lossy(&logs.stdout), "started\n");
    let exec = [
        "exec",
        "--namespace",
        &namespace,
        "sh",
        "--",
        "/sh",
        "-c",
        "echo $((6 * 7))",
    ];
    assert_eq!(
        String::from_utf8_lossy(&cluster.kubectl(&exec).stdout),
        "42\n"
    );

    let processes = node.cgroup("memory", &container).join("cgroup.procs");
    let process: u32 = std::fs::read_to_string(processes)
        .unwrap()
        .trim()
        .parse()
        .unwrap();
    let remains = [
        node.cgroups(),
        vec![
            node.data_dir().to_owned(),
            format!("/proc/{process}").into(),
        ],
    ]
    .concat();
    assert!(
        remains.len() > 8 && remains.iter().all(|path| path.exists()),
        "{remains:?}"
    );
    node.kill();
    eventually(Duration::from_secs(30), || async {
        (!remains.iter().any(|path| path.exists())).then_some(())
    })
    .await;
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap();
    assert!(
        !mounts.contains(node.data_dir().to_str().unwrap()),
        "{mounts}"
    );
}
