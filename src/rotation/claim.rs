//! The claim: lock and write-ahead log of one application's rotations, kept in a Lease. It never holds a secret. No I/O.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::Cause;
use crate::ids::{AttemptId, Sequence};

/// The `ApiAppSecret` that a claim or a Secret belongs to.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Owner {
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid, which tells it from one that was deleted and created again.
    pub uid: String,
}

/// The process that made an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Holder {
    /// The pod. A container that restarts in the same pod knows that its predecessor is dead.
    pub pod: String,
    /// Made anew by each process.
    pub process: String,
}

/// What became of an attempt, as far as the claim says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub enum AttemptState {
    /// It may be under way; it is resolved once the Secret carries its id.
    Open,
    /// It was given up, or is known never to have been carried out.
    Void,
}

/// One attempt, written before anything is sent.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Attempt {
    /// Its id.
    pub id: AttemptId,
    /// The newest `secret.changed` of the application before the call; none if there was none, or the journal can't be read.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub pre_sequence: Option<Sequence>,
    /// Why it is made.
    pub cause: Cause,
    /// The trigger that is handled once this attempt is resolved.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// Who makes it.
    pub holder: Holder,
    /// When, on ZITADEL's clock.
    pub time: Timestamp,
    /// What became of it.
    pub state: AttemptState,
}

/// The claim of one application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Claim {
    /// The format, [`Claim::VERSION`].
    pub version: u32,
    /// Whose application it is.
    pub owner: Owner,
    /// The trigger that was handled before the attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub handled_trigger: Option<String>,
    /// Whether a value was written under this claim before its attempt.
    #[serde(default)]
    pub issued: bool,
    /// When an edited credential was last repaired, on ZITADEL's clock.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub invalid_repair: Option<Timestamp>,
    /// The last attempt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<Attempt>,
}

/// Why a claim can't be used.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, thiserror::Error)]
pub enum RecordError {
    /// It is not what this version or an older one writes.
    #[error("can't be read")]
    Unreadable,
    /// A newer version wrote it.
    #[error("was written by a newer version")]
    Newer,
}

/// The version of a record, read before anything else so that a newer format is told from a damaged one.
pub(super) fn check_version(text: &str, known: u32) -> Result<(), RecordError> {
    #[derive(Deserialize)]
    struct Versioned {
        version: u32,
    }
    // NB: claims and commit records are written by us and small; a large one was edited.
    if text.len() > 16 * 1024 {
        return Err(RecordError::Unreadable);
    }
    match serde_json::from_str::<Versioned>(text) {
        Ok(Versioned { version }) if version > known => Err(RecordError::Newer),
        Ok(Versioned { version: 0 }) | Err(_) => Err(RecordError::Unreadable),
        Ok(_) => Ok(()),
    }
}

impl Claim {
    /// The format that this version writes.
    pub const VERSION: u32 = 1;

    /// Reads what [`Claim::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        check_version(text, Self::VERSION)?;
        serde_json::from_str(text).map_err(|_| RecordError::Unreadable)
    }

    /// The claim as one line of JSON.
    pub fn to_json(&self) -> String {
        // NB: serialising strings and numbers into a String has no way to fail; an empty claim reads as unreadable.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// The attempt, if it was not given up.
    pub fn live_attempt(&self) -> Option<&Attempt> {
        self.attempt
            .as_ref()
            .filter(|attempt| attempt.state == AttemptState::Open)
    }

    /// The trigger that counts as handled, given whether the last attempt is resolved.
    pub fn trigger(&self, resolved: bool) -> Option<&str> {
        match &self.attempt {
            Some(attempt) if resolved => attempt.trigger.as_deref(),
            _ => self.handled_trigger.as_deref(),
        }
    }

    /// A claim without an attempt: whatever is stored was found to be good, and the trigger that is there counts as handled.
    pub fn settled(
        owner: Owner,
        trigger: Option<String>,
        invalid_repair: Option<Timestamp>,
    ) -> Self {
        Self {
            version: Self::VERSION,
            owner,
            handled_trigger: trigger,
            issued: true,
            invalid_repair,
            attempt: None,
        }
    }

    /// The same claim with its attempt given up: a repair that was not made is none that the next one could contest.
    #[must_use]
    pub fn voided(&self) -> Self {
        let mut claim = self.clone();
        if let Some(attempt) = &mut claim.attempt {
            attempt.state = AttemptState::Void;
            if attempt.cause == Cause::SecretInvalid {
                // NB: an earlier repair was too long ago to count, or this one would not have been begun.
                claim.invalid_repair = None;
            }
        }
        claim
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn claim() -> Claim {
        Claim {
            version: Claim::VERSION,
            owner: Owner {
                namespace: "orders".into(),
                name: "api".into(),
                uid: "u".into(),
            },
            handled_trigger: Some("a".into()),
            issued: true,
            invalid_repair: None,
            attempt: Some(Attempt {
                id: AttemptId(uuid::Uuid::nil()),
                pre_sequence: Some(Sequence(u64::MAX)),
                cause: Cause::Trigger,
                trigger: Some("b".into()),
                holder: Holder {
                    pod: "p".into(),
                    process: "n".into(),
                },
                time: Timestamp::UNIX_EPOCH,
                state: AttemptState::Open,
            }),
        }
    }

    #[test]
    fn a_claim_is_read_back_as_it_was_written() {
        assert_eq!(Claim::from_json(&claim().to_json()), Ok(claim()));
    }

    #[test]
    fn a_trigger_counts_as_handled_only_when_its_attempt_is_resolved() {
        assert_eq!(
            (claim().trigger(true), claim().trigger(false)),
            (Some("b"), Some("a"))
        );
        assert_eq!(claim().voided().trigger(false), Some("a"));
        assert!(claim().voided().live_attempt().is_none());
    }

    #[test]
    fn a_newer_or_damaged_claim_is_never_read_as_a_claim() {
        assert_eq!(
            Claim::from_json(r#"{"version":2,"owner":7}"#),
            Err(RecordError::Newer)
        );
        for bad in [
            "",
            "{}",
            "null",
            "[]",
            r#"{"version":0}"#,
            r#"{"version":1}"#,
            r#"{"version":-1}"#,
            r#"{"version":1e99}"#,
        ] {
            assert_eq!(Claim::from_json(bad), Err(RecordError::Unreadable), "{bad}");
        }
        assert_eq!(
            Claim::from_json(&format!("{}{}", " ".repeat(20_000), claim().to_json())),
            Err(RecordError::Unreadable)
        );
    }
}
