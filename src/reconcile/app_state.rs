//! What this process knows of one application between reconciliations.

use std::collections::BTreeSet;
use std::time::Duration;

use jiff::Timestamp;

use crate::api::{AppSecretStatus, ForeignSecret, Outcome};
use crate::ids::{AppId, AttemptId, Sequence};
use crate::report::last_reported::LastReported;
use crate::rotation::{Cause, Memory, Version};

/// What is known of one application between reconciliations.
#[derive(Default)]
pub struct AppState {
    /// For decisions.
    pub memory: Memory,
    /// The Secret whose data was read and is not as declared. The watch does not show that.
    pub drifted: Option<Version>,
    /// The rotations that this process finished and that are not reported yet, the last one at the end.
    pub flushed: Vec<Flushed>,
    /// The secret of another actor that a rotation replaced whose answer is lost, until that is reported.
    pub unreported_replacement: Option<Box<ForeignSecret>>,
    /// What this process last wrote into the object's status.
    pub last_reported: Option<LastReported>,
    /// Since when what is news in the status was not published, if a write of it got no answer.
    pub unpublished: Option<Box<Unpublished>>,
    /// What another operator wrote.
    pub foreign: Foreign,
    /// The applications whose change list the operator's user might not read when that was tried last.
    pub denied: BTreeSet<AppId>,
}

impl AppState {
    /// Remembers a rotation until it is reported: at most as many as the history keeps.
    pub fn finished(&mut self, flushed: Flushed) {
        self.flushed.push(flushed);
        let excess = self.flushed.len().saturating_sub(AppSecretStatus::HISTORY);
        self.flushed.drain(..excess);
    }
}

/// The status of an object before a write of it that got no answer: it may have been carried out, and what it says is not published.
pub struct Unpublished {
    /// The uid of the object: two of them may name one application.
    pub uid: String,
    /// The status.
    pub before: AppSecretStatus,
}

/// How a rotation ended.
#[derive(Debug, Clone)]
pub struct Flushed {
    /// The attempt.
    pub attempt: AttemptId,
    /// Why it was made.
    pub cause: Cause,
    /// How it ended.
    pub outcome: Outcome,
    /// The application.
    pub app: AppId,
    /// The secret that it replaced, if that was another actor's.
    pub replaced: Option<ForeignSecret>,
    /// ZITADEL's sequence.
    pub sequence: Sequence,
    /// ZITADEL's time.
    pub change_date: Timestamp,
    /// The organization that owns the application.
    pub resource_owner: Option<String>,
    /// From the answer until the new value was accepted.
    pub proving: Duration,
    /// From then until the Secret was durable.
    pub writing: Duration,
    /// The Secret's revision afterwards, if it was written.
    pub revision: Option<String>,
}

/// An attempt of another operator's that was seen on a Secret, and whether that was said.
pub type Foreign = Option<(AttemptId, bool)>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_remembered_of_an_object_at_rest_is_small() {
        // There is one for every object. It was 2,656 bytes.
        let size = std::mem::size_of::<AppState>();
        assert!(size <= 584, "{size} bytes");
    }
}
