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
    /// Whether it is the event at that place.
    pub(super) fn is_at(&self, place: Sequence) -> bool {
        place == self.sequence || place == Sequence::of_time(self.time)
    }

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
    /// The place of a recorded value among the events: where a time stands for its sequence, that of the newest event that is not younger.
    pub fn place(&self, entry: &Entry) -> Sequence {
        if !entry.sequence.is_time() {
            return entry.sequence;
        }
        let not_younger = self
            .0
            .iter()
            .filter(|event| event.time <= entry.change_date);
        let newest = not_younger.map(|event| event.sequence).max();
        newest.unwrap_or_default()
    }

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
