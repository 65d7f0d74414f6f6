//! What the search for a cause comes to. No I/O.

use std::ops::ControlFlow::{self, Continue};

use jiff::Timestamp;

use crate::api::Reason;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::commit::Entry;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::observed::Version;
use crate::rotation::record::Owner;
use crate::rotation::slot::Slot;
use crate::rotation::step::{Report, Retry, Step, stalled};

/// What the search came to.
pub(in crate::rotation) enum Found {
    /// A reason to rotate.
    Cause(Cause),
    /// A reason to rotate in place of the open attempt, which is known not to have been carried out.
    Replace(Cause),
    /// A lost answer to make up for once more, since the attempt that was to do so is known not to have been carried out.
    Again,
    /// None, but this claim is to be written first.
    Claim(Box<Claim>),
    /// None, but the Secret is to be written again from the value it holds.
    Render {
        /// The revision to replace.
        over: Version,
        /// An application, and the entry to record for it; none: those that are there.
        record: Option<(Slot, Entry)>,
    },
    /// None.
    Nothing(Report),
}

/// An existing value is to be adopted, and there is none that can be. A new one would invalidate the one that consumers use, so it is made
/// only for a trigger that was set since. `mine` is the object's own claim, which knows the trigger that was there before.
pub(super) fn nothing_to_adopt(
    eval: &mut Evaluation<'_>,
    mine: Option<&Claim>,
    claim: Option<&Claim>,
) -> ControlFlow<Step, Found> {
    let facts = eval.facts;
    let trigger = facts.object.trigger.as_deref();
    let Some(mine) = mine else {
        let trigger = facts.object.trigger.clone();
        return claimed(eval, claim, trigger, Claim::unissued);
    };
    if trigger.is_some() && trigger != mine.trigger(false) {
        return Continue(Found::Cause(Cause::Trigger));
    }
    Continue(Found::Nothing(stalled(
        Reason::NothingToAdopt,
        Retry::After(facts.timing.retry_most / 12),
    )))
}

/// Writes the object's own claim without an attempt, over one that was another's or over none.
pub(super) fn claimed(
    eval: &mut Evaluation<'_>,
    before: Option<&Claim>,
    trigger: Option<String>,
    make: fn(Owner, Option<String>, Option<Timestamp>) -> Claim,
) -> ControlFlow<Step, Found> {
    let claim = taken_over(eval, before, trigger, make)?;
    Continue(Found::Claim(Box::new(claim)))
}

/// The object's own claim without an attempt, over one that was another's or over none. What that remembers is kept: repairs, the standby.
pub(in crate::rotation) fn taken_over(
    eval: &mut Evaluation<'_>,
    before: Option<&Claim>,
    trigger: Option<String>,
    make: fn(Owner, Option<String>, Option<Timestamp>) -> Claim,
) -> ControlFlow<Step, Claim> {
    let repairs = eval.repairs(before)?;
    eval.current()?;
    let owner = eval.facts.object.owner.clone();
    let claim = make(owner, trigger, before.and_then(|it| it.invalid_repair));
    let unknown = before.map(|it| it.unknown.clone()).unwrap_or_default();
    Continue(Claim {
        unknown,
        standby: before.and_then(|it| it.standby.clone()),
        ..claim.remembering(repairs)
    })
}
