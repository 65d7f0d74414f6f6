//! When the credential of an object is rotated next, and after that: by the operator's own schedule, from what the status says. No I/O.
//!
//! What the operator alone knows is taken from the status: when the value was made, which trigger was handled, and the reason of `Ready` for
//! what waits. A rotation is taken to be carried out when it can start, and the next one counts from there.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{AppSecret, AppSecretStatus, Condition, ConditionType, Reason, Status};
use crate::rotation::{Cause, DueState, Schedule};
use crate::target::Target;

/// A rotation that lies ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upcoming {
    /// When it can start. If it waits for something without a time: now.
    pub time: Timestamp,
    /// Why it is made.
    pub cause: Cause,
    /// When it became due, or will, if it cannot start then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// What it waits for, if not for its time alone: the reason of a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// Why nothing is rotated until someone does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In one word: the reason of a condition, or `Terminating`.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// The rotations of an object within a time, the first one first. Made one by one, however many there are.
#[derive(Debug, Clone)]
pub struct Rotations {
    schedule: Schedule,
    /// Whether there is a pair before the stored one, which ends.
    standby: bool,
    /// The next one.
    next: Option<Upcoming>,
    /// The one before the next that makes the former pair useless.
    retirement: Option<Upcoming>,
    until: Timestamp,
}

/// The rotations of an object from now on until then.
///
/// # Errors
/// If nothing is rotated at all until someone does something.
pub fn rotations(object: &AppSecret, now: Timestamp, until: Timestamp) -> Result<Rotations, Held> {
    // NB: the shortest interval is the operator's business.
    let target = Target::read(object, std::time::Duration::from_secs(1));
    let target =
        target.map_err(|error| Held::by(Reason::InvalidSpec.as_str(), error.to_string()))?;
    let status = object.status.clone().unwrap_or_default();
    let pending = pending(&target, &status);
    if let Some(held) = held(&target, &status, pending) {
        return Err(held);
    }
    let ready = status.conditions.get(ConditionType::Ready);
    let made = status.change_date.as_ref().map(|made| made.0);
    let next = match (pending, made) {
        (Some(cause), _) => Some(Upcoming {
            time: now,
            cause,
            due: None,
            waits: ready.and_then(blocked),
        }),
        (None, Some(made)) => {
            scheduled(&target.schedule, made, now).map(|next| next.held_up(ready, &status, now))
        }
        (None, None) => None,
    };
    let ends = status.previous.as_ref().and_then(|it| it.ends.as_ref());
    let retirement = ends.map(|ends| Upcoming::retirement(ends.0.max(now), None));
    Ok(Rotations {
        schedule: target.schedule,
        standby: target.standby.is_some() || target.provisioned,
        next,
        retirement,
        until,
    })
}

