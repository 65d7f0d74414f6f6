//! Values and attempts of ZITADEL's API v2, which has no sequences, seen over v1, and the other way round.

use super::*;

/// The stored value was made over v2, at the time of event 5.
fn dated() -> Facts {
    let mut facts = stored();
    edit(&mut facts, |secret| {
        let time = Sequence::of_time(at(5));
        secret.commit = Ok(Some(Entry {
            sequence: time,
            ..entry(1, 0, 5)
        }));
    });
    facts
}

/// An attempt over v2 is open.
fn open(facts: &mut Facts) {
    let mut open = claim(2, Cause::Trigger, Some("b"), None);
    open.attempt.as_mut().unwrap().api = ApiVersion::V2;
    facts.primary.claim = present(open);
    facts.memory.attempt_seen(id(2), BOOT);
}

#[test]
fn a_value_of_v2_gets_its_number_from_the_journal_by_its_time_and_nothing_is_asked() {
    let mut facts = dated();
    facts.primary.journal = journal(&[3, 5]);
    facts.probe = Observed::Unread;
    facts.primary.hint = Some(Sequence(5));
    match step(&facts) {
        Step::Render { record, .. } => assert_eq!(record, Some((Slot::Primary, entry(1, 5, 5)))),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_later_rotation_is_one_whatever_its_number() {
    let mut facts = dated();
    facts.primary.journal = journal(&[5, 6]);
    facts.primary.hint = Some(Sequence(6));
    // An own one that the Secret does not know: looked at closely before anything is said.
    assert!(matches!(step(&facts), Step::Read { .. }));
    let memory = decide(&facts).memory;
    assert_eq!(memory.drift, Some((Sequence(6), BOOT)));
}

#[test]
fn an_attempt_over_v2_is_settled_by_the_journal_of_v1() {
    let mut lost = dated();
    open(&mut lost);
    lost.primary.journal = journal(&[5, 6]);
    lost.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(
        claims_for(&rehearsed(lost, Slot::Primary)),
        (Slot::Primary, Cause::LostAttempt)
    );
    let mut not_sent = dated();
    open(&mut not_sent);
    not_sent.primary.journal = journal(&[3, 5]);
    assert_eq!(rests(&not_sent), (Reason::OutcomeUnknown, "usable"));
    not_sent.now.boot += not_sent.timing.quiet;
    assert_eq!(voids(&not_sent), Slot::Primary);
}

#[test]
fn over_v2_a_claim_names_the_api_and_no_event_that_could_not_be_read_again() {
    let mut facts = rehearsed(dated(), Slot::Primary);
    facts.api = ApiVersion::V2;
    facts.object.trigger = Some("b".into());
    for journal in [journal(&[5]), failing(true)] {
        facts.primary.journal = journal;
        let attempt = writes(&facts).attempt.unwrap();
        assert_eq!((attempt.api, attempt.pre_sequence), (ApiVersion::V2, None));
    }
}

#[test]
fn a_retirement_over_v2_is_known_by_an_event_after_it() {
    let mut facts = alternated();
    facts.object.overlap_ends = Some(at(0));
    let mut open = claim(3, Cause::Retire, None, None);
    let attempt = open.attempt.as_mut().unwrap();
    (attempt.api, attempt.time) = (ApiVersion::V2, at(7));
    facts.primary.claim = present(open.clone());
    facts.primary.journal = journal(&[5, 8]);
    match step(&facts) {
        Step::Render { record, .. } => assert_eq!(record, Some((Slot::Primary, entry(3, 8, 8)))),
        other => panic!("{other:?}"),
    }
    facts.primary.journal = journal(&[5]);
    assert!(
        !matches!(step(&facts), Step::Render { .. }),
        "5 was before it"
    );
    // One at the very same time is after it: the attempt's time is taken before the call.
    open.attempt.as_mut().unwrap().time = at(8);
    facts.primary.claim = present(open);
    facts.primary.journal = journal(&[5, 8]);
    assert!(matches!(step(&facts), Step::Render { .. }));
}
