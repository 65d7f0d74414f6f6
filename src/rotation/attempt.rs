//! One attempt: gates, rehearsal, claim, recheck, send. No I/O.

use jiff::Timestamp;

use super::cause::{Cause, handled_trigger, repairs};
use super::decide::{entry_attempt, gate, settled_report};
use super::facts::{Facts, Failure, Journal, Observed, Probe, SecretState, Slot, Value};
use super::memory::{Claimed, DoubtKind, Loss, Prepared};
use super::pair::{Claims, target};
use super::round::{Round, rest, stalled, waiting};
use super::{
    Attempt, AttemptState, Blocked, Claim, OpenBreaker, RepairCause, Repairs, Report, Retry,
    Source, Standing, Step, UnknownFields,
};
use crate::api::Reason;
use crate::ids::{AttemptId, Sequence};

/// Step 6 of the protocol: after the claim is durable, nothing may have moved since the cause was found.
pub(super) fn recheck(
    round: &mut Round<'_>,
    claimed: &Claimed,
    attempt: &Attempt,
    claim: Option<&Claim>,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    let secret_unmoved =
        matches!(secret, SecretState::Present(view) if view.version == claimed.secret);
    let journal_unmoved = match &round.seen().journal {
        Observed::Live(journal) => {
            journal.newest().map(|event| event.sequence) == attempt.pre_sequence
        }
        Observed::Failed(failure) => failure.permanent && attempt.pre_sequence.is_none(),
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Journal])),
    };
    let in_time = round.left(claimed.since, facts.timing.recheck).is_some() && !claimed.unusable;
    if secret_unmoved
        && journal_unmoved
        && in_time
        && gate(facts).is_none()
        && let Some(cause) = attempt.cause.known()
    {
        if round.slot == facts.active() {
            // From here on the stored value may be dead at any moment.
            round.memory.doubts(DoubtKind::Sent, facts.now.boot);
        }
        return Ok(Step::Send {
            slot: round.slot,
            attempt: attempt.id,
            cause,
            secret: claimed.secret.clone(),
        });
    }
    round.memory.claimed = None;
    if gate(facts).is_none() {
        let moved = !secret_unmoved || !journal_unmoved;
        let failed = match &round.seen().journal {
            Observed::Failed(failure) => Some(failure.clone()),
            _ => None,
        };
        let failure = failed.unwrap_or_else(|| {
            let reason = if moved {
                Reason::ConcurrentChanges
            } else {
                Reason::ZitadelTimeout
            };
            Failure::new(reason, false)
        });
        round.memory.set_back(facts, &failure);
    }
    let voided = claim.map(Claim::voided);
    Ok(voided.map_or_else(
        || round.read(&[Source::Claim]),
        |claim| round.write_claim(claim),
    ))
}

