//! The search for a cause where no attempt is open. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::ids::Sequence;
use crate::rotation::cause::drift::drift;
use crate::rotation::cause::found::{Found, claimed, nothing_to_adopt};
use crate::rotation::cause::kind::Cause;
use crate::rotation::cause::proof::{prove, verify};
use crate::rotation::claim::Claim;
use crate::rotation::claims::Claims;
use crate::rotation::commit::Entry;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::overlap;
use crate::rotation::provision::{is_awaited, not_provisioned};
use crate::rotation::schedule::DueState;
use crate::rotation::secret::{SecretState, SecretView, Value};
use crate::rotation::standby::{overlap_is_over, standby_is_ready};
use crate::rotation::step::{Report, Retry, Source, Step, rest, stalled, waiting};

/// Searches for a cause where no attempt is open. One that is known not to have been carried out is void in its claim.
pub(in crate::rotation) fn find(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, Found> {
    let owner = &eval.facts.object.owner;
    let claim = claims.of(eval.slot);
    let mine = claim.filter(|claim| claim.owner == *owner);
    let ours = claims.all().filter(|claim| claim.owner == *owner);
    let used = |claim: &&Claim| claim.issued || claim.live_attempt().is_some();
    // That of the pair in use knows which trigger was handled; without it the newest attempt.
    let issued = mine
        .filter(used)
        .or_else(|| {
            let used = ours.clone().filter(used);
            used.max_by_key(|claim| claim.live_attempt().map(|attempt| attempt.id))
        })
        // NB: a Secret that goes with the object's predecessor is not missed, it was never this one's.
        .filter(|_| !eval.memory.inherited);
    let known = mine.or_else(|| ours.clone().next());
    match secret {
        SecretState::Absent if issued.is_some() => missing(eval, issued),
        SecretState::Absent if eval.facts.object.adoption_required => {
            nothing_to_adopt(eval, known, claim)
        }
        SecretState::Absent => Continue(Found::Cause(first(ours))),
        SecretState::Present(secret) => {
            let entry = match &secret.commit {
                Ok(entry) => entry.clone(),
                Err(_) => None,
            };
            match (entry, secret.value) {
                (None, Value::Absent) if issued.is_some() => missing(eval, issued),
                (None, Value::Absent) if eval.facts.object.adoption_required => {
                    nothing_to_adopt(eval, known, claim)
                }
                (None, Value::Absent) => Continue(Found::Cause(first(ours))),
                (None, _) => adopt(eval, mine, claim, secret),
                (Some(_), Value::Absent) => missing(eval, mine),
                (Some(entry), _) => {
                    eval.memory.missing = None;
                    eval.memory.inherited = !secret.owned;
                    stored(eval, mine, claim, secret, &entry)
                }
            }
        }
    }
}

/// The cause where nothing was ever written. A replacement of a lost answer that was given up before it was sent is still one: by
/// another name the breaker would not count it. What this version does not know may have been one.
fn first<'a>(mine: impl IntoIterator<Item = &'a Claim>) -> Cause {
    let mut given_up = mine.into_iter().filter_map(|claim| claim.attempt.as_ref());
    if given_up.any(|it| {
        it.cause
            .known()
            .is_none_or(|cause| cause == Cause::LostAttempt)
    }) {
        Cause::LostAttempt
    } else {
        Cause::FirstIssue
    }
}

