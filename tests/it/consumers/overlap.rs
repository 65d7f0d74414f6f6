//! The former pair of a standby lives until no Pod can hold it.

use super::*;

#[tokio::test]
async fn the_former_pair_lives_and_what_is_due_waits_until_no_pod_can_hold_it() {
    let it = Consuming::new("awaits").await;
    let tenant = &it.tenant;
    let (first, second) = (tenant.app("orders-a"), tenant.app("orders-b"));
    let apply = async |rotation: Value| {
        let standby = json!({"type": "Existing", "appId": second.id});
        let extra = json!({"standby": standby, "rotation": rotation});
        tenant.apply("orders", &first.id, extra).await.unwrap();
    };
    let overlap = json!({"until": "ConsumersCurrent"});
    apply(json!({"trigger": "0", "overlap": overlap})).await;
    tenant.ready("orders").await;
    let before = tenant.client_secret("orders").await.unwrap();
    it.pod("env", environment(), json!({})).await;
    apply(json!({"trigger": "1", "overlap": overlap})).await;
    it.counted(1, 1).await;
    // It is due at once, and its turn would be on the application whose pair the Pod holds.
    apply(json!({"trigger": "1", "interval": "1s", "jitterPercent": 0, "overlap": overlap})).await;
    let object = tenant.reason("orders", "AwaitingConsumers").await;
    assert_eq!(
        reason(&object, ConditionType::ConsumersCurrent),
        "RollingOut"
    );
    assert!(object.status.unwrap().previous.is_some());
    assert!(tenant.zitadel.accepts(&first.id, &before));
    let generates = || tenant.generates(&first) + tenant.generates(&second);
    assert_eq!(generates(), 2);
    // A trigger waits for no one.
    apply(json!({"trigger": "leak", "overlap": overlap})).await;
    tenant.handled("orders", "leak").await;
    assert!(!tenant.zitadel.accepts(&first.id, &before));
    assert_eq!(generates(), 3);
    let stored = tenant.client_secret("orders").await.unwrap();
    assert!(tenant.zitadel.accepts(&first.id, &stored));
    let object = it.counted(1, 1).await;
    assert!(object.status.unwrap().previous.is_some());
    it.end("env").await;
    it.until("AllCurrent").await;
    eventually(PATIENCE, || async {
        let object = tenant.objects().get("orders").await.unwrap();
        let status = object.status.unwrap();
        (status.previous.is_none() && status.attempt.is_none()).then_some(())
    })
    .await;
    assert_eq!(generates(), 4, "the former pair was retired");
    assert!(tenant.zitadel.accepts(&first.id, &stored));
}

#[tokio::test]
async fn a_pod_whose_node_is_gone_is_named_and_waited_for_no_longer_than_the_maximum() {
    let it = Consuming::new("gone").await;
    let tenant = &it.tenant;
    let (first, second) = (tenant.app("orders-a"), tenant.app("orders-b"));
    let apply = async |trigger: &str, overlap: Value| {
        let standby = json!({"type": "Existing", "appId": second.id});
        let rotation = json!({"trigger": trigger, "overlap": overlap});
        let extra = json!({"standby": standby, "rotation": rotation});
        tenant.apply("orders", &first.id, extra).await.unwrap();
    };
    let without_limit = json!({"until": "ConsumersCurrent"});
    apply("0", without_limit.clone()).await;
    tenant.ready("orders").await;
    let before = tenant.client_secret("orders").await.unwrap();
    it.pod("env", environment(), json!({})).await;
    let gone = json!({"status": {
        "phase": "Unknown", "conditions": [{"type": "Ready", "status": "Unknown"}],
    }});
    let (params, gone) = (PatchParams::default(), Patch::Strategic(gone));
    it.pods().patch_status("env", &params, &gone).await.unwrap();
    apply("1", without_limit).await;
    let object = tenant.until("orders", |object| {
        let status = object.status.as_ref()?;
        let (last, consumers) = (status.last_rotation.as_ref()?, status.consumers.as_ref()?);
        // NB: those of the rotation before may have been counted before the node was gone.
        let counted = consumers.attempt == last.attempt;
        let handled = status.observed_trigger.as_deref() == Some("1");
        let all = (consumers.total, consumers.unknown) == (1, 1);
        (handled && counted && all).then_some(())
    });
    let object = object.await;
    assert_eq!(
        behind(&object),
        [(Some("env"), "its node does not respond")]
    );
    assert!(object.status.unwrap().previous.is_some());
    assert!(tenant.zitadel.accepts(&first.id, &before));
    // It comes back never; the limit is over at once.
    apply("1", json!({"until": "ConsumersCurrent", "maximum": "1s"})).await;
    let event = tenant.event("orders", "Retired").await;
    assert!(
        event.ends_with("1 of 1 consumers may still hold it: env"),
        "{event}"
    );
    assert!(!tenant.zitadel.accepts(&first.id, &before));
    let object = tenant.until("orders", |object| {
        let status = object.status.as_ref()?;
        status.previous.is_none().then_some(())
    });
    let object = object.await;
    assert_eq!(consumers_of(&object).unknown, 1);
    assert_ne!(
        reason(&object, ConditionType::ConsumersCurrent),
        "AllCurrent"
    );
    let stored = tenant.client_secret("orders").await.unwrap();
    assert!(tenant.zitadel.accepts(&second.id, &stored));
}
