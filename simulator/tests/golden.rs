//! Replays exchanges recorded with a real ZITADEL and compares every answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod replay;

use std::collections::BTreeMap;
use std::path::Path;

use replay::compare::{Comparison, Observed};
use replay::{Exchange, Replay, second};
use serde_json::Value;

#[tokio::test]
async fn every_recorded_exchange_is_answered_as_recorded() {
    let exchanges = recording("exchanges.jsonl");
    let mut replay = Replay::first();
    let mut failures = Failures::default();
    for exchange in &exchanges {
        replay.steps_before_first(exchange).await;
        let observed = replay.send(exchange).await;
        failures.note(exchange, &compare(&mut replay, exchange, observed));
    }
    println!("golden: {} replayed, 0 skipped", exchanges.len());
    failures.assert_none();
    assert_eq!(exchanges.len(), 105);
}

#[tokio::test]
async fn every_recorded_exchange_of_the_second_world_is_answered_as_recorded() {
    let exchanges = recording("exchanges-2.jsonl");
    let mut replay = Replay::second();
    let mut failures = Failures::default();
    let mut skipped: BTreeMap<&str, usize> = BTreeMap::new();
    for exchange in &exchanges {
        if let Some(reason) = second::skipped(exchange) {
            *skipped.entry(reason).or_default() += 1;
            continue;
        }
        replay.steps_before_second(exchange).await;
        let observed = replay.send(exchange).await;
        failures.note(exchange, &compare(&mut replay, exchange, observed));
    }
    let left_out: usize = skipped.values().sum();
    println!(
        "golden 2: {} replayed, {left_out} skipped: {skipped:#?}",
        exchanges.len() - left_out
    );
    failures.assert_none();
    assert_eq!((exchanges.len() - left_out, left_out), (240, 1));
}

fn recording(name: &str) -> Vec<Exchange> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden");
    let recording = std::fs::read_to_string(path.join(name)).unwrap();
    recording
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect()
}

/// Differences by exchange.
#[derive(Default)]
struct Failures(Vec<String>);

impl Failures {
    fn note(&mut self, exchange: &Exchange, found: &[String]) {
        if !found.is_empty() {
            let differences = found.join("\n    ");
            self.0
                .push(format!("{}:\n    {differences}", exchange.name));
        }
    }

    fn assert_none(&self) {
        assert!(self.0.is_empty(), "\n{}", self.0.join("\n"));
    }
}

fn compare(replay: &mut Replay, exchange: &Exchange, mut observed: Observed) -> Vec<String> {
    let mut expected = exchange.response.clone();
    let mut unsorted = Vec::new();
    match exchange.name.as_str() {
        "app search" => {
            sort_by_actual_id(&mut expected, |id| replay.values.resolve(id));
            sort_by_actual_id(&mut observed.body, str::to_owned);
            replay.all_apps = observed.body["result"]
                .as_array()
                .cloned()
                .unwrap_or_default();
        }
        // The cut is compared; which of the apps come first is not.
        "app search, limit 2" => {
            let page = observed.body["result"].take();
            let page = page.as_array().cloned().unwrap_or_default();
            if page.iter().any(|app| !replay.all_apps.contains(app)) {
                unsorted.push("an app is not that of the whole list".to_owned());
            }
            if page.len() != expected["result"].as_array().unwrap().len() {
                unsorted.push(format!("{} apps", page.len()));
            }
            expected["result"].take();
        }
        // All applications of the instance, of which there were more.
        "v2 list without filter" => {
            let total = observed.body["pagination"]["totalResult"].take();
            if total != "7" {
                unsorted.push(format!("{total} applications in all"));
            }
            expected["pagination"]["totalResult"].take();
        }
        // The codes are random.
        "device authorization with an OIDC app, right secret" => {
            for field in ["device_code", "user_code", "verification_uri_complete"] {
                let made = observed.body[field].take();
                if made.is_string() != expected[field].take().is_string() {
                    unsorted.push(format!("{field} is {made}"));
                }
            }
        }
        _ => {}
    }
    let mut comparison = Comparison::new(&mut replay.values);
    comparison.status_and_headers(exchange, &observed);
    comparison.value("", &expected, &observed.body);
    comparison.differences.append(&mut unsorted);
    comparison.differences
}

fn sort_by_actual_id(answer: &mut Value, resolve: impl Fn(&str) -> String) {
    if let Some(result) = answer["result"].as_array_mut() {
        result.sort_by_key(|app| resolve(app["id"].as_str().unwrap()));
    }
}
