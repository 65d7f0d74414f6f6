//! Between the small numbers of the world and the types of the shipped code: calls `rotation::decide`, `fence` and `Memory`.

use std::cell::RefCell;
use std::hash::BuildHasherDefault;
use std::time::Duration;

use jiff::Timestamp;
use uuid::Uuid;
use zitadel_secret_operator::api::{Kind, Reason};
use zitadel_secret_operator::ids::{ApiVersion, AppId, AttemptId, Sequence};
use zitadel_secret_operator::rotation as real;

use crate::hash::Wide;
use crate::world::{Age, Attempt, Claim, GONE, Memo, Object, Reads, Secret, Seen, Status, TWO};

/// The clock of every decision. What is remembered as fresh lies here, what is over lies at zero.
const BOOT: Duration = Duration::from_hours(1000);
/// The doubts that the world distinguishes, from 1 on.
const DOUBTS: [real::DoubtKind; 3] = [
    real::DoubtKind::Unproven,
    real::DoubtKind::Sent,
    real::DoubtKind::News,
];
/// The id of a new attempt, until the world gives it one.
const NEW: u8 = 200;

/// A step in small numbers.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Step {
    /// One bit for each source, and the application.
    Read(u8, u8),
    CreateShell,
    /// The application, and over which revision.
    Rehearse(u8, u8),
    /// What to write, over which revision; 0: none must exist. `fresh`: the attempt in it is new.
    Write {
        slot: u8,
        claim: Claim,
        over: u8,
        fresh: bool,
    },
    Send {
        slot: u8,
        attempt: u8,
        cause: u8,
        secret: u8,
    },
    /// Over which revision, and what to record: application, attempt, sequence.
    Render {
        over: u8,
        record: Option<(u8, u8, u8)>,
    },
    /// Over which revision; 0: none must exist.
    Move(u8),
    /// Over which revision of the first application's claim.
    Provision(u8),
    /// The revision to delete.
    DropFormer(u8),
    Rest(Report),
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Report {
    Settled,
    Usable,
    Working,
    Stalled,
    Quiet,
    Outdated,
}

pub const CLAIM: u8 = 1;
pub const SECRET: u8 = 2;
pub const APP: u8 = 4;
pub const JOURNAL: u8 = 8;
pub const PROBE: u8 = 16;
pub const OBJECT: u8 = 32;

/// Everything that a decision is made from.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub struct Known {
    pub replica: u8,
    pub object: Object,
    pub hint: [u8; TWO],
    pub reads: Reads,
    pub status: Status,
    pub standby: bool,
    /// The operator creates it, and whether it waits for that.
    pub provisioned: bool,
    pub no_provision: bool,
    /// The pair before the stored one is made useless at once.
    pub overlap: bool,
    /// The value that the slowest consumer holds, where they are waited for; 0: they are not.
    pub slowest: u8,
    /// Whether the object is what it is thought to be has to be confirmed by a read.
    pub confirms_object: bool,
    /// Secret and claim are from the watches.
    pub cached: bool,
    /// Stored values up to this one are due.
    pub due: u8,
    /// The journal can't be read, for good.
    pub no_journal: bool,
    /// The quiet period is none (a negative control).
    pub no_quiet: bool,
    /// Whether claims remember repairs, and how many rotations were asked for within the breaker's window before.
    pub breaker: bool,
    pub asked: u8,
    /// Those count as repairs (a negative control).
    pub asked_count: bool,
    pub memo: Memo,
}

type Cache = std::collections::HashMap<Known, (Step, Memo), BuildHasherDefault<Wide>>;

thread_local! {
    static CACHE: RefCell<Cache> = RefCell::default();
}

/// The decision of the shipped code. It is a pure function, so each set of facts is put to it once.
pub fn decide(known: &Known) -> (Step, Memo) {
    CACHE.with_borrow_mut(|cache| {
        if let Some(found) = cache.get(known) {
            return *found;
        }
        if cache.len() > 1_000_000 {
            cache.clear();
        }
        let decision = real::decide(&facts(known));
        let found = (step(known, &decision.step), memo(&decision.memory));
        cache.insert(*known, found);
        found
    })
}

