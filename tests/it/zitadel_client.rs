//! The client against the simulator: real sockets, tokens, TLS and faults.

use std::time::Duration;

use zitadel_secret_operator::ids::{AppId, AttemptId, OrganizationId, ProjectId, Sequence, UserId};
use zitadel_secret_operator::zitadel::{
    AppKind, AppRef, AppState, ChangeKind, Client, ClientConfig, ClientSecret, ConfigError,
    Credential, Endpoint, ErrorClass, GenerateOutcome, Introspection, Issuer, JournalDepth,
    ProbeToken, Proxy, ProxyAuth, Timeouts,
};
use zitadel_simulator::{
    Action, Availability, Config, Cut, Fault, Operation, Reply, Simulator, StandardWorld,
};

use crate::support::forward_proxy::{ForwardProxy, Manner};

struct World {
    simulator: Simulator,
    world: StandardWorld,
}

impl World {
    fn start(config: Config) -> Self {
        let simulator = Simulator::start(config).unwrap();
        let world = simulator.standard_world();
        Self { simulator, world }
    }

    fn plain() -> Self {
        Self::start(Config::default())
    }

    fn config(&self, credential: Credential) -> ClientConfig {
        let url = Issuer::parse(&self.simulator.url(), false).unwrap();
        let timeouts = Timeouts {
            connect: Duration::from_millis(500),
            call: Duration::from_secs(4),
            list: Duration::from_secs(10),
            generate: Duration::from_secs(2),
        };
        ClientConfig {
            ca_pem: self.simulator.ca_pem().map(|pem| pem.as_bytes().to_vec()),
            timeouts,
            ..ClientConfig::new(url, credential)
        }
    }

    fn pat(&self) -> Credential {
        Credential::personal_access_token(self.world.operator.pat.as_bytes()).unwrap()
    }

    fn key(&self) -> Credential {
        let operator = &self.world.operator.id;
        let file = self.simulator.create_machine_key(operator).unwrap();
        Credential::service_account_key(file.json.as_bytes()).unwrap()
    }

    fn client(&self) -> Client {
        Client::new(self.config(self.pat())).unwrap()
    }

    fn app(&self, app: &str) -> AppRef {
        AppRef {
            organization: Some(OrganizationId::try_from(self.world.org.as_str()).unwrap()),
            project: self.project(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    fn orders(&self) -> AppRef {
        self.app(&self.world.orders.id)
    }

    fn project(&self) -> ProjectId {
        ProjectId::try_from(self.world.payments.as_str()).unwrap()
    }
}

fn attempt() -> AttemptId {
    AttemptId(uuid::Uuid::now_v7())
}

fn unknown(outcome: GenerateOutcome) -> ErrorClass {
    match outcome {
        GenerateOutcome::Unknown(error) => error.class(),
        GenerateOutcome::NotExecuted(error) => panic!("not executed: {error}"),
        _ => panic!("success"),
    }
}

fn not_executed(outcome: GenerateOutcome) -> ErrorClass {
    match outcome {
        GenerateOutcome::NotExecuted(error) => error.class(),
        GenerateOutcome::Unknown(error) => panic!("unknown: {error}"),
        _ => panic!("success"),
    }
}

/// A whole rotation: generate, find it in the journal, prove it.
async fn rotates(world: &World, client: &Client) {
    let operator = UserId::try_from(world.world.operator.id.as_str()).unwrap();
    assert_eq!(client.me().await, Ok(operator.clone()));
    let orders = world.orders();
    let before = client.changes(&orders, JournalDepth::FULL).await.unwrap();
    let newest = before.last().map(|change| change.sequence);
    let id = attempt();
    let GenerateOutcome::Success {
        secret,
        sequence,
        change_date,
        ..
    } = client.generate(&orders, id).await
    else {
        panic!("no success");
    };
    let executions = world.simulator.executions();
    assert_eq!(executions.len(), 1);
    assert_eq!(executions[0].attempt, Some(id.to_string()));
    assert_eq!(Sequence(executions[0].sequence), sequence);
    let since = JournalDepth::to_entry(newest.unwrap());
    let mut after = client.changes(&orders, since).await.unwrap();
    after.retain(|change| Some(change.sequence) > newest);
    assert_eq!(after.len(), 1);
    assert_eq!(
        (after[0].sequence, after[0].change_date),
        (sequence, change_date)
    );
    assert_eq!(after[0].kind, ChangeKind::SecretChanged);
    assert_eq!(after[0].editor, Some(operator));
    let app = client.app(&orders).await.unwrap();
    assert_eq!(
        (app.sequence, app.kind, app.state),
        (sequence, AppKind::ApiBasic, AppState::Active)
    );
    let id = app.client_id.unwrap();
    let own = || ProbeToken::Own(world.project());
    assert_eq!(
        client.introspect(&id, &secret, own()).await,
        Ok(Introspection::Active)
    );
    assert_eq!(
        client.introspect(&id, &secret, ProbeToken::Junk).await,
        Ok(Introspection::Inactive)
    );
    let old = world.world.orders.secret.clone().unwrap();
    let old = ClientSecret::try_from(old.as_str()).unwrap();
    assert_eq!(
        client.introspect(&id, &old, own()).await,
        Ok(Introspection::Refused)
    );
    let apps = client
        .apps(orders.organization.as_ref(), &orders.project)
        .await
        .unwrap();
    assert!(apps.iter().any(|app| app.id == orders.app));
    let discovery = client.discovery().await.unwrap();
    assert_eq!(discovery.issuer.as_str(), world.simulator.url());
}

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
        let outcome = client.generate(&world.orders(), attempt()).await;
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
        let outcome = world.client().generate(&world.orders(), attempt()).await;
        assert_eq!(unknown(outcome), ErrorClass::Interrupted);
        assert_eq!(world.simulator.requests(Operation::Generate), 1);
    }
}

#[tokio::test]
async fn every_generate_has_a_connection_of_its_own() {
    let world = World::plain();
    let client = world.client();
    for _ in 0..3 {
        client.generate(&world.orders(), attempt()).await;
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
    let outcome = client.generate(&world.orders(), attempt()).await;
    assert_eq!(not_executed(outcome), ErrorClass::UnreachableConnect);

    let url = Issuer::parse("https://nowhere.invalid", false).unwrap();
    let client = Client::new(ClientConfig {
        url,
        ..world.config(world.pat())
    })
    .unwrap();
    let class = not_executed(client.generate(&world.orders(), attempt()).await);
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
        let outcome = client.generate(&world.orders(), attempt()).await;
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
            not_executed(client.generate(&app, attempt()).await),
            class,
            "{app:?}"
        );
    }
    let viewer = Credential::personal_access_token(world.world.viewer.pat.as_bytes()).unwrap();
    let viewer = Client::new(world.config(viewer)).unwrap();
    let class = not_executed(viewer.generate(&world.orders(), attempt()).await);
    assert_eq!(class, ErrorClass::PermissionDenied);
    let junk = Credential::personal_access_token(b"junk").unwrap();
    let junk = Client::new(world.config(junk)).unwrap();
    let class = not_executed(junk.generate(&world.orders(), attempt()).await);
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
        let class = unknown(client.generate(&world.orders(), attempt()).await);
        assert!(classes.contains(&class), "{availability:?}: {class:?}");
        world.simulator.set_availability(Availability::Up);
    }
    world.simulator.set_availability(Availability::Resetting);
    let outcome = world.client().generate(&world.orders(), attempt()).await;
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
    let class = not_executed(client.generate(&world.orders(), attempt()).await);
    assert_eq!(class, ErrorClass::TokenRefused);
    assert_eq!(world.simulator.requests(Operation::Generate), 0);
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

