//! Answers, and requests without one, before they are interpreted. No I/O.

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

/// A request without a complete answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendError {
    /// No byte of the request was sent: building, name resolution, connection or TLS failed.
    NotSent(ErrorClass, Option<Detail>),
    /// The request may have arrived. The status is known if the answer had begun.
    MaybeSent(ErrorClass, Option<u16>, Option<Detail>),
}

impl SendError {
    /// The error of that call.
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
