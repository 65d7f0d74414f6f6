//! Whether the stored value is the newest one, by the journal. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::ids::ApiVersion;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::cause::proof::prove;
use crate::rotation::claim::Claim;
use crate::rotation::commit::Entry;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::journal::{Journal, JournalEvent};
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::secret::SecretView;
use crate::rotation::step::{Retry, Source, Step, rest, waiting};
use crate::rotation::verdict::Verdict;

/// Compares the stored sequence with the journal. Without one, or with one that was cut, only a probe of the value can decide.
pub(super) fn drift(
    eval: &mut Evaluation<'_>,
    mine: &Claim,
    journal: Option<&Journal>,
    secret: &SecretView,
    entry: &Entry,
) -> ControlFlow<Step, Option<Found>> {
    let facts = eval.facts;
    let sequence = journal.map_or(entry.sequence, |journal| journal.place(entry));
    let newest_event = journal.and_then(Journal::newest);
    let newest_own = journal
        .and_then(Journal::newest_own)
        .filter(|event| event.sequence > sequence);
    let own = newest_own.map(|event| event.sequence);
    let newest = newest_event.map(|event| event.sequence);
    if let Some(own) = own
        && newest == Some(own)
    {
        // An own rotation that the Secret does not know of, and no open claim: wait out whatever may still be on its way, then repair once.
        let since = match eval.memory.drift {
            Some((seen, since)) if seen == own => since,
            _ => facts.now.boot,
        };
        let news = eval.memory.drift.is_none_or(|(seen, _)| seen != own);
        eval.memory.drift = Some((own, since));
        if news {
            // Whatever is known of the value is of before.
            eval.memory.doubts(DoubtKind::News, facts.now.boot);
            return Break(eval.read(&[Source::App, Source::Probe]));
        }
        return match eval.left(since, facts.timing.quiet) {
            Some(left) => Break(rest(waiting(
                Reason::OutcomeUnknown.into(),
                Retry::After(left),
            ))),
            None => match &facts.probe {
                Observed::Unread | Observed::Cached(_) => Break(eval.read(&[Source::Probe])),
                // Accepted all the same: that rotation had no effect, or it was answered without its sequence. The record was behind.
                Observed::Live(Verdict::Accepted) => {
                    Continue(Some(correct(eval, newest_own, secret)))
                }
                Observed::Live(Verdict::Rejected) => {
                    Continue(Some(Found::Cause(Cause::LostAttempt)))
                }
                // There is no verdict on the value itself: as long again, then the journal's word is enough.
                Observed::Live(Verdict::Unknown) | Observed::Failed(_) => {
                    match eval.left(since, facts.timing.quiet * 2) {
                        Some(left) => Break(rest(waiting(
                            Reason::NoVerdict.into(),
                            Retry::After(left.min(facts.timing.probe)),
                        ))),
                        None => Continue(Some(Found::Cause(Cause::LostAttempt))),
                    }
                }
            },
        };
    }
    eval.memory.drift = None;
    if newest == Some(sequence) {
        eval.memory.note_drift(eval.seen().hint, sequence);
        if let Some(event) =
            newest_event.filter(|_| entry.sequence.is_time() && facts.api == ApiVersion::V1)
        {
            // It was made over an API without sequences, and by now its own is known.
            return Continue(Some(Found::Render {
                over: secret.version.clone(),
                record: Some((secret.active, event.entry(entry.attempt))),
            }));
        }
        return Continue(None);
    }
    // Rotated by another actor, or ZITADEL was restored from a backup, or the journal doesn't say: only a probe of the value can decide.
    eval.doubts(DoubtKind::News);
    let found = prove(eval, Some(mine), secret)?;
    if found.is_none() {
        if eval.memory.doubt.is_some() {
            // No verdict: the question stays open.
            eval.memory.doubts(DoubtKind::News, facts.now.boot);
            return Continue(None);
        }
        eval.memory.note_drift(eval.seen().hint, sequence);
        // ZITADEL counts from a lower number again, and the value is good: the record is lowered.
        if newest.is_some_and(|newest| newest < sequence) {
            return Continue(Some(correct(eval, newest_event, secret)));
        }
    }
    Continue(found)
}

/// Corrects the record of a stored value that ZITADEL accepts.
fn correct(eval: &mut Evaluation<'_>, newest: Option<&JournalEvent>, secret: &SecretView) -> Found {
    eval.memory.verified = Some(secret.version.revision.clone());
    let entry = secret.commit.as_ref().ok().and_then(Option::as_ref);
    let attempt = entry.and_then(|entry| entry.attempt);
    let record = newest.map(|event| (secret.active, event.entry(attempt)));
    if eval.backing_off_rewrites().is_none() {
        eval.memory.drift = None;
    }
    let over = secret.version.clone();
    Found::Render { over, record }
}
