//! ZITADEL's own list of an application's rotations. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::ids::{AttemptId, Sequence};
use crate::rotation::commit::Entry;

/// One `secret.changed` of the application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalEvent {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its time.
    pub time: Timestamp,
    /// Whether the operator's own user made it.
    pub own: bool,
}

impl JournalEvent {
    /// What to record of the value that it made.
    pub const fn entry(&self, attempt: Option<AttemptId>) -> Entry {
        Entry {
            attempt,
            sequence: self.sequence,
            change_date: self.time,
        }
    }
}

/// The `secret.changed` events of the application, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Journal(pub Vec<JournalEvent>);

impl Journal {
    /// The newest event.
    pub fn newest(&self) -> Option<&JournalEvent> {
        self.0.iter().max_by_key(|event| event.sequence)
    }

    /// The newest event of the operator's own user.
    pub fn newest_own(&self) -> Option<&JournalEvent> {
        self.0
            .iter()
            .filter(|event| event.own)
            .max_by_key(|event| event.sequence)
    }

    /// Whether the operator's own user rotated after `sequence`.
    pub fn own_after(&self, sequence: Option<Sequence>) -> bool {
        self.newest_own()
            .is_some_and(|event| Some(event.sequence) > sequence)
    }

    /// Own events within `period` before `now`.
    pub fn own_within(
        &self,
        period: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = &JournalEvent> {
        let from = now.checked_sub(period).unwrap_or(Timestamp::MIN);
        self.0
            .iter()
            .filter(move |event| event.own && event.time > from)
    }
}
