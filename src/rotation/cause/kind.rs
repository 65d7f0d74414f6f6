//! Why a client secret is generated: the only seven causes. No I/O.

use serde::{Deserialize, Serialize};

/// Why a credential is rotated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum Cause {
    /// There is no credential yet.
    FirstIssue,
    /// The schedule says so.
    Due,
    /// `spec.rotation.trigger` has a new value.
    Trigger,
    /// The Secret, or the client secret in it, is gone.
    SecretMissing,
    /// ZITADEL rejects the stored client secret, proven by repeated probes.
    SecretInvalid,
    /// A rotation was carried out and its answer lost, proven by ZITADEL's journal.
    LostAttempt,
    /// The overlap is over: the pair before the stored one, which is the standby's, is made useless. No one gets what is generated.
    Retire,
}

impl Cause {
    /// All causes.
    pub const ALL: [Self; 7] = [
        Self::FirstIssue,
        Self::Due,
        Self::Trigger,
        Self::SecretMissing,
        Self::SecretInvalid,
        Self::LostAttempt,
        Self::Retire,
    ];

    /// As it stands in status, metrics and the audit log.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::FirstIssue => "FirstIssue",
            Self::Due => "Due",
            Self::Trigger => "Trigger",
            Self::SecretMissing => "SecretMissing",
            Self::SecretInvalid => "SecretInvalid",
            Self::LostAttempt => "LostAttempt",
            Self::Retire => "Retire",
        }
    }

    /// Whether the breaker may hold it back.
    pub const fn is_repair(self) -> bool {
        matches!(
            self,
            Self::SecretMissing | Self::SecretInvalid | Self::LostAttempt
        )
    }
}

/// The cause of an attempt, as a claim says it: a later version of the same format may know others.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(untagged)]
pub enum AttemptCause {
    /// One that this version knows.
    Known(Cause),
    /// Another one, by its word.
    Other(CauseWord),
}

/// The word of a cause that this version does not know: up to 64 letters and digits.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String")]
pub struct CauseWord(String);

impl TryFrom<String> for CauseWord {
    type Error = &'static str;

    fn try_from(word: String) -> Result<Self, Self::Error> {
        let is_word = word.bytes().all(|byte| byte.is_ascii_alphanumeric());
        if is_word && (1..=64).contains(&word.len()) {
            Ok(Self(word))
        } else {
            Err("a cause is a word of up to 64 letters and digits")
        }
    }
}

impl AttemptCause {
    /// The cause, if this version knows it.
    pub const fn known(&self) -> Option<Cause> {
        match self {
            Self::Known(cause) => Some(*cause),
            Self::Other(_) => None,
        }
    }

    /// Its word.
    pub fn as_str(&self) -> &str {
        match self {
            Self::Known(cause) => cause.as_str(),
            Self::Other(CauseWord(word)) => word,
        }
    }

    /// Whether this version knows it as a repair.
    pub(in crate::rotation) const fn is_known_repair(&self) -> bool {
        matches!(self, Self::Known(cause) if cause.is_repair())
    }
}

impl From<Cause> for AttemptCause {
    fn from(cause: Cause) -> Self {
        Self::Known(cause)
    }
}

impl PartialEq<Cause> for AttemptCause {
    fn eq(&self, other: &Cause) -> bool {
        self.known() == Some(*other)
    }
}
