//! Whether ZITADEL accepts the stored value, and when one that it rejects is dead. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::rotation::cause::found::{Found, nothing_to_adopt};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::facts::{Facts, Probe};
use crate::rotation::fingerprint::Origin;
use crate::rotation::journal::{Journal, JournalEvent};
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::round::Round;
use crate::rotation::secret::SecretView;
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest, stalled, waiting};

/// Makes sure that the stored value is accepted, unless this revision of the Secret was verified before.
pub(super) fn verify(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let revision = &secret.version.revision;
    let known = [&round.memory.verified, &round.facts.object.verified];
    // NB: the status is a mirror that tenants may edit; it can only spare a probe, and only while nothing else is odd.
    if claim.is_some()
        && round.memory.rejected.is_none()
        && round.memory.doubt.is_none()
        && known.contains(&&Some(revision.clone()))
    {
        return Continue(None);
    }
    prove(round, claim, secret)
}

/// Probes the stored value. `None`: accepted, or nothing can be concluded and the rest may go on.
pub(super) fn prove(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = round.facts;
    let verdict = match &facts.probe {
        Observed::Live(verdict) => *verdict,
        Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Probe])),
        Observed::Failed(_) => Probe::NoVerdict,
    };
    if verdict != Probe::NoVerdict {
        let now = facts.now.boot;
        round.memory.judged(&secret.version, verdict, now);
    }
    match verdict {
        Probe::Valid => Continue(None),
        Probe::NoVerdict => no_verdict(round, claim, secret),
        Probe::Refused => refused(round, claim, secret),
    }
}

/// Nothing can be concluded of the stored value.
fn no_verdict(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    round
        .memory
        .doubts(DoubtKind::Unproven, round.facts.now.boot);
    unless_ours_is_stored(round, claim, secret)
}

/// Nothing is decided about a value of unknown origin, or under a claim that is not ours yet.
fn unless_ours_is_stored(
    round: &Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = round.facts;
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

/// Whether nothing explains that the stored value is refused: ZITADEL accepted it once, the bytes are those that the operator wrote, and the journal has
/// its event and none that is newer. Then the judge is wrong, for example while ZITADEL builds its projections anew, and refuses every
/// value of every application; another one would be refused as well.
fn is_unexplained(facts: &Facts, secret: &SecretView, journal: &Journal) -> bool {
    let Ok(Some(entry)) = &secret.commit else {
        return false;
    };
    let its_own = |event: &JournalEvent| event.sequence == entry.sequence;
    // NB: of two rotations at once the later one counts, whatever their sequences are.
    let newer = |event: &JournalEvent| {
        event.sequence > entry.sequence || (!its_own(event) && event.time >= entry.change_date)
    };
    secret.origin == Origin::Own
        && facts.object.proven == Some(entry.sequence)
        && journal.0.iter().any(its_own)
        && !journal.0.iter().any(newer)
}

/// ZITADEL refuses the stored value: dead only when it stays so, the application is active and the journal can be read.
fn refused(
    round: &mut Round<'_>,
    claim: Option<&Claim>,
    secret: &SecretView,
) -> ControlFlow<Step, Option<Found>> {
    let facts = round.facts;
    // An inactive application is refused whatever its secret is: the count begins when it is seen to be active.
    if let Some(reason) = round.app()?.refused {
        round.refused_for_another_reason(&secret.version);
        return Break(rest(stalled(reason, Retry::After(facts.timing.probe))));
    }
    let (first, count) = round.refused_once_more(&secret.version);
    let left = round.left(first, facts.timing.dead);
    if count < facts.timing.dead_probes || left.is_some() {
        let again = round.after_asking(count);
        return Break(rest(Report::Working {
            blocked: Reason::Refused.into(),
            retry: Retry::After(
                left.filter(|_| count >= facts.timing.dead_probes)
                    .unwrap_or(again),
            ),
        }));
    }
    let foreign = match &round.seen().journal {
        Observed::Live(journal) if !round.unresolved && is_unexplained(facts, secret, journal) => {
            return unless_ours_is_stored(round, claim, secret);
        }
        Observed::Live(journal) => journal.newest().is_some_and(|event| !event.own),
        Observed::Failed(failure) if failure.permanent => false,
        Observed::Failed(failure) => return Break(rest(round.failed(failure))),
        Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Journal])),
    };
    let owner = &facts.object.owner;
    let mine = claim.filter(|claim| claim.owner == *owner);
    let issued = |claim: &Claim| claim.issued || claim.live_attempt().is_some();
    if facts.object.adopt && !matches!(secret.commit, Ok(Some(_))) && !mine.is_some_and(issued) {
        return Continue(Some(nothing_to_adopt(round, mine, claim)?));
    }
    if !facts.object.recovery.invalid {
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
            // Nobody else wrote it, so ZITADEL rejects what it hands out itself.
            (false, false) => Reason::Refused,
        });
        return Break(rest(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        }));
    }
    Continue(Some(Found::Cause(Cause::SecretInvalid)))
}