/// The shipped fence.
pub fn fence(
    stored: Option<Secret>,
    slot: u8,
    attempt: u8,
    sequence: u8,
    outlived: u8,
    contains: bool,
) -> real::Fence {
    let outlived = (outlived != 0).then(|| version(outlived));
    real::fence(
        &secret_state(stored, 0, false, true),
        real::Slot::ALL[usize::from(slot)],
        attempt_id(attempt),
        Sequence(sequence.into()),
        outlived.as_ref(),
        false,
        contains,
    )
}

/// The times since the answer that a value on its way is asked about at: every wait of the shipped machine ends at the next of them, or
/// later than it asked for. They are the answer, half of the time to prove it, all of it, some time, and the longest known lag.
pub const TIMES: u8 = 5;
/// The time to prove a value is over, and the longest known lag.
pub const PROVEN: u8 = 2;
pub const LAGGED: u8 = 4;

/// That time, since boot.
pub fn since_answer(at: u8) -> Duration {
    let timing = real::Timing::default();
    BOOT + match at {
        0 => Duration::ZERO,
        1 => timing.prove / 2,
        PROVEN => timing.prove,
        LAGGED => timing.lag,
        _ => timing.lag / 2,
    }
}

/// The shipped machine for a value that was just received. `early`: it is dropped as soon as the time to prove it is over (a negative
/// control).
pub fn received(stored: Option<Secret>, slot: u8, early: bool) -> real::Publish {
    let beside = match stored {
        Some(secret) if secret.value != 0 && secret.active == slot => real::Beside::Replaced,
        Some(secret) if secret.value != 0 => real::Beside::Standby,
        _ => real::Beside::Nothing,
    };
    let mut timing = real::Timing::default();
    if early {
        timing.lag = timing.prove;
    }
    real::Publish::received(BOOT, beside, &timing)
}

/// What the shell notes in the memory, done by the shipped `Memory`.
pub fn remember(memo_before: &Memo, change: impl FnOnce(&mut real::Memory)) -> Memo {
    let mut memory = memory(memo_before);
    change(&mut memory);
    memo(&memory)
}

pub fn claimed(memo: &Memo, slot: u8, attempt: u8) -> Memo {
    remember(memo, |m| {
        m.claimed(slot_of(slot), attempt_id(attempt), BOOT);
    })
}

pub fn claim_not_written(memo: &Memo) -> Memo {
    remember(memo, real::Memory::claim_not_written)
}

pub fn rehearsed(memo: &Memo, slot: u8, secret: u8) -> Memo {
    remember(memo, |m| {
        m.rehearsed(slot_of(slot), version(secret));
    })
}

pub fn sending(memo: &Memo, attempt: u8) -> Memo {
    remember(memo, |m| m.sending(attempt_id(attempt)))
}

pub fn flushed(memo: &Memo, verified: u8) -> Memo {
    remember(memo, |m| {
        m.flushed((verified != 0).then(|| text(verified)));
    })
}

/// The value had no effect, and was dropped.
pub fn dropped(memo: &Memo, attempt: u8) -> Memo {
    remember(memo, |m| m.dropped(attempt_id(attempt)))
}

pub fn unknown(memo: &Memo, attempt: u8) -> Memo {
    remember(memo, |m| m.unknown(attempt_id(attempt), BOOT))
}

/// Generate was refused without being carried out.
pub fn not_executed(known: &Known, attempt: u8) -> Memo {
    let refused = remember(&known.memo, |m| {
        m.generate_not_executed(attempt_id(attempt))
    });
    back_off(&Known {
        memo: refused,
        ..*known
    })
}

/// A call failed, and the next waits.
pub fn back_off(known: &Known) -> Memo {
    let facts = facts(known);
    remember(&known.memo, |m| {
        m.back_off(&facts, &failure(false));
    })
}

