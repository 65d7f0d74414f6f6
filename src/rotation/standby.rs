//! A standby application: what became of an attempt on the idle one, and whether it can take over. No I/O.
//!
//! With a standby the Secret holds the pair of one application, the *active* one, and the next value is generated on the other, the
//! *idle* one: the pair that consumers use goes on being accepted. An attempt on the idle application that ended unseen is no
//! outage, so it is simply given up, or made again where its cause still holds.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::api::Reason;
use crate::ids::{ApiVersion, Sequence};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Attempt;
use crate::rotation::commit::Entry;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::journal::Journal;
use crate::rotation::observed::Observed;
use crate::rotation::overlap;
use crate::rotation::secret::{SecretState, SecretView, Value};
use crate::rotation::step::{Retry, Source, Step, rest, waiting};

/// The entry that records a retirement whose answer was not recorded, and the Secret to record it in. `None` if the attempt was none, or
/// was not carried out.
pub(super) fn retirement<'a>(
    eval: &mut Evaluation<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &'a SecretState,
) -> ControlFlow<Step, Option<(&'a SecretView, Entry)>> {
    // NB: only beside a pair, and in a record that has an entry for it already, can it be recorded that a former one is gone.
    let entry = match secret {
        SecretState::Present(view)
            if attempt.cause == Cause::Retire
                && view.value != Value::Absent
                && secret.is_recorded()
                && view.entry(eval.slot).is_some() =>
        {
            retired(eval, attempt, sent, view)?.map(|entry| (view, entry))
        }
        _ => None,
    };
    Continue(entry)
}

/// The former pair's secret was replaced by one that no one has: what is to be recorded, and then it is over. `None` if it was not
/// replaced.
pub(super) fn retired(
    eval: &mut Evaluation<'_>,
    attempt: &Attempt,
    sent: Option<Duration>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Entry>> {
    let facts = eval.facts;
    let (sequence, change_date) = match &eval.seen().journal {
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Journal])),
        Observed::Live(journal) => {
            let newest = journal
                .newest_own()
                .filter(|event| Some(event.sequence) > before(attempt, journal));
            let Some(newest) = newest else {
                return Continue(None);
            };
            (newest.sequence, newest.time)
        }
        Observed::Failed(failure) if !failure.permanent => {
            return Break(rest(eval.failed(failure)));
        }
        // Whether it was carried out can't be known. Made again and again it would never end, so it counts as done.
        Observed::Failed(_) => {
            eval.quiet(sent)?;
            (attempt.pre_sequence.unwrap_or_default(), facts.now.time)
        }
    };
    if let Some(report) = eval.backing_off() {
        return Break(rest(report));
    }
    if let Some(reason) = secret.refused {
        return Break(rest(waiting(reason.into(), Retry::OnChange)));
    }
    Continue(Some(Entry {
        attempt: Some(attempt.id),
        sequence,
        change_date,
    }))
}

/// The newest event before an attempt. One over v2 could not see it, but knows the time.
fn before(attempt: &Attempt, journal: &Journal) -> Option<Sequence> {
    match attempt.api {
        ApiVersion::V1 => attempt.pre_sequence,
        ApiVersion::V2 => {
            let events = journal.0.iter();
            let before = events.filter(|event| event.time < attempt.time);
            before.map(|event| event.sequence).max()
        }
    }
}

/// Whether the pair before the stored one is to be made useless now.
pub(super) fn overlap_is_over(eval: &Evaluation<'_>) -> bool {
    let facts = eval.facts;
    facts.standby.is_some()
        && overlap::is_over(facts)
        // Only once the stored pair is known to work.
        && eval.memory.doubt.is_none()
        && eval.memory.rejected.is_none()
}

/// A standby application that can't take over is reported as soon as it is named, not at the first rotation.
pub(super) fn standby_is_ready(eval: &Evaluation<'_>) -> ControlFlow<Step> {
    let facts = eval.facts;
    let Some(idle) = facts.idle().filter(|_| facts.object.standby_unseen) else {
        return Continue(());
    };
    match &facts.of(idle).app {
        Observed::Unread | Observed::Cached(_) => Break(Step::Read {
            sources: &[Source::App],
            slot: idle,
        }),
        Observed::Live(app) if app.refused.is_some() => Break(rest(waiting(
            Reason::StandbyNotReady.into(),
            Retry::After(facts.timing.retry_most),
        ))),
        Observed::Live(_) => Continue(()),
        Observed::Failed(failure) => Break(rest(waiting(
            if failure.permanent {
                Reason::StandbyNotReady.into()
            } else {
                failure.into()
            },
            Retry::After(facts.timing.retry_first),
        ))),
    }
}
