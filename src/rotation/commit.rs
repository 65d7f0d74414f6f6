//! The commit record: an annotation on the Secret that says which attempt made the value in it. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use super::claim::{Owner, RecordError, check_version};
use crate::ids::{AppId, AttemptId, Sequence};

/// What is recorded of one application's value.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Entry {
    /// The attempt that made it; none for a value that was taken over.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<AttemptId>,
    /// ZITADEL's sequence of it.
    pub sequence: Sequence,
    /// ZITADEL's time of it.
    pub change_date: Timestamp,
}

/// What is recorded of one application.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Recorded {
    /// The value.
    #[serde(flatten)]
    pub entry: Entry,
    /// The client id, so that the Secret can be written again without asking ZITADEL.
    pub client_id: String,
}

/// The commit record of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitRecord {
    /// The format, [`CommitRecord::VERSION`].
    pub version: u32,
    /// Whose Secret it is.
    pub owner: Owner,
    /// The instance, organisation and project that the applications are in, as a hash.
    pub scope: String,
    /// The application whose pair the keys hold.
    pub active: AppId,
    /// The key that holds the client secret.
    pub key: String,
    /// What the rest of the Secret was made from, as a hash: another one means that it is to be written again.
    pub template: String,
    /// The values made so far, by application: one, or two with a standby.
    pub apps: BTreeMap<AppId, Recorded>,
}

impl CommitRecord {
    /// The format that this version writes.
    pub const VERSION: u32 = 1;

    /// Reads what [`CommitRecord::to_json`] wrote.
    pub fn from_json(text: &str) -> Result<Self, RecordError> {
        check_version(text, Self::VERSION)?;
        serde_json::from_str(text).map_err(|_| RecordError::Unreadable)
    }

    /// The record as one line of JSON.
    pub fn to_json(&self) -> String {
        // NB: serialising strings and numbers into a String has no way to fail; an empty record reads as unreadable.
        serde_json::to_string(self).unwrap_or_default()
    }

    /// What is recorded of the value in the Secret.
    pub fn stored(&self) -> Option<&Recorded> {
        self.apps.get(&self.active)
    }
}
