//! The steps that can be decided on, and what is reported. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Reason;
use crate::ids::AttemptId;
use crate::rotation::breaker::OpenBreaker;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::commit::Entry;
use crate::rotation::observed::{Failure, Version};
use crate::rotation::record::Owner;
use crate::rotation::schedule::DueState;
use crate::rotation::secret::Former;
use crate::rotation::slot::Slot;

/// Something to read before a decision can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Source {
    /// The `ApiAppSecret`, by GET: what the watch shows may be old. Read after the claim, so that a claim over that revision fails
    /// where another replica has acted on a newer object meanwhile.
    Object,
    /// The claims, by GET.
    Claim,
    /// The Secret, by GET.
    Secret,
    /// The application, by GET, which makes ZITADEL's projection catch up.
    App,
    /// The journal.
    Journal,
    /// Introspection with the stored value.
    Probe,
}

/// One step. The shell carries it out and observes again.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Step {
    /// Read these, at once.
    Read {
        /// What to read.
        sources: &'static [Source],
        /// The application that App and Journal are read of.
        slot: Slot,
    },
    /// Create the Secret without data: proves creation rights, quota and ownership, and its uid fences the flush.
    CreateShell,
    /// Apply the Secret in its final form and size as a dry run.
    Rehearse {
        /// The application whose pair it will hold.
        slot: Slot,
        /// The revision to replace.
        over: Version,
    },
    /// Write the claim: over the revision given, or create it.
    WriteClaim {
        /// The application.
        slot: Slot,
        /// What to write.
        claim: Box<Claim>,
        /// The revision to replace; none: it must not exist.
        over: Option<Version>,
    },
    /// Create the standby application, or find the one that was created before, and record its id in the claim.
    Provision {
        /// What to write besides the id.
        claim: Box<Claim>,
        /// The revision to replace; none: it must not exist.
        over: Option<Version>,
    },
    /// Send generate, once.
    Send {
        /// The application.
        slot: Slot,
        /// The attempt.
        attempt: AttemptId,
        /// Why.
        cause: Cause,
        /// The Secret that the answer will be written to.
        secret: Version,
    },
    /// Write the Secret again from the value it holds, with a commit record.
    Render {
        /// The revision to replace.
        over: Version,
        /// An application, and the entry to record for it; none: those that are there.
        record: Option<(Slot, Entry)>,
    },
    /// Write the Secret under its new name from the one under its former name.
    Move {
        /// The former one.
        former: Former,
        /// The revision to replace; none: it is created.
        over: Option<Version>,
    },
    /// Delete the Secret under its former name, or what the operator wrote in it; the value is in the new one.
    DropFormer(Former),
    /// Nothing to do now.
    Rest(Report),
}

/// When to reconcile again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Retry {
    /// When something changes.
    OnChange,
    /// After this long, or when something changes.
    After(Duration),
    /// At this time on ZITADEL's clock, or when something changes.
    At(Timestamp),
}

/// Why nothing can be done now.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Blocked {
    /// The reason.
    pub reason: Reason,
    /// The object that stands in the way, if it is one.
    pub by: Option<Owner>,
    /// ZITADEL's error id, if there is one.
    pub error_id: Option<String>,
    /// What came back, in words of the operator's own.
    pub answer: Option<String>,
    /// The call to ZITADEL that failed, if it was one.
    pub call: Option<&'static str>,
    /// Why the connection cannot be used, in its own sentence, if that is why.
    pub connection: Option<String>,
    /// Why and until when repairs are held back, if that is the reason.
    pub breaker: Option<Box<OpenBreaker>>,
}

impl From<Reason> for Blocked {
    fn from(reason: Reason) -> Self {
        Self {
            reason,
            by: None,
            error_id: None,
            answer: None,
            call: None,
            connection: None,
            breaker: None,
        }
    }
}

impl From<&Failure> for Blocked {
    fn from(failure: &Failure) -> Self {
        Self {
            reason: failure.reason,
            by: None,
            error_id: failure.error_id.clone(),
            answer: failure.answer.clone(),
            call: failure.call,
            connection: failure.connection.clone(),
            breaker: None,
        }
    }
}

/// What a due rotation waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Awaits {
    /// None is due.
    Nothing,
    /// Its window.
    Window,
    /// Its start, while the operator catches up after downtime.
    CatchUp,
    /// Consumers that may hold the previous pair.
    Consumers,
}

/// What a reconciliation came to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Report {
    /// The Secret holds a credential that ZITADEL accepts, and nothing is due.
    Settled {
        /// The next time something is due.
        next: Option<Timestamp>,
        /// What a due rotation waits for.
        awaits: Awaits,
        /// No window opens before the rotation is overdue.
        overdue: bool,
    },
    /// The stored credential can be used as far as is known; something else is waited for.
    Usable {
        /// What for.
        blocked: Blocked,
        /// When to reconcile again.
        retry: Retry,
    },
    /// Under way; the credential may be unusable at this moment.
    Working {
        /// What is waited for.
        blocked: Blocked,
        /// When to reconcile again.
        retry: Retry,
    },
    /// A person must act.
    Stalled {
        /// Why.
        blocked: Blocked,
        /// When to reconcile again.
        retry: Retry,
    },
    /// Everything is stopped.
    Quiet(Reason),
    /// The object is not what the watch shows any more: nothing is done or said about the old one.
    Outdated {
        /// When to reconcile again, if the watch does not show it by then.
        retry: Retry,
    },
}

impl Report {
    /// Nothing is due, or what is due waits.
    pub(super) const fn settled(due: DueState) -> Self {
        let (next, awaits, overdue) = match due {
            DueState::OnTriggerOnly => (None, Awaits::Nothing, false),
            DueState::NotDue { next } => (Some(next), Awaits::Nothing, false),
            DueState::AwaitingWindow { opens, overdue, .. } => {
                (Some(opens), Awaits::Window, overdue)
            }
            DueState::CatchingUp {
                starts, overdue, ..
            } => (Some(starts), Awaits::CatchUp, overdue),
            DueState::AwaitingConsumers { .. } => (None, Awaits::Consumers, false),
            DueState::Due { since, overdue } => (Some(since), Awaits::Nothing, overdue),
        };
        Self::Settled {
            next,
            awaits,
            overdue,
        }
    }
}

/// The step that only reports.
pub(super) const fn rest(report: Report) -> Step {
    Step::Rest(report)
}

/// A person must act, for this reason.
pub(super) fn stalled(reason: Reason, retry: Retry) -> Report {
    Report::Stalled {
        blocked: reason.into(),
        retry,
    }
}

/// Waiting. Whether there is a credential that can be used meanwhile, [`truth`](super::truth) says of every report.
pub(super) const fn waiting(blocked: Blocked, retry: Retry) -> Report {
    Report::Usable { blocked, retry }
}
