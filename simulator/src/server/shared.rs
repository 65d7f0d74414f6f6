//! What all parts of a running simulator share. Locks are held for one look-up or one command, never across an await.

use std::collections::HashMap;
use std::sync::{Arc, Condvar, Mutex};

use jiff::{SignedDuration, Timestamp};
use tokio::sync::watch;

use crate::config::Settings;
use crate::faults::Faults;
use crate::faults::gates::Gates;
use crate::ledger::Ledger;
use crate::lock;
use crate::server::wire::Control;
use crate::world::World;
use crate::world::instance::Hosts;

pub(crate) struct Shared {
    pub(crate) settings: watch::Sender<Settings>,
    pub(crate) world: Mutex<World>,
    pub(crate) faults: Faults,
    pub(crate) gates: Gates,
    pub(crate) ledger: Ledger,
    pub(crate) hosts: Hosts,
    pub(crate) tls: bool,
    pub(crate) attempt_header: String,
    /// Open connections by number, and a signal when one ends.
    pub(crate) connections: (Mutex<HashMap<u64, Arc<Control>>>, Condvar),
    /// Whether the listener is bound now, and a signal when that changes.
    pub(crate) listening: (Mutex<bool>, Condvar),
}

impl std::fmt::Debug for Shared {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter.debug_struct("Shared").finish_non_exhaustive()
    }
}

impl Shared {
    pub(crate) fn settings(&self) -> Settings {
        *self.settings.borrow()
    }

    /// ZITADEL's clock, in microseconds as `PostgreSQL` keeps them.
    pub(crate) fn now(&self) -> Timestamp {
        let now =
            Timestamp::now() + SignedDuration::from_millis(self.settings.borrow().clock_skew_ms);
        Timestamp::from_microsecond(now.as_microsecond()).unwrap_or(now)
    }

    pub(crate) fn connected(&self, control: Arc<Control>) {
        lock(&self.connections.0).insert(control.id, control);
    }

    pub(crate) fn disconnected(&self, control: &Control) {
        lock(&self.connections.0).remove(&control.id);
        self.connections.1.notify_all();
    }

    pub(crate) fn set_listening(&self, listening: bool) {
        *lock(&self.listening.0) = listening;
        self.listening.1.notify_all();
    }
}
