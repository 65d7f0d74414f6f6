//! `decide` as a table: a world in a few words, and the one step that follows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::unchecked_time_subtraction)]

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::ids::{AttemptId, Sequence};
use crate::rotation::{
    AppFacts, AppView, Attempt, AttemptState, Cause, Entry, Explained, Failure, Former, Gates,
    Holder, Journal, JournalEvent, Now, ObjectView, Owner, Probe, RecoveryView, Timing, Value,
    Version,
};

const BOOT: Duration = Duration::from_hours(1);

fn id(n: u128) -> AttemptId {
    AttemptId(uuid::Uuid::from_u128(n))
}

/// A time, in minutes.
fn at(minutes: i64) -> Timestamp {
    Timestamp::from_second(1_800_000_000 + minutes * 60).unwrap()
}

fn version(revision: &str) -> Version {
    Version {
        uid: "u".into(),
        revision: revision.into(),
    }
}

fn owner() -> Owner {
    Owner {
        namespace: "orders".into(),
        name: "api".into(),
        uid: "o".into(),
    }
}

fn entry(attempt: u128, sequence: u64, minutes: i64) -> Entry {
    Entry {
        attempt: Some(id(attempt)),
        sequence: Sequence(sequence),
        change_date: at(minutes),
    }
}

fn secret(entry: Option<Entry>) -> SecretView {
    SecretView {
        version: version("7"),
        managed: true,
        active: Slot::Primary,
        value: if entry.is_some() {
            Value::Present
        } else {
            Value::Absent
        },
        commit: Ok(entry),
        idle: None,
        held_elsewhere: None,
        owned: true,
        untouched: false,
        rendered: true,
        refused: None,
    }
}

/// A claim whose attempt is open as long as the Secret does not carry it.
fn claim(attempt: u128, cause: Cause, trigger: Option<&str>, pre: Option<u64>) -> Claim {
    Claim {
        version: Claim::VERSION,
        owner: owner(),
        handled_trigger: None,
        issued: true,
        invalid_repair: None,
        repairs: Vec::new(),
        attempt: Some(Attempt {
            id: id(attempt),
            pre_sequence: pre.map(Sequence),
            cause,
            trigger: trigger.map(Into::into),
            holder: Holder {
                pod: "this".into(),
                process: "before".into(),
            },
            time: at(0),
            state: AttemptState::Open,
        }),
        replaced: Vec::new(),
    }
}

fn present(claim: Claim) -> Observed<ClaimView> {
    present_as("u", claim)
}

fn present_as(uid: &str, claim: Claim) -> Observed<ClaimView> {
    Observed::Live(ClaimView::Present {
        version: Version {
            uid: uid.into(),
            ..version("3")
        },
        record: Ok(claim),
        held_elsewhere: false,
    })
}

/// Own events with these sequences.
fn journal(sequences: &[u64]) -> Observed<Journal> {
    let event = |sequence: &u64| JournalEvent {
        sequence: Sequence(*sequence),
        time: at(i64::try_from(*sequence).unwrap()),
        own: true,
    };
    Observed::Live(Journal(sequences.iter().map(event).collect()))
}

fn app() -> AppFacts {
    AppFacts {
        claim: Observed::Live(ClaimView::Absent),
        app: Observed::Live(AppView { refused: None }),
        journal: journal(&[]),
        hint: None,
    }
}

/// A new object; everything was read, and there is nothing.
fn nothing() -> Facts {
    Facts {
        timing: Timing::default(),
        now: Now {
            boot: BOOT,
            time: at(60),
            skewed: false,
        },
        holder: Holder {
            pod: "this".into(),
            process: "now".into(),
        },
        object: ObjectView {
            owner: owner(),
            inputs: String::new(),
            deleting: false,
            suspended: false,
            trigger: None,
            recovery: RecoveryView {
                missing: true,
                invalid: true,
            },
            adopt: false,
            verified: None,
            proven: None,
            due: DueState::OnTriggerOnly,
            overlap_ends: None,
            last_active: None,
            standby_unseen: false,
            explained: Explained::default(),
        },
        current: Observed::Live(true),
        gates: Gates {
            connection: Ok(()),
            granted: true,
            rival: None,
            repairs_exhausted: false,
        },
        secret: Observed::Live(SecretState::Absent),
        primary: app(),
        standby: None,
        probe: Observed::Live(Probe::Valid),
        former: None,
        fresh_attempt: id(99),
        memory: Memory::default(),
    }
}

