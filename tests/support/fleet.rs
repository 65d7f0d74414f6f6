//! Many objects of one tenant, changed many at a time: for benchmarks and the kill loop.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use futures::{StreamExt as _, stream};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType};
use zitadel_simulator::AppHandle;

use super::world::Tenant;

/// Requests of the fleet's own that are under way at once.
pub const IN_FLIGHT: usize = 16;

/// Objects `app-0000`, `app-0001`, … of one tenant, each for an application of its own.
pub struct Fleet {
    /// The tenant.
    pub tenant: Tenant,
    /// The applications, in the order of their objects.
    pub apps: Vec<AppHandle>,
}

impl Fleet {
    /// Applications, but no objects yet.
    pub fn new(tenant: Tenant, size: usize) -> Self {
        let apps = (0..size).map(|n| tenant.app(&name(n))).collect();
        Self { tenant, apps }
    }

    /// Creates the objects of a range of applications. `extra` overrides fields of the spec.
    pub async fn create(&self, range: std::ops::Range<usize>, extra: &Value) {
        let api = self.tenant.untyped_objects();
        self.each(range, |n| {
            let manifest = self
                .tenant
                .manifest(&name(n), &self.apps[n].id, extra.clone());
            let object = serde_json::from_value(manifest).unwrap();
            let api = api.clone();
            async move {
                api.create(&PostParams::default(), &object).await.unwrap();
            }
        })
        .await;
    }

    /// Creates the objects of all applications.
    pub async fn create_all(&self) {
        self.create(0..self.apps.len(), &json!({"rotation": {"trigger": "0"}}))
            .await;
    }

    /// Patches the objects of a range.
    pub async fn patch(&self, range: std::ops::Range<usize>, patch: &Value) {
        let api = self.tenant.objects();
        self.each(range, |n| {
            let (api, patch) = (api.clone(), Patch::Merge(patch.clone()));
            async move {
                let params = PatchParams::default();
                api.patch(&name(n), &params, &patch).await.unwrap();
            }
        })
        .await;
    }

    /// Asks for a rotation of every object.
    pub async fn trigger(&self, range: std::ops::Range<usize>, trigger: &str) {
        let patch = json!({"spec": {"rotation": {"trigger": trigger}}});
        self.patch(range, &patch).await;
    }

    async fn each<F: Future<Output = ()>>(
        &self,
        range: std::ops::Range<usize>,
        work: impl Fn(usize) -> F,
    ) {
        let work = stream::iter(range.map(work));
        work.buffer_unordered(IN_FLIGHT).collect::<()>().await;
    }

    /// Waits until every object of the range is Ready for its present generation, with this trigger handled.
    pub async fn settled(&self, range: std::ops::Range<usize>, trigger: &str, patience: Duration) {
        let api = self.tenant.objects();
        let began = Instant::now();
        loop {
            let found = api
                .list(&cached())
                .await
                .unwrap_or_else(|error| panic!("{error}"));
            let done = |object: &&AppSecret| {
                let status = object.status.as_ref();
                let handled = status.and_then(|status| status.observed_trigger.as_deref());
                is_ready(object) && handled == Some(trigger)
            };
            let wanted: HashSet<_> = range.clone().map(name).collect();
            let named = |object: &&AppSecret| wanted.contains(&object.name_any());
            let (done, open): (Vec<_>, Vec<_>) = found.items.iter().filter(named).partition(done);
            if done.len() >= range.len() {
                return;
            }
            assert!(
                began.elapsed() < patience,
                "not settled: {:?}",
                open.first()
            );
            // A list of a thousand objects costs the server a lot.
            tokio::time::sleep(Duration::from_millis(300)).await;
        }
    }

    /// What is wrong with the objects: not Ready, no value, or a value that ZITADEL does not accept. Nothing, if all is well.
    pub async fn faults(&self) -> Vec<String> {
        let (objects, secrets) = (self.tenant.objects(), self.tenant.secrets());
        let objects = objects
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        let secrets = secrets
            .list(&kube::api::ListParams::default())
            .await
            .unwrap();
        let mut faults = Vec::new();
        for (n, app) in self.apps.iter().enumerate() {
            let name = name(n);
            let named = |metadata: &kube::core::ObjectMeta| metadata.name.as_ref() == Some(&name);
            match objects.items.iter().find(|object| named(&object.metadata)) {
                None => continue,
                Some(object) if is_ready(object) => {}
                Some(object) => faults.push(format!("{name} is not Ready: {:?}", object.status)),
            }
            let value = secrets
                .items
                .iter()
                .find(|s| named(&s.metadata))
                .and_then(client_secret);
            if !value.is_some_and(|value| self.tenant.zitadel.would_accept(&app.id, &value)) {
                faults.push(format!("{name}: the stored value is not accepted"));
            }
        }
        faults
    }
}

/// A list from the API server's cache: cheap for the cluster under measurement.
fn cached() -> kube::api::ListParams {
    kube::api::ListParams::default().match_any()
}

/// Name of the nth object.
pub fn name(n: usize) -> String {
    format!("app-{n:04}")
}

/// Whether an object is Ready for its present generation.
pub fn is_ready(object: &AppSecret) -> bool {
    let Some(status) = &object.status else {
        return false;
    };
    let ready = status.conditions.get(ConditionType::Ready);
    let current =
        ready.is_some_and(|ready| ready.observed_generation == object.metadata.generation);
    current && status.conditions.is_true(ConditionType::Ready)
}

/// The client secret in a Secret with the default keys.
pub fn client_secret(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get("CLIENT_SECRET")?;
    String::from_utf8(bytes.0.clone()).ok()
}