/// A value that is recorded as ours: is it the newest, is it good, is something due?
fn stored(
    eval: &mut Evaluation<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
    secret: &SecretView,
    entry: &Entry,
) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    let Some(mine) = mine else {
        // A CR that was deleted and created again, or a claim that was swept: the value decides, and nothing is rotated if it is good.
        if let Some(found) = verify(eval, claim, secret)? {
            return Continue(found);
        }
        return claimed(eval, claim, facts.handled_trigger(), Claim::settled);
    };
    let news = eval
        .seen()
        .hint
        .is_some_and(|hint| eval.memory.is_news(hint, entry));
    let asked = news || eval.memory.drift.is_some();
    let journal = match &eval.seen().journal {
        Observed::Live(journal) => Some(journal),
        Observed::Unread | Observed::Cached(_) if asked => {
            return Break(eval.read(&[Source::Journal]));
        }
        // NB: the question stays open. Passed over, a rotation by another actor would never be noticed.
        Observed::Failed(failure) if asked && !failure.permanent => {
            if news {
                eval.doubts(DoubtKind::News);
            }
            return Break(rest(eval.failed(failure)));
        }
        _ => None,
    };
    if (asked || journal.is_some())
        && let Some(found) = drift(eval, mine, journal, secret, entry)?
    {
        return Continue(found);
    }
    if facts.object.trigger.is_some()
        && facts.object.trigger.as_deref() != mine.handled(entry.attempt)
    {
        return Continue(Found::Cause(Cause::Trigger));
    }
    if let Some(found) = verify(eval, Some(mine), secret)? {
        return Continue(found);
    }
    if let DueState::Due { .. } = overlap::due(facts) {
        return Continue(Found::Cause(Cause::Due));
    }
    if secret.refused == Some(Reason::SecretContested) {
        // The value works. It is said now, and not when the next rotation is refused for it.
        let retry = Retry::After(eval.until_due(facts.timing.retry_most));
        let contested = waiting(Reason::SecretContested.into(), retry);
        return Continue(Found::Nothing(contested));
    }
    if !secret.rendered || !secret.owned {
        if let Some(report) = eval.backing_off() {
            return Continue(Found::Nothing(report));
        }
        if let Some(reason) = secret.refused {
            return Continue(Found::Nothing(stalled(reason, Retry::OnChange)));
        }
        // What only waits need not read the object.
        if let Some(report) = eval.backing_off_rewrites() {
            return Continue(Found::Nothing(report));
        }
        eval.current()?;
        return Continue(Found::Render {
            over: secret.version.clone(),
            record: None,
        });
    }
    if is_awaited(eval) {
        return Continue(Found::Nothing(not_provisioned(eval)));
    }
    standby_is_ready(eval)?;
    if overlap_is_over(eval) {
        return Continue(Found::Cause(Cause::Retire));
    }
    let report = if eval.memory.doubt.is_some() {
        waiting(
            Reason::NoVerdict.into(),
            // NB: it is asked about again all the same.
            Retry::OnChange,
        )
    } else {
        eval.settled_unless_undone()
    };
    Continue(Found::Nothing(report))
}

/// The Secret or its value is gone: read twice before that counts. Where that is only reported, a new trigger makes a new value.
/// `mine` is the claim that was used last.
fn missing(eval: &mut Evaluation<'_>, mine: Option<&Claim>) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    if !facts.object.recovery.missing {
        let handled = mine.and_then(|mine| mine.trigger(mine.live_attempt().is_some()));
        if facts.object.trigger.is_some() && facts.object.trigger.as_deref() != handled {
            return Continue(Found::Cause(Cause::Trigger));
        }
        return Continue(Found::Nothing(stalled(
            Reason::SecretMissing,
            Retry::OnChange,
        )));
    }
    let since = *eval.memory.missing.get_or_insert(facts.now.boot);
    match eval.left(since, facts.timing.missing) {
        Some(left) => Break(rest(Report::Working {
            blocked: Reason::SecretMissing.into(),
            retry: Retry::After(left),
        })),
        None => Continue(Found::Cause(Cause::SecretMissing)),
    }
}

/// A value of unknown origin: kept if ZITADEL accepts it.
fn adopt(
    eval: &mut Evaluation<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    if mine.is_some() {
        eval.read_before_probe()?;
        // Whatever is known of this revision may be older than the newest event.
        if let Some(found) = prove(eval, claim, secret)? {
            return Continue(found);
        }
    } else if let Some(found) = verify(eval, claim, secret)? {
        return Continue(found);
    }
    if mine.is_none() {
        return claimed(eval, claim, facts.handled_trigger(), Claim::settled);
    }
    eval.current()?;
    if let Some(report) = eval.backing_off() {
        return Continue(Found::Nothing(report));
    }
    if let Some(reason) = secret.refused {
        let trigger = facts.object.trigger.as_deref();
        let handled = mine.and_then(|mine| mine.trigger(false));
        if reason == Reason::SecretContested && trigger.is_some() && trigger != handled {
            return Continue(Found::Cause(Cause::Trigger));
        }
        return Continue(Found::Nothing(stalled(reason, Retry::OnChange)));
    }
    let newest = match &eval.seen().journal {
        Observed::Live(journal) => journal.newest().map(|event| (event.sequence, event.time)),
        Observed::Failed(failure) if failure.permanent => None,
        Observed::Failed(failure) => return Break(rest(eval.failed(failure))),
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Journal])),
    };
    let (sequence, change_date) = newest.unwrap_or((Sequence(0), facts.now.time));
    let entry = Entry {
        attempt: None,
        sequence,
        change_date,
    };
    Continue(Found::Render {
        over: secret.version.clone(),
        record: Some((secret.active, entry)),
    })
}
