//! When a credential is rotated, and what is done about one that is lost: `spec.rotation` and `spec.recovery`. No I/O.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule;

/// When to rotate.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Rotation {
    /// The age at which the credential is rotated, such as 30d or 1d12h (units w d h m s, each once, from large to small). Absent: only on trigger.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("30d"))
    )]
    pub interval: Option<String>,

    /// When a due rotation may start. Default: at any time.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 16),
        extend("x-kubernetes-list-type" = "map", "x-kubernetes-list-map-keys" = ["name"])
    )]
    pub windows: Option<Vec<Window>>,

    /// Percent of the interval over which objects with the same interval are spread, the same for an object every time. Default: 10.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(range(min = 0, max = 50))]
    pub jitter_percent: Option<i32>,

    /// Standby only: how long the previous credential keeps working after a rotation. Default: until the next rotation.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub overlap: Option<Overlap>,

    /// Any text. The credential is rotated once each time it changes.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 128), extend("x-kubernetes-validations" = rule::trigger()))]
    pub trigger: Option<String>,
}

/// How long the previous credential keeps working.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[schemars(extend("x-kubernetes-validations" = rule::overlap()))]
pub struct Overlap {
    /// At least so long, such as 1h. Shorter than the interval. Default: 0s, where `until` is ConsumersCurrent.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 32), extend("x-kubernetes-validations" = rule::duration()))]
    pub minimum: Option<String>,

    /// Elapsed: for `minimum`. ConsumersCurrent: until no Pod can hold the previous credential any more; the next scheduled rotation waits
    /// for that as well. Where the operator may not see Pods: for `maximum`, or until the next rotation. Default: Elapsed.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub until: Option<OverlapEnd>,

    /// With ConsumersCurrent: at most so long, such as 7d, whatever Pods hold then. Shorter than the interval, and not shorter than
    /// `minimum`. Default: without a limit.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("7d"))
    )]
    pub maximum: Option<String>,
}

/// What ends the overlap.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum OverlapEnd {
    /// The time alone.
    #[default]
    Elapsed,
    /// Every consumer has the new credential.
    ConsumersCurrent,
}

/// A time of the week, month or year in which rotations may start.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Window {
    /// Its name, unique in the list.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::label_name("nightly")))]
    pub name: String,

    /// When it opens: five fields of cron, such as `0 3 * * MON-FRI`.
    #[schemars(length(max = 128), extend("x-kubernetes-validations" = rule::schedule()))]
    pub schedule: String,

    /// Time zone by its IANA name, such as Europe/Zurich. Default: UTC.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rule::time_zone()))]
    pub time_zone: Option<String>,

    /// How long it stays open, such as 2h.
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("2h"))
    )]
    pub duration: String,
}

/// What to do when the stored credential is missing or rejected.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Recovery {
    /// The Secret, or the client secret in it, is missing. Default: Rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub missing: Option<RecoveryPolicy>,
    /// ZITADEL rejects the stored client secret. Default: Rotate.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rejected: Option<RecoveryPolicy>,
}

/// Repair, or only report.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq, Hash)]
pub enum RecoveryPolicy {
    /// Generate a new client secret.
    #[default]
    Rotate,
    /// Report it and wait for a person.
    Report,
}

impl Recovery {
    /// The policy for a Secret that is missing.
    pub fn missing(self) -> RecoveryPolicy {
        self.missing.unwrap_or_default()
    }

    /// The policy for a client secret that ZITADEL rejects.
    pub fn rejected(self) -> RecoveryPolicy {
        self.rejected.unwrap_or_default()
    }
}
