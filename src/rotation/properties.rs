//! What must hold of every record, every schedule and every decision, whatever bytes they come from. No I/O.
//!
//! Tests on stable and the fuzzer call the same functions.
#![allow(
    clippy::missing_panics_doc,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic
)]

mod facts;

use jiff::Timestamp;

use super::record::RecordError;
use super::schedule::interval;
use super::schedule::window::{MAX_DURATION, RotationWindow};
use super::{
    AttemptState, Cause, Claim, ClaimView, CommitRecord, Decision, DoubtKind, DueState, Facts,
    Observed, Prepared, Report, Schedule, SecretState, Step, Verdict, Verified, decide, verified,
};
use crate::api;

fn text(data: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(data)
}

/// A claim that can be read is written as it was read, and a newer one is never taken for one.
pub fn claim(data: &[u8]) {
    let text = text(data);
    match Claim::from_json(&text) {
        Ok(claim) => {
            assert_eq!(claim.version, Claim::VERSION);
            assert_eq!(Claim::from_json(&claim.to_json()), Ok(claim.clone()));
            let voided = claim.voided();
            assert_eq!(voided.live_attempt(), None);
            assert_eq!(Claim::from_json(&voided.to_json()), Ok(voided.clone()));
            let attempt = claim.attempt.as_ref().map(|attempt| attempt.id);
            let remembered = claim.replaced(None);
            assert!(remembered.len() <= 4);
            assert_eq!(
                remembered.last().map(|last| last.id),
                attempt.or_else(|| claim.replaced.last().map(|last| last.id))
            );
            if attempt.is_some() {
                assert_eq!(claim.replaced(attempt), []);
                assert_eq!(claim.handled(attempt), voided.handled(attempt));
            }
        }
        // NB: by the value, since other fields of a newer format may have versions of their own; and what is ignored is read less
        // strictly than all of the text.
        Err(RecordError::Newer) => {
            if let Ok(claim) = serde_json::from_str::<serde_json::Value>(&text) {
                assert!(
                    claim.get("version").and_then(serde_json::Value::as_u64)
                        > Some(Claim::VERSION.into())
                );
            }
        }
        Err(RecordError::Unreadable) => {}
    }
}

/// A commit record that can be read is written as it was read.
pub fn commit(data: &[u8]) {
    if let Ok(record) = CommitRecord::from_json(&text(data)) {
        assert_eq!(record.version, CommitRecord::VERSION);
        assert_eq!(
            CommitRecord::from_json(&record.to_json()),
            Ok(record.clone())
        );
        let active = record.apps.get(&record.active);
        assert_eq!(record.stored(), active);
    }
}

/// A length of time that can be read is at most one that can be written and read again.
pub fn interval(data: &[u8]) {
    let text = text(data);
    if let Ok(length) = interval::parse(&text) {
        assert!(text.len() <= 32);
        assert_eq!(interval::parse(&interval::format(length)), Ok(length));
    }
}

/// A time within the years that certificates and clocks know, from the first four bytes.
fn time(data: &[u8]) -> (Timestamp, &[u8]) {
    let (head, rest) = data.split_at(data.len().min(4));
    let seconds = head
        .iter()
        .fold(0, |seconds, byte| seconds << 8 | i64::from(*byte));
    (Timestamp::from_second(seconds).unwrap(), rest)
}

/// A window opens later than the time it is asked for, and the last opening before that moment is that one.
pub fn window(data: &[u8]) {
    let (now, rest) = time(data);
    let rest = text(rest);
    let mut lines = rest.split('\n');
    let mut line = || lines.next().unwrap_or_default().to_owned();
    let window = api::Window {
        name: "w".to_owned(),
        schedule: line(),
        time_zone: Some(line()).filter(|zone| !zone.is_empty()),
        duration: line(),
    };
    let Ok(window) = RotationWindow::parse(&window) else {
        return;
    };
    assert!(!window.describe().is_empty() && window.describe().len() < 400);
    let opening = window.next_opening(now).expect("it opens again and again");
    assert!(opening > now);
    assert_eq!(window.last_opening(opening), Some(opening));
    let last = window.last_opening(now);
    assert!(last.is_none_or(|last| last <= now));
    let open = window.next_open(now).unwrap();
    assert!(open == now || open == opening);
    let lasting = last.and_then(|last| last.checked_add(MAX_DURATION).ok());
    assert!(open != now || lasting.is_some_and(|end| end > now));
}

