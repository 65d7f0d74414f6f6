//! `decide`: what is known goes in, one next step comes out. No I/O.

use std::time::Duration;

use super::cause::{Cause, Found, find};
use super::facts::{
    AppView, ClaimView, Facts, Failure, Observed, SecretState, SecretView, Version,
};
use super::memory::{Backoff, Claimed, Memory, Refusals};
use super::{
    Attempt, AttemptState, Blocked, Claim, DueState, RecordError, Report, Retry, Source, Step,
    breaker_open, takeover,
};
use crate::api::Reason;

/// A step, and what to remember for the next round.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Decision {
    /// The step.
    pub step: Step,
    /// The memory for the next round.
    pub memory: Memory,
}

/// Decides on the next step.
pub fn decide(facts: &Facts) -> Decision {
    let mut round = Round {
        facts,
        memory: facts.memory.clone(),
        over: None,
    };
    let step = steps(&mut round).unwrap_or_else(|step| step);
    Decision {
        step,
        memory: round.memory,
    }
}

/// One round: the facts, and the memory as it becomes.
pub(super) struct Round<'a> {
    pub(super) facts: &'a Facts,
    pub(super) memory: Memory,
    /// The revision of the claim that a new one replaces.
    over: Option<Version>,
}

/// NB: `Err` is a step as well: it leaves the search early.
fn steps(round: &mut Round<'_>) -> Result<Step, Step> {
    let facts = round.facts;
    if facts.object.deleting {
        return Ok(rest(Report::Quiet(Reason::Deleting)));
    }
    if let (Some(_), Some(failure)) = (&round.memory.holding, &round.memory.held_back) {
        return Ok(rest(Report::Stalled {
            blocked: failure.into(),
            retry: Retry::OnChange,
        }));
    }
    if round.memory.holding.is_some() {
        return Ok(rest(Report::Working {
            blocked: Reason::SecretHeld.into(),
            retry: Retry::OnChange,
        }));
    }
    let closed = gate(facts);
    match (&round.memory.claimed, closed) {
        (None, Some(report)) => return Ok(rest(report)),
        (None, None) if settled(facts, &round.memory) => return Ok(rest(settled_report(facts))),
        _ => {}
    }
    let (secret, claim) = match (&facts.secret, &facts.claim) {
        (Observed::Failed(failure), _) | (_, Observed::Failed(failure)) => {
            return Ok(round.failed(failure));
        }
        (Observed::Live(secret), Observed::Live(claim)) => (secret, claim),
        _ if round.memory.claimed.is_some() => {
            return Ok(Step::Read(&[
                Source::Secret,
                Source::Claim,
                Source::Journal,
            ]));
        }
        _ => return Ok(Step::Read(&[Source::Secret, Source::Claim])),
    };
    let claim = match claim {
        ClaimView::Absent => None,
        ClaimView::Present {
            record: Err(RecordError::Newer),
            ..
        } => {
            return Ok(stalled(Reason::ClaimFromNewerVersion, Retry::OnChange));
        }
        ClaimView::Present {
            record: Err(RecordError::Unreadable),
            version,
            ..
        } => {
            round.over = Some(version.clone());
            round.memory.claimed = None;
            return takeover::unreadable(round, version, secret);
        }
        ClaimView::Present {
            record: Ok(claim),
            held_elsewhere: true,
            ..
        } => {
            let blocked = Blocked {
                by: Some(claim.owner.clone()),
                ..Reason::AppAlreadyClaimed.into()
            };
            return Ok(rest(Report::Stalled {
                blocked,
                retry: Retry::After(facts.timing.retry_most),
            }));
        }
        ClaimView::Present {
            record: Ok(claim),
            version,
            ..
        } => {
            round.over = Some(version.clone());
            Some(claim)
        }
    };
    round.memory.unreadable = None;
    if let SecretState::Present(secret) = secret {
        usable(facts, secret)?;
    }
    if let Some(claimed) = round.memory.claimed.clone() {
        match claim.and_then(Claim::live_attempt) {
            Some(attempt) if attempt.id == claimed.attempt => {
                return recheck(round, &claimed, attempt, claim, secret);
            }
            // Somebody else replaced the claim, or deleted it: nothing was sent, and nothing will be.
            _ => round.memory.claimed = None,
        }
    }
    if let Some(claim) = claim
        && let Some(attempt) = claim.live_attempt()
        && entry_attempt(secret) != Some(attempt.id)
    {
        return takeover::open(round, claim, attempt, secret);
    }
    round.memory.open = None;
    round.memory.watched = None;
    match find(round, claim, false, secret)? {
        Found::Nothing(step) => Ok(step),
        Found::Cause(cause) => prepare(round, cause, claim, secret),
    }
}

