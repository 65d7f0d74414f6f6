//! Faults at every boundary of the rotation protocol, with one and with two replicas, without and with a standby
//! application, and while its former pair is kept for a consumer, on a real API server.
//!
//! `FAULTS=B9xF2,B10,standby,behind,retiring` runs only these cells; `FAULTS_LOG=zitadel_secret_operator=trace` prints what the replicas log.
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
use faults::{controls, lasting, matrix};

/// Lanes at once: cells mostly wait.
const LANES: usize = 12;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn after_any_fault_anywhere_the_newest_value_is_stored_and_no_rotation_is_made_without_a_cause()
 {
    let wanted = std::env::var("FAULTS").unwrap_or_default();
    let wanted: Vec<&str> = wanted.split(',').filter(|word| !word.is_empty()).collect();
    let cells = matrix::kinds().flat_map(Cell::all).filter(|cell| {
        let row = format!("B{}", cell.boundary.number());
        let one = format!("{row}xF{}", cell.strike);
        let column = format!("F{}", cell.strike);
        let setting = cell.setting.word();
        wanted.is_empty()
            || [row.as_str(), &one, &column, setting]
                .iter()
                .any(|name| wanted.contains(name))
    });
    matrix::prove(cells.collect(), LANES).await;
}

/// `make fault-matrix`: it measures on the wire, so it wants a machine that does nothing else. `make test` holds one of each kind.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes a minute of a quiet machine"]
async fn a_fault_that_lasts_costs_few_requests_and_nothing_untrue_is_said_of_it() {
    lasting::prove(lasting::Which::All).await;
}

macro_rules! controls {
    ($($name:ident: $control:path;)*) => {$(
        #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
        async fn $name() {
            $control().await;
        }
    )*};
}

controls! {
    without_the_claim_before_the_call_an_invariant_is_broken: controls::write_ahead;
    without_the_precondition_of_the_claim_an_invariant_is_broken: controls::claim_precondition;
    without_the_precondition_of_the_secret_an_invariant_is_broken: controls::secret_precondition;
    without_the_sight_of_consumers_an_invariant_is_broken: controls::consumers;
    without_the_rehearsal_an_invariant_is_broken: controls::rehearsal;
}
