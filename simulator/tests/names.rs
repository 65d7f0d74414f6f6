//! Names of applications are unique in a project without regard to case.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use client::start;
use zitadel_simulator::ChangeError;

#[tokio::test]
async fn a_name_in_use_is_refused_in_any_case() {
    let (simulator, world, client) = start();
    let before = simulator.project_sequence(&world.payments);
    for name in ["orders", "Orders", "ORDERS"] {
        let refused = client.create_app(&world.payments, name).await;
        assert_eq!(refused.status, 409, "{name}");
        assert_eq!(refused.json["code"], 6);
        assert_eq!(refused.json["details"][0]["id"], "V3-DKcYh");
    }
    assert_eq!(simulator.project_sequence(&world.payments), before);
    // An inactive app keeps its name.
    assert_eq!(
        client.create_app(&world.payments, "inactive").await.status,
        409
    );
    let elsewhere = simulator.create_api_app(&world.ledgers, "orders");
    assert!(elsewhere.is_ok());
}

#[tokio::test]
async fn a_renamed_and_a_removed_app_free_their_names() {
    let (simulator, world, client) = start();
    assert_eq!(client.rename(&world.orders, "bills").await.status, 200);
    let second = client.create_app(&world.payments, "Orders").await;
    assert_eq!(second.status, 200);
    assert_eq!(
        client.create_app(&world.payments, "BILLS").await.status,
        409
    );
    simulator
        .remove_app(second.json["appId"].as_str().unwrap())
        .unwrap();
    assert_eq!(
        client.create_app(&world.payments, "orders").await.status,
        200
    );
    // It was removed before.
    assert_eq!(
        client.create_app(&world.payments, "removed").await.status,
        200
    );
}

#[tokio::test]
async fn an_app_cannot_take_the_name_of_another() {
    let (_simulator, world, client) = start();
    let refused = client.rename(&world.orders, "ORDERS-standby").await;
    assert_eq!(refused.status, 409);
    assert_eq!(refused.json["details"][0]["id"], "V3-DKcYh");
    // Its own name in another case is free for it, and stays taken for others.
    assert_eq!(client.rename(&world.orders, "ORDERS").await.status, 200);
    assert_eq!(
        client.create_app(&world.payments, "orders").await.status,
        409
    );
}

#[tokio::test]
async fn a_name_has_1_to_200_characters() {
    let (simulator, world, client) = start();
    let long = |length| "é".repeat(length);
    assert_eq!(
        client.create_app(&world.payments, &long(200)).await.status,
        200
    );
    for name in [long(201), String::new()] {
        assert_eq!(client.create_app(&world.payments, &name).await.status, 400);
        assert_eq!(client.rename(&world.orders, &name).await.status, 400);
    }
    simulator.configure(|settings| settings.legacy_statuses = true);
    assert_eq!(
        client.create_app(&world.payments, &long(201)).await.status,
        500
    );
}

#[tokio::test]
async fn the_admin_side_keeps_names_unique_too() {
    let (simulator, world, _) = start();
    let refused = simulator.create_api_app(&world.payments, "Orders");
    assert_eq!(
        refused.unwrap_err(),
        ChangeError::NameInUse {
            project: world.payments.clone(),
            name: "Orders".to_owned()
        }
    );
    assert!(
        simulator
            .rename_app(&world.standby.id, "ORDERS")
            .is_err_and(|error| matches!(error, ChangeError::NameInUse { .. }))
    );
    // A backup from before the app was made frees its name.
    let before = simulator.project_sequence(&world.payments).unwrap();
    simulator.create_api_app(&world.payments, "new").unwrap();
    simulator
        .restore_from_backup(&world.payments, before)
        .unwrap();
    assert!(simulator.create_api_app(&world.payments, "new").is_ok());
}
