//! Every fault does what it says, and the ledger says what was executed.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod client;

use std::time::Duration;

use client::{Client, start, until};
use zitadel_simulator::{Action, Cut, Effect, Fault, Lag, Operation, Reply, Simulator, Which};

fn on_generate(simulator: &Simulator, action: Action) -> u64 {
    simulator.inject(Fault::on(Operation::Generate, action))
}

#[tokio::test]
async fn answers_before_execution_leave_the_old_secret_alive() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    let replies = [
        Reply::token_invalid(),
        Reply::org_unknown(),
        Reply::quota_exhausted(),
        Reply::instance_blocked(),
        Reply::ingress_html(502),
        Reply::redirect("https://elsewhere.example/"),
        Reply::zitadel_slug(400, 9, "some.slug", "no"),
    ];
    for reply in replies {
        let fault = on_generate(&simulator, Action::RespondBefore(reply.clone()));
        let answer = client.generate(&world.orders).await.unwrap();
        assert_eq!(
            (answer.status, answer.bytes),
            (reply.status, reply.body.into_bytes())
        );
        assert_eq!(simulator.fired(fault), 1);
    }
    on_generate(&simulator, Action::DropBefore(Cut::Reset));
    client.generate(&world.orders).await.unwrap_err();
    assert_eq!(simulator.generates(&world.orders.id), 0);
    assert!(simulator.accepts(&world.orders.id, old));
}

#[tokio::test]
async fn lost_answers_kill_the_old_secret_all_the_same() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    let respond = Action::RespondAfter(Reply::action_interrupted());
    for (n, action) in (1..).zip([
        Action::DropAfter(Cut::Close),
        Action::DropAfter(Cut::Reset),
        respond,
    ]) {
        on_generate(&simulator, action.clone());
        match client.generate(&world.orders).await {
            Ok(answer) => assert_eq!(answer.json["details"][0]["id"], "EXEC-dra6yamk98"),
            Err(error) => assert!(
                !error.is_timeout() && action != Action::RespondAfter(Reply::action_interrupted())
            ),
        }
        assert_eq!(simulator.generates(&world.orders.id), n);
    }
    assert!(!simulator.accepts(&world.orders.id, old));
    let newest = &simulator.executions()[2];
    assert!(simulator.accepts(&world.orders.id, newest.secret.expose()));
}

#[tokio::test]
async fn damaged_bodies_arrive_as_described() {
    let (simulator, world, client) = start();
    on_generate(&simulator, Action::Truncate(20));
    let cut = client.generate(&world.orders).await.unwrap_err();
    assert!(cut.is_body() || cut.is_decode(), "{cut:?}");

    on_generate(&simulator, Action::Garbage);
    assert!(String::from_utf8(client.generate(&world.orders).await.unwrap().bytes).is_err());

    on_generate(&simulator, Action::Oversize(3 << 20));
    let oversize = client.generate(&world.orders).await.unwrap();
    assert!(oversize.bytes.len() > 3 << 20 && oversize.json["clientSecret"].is_string());

    on_generate(&simulator, Action::ReplaceBody("{}".to_owned()));
    assert_eq!(client.generate(&world.orders).await.unwrap().bytes, b"{}");

    on_generate(&simulator, Action::ContentType("text/html".to_owned()));
    let html = client.generate(&world.orders).await.unwrap();
    assert_eq!(html.headers["content-type"], "text/html");
    assert!(html.json["clientSecret"].is_string());

    on_generate(&simulator, Action::Gzip);
    let gzip = client.generate(&world.orders).await.unwrap();
    assert_eq!(gzip.headers["content-encoding"], "gzip");
    assert_eq!(gzip.bytes[..2], [0x1f, 0x8b]);
    assert_eq!(simulator.generates(&world.orders.id), 6);
}

#[tokio::test]
async fn an_endless_body_does_not_end() {
    let (simulator, world, _) = start();
    let client = Client::with_timeout(&simulator, &world, Duration::from_millis(200));
    on_generate(&simulator, Action::Endless);
    assert!(
        client
            .generate(&world.orders)
            .await
            .unwrap_err()
            .is_timeout()
    );
    assert_eq!(simulator.generates(&world.orders.id), 1);
}

#[tokio::test]
async fn a_gate_holds_a_request_until_it_is_released() {
    let (simulator, world, client) = start();
    let gate = simulator.hold_before(Operation::Generate);
    let after = simulator.hold_after(Operation::Generate);
    let app = world.orders.clone();
    let request = tokio::spawn(async move { client.generate(&app).await.unwrap().status });
    gate.reached().await;
    assert_eq!(simulator.generates(&world.orders.id), 0);
    assert_eq!(simulator.counters().generates_in_flight, 1);
    gate.release();
    after.reached().await;
    assert_eq!(simulator.generates(&world.orders.id), 1);
    assert!(!request.is_finished());
    after.release_one();
    assert_eq!(request.await.unwrap(), 200);
}

