//! A claim that can't be read: an attempt may be open, and nothing is known of it. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::api::Reason;
use crate::rotation::cause::find::find;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, AttemptState, Claim};
use crate::rotation::claims::Claims;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::observed::{Failure, Observed, Version};
use crate::rotation::record::UnknownFields;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::standby::{overlap_is_over, retired};
use crate::rotation::step::{Retry, Step, rest, waiting};
use crate::rotation::takeover::{AttemptOutcome, outcome};

/// Why to rotate in place of a claim that can't be read, or the claim that replaces it.
pub(super) fn unreadable(
    eval: &mut Evaluation<'_>,
    version: &Version,
    secret: &SecretState,
) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    let since = match &eval.memory.unreadable {
        Some((seen, since)) if seen == version => *since,
        _ => facts.now.boot,
    };
    eval.memory.unreadable = Some((version.clone(), since));
    if let Some(left) = eval.left(since, facts.timing.quiet) {
        return Break(rest(waiting(
            Reason::ClaimUnreadable.into(),
            Retry::After(left),
        )));
    }
    let claim = Claim {
        // NB: with claim and Secret both gone nothing says that an adoption was made.
        issued: !facts.object.adoption_required,
        ..Claim::settled(facts.object.owner.clone(), facts.handled_trigger(), None)
    };
    if facts.standby.is_some() {
        // With a readable claim the search goes on as always; what is lost of the stored pair shows in the journal.
        let repairs = eval.repairs(None)?;
        let attempt = if eval.slot == facts.active() {
            None
        } else {
            lost_beside(eval, since, secret)?
        };
        let claim = claim.remembering(repairs);
        return replaced(eval, Claim { attempt, ..claim });
    }
    let stored = secret.entry(eval.slot).filter(|_| secret.is_recorded());
    let stored = stored.map(|entry| entry.sequence);
    let none = Claims::default();
    let outcome = outcome(eval, stored, Some(since), secret)?;
    if outcome != AttemptOutcome::NotExecuted && stored.is_some() {
        return Continue(Found::Cause(Cause::LostAttempt));
    }
    let settled = none.with(eval.slot, Some(&claim));
    match find(eval, settled, secret)? {
        // Its answer may be the one that is lost. As a trigger the breaker would not count it.
        Found::Cause(Cause::Trigger) if !secret.is_recorded() && has_unexplained(eval) => {
            Continue(Found::Cause(Cause::LostAttempt))
        }
        Found::Claim(_) | Found::Render { .. } | Found::Nothing(_) => {
            let repairs = eval.repairs(None)?;
            replaced(eval, claim.remembering(repairs))
        }
        found => Continue(found),
    }
}

/// The attempt on the idle application whose claim can't be read, given up: its answer is lost, by the journal, and what makes up for it
/// is a repair. Of a retirement only the record is missing.
fn lost_beside(
    eval: &mut Evaluation<'_>,
    since: Duration,
    secret: &SecretState,
) -> ControlFlow<Step, Option<Attempt>> {
    let facts = eval.facts;
    let pre_sequence = secret.entry(eval.slot).map(|entry| entry.sequence);
    if outcome(eval, pre_sequence, Some(since), secret)? != AttemptOutcome::Executed {
        return Continue(None);
    }
    let attempt = Attempt {
        id: facts.fresh_attempt,
        stored: None,
        pre_sequence,
        api: facts.api,
        cause: Cause::LostAttempt.into(),
        trigger: facts.object.trigger.clone(),
        holder: facts.holder.clone(),
        time: facts.now.time,
        state: AttemptState::Void,
        unknown: UnknownFields::default(),
    };
    if overlap_is_over(eval)
        && let SecretState::Present(view) = secret
        && view.value != Value::Absent
        && pre_sequence.is_some()
        && let Some(entry) = retired(eval, &attempt, Some(since), view)?
    {
        return Break(eval.render(view.version.clone(), Some((eval.slot, entry))));
    }
    Continue(Some(attempt))
}

/// Whether the journal's newest rotation by the operator is one that the status does not know.
fn has_unexplained(eval: &Evaluation<'_>) -> bool {
    let explained = &eval.facts.object.explained;
    let newest = match &eval.seen().journal {
        Observed::Live(journal) => journal.newest_own(),
        _ => None,
    };
    newest.is_some_and(|event| {
        let mut known = explained.asked.iter().chain(&explained.repairs);
        !known.any(|sequence| event.is_at(*sequence))
    })
}

/// Writes a claim in place of one that can't be read. Where it can't be read again each time, it is written ever more rarely.
fn replaced(eval: &mut Evaluation<'_>, claim: Claim) -> ControlFlow<Step, Found> {
    if let Some(report) = eval.backing_off() {
        return Break(rest(report));
    }
    eval.current()?;
    let damaged = Failure::new(Reason::ClaimUnreadable, false);
    eval.memory.set_back(eval.facts, &damaged);
    Continue(Found::Claim(Box::new(claim)))
}
