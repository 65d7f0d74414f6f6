//! Where an object stands: how urgent it is, in one word and one sentence. By what its status says. No I/O.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Serialize};

use crate::api::{
    Condition, ConditionType, Conditions, ConnectionRef, LastRotation, Reason, Status,
};
use crate::plugin::cluster::Metadata;
use crate::plugin::output::{Tone, span};
use crate::rotation::GRACE;

/// What takes longer than this is no ordinary wait for the operator.
const PATIENCE: SignedDuration = SignedDuration::from_mins(5);

/// An object, as far as it matters here. Everything else in it is not kept.
#[derive(Debug, Clone, Default, Deserialize)]
pub struct Shown {
    /// Its metadata.
    #[serde(default)]
    pub metadata: Metadata,
    /// Its spec.
    #[serde(default)]
    pub spec: ShownSpec,
    /// Its status.
    #[serde(default)]
    pub status: ShownStatus,
}

/// What of the spec is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownSpec {
    /// The connection.
    pub connection_ref: Option<ConnectionRef>,
    /// The project of the application.
    #[serde(default)]
    pub project_id: String,
    /// The application.
    #[serde(default)]
    pub app_id: String,
    /// The application beside it.
    pub standby: Option<ShownStandby>,
}

/// What of a standby is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownStandby {
    /// The application, where the object names it.
    pub app_id: Option<String>,
}

/// What of the status is kept.
#[derive(Debug, Clone, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct ShownStatus {
    /// The generation that it speaks of.
    pub observed_generation: Option<i64>,
    /// The conditions.
    #[serde(default)]
    pub conditions: Conditions,
    /// The Secret.
    pub secret_name: Option<String>,
    /// The application whose pair the Secret has.
    pub active_app_id: Option<String>,
    /// The application that the operator created beside it.
    pub standby_app_id: Option<String>,
    /// The last rotation.
    pub last_rotation: Option<LastRotation>,
    /// When the next one can start.
    pub next_rotation_time: Option<Time>,
    /// How many Pods have the value.
    pub consumers: Option<Numbers>,
}

/// How many Pods use a Secret, and how many of them have the value of the last rotation.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Numbers {
    /// Pods that use it.
    pub total: i64,
    /// Those that have the value.
    pub current: i64,
    /// Those that have a former one.
    pub stale: i64,
    /// Those of which it is not known.
    pub unknown: i64,
}

/// How urgent an object is, the worst first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Level {
    /// Its Secret holds no credential that can be used.
    Broken,
    /// The credential works, and someone must do something.
    Attention,
    /// Something is under way, or waits for its time.
    Waiting,
    /// Someone has stopped everything.
    Suspended,
    /// Everything is as it should be.
    Fine,
}

impl Level {
    /// Whether someone must do something.
    pub const fn needs_attention(self) -> bool {
        matches!(self, Self::Broken | Self::Attention)
    }

    /// How it is shown.
    pub const fn tone(self) -> Tone {
        match self {
            Self::Broken => Tone::Bad,
            Self::Attention => Tone::Warning,
            Self::Waiting => Tone::Plain,
            Self::Suspended => Tone::Faint,
            Self::Fine => Tone::Good,
        }
    }
}

/// Where an object stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How urgent it is.
    pub level: Level,
    /// In one word: a reason of a condition, `Pending`, `Terminating` or `Unreadable`.
    pub word: String,
    /// In one sentence, with what to do next.
    pub message: String,
}

impl Standing {
    fn new(level: Level, word: &str, message: impl Into<String>) -> Self {
        Self {
            level,
            word: word.to_owned(),
            message: message.into(),
        }
    }

    fn of(level: Level, condition: &Condition) -> Self {
        Self::new(level, &condition.reason, condition.message.as_str())
    }

    /// That of an object that this version cannot read.
    pub fn unreadable() -> Self {
        let message = "it was written for another version of the API: use the plugin of the operator's version";
        Self::new(Level::Attention, "Unreadable", message)
    }

