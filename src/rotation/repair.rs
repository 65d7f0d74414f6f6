//! Whether a repair may be made now: the breaker, and the pause before a lost answer is made up for. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use jiff::Timestamp;

use crate::api::Reason;
use crate::ids::AttemptId;
use crate::rotation::breaker::{OpenBreaker, Standing};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::facts::{Facts, Probe};
use crate::rotation::memory::Loss;
use crate::rotation::new_claim::Before;
use crate::rotation::observed::Observed;
use crate::rotation::repairs::Repairs;
use crate::rotation::round::Round;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest};

/// The breaker, and the pause before a lost answer is made up for. What came in place of that answer, if it is known.
pub(super) fn repair(
    round: &mut Round<'_>,
    cause: Cause,
    held: bool,
    claims: &mut Before<'_>,
    open: Option<AttemptId>,
    secret: &SecretState,
) -> ControlFlow<Step, Option<String>> {
    let facts = round.facts;
    if claims.replaced.is_none() {
        let counted = round.repairs(None)?;
        claims.repairs = Repairs::of([claims.repairs.clone(), counted].into_iter());
    }
    let lost = round.memory.answer.as_ref();
    let answer = lost
        .filter(|(attempt, _)| Some(*attempt) == open)
        .map(|(_, answer)| answer.clone());
    if cause == Cause::LostAttempt {
        let event = match &round.seen().journal {
            Observed::Live(journal) => journal.newest_own(),
            _ => None,
        };
        let event = event.map(|event| Loss::Event(event.sequence));
        round.memory.lost = event.or(open.map(Loss::Attempt)).or(round.memory.lost);
    }
    if !held {
        return Continue(answer);
    }
    if let Some(closes) = claims.repairs.closes(facts.now.time, &facts.timing) {
        if let Some(step) = held_back(round, claims) {
            return Break(step);
        }
        let breaker = OpenBreaker {
            closes,
            repairs: claims.repairs.clone(),
            held: cause,
            answer,
            standing: standing(round, secret)?,
        };
        return Break(breaker_is_open(facts, breaker));
    }
    if cause == Cause::LostAttempt {
        pause(round, open, &claims.repairs, secret)?;
    }
    Continue(answer)
}

/// The report of a breaker that is open. It is looked at again when it closes; until then ever more rarely, so that what is said of
/// the stored value stays true.
fn breaker_is_open(facts: &Facts, breaker: OpenBreaker) -> Step {
    let now = facts.now.time;
    let apart = |from: Timestamp, to: Timestamp| to.duration_since(from).unsigned_abs();
    let last = breaker
        .repairs
        .times
        .last()
        .copied()
        .unwrap_or(now)
        .min(now);
    let probe = facts.timing.probe;
    let again = apart(last, now).clamp(probe, probe * 15);
    let retry = Retry::After(again.min(apart(now, breaker.closes)));
    let is_accepted = breaker.standing == Standing::Accepted;
    let blocked = Blocked {
        breaker: Some(Box::new(breaker)),
        ..Reason::BreakerOpen.into()
    };
    rest(if is_accepted {
        Report::Usable { blocked, retry }
    } else {
        Report::Stalled { blocked, retry }
    })
}

/// What is known of the stored value while its repair waits: it is asked now, so that what is reported is true.
fn standing(round: &mut Round<'_>, secret: &SecretState) -> ControlFlow<Step, Standing> {
    let view = match secret {
        SecretState::Present(view) if view.value != Value::Absent => view,
        _ => return Continue(Standing::Gone),
    };
    let verdict = match &round.facts.probe {
        Observed::Unread | Observed::Cached(_) => return Break(round.read(&[Source::Probe])),
        Observed::Live(verdict) => *verdict,
        Observed::Failed(_) => Probe::NoVerdict,
    };
    let now = round.facts.now.boot;
    round.memory.judged(&view.version, verdict, now);
    Continue(match verdict {
        Probe::Valid => Standing::Accepted,
        Probe::Refused => Standing::Rejected,
        Probe::NoVerdict => Standing::Unknown,
    })
}

/// The first lost answer is made up for at once, the next ones after ever longer pauses: what spoils one answer may spoil the next.
fn pause(
    round: &mut Round<'_>,
    open: Option<AttemptId>,
    repairs: &Repairs,
    secret: &SecretState,
) -> ControlFlow<Step> {
    let facts = round.facts;
    let Some(open) = open.filter(|open| round.memory.not_executed != Some(*open)) else {
        return Continue(());
    };
    let before = repairs.lost(facts.now.time, &facts.timing);
    let since = round.memory.attempt_seen(open, facts.now.boot);
    let Some(left) = round.left(since, facts.timing.lost_pause(before)) else {
        return Continue(());
    };
    let standing = standing(round, secret)?;
    let blocked = Reason::LostAttempt.into();
    let retry = Retry::After(left);
    Break(rest(if standing == Standing::Accepted {
        Report::Usable { blocked, retry }
    } else {
        Report::Working { blocked, retry }
    }))
}

/// A repair is held back until there is a new trigger. Where somebody has deleted the claim, one that says which is the present one is
/// written first.
pub(super) fn held_back(round: &Round<'_>, claims: &Before<'_>) -> Option<Step> {
    let object = &round.facts.object;
    // NB: the present trigger counts as handled. What its rotation came to went with the claim, and whoever deletes that again and again must
    // not get past the breaker.
    let claim = Claim::settled(object.owner.clone(), object.trigger.clone(), None)
        .remembering(claims.repairs.clone());
    let none = claims.stored.is_none() && claims.replaced.is_none();
    none.then(|| round.write_claim(claim))
}
