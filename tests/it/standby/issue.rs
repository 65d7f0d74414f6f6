//! Which application a first issue, an adoption or a repair goes to.

use serde_json::json;
use zitadel_simulator::{Action, Cut, Fault, Operation};

use super::Pair;
use crate::support::eventually;
use crate::support::world::{PATIENCE, World};

#[tokio::test]
async fn the_first_issue_goes_to_an_application_without_a_secret_if_there_is_one() {
    let pair = Pair::new("unused").await;
    let zitadel = &pair.tenant.zitadel;
    let theirs = zitadel.rotate_elsewhere(&pair.first.id, None).unwrap();
    pair.apply(json!({"trigger": "0"})).await;
    pair.tenant.ready("orders").await;
    assert_eq!(pair.active().await, pair.second.id);
    assert_eq!(zitadel.latest(&pair.first.id), Some(theirs.sequence));
    let status = pair.rotate("1").await;
    assert_eq!(pair.active().await, pair.first.id);
    assert_eq!(status.active_app_id.as_ref(), Some(&pair.first.id));
}

#[tokio::test]
async fn a_first_issue_that_replaces_the_secret_of_another_actor_says_so() {
    let pair = Pair::new("replaced").await;
    let zitadel = &pair.tenant.zitadel;
    let person = zitadel.create_user(&pair.tenant.organization, "person");
    zitadel
        .rotate_elsewhere(&pair.first.id, Some(&person))
        .unwrap();
    let tenant = &pair.tenant;
    tenant
        .apply("orders", &pair.first.id, json!({}))
        .await
        .unwrap();
    let status = tenant.ready("orders").await.status.unwrap();
    let note = tenant.event("orders", "Issued").await;
    assert!(note.contains(&person), "{note}");
    let replaced = status.history[0].replaced.clone().unwrap();
    assert_eq!(replaced.user_id, Some(person));
}

#[tokio::test]
async fn a_first_issue_says_who_created_the_application_also_after_a_lost_answer() {
    let tenant = World::shared().await.tenant("created").await;
    for (name, lost) in [("answered", false), ("lost", true)] {
        let app = tenant.app(name);
        if lost {
            let fault = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset));
            tenant.zitadel.inject(fault.app(&app.id));
        }
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        let status = tenant.ready(name).await.status.unwrap();
        let replaced = status.history[0].replaced.clone().unwrap();
        assert_eq!(replaced.with_app, Some(true));
        let reason = if lost { "Rotated" } else { "Issued" };
        let note = tenant.event(name, reason).await;
        let user = replaced.user_id.unwrap();
        let since = format!("since it was created by user {user} at {}", replaced.time.0);
        assert!(note.contains(&since), "{note}");
    }
}

#[tokio::test]
async fn an_existing_pair_of_either_application_is_adopted_without_a_generate() {
    let pair = Pair::new("adopt").await;
    let tenant = &pair.tenant;
    let made = tenant
        .zitadel
        .rotate_elsewhere(&pair.second.id, None)
        .unwrap();
    let value = tenant.zitadel.accepted_secret(&pair.second.id).unwrap();
    let data = json!({"CLIENT_ID": pair.second.client_id, "CLIENT_SECRET": value.expose()});
    tenant.create_secret("orders", data).await;
    let extra = json!({"standby": {"type": "Existing", "appId": pair.second.id}, "secret": {"adoptionPolicy": "Required"}});
    tenant.apply("orders", &pair.first.id, extra).await.unwrap();
    let status = tenant.ready("orders").await.status.unwrap();
    assert_eq!(status.active_app_id.as_ref(), Some(&pair.second.id));
    assert_eq!(status.sequence, Some(made.sequence.to_string()));
    assert_eq!(
        (pair.secret().await.as_str(), pair.generates().0),
        (value.expose(), 0)
    );
    assert_eq!(tenant.zitadel.latest(&pair.second.id), Some(made.sequence));
}

#[tokio::test]
async fn an_object_that_is_made_again_keeps_the_standbys_pair() {
    let pair = Pair::new("again").await;
    let tenant = &pair.tenant;
    let apply = async |trigger: &str| {
        let extra = json!({"standby": {"type": "Existing", "appId": pair.second.id}, "secret": {"deletionPolicy": "Retain"}, "rotation": {"trigger": trigger}});
        tenant.apply("orders", &pair.first.id, extra).await.unwrap();
    };
    apply("0").await;
    tenant.ready("orders").await;
    apply("1").await;
    pair.handled("1").await;
    let stored = pair.secret().await;
    tenant.delete("orders").await;
    apply("1").await;
    let status = tenant.ready("orders").await.status.unwrap();
    assert_eq!(status.active_app_id.as_ref(), Some(&pair.second.id));
    tenant.fence().await;
    assert_eq!(
        (pair.generates(), pair.secret().await),
        ((1, 1), stored.clone())
    );
    // And a Secret that is gone is replaced from the application that no consumer uses.
    tenant.delete_secret("orders").await;
    eventually(PATIENCE, || async {
        (pair.generates() == (2, 1)).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert!(
        pair.accepts(&pair.second, &stored),
        "a consumer that still has it can use it"
    );
}

#[tokio::test]
async fn a_secret_that_is_deleted_after_rotations_is_made_anew_beside_the_pair_in_use() {
    let pair = Pair::issued("deleted", json!({"trigger": "0"})).await;
    pair.rotate("1").await;
    let used = pair.secret().await;
    pair.tenant.delete_secret("orders").await;
    eventually(PATIENCE, || async {
        (pair.generates() == (2, 1)).then_some(())
    })
    .await;
    let status = pair.tenant.ready("orders").await.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "SecretMissing");
    assert!(
        pair.accepts(&pair.second, &used),
        "a consumer that still has it can use it"
    );
    // Only reported: nothing is made before there is a new trigger.
    pair.rotate("2").await;
    let used = pair.secret().await;
    let report = json!({"recovery": {"missing": "Report"}, "rotation": {"trigger": "2"}, "standby": {"type": "Existing", "appId": pair.second.id}});
    let applied = pair.tenant.apply("orders", &pair.first.id, report).await;
    applied.unwrap();
    pair.tenant.ready("orders").await;
    pair.tenant.delete_secret("orders").await;
    pair.tenant.reason("orders", "SecretMissing").await;
    pair.tenant.fence().await;
    assert_eq!(pair.generates(), (2, 2));
    assert!(pair.accepts(&pair.second, &used));
    pair.rotate("3").await;
    assert_eq!(pair.generates(), (3, 2));
    assert!(pair.accepts(&pair.second, &used));
}
