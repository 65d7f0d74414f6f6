//! Workloads whose Pods have a former value are restarted. Kubernetes' own controllers make and replace the Pods.

use std::collections::BTreeSet;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use kube::api::ListParams;
use parking_lot::Mutex;
use tokio_util::task::AbortOnDropHandle;

use super::*;
use crate::support::policy;

/// What a kubelet says of the Pods of Deployments: they run, and those of the Deployments that are let are ready.
pub(super) struct Kubelet {
    let_in: Arc<Mutex<BTreeSet<String>>>,
    started: Arc<Mutex<Vec<String>>>,
    _task: AbortOnDropHandle<()>,
}

impl Kubelet {
    pub(super) fn start(it: &Arc<Consuming>) -> Self {
        let let_in: Arc<Mutex<BTreeSet<String>>> = Arc::default();
        let started: Arc<Mutex<Vec<String>>> = Arc::default();
        let (it, known, seen) = (Arc::clone(it), Arc::clone(&let_in), Arc::clone(&started));
        let task = async move {
            let mut ticks = tokio::time::interval(Duration::from_millis(50));
            loop {
                ticks.tick().await;
                let pods = it.pods().list(&ListParams::default()).await;
                for pod in pods.into_iter().flatten() {
                    let labels = pod.metadata.labels.unwrap_or_default();
                    let app = labels.get("app").cloned().unwrap_or_default();
                    let runs = pod.status.and_then(|status| status.start_time).is_some();
                    let ends = pod.metadata.deletion_timestamp.is_some();
                    if !runs && !ends && known.lock().contains(&app) {
                        it.runs(&pod.metadata.name.unwrap(), Timestamp::now()).await;
                        seen.lock().push(app);
                    }
                }
            }
        };
        Self {
            let_in,
            started,
            _task: AbortOnDropHandle::new(tokio::spawn(task)),
        }
    }

    pub(super) fn let_in(&self, names: &[&str]) {
        let mut known = self.let_in.lock();
        known.extend(names.iter().map(ToString::to_string));
    }

    pub(super) fn keep_out(&self) {
        self.let_in.lock().clear();
    }

    /// How many Pods of a Deployment it has started.
    pub(super) fn started(&self, name: &str) -> usize {
        let started = self.started.lock();
        started.iter().filter(|app| *app == name).count()
    }
}

impl Consuming {
    pub(super) fn deployments(&self) -> Api<Deployment> {
        Api::namespaced(self.tenant.client.clone(), &self.tenant.namespace)
    }

    /// A Deployment whose Pod has the value in its environment.
    pub(super) async fn deployment(&self, name: &str) {
        apply(&self.deployments(), &deployment(name)).await.unwrap();
    }

    pub(super) async fn edit(&self, name: &str, spec: Value) {
        let patch = Patch::Merge(json!({"spec": spec}));
        let edited = self
            .deployments()
            .patch(name, &PatchParams::default(), &patch)
            .await;
        edited.unwrap();
    }

    /// Applies a Deployment as a GitOps tool does: Argo CD as kubectl by default, Flux by server-side apply. What its owner has of it then.
    async fn applied_by(&self, tool: &str, more: &[&str]) -> Value {
        let cluster = &World::shared().await.cluster;
        let mut manifest = deployment(tool);
        manifest["metadata"]["namespace"] = json!(self.tenant.namespace);
        manifest["spec"]["template"]["metadata"]["annotations"] = json!({"team": "orders"});
        let file = format!("{}-{tool}.json", self.tenant.namespace);
        let file = cluster.scratch().join(file);
        std::fs::write(&file, manifest.to_string()).unwrap();
        let mut arguments = vec!["apply", "-o", "json", "--filename", file.to_str().unwrap()];
        if tool == "flux" {
            let server_side = [
                "--server-side",
                "--force-conflicts",
                "--field-manager",
                "kustomize-controller",
            ];
            arguments.extend(server_side);
        }
        arguments.extend(more);
        let output = cluster.kubectl(&arguments);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{errors}");
        owned(serde_json::from_slice(&output.stdout).unwrap())
    }

    /// Waits until the Deployments are rolled out.
    pub(super) async fn rolled_out(&self, names: &[&str]) {
        for name in names {
            eventually(PATIENCE, || async {
                let deployment = self.deployments().get(name).await.unwrap();
                let status = deployment.status?;
                let is_so = status.observed_generation == deployment.metadata.generation
                    && status.updated_replicas == Some(1)
                    && status.replicas == Some(1)
                    && status.available_replicas == Some(1);
                is_so.then_some(())
            })
            .await;
        }
    }

    /// The Deployments whose template has an annotation, and how many it has.
    pub(super) async fn annotated(&self) -> Vec<(String, Vec<String>)> {
        let all = self.deployments().list(&ListParams::default()).await;
        let annotated = all.unwrap().into_iter().filter_map(|deployment| {
            let template = deployment.spec?.template.metadata?;
            let annotations: Vec<_> = template.annotations?.into_keys().collect();
            Some((deployment.metadata.name?, annotations))
        });
        annotated.collect()
    }

