//! The pure core: everything that was observed goes in, one next step comes out. No I/O, no clock, no randomness.
//!
//! [`decide()`] is the only place in the operator where anything is decided. The shell in [`crate::controller`] carries the step
//! out and observes again; the model checker explores this very function.

mod attempt;
mod breaker;
mod cause;
mod claim;
mod commit;
mod decide;
mod facts;
mod fence;
mod fingerprint;
mod foreign;
pub mod interval;
mod memory;
mod obstacle;
mod pair;
#[cfg(any(test, fuzzing))]
pub mod properties;
mod publish;
mod round;
mod schedule;
mod step;
mod takeover;
mod timing;
mod unknown;
mod verified;
mod wait;
mod window;

pub use breaker::{Explained, OpenBreaker, RepairCause, Repairs, Standing};
pub use cause::{AttemptCause, Cause, CauseWord};
pub use claim::{Attempt, AttemptState, Claim, Holder, Owner, RecordError, Replaced};
pub use commit::{CommitRecord, Entry, HandledTrigger, Recorded};
pub use decide::{Decision, decide, out_of_steps};
pub use facts::{
    AppFacts, AppView, ClaimView, Facts, Failure, Former, Gates, Journal, JournalEvent, Now,
    ObjectView, Observed, Probe, RecoveryView, SecretState, SecretView, Slot, Value, Version,
};
pub use fence::{Fence, fence};
pub use fingerprint::{Bytes32, Fingerprint, Fingerprints, Origin, Salt};
pub use foreign::foreign_attempt;
pub use interval::{format as format_interval, parse as parse_interval};
pub use memory::{
    Backoff, Claimed, Doubt, DoubtKind, Looked, Loss, Memory, Prepared, Refusals, Rejection,
    Watched,
};
pub use obstacle::is_usable_beside;
pub use publish::{Beside, Next, Publish, Question, Verdict};
pub use schedule::{Backlog, DueState, GRACE, Schedule, ScheduleError};
pub use step::{Awaits, Blocked, Report, Retry, Source, Step};
pub use timing::{Timing, TimingError};
pub use unknown::UnknownFields;
pub use verified::{Verified, verified};
pub use wait::next_try;
