//! Whether the stored value is the newest one, by the journal. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::ids::Sequence;
use crate::rotation::cause::found::Found;
use crate::rotation::cause::kind::Cause;
use crate::rotation::cause::proof::prove;
use crate::rotation::claim::Claim;
use crate::rotation::facts::Probe;
use crate::rotation::journal::{Journal, JournalEvent};
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::round::Round;
use crate::rotation::secret::SecretView;
use crate::rotation::step::{Retry, Source, Step, rest, waiting};

/// Compares the stored sequence with the journal. Without one, or with one that was cut, only the value itself tells.
pub(super) fn drift(
    round: &mut Round<'_>,
    mine: &Claim,
    journal: Option<&Journal>,
    secret: &SecretView,
    sequence: Sequence,
) -> ControlFlow<Step, Option<Found>> {
    let facts = round.facts;
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
        let since = match round.memory.drift {
            Some((seen, since)) if seen == own => since,
            _ => facts.now.boot,
        };
        let news = round.memory.drift.is_none_or(|(seen, _)| seen != own);
        round.memory.drift = Some((own, since));
        if news {
            // Whatever is known of the value is of before.
            round.memory.doubts(DoubtKind::News, facts.now.boot);
            return Break(round.read(&[Source::App, Source::Probe]));
        }
        return match round.left(since, facts.timing.quiet) {
            Some(left) => Break(rest(waiting(
                Reason::OutcomeUnknown.into(),
                Retry::After(left),
            ))),
            None => match &facts.probe {
                Observed::Unread | Observed::Cached(_) => Break(round.read(&[Source::Probe])),
                // Accepted all the same: that rotation had no effect, or it was answered without its sequence. The record was behind.
                Observed::Live(Probe::Valid) => Continue(Some(correct(round, newest_own, secret))),
                Observed::Live(Probe::Refused) => Continue(Some(Found::Cause(Cause::LostAttempt))),
                // Nobody says so of the value itself: as long again, then the journal's word is enough.
                Observed::Live(Probe::NoVerdict) | Observed::Failed(_) => {
                    match round.left(since, facts.timing.quiet * 2) {
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
    round.memory.drift = None;
    if newest == Some(sequence) {
        round.memory.looked_into(round.seen().hint, sequence);
        return Continue(None);
    }
    // Rotated by somebody else, or ZITADEL was restored from a backup, or the journal can't tell: only the value itself does.
    round.doubts(DoubtKind::News);
    let found = prove(round, Some(mine), secret)?;
    if found.is_none() {
        if round.memory.doubt.is_some() {
            // Nobody could tell: the question stays open.
            round.memory.doubts(DoubtKind::News, facts.now.boot);
            return Continue(None);
        }
        round.memory.looked_into(round.seen().hint, sequence);
        // ZITADEL counts from a lower number again, and the value is good: the record is lowered.
        if newest.is_some_and(|newest| newest < sequence) {
            return Continue(Some(correct(round, newest_event, secret)));
        }
    }
    Continue(found)
}

/// Corrects the record of a stored value that ZITADEL accepts.
fn correct(round: &mut Round<'_>, newest: Option<&JournalEvent>, secret: &SecretView) -> Found {
    round.memory.verified = Some(secret.version.revision.clone());
    let entry = secret.commit.as_ref().ok().and_then(Option::as_ref);
    let attempt = entry.and_then(|entry| entry.attempt);
    let record = newest.map(|event| (secret.active, event.entry(attempt)));
    if round.backing_off_rewrites().is_none() {
        round.memory.drift = None;
    }
    let over = secret.version.clone();
    Found::Render { over, record }
}
