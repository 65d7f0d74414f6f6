//! The breaker: repairs are counted from the claim, and held back for as long as too many are in its windows.

use proptest::prelude::*;

use super::*;
use crate::rotation::Standing;

fn repaired(minutes: &[i64]) -> Repairs {
    let mut repairs = Repairs::default();
    for minute in minutes {
        repairs.add(at(*minute), Cause::LostAttempt.as_str(), None);
    }
    repairs
}

/// An answer of an attempt that was made for this cause is lost, after repairs at these minutes.
fn lost(cause: Cause, minutes: &[i64]) -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    let mut open = claim(2, cause, Some("a"), Some(5));
    open.repairs = repaired(minutes);
    facts.primary.claim = present(open);
    facts.primary.journal = journal(&[5, 6]);
    facts.object.trigger = Some("a".into());
    facts.probe = Observed::Live(Verdict::Rejected);
    facts
}

#[test]
fn any_number_of_triggers_within_an_hour_leaves_the_repair_of_a_lost_answer() {
    let mut facts = lost(Cause::Trigger, &[]);
    let all: Vec<u64> = (5..=56).collect();
    facts.primary.journal = journal(&all);
    edit(&mut facts, |secret| {
        secret.commit = Ok(Some(entry(1, 55, 55)));
    });
    facts.primary.claim = present(claim(2, Cause::Trigger, Some("a"), Some(55)));
    let claim = writes(&facts);
    assert_eq!(claim.live_attempt().unwrap().cause, Cause::LostAttempt);
    assert_eq!(claim.repairs.times, [at(60)]);
}

#[test]
fn it_counts_lost_attempts_on_the_idle_application() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    let standby = facts.standby.as_mut().unwrap();
    let mut open = claim(2, Cause::LostAttempt, Some("b"), Some(8));
    open.repairs = repaired(&[56, 57, 58]);
    standby.claim = present(open);
    standby.journal = journal(&[56, 57, 58, 59]);
    facts.object.trigger = Some("b".into());
    // No one misses the repair, as long as the stored pair is accepted.
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "usable"));
    let mut rejected = facts.clone();
    rejected.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(rests(&rejected), (Reason::BreakerOpen, "stalled"));
    // A newer trigger than the one that was tried gives one attempt more.
    facts.object.trigger = Some("c".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::Trigger));
    assert_eq!(writes(&facts).repairs, repaired(&[56, 57, 58]));
}

#[test]
fn without_a_journal_it_counts_all_the_same() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.journal = Observed::Failed(Failure::new(Reason::PermissionDenied, true));
    facts.object.trigger = Some("a".into());
    edit(&mut facts, |secret| secret.value = Value::Absent);
    facts.memory.missing = Some(BOOT - facts.timing.missing);
    let with = |repairs: &[i64]| {
        let mut facts = facts.clone();
        let mut before = claim(1, Cause::FirstIssue, Some("a"), None);
        before.repairs = repaired(repairs);
        facts.primary.claim = present(before);
        facts
    };
    let claim = writes(&with(&[20, 40]));
    assert_eq!(claim.repairs.times, [at(20), at(40), at(60)]);
    assert_eq!(claim.repairs.causes[2].cause, "SecretMissing");
    assert_eq!(claim.voided().repairs, repaired(&[20, 40]));
    let mut open = with(&[20, 40, 50]);
    assert_eq!(rests(&open), (Reason::BreakerOpen, "stalled"));
    // Other rotations do not count, and a new trigger gives one attempt.
    open.object.trigger = Some("b".into());
    assert_eq!(claims_for(&open), (Slot::Primary, Cause::Trigger));
    assert_eq!(claims_for(&with(&[-100, 20, 40])).1, Cause::SecretMissing);
}

#[test]
fn a_new_trigger_passes_the_breaker_of_a_first_issue_on_the_standby() {
    let mut facts = rehearsed(nothing(), Slot::Standby);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    facts.object.trigger = Some("a".into());
    let mut begun = claim(2, Cause::LostAttempt, Some("a"), Some(8));
    begun.issued = false;
    begun.repairs = repaired(&[57, 58, 59]);
    facts.primary.journal = journal(&[4]);
    facts.standby = Some(AppFacts {
        claim: present(begun),
        journal: journal(&[56, 57, 58, 59]),
        ..app()
    });
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "stalled"));
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::Trigger));
}