impl Held {
    fn by(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

impl Upcoming {
    /// Whether it starts now, as far as is known.
    pub fn is_now(&self, now: Timestamp) -> bool {
        self.time <= now && self.waits.as_deref() != Some(Reason::AwaitingConsumers.as_str())
    }

    /// The end of the pair before the stored one.
    fn retirement(time: Timestamp, waits: Option<Reason>) -> Self {
        Self {
            time,
            cause: Cause::Retire,
            due: None,
            waits: waits.map(|reason| reason.as_str().to_owned()),
        }
    }

    /// The same with what the operator says that it waits for.
    fn held_up(
        mut self,
        ready: Option<&Condition>,
        status: &AppSecretStatus,
        now: Timestamp,
    ) -> Self {
        let Some(ready) = ready.filter(|_| self.time <= now) else {
            return self;
        };
        let is = |reason: Reason| ready.reason == reason.as_str();
        if is(Reason::CatchingUp)
            && let Some(starts) = &status.next_rotation_time
        {
            self.time = starts.0.max(now);
        }
        if is(Reason::CatchingUp) || is(Reason::AwaitingConsumers) {
            self.waits = Some(ready.reason.clone());
        } else {
            self.waits = blocked(ready);
        }
        self
    }
}

impl Rotations {
    /// When the pair before that of a rotation ends.
    fn retirement(&self, made: Timestamp) -> Option<Upcoming> {
        let overlap = self.schedule.overlap().filter(|_| self.standby)?;
        let waits = overlap
            .awaits_consumers
            .then_some(Reason::AwaitingConsumers);
        Some(Upcoming::retirement(overlap.ends(made), waits))
    }
}

impl Iterator for Rotations {
    type Item = Upcoming;

    fn next(&mut self) -> Option<Upcoming> {
        let next = self.next.as_ref().map(|next| next.time);
        // NB: a rotation that comes first replaces the former pair itself.
        let retirement = self.retirement.take();
        let retirement = retirement.filter(|it| next.is_none_or(|next| it.time < next));
        if let Some(retirement) = retirement {
            return Some(retirement).filter(|it| it.time < self.until);
        }
        let rotation = self.next.take().filter(|it| it.time < self.until)?;
        self.next = scheduled(&self.schedule, rotation.time, rotation.time);
        self.retirement = self.retirement(rotation.time);
        Some(rotation)
    }
}

/// The next scheduled rotation of a value that was made then.
fn scheduled(schedule: &Schedule, made: Timestamp, now: Timestamp) -> Option<Upcoming> {
    let time = schedule.start(made)?.max(now);
    let (time, due) = match schedule.state(made, time) {
        DueState::Due { since, .. } => (time, since),
        // The window in which it could have started is over.
        DueState::AwaitingWindow { since, opens, .. } => (opens, since),
        _ => return None,
    };
    let awaits = schedule.closed_until(due.max(now)).is_some();
    Some(Upcoming {
        time,
        cause: Cause::Due,
        due: (due < time).then_some(due),
        waits: awaits.then(|| Reason::AwaitingWindow.as_str().to_owned()),
    })
}

/// A rotation that does not wait for the schedule: under way, or to be made at once.
fn pending(target: &Target, status: &AppSecretStatus) -> Option<Cause> {
    let mut causes = Cause::ALL.into_iter();
    if let Some(open) = &status.attempt
        && let Some(cause) = causes.find(|cause| cause.as_str() == open.reason)
    {
        return Some(cause);
    }
    if status.last_rotation.is_none() {
        return (!target.secret.adopt).then_some(Cause::FirstIssue);
    }
    let is_new = target.trigger.is_some() && target.trigger != status.observed_trigger;
    is_new.then_some(Cause::Trigger)
}

/// Why nothing is rotated until someone does something.
fn held(target: &Target, status: &AppSecretStatus, pending: Option<Cause>) -> Option<Held> {
    if target.deleting {
        return Some(Held::by("Terminating", "it is being deleted"));
    }
    if target.suspended {
        let message = "nothing is rotated until spec.suspend is taken away";
        return Some(Held::by(Reason::Suspended.as_str(), message));
    }
    let stalled = status.conditions.get(ConditionType::Stalled);
    let stalled = stalled.filter(|it| it.status == Status::True);
    // NB: what stalled before an edit may be over with it.
    let is_present = |it: &&Condition| it.observed_generation >= target.generation;
    if let Some(stalled) = stalled.filter(is_present) {
        // A trigger makes a new value where a repair is not allowed.
        let is_passed = pending == Some(Cause::Trigger) && yields_to_trigger(&stalled.reason);
        return (!is_passed).then(|| Held::by(&stalled.reason, stalled.message.as_str()));
    }
    (status.last_rotation.is_none() && target.secret.adopt).then(|| {
        let message = "it takes over an existing Secret, and nothing is generated for that";
        Held::by("Pending", message)
    })
}

fn yields_to_trigger(reason: &str) -> bool {
    let repairs = [
        Reason::SecretMissing,
        Reason::SecretInvalid,
        Reason::Contested,
        Reason::BreakerOpen,
        Reason::RepairLimit,
    ];
    repairs.iter().any(|it| it.as_str() == reason)
}

/// What keeps the operator from a rotation that could start, if `Ready` says so.
fn blocked(ready: &Condition) -> Option<String> {
    let is_free = [
        Reason::UpToDate,
        Reason::Overdue,
        Reason::AwaitingWindow,
        Reason::AwaitingConsumers,
        Reason::CatchingUp,
        Reason::Suspended,
        Reason::AttemptOpen,
    ];
    let is_free = is_free.iter().any(|it| it.as_str() == ready.reason);
    (!is_free).then(|| ready.reason.clone())
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    const NOW: &str = "2026-11-30T12:00:00Z";

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn object(spec: &Value, status: &Value) -> AppSecret {
        let mut object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u", "generation": 1},
            "spec": {"projectId": "1", "appId": "2", "rotation": {"interval": "1d", "jitterPercent": 0}},
            "status": {
                "changeDate": "2026-11-29T14:00:00.000000Z",
                "lastRotation": {"time": "2026-11-29T14:00:00Z", "reason": "Due", "attempt": "a"},
            },
        });
        for (name, part) in [("spec", spec), ("status", status)] {
            for (field, value) in part.as_object().unwrap() {
                object[name][field] = value.clone();
            }
        }
        serde_json::from_value(object).unwrap()
    }

