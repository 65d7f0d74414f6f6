//! Whether a repair may be made now: the breaker, and the pause before a lost answer is made up for. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use jiff::Timestamp;

use crate::api::Reason;
use crate::ids::AttemptId;
use crate::rotation::breaker::{OpenBreaker, Standing};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::Facts;
use crate::rotation::memory::Loss;
use crate::rotation::new_claim::Before;
use crate::rotation::observed::Observed;
use crate::rotation::repairs::Repairs;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest};
use crate::rotation::verdict::Verdict;

/// The breaker, and the pause before a lost answer is made up for. What came in place of that answer, if it is known.
pub(super) fn repair(
    eval: &mut Evaluation<'_>,
    cause: Cause,
    held: bool,
    claims: &mut Before<'_>,
    open: Option<AttemptId>,
    secret: &SecretState,
) -> ControlFlow<Step, Option<String>> {
    let facts = eval.facts;
    if claims.replaced.is_none() {
        let counted = eval.repairs(None)?;
        claims.repairs = Repairs::of([claims.repairs.clone(), counted].into_iter());
    }
    let lost = eval.memory.answer.as_ref();
    let answer = lost
        .filter(|(attempt, _)| Some(*attempt) == open)
        .map(|(_, answer)| answer.clone());
    if cause == Cause::LostAttempt {
        let event = match &eval.seen().journal {
            Observed::Live(journal) => journal.newest_own(),
            _ => None,
        };
        let event = event.map(|event| Loss::Event(event.sequence));
        eval.memory.lost = event.or(open.map(Loss::Attempt)).or(eval.memory.lost);
    }
    if !held {
        return Continue(answer);
    }
    if let Some(closes) = claims.repairs.closes(facts.now.time, &facts.timing) {
        if let Some(step) = breaker_holds(eval, claims) {
            return Break(step);
        }
        let breaker = OpenBreaker {
            closes,
            repairs: claims.repairs.clone(),
            held: cause,
            answer,
            standing: standing(eval, secret)?,
        };
        return Break(breaker_is_open(facts, breaker));
    }
    if cause == Cause::LostAttempt {
        pause(eval, open, &claims.repairs, secret)?;
    }
    Continue(answer)
}

/// The report of a breaker that is open. It is checked again when it closes; until then ever more rarely, so that what is said of
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
fn standing(eval: &mut Evaluation<'_>, secret: &SecretState) -> ControlFlow<Step, Standing> {
    let view = match secret {
        SecretState::Present(view) if view.value != Value::Absent => view,
        _ => return Continue(Standing::Gone),
    };
    let verdict = match &eval.facts.probe {
        Observed::Unread | Observed::Cached(_) => return Break(eval.read(&[Source::Probe])),
        Observed::Live(verdict) => *verdict,
        Observed::Failed(_) => Verdict::Unknown,
    };
    let now = eval.facts.now.boot;
    eval.memory.judged(&view.version, verdict, now);
    Continue(match verdict {
        Verdict::Accepted => Standing::Accepted,
        Verdict::Rejected => Standing::Rejected,
        Verdict::Unknown => Standing::Unknown,
    })
}

/// The first lost answer is made up for at once, the next ones after ever longer pauses: what spoils one answer may spoil the next.
fn pause(
    eval: &mut Evaluation<'_>,
    open: Option<AttemptId>,
    repairs: &Repairs,
    secret: &SecretState,
) -> ControlFlow<Step> {
    let facts = eval.facts;
    let Some(open) = open.filter(|open| eval.memory.not_executed != Some(*open)) else {
        return Continue(());
    };
    let before = repairs.lost(facts.now.time, &facts.timing);
    let since = eval.memory.attempt_seen(open, facts.now.boot);
    let Some(left) = eval.left(since, facts.timing.lost_pause(before)) else {
        return Continue(());
    };
    let standing = standing(eval, secret)?;
    let blocked = Reason::LostAttempt.into();
    let retry = Retry::After(left);
    Break(rest(if standing == Standing::Accepted {
        Report::Usable { blocked, retry }
    } else {
        Report::Working { blocked, retry }
    }))
}

/// A repair is held back until there is a new trigger. Where the claim was deleted, one that names the present trigger is
/// written first.
pub(super) fn breaker_holds(eval: &Evaluation<'_>, claims: &Before<'_>) -> Option<Step> {
    let object = &eval.facts.object;
    // NB: the present trigger counts as handled. What its rotation came to went with the claim, and deleting it again and again must
    // not get past the breaker.
    let claim = Claim::settled(object.owner.clone(), object.trigger.clone(), None)
        .remembering(claims.repairs.clone());
    let none = claims.stored.is_none() && claims.replaced.is_none();
    none.then(|| eval.write_claim(claim))
}
