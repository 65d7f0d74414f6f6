//! Something that follows from an edit. No I/O.

use jiff::Timestamp;
use serde::Serialize;

use crate::plugin::output::Tone;

/// What happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum Change {
    /// A client secret is generated.
    RotatesNow,
    /// No grant covers it any more.
    LosesGrant,
    /// No grant covers it.
    NotGranted,
    /// A person must do something before it is rotated.
    Stalls,
    /// The Secret gets another name.
    Renames,
    /// The next rotation has another time.
    Moves,
    /// Nothing is rotated any more.
    Suspends,
    /// It is rotated again.
    Resumes,
    /// Its connection is another one.
    Reconnects,
    /// There is a standby, or another one, or none any more.
    ChangesStandby,
    /// A value that exists is taken over.
    TakesOver,
    /// The Secret is written again from the value that is there.
    Renders,
    /// Nothing is rotated or written.
    Settles,
}

impl Change {
    /// How it is shown.
    pub const fn tone(self) -> Tone {
        match self {
            Self::RotatesNow | Self::LosesGrant | Self::NotGranted | Self::Stalls => Tone::Bad,
            Self::Renames | Self::Suspends => Tone::Warning,
            Self::Moves
            | Self::Resumes
            | Self::Reconnects
            | Self::ChangesStandby
            | Self::TakesOver
            | Self::Renders => Tone::Plain,
            Self::Settles => Tone::Faint,
        }
    }
}

/// Something that follows from an edit.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consequence {
    /// What.
    pub change: Change,
    /// Why it is rotated, or stalls.
    pub reason: Option<&'static str>,
    /// When it would have been rotated.
    pub from: Option<Timestamp>,
    /// When it is rotated.
    pub to: Option<Timestamp>,
    /// The Pods that name the former Secret.
    pub pods: Vec<String>,
    /// In a sentence.
    pub message: String,
}

impl Consequence {
    pub(super) fn new(change: Change, message: impl Into<String>) -> Self {
        Self {
            change,
            reason: None,
            from: None,
            to: None,
            pods: Vec::new(),
            message: message.into(),
        }
    }

    pub(super) fn because(self, reason: &'static str) -> Self {
        let reason = Some(reason);
        Self { reason, ..self }
    }
}
