//! What the operator would do, for each edit.

use serde_json::{Value as Json, json};

use super::*;
use crate::api::AppSecret;
use crate::plugin::fixtures::{NOW, at, object};
use crate::target::Target;

/// A spec before and after, and a status.
struct Case {
    before: AppSecret,
    after: AppSecret,
}

fn issued() -> Json {
    json!({
        "changeDate": "2026-11-29T14:00:00.000000Z", "secretName": "api", "activeAppId": "2", "sequence": "7", "observedTrigger": "a",
        "lastRotation": {"time": "2026-11-29T14:00:00Z", "reason": "Due", "attempt": "a"},
    })
}

impl Case {
    fn new(before: &Json, after: &Json, status: &Json) -> Self {
        Self {
            before: object(before, status),
            after: object(after, status),
        }
    }

    fn edit(after: &Json) -> Self {
        Self::new(&json!({}), after, &issued())
    }

    fn course(&self, change: impl FnOnce(&mut Scene<'_>)) -> Course {
        let read = |object| Target::read_unlimited(object).unwrap();
        let (before, target) = (read(&self.before), read(&self.after));
        let status = self.after.status.clone().unwrap_or_default();
        let mut scene = Scene {
            target: &target,
            status: &status,
            written: &before.secret,
            granted: true,
            same_zitadel: true,
            found: None,
            now: at(NOW),
        };
        change(&mut scene);
        scene.course()
    }

    fn acts(&self) -> Vec<Act> {
        self.course(|_| {}).acts
    }
}

#[test]
fn what_is_as_it_was_is_left_alone() {
    let course = Case::edit(&json!({})).course(|_| {});
    assert_eq!((course.acts.len(), course.stalled()), (0, None));
    assert!(
        matches!(course.rests, Some(Report::Settled { .. })),
        "{course:?}"
    );
}

#[test]
fn a_new_trigger_and_an_age_that_is_reached_rotate() {
    let rotation = |rotation: Json| Case::edit(&json!({"rotation": rotation})).acts();
    let rotates = |cause| vec![Act::Rotates(cause)];
    assert_eq!(rotation(json!({"trigger": "b"})), rotates(Cause::Trigger));
    assert_eq!(rotation(json!({"trigger": "a"})), []);
    assert_eq!(rotation(json!({})), []);
    assert_eq!(rotation(json!({"interval": "12h"})), rotates(Cause::Due));
    assert_eq!(rotation(json!({"interval": "30d"})), []);
    let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": "2h"}]);
    assert_eq!(rotation(json!({"interval": "12h", "windows": windows})), []);
}

#[test]
fn what_is_written_otherwise_is_written_again_and_nothing_is_generated() {
    for secret in [
        json!({"labels": {"team": "a"}}),
        json!({"annotations": {"team": "a"}}),
        json!({"deletionPolicy": "Retain"}),
        json!({"data": [{"key": "SECRET", "from": "ClientSecret"}]}),
    ] {
        let acts = Case::edit(&json!({"secret": secret})).acts();
        assert_eq!(acts, [Act::Renders], "{secret}");
    }
    let policy = json!({"secret": {"adoptionPolicy": "Required"}, "suspend": false});
    assert_eq!(Case::edit(&policy).acts(), []);
    let named =
        json!({"secret": {"name": "other", "labels": {"team": "a"}}, "rotation": {"trigger": "b"}});
    assert_eq!(Case::edit(&named).acts()[0], Act::Moves);
    let course = Case::edit(&json!({"secret": {"type": "kubernetes.io/basic-auth"}}));
    let stalled = course.course(|_| {}).stalled();
    assert_eq!(stalled, Some(Reason::SecretTypeMismatch));
    let taken = Case::edit(&json!({"secret": {"name": "other"}}));
    let stalled = taken
        .course(|scene| scene.found = Some(Found::Foreign))
        .stalled();
    assert_eq!(stalled, Some(Reason::SecretNotOwned));
}

#[test]
fn an_object_that_is_new_is_issued_unless_there_is_something_to_take_over() {
    let new = |spec: &Json, found| {
        let case = Case::new(&json!({}), spec, &json!({}));
        case.course(|scene| scene.found = found)
    };
    let adopts = json!({"secret": {"adoptionPolicy": "Required"}});
    let first = new(&json!({"rotation": {"trigger": "x"}}), None);
    assert_eq!(first.cause(), Some(Cause::FirstIssue));
    assert_eq!(new(&adopts, Some(Found::Foreign)).acts, [Act::TakesOver]);
    let nothing = new(&adopts, None);
    assert_eq!(nothing.stalled(), Some(Reason::NothingToAdopt));
    let foreign = new(&json!({}), Some(Found::Foreign));
    assert_eq!(foreign.stalled(), Some(Reason::SecretNotOwned));
    assert_eq!(new(&json!({}), Some(Found::Managed)).cause(), None);
    let provisioned = json!({"standby": {"type": "Provisioned"}});
    assert_eq!(
        new(&provisioned, None).acts,
        [Act::Provisions, Act::Rotates(Cause::FirstIssue)]
    );
}

#[test]
fn what_is_stopped_or_not_granted_does_nothing() {
    let suspended = Case::edit(&json!({"suspend": true, "rotation": {"trigger": "b"}}));
    assert_eq!(suspended.course(|_| {}).stalled(), Some(Reason::Suspended));
    let triggered = Case::edit(&json!({"rotation": {"trigger": "b"}}));
    let course = triggered.course(|scene| scene.granted = false);
    assert_eq!(course.stalled(), Some(Reason::NotGranted));
    assert_eq!(course.acts, []);
}

#[test]
fn a_pair_of_another_zitadel_is_replaced_unless_that_is_only_to_be_reported() {
    let elsewhere = |spec: &Json| Case::edit(spec).course(|scene| scene.same_zitadel = false);
    let course = elsewhere(&json!({}));
    assert_eq!(course.cause(), Some(Cause::SecretInvalid));
    let course = elsewhere(&json!({"recovery": {"rejected": "Report"}}));
    assert_eq!(
        (course.cause(), course.stalled()),
        (None, Some(Reason::SecretInvalid))
    );
}

#[test]
fn a_standby_is_created_and_a_pair_whose_overlap_is_over_ends() {
    let provisioned = json!({"standby": {"type": "Provisioned"}});
    assert_eq!(Case::edit(&provisioned).acts(), [Act::Provisions]);
    let existing = json!({"standby": {"type": "Existing", "appId": "3"}});
    assert_eq!(Case::edit(&existing).acts(), []);
    let mut status = issued();
    status["previous"] = json!({"appId": "3", "clientId": "c"});
    let ends = |overlap: &Json| {
        let mut spec = existing.clone();
        spec["rotation"] = json!({"overlap": overlap});
        Case::new(&existing, &spec, &status).acts()
    };
    assert_eq!(
        ends(&json!({"minimum": "1h"})),
        [Act::Rotates(Cause::Retire)]
    );
    assert_eq!(ends(&json!({"minimum": "2d"})), []);
    assert_eq!(ends(&json!({"until": "ConsumersCurrent"})), []);
}
