//! What all reconciliations share.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::runtime::reflector::ObjectRef;
use parking_lot::Mutex;
use tokio::sync::{mpsc, watch};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::connection::registry::Connections;
pub use crate::consumers::Abilities;
pub use crate::consumers::judge::Spans;
use crate::consumers::{self, Consumers};
use crate::process::clock::{Clock, ServerClock};
use crate::process::denied_requests::DeniedRequests;
use crate::process::holding::Holding;
use crate::process::leader::LeadershipWatch;
use crate::process::log_limit::LogLimit;
use crate::process::metrics::Metrics;
use crate::process::relist::Relist;
use crate::reconcile::app_state::AppState;
use crate::reconcile::limits::Pools;
use crate::reconcile::retries::Retries;
use crate::report::event::Events;
use crate::rotation::{Backlog, Holder, Timing};
use crate::store::Store;
use crate::store::cache::GuardedConnection;
use crate::store::object::Object;
use crate::store::scope::Scope;

/// What is set once, at start.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Where claims, credentials and certificate authorities are.
    pub namespace: String,
    /// This process.
    pub holder: Holder,
    /// The spans of the protocol.
    pub timing: Timing,
    /// The shortest interval that is allowed.
    pub minimum_interval: Duration,
    /// How often a project is scanned for external rotations.
    pub drift_interval: Duration,
    /// Which namespaces are watched.
    pub scope: Scope,
    /// Whose connections are kept: those of another class are another operator's.
    pub class: String,
    /// What may be done about consumers.
    pub consumers: Abilities,
    /// The spans of time that consumers are followed in.
    pub consumer_spans: Spans,
}

/// What the process gives to all that runs in it.
pub struct ProcessHandles {
    /// For reads and ordinary writes.
    pub client: kube::Client,
    /// For the one write that must not wait behind others: its connections are its own.
    pub flush_client: kube::Client,
    /// What is set once.
    pub settings: Settings,
    /// The clocks of this host.
    pub clock: Arc<dyn Clock>,
    /// The API server's clock.
    pub api_clock: ServerClock,
    /// What is counted.
    pub metrics: Metrics,
    /// What the API server refuses.
    pub denied: DeniedRequests,
    /// What the process must not end with.
    pub holding: Holding,
    /// Whether this replica is to work; while it does not lead it only watches.
    pub lead: LeadershipWatch,
    /// No new claim after this.
    pub stop: CancellationToken,
    /// Notified where the watches show what the API server does not have.
    pub relist: Relist,
}

/// Shared by all reconciliations.
pub struct Context {
    /// What the process gives.
    pub process: ProcessHandles,
    /// Tasks that outlive the reconcile that started them.
    pub tasks: TaskTracker,
    /// The connections.
    pub connections: Connections,
    /// Paces objects that failed.
    pub retries: Retries<String>,
    /// Paces connections that failed, by name.
    pub connection_retries: Retries<String>,
    /// Keeps those who hang apart from the others.
    pub pools: Pools<ObjectRef<Object>>,
    /// What was said in the log lately.
    pub log: LogLimit,
    /// What is known of the cluster.
    pub store: Arc<Store>,
    /// Asks for a connection to be checked again.
    pub wake_connections: mpsc::UnboundedSender<ObjectRef<GuardedConnection>>,
    /// Publishes events.
    pub events: Events,
    /// Who uses what was rotated.
    pub consumers: Consumers,
    /// Where another operator of this class was noticed last.
    pub another_operator: watch::Sender<Option<String>>,
    apps: Mutex<HashMap<String, Arc<Mutex<AppState>>>>,
    backlog: Mutex<Option<CatchUp>>,
}

/// The backlog of one term of leadership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct CatchUp {
    term: u64,
    /// How many namespaces were listed when it was counted.
    listed: usize,
    since: Duration,
    span: Option<Duration>,
}

impl CatchUp {
    /// The backlog as it was counted, or anew in another term of leadership and where one more namespace was listed. It starts then: of
    /// what is only seen now the first turns would be over otherwise. `count` says how many credentials are due.
    fn counted(
        before: Option<Self>,
        (term, listed): (u64, usize),
        now: Duration,
        most: Duration,
        count: impl FnOnce() -> usize,
    ) -> Self {
        match before {
            Some(before) if (before.term, before.listed) == (term, listed) => before,
            _ => Self {
                term,
                listed,
                since: now,
                span: Backlog::span(count(), most),
            },
        }
    }
}

