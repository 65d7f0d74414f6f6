//! Two applications for one Secret: rotations alternate between them, and the pair that consumers use goes on being accepted.

use crate::support::eventually;
use crate::support::world::{PATIENCE, Tenant, World};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ApiAppSecret, ApiAppSecretStatus, ConditionType};
use zitadel_simulator::{Action, AppHandle, Cut, Fault, Operation};

/// A tenant with two applications.
struct Pair {
    tenant: Tenant,
    first: AppHandle,
    second: AppHandle,
}

impl Pair {
    async fn new(prefix: &str) -> Self {
        let tenant = World::shared().await.tenant(prefix).await;
        let (first, second) = (tenant.app("orders-a"), tenant.app("orders-b"));
        Self {
            tenant,
            first,
            second,
        }
    }

    /// The same with an issued object.
    async fn issued(prefix: &str, rotation: Value) -> Self {
        let pair = Self::new(prefix).await;
        pair.apply(rotation).await;
        pair.tenant.ready("orders").await;
        pair
    }

    async fn apply(&self, rotation: Value) {
        let extra =
            json!({"standby": {"type": "Existing", "appId": self.second.id}, "rotation": rotation});
        let applied = self.tenant.apply("orders", &self.first.id, extra).await;
        applied.unwrap();
    }

    /// Rotates by a trigger and waits until it is reported.
    async fn rotate(&self, trigger: &str) -> ApiAppSecretStatus {
        self.apply(json!({"trigger": trigger})).await;
        self.handled(trigger).await
    }

    async fn handled(&self, trigger: &str) -> ApiAppSecretStatus {
        let handled = |object: &ApiAppSecret| {
            let status = object.status.as_ref()?;
            (status.observed_trigger.as_deref() == Some(trigger)).then_some(())
        };
        self.tenant.until("orders", handled).await;
        self.tenant.ready("orders").await.status.unwrap()
    }

    async fn secret(&self) -> String {
        self.tenant.client_secret("orders").await.unwrap()
    }

    /// The application whose pair the Secret holds, by its client id.
    async fn active(&self) -> &str {
        let id = self.tenant.value("orders", "CLIENT_ID").await.unwrap();
        if id == self.first.client_id {
            &self.first.id
        } else {
            assert_eq!(id, self.second.client_id);
            &self.second.id
        }
    }

    fn generates(&self) -> (u64, u64) {
        let made = |app| self.tenant.generates(app);
        (made(&self.first), made(&self.second))
    }

    fn accepts(&self, app: &AppHandle, secret: &str) -> bool {
        self.tenant.zitadel.accepts(&app.id, secret)
    }
}

#[tokio::test]
async fn rotations_alternate_and_the_former_pair_is_accepted_until_the_next_one() {
    let pair = Pair::issued("standby", json!({"trigger": "0"})).await;
    let mut history = vec![(pair.first.clone(), pair.secret().await)];
    assert_eq!(pair.generates(), (1, 0));
    for (n, trigger) in ["1", "2", "3", "4"].into_iter().enumerate() {
        let status = pair.rotate(trigger).await;
        let active = if pair.active().await == pair.first.id {
            pair.first.clone()
        } else {
            pair.second.clone()
        };
        assert_ne!(active.id, history[n].0.id);
        assert_eq!(status.active_app_id.as_deref(), Some(active.id.as_str()));
        assert_eq!(status.client_id.as_ref(), Some(&active.client_id));
        let previous = status.previous.unwrap();
        assert_eq!(
            (previous.app_id, previous.client_id, previous.ends),
            (
                history[n].0.id.clone(),
                history[n].0.client_id.clone(),
                None
            )
        );
        assert_eq!(status.history[0].app_id.as_ref(), Some(&active.id));
        assert_eq!(status.history[0].reason, "Trigger");
        history.push((active, pair.secret().await));
        let accepted: Vec<bool> = history
            .iter()
            .map(|(app, secret)| pair.accepts(app, secret))
            .collect();
        let (newest, older) = accepted.split_at(accepted.len() - 2);
        assert_eq!((newest.contains(&true), older), (false, &[true, true][..]));
    }
    assert_eq!(pair.generates(), (3, 2));
    // A trigger of long ago is a new one, although the application's own claim remembers it.
    pair.rotate("3").await;
    assert_eq!(pair.generates(), (3, 3));
}

