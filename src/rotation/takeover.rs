//! An open claim: somebody, or this process, may have sent generate, and the Secret does not carry the answer. No I/O.

use std::time::Duration;

use super::attempt::{prepare, recorded};
use super::cause::{Cause, Found, find, handled_trigger, read_before_probe, repairs};
use super::facts::{Failure, Journal, Observed, Probe, SecretState, SecretView, Value, Version};
use super::pair::{Claims, overlap_is_over, retired, target};
use super::round::{Round, rest, waiting};
use super::{
    Attempt, AttemptState, Claim, DueState, Entry, Facts, Retry, Source, Step, UnknownFields,
};
use crate::api::Reason;
use crate::ids::Sequence;

/// What became of the open attempt, by the journal.
pub(super) enum Verdict {
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
) -> Result<Option<Duration>, Step> {
    let facts = round.facts;
    let since = round.memory.attempt_seen(attempt.id, facts.now.boot);
    // NB: a container that restarts in the same pod knows that its predecessor is gone.
    if attempt.holder.pod != facts.holder.pod {
        watch(round, secret)?;
    }
    // Known not to have been carried out: nothing is on its way that would have to be waited for.
    let refused = round.memory.not_executed == Some(attempt.id);
    if refused && let Some(step) = round.backing_off() {
        return Err(step);
    }
    Ok((!refused).then_some(since))
}

/// Decides about an open attempt on the application whose pair is stored.
pub(super) fn open(
    round: &mut Round<'_>,
    claims: Claims<'_>,
    claim: &Claim,
    attempt: &Attempt,
    secret: &SecretState,
) -> Result<Found, Step> {
    let sent = sent(round, attempt, secret)?;
    match settled_verdict(round, attempt, sent, secret)? {
        Verdict::Executed => match stored_of(secret) {
            Some(stored) => executed(round, attempt, sent, stored),
            None => lost(round, claims, secret),
        },
        Verdict::OlderLost => Ok(match lost(round, claims, secret)? {
            Found::Cause(Cause::LostAttempt) => Found::Again,
            found => found,
        }),
        Verdict::NotExecuted => {
            let voided = claim.voided();
            let claims = claims.with(round.slot, Some(&voided));
            Ok(match find(round, claims, secret)? {
                Found::Cause(cause) if target(round, cause, claims, secret)? == round.slot => {
                    Found::Instead(cause)
                }
                Found::Nothing(step @ (Step::WriteClaim { .. } | Step::Read { .. })) => {
                    Found::Nothing(step)
                }
                _ => Found::Nothing(round.write_claim(voided)),
            })
        }
    }
}

/// The verdict on an attempt. One of this process whose answer proved nothing, and which was not carried out as it turned out, counts as
/// a call that failed so: the next waits, longer each time.
pub(super) fn settled_verdict(
    round: &mut Round<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &SecretState,
) -> Result<Verdict, Step> {
    let verdict = verdict(round, attempt.pre_sequence, sent, secret)?;
    let concerned = round.slot == round.facts.active() && stored_of(secret).is_some();
    if matches!(verdict, Verdict::NotExecuted) && sent.is_some() && concerned {
        // The journal may hide it, or show it late; then the value is rejected, and that is an explanation.
        round.unresolved = true;
        match &round.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Probe])),
            Observed::Live(Probe::Refused) => return Ok(verdict),
            Observed::Live(_) | Observed::Failed(_) => {}
        }
    }
    if let Some((id, failure)) = round.memory.unanswered.take()
        && id == attempt.id
        && !matches!(verdict, Verdict::Executed)
    {
        round.memory.not_executed = Some(id);
        round.memory.back_off(round.facts, &failure);
    }
    Ok(verdict)
}

/// The Secret, if it holds a value that is recorded.
fn stored_of(secret: &SecretState) -> Option<&SecretView> {
    match secret {
        SecretState::Present(view)
            if view.value == Value::Present && matches!(view.commit, Ok(Some(_))) =>
        {
            Some(view)
        }
        _ => None,
    }
}

