//! Objects that want the same application or the same Secret.

use crate::fixtures::{holds, message, tenant};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;

#[tokio::test]
async fn of_two_objects_for_one_application_the_older_works_and_the_younger_says_who() {
    let tenant = tenant("rivals").await;
    let app = tenant.app("orders");
    tenant.apply("older", &app.id, json!({})).await.unwrap();
    tenant.ready("older").await;
    tenant
        .apply("younger", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    let younger = tenant.reason("younger", "AppAlreadyClaimed").await;
    assert!(
        message(&younger, ConditionType::Ready).contains(&format!("{}/older", tenant.namespace))
    );
    assert!(holds(&younger, ConditionType::Stalled));
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert!(tenant.secrets().get_opt("younger").await.unwrap().is_none());
    assert!(tenant.accepted(&app, "older").await);
    tenant.delete("older").await;
    tenant.ready("younger").await;
    assert!(tenant.accepted(&app, "younger").await);
}

#[tokio::test]
async fn an_object_without_a_grant_blocks_no_other_and_the_holder_keeps_the_application() {
    // NB: of two objects of one second the one whose namespace comes first counts as the older.
    let stranger = tenant("a-stranger").await;
    let tenant = tenant("victim").await;
    let app = tenant.app("orders");
    let theirs = json!({"connectionRef": {"name": tenant.namespace}, "projectId": tenant.project});
    stranger.apply("orders", &app.id, theirs).await.unwrap();
    stranger.reason("orders", "NotGranted").await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    // Granted later, it is the older one, and comes second.
    let both = json!([{"name": "by-name", "namespaces": [tenant.namespace, stranger.namespace], "projectIds": [tenant.project]}]);
    tenant.apply_connection(json!({"grants": both})).await;
    let refused = stranger.reason("orders", "AppAlreadyClaimed").await;
    assert!(
        message(&refused, ConditionType::Ready).contains(&format!("{}/orders", tenant.namespace))
    );
    let trigger = json!({"rotation": {"trigger": "a"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert!(
        stranger
            .secrets()
            .get_opt("orders")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn an_older_object_that_cannot_be_used_any_more_blocks_no_other() {
    let tenant = tenant("unusable").await;
    let app = tenant.app("orders");
    let suspended = json!({"suspend": true});
    tenant.apply("elder", &app.id, suspended).await.unwrap();
    tenant.reason("elder", "Suspended").await;
    tenant.apply("younger", &app.id, json!({})).await.unwrap();
    tenant.reason("younger", "AppAlreadyClaimed").await;
    let windows = json!([{"name": "w", "schedule": "61 * * * *", "duration": "1h"}]);
    let unusable = json!({"rotation": {"interval": "1h", "windows": windows}});
    tenant.apply("elder", &app.id, unusable).await.unwrap();
    tenant.reason("elder", "InvalidSpec").await;
    tenant.ready("younger").await;
    assert!(tenant.accepted(&app, "younger").await);
}

#[tokio::test]
async fn of_two_objects_for_one_secret_the_second_says_who_keeps_it() {
    let tenant = tenant("share").await;
    let (first, second) = (tenant.app("first"), tenant.app("second"));
    tenant
        .apply("first", &first.id, json!({"secret": {"name": "oauth"}}))
        .await
        .unwrap();
    tenant.ready("first").await;
    tenant
        .apply(
            "second",
            &second.id,
            json!({"secret": {"name": "oauth", "adoptionPolicy": "Required"}}),
        )
        .await
        .unwrap();
    let object = tenant.reason("second", "SecretKeyConflict").await;
    assert!(
        message(&object, ConditionType::Ready).contains(&format!("{}/first", tenant.namespace))
    );
    tenant.fence().await;
    assert_eq!(tenant.generates(&second), 0);
    assert!(tenant.accepted(&first, "oauth").await);
}
