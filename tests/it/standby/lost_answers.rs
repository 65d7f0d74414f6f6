//! Lost answers cost no outage where there is a standby.

use serde_json::json;
use zitadel_simulator::{Action, Cut, Fault, Operation};

use super::Pair;

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
