//! What follows from edits.

use serde_json::json;

use super::*;
use crate::plugin::fixtures::{self, NOW, at, with};

/// The rotation of an object that nothing is said about.
fn monthly() -> Value {
    json!({"interval": "30d", "jitterPercent": 0, "trigger": "a"})
}

fn object(spec: &Value, status: &Value) -> AppSecret {
    fixtures::object(&with(json!({ "rotation": monthly() }), spec), status)
}

fn issued() -> Value {
    json!({
        "changeDate": "2026-11-28T12:00:00.000000Z", "secretName": "api", "activeAppId": "2", "observedTrigger": "a",
        "lastRotation": {"time": "2026-11-28T12:00:00Z", "reason": "Due", "attempt": "a"},
    })
}

fn edit<'a>(before: Option<&'a AppSecret>, after: &'a AppSecret) -> Edit<'a> {
    Edit {
        before,
        after,
        was_granted: Granted::Yes,
        granted: Granted::Yes,
        same_zitadel: Some(true),
        found: None,
        pods: Ok(Vec::new()),
        now: at(NOW),
        until: at("2026-12-07T12:00:00Z"),
    }
}

fn of(
    before: Option<&AppSecret>,
    after: &AppSecret,
    change: impl FnOnce(&mut Edit<'_>),
) -> Vec<Consequence> {
    let mut edit = edit(before, after);
    change(&mut edit);
    edit.consequences()
}

fn edited_from(
    before: &Value,
    after: &Value,
    change: impl FnOnce(&mut Edit<'_>),
) -> Vec<Consequence> {
    let (before, after) = (object(before, &issued()), object(after, &issued()));
    of(Some(&before), &after, change)
}

fn edited(after: &Value) -> Vec<Consequence> {
    edited_from(&json!({}), after, |_| {})
}

fn changes(all: &[Consequence]) -> Vec<Change> {
    all.iter().map(|it| it.change).collect()
}

fn rotation(more: &Value) -> Value {
    json!({ "rotation": with(monthly(), more) })
}

#[test]
fn what_is_not_edited_has_no_consequence_and_a_setting_changes_nothing_now() {
    assert_eq!(edited(&json!({})), []);
    let settings = edited(&json!({"recovery": {"missing": "Report"}}));
    assert_eq!(changes(&settings), [Change::Settles]);
}

#[test]
fn a_schedule_makes_it_due_or_moves_the_next_rotation() {
    let due = edited(&rotation(&json!({"interval": "1d"})));
    assert_eq!(changes(&due), [Change::RotatesNow]);
    assert_eq!(due[0].reason, Some("Due"));
    assert!(due[0].message.contains("stops working at once"), "{due:?}");
    let sooner = edited(&rotation(&json!({"interval": "3d"})));
    assert_eq!(changes(&sooner), [Change::Moves]);
    assert_eq!(sooner[0].from, Some(at("2026-12-28T12:00:00Z")));
    assert_eq!(sooner[0].to, Some(at("2026-12-01T12:00:00Z")));
    let count = "sooner (every 3d); 2 in the time instead of none";
    assert!(sooner[0].message.ends_with(count), "{sooner:?}");
    let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": "2h"}]);
    let windowed = edited(&rotation(&json!({"interval": "1d", "windows": windows})));
    assert_eq!(changes(&windowed), [Change::Moves]);
    assert_eq!(windowed[0].to, Some(at("2026-12-01T03:00:00Z")));
    let none = edited(&rotation(&json!({"interval": null})));
    assert_eq!((changes(&none), none[0].to), (vec![Change::Moves], None));
}

#[test]
fn a_trigger_rotates_and_what_the_object_is_stalled_by_is_said() {
    let triggered = edited(&rotation(&json!({"trigger": "b"})));
    assert_eq!(changes(&triggered), [Change::RotatesNow]);
    let mut status = issued();
    status["conditions"] = json!([{
        "type": "Stalled", "status": "True", "reason": "AppNotFound", "message": "m", "lastTransitionTime": NOW, "observedGeneration": 1,
    }]);
    let before = object(&json!({}), &status);
    let after = object(&rotation(&json!({"trigger": "b"})), &status);
    let stalled = of(Some(&before), &after, |_| {});
    assert_eq!(changes(&stalled), [Change::RotatesNow]);
    assert!(
        stalled[0].message.ends_with("it is stalled (AppNotFound)"),
        "{stalled:?}"
    );
    // It is removed: nothing happens.
    assert_eq!(
        changes(&edited(&rotation(&json!({"trigger": null})))),
        [Change::Settles]
    );
}

#[test]
fn a_secret_is_written_again_or_moves_and_its_consumers_are_named() {
    let labels = edited(&json!({"secret": {"labels": {"team": "a"}}}));
    assert_eq!(changes(&labels), [Change::Renders]);
    assert!(labels[0].message.ends_with("(spec.secret)"), "{labels:?}");
    let name = json!({"secret": {"name": "other"}});
    let pods = Ok(vec!["web-1 (Deployment/web)".to_owned()]);
    let named = edited_from(&json!({}), &name, |edit| edit.pods = pods);
    assert_eq!(changes(&named), [Change::Renames]);
    assert_eq!(named[0].pods.len(), 1);
    let text = "moves from Secret api to Secret other, and api is deleted; 1 Pod names api,";
    assert!(named[0].message.contains(text), "{named:?}");
    let taken = edited_from(&json!({}), &name, |edit| edit.found = Some(Found::Foreign));
    assert_eq!(
        (changes(&taken), taken[0].reason),
        (vec![Change::Stalls], Some("SecretNotOwned"))
    );
}

#[test]
fn an_object_that_is_new_is_issued_or_takes_over_or_stalls() {
    let new =
        |spec: &Value, change: fn(&mut Edit<'_>)| of(None, &object(spec, &Value::Null), change);
    let first = new(&json!({}), |_| {});
    assert_eq!(
        (changes(&first), first[0].reason),
        (vec![Change::RotatesNow], Some("FirstIssue"))
    );
    let adopts = json!({"secret": {"adoptionPolicy": "Required"}});
    let found: fn(&mut Edit<'_>) = |edit| edit.found = Some(Found::Foreign);
    assert_eq!(changes(&new(&adopts, found)), [Change::TakesOver]);
    let nothing = new(&adopts, |_| {});
    assert_eq!(nothing[0].reason, Some("NothingToAdopt"));
    assert_eq!(new(&json!({}), found)[0].reason, Some("SecretNotOwned"));
    let kept: fn(&mut Edit<'_>) = |edit| edit.found = Some(Found::Managed);
    assert_eq!(changes(&new(&json!({}), kept)), [Change::TakesOver]);
    let nowhere = new(&json!({}), |edit| edit.granted = Granted::NoConnection);
    assert_eq!(nowhere[0].reason, Some("ConnectionNotFound"));
    let wrong = new(&json!({"rotation": {"interval": "0s"}}), |_| {});
    assert_eq!(wrong[0].reason, Some("InvalidSpec"));
}

#[test]
fn a_grant_that_is_lost_is_told_from_one_that_never_was() {
    let standby = json!({"standby": {"type": "Existing", "appId": "3"}});
    let lost = edited_from(&json!({}), &standby, |edit| edit.granted = Granted::No);
    assert_eq!(changes(&lost), [Change::LosesGrant, Change::ChangesStandby]);
    let never = edited_from(&json!({}), &standby, |edit| {
        edit.granted = Granted::No;
        edit.was_granted = Granted::No;
    });
    assert_eq!(changes(&never)[0], Change::NotGranted);
    let unknown = Granted::Unknown("you may not".to_owned());
    let unknown = edited_from(&json!({}), &standby, |edit| edit.granted = unknown);
    assert_eq!(changes(&unknown), [Change::ChangesStandby]);
}

#[test]
fn a_grant_that_comes_or_goes_with_the_connection_is_no_edit_of_the_object() {
    let of_connection = |status: &Value, change: fn(&mut Edit<'_>)| {
        let object = object(&json!({}), status);
        of(Some(&object), &object, change)
    };
    assert_eq!(of_connection(&issued(), |_| {}), []);
    let lost = of_connection(&issued(), |edit| edit.granted = Granted::No);
    assert_eq!(changes(&lost), [Change::LosesGrant]);
    let gained: fn(&mut Edit<'_>) = |edit| edit.was_granted = Granted::No;
    let mut status = issued();
    status["conditions"] = json!([{
        "type": "Stalled", "status": "True", "reason": "NotGranted", "message": "m", "lastTransitionTime": NOW, "observedGeneration": 1,
    }]);
    let again = of_connection(&status, gained);
    assert_eq!(changes(&again), [Change::Resumes]);
    let next = "covers it again: it is rotated, repaired and written: the next rotation is at 2026-12-28T12:00:00Z";
    assert!(again[0].message.ends_with(next), "{again:?}");
    let first = of_connection(&json!({"conditions": status["conditions"]}), gained);
    assert_eq!(changes(&first), [Change::RotatesNow]);
    assert!(!first[0].message.contains("stalled"), "{first:?}");
    let created = of_connection(&Value::Null, |edit| {
        edit.was_granted = Granted::NoConnection;
    });
    assert_eq!(changes(&created), [Change::RotatesNow]);
    let elsewhere = of_connection(&issued(), |edit| edit.same_zitadel = Some(false));
    assert_eq!(changes(&elsewhere), [Change::RotatesNow]);
}

#[test]
fn another_connection_rotates_only_where_it_is_to_another_zitadel() {
    let other = json!({"connectionRef": {"name": "other"}});
    let same = edited(&other);
    assert_eq!(changes(&same), [Change::Reconnects]);
    let elsewhere = edited_from(&json!({}), &other, |edit| edit.same_zitadel = Some(false));
    assert_eq!(
        changes(&elsewhere),
        [Change::RotatesNow, Change::Reconnects]
    );
    let unknown = edited_from(&json!({}), &other, |edit| edit.same_zitadel = None);
    assert!(
        unknown[0].message.contains("it is not known"),
        "{unknown:?}"
    );
}

#[test]
fn what_is_suspended_says_what_it_misses_and_resumed_when_it_rotates() {
    let suspended = edited(&json!({"suspend": true}));
    assert_eq!(changes(&suspended), [Change::Suspends]);
    assert!(
        suspended[0]
            .message
            .ends_with("not even at 2026-12-28T12:00:00Z"),
        "{suspended:?}"
    );
    let resumed = edited_from(
        &json!({"suspend": true}),
        &json!({"suspend": false}),
        |_| {},
    );
    assert_eq!(changes(&resumed), [Change::Resumes]);
    let mut due = rotation(&json!({"interval": "1d"}));
    let after = due.clone();
    due["suspend"] = json!(true);
    let due = edited_from(&due, &after, |_| {});
    assert_eq!(changes(&due), [Change::RotatesNow, Change::Resumes]);
}

#[test]
fn a_standby_is_created_and_taken_away_without_a_rotation() {
    let provisioned = json!({"standby": {"type": "Provisioned"}});
    let created = edited(&provisioned);
    assert_eq!(changes(&created), [Change::ChangesStandby]);
    assert!(
        created[0]
            .message
            .contains("\"2 standby (zitadel-secret-operator)\""),
        "{created:?}"
    );
    let existing = json!({"standby": {"type": "Existing", "appId": "3"}});
    let gone = edited_from(&existing, &json!({}), |_| {});
    assert_eq!(changes(&gone), [Change::ChangesStandby]);
}

#[test]
fn fields_are_named_as_deep_as_they_differ() {
    let before = object(&json!({"suspend": false}), &issued());
    let after = object(
        &rotation(&json!({"interval": "1d", "windows": []})),
        &issued(),
    );
    assert_eq!(
        edit(Some(&before), &after).fields(),
        [
            "spec.rotation.interval",
            "spec.rotation.windows",
            "spec.suspend"
        ]
    );
}
