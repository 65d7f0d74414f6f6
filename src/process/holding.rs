//! Attempts that keep the process from ending: their call is sent or their value is not written yet. No I/O.

use std::collections::BTreeMap;
use std::sync::Arc;

use futures::Stream;
use tokio::sync::watch;

use crate::ids::AttemptId;

/// The process is ending and holds nothing anymore, so no attempt may start.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the process is ending")]
pub struct Ending;

#[derive(Debug, Default)]
struct Held {
    attempts: BTreeMap<AttemptId, usize>,
    closed: bool,
}

/// Attempts that keep the process from ending. Clones share them.
#[derive(Debug, Clone)]
pub struct Holding(Arc<watch::Sender<Held>>);

impl Default for Holding {
    fn default() -> Self {
        Self(Arc::new(watch::Sender::default()))
    }
}

impl Holding {
    /// Holds the process until the guard is dropped. Take the guard *before* the call is sent: otherwise the process could end
    /// between the answer and the guard.
    pub fn hold(&self, attempt: AttemptId) -> Result<HoldGuard, Ending> {
        let mut outcome = Err(Ending);
        self.0.send_if_modified(|held| {
            if held.closed {
                return false;
            }
            *held.attempts.entry(attempt).or_default() += 1;
            outcome = Ok(());
            true
        });
        outcome.map(|()| HoldGuard {
            holding: self.clone(),
            attempt,
        })
    }

    /// The number of held attempts.
    pub fn count(&self) -> usize {
        self.0.borrow().attempts.len()
    }

    /// The held attempts, oldest first.
    pub fn attempts(&self) -> Vec<AttemptId> {
        self.0.borrow().attempts.keys().copied().collect()
    }

    /// A stream of the number of held attempts, for metrics and readiness.
    pub fn changes(&self) -> impl Stream<Item = usize> + Send + 'static {
        let receiver = self.0.subscribe();
        futures::stream::unfold((receiver, true), |(mut receiver, first)| async move {
            if !first {
                receiver.changed().await.ok()?;
            }
            let count = receiver.borrow_and_update().attempts.len();
            Some((count, (receiver, false)))
        })
    }

    /// Closes if nothing is held; from then on nothing can be held.
    pub(super) fn close_if_empty(&self) -> bool {
        let mut closed = false;
        self.0.send_if_modified(|held| {
            held.closed |= held.attempts.is_empty();
            closed = held.closed;
            false
        });
        closed
    }

    /// Waits until nothing is held, and closes.
    pub(super) async fn closed(&self) {
        let mut changes = self.0.subscribe();
        while !self.close_if_empty() {
            // NB: the sender is in `self`.
            let _ = changes.changed().await;
        }
    }
}

/// Keeps its attempt in [`Holding`] until it is dropped.
#[derive(Debug)]
#[must_use = "dropping the guard lets the process end"]
pub struct HoldGuard {
    holding: Holding,
    attempt: AttemptId,
}

impl Drop for HoldGuard {
    fn drop(&mut self) {
        self.holding.0.send_modify(|held| {
            if let Some(count) = held.attempts.get_mut(&self.attempt) {
                *count -= 1;
                if *count == 0 {
                    held.attempts.remove(&self.attempt);
                }
            }
        });
    }
}

#[cfg(test)]
mod tests {
    use futures::StreamExt as _;

    use super::*;

    fn attempt() -> AttemptId {
        AttemptId(uuid::Uuid::now_v7())
    }

    #[tokio::test]
    async fn changes_yield_the_number_of_held_attempts() {
        let holding = Holding::default();
        let mut changes = std::pin::pin!(holding.changes());
        assert_eq!(changes.next().await, Some(0));
        let twice = attempt();
        let (first, second) = (holding.hold(twice).unwrap(), holding.hold(twice).unwrap());
        assert_eq!(changes.next().await, Some(1));
        drop(first);
        assert_eq!(holding.count(), 1);
        drop(second);
        assert_eq!(changes.next().await, Some(0));
    }
}