/// An object whose Secret holds attempt 1, sequence 5.
fn stored() -> Facts {
    Facts {
        secret: Observed::Live(SecretState::Present(secret(Some(entry(1, 5, 5))))),
        primary: AppFacts {
            claim: present(claim(1, Cause::FirstIssue, Some("a"), None)),
            journal: journal(&[5]),
            ..app()
        },
        ..nothing()
    }
}

/// The same with a standby that was never used.
fn pair() -> Facts {
    Facts {
        standby: Some(app()),
        ..stored()
    }
}

/// The standby's pair is stored, attempt 2, sequence 6; before it there was attempt 1.
fn alternated() -> Facts {
    let mut facts = pair();
    edit(&mut facts, |secret| {
        secret.active = Slot::Standby;
        secret.idle = secret.commit.clone().unwrap();
        secret.commit = Ok(Some(entry(2, 6, 6)));
    });
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present(claim(2, Cause::Trigger, Some("b"), None));
    standby.journal = journal(&[6]);
    facts
}

fn edit(facts: &mut Facts, change: impl FnOnce(&mut SecretView)) {
    match &mut facts.secret {
        Observed::Live(SecretState::Present(secret)) => change(secret),
        other => panic!("{other:?}"),
    }
}

fn rehearsed(mut facts: Facts, slot: Slot) -> Facts {
    facts.memory.rehearsed(slot, version("7"));
    facts
}

fn step(facts: &Facts) -> Step {
    decide(facts).step
}

/// The reason that a rest is for, and whether the stored credential is called usable.
#[track_caller]
fn rests(facts: &Facts) -> (Reason, &'static str) {
    match step(facts) {
        Step::Rest(Report::Usable { blocked, .. }) => (blocked.reason, "usable"),
        Step::Rest(Report::Working { blocked, .. }) => (blocked.reason, "working"),
        Step::Rest(Report::Stalled { blocked, .. }) => (blocked.reason, "stalled"),
        Step::Rest(Report::Settled { .. }) => (Reason::UpToDate, "settled"),
        Step::Rest(Report::Quiet(reason)) => (reason, "quiet"),
        other => panic!("{other:?}"),
    }
}

/// Where and why a claim is written.
#[track_caller]
fn claims_for(facts: &Facts) -> (Slot, Cause) {
    match step(facts) {
        Step::WriteClaim { slot, claim, .. } => (slot, claim.live_attempt().unwrap().cause),
        other => panic!("{other:?}"),
    }
}

/// Whether the claim of an application is given up.
#[track_caller]
fn voids(facts: &Facts) -> Slot {
    match step(facts) {
        Step::WriteClaim { slot, claim, .. } if claim.live_attempt().is_none() => slot,
        other => panic!("{other:?}"),
    }
}

#[test]
fn a_first_issue_creates_the_shell_rehearses_claims_rechecks_and_sends() {
    let mut facts = nothing();
    assert_eq!(step(&facts), Step::CreateShell);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let rehearse = Step::Rehearse {
        slot: Slot::Primary,
        over: version("7"),
    };
    assert_eq!(step(&facts), rehearse);
    facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::FirstIssue));
    facts.primary.claim = present(claim(99, Cause::FirstIssue, None, None));
    facts.memory.claimed(Slot::Primary, id(99), BOOT);
    let send = Step::Send {
        slot: Slot::Primary,
        attempt: id(99),
        cause: Cause::FirstIssue,
        secret: version("7"),
    };
    assert_eq!(step(&facts), send);
    // A claim that grew old, a Secret or a journal that moved: not sent, and given up.
    let mut old = facts.clone();
    old.now.boot += old.timing.send;
    let mut moved = facts.clone();
    edit(&mut moved, |secret| secret.version = version("8"));
    let mut rotated = facts.clone();
    rotated.primary.journal = journal(&[4]);
    let mut revoked = facts.clone();
    revoked.gates.granted = false;
    for facts in [old, moved, rotated, revoked] {
        assert_eq!(voids(&facts), Slot::Primary);
    }
}

