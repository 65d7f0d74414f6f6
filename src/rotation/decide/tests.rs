//! `decide` as a table: a world in a few words, and the one step that follows.
#![allow(clippy::unwrap_used, clippy::panic, clippy::unchecked_time_subtraction)]

mod adopt;
mod api;
mod attempts;
mod breaker;
mod claims;
mod foreign;
mod obstacles;
mod origin;
mod provision;
mod rejected;
mod rest;
mod single;
mod spins;
mod standby;
mod truth;
mod unknown;
mod verdicts;
mod waits;

use std::time::Duration;

use jiff::Timestamp;

use super::*;
use crate::ids::{ApiVersion, AttemptId, Sequence};
use crate::rotation::{
    AppFacts, AppView, Attempt, AttemptState, Cause, DueState, Entry, Explained, Failure, Former,
    Gates, HandledTrigger, Holder, Journal, JournalEvent, Now, ObjectView, Origin, Owner,
    RecoveryView, RejectionStreak, Repairs, SecretView, Slot, Timing, UnknownFields, Uptake, Value,
    Verdict, Version,
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
        kind: crate::api::Kind::ApiApp,
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
        origin: Origin::Own,
        fingerprint: None,
        handled_trigger: HandledTrigger::Unrecorded,
        rendered: true,
        refused: None,
        co_written: false,
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
        repairs: Repairs::default(),
        attempt: Some(Attempt {
            id: id(attempt),
            pre_sequence: pre.map(Sequence),
            api: ApiVersion::V1,
            cause: cause.into(),
            trigger: trigger.map(Into::into),
            stored: None,
            holder: Holder {
                pod: "this".into(),
                process: "before".into(),
            },
            time: at(0),
            state: AttemptState::Open,
            unknown: UnknownFields::default(),
        }),
        replaced: Vec::new(),
        standby: None,
        unknown: UnknownFields::default(),
    }
}

fn present(claim: Claim) -> Observed<ClaimView> {
    present_as("u", claim)
}

/// A claim whose attempt was given up.
fn voided(mut claim: Claim) -> Observed<ClaimView> {
    claim.attempt.as_mut().unwrap().state = AttemptState::Void;
    present(claim)
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

/// A journal that can't be read: for good, or just now.
fn failing(permanent: bool) -> Observed<Journal> {
    Observed::Failed(Failure::new(Reason::ZitadelUnavailable, permanent))
}

/// The value in the stored Secret was rejected so often, first so long ago, and last just now.
fn streak(count: u32, since: Duration) -> RejectionStreak {
    RejectionStreak {
        secret: version("7"),
        count,
        first: BOOT - since,
        last: BOOT,
    }
}

fn app() -> AppFacts {
    AppFacts {
        claim: Observed::Live(ClaimView::Absent),
        app: Observed::Live(AppView { refused: None }),
        journal: journal(&[]),
        as_before_call: None,
        hint: None,
    }
}

/// A new object; everything was read, and there is nothing.
fn nothing() -> Facts {
    Facts {
        api: ApiVersion::V1,
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
            observed_trigger: None,
            recovery: RecoveryView {
                missing: true,
                rejected: true,
            },
            adoption_required: false,
            verified: None,
            proven: None,
            due: DueState::OnTriggerOnly,
            overlap_ends: None,
            overlap_latest: None,
            consumers: Uptake::NotAwaited,
            last_active: None,
            standby_unseen: false,
            provisioned: false,
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
        probe: Observed::Live(Verdict::Accepted),
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
            as_before_call: None,
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

/// The claim that is written.
#[track_caller]
fn writes(facts: &Facts) -> Claim {
    match step(facts) {
        Step::WriteClaim { claim, .. } => *claim,
        other => panic!("{other:?}"),
    }
}

/// Where and why a claim is written.
#[track_caller]
fn claims_for(facts: &Facts) -> (Slot, Cause) {
    match step(facts) {
        Step::WriteClaim { slot, claim, .. } => {
            let cause = claim.live_attempt().unwrap().cause.known();
            (slot, cause.unwrap())
        }
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
