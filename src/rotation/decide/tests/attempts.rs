//! Open attempts: what may be on its way, what was given up, and claims that can't be read.

use super::*;

/// An attempt 2 that may have been sent, for the value that is stored.
fn open() -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts
}

/// The same, so long ago that nothing is on its way any more.
fn quiet() -> Facts {
    let mut facts = open();
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    facts
}

fn damaged() -> Observed<ClaimView> {
    Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    })
}

/// What is read next.
#[track_caller]
fn reads(facts: &Facts) -> &'static [Source] {
    match step(facts) {
        Step::Read { sources, .. } => sources,
        other => panic!("{other:?}"),
    }
}

#[test]
fn an_attempt_that_another_replica_has_claimed_meanwhile_is_not_sent() {
    let mut facts = open();
    facts.memory.claimed(Slot::Primary, id(99), BOOT);
    facts.memory.not_executed = Some(id(2));
    let decision = decide(&facts);
    assert!(
        !matches!(decision.step, Step::Send { .. }),
        "{:?}",
        decision.step
    );
    assert_eq!(decision.memory.claimed, None);
}

#[test]
fn another_pod_s_attempt_is_read_several_times_while_it_is_watched() {
    let mut facts = open();
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.attempt.as_mut().unwrap().holder.pod = "that".into();
    facts.primary.claim = present(others);
    let Step::Rest(Report::Usable { blocked, retry }) = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert_eq!(blocked.reason, Reason::AttemptOpen);
    assert_eq!(retry, Retry::After(facts.timing.takeover / 3));
}

#[test]
fn another_pod_s_attempt_is_watched_anew_once_the_secret_or_the_claim_has_changed() {
    let mut facts = open();
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.attempt.as_mut().unwrap().holder.pod = "that".into();
    facts.primary.claim = present(others);
    facts.memory = decide(&facts).memory;
    facts.now.boot += facts.timing.takeover;
    let is_watched = |facts: &Facts| {
        let retry = match step(facts) {
            Step::Rest(Report::Usable { blocked, retry })
                if blocked.reason == Reason::AttemptOpen =>
            {
                retry
            }
            _ => return false,
        };
        retry == Retry::After(facts.timing.takeover / 3)
    };
    assert!(!is_watched(&facts), "long enough");
    edit(&mut facts, |secret| secret.version = version("8"));
    assert!(is_watched(&facts), "the other one writes");
}

#[test]
fn a_journal_that_cannot_be_read_just_now_decides_nothing_about_an_attempt() {
    let mut facts = quiet();
    facts.now.boot += facts.timing.lag;
    facts.primary.journal = failing(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.primary.journal = failing(true);
    assert_eq!(voids(&facts), Slot::Primary);
}

#[test]
fn an_attempt_that_was_known_at_once_not_to_have_been_made_casts_no_doubt_on_the_stored_value() {
    let mut facts = open();
    facts.memory.not_executed = Some(id(2));
    facts.memory.verified = Some("7".into());
    facts.probe = Observed::Unread;
    assert_eq!(voids(&facts), Slot::Primary);
    // Of one whose outcome was not known for a while, the value is asked first.
    let mut unknown = quiet();
    unknown.probe = Observed::Unread;
    assert_eq!(reads(&unknown), [Source::Probe]);
}

#[test]
fn beside_a_pair_that_is_used_an_attempt_that_was_not_made_is_given_up_whatever_is_known_of_the_value()
 {
    let mut facts = alternated();
    facts.primary.claim = present(claim(3, Cause::Due, None, Some(5)));
    facts.memory.open = vec![(id(3), BOOT - facts.timing.quiet)];
    facts.primary.journal = journal(&[5]);
    facts.probe = Observed::Unread;
    assert_eq!(voids(&facts), Slot::Primary);
    // The same where no journal says so: the stored value is not the one that the attempt would have replaced.
    facts.primary.journal = failing(true);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(voids(&facts), Slot::Primary);
}

#[test]
fn an_attempt_on_the_pair_in_use_that_was_not_made_is_given_up_before_the_other_one_is_rotated() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.primary.claim = present(claim(2, Cause::Trigger, Some("b"), Some(5)));
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    facts.object.trigger = Some("b".into());
    assert_eq!(voids(&facts), Slot::Primary);
}