#[test]
fn without_the_gates_nothing_is_done() {
    let with = |change: fn(&mut Facts)| {
        let mut facts = nothing();
        change(&mut facts);
        rests(&facts)
    };
    let failure = |permanent| Failure {
        reason: Reason::ConnectionNotFound,
        permanent,
        error_id: None,
    };
    assert_eq!(
        with(|facts| facts.gates.granted = false),
        (Reason::NotGranted, "stalled")
    );
    assert_eq!(
        with(|facts| facts.object.suspended = true),
        (Reason::Suspended, "quiet")
    );
    assert_eq!(
        with(|facts| facts.object.deleting = true),
        (Reason::Deleting, "quiet")
    );
    assert_eq!(
        with(|facts| facts.gates.rival = Some(owner())),
        (Reason::AppAlreadyClaimed, "stalled")
    );
    assert_eq!(
        with(|facts| {
            facts.primary.app = Observed::Live(AppView {
                refused: Some(Reason::AppNotApi),
            });
        }),
        (Reason::AppNotApi, "stalled")
    );
    let mut refused = nothing();
    refused.gates.connection = Err(failure(true));
    assert_eq!(rests(&refused), (Reason::ConnectionNotFound, "stalled"));
    refused.gates.connection = Err(failure(false));
    assert_eq!(rests(&refused), (Reason::ConnectionNotFound, "working"));
}

#[test]
fn a_stored_value_that_is_good_is_left_alone() {
    assert_eq!(rests(&stored()).1, "settled");
    let mut read = stored();
    read.primary.claim = Observed::Unread;
    let sources: &[Source] = &[Source::Secret, Source::Claim];
    assert!(matches!(step(&read), Step::Read { sources: asked, .. } if asked == sources));
}

#[test]
fn a_trigger_or_a_due_time_rotates_and_waits_for_nothing_but_its_window() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.trigger = Some("a".into());
    assert_eq!(rests(&facts).1, "settled", "it was handled");
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Trigger));
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Due));
    facts.now.skewed = true;
    assert_eq!(rests(&facts), (Reason::ClockSkew, "usable"));
    facts.object.due = DueState::AwaitingWindow {
        since: at(10),
        opens: at(90),
        overdue: false,
    };
    assert_eq!(rests(&facts).1, "settled");
}

#[test]
fn an_open_attempt_is_judged_by_the_journal() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    // Nothing in the journal: the request may still be on its way.
    assert_eq!(rests(&facts), (Reason::OutcomeUnknown, "usable"));
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    assert_eq!(voids(&facts), Slot::Primary);
    // Carried out: the answer is lost.
    facts.primary.journal = journal(&[5, 6]);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    // Another pod's attempt is watched first.
    let mut others = claim(2, Cause::Due, None, Some(5));
    others.attempt.as_mut().unwrap().holder.pod = "that".into();
    facts.primary.claim = present(others);
    assert_eq!(rests(&facts), (Reason::AttemptOpen, "usable"));
}

