//! The claims of an object's one or two applications, and which of them the next value is generated on. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, Claim};
use crate::rotation::evaluation::Evaluation;
use crate::rotation::observed::Observed;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::slot::Slot;
use crate::rotation::step::{Source, Step};

/// The claims of an object's applications.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Claims<'a> {
    pub(super) primary: Option<&'a Claim>,
    pub(super) standby: Option<&'a Claim>,
}

impl<'a> Claims<'a> {
    /// The claim of an application.
    pub(super) const fn of(self, slot: Slot) -> Option<&'a Claim> {
        match slot {
            Slot::Primary => self.primary,
            Slot::Standby => self.standby,
        }
    }

    /// The same claims with another one for an application.
    pub(super) const fn with(mut self, slot: Slot, claim: Option<&'a Claim>) -> Self {
        match slot {
            Slot::Primary => self.primary = claim,
            Slot::Standby => self.standby = claim,
        }
        self
    }

    /// Both.
    pub(super) fn all(self) -> impl Iterator<Item = &'a Claim> + Clone {
        self.primary.into_iter().chain(self.standby)
    }

    /// The attempt of an application that may be under way, given what the Secret carries.
    pub(super) fn open(self, slot: Slot, secret: &SecretState) -> Option<(&'a Claim, &'a Attempt)> {
        let claim = self.of(slot)?;
        let attempt = claim.live_attempt()?;
        (secret.attempt(slot) != Some(attempt.id)).then_some((claim, attempt))
    }
}

/// The application that a value is generated on for this cause.
pub(super) fn target(
    eval: &Evaluation<'_>,
    cause: Cause,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step, Slot> {
    let facts = eval.facts;
    let active = facts.active();
    if facts.standby.is_none() {
        return Continue(Slot::Primary);
    }
    if let SecretState::Present(view) = secret
        && (view.value != Value::Absent || matches!(view.commit, Ok(Some(_))))
    {
        return Continue(active.other());
    }
    if facts.object.last_active.is_some()
        || !matches!(cause, Cause::FirstIssue | Cause::LostAttempt)
    {
        // What was stored is gone. A consumer that still has it in memory keeps a pair that works.
        return Continue(active.other());
    }
    // The attempt that began last continues, so that at most one application has a lost answer.
    let began = |slot: &Slot| Some((claims.open(*slot, secret)?.1.id, *slot));
    if let Some((_, slot)) = Slot::ALL.iter().filter_map(began).max() {
        return Continue(slot);
    }
    // A secret of another actor, which may be in use, is spared if there is an application without one. No one has that of an application
    // which the operator created.
    let order = if facts.object.provisioned {
        [Slot::Standby, Slot::Primary]
    } else {
        Slot::ALL
    };
    for slot in order {
        match &facts.of(slot).journal {
            Observed::Unread | Observed::Cached(_) => {
                return Break(Step::Read {
                    sources: &[Source::Journal],
                    slot,
                });
            }
            Observed::Live(journal) if journal.0.is_empty() => return Continue(slot),
            Observed::Live(_) | Observed::Failed(_) => {}
        }
    }
    Continue(Slot::Primary)
}
