//! An open attempt: generate may have been sent, and the Secret does not carry the answer. What became of it. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::api::Reason;
use crate::ids::Sequence;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, Claim};
use crate::rotation::claims::Claims;
use crate::rotation::commit::Entry;
use crate::rotation::facts::{Facts, Probe};
use crate::rotation::journal::Journal;
use crate::rotation::observed::Observed;
use crate::rotation::round::Round;
use crate::rotation::schedule::DueState;
use crate::rotation::secret::{SecretState, SecretView, Value};
use crate::rotation::step::{Retry, Source, Step, rest, waiting};

/// What became of the open attempt, by the journal.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum AttemptOutcome {
    /// It was carried out and the answer is lost: consumers are down.
    Executed,
    /// It was not, and an older value is missing as well.
    OlderLost,
    /// It was not, and what is stored is the newest.
    NotExecuted,
}

/// Since when the attempt may have been sent; none if it is known that it was not. Somebody else's is watched first.
pub(super) fn sent(
    round: &mut Round<'_>,
    attempt: &Attempt,
    secret: &SecretState,
) -> ControlFlow<Step, Option<Duration>> {
    let facts = round.facts;
    let since = round.memory.attempt_seen(attempt.id, facts.now.boot);
    // NB: a container that restarts in the same pod knows that its predecessor is gone.
    if attempt.holder.pod != facts.holder.pod {
        watch(round, secret)?;
    }
    // Known not to have been carried out: nothing is on its way that would have to be waited for.
    let refused = round.memory.not_executed == Some(attempt.id);
    if refused && let Some(report) = round.backing_off() {
        return Break(rest(report));
    }
    Continue((!refused).then_some(since))
}

/// What became of an attempt. One of this process whose answer proved nothing, and which was not carried out as it turned out, counts as
/// a call that failed so: the next waits, longer each time.
pub(super) fn settled_outcome(
    round: &mut Round<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let outcome = outcome(round, attempt.pre_sequence, sent, secret)?;
    let concerned = round.slot == round.facts.active() && secret.recorded().is_some();
    if outcome == AttemptOutcome::NotExecuted && sent.is_some() && concerned {
        // The journal may hide it, or show it late; then the value is rejected, and that is an explanation.
        round.unresolved = true;
        match &round.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Probe])),
            Observed::Live(Probe::Refused) => return Continue(outcome),
            Observed::Live(_) | Observed::Failed(_) => {}
        }
    }
    if let Some((id, failure)) = round.memory.unanswered.take()
        && id == attempt.id
        && outcome != AttemptOutcome::Executed
    {
        round.memory.not_executed = Some(id);
        round.memory.back_off(round.facts, &failure);
    }
    Continue(outcome)
}

/// The attempt was carried out, and the Secret does not carry it. Another process may still hold the value, as long as the stored one is
/// accepted.
pub(super) fn executed(
    round: &mut Round<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    stored: &SecretView,
) -> ControlFlow<Step, Found> {
    let facts = round.facts;
    round.read_before_probe()?;
    let left = sent.and_then(|since| round.left(since, facts.timing.lag));
    // NB: who has dropped the value knows that nobody holds it, and why it is made again; another process can only take it for lost.
    let without_effect = round.memory.without_effect == Some(attempt.id);
    let left = left.filter(|_| !without_effect);
    let reason = match &facts.probe {
        Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Probe])),
        Observed::Live(Probe::Refused) => return Continue(Found::Cause(Cause::LostAttempt)),
        Observed::Live(Probe::Valid) => match published(round, attempt, stored) {
            Some(entry) => {
                round.current()?;
                return Continue(Found::Render {
                    over: stored.version.clone(),
                    record: Some((round.slot, entry)),
                });
            }
            None => Reason::OutcomeUnknown,
        },
        Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => Reason::NoVerdict,
    };
    if let Some(left) = left {
        let retry = Retry::After(left.min(facts.timing.probe));
        return Break(rest(waiting(reason.into(), retry)));
    }
    let kept = attempt.cause.known().filter(|_| without_effect);
    let kept = kept.filter(|cause| still_holds(facts, *cause));
    Continue(Found::Cause(kept.unwrap_or(Cause::LostAttempt)))
}

/// Whether the cause of an attempt without effect is still one: the object may have changed since.
fn still_holds(facts: &Facts, cause: Cause) -> bool {
    match cause {
        Cause::Due => matches!(facts.object.due, DueState::Due { .. }),
        Cause::Trigger => facts.object.trigger.is_some(),
        Cause::SecretMissing => facts.object.recovery.missing,
        Cause::SecretInvalid => facts.object.recovery.invalid,
        Cause::FirstIssue | Cause::LostAttempt => true,
        Cause::Retire => false,
    }
}

/// What to record of an attempt whose value is stored: ZITADEL accepts bytes that are not those of before the call, so it was published,
/// and only the record of it is lost.
fn published(round: &Round<'_>, attempt: &Attempt, stored: &SecretView) -> Option<Entry> {
    if round.slot != stored.active || round.seen().as_before_call != Some(false) {
        return None;
    }
    let Observed::Live(journal) = &round.seen().journal else {
        return None;
    };
    Some(journal.newest_own()?.entry(Some(attempt.id)))
}