#[test]
fn an_open_attempt_whose_journal_was_cut_is_judged_by_the_value() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.object.verified = Some("7".into());
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    for events in [&[][..], &[8]] {
        // Sequences above the stored one are somebody else's.
        let mut journal = journal(events);
        if let Observed::Live(journal) = &mut journal {
            journal.0.iter_mut().for_each(|event| event.own = false);
        }
        facts.primary.journal = journal;
        facts.probe = Observed::Live(Probe::Refused);
        assert_eq!(rests(&facts), (Reason::JournalUnavailable, "working"));
        let mut dead = facts.clone();
        dead.memory = decide(&facts).memory;
        dead.now.boot += dead.timing.dead;
        assert_eq!(claims_for(&dead), (Slot::Primary, Cause::LostAttempt));
    }
    facts.primary.journal = journal(&[]);
    facts.probe = Observed::Live(Probe::Valid);
    assert_eq!(voids(&facts), Slot::Primary);
}

#[test]
fn a_value_whose_record_is_gone_is_not_replaced_as_long_as_nobody_can_tell_whether_it_works() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    edit(&mut facts, |secret| secret.commit = Ok(None));
    facts.probe = Observed::Live(Probe::NoVerdict);
    assert_eq!(rests(&facts).0, Reason::NoVerdict);
    facts.probe = Observed::Live(Probe::Refused);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn a_rotation_that_the_secret_does_not_know_of_is_repaired_on_the_journal_s_word_at_last() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.hint = Some(Sequence(6));
    facts.primary.journal = journal(&[5, 6]);
    facts.memory.drift = Some((Sequence(6), BOOT - facts.timing.quiet));
    facts.probe = Observed::Live(Probe::Refused);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
    facts.probe = Observed::Live(Probe::NoVerdict);
    assert_eq!(rests(&facts), (Reason::NoVerdict, "usable"));
    facts.memory.drift = Some((Sequence(6), BOOT - facts.timing.quiet * 2));
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::LostAttempt));
}

#[test]
fn news_of_a_rotation_stay_news_until_the_journal_or_the_value_has_told() {
    let failure = |permanent| {
        Observed::Failed(Failure {
            reason: Reason::ZitadelUnavailable,
            permanent,
            error_id: None,
        })
    };
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.object.verified = Some("7".into());
    facts.primary.hint = Some(Sequence(6));
    // It can't be read just now: asked again.
    facts.primary.journal = failure(false);
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.memory.drift = Some((Sequence(6), BOOT));
    facts.primary.hint = None;
    assert_eq!(rests(&facts), (Reason::ZitadelUnavailable, "usable"));
    facts.memory.drift = None;
    facts.primary.hint = Some(Sequence(6));
    // It can't be read at all, or has forgotten even the stored value: the value is tried, whatever was known of it.
    for journal in [failure(true), journal(&[])] {
        let mut facts = facts.clone();
        facts.primary.journal = journal;
        facts.probe = Observed::Unread;
        assert!(matches!(
            step(&facts),
            Step::Read {
                sources: [Source::Probe],
                ..
            }
        ));
        facts.probe = Observed::Live(Probe::Refused);
        assert_eq!(rests(&facts), (Reason::Refused, "working"));
        facts.probe = Observed::Live(Probe::Valid);
        assert_eq!(rests(&facts).1, "settled");
        facts.memory = decide(&facts).memory;
        facts.probe = Observed::Unread;
        assert_eq!(rests(&facts).1, "settled", "and it stays answered");
    }
}

