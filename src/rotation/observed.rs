//! What a read brings: a value and its revision, or why there is none. No I/O.

use crate::api::Reason;

/// Something that is read when a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observed<T> {
    /// Not read in this reconciliation.
    Unread,
    /// Taken from a watch: may lag behind, so good enough to rest on, never to act on.
    Cached(T),
    /// Read from the server in this reconciliation.
    Live(T),
    /// The read failed.
    Failed(Failure),
}

impl<T> Observed<T> {
    /// What is known, from a watch or a read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Cached(value) | Self::Live(value) => Some(value),
            Self::Unread | Self::Failed(_) => None,
        }
    }
}

/// Why a read or a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The reason that is reported.
    pub reason: Reason,
    /// Whether it stays so until a person changes something.
    pub permanent: bool,
    /// ZITADEL's error id, if it has the form of one.
    pub error_id: Option<String>,
    /// What came back, in words of the operator's own: the HTTP status, or what kind of answer it was.
    pub answer: Option<String>,
    /// The call to ZITADEL that failed, if it was one.
    pub call: Option<&'static str>,
    /// Why the connection cannot be used, in its own sentence, if that is why.
    pub connection: Option<String>,
}

impl Failure {
    /// A failure of which no more is known than its reason.
    pub const fn new(reason: Reason, permanent: bool) -> Self {
        Self {
            reason,
            permanent,
            error_id: None,
            answer: None,
            call: None,
            connection: None,
        }
    }
}

/// A revision of a Kubernetes object. Only both together name one very object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub revision: String,
}
