//! What a new claim carries on from the one before, and what must be read anew before it is used.

use super::*;
use crate::rotation::{Bytes32, Fingerprint, Loss};

fn due() -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    facts
}

/// An answer of an attempt 2 is lost, and the stored value is rejected.
fn lost(trigger: Option<&str>) -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = present(claim(2, Cause::Trigger, trigger, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts
}

#[test]
fn a_claim_says_what_was_there_before_its_attempt() {
    let mut facts = due();
    let fingerprint = Fingerprint::of(Bytes32([1; 32]), b"x");
    edit(&mut facts, |secret| {
        secret.fingerprint = Some(fingerprint.clone());
    });
    let claim = writes(&facts);
    assert!(claim.issued);
    let attempt = claim.live_attempt().unwrap();
    assert_eq!(attempt.pre_sequence, Some(Sequence(5)));
    assert_eq!(attempt.stored, Some(fingerprint));
    // Where the journal is closed to the operator it says nothing of that; where it can't be read just now, none is written.
    facts.primary.journal = failing(true);
    assert_eq!(writes(&facts).live_attempt().unwrap().pre_sequence, None);
    facts.primary.journal = failing(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
}

#[test]
fn a_value_was_issued_once_there_is_a_record_or_a_missing_one_is_replaced() {
    let mut first = rehearsed(nothing(), Slot::Primary);
    first.secret = Observed::Live(SecretState::Present(secret(None)));
    assert!(!writes(&first).issued);
    let mut recorded = due();
    let mut before = claim(1, Cause::FirstIssue, Some("a"), None);
    before.issued = false;
    recorded.primary.claim = present(before);
    assert!(writes(&recorded).issued);
}

#[test]
fn a_lost_answer_to_a_trigger_that_was_removed_since_still_counts_for_that_trigger() {
    let claim = writes(&lost(Some("b")));
    let attempt = claim.live_attempt().unwrap();
    assert_eq!(attempt.cause, Cause::LostAttempt);
    assert_eq!(attempt.trigger.as_deref(), Some("b"));
}

#[test]
fn a_repair_of_a_rejected_value_is_remembered_with_its_time() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.streak = Some(Box::new(streak(3, facts.timing.dead)));
    assert_eq!(writes(&facts).invalid_repair, Some(at(60)));
    assert_eq!(writes(&due()).invalid_repair, None);
}

#[test]
fn a_lost_answer_is_known_by_its_event_and_without_a_journal_by_its_attempt() {
    assert_eq!(
        decide(&lost(None)).memory.lost,
        Some(Loss::Event(Sequence(6)))
    );
    let mut blind = lost(None);
    blind.primary.journal = failing(true);
    blind.memory.open = vec![(id(2), BOOT - blind.timing.quiet)];
    blind.memory.streak = Some(Box::new(streak(3, blind.timing.dead)));
    let decision = decide(&blind);
    assert!(matches!(decision.step, Step::WriteClaim { .. }));
    assert_eq!(decision.memory.lost, Some(Loss::Attempt(id(2))));
    assert_eq!(decide(&due()).memory.lost, None, "none is lost");
}

#[test]
fn the_object_is_read_once_more_with_the_application_before_anything_is_claimed() {
    let mut facts = due();
    facts.primary.app = Observed::Unread;
    let step = step(&facts);
    assert!(
        matches!(
            step,
            Step::Read {
                sources: [Source::Object, Source::Journal, Source::App],
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn a_journal_that_fails_after_the_claim_is_no_recheck_and_is_what_is_waited_for() {
    let claimed = |pre| {
        let mut facts = due();
        facts.primary.claim = present(claim(99, Cause::Due, None, pre));
        facts.memory.claimed(Slot::Primary, id(99), BOOT);
        facts
    };
    for (pre, permanent) in [(None, false), (Some(5), true), (Some(5), false)] {
        let mut facts = claimed(pre);
        facts.primary.journal = failing(permanent);
        assert_eq!(voids(&facts), Slot::Primary, "{pre:?} {permanent}");
        let backoff = decide(&facts).memory.backoff.unwrap();
        assert_eq!(backoff.failure.reason, Reason::ZitadelUnavailable);
    }
    // Where it was closed before the claim too, there is nothing to compare.
    let mut blind = claimed(None);
    blind.primary.journal = failing(true);
    assert!(matches!(step(&blind), Step::Send { .. }));
}

#[test]
fn behind_a_damaged_claim_the_breaker_holds_and_the_claim_that_is_written_remembers_why() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.trigger = Some("b".into());
    facts.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    facts.memory.unreadable = Some((version("3"), BOOT - facts.timing.quiet));
    facts.primary.journal = journal(&[5, 57, 58, 59]);
    facts.probe = Observed::Live(Verdict::Rejected);
    let claim = writes(&facts);
    assert_eq!(claim.attempt, None);
    assert_eq!(claim.repairs.times, [at(57), at(58), at(59)]);
    assert_eq!(claim.trigger(false), Some("b"), "it gives no attempt more");
}

#[test]
fn beside_a_claim_that_remembers_the_repairs_the_breaker_writes_none() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.primary.claim = Observed::Live(ClaimView::Absent);
    let mut other = claim(2, Cause::LostAttempt, Some("b"), None);
    other.attempt.as_mut().unwrap().state = AttemptState::Void;
    for minutes in [57, 58, 59] {
        other
            .repairs
            .add(at(minutes), Cause::LostAttempt.as_str(), None);
    }
    facts.standby.as_mut().unwrap().claim = present_as("s", other);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.streak = Some(Box::new(streak(3, facts.timing.dead)));
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "stalled"));
}

#[test]
fn while_the_repair_of_a_lost_answer_waits_a_value_that_is_accepted_is_called_usable() {
    let mut facts = lost(None);
    facts.timing.lost = facts.timing.lag;
    let mut open = claim(2, Cause::Trigger, None, Some(5));
    for minutes in [50, 55] {
        open.repairs
            .add(at(minutes), Cause::LostAttempt.as_str(), None);
    }
    facts.primary.claim = present(open);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lag)];
    assert_eq!(rests(&facts), (Reason::LostAttempt, "working"));
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(rests(&facts), (Reason::LostAttempt, "usable"));
}

