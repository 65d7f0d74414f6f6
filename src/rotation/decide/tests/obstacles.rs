//! What is not the object's to touch, and what stands in the way.

use super::*;

fn another() -> Owner {
    Owner {
        name: "other".into(),
        ..owner()
    }
}

/// The reason that a stall is for, and the object that stands in the way.
#[track_caller]
fn stalls(facts: &Facts) -> (Reason, Option<Owner>) {
    match step(facts) {
        Step::Rest(Report::Stalled { blocked, .. }) => (blocked.reason, blocked.by),
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_secret_of_another_object_a_newer_version_or_no_owner_is_not_touched() {
    let with = |change: fn(&mut SecretView)| {
        // Something is to be done, so that nothing else keeps it from being written.
        let mut facts = rehearsed(stored(), Slot::Primary);
        facts.object.due = DueState::Due {
            since: at(10),
            overdue: false,
        };
        edit(&mut facts, change);
        facts
    };
    let others = with(|secret| secret.held_elsewhere = Some(another()));
    assert_eq!(
        stalls(&others),
        (Reason::SecretKeyConflict, Some(another()))
    );
    let newer = with(|secret| secret.commit = Err(RecordError::Newer));
    assert_eq!(stalls(&newer), (Reason::CommitRecordFromNewerVersion, None));
    let mut nobodys = with(|secret| {
        (secret.managed, secret.commit) = (false, Ok(None));
    });
    assert_eq!(stalls(&nobodys), (Reason::SecretNotOwned, None));
    nobodys.object.adoption_required = true;
    assert!(
        !matches!(step(&nobodys), Step::Rest(_)),
        "it is to be adopted"
    );
}

#[test]
fn an_application_of_another_object_is_not_rotated_and_that_object_is_named() {
    let mut facts = stored();
    facts.gates.rival = Some(another());
    assert_eq!(stalls(&facts), (Reason::AppAlreadyClaimed, Some(another())));
    let mut facts = stored();
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.owner = another();
    facts.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Ok(others),
        held_elsewhere: true,
    });
    assert_eq!(stalls(&facts), (Reason::AppAlreadyClaimed, Some(another())));
}
