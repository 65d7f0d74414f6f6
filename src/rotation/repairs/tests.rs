use proptest::prelude::*;

use super::*;
use crate::ids::AttemptId;
use crate::rotation::{
    Entry, Explained, JournalEvent, SecretState, SecretView, Slot, Value, Version,
};

const NOW: i64 = 1_000_000;

fn ago(minutes: i64) -> Timestamp {
    Timestamp::from_second(NOW - minutes * 60).unwrap()
}

fn repairs(minutes_ago: &[i64]) -> Repairs {
    let times = minutes_ago.iter().map(|minutes| ago(*minutes)).collect();
    let causes = Vec::new();
    Repairs { times, causes }.trimmed()
}

fn closes(minutes_ago: &[i64]) -> Option<Timestamp> {
    repairs(minutes_ago).closes(ago(0), &Timing::default())
}

#[test]
fn it_opens_at_three_repairs_in_an_hour_or_six_in_a_day_and_closes_when_the_window_moves_on() {
    assert_eq!(closes(&[50, 10]), None);
    assert_eq!(closes(&[50, 10, 5]), Some(ago(-10)));
    assert_eq!(closes(&[60, 10, 5]), None);
    assert_eq!(closes(&[55, 50, 10, 5]), Some(ago(-10)));
    assert_eq!(closes(&[700, 600, 500, 400, 300]), None);
    assert_eq!(closes(&[700, 600, 500, 400, 300, 200]), Some(ago(-740)));
    assert_eq!(closes(&[1440, 600, 500, 400, 300, 200]), None);
    // The later of the two.
    assert_eq!(closes(&[700, 600, 500, 30, 20, 10]), Some(ago(-740)));
}

#[test]
fn a_clock_that_went_back_keeps_it_open_for_one_window_at_most() {
    assert_eq!(closes(&[-9000, -8000, -7000]), Some(ago(-60)));
}

#[test]
fn repairs_of_one_time_count_each_and_each_can_be_forgotten() {
    let mut repairs = Repairs::default();
    let times = [0, 1, 2].map(|_| repairs.add(ago(0), Cause::LostAttempt.as_str(), None));
    assert!(repairs.closes(ago(0), &Timing::default()).is_some());
    repairs.forget(times[1], &Cause::Due.into());
    assert_eq!(repairs.times, times, "that was no repair");
    repairs.forget(times[1], &Cause::LostAttempt.into());
    assert_eq!(repairs.times, [times[0], times[2]]);
    assert_eq!(repairs.causes.len(), 2);
    assert_eq!(repairs.closes(ago(0), &Timing::default()), None);
}

#[test]
fn two_claims_remember_the_same_repairs_once_and_the_last_six() {
    let one = repairs(&[800, 700, 600]);
    let other = repairs(&[700, 600, 500, 400, 300, 200]);
    let merged = Repairs::of([one.clone(), other.clone()].into_iter());
    assert_eq!(merged, other);
}

#[test]
fn lost_answers_wait_ever_longer_for_their_repairs() {
    let timing = Timing::default();
    let mut repairs = Repairs::default();
    repairs.add(ago(70), Cause::LostAttempt.as_str(), None);
    repairs.add(ago(60), Cause::LostAttempt.as_str(), None);
    repairs.add(ago(30), Cause::SecretMissing.as_str(), None);
    let pause = |repairs: &Repairs| timing.lost_pause(repairs.lost(ago(0), &timing)).as_secs();
    assert_eq!(
        pause(&repairs),
        0,
        "an hour ago and longer, and of another cause"
    );
    repairs.add(ago(20), Cause::LostAttempt.as_str(), None);
    assert_eq!(pause(&repairs), 10);
    repairs.add(ago(10), Cause::LostAttempt.as_str(), None);
    assert_eq!(pause(&repairs), 60);
}

#[test]
fn an_older_version_reads_the_times_and_what_it_drops_is_not_missed() {
    #[derive(Deserialize, Serialize)]
    struct Old {
        #[serde(default)]
        repairs: Vec<Timestamp>,
    }
    let mut repairs = Repairs::default();
    repairs.add(
        ago(5),
        Cause::LostAttempt.as_str(),
        Some("timeout".to_owned()),
    );
    let text = serde_json::to_string(&repairs).unwrap();
    let old: Old = serde_json::from_str(&text).unwrap();
    assert_eq!(old.repairs, [ago(5)]);
    let back: Repairs = serde_json::from_str(&serde_json::to_string(&old).unwrap()).unwrap();
    assert_eq!(back.times, [ago(5)]);
    assert_eq!(back.causes, []);
    let (mut one, mut none) = (back.clone(), back.clone());
    one.forget(ago(5), &Cause::Due.into());
    none.forget(ago(5), &Cause::LostAttempt.into());
    assert_eq!((one.times.len(), none.times.len()), (1, 0));
    assert_eq!(serde_json::from_str::<Repairs>(&text).unwrap(), repairs);
}