    /// That of an object at this time.
    pub fn of_object(object: &Shown, now: Timestamp) -> Self {
        let conditions = &object.status.conditions;
        let metadata = &object.metadata;
        let past = |time: &Time| now.duration_since(time.0);
        if let Some(since) = &metadata.deletion_timestamp {
            let since = past(since);
            let message = format!("it is being deleted, for {}", span(since));
            return Self::new(waiting(since), "Terminating", message);
        }
        let Some(ready) = conditions.get(ConditionType::Ready) else {
            let created = metadata.creation_timestamp.as_ref();
            return pending(created.map(past).unwrap_or_default());
        };
        let is_suspended = ready.reason == Reason::Suspended.as_str();
        if ready.status != Status::True {
            let is_moving = conditions.is_true(ConditionType::Reconciling)
                && past(&ready.last_transition_time) < PATIENCE;
            let level = match (is_suspended, is_moving) {
                (true, _) => Level::Attention,
                (false, true) => Level::Waiting,
                (false, false) => Level::Broken,
            };
            return Self::of(level, ready);
        }
        problem(object, ready, now).unwrap_or_else(|| {
            if is_suspended {
                Self::of(Level::Suspended, ready)
            } else {
                wait(object, ready).unwrap_or_else(|| Self::of(Level::Fine, ready))
            }
        })
    }
}

/// A wait that is no longer an ordinary one needs attention.
fn waiting(since: SignedDuration) -> Level {
    if since > PATIENCE {
        Level::Attention
    } else {
        Level::Waiting
    }
}

/// Of an object that no operator has reconciled yet.
fn pending(age: SignedDuration) -> Standing {
    let level = waiting(age);
    let message = if level == Level::Waiting {
        "the operator has not reconciled it yet".to_owned()
    } else {
        format!(
            "no operator has reconciled it since it was created {} ago: check that one runs, watches this namespace, and has the controllerClass of its connection",
            span(age)
        )
    };
    Standing::new(level, "Pending", message)
}

/// What someone must do something about although the credential works.
fn problem(object: &Shown, ready: &Condition, now: Timestamp) -> Option<Standing> {
    let status = &object.status;
    let is = |type_, status| {
        let condition = status_of(object, type_);
        condition.filter(|condition| condition.status == status)
    };
    let attention = |condition| Some(Standing::of(Level::Attention, condition));
    if let Some(verified) = is(ConditionType::Verified, Status::False) {
        return attention(verified);
    }
    if let Some(stalled) = is(ConditionType::Stalled, Status::True) {
        return attention(stalled);
    }
    let is_explained = waits_for_its_time(ready) || ready.reason == Reason::Suspended.as_str();
    let next = status.next_rotation_time.as_ref();
    let is_late = next.is_some_and(|next| now.duration_since(next.0) > GRACE);
    if ready.reason == Reason::Overdue.as_str() || is_late && !is_explained {
        return attention(ready);
    }
    let consumers = status_of(object, ConditionType::ConsumersCurrent)?;
    let is_late = consumers.reason == Reason::DeadlineExceeded.as_str();
    is_late.then(|| Standing::of(Level::Attention, consumers))
}

/// What is under way, or waits for its time.
fn wait(object: &Shown, ready: &Condition) -> Option<Standing> {
    let status = &object.status;
    let (seen, is) = (status.observed_generation, object.metadata.generation);
    if let (Some(seen), Some(is)) = (seen, is)
        && seen < is
    {
        let message = format!(
            "the operator has not seen the last edit yet (generation {is}; it has seen {seen})"
        );
        return Some(Standing::new(Level::Waiting, &ready.reason, message));
    }
    let is_moving = status.conditions.is_true(ConditionType::Reconciling);
    if is_moving || waits_for_its_time(ready) {
        return Some(Standing::of(Level::Waiting, ready));
    }
    let consumers = status_of(object, ConditionType::ConsumersCurrent)?;
    (consumers.status == Status::False).then(|| Standing::of(Level::Waiting, consumers))
}

/// Whether a rotation is due that cannot start yet, for a reason that ends by itself.
fn waits_for_its_time(ready: &Condition) -> bool {
    let waits = [
        Reason::AwaitingWindow,
        Reason::AwaitingConsumers,
        Reason::CatchingUp,
    ];
    waits.iter().any(|it| it.as_str() == ready.reason)
}