/// Where a schedule says that a rotation starts, it does start; and not before.
pub fn schedule(data: &[u8]) {
    let (now, rest) = time(data);
    let (age, rest) = time(rest);
    let rest = text(rest);
    let (interval, windows) = rest.split_once('\n').unwrap_or((&rest, ""));
    let lines: Vec<&str> = windows.lines().collect();
    let windows = lines.chunks(3).map(|lines| {
        let line = |at: usize| lines.get(at).copied().unwrap_or_default().to_owned();
        api::Window {
            name: "w".to_owned(),
            schedule: line(0),
            time_zone: Some(line(1)).filter(|zone| !zone.is_empty()),
            duration: line(2),
        }
    });
    let rotation = api::Rotation {
        interval: Some(interval.to_owned()),
        windows: Some(windows.collect()),
        ..api::Rotation::default()
    };
    let hour = std::time::Duration::from_hours(1);
    let Ok(schedule) = Schedule::parse(Some(&rotation), "uid", hour) else {
        return;
    };
    assert!(!schedule.describe().is_empty());
    let made = Timestamp::from_second(now.as_second() - age.as_second()).unwrap();
    match schedule.state(made, now) {
        DueState::OnTriggerOnly
        | DueState::CatchingUp { .. }
        | DueState::AwaitingConsumers { .. } => {
            panic!("there is an interval, and no backlog")
        }
        DueState::Due { since, .. } => assert!(since <= now && since > made),
        DueState::AwaitingWindow { since, opens, .. } => {
            assert!(since <= now && opens > now);
            assert!(matches!(schedule.state(made, opens), DueState::Due { .. }));
        }
        DueState::NotDue { next } => {
            assert!(next > now);
            assert!(matches!(schedule.state(made, next), DueState::Due { .. }));
        }
    }
}

/// One decision, and those that follow once what it asks for was read: nothing is sent, written or promised on less than the protocol
/// demands, whatever the state of the world.
pub fn decision(data: &[u8]) {
    steps(data);
}

/// The steps that were decided on, the reads included.
pub fn steps(data: &[u8]) -> Vec<Step> {
    let (mut facts, mut unread) = facts::from_bytes(data);
    let mut steps = Vec::new();
    // NB: each read answers at least one question, and there are seven, of which two stand for two applications.
    for _ in 0..10 {
        let decision = decide(&facts);
        assert_eq!(decision, decide(&facts), "decisions are functions");
        justified(&facts, &decision);
        steps.push(decision.step.clone());
        let Step::Read { sources, slot } = decision.step else {
            return steps;
        };
        facts.memory = decision.memory;
        unread.read(&mut facts, sources, slot);
    }
    panic!("it reads for ever: {steps:?}");
}

/// Whether a step may be taken.
fn justified(facts: &Facts, decision: &Decision) {
    let step = &decision.step;
    let object = &facts.object;
    let acts = !matches!(step, Step::Read { .. } | Step::Rest(_));
    let live = match &facts.secret {
        Observed::Live(secret) => Some(secret),
        _ => None,
    };
    if object.deleting || facts.memory.holding.is_some() {
        assert!(matches!(step, Step::Rest(_)), "{step:?}");
    }
    if acts {
        assert!(
            live.is_some(),
            "nothing is done on the word of a watch: {step:?}"
        );
    }
    let closed = object.suspended
        || !facts.gates.granted
        || facts.gates.connection.is_err()
        || facts.gates.rival.is_some();
    if closed && acts {
        assert!(
            matches!(step, Step::WriteClaim { claim, .. } if claim.live_attempt().is_none()),
            "behind a closed gate a claim is only given up: {step:?}"
        );
    }
    match step {
        Step::Send {
            slot,
            attempt,
            cause,
            secret,
        } => {
            let claimed = facts.memory.claimed.as_ref().expect("a claim of its own");
            assert_eq!((claimed.slot, claimed.attempt), (*slot, *attempt));
            assert_eq!(&claimed.secret, secret);
            let age = facts.now.boot.saturating_sub(claimed.since);
            assert!(age < facts.timing.recheck, "the claim is too old");
            let Observed::Live(ClaimView::Present {
                record: Ok(claim),
                held_elsewhere: false,
                ..
            }) = &facts.of(*slot).claim
            else {
                panic!("the claim was not read");
            };
            let open = claim.live_attempt().expect("an open attempt");
            assert_eq!((open.id, open.cause.known()), (*attempt, Some(*cause)));
            let Some(SecretState::Present(view)) = live else {
                panic!("there is no Secret to write to");
            };
            assert_eq!(&view.version, secret, "the Secret has moved");
            match &facts.of(*slot).journal {
                Observed::Live(journal) => assert_eq!(
                    journal.newest().map(|event| event.sequence),
                    open.pre_sequence,
                    "another actor rotated"
                ),
                Observed::Failed(failure) => {
                    assert!(failure.permanent && open.pre_sequence.is_none());
                }
                _ => panic!("the journal was not read"),
            }
        }
        Step::WriteClaim { slot, claim, over } => {
            match &facts.of(*slot).claim {
                Observed::Live(ClaimView::Present {
                    version, record, ..
                }) => {
                    assert_eq!(over.as_ref(), Some(version), "another revision");
                    assert_ne!(record, &Err(RecordError::Newer));
                }
                Observed::Live(ClaimView::Absent) => assert_eq!(over, &None),
                _ => panic!("the claim was not read"),
            }
            if let Some(attempt) = claim.live_attempt()
                && attempt.id == facts.fresh_attempt
            {
                let cause = attempt.cause.known().expect("one that is known");
                new_attempt(facts, live, decision, cause);
                assert_eq!(attempt.state, AttemptState::Open);
                assert_eq!(claim.owner, object.owner);
            }
        }
        Step::Rest(Report::Settled { .. } | Report::Usable { .. }) => {
            truth(facts, decision);
            if matches!(step, Step::Rest(Report::Usable { .. })) {
                return;
            }
            let Some(SecretState::Present(view)) = facts.secret.known() else {
                panic!("nothing is stored");
            };
            assert!(matches!(view.commit, Ok(Some(_))) && view.value != super::Value::Absent);
        }
        _ => {}
    }
}