pub fn not_provisioned(known: &Known) -> Memo {
    let facts = facts(known);
    remember(&known.memo, |m| m.not_provisioned(&facts, &failure(false)))
}

pub fn provisioned(memo: &Memo) -> Memo {
    remember(memo, |m| m.provision = None)
}

fn failure(permanent: bool) -> real::Failure {
    real::Failure::new(Reason::JournalUnavailable, permanent)
}

fn slot_of(slot: u8) -> real::Slot {
    real::Slot::ALL[usize::from(slot)]
}

fn slot_number(slot: real::Slot) -> u8 {
    u8::from(slot == real::Slot::Standby)
}

fn text(id: u8) -> String {
    id.to_string()
}

fn number(text: &str) -> u8 {
    text.parse().unwrap()
}

fn version(revision: u8) -> real::Version {
    real::Version {
        uid: String::new(),
        revision: text(revision),
    }
}

/// The claims of two applications are two objects.
fn claim_version(slot: u8, revision: u8) -> real::Version {
    real::Version {
        uid: text(slot),
        revision: text(revision),
    }
}

fn revision(version: &real::Version) -> u8 {
    number(&version.revision)
}

fn attempt_id(id: u8) -> AttemptId {
    AttemptId(Uuid::from_u128(id.into()))
}

fn attempt_number(id: AttemptId) -> u8 {
    u8::try_from(id.0.as_u128()).unwrap()
}

fn sequence_number(sequence: Sequence) -> u8 {
    u8::try_from(sequence.0).unwrap()
}

fn trigger(id: u8) -> Option<String> {
    (id != 0).then(|| text(id))
}

fn trigger_number(trigger: Option<&str>) -> u8 {
    trigger.map_or(0, number)
}

fn owner(uid: u8) -> real::Owner {
    real::Owner {
        kind: Kind::ApiApp,
        namespace: String::new(),
        name: String::new(),
        uid: text(uid),
    }
}

fn holder(replica: u8) -> real::Holder {
    real::Holder {
        pod: text(replica),
        process: String::new(),
    }
}

/// Noon of some day.
fn now() -> Timestamp {
    Timestamp::from_second(1_800_000_000).unwrap()
}

/// Long before, so that the breaker never counts it.
fn long_ago() -> Timestamp {
    nth(0)
}

/// The time of an event or of an attempt: as long ago, and in their order.
fn nth(number: u8) -> Timestamp {
    Timestamp::from_second(1_700_000_000 + i64::from(number)).unwrap()
}

fn instant(age: Age) -> Duration {
    match age {
        Age::Fresh => BOOT,
        Age::Unset | Age::Over => Duration::ZERO,
    }
}

fn age(instant: Duration) -> Age {
    if instant == BOOT {
        Age::Fresh
    } else {
        assert_eq!(instant, Duration::ZERO, "an instant that no clock showed");
        Age::Over
    }
}

fn set(age: Age) -> Option<Duration> {
    (age != Age::Unset).then(|| instant(age))
}