impl Context {
    /// A context with nothing known yet.
    pub fn new(
        process: ProcessHandles,
        store: Arc<Store>,
        wake_connections: mpsc::UnboundedSender<ObjectRef<GuardedConnection>>,
    ) -> Self {
        let tasks = TaskTracker::new();
        let events = Events::new(
            process.client.clone(),
            &process.settings.holder.pod,
            process.settings.scope.clone(),
            Arc::clone(&process.clock),
            tasks.clone(),
        );
        let consumers = Consumers::new(consumers::Handles {
            client: process.client.clone(),
            abilities: process.settings.consumers,
            spans: process.settings.consumer_spans,
            clock: Arc::clone(&process.clock),
            api_clock: process.api_clock.clone(),
            lead: process.lead.clone(),
            stop: process.stop.clone(),
            store: Arc::clone(&store),
            tasks: tasks.clone(),
            metrics: process.metrics.clone(),
        });
        let pools = Pools::new({
            let store = Arc::clone(&store);
            move |who| store.wake_object(who)
        });
        Self {
            process,
            tasks,
            connections: Connections::default(),
            retries: Retries::default(),
            connection_retries: Retries::default(),
            pools,
            log: LogLimit::default(),
            store,
            wake_connections,
            events,
            consumers,
            another_operator: watch::Sender::default(),
            apps: Mutex::default(),
            backlog: Mutex::default(),
        }
    }

    /// The backlog that this replica found when it began to lead: when that was, since boot, and the time over which it is spread. Of
    /// several namespaces it was when the last one was listed, since one whose watch is refused must not hold up the others.
    ///
    /// NB: counted by the status, which is a mirror that anyone may be wrong about. It only paces.
    pub fn backlog(&self) -> Option<(Duration, Duration)> {
        let term = self.process.lead.terms();
        let parts = self.store.namespaces.values();
        let listed = parts.filter(|cache| cache.is_synced()).count();
        let now = self.process.clock.wall();
        let count = || {
            let objects = self.store.objects();
            let next = objects.filter_map(|object| object.summary()?.next_rotation());
            next.filter(|next| *next < now).count()
        };
        let mut found = self.backlog.lock();
        let before = *found;
        let most = self.process.settings.timing.catch_up;
        let counted = CatchUp::counted(
            before,
            (term, listed),
            self.process.clock.boot(),
            most,
            count,
        );
        if let Some(span) = counted.span
            && before != Some(counted)
        {
            tracing::info!(
                ?span,
                listed,
                "credentials became due while no operator worked; they are rotated one after another"
            );
        }
        *found = Some(counted);
        counted.span.map(|span| (counted.since, span))
    }

    /// What is known of an application.
    pub fn app(&self, claim: &str) -> Arc<Mutex<AppState>> {
        Arc::clone(self.apps.lock().entry(claim.to_owned()).or_default())
    }

    /// Forgets applications that no object names, unless something is held for them.
    pub fn forget_apps(&self, keep: impl Fn(&str) -> bool) {
        self.apps
            .lock()
            .retain(|claim, state| keep(claim) || state.lock().memory.holding.is_some());
    }

    /// Whether a connection of that name exists that was not checked yet: the objects that need it are woken when it is.
    pub fn awaits_connection(&self, name: &str) -> bool {
        !self.connections.knows(name) && self.store.keeps_connection(name)
    }

    /// Has a connection checked again.
    pub fn wake_connection(&self, name: &str) {
        let _ = self.wake_connections.send(ObjectRef::new(name));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_backlog_of_several_namespaces_starts_when_the_last_of_them_was_listed() {
        let (most, at) = (Duration::from_mins(10), Duration::from_secs);
        let counted =
            |before, listed, now, due| CatchUp::counted(before, (1, listed), at(now), most, || due);
        let first = counted(None, 1, 0, 3);
        assert_eq!(first.span, None, "so few are no backlog");
        let both = counted(Some(first), 2, 300, 1003);
        assert_eq!((both.since, both.span), (at(300), Some(most)));
        let later = counted(Some(both), 2, 900, 0);
        assert_eq!(later, both, "it is counted once");
        let next = CatchUp::counted(Some(both), (2, 2), at(1000), most, || 0);
        assert_eq!(next.span, None, "another term has a backlog of its own");
    }
}
