//! What came back, or did not, before anybody judges it. No I/O.

use zeroize::Zeroizing;

use super::detail::Detail;
use super::error::{ErrorClass, Operation, ZitadelError};

/// A complete answer within its size limit.
pub struct Answer {
    /// The HTTP status.
    pub status: u16,
    /// The whole body; it may hold a secret and is wiped.
    pub body: Zeroizing<Vec<u8>>,
}

/// No complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Failure {
    /// Certainly no byte of the request left: it was not resolved, connected, secured or built.
    NotSent(ErrorClass, Option<Detail>),
    /// The request may have arrived; the status is there if the answer had begun.
    MaybeSent(ErrorClass, Option<u16>, Option<Detail>),
}

impl Failure {
    /// The failure as an error of that call.
    pub fn of(self, operation: Operation) -> ZitadelError {
        match self {
            Self::NotSent(class, detail) | Self::MaybeSent(class, None, detail) => {
                ZitadelError::new(operation, class).with_detail(detail)
            }
            Self::MaybeSent(class, Some(status), detail) => ZitadelError::new(operation, class)
                .with_answer(status, None)
                .with_detail(detail),
        }
    }
}
