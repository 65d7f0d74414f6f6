//! What is known after a call that failed.

use std::time::Duration;

use zitadel_secret_operator::api::Kind;
use zitadel_secret_operator::zitadel::{
    Client, ClientConfig, ConfigError, Credential, ErrorClass, GenerateOutcome, Issuer,
    JournalDepth,
};
use zitadel_simulator::{Action, Availability, Config, Cut, Fault, Operation, Reply};

use super::{World, attempt, not_executed, unknown};

#[tokio::test]
async fn an_executed_generate_whose_answer_is_lost_is_unknown_and_never_repeated() {
    let redirect = Reply {
        headers: vec![("location".to_owned(), "http://127.0.0.1:1/".to_owned())],
        ..Reply::new(307, "", "")
    };
    for (action, class) in [
        (Action::DropAfter(Cut::Reset), ErrorClass::Interrupted),
        (Action::DropAfter(Cut::Close), ErrorClass::Interrupted),
        (Action::Truncate(20), ErrorClass::Interrupted),
        (Action::Truncate(0), ErrorClass::Interrupted),
        (Action::Garbage, ErrorClass::Malformed),
        (Action::Gzip, ErrorClass::Malformed),
        (Action::ReplaceBody("{}".to_owned()), ErrorClass::Malformed),
        (Action::Oversize(1 << 17), ErrorClass::TooLarge),
        (Action::Endless, ErrorClass::TooLarge),
        (
            Action::DelayAfter(Duration::from_secs(10)),
            ErrorClass::Timeout,
        ),
        (Action::RespondAfter(redirect), ErrorClass::Redirected),
        (
            Action::RespondAfter(Reply::new(502, "text/html", "<html>")),
            ErrorClass::Unavailable,
        ),
        (
            Action::RespondAfter(Reply::zitadel(400, 9, "EXEC-dra6yamk98", "x")),
            ErrorClass::ActionInterrupted,
        ),
    ] {
        let world = World::plain();
        let client = world.client();
        // A connection that the reads have opened is there to be reused.
        client.me().await.unwrap();
        let text = format!("{action:?}");
        world
            .simulator
            .inject(Fault::on(Operation::Generate, action));
        let outcome = client
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await;
        assert_eq!(unknown(outcome), class, "{text}");
        assert_eq!(
            world.simulator.generates(&world.world.orders.id),
            1,
            "{text}"
        );
        assert_eq!(world.simulator.requests(Operation::Generate), 1, "{text}");
    }
}

#[tokio::test]
async fn a_generate_that_is_cut_before_execution_is_unknown_too() {
    for cut in [Cut::Close, Cut::Reset] {
        let world = World::plain();
        world
            .simulator
            .inject(Fault::on(Operation::Generate, Action::DropBefore(cut)));
        let outcome = world
            .client()
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await;
        assert_eq!(unknown(outcome), ErrorClass::Interrupted);
        assert_eq!(world.simulator.requests(Operation::Generate), 1);
    }
}

#[tokio::test]
async fn every_generate_has_a_connection_of_its_own() {
    let world = World::plain();
    let client = world.client();
    for _ in 0..3 {
        client
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await;
    }
    let mut connections: Vec<_> = world
        .simulator
        .request_log()
        .iter()
        .map(|r| r.connection)
        .collect();
    connections.dedup();
    assert_eq!(connections.len(), 3);
}

#[tokio::test]
async fn nothing_is_executed_where_no_connection_is_made() {
    let world = World::plain();
    let client = world.client();
    world.simulator.set_availability(Availability::Refusing);
    let outcome = client
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    assert_eq!(not_executed(outcome), ErrorClass::UnreachableConnect);

    let url = Issuer::parse("https://nowhere.invalid", false).unwrap();
    let client = Client::new(ClientConfig {
        url,
        ..world.config(world.pat())
    })
    .unwrap();
    let class = not_executed(
        client
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await,
    );
    assert_eq!(class, ErrorClass::UnreachableDns);
}

