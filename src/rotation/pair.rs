//! An object's one or two applications: their claims, and which of them the next value is generated on. No I/O.
//!
//! With a standby the Secret holds the pair of one application, the *active* one, and the next value is generated on the other, the
//! *idle* one: the pair that consumers use goes on being accepted. An attempt on the idle application that ended unseen is no
//! outage, so it is simply given up, or made again where its cause still holds.

use std::time::Duration;

use super::attempt::prepare;
use super::cause::{Cause, Found, find};
use super::decide::entry_attempt;
use super::facts::{Observed, SecretState, SecretView, Slot, Value};
use super::round::{Round, rest, waiting};
use super::takeover::{self, Verdict, quiet, sent, settled_verdict};
use super::{Attempt, Claim, Entry, Retry, Source, Step};
use crate::api::Reason;

/// The claims of an object's applications.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Claims<'a> {
    pub(super) primary: Option<&'a Claim>,
    pub(super) standby: Option<&'a Claim>,
}

impl<'a> Claims<'a> {
    /// The claim of an application.
    pub(super) const fn of(self, slot: Slot) -> Option<&'a Claim> {
        match slot {
            Slot::Primary => self.primary,
            Slot::Standby => self.standby,
        }
    }

    /// The same claims with another one for an application.
    pub(super) const fn with(mut self, slot: Slot, claim: Option<&'a Claim>) -> Self {
        match slot {
            Slot::Primary => self.primary = claim,
            Slot::Standby => self.standby = claim,
        }
        self
    }

    /// Both.
    pub(super) fn all(self) -> impl Iterator<Item = &'a Claim> + Clone {
        self.primary.into_iter().chain(self.standby)
    }

    /// The attempt of an application that may be under way, given what the Secret carries.
    pub(super) fn open(self, slot: Slot, secret: &SecretState) -> Option<(&'a Claim, &'a Attempt)> {
        let claim = self.of(slot)?;
        let attempt = claim.live_attempt()?;
        (entry_attempt(secret, slot) != Some(attempt.id)).then_some((claim, attempt))
    }
}

/// The application that a value is generated on for this cause.
pub(super) fn target(
    round: &Round<'_>,
    cause: Cause,
    claims: Claims<'_>,
    secret: &SecretState,
) -> Result<Slot, Step> {
    let facts = round.facts;
    let active = facts.active();
    if facts.standby.is_none() {
        return Ok(Slot::Primary);
    }
    if let SecretState::Present(view) = secret
        && (view.value != Value::Absent || matches!(view.commit, Ok(Some(_))))
    {
        return Ok(active.other());
    }
    if facts.object.last_active.is_some()
        || !matches!(cause, Cause::FirstIssue | Cause::LostAttempt)
    {
        // What was stored is gone. Whoever still has it in memory keeps a pair that works.
        return Ok(active.other());
    }
    // What was begun last is gone on with, so that one application at most has an answer that is lost.
    let begun = |slot: &Slot| Some((claims.open(*slot, secret)?.1.id, *slot));
    if let Some((_, slot)) = Slot::ALL.iter().filter_map(begun).max() {
        return Ok(slot);
    }
    // A secret that somebody else made, and may be using, is spared if there is an application without one.
    for slot in Slot::ALL {
        match &facts.of(slot).journal {
            Observed::Unread | Observed::Cached(_) => {
                return Err(Step::Read {
                    sources: &[Source::Journal],
                    slot,
                });
            }
            Observed::Live(journal) if journal.0.is_empty() => return Ok(slot),
            Observed::Live(_) | Observed::Failed(_) => {}
        }
    }
    Ok(Slot::Primary)
}