#[test]
fn a_value_that_was_accepted_and_that_nothing_has_changed_is_not_taken_for_dead() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.probe = Observed::Live(Probe::Refused);
    facts.primary.journal = journal(&[4, 5]);
    facts.object.proven = Some(Sequence(5));
    facts.memory.refusals = Some(crate::rotation::Refusals {
        secret: version("7"),
        count: 3,
        first: BOOT - facts.timing.dead,
        last: BOOT - facts.timing.probe,
    });
    let with = |change: &dyn Fn(&mut Facts, &mut SecretView)| {
        let mut facts = facts.clone();
        let mut view = secret(Some(entry(1, 5, 5)));
        view.untouched = true;
        change(&mut facts, &mut view);
        facts.secret = Observed::Live(SecretState::Present(view));
        facts
    };
    let dead = (Slot::Primary, Cause::SecretInvalid);
    assert_eq!(rests(&with(&|_, _| {})), (Reason::NoVerdict, "usable"));
    // It is dead where one piece of the evidence is missing: somebody wrote it,
    let touched = with(&|_, view| view.untouched = false);
    assert_eq!(claims_for(&touched), dead);
    // it was never accepted, or that was another one,
    assert_eq!(
        claims_for(&with(&|facts, _| facts.object.proven = None)),
        dead
    );
    let another = with(&|facts, _| facts.object.proven = Some(Sequence(4)));
    assert_eq!(claims_for(&another), dead);
    // ZITADEL has forgotten it,
    let forgotten = with(&|facts, _| facts.primary.journal = journal(&[4]));
    assert_eq!(claims_for(&forgotten), dead);
    // somebody else made a newer one, or one that is only later.
    let event = |sequence, minutes| JournalEvent {
        sequence: Sequence(sequence),
        time: at(minutes),
        own: false,
    };
    for (sequence, minutes) in [(6, 6), (3, 6), (3, 5)] {
        let others = with(&|facts, _| {
            let events = [event(sequence, minutes), event(5, 5)];
            facts.primary.journal = Observed::Live(Journal(events.into()));
        });
        assert_eq!(claims_for(&others), dead, "{sequence} at {minutes}");
    }
    // What is due goes on.
    let due = with(&|facts, _| {
        facts.object.due = DueState::Due {
            since: at(10),
            overdue: false,
        };
    });
    assert_eq!(claims_for(&due), (Slot::Primary, Cause::Due));
}

#[test]
fn a_question_that_nobody_answered_is_asked_again() {
    let mut facts = stored();
    facts.memory.verified = Some("7".into());
    facts.primary.hint = Some(Sequence(6));
    let events = [(6, 6), (5, 5)].map(|(sequence, minutes)| JournalEvent {
        sequence: Sequence(sequence),
        time: at(minutes),
        own: false,
    });
    facts.primary.journal = Observed::Live(Journal(events.into()));
    facts.probe = Observed::Live(Probe::NoVerdict);
    assert_eq!(rests(&facts), (Reason::NoVerdict, "usable"));
    // Whoever answers with another replica's word, or with what was known before, misses a rotation by somebody else.
    facts.object.verified = Some("7".into());
    facts.memory = decide(&facts).memory;
    assert_eq!(facts.memory.verified.as_deref(), Some("7"));
    facts.probe = Observed::Unread;
    assert!(matches!(
        step(&facts),
        Step::Read {
            sources: [Source::Probe],
            ..
        }
    ));
    let mut refused = facts.clone();
    refused.probe = Observed::Live(Probe::Refused);
    assert_eq!(rests(&refused), (Reason::Refused, "working"));
    facts.probe = Observed::Live(Probe::Valid);
    assert_eq!(rests(&facts).1, "settled");
    facts.memory = decide(&facts).memory;
    assert_eq!(rests(&facts).1, "settled", "and it stays answered");
    // One process's doubt about a new value is answered by itself alone.
    let mut other = stored();
    other.object.verified = Some("7".into());
    assert_eq!(rests(&other).1, "settled");
    other.memory.in_doubt = true;
    other.probe = Observed::Unread;
    assert!(matches!(
        step(&other),
        Step::Read {
            sources: [Source::Probe],
            ..
        }
    ));
    other.probe = Observed::Live(Probe::Valid);
    assert_eq!(rests(&other).1, "settled");
}

#[test]
fn a_renamed_secret_moves_and_rotates_nothing() {
    let mut facts = stored();
    facts.former = Some(Former {
        name: "old".into(),
        version: version("2"),
        sequence: Sequence(5),
        carries: vec![id(1)],
    });
    assert!(matches!(step(&facts), Step::DropFormer(_)));
    let mut absent = facts.clone();
    absent.secret = Observed::Live(SecretState::Absent);
    assert!(matches!(step(&absent), Step::Move { over: None, .. }));
    // On the word of a watch that lags behind, nothing is moved or dropped.
    for mut facts in [absent, facts.clone()] {
        facts.current = Observed::Live(false);
        assert!(matches!(step(&facts), Step::Rest(Report::Outdated { .. })));
    }
    // What is there under the new name is of long ago.
    let former = facts.former.as_mut().unwrap();
    former.sequence = Sequence(6);
    let over = Some(version("7"));
    assert!(matches!(step(&facts), Step::Move { over: o, .. } if o == over));
}

