//! The life of one credential over real connections.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use std::time::Duration;

use client::Client;
use zitadel_simulator::{Config, Lag, Operation, Simulator};

#[tokio::test]
async fn a_generated_secret_lives_once_the_projection_has_caught_up() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    let old = world.orders.secret.clone().unwrap();
    simulator.configure(|settings| settings.projection_lag = Lag::Never);

    let made = client.generate(&world.orders).await.unwrap();
    assert_eq!(made.status, 200);
    let new = made.json["clientSecret"].as_str().unwrap().to_owned();
    assert!(client.introspects(&world.orders, &old).await);
    assert!(!client.introspects(&world.orders, &new).await);

    let app = client.get_app(&world.orders).await;
    assert_eq!(
        app.json["app"]["details"]["sequence"],
        made.json["details"]["sequence"]
    );
    assert!(!client.introspects(&world.orders, &old).await);
    assert!(client.introspects(&world.orders, &new).await);
    assert!(simulator.accepts(&world.orders.id, &new));

    let journal = client.journal(&world.orders, "?query.limit=1").await;
    assert_eq!(
        journal.json["result"][0]["sequence"],
        made.json["details"]["sequence"]
    );
    assert_eq!(
        journal.json["result"][0]["editorId"],
        world.operator.id.as_str()
    );
}

#[tokio::test]
async fn the_ledger_knows_attempt_user_and_execution() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    let made = client
        .generate_as(&world.orders, "attempt-1")
        .await
        .unwrap();

    let requests = simulator.request_log();
    let request = requests
        .iter()
        .find(|request| request.operation == Operation::Generate)
        .unwrap();
    assert_eq!(request.attempt.as_deref(), Some("attempt-1"));
    assert_eq!(request.user.as_deref(), Some(world.operator.id.as_str()));
    let executions = simulator.executions();
    assert_eq!(executions.len(), 1);
    assert_eq!(executions[0].request, Some(request.id));
    assert_eq!(
        executions[0].secret.expose(),
        made.json["clientSecret"].as_str().unwrap()
    );
    assert_eq!(
        simulator.latest(&world.orders.id),
        Some(executions[0].sequence)
    );
    assert_eq!(
        (
            simulator.generates(&world.orders.id),
            simulator.requests(Operation::Generate)
        ),
        (1, 1)
    );
}

#[tokio::test]
async fn https_works_with_the_simulators_own_ca() {
    let simulator = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    assert!(simulator.url().starts_with("https://"));
    assert_eq!(client.generate(&world.orders).await.unwrap().status, 200);
    assert_eq!(simulator.request_log()[0].version, "HTTP/2.0");
}

#[tokio::test]
async fn the_date_header_follows_the_servers_clock() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    simulator.configure(|settings| settings.clock_skew_ms = 3_600_000);
    let made = client.generate(&world.orders).await.unwrap();
    let date = jiff::fmt::rfc2822::parse(&made.headers["date"])
        .unwrap()
        .timestamp();
    let changed: jiff::Timestamp = made.json["details"]["changeDate"]
        .as_str()
        .unwrap()
        .parse()
        .unwrap();
    let ahead = jiff::SignedDuration::from_secs(3500);
    assert!(date - ahead > jiff::Timestamp::now() && changed - ahead > jiff::Timestamp::now());
}

#[tokio::test]
async fn old_requests_wait_out_a_generates_latency_but_roll_back_when_the_client_leaves() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    simulator.configure(|settings| settings.generate_latency = Duration::from_secs(30));
    let client = Client::with_timeout(&simulator, &world, Duration::from_millis(100));
    client.generate(&world.orders).await.unwrap_err();
    client::until(|| simulator.counters().generates_in_flight == 0).await;
    assert_eq!(simulator.generates(&world.orders.id), 0);
    assert_eq!(
        simulator.request_log()[0].outcome,
        zitadel_simulator::Outcome::RolledBack
    );
}

#[tokio::test]
async fn the_v2_method_serves_both_kinds_and_reports_errors_as_connect_does() {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    let url = format!(
        "{}/zitadel.application.v2.ApplicationService/GenerateClientSecret",
        client.url
    );
    let call = async |pat: &str, app: &str| {
        let body =
            serde_json::json!({"applicationId": app, "projectId": world.payments}).to_string();
        client::read(
            client
                .http
                .post(&url)
                .bearer_auth(pat)
                .header("content-type", "application/json")
                .body(body)
                .send()
                .await
                .unwrap(),
        )
        .await
        .unwrap()
    };
    for app in [&world.orders, &world.web] {
        let made = call(&world.operator.pat, &app.id).await;
        assert!(simulator.accepts(&app.id, made.json["clientSecret"].as_str().unwrap()));
        assert_eq!(simulator.generates(&app.id), 1);
    }
    let unknown = call(&world.operator.pat, "1").await;
    assert_eq!(
        (unknown.status, unknown.json["code"].as_str()),
        (404, Some("not_found"))
    );
    // The detail is base64 of a protobuf message whose first field is the id.
    assert!(
        unknown.json["details"][0]["value"]
            .as_str()
            .unwrap()
            .starts_with("Cg1DT01NQU5ELUtkOTJz")
    );
    assert_eq!(unknown.json["details"][0]["debug"]["id"], "COMMAND-Kd92s");
    let denied = call(&world.viewer.pat, &world.orders.id).await;
    assert_eq!(
        (denied.status, denied.json["code"].as_str()),
        (403, Some("permission_denied"))
    );
    assert_eq!(call(&world.nobody.pat, &world.orders.id).await.status, 404);
}
