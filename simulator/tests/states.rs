//! Changes of the world and of the server's availability, as a client sees them.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use std::time::Duration;

use client::{Client, start};
use zitadel_simulator::{
    AuthMethod, Availability, Config, IntrospectionMode, Operation, Settings, Simulator, Whitespace,
};

#[tokio::test]
async fn a_foreign_rotation_shows_its_editor() {
    let (simulator, world, client) = start();
    let mine = client.generate(&world.orders).await.unwrap();
    let foreign = simulator.rotate_elsewhere(&world.orders.id, None).unwrap();
    let after = mine.json["details"]["sequence"]
        .as_str()
        .unwrap()
        .to_owned();
    let journal = client
        .journal(
            &world.orders,
            &format!("?query.asc=true&query.sequence={after}"),
        )
        .await;
    assert_eq!(journal.json["result"].as_array().unwrap().len(), 1);
    assert_eq!(
        journal.json["result"][0]["editorId"],
        foreign.editor.as_str()
    );
    assert_ne!(foreign.editor, world.operator.id);
    assert!(
        !client
            .introspects(&world.orders, mine.json["clientSecret"].as_str().unwrap())
            .await
    );
}

#[tokio::test]
async fn a_restored_backup_brings_the_old_secret_back_and_reuses_sequences() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    let before = simulator.project_sequence(&world.payments).unwrap();
    let lost = client.generate(&world.orders).await.unwrap();
    assert!(!client.introspects(&world.orders, old).await);
    simulator
        .restore_from_backup(&world.payments, before)
        .unwrap();
    assert!(client.introspects(&world.orders, old).await);
    assert_eq!(simulator.latest(&world.orders.id), None);
    let again = client.generate(&world.orders).await.unwrap();
    assert_eq!(
        again.json["details"]["sequence"],
        lost.json["details"]["sequence"]
    );
}

#[tokio::test]
async fn an_inactive_app_rotates_but_does_not_authenticate() {
    let (simulator, world, client) = start();
    let made = client.generate(&world.inactive).await.unwrap();
    let secret = made.json["clientSecret"].as_str().unwrap();
    assert_eq!(client.introspect(&world.inactive, secret).await.status, 400);
    simulator.reactivate_app(&world.inactive.id).unwrap();
    assert!(client.introspects(&world.inactive, secret).await);
    simulator
        .change_auth_method(&world.inactive.id, AuthMethod::PrivateKeyJwt)
        .unwrap();
    assert!(client.introspects(&world.inactive, secret).await);
    simulator.remove_app(&world.inactive.id).unwrap();
    assert_eq!(
        client.get_app(&world.inactive).await.json["details"][0]["id"],
        "QUERY-pCP8P"
    );
}

#[tokio::test]
async fn a_deactivated_users_tokens_stay_dead_after_reactivation() {
    let (simulator, world, client) = start();
    simulator.deactivate_user(&world.operator.id).unwrap();
    assert_eq!(
        client.generate(&world.orders).await.unwrap().json["details"][0]["id"],
        "AUTH-7fs1e"
    );
    simulator.reactivate_user(&world.operator.id).unwrap();
    assert_eq!(client.generate(&world.orders).await.unwrap().status, 401);
    assert_eq!(simulator.generates(&world.orders.id), 0);
}

#[tokio::test]
async fn rename_and_rehash_move_the_sequence_but_not_the_secret() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    let renamed = simulator.rename_app(&world.orders.id, "new name").unwrap();
    let rehashed = simulator.rehash_secret(&world.orders.id).unwrap();
    assert_eq!(rehashed, renamed + 1);
    let app = client.get_app(&world.orders).await;
    assert_eq!(app.json["app"]["details"]["sequence"], rehashed.to_string());
    assert_eq!(app.json["app"]["name"], "new name");
    assert!(client.introspects(&world.orders, old).await);
}

#[tokio::test]
async fn the_journal_can_be_cut_and_forbidden() {
    let (simulator, world, client) = start();
    simulator.configure(|settings| settings.journal_since = Some(jiff::Timestamp::now()));
    assert_eq!(
        client.journal(&world.orders, "").await.json,
        serde_json::json!({})
    );
    simulator.configure(|settings| settings.journal_forbidden = true);
    assert_eq!(client.journal(&world.orders, "").await.status, 403);
}

