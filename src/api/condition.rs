//! `metav1.Condition` as kstatus reads it: set by type, `lastTransitionTime` moves only when `status` does. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::api::reason::Reason;

/// What a condition is about.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ConditionType {
    /// The Secret holds a credential that can be used.
    Ready,
    /// Something is under way.
    Reconciling,
    /// A person must act.
    Stalled,
    /// ZITADEL accepts the stored credential.
    Verified,
    /// Every consumer has the stored credential.
    ConsumersCurrent,
}

/// Whether it holds.
#[derive(Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Status {
    /// It holds.
    True,
    /// It does not hold.
    False,
    /// Nothing is known.
    Unknown,
}

impl From<bool> for Status {
    fn from(holds: bool) -> Self {
        if holds { Self::True } else { Self::False }
    }
}

/// One observation about the object, as `metav1.Condition`.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Condition {
    /// What it is about.
    // NB: open in the schema, so that an older definition accepts what a later version writes.
    #[serde(rename = "type")]
    #[schemars(with = "String", length(min = 1, max = 316))]
    pub type_: ConditionType,
    /// Whether it holds.
    #[schemars(with = "String", length(min = 1, max = 64))]
    pub status: Status,
    /// One word of a closed list; each has a paragraph in the troubleshooting page.
    #[schemars(
        length(min = 1, max = 64),
        regex(pattern = r"^[A-Za-z]([A-Za-z0-9_,:]*[A-Za-z0-9_])?$")
    )]
    pub reason: String,
    /// A sentence for a person.
    #[schemars(length(max = 1024))]
    pub message: String,
    /// When `status` last changed.
    pub last_transition_time: Time,
    /// The generation of the spec that it speaks of.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub observed_generation: Option<i64>,
    /// Fields of another version, kept as they are: the list is written as a whole.
    #[serde(flatten)]
    #[schemars(skip)]
    pub unknown: BTreeMap<String, serde_json::Value>,
}

/// A list with one condition a type.
#[derive(Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(from = "Vec<Stored>", into = "Vec<Stored>")]
pub struct Conditions {
    known: Vec<Condition>,
    /// What another version wrote, kept as it is: a type or a status that this one does not know.
    foreign: Vec<serde_json::Value>,
}

/// A condition as it is stored.
#[derive(Serialize, Deserialize)]
#[serde(untagged)]
enum Stored {
    Known(Condition),
    Foreign(serde_json::Value),
}

impl From<Vec<Stored>> for Conditions {
    fn from(stored: Vec<Stored>) -> Self {
        let mut conditions = Self::default();
        for condition in stored {
            match condition {
                Stored::Known(condition) => conditions.known.push(condition),
                Stored::Foreign(condition) => conditions.foreign.push(condition),
            }
        }
        conditions
    }
}

impl From<Conditions> for Vec<Stored> {
    fn from(conditions: Conditions) -> Self {
        let known = conditions.known.into_iter().map(Stored::Known);
        known
            .chain(conditions.foreign.into_iter().map(Stored::Foreign))
            .collect()
    }
}

impl JsonSchema for Conditions {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "Conditions".into()
    }
    fn json_schema(generator: &mut schemars::SchemaGenerator) -> schemars::Schema {
        let mut schema = Vec::<Condition>::json_schema(generator);
        schema.insert("maxItems".into(), 8.into());
        schema.insert("x-kubernetes-list-type".into(), "map".into());
        schema.insert(
            "x-kubernetes-list-map-keys".into(),
            serde_json::json!(["type"]),
        );
        schema
    }
    fn inline_schema() -> bool {
        true
    }
}

impl Conditions {
    /// The condition of a type, if it was ever set.
    pub fn get(&self, type_: ConditionType) -> Option<&Condition> {
        self.known.iter().find(|condition| condition.type_ == type_)
    }