fn memory(memo: &Memo) -> real::Memory {
    let some = |id: u8| (id != 0).then_some(id);
    real::Memory {
        candidate: false,
        answer: None,
        lost: None,
        inherited: false,
        prepared: some(memo.prepared.0).map(|secret| {
            Box::new(real::Prepared {
                slot: slot_of(memo.prepared.1),
                secret: version(secret),
            })
        }),
        claimed: some(memo.claimed.0).map(|attempt| {
            Box::new(real::Claimed {
                slot: slot_of(memo.claimed.3),
                attempt: attempt_id(attempt),
                since: instant(memo.claimed.2),
                secret: version(memo.claimed.1),
                unusable: false,
            })
        }),
        holding: some(memo.holding).map(attempt_id),
        write_blocked: None,
        not_executed: some(memo.not_executed).map(attempt_id),
        without_effect: some(memo.without_effect).map(attempt_id),
        open: memo
            .open
            .iter()
            .rev()
            .filter(|(attempt, _)| *attempt != 0)
            .map(|(attempt, since)| (attempt_id(*attempt), instant(*since)))
            .collect(),
        unreadable: some(memo.unreadable.0).map(|revision| {
            (
                claim_version(memo.unreadable.2, revision),
                instant(memo.unreadable.1),
            )
        }),
        watched: (0..)
            .zip(memo.watched)
            .filter(|(_, (claim, ..))| *claim != 0)
            .map(|(slot, (claim, secret, since))| real::Watched {
                claim: claim_version(slot, claim),
                secret: some(secret).map(version),
                since: instant(since),
            })
            .collect(),
        missing: set(memo.missing),
        streak: some(memo.streak.0).map(|secret| {
            Box::new(real::RejectionStreak {
                secret: version(secret),
                count: memo.streak.1.into(),
                first: instant(memo.streak.2),
                last: instant(memo.streak.2),
            })
        }),
        drift: some(memo.drift.0)
            .map(|sequence| (Sequence(sequence.into()), instant(memo.drift.1))),
        backoff: (memo.backoff.0 != Age::Unset).then(|| {
            Box::new(real::Backoff {
                count: 1,
                until: match memo.backoff.0 {
                    Age::Fresh => BOOT + Duration::from_secs(1),
                    Age::Unset | Age::Over => Duration::ZERO,
                },
                failure: failure(memo.backoff.2),
                inputs: trigger(memo.backoff.1).unwrap_or_default(),
                everything: false,
            })
        }),
        rewrites: None,
        provision: (memo.provision.0 != Age::Unset).then(|| {
            Box::new(real::Backoff {
                count: 1,
                until: match memo.provision.0 {
                    Age::Fresh => BOOT + Duration::from_secs(1),
                    Age::Unset | Age::Over => Duration::ZERO,
                },
                failure: failure(false),
                inputs: trigger(memo.provision.1).unwrap_or_default(),
                everything: false,
            })
        }),
        unanswered: None,
        verified: some(memo.verified).map(text),
        rejected: some(memo.rejected).map(|secret| {
            Box::new(real::Rejection {
                secret: version(secret),
                asked: 0,
            })
        }),
        doubt: DOUBTS
            .get(usize::from(memo.doubt).wrapping_sub(1))
            .map(|kind| real::Doubt {
                kind: *kind,
                since: BOOT,
                asked: 0,
            }),
        drift_seen: some(memo.drift_seen.0).map(|hint| real::DriftSeen {
            hint: Sequence(hint.into()),
            stored: Sequence(memo.drift_seen.1.into()),
        }),
    }
}

fn memo(memory: &real::Memory) -> Memo {
    Memo {
        prepared: memory.prepared.as_ref().map_or((0, 0), |prepared| {
            (revision(&prepared.secret), slot_number(prepared.slot))
        }),
        claimed: memory
            .claimed
            .as_ref()
            .map_or((0, 0, Age::Unset, 0), |claimed| {
                (
                    attempt_number(claimed.attempt),
                    revision(&claimed.secret),
                    age(claimed.since),
                    slot_number(claimed.slot),
                )
            }),
        holding: memory.holding.map_or(0, attempt_number),
        not_executed: memory.not_executed.map_or(0, attempt_number),
        without_effect: memory.without_effect.map_or(0, attempt_number),
        open: open(&memory.open),
        unreadable: memory
            .unreadable
            .as_ref()
            .map_or((0, Age::Unset, 0), |(claim, since)| {
                (revision(claim), age(*since), number(&claim.uid))
            }),
        watched: watched(&memory.watched),
        missing: memory.missing.map_or(Age::Unset, age),
        streak: memory.streak.as_ref().map_or((0, 0, Age::Unset), |streak| {
            (
                revision(&streak.secret),
                // More than one are not distinguished: the second is counted as soon as the first is old, see `facts`.
                u8::try_from(streak.count.min(1)).unwrap(),
                age(streak.first),
            )
        }),
        drift: memory.drift.map_or((0, Age::Unset), |(sequence, since)| {
            (sequence_number(sequence), age(since))
        }),
        backoff: memory
            .backoff
            .as_ref()
            .map_or((Age::Unset, 0, false), |backoff| {
                let age = if backoff.until > BOOT {
                    Age::Fresh
                } else {
                    Age::Over
                };
                (
                    age,
                    trigger_number(
                        Some(backoff.inputs.as_str()).filter(|inputs| !inputs.is_empty()),
                    ),
                    backoff.failure.permanent,
                )
            }),
        provision: memory.provision.as_ref().map_or((Age::Unset, 0), |failed| {
            let age = if failed.until > BOOT {
                Age::Fresh
            } else {
                Age::Over
            };
            let inputs = Some(failed.inputs.as_str()).filter(|inputs| !inputs.is_empty());
            (age, trigger_number(inputs))
        }),
        verified: memory.verified.as_deref().map_or(0, number),
        rejected: memory
            .rejected
            .as_ref()
            .map_or(0, |rejection| revision(&rejection.secret)),
        doubt: memory.doubt.as_ref().map_or(0, |doubt| {
            let at = DOUBTS.iter().position(|kind| *kind == doubt.kind);
            u8::try_from(at.unwrap() + 1).unwrap()
        }),
        drift_seen: memory.drift_seen.map_or((0, 0), |seen| {
            (sequence_number(seen.hint), sequence_number(seen.stored))
        }),
    }
}

