//! What may be said of the stored value.

use super::*;
use crate::rotation::{DoubtKind, Verified, verified};

/// What is decided, and what is said of the stored value then.
#[track_caller]
fn says(facts: &Facts) -> ((Reason, &'static str), Verified) {
    let decision = decide(facts);
    (rests(facts), verified(facts, &decision.memory))
}

#[track_caller]
fn probes(facts: &Facts) {
    match step(facts) {
        Step::Read { sources, .. } if sources.contains(&Source::Probe) => {}
        other => panic!("{other:?}"),
    }
}

/// When it is checked again.
fn retry(facts: &Facts) -> Duration {
    match step(facts) {
        Step::Rest(
            Report::Usable { retry, .. }
            | Report::Working { retry, .. }
            | Report::Stalled { retry, .. },
        ) => match retry {
            Retry::After(wait) => wait,
            other => panic!("{other:?}"),
        },
        other => panic!("{other:?}"),
    }
}

/// Up to date, and verified.
fn good() -> Facts {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.verified = Some("7".into());
    facts.memory.verified = Some("7".into());
    facts.probe = Observed::Unread;
    facts
}

#[test]
fn a_rotation_by_the_own_user_elsewhere_is_probed_at_once_and_the_repair_waits() {
    let mut facts = good();
    facts.primary.hint = Some(Sequence(6));
    facts.primary.journal = journal(&[5, 6]);
    probes(&facts);
    facts.memory = decide(&facts).memory;
    let mut refused = facts.clone();
    refused.probe = Observed::Live(Verdict::Rejected);
    let down = ((Reason::Refused, "working"), Verified::Rejected);
    assert_eq!(says(&refused), down);
    assert_eq!(retry(&refused), facts.timing.probe);
    // No verdict: then it is not known, and asked again.
    let mut silent = facts.clone();
    silent.probe = Observed::Live(Verdict::Unknown);
    let unknown = ((Reason::OutcomeUnknown, "working"), Verified::Doubted);
    assert_eq!(says(&silent), unknown);
    // Accepted: it is usable, and still asked about each time, since the effect may come late.
    facts.probe = Observed::Live(Verdict::Accepted);
    let works = ((Reason::OutcomeUnknown, "usable"), Verified::Accepted);
    assert_eq!(says(&facts), works);
    assert_eq!(retry(&facts), facts.timing.probe);
    facts.memory = decide(&facts).memory;
    facts.probe = Observed::Unread;
    probes(&facts);
}

#[test]
fn after_a_lost_answer_the_stored_value_is_asked_about_whatever_the_journal_says() {
    let failure = |permanent| Observed::Failed(Failure::new(Reason::JournalUnavailable, permanent));
    for journal in [failure(true), failure(false), journal(&[5]), journal(&[])] {
        let mut facts = good();
        facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
        facts.primary.journal = journal;
        probes(&facts);
        facts.memory = decide(&facts).memory;
        facts.probe = Observed::Live(Verdict::Rejected);
        let (rest, said) = says(&facts);
        assert_eq!((rest.1, said), ("working", Verified::Rejected), "{rest:?}");
        facts.probe = Observed::Live(Verdict::Unknown);
        let (rest, said) = says(&facts);
        assert_eq!((rest.1, said), ("working", Verified::Doubted), "{rest:?}");
        facts.probe = Observed::Live(Verdict::Accepted);
        let (rest, said) = says(&facts);
        assert_eq!((rest.1, said), ("usable", Verified::Accepted), "{rest:?}");
        // And again, as long as it is open.
        facts.memory = decide(&facts).memory;
        facts.probe = Observed::Unread;
        probes(&facts);
    }
}

#[test]
fn a_journal_that_hides_a_rotation_does_not_keep_a_dead_value_for_ever() {
    let mut facts = good();
    facts.object.proven = Some(Sequence(5));
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.probe = Observed::Live(Verdict::Rejected);
    for _ in 0..9 {
        assert_eq!(says(&facts).1, Verified::Rejected);
        facts.memory = decide(&facts).memory;
        facts.now.boot += facts.timing.probe;
    }
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::SecretInvalid));
}