/// Steps 3 to 5: gates, rehearsal, claim.
pub(super) fn prepare(
    round: &mut Round<'_>,
    cause: Cause,
    claims: Claims<'_>,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    round.slot = target(round, cause, claims, secret)?;
    let open = Slot::ALL
        .into_iter()
        .filter_map(|slot| claims.open(slot, secret));
    let open = open.max_by_key(|(_, attempt)| attempt.id);
    let mut claims = Before {
        stored: claims.of(facts.active()),
        carried: entry_attempt(secret, facts.active()),
        replaced: claims.of(round.slot),
        replaced_carried: entry_attempt(secret, round.slot),
        issued: claims.all().any(|claim| claim.issued) || recorded(secret),
        repairs: Repairs::of(claims.all().map(Claim::counted)),
    };
    let open = open.map(|(_, attempt)| attempt.id);
    // NB: whatever its cause, a rotation that is repeated is a repair for the breaker.
    let repeated = open.is_some() && open == round.memory.without_effect;
    let fresh_trigger = claims.without(facts.object.trigger.as_deref());
    let cause = match cause {
        Cause::Trigger if claims.gave_up_repair_for(facts.object.trigger.as_deref()) => {
            Cause::LostAttempt
        }
        cause => cause,
    };
    if let Some(step) = round.backing_off() {
        return Ok(step);
    }
    let seen = round.seen();
    // NB: all at once. With a journal from before, the model finds a violation of `charge`.
    if matches!(seen.journal, Observed::Unread | Observed::Cached(_))
        || matches!(seen.app, Observed::Unread | Observed::Cached(_))
    {
        return Err(round.read(&[Source::Object, Source::Journal, Source::App]));
    }
    let app = round.app()?;
    let journal = match &seen.journal {
        Observed::Live(journal) => Some(journal),
        Observed::Failed(failure) if !failure.permanent => return Err(round.failed(failure)),
        _ => None,
    };
    let held = (cause.is_repair() || repeated) && !fresh_trigger;
    let answer = repair(round, cause, held, &mut claims, open, secret)?;
    let pre_sequence = journal
        .and_then(Journal::newest)
        .map(|event| event.sequence);
    if let Some(reason) = app.refused {
        let retry = Retry::After(facts.timing.retry_most);
        return Ok(match (cause, round.slot) {
            // An application that refuses everything needs no other secret.
            (Cause::Retire, _) => rest(settled_report(facts)),
            (_, Slot::Standby) => stalled(Reason::StandbyNotReady, retry),
            (_, Slot::Primary) => stalled(reason, retry),
        });
    }
    if matches!(cause, Cause::Due | Cause::Retire) && facts.now.skewed {
        return Ok(rest(waiting(
            Reason::ClockSkew.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    if held && facts.gates.repairs_exhausted {
        return Ok(held_back(round, &claims).unwrap_or_else(|| {
            rest(waiting(
                Reason::RepairLimit.into(),
                Retry::After(facts.timing.retry_first),
            ))
        }));
    }
    // What only waits needs no look at the object.
    round.current()?;
    let secret = match secret {
        SecretState::Absent => return Ok(Step::CreateShell),
        SecretState::Present(secret) => secret,
    };
    // NB: a new trigger takes a key over that another tool applies as well: the write is by force.
    let taken_over = |reason: &Reason| fresh_trigger && *reason == Reason::SecretContested;
    if let Some(reason) = secret.refused.filter(|reason| !taken_over(reason)) {
        return Ok(stalled(reason, Retry::OnChange));
    }
    let prepared = Prepared {
        slot: round.slot,
        secret: secret.version.clone(),
    };
    if cause == Cause::Retire {
        // Nothing of what is generated is written, so there is nothing to rehearse.
        round.memory.prepared = Some(prepared);
    } else if round.memory.prepared.as_ref() != Some(&prepared) {
        return Ok(Step::Rehearse {
            slot: prepared.slot,
            over: prepared.secret,
        });
    }
    let cause = if fresh_trigger && cause.is_repair() {
        Cause::Trigger
    } else {
        cause
    };
    let counts = if repeated && held {
        Some(RepairCause::WITHOUT_EFFECT)
    } else {
        cause.is_repair().then_some(cause.as_str())
    };
    let counts = counts.map(|word| (word, answer));
    let claim = new_claim(round, cause, pre_sequence, &claims, counts);
    Ok(round.write_claim(claim))
}

/// The breaker, and the pause before a lost answer is made up for. What came in place of that answer, if it is known.
fn repair(
    round: &mut Round<'_>,
    cause: Cause,
    held: bool,
    claims: &mut Before<'_>,
    open: Option<AttemptId>,
    secret: &SecretState,
) -> Result<Option<String>, Step> {
    let facts = round.facts;
    if claims.replaced.is_none() {
        let counted = repairs(round, None)?;
        claims.repairs = Repairs::of([claims.repairs.clone(), counted].into_iter());
    }
    let lost = round.memory.answer.as_ref();
    let answer = lost
        .filter(|(attempt, _)| Some(*attempt) == open)
        .map(|(_, answer)| answer.clone());
    if cause == Cause::LostAttempt {
        let event = match &round.seen().journal {
            Observed::Live(journal) => journal.newest_own(),
            _ => None,
        };
        let event = event.map(|event| Loss::Event(event.sequence));
        round.memory.lost = event.or(open.map(Loss::Attempt)).or(round.memory.lost);
    }
    if !held {
        return Ok(answer);
    }
    if let Some(closes) = claims.repairs.closes(facts.now.time, &facts.timing) {
        if let Some(step) = held_back(round, claims) {
            return Err(step);
        }
        let breaker = OpenBreaker {
            closes,
            repairs: claims.repairs.clone(),
            held: cause,
            answer,
            standing: standing(round, secret)?,
        };
        return Err(breaker_is_open(facts, breaker));
    }
    if cause == Cause::LostAttempt {
        pause(round, open, &claims.repairs, secret)?;
    }
    Ok(answer)
}

/// The report of a breaker that is open. It is looked at again when it closes; until then ever more rarely, so that what is said of
/// the stored value stays true.
fn breaker_is_open(facts: &Facts, breaker: OpenBreaker) -> Step {
    let now = facts.now.time;
    let apart = |from: Timestamp, to: Timestamp| to.duration_since(from).unsigned_abs();
    let last = breaker
        .repairs
        .times
        .last()
        .copied()
        .unwrap_or(now)
        .min(now);
    let probe = facts.timing.probe;
    let again = apart(last, now).clamp(probe, probe * 15);
    let retry = Retry::After(again.min(apart(now, breaker.closes)));
    let is_accepted = breaker.standing == Standing::Accepted;
    let blocked = Blocked {
        breaker: Some(Box::new(breaker)),
        ..Reason::BreakerOpen.into()
    };
    rest(if is_accepted {
        Report::Usable { blocked, retry }
    } else {
        Report::Stalled { blocked, retry }
    })
}

/// What is known of the stored value while its repair waits: it is asked now, so that what is reported is true.
fn standing(round: &mut Round<'_>, secret: &SecretState) -> Result<Standing, Step> {
    let view = match secret {
        SecretState::Present(view) if view.value != Value::Absent => view,
        _ => return Ok(Standing::Gone),
    };
    let verdict = match &round.facts.probe {
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Probe])),
        Observed::Live(verdict) => *verdict,
        Observed::Failed(_) => Probe::NoVerdict,
    };
    let now = round.facts.now.boot;
    round.memory.judged(&view.version, verdict, now);
    Ok(match verdict {
        Probe::Valid => Standing::Accepted,
        Probe::Refused => Standing::Rejected,
        Probe::NoVerdict => Standing::Unknown,
    })
}

/// The first lost answer is made up for at once, the next ones after ever longer pauses: what spoils one answer may spoil the next.
fn pause(
    round: &mut Round<'_>,
    open: Option<AttemptId>,
    repairs: &Repairs,
    secret: &SecretState,
) -> Result<(), Step> {
    let facts = round.facts;
    let Some(open) = open.filter(|open| round.memory.not_executed != Some(*open)) else {
        return Ok(());
    };
    let before = repairs.lost(facts.now.time, &facts.timing);
    let since = round.memory.attempt_seen(open, facts.now.boot);
    let Some(left) = round.left(since, facts.timing.lost_pause(before)) else {
        return Ok(());
    };
    let standing = standing(round, secret)?;
    let blocked = Reason::LostAttempt.into();
    let retry = Retry::After(left);
    Err(rest(if standing == Standing::Accepted {
        Report::Usable { blocked, retry }
    } else {
        Report::Working { blocked, retry }
    }))
}

/// A repair is held back until there is a new trigger. Where somebody has deleted the claim, one that says which is the present one is
/// written first.
fn held_back(round: &Round<'_>, claims: &Before<'_>) -> Option<Step> {
    let object = &round.facts.object;
    // NB: the present trigger counts as handled. What its rotation came to went with the claim, and whoever deletes that again and again must
    // not get past the breaker.
    let claim = Claim::settled(object.owner.clone(), object.trigger.clone(), None)
        .remembering(claims.repairs.clone());
    let none = claims.stored.is_none() && claims.replaced.is_none();
    none.then(|| round.write_claim(claim))
}

/// Whether the Secret says which value of the operator's is in it.
pub(super) fn recorded(secret: &SecretState) -> bool {
    matches!(secret, SecretState::Present(view) if matches!(view.commit, Ok(Some(_))))
}

/// The claims before an attempt: that of the stored pair's application and the one that is replaced. Often they are one.
struct Before<'a> {
    /// The claim of the application whose pair is stored. It knows which trigger was handled.
    stored: Option<&'a Claim>,
    /// The attempt that made the stored pair.
    carried: Option<AttemptId>,
    /// The claim that is replaced.
    replaced: Option<&'a Claim>,
    /// The last attempt on its application that came to its end.
    replaced_carried: Option<AttemptId>,
    /// Whether a value was ever written.
    issued: bool,
    /// The repairs that count.
    repairs: Repairs,
}

