//! Repairs: of a Secret that is missing or rejected, and of rotations by another actor.

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_secret_operator::store::apply::FIELD_MANAGER;
use zitadel_simulator::{Action, AppHandle, Fault, Operation, Reply};

use crate::fixtures::{assert_conditions, assert_status, lose_answer, message, tenant};
use crate::support::world::Tenant;

#[tokio::test]
async fn a_secret_deleted_by_a_person_is_restored_by_one_generate() {
    let tenant = tenant("missing").await;
    let app = tenant.issued("orders", json!({})).await;
    tenant.delete_secret("orders").await;
    tenant.until_accepted(&app, "orders").await;
    let object = tenant.rotated("orders", "SecretMissing").await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(object.status.unwrap().history.len(), 2);
    // The same for the key alone.
    tenant
        .edit_secret("orders", json!({"data": {"CLIENT_SECRET": null}}))
        .await;
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 3);
}

/// What is only reported is repaired by a trigger.
async fn a_trigger_repairs_it(tenant: &Tenant, app: &AppHandle, recovery: Value) {
    let again = json!({"recovery": recovery, "rotation": {"trigger": "again"}});
    tenant.apply("orders", &app.id, again).await.unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(app, "orders").await);
    assert_eq!(tenant.generates(app), 2);
}

#[tokio::test]
async fn a_secret_deleted_by_a_person_is_only_reported_if_the_policy_says_so() {
    let tenant = tenant("report").await;
    let app = tenant.app("orders");
    let recovery = json!({"missing": "Report"});
    tenant
        .apply("orders", &app.id, json!({"recovery": recovery}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant.delete_secret("orders").await;
    let object = assert_status!(tenant, "orders", "SecretMissing", Stalled);
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    tenant.event("orders", "SecretMissing").await;
    // As the message says.
    assert!(message(&object, ConditionType::Ready).contains("spec.rotation.trigger"));
    a_trigger_repairs_it(&tenant, &app, recovery).await;
}

#[tokio::test]
async fn a_value_edited_by_hand_is_repaired_once_and_then_the_quarrel_is_reported() {
    let tenant = tenant("edited").await;
    let app = tenant.issued("orders", json!({})).await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand"}}),
        )
        .await;
    tenant.until_accepted(&app, "orders").await;
    let object = tenant.rotated("orders", "SecretInvalid").await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(object.status.unwrap().history.len(), 2);
    tenant.ready("orders").await;
    let refused = tenant.event("orders", "Refused").await;
    assert!(
        refused.starts_with("ZITADEL rejects the client secret in Secret orders"),
        "{refused}"
    );
    let rotated = tenant.event("orders", "Rotated").await;
    assert!(rotated.contains("(SecretInvalid)"), "{rotated}");
    let events = tenant.events("orders").await;
    let warned =
        |(type_, reason, _): &(String, String, String)| type_ == "Warning" && reason == "Refused";
    assert!(events.iter().any(warned), "{events:?}");
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand-again"}}),
        )
        .await;
    let object = assert_status!(tenant, "orders", "SecretContested", Stalled);
    let text = message(&object, ConditionType::Ready);
    assert!(
        text.starts_with("Field manager ")
            && text.contains("changed key CLIENT_SECRET of Secret orders again"),
        "{text}"
    );
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(
        tenant.client_secret("orders").await.as_deref(),
        Some("by-hand-again")
    );
    tenant.trigger("orders", "out").await;
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 3);
}

