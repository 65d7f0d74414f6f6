//! A stored value that ZITADEL rejects: when it counts as dead, and what is done then.

use super::*;

/// Rejected that often, for that long, the last time just now.
fn rejected(count: u32, seconds: u64) -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.memory.streak = Some(Box::new(streak(count, Duration::from_secs(seconds))));
    facts
}

/// Rejected, and proven dead.
fn dead() -> Facts {
    rejected(3, 75)
}

#[test]
fn rejections_of_another_revision_do_not_count() {
    assert_eq!(claims_for(&dead()).1, Cause::SecretInvalid);
    let mut another = dead();
    another.memory.streak.as_mut().unwrap().secret = version("6");
    assert_eq!(rests(&another), (Reason::Refused, "working"));
}

/// The same without a record, under a claim that has handled the trigger that is set.
fn unrecorded() -> Facts {
    let mut facts = dead();
    facts.object.trigger = Some("a".into());
    facts.primary.claim = present(Claim::settled(owner(), Some("a".into()), None));
    edit(&mut facts, |secret| {
        secret.commit = Ok(None);
        secret.value = Value::Present;
    });
    facts
}

const REPAIRED: (Slot, Cause) = (Slot::Primary, Cause::SecretInvalid);

#[test]
fn a_value_is_dead_after_three_rejections_and_not_before_the_longest_lag_is_over() {
    assert_eq!(claims_for(&dead()), REPAIRED);
    assert_eq!(rests(&rejected(2, 600)), (Reason::Refused, "working"));
    assert_eq!(rests(&rejected(3, 74)), (Reason::Refused, "working"));
    // The last time is when that is over.
    let Step::Rest(Report::Working { retry, .. }) = step(&rejected(3, 70)) else {
        panic!("{:?}", step(&rejected(3, 70)));
    };
    assert_eq!(retry, Retry::After(Duration::from_secs(5)));
}

#[test]
fn where_a_rejected_value_is_only_reported_the_journal_need_not_be_readable() {
    let mut facts = dead();
    facts.object.recovery.rejected = false;
    let failing = |permanent| Observed::Failed(Failure::new(Reason::ZitadelUnavailable, permanent));
    facts.primary.journal = failing(true);
    assert_eq!(rests(&facts), (Reason::SecretInvalid, "stalled"));
    // Just now: it is not known yet who rotated it.
    facts.primary.journal = failing(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "working"));
}

#[test]
fn a_second_repair_within_a_day_is_a_contest() {
    let mut facts = dead();
    edit(&mut facts, |secret| secret.co_written = true);
    let repaired_at = |facts: &mut Facts, minutes| {
        let mut before = claim(1, Cause::SecretInvalid, Some("a"), None);
        before.invalid_repair = Some(at(minutes));
        facts.primary.claim = present(before);
    };
    let day = 24 * 60;
    facts.now.time = at(2 * day);
    repaired_at(&mut facts, day + 1);
    assert_eq!(rests(&facts), (Reason::SecretContested, "stalled"));
    repaired_at(&mut facts, day);
    assert_eq!(claims_for(&facts), REPAIRED);
    repaired_at(&mut facts, 0);
    assert_eq!(claims_for(&facts), REPAIRED);
}

#[test]
fn without_a_record_a_rejected_value_is_repaired_and_only_a_new_trigger_is_one() {
    let mut facts = unrecorded();
    assert_eq!(claims_for(&facts), REPAIRED);
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
}

#[test]
fn what_was_adopted_or_issued_is_repaired_and_what_is_still_to_be_adopted_is_not() {
    let adopting = |mut facts: Facts| {
        facts.object.adoption_required = true;
        facts
    };
    // Issued: it has a record, or the claim says so, or an attempt was made.
    assert_eq!(claims_for(&adopting(dead())), REPAIRED);
    assert_eq!(claims_for(&adopting(unrecorded())), REPAIRED);
    let mut unissued = unrecorded();
    unissued.primary.claim = present(Claim::unissued(owner(), Some("a".into()), None));
    assert_eq!(
        rests(&adopting(unissued.clone())),
        (Reason::NothingToAdopt, "stalled")
    );
    // Where no adoption was asked for, the policy for rejected values decides.
    assert_eq!(claims_for(&unissued), REPAIRED);
}
