//! The rotations that are followed, by namespace, and what following them needs.

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::{Notify, Semaphore};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::consumers::judge::Spans;
use crate::consumers::restart::MOST_IN_CLUSTER;
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::{Followed, Progress};
use crate::process::clock::{Clock, ServerClock};
use crate::process::leader::LeadershipWatch;
use crate::process::metrics::Metrics;
use crate::store::Store;

/// Pages of Pods that are in memory at the same time.
const MOST_PAGES: usize = 2;

/// What the operator may do about consumers, by its arguments.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Abilities {
    /// It may list Pods, and annotate them.
    pub refresh: bool,
    /// It may list Pods, and restart workloads.
    pub restart: bool,
}

/// What following consumers needs.
pub struct Handles {
    /// For all requests.
    pub client: kube::Client,
    /// What may be done.
    pub abilities: Abilities,
    /// The spans of time.
    pub spans: Spans,
    /// The clocks of this host.
    pub clock: Arc<dyn Clock>,
    /// The API server's clock.
    pub api_clock: ServerClock,
    /// Whether this replica leads.
    pub lead: LeadershipWatch,
    /// No new work after this.
    pub stop: CancellationToken,
    /// Wakes the objects.
    pub store: Arc<Store>,
    /// The tasks.
    pub tasks: TaskTracker,
    /// What is counted.
    pub metrics: Metrics,
}

/// What all tasks share.
pub(super) struct Registry {
    pub(super) handles: Handles,
    pub(super) namespaces: Mutex<HashMap<String, Namespace>>,
    /// Room for pages of Pods.
    pub(super) pages: Semaphore,
    /// Room for workloads that roll out.
    pub(super) rollouts: Arc<Semaphore>,
}

/// The rotations of a namespace, by the uid of their objects.
#[derive(Default)]
pub(super) struct Namespace {
    pub(super) rotations: BTreeMap<String, Followed>,
    /// Notified of a rotation that is new.
    pub(super) news: Arc<Notify>,
    /// Whether a task works on it.
    pub(super) at_work: bool,
}

impl Registry {
    /// Nothing is followed yet.
    pub(super) fn new(handles: Handles) -> Self {
        Self {
            handles,
            namespaces: Mutex::default(),
            pages: Semaphore::new(MOST_PAGES),
            rollouts: Arc::new(Semaphore::new(MOST_IN_CLUSTER)),
        }
    }

    /// The time on the control plane's clock.
    pub(super) fn now(&self) -> jiff::Timestamp {
        let handles = &self.handles;
        handles
            .api_clock
            .now()
            .unwrap_or_else(|| handles.clock.wall())
    }

    /// The rotations of a namespace whose consumers do not all have the value. None if there are none: the task is to end.
    pub(super) fn open(&self, namespace: &str, news: &Arc<Notify>) -> Option<Vec<Rotation>> {
        let mut namespaces = self.namespaces.lock();
        let known = namespaces.get_mut(namespace);
        // NB: in another term of leadership another task works on it.
        let known = known.filter(|known| Arc::ptr_eq(&known.news, news))?;
        if !self.handles.lead.leads() || self.handles.stop.is_cancelled() {
            // NB: the next leader finds out by itself.
            namespaces.remove(namespace);
            return None;
        }
        let open = known.rotations.values();
        let open = open.filter(|followed| !followed.progress.is_complete());
        let open: Vec<_> = open.map(|followed| followed.rotation.clone()).collect();
        known.at_work = !open.is_empty();
        known.at_work.then_some(open)
    }

    /// Takes note of how far a rotation is, and wakes its object if that is news.
    pub(super) fn note(&self, rotation: &Rotation, progress: Progress) {
        let owner = &rotation.owner;
        let mut namespaces = self.namespaces.lock();
        let namespace = namespaces.get_mut(&owner.namespace);
        let known = namespace.and_then(|it| it.rotations.get_mut(&owner.uid));
        let Some(known) = known.filter(|it| it.rotation.attempt == rotation.attempt) else {
            return;
        };
        if known.progress == progress {
            return;
        }
        let is_complete = progress.is_complete();
        known.progress = progress;
        drop(namespaces);
        if is_complete {
            let took = self.now().duration_since(rotation.written).unsigned_abs();
            self.handles.metrics.rotation_complete(took);
        }
        self.handles.store.wake(owner);
    }
}
