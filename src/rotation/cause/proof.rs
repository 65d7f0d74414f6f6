//! Whether ZITADEL accepts the stored value, and when one that it rejects is dead. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::rotation::cause::found::{Found, nothing_to_adopt};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::Facts;
use crate::rotation::fingerprint::Origin;
use crate::rotation::journal::{Journal, JournalEvent};
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::secret::SecretView;
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest, stalled, waiting};
use crate::rotation::verdict::Verdict;

/// Makes sure that the stored value is accepted, unless this revision of the Secret was verified before.
pub(super) fn verify(
    eval: &mut Evaluation<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let revision = &secret.version.revision;
    let known = [&eval.memory.verified, &eval.facts.object.verified];
    // NB: the status is a mirror that tenants may edit; it can only spare a probe, and only while nothing else is odd.
    if claim.is_some()
        && eval.memory.rejected.is_none()
        && eval.memory.doubt.is_none()
        && known.contains(&&Some(revision.clone()))
    {
        return Continue(None);
    }
    if claim.is_some() && only_labels_moved(eval, secret) {
        eval.memory.verified = Some(revision.clone());
        return Continue(None);
    }
    prove(eval, claim, secret)
}

/// Whether another actor has just undone what was written again of a Secret, and the bytes of its value are those that were accepted. As
/// often as it does so, ZITADEL need not be asked about them.
fn only_labels_moved(eval: &Evaluation<'_>, secret: &SecretView) -> bool {
    let Ok(Some(entry)) = &secret.commit else {
        return false;
    };
    eval.backing_off_rewrites().is_some()
        && secret.origin == Origin::Own
        && eval.facts.object.proven == Some(entry.sequence)
        && eval.memory.verified.is_some()
        && eval.memory.rejected.is_none()
        && eval.memory.doubt.is_none()
}

/// Probes the stored value. `None`: accepted, or nothing can be concluded and the rest may go on.
pub(super) fn prove(
    eval: &mut Evaluation<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = eval.facts;
    let verdict = match &facts.probe {
        Observed::Live(verdict) => *verdict,
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Probe])),
        Observed::Failed(_) => Verdict::Unknown,
    };
    if verdict != Verdict::Unknown {
        let now = facts.now.boot;
        eval.memory.judged(&secret.version, verdict, now);
    }
    match verdict {
        Verdict::Accepted => Continue(None),
        Verdict::Unknown => no_verdict(eval, claim, secret),
        Verdict::Rejected => rejected(eval, claim, secret),
    }
}

/// Nothing can be concluded of the stored value.
fn no_verdict(
    eval: &mut Evaluation<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    eval.memory.doubts(DoubtKind::Unproven, eval.facts.now.boot);
    unless_ours_is_stored(eval, claim, secret)
}

/// Nothing is decided about a value of unknown origin, or under a claim that is not ours yet.
fn unless_ours_is_stored(
    eval: &Evaluation<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = eval.facts;
    let ours = matches!(secret.commit, Ok(Some(_)))
        && claim.is_some_and(|claim| claim.owner == facts.object.owner);
    if ours {
        return Continue(None);
    }
    Break(rest(waiting(
        Reason::NoVerdict.into(),
        Retry::After(facts.timing.probe),
    )))
}

/// Whether nothing explains that the stored value is rejected: ZITADEL accepted it once, the bytes are those that the operator wrote, and the journal has
/// its event and none that is newer. Then the judge is wrong, for example while ZITADEL builds its projections anew, and rejects every
/// value of every application; another one would be rejected as well.
fn is_unexplained(facts: &Facts, secret: &SecretView, journal: &Journal) -> bool {
    let Ok(Some(entry)) = &secret.commit else {
        return false;
    };
    let place = journal.place(entry);
    let its_own = |event: &JournalEvent| event.sequence == place;
    // NB: of two rotations at once the later one counts, whatever their sequences are.
    let newer = |event: &JournalEvent| {
        event.sequence > place || (!its_own(event) && event.time >= entry.change_date)
    };
    secret.origin == Origin::Own
        && facts.object.proven == Some(entry.sequence)
        && journal.0.iter().any(its_own)
        && !journal.0.iter().any(newer)
}

/// ZITADEL rejects the stored value: dead only when it stays so, the application is active and the journal can be read.
fn rejected(
    eval: &mut Evaluation<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = eval.facts;
    // The secret of an inactive application is rejected whatever it is: the count begins when it is seen to be active.
    if let Some(reason) = eval.app()?.refused {
        eval.restart_streak(&secret.version);
        return Break(rest(stalled(reason, Retry::After(facts.timing.probe))));
    }
    let (first, count) = eval.count_rejection(&secret.version);
    let left = eval.left(first, facts.timing.dead);
    if count < facts.timing.dead_probes || left.is_some() {
        let again = eval.after_asking(count);
        return Break(rest(Report::Working {
            blocked: Reason::Refused.into(),
            retry: Retry::After(
                left.filter(|_| count >= facts.timing.dead_probes)
                    .unwrap_or(again),
            ),
        }));
    }
    let foreign = match &eval.seen().journal {
        Observed::Live(journal) if !eval.unresolved && is_unexplained(facts, secret, journal) => {
            return unless_ours_is_stored(eval, claim, secret);
        }
        Observed::Live(journal) => journal.newest().is_some_and(|event| !event.own),
        Observed::Failed(failure) if failure.permanent => false,
        Observed::Failed(failure) => return Break(rest(eval.failed(failure))),
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Journal])),
    };
    let owner = &facts.object.owner;
    let mine = claim.filter(|claim| claim.owner == *owner);
    let issued = |claim: &Claim| claim.issued || claim.live_attempt().is_some();
    if facts.object.adoption_required
        && !matches!(secret.commit, Ok(Some(_)))
        && !mine.is_some_and(issued)
    {
        return Continue(Some(nothing_to_adopt(eval, mine, claim)?));
    }
    if !facts.object.recovery.rejected {
        let reason = if foreign {
            Reason::RotatedElsewhere
        } else {
            Reason::SecretInvalid
        };
        return Break(rest(stalled(reason, Retry::After(facts.timing.retry_most))));
    }
    let new_trigger = facts.object.trigger.is_some()
        && claim.is_some_and(|claim| claim.trigger(true) != facts.object.trigger.as_deref());
    if new_trigger {
        return Continue(Some(Found::Cause(Cause::Trigger)));
    }
    let last = claim.and_then(|claim| claim.invalid_repair);
    if last.is_some_and(|last| {
        facts.now.time.duration_since(last).unsigned_abs() < facts.timing.contest
    }) {
        let blocked = Blocked::from(match (foreign, secret.co_written) {
            (true, _) => Reason::Contested,
            (false, true) => Reason::SecretContested,
            // No one else wrote it, so ZITADEL rejects what it hands out itself.
            (false, false) => Reason::Refused,
        });
        return Break(rest(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        }));
    }
    Continue(Some(Found::Cause(Cause::SecretInvalid)))
}
