//! One attempt: gates, rehearsal, claim, recheck, send. No I/O.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break};

use crate::api::Reason;
use crate::ids::ApiVersion;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, Claim};
use crate::rotation::claims::{Claims, target};
use crate::rotation::evaluation::Evaluation;
use crate::rotation::gate::gate;
use crate::rotation::journal::Journal;
use crate::rotation::memory::{Claimed, DoubtKind, Prepared};
use crate::rotation::new_claim::{Before, new_claim};
use crate::rotation::observed::{Failure, Observed};
use crate::rotation::overlap;
use crate::rotation::provision::before_rotation;
use crate::rotation::repair::{breaker_holds, repair};
use crate::rotation::repairs::RepairCause;
use crate::rotation::secret::SecretState;
use crate::rotation::slot::Slot;
use crate::rotation::step::{Report, Retry, Source, Step, rest, stalled, waiting};

/// Step 6 of the protocol: after the claim is durable, nothing may have moved since the cause was found.
pub(super) fn recheck(
    eval: &mut Evaluation<'_>,
    claimed: &Claimed,
    attempt: &Attempt,
    claim: Option<&Claim>,
    secret: &SecretState,
) -> ControlFlow<Step, Infallible> {
    let facts = eval.facts;
    let secret_unmoved =
        matches!(secret, SecretState::Present(view) if view.version == claimed.secret);
    let journal_unmoved = match &eval.seen().journal {
        Observed::Live(journal) => {
            journal.newest().map(|event| event.sequence) == attempt.pre_sequence
        }
        Observed::Failed(failure) => failure.permanent && attempt.pre_sequence.is_none(),
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Journal])),
    };
    let in_time = eval.left(claimed.since, facts.timing.recheck).is_some() && !claimed.unusable;
    if secret_unmoved
        && journal_unmoved
        && in_time
        && gate(facts).is_none()
        && let Some(cause) = attempt.cause.known()
    {
        if eval.slot == facts.active() {
            // From here on the stored value may be dead at any moment.
            eval.memory.doubts(DoubtKind::Sent, facts.now.boot);
        }
        return Break(Step::Send {
            slot: eval.slot,
            attempt: attempt.id,
            cause,
            secret: claimed.secret.clone(),
        });
    }
    eval.memory.claimed = None;
    if gate(facts).is_none() {
        let moved = !secret_unmoved || !journal_unmoved;
        let failed = match &eval.seen().journal {
            // NB: one that could not be read before the claim either is not why.
            Observed::Failed(failure) if !journal_unmoved => Some(failure.clone()),
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
        eval.memory.set_back(facts, &failure);
    }
    let voided = claim.map(Claim::voided);
    Break(voided.map_or_else(
        || eval.read(&[Source::Claim]),
        |claim| eval.write_claim(claim),
    ))
}

/// Steps 3 to 5: gates, rehearsal, claim.
pub(super) fn prepare(
    eval: &mut Evaluation<'_>,
    cause: Cause,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, Infallible> {
    let facts = eval.facts;
    before_rotation(eval, cause, claims, secret)?;
    eval.slot = target(eval, cause, claims, secret)?;
    let open = Slot::ALL
        .into_iter()
        .filter_map(|slot| claims.open(slot, secret));
    let open = open.max_by_key(|(_, attempt)| attempt.id);
    let mut claims = Before::of(facts, claims, secret, eval.slot);
    let open = open.map(|(_, attempt)| attempt.id);
    // NB: whatever its cause, a rotation that is repeated is a repair for the breaker.
    let repeated = open.is_some() && open == eval.memory.without_effect;
    let fresh_trigger = claims.without(facts.object.trigger.as_deref());
    let cause = match cause {
        Cause::Trigger if claims.gave_up_repair_for(facts.object.trigger.as_deref()) => {
            Cause::LostAttempt
        }
        cause => cause,
    };
    if let Some(report) = eval.backing_off() {
        return Break(rest(report));
    }
    let seen = eval.seen();
    // NB: all at once. With a journal from before, the model finds a violation of `charge`.
    if matches!(seen.journal, Observed::Unread | Observed::Cached(_))
        || matches!(seen.app, Observed::Unread | Observed::Cached(_))
    {
        return Break(eval.read(&[Source::Object, Source::Journal, Source::App]));
    }
    let app = eval.app()?;
    let journal = match &seen.journal {
        Observed::Live(journal) => Some(journal),
        Observed::Failed(failure) if !failure.permanent => {
            return Break(rest(eval.failed(failure)));
        }
        _ => None,
    };
    let held = (cause.is_repair() || repeated) && !fresh_trigger;
    let answer = repair(eval, cause, held, &mut claims, open, secret)?;
    let pre_sequence = journal
        // NB: one that was read for an attempt over v1 can't be read again at the recheck.
        .filter(|_| facts.api == ApiVersion::V1)
        .and_then(Journal::newest)
        .map(|event| event.sequence);
    if let Some(reason) = app.refused {
        let retry = Retry::After(facts.timing.retry_most);
        return Break(rest(match (cause, eval.slot) {
            // An application that refuses everything needs no other secret.
            (Cause::Retire, _) => Report::settled(overlap::due(facts)),
            (_, Slot::Standby) => stalled(Reason::StandbyNotReady, retry),
            (_, Slot::Primary) => stalled(reason, retry),
        }));
    }
    if matches!(cause, Cause::Due | Cause::Retire) && facts.now.skewed {
        return Break(rest(waiting(
            Reason::ClockSkew.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    if held && facts.gates.repairs_exhausted {
        return Break(breaker_holds(eval, &claims).unwrap_or_else(|| {
            rest(waiting(
                Reason::RepairLimit.into(),
                Retry::After(facts.timing.retry_first),
            ))
        }));
    }
    // A report needs no read of the object.
    eval.current()?;
    let secret = match secret {
        SecretState::Absent => return Break(Step::CreateShell),
        SecretState::Present(secret) => secret,
    };
    // NB: a new trigger takes a key over that another tool applies as well: the write is by force.
    let taken_over = |reason: &Reason| fresh_trigger && *reason == Reason::SecretContested;
    if let Some(reason) = secret.refused.filter(|reason| !taken_over(reason)) {
        return Break(rest(stalled(reason, Retry::OnChange)));
    }
    let prepared = Box::new(Prepared {
        slot: eval.slot,
        secret: secret.version.clone(),
    });
    if cause == Cause::Retire {
        // Nothing of what is generated is written, so there is nothing to rehearse.
        eval.memory.prepared = Some(prepared);
    } else if eval.memory.prepared.as_ref() != Some(&prepared) {
        return Break(Step::Rehearse {
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
    let claim = new_claim(eval, cause, pre_sequence, &claims, counts);
    Break(eval.write_claim(claim))
}
