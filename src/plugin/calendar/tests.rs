//! Which rotations lie ahead of an object.

use serde_json::{Value, json};

use super::*;
use crate::plugin::fixtures::{self, NOW, at, with};

fn object(spec: &Value, status: &Value) -> AppSecret {
    let daily = json!({"rotation": {"interval": "1d", "jitterPercent": 0}});
    let rotated = json!({
        "changeDate": "2026-11-29T14:00:00.000000Z",
        "lastRotation": {"time": "2026-11-29T14:00:00Z", "reason": "Due", "attempt": "a"},
    });
    fixtures::object(&with(daily, spec), &with(rotated, status))
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
    let rotation = json!({"rotation": {"interval": "1d", "jitterPercent": 0, "windows": windows}});
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
    assert_eq!(first("ClockSkew"), "30T12:00 Due ClockSkew");
    let standby = json!({
        "standby": {"type": "Existing", "appId": "3"},
        "rotation": {"interval": "1d", "overlap": {"until": "ConsumersCurrent"}},
    });
    let mut behind = late("AwaitingConsumers");
    behind["previous"] = json!({"appId": "3", "clientId": "c"});
    behind["consumers"] =
        json!({"attempt": "a", "total": 2, "current": 1, "stale": 1, "unknown": 0});
    let object = object(&standby, &behind);
    let waits = rotations(&object, at(NOW), Timestamp::MAX).unwrap().next();
    let waits = waits.unwrap();
    assert_eq!(waits.waits.as_deref(), Some("AwaitingConsumers"));
    assert!(!waits.is_now(at(NOW)));
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
        ahead(&overlap(json!({"minimum": "25h"})), &previous),
        [
            "30T15:00 Retire",
            "01T14:00 Due",
            "02T15:00 Retire",
            "03T14:00 Due"
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
