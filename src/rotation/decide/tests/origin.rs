//! Values whose origin or whose place in the journal is not known: kept if ZITADEL accepts them.

use super::*;
use crate::rotation::DoubtKind;

/// A value without a record, under the object's own claim.
fn unrecorded() -> Facts {
    let mut facts = stored();
    facts.primary.claim = present(Claim::settled(owner(), Some("a".into()), None));
    edit(&mut facts, |secret| {
        secret.commit = Ok(None);
        secret.value = Value::Present;
    });
    facts
}

/// What is recorded of the value.
#[track_caller]
fn records(facts: &Facts) -> Entry {
    match step(facts) {
        Step::Render {
            record: Some((_, entry)),
            ..
        } => entry,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_value_that_is_taken_over_is_recorded_with_the_newest_rotation() {
    let mut facts = unrecorded();
    let (sequence, change_date) = (Sequence(5), at(5));
    let entry = Entry {
        attempt: None,
        sequence,
        change_date,
    };
    assert_eq!(records(&facts), entry);
    // Where the journal is closed to the operator, with none; where it can't be read just now, it is waited for.
    facts.primary.journal = failing(true);
    let (sequence, change_date) = (Sequence(0), at(60));
    let entry = Entry {
        attempt: None,
        sequence,
        change_date,
    };
    assert_eq!(records(&facts), entry);
    facts.primary.journal = failing(false);
    assert_eq!(rests(&facts).0, Reason::ZitadelUnavailable);
}

#[test]
fn without_a_verdict_no_value_is_taken_over_and_no_claim_either() {
    let mut facts = unrecorded();
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&facts).0, Reason::NoVerdict);
    let mut former = stored();
    former.object.owner.uid = "again".into();
    former.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&former).0, Reason::NoVerdict);
    former.probe = Observed::Live(Verdict::Accepted);
    assert!(matches!(step(&former), Step::WriteClaim { .. }));
}

#[test]
fn a_label_is_written_without_a_word_from_zitadel_and_news_are_read_about_first() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    edit(&mut facts, |secret| secret.rendered = false);
    facts.primary.journal = Observed::Unread;
    facts.primary.app = Observed::Unread;
    facts.probe = Observed::Unread;
    assert!(matches!(step(&facts), Step::Render { .. }));
    facts.primary.hint = Some(Sequence(6));
    let step = step(&facts);
    assert!(
        matches!(
            step,
            Step::Read {
                sources: [Source::Journal],
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn each_rotation_that_the_secret_does_not_know_of_is_waited_for_as_long() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Verdict::Rejected);
    facts.primary.journal = journal(&[5, 6, 7]);
    facts.memory.drift = Some((Sequence(6), BOOT - facts.timing.quiet));
    facts.memory = decide(&facts).memory;
    assert_eq!(rests(&facts), (Reason::Refused, "working"));
    facts.now.boot += facts.timing.quiet;
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn of_a_zitadel_from_a_backup_the_record_of_a_good_value_is_lowered() {
    let mut facts = stored();
    facts.primary.hint = Some(Sequence(3));
    facts.primary.journal = journal(&[3]);
    assert_eq!(records(&facts), entry(1, 3, 3));
    // Not without a verdict.
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&facts).0, Reason::NoVerdict);
    facts.memory.doubts(DoubtKind::News, BOOT);
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(records(&facts), entry(1, 3, 3));
}

#[test]
fn where_nothing_can_be_adopted_the_check_is_repeated_after_minutes() {
    let mut facts = nothing();
    facts.object.adoption_required = true;
    facts.primary.claim = present(Claim::unissued(owner(), None, None));
    let Step::Rest(Report::Stalled { blocked, retry }) = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    assert_eq!(blocked.reason, Reason::NothingToAdopt);
    assert_eq!(retry, Retry::After(Duration::from_mins(5)));
}

#[test]
fn a_value_that_is_to_be_taken_over_and_that_another_tool_applies_waits_for_a_new_trigger() {
    let mut facts = unrecorded();
    edit(&mut facts, |secret| {
        secret.refused = Some(Reason::SecretContested);
    });
    for handled in [None, Some("a".to_owned())] {
        facts.object.trigger = handled;
        let waits = stalled(Reason::SecretContested, Retry::OnChange);
        assert_eq!(step(&facts), Step::Rest(waits));
    }
    facts.object.trigger = Some("b".into());
    let decided = step(&facts);
    assert!(matches!(decided, Step::Rehearse { .. }), "{decided:?}");
    // No trigger makes what cannot be written writable.
    edit(&mut facts, |secret| {
        secret.refused = Some(Reason::SecretImmutable);
    });
    assert_eq!(rests(&facts), (Reason::SecretImmutable, "stalled"));
}
