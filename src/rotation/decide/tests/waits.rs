//! When a wait is over, as it is reported, and what can be used meanwhile.

use jiff::SignedDuration;

use super::*;
use crate::rotation::{DoubtKind, Memory, is_usable_beside, next_try};

/// What is waited for, and until when.
#[track_caller]
fn waits(facts: &mut Facts) -> (Reason, Option<Timestamp>) {
    let decision = decide(facts);
    let blocked = match decision.step {
        Step::Rest(
            Report::Usable { blocked, .. }
            | Report::Working { blocked, .. }
            | Report::Stalled { blocked, .. },
        ) => blocked,
        other => panic!("{other:?}"),
    };
    facts.memory = decision.memory;
    (blocked.reason, next_try(&blocked, facts))
}

fn later(facts: &Facts, seconds: i64) -> Facts {
    let mut later = facts.clone();
    later.now.boot += Duration::from_secs(seconds.unsigned_abs());
    later.now.time += SignedDuration::from_secs(seconds);
    later
}

fn due(mut facts: Facts) -> Facts {
    facts.object.due = DueState::Due {
        since: at(0),
        overdue: false,
    };
    facts
}

#[test]
fn the_end_of_a_wait_is_reported_as_one_time_for_as_long_as_it_lasts() {
    let mut facts = due(stored());
    let quota = Failure::new(Reason::QuotaExceeded, true);
    let mut memory = facts.memory.clone();
    let wait = memory.back_off(&facts, &quota);
    facts.memory = memory;
    let end = at(60) + SignedDuration::try_from(wait).unwrap();
    let (reason, reported) = waits(&mut facts);
    assert_eq!(reason, Reason::QuotaExceeded);
    let reported = reported.unwrap();
    assert!(reported >= end && reported.duration_since(end) < SignedDuration::from_secs(1));
    assert_eq!(
        reported.subsec_nanosecond(),
        0,
        "a person compares it with a clock"
    );
    assert_eq!(waits(&mut later(&facts, 7)), (reason, Some(reported)));
    // The next failure begins a longer wait, and with it another time.
    let mut again = later(&facts, 300);
    again.memory.back_off(&again.clone(), &quota);
    assert!(waits(&mut again).1.unwrap() > reported);
    // For a changed object, or another reason, it says nothing.
    let blocked = Blocked::from(Reason::SecretContested);
    assert_eq!(next_try(&blocked, &facts), None);
    facts.object.inputs = "changed".into();
    assert_eq!(next_try(&Reason::QuotaExceeded.into(), &facts), None);
}

#[test]
fn a_call_whose_outcome_is_not_known_says_when_that_is_decided() {
    let mut facts = stored();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.memory.unknown(id(2), BOOT);
    let quiet = SignedDuration::try_from(facts.timing.quiet).unwrap();
    let reported = (Reason::OutcomeUnknown, Some(at(60) + quiet));
    assert_eq!(waits(&mut facts), reported);
    assert_eq!(waits(&mut later(&facts, 40)), reported);
}

#[test]
fn each_wait_that_ends_by_itself_has_a_time() {
    let second = |n: u64| SignedDuration::from_secs(i64::try_from(n).unwrap());
    let mut missing = stored();
    missing.secret = Observed::Live(SecretState::Absent);
    let reported = (Reason::SecretMissing, Some(at(60) + second(10)));
    assert_eq!(waits(&mut missing), reported);
    // It is over at that very time.
    missing.now.boot += Duration::from_secs(10);
    assert_eq!(next_try(&Reason::SecretMissing.into(), &missing), None);

    let mut open = stored();
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.attempt.as_mut().unwrap().holder.pod = "another".into();
    open.primary.claim = present(others);
    let reported = (Reason::AttemptOpen, Some(at(60) + second(15)));
    assert_eq!(waits(&mut open), reported);

    let mut damaged = stored();
    damaged.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    let reported = (Reason::ClaimUnreadable, Some(at(60) + second(90)));
    assert_eq!(waits(&mut damaged), reported);
    // The check of a connection has waits of its own, and all of its objects would be written for each.
    damaged.gates.connection = Err(Failure::new(Reason::ZitadelUnreachable, false));
    assert_eq!(next_try(&Reason::ClaimUnreadable.into(), &damaged), None);

    let mut lost = stored();
    let mut open = claim(2, Cause::Trigger, None, Some(5));
    open.repairs.add(at(50), Cause::LostAttempt.as_str(), None);
    lost.primary.claim = present(open);
    lost.memory.open = vec![(id(2), lost.now.boot)];
    let pause = next_try(&Reason::LostAttempt.into(), &lost);
    assert_eq!(pause, Some(at(60) + second(10)));
}