    /// Whether a condition of that type is there and true.
    pub fn is_true(&self, type_: ConditionType) -> bool {
        self.get(type_)
            .is_some_and(|condition| condition.status == Status::True)
    }

    /// Sets a condition. `lastTransitionTime` is `now` only if the status changed.
    pub fn set(
        &mut self,
        type_: ConditionType,
        status: Status,
        reason: Reason,
        message: impl Into<String>,
        generation: Option<i64>,
        now: Timestamp,
    ) {
        let mut message = message.into();
        if message.len() > 1024 {
            message = message.chars().take(1000).collect::<String>() + "…";
        }
        let mut condition = Condition {
            type_,
            status,
            reason: reason.as_str().to_owned(),
            message,
            // NB: to the second, as Kubernetes keeps it; a fraction would differ from what is read back.
            last_transition_time: Time(seconds(now)),
            observed_generation: generation,
            unknown: BTreeMap::new(),
        };
        // Types are unique: one with a status that this version does not know is replaced.
        self.foreign.retain(|foreign| !of_type(foreign, type_));
        if let Some(present) = self.known.iter_mut().find(|present| present.type_ == type_) {
            if present.status == status {
                condition.last_transition_time = present.last_transition_time.clone();
            }
            condition.unknown = std::mem::take(&mut present.unknown);
            *present = condition;
        } else {
            self.known.push(condition);
            self.known.sort_by_key(|condition| condition.type_);
        }
    }

    /// Says the same of a condition in other words.
    pub fn say(&mut self, type_: ConditionType, message: &str) {
        if let Some(present) = self.known.iter_mut().find(|present| present.type_ == type_) {
            message.clone_into(&mut present.message);
        }
    }

    /// Removes a condition. As kstatus has it, `Reconciling` and `Stalled` are there only while they are true.
    pub fn remove(&mut self, type_: ConditionType) {
        self.foreign.retain(|foreign| !of_type(foreign, type_));
        self.known.retain(|condition| condition.type_ != type_);
    }

    /// All of them, ordered by type.
    pub fn iter(&self) -> impl Iterator<Item = &Condition> {
        self.known.iter()
    }
}

/// Whether a condition that another version wrote is of this type.
fn of_type(foreign: &serde_json::Value, type_: ConditionType) -> bool {
    serde_json::to_value(type_).is_ok_and(|type_| foreign.get("type") == Some(&type_))
}

/// The instant without its fraction of a second.
pub fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn the_transition_time_moves_only_with_the_status() {
        let mut conditions = Conditions::default();
        conditions.set(
            ConditionType::Ready,
            Status::False,
            Reason::NotGranted,
            "a",
            Some(1),
            at(10),
        );
        conditions.set(
            ConditionType::Ready,
            Status::False,
            Reason::AppNotFound,
            "b",
            Some(2),
            at(20),
        );
        let ready = conditions.get(ConditionType::Ready).unwrap();
        assert_eq!(
            (ready.last_transition_time.0, ready.message.as_str()),
            (at(10), "b")
        );
        conditions.set(
            ConditionType::Ready,
            Status::True,
            Reason::UpToDate,
            "c",
            Some(2),
            at(30),
        );
        assert_eq!(
            conditions
                .get(ConditionType::Ready)
                .unwrap()
                .last_transition_time
                .0,
            at(30)
        );
    }

    #[test]
    fn there_is_one_condition_a_type_in_a_fixed_order() {
        let mut conditions = Conditions::default();
        for type_ in [
            ConditionType::Verified,
            ConditionType::Ready,
            ConditionType::Stalled,
            ConditionType::Ready,
        ] {
            conditions.set(type_, Status::True, Reason::UpToDate, "", None, at(1));
        }
        let types: Vec<_> = conditions.iter().map(|condition| condition.type_).collect();
        assert_eq!(
            types,
            [
                ConditionType::Ready,
                ConditionType::Stalled,
                ConditionType::Verified
            ]
        );
    }
}
