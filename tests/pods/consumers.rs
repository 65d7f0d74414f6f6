//! When a new value reaches the Pods that use a Secret, on a real kubelet: what the design of consumers rests on.

use std::time::Instant;

use k8s_openapi::api::core::v1::Pod;
use kube::ResourceExt as _;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;

use super::installed::{figure, installed};
use crate::support::consumers::{self, Use, deployment};
use crate::support::eventually;
use crate::support::world::PATIENCE;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn touching_an_annotation_brings_a_new_value_to_mounted_directories_and_nowhere_else() {
    let (installed, _turn) = installed().await;
    consumers::import(&installed.node);
    let tenant = installed.tenant("consumers").await;
    tenant.issued("orders", json!({})).await;
    let target = installed.target(&tenant);
    let name = |how: Use| format!("{how:?}").to_lowercase();
    for how in Use::ALL {
        let object = deployment(&name(how), how, "orders", 1, &target);
        consumers::start(&tenant.client, &tenant.namespace, &object).await;
    }
    let state = |how: Use| {
        let pods = installed.reports.of(&name(how));
        pods.first().map(|seen| seen.state.clone())
    };
    eventually(PATIENCE * 2, || async {
        let accepted = |how: &Use| state(*how).as_deref() == Some("accepted");
        Use::ALL.iter().all(accepted).then_some(())
    })
    .await;
    tenant.trigger("orders", "1").await;
    eventually(PATIENCE, || async {
        let seen = installed.reports.seen();
        let refused = |how: Use| {
            let mut of = seen.values().filter(|seen| seen.consumer == name(how));
            of.any(|seen| seen.refused > 0)
        };
        Use::ALL.into_iter().all(refused).then_some(())
    })
    .await;

    let began = Instant::now();
    let pods: Api<Pod> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let touched = json!({"metadata": {"annotations": {"tests/refresh": "1"}}});
        let params = PatchParams::default();
        let patch = Patch::Merge(touched);
        pods.patch(&pod.name_any(), &params, &patch).await.unwrap();
    }
    for how in Use::ALL.into_iter().filter(|how| how.refreshes()) {
        eventually(PATIENCE, || async {
            (state(how)? == "accepted").then_some(())
        })
        .await;
        figure(&format!("node_prompted_{}", name(how)), began.elapsed());
    }
    for how in Use::ALL.into_iter().filter(|how| !how.refreshes()) {
        assert_eq!(state(how).as_deref(), Some("refused"), "{how:?}");
    }

    for how in Use::ALL.into_iter().filter(|how| !how.refreshes()) {
        let name = format!("deployment/{}", name(how));
        let restart = [
            "rollout",
            "restart",
            "--namespace",
            &tenant.namespace,
            &name,
        ];
        assert!(installed.world.cluster.kubectl(&restart).status.success());
    }
    eventually(PATIENCE * 2, || async {
        let restarted = |how: Use| {
            let pods = installed.reports.of(&name(how));
            pods.iter().any(|seen| seen.state == "accepted")
        };
        Use::ALL.into_iter().all(restarted).then_some(())
    })
    .await;
    let seen = installed.reports.seen();
    assert!(seen.values().all(|seen| seen.errors == 0), "{seen:?}");
    // They would take time from the other tests.
    let end = [
        "delete",
        "deployment",
        "--all",
        "--namespace",
        &tenant.namespace,
    ];
    assert!(installed.world.cluster.kubectl(&end).status.success());
}
