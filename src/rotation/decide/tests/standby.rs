//! A standby application beside it.

use super::*;
use crate::rotation::Awaits;

#[test]
fn a_rotation_goes_to_the_idle_application_and_its_claim_carries_the_triggers_on() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::Trigger));
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        unreachable!()
    };
    assert_eq!(claim.handled_trigger.as_deref(), Some("a"));
    // Back again. What the application's own claim remembers is of long ago.
    let mut facts = rehearsed(alternated(), Slot::Primary);
    facts.object.trigger = Some("b".into());
    assert_eq!(rests(&facts).1, "settled");
    facts.object.trigger = Some("a".into());
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
    let Step::WriteClaim { claim, .. } = step(&facts) else {
        unreachable!()
    };
    assert_eq!(claim.handled_trigger.as_deref(), Some("b"));
}

#[test]
fn a_rehearsal_for_one_application_is_none_for_the_other() {
    let mut facts = rehearsed(pair(), Slot::Primary);
    facts.object.trigger = Some("b".into());
    let step = step(&facts);
    assert!(
        matches!(
            step,
            Step::Rehearse {
                slot: Slot::Standby,
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn an_attempt_on_the_idle_application_is_made_again_only_if_its_cause_still_holds() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present(claim(2, Cause::Trigger, Some("b"), None));
    assert_eq!(
        rests(&facts),
        (Reason::OutcomeUnknown, "usable"),
        "the stored pair is good meanwhile"
    );
    facts.standby.as_mut().unwrap().journal = journal(&[6]);
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
    facts.object.trigger = None;
    assert_eq!(voids(&facts), Slot::Standby);
    // Not carried out: given up, and observed anew.
    facts.standby.as_mut().unwrap().journal = journal(&[]);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    facts.object.trigger = Some("b".into());
    assert_eq!(voids(&facts), Slot::Standby);
}

#[test]
fn a_stored_value_that_is_lost_is_replaced_on_the_idle_application_and_its_claim_closed_later() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
    let mut after = alternated();
    after.primary.claim = present(claim(3, Cause::Due, None, Some(5)));
    after.primary.journal = journal(&[5, 7]);
    assert_eq!(voids(&after), Slot::Primary);
}

#[test]
fn when_the_overlap_is_over_the_idle_application_is_retired_without_a_rehearsal() {
    let mut facts = alternated();
    facts.object.verified = Some("7".into());
    facts.object.overlap_ends = Some(at(61));
    assert_eq!(rests(&facts).1, "settled");
    facts.object.overlap_ends = Some(at(60));
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Retire));
    let mut skewed = facts.clone();
    skewed.now.skewed = true;
    assert_eq!(rests(&skewed), (Reason::ClockSkew, "usable"));
    let mut gone = facts.clone();
    gone.primary.app = Observed::Live(AppView {
        refused: Some(Reason::AppNotReady),
    });
    assert_eq!(
        rests(&gone).1,
        "settled",
        "what refuses everything needs no other secret"
    );
    let mut unknown = facts.clone();
    unknown.object.verified = None;
    unknown.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(rests(&unknown), (Reason::NoVerdict, "usable"));
    let mut behind = facts.clone();
    behind.object.consumers = Uptake::Behind;
    assert_eq!(
        rests(&behind).1,
        "settled",
        "a Pod may hold the former pair"
    );
    behind.object.overlap_latest = Some(at(61));
    assert_eq!(rests(&behind).1, "settled");
    behind.object.overlap_latest = Some(at(60));
    let retired = (Slot::Primary, Cause::Retire);
    assert_eq!(claims_for(&behind), retired, "it waits no longer");
    behind.object.consumers = Uptake::Unseen;
    assert_eq!(claims_for(&behind), retired);
    behind.object.overlap_latest = None;
    assert_eq!(rests(&behind).1, "settled", "any Pod may hold it");
    facts.object.consumers = Uptake::Current;
    assert_eq!(claims_for(&facts), retired);
    // A due rotation comes first: it makes the former pair useless anyway.
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    let facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Due));
}

