//! A rotation whose consumers are followed. No I/O.

use jiff::Timestamp;

use crate::consumers::find::Wanted;
use crate::consumers::judge::Spans;
use crate::ids::AttemptId;
use crate::rotation::Owner;
use crate::rotation::schedule::interval::later;
use crate::target::consumers::ConsumerPolicy;

/// A rotation, from the moment that its value was written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Rotation {
    /// The object.
    pub owner: Owner,
    /// The attempt that made the value.
    pub attempt: AttemptId,
    /// When it was written, or later, on the control plane's clock.
    pub written: Timestamp,
    /// Whether there was a value before it.
    pub replaced: bool,
    /// The Secret and its keys.
    pub wanted: Wanted,
    /// The annotation of the Pod templates that are restarted for it.
    pub annotation: String,
    /// What is done for consumers.
    pub policy: ConsumerPolicy,
}

impl Rotation {
    /// When consumers that are behind are a problem, on the control plane's clock.
    pub fn deadline(&self) -> Timestamp {
        later(self.written, self.policy.deadline)
    }

    /// When workloads may be restarted for it: their Pods must be known to be younger than the value, whose times are cut to seconds. Others
    /// that restart workloads when a Secret changes are through with it by then.
    pub fn restarts_from(&self, spans: &Spans) -> Timestamp {
        later(self.written, spans.guard + Spans::SECOND * 2)
    }
}
