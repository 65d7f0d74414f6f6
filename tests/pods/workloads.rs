//! Consumers under Kubernetes' own controllers and a kubelet, with an operator that may prompt Pods and restart workloads.

use k8s_openapi::api::apps::v1::ControllerRevision;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType};

use super::installed::{Installed, installed};
use crate::support::consumers::{self, Use, deployment};
use crate::support::world::{PATIENCE, Tenant};
use crate::support::{apply, eventually};

/// The chart's values that let the operator prompt and restart.
const RIGHTS: &str = "consumers.refresh=true,consumers.restart=true";

fn resource(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("apps", "v1", kind))
}

/// A workload of another kind than the Deployment that it is made of.
async fn start(tenant: &Tenant, kind: &str, mut object: Value) {
    let name = object["metadata"]["name"].clone();
    object["kind"] = json!(kind);
    let spec = object["spec"].as_object_mut().unwrap();
    if kind == "DaemonSet" {
        spec.remove("replicas");
    } else {
        spec.insert("serviceName".to_owned(), name);
    }
    let (client, namespace) = (tenant.client.clone(), &tenant.namespace);
    let api: Api<DynamicObject> = Api::namespaced_with(client, namespace, &resource(kind));
    let object: DynamicObject = serde_json::from_value(object).unwrap();
    apply(&api, &object).await.unwrap();
}

/// Waits until so many Pods are counted for the last rotation, and none of them is behind.
async fn all_current(tenant: &Tenant, trigger: &str, total: i64) -> AppSecret {
    eventually(PATIENCE * 4, || async {
        let object = tenant.objects().get("orders").await.ok()?;
        let status = object.status.as_ref()?;
        let counted = status.consumers.as_ref()?;
        let current = status.conditions.is_true(ConditionType::ConsumersCurrent)
            && counted.attempt == status.last_rotation.as_ref()?.attempt
            && status.observed_trigger.as_deref() == Some(trigger);
        (current && counted.total == total).then_some(object)
    })
    .await
}

/// Waits until the Pods of a consumer that have not ended, so many, are accepted with this value.
async fn accepted(installed: &Installed, consumer: &str, pods: usize, value: u64) {
    eventually(PATIENCE * 2, || async {
        let mut seen = installed.reports.of(consumer);
        seen.retain(|seen| seen.state != "ended");
        let current = |seen: &consumers::Seen| seen.state == "accepted" && seen.value == value;
        (seen.len() == pods && seen.iter().all(current)).then_some(())
    })
    .await;
}

async fn stored(tenant: &Tenant) -> u64 {
    consumers::checksum(&tenant.client_secret("orders").await.unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs root: make node-test"]
async fn stateful_and_daemon_sets_are_restarted_once_and_files_that_are_optional_come_with_the_secret()
 {
    let (installed, _turn) = installed().await;
    consumers::import(&installed.node);
    installed.helm("upgrade", &["--set", RIGHTS]).await;
    let tenant = installed.tenant("kinds").await;
    let target = installed.target(&tenant);
    // It starts before there is a Secret. Its files have a mode, and the group of its Pod.
    let mut early = deployment("early", Use::Directory, "orders", 1, &target);
    early["spec"]["template"]["spec"]["volumes"][0]["secret"]["optional"] = json!(true);
    consumers::start(&tenant.client, &tenant.namespace, &early).await;
    eventually(PATIENCE * 2, || async {
        let seen = installed.reports.of("early");
        seen.iter().any(|seen| seen.refused > 0).then_some(())
    })
    .await;
    let named = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "db"}]);
    let spec = json!({
        "rotation": {"trigger": "0"}, "consumers": {"restart": "WhenStale", "workloads": named},
    });
    tenant.issued("orders", spec).await;
    let first = stored(&tenant).await;
    accepted(installed, "early", 1, first).await;
    let pods: Api<Pod> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
    let prompted = pods.list(&ListParams::default()).await.unwrap().items;
    let annotations = prompted[0].metadata.annotations.clone().unwrap_or_default();
    assert!(annotations.contains_key("zitadel-secrets.dev/refresh"));

    let workloads = [("StatefulSet", "db", 2), ("DaemonSet", "agent", 1)];
    for (kind, name, replicas) in workloads {
        let object = deployment(name, Use::Env, "orders", replicas, &target);
        start(&tenant, kind, object).await;
    }
    for (_, name, replicas) in workloads {
        accepted(installed, name, replicas as usize, first).await;
    }
    tenant.trigger("orders", "1").await;
    all_current(&tenant, "1", 4).await;
    let second = stored(&tenant).await;
    assert_ne!(first, second);
    accepted(installed, "early", 1, second).await;
    let revisions: Api<ControllerRevision> =
        Api::namespaced(tenant.client.clone(), &tenant.namespace);
    for (kind, name, replicas) in workloads {
        accepted(installed, name, replicas as usize, second).await;
        let params = ListParams::default().labels(&format!("consumer={name}"));
        let made = revisions.list(&params).await.unwrap().items.len();
        assert_eq!(made, 2, "{kind}/{name} was restarted once");
    }
    // Its controller replaces one Pod after the other, the last one first.
    let made = async |pod: &str| {
        let pod = pods.get(pod).await.unwrap();
        pod.metadata.creation_timestamp.unwrap()
    };
    assert!(made("db-1").await <= made("db-0").await);

    // As it was before, for the other tests.
    let end = [
        "delete",
        "deployment,statefulset,daemonset",
        "--all",
        "--namespace",
        &tenant.namespace,
    ];
    assert!(installed.world.cluster.kubectl(&end).status.success());
    installed.helm("upgrade", &[]).await;
}
