//! A standby application that the operator creates.

use super::*;
use crate::ids::AppId;
use crate::rotation::next_try;

/// The stored pair of an object that is to have one, and has none yet.
fn wanted() -> Facts {
    let mut facts = stored();
    facts.object.provisioned = true;
    facts.object.standby_unseen = true;
    facts.object.trigger = Some("a".into());
    facts
}

/// The same with a failure to create it, whose wait is not over.
fn failed(mut facts: Facts, permanent: bool) -> Facts {
    let failure = Failure::new(Reason::StandbyNotReady, permanent);
    let mut memory = facts.memory.clone();
    memory.not_provisioned(&facts, &failure);
    facts.memory = memory;
    facts
}

/// The same when it is known.
fn known(mut facts: Facts) -> Facts {
    facts.standby.get_or_insert_with(app);
    if let Observed::Live(ClaimView::Present {
        record: Ok(claim), ..
    }) = &mut facts.primary.claim
    {
        claim.standby = Some(AppId::try_from("s").unwrap());
    }
    facts
}

#[track_caller]
fn provisions(facts: &Facts) -> Claim {
    match step(facts) {
        Step::Provision { claim, over } => {
            assert_eq!(over, Some(version("3")));
            *claim
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn it_is_created_before_anything_is_rotated_and_only_by_an_object_that_was_read() {
    let mut facts = wanted();
    assert_eq!(provisions(&facts).attempt, writes_nothing(&facts));
    facts.object.trigger = Some("b".into());
    provisions(&facts);
    for forget in [
        |facts: &mut Facts| facts.current = Observed::Unread,
        |facts: &mut Facts| facts.primary.app = Observed::Unread,
    ] {
        let mut facts = facts.clone();
        forget(&mut facts);
        assert!(
            matches!(
                step(&facts),
                Step::Read {
                    slot: Slot::Primary,
                    ..
                }
            ),
            "{:?}",
            step(&facts)
        );
    }
    facts.current = Observed::Live(false);
    assert!(matches!(step(&facts), Step::Rest(Report::Outdated { .. })));
}

/// The attempt of the claim as it is stored: it stays there.
fn writes_nothing(facts: &Facts) -> Option<Attempt> {
    match facts.primary.claim.known() {
        Some(ClaimView::Present {
            record: Ok(claim), ..
        }) => claim.attempt.clone(),
        _ => None,
    }
}

#[test]
fn while_it_cannot_be_created_nothing_that_is_in_use_is_ended() {
    for (permanent, how) in [(false, "usable"), (true, "stalled")] {
        let mut facts = failed(wanted(), permanent);
        assert_eq!(rests(&facts), (Reason::StandbyNotReady, how));
        facts.object.trigger = Some("b".into());
        assert_eq!(rests(&facts), (Reason::StandbyNotReady, how));
        let mut due = failed(wanted(), permanent);
        due.object.due = DueState::Due {
            since: at(0),
            overdue: false,
        };
        assert_eq!(rests(&due), (Reason::StandbyNotReady, how));
        let next = next_try(&Reason::StandbyNotReady.into(), &facts);
        assert!(next > Some(facts.now.time), "{next:?}");
        // A changed object or connection does not wait.
        facts.object.inputs = "changed".into();
        provisions(&facts);
    }
}

#[test]
fn an_attempt_of_before_that_was_not_carried_out_is_given_up_first() {
    let mut facts = wanted();
    facts.object.trigger = Some("b".into());
    facts.primary.claim = present(claim(2, Cause::Trigger, Some("b"), Some(5)));
    facts.memory.open = vec![(id(2), Duration::ZERO)];
    facts.memory.not_executed = Some(id(2));
    let voided = writes(&facts);
    assert_eq!(voided.live_attempt(), None, "{voided:?}");
    facts.primary.claim = present(voided);
    provisions(&facts);
}

#[test]
fn a_repair_does_not_wait_for_it() {
    let mut facts = failed(wanted(), true);
    facts.memory.missing = Some(Duration::ZERO);
    let mut emptied = facts.clone();
    facts.secret = Observed::Live(SecretState::Absent);
    assert_eq!(step(&facts), Step::CreateShell);
    // Also where no attempt is open.
    edit(&mut emptied, |secret| secret.value = Value::Absent);
    assert!(matches!(
        step(&emptied),
        Step::Rehearse {
            slot: Slot::Primary,
            ..
        }
    ));
}

#[test]
fn a_new_object_has_its_claim_and_its_standby_before_its_first_client_secret() {
    let mut facts = nothing();
    facts.object.provisioned = true;
    facts.object.trigger = Some("a".into());
    let claim = writes(&facts);
    assert_eq!(
        (
            claim.issued,
            claim.attempt.clone(),
            claim.handled_trigger.clone()
        ),
        (false, None, Some("a".into()))
    );
    facts.primary.claim = present(claim);
    provisions(&facts);
    // And then goes to the application that no one has used.
    let mut facts = known(facts);
    assert_eq!(step(&facts), Step::CreateShell);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    assert_eq!(
        claims_for(&rehearsed(facts, Slot::Standby)),
        (Slot::Standby, Cause::FirstIssue)
    );
}

#[test]
fn beside_an_application_that_cannot_be_rotated_none_is_created() {
    for app in [
        Observed::Live(AppView {
            refused: Some(Reason::AppNotReady),
        }),
        Observed::Failed(Failure::new(Reason::AppNotFound, true)),
    ] {
        let mut facts = wanted();
        facts.primary.app = app.clone();
        let rest = step(&facts);
        assert!(
            matches!(
                &rest,
                Step::Rest(Report::Usable { blocked, retry: Retry::After(wait) })
                    if blocked.reason == Reason::StandbyNotReady && *wait == facts.timing.retry_most
            ),
            "{rest:?}"
        );
        let mut new = nothing();
        new.object.provisioned = true;
        new.primary.app = app.clone();
        let reason = match app {
            Observed::Failed(failure) => failure.reason,
            _ => Reason::AppNotReady,
        };
        assert_eq!(rests(&new), (reason, "stalled"));
    }
}

#[test]
fn while_zitadel_is_away_it_is_tried_again_soon() {
    let mut facts = wanted();
    let away = Failure::new(Reason::ZitadelUnavailable, false);
    facts.primary.app = Observed::Failed(away);
    let rest = step(&facts);
    assert!(
        matches!(
            &rest,
            Step::Rest(Report::Usable { blocked, retry: Retry::After(wait) })
                if blocked.reason == Reason::ZitadelUnavailable && *wait == facts.timing.retry_first
        ),
        "{rest:?}"
    );
}

#[test]
fn what_the_secret_says_is_a_standby_is_left_alone_until_the_claim_says_so() {
    let mut facts = alternated();
    facts.object.provisioned = true;
    facts.object.trigger = Some("c".into());
    facts.primary.claim = present(claim(1, Cause::FirstIssue, Some("a"), None));
    provisions(&facts);
    let facts = failed(facts, true);
    assert_eq!(rests(&facts), (Reason::StandbyNotReady, "stalled"));
    // Also without a claim: that of the application in the spec comes first.
    let mut facts = facts;
    facts.primary.claim = Observed::Live(ClaimView::Absent);
    match step(&facts) {
        Step::WriteClaim { slot, claim, .. } => {
            assert_eq!((slot, claim.attempt), (Slot::Primary, None));
        }
        other => panic!("{other:?}"),
    }
}

#[test]
fn one_that_is_gone_is_created_anew_unless_its_pair_is_stored() {
    let gone = || Observed::Failed(Failure::new(Reason::AppNotFound, true));
    let mut facts = known(wanted());
    facts.standby.as_mut().unwrap().app = gone();
    assert_eq!(provisions(&facts).standby, None);
    let mut facts = known(alternated());
    facts.object.provisioned = true;
    facts.object.trigger = Some("c".into());
    facts.standby.as_mut().unwrap().app = gone();
    assert_eq!(
        claims_for(&rehearsed(facts, Slot::Primary)),
        (Slot::Primary, Cause::Trigger)
    );
}

#[test]
fn its_id_is_carried_on_in_every_claim_that_is_written() {
    let mut facts = rehearsed(known(alternated()), Slot::Primary);
    facts.object.provisioned = true;
    facts.object.trigger = Some("c".into());
    let claim = writes(&facts);
    assert_eq!(claim.standby, Some(AppId::try_from("s").unwrap()));
    assert_eq!(claim.voided().standby, claim.standby);
    // And by the claim of an object that was made again.
    let mut facts = known(stored());
    facts.object.provisioned = true;
    facts.object.owner.uid = "another".into();
    let claim = writes(&facts);
    assert_eq!(claim.standby, Some(AppId::try_from("s").unwrap()));
}
