//! The status of an `ApiAppSecret`: a mirror for people and tools, never a source of decisions. No I/O.

use std::collections::BTreeMap;

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::condition::Conditions;
use crate::api::consumers::ConsumersStatus;

/// What is known of the credential. Every field can be rebuilt from the Secret, the claim and ZITADEL's journal.
// NB: to kstatus an object without conditions is done. By the default it is in progress from the moment that it exists.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
#[schemars(extend("default" = {"observedGeneration": -1}))]
pub struct AppSecretStatus {
    /// The generation of the spec that this status speaks of; -1 before the operator has seen the object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,

    /// Ready, Reconciling, Stalled, Verified, ConsumersCurrent.
    #[serde(default)]
    pub conditions: Conditions,

    /// The client id in the Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 512))]
    pub client_id: Option<String>,

    /// The application whose pair the Secret holds.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub active_app_id: Option<String>,

    /// The standby application: that of spec.standby.appId, the one that the operator created, or a former one whose pair is stored.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub standby_app_id: Option<String>,

    /// The pair before the stored one, while ZITADEL still accepts it. Only with a standby application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub previous: Option<PreviousPair>,

    /// ZITADEL's sequence of the rotation that made the stored secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub sequence: Option<String>,

    /// When ZITADEL made the stored secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_date: Option<MicroTime>,

    /// The organization that owns the application.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub resource_owner: Option<String>,

    /// The Secret that is kept.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub secret_name: Option<String>,

    /// The revision of the Secret that was last written or verified: another one is read again.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64))]
    pub secret_resource_version: Option<String>,

    /// The last rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub last_rotation: Option<LastRotation>,

    /// When the next rotation can start. In the past while a due one cannot be carried out.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub next_rotation_time: Option<Time>,

    /// The schedule in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 1024))]
    pub schedule: Option<String>,

    /// The trigger that was handled last.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128))]
    pub observed_trigger: Option<String>,

    /// The Pods that use the Secret, and which of them have the value of the last rotation. Absent where the operator may not see Pods.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub consumers: Option<ConsumersStatus>,

    /// The attempt under way.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub attempt: Option<OpenAttempt>,

    /// The last ten rotations, newest first.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub history: Vec<HistoryEntry>,
}

impl AppSecretStatus {
    /// Entries of the history that are kept: `maxItems` of its schema.
    pub const HISTORY: usize = 10;
}

/// The pair before the stored one.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct PreviousPair {
    /// Its application.
    #[schemars(length(max = 200))]
    pub app_id: String,
    /// Its client id.
    #[schemars(length(max = 512))]
    pub client_id: String,
    /// When its client secret is replaced by one that no one has. Absent: at the next rotation, or where spec.rotation.overlap.until says so
    /// when every consumer has the new one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub ends: Option<Time>,
}

/// The last rotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct LastRotation {
    /// ZITADEL's time of it.
    pub time: Time,
    /// Why it was made.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// The attempt that made it.
    #[schemars(length(max = 64))]
    pub attempt: String,
    /// The time from ZITADEL's response to the written Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dark_window_milliseconds: Option<i64>,
}

/// An attempt under way.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct OpenAttempt {
    /// Its id, as in the claim and the audit log.
    #[schemars(length(max = 64))]
    pub id: String,
    /// How far it is.
    #[schemars(length(max = 32))]
    pub phase: String,
    /// Why it was made.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// When it was claimed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub started_at: Option<Time>,
}

/// One rotation of the past.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct HistoryEntry {
    /// ZITADEL's time of it.
    pub time: Time,
    /// Why it was made.
    #[schemars(length(max = 64))]
    pub reason: String,
    /// ZITADEL's sequence of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 20))]
    pub sequence: Option<String>,
    /// ZITADEL's change date of it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub change_date: Option<MicroTime>,
    /// How it ended.
    // NB: a word of `Outcome`, or one that another version of the operator wrote: it is kept and shown, and is a reason for nothing.
    #[schemars(length(max = 64))]
    pub outcome: String,
    /// The application, where the object has two.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub app_id: Option<String>,
    /// The client secret that it replaced, if that was not the operator's: it may have been in use.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub replaced: Option<ForeignSecret>,
    /// The time from ZITADEL's response to the written Secret.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub dark_window_milliseconds: Option<i64>,
    /// Fields of another version, kept as they are: the list is written as a whole.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

impl HistoryEntry {
    /// For how many milliseconds no credential worked because of it; none with a standby, whose former pair works meanwhile.
    pub fn dark_milliseconds(&self) -> Option<i64> {
        self.dark_window_milliseconds
            .filter(|_| self.app_id.is_none())
    }
}

/// A client secret that another actor made.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ForeignSecret {
    /// The id of the user who made it, at ZITADEL.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 200))]
    pub user_id: Option<String>,
    /// When.
    pub time: Time,
    /// Whether it came with the application, when that was created.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub with_app: Option<bool>,
    /// Fields of another version, kept as they are.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// How a rotation ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    /// Written, and accepted by ZITADEL.
    Published,
    /// Written, not yet proven.
    Unproven,
    /// Without effect: ZITADEL still accepts the old secret, which was kept.
    WithoutEffect,
    /// Superseded by a newer one before it was written.
    Superseded,
    /// Taken over from an existing Secret.
    Adopted,
    /// Thrown away: its only purpose was to end the overlap.
    Retired,
}

impl Outcome {
    /// All outcomes.
    pub const ALL: [Self; 6] = [
        Self::Published,
        Self::Unproven,
        Self::WithoutEffect,
        Self::Superseded,
        Self::Adopted,
        Self::Retired,
    ];

    /// The outcome of that word, unless another version wrote it.
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.as_str() == word)
    }

    /// As it stands in status and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Published => "Published",
            Self::Unproven => "Unproven",
            Self::WithoutEffect => "WithoutEffect",
            Self::Superseded => "Superseded",
            Self::Adopted => "Adopted",
            Self::Retired => "Retired",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{ConditionType, Reason, Status};

    #[test]
    fn words_and_fields_of_another_version_are_kept_as_they_are() {
        let stored = include_str!("../../tests/fixtures/status-of-a-later-version.json");
        let stored: serde_json::Value = serde_json::from_str(stored).unwrap();
        let mut read: AppSecretStatus = serde_json::from_value(stored.clone()).unwrap();
        assert_eq!(read.history[0].outcome, "Teleported");
        assert_eq!(Outcome::from_word(&read.history[0].outcome), None);
        read.conditions.set(
            ConditionType::Ready,
            Status::True,
            Reason::UpToDate,
            "m",
            Some(3),
            jiff::Timestamp::UNIX_EPOCH,
        );
        let written = serde_json::to_value(&read).unwrap();
        assert_eq!(written["history"], stored["history"]);
        assert_eq!(written["conditions"], stored["conditions"]);
        for outcome in Outcome::ALL {
            assert_eq!(Outcome::from_word(outcome.as_str()), Some(outcome));
        }
    }

    #[test]
    fn no_word_in_a_status_is_a_closed_list() {
        for schema in [
            schemars::schema_for!(AppSecretStatus),
            schemars::schema_for!(crate::api::ZitadelConnectionStatus),
        ] {
            let schema = schema.to_value().to_string();
            for closed in ["\"enum\"", "\"const\""] {
                assert!(!schema.contains(closed), "{closed}: {schema}");
            }
        }
    }
}