#[test]
fn what_is_due_waits_for_consumers_that_hold_the_pair_it_would_replace_and_a_trigger_does_not() {
    let mut facts = alternated();
    facts.object.verified = Some("7".into());
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: true,
    };
    facts.object.consumers = Uptake::Behind;
    let waits = Report::Settled {
        next: None,
        awaits: Awaits::Consumers,
        overdue: false,
    };
    let secret = facts.secret.known().unwrap().clone();
    let mut cached = facts.clone();
    cached.secret = Observed::Cached(secret);
    for facts in [&facts, &cached] {
        assert_eq!(decide(facts).step, Step::Rest(waits.clone()));
    }
    let mut triggered = facts.clone();
    triggered.object.trigger = Some("leak".into());
    let triggered = rehearsed(triggered, Slot::Primary);
    assert_eq!(claims_for(&triggered), (Slot::Primary, Cause::Trigger));
    for (consumers, latest) in [
        (Uptake::Current, None),
        (Uptake::NotAwaited, None),
        (Uptake::Unseen, None),
        (Uptake::Behind, Some(at(60))),
    ] {
        facts.object.consumers = consumers;
        facts.object.overlap_latest = latest;
        let facts = rehearsed(facts.clone(), Slot::Primary);
        assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Due));
    }
}

#[test]
fn a_retirement_is_recorded_from_the_journal_whether_its_answer_came_or_not() {
    let mut facts = alternated();
    facts.primary.claim = present(claim(3, Cause::Retire, Some("b"), Some(5)));
    assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "usable"));
    facts.primary.journal = journal(&[5, 7]);
    let render = Step::Render {
        over: version("7"),
        record: Some((Slot::Primary, entry(3, 7, 7))),
    };
    assert_eq!(step(&facts), render);
    edit(&mut facts, |secret| secret.idle = Some(entry(3, 7, 7)));
    assert_eq!(rests(&facts).1, "settled");
    // Where the journal can't be read it counts as done after the quiet period: repeated, it would never end.
    let mut blind = alternated();
    blind.primary.claim = present(claim(3, Cause::Retire, Some("b"), Some(5)));
    blind.primary.journal = Observed::Failed(Failure::new(Reason::PermissionDenied, true));
    assert_eq!(rests(&blind), (Reason::OutcomeUnknown, "usable"));
    blind.memory.open = vec![(id(3), BOOT - blind.timing.quiet)];
    let step = step(&blind);
    assert!(
        matches!(
            step,
            Step::Render {
                record: Some((Slot::Primary, _)),
                ..
            }
        ),
        "{step:?}"
    );
}

#[test]
fn a_first_issue_spares_an_application_that_has_a_secret() {
    let target = |primary: &[u64], standby: &[u64]| {
        let mut facts = nothing();
        facts.secret = Observed::Live(SecretState::Present(secret(None)));
        facts.primary.journal = journal(primary);
        facts.standby = Some(AppFacts {
            journal: journal(standby),
            as_before_call: None,
            ..app()
        });
        match step(&facts) {
            Step::Rehearse { slot, .. } => slot,
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(target(&[], &[]), Slot::Primary);
    assert_eq!(target(&[4], &[]), Slot::Standby);
    assert_eq!(target(&[4], &[5]), Slot::Primary);
    assert_eq!(target(&[], &[5]), Slot::Primary);
}

#[test]
fn a_first_issue_that_began_continues_on_the_same_application() {
    let mut facts = rehearsed(nothing(), Slot::Standby);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let mut begun = claim(2, Cause::FirstIssue, None, None);
    begun.issued = false;
    facts.standby = Some(AppFacts {
        claim: present(begun),
        journal: journal(&[6]),
        as_before_call: None,
        ..app()
    });
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
}

#[test]
fn a_secret_that_is_gone_is_replaced_where_no_consumer_is_rejected() {
    let mut facts = pair();
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    facts.memory.missing = Some(BOOT - facts.timing.missing);
    assert!(matches!(
        step(&facts),
        Step::Rehearse {
            slot: Slot::Standby,
            ..
        }
    ));
    facts.object.last_active = Some(Slot::Standby);
    assert!(matches!(
        step(&facts),
        Step::Rehearse {
            slot: Slot::Primary,
            ..
        }
    ));
    // Begun on the standby, carried out and lost: gone on with there, although the elder claim reasons open as well.
    facts.object.last_active = Some(Slot::Primary);
    let mut begun = claim(2, Cause::SecretMissing, None, None);
    begun.attempt.as_mut().unwrap().time = at(1);
    let standby = facts.standby.as_mut().unwrap();
    (standby.claim, standby.journal) = (present(begun), journal(&[6]));
    let facts = rehearsed(facts, Slot::Standby);
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::SecretMissing));
}

