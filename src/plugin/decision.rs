//! What the operator does with an object now: its own decision, asked about a world in which everything is as the status says. No I/O.
//!
//! Taken for granted, since only the operator sees it: ZITADEL answers, its applications can be rotated, and it accepts the stored pair; no
//! attempt is under way; the Secret and the claim are as the status says; and no one else uses the application.

mod scene;

use crate::api::Reason;
pub use crate::plugin::decision::scene::{Found, Scene};
use crate::plugin::decision::scene::{app, present};
use crate::rotation::{
    self, Awaits, Cause, Claim, ClaimView, Observed, Prepared, Report, SecretState, Step,
};

/// More steps in a row mean that there is no end of it.
const STEPS: usize = 8;

/// What the operator does.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Act {
    /// It generates a client secret.
    Rotates(Cause),
    /// It writes the Secret again from the value that is there.
    Renders,
    /// It writes the value to a Secret of another name.
    Moves,
    /// It creates the standby application.
    Provisions,
    /// It takes over a value that exists.
    TakesOver,
}

/// What the operator does, one after the other, until it rotates or rests.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Course {
    /// What it does.
    pub acts: Vec<Act>,
    /// What it reports then; none if it rotates.
    pub rests: Option<Report>,
}

impl Course {
    /// Why it rotates, if it does.
    pub fn cause(&self) -> Option<Cause> {
        self.acts.iter().find_map(|act| match act {
            Act::Rotates(cause) => Some(*cause),
            _ => None,
        })
    }

    /// Whether what is due waits for consumers.
    pub const fn awaits_consumers(&self) -> bool {
        let Some(Report::Settled { awaits, .. }) = &self.rests else {
            return false;
        };
        matches!(awaits, Awaits::Consumers)
    }

    /// Why it does not go on, if a person must do something.
    pub fn stalled(&self) -> Option<Reason> {
        match self.rests.as_ref()? {
            Report::Stalled { blocked, .. } => Some(blocked.reason),
            Report::Quiet(reason) => Some(*reason),
            _ => None,
        }
    }
}

impl Scene<'_> {
    /// What the operator does with the object.
    pub fn course(&self) -> Course {
        let mut facts = self.facts();
        let mut acts = Vec::new();
        for _ in 0..STEPS {
            let decision = rotation::decide(&facts);
            facts.memory = decision.memory;
            let act = match decision.step {
                Step::Rest(report) => {
                    let rests = Some(report);
                    return Course { acts, rests };
                }
                Step::WriteClaim { slot, claim, .. } => {
                    let Some(attempt) = claim.live_attempt() else {
                        facts.of_mut(slot).claim = present(*claim);
                        continue;
                    };
                    // NB: of causes that this version decides on, it knows all.
                    Act::Rotates(attempt.cause.known().unwrap_or(Cause::Trigger))
                }
                Step::CreateShell => {
                    facts.secret = Observed::Live(SecretState::Present(self.shell()));
                    continue;
                }
                Step::Rehearse { slot, over } => {
                    let prepared = Prepared { slot, secret: over };
                    facts.memory.prepared = Some(Box::new(prepared));
                    continue;
                }
                Step::Render { record, .. } => {
                    let Observed::Live(SecretState::Present(secret)) = &mut facts.secret else {
                        break;
                    };
                    secret.rendered = true;
                    secret.owned = true;
                    match record {
                        Some((_, entry)) => {
                            secret.commit = Ok(Some(entry));
                            secret.managed = true;
                            Act::TakesOver
                        }
                        None => Act::Renders,
                    }
                }
                Step::Move { .. } | Step::DropFormer(_) => {
                    facts.former = None;
                    facts.secret = Observed::Live(SecretState::Present(self.stored()));
                    Act::Moves
                }
                Step::Provision { claim, .. } => {
                    let standby = Some(self.target.app.app.clone());
                    facts.primary.claim = present(Claim { standby, ..*claim });
                    facts.standby = Some(app(ClaimView::Absent));
                    Act::Provisions
                }
                Step::Read { .. } | Step::Send { .. } => break,
            };
            let ends = matches!(act, Act::Rotates(_));
            acts.push(act);
            if ends {
                break;
            }
        }
        Course { acts, rests: None }
    }
}

#[cfg(test)]
mod tests;