#[test]
fn while_it_is_open_the_stored_value_is_asked_for_and_it_closes_when_the_window_has_moved_on() {
    let mut facts = lost(Cause::LostAttempt, &[1, 58, 59]);
    facts.probe = Observed::Unread;
    assert!(matches!(
        step(&facts),
        Step::Read {
            sources: [Source::Probe],
            ..
        }
    ));
    let verdicts = [
        (Verdict::Rejected, Standing::Rejected),
        (Verdict::Accepted, Standing::Accepted),
        (Verdict::Unknown, Standing::Unknown),
    ];
    // Also beside a value that another process may still hold.
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lag)];
    for (probe, standing) in verdicts {
        facts.probe = Observed::Live(probe);
        let decision = decide(&facts);
        let (blocked, retry) = match decision.step {
            Step::Rest(Report::Stalled { blocked, retry }) if probe != Verdict::Accepted => {
                (blocked, retry)
            }
            Step::Rest(Report::Usable { blocked, retry }) if probe == Verdict::Accepted => {
                (blocked, retry)
            }
            other => panic!("{other:?}"),
        };
        let breaker = blocked.breaker.unwrap();
        assert_eq!(breaker.standing, standing);
        assert_eq!(breaker.closes, at(61));
        assert_eq!(breaker.held, Cause::LostAttempt);
        // Beside news the value is asked about soon.
        assert_eq!(retry, Retry::After(facts.timing.probe));
        let memory = decision.memory;
        assert_eq!(memory.rejected.is_some(), probe == Verdict::Rejected);
        assert_eq!(memory.verified.is_some(), probe == Verdict::Accepted);
        assert_eq!(memory.doubt.is_some(), probe == Verdict::Unknown);
    }
    facts.now.time = at(61);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lost * 6)];
    assert_eq!(claims_for(&facts).1, Cause::LostAttempt);
}

#[test]
fn a_lost_answer_waits_longer_for_its_repair_each_time() {
    let waits = |before: &[i64]| match step(&lost(Cause::Trigger, before)) {
        Step::Rest(Report::Working { blocked, retry }) => {
            assert_eq!(blocked.reason, Reason::LostAttempt);
            Some(retry)
        }
        Step::WriteClaim { .. } => None,
        other => panic!("{other:?}"),
    };
    let s = |seconds| Some(Retry::After(Duration::from_secs(seconds)));
    assert_eq!(waits(&[]), None);
    assert_eq!(waits(&[-100]), None);
    assert_eq!(waits(&[50]), s(10));
    // A minute, and ZITADEL is asked about the stored value meanwhile.
    assert_eq!(waits(&[50, 55]), s(20));
    let mut facts = lost(Cause::Trigger, &[50, 55]);
    facts.memory.open = vec![(id(2), BOOT - Duration::from_secs(59))];
    assert_eq!(rests(&facts), (Reason::LostAttempt, "working"));
    facts.memory.open = vec![(id(2), BOOT - Duration::from_secs(60))];
    assert_eq!(claims_for(&facts).1, Cause::LostAttempt);
    // It begins when the answer was lost.
    let mut facts = lost(Cause::Trigger, &[50]);
    facts.memory.open = vec![(id(2), BOOT - Duration::from_secs(10))];
    assert_eq!(claims_for(&facts).1, Cause::LostAttempt);
    // A new trigger does not wait.
    let mut facts = lost(Cause::Trigger, &[50, 55]);
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts).1, Cause::Trigger);
}

#[test]
fn what_came_in_place_of_the_answer_is_remembered_with_the_repair() {
    let mut facts = lost(Cause::Trigger, &[]);
    facts.memory.answer = Some((id(2), "malformed response, HTTP 200".to_owned()));
    let repairs = writes(&facts).repairs;
    let answer = repairs.causes[0].answer.as_deref();
    assert_eq!(answer, Some("malformed response, HTTP 200"));
    facts.memory.answer = Some((id(3), "of another attempt".to_owned()));
    assert_eq!(writes(&facts).repairs.causes[0].answer, None);
}

#[test]
fn a_repair_that_is_known_not_to_have_been_carried_out_does_not_count() {
    let mut facts = lost(Cause::LostAttempt, &[57, 58, 60]);
    let Observed::Live(ClaimView::Present {
        record: Ok(open), ..
    }) = &mut facts.primary.claim
    else {
        unreachable!()
    };
    let attempt = open.attempt.as_mut().unwrap();
    attempt.pre_sequence = Some(Sequence(6));
    attempt.time = at(60);
    facts.memory.not_executed = Some(id(2));
    let claim = writes(&facts);
    assert_eq!(claim.live_attempt().unwrap().cause, Cause::LostAttempt);
    assert_eq!(claim.repairs.times.len(), 3);
    assert!(claim.replaced.iter().any(|replaced| replaced.id == id(2)));
}

