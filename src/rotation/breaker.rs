//! The breaker of one application: it counts in ZITADEL's journal, so no restart or recreation resets it. No I/O.

use jiff::Timestamp;

use super::{Journal, Timing};
use crate::ids::Sequence;

/// Whether repairs must stop: the operator's user rotated more often than is explained, by 3 in the short period or by 6 in the
/// long one.
pub fn breaker_open(
    journal: &Journal,
    now: Timestamp,
    timing: &Timing,
    explained: &Explained,
) -> bool {
    let beyond = |period, schedule: u32| {
        let own = journal.own_within(period, now);
        let unasked = own.filter(|event| !explained.asked.contains(&event.sequence));
        u32::try_from(unasked.count())
            .unwrap_or(u32::MAX)
            .saturating_sub(schedule)
    };
    beyond(timing.breaker_short, explained.short) >= Timing::BREAKER_SHORT_LIMIT
        || beyond(timing.breaker_long, explained.long) >= Timing::BREAKER_LONG_LIMIT
}

/// The same where the journal can't be read, by the repairs that the claims remember.
pub fn breaker_open_by_claims(repairs: &[Timestamp], now: Timestamp, timing: &Timing) -> bool {
    let within = |period| {
        let from = now.checked_sub(period).unwrap_or(Timestamp::MIN);
        repairs.iter().filter(|time| **time > from).count()
    };
    within(timing.breaker_short) >= Timing::BREAKER_SHORT_LIMIT as usize
        || within(timing.breaker_long) >= Timing::BREAKER_LONG_LIMIT as usize
}

/// Rotations that are no repairs.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Explained {
    /// What the schedule can make in the short period.
    pub short: u32,
    /// What the schedule can make in the long period.
    pub long: u32,
    /// What was asked for: first issues and triggers, by the history in the status. Without a status they count as repairs.
    pub asked: Vec<Sequence>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{ids::Sequence, rotation::JournalEvent};

    fn journal(minutes_ago: &[i64], own: bool) -> Journal {
        let event = |(index, minutes): (usize, &i64)| JournalEvent {
            sequence: Sequence(index as u64),
            time: Timestamp::from_second(1_000_000 - minutes * 60).unwrap(),
            own,
        };
        Journal(minutes_ago.iter().enumerate().map(event).collect())
    }

    fn open(minutes_ago: &[i64], (short, long): (u32, u32), asked: &[u64]) -> bool {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let asked = asked.iter().copied().map(Sequence).collect();
        let explained = Explained { short, long, asked };
        let journal = journal(minutes_ago, true);
        breaker_open(&journal, now, &Timing::default(), &explained)
    }

    #[test]
    fn it_opens_at_three_unexplained_rotations_in_an_hour_or_six_in_a_day() {
        let open = |minutes_ago: &[i64]| open(minutes_ago, (0, 0), &[]);
        assert!(!open(&[50, 10]));
        assert!(open(&[50, 10, 5]));
        assert!(!open(&[70, 10, 5]));
        assert!(!open(&[700, 600, 500, 400, 300]));
        assert!(open(&[700, 600, 500, 400, 300, 200]));
        assert!(!open(&[2000, 600, 500, 400, 300, 200]));
    }

    #[test]
    fn what_the_schedule_explains_does_not_count() {
        assert!(!open(&[50, 10, 5], (1, 24), &[]));
        assert!(open(&[50, 40, 10, 5], (1, 24), &[]));
    }

    #[test]
    fn what_was_asked_for_does_not_count() {
        assert!(!open(&[50, 40, 30, 20], (0, 0), &[0, 2]));
        assert!(open(&[50, 40, 30, 20], (0, 0), &[2]));
        // What is said of rotations that ZITADEL does not know of explains nothing.
        assert!(open(&[50, 40, 30], (0, 0), &[7, 8, 9]));
    }

    #[test]
    fn without_a_journal_the_repairs_that_were_begun_count() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        let open = |minutes_ago: &[i64]| {
            let at = |minutes: &i64| Timestamp::from_second(1_000_000 - minutes * 60).unwrap();
            let repairs: Vec<_> = minutes_ago.iter().map(at).collect();
            breaker_open_by_claims(&repairs, now, &Timing::default())
        };
        assert!(!open(&[70, 10, 5]));
        assert!(open(&[50, 10, 5]));
        assert!(open(&[700, 600, 500, 400, 300, 200]));
        assert!(!open(&[2000, 600, 500, 400, 300, 200]));
    }

    #[test]
    fn other_editors_do_not_count() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!breaker_open(
            &journal(&[1, 2, 3, 4], false),
            now,
            &Timing::default(),
            &Explained::default()
        ));
    }
}