fn secured() -> World {
    World::start(Config {
        tls: true,
        ..Config::default()
    })
}

fn through(world: &World, proxy: &ForwardProxy, auth: Option<&str>) -> ClientConfig {
    let auth = auth.map(|auth| ProxyAuth::parse(auth.as_bytes(), "Secret a/b, key c").unwrap());
    ClientConfig {
        proxy: Some(Proxy::parse(&proxy.url()).unwrap().with_auth(auth)),
        ..world.config(world.pat())
    }
}

/// What a client says of the connection's proxy, and that nothing was executed.
async fn said_of_the_proxy(world: &World, config: ClientConfig) -> String {
    let client = Client::new(config).unwrap();
    let error = client.me().await.unwrap_err();
    let detail = error.detail().unwrap();
    assert!(detail.is_proxy(), "{detail}");
    let outcome = client.generate(&world.orders(), attempt()).await;
    let GenerateOutcome::NotExecuted(other) = outcome else {
        panic!("nothing was sent");
    };
    assert_eq!(other.detail(), error.detail());
    assert!(!error.to_string().contains("canary"), "{error}");
    detail.to_string()
}

#[tokio::test]
async fn a_proxy_that_asks_for_credentials_gets_them_and_opens_tunnels() {
    let world = secured();
    let proxy = ForwardProxy::start(Some("operator:pass:word")).await;
    let address = proxy.address();
    assert_eq!(
        said_of_the_proxy(&world, through(&world, &proxy, None)).await,
        format!(
            "the proxy {address} asks for a user and a password (407): store user:password in a Secret in the operator's namespace and name it in spec.proxy.auth.secretKeyRef"
        )
    );
    assert_eq!(
        said_of_the_proxy(&world, through(&world, &proxy, Some("operator:wrong"))).await,
        format!(
            "the proxy {address} does not accept the user and password in Secret a/b, key c (407): correct them there, see spec.proxy.auth"
        )
    );
    assert_eq!((proxy.opened(), proxy.refused()), (0, 4));
    assert!(world.simulator.request_log().is_empty());
    let client = Client::new(through(&world, &proxy, Some("operator:pass:word\n"))).unwrap();
    client.me().await.unwrap();
    let outcome = client.generate(&world.orders(), attempt()).await;
    assert!(matches!(outcome, GenerateOutcome::Success { .. }));
    assert_eq!(proxy.opened(), 2);
    // ZITADEL's certificate is checked through the tunnel too.
    let client = Client::new(ClientConfig {
        ca_pem: None,
        ..through(&world, &proxy, Some("operator:pass:word"))
    });
    let error = client.unwrap().me().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Tls);
    let detail = error.detail().unwrap();
    assert!(!detail.is_proxy());
    let said = format!(
        "(through the proxy {address}) is self-signed or of an unknown issuer: see spec.tls.caBundle"
    );
    assert!(detail.to_string().ends_with(&said), "{detail}");
}

