//! The breaker of one application: it counts in ZITADEL's journal, so no restart or recreation resets it. No I/O.

use jiff::Timestamp;

use super::{Journal, Timing};

/// Whether repairs must stop: the operator's user rotated more often than the schedule explains, by 3 in the short period or by 6
/// in the long one. `explained` is what the schedule can make in each.
pub fn breaker_open(
    journal: &Journal,
    now: Timestamp,
    timing: &Timing,
    explained: (u32, u32),
) -> bool {
    let beyond = |period, explained: u32| journal.own_within(period, now).saturating_sub(explained);
    beyond(timing.breaker_short, explained.0) >= Timing::BREAKER_SHORT_LIMIT
        || beyond(timing.breaker_long, explained.1) >= Timing::BREAKER_LONG_LIMIT
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

    fn open(minutes_ago: &[i64], explained: (u32, u32)) -> bool {
        let now = Timestamp::from_second(1_000_000).unwrap();
        breaker_open(
            &journal(minutes_ago, true),
            now,
            &Timing::default(),
            explained,
        )
    }

    #[test]
    fn it_opens_at_three_unexplained_rotations_in_an_hour_or_six_in_a_day() {
        assert!(!open(&[50, 10], (0, 0)));
        assert!(open(&[50, 10, 5], (0, 0)));
        assert!(!open(&[70, 10, 5], (0, 0)));
        assert!(!open(&[700, 600, 500, 400, 300], (0, 0)));
        assert!(open(&[700, 600, 500, 400, 300, 200], (0, 0)));
        assert!(!open(&[2000, 600, 500, 400, 300, 200], (0, 0)));
    }

    #[test]
    fn what_the_schedule_explains_does_not_count() {
        assert!(!open(&[50, 10, 5], (1, 24)));
        assert!(open(&[50, 40, 10, 5], (1, 24)));
    }

    #[test]
    fn other_editors_do_not_count() {
        let now = Timestamp::from_second(1_000_000).unwrap();
        assert!(!breaker_open(
            &journal(&[1, 2, 3, 4], false),
            now,
            &Timing::default(),
            (0, 0)
        ));
    }
}