#[test]
fn a_renamed_secret_waits_for_whoever_may_still_be_writing_it() {
    let mut facts = stored();
    facts.secret = Observed::Live(SecretState::Absent);
    facts.former = Some(Former {
        name: "old".into(),
        version: version("2"),
        sequence: Sequence(5),
        carries: vec![id(1)],
    });
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    assert_eq!(rests(&facts).0, Reason::OutcomeUnknown);
    let mut written = facts.clone();
    let former = written.former.as_mut().unwrap();
    (former.sequence, former.carries) = (Sequence(6), vec![id(2)]);
    let mut over = facts.clone();
    over.memory.open = vec![(id(2), BOOT - over.timing.quiet)];
    facts.memory.not_executed = Some(id(2));
    for facts in [written, over, facts] {
        assert!(matches!(step(&facts), Step::Move { over: None, .. }));
    }
}

// ---- a standby ----

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
    // Not carried out: given up, and looked at anew.
    facts.standby.as_mut().unwrap().journal = journal(&[]);
    facts.memory.open = vec![(id(2), BOOT - facts.timing.quiet)];
    facts.object.trigger = Some("b".into());
    assert_eq!(voids(&facts), Slot::Standby);
}

#[test]
fn the_breaker_counts_lost_attempts_on_the_idle_application() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    let standby = facts.standby.as_mut().unwrap();
    standby.claim = present(claim(2, Cause::LostAttempt, Some("b"), Some(8)));
    standby.journal = journal(&[56, 57, 58, 59]);
    facts.object.trigger = Some("b".into());
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "stalled"));
    // A newer trigger than the one that was tried gives one attempt more.
    facts.object.trigger = Some("c".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::Trigger));
}

#[test]
fn without_a_journal_the_breaker_counts_what_the_claims_remember() {
    let mut facts = rehearsed(stored(), Slot::Primary);
    facts.primary.journal = Observed::Failed(Failure {
        reason: Reason::PermissionDenied,
        permanent: true,
        error_id: None,
    });
    facts.object.trigger = Some("a".into());
    edit(&mut facts, |secret| secret.value = Value::Absent);
    facts.memory.missing = Some(BOOT - facts.timing.missing);
    let with = |repairs: &[i64]| {
        let mut facts = facts.clone();
        let mut before = claim(1, Cause::FirstIssue, Some("a"), None);
        before.repairs = repairs.iter().map(|minutes| at(*minutes)).collect();
        facts.primary.claim = present(before);
        facts
    };
    let Step::WriteClaim { claim, .. } = step(&with(&[20, 40])) else {
        unreachable!()
    };
    assert_eq!(claim.repairs, [at(20), at(40), at(60)]);
    assert_eq!(claim.voided().repairs, [at(20), at(40)]);
    let mut open = with(&[20, 40, 50]);
    assert_eq!(rests(&open), (Reason::BreakerOpen, "stalled"));
    // Other rotations do not count, and a new trigger gives one attempt.
    open.object.trigger = Some("b".into());
    assert_eq!(claims_for(&open), (Slot::Primary, Cause::Trigger));
    assert_eq!(claims_for(&with(&[-100, 20, 40])).1, Cause::SecretMissing);
}

