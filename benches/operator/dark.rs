//! The dark window: from ZITADEL's answer to the durable Secret, with 100 rotations queued at once.

use std::collections::HashMap;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zitadel_simulator::{Lag, Operation};

use crate::figures::{Figures, number, quantile};
use crate::stage::{LONG, Stage, quiet, rotated, rotations};
use crate::support::fleet::name;

const OBJECTS: usize = 100;
/// A quantile of 99 % needs more than 100 samples.
const ROUNDS: usize = 10;
/// Between the median and the p90 of a real server.
const LAG: Duration = Duration::from_millis(30);
/// What a generate takes on a real server.
const GENERATE: Duration = Duration::from_millis(13);

/// Queues 100 rotations; writes another Secret again and again meanwhile, for comparison.
pub async fn run(figures: &mut Figures) {
    let mut stage = Stage::new(OBJECTS).await;
    let operator = stage.operator().await;
    stage.issue(&operator, OBJECTS).await;
    stage.zitadel().configure(|settings| {
        settings.projection_lag = Lag::Fixed(LAG);
        settings.generate_latency = GENERATE;
    });
    stage.requests();
    stage.zitadel().clear_ledger();
    let mut bare = Vec::new();
    let (mut whole, mut prove, mut write) = (Vec::new(), Vec::new(), Vec::new());
    for round in 1..=ROUNDS {
        let trigger = round.to_string();
        let before = rotations(&operator).await;
        // The first call is held until all are queued: what is measured is the queue, not how it is made.
        let gate = stage.zitadel().hold_before(Operation::Generate);
        stage.fleet.trigger(0..OBJECTS, &trigger).await;
        tokio::time::timeout(LONG, gate.reached()).await.unwrap();
        quiet(&operator, LONG).await;
        stage.zitadel().clear_faults();
        gate.release();
        let rotation = rotated(&operator, before + OBJECTS);
        tokio::select! {
            () = rotation => {}
            () = bare_writes(&stage, &mut bare) => {}
        }
        stage.fleet.settled(0..OBJECTS, &trigger, LONG).await;
        windows(&mut stage, &mut whole, &mut prove, &mut write);
        stage.zitadel().clear_ledger();
    }
    // Like with like: the slowest of a hundred with the slowest of a hundred. The tail of a write is the API server's own.
    let of = |part: f64| {
        let (window, write) = (quantile(&whole, part), quantile(&bare, part));
        window / (LAG.as_secs_f64() + 3.0 * write)
    };
    figures.show("dark_windows", number(whole.len()), "rotations");
    for (name, times) in [
        ("dark_window", &whole),
        ("dark_window_prove", &prove),
        ("dark_window_write", &write),
        ("bare_secret_write", &bare),
    ] {
        figures.show(&format!("{name}_p50_seconds"), quantile(times, 0.5), "s");
        figures.show(&format!("{name}_p99_seconds"), quantile(times, 0.99), "s");
    }
    figures.show("projection_lag_seconds", LAG.as_secs_f64(), "s");
    figures.at_most("dark_window_p50_ratio", of(0.5), 1.0, "of_lag_and_3_writes");
    figures.at_most(
        "dark_window_p99_ratio",
        of(0.99),
        1.0,
        "of_lag_and_3_writes",
    );
}

/// The windows of one round: from the answer on, until it was proven, and from then on until it was written.
fn windows(stage: &mut Stage, whole: &mut Vec<f64>, prove: &mut Vec<f64>, write: &mut Vec<f64>) {
    let calls = stage.zitadel().request_log();
    let requests = stage.requests();
    let written: HashMap<_, _> = requests
        .iter()
        .filter(|request| request.resource() == "secrets" && request.is_write())
        .map(|request| (request.name().to_owned(), request))
        .collect();
    for (n, app) in stage.fleet.apps.iter().enumerate() {
        let of_app = || {
            calls
                .iter()
                .filter(|call| call.app.as_deref() == Some(&app.id))
        };
        let ended = |operation| {
            let calls = of_app().filter(|call| call.operation == operation);
            calls.filter_map(|call| call.finished_at).max().unwrap()
        };
        let (answered, proven) = (ended(Operation::Generate), ended(Operation::Introspect));
        let secret = written[&name(n)];
        whole.push(secret.answered.duration_since(answered).as_secs_f64());
        prove.push(proven.duration_since(answered).as_secs_f64());
        write.push(secret.answered.duration_since(proven).as_secs_f64());
    }
}

/// Applies a Secret of about the same size, one write after the other. Ends when it is dropped.
async fn bare_writes(stage: &Stage, took: &mut Vec<f64>) {
    let secrets = stage.fleet.tenant.secrets();
    let params = PatchParams::apply("bare").force();
    for n in 0_u64.. {
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret",
            "metadata": {"name": "bare", "annotations": {"commit": "x".repeat(500)}},
            "stringData": {"CLIENT_ID": "0123456789@payments", "CLIENT_SECRET": format!("{n:064}")},
        });
        let began = Instant::now();
        secrets
            .patch("bare", &params, &Patch::Apply(&secret))
            .await
            .unwrap();
        took.push(began.elapsed().as_secs_f64());
    }
}
