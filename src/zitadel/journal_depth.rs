//! How far back a journal is read, newest entries first. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use super::journal::{Change, ChangeKind};
use crate::ids::Sequence;

/// How far back a journal is read: to a sequence, to an instant, and in any case to the newest new secret, if there is one.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct JournalDepth {
    /// The oldest entry that is needed; `None` if the newest new secret is enough.
    pub sequence: Option<Sequence>,
    /// The oldest date that is needed, by ZITADEL's clock.
    pub time: Timestamp,
}

impl JournalDepth {
    /// The whole journal.
    pub const FULL: Self = Self {
        sequence: Some(Sequence(0)),
        time: Timestamp::MIN,
    };
    /// As far as the newest new secret.
    pub const NEWEST: Self = Self {
        sequence: None,
        time: Timestamp::MAX,
    };
    /// Of two concurrent changes the later one may have the lower sequence. ZITADEL takes up to 15 s for a transaction.
    const OVERLAP: Duration = Duration::from_mins(1);

    /// As far as that entry.
    pub fn to_entry(sequence: Sequence) -> Self {
        Self {
            sequence: Some(sequence),
            ..Self::NEWEST
        }
    }

    /// Whether a journal that was read this far contains everything that `other` requires. An instant up to a minute earlier counts as
    /// the same: it is computed from the current time, and clocks are adjusted.
    pub fn covers(self, other: Self) -> bool {
        let early_enough = self.from() <= other.time;
        let far_enough = match (self.sequence, other.sequence) {
            (_, None) => true,
            (None, Some(_)) => false,
            (Some(read), Some(needed)) => read <= needed,
        };
        early_enough && far_enough
    }

    fn from(self) -> Timestamp {
        let from = self.time.checked_sub(Self::OVERLAP);
        from.unwrap_or(Timestamp::MIN)
    }

    /// Whether the entries read so far, all newer than the rest, are enough.
    pub(super) fn is_reached_by(self, read: &[Change]) -> bool {
        let Some(oldest) = read.iter().min_by_key(|change| change.sequence) else {
            return false;
        };
        self.sequence.is_none_or(|from| oldest.sequence <= from)
            && oldest.change_date < self.from()
            && read.iter().any(|c| c.kind == ChangeKind::SecretChanged)
    }
}

#[cfg(test)]
mod tests {
    use jiff::SignedDuration;

    use super::*;

    const NOON: &str = "2026-07-10T12:00:00Z";

    fn changes(of: &[(u64, i64, ChangeKind)]) -> Vec<Change> {
        let noon: Timestamp = NOON.parse().unwrap();
        let change = |(sequence, minutes, kind): &(u64, i64, ChangeKind)| Change {
            sequence: Sequence(*sequence),
            change_date: noon - SignedDuration::from_mins(*minutes),
            editor: None,
            kind: *kind,
        };
        of.iter().map(change).collect()
    }

    #[test]
    fn enough_is_read_when_sequence_date_and_a_new_secret_are_reached() {
        use ChangeKind::{Other, SecretChanged};
        let since = |sequence: Option<u64>, minutes| JournalDepth {
            sequence: sequence.map(Sequence),
            time: NOON.parse::<Timestamp>().unwrap() - SignedDuration::from_mins(minutes),
        };
        let read = changes(&[(9, 1, SecretChanged), (7, 100, Other)]);
        assert!(since(Some(7), 60).is_reached_by(&read));
        assert!(since(None, 60).is_reached_by(&read));
        assert!(!since(Some(6), 60).is_reached_by(&read), "sequence");
        assert!(!since(Some(7), 100).is_reached_by(&read), "date");
        assert!(
            !since(Some(7), 99).is_reached_by(&read),
            "dates may be crossed"
        );
        let none = changes(&[(9, 1, Other), (7, 100, ChangeKind::SecretUpdated)]);
        assert!(!since(None, 60).is_reached_by(&none), "no new secret");
        assert!(!since(None, 60).is_reached_by(&[]));
        assert!(!JournalDepth::FULL.is_reached_by(&read));
        assert!(JournalDepth::NEWEST.is_reached_by(&changes(&[(9, 0, SecretChanged)])));
    }

    #[test]
    fn a_deeper_reading_covers_a_shallower_one() {
        let noon: Timestamp = NOON.parse().unwrap();
        let day = |sequence: Option<u64>| JournalDepth {
            sequence: sequence.map(Sequence),
            time: noon,
        };
        assert!(day(Some(7)).covers(day(Some(7))) && day(Some(7)).covers(day(Some(8))));
        assert!(day(Some(7)).covers(day(None)) && day(None).covers(day(None)));
        assert!(!day(Some(7)).covers(day(Some(6))) && !day(None).covers(day(Some(7))));
        assert!(JournalDepth::FULL.covers(day(Some(7))) && !JournalDepth::NEWEST.covers(day(None)));
        assert!(day(None).covers(JournalDepth::NEWEST));
        let earlier = |seconds| JournalDepth {
            time: noon - SignedDuration::from_secs(seconds),
            ..day(None)
        };
        assert!(day(None).covers(earlier(59)) && !day(None).covers(earlier(61)));
    }
}