/// An attempt on the idle application that may be under way. The stored pair is another application's, so nothing is lost.
pub(super) fn idle(
    round: &mut Round<'_>,
    claims: Claims<'_>,
    (claim, attempt): (&Claim, &Attempt),
    secret: &SecretState,
) -> Result<Step, Step> {
    let slot = round.slot;
    let sent = sent(round, attempt, secret)?;
    // NB: only beside a pair, and in a record that has an entry for it already, can it be recorded that a former one is gone.
    if attempt.cause == Cause::Retire
        && let SecretState::Present(view) = secret
        && view.value != Value::Absent
        && matches!(view.commit, Ok(Some(_)))
        && view.entry(slot).is_some()
        && let Some(step) = retired(round, attempt, sent, view)?
    {
        return Ok(step);
    }
    match (settled_verdict(round, attempt, sent, secret)?, secret) {
        (Verdict::Executed, _) => {
            let found = cause(round, claims, secret)?;
            let cause = match found {
                // What had no effect is made again for the same cause, and counts as a repair all the same.
                Found::Cause(cause) | Found::Instead(cause)
                    if cause.is_repair() || round.memory.without_effect == Some(attempt.id) =>
                {
                    cause
                }
                // A repair, so that the breaker can hold it back.
                Found::Cause(_) | Found::Instead(_) | Found::Again => Cause::LostAttempt,
                Found::Nothing(step @ Step::Read { .. }) => return Ok(step),
                Found::Nothing(_) => {
                    round.slot = slot;
                    // NB: if it was a repair, it was made.
                    let voided = claim.voided().remembering(claim.repairs.clone());
                    return Ok(round.write_claim(voided));
                }
            };
            prepare(round, cause, claims, secret)
        }
        (Verdict::NotExecuted | Verdict::OlderLost, _) => Ok(round.write_claim(claim.voided())),
    }
}

/// Why to rotate, by what is known of the stored pair.
pub(super) fn cause(
    round: &mut Round<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> Result<Found, Step> {
    round.slot = round.facts.active();
    match claims.open(round.slot, secret) {
        Some((claim, attempt)) => takeover::open(round, claims, claim, attempt, secret),
        None => find(round, claims, secret),
    }
}

/// The former pair's secret was replaced by one that nobody has: that is recorded, and it is over. `None` if it was not replaced.
pub(super) fn retired(
    round: &mut Round<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &SecretView,
) -> Result<Option<Step>, Step> {
    let facts = round.facts;
    let (sequence, change_date) = match &round.seen().journal {
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Journal])),
        Observed::Live(journal) => {
            let newest = journal
                .newest_own()
                .filter(|event| Some(event.sequence) > attempt.pre_sequence);
            let Some(newest) = newest else {
                return Ok(None);
            };
            (newest.sequence, newest.time)
        }
        Observed::Failed(failure) if !failure.permanent => return Err(round.failed(failure)),
        // Whether it was carried out can't be known. Made again and again it would never end, so it counts as done.
        Observed::Failed(_) => {
            quiet(round, sent)?;
            (attempt.pre_sequence.unwrap_or_default(), facts.now.time)
        }
    };
    if let Some(step) = round.backing_off() {
        return Err(step);
    }
    if let Some(reason) = secret.refused {
        return Err(rest(waiting(reason.into(), Retry::OnChange)));
    }
    let entry = Entry {
        attempt: Some(attempt.id),
        sequence,
        change_date,
    };
    let record = Some((round.slot, entry));
    Ok(Some(round.render(secret.version.clone(), record)))
}

/// Whether the pair before the stored one is to be made useless now.
pub(super) fn overlap_is_over(round: &Round<'_>) -> bool {
    let facts = round.facts;
    facts.standby.is_some()
        && facts
            .object
            .overlap_ends
            .is_some_and(|ends| ends <= facts.now.time)
        // Only once the stored pair is known to work.
        && round.memory.doubt.is_none()
        && round.memory.rejected.is_none()
}

/// A standby application that can't take over is told as soon as it is named, not at the first rotation.
pub(super) fn standby_is_ready(round: &Round<'_>) -> Result<(), Step> {
    let facts = round.facts;
    let Some(idle) = facts.idle().filter(|_| facts.object.standby_unseen) else {
        return Ok(());
    };
    match &facts.of(idle).app {
        Observed::Unread | Observed::Cached(_) => Err(Step::Read {
            sources: &[Source::App],
            slot: idle,
        }),
        Observed::Live(app) if app.refused.is_some() => Err(rest(waiting(
            Reason::StandbyNotReady.into(),
            Retry::After(facts.timing.retry_most),
        ))),
        Observed::Live(_) => Ok(()),
        Observed::Failed(failure) => Err(rest(waiting(
            if failure.permanent {
                Reason::StandbyNotReady.into()
            } else {
                failure.into()
            },
            Retry::After(facts.timing.retry_first),
        ))),
    }
}
