//! One attempt: gates, rehearsal, claim, recheck, send. No I/O.

use jiff::Timestamp;

use super::cause::{Cause, handled_trigger};
use super::decide::{entry_attempt, gate, settled_report};
use super::facts::{Facts, Failure, Journal, Observed, SecretState, Slot};
use super::memory::{Claimed, DoubtKind, Prepared};
use super::pair::{Claims, target};
use super::round::{Round, rest, stalled, waiting};
use super::{
    Attempt, AttemptState, Claim, Retry, Source, Step, breaker_open, breaker_open_by_claims,
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
    if secret_unmoved && journal_unmoved && in_time && gate(facts).is_none() {
        if round.slot == facts.active() {
            // From here on the stored value may be dead at any moment.
            round.memory.doubts(DoubtKind::Sent, facts.now.boot);
        }
        return Ok(Step::Send {
            slot: round.slot,
            attempt: attempt.id,
            cause: attempt.cause,
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
    let claims = Before {
        stored: claims.of(facts.active()),
        carried: entry_attempt(secret, facts.active()),
        replaced: claims.of(round.slot),
        replaced_carried: entry_attempt(secret, round.slot),
        issued: claims.all().any(|claim| claim.issued) || recorded(secret),
        repairs: Claim::repairs(claims.all(), None),
    };
    let fresh_trigger = claims.without(facts.object.trigger.as_deref());
    if let Some(step) = round.backing_off() {
        return Ok(step);
    }
    let seen = round.seen();
    if matches!(seen.journal, Observed::Unread | Observed::Cached(_))
        || matches!(seen.app, Observed::Unread | Observed::Cached(_))
    {
        return Err(round.read(&[Source::Object, Source::Journal, Source::App]));
    }
    round.current()?;
    let app = round.app()?;
    let journal = match &seen.journal {
        Observed::Live(journal) => Some(journal),
        Observed::Failed(failure) if !failure.permanent => return Err(round.failed(failure)),
        _ => None,
    };
    let held = cause.is_repair() && !fresh_trigger;
    if held && breaker(facts, journal, &claims.repairs) {
        return Ok(held_back(round, &claims).unwrap_or_else(|| {
            stalled(Reason::BreakerOpen, Retry::After(facts.timing.retry_most))
        }));
    }
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
    let secret = match secret {
        SecretState::Absent => return Ok(Step::CreateShell),
        SecretState::Present(secret) => secret,
    };
    if let Some(reason) = secret.refused {
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
    let claim = new_claim(round, cause, pre_sequence, &claims);
    Ok(round.write_claim(claim))
}

/// Whether the breaker of the application is open: by its journal, or where that can't be read by what its claims remember.
fn breaker(facts: &Facts, journal: Option<&Journal>, repairs: &[Timestamp]) -> bool {
    let (now, timing) = (facts.now.time, &facts.timing);
    journal.map_or_else(
        || breaker_open_by_claims(repairs, now, timing),
        |journal| breaker_open(journal, now, timing, &facts.object.explained),
    )
}

/// A repair is held back until there is a new trigger. Where somebody has deleted the claim, one that says which is the present one is
/// written first.
fn held_back(round: &Round<'_>, claims: &Before<'_>) -> Option<Step> {
    let object = &round.facts.object;
    let claim = Claim::settled(object.owner.clone(), handled_trigger(round.facts), None);
    let none = claims.stored.is_none() && claims.replaced.is_none();
    none.then(|| round.write_claim(claim))
}

fn recorded(secret: &SecretState) -> bool {
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
    /// When repairs were begun.
    repairs: Vec<Timestamp>,
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
}

/// The claim for an attempt, over the one that is there.
fn new_claim(
    round: &Round<'_>,
    cause: Cause,
    pre_sequence: Option<Sequence>,
    before: &Before<'_>,
) -> Claim {
    let facts = round.facts;
    let handled_trigger = before
        .stored
        .and_then(|claim| claim.handled(before.carried).map(ToOwned::to_owned));
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
        cause,
        trigger,
        holder: facts.holder.clone(),
        time: facts.now.time,
        state: AttemptState::Open,
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
        repairs: {
            let claims = before.stored.into_iter().chain(before.replaced);
            Claim::repairs(claims, cause.is_repair().then_some(facts.now.time))
        },
        replaced: before
            .replaced
            .map_or_else(Vec::new, |claim| claim.replaced(before.replaced_carried)),
        attempt: Some(attempt),
    }
}
