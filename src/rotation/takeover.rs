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
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::Facts;
use crate::rotation::journal::Journal;
use crate::rotation::observed::Observed;
use crate::rotation::overlap;
use crate::rotation::schedule::DueState;
use crate::rotation::secret::{SecretState, SecretView, Value};
use crate::rotation::step::{Retry, Source, Step, rest, waiting};
use crate::rotation::verdict::Verdict;

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

/// Since when the attempt may have been sent; none if it is known that it was not. Another replica's is watched first.
pub(super) fn sent(
    eval: &mut Evaluation<'_>,
    attempt: &Attempt,
    secret: &SecretState,
) -> ControlFlow<Step, Option<Duration>> {
    let facts = eval.facts;
    let since = eval.memory.attempt_seen(attempt.id, facts.now.boot);
    // NB: a container that restarts in the same pod knows that its predecessor is gone.
    if attempt.holder.pod != facts.holder.pod {
        watch(eval, secret)?;
    }
    // Known not to have been carried out: nothing is on its way that would have to be waited for.
    let refused = eval.memory.not_executed == Some(attempt.id);
    if refused && let Some(report) = eval.backing_off() {
        return Break(rest(report));
    }
    Continue((!refused).then_some(since))
}

/// What became of an attempt. One of this process whose answer proved nothing, and which was not carried out as it turned out, counts as
/// a call that failed so: the next waits, longer each time.
pub(super) fn settled_outcome(
    eval: &mut Evaluation<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let outcome = outcome(eval, attempt.pre_sequence, sent, secret)?;
    let concerned = eval.slot == eval.facts.active() && secret.recorded().is_some();
    if outcome == AttemptOutcome::NotExecuted && sent.is_some() && concerned {
        // The journal may hide it, or show it late; then the value is rejected, and that is an explanation.
        eval.unresolved = true;
        match &eval.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Probe])),
            Observed::Live(Verdict::Rejected) => return Continue(outcome),
            Observed::Live(_) | Observed::Failed(_) => {}
        }
    }
    if let Some((id, failure)) = eval.memory.unanswered.take().map(|it| *it)
        && id == attempt.id
        && outcome != AttemptOutcome::Executed
    {
        eval.memory.not_executed = Some(id);
        eval.memory.back_off(eval.facts, &failure);
    }
    Continue(outcome)
}

/// The attempt was carried out, and the Secret does not carry it. Another process may still hold the value, as long as the stored one is
/// accepted.
pub(super) fn executed(
    eval: &mut Evaluation<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    stored: &SecretView,
) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    eval.read_before_probe()?;
    let left = sent.and_then(|since| eval.left(since, facts.timing.lag));
    // NB: the process that dropped the value knows that no one holds it, and why it is made again; another process must consider it lost.
    let without_effect = eval.memory.without_effect == Some(attempt.id);
    let left = left.filter(|_| !without_effect);
    let reason = match &facts.probe {
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Probe])),
        Observed::Live(Verdict::Rejected) => return Continue(Found::Cause(Cause::LostAttempt)),
        Observed::Live(Verdict::Accepted) => match published(eval, attempt, stored) {
            Some(entry) => {
                eval.current()?;
                return Continue(Found::Render {
                    over: stored.version.clone(),
                    record: Some((eval.slot, entry)),
                });
            }
            None => Reason::OutcomeUnknown,
        },
        Observed::Live(Verdict::Unknown) | Observed::Failed(_) => Reason::NoVerdict,
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
        Cause::Due => matches!(overlap::due(facts), DueState::Due { .. }),
        Cause::Trigger => facts.object.trigger.is_some(),
        Cause::SecretMissing => facts.object.recovery.missing,
        Cause::SecretInvalid => facts.object.recovery.rejected,
        Cause::FirstIssue | Cause::LostAttempt => true,
        Cause::Retire => false,
    }
}

/// What to record of an attempt whose value is stored: ZITADEL accepts bytes that are not those of before the call, so it was published,
/// and only the record of it is lost.
fn published(eval: &Evaluation<'_>, attempt: &Attempt, stored: &SecretView) -> Option<Entry> {
    if eval.slot != stored.active || eval.seen().as_before_call != Some(false) {
        return None;
    }
    let Observed::Live(journal) = &eval.seen().journal else {
        return None;
    };
    Some(journal.newest_own()?.entry(Some(attempt.id)))
}

/// Nothing is decided before claim and Secret were seen unchanged for a while, over uninterrupted reads.
fn watch(eval: &mut Evaluation<'_>, secret: &SecretState) -> ControlFlow<Step> {
    let facts = eval.facts;
    let Some(claim) = eval.claim_version() else {
        return Continue(());
    };
    let since = eval
        .memory
        .seen_unchanged(claim, secret.version().cloned(), facts.now.boot);
    match eval.left(since, facts.timing.takeover) {
        // Several reads within the time, so that no change is missed.
        Some(left) => Break(rest(waiting(
            Reason::AttemptOpen.into(),
            Retry::After(left.min(facts.timing.takeover / 3)),
        ))),
        None => Continue(()),
    }
}

