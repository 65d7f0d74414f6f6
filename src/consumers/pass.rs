//! Follows the rotations of one namespace: passes over its Pods, prompts, restarts.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use futures::FutureExt as _;
use jiff::Timestamp;
use tokio::sync::Notify;
use tokio::time::Instant;

use crate::consumers::registry::Registry;
use crate::consumers::requests;
use crate::consumers::restart::{Restarts, Wanted};
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::{Count, Progress, View};
use crate::consumers::workload::WorkloadId;
use crate::ids::AttemptId;
use crate::process::kube_error;
use crate::rotation::schedule::interval::later;

/// Between two prompts in a namespace.
const PROMPT_PAUSE: Duration = Duration::from_millis(100);
/// Pods that are read at a time.
const PAGE: u32 = 5;
/// Between two passes at least, whatever happens.
const LEAST_PAUSE: Duration = Duration::from_secs(1);

/// When Pods were prompted, by uid and rotation.
type Prompted = HashMap<(String, AttemptId), Timestamp>;

/// The rotations of a namespace, while they are followed.
struct Work {
    registry: Arc<Registry>,
    namespace: String,
    news: Arc<Notify>,
    /// How long the last pass took.
    pass_took: Duration,
    prompted: Prompted,
    restarts: Restarts,
}

/// A Pod that is to be prompted, and for which rotations.
struct Prompt {
    pod: String,
    uid: String,
    attempts: BTreeSet<AttemptId>,
}

/// What a pass came to.
#[derive(Default)]
struct Pass {
    counts: Vec<Count>,
    prompts: Vec<Prompt>,
}

/// Follows the rotations of a namespace until all of their consumers have the new values, or this replica no longer leads.
pub(super) async fn follow_namespace(registry: Arc<Registry>, namespace: String) {
    let news = match registry.namespaces.lock().get(&namespace) {
        Some(known) => Arc::clone(&known.news),
        None => return,
    };
    let client = registry.handles.client.clone();
    let mut work = Work {
        restarts: Restarts::new(client, &namespace, Arc::clone(&registry.rollouts)),
        pass_took: Duration::ZERO,
        prompted: HashMap::new(),
        registry,
        namespace,
        news,
    };
    let spans = work.registry.handles.spans;
    let mut pause = spans.pass_first;
    loop {
        // NB: what was news until now is in what is open now; later news end the prompts and have the Pods counted anew.
        let _ = work.news.notified().now_or_never();
        let Some(rotations) = work.registry.open(&work.namespace, &work.news) else {
            break;
        };
        let known = |(_, attempt): &(String, AttemptId), _: &mut Timestamp| {
            rotations.iter().any(|it| it.attempt == *attempt)
        };
        work.prompted.retain(known);
        let next = work.step(&rotations, pause).await;
        // NB: passes that take long, or are asked for again and again, must not keep the API server busy.
        let least = LEAST_PAUSE.min(spans.pass_first).max(work.pass_took);
        tokio::time::sleep(least).await;
        let left = next.saturating_sub(least);
        pause = match tokio::time::timeout(left, work.news.notified()).await {
            Ok(()) => spans.pass_first,
            Err(_) => (pause * 2).min(spans.pass_most),
        };
    }
}

