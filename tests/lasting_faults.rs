//! What an object may cost in requests while a fault lasts. In a binary of its own, because it counts requests against the clock.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "faults/lasting.rs"]
#[allow(
    clippy::pedantic,
    dead_code,
    reason = "the fault matrix holds all of them"
)]
mod lasting;
mod support;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lasting_fault_of_each_kind_costs_few_requests_and_nothing_untrue_is_said_of_it() {
    lasting::prove(lasting::Which::OfEachKind).await;
}