#[test]
fn generate_on_its_way_puts_the_stored_value_in_doubt_and_a_refused_call_does_not() {
    let mut facts = good();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.memory.claimed(Slot::Primary, id(2), BOOT);
    let decision = decide(&facts);
    assert!(matches!(decision.step, Step::Send { .. }));
    facts.memory = decision.memory;
    facts.memory.sending(id(2));
    assert_eq!(
        says(&facts),
        ((Reason::SecretHeld, "working"), Verified::Doubted)
    );
    let mut refused = facts.clone();
    refused.memory.generate_not_executed(id(2));
    assert_eq!(verified(&refused, &refused.memory), Verified::Accepted);
    facts.memory.unknown(id(2), BOOT);
    probes(&facts);
    // The value that works meanwhile is called so.
    facts.memory.judged(&version("7"), Verdict::Accepted, BOOT);
    assert_eq!(verified(&facts, &facts.memory), Verified::Accepted);
    // With a standby the stored pair is not touched.
    let mut pair = rehearsed(pair(), Slot::Standby);
    pair.object.verified = Some("7".into());
    pair.memory.sending(id(2));
    assert_eq!(
        says(&pair),
        ((Reason::SecretHeld, "usable"), Verified::Accepted)
    );
}

#[test]
fn a_value_without_a_verdict_is_usable_only_if_the_operator_wrote_it_last() {
    let mut facts = stored();
    facts.probe = Observed::Live(Verdict::Unknown);
    assert_eq!(
        says(&facts),
        ((Reason::NoVerdict, "usable"), Verified::Unasked)
    );
    edit(&mut facts, |secret| secret.origin = Origin::Foreign);
    assert_eq!(
        says(&facts),
        ((Reason::NoVerdict, "working"), Verified::Doubted)
    );
}

#[test]
fn as_long_as_a_value_is_red_it_is_asked_about_ever_more_rarely_and_it_recovers_by_itself() {
    let mut facts = good();
    facts.object.recovery.rejected = false;
    facts.memory.verified = None;
    facts.object.verified = None;
    facts.probe = Observed::Live(Verdict::Rejected);
    let mut waits = Vec::new();
    for _ in 0..7 {
        let wait = retry(&facts);
        waits.push(wait.as_secs());
        facts.memory = decide(&facts).memory;
        facts.now.boot += wait;
        facts.probe = Observed::Unread;
        probes(&facts);
        facts.probe = Observed::Live(Verdict::Rejected);
    }
    assert_eq!(waits, [20, 40, 15, 160, 300, 300, 300]);
    assert_eq!(rests(&facts), (Reason::SecretInvalid, "stalled"));
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(rests(&facts).1, "settled");
    // No answer at all: the same.
    edit(&mut facts, |secret| secret.origin = Origin::Foreign);
    facts.memory = Memory::default();
    facts.probe = Observed::Live(Verdict::Unknown);
    let mut waits = Vec::new();
    for _ in 0..6 {
        waits.push(retry(&facts).as_secs());
        facts.memory = decide(&facts).memory;
    }
    assert_eq!(waits, [20, 40, 80, 160, 300, 300]);
}

#[test]
fn an_open_breaker_leaves_no_verdict_of_before() {
    let mut facts = good();
    let mut open = claim(2, Cause::LostAttempt, None, Some(5));
    for minutes in [57, 58, 60] {
        open.repairs
            .add(at(minutes), Cause::LostAttempt.as_str(), None);
    }
    facts.primary.claim = present(open);
    facts.primary.journal = journal(&[5, 57, 58, 59]);
    facts.object.trigger = None;
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    let app = facts.primary.app.clone();
    facts.primary.app = Observed::Unread;
    probes(&facts);
    facts.primary.app = app;
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(
        says(&facts),
        ((Reason::BreakerOpen, "stalled"), Verified::Rejected)
    );
    assert_eq!(retry(&facts), facts.timing.probe);
    facts.probe = Observed::Live(Verdict::Accepted);
    assert_eq!(
        says(&facts),
        ((Reason::BreakerOpen, "usable"), Verified::Accepted)
    );
}

#[test]
fn what_is_renamed_onto_an_obstacle_is_as_good_as_before() {
    let mut facts = good();
    facts.former = Some(Former {
        name: "old".into(),
        version: version("7"),
        sequence: Sequence(5),
        carries: vec![id(1)],
    });
    let mut foreign = secret(None);
    (foreign.managed, foreign.value) = (false, Value::Present);
    foreign.version = version("9");
    facts.secret = Observed::Live(SecretState::Present(foreign));
    assert_eq!(
        says(&facts),
        ((Reason::SecretNotOwned, "stalled"), Verified::Accepted)
    );
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(says(&facts).1, Verified::Accepted, "that is another value");
    facts.memory.doubts(DoubtKind::News, BOOT);
    assert_eq!(says(&facts).1, Verified::Doubted);
}

#[test]
fn what_can_not_be_seen_is_as_it_was() {
    let mut facts = good();
    let failure = Failure::new(Reason::CredentialRejected, true);
    facts.gates.connection = Err(failure);
    facts.secret = Observed::Cached(SecretState::Absent);
    assert_eq!(
        says(&facts),
        ((Reason::CredentialRejected, "stalled"), Verified::AsBefore)
    );
}

