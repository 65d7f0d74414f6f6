//! Workloads of every kind, and Pods that belong to none. The tests play the controllers of all but Deployments.

use k8s_openapi::api::batch::v1::{CronJob, Job};
use kube::api::DynamicObject;
use kube::core::GroupVersionKind;
use kube::discovery::ApiResource;

use super::restart::{Kubelet, rotated};
use super::*;

/// A StatefulSet or DaemonSet with one Pod that has the value in its environment.
struct Workload<'a> {
    it: &'a Consuming,
    kind: &'static str,
    name: &'static str,
}

impl Workload<'_> {
    fn api(&self) -> Api<DynamicObject> {
        let kind = GroupVersionKind::gvk("apps", "v1", self.kind);
        let resource = ApiResource::from_gvk(&kind);
        Api::namespaced_with(
            self.it.tenant.client.clone(),
            &self.it.tenant.namespace,
            &resource,
        )
    }

    async fn get(&self) -> DynamicObject {
        self.api().get(self.name).await.unwrap()
    }

    /// Creates it with a Pod, both at rest.
    async fn start(&self, strategy: &str) {
        let labels = json!({"app": self.name});
        let mut container = environment()["container"].clone();
        container["name"] = json!("app");
        container["image"] = json!("app");
        let mut object = json!({
            "apiVersion": "apps/v1", "kind": self.kind, "metadata": {"name": self.name},
            "spec": {
                "selector": {"matchLabels": labels}, "updateStrategy": {"type": strategy},
                "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
            },
        });
        if self.kind == "StatefulSet" {
            object["spec"]["serviceName"] = json!(self.name);
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        apply(&self.api(), &object).await.unwrap();
        self.pod().await;
        self.reports(1, 1).await;
    }

    fn pod_name(&self) -> String {
        format!("{}-0", self.name)
    }

    /// Its controller makes the Pod, of the template as it is now.
    async fn pod(&self) {
        let object = self.get().await;
        let owner = json!({
            "apiVersion": "apps/v1", "kind": self.kind, "name": self.name, "uid": object.metadata.uid, "controller": true,
        });
        let annotations = &object.data["spec"]["template"]["metadata"]["annotations"];
        let metadata = json!({"ownerReferences": [owner], "annotations": annotations});
        self.it.pod(&self.pod_name(), environment(), metadata).await;
    }

    /// Its controller has seen the last change; so many Pods are updated and available.
    async fn reports(&self, updated: u32, available: u32) {
        let generation = self.get().await.metadata.generation;
        let status = json!({"status": {
            "observedGeneration": generation, "replicas": 1, "readyReplicas": available, "currentReplicas": 1,
            "updatedReplicas": updated, "availableReplicas": available,
            "desiredNumberScheduled": 1, "currentNumberScheduled": 1, "numberMisscheduled": 0, "numberReady": available,
            "updatedNumberScheduled": updated, "numberAvailable": available,
        }});
        let (params, status) = (PatchParams::default(), Patch::Merge(status));
        self.api()
            .patch_status(self.name, &params, &status)
            .await
            .unwrap();
    }

    /// The annotations of its template, and its generation.
    async fn asked(&self) -> (Vec<String>, i64) {
        let object = self.get().await;
        let annotations = object.data["spec"]["template"]["metadata"]["annotations"].as_object();
        let names = annotations.map(|all| all.keys().cloned().collect());
        (
            names.unwrap_or_default(),
            object.metadata.generation.unwrap(),
        )
    }

    async fn is_restarted(&self) {
        eventually(PATIENCE, || async {
            let (annotations, generation) = self.asked().await;
            (annotations.len() == 1 && generation == 2).then_some(())
        })
        .await;
    }

    /// Its controller replaces the Pod.
    async fn replaces(&self) {
        self.reports(0, 1).await;
        self.it.end(&self.pod_name()).await;
        self.pod().await;
        self.reports(1, 0).await;
    }
}