fn status_of(object: &Shown, type_: ConditionType) -> Option<&Condition> {
    object.status.conditions.get(type_)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({
            "type": type_, "status": status, "reason": reason, "message": format!("{reason} it is"),
            "lastTransitionTime": "2026-11-30T11:58:00Z",
        })
    }

    fn standing(change: impl FnOnce(&mut Value)) -> (Level, String) {
        let mut object = json!({
            "metadata": {"namespace": "orders", "name": "api", "generation": 2, "creationTimestamp": "2026-11-01T00:00:00Z"},
            "spec": {"projectId": "1", "appId": "2"},
            "status": {
                "observedGeneration": 2, "nextRotationTime": "2026-12-10T00:00:00Z",
                "conditions": [condition("Ready", "True", "UpToDate")],
            },
        });
        change(&mut object);
        let object: Shown = serde_json::from_value(object).unwrap();
        let standing = Standing::of_object(&object, NOW.parse().unwrap());
        (standing.level, standing.word)
    }

    fn with(conditions: Value) -> (Level, String) {
        standing(|object| object["status"]["conditions"] = conditions)
    }

    #[test]
    fn what_the_conditions_say_is_ranked() {
        let ready = |reason| condition("Ready", "True", reason);
        let not = |reason| condition("Ready", "False", reason);
        let reconciling = condition("Reconciling", "True", "x");
        let stalled = |reason| condition("Stalled", "True", reason);
        for (conditions, level, word) in [
            (json!([ready("UpToDate")]), Level::Fine, "UpToDate"),
            (json!([ready("Suspended")]), Level::Suspended, "Suspended"),
            (json!([not("Suspended")]), Level::Attention, "Suspended"),
            (
                json!([ready("AwaitingWindow")]),
                Level::Waiting,
                "AwaitingWindow",
            ),
            (
                json!([ready("ZitadelUnreachable"), reconciling]),
                Level::Waiting,
                "ZitadelUnreachable",
            ),
            (json!([ready("Overdue")]), Level::Attention, "Overdue"),
            (
                json!([ready("UpToDate"), stalled("QuotaExceeded")]),
                Level::Attention,
                "QuotaExceeded",
            ),
            (
                json!([not("SecretNotOwned"), stalled("SecretNotOwned")]),
                Level::Broken,
                "SecretNotOwned",
            ),
            (
                json!([not("AttemptOpen"), reconciling]),
                Level::Waiting,
                "AttemptOpen",
            ),
            (json!([not("NoVerdict")]), Level::Broken, "NoVerdict"),
            (
                json!([ready("UpToDate"), condition("Verified", "False", "Refused")]),
                Level::Attention,
                "Refused",
            ),
            (
                json!([
                    ready("UpToDate"),
                    condition("ConsumersCurrent", "False", "RollingOut")
                ]),
                Level::Waiting,
                "RollingOut",
            ),
            (
                json!([
                    ready("UpToDate"),
                    condition("ConsumersCurrent", "False", "DeadlineExceeded")
                ]),
                Level::Attention,
                "DeadlineExceeded",
            ),
            (
                json!([
                    ready("UpToDate"),
                    condition("ConsumersCurrent", "Unknown", "ConsumersUnseen")
                ]),
                Level::Fine,
                "UpToDate",
            ),
            (
                json!([ready("Teleported"), {"type": "Telepathic", "status": "Maybe"}]),
                Level::Fine,
                "Teleported",
            ),
        ] {
            assert_eq!(
                with(conditions.clone()),
                (level, word.to_owned()),
                "{conditions}"
            );
        }
    }

    #[test]
    fn an_ordinary_wait_ends_after_five_minutes() {
        let created = |time: &str| {
            let time = time.to_owned();
            standing(|object| {
                object["metadata"]["creationTimestamp"] = json!(time);
                object.as_object_mut().unwrap().remove("status");
            })
        };
        let pending = "Pending".to_owned();
        assert_eq!(
            created("2026-11-30T11:56:00Z"),
            (Level::Waiting, pending.clone())
        );
        assert_eq!(created("2026-11-30T11:54:00Z"), (Level::Attention, pending));
        let (level, word) = standing(|object| {
            object["metadata"]["deletionTimestamp"] = json!("2026-11-30T11:54:00Z");
        });
        assert_eq!((level, word.as_str()), (Level::Attention, "Terminating"));
        let mut first = condition("Ready", "False", "ZitadelUnreachable");
        first["lastTransitionTime"] = json!("2026-11-30T11:50:00Z");
        let (level, _) = with(json!([first, condition("Reconciling", "True", "x")]));
        assert_eq!(level, Level::Broken);
    }

    #[test]
    fn a_rotation_that_is_late_needs_attention_unless_its_wait_is_explained() {
        let late = |reason: &str| {
            let conditions = json!([
                condition("Ready", "True", reason),
                condition("Reconciling", "True", "x")
            ]);
            standing(|object| {
                object["status"]["nextRotationTime"] = json!("2026-11-30T10:30:00Z");
                object["status"]["conditions"] = conditions;
            })
        };
        assert_eq!(late("ZitadelUnreachable").0, Level::Attention);
        assert_eq!(late("AwaitingConsumers").0, Level::Waiting);
    }

    #[test]
    fn an_edit_that_was_not_seen_is_said() {
        let (level, word) = standing(|object| object["metadata"]["generation"] = json!(3));
        assert_eq!((level, word.as_str()), (Level::Waiting, "UpToDate"));
    }
}