/// Both pairs were stored in turn, the standby's last; then a person deleted the Secret, so both claims seem open.
fn deleted() -> Facts {
    let mut facts = alternated();
    facts.secret = Observed::Live(SecretState::Absent);
    facts.primary.journal = journal(&[5]);
    // ZITADEL's clock seems to have gone back.
    let mut newer = claim(2, Cause::Trigger, Some("b"), None);
    newer.attempt.as_mut().unwrap().time = at(-1);
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present_as("s", newer);
    facts.object.trigger = Some("b".into());
    facts
}

#[test]
fn a_secret_that_was_deleted_is_made_anew_beside_the_pair_that_consumers_still_hold() {
    for last_active in [Some(Slot::Standby), None] {
        let mut facts = deleted();
        facts.object.last_active = last_active;
        assert_eq!(rests(&facts), (Reason::SecretMissing, "working"));
        facts.memory.missing = Some(BOOT - facts.timing.missing);
        assert_eq!(step(&facts), Step::CreateShell);
        facts.secret = Observed::Live(SecretState::Present(secret(None)));
        let facts = rehearsed(facts, Slot::Primary);
        assert_eq!(claims_for(&facts), (Slot::Primary, Cause::SecretMissing));
    }
}

#[test]
fn a_deleted_secret_that_is_only_reported_waits_for_a_new_trigger() {
    for last_active in [Some(Slot::Standby), None] {
        let mut facts = deleted();
        facts.object.last_active = last_active;
        facts.object.recovery.missing = false;
        // What the elder claim speaks of is long over.
        assert_eq!(voids(&facts), Slot::Primary);
        let mut old = claim(1, Cause::FirstIssue, Some("a"), None);
        old.attempt.as_mut().unwrap().state = AttemptState::Void;
        facts.primary.claim = present(old);
        assert_eq!(rests(&facts), (Reason::SecretMissing, "stalled"));
        facts.object.trigger = Some("c".into());
        assert_eq!(step(&facts), Step::CreateShell);
    }
}

#[test]
fn two_open_claims_of_another_pod_are_watched_at_the_same_time() {
    let mut facts = deleted();
    facts.object.last_active = Some(Slot::Standby);
    for claim in [
        &mut facts.primary.claim,
        &mut facts.standby.as_mut().unwrap().claim,
    ] {
        let Observed::Live(ClaimView::Present {
            record: Ok(claim), ..
        }) = claim
        else {
            panic!("{claim:?}");
        };
        claim.attempt.as_mut().unwrap().holder.pod = "that".into();
    }
    // Reconcile after reconcile, never more than one wait in all.
    let mut reasons = Vec::new();
    for _ in 0..8 {
        let decision = decide(&facts);
        facts.memory = decision.memory;
        facts.now.boot += facts.timing.takeover / 4;
        match decision.step {
            Step::Rest(Report::Working { blocked, .. }) => reasons.push(blocked.reason),
            step => {
                assert_eq!(step, Step::CreateShell);
                break;
            }
        }
    }
    let watching = |reason: &&Reason| **reason == Reason::AttemptOpen;
    assert_eq!(
        reasons.iter().take_while(watching).count(),
        4,
        "{reasons:?}"
    );
    assert!(
        reasons[4..].iter().all(|r| *r == Reason::SecretMissing),
        "{reasons:?}"
    );
    assert!(reasons.len() < 8, "{reasons:?}");
}

#[test]
fn the_shell_of_a_secret_that_was_deleted_is_no_lost_answer_of_the_pair_in_use() {
    // Another replica, or another process, made the shell: this one has not missed anything yet.
    let mut facts = deleted();
    facts.object.last_active = Some(Slot::Standby);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts).0, Slot::Primary);
}

