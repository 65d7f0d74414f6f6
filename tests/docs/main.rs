//! The documentation: the pages agree with the program, and the tutorial's commands print what its page says.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod book;
mod commands;
mod examples;
mod imports;
mod manifests;
mod markdown;
mod migrate;
mod mutants;
mod named_tests;
mod pages;
mod pictures;
mod preflight;
mod readme;
#[path = "../support/mod.rs"]
mod support;
mod tutorial;
