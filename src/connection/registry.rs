//! The connections by name.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::watch;

use crate::api::Reason;
use crate::connection::shared::Shared;
use crate::connection::{Connection, permanent};
use crate::process::metrics::ConnectionActivity;
use crate::rotation::Failure;

type ByName = HashMap<String, Result<Arc<Connection>, Failure>>;

/// The connections by name: usable, or why not.
#[derive(Default)]
pub struct Connections(watch::Sender<ByName>, Mutex<HashMap<String, Arc<Shared>>>);

impl Connections {
    /// The connection of that name.
    pub fn get(&self, name: &str) -> Result<Arc<Connection>, Failure> {
        let found = self.0.borrow().get(name).cloned();
        found.unwrap_or(Err(permanent(Reason::ConnectionNotFound)))
    }

    /// What a connection keeps whatever becomes of its client, also while it cannot be used.
    pub(crate) fn shared(&self, name: &str, in_flight: usize) -> Arc<Shared> {
        let mut all = self.1.lock();
        let shared = all
            .entry(name.to_owned())
            .or_insert_with(|| Shared::new(in_flight));
        Arc::clone(shared)
    }

    /// All that can be used.
    pub fn usable(&self) -> Vec<Arc<Connection>> {
        let all = self.0.borrow();
        all.values()
            .filter_map(|connection| connection.as_ref().ok().cloned())
            .collect()
    }

    /// How many there are, and which of them cannot be used, with the reason, by name.
    pub fn unusable(&self) -> (usize, Vec<(String, Reason)>) {
        let all = self.0.borrow();
        let failed = all.iter().filter_map(|(name, connection)| {
            Some((name.clone(), connection.as_ref().err()?.reason))
        });
        let mut failed: Vec<_> = failed.collect();
        failed.sort();
        (all.len(), failed)
    }

    /// Whether the connection of that name was reconciled, with any result.
    pub fn knows(&self, name: &str) -> bool {
        self.0.borrow().contains_key(name)
    }

    /// For those who wait for a change.
    pub fn subscribe(&self) -> watch::Receiver<impl Sized> {
        self.0.subscribe()
    }

    /// What was seen of each, by name.
    pub(crate) fn activity(&self, wall: Timestamp, boot: Duration) -> Vec<ConnectionActivity> {
        let shared = self.1.lock().clone();
        let all = shared.iter();
        let mut all: Vec<_> = all
            .map(|(name, shared)| ConnectionActivity {
                clock_skew: self
                    .get(name)
                    .ok()
                    .and_then(|it| it.zitadel.clock().offset()),
                ..shared.activity(name, wall, boot)
            })
            .collect();
        all.sort_by(|one, other| one.name.cmp(&other.name));
        all
    }

    /// Forgets connections that are gone, and names them.
    pub fn retain(&self, exists: impl Fn(&str) -> bool) -> Vec<String> {
        let mut gone = Vec::new();
        self.0.send_if_modified(|all| {
            gone = all.keys().filter(|name| !exists(name)).cloned().collect();
            for name in &gone {
                all.remove(name);
            }
            !gone.is_empty()
        });
        self.1.lock().retain(|name, _| exists(name));
        gone
    }

    pub(crate) fn set(&self, name: &str, connection: Result<Arc<Connection>, Failure>) {
        self.0.send_modify(|all| {
            all.insert(name.to_owned(), connection);
        });
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::unreached;

    #[tokio::test]
    async fn limits_and_counts_survive_a_connection_that_cannot_be_used() {
        let connections = Connections::default();
        let shared = connections.shared("default", 1);
        shared.repaired(Duration::from_secs(1));
        connections.set("default", Err(unreached()));
        let again = connections.shared("default", 5);
        assert!(Arc::ptr_eq(&shared, &again));
        assert_eq!(
            again.repairs_within(Duration::from_mins(1), Duration::from_secs(2)),
            1
        );
        // One call is under way while the limit changes: it counts.
        let call = Arc::clone(&shared.generate_slots)
            .acquire_owned()
            .await
            .unwrap();
        shared.limit(3);
        assert_eq!(shared.generate_slots.available_permits(), 2);
        shared.limit(1);
        tokio::task::yield_now().await;
        assert_eq!(shared.generate_slots.available_permits(), 0);
        drop(call);
        assert_eq!(shared.generate_slots.available_permits(), 1);
        connections.retain(|_| false);
        assert!(!Arc::ptr_eq(&shared, &connections.shared("default", 1)));
    }
}
