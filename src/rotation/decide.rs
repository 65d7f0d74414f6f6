//! `decide`: what is known goes in, one next step comes out. No I/O.

use super::attempt::{prepare, recheck};
use super::cause::{Cause, Found};
use super::facts::{ClaimView, Facts, Failure, Observed, SecretState, SecretView, Slot};
use super::memory::Memory;
use super::pair::{self, Claims};
use super::round::{Round, rest, stalled, waiting};
use super::verified::{Verified, verified};
use super::{Awaits, Blocked, Claim, DueState, RecordError, Report, Retry, Source, Step, takeover};
use crate::api::Reason;

/// A step, and what to remember for the next round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The memory for the next round.
    pub memory: Memory,
}

/// Decides on the next step.
pub fn decide(facts: &Facts) -> Decision {
    let mut round = Round::new(facts);
    round.take_verdict();
    round.see_news();
    let step = steps(&mut round).unwrap_or_else(|step| step);
    let step = round.truthful(step);
    Decision {
        step,
        memory: round.memory,
    }
}

/// So many steps were made at once that there is no end of it: the world changes as fast as it is read, or a write does not stick.
/// Nothing is done or read for a while, longer each time, and a claim that was not used is given up then.
pub fn out_of_steps(facts: &Facts) -> Decision {
    let mut round = Round::new(facts);
    let failure = Failure::new(Reason::ConcurrentChanges, false);
    let wait = round.memory.stop_for_a_while(facts, &failure);
    round.memory.claim_unusable();
    Decision {
        step: round.said(rest(waiting(Blocked::from(&failure), Retry::After(wait)))),
        memory: round.memory,
    }
}

/// NB: `Err` is a step as well: it leaves the search early.
fn steps(round: &mut Round<'_>) -> Result<Step, Step> {
    let facts = round.facts;
    if facts.object.deleting {
        let retry = Retry::OnChange;
        return Ok(rest(Report::Outdated { retry }));
    }
    if round.memory.holding.is_some() {
        let retry = Retry::OnChange;
        return Ok(rest(match &round.memory.held_back {
            Some(failure) => Report::Stalled {
                blocked: failure.into(),
                retry,
            },
            // With a standby, or where the new value has no effect yet, the stored one works.
            None => waiting(held(facts), retry),
        }));
    }
    let closed = gate(facts);
    match (&round.memory.claimed, closed) {
        (None, Some(report)) => return Ok(rest(report)),
        (None, None) if settled(facts, &round.memory) => {
            // All is well: the next failure is a first one.
            round.memory.inherited = false;
            round.memory.backoff = None;
            return Ok(rest(settled_report(facts)));
        }
        _ => {}
    }
    if round.memory.claimed.is_none()
        && let Some(step) = round.resting()
    {
        return Ok(step);
    }
    let secret = match &facts.secret {
        Observed::Live(secret) => secret,
        Observed::Failed(failure) => return Ok(round.failed(failure)),
        Observed::Unread | Observed::Cached(_) => return Ok(look(round)),
    };
    let claims = claims(round, secret)?;
    round.memory.unreadable = None;
    if let SecretState::Present(secret) = secret {
        usable(facts, secret)?;
    }
    renamed(round, claims, secret)?;
    if let Some(claimed) = round.memory.claimed.clone() {
        round.slot = claimed.slot;
        let claim = claims.of(claimed.slot);
        match claim.and_then(Claim::live_attempt) {
            Some(attempt) if attempt.id == claimed.attempt => {
                return recheck(round, &claimed, attempt, claim, secret);
            }
            // Somebody else replaced the claim, or deleted it: nothing was sent, and nothing will be.
            _ => {
                let moved = Failure::new(Reason::ConcurrentChanges, false);
                round.memory.set_back(facts, &moved);
                forget_claim(round)?;
            }
        }
    }
    see_open(round, claims, secret);
    if let Some(idle) = facts.idle()
        && let Some(open) = claims.open(idle, secret)
    {
        round.slot = idle;
        return pair::idle(round, claims, open, secret);
    }
    let active = facts.active();
    match pair::cause(round, claims, secret)? {
        Found::Nothing(step) => Ok(step),
        Found::Cause(cause) => prepare(round, cause, claims, secret),
        Found::Again => {
            let not_made = claims.of(active).map(Claim::not_made);
            let claims = claims.with(active, not_made.as_ref());
            prepare(round, Cause::LostAttempt, claims, secret)
        }
        Found::Instead(cause) => {
            let voided = claims.of(active).map(Claim::voided);
            prepare(round, cause, claims.with(active, voided.as_ref()), secret)
        }
    }
}

