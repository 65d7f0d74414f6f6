//! Workloads that other actors change while the operator restarts them: an autoscaler, a tool that restarts workloads as well.

use k8s_openapi::api::apps::v1::ReplicaSet;
use kube::api::ListParams;

use super::restart::running;
use super::*;

/// What Stakater's Reloader sets in a Pod template.
const RELOADER: &str = "reloader.stakater.com/last-reloaded-from";

impl Consuming {
    /// Another actor sets how many Pods a Deployment has, as an autoscaler does.
    async fn scale(&self, name: &str, replicas: i32) {
        let patch = Patch::Merge(json!({"spec": {"replicas": replicas}}));
        let params = PatchParams::default();
        let scaled = self.deployments().patch_scale(name, &params, &patch).await;
        scaled.unwrap();
    }

    /// Waits until so many Deployments were restarted for the stored value, and returns the annotation.
    async fn asked(&self, count: usize) -> String {
        let secret = self.tenant.secret("orders").await;
        let record = &secret.metadata.annotations.unwrap()["zitadel-secrets.dev/commit"];
        let record: Value = serde_json::from_str(record).unwrap();
        let active = record["active"].as_str().unwrap();
        let attempt = record["apps"][active]["attempt"].as_str().unwrap();
        eventually(PATIENCE, || async {
            let all = self.deployments().list(&ListParams::default()).await;
            let templates = all.unwrap().into_iter().map(|it| it.spec.unwrap().template);
            let mut names = templates.filter_map(|template| {
                let all = template.metadata?.annotations?;
                let mut all = all.into_iter();
                all.find(|(_, value)| value == attempt)
                    .map(|(name, _)| name)
            });
            let name = names.next()?;
            (names.count() + 1 == count).then_some(name)
        })
        .await
    }

    /// Waits until a Deployment has its former Pod and one with an annotation, and no third one.
    async fn waits_for_pod_with(&self, name: &str, annotation: &str) {
        let params = ListParams::default().labels(&format!("app={name}"));
        eventually(PATIENCE, || async {
            let pods = self.pods().list(&params).await.unwrap().items;
            let annotated = pods.iter().filter(|pod| {
                let annotations = pod.metadata.annotations.as_ref();
                annotations.is_some_and(|all| all.contains_key(annotation))
            });
            (pods.len() == 2 && annotated.count() == 1).then_some(())
        })
        .await;
    }

    async fn replica_sets(&self) -> usize {
        let (client, namespace) = (self.tenant.client.clone(), &self.tenant.namespace);
        let sets: Api<ReplicaSet> = Api::namespaced(client, namespace);
        let all = sets.list(&ListParams::default()).await.unwrap();
        all.items.len()
    }
}

#[tokio::test]
async fn a_workload_that_is_scaled_meanwhile_is_restarted_once_and_keeps_the_replicas_that_it_was_given()
 {
    let consumers = json!({"restart": "WhenStale"});
    let (it, kubelet) = running("scaled", consumers, &["a"]).await;
    let mut replicas = 1;
    for (before, scales) in [&[3][..], &[], &[4, 1, 2], &[0]].into_iter().enumerate() {
        let trigger = (before + 1).to_string();
        it.tenant.trigger("orders", &trigger).await;
        it.tenant.handled("orders", &trigger).await;
        it.asked(1).await;
        // Its new Pods are not ready yet.
        for scaled in scales {
            it.scale("a", *scaled).await;
            replicas = *scaled;
        }
        kubelet.let_in(&["a"]);
        it.until("AllCurrent").await;
        let deployment = eventually(PATIENCE, || async {
            let deployment = it.deployments().get("a").await.unwrap();
            let status = deployment.status.clone().unwrap_or_default();
            let counts = [
                status.updated_replicas,
                status.replicas,
                status.available_replicas,
            ];
            let is_rolled_out = counts.iter().all(|it| it.unwrap_or_default() == replicas)
                && status.observed_generation == deployment.metadata.generation;
            is_rolled_out.then_some(deployment)
        })
        .await;
        assert_eq!(deployment.spec.unwrap().replicas, Some(replicas));
        assert_eq!(it.replica_sets().await, before + 2, "one more restart");
        kubelet.keep_out();
        let managers = deployment.metadata.managed_fields.unwrap();
        let own = managers.iter().find(|it| {
            let name = it.manager.as_deref();
            name.is_some_and(|name| name.starts_with("zitadel-secret"))
        });
        let own = serde_json::to_string(own.unwrap()).unwrap();
        assert!(!own.contains("f:replicas"), "{own}");
    }
}

#[tokio::test]
async fn a_workload_that_another_tool_restarts_as_well_is_not_restarted_for_that_again() {
    let consumers = json!({"restart": "WhenStale"});
    let names = ["at-once", "meanwhile", "undone"];
    let (it, kubelet) = running("reloader", consumers, &names).await;
    let reload = async |name: &str, more: Option<&str>| {
        let mut annotations = json!({RELOADER: "orders"});
        if let Some(removed) = more {
            annotations[removed] = Value::Null;
        }
        let template = json!({"metadata": {"annotations": annotations}});
        it.edit(name, json!({"template": template})).await;
    };
    it.tenant.trigger("orders", "1").await;
    it.tenant.handled("orders", "1").await;
    // As soon as the Secret is written; whether its Pod has read the new value is in doubt, unless this machine is slow.
    reload("at-once", None).await;
    kubelet.let_in(&["at-once"]);
    it.rolled_out(&["at-once"]).await;
    let annotation = eventually(PATIENCE, || async {
        let annotated = it.annotated().await;
        let own = |name: &str| {
            let (_, all) = annotated.iter().find(|(known, _)| known == name)?;
            let mut all = all.iter();
            all.find(|it| it.starts_with("zitadel-secrets.dev/"))
                .cloned()
        };
        own("meanwhile").filter(|_| own("undone").is_some())
    })
    .await;
    // Before the new Pods are ready. One keeps what the operator has set, as Reloader does, and one does not.
    reload("meanwhile", None).await;
    reload("undone", Some(&annotation)).await;
    for name in ["meanwhile", "undone"] {
        it.waits_for_pod_with(name, RELOADER).await;
    }
    kubelet.let_in(&names);
    it.until("AllCurrent").await;
    it.rolled_out(&names).await;
    it.tenant.fence().await;
    let annotated = it.annotated().await;
    let of = |name: &str| {
        let (_, all) = annotated.iter().find(|(known, _)| known == name).unwrap();
        all.iter().map(String::as_str).collect::<Vec<_>>()
    };
    assert_eq!(of("meanwhile"), [RELOADER, &annotation]);
    assert_eq!(of("undone"), [RELOADER]);
    for (name, started, changes) in [
        ("at-once", 2..=3, 2..=3),
        ("meanwhile", 2..=2, 3..=3),
        ("undone", 2..=2, 3..=3),
    ] {
        let generation = it.deployments().get(name).await.unwrap();
        let generation = generation.metadata.generation.unwrap();
        let pods = kubelet.started(name);
        assert!(started.contains(&pods), "{name}: {pods} Pods");
        assert!(changes.contains(&generation), "{name}: {generation}");
    }
}