impl Work {
    /// One pass, and what follows from it. How long to wait for the next.
    async fn step(&mut self, rotations: &[Rotation], pause: Duration) -> Duration {
        let begun = Instant::now();
        let pass = self.pass(rotations).await;
        self.pass_took = begun.elapsed();
        let pass = match pass {
            Ok(pass) => pass,
            Err(error) => {
                tracing::debug!(namespace = self.namespace, %error, "the Pods of a namespace cannot be listed");
                if kube_error::is_forbidden(&error) {
                    for rotation in rotations {
                        self.registry.note(rotation, Progress::Unseen);
                    }
                    return self.registry.handles.spans.pass_most;
                }
                return pause;
            }
        };
        self.report(rotations, &pass.counts);
        let spans = self.registry.handles.spans;
        let prompted = self.prompt(pass.prompts).await;
        let now = self.registry.now();
        let refreshed = pass.counts.iter().filter_map(|count| count.refreshed).max();
        let refreshed = prompted.map_or(refreshed, |last| Some(later(last, spans.prompted)));
        // NB: prompts take their time, and others may have restarted a workload meanwhile: what is restarted is counted anew.
        let is_old = prompted.is_some() && !self.wanted(rotations, &pass.counts).is_empty();
        if is_old || self.restart(rotations, &pass.counts, pause).await {
            return Duration::ZERO;
        }
        // What is done by itself soon after the next pass is worth the wait; what can be restarted then is not to wait for longer.
        let soon = refreshed.map(|at| until(at, now) + Duration::from_millis(100));
        let soon = soon.filter(|soon| *soon > pause && *soon < pause * 2);
        let restart = rotations.iter().filter(|it| self.may_restart(it));
        let restart = restart.map(|it| until(it.restarts_from(&spans), now));
        let restart = restart.filter(|left| !left.is_zero()).min();
        let wait = soon.unwrap_or(pause);
        restart.map_or(wait, |restart| restart.min(wait))
    }

