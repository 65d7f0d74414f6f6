//! One attempt: gates, rehearsal, claim, recheck, send. No I/O.

use super::cause::Cause;
use super::decide::{entry_attempt, gate};
use super::facts::{Observed, SecretState, SecretView};
use super::memory::Claimed;
use super::round::{Round, rest, stalled, waiting};
use super::{Attempt, AttemptState, Claim, Retry, Source, Step, breaker_open};
use crate::api::Reason;
use crate::ids::Sequence;

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
    let journal_unmoved = match &facts.journal {
        Observed::Live(journal) => {
            journal.newest().map(|event| event.sequence) == attempt.pre_sequence
        }
        Observed::Failed(failure) => failure.permanent && attempt.pre_sequence.is_none(),
        Observed::Unread | Observed::Cached(_) => return Err(Step::Read(&[Source::Journal])),
    };
    let in_time = round.left(claimed.since, facts.timing.send).is_some();
    if secret_unmoved && journal_unmoved && in_time && gate(facts).is_none() {
        return Ok(Step::Send {
            attempt: attempt.id,
            cause: attempt.cause,
            secret: claimed.secret.clone(),
        });
    }
    round.memory.claimed = None;
    let voided = claim.map(Claim::voided);
    Ok(voided.map_or_else(
        || Step::Read(&[Source::Claim]),
        |claim| round.write_claim(claim),
    ))
}

/// Steps 3 to 5: gates, rehearsal, claim.
pub(super) fn prepare(
    round: &mut Round<'_>,
    cause: Cause,
    claim: Option<&Claim>,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    let stored = entry_attempt(secret);
    // A trigger that is newer than both the handled one and the open attempt's gives exactly one attempt past every brake.
    let fresh_trigger = facts.object.trigger.is_some()
        && claim.is_none_or(|claim| {
            claim.handled(stored) != facts.object.trigger.as_deref()
                && claim.trigger(true) != facts.object.trigger.as_deref()
        });
    if let Some(step) = round.backing_off() {
        return Ok(step);
    }
    if matches!(facts.journal, Observed::Unread | Observed::Cached(_))
        || matches!(facts.app, Observed::Unread | Observed::Cached(_))
    {
        return Err(Step::Read(&[Source::Object, Source::Journal, Source::App]));
    }
    round.current()?;
    let app = round.app()?;
    let pre_sequence = match &facts.journal {
        Observed::Live(journal) => {
            if cause.is_repair()
                && !fresh_trigger
                && breaker_open(
                    journal,
                    facts.now.time,
                    &facts.timing,
                    facts.object.explained,
                )
            {
                return Ok(stalled(
                    Reason::BreakerOpen,
                    Retry::After(facts.timing.retry_most),
                ));
            }
            journal.newest().map(|event| event.sequence)
        }
        Observed::Failed(failure) if !failure.permanent => return Err(round.failed(failure)),
        _ => None,
    };
    if let Some(reason) = app.refused {
        return Ok(stalled(reason, Retry::After(facts.timing.retry_most)));
    }
    if cause == Cause::Due && facts.now.skewed {
        return Ok(rest(waiting(
            facts,
            Reason::ClockSkew.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    if cause.is_repair() && facts.gates.repairs_exhausted && !fresh_trigger {
        return Ok(rest(waiting(
            facts,
            Reason::RepairLimit.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    let secret = match secret {
        SecretState::Absent => return Ok(Step::CreateShell),
        SecretState::Present(secret) => secret,
    };
    if let Some(reason) = secret.refused {
        return Ok(stalled(reason, Retry::OnChange));
    }
    if round
        .memory
        .prepared
        .as_ref()
        .is_none_or(|prepared| prepared.secret != secret.version)
    {
        return Ok(Step::Rehearse(secret.version.clone()));
    }
    let cause = if fresh_trigger && cause.is_repair() {
        Cause::Trigger
    } else {
        cause
    };
    let claim = new_claim(round, cause, pre_sequence, claim, secret);
    Ok(round.write_claim(claim))
}

/// The claim for an attempt, over the one that is there.
fn new_claim(
    round: &Round<'_>,
    cause: Cause,
    pre_sequence: Option<Sequence>,
    before: Option<&Claim>,
    secret: &SecretView,
) -> Claim {
    let facts = round.facts;
    let entry = secret.commit.as_ref().ok().and_then(Option::as_ref);
    let stored = entry.and_then(|entry| entry.attempt);
    let handled_trigger = before.and_then(|before| before.handled(stored).map(ToOwned::to_owned));
    let open = before.and_then(Claim::live_attempt);
    // NB: an object without news may be an old view of it: what the open attempt was to handle is handled by this one.
    let trigger = match &facts.object.trigger {
        Some(trigger) if handled_trigger.as_ref() != Some(trigger) => Some(trigger.clone()),
        _ => open
            .and_then(|attempt| attempt.trigger.clone())
            .or_else(|| facts.object.trigger.clone())
            .or_else(|| handled_trigger.clone()),
    };
    let attempt = Attempt {
        id: facts.fresh_attempt,
        pre_sequence,
        cause,
        trigger,
        holder: facts.holder.clone(),
        time: facts.now.time,
        state: AttemptState::Open,
    };
    Claim {
        version: Claim::VERSION,
        owner: facts.object.owner.clone(),
        handled_trigger,
        issued: before.is_some_and(|before| before.issued)
            || entry.is_some()
            || cause == Cause::SecretMissing,
        invalid_repair: match cause {
            Cause::SecretInvalid => Some(facts.now.time),
            _ => before.and_then(|before| before.invalid_repair),
        },
        replaced: before.map_or_else(Vec::new, |before| before.replaced(stored)),
        attempt: Some(attempt),
    }
}