/// Attempts, the newest first.
fn open(open: &[(AttemptId, Duration)]) -> [(u8, Age); TWO + 1] {
    let mut numbers = [(0, Age::Unset); TWO + 1];
    assert!(open.len() <= numbers.len(), "attempts are not forgotten");
    for (slot, (attempt, since)) in numbers.iter_mut().zip(open) {
        *slot = (attempt_number(*attempt), age(*since));
    }
    numbers.sort_unstable_by_key(|(attempt, _)| std::cmp::Reverse(*attempt));
    numbers
}

/// Open claims, by application.
fn watched(watched: &[real::Watched]) -> [(u8, u8, Age); TWO] {
    let mut numbers = [(0, 0, Age::Unset); TWO];
    for one in watched {
        numbers[usize::from(number(&one.claim.uid))] = (
            revision(&one.claim),
            one.secret.as_ref().map_or(0, revision),
            age(one.since),
        );
    }
    numbers
}

/// Repairs of the last hour. Their times differ as those of the shipped code do.
fn repairs(count: u8) -> real::Repairs {
    real::Repairs {
        times: (0..count).map(repair_time).collect(),
        causes: Vec::new(),
    }
}

fn repair_time(number: u8) -> Timestamp {
    now() + Duration::from_millis(number.into())
}

fn claim_view(known: &Known, slot: u8, claim: Option<Claim>) -> real::ClaimView {
    let Some(claim) = claim else {
        return real::ClaimView::Absent;
    };
    let record = real::Claim {
        version: real::Claim::VERSION,
        owner: owner(claim.owner),
        handled_trigger: trigger(claim.handled),
        issued: claim.issued,
        repairs: repairs(if known.asked_count {
            known.asked
        } else {
            claim.repairs
        }),
        invalid_repair: match claim.repaired {
            Age::Unset => None,
            Age::Fresh => Some(now()),
            Age::Over => Some(long_ago()),
        },
        attempt: claim.attempt.map(|attempt| real::Attempt {
            id: attempt_id(attempt.id),
            pre_sequence: (attempt.pre != 0).then(|| Sequence(attempt.pre.into())),
            api: api(known),
            cause: real::Cause::ALL[usize::from(attempt.cause)].into(),
            trigger: trigger(attempt.trigger),
            stored: None,
            holder: holder(attempt.holder),
            time: match claim.repairs.checked_sub(1) {
                Some(last) if attempt.counts => repair_time(last),
                _ => nth(attempt.id),
            },
            state: if attempt.open {
                real::AttemptState::Open
            } else {
                real::AttemptState::Void
            },
            unknown: real::UnknownFields::default(),
        }),
        replaced: claim
            .replaced
            .iter()
            .filter(|(id, _)| *id != 0)
            .map(|(id, news)| real::Replaced {
                id: attempt_id(*id),
                trigger: trigger(*news),
            })
            .collect(),
        standby: claim.standby.then(|| AppId::try_from("s").unwrap()),
        unknown: real::UnknownFields::default(),
    };
    real::ClaimView::Present {
        version: claim_version(slot, claim.revision),
        record: if claim.damaged {
            Err(real::RecordError::Unreadable)
        } else {
            Ok(record)
        },
        held_elsewhere: false,
    }
}

