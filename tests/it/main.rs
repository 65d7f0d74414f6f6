//! The operator's binary on a real API server, against a ZITADEL simulator: one world for all tests, a file for each subject.
//!
//! Every test has a namespace, an organization and a connection of its own. A test that needs other settings of the operator starts its own.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "../support/mod.rs"]
mod support;

mod bad_input;
mod changes_meanwhile;
mod connections;
mod controller_class;
mod end_to_end;
mod gitops;
mod long_journals;
mod metrics;
mod no_leaks;
mod standby;
mod zitadel_client;