/// The attempt was carried out, and the Secret does not carry it. Another process may still hold the value, as long as the stored one is
/// accepted.
fn executed(
    round: &mut Round<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    stored: &SecretView,
) -> Result<Found, Step> {
    let facts = round.facts;
    read_before_probe(round)?;
    let left = sent.and_then(|since| round.left(since, facts.timing.lag));
    // NB: who has dropped the value knows that nobody holds it, and why it is made again; another process can only take it for lost.
    let without_effect = round.memory.without_effect == Some(attempt.id);
    let left = left.filter(|_| !without_effect);
    let reason = match &facts.probe {
        Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Probe])),
        Observed::Live(Probe::Refused) => return Ok(Found::Cause(Cause::LostAttempt)),
        Observed::Live(Probe::Valid) => match published(round, attempt, stored) {
            Some(entry) => {
                round.current()?;
                let record = Some((round.slot, entry));
                return Ok(Found::Nothing(round.render(stored.version.clone(), record)));
            }
            None => Reason::OutcomeUnknown,
        },
        Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => Reason::NoVerdict,
    };
    if let Some(left) = left {
        let retry = Retry::After(left.min(facts.timing.probe));
        return Err(rest(waiting(reason.into(), retry)));
    }
    let kept = attempt.cause.known().filter(|_| without_effect);
    let kept = kept.filter(|cause| still_holds(facts, *cause));
    Ok(Found::Cause(kept.unwrap_or(Cause::LostAttempt)))
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

/// A claim that can't be read: open, with nothing known of it.
pub(super) fn unreadable(
    round: &mut Round<'_>,
    version: &Version,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    let since = match &round.memory.unreadable {
        Some((seen, since)) if seen == version => *since,
        _ => facts.now.boot,
    };
    round.memory.unreadable = Some((version.clone(), since));
    if let Some(left) = round.left(since, facts.timing.quiet) {
        return Ok(rest(waiting(
            Reason::ClaimUnreadable.into(),
            Retry::After(left),
        )));
    }
    let claim = Claim {
        // NB: with claim and Secret both gone nothing says that an adoption was made.
        issued: !facts.object.adopt,
        ..Claim::settled(facts.object.owner.clone(), handled_trigger(facts), None)
    };
    if facts.standby.is_some() {
        // With a readable claim the search goes on as always; what is lost of the stored pair shows in the journal.
        let repairs = repairs(round, None)?;
        let attempt = if round.slot == facts.active() {
            None
        } else {
            lost_beside(round, since, secret)?
        };
        let claim = claim.remembering(repairs);
        return replaced(round, Claim { attempt, ..claim });
    }
    let stored = stored_sequence(round, secret).filter(|_| recorded(secret));
    let none = Claims::default();
    match verdict(round, stored, Some(since), secret)? {
        Verdict::Executed | Verdict::OlderLost if stored.is_some() => {
            prepare(round, Cause::LostAttempt, none, secret)
        }
        _ => {
            let settled = none.with(round.slot, Some(&claim));
            match find(round, settled, secret)? {
                // Its answer may be the one that is lost. As a trigger the breaker would not count it.
                Found::Cause(Cause::Trigger) if !recorded(secret) && has_unexplained(round) => {
                    prepare(round, Cause::LostAttempt, none, secret)
                }
                Found::Cause(cause) | Found::Instead(cause) => prepare(round, cause, none, secret),
                Found::Again => prepare(round, Cause::LostAttempt, none, secret),
                Found::Nothing(step @ Step::Read { .. }) => Ok(step),
                Found::Nothing(_) => {
                    let repairs = repairs(round, None)?;
                    replaced(round, claim.remembering(repairs))
                }
            }
        }
    }
}

