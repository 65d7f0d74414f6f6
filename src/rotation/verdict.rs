//! What ZITADEL says of a client secret. No I/O.

/// What introspection says of a client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Verdict {
    /// It is accepted.
    Accepted,
    /// It is rejected, and so is a wrong one.
    Rejected,
    /// Nothing can be concluded, or there was no answer in time.
    Unknown,
}