    pub(super) async fn restarted(&self) -> Vec<String> {
        let annotated = self.annotated().await.into_iter();
        annotated.map(|(name, _)| name).collect()
    }
}

/// A Deployment whose Pod has the value in its environment.
fn deployment(name: &str) -> Value {
    let labels = json!({"app": name});
    let mut container = environment()["container"].clone();
    container["name"] = json!("app");
    container["image"] = json!("app");
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "replicas": 1, "selector": {"matchLabels": labels},
            "template": {"metadata": {"labels": labels}, "spec": {"containers": [container]}},
        },
    })
}

/// What the tool that applies an object can call drift.
fn owned(deployment: Deployment) -> Value {
    let object = serde_json::to_value(deployment).unwrap();
    let metadata = &object["metadata"];
    json!([
        object["spec"],
        metadata["generation"],
        metadata["annotations"]["kubectl.kubernetes.io/last-applied-configuration"]
    ])
}

pub(super) fn rotated(trigger: &str, consumers: &Value) -> Value {
    json!({"rotation": {"trigger": trigger}, "consumers": consumers})
}

/// A tenant with an issued object and Deployments that run.
pub(super) async fn running(
    prefix: &str,
    consumers: Value,
    names: &[&str],
) -> (Arc<Consuming>, Kubelet) {
    let it = Arc::new(Consuming::new(prefix).await);
    it.tenant.issued("orders", rotated("0", &consumers)).await;
    let kubelet = Kubelet::start(&it);
    kubelet.let_in(names);
    for name in names {
        it.deployment(name).await;
    }
    it.rolled_out(names).await;
    kubelet.keep_out();
    (it, kubelet)
}

#[tokio::test]
async fn workloads_are_restarted_once_each_and_three_at_a_time() {
    let gateway = json!([{"apiVersion": "apps/v1", "kind": "Deployment", "name": "e"}]);
    let consumers = json!({"restart": "WhenStale", "workloads": gateway});
    let names = ["a", "b", "c", "d", "e"];
    let (it, kubelet) = running("restart", consumers, &names).await;
    it.tenant.trigger("orders", "1").await;
    let mut expected: Vec<String> = Vec::new();
    for wave in [&["e", "a", "b"][..], &["c", "d"]] {
        expected.extend(wave.iter().map(ToString::to_string));
        expected.sort_unstable();
        let now = eventually(PATIENCE, || async {
            let restarted = it.restarted().await;
            (restarted.len() >= expected.len()).then_some(restarted)
        })
        .await;
        assert_eq!(now, expected, "the one that is named first, then by name");
        kubelet.let_in(wave);
    }
    let object = it.until("AllCurrent").await;
    assert_eq!(consumers_of(&object).total, 5);
    for (name, annotations) in it.annotated().await {
        assert_eq!(annotations.len(), 1, "{name}: {annotations:?}");
        assert!(annotations[0].starts_with("zitadel-secrets.dev/rotation-"));
        let deployment = it.deployments().get(&name).await.unwrap();
        assert_eq!(deployment.metadata.generation, Some(2), "{name}");
    }
}

#[tokio::test]
async fn a_restart_is_no_drift_to_the_tool_that_applies_the_workload() {
    let tools = ["argo-cd", "flux"];
    let (it, kubelet) = running("gitops", json!({"restart": "WhenStale"}), &[]).await;
    for tool in tools {
        it.applied_by(tool, &[]).await;
    }
    kubelet.let_in(&tools);
    it.rolled_out(&tools).await;
    it.tenant.trigger("orders", "1").await;
    it.counted(2, 0).await;
    for tool in tools {
        let now = owned(it.deployments().get(tool).await.unwrap());
        let annotations = now[0]["template"]["metadata"]["annotations"].as_object();
        let names: Vec<_> = annotations.unwrap().keys().collect();
        assert!(
            names.len() == 2 && names[1].starts_with("zitadel-secrets.dev/rotation-"),
            "{names:?}"
        );
        // Neither the comparison nor the next sync undoes the restart, which would be another rollout.
        for dry_run in [&["--dry-run=server"][..], &[]] {
            assert_eq!(it.applied_by(tool, dry_run).await, now, "{tool}");
        }
    }
}