/// What became of the open attempt on the application in question.
pub(super) fn outcome(
    eval: &mut Evaluation<'_>,
    pre: Option<Sequence>,
    sent: Option<Duration>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let recorded = secret.entry(eval.slot);
    match &eval.seen().journal {
        Observed::Unread | Observed::Cached(_) => Break(eval.read(&[Source::Journal])),
        Observed::Live(journal) => {
            let stored = recorded.map(|entry| journal.place(entry));
            // NB: `pre` may have been read before the stored value was made; that event is accounted for.
            let pre = pre.filter(|pre| !pre.is_time());
            if journal.own_after(pre.max(stored)) {
                return Continue(AttemptOutcome::Executed);
            }
            eval.quiet(sent)?;
            if was_cut(journal, pre) {
                return by_the_value(eval, sent, secret);
            }
            let newest = journal.newest_own().map(|event| event.sequence);
            let older_lost = stored.is_some() && newest > stored;
            Continue(if older_lost {
                AttemptOutcome::OlderLost
            } else {
                AttemptOutcome::NotExecuted
            })
        }
        Observed::Failed(failure) if !failure.permanent => Break(rest(eval.failed(failure))),
        Observed::Failed(_) => {
            eval.quiet(sent)?;
            by_the_value(eval, sent, secret)
        }
    }
}

/// Whether the journal has lost what is older than the attempt, and with it perhaps the attempt's own event: ZITADEL keeps events only
/// for so long (`AuditLogRetention`).
fn was_cut(journal: &Journal, pre: Option<Sequence>) -> bool {
    pre.is_some_and(|pre| !journal.0.iter().any(|event| event.sequence <= pre))
}

/// What became of the open attempt, where the journal can't tell: only a probe of the stored value can. Without a stored
/// value there is none to lose.
fn by_the_value(
    eval: &mut Evaluation<'_>,
    sent: Option<Duration>,
    secret: &SecretState,
) -> ControlFlow<Step, AttemptOutcome> {
    let facts = eval.facts;
    let version = match secret {
        SecretState::Present(view)
            if view.entry(eval.slot).is_some() && eval.slot == facts.active() =>
        {
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
        Observed::Unread | Observed::Cached(_) => Break(eval.read(&[Source::Probe])),
        // NB: also a rotation that takes effect as late as any ever did would show by then.
        Observed::Live(Verdict::Accepted) => {
            let span = facts.timing.quiet + facts.timing.lag;
            match sent.and_then(|since| eval.left(since, span)) {
                Some(left) => Break(waits(left)),
                None => Continue(AttemptOutcome::NotExecuted),
            }
        }
        Observed::Live(Verdict::Rejected) => {
            let (first, count) = eval.count_rejection(&version);
            if count >= facts.timing.dead_probes && eval.left(first, facts.timing.dead).is_none() {
                return Continue(AttemptOutcome::Executed);
            }
            Break(waits(eval.after_asking(count)))
        }
        Observed::Live(Verdict::Unknown) | Observed::Failed(_) => Break(waits(facts.timing.probe)),
    }
}

/// Whether the answer is lost, and with it a value that consumers need. If a person deleted the Secret meanwhile, the policy for that
/// decides, so a cause is searched for as if no attempt were open.
pub(super) fn is_lost(
    eval: &Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, bool> {
    // NB: the shell that replaces a Secret that was missing resembles one whose answer is lost.
    let empty = |view: &SecretView| view.commit == Ok(None) && view.value == Value::Absent;
    // An object that was deleted and created again has lost nothing: its Secret went with the former one.
    let former = |claim: &Claim| claim.owner != eval.facts.object.owner;
    let anew = claims.of(eval.slot).is_some_and(former);
    let missing = match secret {
        SecretState::Absent => true,
        SecretState::Present(view) => (anew || eval.memory.missing.is_some()) && empty(view),
    };
    if missing {
        return Continue(false);
    }
    // Only the record is gone, by a person or a tool: the value is kept if ZITADEL accepts it.
    if let SecretState::Present(view) = secret
        && matches!(view.commit, Ok(None))
        && view.value == Value::Present
    {
        eval.read_before_probe()?;
        match &eval.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Probe])),
            Observed::Live(Verdict::Accepted) => return Continue(false),
            Observed::Live(Verdict::Rejected) => {}
            // That the record is gone says nothing of the value.
            Observed::Live(Verdict::Unknown) | Observed::Failed(_) => {
                return Break(rest(waiting(
                    Reason::NoVerdict.into(),
                    Retry::After(eval.facts.timing.probe),
                )));
            }
        }
    }
    Continue(true)
}