fn event((index, (minutes, own)): (usize, (i64, bool))) -> JournalEvent {
    JournalEvent {
        sequence: Sequence(index as u64),
        time: ago(minutes),
        own,
    }
}

fn by_journal(minutes_ago: &[i64], explained: &[u64]) -> Repairs {
    let own = minutes_ago.iter().map(|minutes| (*minutes, true));
    let journal = Journal(own.enumerate().map(event).collect());
    let explained: Vec<_> = explained.iter().copied().map(Sequence).collect();
    Repairs::by_journal(&journal, &explained, ago(0), &Timing::default())
}

#[test]
fn without_a_claim_own_rotations_that_nothing_explains_count() {
    assert_eq!(by_journal(&[1440, 50, 10], &[]), repairs(&[50, 10]));
    assert_eq!(by_journal(&[50, 40, 30], &[0, 2, 9]), repairs(&[40]));
    let foreign = Journal(
        [(3, false), (2, false)]
            .into_iter()
            .enumerate()
            .map(event)
            .collect(),
    );
    let counted = Repairs::by_journal(&foreign, &[], ago(0), &Timing::default());
    assert_eq!(counted, Repairs::default());
}

#[test]
fn the_commit_record_explains_what_the_history_does_not_call_a_repair() {
    let entry = |sequence| Entry {
        attempt: Some(AttemptId(uuid::Uuid::nil())),
        sequence: Sequence(sequence),
        change_date: ago(0),
    };
    let secret = SecretState::Present(SecretView {
        version: Version {
            uid: "u".into(),
            revision: "1".into(),
        },
        managed: true,
        active: Slot::Standby,
        commit: Ok(Some(entry(7))),
        idle: Some(entry(6)),
        held_elsewhere: None,
        owned: true,
        value: Value::Present,
        origin: crate::rotation::Origin::Unknown,
        fingerprint: None,
        handled_trigger: crate::rotation::HandledTrigger::Unrecorded,
        rendered: true,
        refused: None,
        co_written: false,
    });
    let mut explained = Explained {
        asked: vec![Sequence(3)],
        repairs: vec![Sequence(7)],
    };
    assert_eq!(explained.sequences(Some(&secret)), [3, 6].map(Sequence));
    explained.repairs.clear();
    assert_eq!(explained.sequences(Some(&secret)), [3, 6, 7].map(Sequence));
    assert_eq!(explained.sequences(None), [Sequence(3)]);
}

proptest! {
    #[test]
    fn it_closes_by_itself_within_a_day_and_at_the_very_time_that_it_says(
        minutes in prop::collection::vec(-100..3_000_i64, 0..12),
    ) {
        let repairs = repairs(&minutes);
        let timing = Timing::default();
        if let Some(end) = repairs.closes(ago(0), &timing) {
            prop_assert!(end <= ago(-24 * 60));
            prop_assert!(end > ago(0));
            let past = minutes.iter().all(|minutes| *minutes >= 0);
            if past {
                let just_before = end - Duration::from_millis(1);
                prop_assert!(repairs.closes(just_before, &timing).is_some());
                prop_assert!(repairs.closes(end, &timing).is_none());
            }
        }
    }

    #[test]
    fn what_the_journal_stands_in_with_is_never_less_than_what_the_claim_knew(
        made in prop::collection::vec((0..2_000_i64, any::<bool>()), 0..20),
    ) {
        // Each rotation has its event; a history of ten entries at most explains some of those that were asked for.
        let journal = Journal(made.iter().map(|(minutes, _)| (*minutes, true)).enumerate().map(event).collect());
        let asked = made.iter().enumerate().filter(|(_, (_, repair))| !repair);
        let asked: Vec<_> = asked.map(|(index, _)| Sequence(index as u64)).take(10).collect();
        let known: Vec<_> = made.iter().filter(|(_, repair)| *repair).map(|(minutes, _)| *minutes).collect();
        let timing = Timing::default();
        let stands_in = Repairs::by_journal(&journal, &asked, ago(0), &timing);
        let mut unlike = known.clone();
        unlike.sort_unstable();
        unlike.dedup();
        // NB: events of the same second count once, in both.
        prop_assert!(stands_in.closes(ago(0), &timing) >= repairs(&unlike).closes(ago(0), &timing));
    }
}
