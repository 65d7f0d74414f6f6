//! A claim that can't be read: an attempt may be open, and nothing is known of it. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::api::Reason;
use crate::rotation::cause::find::find;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, AttemptState, Claim};
use crate::rotation::claims::Claims;
use crate::rotation::observed::{Failure, Observed, Version};
use crate::rotation::record::UnknownFields;
use crate::rotation::round::Round;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::standby::{overlap_is_over, retired};
use crate::rotation::step::{Retry, Step, rest, waiting};
use crate::rotation::takeover::{AttemptOutcome, outcome};

/// Why to rotate in place of a claim that can't be read, or the claim that replaces it.
pub(super) fn unreadable(
    round: &mut Round<'_>,
    version: &Version,
    secret: &SecretState,
) -> ControlFlow<Step, Found> {
    let facts = round.facts;
    let since = match &round.memory.unreadable {
        Some((seen, since)) if seen == version => *since,
        _ => facts.now.boot,
    };
    round.memory.unreadable = Some((version.clone(), since));
    if let Some(left) = round.left(since, facts.timing.quiet) {
        return Break(rest(waiting(
            Reason::ClaimUnreadable.into(),
            Retry::After(left),
        )));
    }
    let claim = Claim {
        // NB: with claim and Secret both gone nothing says that an adoption was made.
        issued: !facts.object.adopt,
        ..Claim::settled(facts.object.owner.clone(), facts.handled_trigger(), None)
    };
    if facts.standby.is_some() {
        // With a readable claim the search goes on as always; what is lost of the stored pair shows in the journal.
        let repairs = round.repairs(None)?;
        let attempt = if round.slot == facts.active() {
            None
        } else {
            lost_beside(round, since, secret)?
        };
        let claim = claim.remembering(repairs);
        return replaced(round, Claim { attempt, ..claim });
    }
    let stored = secret.sequence(round.slot).filter(|_| secret.is_recorded());
    let none = Claims::default();
    let outcome = outcome(round, stored, Some(since), secret)?;
    if outcome != AttemptOutcome::NotExecuted && stored.is_some() {
        return Continue(Found::Cause(Cause::LostAttempt));
    }
    let settled = none.with(round.slot, Some(&claim));
    match find(round, settled, secret)? {
        // Its answer may be the one that is lost. As a trigger the breaker would not count it.
        Found::Cause(Cause::Trigger) if !secret.is_recorded() && has_unexplained(round) => {
            Continue(Found::Cause(Cause::LostAttempt))
        }
        Found::Claim(_) | Found::Render { .. } | Found::Nothing(_) => {
            let repairs = round.repairs(None)?;
            replaced(round, claim.remembering(repairs))
        }
        found => Continue(found),
    }
}

/// The attempt on the idle application whose claim can't be read, given up: its answer is lost, by the journal, and what makes up for it
/// is a repair. Of a retirement only the record is missing.
fn lost_beside(
    round: &mut Round<'_>,
    since: Duration,
    secret: &SecretState,
) -> ControlFlow<Step, Option<Attempt>> {
    let facts = round.facts;
    let pre_sequence = secret.sequence(round.slot);
    if outcome(round, pre_sequence, Some(since), secret)? != AttemptOutcome::Executed {
        return Continue(None);
    }
    let attempt = Attempt {
        id: facts.fresh_attempt,
        stored: None,
        pre_sequence,
        cause: Cause::LostAttempt.into(),
        trigger: facts.object.trigger.clone(),
        holder: facts.holder.clone(),
        time: facts.now.time,
        state: AttemptState::Void,
        unknown: UnknownFields::default(),
    };
    if overlap_is_over(round)
        && let SecretState::Present(view) = secret
        && view.value != Value::Absent
        && pre_sequence.is_some()
        && let Some(entry) = retired(round, &attempt, Some(since), view)?
    {
        return Break(round.render(view.version.clone(), Some((round.slot, entry))));
    }
    Continue(Some(attempt))
}

/// Whether the journal's newest rotation by the operator is one that the status does not know.
fn has_unexplained(round: &Round<'_>) -> bool {
    let explained = &round.facts.object.explained;
    let newest = match &round.seen().journal {
        Observed::Live(journal) => journal.newest_own(),
        _ => None,
    };
    newest.is_some_and(|event| {
        let mut known = explained.asked.iter().chain(&explained.repairs);
        !known.any(|sequence| *sequence == event.sequence)
    })
}

/// Writes a claim in place of one that can't be read. Where it can't be read again each time, it is written ever more rarely.
fn replaced(round: &mut Round<'_>, claim: Claim) -> ControlFlow<Step, Found> {
    if let Some(report) = round.backing_off() {
        return Break(rest(report));
    }
    round.current()?;
    let damaged = Failure::new(Reason::ClaimUnreadable, false);
    round.memory.set_back(round.facts, &damaged);
    Continue(Found::Claim(Box::new(claim)))
}