#[tokio::test]
async fn a_proxy_that_fails_is_not_taken_for_zitadel() {
    let world = secured();
    let mut proxy = ForwardProxy::start(None).await;
    let (address, url) = (proxy.address(), world.simulator.url());
    let target = url.strip_prefix("https://").unwrap();
    for (manner, said) in [
        (
            Manner::Refuse,
            format!("the proxy {address} does not open a tunnel (CONNECT) to {target}: allow that"),
        ),
        (
            Manner::Hang,
            format!("the proxy {address} opened no tunnel (CONNECT) to {target} within"),
        ),
    ] {
        proxy.set(manner);
        let message = said_of_the_proxy(&world, through(&world, &proxy, None)).await;
        assert!(message.starts_with(&said), "{message}");
    }
    proxy.stop().await;
    let message = said_of_the_proxy(&world, through(&world, &proxy, None)).await;
    let said = format!(
        "the proxy {address} refuses connections, so ZITADEL was not asked: check spec.proxy.url"
    );
    assert!(message.starts_with(&said), "{message}");
    let nowhere = ClientConfig {
        proxy: Proxy::parse("http://proxy.invalid:3128").ok(),
        ..world.config(world.pat())
    };
    let message = said_of_the_proxy(&world, nowhere).await;
    let said = "the host name of the proxy proxy.invalid:3128 does not resolve";
    assert!(message.starts_with(said), "{message}");
    assert!(world.simulator.request_log().is_empty());
}

#[tokio::test]
async fn a_host_that_is_listed_is_dialled_directly() {
    let world = secured();
    let mut proxy = ForwardProxy::start(None).await;
    proxy.stop().await;
    let listed = Proxy::parse(&proxy.url()).unwrap().without("127.0.0.0/8");
    let config = ClientConfig {
        proxy: listed.ok(),
        ..world.config(world.pat())
    };
    Client::new(config).unwrap().me().await.unwrap();
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy_as_it_is() {
    let world = World::plain();
    let mut proxy = ForwardProxy::start(Some("operator:password")).await;
    let address = proxy.address();
    let client = Client::new(through(&world, &proxy, None)).unwrap();
    let error = client.me().await.unwrap_err();
    let said = format!("me: the proxy {address} asks for a user and a password (407): store");
    assert!(error.to_string().starts_with(&said), "{error}");
    // NB: without a tunnel only ZITADEL's word proves that nothing was done.
    let outcome = client.generate(&world.orders(), attempt()).await;
    assert!(matches!(outcome, GenerateOutcome::Unknown(_)));
    assert!(world.simulator.request_log().is_empty());
    let config = || through(&world, &proxy, Some("operator:password"));
    let client = Client::new(config()).unwrap();
    client.me().await.unwrap();
    let outcome = client.generate(&world.orders(), attempt()).await;
    assert!(matches!(outcome, GenerateOutcome::Success { .. }));
    let config = config();
    proxy.stop().await;
    let message = said_of_the_proxy(&world, config).await;
    let said = format!("the proxy {address} refuses connections");
    assert!(message.starts_with(&said), "{message}");
}

#[tokio::test]
async fn the_authorities_of_a_proxy_are_its_own() {
    let world = secured();
    // It speaks TLS, and opens no tunnels.
    let proxy = secured();
    let pem = |world: &World| world.simulator.ca_pem().map(|pem| pem.as_bytes().to_vec());
    let config = |ca_pem| ClientConfig {
        proxy: Some(
            Proxy::parse(&proxy.simulator.url().replace("127.0.0.1", "localhost"))
                .unwrap()
                .with_ca(ca_pem),
        ),
        ..world.config(world.pat())
    };
    let next = ", so ZITADEL was not asked: check spec.proxy.url and spec.proxy.caBundle";
    // NB: all simulators' authorities have one name, so another one has signed wrongly.
    for (ca_pem, what) in [
        (None, " is self-signed or of an unknown issuer"),
        (pem(&world), " is not valid"),
    ] {
        let message = said_of_the_proxy(&world, config(ca_pem)).await;
        let about = "the certificate of the proxy localhost:";
        let end = format!("{what}{next}");
        assert!(
            message.starts_with(about) && message.ends_with(&end),
            "{message}"
        );
    }
    let message = said_of_the_proxy(&world, config(pem(&proxy))).await;
    assert!(
        message.contains("does not open a tunnel (CONNECT)"),
        "{message}"
    );
    let bad = config(Some(b"canary".to_vec()));
    assert_eq!(Client::new(bad).err(), Some(ConfigError::ProxyCaBundle));
}
