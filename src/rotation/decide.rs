//! `decide`: what is known goes in, one next step comes out. No I/O.

use std::convert::Infallible;
use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::rotation::attempt::{prepare, recheck};
use crate::rotation::cause::find::find;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, Claim};
use crate::rotation::claims::{Claims, target};
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::{ClaimView, Facts};
use crate::rotation::gate::{gate, not_ours};
use crate::rotation::memory::Memory;
use crate::rotation::observed::{Failure, Observed};
use crate::rotation::provision::{is_unconfirmed, provision};
use crate::rotation::record::RecordError;
use crate::rotation::rename::renamed;
use crate::rotation::secret::SecretState;
use crate::rotation::settled::settled;
use crate::rotation::slot::Slot;
use crate::rotation::standby::retirement;
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest, stalled, waiting};
use crate::rotation::takeover::{self, AttemptOutcome};
use crate::rotation::unreadable::unreadable;

/// A step, and what to remember for the next reconciliation.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The memory for the next reconciliation.
    pub memory: Memory,
}

/// Decides on the next step.
pub fn decide(facts: &Facts) -> Decision {
    let mut eval = Evaluation::new(facts);
    eval.take_verdict();
    eval.see_news();
    let Break(step) = steps(&mut eval);
    let step = eval.truthful(step);
    Decision {
        step,
        memory: eval.memory,
    }
}

/// So many steps were made at once that there is no end of it: the world changes as fast as it is read, or a write does not stick.
/// Nothing is done or read for a while, longer each time, and a claim that was not used is given up then.
pub fn out_of_steps(facts: &Facts) -> Decision {
    let mut eval = Evaluation::new(facts);
    let failure = Failure::new(Reason::ConcurrentChanges, false);
    let wait = eval.memory.stop_for_a_while(facts, &failure);
    eval.memory.claim_unusable();
    Decision {
        step: eval.said(rest(waiting(Blocked::from(&failure), Retry::After(wait)))),
        memory: eval.memory,
    }
}

/// The questions, in order. The first one that asks for a step ends them.
fn steps(eval: &mut Evaluation<'_>) -> ControlFlow<Step, Infallible> {
    let facts = eval.facts;
    if facts.object.deleting {
        let retry = Retry::OnChange;
        return Break(rest(Report::Outdated { retry }));
    }
    if eval.memory.holding.is_some() {
        let retry = Retry::OnChange;
        return Break(rest(match eval.memory.write_blocked.as_deref() {
            Some(failure) => Report::Stalled {
                blocked: failure.into(),
                retry,
            },
            // With a standby, or where the new value has no effect yet, the stored one works.
            None => waiting(held(facts), retry),
        }));
    }
    if eval.memory.claimed.is_none() {
        if let Some(report) = gate(facts) {
            return Break(rest(report));
        }
        if settled(facts, &eval.memory) {
            // All is well: the next failure is a first one.
            eval.memory.inherited = false;
            eval.memory.backoff = None;
            return Break(rest(eval.settled_unless_undone()));
        }
        if let Some(report) = eval.resting() {
            return Break(rest(report));
        }
    }
    let secret = match &facts.secret {
        Observed::Live(secret) => secret,
        Observed::Failed(failure) => return Break(rest(eval.failed(failure))),
        Observed::Unread | Observed::Cached(_) => return Break(read_first(eval)),
    };
    let claims = claims(eval, secret)?;
    eval.memory.unreadable = None;
    if let SecretState::Present(view) = secret
        && let Some(report) = not_ours(facts, view)
    {
        return Break(rest(report));
    }
    renamed(eval, claims, secret)?;
    if let Some(claimed) = eval.memory.claimed.clone() {
        eval.slot = claimed.slot;
        let claim = claims.of(claimed.slot);
        match claim.and_then(Claim::live_attempt) {
            Some(attempt) if attempt.id == claimed.attempt => {
                return recheck(eval, &claimed, attempt, claim, secret);
            }
            // Another actor replaced the claim, or deleted it: nothing was sent, and nothing will be.
            _ => {
                let moved = Failure::new(Reason::ConcurrentChanges, false);
                eval.memory.set_back(facts, &moved);
                forget_claim(eval)?;
            }
        }
    }
    provision(eval, claims, secret)?;
    see_open(eval, claims, secret);
    if let Some(idle) = facts.idle()
        && let Some(open) = claims.open(idle, secret)
    {
        eval.slot = idle;
        return open_beside(eval, claims, open, secret);
    }
    let found = cause(eval, claims, secret)?;
    act(eval, found, claims, secret)
}