/// The attempt that the Secret carries for this application.
pub(super) fn entry_attempt(secret: &SecretState) -> Option<crate::ids::AttemptId> {
    match secret {
        SecretState::Present(SecretView {
            commit: Ok(Some(entry)),
            ..
        }) => entry.attempt,
        _ => None,
    }
}

/// What must hold before anything else is looked at.
fn gate(facts: &Facts) -> Option<Report> {
    if facts.object.suspended {
        return Some(Report::Quiet(Reason::Suspended));
    }
    if let Some(rival) = &facts.gates.rival {
        let blocked = Blocked {
            by: Some(rival.clone()),
            ..Reason::AppAlreadyClaimed.into()
        };
        return Some(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        });
    }
    if let Err(failure) = &facts.gates.connection {
        let blocked = Blocked::from(failure);
        return Some(if failure.permanent {
            Report::Stalled {
                blocked,
                retry: Retry::OnChange,
            }
        } else {
            working_or_usable(facts, blocked, Retry::After(facts.timing.probe))
        });
    }
    (!facts.gates.granted).then(|| Report::Stalled {
        blocked: Reason::NotGranted.into(),
        retry: Retry::OnChange,
    })
}

/// Whether all is well by what the watches show, so that no request is needed at all.
fn settled(facts: &Facts, memory: &Memory) -> bool {
    let Some(SecretState::Present(secret)) = facts.secret.known() else {
        return false;
    };
    let Some(ClaimView::Present {
        record: Ok(claim),
        held_elsewhere: false,
        ..
    }) = facts.claim.known()
    else {
        return false;
    };
    let Ok(Some(entry)) = &secret.commit else {
        return false;
    };
    let revision = Some(&secret.version.revision);
    let resolved = claim
        .live_attempt()
        .is_some_and(|attempt| entry.attempt == Some(attempt.id));
    let open = claim.live_attempt().is_some() && !resolved;
    secret.managed
        && secret.owned
        && secret.held_elsewhere.is_none()
        && secret.refused.is_none()
        && secret.rendered
        && secret.value != super::Value::Absent
        && claim.owner == facts.object.owner
        && !open
        && (facts.object.trigger.is_none()
            || facts.object.trigger.as_deref() == claim.handled(entry.attempt))
        && (memory.verified.as_ref() == revision
            || (memory.verified.is_none() && facts.object.verified.as_ref() == revision))
        && memory.refusals.is_none()
        && memory.drift.is_none()
        && memory.no_verdict.is_none()
        && facts
            .hint
            .is_none_or(|hint| hint == entry.sequence || Some(hint) == memory.looked_at)
        && !matches!(facts.object.due, DueState::Due { .. })
}

pub(super) fn settled_report(facts: &Facts) -> Report {
    match facts.object.due {
        DueState::OnTriggerOnly => Report::Settled {
            next: None,
            awaiting: false,
            overdue: false,
        },
        DueState::NotDue { next } => Report::Settled {
            next: Some(next),
            awaiting: false,
            overdue: false,
        },
        DueState::AwaitingWindow { opens, overdue, .. } => Report::Settled {
            next: Some(opens),
            awaiting: true,
            overdue,
        },
        DueState::Due { since, overdue } => Report::Settled {
            next: Some(since),
            awaiting: false,
            overdue,
        },
    }
}