#[test]
fn a_takeover_of_a_claim_keeps_its_repairs() {
    let mut facts = stored();
    facts.object.owner.uid = "again".into();
    let mut former = claim(1, Cause::FirstIssue, None, None);
    former.repairs = repaired(&[10, 20]);
    facts.primary.claim = present(former);
    assert_eq!(writes(&facts).repairs, repaired(&[10, 20]));
    // A value without a record, too.
    edit(&mut facts, |secret| secret.commit = Ok(None));
    assert_eq!(writes(&facts).repairs, repaired(&[10, 20]));
}

#[test]
fn where_the_claim_is_gone_the_journal_stands_in_for_it_for_good() {
    let mut facts = stored();
    facts.primary.claim = Observed::Live(ClaimView::Absent);
    facts.primary.journal = Observed::Unread;
    assert!(matches!(
        step(&facts),
        Step::Read {
            sources: [Source::Journal],
            ..
        }
    ));
    facts.primary.journal = journal(&[2, 3, 4, 5]);
    facts.object.explained.asked = vec![Sequence(2)];
    assert_eq!(writes(&facts).repairs.times, [at(3), at(4)]);
    facts.object.explained = Explained::default();
    assert_eq!(writes(&facts).repairs.times, [at(2), at(3), at(4)]);
}

#[test]
fn an_object_that_was_created_again_has_lost_nothing() {
    let mut facts = nothing();
    facts.object.owner.uid = "again".into();
    let mut former = claim(1, Cause::FirstIssue, None, None);
    former.repairs = repaired(&[50]);
    facts.primary.claim = present(former);
    facts.primary.journal = journal(&[5]);
    assert_eq!(step(&facts), Step::CreateShell);
    let mut facts = rehearsed(facts, Slot::Primary);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let claim = writes(&facts);
    assert_eq!(claim.live_attempt().unwrap().cause, Cause::FirstIssue);
    assert_eq!(claim.repairs, repaired(&[50]));
}

#[test]
fn a_secret_that_goes_with_the_former_object_only_after_it_was_taken_over_is_not_missed() {
    let mut facts = stored();
    let taken_over = Claim::settled(owner(), None, None).remembering(repaired(&[50]));
    facts.primary.claim = present(taken_over);
    edit(&mut facts, |secret| secret.owned = false);
    let decision = decide(&facts);
    assert!(matches!(decision.step, Step::Render { .. }));
    let mut facts = rehearsed(facts, Slot::Primary);
    facts.memory.inherited = decision.memory.inherited;
    for secret in [SecretState::Absent, SecretState::Present(secret(None))] {
        facts.secret = Observed::Live(secret.clone());
        match step(&facts) {
            Step::CreateShell => assert_eq!(secret, SecretState::Absent),
            Step::WriteClaim { claim, .. } => {
                assert_eq!(claim.live_attempt().unwrap().cause, Cause::FirstIssue);
                assert_eq!(claim.repairs, repaired(&[50]));
            }
            other => panic!("{other:?}"),
        }
    }
    // Once it is this object's own, it is.
    let mut facts = stored();
    facts.memory.inherited = true;
    facts.memory.inherited = decide(&facts).memory.inherited;
    facts.secret = Observed::Live(SecretState::Absent);
    assert_eq!(rests(&facts), (Reason::SecretMissing, "working"));
}

/// What happens to an application, and in the end whether its breaker would hold one more repair back.
fn holds(history: &[bool]) -> Option<Timestamp> {
    let mut facts = rehearsed(stored(), Slot::Primary);
    let mut made = 5;
    for (number, asked) in history.iter().enumerate() {
        let attempt = 100 + number as u128;
        facts.fresh_attempt = id(attempt);
        facts.now.time = at(60) + Duration::from_secs(number as u64);
        facts.memory = Memory::default();
        let mut facts_now = rehearsed(facts.clone(), Slot::Primary);
        if *asked {
            facts_now.object.trigger = Some(format!("t{number}"));
        } else {
            facts_now.memory.missing = Some(BOOT - facts.timing.missing);
            edit(&mut facts_now, |secret| secret.value = Value::Absent);
        }
        let claim = match step(&facts_now) {
            Step::WriteClaim { claim, .. } => *claim,
            Step::Rest(Report::Stalled { blocked, .. }) => {
                assert_eq!(blocked.reason, Reason::BreakerOpen);
                assert!(!asked, "what is asked for is never held back");
                continue;
            }
            other => panic!("{other:?}"),
        };
        made += 1;
        facts.object.trigger = claim.attempt.as_ref().unwrap().trigger.clone();
        facts.primary.claim = present(claim);
        let Observed::Live(journal) = &mut facts.primary.journal else {
            unreachable!()
        };
        journal.0.push(JournalEvent {
            sequence: Sequence(made),
            time: facts.now.time,
            own: true,
        });
        edit(&mut facts, |secret| {
            secret.commit = Ok(Some(entry(attempt, made, 60)));
        });
    }
    let Observed::Live(ClaimView::Present {
        record: Ok(claim), ..
    }) = &facts.primary.claim
    else {
        unreachable!()
    };
    claim.repairs.closes(at(100), &facts.timing)
}