#[tokio::test]
async fn introspection_can_be_made_useless_in_both_ways() {
    let (simulator, world, client) = start();
    let secret = world.orders.secret.as_deref().unwrap();
    simulator.configure(|settings| settings.introspection = IntrospectionMode::AlwaysInactive);
    let answer = client.introspect(&world.orders, "wrong").await;
    assert_eq!(
        (answer.status, answer.json["active"].as_bool()),
        (200, Some(false))
    );
    simulator.configure(|settings| settings.introspection = IntrospectionMode::AlwaysRefused);
    assert_eq!(
        client.introspect(&world.orders, secret).await.json["error"],
        "unauthorized_client"
    );
}

#[tokio::test]
async fn symbols_in_a_secret_survive_only_when_form_encoded() {
    let (simulator, world, client) = start();
    simulator.configure(|settings| {
        settings.secret_symbols = true;
        settings.secret_length = 2000;
    });
    let made = client.generate(&world.orders).await.unwrap();
    let secret = made.json["clientSecret"].as_str().unwrap();
    assert!(secret.contains('+'));
    assert_eq!(client.introspect(&world.orders, secret).await.status, 400);
    let encoded: Vec<String> = secret.bytes().map(|byte| format!("%{byte:02X}")).collect();
    let encoded = encoded.concat();
    assert!(client.introspects(&world.orders, &encoded).await);
}

#[tokio::test]
async fn white_space_varies_and_old_releases_answer_500_to_missing_authorization() {
    let (simulator, world, client) = start();
    simulator.configure(|settings| {
        *settings = Settings {
            whitespace: Whitespace::Spaced,
            legacy_statuses: true,
            ..*settings
        };
    });
    let made = client.generate(&world.orders).await.unwrap();
    assert!(
        String::from_utf8(made.bytes)
            .unwrap()
            .contains("\", \"details\": {")
    );
    let bare = client
        .http
        .get(format!("{}/auth/v1/users/me", client.url))
        .send()
        .await
        .unwrap();
    let bare = client::read(bare).await.unwrap();
    assert_eq!((bare.status, bare.json["code"].as_u64()), (500, Some(2)));
}

#[tokio::test]
async fn every_kind_of_outage_ends() {
    let (simulator, world, _) = start();
    let client = Client::with_timeout(&simulator, &world, Duration::from_millis(300));
    for outage in [
        Availability::Refusing,
        Availability::Resetting,
        Availability::Hanging,
        Availability::Garbage,
    ] {
        simulator.set_availability(outage);
        let error = client.generate(&world.orders).await.unwrap_err();
        assert_eq!(
            error.is_connect(),
            outage == Availability::Refusing,
            "{outage:?}: {error:?}"
        );
        assert_eq!(
            error.is_timeout(),
            outage == Availability::Hanging,
            "{outage:?}: {error:?}"
        );
        simulator.set_availability(Availability::Up);
        assert_eq!(
            client.generate(&world.orders).await.unwrap().status,
            200,
            "after {outage:?}"
        );
    }
    for (outage, status) in [
        (Availability::InternalError, 500),
        (Availability::Unavailable, 503),
    ] {
        simulator.set_availability(outage);
        assert_eq!(client.generate(&world.orders).await.unwrap().status, status);
    }
    assert_eq!(simulator.generates(&world.orders.id), 4);
}

#[tokio::test]
async fn without_its_database_the_server_is_alive_but_not_ready() {
    let (simulator, world, client) = start();
    simulator.set_availability(Availability::DatabaseDown);
    let made = client.generate(&world.orders).await.unwrap();
    assert_eq!(
        (
            made.status,
            made.json["code"].as_u64(),
            made.json.get("details")
        ),
        (500, Some(13), None)
    );
    let probe = client.introspect(&world.orders, "x").await;
    assert_eq!(
        (probe.status, probe.headers["content-type"].as_str()),
        (500, "text/plain; charset=utf-8")
    );
    let status = async |path| {
        client
            .http
            .get(format!("{}{path}", client.url))
            .send()
            .await
            .unwrap()
            .status()
            .as_u16()
    };
    assert_eq!(
        (status("/debug/healthz").await, status("/debug/ready").await),
        (200, 412)
    );
    assert_eq!(simulator.requests(Operation::Generate), 1);
}

#[test]
fn rotations_at_once_have_their_dates_in_the_order_of_their_sequences() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let app = simulator.standard_world().orders.id;
    let begin = std::sync::Barrier::new(8);
    std::thread::scope(|scope| {
        for _ in 0..8 {
            scope.spawn(|| {
                begin.wait();
                for _ in 0..500 {
                    simulator.rotate_elsewhere(&app, None).unwrap();
                }
            });
        }
    });
    let mut made = simulator.executions();
    made.sort_by_key(|execution| execution.sequence);
    assert_eq!(made.len(), 4_000);
    assert!(made.is_sorted_by_key(|execution| execution.change_date));
}
