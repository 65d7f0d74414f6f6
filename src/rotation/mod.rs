//! The pure core: everything that was observed goes in, one next step comes out. No I/O, no clock, no randomness.
//!
//! [`decide()`] is the only place in the operator where anything is decided. The shell in [`crate::reconcile`] carries the step
//! out and observes again; the model checker explores this very function.

mod attempt;
mod backoff;
mod breaker;
mod cause;
mod claim;
mod claims;
mod commit;
mod decide;
mod evaluation;
mod facts;
mod fence;
mod fingerprint;
mod foreign;
mod gate;
mod hash;
mod journal;
mod memory;
mod new_claim;
mod observed;
mod obstacle;
mod overlap;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod provision;
mod publish;
mod record;
mod rename;
mod repair;
mod repairs;
pub mod schedule;
mod secret;
mod settled;
mod slot;
mod standby;
mod step;
mod takeover;
mod timing;
mod truth;
mod unreadable;
mod verdict;
mod verified;
mod wait;

pub use breaker::{OpenBreaker, Standing};
pub use cause::kind::{AttemptCause, Cause, CauseWord};
pub use claim::{Attempt, AttemptState, Claim, Holder, Replaced};
pub use commit::{CommitRecord, Entry, HandledTrigger, Recorded};
pub use decide::{Decision, decide, out_of_steps};
pub use facts::{
    AppFacts, AppView, ClaimView, Explained, Facts, Gates, Now, ObjectView, RecoveryView, Uptake,
};
pub use fence::{Fence, fence};
pub use fingerprint::{Bytes32, Fingerprint, Fingerprints, Origin, Salt};
pub use foreign::foreign_attempt;
pub use journal::{Journal, JournalEvent};
pub use memory::{
    Backoff, Claimed, Doubt, DoubtKind, DriftSeen, Loss, Memory, Prepared, Rejection,
    RejectionStreak, Watched,
};
pub use observed::{Failure, Observed, Version};
pub use obstacle::is_usable_beside;
pub use publish::{Beside, Next, Publish, Question};
pub use record::{Owner, RecordError, UnknownFields};
pub use repairs::{RepairCause, Repairs};
pub use schedule::interval::{format as format_interval, parse as parse_interval};
pub use schedule::{Backlog, DueState, GRACE, Schedule, ScheduleError};
pub use secret::{Former, SecretState, SecretView, Value};
pub use slot::Slot;
pub use step::{Awaits, Blocked, Report, Retry, Source, Step};
pub use timing::{Timing, TimingError};
pub use verdict::Verdict;
pub use verified::{Verified, verified};
pub use wait::next_try;
