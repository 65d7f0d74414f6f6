//! Replays exchanges recorded with a real ZITADEL and compares every answer.

#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod replay;

use std::path::Path;

use replay::compare::{Comparison, Observed};
use replay::{Exchange, Replay};
use serde_json::Value;

#[tokio::test]
async fn every_recorded_exchange_is_answered_as_recorded() {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../tests/golden/exchanges.jsonl");
    let recording = std::fs::read_to_string(path).unwrap();
    let exchanges: Vec<Exchange> = recording
        .lines()
        .map(|line| serde_json::from_str(line).unwrap())
        .collect();
    assert_eq!(exchanges.len(), 105);

    let mut replay = Replay::start();
    let mut failures = Vec::new();
    for (index, exchange) in exchanges.iter().enumerate() {
        replay.steps_before(exchange).await;
        let observed = replay.send(exchange).await;
        let found = compare(&mut replay, exchange, observed);
        if !found.is_empty() {
            failures.push(format!(
                "{}. {}:\n    {}",
                index + 1,
                exchange.name,
                found.join("\n    ")
            ));
        }
    }
    println!(
        "golden: {} of {} match",
        exchanges.len() - failures.len(),
        exchanges.len()
    );
    assert!(failures.is_empty(), "\n{}", failures.join("\n"));
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