fn claim_numbers(known: &Known, claim: &real::Claim) -> (Claim, bool) {
    let mut fresh = false;
    let attempt = claim.attempt.as_ref().map(|attempt| {
        let id = attempt_number(attempt.id);
        fresh = id == NEW;
        Attempt {
            id: if fresh { 0 } else { id },
            pre: attempt.pre_sequence.map_or(0, sequence_number),
            cause: cause_number(attempt.cause.known().unwrap()),
            trigger: trigger_number(attempt.trigger.as_deref()),
            holder: number(&attempt.holder.pod),
            open: attempt.state == real::AttemptState::Open,
            counts: known.breaker && claim.repairs.times.contains(&attempt.time),
        }
    });
    let mut replaced = [(0, 0); 4];
    for (slot, attempt) in replaced.iter_mut().zip(&claim.replaced) {
        *slot = (
            attempt_number(attempt.id),
            trigger_number(attempt.trigger.as_deref()),
        );
    }
    let numbers = Claim {
        revision: 0,
        damaged: false,
        owner: number(&claim.owner.uid),
        handled: trigger_number(claim.handled_trigger.as_deref()),
        issued: claim.issued,
        repaired: match claim.invalid_repair {
            None => Age::Unset,
            Some(time) if time == now() => Age::Fresh,
            Some(_) => Age::Over,
        },
        attempt,
        replaced,
        repairs: if known.breaker {
            u8::try_from(claim.repairs.times.len()).unwrap()
        } else {
            0
        },
        standby: claim.standby.is_some(),
    };
    (numbers, fresh)
}

fn cause_number(cause: real::Cause) -> u8 {
    let at = real::Cause::ALL.iter().position(|other| *other == cause);
    u8::try_from(at.unwrap()).unwrap()
}

fn entry(attempt: u8, sequence: u8) -> real::Entry {
    real::Entry {
        attempt: (attempt != 0).then(|| attempt_id(attempt)),
        sequence: Sequence(sequence.into()),
        change_date: nth(sequence),
    }
}

/// `probed`: what is not recorded was read off the value itself.
fn secret_state(secret: Option<Secret>, uid: u8, unseen: bool, probed: bool) -> real::SecretState {
    let Some(secret) = secret else {
        return real::SecretState::Absent;
    };
    let recorded = secret.recorded;
    let (attempt, idle) = secret.idle;
    real::SecretState::Present(real::SecretView {
        version: version(secret.revision),
        managed: true,
        active: slot_of(if recorded || probed { secret.active } else { 0 }),
        idle: (recorded && idle != 0).then(|| entry(attempt, idle)),
        commit: Ok(recorded.then(|| entry(secret.attempt, secret.sequence))),
        held_elsewhere: None,
        owned: secret.owner == uid,
        origin: match (unseen, secret.edited) {
            (true, _) => real::Origin::Unknown,
            (false, true) => real::Origin::Foreign,
            (false, false) => real::Origin::Own,
        },
        fingerprint: None,
        handled_trigger: real::HandledTrigger::Unrecorded,
        value: match secret.value {
            _ if unseen => real::Value::Unseen,
            0 => real::Value::Absent,
            _ => real::Value::Present,
        },
        rendered: true,
        refused: None,
        co_written: false,
    })
}

/// Without a journal it is v2.
fn api(known: &Known) -> ApiVersion {
    if known.no_journal {
        ApiVersion::V2
    } else {
        ApiVersion::V1
    }
}