#[test]
fn an_attempt_of_the_former_object_that_was_not_made_goes_with_its_claim() {
    let mut facts = quiet();
    facts.object.owner.uid = "again".into();
    let claim = writes(&facts);
    assert_eq!(claim.owner, facts.object.owner);
    assert_eq!(claim.attempt, None);
}

#[test]
fn the_projection_has_caught_up_before_a_value_is_judged_beside_a_lost_answer() {
    let mut facts = open();
    facts.primary.journal = journal(&[5, 6]);
    facts.primary.app = Observed::Unread;
    facts.probe = Observed::Unread;
    assert!(reads(&facts).contains(&Source::App), "{:?}", step(&facts));
}

#[test]
fn a_value_that_is_back_without_its_record_and_is_rejected_after_a_lost_answer_is_replaced_at_once()
{
    let mut facts = rehearsed(stored(), Slot::Primary);
    edit(&mut facts, |secret| secret.commit = Ok(None));
    facts.memory.missing = Some(BOOT);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn a_first_issue_that_was_not_made_is_one_still_and_its_secret_is_not_missed() {
    let mut facts = nothing();
    let mut begun = claim(2, Cause::FirstIssue, None, None);
    begun.issued = false;
    facts.primary.claim = present(begun.clone());
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    assert_eq!(step(&facts), Step::CreateShell);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::FirstIssue));
    // Without a journal nothing else can decide: there is no value to probe.
    let mut blind = facts.clone();
    blind.primary.journal = failing(true);
    blind.probe = Observed::Unread;
    assert_eq!(claims_for(&blind), (Slot::Primary, Cause::FirstIssue));
    // It was made, and the answer is lost: it is so by that name, also where its replacement was given up.
    let mut lost = facts.clone();
    lost.primary.journal = journal(&[6]);
    assert_eq!(claims_for(&lost), (Slot::Primary, Cause::LostAttempt));
    let mut given_up = facts;
    for (cause, next) in [
        (Cause::LostAttempt, Cause::LostAttempt),
        (Cause::FirstIssue, Cause::FirstIssue),
    ] {
        let attempt = begun.attempt.as_mut().unwrap();
        (attempt.cause, attempt.state) = (cause.into(), AttemptState::Void);
        given_up.primary.claim = present(begun.clone());
        assert_eq!(claims_for(&given_up), (Slot::Primary, next));
    }
}

#[test]
fn a_damaged_claim_that_is_written_anew_is_waited_for_anew() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.primary.claim = damaged();
    facts.memory.unreadable = Some((version("2"), BOOT - facts.timing.quiet));
    assert_eq!(rests(&facts).0, Reason::ClaimUnreadable);
    facts.memory.unreadable = Some((version("3"), BOOT - facts.timing.quiet));
    assert_eq!(writes(&facts).attempt, None);
}

#[test]
fn behind_a_damaged_claim_a_lost_answer_is_made_up_for_and_a_missing_secret_is_as_the_policy_says()
{
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = damaged();
    facts.memory.unreadable = Some((version("3"), BOOT - facts.timing.quiet));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    facts.secret = Observed::Live(SecretState::Absent);
    facts.primary.journal = journal(&[5]);
    assert_eq!(rests(&facts), (Reason::SecretMissing, "working"));
}