#[tokio::test]
async fn stateful_sets_and_daemon_sets_are_restarted_once_and_those_with_on_delete_are_only_reported()
 {
    let it = Consuming::new("kinds").await;
    let consumers = json!({"restart": "WhenStale"});
    it.tenant.issued("orders", rotated("0", &consumers)).await;
    let workload = |kind, name| Workload {
        it: &it,
        kind,
        name,
    };
    let restarted = [
        workload("StatefulSet", "stateful"),
        workload("DaemonSet", "daemon"),
    ];
    let left = [
        workload("StatefulSet", "stateful-kept"),
        workload("DaemonSet", "daemon-kept"),
    ];
    for (of_kind, strategy) in [(&restarted, "RollingUpdate"), (&left, "OnDelete")] {
        for workload in of_kind {
            workload.start(strategy).await;
        }
    }
    it.tenant.trigger("orders", "1").await;
    for workload in &restarted {
        workload.is_restarted().await;
    }
    for workload in &restarted {
        workload.replaces().await;
    }
    // Their Pods are new, and not available yet.
    let object = it.counted(4, 2).await;
    let behind = consumers_of(&object).behind.iter();
    let behind: Vec<_> = behind.map(|it| it.workload.clone().unwrap()).collect();
    assert_eq!(
        behind,
        ["DaemonSet/daemon-kept", "StatefulSet/stateful-kept"]
    );
    for workload in &restarted {
        workload.reports(1, 1).await;
    }
    let named = it.tenant.until("orders", |object| {
        let said = message(object, ConditionType::ConsumersCurrent);
        said.ends_with("its update strategy is OnDelete: delete its Pods")
            .then_some(())
    });
    named.await;
    for workload in &left {
        it.end(&workload.pod_name()).await;
        workload.pod().await;
    }
    it.until("AllCurrent").await;
    for workload in &restarted {
        let (annotations, generation) = workload.asked().await;
        assert_eq!((annotations.len(), generation), (1, 2), "{}", workload.name);
    }
    for workload in &left {
        let nothing = (Vec::new(), 1);
        assert_eq!(workload.asked().await, nothing, "{}", workload.name);
    }
}

#[tokio::test]
async fn a_workload_that_uses_two_secrets_is_restarted_for_both_and_no_more() {
    let it = Arc::new(Consuming::new("two").await);
    let consumers = json!({"restart": "WhenStale"});
    for object in ["orders", "invoices"] {
        it.tenant.issued(object, rotated("0", &consumers)).await;
    }
    let kubelet = Kubelet::start(&it);
    kubelet.let_in(&["both"]);
    it.deployment("both").await;
    let variable = |secret: &str| {
        let key = json!({"name": secret, "key": "CLIENT_SECRET"});
        json!({"name": secret, "valueFrom": {"secretKeyRef": key}})
    };
    let env = ["orders", "invoices"].map(variable);
    let container = json!({"name": "app", "image": "app", "env": env});
    it.edit(
        "both",
        json!({"template": {"spec": {"containers": [container]}}}),
    )
    .await;
    it.rolled_out(&["both"]).await;
    let generation = async || {
        let deployment = it.deployments().get("both").await.unwrap();
        deployment.metadata.generation.unwrap()
    };
    let before = generation().await;
    let current = async |object: &str, trigger: &str| {
        let is_so = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            let handled = status.observed_trigger.as_deref() == Some(trigger);
            let counted =
                status.consumers.as_ref()?.attempt == status.last_rotation.as_ref()?.attempt;
            let current = reason(object, ConditionType::ConsumersCurrent) == "AllCurrent";
            (handled && counted && current).then_some(())
        };
        it.tenant.until(object, is_so).await;
    };
    for (round, trigger) in ["1", "2"].into_iter().enumerate() {
        for object in ["orders", "invoices"] {
            it.tenant.trigger(object, trigger).await;
        }
        for object in ["orders", "invoices"] {
            current(object, trigger).await;
        }
        // NB: a Pod that starts after both were written has both, whichever it was restarted for.
        let annotations = it.annotated().await.remove(0).1;
        assert!((1..=2).contains(&annotations.len()), "{annotations:?}");
        let restarts = generation().await - before;
        let round = i64::try_from(round).unwrap();
        // Once for both where the one is written before the other is restarted for.
        assert!(
            (round + 1..=2 * (round + 1)).contains(&restarts),
            "{restarts} restarts for {} rotations",
            2 * (round + 1)
        );
    }
    // Nothing is followed any more, so that nothing is restarted either.
    let last = generation().await;
    it.tenant.fence().await;
    assert_eq!(generation().await, last);
}

