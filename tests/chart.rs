//! The chart, as it is rendered and on a real API server; what is made from it; the operator with exactly its rights.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "chart/consumers.rs"]
mod consumers;
#[path = "chart/install.rs"]
mod install;
#[path = "chart/listing.rs"]
mod listing;
#[path = "chart/options.rs"]
mod options;
#[path = "chart/pages.rs"]
mod pages;
#[path = "chart/readme.rs"]
mod readme;
#[path = "chart/refused.rs"]
mod refused;
#[path = "chart/release.rs"]
mod release;
#[path = "chart/rendered.rs"]
mod rendered;
#[path = "chart/rights.rs"]
mod rights;
#[path = "chart/rules.rs"]
mod rules;
#[path = "chart/values.rs"]
mod values;

mod support;
