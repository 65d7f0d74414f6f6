//! What a message speaks of besides the reason. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::OpenAttempt;
use crate::ids::AppId;
use crate::report::failure::NotReady;
use crate::rotation::{Blocked, Timing, format_interval};
use crate::store::reading::Writer;
use crate::target::Target;

/// What a message speaks of besides the reason.
pub struct Scene<'a> {
    /// What is wanted.
    pub target: &'a Target,
    /// The spans of the protocol.
    pub timing: &'a Timing,
    /// Whether a person must act.
    pub stalled: bool,
    /// The application that the next value is generated on, if there are two.
    pub idle: Option<&'a AppId>,
    /// The Secret that holds the value under its former name, until it was moved.
    pub former: Option<&'a str>,
    /// The keys of the Secret, if it exists and was read.
    pub keys: Option<&'a [String]>,
    /// The type of the Secret, if it exists and was read.
    pub found_type: Option<&'a str>,
    /// Who writes the client secret in the Secret besides the operator.
    pub writer: Option<&'a Writer>,
    /// Why the application cannot be rotated, if it was read and is not ready.
    pub not_ready: Option<NotReady>,
    /// The trigger that was handled last.
    pub handled: Option<&'a str>,
    /// The attempt that is open.
    pub attempt: Option<&'a OpenAttempt>,
    /// Whether a new value is in the operator's memory only.
    pub held: bool,
    /// Whether it waits to be accepted while the stored one works.
    pub candidate: bool,
    /// When the operator acts next, if it waits for a time.
    pub next: Option<Timestamp>,
    /// When ZITADEL last accepted the stored value, where it cannot be asked now.
    pub accepted: Option<Timestamp>,
}

impl<'a> Scene<'a> {
    /// A scene of which nothing is known besides what is wanted.
    pub const fn new(target: &'a Target, timing: &'a Timing) -> Self {
        Self {
            target,
            timing,
            stalled: false,
            idle: None,
            former: None,
            keys: None,
            found_type: None,
            writer: None,
            not_ready: None,
            handled: None,
            attempt: None,
            held: false,
            candidate: false,
            next: None,
            accepted: None,
        }
    }
}

/// When something happens: at the end of the wait, or where that is not known after so long.
pub(super) fn at_or_after(scene: &Scene<'_>, wait: Duration) -> String {
    scene.next.map_or_else(
        || format!("after {}", span(wait)),
        |next| format!("at {next}"),
    )
}

/// What came back, in words of the operator's own, and ZITADEL's error id.
pub(super) fn answer(blocked: &Blocked) -> Option<String> {
    match (&blocked.answer, &blocked.error_id) {
        (Some(answer), Some(id)) => Some(format!("{answer}, {id}")),
        (Some(only), None) | (None, Some(only)) => Some(only.clone()),
        (None, None) => None,
    }
}

pub(super) fn span(span: Duration) -> String {
    format_interval(span)
}
