//! Detects that the API server's data went back to an earlier state, because etcd was restored from a backup. Watches do not report it:
//! they continue from a revision in the future, and show outdated objects until every watch restarts.

use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Evidence within this time counts as the same restore: until all lists are read again, more of it is found.
const SAME: Duration = Duration::from_secs(10);

/// Notifies everything that caches what it read.
#[derive(Debug, Clone, Default)]
pub struct RestoreDetector {
    times: Arc<watch::Sender<u64>>,
    last: Arc<Mutex<Option<Instant>>>,
}

impl RestoreDetector {
    /// Reports evidence of a restore: an object read from the server is older than it was before.
    pub fn detected(&self, evidence: &str) {
        let now = Instant::now();
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.duration_since(last) < SAME) {
            return;
        }
        *last = Some(now);
        tracing::warn!(
            evidence,
            "the API server's data went back to an earlier state, as after the restore of a backup: everything is read again"
        );
        self.times.send_modify(|times| *times += 1);
    }

    /// A counter that changes with each restore.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.times.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn evidence_found_soon_after_counts_as_the_same_restore() {
        let restore = RestoreDetector::default();
        let watches = restore.subscribe();
        restore.detected("a Lease");
        restore.detected("an object");
        assert_eq!(*watches.borrow(), 1);
        tokio::time::advance(SAME).await;
        restore.detected("an object");
        assert_eq!(*watches.borrow(), 2);
    }
}
