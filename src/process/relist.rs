//! Why watches begin anew, with a list: what they show is not what the API server has, and no event will say so.
//!
//! * The server's data went back to an earlier state, because etcd was restored from a backup: watches continue from a revision in the
//!   future, and show outdated objects.
//! * A custom resource definition was changed: for a second the server's watches still drop the fields that it did not have before, and
//!   those that follow continue from there.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use parking_lot::Mutex;
use tokio::sync::watch;
use tokio::time::Instant;

/// Evidence within this time is of the same change: until all lists are read again, more of it is found.
const SAME: Duration = Duration::from_secs(10);

/// Notifies everything that caches what it read.
#[derive(Debug, Clone, Default)]
pub struct Relist {
    times: Arc<watch::Sender<u64>>,
    last: Arc<Mutex<Option<Instant>>>,
}

impl Relist {
    /// Reports evidence of a restore: an object read from the server is older than it was before.
    pub fn data_went_back(&self, evidence: &str) {
        if self.begin() {
            tracing::warn!(
                evidence,
                "the API server's data went back to an earlier state, as after the restore of a backup: everything is read again"
            );
        }
    }

    /// Reports an object that a watch shows with another spec than the server has for the same generation.
    pub fn shown_otherwise(&self, kind: &str, object: &ObjectMeta) {
        if self.begin() {
            tracing::warn!(
                kind,
                namespace = object.namespace,
                name = object.name,
                "a watch shows an object otherwise than the API server has it, as after a change of its definition: everything is read again"
            );
        }
    }

    /// False if that was begun just now.
    fn begin(&self) -> bool {
        let now = Instant::now();
        let mut last = self.last.lock();
        if last.is_some_and(|last| now.duration_since(last) < SAME) {
            return false;
        }
        *last = Some(now);
        self.times.send_modify(|times| *times += 1);
        true
    }

    /// A counter that changes each time.
    pub fn subscribe(&self) -> watch::Receiver<u64> {
        self.times.subscribe()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn evidence_found_soon_after_is_of_the_same_change() {
        let relist = Relist::default();
        let watches = relist.subscribe();
        relist.data_went_back("a Lease");
        relist.shown_otherwise("ApiAppSecret", &ObjectMeta::default());
        assert_eq!(*watches.borrow(), 1);
        tokio::time::advance(SAME).await;
        relist.shown_otherwise("ApiAppSecret", &ObjectMeta::default());
        assert_eq!(*watches.borrow(), 2);
    }
}
