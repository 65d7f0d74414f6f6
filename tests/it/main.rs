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

mod admission;
mod adoption;
mod api_v2;
mod audit;
mod bad_input;
mod claims;
mod connection;
mod connection_checks;
mod consumers;
mod content;
mod controller_class;
mod definitions;
mod denied;
mod events;
mod fixtures;
mod gitops;
mod grants;
mod issue;
mod kstatus;
mod limits;
mod long_journals;
mod messages;
mod metrics;
mod no_leaks;
mod oidc;
mod plugin;
mod proxy;
mod recovery;
mod rename;
mod rivals;
mod schedule;
mod standby;
mod suspend_delete;
mod templates;
mod trigger;
mod webhooks;
mod zitadel_client;