#[tokio::test]
async fn a_rollout_that_fails_stops_the_others_and_what_a_restart_does_not_replace_is_left_alone() {
    let consumers = json!({"restart": "WhenStale"});
    let names = ["a", "b", "c", "d", "e", "paused"];
    let (it, kubelet) = running("failed", consumers, &names).await;
    it.edit("paused", json!({"paused": true})).await;
    it.edit("a", json!({"progressDeadlineSeconds": 2})).await;
    it.tenant.trigger("orders", "1").await;
    eventually(PATIENCE, || async {
        (it.restarted().await.len() == 3).then_some(())
    })
    .await;
    // Those of `a` are never ready.
    let why =
        "Deployment/a: its rollout has failed, so nothing else is restarted for this rotation";
    let object = it.tenant.until("orders", |object| {
        let said = message(object, ConditionType::ConsumersCurrent);
        said.ends_with(why).then_some(())
    });
    object.await;
    kubelet.let_in(&["b", "c"]);
    it.rolled_out(&["b", "c"]).await;
    let object = it.counted(7, 4).await;
    let behind = &consumers_of(&object).behind;
    let behind = behind.iter().map(|it| it.workload.clone().unwrap());
    let expected = ["a", "d", "e", "paused"].map(|name| format!("Deployment/{name}"));
    assert_eq!(behind.collect::<Vec<_>>(), expected);
    assert_eq!(it.restarted().await, ["a", "b", "c"]);
}

#[tokio::test]
async fn a_rollout_of_another_actor_is_enough_and_a_missing_workload_is_named() {
    let missing = json!([{"apiVersion": "apps/v1", "kind": "StatefulSet", "name": "nowhere"}]);
    let named = json!({"restart": "WhenStale", "workloads": missing});
    let (it, kubelet) = running("rollout", named, &["a", "b"]).await;
    let other = json!({"template": {"metadata": {"annotations": {"other": "1"}}}});
    it.edit("a", other).await;
    it.tenant.trigger("orders", "1").await;
    kubelet.let_in(&["b"]);
    let rolls = ("a".to_owned(), vec!["other".to_owned()]);
    let annotated = eventually(PATIENCE, || async {
        let annotated = it.annotated().await;
        (annotated.len() == 2).then_some(annotated)
    })
    .await;
    assert_eq!(annotated[0], rolls, "it has its place, and is left alone");
    it.rolled_out(&["b"]).await;
    assert_eq!(it.annotated().await[0], rolls);
    // Its new Pod starts only now, so that it has the new value.
    kubelet.let_in(&["a"]);
    let object = it.counted(3, 0).await;
    let unknown = "does not exist: correct spec.consumers.workloads";
    assert_eq!(behind(&object), [(None, unknown)]);
    let annotations = it.annotated().await.into_iter().map(|(_, all)| all.len());
    assert_eq!(annotations.collect::<Vec<_>>(), [1, 1]);
}

#[tokio::test]
async fn a_restart_that_a_policy_refuses_is_named_and_keeps_no_other_workload_waiting() {
    let consumers = json!({"restart": "WhenStale"});
    let (it, kubelet) = running("refused", consumers, &["a", "b"]).await;
    let (client, namespace) = (&it.tenant.client, &it.tenant.namespace);
    policy::deny_deployment(client, namespace, "a").await;
    eventually(PATIENCE, || async {
        let labelled = Patch::Merge(json!({"metadata": {"labels": {"x": "y"}}}));
        let params = PatchParams {
            dry_run: true,
            ..PatchParams::default()
        };
        let tried = it.deployments().patch("a", &params, &labelled).await;
        tried.is_err().then_some(())
    })
    .await;
    it.tenant.trigger("orders", "1").await;
    kubelet.let_in(&["b"]);
    it.counted(2, 1).await;
    assert_eq!(it.restarted().await, ["b"]);
    let why =
        "Deployment/a: the API server refuses its restart: check admission policies and webhooks";
    let named = it.tenant.until("orders", |object| {
        let said = message(object, ConditionType::ConsumersCurrent);
        said.ends_with(why).then_some(())
    });
    named.await;
    policy::allow_again(client, namespace).await;
    kubelet.let_in(&["a"]);
    it.until("AllCurrent").await;
}

#[tokio::test]
async fn a_right_that_a_restart_lacks_is_named_with_the_chart_value_that_grants_it() {
    let world = World::shared().await;
    let operator = world.own_operator(&ARGUMENTS).await;
    grant_on_workloads(world, &operator.namespace, &["get"]).await;
    let tenant = operator
        .tenant_at("unauthorized", world, &world.zitadel)
        .await;
    let it = Arc::new(Consuming { tenant });
    let restart = json!({"restart": "WhenStale"});
    it.tenant.issued("orders", rotated("0", &restart)).await;
    let kubelet = Kubelet::start(&it);
    kubelet.let_in(&["a"]);
    it.deployment("a").await;
    it.rolled_out(&["a"]).await;
    it.tenant.trigger("orders", "1").await;
    let why = format!(
        "Deployment/a: the operator may not patch deployments in namespace {}: set consumers.restart in the chart, or grant it; \
         `zitadel-secret-operator check` lists what is missing",
        it.tenant.namespace
    );
    let named = it.tenant.until("orders", |object| {
        let said = message(object, ConditionType::ConsumersCurrent);
        said.ends_with(&why).then_some(())
    });
    named.await;
    grant(world, &operator.namespace).await;
    it.until("AllCurrent").await;
    assert_eq!(it.restarted().await, ["a"]);
}