#[test]
fn a_stored_value_that_is_lost_is_replaced_on_the_idle_application_and_its_claim_closed_later() {
    let mut facts = rehearsed(pair(), Slot::Standby);
    facts.primary.claim = present(claim(2, Cause::Due, None, Some(5)));
    facts.primary.journal = journal(&[5, 6]);
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
    unknown.probe = Observed::Live(Probe::NoVerdict);
    assert_eq!(rests(&unknown), (Reason::NoVerdict, "usable"));
    // A due rotation comes first: it makes the former pair useless anyway.
    facts.object.due = DueState::Due {
        since: at(10),
        overdue: false,
    };
    let facts = rehearsed(facts, Slot::Primary);
    assert_eq!(claims_for(&facts), (Slot::Primary, Cause::Due));
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
    blind.primary.journal = Observed::Failed(Failure {
        reason: Reason::PermissionDenied,
        permanent: true,
        error_id: None,
    });
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
fn a_first_issue_that_was_begun_is_gone_on_with_on_the_same_application() {
    let mut facts = rehearsed(nothing(), Slot::Standby);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    let mut begun = claim(2, Cause::FirstIssue, None, None);
    begun.issued = false;
    facts.standby = Some(AppFacts {
        claim: present(begun),
        journal: journal(&[6]),
        ..app()
    });
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::LostAttempt));
}

#[test]
fn a_secret_that_is_gone_is_made_anew_where_nobody_is_refused() {
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
    // Begun on the standby, carried out and lost: gone on with there, although the elder claim looks open as well.
    facts.object.last_active = Some(Slot::Primary);
    let mut begun = claim(2, Cause::SecretMissing, None, None);
    begun.attempt.as_mut().unwrap().time = at(1);
    let standby = facts.standby.as_mut().unwrap();
    (standby.claim, standby.journal) = (present(begun), journal(&[6]));
    let facts = rehearsed(facts, Slot::Standby);
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::SecretMissing));
}

/// Both pairs were stored in turn, the standby's last; then a person deleted the Secret, so both claims look open.
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
    // Look after look, never more than one wait in all.
    let mut looks = Vec::new();
    for _ in 0..8 {
        let decision = decide(&facts);
        facts.memory = decision.memory;
        facts.now.boot += facts.timing.takeover / 4;
        match decision.step {
            Step::Rest(Report::Working { blocked, .. }) => looks.push(blocked.reason),
            step => {
                assert_eq!(step, Step::CreateShell);
                break;
            }
        }
    }
    let watching = |reason: &&Reason| **reason == Reason::AttemptOpen;
    assert_eq!(looks.iter().take_while(watching).count(), 4, "{looks:?}");
    assert!(
        looks[4..].iter().all(|r| *r == Reason::SecretMissing),
        "{looks:?}"
    );
    assert!(looks.len() < 8, "{looks:?}");
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
fn a_new_trigger_passes_the_breaker_of_a_first_issue_on_the_standby() {
    let mut facts = rehearsed(nothing(), Slot::Standby);
    facts.secret = Observed::Live(SecretState::Present(secret(None)));
    facts.object.trigger = Some("a".into());
    let mut begun = claim(2, Cause::LostAttempt, Some("a"), Some(8));
    begun.issued = false;
    facts.primary.journal = journal(&[4]);
    facts.standby = Some(AppFacts {
        claim: present(begun),
        journal: journal(&[56, 57, 58, 59]),
        ..app()
    });
    assert_eq!(rests(&facts), (Reason::BreakerOpen, "stalled"));
    facts.object.trigger = Some("b".into());
    assert_eq!(claims_for(&facts), (Slot::Standby, Cause::Trigger));
}

#[test]
fn a_standby_that_cannot_take_over_is_told_early_and_never_replaced_by_an_outage() {
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
fn behind_a_closed_gate_nothing_is_begun_where_the_claim_was_replaced() {
    let mut facts = nothing();
    facts.object.suspended = true;
    facts.memory.claimed = Some(crate::rotation::Claimed {
        slot: Slot::Primary,
        attempt: id(1),
        since: BOOT,
        secret: version("7"),
    });
    let decision = decide(&facts);
    assert_eq!(decision.step, rest(Report::Quiet(Reason::Suspended)));
    assert_eq!(decision.memory.claimed, None);
}