/// Nothing is decided before claim and Secret were seen unchanged for a while, over uninterrupted reads.
fn watch(round: &mut Round<'_>, secret: &SecretState) -> ControlFlow<Step> {
    let facts = round.facts;
    let Some(claim) = round.claim_version() else {
        return Continue(());
    };
    let since = round
        .memory
        .seen_unchanged(claim, secret.version().cloned(), facts.now.boot);
    match round.left(since, facts.timing.takeover) {
        // Several looks within the time, so that a change is not missed.
        Some(left) => Break(rest(waiting(
            Reason::AttemptOpen.into(),
            Retry::After(left.min(facts.timing.takeover / 3)),
        ))),
        None => Continue(()),
    }
}

/// What became of the open attempt of the application that is looked at.
pub(super) fn outcome(
    round: &mut Round<'_>,
    pre: Option<Sequence>,
    sent: Option<Duration>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let stored = secret.sequence(round.slot);
    match &round.seen().journal {
        Observed::Unread | Observed::Cached(_) => Break(round.read(&[Source::Journal])),
        Observed::Live(journal) => {
            // NB: `pre` may have been read before the stored value was made; that event is accounted for.
            if journal.own_after(pre.max(stored)) {
                return Continue(AttemptOutcome::Executed);
            }
            round.quiet(sent)?;
            if was_cut(journal, pre) {
                return by_the_value(round, sent, stored, secret);
            }
            let newest = journal.newest_own().map(|event| event.sequence);
            let older_lost = stored.is_some() && newest > stored;
            Continue(if older_lost {
                AttemptOutcome::OlderLost
            } else {
                AttemptOutcome::NotExecuted
            })
        }
        Observed::Failed(failure) if !failure.permanent => Break(rest(round.failed(failure))),
        Observed::Failed(_) => {
            round.quiet(sent)?;
            by_the_value(round, sent, stored, secret)
        }
    }
}

/// Whether the journal has lost what is older than the attempt, and with it perhaps the attempt's own event: ZITADEL keeps events only
/// for so long (`AuditLogRetention`).
fn was_cut(journal: &Journal, pre: Option<Sequence>) -> bool {
    pre.is_some_and(|pre| !journal.0.iter().any(|event| event.sequence <= pre))
}

/// What became of the open attempt, where the journal can't tell: only the stored value itself can. With none stored there is none to
/// lose.
fn by_the_value(
    round: &mut Round<'_>,
    sent: Option<Duration>,
    stored: Option<Sequence>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let facts = round.facts;
    let version = match secret {
        SecretState::Present(view) if stored.is_some() && round.slot == facts.active() => {
            view.version.clone()
        }
        _ => return Continue(AttemptOutcome::NotExecuted),
    };
    let waits = |wait| {
        rest(waiting(
            Reason::JournalUnavailable.into(),
            Retry::After(wait),
        ))
    };
    match &facts.probe {
        Observed::Unread | Observed::Cached(_) => Break(round.read(&[Source::Probe])),
        // NB: also a rotation that takes effect as late as any ever did would show by then.
        Observed::Live(Probe::Valid) => {
            let span = facts.timing.quiet + facts.timing.lag;
            match sent.and_then(|since| round.left(since, span)) {
                Some(left) => Break(waits(left)),
                None => Continue(AttemptOutcome::NotExecuted),
            }
        }
        Observed::Live(Probe::Refused) => {
            let (first, count) = round.refused_once_more(&version);
            if count >= facts.timing.dead_probes && round.left(first, facts.timing.dead).is_none() {
                return Continue(AttemptOutcome::Executed);
            }
            Break(waits(round.after_asking(count)))
        }
        Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => Break(waits(facts.timing.probe)),
    }
}

/// Whether the answer is lost, and with it a value that consumers need. If a person deleted the Secret meanwhile, the policy for that
/// decides, so a cause is searched for as if no attempt were open.
pub(super) fn is_lost(
    round: &Round<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, bool> {
    // NB: the shell that replaces a Secret that was missing looks like one whose answer is lost.
    let empty = |view: &SecretView| view.commit == Ok(None) && view.value == Value::Absent;
    // An object that was deleted and created again has lost nothing: its Secret went with the former one.
    let former = |claim: &Claim| claim.owner != round.facts.object.owner;
    let anew = claims.of(round.slot).is_some_and(former);
    let missing = match secret {
        SecretState::Absent => true,
        SecretState::Present(view) => (anew || round.memory.missing.is_some()) && empty(view),
    };
    if missing {
        return Continue(false);
    }
    // Only the record is gone, by a person or a tool: the value is kept if ZITADEL accepts it.
    if let SecretState::Present(view) = secret
        && matches!(view.commit, Ok(None))
        && view.value == Value::Present
    {
        round.read_before_probe()?;
        match &round.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Probe])),
            Observed::Live(Probe::Valid) => return Continue(false),
            Observed::Live(Probe::Refused) => {}
            // That the record is gone says nothing of the value.
            Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => {
                return Break(rest(waiting(
                    Reason::NoVerdict.into(),
                    Retry::After(round.facts.timing.probe),
                )));
            }
        }
    }
    Continue(true)
}
