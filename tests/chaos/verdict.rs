//! What came of a run: by the simulator's ledger, the audit log and the logs of all replicas.

use std::collections::{BTreeMap, HashMap, HashSet};
use std::path::PathBuf;
use std::sync::{Arc, Mutex};

use futures::StreamExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, ListParams};
use kube::runtime::{WatchStreamExt as _, watcher};
use serde_json::Value;
use tokio::task::JoinHandle;
use zitadel_secret_operator::api::{AppSecret, ConditionType};
use zitadel_secret_operator::rotation::CommitRecord;
use zitadel_simulator::Execution;

use super::kill_loop::Kill;
use super::support::audit::Request;
use super::support::fleet::{Fleet, is_ready, name};
use super::support::world::Tenant;

/// What came of a run.
pub struct Found {
    /// Values made.
    pub generates: usize,
    /// The same by cause; without those whose answer no replica saw.
    pub causes: BTreeMap<String, usize>,
    /// Kills between the execution of a generate and its durable Secret.
    pub in_window: usize,
    /// Attempts whose call had come to ZITADEL, and whose value was not durable, when their process was killed.
    pub met: usize,
    /// Attempts that were executed more than once.
    pub sent_twice: Vec<String>,
}

/// Reckons up.
pub fn reckon(fleet: &Fleet, kills: &[Kill], logs: &[PathBuf], asked: &[Request]) -> Found {
    let executions = fleet.tenant.zitadel.executions();
    let mut by_attempt: HashMap<&str, usize> = HashMap::new();
    for execution in &executions {
        *by_attempt
            .entry(execution.attempt.as_deref().unwrap_or_default())
            .or_default() += 1;
    }
    let twice = by_attempt.iter().filter(|(_, count)| **count > 1);
    let mut logged: HashMap<String, &PathBuf> = HashMap::new();
    let mut causes: BTreeMap<String, usize> = BTreeMap::new();
    for log in logs {
        let text = std::fs::read_to_string(log).unwrap_or_default();
        let lines = text
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok());
        for line in lines.filter(|line| line["target"] == "audit") {
            let text = |field: &str| line[field].as_str().unwrap_or_default().to_owned();
            *causes.entry(text("cause")).or_default() += 1;
            logged.insert(text("attempt"), log);
        }
    }
    let mut writes: HashMap<&str, Vec<jiff::Timestamp>> = HashMap::new();
    for request in asked
        .iter()
        .filter(|request| request.resource() == "secrets" && request.is_write())
    {
        writes
            .entry(request.name())
            .or_default()
            .push(request.answered);
    }
    let received: HashMap<u64, jiff::Timestamp> = fleet
        .tenant
        .zitadel
        .request_log()
        .into_iter()
        .map(|request| (request.id, request.received_at))
        .collect();
    let mut hit: HashSet<&str> = HashSet::new();
    let mut met: HashSet<&str> = HashSet::new();
    let mut in_window = 0;
    for kill in kills {
        let at_risk = |began: &dyn Fn(&Execution) -> jiff::Timestamp| {
            let open = fleet.apps.iter().enumerate().filter_map(|(n, app)| {
                let last = executions
                    .iter()
                    .rfind(|e| e.app == app.id && began(e) < kill.at)?;
                let attempt = last.attempt.as_deref()?;
                let durable = writes.get(name(n).as_str()).is_some_and(|all| {
                    all.iter()
                        .any(|at| (last.executed_at..kill.at).contains(at))
                });
                let of_another = logged.get(attempt).is_some_and(|log| **log != kill.log);
                (!durable && !of_another).then_some(attempt)
            });
            open.collect::<Vec<&str>>()
        };
        let executed = at_risk(&|e| e.executed_at);
        let new = executed
            .into_iter()
            .filter(|attempt| hit.insert(attempt))
            .count();
        in_window += usize::from(new > 0);
        met.extend(at_risk(&|e| {
            let request = e.request.and_then(|id| received.get(&id));
            request.map_or(e.executed_at, |received| *received)
        }));
    }
    Found {
        generates: executions.len(),
        causes,
        in_window,
        met: met.len(),
        sent_twice: twice.map(|(attempt, _)| (*attempt).to_owned()).collect(),
    }
}

/// Every object's name, and the reason why it is not Ready if it is not.
pub async fn unsettled(objects: &Api<AppSecret>) -> Vec<(String, Option<String>)> {
    let found = objects.list(&ListParams::default()).await.unwrap();
    let reason = |object: AppSecret| {
        let handled = object
            .status
            .as_ref()
            .and_then(|status| status.observed_trigger.clone());
        let wanted = object.spec.trigger().map(ToOwned::to_owned);
        let settled = is_ready(&object) && handled == wanted;
        let ready = object
            .status
            .and_then(|status| status.conditions.get(ConditionType::Ready).cloned());
        let reason = ready.map_or_else(|| "NoStatus".to_owned(), |ready| ready.reason);
        (object.metadata.name.unwrap(), (!settled).then_some(reason))
    };
    found.items.into_iter().map(reason).collect()
}

/// Watches that no Secret goes back to an older value.
pub struct SecretHistory {
    overwritten: Arc<Mutex<Vec<String>>>,
    watching: JoinHandle<()>,
}

impl SecretHistory {
    /// Watches the Secrets of a tenant until dropped.
    pub fn watch(tenant: &Tenant) -> Self {
        let overwritten = Arc::<Mutex<Vec<String>>>::default();
        let found = Arc::clone(&overwritten);
        let secrets = tenant.secrets();
        let watching = tokio::spawn(async move {
            let mut newest: HashMap<String, u64> = HashMap::new();
            let changes = watcher(secrets, watcher::Config::default())
                .default_backoff()
                .applied_objects();
            let mut changes = std::pin::pin!(changes);
            while let Some(change) = changes.next().await {
                let Ok(secret) = change else { continue };
                let Some(sequence) = sequence(&secret) else {
                    continue;
                };
                let name = secret.metadata.name.unwrap_or_default();
                let before = newest.insert(name.clone(), sequence).unwrap_or(0);
                if sequence < before {
                    found
                        .lock()
                        .unwrap()
                        .push(format!("{name}: {before} → {sequence}"));
                }
            }
        });
        Self {
            overwritten,
            watching,
        }
    }

    /// Where an older value was written over a newer one.
    pub fn overwritten(&self) -> Vec<String> {
        self.overwritten.lock().unwrap().clone()
    }
}

impl Drop for SecretHistory {
    fn drop(&mut self) {
        self.watching.abort();
    }
}

fn sequence(secret: &Secret) -> Option<u64> {
    let annotations = secret.metadata.annotations.as_ref()?;
    let record = CommitRecord::from_json(annotations.get("zitadel-secrets.dev/commit")?).ok()?;
    record
        .apps
        .values()
        .map(|recorded| recorded.entry.sequence.0)
        .max()
}