/// The step that what was found asks for.
fn act(
    eval: &mut Evaluation<'_>,
    found: Found,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, Infallible> {
    let active = eval.facts.active();
    match found {
        Found::Nothing(report) => Break(rest(report)),
        Found::Claim(claim) => Break(eval.write_claim(*claim)),
        Found::Render { over, record } => Break(eval.render(over, record)),
        Found::Cause(cause) => prepare(eval, cause, claims, secret),
        Found::Again => {
            let not_made = claims.of(active).map(Claim::not_made);
            let claims = claims.with(active, not_made.as_ref());
            prepare(eval, Cause::LostAttempt, claims, secret)
        }
        Found::Replace(cause) => {
            let voided = claims.of(active).map(Claim::voided);
            prepare(eval, cause, claims.with(active, voided.as_ref()), secret)
        }
    }
}

/// Why to rotate, by what is known of the stored pair.
fn cause(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, Found> {
    eval.slot = eval.facts.active();
    let Some((claim, attempt)) = claims.open(eval.slot, secret) else {
        return find(eval, claims, secret);
    };
    let sent = takeover::sent(eval, attempt, secret)?;
    let outcome = takeover::settled_outcome(eval, attempt, sent, secret)?;
    if outcome == AttemptOutcome::NotExecuted {
        return in_place_of(eval, claims, claim, secret);
    }
    if outcome == AttemptOutcome::Executed
        && let Some(stored) = secret.recorded()
    {
        return takeover::executed(eval, attempt, sent, stored);
    }
    let found = if takeover::is_lost(eval, claims, secret)? {
        Found::Cause(Cause::LostAttempt)
    } else {
        find(eval, claims, secret)?
    };
    Continue(match found {
        Found::Cause(Cause::LostAttempt) if outcome == AttemptOutcome::OlderLost => Found::Again,
        found => found,
    })
}

/// Why to rotate in place of an attempt that is known not to have been carried out. Without a cause it is given up.
fn in_place_of(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    claim: &Claim,
    secret: &SecretState,
) -> ControlFlow<Step, Found> {
    let voided = claim.voided();
    let claims = claims.with(eval.slot, Some(&voided));
    Continue(match find(eval, claims, secret)? {
        Found::Cause(cause) if target(eval, cause, claims, secret)? == eval.slot => {
            Found::Replace(cause)
        }
        Found::Claim(claim) => Found::Claim(claim),
        _ => Found::Claim(Box::new(voided)),
    })
}

/// An attempt on the idle application that may be under way. The stored pair is another application's, so nothing is lost.
fn open_beside(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    (claim, attempt): (&Claim, &Attempt),
    secret: &SecretState,
) -> ControlFlow<Step, Infallible> {
    let slot = eval.slot;
    let sent = takeover::sent(eval, attempt, secret)?;
    if let Some((view, entry)) = retirement(eval, attempt, sent, secret)? {
        return Break(eval.render(view.version.clone(), Some((slot, entry))));
    }
    let outcome = takeover::settled_outcome(eval, attempt, sent, secret)?;
    if outcome != AttemptOutcome::Executed {
        return Break(eval.write_claim(claim.voided()));
    }
    let cause = match cause(eval, claims, secret)? {
        // What had no effect is made again for the same cause, and counts as a repair all the same.
        Found::Cause(cause) | Found::Replace(cause)
            if cause.is_repair() || eval.memory.without_effect == Some(attempt.id) =>
        {
            cause
        }
        // A repair, so that the breaker can hold it back.
        Found::Cause(_) | Found::Replace(_) | Found::Again => Cause::LostAttempt,
        Found::Claim(_) | Found::Render { .. } | Found::Nothing(_) => {
            eval.slot = slot;
            // NB: if it was a repair, it was made.
            let voided = claim.voided().remembering(claim.repairs.clone());
            return Break(eval.write_claim(voided));
        }
    };
    prepare(eval, cause, claims, secret)
}

/// The claim of one's own is none any more. It alone is carried past the gates, to be given up there.
fn forget_claim(eval: &mut Evaluation<'_>) -> ControlFlow<Step> {
    eval.memory.claimed = None;
    match gate(eval.facts) {
        Some(report) => Break(rest(report)),
        None => Continue(()),
    }
}

/// What a received value waits for: where ZITADEL cannot be asked about it, that is why it takes long.
fn held(facts: &Facts) -> Blocked {
    match &facts.gates.connection {
        Err(failure) if facts.memory.candidate => Blocked::from(failure),
        _ => Reason::SecretHeld.into(),
    }
}

/// Takes note of every attempt that may be under way: two are watched at the same time, not one after the other.
fn see_open(eval: &mut Evaluation<'_>, claims: Claims<'_>, secret: &SecretState) {
    let facts = eval.facts;
    let now = facts.now.boot;
    let stored = secret.version();
    let (mut attempts, mut versions) = (Vec::new(), Vec::new());
    for slot in facts.slots() {
        let Some((_, attempt)) = claims.open(*slot, secret) else {
            continue;
        };
        attempts.push(attempt.id);
        eval.memory.attempt_seen(attempt.id, now);
        if let Some(version) = facts.of(*slot).claim.known().and_then(ClaimView::version) {
            versions.push(version.clone());
            eval.memory
                .seen_unchanged(version.clone(), stored.cloned(), now);
        }
    }
    eval.memory.keep_open(&attempts, &versions);
}

/// Reads what every decision needs.
fn read_first(eval: &mut Evaluation<'_>) -> Step {
    match &eval.memory.claimed {
        Some(claimed) => {
            eval.slot = claimed.slot;
            eval.read(&[Source::Secret, Source::Claim, Source::Journal])
        }
        None => eval.read(&[Source::Secret, Source::Claim]),
    }
}

/// The claims, if all of them can be used.
fn claims<'a>(eval: &mut Evaluation<'a>, secret: &SecretState) -> ControlFlow<Step, Claims<'a>> {
    let facts = eval.facts;
    let mut claims = Claims::default();
    for slot in facts.slots() {
        if *slot == Slot::Standby && is_unconfirmed(facts, claims) {
            break;
        }
        match &facts.of(*slot).claim {
            Observed::Live(ClaimView::Absent) => {}
            Observed::Live(ClaimView::Present {
                version,
                record,
                held_elsewhere,
            }) => match record {
                Ok(claim) => {
                    let claim = ours(facts, claim, *held_elsewhere)?;
                    claims = claims.with(*slot, Some(claim));
                }
                Err(RecordError::Newer) => {
                    let reason = Reason::ClaimFromNewerVersion;
                    return Break(rest(stalled(reason, Retry::OnChange)));
                }
                Err(RecordError::Unreadable) => {
                    if eval.memory.claimed.is_some() {
                        let damaged = Failure::new(Reason::ClaimUnreadable, false);
                        eval.memory.set_back(facts, &damaged);
                    }
                    forget_claim(eval)?;
                    eval.slot = *slot;
                    let found = unreadable(eval, version, secret)?;
                    match act(eval, found, Claims::default(), secret)? {}
                }
            },
            Observed::Failed(failure) => return Break(rest(eval.failed(failure))),
            Observed::Unread | Observed::Cached(_) => return Break(read_first(eval)),
        }
    }
    Continue(claims)
}

/// A claim that is not another object's.
fn ours<'a>(facts: &Facts, claim: &'a Claim, held_elsewhere: bool) -> ControlFlow<Step, &'a Claim> {
    if !held_elsewhere {
        return Continue(claim);
    }
    let blocked = Blocked {
        by: Some(claim.owner.clone()),
        ..Reason::AppAlreadyClaimed.into()
    };
    Break(rest(Report::Stalled {
        blocked,
        retry: Retry::After(facts.timing.retry_most),
    }))
}

#[cfg(test)]
mod tests;
