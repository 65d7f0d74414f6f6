//! The custom resource definitions on a real API server: what they refuse, what they let through, how they print.
#![allow(
    clippy::struct_field_names,
    clippy::too_many_lines,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod absent;
mod app_secret;
mod app_secret_refused;
mod connection;
mod connection_refused;
mod kinds;
mod printing;
mod rules;
mod sentences;
#[path = "../support/mod.rs"]
mod support;