#[test]
fn a_rotation_that_becomes_due_while_a_key_is_contested_is_noticed_then() {
    let mut facts = stored();
    facts.object.due = DueState::NotDue { next: at(61) };
    edit(&mut facts, |secret| {
        secret.refused = Some(Reason::SecretContested);
    });
    let report = match step(&facts) {
        Step::Rest(report) => report,
        other => panic!("{other:?}"),
    };
    let minute = Retry::After(Duration::from_secs(60));
    assert!(matches!(report, Report::Usable { retry, .. } if retry == minute));
}

#[test]
fn a_value_that_works_is_usable_beside_an_obstacle_to_the_next_one() {
    let mut facts = rehearsed(due(stored()), Slot::Primary);
    facts.memory.verified = Some("7".into());
    edit(&mut facts, |secret| {
        secret.refused = Some(Reason::SecretContested);
    });
    assert_eq!(rests(&facts), (Reason::SecretContested, "stalled"));
    let usable = |facts: &Facts, reason| is_usable_beside(reason, facts, &facts.memory);
    let contested = Reason::SecretContested;
    assert!(usable(&facts, contested));
    for reason in [
        Reason::QuotaExceeded,
        Reason::SecretWriteRefused,
        Reason::SecretImmutable,
        Reason::StandbyNotReady,
        Reason::ClaimWriteForbidden,
    ] {
        assert!(usable(&facts, reason), "{reason:?}");
    }
    // What concerns the application, the connection or the owner may be the end of the value as well.
    for reason in [
        Reason::AppNotFound,
        Reason::AppNotReady,
        Reason::PermissionDenied,
        Reason::CredentialRejected,
        Reason::NotGranted,
        Reason::AppAlreadyClaimed,
        Reason::SecretKeyConflict,
    ] {
        assert!(!usable(&facts, reason), "{reason:?}");
    }
    let with = |change: fn(&mut Facts)| {
        let mut facts = facts.clone();
        change(&mut facts);
        usable(&facts, contested)
    };
    assert!(
        !with(|facts| facts.memory.holding = Some(id(99))),
        "a newer value waits to be written"
    );
    assert!(
        with(|facts| facts.memory = Memory::default()),
        "the operator wrote it last"
    );
    assert!(!with(|facts| facts.memory.doubts(DoubtKind::News, BOOT)));
    assert!(!with(|facts| facts.memory.judged(
        &version("7"),
        Verdict::Rejected,
        BOOT
    )));
    assert!(!with(|facts| edit(facts, |secret| secret.rendered = false)));
    assert!(!with(|facts| edit(facts, |secret| secret.owned = false)));
    assert!(!with(
        |facts| edit(facts, |secret| secret.value = Value::Absent)
    ));
    assert!(!with(
        |facts| facts.secret = Observed::Live(SecretState::Absent)
    ));
    assert!(!with(
        |facts| facts.gates.connection = Err(Failure::new(Reason::TlsFailed, false))
    ));
    let renamed = |facts: &mut Facts| {
        facts.former = Some(Former {
            name: "old".into(),
            version: version("6"),
            sequence: Sequence(5),
            carries: Vec::new(),
        });
    };
    assert!(!with(renamed), "under its new name there is nothing yet");
}