fn facts(known: &Known) -> real::Facts {
    let uid = known.object.uid;
    let (stored, idle) = match known.reads.secret {
        Seen::Live(Some(secret)) => (secret.sequence, secret.idle.1),
        _ => (0, 0),
    };
    let probed = known.reads.probe.is_some();
    let secret = match known.reads.secret {
        Seen::Unread | Seen::Down => real::Observed::Unread,
        Seen::Live(secret) if known.cached => {
            real::Observed::Cached(secret_state(secret, uid, true, probed))
        }
        Seen::Live(secret) => real::Observed::Live(secret_state(secret, uid, false, probed)),
    };
    let due = if stored != 0 && stored <= known.due {
        real::DueState::Due {
            since: long_ago(),
            overdue: false,
        }
    } else {
        real::DueState::OnTriggerOnly
    };
    let some = |number: u8| (number != 0).then_some(number);
    real::Facts {
        api: api(known),
        timing: real::Timing {
            quiet: if known.no_quiet {
                Duration::ZERO
            } else {
                real::Timing::default().quiet
            },
            // One refusal, and another once the first is old: with three there are only more states of the same kind.
            dead_probes: 1,
            ..real::Timing::default()
        },
        now: real::Now {
            boot: BOOT,
            time: now(),
            skewed: false,
        },
        holder: holder(known.replica),
        object: real::ObjectView {
            owner: owner(uid),
            deleting: false,
            suspended: known.object.suspended,
            inputs: trigger(known.object.trigger).unwrap_or_default(),
            trigger: trigger(known.object.trigger),
            observed_trigger: None,
            recovery: real_recovery(),
            adoption_required: false,
            verified: some(known.status.verified).map(text),
            due,
            overlap_ends: (known.overlap && idle != 0 && idle < stored).then(long_ago),
            overlap_latest: None,
            consumers: match known.slowest {
                0 => real::Uptake::NotAwaited,
                slowest if slowest < stored => real::Uptake::Behind,
                _ => real::Uptake::Current,
            },
            last_active: (known.status.last != 0).then(|| slot_of(known.status.active)),
            standby_unseen: false,
            provisioned: known.provisioned && !known.no_provision,
            explained: real::Explained::default(),
            proven: some(known.status.proven).map(|sequence| Sequence(sequence.into())),
        },
        current: match known.reads.current {
            _ if !known.confirms_object => real::Observed::Live(true),
            None => real::Observed::Unread,
            Some(current) => real::Observed::Live(current),
        },
        gates: real::Gates {
            connection: Ok(()),
            granted: true,
            rival: None,
            repairs_exhausted: false,
        },
        secret,
        primary: app(known, 0),
        standby: known.standby.then(|| app(known, 1)),
        probe: match known.reads.probe {
            None => real::Observed::Unread,
            Some(verdict) => real::Observed::Live(verdict),
        },
        former: former(known),
        fresh_attempt: attempt_id(NEW),
        memory: memory(&known.memo),
    }
}

fn former(known: &Known) -> Option<real::Former> {
    let former = known.reads.former;
    let carries = former.carries.iter().filter(|attempt| **attempt != 0);
    (former.revision != 0).then(|| real::Former {
        name: text(1 - known.object.name),
        version: version(former.revision),
        sequence: Sequence(former.sequence.into()),
        carries: carries.map(|attempt| attempt_id(*attempt)).collect(),
    })
}

