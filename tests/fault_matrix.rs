//! Faults at every boundary of the rotation protocol, with one and with two replicas, on a real API server.
//!
//! `FAULTS=B9xF2,B10` runs only these cells; `FAULTS_LOG=zitadel_secret_operator=trace` prints what the replicas log.
#![allow(
    clippy::pedantic,
    dead_code,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod faults;
mod support;

use faults::cell::Cell;
use faults::matrix;

/// Lanes at once: cells mostly wait.
const LANES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_anywhere_the_newest_value_is_stored_and_no_rotation_is_made_without_a_cause()
 {
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
    let cells = [1, 2].into_iter().flat_map(Cell::all).filter(|cell| {
        let row = format!("B{}", cell.boundary.number());
        let one = format!("{row}xF{}", cell.strike);
        let column = format!("F{}", cell.strike);
        wanted.is_empty()
            || [row, one, column]
                .iter()
                .any(|name| wanted.contains(&name.as_str()))
    });
    matrix::prove(cells.collect(), LANES).await;
}