/// A rotation of this cause whose value this process dropped: the stored one is accepted.
fn without_effect(cause: Cause, minutes: &[i64]) -> Facts {
    let mut facts = lost(cause, minutes);
    facts.probe = Observed::Live(Verdict::Accepted);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lag)];
    facts.memory.dropped(id(2));
    facts.object.due = DueState::Due {
        since: at(0),
        overdue: false,
    };
    facts
}

#[test]
fn a_rotation_without_effect_is_made_again_for_its_own_cause_and_counts_as_a_repair() {
    for cause in [Cause::Due, Cause::Trigger, Cause::LostAttempt] {
        let facts = without_effect(cause, &[10]);
        let claim = writes(&facts);
        assert_eq!(claim.live_attempt().unwrap().cause, cause);
        assert_eq!(claim.repairs.times, [at(10), at(60)], "{cause:?}");
        assert_eq!(claim.repairs.causes[1].cause, "WithoutEffect");
        // Given up before it was sent, it was none.
        assert_eq!(claim.voided().repairs.times, [at(10)], "{cause:?}");
        assert_eq!(
            rests(&without_effect(cause, &[10, 20, 30])),
            (Reason::BreakerOpen, "usable")
        );
    }
    // What is not due any more is repaired all the same: the journal has an event that the Secret does not know.
    let mut later = without_effect(Cause::Due, &[]);
    later.object.due = stored().object.due;
    assert_eq!(claims_for(&later), (Slot::Primary, Cause::LostAttempt));
    // Another process can't tell whether the value is still held.
    let mut other = without_effect(Cause::Due, &[]);
    other.memory.without_effect = None;
    assert_eq!(claims_for(&other), (Slot::Primary, Cause::LostAttempt));
    other.memory.open = vec![(id(2), BOOT)];
    assert_eq!(rests(&other), (Reason::OutcomeUnknown, "usable"));
}

#[test]
fn beside_a_standby_a_rotation_without_effect_is_made_again_for_its_own_cause() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.object.trigger = Some("b".into());
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present(claim(2, Cause::Trigger, Some("b"), Some(8)));
    standby.journal = journal(&[8, 9]);
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
    facts.memory.open = vec![(id(2), BOOT)];
    facts.memory.dropped(id(2));
    let claim = writes(&facts);
    assert_eq!(claim.live_attempt().unwrap().cause, Cause::Trigger);
    assert_eq!(claim.repairs.causes[0].cause, "WithoutEffect");
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(64))]
    #[test]
    fn asked_for_rotations_never_change_the_answer(history in prop::collection::vec(prop::bool::weighted(0.8), 0..60)) {
        let held = holds(&history);
        let repairs = history.iter().filter(|asked| !**asked).count();
        prop_assert_eq!(held.is_some(), repairs >= 3);
    }

    #[test]
    fn no_number_of_rotations_in_the_journal_matters_where_there_is_a_claim(
        asked in prop::collection::vec(6..60_u64, 0..50), before in prop::collection::vec(0..60_i64, 0..5),
    ) {
        let answer = |events: &[u64]| {
            let mut facts = lost(Cause::Trigger, &before);
            facts.memory.open = vec![(id(2), BOOT - facts.timing.lost * 6)];
            facts.primary.journal = journal(events);
            match step(&facts) {
                Step::Rest(report) => Ok(report),
                Step::WriteClaim { claim, .. } => Err(claim.repairs),
                other => panic!("{other:?}"),
            }
        };
        let all: Vec<_> = [5, 6].into_iter().chain(asked).collect();
        prop_assert_eq!(answer(&all), answer(&[5, 6]));
    }
}
