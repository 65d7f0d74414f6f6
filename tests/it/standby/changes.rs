//! A standby that is added, removed, shared, unusable or not granted.

use serde_json::json;
use zitadel_secret_operator::api::{AppSecret, ConditionType};

use super::Pair;
use crate::support::eventually;
use crate::support::world::PATIENCE;

#[tokio::test]
async fn a_standby_that_is_added_or_removed_rotates_nothing_and_the_stored_pair_stays() {
    let pair = Pair::new("later").await;
    let tenant = &pair.tenant;
    let single = |trigger: &str| json!({"rotation": {"trigger": trigger}});
    let apply = async |trigger: &str| {
        let applied = tenant
            .apply("orders", &pair.first.id, single(trigger))
            .await;
        applied.unwrap();
    };
    apply("0").await;
    tenant.ready("orders").await;
    let first = pair.secret().await;
    pair.apply(json!({"trigger": "0"})).await;
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(
        (pair.generates(), pair.secret().await),
        ((1, 0), first.clone())
    );
    pair.rotate("1").await;
    assert_eq!(pair.active().await, pair.second.id);
    let second = pair.secret().await;
    // Without the field the stored pair is still the standby's, and is maintained until the next rotation.
    apply("1").await;
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(
        (pair.generates(), pair.secret().await),
        ((1, 1), second.clone())
    );
    tenant
        .edit_secret("orders", json!({"data": {"CLIENT_ID": "eA=="}}))
        .await;
    eventually(PATIENCE, || async {
        let id = tenant.value("orders", "CLIENT_ID").await;
        (id.as_ref() == Some(&pair.second.client_id)).then_some(())
    })
    .await;
    apply("2").await;
    pair.handled("2").await;
    assert_eq!(
        (pair.active().await, pair.generates()),
        (pair.first.id.as_str(), (2, 1))
    );
    assert!(pair.accepts(&pair.second, &second) && !pair.accepts(&pair.first, &first));
    apply("3").await;
    let status = pair.handled("3").await;
    assert_eq!(pair.generates(), (3, 1));
    assert_eq!(status.previous, None);
}

#[tokio::test]
async fn two_objects_never_share_an_application() {
    let pair = Pair::issued("shared", json!({})).await;
    let tenant = &pair.tenant;
    let third = tenant.app("orders-c");
    // NB: of two objects of one second the one whose name comes first counts as the older.
    for (name, app, standby) in [
        ("same-standby", &third, &pair.second),
        ("standby-as-app", &pair.second, &third),
        ("third-with-app", &third, &pair.first),
    ] {
        let extra = json!({"standby": {"type": "Existing", "appId": standby.id}});
        tenant.apply(name, &app.id, extra).await.unwrap();
        tenant.reason(name, "AppAlreadyClaimed").await;
    }
    assert_eq!((pair.generates(), tenant.generates(&third)), ((1, 0), 0));
    // Once the elder lets go of the standby, the one that wants that is served.
    tenant.delete("same-standby").await;
    tenant.delete("third-with-app").await;
    tenant
        .apply("orders", &pair.first.id, json!({}))
        .await
        .unwrap();
    tenant.ready("standby-as-app").await;
}

#[tokio::test]
async fn an_application_whose_pair_is_stored_is_kept_also_when_it_is_named_no_more() {
    let pair = Pair::issued("former", json!({})).await;
    let tenant = &pair.tenant;
    pair.rotate("1").await;
    assert_eq!(pair.active().await, pair.second.id);
    let stored = pair.secret().await;
    let alone = |trigger: &str| json!({"rotation": {"trigger": trigger}});
    let applied = tenant.apply("orders", &pair.first.id, alone("1")).await;
    applied.unwrap();
    tenant.ready("orders").await;
    let other = tenant.apply("other", &pair.second.id, json!({})).await;
    other.unwrap();
    tenant.reason("other", "AppAlreadyClaimed").await;
    tenant.fence().await;
    assert_eq!(pair.generates(), (1, 1));
    assert!(pair.accepts(&pair.second, &stored));
    // The next pair is the other application's: this one is free.
    let applied = tenant.apply("orders", &pair.first.id, alone("2")).await;
    applied.unwrap();
    pair.handled("2").await;
    assert_eq!(pair.active().await, pair.first.id);
    tenant.ready("other").await;
    assert_eq!(pair.generates(), (2, 2));
}

#[tokio::test]
async fn a_standby_that_cannot_take_over_is_reported_and_no_rotation_falls_back_to_an_outage() {
    let pair = Pair::new("unready").await;
    let (tenant, zitadel) = (&pair.tenant, &pair.tenant.zitadel);
    zitadel.deactivate_app(&pair.second.id).unwrap();
    pair.apply(json!({"trigger": "0"})).await;
    let object = tenant.reason("orders", "StandbyNotReady").await;
    let status = object.status.unwrap();
    assert!(
        status.conditions.is_true(ConditionType::Ready),
        "the stored pair is good"
    );
    let stored = pair.secret().await;
    pair.apply(json!({"trigger": "1"})).await;
    let stalled = |object: &AppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        conditions.is_true(ConditionType::Stalled).then_some(())
    };
    tenant.until("orders", stalled).await;
    assert_eq!((pair.generates(), pair.secret().await), ((1, 0), stored));
    zitadel.reactivate_app(&pair.second.id).unwrap();
    // Any change of the object has it checked again; the trigger still waits.
    tenant
        .edit(
            "orders",
            json!({"spec": {"secret": {"labels": {"seen": "to"}}}}),
        )
        .await;
    pair.handled("1").await;
    assert_eq!(pair.generates(), (1, 1));
}

#[tokio::test]
async fn without_a_grant_for_the_standby_nothing_is_done() {
    let pair = Pair::new("ungranted").await;
    let grants = json!({"grants": [{"name": "by-name", "namespaces": [pair.tenant.namespace], "projectIds": [pair.tenant.project], "appIds": [pair.first.id]}]});
    pair.tenant.apply_connection(grants).await;
    pair.tenant.connected().await;
    pair.apply(json!({})).await;
    pair.tenant.reason("orders", "NotGranted").await;
    assert_eq!(pair.generates(), (0, 0));
}

#[tokio::test]
async fn claims_of_both_applications_go_when_the_object_does() {
    let pair = Pair::issued("swept", json!({"trigger": "0"})).await;
    pair.rotate("1").await;
    assert_eq!(pair.tenant.claims("orders").await.len(), 2);
    // They remember for a day what was rotated.
    pair.tenant.age_claims("orders").await;
    pair.tenant.delete("orders").await;
    eventually(PATIENCE, || async {
        pair.tenant.claims("orders").await.is_empty().then_some(())
    })
    .await;
}