#[tokio::test]
async fn a_value_that_is_applied_under_the_operator_s_own_name_is_known_as_another_s_and_repaired()
{
    let tenant = tenant("disguised").await;
    let app = tenant.issued("orders", json!({})).await;
    // Nothing in `managedFields` tells it from a write of the operator.
    let mut secret = serde_json::to_value(tenant.secret("orders").await).unwrap();
    for field in [
        "managedFields",
        "resourceVersion",
        "uid",
        "creationTimestamp",
    ] {
        secret["metadata"].as_object_mut().unwrap().remove(field);
    }
    secret["apiVersion"] = json!("v1");
    secret["kind"] = json!("Secret");
    secret["data"]["CLIENT_SECRET"] = json!("YnktaGFuZA==");
    let applied = PatchParams::apply(FIELD_MANAGER).force();
    let secrets = tenant.secrets();
    secrets
        .patch("orders", &applied, &Patch::Apply(secret))
        .await
        .unwrap();
    let object = assert_status!(tenant, "orders", "Refused", !Ready);
    assert_conditions!(object, !Verified "Refused");
    tenant.until_accepted(&app, "orders").await;
    tenant.rotated("orders", "SecretInvalid").await;
    assert_eq!(tenant.generates(&app), 2);
    let object = tenant.ready("orders").await;
    assert_conditions!(object, Verified "Accepted");
}

#[tokio::test]
async fn a_value_edited_by_hand_is_only_reported_if_the_policy_says_so() {
    let tenant = tenant("invalid").await;
    let app = tenant.app("orders");
    let recovery = json!({"rejected": "Report"});
    tenant
        .apply("orders", &app.id, json!({"recovery": recovery}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand"}}),
        )
        .await;
    assert_status!(tenant, "orders", "SecretInvalid", Stalled);
    assert_eq!(tenant.generates(&app), 1);
    a_trigger_repairs_it(&tenant, &app, recovery).await;
}

#[tokio::test]
async fn a_rotation_by_another_actor_is_found_and_replaced_once_if_the_policy_says_so() {
    let tenant = tenant("elsewhere").await;
    let (rotated, reported) = (tenant.app("rotated"), tenant.app("reported"));
    tenant
        .apply("rotated", &rotated.id, json!({}))
        .await
        .unwrap();
    tenant
        .apply(
            "reported",
            &reported.id,
            json!({"recovery": {"rejected": "Report"}}),
        )
        .await
        .unwrap();
    tenant.ready("rotated").await;
    tenant.ready("reported").await;
    for app in [&rotated, &reported] {
        tenant.zitadel.rotate_elsewhere(&app.id, None).unwrap();
    }
    tenant.until_accepted(&rotated, "rotated").await;
    assert_status!(tenant, "reported", "RotatedElsewhere", Stalled);
    let own = |id: &str| {
        tenant
            .zitadel
            .executions()
            .iter()
            .filter(|made| made.app == id && made.request.is_some())
            .count()
    };
    assert_eq!((own(&rotated.id), own(&reported.id)), (2, 1));
}

#[tokio::test]
async fn a_rotation_with_the_operator_s_own_user_elsewhere_is_called_refused_before_it_is_repaired()
{
    let tenant = tenant("ownuser").await;
    let app = tenant.issued("own", json!({})).await;
    tenant
        .zitadel
        .rotate_elsewhere(&app.id, Some(&tenant.user))
        .unwrap();
    let object = assert_status!(tenant, "own", "Refused", !Ready);
    assert_conditions!(object, !Verified "Refused");
    tenant.until_accepted(&app, "own").await;
    let object = tenant.ready("own").await;
    assert_conditions!(object, Verified "Accepted");
}

#[tokio::test]
async fn after_a_lost_answer_without_a_journal_the_stored_value_is_called_refused_before_it_is_repaired()
 {
    let tenant = tenant("unread").await;
    let app = tenant.issued("unread", json!({})).await;
    let denied = r#"{"code":7,"message":"no","details":[{"id":"AUTH-5mWD2"}]}"#;
    let denied = Action::RespondBefore(Reply::new(403, "application/json", denied));
    tenant
        .zitadel
        .inject(Fault::on(Operation::Journal, denied).app(&app.id).always());
    lose_answer(&tenant, &app);
    tenant.trigger("unread", "x").await;
    let object = assert_status!(tenant, "unread", "Refused", !Ready);
    assert_conditions!(object, !Verified "Refused");
    tenant.until_accepted(&app, "unread").await;
    let object = tenant.ready("unread").await;
    assert_conditions!(object, Verified "Accepted");
}