/// Whether claims say that a value was adopted or generated for the object, or that one may have been lost that was generated for
/// another object before it.
fn was_issued(facts: &Facts) -> bool {
    facts
        .slots()
        .iter()
        .any(|slot| match facts.of(*slot).claim.known() {
            Some(ClaimView::Present {
                record: Ok(claim), ..
            }) => {
                claim.live_attempt().is_some()
                    || (claim.issued && claim.owner == facts.object.owner)
            }
            _ => false,
        })
}

/// The stored value is never reported to work against better knowledge: not beside a rejection, and not on a verdict that is older than
/// the newest doubt.
fn truth(facts: &Facts, decision: &Decision) {
    let said = verified(facts, &decision.memory);
    assert!(
        matches!(said, Verified::Accepted | Verified::Unasked),
        "{said:?}: {:?}",
        decision.step
    );
    let Observed::Live(SecretState::Present(view)) = &facts.secret else {
        return;
    };
    if facts.former.is_some() {
        return;
    }
    // NB: what follows ignores what is remembered of doubts.
    assert_ne!(
        facts.probe,
        Observed::Live(Verdict::Rejected),
        "just now it was rejected"
    );
    let accepted = facts.probe == Observed::Live(Verdict::Accepted);
    let slot = view.active;
    let Observed::Live(ClaimView::Present {
        record: Ok(claim), ..
    }) = &facts.of(slot).claim
    else {
        return;
    };
    let open = claim.live_attempt().filter(|attempt| {
        view.entry(slot).and_then(|entry| entry.attempt) != Some(attempt.id)
            && facts.memory.not_executed != Some(attempt.id)
            && facts.memory.claimed.as_ref().map(|claimed| claimed.attempt) != Some(attempt.id)
    });
    let first_seen =
        open.is_some_and(|open| facts.memory.open.iter().all(|(id, _)| *id != open.id));
    assert!(
        accepted
            || !first_seen
            || matches!(facts.probe, Observed::Live(_))
            || view.value == super::Value::Unseen,
        "an attempt is open, and what is known of the value is of before"
    );
    assert!(
        accepted
            || facts
                .memory
                .doubt
                .as_ref()
                .is_none_or(|doubt| doubt.kind == DoubtKind::Unproven),
        "a doubt is younger than every verdict"
    );
}

/// An attempt begins only where everything is known that it needs.
fn new_attempt(facts: &Facts, live: Option<&SecretState>, decision: &Decision, cause: Cause) {
    let Step::WriteClaim { slot, .. } = &decision.step else {
        return;
    };
    let seen = facts.of(*slot);
    assert_eq!(facts.current, Observed::Live(true), "on an old view");
    assert!(matches!(&seen.app, Observed::Live(app) if app.refused.is_none()));
    assert!(matches!(
        seen.journal,
        Observed::Live(_) | Observed::Failed(_)
    ));
    let Some(SecretState::Present(view)) = live else {
        panic!("there is no Secret to write to");
    };
    // What another tool applies as well is taken over where that is asked for.
    let asked = facts.object.trigger.is_some() && cause == Cause::Trigger;
    assert!(
        view.refused.is_none() || (asked && view.refused == Some(api::Reason::SecretContested)),
        "the write would be refused"
    );
    if facts.object.adoption_required && !matches!(view.commit, Ok(Some(_))) && !was_issued(facts) {
        assert_eq!(cause, Cause::Trigger, "there was nothing to adopt");
    }
    let rehearsed = Prepared {
        slot: *slot,
        secret: view.version.clone(),
    };
    if cause != Cause::Retire {
        assert_eq!(
            facts.memory.prepared.as_deref(),
            Some(&rehearsed),
            "not rehearsed"
        );
    }
    assert!(!(facts.now.skewed && matches!(cause, Cause::Due | Cause::Retire)));
    match cause {
        Cause::SecretMissing => assert!(facts.object.recovery.missing),
        Cause::SecretInvalid => assert!(facts.object.recovery.rejected),
        Cause::Due => assert!(matches!(facts.object.due, DueState::Due { .. })),
        Cause::Trigger => assert!(facts.object.trigger.is_some()),
        Cause::Retire => assert!(facts.standby.is_some()),
        Cause::FirstIssue | Cause::LostAttempt => {}
    }
}