impl Before<'_> {
    /// Whether that trigger is newer than both the handled one and the open attempts': it gives exactly one attempt past every brake.
    /// Without a claim it is not known to be: who deletes claims must not get an attempt for each.
    fn without(&self, trigger: Option<&str>) -> bool {
        let tried = |claim: Option<&Claim>, carried| {
            claim.is_some_and(|claim| {
                let attempt = claim.attempt.as_ref().map(|attempt| attempt.id);
                attempt != carried && claim.trigger(true) == trigger
            })
        };
        trigger.is_some()
            && self
                .stored
                .is_some_and(|claim| claim.handled(self.carried) != trigger)
            && !tried(self.stored, self.carried)
            && !tried(self.replaced, self.replaced_carried)
    }

    /// Whether the rotation for that trigger was to make up for a lost answer, and was given up before it was sent: by another name the
    /// breaker would not count it.
    fn gave_up_repair_for(&self, trigger: Option<&str>) -> bool {
        let attempt = self.replaced.and_then(|claim| claim.attempt.as_ref());
        attempt.is_some_and(|attempt| {
            attempt.cause == Cause::LostAttempt
                && attempt.state == AttemptState::Void
                && attempt.trigger.as_deref() == trigger
        })
    }
}

/// The claim for an attempt, over the one that is there. `counts`: as what it counts for the breaker, if it does, and the answer that was
/// lost.
fn new_claim(
    round: &Round<'_>,
    cause: Cause,
    pre_sequence: Option<Sequence>,
    before: &Before<'_>,
    counts: Option<(&str, Option<String>)>,
) -> Claim {
    let facts = round.facts;
    let mut repairs = before.repairs.clone();
    let time = match counts {
        Some((word, answer)) => repairs.add(facts.now.time, word, answer),
        None => repairs.free(facts.now.time),
    };
    let handled_trigger = match before.stored {
        Some(claim) => claim.handled(before.carried).map(ToOwned::to_owned),
        // The claim was damaged. If this attempt is given up, an older trigger must not look like a new one.
        None if before.issued => handled_trigger(facts),
        None => None,
    };
    let open = before
        .replaced
        .and_then(Claim::live_attempt)
        .filter(|attempt| Some(attempt.id) != before.replaced_carried);
    // NB: the object was read after the claims, so what it says is the newest. What claims remember may be of long ago.
    let trigger = facts
        .object
        .trigger
        .clone()
        .or_else(|| open.and_then(|attempt| attempt.trigger.clone()))
        .or_else(|| handled_trigger.clone());
    let stored = match facts.secret.known() {
        Some(SecretState::Present(secret)) => secret.fingerprint.clone(),
        _ => None,
    };
    let attempt = Attempt {
        id: facts.fresh_attempt,
        stored,
        pre_sequence,
        cause: cause.into(),
        trigger,
        holder: facts.holder.clone(),
        time,
        state: AttemptState::Open,
        unknown: UnknownFields::default(),
    };
    let repaired = |claim: Option<&Claim>| claim.and_then(|claim| claim.invalid_repair);
    Claim {
        version: Claim::VERSION,
        owner: facts.object.owner.clone(),
        handled_trigger,
        issued: before.issued || cause == Cause::SecretMissing,
        invalid_repair: match cause {
            Cause::SecretInvalid => Some(facts.now.time),
            _ => repaired(before.stored).max(repaired(before.replaced)),
        },
        repairs,
        replaced: before
            .replaced
            .map_or_else(Vec::new, |claim| claim.replaced(before.replaced_carried)),
        attempt: Some(attempt),
        unknown: before
            .replaced
            .map(|claim| claim.unknown.clone())
            .unwrap_or_default(),
    }
}