#[test]
fn an_executed_attempt_is_repaired_at_once_where_the_stored_value_is_dead_and_waited_for_elsewhere()
{
    let mut facts = good();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    for (probe, rest) in [
        // Another process may still hold the value, and consumers work.
        (Verdict::Accepted, (Reason::OutcomeUnknown, "usable")),
        (Verdict::Unknown, (Reason::NoVerdict, "usable")),
    ] {
        facts.probe = Observed::Live(probe);
        facts.memory.open = vec![(id(2), BOOT)];
        assert_eq!(rests(&facts), rest);
        facts.memory.open = vec![(id(2), BOOT - facts.timing.lag)];
        assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    }
}

#[test]
fn a_trigger_that_was_set_while_the_claim_was_lost_or_damaged_is_none_that_was_handled() {
    let mut lost = good();
    lost.primary.claim = Observed::Live(ClaimView::Absent);
    lost.probe = Observed::Live(Verdict::Accepted);
    let mut damaged = lost.clone();
    damaged.primary.claim = Observed::Live(ClaimView::Present {
        version: version("3"),
        record: Err(RecordError::Unreadable),
        held_elsewhere: false,
    });
    damaged.memory.unreadable = Some((version("3"), BOOT - damaged.timing.quiet));
    let handled = |facts: &Facts, observed: Option<&str>| {
        let mut facts = facts.clone();
        facts.object.trigger = Some("b".into());
        facts.object.observed_trigger = observed.map(Into::into);
        match step(&facts) {
            Step::WriteClaim { claim, .. } if claim.attempt.is_none() => claim.handled_trigger,
            Step::WriteClaim { claim, .. } => {
                assert_eq!(claim.live_attempt().unwrap().cause, Cause::Trigger);
                Some("rotates".into())
            }
            other => panic!("{other:?}"),
        }
    };
    assert_eq!(handled(&lost, Some("a")).as_deref(), Some("a"));
    assert_eq!(handled(&lost, Some("")), None);
    assert_eq!(handled(&lost, Some("b")).as_deref(), Some("b"));
    assert_eq!(handled(&lost, None).as_deref(), Some("b"));
    assert_eq!(handled(&damaged, Some("a")).as_deref(), Some("rotates"));
    assert_eq!(handled(&damaged, Some("b")).as_deref(), Some("b"));
    assert_eq!(handled(&damaged, None).as_deref(), Some("b"));
    // The record of the object's own Secret knows better than its status.
    edit(&mut lost, |secret| {
        secret.handled_trigger = HandledTrigger::Recorded(Some("a".into()));
    });
    assert_eq!(handled(&lost, Some("b")).as_deref(), Some("a"));
    // That of an object before this one says only that the present one is handled.
    edit(&mut lost, |secret| secret.owned = false);
    assert_eq!(handled(&lost, None).as_deref(), Some("b"));
    edit(&mut lost, |secret| {
        secret.handled_trigger = HandledTrigger::Recorded(Some("b".into()));
    });
    assert_eq!(handled(&lost, Some("a")).as_deref(), Some("b"));
}

#[test]
fn a_value_that_waits_beside_one_that_works_waits_for_zitadel_where_that_is_away() {
    let mut pair = rehearsed(pair(), Slot::Standby);
    pair.object.verified = Some("7".into());
    pair.memory.sending(id(2));
    pair.gates.connection = Err(Failure::new(Reason::ZitadelUnreachable, false));
    // It is being proven still.
    assert_eq!(says(&pair).0.0, Reason::SecretHeld);
    pair.memory.candidate = true;
    // What was said of the stored value before still holds.
    let away = ((Reason::ZitadelUnreachable, "working"), Verified::AsBefore);
    assert_eq!(says(&pair), away);
    pair.gates.connection = Ok(());
    assert_eq!(rests(&pair), (Reason::SecretHeld, "usable"));
}

#[test]
fn an_executed_attempt_whose_value_is_stored_without_its_record_is_recorded_and_not_repeated() {
    let mut facts = good();
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
    facts.probe = Observed::Live(Verdict::Accepted);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.lag + Duration::from_secs(1))];
    for same in [None, Some(true)] {
        facts.primary.as_before_call = same;
        assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "usable"));
    }
    facts.primary.as_before_call = Some(false);
    let Step::Render { record, .. } = step(&facts) else {
        panic!("{:?}", step(&facts));
    };
    let (slot, entry) = record.unwrap();
    assert_eq!(slot, Slot::Primary);
    assert_eq!((entry.attempt, entry.sequence), (Some(id(2)), Sequence(6)));
    // Bytes that ZITADEL rejects are no one's value.
    facts.probe = Observed::Live(Verdict::Rejected);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}
