//! The API server's data went back to an earlier state: etcd was restored from a backup. A watch is not told so. It goes on from a
//! revision that is yet to come, and what it showed before stays wrong until every watch begins anew.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::watch;
use tokio::time::Instant;

/// For how long what is found counts as the same restore: lists take a while, and until then more is found.
const SAME: Duration = Duration::from_secs(10);

/// Says that the data went back, to everything that remembers what it read.
#[derive(Debug, Clone, Default)]
pub struct Rewind {
    times: Arc<watch::Sender<u64>>,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Rewind {
    /// To be called with evidence only: the same object read from the server is older than it was before.
    pub fn noticed(&self, evidence: &str) {
        let now = Instant::now();
        let mut last = self.last.lock().unwrap_or_else(PoisonError::into_inner);
        if last.is_some_and(|last| now.duration_since(last) < SAME) {
            return;
        }
        *last = Some(now);
        tracing::warn!(
            evidence,
            "the API server's data went back to an earlier state, as after the restore of a backup: everything is read anew"
        );
        self.times.send_modify(|times| *times += 1);
    }

    /// Changes each time the data went back.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.times.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn what_is_found_soon_after_counts_as_the_same() {
        let rewind = Rewind::default();
        let watches = rewind.subscribe();
        rewind.noticed("a Lease");
        rewind.noticed("an object");
        assert_eq!(*watches.borrow(), 1);
        tokio::time::advance(SAME).await;
        rewind.noticed("an object");
        assert_eq!(*watches.borrow(), 2);
    }
}