#[tokio::test]
async fn pods_of_jobs_and_of_no_one_are_reported_and_a_suspended_cron_job_is_no_consumer() {
    let it = Consuming::new("others").await;
    let consumers = json!({"restart": "WhenStale"});
    it.tenant.issued("orders", rotated("0", &consumers)).await;
    let mut container = environment()["container"].clone();
    container["name"] = json!("app");
    container["image"] = json!("app");
    let spec = json!({
        "suspend": true, "template": {"spec": {"restartPolicy": "Never", "containers": [container]}},
    });
    let (client, namespace) = (it.tenant.client.clone(), &it.tenant.namespace);
    let jobs: Api<Job> = Api::namespaced(client.clone(), namespace);
    let job = json!({
        "apiVersion": "batch/v1", "kind": "Job", "metadata": {"name": "migrate"}, "spec": spec,
    });
    let job = apply(&jobs, &job).await.unwrap();
    let nightly = json!({
        "apiVersion": "batch/v1", "kind": "CronJob", "metadata": {"name": "nightly"},
        "spec": {"schedule": "0 3 * * *", "suspend": true, "jobTemplate": {"spec": spec}},
    });
    let cron_jobs: Api<CronJob> = Api::namespaced(client, namespace);
    apply(&cron_jobs, &nightly).await.unwrap();
    let owner = json!({
        "apiVersion": "batch/v1", "kind": "Job", "name": "migrate", "uid": job.metadata.uid, "controller": true,
    });
    it.pod("bare", environment(), json!({})).await;
    it.pod(
        "migrate-x",
        environment(),
        json!({"ownerReferences": [owner]}),
    )
    .await;
    it.tenant.trigger("orders", "1").await;
    let object = it.counted(2, 2).await;
    let behind = consumers_of(&object).behind.iter();
    let behind: Vec<_> = behind
        .map(|it| (it.pod.as_deref().unwrap(), it.workload.as_deref()))
        .collect();
    assert_eq!(behind, [("bare", None), ("migrate-x", Some("Job/migrate"))]);
    let ended = Patch::Merge(json!({"status": {"phase": "Succeeded"}}));
    let params = PatchParams::default();
    it.pods()
        .patch_status("migrate-x", &params, &ended)
        .await
        .unwrap();
    it.counted(1, 1).await;
    it.end("bare").await;
    let object = it.until("AllCurrent").await;
    assert_eq!(consumers_of(&object).total, 0);
}

#[tokio::test]
async fn a_rollout_that_hangs_keeps_its_own_former_pair_and_holds_up_no_other_object() {
    let it = Arc::new(Consuming::new("hangs").await);
    let tenant = &it.tenant;
    let consumers = json!({"restart": "WhenStale"});
    let (first, second) = (tenant.app("orders-a"), tenant.app("orders-b"));
    let apply = async |trigger: &str| {
        let extra = json!({
            "standby": {"type": "Existing", "appId": second.id}, "consumers": consumers,
            "rotation": {"trigger": trigger, "overlap": {"until": "ConsumersCurrent"}},
        });
        tenant.apply("orders", &first.id, extra).await.unwrap();
    };
    apply("0").await;
    tenant.ready("orders").await;
    tenant.issued("invoices", rotated("0", &consumers)).await;
    let before = tenant.client_secret("orders").await.unwrap();
    let kubelet = Kubelet::start(&it);
    kubelet.let_in(&["a", "b"]);
    it.deployment("a").await;
    it.deployment("b").await;
    let key = json!({"name": "invoices", "key": "CLIENT_SECRET"});
    let env = json!([{"name": "S", "valueFrom": {"secretKeyRef": key}}]);
    let container = json!({"name": "app", "image": "app", "env": env});
    it.edit(
        "b",
        json!({"template": {"spec": {"containers": [container]}}}),
    )
    .await;
    it.edit("a", json!({"progressDeadlineSeconds": 2})).await;
    it.rolled_out(&["a", "b"]).await;
    kubelet.keep_out();
    kubelet.let_in(&["b"]);
    apply("1").await;
    let hangs =
        "Deployment/a: its rollout has failed, so nothing else is restarted for this rotation";
    let object = tenant.until("orders", |object| {
        let said = message(object, ConditionType::ConsumersCurrent);
        said.ends_with(hangs).then_some(())
    });
    let object = object.await;
    assert!(object.status.unwrap().previous.is_some());
    tenant.trigger("invoices", "1").await;
    let restarted = |object: &AppSecret| {
        let status = object.status.as_ref()?;
        let handled = status.observed_trigger.as_deref() == Some("1");
        let counted = status.consumers.as_ref()?.attempt == status.last_rotation.as_ref()?.attempt;
        let current = reason(object, ConditionType::ConsumersCurrent) == "AllCurrent";
        (handled && counted && current).then_some(())
    };
    tenant.until("invoices", restarted).await;
    assert_eq!(it.restarted().await, ["a", "b"]);
    assert!(tenant.zitadel.accepts(&first.id, &before), "it is kept");
    assert!(tenant.generates(&second) == 1 && tenant.generates(&first) == 1);
}
