//! What objects of the pages have behind them: days that a test has no time for, written into their statuses.

use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType, Status};

/// An object and its past. Every number is of hours before now.
// NB: half an hour is added to each, and none is near the edge of a column of the timeline, which has more than five: neither an age nor a picture
// differs if a test takes minutes.
pub struct Past {
    pub namespace: &'static str,
    pub name: &'static str,
    /// The interval of an object that is made for this; none: it is there.
    pub interval: Option<&'static str>,
    /// Its rotations, the newest first: when, and why.
    pub rotations: &'static [(i64, &'static str)],
    /// Since when its conditions are what they are.
    pub since: i64,
    /// In how many hours it is rotated next.
    pub next: Option<i64>,
    /// Conditions that are others since then: type, status and reason.
    pub trouble: &'static [(i64, ConditionType, Status, &'static str)],
}

/// The objects, by namespace and name.
pub const PAST: [Past; 7] = [
    Past {
        namespace: "grafana",
        name: "oauth",
        interval: Some("3d"),
        rotations: &[(38, "SecretMissing"), (151, "FirstIssue")],
        since: 151,
        next: Some(33),
        trouble: &[],
    },
    Past {
        namespace: "orders",
        name: "billing-api",
        interval: None,
        rotations: &[(24, "Due"), (97, "Due"), (170, "Due"), (243, "FirstIssue")],
        since: 243,
        next: Some(51),
        trouble: &[],
    },
    Past {
        namespace: "orders",
        name: "ledger-api",
        interval: None,
        rotations: &[],
        since: 25,
        next: None,
        trouble: &[],
    },
    Past {
        namespace: "orders",
        name: "orders-api",
        interval: None,
        rotations: &[(74, "Trigger"), (482, "FirstIssue")],
        since: 482,
        next: Some(648),
        trouble: &[],
    },
    Past {
        namespace: "pay",
        name: "pay-api",
        interval: Some("5d"),
        rotations: &[
            (19, "Due"),
            (87, "Trigger"),
            (139, "Due"),
            (259, "FirstIssue"),
        ],
        since: 259,
        next: Some(100),
        trouble: &[(
            18,
            ConditionType::ConsumersCurrent,
            Status::False,
            "DeadlineExceeded",
        )],
    },
    Past {
        namespace: "shop",
        name: "shop-api",
        interval: Some("1d"),
        rotations: &[
            (45, "Due"),
            (69, "Due"),
            (93, "Due"),
            (117, "Due"),
            (140, "FirstIssue"),
        ],
        since: 140,
        next: None,
        trouble: &[
            (18, ConditionType::Ready, Status::False, "SecretInvalid"),
            (18, ConditionType::Stalled, Status::True, "SecretInvalid"),
            (18, ConditionType::Verified, Status::False, "Refused"),
        ],
    },
    Past {
        namespace: "shop",
        name: "shop-web",
        interval: Some("1d"),
        rotations: &[
            (14, "Due"),
            (38, "Due"),
            (61, "Due"),
            (85, "Due"),
            (109, "Due"),
            (133, "Due"),
            (156, "FirstIssue"),
        ],
        since: 156,
        next: Some(9),
        trouble: &[],
    },
];

/// So many hours from a time on.
pub fn hours(from: Timestamp, hours: i64) -> Timestamp {
    let half = SignedDuration::from_mins(30);
    from + SignedDuration::from_hours(hours) + half
}

/// So many hours before a time.
pub fn hours_ago(before: Timestamp, hours: i64) -> Timestamp {
    let half = SignedDuration::from_mins(30);
    before - SignedDuration::from_hours(hours) - half
}

impl Past {
    /// What replaces the status that the operator has written, or that of an object that none has reconciled.
    pub fn status(&self, object: &AppSecret, now: Timestamp) -> Value {
        let ago = |hours| format!("{:.0}", hours_ago(now, hours));
        let rotations = self.rotations.iter().map(|(hours, reason)| {
            let dark = (*reason != "FirstIssue").then_some(300);
            json!({"time": ago(*hours), "reason": reason, "outcome": "Published", "darkWindowMilliseconds": dark})
        });
        let rotations: Vec<Value> = rotations.collect();
        let mut status = json!({
            "observedGeneration": object.metadata.generation,
            "conditions": self.conditions(object, now),
        });
        if let (Some(last), Some((hours, _))) = (rotations.first(), self.rotations.first()) {
            let attempt = uuid::Uuid::now_v7();
            status["lastRotation"] =
                json!({"time": last["time"], "reason": last["reason"], "attempt": attempt});
            status["changeDate"] = format!("{:.6}", hours_ago(now, *hours)).into();
            status["history"] = rotations.into();
        }
        if let Some(next) = self.next {
            status["nextRotationTime"] = format!("{:.0}", hours(now, next)).into();
        }
        status
    }

    fn conditions(&self, object: &AppSecret, now: Timestamp) -> Vec<Value> {
        let written = object.status.as_ref().map(|it| json!(it.conditions));
        let mut conditions = match written {
            Some(Value::Array(conditions)) if !conditions.is_empty() => conditions,
            _ => [("Ready", "UpToDate"), ("Verified", "Accepted")]
                .map(|(type_, reason)| json!({"type": type_, "status": "True", "reason": reason, "message": ""}))
                .into(),
        };
        for condition in &mut conditions {
            condition["lastTransitionTime"] = format!("{:.0}", hours_ago(now, self.since)).into();
        }
        for (since, type_, status, reason) in self.trouble {
            conditions.retain(|condition| condition["type"] != json!(type_));
            let since = format!("{:.0}", hours_ago(now, *since));
            conditions.push(json!({
                "type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": since,
            }));
        }
        for condition in &mut conditions {
            condition["observedGeneration"] = object.metadata.generation.into();
        }
        conditions
    }
}
