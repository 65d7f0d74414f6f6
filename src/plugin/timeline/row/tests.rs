use serde_json::{Value, json};

use super::*;

/// The time of a week and two days.
pub fn week() -> Axis {
    let days = |days: u64| std::time::Duration::from_hours(24 * days);
    Axis::around("2026-11-30T12:00:00Z".parse().unwrap(), days(7), days(2))
}

/// What is made of an object that is issued and fine, and of which something else is different.
pub fn row(change: impl FnOnce(&mut Value)) -> Row {
    let mut object = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
        "metadata": {"namespace": "orders", "name": "api", "uid": "u", "generation": 1, "creationTimestamp": "2026-11-26T12:00:00Z"},
        "spec": {"projectId": "1", "appId": "2", "rotation": {"interval": "2d", "jitterPercent": 0}},
        "status": {
            "observedGeneration": 1, "changeDate": "2026-11-29T00:00:00.000000Z", "nextRotationTime": "2026-12-01T00:00:00Z",
            "conditions": [
                condition("Ready", "True", "UpToDate", "2026-11-26T12:01:00Z"),
                condition("Verified", "True", "Accepted", "2026-11-26T12:01:00Z"),
            ],
            "lastRotation": {"time": "2026-11-29T00:00:00Z", "reason": "Due", "attempt": "a"},
            "history": [past("2026-11-29T00:00:00Z", "Due"), past("2026-11-26T12:00:30Z", "FirstIssue")],
        },
    });
    change(&mut object);
    let object = serde_json::from_value(object).unwrap();
    Row::of(Kind::ApiApp, Listed::Read(object), &week())
}

pub fn condition(type_: &str, status: &str, reason: &str, since: &str) -> Value {
    json!({"type": type_, "status": status, "reason": reason, "message": "m", "lastTransitionTime": since})
}

pub fn past(time: &str, reason: &str) -> Value {
    json!({"time": time, "reason": reason, "outcome": "Published", "darkWindowMilliseconds": 350})
}

/// Each state with the hours of November in which it was, such as `unknown 23T12 24T00`.
fn states(row: &Row) -> Vec<String> {
    let name = |at: Timestamp| at.strftime("%dT%H").to_string();
    let spans = row.states.iter().map(|span| {
        let state = serde_json::to_value(span.state).unwrap();
        let state = state.as_str().unwrap().to_owned();
        format!("{state} {} {}", name(span.from), name(span.until))
    });
    spans.collect()
}

fn events(row: &Row) -> Vec<(String, Event)> {
    let events = row.events.iter();
    let events = events.map(|mark| (mark.time.strftime("%dT%H").to_string(), mark.event));
    events.collect()
}

#[test]
fn what_was_recorded_is_drawn_and_what_is_scheduled() {
    let row = row(|_| {});
    let expected = [
        ("26T12", Event::FirstIssue),
        ("29T00", Event::Due),
        ("01T00", Event::Next),
    ];
    assert_eq!(
        events(&row),
        expected.map(|(time, event)| (time.to_owned(), event))
    );
    assert_eq!(states(&row), ["unstated 26T12 26T12", "usable 26T12 30T12"]);
    assert_eq!((row.dark(), row.count(Event::is_rotation)), (700, 2));
}

#[test]
fn each_cause_and_outcome_has_its_event() {
    let event = |reason: &str, outcome: &str| {
        let mut entry = past("2026-11-29T00:00:00Z", reason);
        entry["outcome"] = json!(outcome);
        Event::of(&serde_json::from_value(entry).unwrap())
    };
    for (reason, outcome, expected) in [
        ("Due", "Published", Event::Due),
        ("Trigger", "Unproven", Event::Trigger),
        ("LostAttempt", "Published", Event::Repair),
        ("SecretMissing", "Teleported", Event::Repair),
        ("SecretInvalid", "Published", Event::Repair),
        ("Retire", "Retired", Event::Retire),
        ("Due", "WithoutEffect", Event::Unstored),
        ("Due", "Superseded", Event::Unstored),
        ("Adopted", "Adopted", Event::Adopted),
        ("Whim", "Published", Event::Other),
    ] {
        assert_eq!(event(reason, outcome), expected, "{reason} {outcome}");
    }
}

