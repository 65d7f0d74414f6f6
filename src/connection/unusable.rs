//! Why a connection cannot be used. No I/O.

use crate::api::Reason;
use crate::connection::permanent;
use crate::rotation::Failure;

/// Why a connection cannot be used.
pub(crate) struct Unusable {
    /// As the objects that use it report it.
    pub(crate) failure: Failure,
    /// What to do about it.
    pub(crate) message: String,
    /// Whether nothing of ZITADEL answers.
    pub(crate) outage: bool,
}

impl Unusable {
    /// A failure that stays until something is changed.
    pub(crate) fn new(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            failure: permanent(reason),
            message: message.into(),
            outage: false,
        }
    }

    /// A failure that passes by itself.
    pub(crate) fn passing(reason: Reason, message: impl Into<String>) -> Self {
        Self {
            failure: Failure::new(reason, false),
            ..Self::new(reason, message)
        }
    }

    /// As those who use the connection find it: with its own sentence, since they may not be allowed to read connections.
    pub(crate) fn stored(&self) -> Failure {
        Failure {
            connection: Some(self.message.clone()),
            ..self.failure.clone()
        }
    }
}