#[test]
fn where_the_claim_is_gone_repairs_are_counted_by_the_journal_or_not_at_all() {
    let mut facts = stored();
    facts.primary.claim = Observed::Live(ClaimView::Absent);
    facts.primary.journal = failing(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.primary.journal = failing(true);
    assert_eq!(writes(&facts).repairs, Repairs::default());
}

/// The claim of an application was damaged, and is seen so for long enough.
fn damaged_for_long(facts: &mut Facts, slot: Slot) {
    let damaged = damaged();
    facts.memory.unreadable = Some((version("3"), BOOT - facts.timing.quiet));
    match slot {
        Slot::Primary => facts.primary.claim = damaged,
        Slot::Standby => facts.standby.as_mut().unwrap().claim = damaged,
    }
}

#[test]
fn a_trigger_that_was_handled_before_the_claim_was_damaged_is_none_once_its_next_attempt_is_given_up()
 {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.trigger = Some("a".into());
    edit(&mut facts, |secret| {
        secret.handled_trigger = HandledTrigger::Recorded(Some("a".into()));
    });
    facts.object.verified = Some("7".into());
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    damaged_for_long(&mut facts, Slot::Primary);
    let claim = writes(&facts);
    assert_eq!(claim.live_attempt().unwrap().cause, Cause::Due);
    assert_eq!(claim.handled_trigger.as_deref(), Some("a"));
    facts.primary.claim = present(claim.voided());
    facts.object.due = DueState::OnTriggerOnly;
    facts.memory.unreadable = None;
    assert_eq!(rests(&facts).1, "settled");
}

#[test]
fn behind_a_damaged_claim_of_the_idle_application_a_lost_answer_counts_as_a_repair() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.object.trigger = Some("b".into());
    edit(&mut facts, |secret| {
        secret.handled_trigger = HandledTrigger::Recorded(Some("a".into()));
    });
    facts.standby.as_mut().unwrap().journal = journal(&[57]);
    damaged_for_long(&mut facts, Slot::Standby);
    let lost = writes(&facts);
    facts.standby.as_mut().unwrap().claim = present_as("s", lost);
    facts.memory.unreadable = None;
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
    // Damaged each time, it is no more often than the breaker allows.
    facts.standby.as_mut().unwrap().journal = journal(&[57, 58, 59]);
    damaged_for_long(&mut facts, Slot::Standby);
    let lost = writes(&facts);
    facts.standby.as_mut().unwrap().claim = present_as("s", lost);
    facts.memory.unreadable = None;
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "usable"));
    // Without a lost answer nothing is repaired.
    let mut none = rehearsed(alternated(), Slot::Primary);
    none.object.trigger = Some("b".into());
    damaged_for_long(&mut none, Slot::Primary);
    assert_eq!(writes(&none).attempt, None);
    // What ended the overlap is recorded, and not made again.
    none.object.verified = Some("7".into());
    none.object.overlap_ends = Some(at(60));
    none.primary.journal = journal(&[5, 7]);
    let recorded = matches!(step(&none), Step::Render { record: Some((Slot::Primary, entry)), .. } if entry.sequence == Sequence(7));
    assert!(recorded, "{:?}", step(&none));
}

#[test]
fn behind_a_damaged_claim_a_trigger_whose_answer_was_lost_is_made_up_for_as_a_repair() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    facts.object.recovery.missing = false;
    facts.object.trigger = Some("b".into());
    facts.object.observed_trigger = Some("a".into());
    facts.object.explained.asked = vec![Sequence(5)];
    damaged_for_long(&mut facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
    facts.primary.journal = journal(&[5, 57]);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    facts.primary.journal = journal(&[5, 57, 58, 59]);
    let claim = writes(&facts);
    assert_eq!(claim.attempt, None, "the breaker holds it");
    assert_eq!(claim.repairs.times.len(), 3);
}

#[test]
fn a_repair_whose_answer_was_lost_counts_also_where_the_record_of_the_stored_value_is_gone() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    edit(&mut facts, |secret| secret.commit = Ok(None));
    let mut open = claim(2, Cause::LostAttempt, None, Some(5));
    if let Some(attempt) = &mut open.attempt {
        attempt.time = at(20);
    }
    open.repairs.add(at(20), Cause::LostAttempt.as_str(), None);
    facts.primary.claim = present(open);
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    // The second one within the hour waits.
    assert_eq!(rests(&facts).0, Reason::LostAttempt);
}