/// The attempt on the idle application whose claim can't be read, given up: its answer is lost, by the journal, and what makes up for it
/// is a repair. Of a retirement only the record is missing.
fn lost_beside(
    round: &mut Round<'_>,
    since: Duration,
    secret: &SecretState,
) -> Result<Option<Attempt>, Step> {
    let facts = round.facts;
    let pre_sequence = stored_sequence(round, secret);
    let verdict = verdict(round, pre_sequence, Some(since), secret)?;
    if !matches!(verdict, Verdict::Executed) {
        return Ok(None);
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
        && let Some(step) = retired(round, &attempt, Some(since), view)?
    {
        return Err(step);
    }
    Ok(Some(attempt))
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
fn replaced(round: &mut Round<'_>, claim: Claim) -> Result<Step, Step> {
    if let Some(step) = round.backing_off() {
        return Err(step);
    }
    round.current()?;
    let damaged = Failure::new(Reason::ClaimUnreadable, false);
    round.memory.set_back(round.facts, &damaged);
    Ok(round.write_claim(claim))
}

/// Nothing is decided before claim and Secret were seen unchanged for a while, over uninterrupted reads.
fn watch(round: &mut Round<'_>, secret: &SecretState) -> Result<(), Step> {
    let facts = round.facts;
    let version = |secret: &SecretState| match secret {
        SecretState::Present(secret) => Some(secret.version.clone()),
        SecretState::Absent => None,
    };
    let Some(claim) = round.claim_version() else {
        return Ok(());
    };
    let since = round
        .memory
        .seen_unchanged(claim, version(secret), facts.now.boot);
    match round.left(since, facts.timing.takeover) {
        // Several looks within the time, so that a change is not missed.
        Some(left) => Err(rest(waiting(
            Reason::AttemptOpen.into(),
            Retry::After(left.min(facts.timing.takeover / 3)),
        ))),
        None => Ok(()),
    }
}

fn stored_sequence(round: &Round<'_>, secret: &SecretState) -> Option<Sequence> {
    match secret {
        SecretState::Present(secret) => Some(secret.entry(round.slot)?.sequence),
        SecretState::Absent => None,
    }
}

/// What became of the open attempt of the application that is looked at.
pub(super) fn verdict(
    round: &mut Round<'_>,
    pre: Option<Sequence>,
    sent: Option<Duration>,
    secret: &SecretState,
) -> Result<Verdict, Step> {
    let stored = stored_sequence(round, secret);
    match &round.seen().journal {
        Observed::Unread | Observed::Cached(_) => Err(round.read(&[Source::Journal])),
        Observed::Live(journal) => {
            // NB: `pre` may have been read before the stored value was made; that event is accounted for.
            if journal.own_after(pre.max(stored)) {
                return Ok(Verdict::Executed);
            }
            quiet(round, sent)?;
            if was_cut(journal, pre) {
                return by_the_value(round, sent, stored, secret);
            }
            let newest = journal.newest_own().map(|event| event.sequence);
            let older_lost = stored.is_some() && newest > stored;
            Ok(if older_lost {
                Verdict::OlderLost
            } else {
                Verdict::NotExecuted
            })
        }
        Observed::Failed(failure) if !failure.permanent => Err(round.failed(failure)),
        Observed::Failed(_) => {
            quiet(round, sent)?;
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
) -> Result<Verdict, Step> {
    let facts = round.facts;
    let version = match secret {
        SecretState::Present(view) if stored.is_some() && round.slot == facts.active() => {
            view.version.clone()
        }
        _ => return Ok(Verdict::NotExecuted),
    };
    let waits = |wait| {
        rest(waiting(
            Reason::JournalUnavailable.into(),
            Retry::After(wait),
        ))
    };
    match &facts.probe {
        Observed::Unread | Observed::Cached(_) => Err(round.read(&[Source::Probe])),
        // NB: also a rotation that takes effect as late as any ever did would show by then.
        Observed::Live(Probe::Valid) => {
            let span = facts.timing.quiet + facts.timing.lag;
            match sent.and_then(|since| round.left(since, span)) {
                Some(left) => Err(waits(left)),
                None => Ok(Verdict::NotExecuted),
            }
        }
        Observed::Live(Probe::Refused) => {
            let (first, count) = round.refused_once_more(&version);
            if count >= facts.timing.dead_probes && round.left(first, facts.timing.dead).is_none() {
                return Ok(Verdict::Executed);
            }
            Err(waits(round.after_asking(count)))
        }
        Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => Err(waits(facts.timing.probe)),
    }
}

/// While the request may still be on its way, the old credential works and nothing is done.
pub(super) fn quiet(round: &Round<'_>, sent: Option<Duration>) -> Result<(), Step> {
    match sent.and_then(|since| round.left(since, round.facts.timing.quiet)) {
        Some(left) => Err(rest(waiting(round.outcome_unknown(), Retry::After(left)))),
        None => Ok(()),
    }
}

/// The answer is lost. If a person deleted the Secret meanwhile, the policy for that decides.
fn lost(round: &mut Round<'_>, claims: Claims<'_>, secret: &SecretState) -> Result<Found, Step> {
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
        return find(round, claims, secret);
    }
    // Only the record is gone, by a person or a tool: the value is kept if ZITADEL accepts it.
    if let SecretState::Present(view) = secret
        && matches!(view.commit, Ok(None))
        && view.value == Value::Present
    {
        read_before_probe(round)?;
        match &round.facts.probe {
            Observed::Unread | Observed::Cached(_) => return Err(round.read(&[Source::Probe])),
            Observed::Live(Probe::Valid) => return find(round, claims, secret),
            Observed::Live(Probe::Refused) => {}
            // That the record is gone says nothing of the value.
            Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => {
                return Err(rest(waiting(
                    Reason::NoVerdict.into(),
                    Retry::After(round.facts.timing.probe),
                )));
            }
        }
    }
    Ok(Found::Cause(Cause::LostAttempt))
}