#[tokio::test]
async fn a_zombie_request_is_executed_after_its_client_has_left() {
    let (simulator, world, _) = start();
    let impatient = Client::with_timeout(&simulator, &world, Duration::from_millis(100));
    let gate = simulator.gate("queue");
    on_generate(
        &simulator,
        Action::HoldBefore {
            gate: "queue".to_owned(),
            outlives_client: true,
        },
    );
    assert!(
        impatient
            .generate(&world.orders)
            .await
            .unwrap_err()
            .is_timeout()
    );
    assert_eq!(simulator.generates(&world.orders.id), 0);
    gate.release();
    until(|| simulator.generates(&world.orders.id) == 1).await;
}

#[tokio::test]
async fn a_duplicated_request_is_executed_twice_and_either_is_answered() {
    let (simulator, world, client) = start();
    for (which, lives) in [(Which::First, false), (Which::Second, true)] {
        on_generate(&simulator, Action::Duplicate(which));
        let answer = client.generate_as(&world.orders, "a").await.unwrap();
        assert_eq!(
            simulator.accepts(
                &world.orders.id,
                answer.json["clientSecret"].as_str().unwrap()
            ),
            lives
        );
    }
    let attempts: Vec<_> = simulator
        .executions()
        .into_iter()
        .filter_map(|execution| execution.attempt)
        .collect();
    assert_eq!(attempts, ["a"; 4]);
}

#[tokio::test]
async fn a_rotation_without_effect_stands_in_the_journal_while_the_old_secret_lives() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    on_generate(&simulator, Action::WithoutEffect);
    let made = client.generate(&world.orders).await.unwrap();
    let sequence = made.json["details"]["sequence"].clone();
    assert_eq!(
        client.journal(&world.orders, "").await.json["result"][0]["sequence"],
        sequence
    );
    assert_ne!(
        client.get_app(&world.orders).await.json["app"]["details"]["sequence"],
        sequence
    );
    assert!(
        simulator.accepts(&world.orders.id, old) && simulator.would_accept(&world.orders.id, old)
    );
    assert_eq!(simulator.executions()[0].effect, Effect::None);
    // Only another generate heals it.
    let healed = client.generate(&world.orders).await.unwrap();
    assert!(
        client
            .introspects(&world.orders, healed.json["clientSecret"].as_str().unwrap())
            .await
    );
}

#[tokio::test]
async fn of_crossed_rotations_the_lower_sequence_survives() {
    let (simulator, world, client) = start();
    let mut sequences = Vec::new();
    for (which, lives) in [(Which::First, true), (Which::Second, false)] {
        on_generate(&simulator, Action::Crossed(which));
        let made = client.generate(&world.orders).await.unwrap();
        assert_eq!(
            client
                .introspects(&world.orders, made.json["clientSecret"].as_str().unwrap())
                .await,
            lives
        );
        sequences.push(
            made.json["details"]["sequence"]
                .as_str()
                .unwrap()
                .parse::<u64>()
                .unwrap(),
        );
    }
    let shown = client.get_app(&world.orders).await.json["app"]["details"]["sequence"].clone();
    assert_eq!(shown, (sequences[1] - 1).to_string());
    assert_eq!(simulator.latest(&world.orders.id), Some(sequences[1]));
}

#[tokio::test]
async fn rules_pick_app_attempt_and_occurrence() {
    let (simulator, world, client) = start();
    let refuse = || Action::RespondBefore(Reply::token_invalid());
    simulator.inject(
        Fault::on(Operation::Generate, refuse())
            .app(&world.standby.id)
            .always(),
    );
    simulator.inject(
        Fault::on(Operation::Generate, refuse())
            .attempt("b")
            .nth(2)
            .times(1),
    );
    let status =
        async |app, attempt: &'static str| client.generate_as(app, attempt).await.unwrap().status;
    assert_eq!(status(&world.standby, "a").await, 401);
    assert_eq!(status(&world.standby, "a").await, 401);
    assert_eq!(status(&world.orders, "a").await, 200);
    assert_eq!(status(&world.orders, "b").await, 200);
    assert_eq!(status(&world.orders, "b").await, 401);
    assert_eq!(status(&world.orders, "b").await, 200);
    simulator.clear_faults();
    assert_eq!(status(&world.standby, "a").await, 200);
}

#[tokio::test]
async fn a_fixed_lag_lets_the_old_secret_live_for_that_long() {
    let (simulator, world, client) = start();
    let old = world.orders.secret.as_deref().unwrap();
    simulator
        .configure(|settings| settings.projection_lag = Lag::Fixed(Duration::from_millis(150)));
    let made = client.generate(&world.orders).await.unwrap();
    let new = made.json["clientSecret"].as_str().unwrap();
    assert!(
        simulator.accepts(&world.orders.id, old) && simulator.would_accept(&world.orders.id, new)
    );
    until(|| simulator.accepts(&world.orders.id, new)).await;
    assert!(!simulator.accepts(&world.orders.id, old));
}