#[test]
fn a_retirement_is_given_up_where_there_is_nothing_to_record_it_beside() {
    let retiring = claim(3, Cause::Retire, Some("b"), Some(5));
    let mut shell = deleted();
    shell.object.last_active = Some(Slot::Standby);
    shell.primary.claim = present(retiring.clone());
    shell.primary.journal = journal(&[5, 7]);
    shell.secret = Observed::Live(SecretState::Present(secret(None)));
    shell.memory.missing = Some(BOOT - shell.timing.missing);
    let shell = rehearsed(shell, Slot::Primary);
    assert_eq!(claims_for(&shell), (Slot::Primary, Cause::SecretMissing));
    let mut anew = alternated();
    edit(&mut anew, |secret| secret.idle = None);
    anew.primary.claim = present(retiring);
    anew.primary.journal = journal(&[5, 7]);
    assert_eq!(voids(&anew), Slot::Primary);
}

#[test]
fn what_a_value_of_unknown_origin_is_recorded_with_was_read_before_it_was_tried() {
    let mut facts = pair();
    edit(&mut facts, |secret| {
        secret.commit = Ok(None);
        secret.active = Slot::Standby;
    });
    facts.standby.as_mut().unwrap().journal = Observed::Unread;
    facts.standby.as_mut().unwrap().claim = present_as("s", Claim::settled(owner(), None, None));
    facts.primary.claim = Observed::Live(ClaimView::Absent);
    let step = step(&facts);
    assert!(
        matches!(
            step,
            Step::Read {
                sources: [Source::Journal, Source::App, Source::Probe],
                slot: Slot::Standby
            }
        ),
        "{step:?}"
    );
}

#[test]
fn a_standby_that_cannot_take_over_is_reported_early_and_never_replaced_by_an_outage() {
    let mut facts = pair();
    facts.object.standby_unseen = true;
    facts.standby.as_mut().unwrap().app = Observed::Live(AppView {
        refused: Some(Reason::AppNotApi),
    });
    assert_eq!(rests(&facts), (Reason::StandbyNotReady, "usable"));
    facts.object.trigger = Some("b".into());
    assert_eq!(rests(&facts), (Reason::StandbyNotReady, "stalled"));
}

#[test]
fn behind_a_closed_gate_nothing_begins_where_the_claim_was_replaced() {
    let mut facts = nothing();
    facts.object.suspended = true;
    facts.memory.claimed = Some(Box::new(crate::rotation::Claimed {
        slot: Slot::Primary,
        attempt: id(1),
        since: BOOT,
        secret: version("7"),
        unusable: false,
    }));
    let decision = decide(&facts);
    assert_eq!(decision.step, rest(Report::Quiet(Reason::Suspended)));
    assert_eq!(decision.memory.claimed, None);
}

#[test]
fn a_standby_that_is_not_there_is_not_called_like_the_application_in_the_spec() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.object.trigger = Some("b".into());
    for (found, said) in [
        (Reason::AppNotFound, Reason::StandbyNotReady),
        (Reason::PermissionDenied, Reason::PermissionDenied),
    ] {
        let standby = facts.standby.as_mut().unwrap();
        standby.app = Observed::Failed(Failure::new(found, true));
        assert_eq!(rests(&facts), (said, "stalled"));
    }
    let mut primary = rehearsed(stored(), Slot::Primary);
    primary.object.trigger = Some("b".into());
    primary.primary.app = Observed::Failed(Failure::new(Reason::AppNotFound, true));
    assert_eq!(rests(&primary), (Reason::AppNotFound, "stalled"));
}

#[test]
fn what_is_read_of_an_application_is_noted_for_it_and_not_for_the_other() {
    let mut facts = pair();
    for slot in Slot::ALL {
        let journal = Observed::Failed(Failure::new(Reason::JournalUnavailable, true));
        facts.of_mut(slot).journal = journal.clone();
        assert_eq!(facts.of(slot).journal, journal);
        assert_ne!(facts.of(slot.other()).journal, journal);
        facts.of_mut(slot).forget();
    }
}