#[tokio::test]
async fn a_server_of_another_ca_gets_nothing() {
    let world = World::start(Config {
        tls: true,
        ..Config::default()
    });
    let other = World::start(Config {
        tls: true,
        ..Config::default()
    });
    let config = |ca_pem: Option<&str>| ClientConfig {
        ca_pem: ca_pem.map(|pem| pem.as_bytes().to_vec()),
        ..world.config(world.pat())
    };
    for ca in [other.simulator.ca_pem(), None] {
        let client = Client::new(config(ca)).unwrap();
        assert_eq!(client.me().await.unwrap_err().class(), ErrorClass::Tls);
        let outcome = client
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await;
        assert_eq!(not_executed(outcome), ErrorClass::Tls);
    }
    assert!(world.simulator.request_log().is_empty());
    for bad in [
        "",
        "canary",
        "-----BEGIN CERTIFICATE-----\nAAAA\n-----END CERTIFICATE-----\n",
    ] {
        assert_eq!(
            Client::new(config(Some(bad))).err(),
            Some(ConfigError::CaBundle),
            "{bad}"
        );
    }
}

#[tokio::test]
async fn zitadels_own_refusals_execute_nothing() {
    let world = World::plain();
    let client = world.client();
    let cases = [
        (world.app("nosuchapp"), ErrorClass::AppNotFound),
        (world.app(&world.world.removed.id), ErrorClass::AppNotFound),
        (world.app(&world.world.web.id), ErrorClass::NotAnApiApp),
    ];
    for (app, class) in cases {
        assert_eq!(
            not_executed(client.generate(Kind::ApiApp, &app, attempt()).await),
            class,
            "{app:?}"
        );
    }
    let viewer = Credential::personal_access_token(world.world.viewer.pat.as_bytes()).unwrap();
    let viewer = Client::new(world.config(viewer)).unwrap();
    let class = not_executed(
        viewer
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await,
    );
    assert_eq!(class, ErrorClass::PermissionDenied);
    let junk = Credential::personal_access_token(b"junk").unwrap();
    let junk = Client::new(world.config(junk)).unwrap();
    let class = not_executed(
        junk.generate(Kind::ApiApp, &world.orders(), attempt())
            .await,
    );
    assert_eq!(class, ErrorClass::Unauthenticated);
    assert!(world.simulator.executions().is_empty());
}

#[tokio::test]
async fn every_call_ends_whatever_the_server_does() {
    let world = World::plain();
    for (availability, classes) in [
        (Availability::Hanging, &[ErrorClass::Timeout][..]),
        // What is no HTTP may end before it is known to be none.
        (
            Availability::Garbage,
            &[ErrorClass::Malformed, ErrorClass::Interrupted],
        ),
        (Availability::InternalError, &[ErrorClass::Internal]),
        (Availability::Unavailable, &[ErrorClass::Unavailable]),
        (Availability::DatabaseDown, &[ErrorClass::Internal]),
    ] {
        world.simulator.set_availability(availability);
        let client = world.client();
        let class = client.me().await.unwrap_err().class();
        assert!(classes.contains(&class), "{availability:?}: {class:?}");
        let class = unknown(
            client
                .generate(Kind::ApiApp, &world.orders(), attempt())
                .await,
        );
        assert!(classes.contains(&class), "{availability:?}: {class:?}");
        world.simulator.set_availability(Availability::Up);
    }
    world.simulator.set_availability(Availability::Resetting);
    let outcome = world
        .client()
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    // The reset may come while the connection is being made.
    assert!(matches!(
        outcome,
        GenerateOutcome::Unknown(_) | GenerateOutcome::NotExecuted(_)
    ));
    world.simulator.set_availability(Availability::Up);
    assert!(world.simulator.executions().is_empty());
    let faults = [
        (Action::Endless, ErrorClass::TooLarge),
        (Action::Truncate(5), ErrorClass::Interrupted),
    ];
    for (action, class) in faults {
        world
            .simulator
            .inject(Fault::on(Operation::Journal, action));
        let error = world
            .client()
            .changes(&world.orders(), JournalDepth::NEWEST)
            .await
            .unwrap_err();
        assert_eq!(error.class(), class);
    }
}

#[tokio::test]
async fn a_service_account_key_that_is_not_known_is_refused() {
    let (world, other) = (World::plain(), World::plain());
    let client = Client::new(world.config(other.key())).unwrap();
    assert_eq!(
        client.me().await.unwrap_err().class(),
        ErrorClass::TokenRefused
    );
    let class = not_executed(
        client
            .generate(Kind::ApiApp, &world.orders(), attempt())
            .await,
    );
    assert_eq!(class, ErrorClass::TokenRefused);
    assert_eq!(world.simulator.requests(Operation::Generate), 0);
}