    fn ready(reason: &str) -> Value {
        json!([{"type": "Ready", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": NOW}])
    }

    /// Each rotation until 4 December, such as `30T14:00 Due`.
    fn ahead(spec: &Value, status: &Value) -> Vec<String> {
        let rotations = rotations(&object(spec, status), at(NOW), at("2026-12-04T00:00:00Z"));
        let said = rotations.unwrap().map(|it| {
            let time = it.time.to_string();
            let waits = it
                .waits
                .map_or_else(String::new, |waits| format!(" {waits}"));
            format!("{} {}{waits}", &time[8..16], it.cause.as_str())
        });
        said.collect()
    }

    fn held(spec: &Value, status: &Value) -> Option<String> {
        let rotations = rotations(&object(spec, status), at(NOW), at("2026-12-04T00:00:00Z"));
        rotations.err().map(|held| held.reason)
    }

    #[test]
    fn every_rotation_of_the_time_is_there_and_each_counts_from_the_one_before() {
        let daily = [
            "30T14:00 Due",
            "01T14:00 Due",
            "02T14:00 Due",
            "03T14:00 Due",
        ];
        assert_eq!(ahead(&json!({}), &json!({})), daily);
        let windows = json!([{"name": "w", "schedule": "0 3 * * TUE,WED", "duration": "2h"}]);
        let rotation =
            json!({"rotation": {"interval": "1d", "jitterPercent": 0, "windows": windows}});
        assert_eq!(
            ahead(&rotation, &json!({})),
            ["01T03:00 Due AwaitingWindow", "02T03:00 Due"]
        );
        let on_trigger = json!({"rotation": {"trigger": "a"}});
        assert!(ahead(&on_trigger, &json!({"observedTrigger": "a"})).is_empty());
    }

    #[test]
    fn what_is_to_be_done_at_once_comes_first() {
        let spec = json!({"rotation": {"interval": "2d", "jitterPercent": 0, "trigger": "b"}});
        let triggered = ["30T12:00 Trigger", "02T12:00 Due"];
        assert_eq!(ahead(&spec, &json!({"observedTrigger": "a"})), triggered);
        let first = json!({"lastRotation": null, "changeDate": null});
        assert_eq!(
            ahead(&spec, &first),
            ["30T12:00 FirstIssue", "02T12:00 Due"]
        );
        let open = json!({"observedTrigger": "b", "attempt": {"id": "x", "phase": "Open", "reason": "SecretMissing"}});
        assert_eq!(ahead(&spec, &open)[0], "30T12:00 SecretMissing");
        let late = json!({"changeDate": "2026-11-01T00:00:00.000000Z"});
        assert_eq!(ahead(&json!({}), &late)[0], "30T12:00 Due");
    }

    #[test]
    fn what_is_due_waits_for_what_the_operator_says() {
        let late = |reason| {
            json!({
                "changeDate": "2026-11-01T00:00:00.000000Z", "nextRotationTime": "2026-11-30T12:07:00Z", "conditions": ready(reason),
            })
        };
        let first = |reason| ahead(&json!({}), &late(reason)).swap_remove(0);
        assert_eq!(first("UpToDate"), "30T12:00 Due");
        assert_eq!(first("CatchingUp"), "30T12:07 Due CatchingUp");
        assert_eq!(first("AwaitingConsumers"), "30T12:00 Due AwaitingConsumers");
        assert_eq!(first("ClockSkew"), "30T12:00 Due ClockSkew");
        let waits = rotations(
            &object(&json!({}), &late("AwaitingConsumers")),
            at(NOW),
            Timestamp::MAX,
        );
        assert!(!waits.unwrap().next().unwrap().is_now(at(NOW)));
    }

    #[test]
    fn the_end_of_the_former_pair_is_a_rotation_of_its_own() {
        let overlap = |overlap: Value| {
            json!({
                "standby": {"type": "Existing", "appId": "3"},
                "rotation": {"interval": "2d", "jitterPercent": 0, "overlap": overlap},
            })
        };
        let previous =
            json!({"previous": {"appId": "3", "clientId": "c", "ends": "2026-11-30T15:00:00Z"}});
        assert_eq!(
            ahead(&overlap(json!({"minimum": "1h"})), &previous),
            [
                "30T15:00 Retire",
                "01T14:00 Due",
                "01T15:00 Retire",
                "03T14:00 Due",
                "03T15:00 Retire"
            ]
        );
        let waits = overlap(json!({"until": "ConsumersCurrent"}));
        assert_eq!(
            ahead(&waits, &json!({}))[..2],
            ["01T14:00 Due", "01T14:00 Retire AwaitingConsumers"]
        );
    }

    #[test]
    fn what_is_held_has_no_rotations_until_someone_acts() {
        let stalled = |reason: &str, generation: i64| {
            json!({"conditions": [{
                "type": "Stalled", "status": "True", "reason": reason, "message": "m", "lastTransitionTime": NOW, "observedGeneration": generation,
            }]})
        };
        let none = json!({});
        for (spec, status, reason) in [
            (json!({"suspend": true}), none.clone(), Some("Suspended")),
            (none.clone(), stalled("NotGranted", 1), Some("NotGranted")),
            (none.clone(), stalled("NotGranted", 0), None),
            (
                json!({"rotation": {"interval": "0s"}}),
                none.clone(),
                Some("InvalidSpec"),
            ),
            (
                json!({"rotation": {"trigger": "b"}}),
                stalled("BreakerOpen", 1),
                None,
            ),
            (
                json!({"rotation": {"trigger": "b"}}),
                stalled("AppNotFound", 1),
                Some("AppNotFound"),
            ),
            (
                json!({"secret": {"adoptionPolicy": "Required"}}),
                json!({"lastRotation": null, "changeDate": null}),
                Some("Pending"),
            ),
        ] {
            assert_eq!(held(&spec, &status).as_deref(), reason, "{spec} {status}");
        }
    }

    #[test]
    fn an_interval_of_a_second_is_projected_as_far_as_it_is_asked_for() {
        let spec = json!({"rotation": {"interval": "1s", "jitterPercent": 0}});
        let all = rotations(&object(&spec, &json!({})), at(NOW), Timestamp::MAX).unwrap();
        assert_eq!(all.take(1000).count(), 1000);
    }
}