#[test]
fn beside_a_standby_a_rejected_value_without_a_record_is_replaced_on_the_other_application() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    edit(&mut facts, |secret| {
        (secret.commit, secret.value) = (Ok(None), Value::Present);
    });
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
}

#[test]
fn a_retirement_waits_for_a_journal_that_cannot_be_read_just_now() {
    let mut facts = alternated();
    facts.primary.claim = present(claim(3, Cause::Retire, Some("b"), Some(5)));
    facts.primary.journal = failing(false);
    facts.memory.open = vec![(id(3), BOOT - facts.timing.quiet)];
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
}

#[test]
fn a_new_standby_that_can_take_over_needs_no_word() {
    let mut facts = pair();
    facts.object.standby_unseen = true;
    assert_eq!(rests(&facts).1, "settled");
}

#[test]
fn a_trigger_of_a_new_object_is_not_handled_before_its_first_issue() {
    let mut first = rehearsed(nothing(), Slot::Primary);
    first.object.trigger = Some("x".into());
    first.secret = Observed::Live(SecretState::Present(secret(None)));
    let claim = writes(&first);
    assert_eq!(claim.handled_trigger, None);
    assert_eq!(claim.live_attempt().unwrap().trigger.as_deref(), Some("x"));
}

#[test]
fn a_requested_rotation_that_was_given_up_is_made_again_under_its_own_name() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.trigger = Some("b".into());
    for (before, again) in [
        (Cause::Trigger, Cause::Trigger),
        (Cause::LostAttempt, Cause::LostAttempt),
    ] {
        facts.primary.claim = voided(claim(2, before, Some("b"), Some(5)));
        assert_eq!(claims_for(&facts), (Slot::Primary, again));
    }
}
