//! Two applications for one Secret: rotations alternate between them, and the pair that consumers use goes on being accepted.

mod changes;
mod issue;
mod lost_answers;
mod provisioned;

use serde_json::{Value, json};
use zitadel_secret_operator::api::AppSecretStatus;
use zitadel_simulator::AppHandle;

use crate::support::eventually;
use crate::support::world::{PATIENCE, Tenant, World};

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
    async fn rotate(&self, trigger: &str) -> AppSecretStatus {
        self.apply(json!({"trigger": trigger})).await;
        self.handled(trigger).await
    }

    async fn handled(&self, trigger: &str) -> AppSecretStatus {
        self.tenant.handled("orders", trigger).await;
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