/// The claim of one's own is none any more. It alone is carried past the gates, to be given up there.
fn forget_claim(round: &mut Round<'_>) -> Result<(), Step> {
    round.memory.claimed = None;
    gate(round.facts).map_or(Ok(()), |report| Err(rest(report)))
}

/// What a received value waits for: where ZITADEL cannot be asked about it, that is why it takes long.
fn held(facts: &Facts) -> Blocked {
    match &facts.gates.connection {
        Err(failure) if facts.memory.candidate => Blocked::from(failure),
        _ => Reason::SecretHeld.into(),
    }
}

/// Takes note of every attempt that may be under way: two are watched at the same time, not one after the other.
fn see_open(round: &mut Round<'_>, claims: Claims<'_>, secret: &SecretState) {
    let facts = round.facts;
    let now = facts.now.boot;
    let stored = match secret {
        SecretState::Present(secret) => Some(secret.version.clone()),
        SecretState::Absent => None,
    };
    let (mut attempts, mut versions) = (Vec::new(), Vec::new());
    for slot in facts.slots() {
        let Some((_, attempt)) = claims.open(*slot, secret) else {
            continue;
        };
        attempts.push(attempt.id);
        round.memory.attempt_seen(attempt.id, now);
        if let Some(version) = facts.of(*slot).claim.known().and_then(ClaimView::version) {
            versions.push(version.clone());
            round
                .memory
                .seen_unchanged(version.clone(), stored.clone(), now);
        }
    }
    round.memory.keep_open(&attempts, &versions);
}

/// Reads what every decision needs.
fn look(round: &mut Round<'_>) -> Step {
    match &round.memory.claimed {
        Some(claimed) => {
            round.slot = claimed.slot;
            round.read(&[Source::Secret, Source::Claim, Source::Journal])
        }
        None => round.read(&[Source::Secret, Source::Claim]),
    }
}

/// The claims, if all of them can be used.
fn claims<'a>(round: &mut Round<'a>, secret: &SecretState) -> Result<Claims<'a>, Step> {
    let facts = round.facts;
    let mut claims = Claims::default();
    for slot in facts.slots() {
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
                    return Err(stalled(Reason::ClaimFromNewerVersion, Retry::OnChange));
                }
                Err(RecordError::Unreadable) => {
                    if round.memory.claimed.is_some() {
                        let damaged = Failure::new(Reason::ClaimUnreadable, false);
                        round.memory.set_back(facts, &damaged);
                    }
                    forget_claim(round)?;
                    round.slot = *slot;
                    return Err(takeover::unreadable(round, version, secret)?);
                }
            },
            Observed::Failed(failure) => return Err(round.failed(failure)),
            Observed::Unread | Observed::Cached(_) => return Err(look(round)),
        }
    }
    Ok(claims)
}

/// A claim that is not another object's.
fn ours<'a>(facts: &Facts, claim: &'a Claim, held_elsewhere: bool) -> Result<&'a Claim, Step> {
    if !held_elsewhere {
        return Ok(claim);
    }
    let blocked = Blocked {
        by: Some(claim.owner.clone()),
        ..Reason::AppAlreadyClaimed.into()
    };
    Err(rest(Report::Stalled {
        blocked,
        retry: Retry::After(facts.timing.retry_most),
    }))
}

/// `spec.secret.name` was changed. That is no cause: the newest value moves.
fn renamed(round: &mut Round<'_>, claims: Claims<'_>, secret: &SecretState) -> Result<(), Step> {
    let facts = round.facts;
    let Some(former) = &facts.former else {
        return Ok(());
    };
    if round.memory.claimed.is_some() {
        return Ok(());
    }
    if let Some(step) = round.backing_off() {
        return Err(step);
    }
    round.current()?;
    // Whoever has generated under the former name may still be writing there.
    for slot in facts.slots() {
        let Some((_, attempt)) = claims.open(*slot, secret) else {
            continue;
        };
        let known =
            former.carries.contains(&attempt.id) || round.memory.not_executed == Some(attempt.id);
        if !known {
            let since = round.memory.attempt_seen(attempt.id, facts.now.boot);
            takeover::quiet(round, Some(since))?;
        }
    }
    let moved = |over: Option<&SecretView>| Step::Move {
        former: former.clone(),
        over: over.map(|view| view.version.clone()),
    };
    Err(match secret {
        SecretState::Absent => moved(None),
        SecretState::Present(view) => match &view.commit {
            Ok(Some(entry)) if entry.sequence >= former.sequence => {
                Step::DropFormer(former.clone())
            }
            // One of long ago that was kept.
            Ok(Some(_)) => moved(Some(view)),
            // There was another Secret of the new name, and a value that is held is not thrown away for it.
            _ => stalled(Reason::SecretNotOwned, Retry::OnChange),
        },
    })
}