#[test]
fn what_is_not_known_is_not_drawn_as_fine() {
    // Ten are kept: there may have been others before.
    let full = row(|object| {
        let entries =
            (0..10).map(|day| past(&format!("2026-11-{}T00:00:00Z", 29 - day / 4), "Due"));
        object["status"]["history"] = entries.collect();
        object["metadata"]["creationTimestamp"] = json!("2026-10-01T00:00:00Z");
    });
    assert_eq!(states(&full), ["unknown 23T12 27T00", "usable 27T00 30T12"]);
    // A status that was lost starts anew, with the last one.
    let wiped = row(|object| {
        object["status"]["history"]
            .as_array_mut()
            .unwrap()
            .truncate(1);
    });
    assert_eq!(
        states(&wiped),
        ["unknown 26T12 29T00", "usable 29T00 30T12"]
    );
    // Before a repair it did not work, whatever no condition says.
    let repaired = row(|object| object["status"]["history"][0]["reason"] = json!("LostAttempt"));
    assert_eq!(
        states(&repaired),
        ["unstated 26T12 29T00", "usable 29T00 30T12"]
    );
    let unverified = row(|object| {
        object["status"]["conditions"][1] =
            condition("Verified", "Unknown", "NoVerdict", "2026-11-30T00:00:00Z");
    });
    assert_eq!(states(&unverified), ["unstated 26T12 30T12"]);
    // What another version wrote.
    let newer = row(|object| object["status"]["history"] = json!([{"at": "noon"}]));
    assert_eq!(states(&newer), ["unknown 26T12 30T12"]);
    assert_eq!(
        (newer.status.as_str(), newer.level),
        ("UpToDate", Level::Fine)
    );
    let metadata = Metadata {
        name: "x".to_owned(),
        ..Metadata::default()
    };
    let unreadable = Row::of(Kind::OidcApp, Listed::Unreadable(metadata), &week());
    assert_eq!(states(&unreadable), ["unknown 23T12 30T12"]);
    assert_eq!(unreadable.status, "Unreadable");
}

#[test]
fn an_outage_is_drawn_from_the_first_condition_that_says_so() {
    let rejected = row(|object| {
        object["status"]["conditions"] = json!([
            condition("Ready", "False", "SecretInvalid", "2026-11-30T02:00:00Z"),
            condition("Verified", "False", "Refused", "2026-11-30T01:00:00Z"),
            condition(
                "ConsumersCurrent",
                "False",
                "DeadlineExceeded",
                "2026-11-29T01:00:00Z"
            ),
        ]);
        object["status"]["nextRotationTime"] = json!("2026-11-30T06:00:00Z");
    });
    assert_eq!(
        states(&rejected),
        [
            "unstated 26T12 30T01",
            "late 30T06 30T12",
            "stale 29T01 30T12",
            "outage 30T01 30T12"
        ]
    );
    assert_eq!(rejected.states[3].reason.as_deref(), Some("Refused"));
    assert!(rejected.rank() < row(|_| {}).rank());
}

#[test]
fn a_client_secret_of_another_actor_is_drawn_when_it_was_made() {
    let row = row(|object| {
        let entry = &mut object["status"]["history"][0];
        entry["replaced"] = json!({"userId": "7", "time": "2026-11-28T20:00:00Z"});
    });
    assert_eq!(row.events[1].event, Event::Foreign);
    assert_eq!(row.events[1].user_id.as_deref(), Some("7"));
    assert_eq!(states(&row)[1], "usable 28T20 30T12");
}

#[test]
fn nothing_is_dark_where_a_standby_works_meanwhile() {
    let row = row(|object| object["status"]["history"][0]["appId"] = json!("3"));
    assert_eq!(row.dark(), 350);
}

#[test]
fn the_client_secret_that_an_application_came_with_is_no_event() {
    let row = row(|object| {
        let entry = &mut object["status"]["history"][1];
        entry["replaced"] = json!({"time": "2026-11-26T11:00:00Z", "withApp": true});
    });
    assert_eq!(row.events[0].event, Event::FirstIssue);
}

#[test]
fn no_number_or_time_is_too_large() {
    let odd = row(|object| {
        let status = &mut object["status"];
        status["history"][0]["darkWindowMilliseconds"] = json!(i64::MAX);
        status["history"][1]["darkWindowMilliseconds"] = json!(-5);
        status["conditions"][0]["lastTransitionTime"] = json!("9999-12-30T00:00:00Z");
        status["nextRotationTime"] = json!("9999-12-30T00:00:00Z");
        object["metadata"]["creationTimestamp"] = json!("0001-01-01T00:00:00Z");
    });
    assert_eq!(odd.dark(), i64::MAX);
    assert!(
        odd.states.iter().all(|span| span.from < span.until),
        "{odd:?}"
    );
    let busy = row(|object| object["spec"]["rotation"]["interval"] = json!("1s"));
    assert_eq!(busy.count(|event| event == Event::Next), AHEAD);
    let suspended = row(|object| object["spec"]["suspend"] = json!(true));
    assert_eq!(suspended.count(|event| event == Event::Next), 0);
}