    /// Counts the consumers of each rotation.
    async fn pass(&self, rotations: &[Rotation]) -> Result<Pass, kube::Error> {
        let mut pass = Pass::default();
        pass.counts.resize_with(rotations.len(), Count::default);
        let handles = &self.registry.handles;
        let prompted = |uid: &str, rotation: &Rotation| {
            let key = (uid.to_owned(), rotation.attempt);
            self.prompted.get(&key).copied()
        };
        let mut from = None;
        loop {
            let permit = self.registry.pages.acquire().await;
            let token = from.as_deref();
            let listed = requests::pods(&handles.client, &self.namespace, PAGE, token);
            let (pods, next) = listed.await?;
            let view = View {
                now: self.registry.now(),
                spans: &handles.spans,
                prompted: &prompted,
            };
            for pod in &pods {
                let mut attempts = BTreeSet::new();
                for (rotation, count) in rotations.iter().zip(&mut pass.counts) {
                    if count.see(pod, rotation, view) && rotation.policy.refresh {
                        attempts.insert(rotation.attempt);
                    }
                }
                if handles.abilities.refresh && !attempts.is_empty() {
                    pass.prompts.push(Prompt {
                        pod: pod.metadata.name.clone(),
                        uid: pod.metadata.uid.clone(),
                        attempts,
                    });
                }
            }
            drop((pods, permit));
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        for (rotation, count) in rotations.iter().zip(&mut pass.counts) {
            self.see_named(rotation, count).await?;
        }
        Ok(pass)
    }

    /// A workload that the object names and that has no Pods may not exist.
    async fn see_named(&self, rotation: &Rotation, count: &mut Count) -> Result<(), kube::Error> {
        if !self.registry.handles.abilities.restart {
            return Ok(());
        }
        for id in &rotation.policy.workloads {
            let client = &self.registry.handles.client;
            if !count.named.contains(id)
                && requests::workload(client, &self.namespace, id)
                    .await?
                    .is_none()
            {
                count.tally.missing(id);
            }
        }
        Ok(())
    }

    fn report(&self, rotations: &[Rotation], counts: &[Count]) {
        for (rotation, count) in rotations.iter().zip(counts) {
            let obstacle = self.restarts.obstacle(&rotation.owner.uid);
            let progress = Progress::Counted {
                tally: count.tally.clone(),
                obstacle: obstacle.map(ToOwned::to_owned),
            };
            self.registry.note(rotation, progress);
        }
    }

    /// Prompts Pods, one after another, until a new rotation is to be looked at. When the last one was, if any.
    async fn prompt(&mut self, prompts: Vec<Prompt>) -> Option<Timestamp> {
        let mut last = None;
        for Prompt { pod, uid, attempts } in prompts {
            let value: Vec<_> = attempts.iter().map(ToString::to_string).collect();
            let client = &self.registry.handles.client;
            let which = (pod.as_str(), uid.as_str());
            match requests::prompt(client, &self.namespace, which, &value.join(",")).await {
                Ok(()) => {
                    let now = self.registry.now();
                    last = Some(now);
                    for attempt in attempts {
                        self.prompted.insert((uid.clone(), attempt), now);
                    }
                }
                Err(error) => {
                    tracing::debug!(namespace = self.namespace, pod, %error, "a Pod cannot be prompted to refresh its files");
                    if kube_error::is_forbidden(&error) {
                        break;
                    }
                }
            }
            let pause = tokio::time::timeout(PROMPT_PAUSE, self.news.notified());
            if pause.await.is_ok() {
                // It is still to be looked at.
                self.news.notify_one();
                break;
            }
        }
        last
    }

    /// Whether workloads are restarted for a rotation.
    fn may_restart(&self, rotation: &Rotation) -> bool {
        self.registry.handles.abilities.restart && rotation.policy.restart && rotation.replaced
    }

    /// Restarts workloads until the next pass is due. Whether one is to follow at once, since all of them are through.
    async fn restart(&mut self, rotations: &[Rotation], counts: &[Count], span: Duration) -> bool {
        let wanted = self.wanted(rotations, counts);
        if wanted.is_empty() {
            return false;
        }
        let until = Instant::now() + span;
        let mut outcome = self.restarts.begin(wanted).await;
        let mut is_through = false;
        while outcome.is_ok() {
            let advanced = self.restarts.advance().await;
            is_through = matches!(advanced, Ok(false));
            outcome = advanced.map(drop);
            let left = until.saturating_duration_since(Instant::now());
            if is_through
                || left.is_zero()
                || self.registry.open(&self.namespace, &self.news).is_none()
            {
                break;
            }
            let roll = self.registry.handles.spans.roll.min(left);
            if tokio::time::timeout(roll, self.news.notified())
                .await
                .is_ok()
            {
                self.news.notify_one();
                break;
            }
        }
        if let Err(error) = outcome {
            tracing::warn!(namespace = self.namespace, %error, "workloads whose Pods have a former client secret cannot be restarted; it is tried again");
        }
        self.report(rotations, counts);
        is_through && self.restarts.has_seen_rollout()
    }

    /// The workloads that are to be restarted: those that objects name first, in their order, then by name.
    fn wanted(&self, rotations: &[Rotation], counts: &[Count]) -> Vec<Wanted> {
        let spans = &self.registry.handles.spans;
        let now = self.registry.now();
        let due = rotations.iter().zip(counts).filter(|(rotation, _)| {
            self.may_restart(rotation) && rotation.restarts_from(spans) <= now
        });
        let mut all: BTreeMap<(usize, WorkloadId), Wanted> = BTreeMap::new();
        for (rotation, count) in due {
            for id in &count.workloads {
                let mut named = rotation.policy.workloads.iter();
                let place = named.position(|it| it == id).unwrap_or(usize::MAX);
                let known = all.keys().find(|(_, known)| known == id).cloned();
                let key = known.unwrap_or((place, id.clone()));
                let wanted = all.entry(key).or_insert_with(|| Wanted {
                    id: id.clone(),
                    annotations: BTreeMap::new(),
                    for_objects: BTreeSet::new(),
                });
                let attempt = rotation.attempt.to_string();
                wanted
                    .annotations
                    .insert(rotation.annotation.clone(), attempt);
                wanted.for_objects.insert(rotation.owner.uid.clone());
            }
        }
        all.into_values().collect()
    }
}

/// The time that is left; none if it is over.
fn until(at: Timestamp, now: Timestamp) -> Duration {
    if at <= now {
        return Duration::ZERO;
    }
    at.duration_since(now).unsigned_abs()
}