/// Refuses Secrets that are not ours to touch.
fn usable(facts: &Facts, secret: &SecretView) -> Result<(), Step> {
    if let Some(owner) = &secret.held_elsewhere {
        let blocked = Blocked {
            by: Some(owner.clone()),
            ..Reason::SecretKeyConflict.into()
        };
        return Err(rest(Report::Stalled {
            blocked,
            retry: Retry::After(facts.timing.retry_most),
        }));
    }
    if secret.commit == Err(RecordError::Newer) {
        return Err(stalled(
            Reason::CommitRecordFromNewerVersion,
            Retry::OnChange,
        ));
    }
    if !secret.managed && !facts.object.adopt {
        return Err(stalled(
            Reason::SecretNotOwned,
            Retry::After(facts.timing.retry_most),
        ));
    }
    Ok(())
}

/// Step 6 of the protocol: after the claim is durable, nothing may have moved since the cause was found.
fn recheck(
    round: &mut Round<'_>,
    claimed: &Claimed,
    attempt: &Attempt,
    claim: Option<&Claim>,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    let secret_unmoved =
        matches!(secret, SecretState::Present(view) if view.version == claimed.secret);
    let journal_unmoved = match &facts.journal {
        Observed::Live(journal) => {
            journal.newest().map(|event| event.sequence) == attempt.pre_sequence
        }
        Observed::Failed(failure) => failure.permanent && attempt.pre_sequence.is_none(),
        Observed::Unread | Observed::Cached(_) => return Err(Step::Read(&[Source::Journal])),
    };
    let in_time = round.left(claimed.since, facts.timing.send).is_some();
    if secret_unmoved && journal_unmoved && in_time && gate(facts).is_none() {
        return Ok(Step::Send {
            attempt: attempt.id,
            cause: attempt.cause,
            secret: claimed.secret.clone(),
        });
    }
    round.memory.claimed = None;
    let voided = claim.map(Claim::voided);
    Ok(voided.map_or_else(
        || Step::Read(&[Source::Claim]),
        |claim| round.write_claim(claim),
    ))
}

