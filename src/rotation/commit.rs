//! The commit record: an annotation on the Secret that says which attempt made the value in it. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::{AppId, AttemptId, Sequence};
use crate::rotation::fingerprint::Fingerprints;
use crate::rotation::record::{Owner, RecordError, UnknownFields, check_version};

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
    /// What another version wrote of the value besides.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// The commit record of a Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct CommitRecord {
    /// The format, [`CommitRecord::VERSION`].
    pub version: u32,
    /// Whose Secret it is.
    pub owner: Owner,
    /// The instance, organization and project that the applications are in, as a hash.
    pub scope: String,
    /// The application whose pair the keys hold.
    pub active: AppId,
    /// The key that holds the client secret.
    pub key: String,
    /// What the rest of the Secret was made from, as a hash: another one means that it is to be written again.
    pub template: String,
    /// The values made so far, by application: one, or two with a standby.
    pub apps: BTreeMap<AppId, Recorded>,
    /// What the operator wrote under each data key. Without it, since an older version wrote the record, the origin of what is there
    /// is unknown.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub fingerprint: Option<Fingerprints>,
    /// When the value was written, on the API server's clock: the time at which the write was sent. Renewed only with a new value.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub published_time: Option<Timestamp>,
    /// The trigger that was handled when the value was written; empty if there was none. An older version does not write it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub trigger: Option<String>,
    /// What another version wrote besides. It goes with the value: of a new one it would say what was true of the former.
    #[serde(flatten)]
    pub unknown: UnknownFields,
}

/// What a commit record says of the trigger that was handled last.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum HandledTrigger {
    /// Nothing: there is no record, or an older version wrote it.
    Unrecorded,
    /// This one, or that there was none.
    Recorded(Option<String>),
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

    /// The trigger that was handled when the value was written.
    pub fn handled_trigger(&self) -> HandledTrigger {
        match self.trigger.as_deref() {
            None => HandledTrigger::Unrecorded,
            Some("") => HandledTrigger::Recorded(None),
            Some(trigger) => HandledTrigger::Recorded(Some(trigger.to_owned())),
        }
    }

    /// What is recorded of the value in the Secret.
    pub fn stored(&self) -> Option<&Recorded> {
        self.apps.get(&self.active)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_a_later_version_wrote_besides_is_kept_where_its_record_is_written_again() {
        let text = include_str!("../../tests/fixtures/record-of-a-later-version.json");
        let stored: serde_json::Value = serde_json::from_str(text).unwrap();
        let read = CommitRecord::from_json(text).unwrap();
        assert_eq!(read.handled_trigger(), HandledTrigger::Unrecorded);
        assert_eq!(read.stored(), read.apps.get(&read.active));
        assert!(read.stored().is_some());
        let written: serde_json::Value = serde_json::from_str(&read.to_json()).unwrap();
        assert_eq!(written, stored);
    }

    #[test]
    fn a_newer_format_is_recognized_whatever_else_is_in_the_record() {
        let newer = CommitRecord::from_json(r#"{"version":2,"apps":[1]}"#);
        assert_eq!(newer, Err(RecordError::Newer));
        let damaged = CommitRecord::from_json(r#"{"version":1,"apps":[1]}"#);
        assert_eq!(damaged, Err(RecordError::Unreadable));
    }
}
