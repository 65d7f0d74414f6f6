//! Events about an object.

use crate::fixtures::tenant;
use crate::support::eventually;
use crate::support::policy::{allow_again, deny_statuses};
use crate::support::world::PATIENCE;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use zitadel_secret_operator::api::AppSecret;
use zitadel_simulator::{Action, Fault, Operation};

#[tokio::test]
async fn rotations_in_quick_succession_have_an_event_each_with_a_text_of_its_own() {
    let tenant = tenant("succession").await;
    let app = tenant.app("orders");
    let at_once = json!({"rotation": {"interval": "1s", "jitterPercent": 0}});
    tenant.apply("orders", &app.id, at_once).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let trigger = |trigger: &str| json!({"rotation": {"trigger": trigger}});
    let reason_is = |reason: &'static str| {
        move |object: &AppSecret| {
            let last = object.status.as_ref()?.last_rotation.as_ref()?;
            (last.reason == reason).then_some(())
        }
    };
    tenant.apply("orders", &app.id, trigger("a")).await.unwrap();
    tenant.until("orders", reason_is("Trigger")).await;
    let useless = Action::ReplaceBody("{}".to_owned());
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, useless).app(&app.id));
    tenant.apply("orders", &app.id, trigger("b")).await.unwrap();
    tenant.until("orders", reason_is("LostAttempt")).await;
    let notes = eventually(PATIENCE, || async {
        let events = tenant.events("orders").await.into_iter();
        let rotated = events.filter(|(_, reason, _)| reason == "Rotated");
        let notes: Vec<String> = rotated.map(|(_, _, note)| note).collect();
        let all = ["(Due)", "(Trigger)", "(LostAttempt)"];
        let found = |cause: &str| notes.iter().any(|note| note.contains(cause));
        all.into_iter().all(found).then_some(notes)
    })
    .await;
    let distinct: std::collections::BTreeSet<_> = notes.iter().collect();
    assert_eq!(distinct.len(), notes.len(), "{notes:?}");
    let lost = tenant.event("orders", "LostAttempt").await;
    assert!(lost.contains("malformed response, HTTP 200"), "{lost}");
}

#[tokio::test]
async fn rotations_between_which_no_status_could_be_written_are_reported_each() {
    let tenant = tenant("unreported").await;
    let app = tenant.issued("orders", json!({})).await;
    deny_statuses(&tenant.client, &tenant.namespace).await;
    let dry_run = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let same = Patch::Merge(json!({"status": {"observedGeneration": 0}}));
    eventually(PATIENCE, || async {
        let objects = tenant.objects();
        let answer = objects.patch_status("orders", &dry_run, &same).await;
        answer.is_err().then_some(())
    })
    .await;
    for (trigger, generates) in [("a", 2), ("b", 3)] {
        tenant.trigger("orders", trigger).await;
        tenant.until_generates(&app, generates).await;
        tenant.until_accepted(&app, "orders").await;
    }
    allow_again(&tenant.client, &tenant.namespace).await;
    tenant
        .until("orders", |object: &AppSecret| {
            let history = &object.status.as_ref()?.history;
            let reasons: Vec<_> = history.iter().map(|past| past.reason.as_str()).collect();
            (reasons == ["Trigger", "Trigger", "FirstIssue"]).then_some(())
        })
        .await;
    eventually(PATIENCE, || async {
        let events = tenant.events("orders").await.into_iter();
        let rotated =
            events.filter(|(_, reason, note)| reason == "Rotated" && note.contains("(Trigger)"));
        (rotated.count() == 2).then_some(())
    })
    .await;
}