/// Steps 3 to 5: gates, rehearsal, claim.
pub(super) fn prepare(
    round: &mut Round<'_>,
    cause: Cause,
    claim: Option<&Claim>,
    secret: &SecretState,
) -> Result<Step, Step> {
    let facts = round.facts;
    let stored = entry_attempt(secret);
    // A trigger that is newer than both the handled one and the open attempt's gives exactly one attempt past every brake.
    let fresh_trigger = facts.object.trigger.is_some()
        && claim.is_none_or(|claim| {
            claim.handled(stored) != facts.object.trigger.as_deref()
                && claim.trigger(true) != facts.object.trigger.as_deref()
        });
    if let Some(step) = round.backing_off() {
        return Ok(step);
    }
    if matches!(facts.journal, Observed::Unread | Observed::Cached(_))
        || matches!(facts.app, Observed::Unread | Observed::Cached(_))
    {
        return Err(Step::Read(&[Source::Journal, Source::App]));
    }
    let app = round.app()?;
    let pre_sequence = match &facts.journal {
        Observed::Live(journal) => {
            if cause.is_repair()
                && !fresh_trigger
                && breaker_open(
                    journal,
                    facts.now.time,
                    &facts.timing,
                    facts.object.explained,
                )
            {
                return Ok(stalled(
                    Reason::BreakerOpen,
                    Retry::After(facts.timing.retry_most),
                ));
            }
            journal.newest().map(|event| event.sequence)
        }
        Observed::Failed(failure) if !failure.permanent => return Err(round.failed(failure)),
        _ => None,
    };
    if let Some(reason) = app.refused {
        return Ok(stalled(reason, Retry::After(facts.timing.retry_most)));
    }
    if cause == Cause::Due && facts.now.skewed {
        return Ok(rest(working_or_usable(
            facts,
            Reason::ClockSkew.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    if cause.is_repair() && facts.gates.repairs_exhausted && !fresh_trigger {
        return Ok(rest(working_or_usable(
            facts,
            Reason::RepairLimit.into(),
            Retry::After(facts.timing.retry_first),
        )));
    }
    let secret = match secret {
        SecretState::Absent => return Ok(Step::CreateShell),
        SecretState::Present(secret) => secret,
    };
    if let Some(reason) = secret.refused {
        return Ok(stalled(reason, Retry::OnChange));
    }
    if round
        .memory
        .prepared
        .as_ref()
        .is_none_or(|prepared| prepared.secret != secret.version)
    {
        return Ok(Step::Rehearse(secret.version.clone()));
    }
    let cause = if fresh_trigger && cause.is_repair() {
        Cause::Trigger
    } else {
        cause
    };
    let issued = claim.is_some_and(|claim| claim.issued) || matches!(secret.commit, Ok(Some(_)));
    let handled = claim.and_then(|claim| claim.handled(stored).map(ToOwned::to_owned));
    let open = claim.and_then(Claim::live_attempt);
    // NB: an object without news may be an old view of it: what the open attempt was to handle is handled by this one.
    let trigger = match &facts.object.trigger {
        Some(trigger) if handled.as_ref() != Some(trigger) => Some(trigger.clone()),
        _ => open
            .and_then(|attempt| attempt.trigger.clone())
            .or_else(|| facts.object.trigger.clone())
            .or_else(|| handled.clone()),
    };
    let invalid_repair = match cause {
        Cause::SecretInvalid => Some(facts.now.time),
        _ => claim.and_then(|claim| claim.invalid_repair),
    };
    let attempt = Attempt {
        id: facts.fresh_attempt,
        pre_sequence,
        cause,
        trigger,
        holder: facts.holder.clone(),
        time: facts.now.time,
        state: AttemptState::Open,
    };
    let owner = facts.object.owner.clone();
    let replaced = claim.map_or_else(Vec::new, |claim| claim.replaced(stored));
    let claim = Claim {
        version: Claim::VERSION,
        owner,
        handled_trigger: handled,
        issued,
        invalid_repair,
        attempt: Some(attempt),
        replaced,
    };
    Ok(round.write_claim(claim))
}

impl Round<'_> {
    /// The step that writes a claim over the one that was read.
    pub(super) fn write_claim(&self, claim: Claim) -> Step {
        Step::WriteClaim {
            claim: Box::new(claim),
            over: self.over.clone(),
        }
    }

    /// The revision of the claim that was read.
    pub(super) fn claim_version(&self) -> Option<Version> {
        self.over.clone()
    }

    /// How much of `span` is left since `since`; none if it is over.
    pub(super) fn left(&self, since: Duration, span: Duration) -> Option<Duration> {
        let gone = self.facts.now.boot.saturating_sub(since);
        span.checked_sub(gone).filter(|left| !left.is_zero())
    }

    /// The application, read live.
    pub(super) fn app(&mut self) -> Result<AppView, Step> {
        match &self.facts.app {
            Observed::Live(app) => Ok(*app),
            Observed::Failed(failure) => Err(self.failed(failure)),
            Observed::Unread | Observed::Cached(_) => Err(Step::Read(&[Source::App])),
        }
    }

    /// The rest that a failure asks for. A new trigger does not wait.
    pub(super) fn backing_off(&self) -> Option<Step> {
        let facts = self.facts;
        let backoff = self.memory.backoff.as_ref()?;
        if backoff.trigger != facts.object.trigger {
            return None;
        }
        let left = backoff
            .until
            .checked_sub(facts.now.boot)
            .filter(|left| !left.is_zero())?;
        let blocked = Blocked::from(&backoff.failure);
        let retry = Retry::After(left);
        Some(rest(if backoff.failure.permanent {
            Report::Stalled { blocked, retry }
        } else {
            working_or_usable(facts, blocked, retry)
        }))
    }

    /// Counts a refusal of the stored value; probes in quick succession count once. When the first was, and how many.
    pub(super) fn refused_once_more(&mut self, secret: &Version) -> (Duration, u32) {
        let now = self.facts.now.boot;
        let apart = self.facts.timing.dead / (self.facts.timing.dead_probes.max(2) - 1) / 2;
        let refusals = match self.memory.refusals.take() {
            Some(refusals) if refusals.secret == *secret => {
                let again = now.saturating_sub(refusals.last) >= apart;
                Refusals {
                    count: refusals.count + u32::from(again),
                    last: if again { now } else { refusals.last },
                    ..refusals
                }
            }
            _ => Refusals {
                secret: secret.clone(),
                count: 1,
                first: now,
                last: now,
            },
        };
        let counted = (refusals.first, refusals.count);
        self.memory.refusals = Some(refusals);
        counted
    }

    /// A read failed: forget what depends on uninterrupted reads, and wait, longer each time.
    pub(super) fn failed(&mut self, failure: &Failure) -> Step {
        self.memory.read_failed();
        let delay = self.memory.back_off(self.facts, failure);
        let blocked = Blocked::from(failure);
        rest(if failure.permanent {
            Report::Stalled {
                blocked,
                retry: Retry::After(delay),
            }
        } else {
            working_or_usable(self.facts, blocked, Retry::After(delay))
        })
    }
}

impl Memory {
    /// Generate was not carried out, or a read failed: the wait before the next try, by what is remembered of earlier ones.
    pub fn back_off(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let count = self
            .backoff
            .as_ref()
            .map_or(0, |backoff| backoff.count)
            .saturating_add(1);
        let timing = &facts.timing;
        let wait = if failure.permanent {
            timing.retry_most
        } else {
            timing
                .retry_first
                .saturating_mul(1 << (count - 1).min(16))
                .min(timing.retry_most)
        };
        let wait = spread(wait, &facts.object.owner.uid, count);
        let until = facts.now.boot.saturating_add(wait);
        let trigger = facts.object.trigger.clone();
        self.backoff = Some(Backoff {
            count,
            until,
            failure: failure.clone(),
            trigger,
        });
        wait
    }
}

/// ±20 %, the same for an object and count every time.
fn spread(wait: Duration, uid: &str, count: u32) -> Duration {
    let hash = uid
        .bytes()
        .chain(count.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let percent = 80 + u32::try_from(hash % 41).unwrap_or(20);
    wait.saturating_mul(percent) / 100
}

pub(super) fn rest(report: Report) -> Step {
    Step::Rest(report)
}

pub(super) fn stalled(reason: Reason, retry: Retry) -> Step {
    rest(Report::Stalled {
        blocked: reason.into(),
        retry,
    })
}

/// Waiting, with a word on whether there is a credential that can be used meanwhile.
pub(super) fn waiting(facts: &Facts, blocked: Blocked, retry: Retry) -> Report {
    working_or_usable(facts, blocked, retry)
}

fn working_or_usable(facts: &Facts, blocked: Blocked, retry: Retry) -> Report {
    let usable = match facts.secret.known() {
        Some(SecretState::Present(secret)) => {
            matches!(secret.commit, Ok(Some(_)))
                && secret.value != super::Value::Absent
                && facts.memory.refusals.is_none()
        }
        _ => false,
    };
    if usable {
        Report::Usable { blocked, retry }
    } else {
        Report::Working { blocked, retry }
    }
}