fn app(known: &Known, slot: u8) -> real::AppFacts {
    let number = slot;
    let slot = usize::from(slot);
    let hint = known.hint[slot];
    real::AppFacts {
        claim: match known.reads.claim {
            Seen::Unread | Seen::Down => real::Observed::Unread,
            Seen::Live(claims) if known.cached => {
                real::Observed::Cached(claim_view(known, number, claims[slot]))
            }
            Seen::Live(claims) => real::Observed::Live(claim_view(known, number, claims[slot])),
        },
        app: if known.reads.app[slot] {
            real::Observed::Live(real::AppView { refused: None })
        } else {
            real::Observed::Unread
        },
        as_before_call: None,
        journal: match known.reads.journal[slot] {
            Seen::Unread => real::Observed::Unread,
            Seen::Down => real::Observed::Failed(failure(false)),
            Seen::Live(_) if known.no_journal => real::Observed::Failed(failure(true)),
            Seen::Live((newest, own, cut)) => {
                real::Observed::Live(journal(newest, own, cut, known.asked))
            }
        },
        hint: (hint != 0).then(|| Sequence(hint.into())),
    }
}

/// Both policies say `Rotate`.
fn real_recovery() -> zitadel_secret_operator::rotation::RecoveryView {
    zitadel_secret_operator::rotation::RecoveryView {
        missing: true,
        rejected: true,
    }
}

fn journal(newest: u8, own: u8, cut: bool, asked: u8) -> real::Journal {
    let event = |sequence: u8, own: bool| real::JournalEvent {
        sequence: Sequence(sequence.into()),
        time: nth(sequence),
        own,
    };
    let mut events = vec![
        real::JournalEvent {
            time: now(),
            ..event(0, true)
        };
        asked.into()
    ];
    if newest != 0 && !cut {
        // Whatever is older.
        events.push(event(0, false));
    }
    if own != 0 {
        events.push(event(own, true));
    }
    if newest != own {
        events.push(event(newest, false));
    }
    real::Journal(events)
}

fn step(known: &Known, step: &real::Step) -> Step {
    match step {
        real::Step::Read { sources, slot } => {
            let bits = sources.iter().fold(0, |bits, source| {
                bits | match source {
                    real::Source::Object => OBJECT,
                    real::Source::Claim => CLAIM,
                    real::Source::Secret => SECRET,
                    real::Source::App => APP,
                    real::Source::Journal => JOURNAL,
                    real::Source::Probe => PROBE,
                }
            });
            Step::Read(bits, slot_number(*slot))
        }
        real::Step::CreateShell => Step::CreateShell,
        real::Step::Provision { over, .. } => Step::Provision(over.as_ref().map_or(0, revision)),
        real::Step::Rehearse { slot, over } => Step::Rehearse(slot_number(*slot), revision(over)),
        real::Step::WriteClaim { slot, claim, over } => {
            let (claim, fresh) = claim_numbers(known, claim);
            Step::Write {
                slot: slot_number(*slot),
                claim,
                over: over.as_ref().map_or(0, revision),
                fresh,
            }
        }
        real::Step::Send {
            slot,
            attempt,
            cause,
            secret,
        } => Step::Send {
            slot: slot_number(*slot),
            attempt: attempt_number(*attempt),
            cause: cause_number(*cause),
            secret: revision(secret),
        },
        real::Step::Render { over, record } => Step::Render {
            over: revision(over),
            record: record.as_ref().map(|(slot, entry)| {
                let attempt = entry.attempt.map_or(0, attempt_number);
                (slot_number(*slot), attempt, sequence_number(entry.sequence))
            }),
        },
        real::Step::Move { over, .. } => Step::Move(over.as_ref().map_or(0, revision)),
        real::Step::DropFormer(former) => Step::DropFormer(revision(&former.version)),
        real::Step::Rest(report) => Step::Rest(match report {
            real::Report::Settled { .. } => Report::Settled,
            real::Report::Usable { .. } => Report::Usable,
            real::Report::Working { .. } => Report::Working,
            real::Report::Stalled { .. } => Report::Stalled,
            real::Report::Quiet(_) => Report::Quiet,
            real::Report::Outdated { .. } => Report::Outdated,
        }),
    }
}

/// The claims of a pod that is gone have no holder.
pub fn orphan(claims: &mut [Option<Claim>; TWO], replica: u8) {
    for claim in claims.iter_mut().flatten() {
        if let Some(attempt) = &mut claim.attempt
            && attempt.holder == replica
        {
            attempt.holder = GONE;
        }
    }
}