#[tokio::test]
async fn when_the_overlap_ends_the_former_secret_is_replaced_and_the_new_one_is_discarded() {
    let pair = Pair::issued(
        "overlap",
        json!({"trigger": "0", "overlap": {"minimum": "2s"}}),
    )
    .await;
    let before = pair.secret().await;
    pair.apply(json!({"trigger": "1", "overlap": {"minimum": "2s"}}))
        .await;
    let status = pair.handled("1").await;
    assert!(status.previous.unwrap().ends.is_some());
    assert!(pair.accepts(&pair.first, &before), "the overlap has begun");
    let after = pair.secret().await;
    let object = pair
        .tenant
        .until("orders", |object| {
            let status = object.status.as_ref()?;
            (status.previous.is_none() && status.attempt.is_none()).then_some(())
        })
        .await;
    assert!(!pair.accepts(&pair.first, &before));
    assert_eq!(
        (pair.secret().await, pair.active().await),
        (after.clone(), pair.second.id.as_str())
    );
    assert!(pair.accepts(&pair.second, &after));
    let made: Vec<_> = pair
        .tenant
        .zitadel
        .executions()
        .into_iter()
        .filter(|made| made.app == pair.first.id || made.app == pair.second.id)
        .collect();
    assert_eq!(pair.generates(), (2, 1), "{made:?}");
    let waited = made[2].change_date.duration_since(made[1].change_date);
    assert!(waited >= jiff::SignedDuration::from_secs(2), "{waited}");
    let status = object.status.unwrap();
    assert_eq!(status.active_app_id.as_ref(), Some(&pair.second.id));
    let retired = &status.history[0];
    assert_eq!(
        (
            retired.outcome.as_str(),
            retired.reason.as_str(),
            retired.app_id.as_ref()
        ),
        ("Retired", "Retire", Some(&pair.first.id))
    );
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    pair.tenant.event("orders", "Retired").await;
    // It is over, and the next rotation goes on as always.
    pair.tenant.fence().await;
    assert_eq!(pair.generates(), (2, 1));
    pair.apply(json!({"trigger": "2", "overlap": {"minimum": "1h"}}))
        .await;
    pair.handled("2").await;
    assert_eq!(pair.generates(), (3, 1));
    assert!(pair.accepts(&pair.second, &after));
}

#[tokio::test]
async fn with_an_overlap_of_nothing_the_former_secret_is_replaced_at_once() {
    let pair = Pair::issued(
        "no-overlap",
        json!({"trigger": "0", "overlap": {"minimum": "0s"}}),
    )
    .await;
    let before = pair.secret().await;
    pair.apply(json!({"trigger": "1", "overlap": {"minimum": "0s"}}))
        .await;
    eventually(PATIENCE, || async {
        (pair.generates() == (2, 1)).then_some(())
    })
    .await;
    pair.tenant.event("orders", "Retired").await;
    assert!(!pair.accepts(&pair.first, &before));
    assert!(pair.accepts(&pair.second, &pair.secret().await));
}

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
    let stalled = |object: &ApiAppSecret| {
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

#[tokio::test]
async fn a_lost_answer_costs_one_more_generate_and_no_outage() {
    let pair = Pair::issued("lost", json!({"trigger": "0"})).await;
    let before = pair.secret().await;
    let zitadel = &pair.tenant.zitadel;
    let fault = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset)).app(&pair.second.id);
    let fault = zitadel.inject(fault);
    pair.apply(json!({"trigger": "1"})).await;
    let status = pair.handled("1").await;
    assert_eq!(zitadel.fired(fault), 1);
    assert_eq!(pair.generates(), (1, 2));
    assert!(
        pair.accepts(&pair.first, &before),
        "the former pair was never touched"
    );
    assert_eq!(status.last_rotation.unwrap().reason, "LostAttempt");
    assert!(pair.accepts(&pair.second, &pair.secret().await));
}

#[tokio::test]
async fn a_lost_answer_of_a_retirement_is_not_repeated() {
    let pair = Pair::issued(
        "lost-retire",
        json!({"trigger": "0", "overlap": {"minimum": "1s"}}),
    )
    .await;
    let before = pair.secret().await;
    let zitadel = &pair.tenant.zitadel;
    let fault = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset)).app(&pair.first.id);
    let fault = zitadel.inject(fault);
    pair.apply(json!({"trigger": "1", "overlap": {"minimum": "1s"}}))
        .await;
    pair.handled("1").await;
    pair.tenant
        .until("orders", |object| {
            let status = object.status.as_ref()?;
            (status.previous.is_none() && status.attempt.is_none()).then_some(())
        })
        .await;
    pair.tenant.fence().await;
    assert_eq!((zitadel.fired(fault), pair.generates()), (1, (2, 1)));
    assert!(!pair.accepts(&pair.first, &before));
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