/// The attempt that the Secret carries for an application.
pub(super) fn entry_attempt(secret: &SecretState, slot: Slot) -> Option<crate::ids::AttemptId> {
    match secret {
        SecretState::Present(secret) => secret.entry(slot)?.attempt,
        SecretState::Absent => None,
    }
}

/// What must hold before anything else is looked at.
pub(super) fn gate(facts: &Facts) -> Option<Report> {
    if facts.object.suspended {
        return Some(Report::Quiet(Reason::Suspended));
    }
    if let Some(rival) = &facts.gates.rival {
        let blocked = Blocked {
            by: Some(rival.clone()),
            ..Reason::AppAlreadyClaimed.into()
        };
        return Some(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        });
    }
    if let Err(failure) = &facts.gates.connection {
        let blocked = Blocked::from(failure);
        return Some(if failure.permanent {
            Report::Stalled {
                blocked,
                retry: Retry::OnChange,
            }
        } else {
            waiting(blocked, Retry::After(facts.timing.probe))
        });
    }
    (!facts.gates.granted).then(|| Report::Stalled {
        blocked: Reason::NotGranted.into(),
        retry: Retry::OnChange,
    })
}

/// Whether all is well by what the watches show, so that no request is needed at all.
fn settled(facts: &Facts, memory: &Memory) -> bool {
    let Some(SecretState::Present(secret)) = facts.secret.known() else {
        return false;
    };
    let claim = |slot| match facts.of(slot).claim.known() {
        Some(ClaimView::Present {
            record: Ok(claim),
            held_elsewhere: false,
            ..
        }) => Some(claim),
        _ => None,
    };
    let open = |slot: Slot| {
        let attempt = claim(slot).and_then(Claim::live_attempt);
        attempt.is_some_and(|attempt| {
            secret.entry(slot).and_then(|entry| entry.attempt) != Some(attempt.id)
        })
    };
    let idle_is_quiet = facts.idle().is_none_or(|idle| {
        let absent = matches!(facts.of(idle).claim.known(), Some(ClaimView::Absent));
        (absent || claim(idle).is_some()) && !open(idle)
    });
    let (Some(claim), Ok(Some(entry))) = (claim(secret.active), &secret.commit) else {
        return false;
    };
    let overlap_is_over = facts
        .object
        .overlap_ends
        .is_some_and(|ends| ends <= facts.now.time);
    facts.former.is_none()
        && secret.managed
        && secret.owned
        && secret.held_elsewhere.is_none()
        && secret.refused.is_none()
        && secret.rendered
        && secret.value != super::Value::Absent
        && claim.owner == facts.object.owner
        && !open(secret.active)
        && idle_is_quiet
        && !overlap_is_over
        && !facts.object.standby_unseen
        && (facts.object.trigger.is_none()
            || facts.object.trigger.as_deref() == claim.handled(entry.attempt))
        && memory.drift.is_none()
        && verified(facts, memory) == Verified::Accepted
        && facts
            .of(secret.active)
            .hint
            .is_none_or(|hint| !memory.is_news(hint, entry.sequence))
        && !matches!(facts.object.due, DueState::Due { .. })
}

pub(super) fn settled_report(facts: &Facts) -> Report {
    let (next, awaits, overdue) = match facts.object.due {
        DueState::OnTriggerOnly => (None, Awaits::Nothing, false),
        DueState::NotDue { next } => (Some(next), Awaits::Nothing, false),
        DueState::AwaitingWindow { opens, overdue, .. } => (Some(opens), Awaits::Window, overdue),
        DueState::AwaitingTurn {
            starts, overdue, ..
        } => (Some(starts), Awaits::Turn, overdue),
        DueState::Due { since, overdue } => (Some(since), Awaits::Nothing, overdue),
    };
    Report::Settled {
        next,
        awaits,
        overdue,
    }
}

/// Refuses Secrets that are not ours to touch.
fn usable(facts: &Facts, secret: &SecretView) -> Result<(), Step> {
    if let Some(owner) = &secret.held_elsewhere {
        let blocked = Blocked {
            by: Some(owner.clone()),
            ..Reason::SecretKeyConflict.into()
        };
        return Err(rest(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        }));
    }
    if secret.commit == Err(RecordError::Newer) {
        return Err(stalled(
            Reason::CommitRecordFromNewerVersion,
            Retry::OnChange,
        ));
    }
    if !secret.managed && !facts.object.adopt {
        return Err(stalled(
            Reason::SecretNotOwned,
            Retry::After(facts.timing.retry_most),
        ));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
