//! The Pods that use a credential: found, prompted, restarted, and waited for. There is no kubelet: the tests say what it would.

mod kills;
mod memory;
mod others;
mod overlap;
mod plugin;
mod restart;
mod who;
mod workloads;

use std::sync::Arc;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::{ClusterRole, ClusterRoleBinding};
use kube::Api;
use kube::api::{DeleteParams, Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::{AppSecret, Behind, ConditionType, ConsumersStatus};

use crate::fixtures::{message, reason};
use crate::support::rights::ACCOUNT;
use crate::support::world::{OwnOperator, PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// A tenant of an operator that may do everything about consumers.
struct Consuming {
    tenant: Tenant,
}

/// The flags of an operator that may do everything about consumers.
pub(crate) const ARGUMENTS: [&str; 6] = [
    "--consumers-refresh",
    "true",
    "--consumers-restart",
    "true",
    "--protocol-speed",
    "20",
];

/// One operator for all of these tests.
static OPERATOR: OnceCell<Arc<OwnOperator>> = OnceCell::const_new();

async fn operator(world: &World) -> Arc<OwnOperator> {
    let start = async {
        let own = world.own_operator(&ARGUMENTS).await;
        grant(world, &own.namespace).await;
        Arc::new(own)
    };
    Arc::clone(OPERATOR.get_or_init(|| Box::pin(start)).await)
}

/// The rights that the chart grants where consumers.refresh and consumers.restart are set.
pub(crate) async fn grant(world: &World, namespace: &str) {
    grant_on_workloads(world, namespace, &["get", "patch"]).await;
}

/// The same with some rights on workloads only.
async fn grant_on_workloads(world: &World, namespace: &str, verbs: &[&str]) {
    let client = world.cluster.client().await;
    let name = format!("consumers-{namespace}");
    let role = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRole", "metadata": {"name": name},
        "rules": [
            {"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]},
            {"apiGroups": ["apps"], "resources": ["deployments", "statefulsets", "daemonsets"], "verbs": verbs},
        ],
    });
    apply(&Api::<ClusterRole>::all(client.clone()), &role)
        .await
        .unwrap();
    let binding = json!({
        "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "ClusterRoleBinding", "metadata": {"name": name},
        "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": name},
        "subjects": [{"kind": "ServiceAccount", "name": ACCOUNT, "namespace": namespace}],
    });
    apply(&Api::<ClusterRoleBinding>::all(client), &binding)
        .await
        .unwrap();
}

/// How long ago a container started.
const LONG_AGO: SignedDuration = SignedDuration::from_hours(1);

impl Consuming {
    async fn new(prefix: &str) -> Self {
        let world = World::shared().await;
        let operator = operator(world).await;
        let tenant = operator.tenant_at(prefix, world, &world.zitadel).await;
        Self { tenant }
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.tenant.client.clone(), &self.tenant.namespace)
    }

    /// A Pod whose container `app` uses the Secret `orders` so, and that has run for an hour by what its kubelet says.
    async fn pod(&self, name: &str, use_: Value, metadata: Value) {
        let mut pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": metadata,
            "spec": {"containers": [{"name": "app", "image": "app"}]},
        });
        pod["metadata"]["name"] = json!(name);
        if let Some(volumes) = use_.get("volumes") {
            pod["spec"]["volumes"] = volumes.clone();
        }
        for (field, value) in use_["container"].as_object().unwrap() {
            pod["spec"]["containers"][0][field] = value.clone();
        }
        let pod = serde_json::from_value(pod).unwrap();
        eventually(PATIENCE, || async {
            // The namespace's service account comes after the namespace.
            let made = self.pods().create(&PostParams::default(), &pod).await;
            made.ok()
        })
        .await;
        self.runs(name, Timestamp::now() - LONG_AGO).await;
    }

    /// The kubelet says that the container started then.
    async fn runs(&self, name: &str, started: Timestamp) {
        let in_time = SignedDuration::ZERO;
        self.runs_by_clock(name, started, in_time).await;
    }

    /// The same by a kubelet whose clock is ahead.
    async fn runs_by_clock(&self, name: &str, started: Timestamp, ahead: SignedDuration) {
        let patch = Patch::Merge(running(started, ahead));
        let written = self
            .pods()
            .patch_status(name, &PatchParams::default(), &patch)
            .await;
        written.unwrap();
    }

    async fn end(&self, pod: &str) {
        let now = DeleteParams::default().grace_period(0);
        self.pods().delete(pod, &now).await.unwrap();
    }

    /// Waits until the condition has this reason for the last rotation, and returns the object.
    async fn until(&self, expected: &str) -> AppSecret {
        let is_so = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            let last = status.last_rotation.as_ref()?;
            let of_last = status
                .consumers
                .as_ref()
                .is_none_or(|it| it.attempt == last.attempt);
            let is_so = reason(object, ConditionType::ConsumersCurrent) == expected;
            (of_last && is_so).then_some(())
        };
        self.tenant.until("orders", is_so).await
    }

    /// Waits until so many Pods are counted, of which so many have a former value.
    async fn counted(&self, total: i64, stale: i64) -> AppSecret {
        let is_so = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            let last = status.last_rotation.as_ref()?;
            let consumers = status.consumers.as_ref()?;
            let is_so = (consumers.total, consumers.stale) == (total, stale);
            (is_so && consumers.attempt == last.attempt).then_some(())
        };
        self.tenant.until("orders", is_so).await
    }
}

/// What a kubelet says of a Pod whose container `app` started then; its clock is so far ahead.
pub(crate) fn running(started: Timestamp, ahead: SignedDuration) -> Value {
    let long_ago = Timestamp::now() - LONG_AGO;
    let started = started + ahead;
    json!({"status": {
        "phase": "Running", "startTime": (long_ago + ahead).to_string(),
        "conditions": [
            {"type": "PodScheduled", "status": "True", "lastTransitionTime": long_ago.to_string()},
            {"type": "Ready", "status": "True", "lastTransitionTime": long_ago.to_string()},
        ],
        "containerStatuses": [{
            "name": "app", "image": "app", "imageID": "", "ready": true, "restartCount": 0, "started": true,
            "state": {"running": {"startedAt": started.to_string()}},
        }],
    }})
}

fn consumers_of(object: &AppSecret) -> &ConsumersStatus {
    object.status.as_ref().unwrap().consumers.as_ref().unwrap()
}

fn behind(object: &AppSecret) -> Vec<(Option<&str>, &str)> {
    let behind = consumers_of(object).behind.iter();
    behind
        .map(|Behind { pod, how, .. }| (pod.as_deref(), how.as_str()))
        .collect()
}

/// The environment of a container.
fn environment() -> Value {
    let key = json!({"name": "orders", "key": "CLIENT_SECRET"});
    json!({"container": {"env": [{"name": "S", "valueFrom": {"secretKeyRef": key}}]}})
}

/// A directory.
fn directory() -> Value {
    json!({
        "container": {"volumeMounts": [{"name": "v", "mountPath": "/oauth"}]},
        "volumes": [{"name": "v", "secret": {"secretName": "orders"}}],
    })
}

/// A single file.
fn sub_path() -> Value {
    json!({
        "container": {"volumeMounts": [{"name": "v", "mountPath": "/oauth", "subPath": "CLIENT_SECRET"}]},
        "volumes": [{"name": "v", "secret": {"secretName": "orders"}}],
    })
}
