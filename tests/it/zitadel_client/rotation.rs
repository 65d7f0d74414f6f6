//! Whole rotations, the journal, and what is traced of them.

use zitadel_secret_operator::ids::Sequence;
use zitadel_secret_operator::zitadel::{
    Client, ClientConfig, Endpoint, ErrorClass, Issuer, JournalDepth,
};
use zitadel_simulator::{Action, Config, Fault, Operation, Reply};

use super::{World, rotates};

#[tokio::test]
async fn a_rotation_with_a_personal_access_token() {
    let world = World::plain();
    rotates(&world, &world.client()).await;
}

#[tokio::test]
async fn a_rotation_with_a_service_account_key_over_tls() {
    let world = World::start(Config {
        tls: true,
        ..Config::default()
    });
    let client = Client::new(world.config(world.key())).unwrap();
    assert!(client.credential_expiry().is_some());
    rotates(&world, &client).await;
    assert_eq!(
        world.simulator.requests(Operation::Token),
        2,
        "API and project"
    );
}

#[tokio::test]
async fn secrets_with_symbols_authenticate() {
    let world = World::plain();
    world
        .simulator
        .configure(|settings| settings.secret_symbols = true);
    rotates(&world, &world.client()).await;
}

#[tokio::test]
async fn a_host_whose_clock_is_wrong_gets_a_token_all_the_same() {
    for skew in [-7_200_000, 7_200_000] {
        let world = World::plain();
        world
            .simulator
            .configure(|settings| settings.clock_skew_ms = skew);
        let client = Client::new(world.config(world.key())).unwrap();
        assert!(client.me().await.is_ok(), "{skew}");
        let ahead = client.clock().offset().unwrap().as_secs();
        assert!((ahead * 1000 - skew).abs() < 3000, "{ahead}");
    }
}

#[tokio::test]
async fn an_endpoint_inside_the_cluster_stands_for_the_url() {
    let world = World::start(Config {
        external_hosts: vec!["iam.example.com".to_owned()],
        ..Config::default()
    });
    let url = Issuer::parse("https://iam.example.com", false).unwrap();
    let client = Client::new(ClientConfig {
        url,
        endpoint: Some(Endpoint::parse(&world.simulator.url(), false).unwrap()),
        ..world.config(world.key())
    })
    .unwrap();
    assert!(client.me().await.is_ok());
    assert_eq!(
        client.discovery().await.unwrap().issuer.as_str(),
        "https://iam.example.com"
    );
}

#[tokio::test]
async fn another_name_of_the_same_server_is_not_its_issuer() {
    let world = World::plain();
    let address = world.simulator.address().port();
    let url = Issuer::parse(&format!("http://localhost:{address}"), false).unwrap();
    let client = Client::new(ClientConfig {
        endpoint: Some(Endpoint::parse(&world.simulator.url(), false).unwrap()),
        url,
        ..world.config(world.pat())
    })
    .unwrap();
    // With that host header, the server calls itself by it.
    assert!(client.discovery().await.is_ok());
    let body = serde_json::json!({"issuer": "http://evil.example.com"});
    world.simulator.inject(Fault::on(
        Operation::Discovery,
        Action::RespondBefore(Reply::json(200, &body)),
    ));
    let error = client.discovery().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::IssuerMismatch);
}

#[tokio::test]
async fn a_long_journal_is_read_from_its_newest_entry_only_as_far_as_is_asked() {
    let world = World::plain();
    let (client, orders) = (world.client(), world.orders());
    let app = world.world.orders.id.as_str();
    let stored = world.simulator.rotate_elsewhere(app, None).unwrap();
    for number in 0..3_000 {
        world
            .simulator
            .rename_app(app, &number.to_string())
            .unwrap();
    }
    let asked = async |since| {
        let before = world.simulator.requests(Operation::Journal);
        let changes = client.changes(&orders, since).await.unwrap();
        let pages = world.simulator.requests(Operation::Journal) - before;
        (changes, pages)
    };
    // The newest new secret is 3,000 entries back, after that it is the newest entry.
    let (changes, pages) = asked(JournalDepth::NEWEST).await;
    let has = |sequence| {
        move |change: &zitadel_secret_operator::zitadel::Change| {
            change.sequence == Sequence(sequence)
        }
    };
    assert!(changes.iter().any(has(stored.sequence)));
    assert_eq!(pages, 7);
    let newer = world.simulator.rotate_elsewhere(app, None).unwrap();
    let (changes, pages) = asked(JournalDepth::NEWEST).await;
    assert_eq!((changes.len(), pages), (100, 1));
    assert!(changes.iter().any(has(newer.sequence)));
    let (changes, _) = asked(JournalDepth::to_entry(Sequence(stored.sequence))).await;
    assert!(changes.iter().any(has(stored.sequence)));
    assert!(changes.is_sorted_by_key(|change| change.sequence));
    let (all, _) = asked(JournalDepth::FULL).await;
    assert_eq!(all.len(), 3_004);
}

/// Everything that is traced on this thread.
#[derive(Clone, Default)]
struct Traced(std::sync::Arc<std::sync::Mutex<Vec<u8>>>);

impl std::io::Write for Traced {
    fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
        self.0.lock().unwrap().extend_from_slice(bytes);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> std::io::Result<()> {
        Ok(())
    }
}

#[tokio::test]
async fn neither_secrets_nor_tokens_are_traced() {
    let traced = Traced::default();
    let writer = traced.clone();
    let subscriber = tracing_subscriber::fmt()
        .with_max_level(tracing::Level::TRACE)
        .with_writer(move || writer.clone())
        .finish();
    let _guard = tracing::subscriber::set_default(subscriber);
    tracing::trace!("tracing works");
    let world = World::plain();
    rotates(&world, &world.client()).await;
    let text = String::from_utf8(traced.0.lock().unwrap().clone()).unwrap();
    assert!(text.contains("tracing works"));
    let secret = world.simulator.executions()[0].secret.expose().to_owned();
    let old = world.world.orders.secret.clone().unwrap();
    for canary in [secret, old, world.world.operator.pat.clone()] {
        assert!(!text.contains(&canary));
    }
}
