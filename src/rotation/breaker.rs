//! The breaker of one application: it stops repairs that repeat. Rotations that were asked for never count. No I/O.
//!
//! It counts the repairs that the application's claim remembers, so no restart resets it. Where the claim is gone, ZITADEL's journal
//! stands in: the operator's own rotations that nothing explains are an upper bound of the repairs.

use jiff::Timestamp;

use crate::rotation::cause::kind::Cause;
use crate::rotation::repairs::Repairs;

/// What is known of the value that is stored while repairs are held back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Standing {
    /// ZITADEL accepts it.
    Accepted,
    /// ZITADEL rejects it.
    Rejected,
    /// There is none.
    Gone,
    /// There is no verdict.
    Unknown,
}

/// Why and until when repairs are held back.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct OpenBreaker {
    /// When it closes, on ZITADEL's clock.
    pub closes: Timestamp,
    /// The repairs that count.
    pub repairs: Repairs,
    /// The repair that is held back.
    pub held: Cause,
    /// What came in place of the last answer that was lost.
    pub answer: Option<String>,
    /// What is known of the stored value.
    pub standing: Standing,
}
