//! A server that behaves as ZITADEL does where client secrets are concerned, with a ledger of what it executed and
//! scripted faults, for tests, demos and benchmarks of its clients.
//!
//! ```
//! use zitadel_simulator::{Action, Config, Cut, Fault, Operation, Simulator};
//!
//! # fn main() -> Result<(), Box<dyn std::error::Error>> {
//! let simulator = Simulator::start(Config::default())?;
//! let world = simulator.standard_world();
//! simulator.inject(Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset)));
//! assert_eq!(simulator.generates(&world.orders.id), 0);
//! # Ok(())
//! # }
//! ```
//!
//! A request goes through `server` (bytes) → `exchange` (ledger, faults) → `handle` (dispatch) → `generate`, `apps`, `journal`, `me`,
//! `token`, `introspection`, which read and change a `world` of `project`s; a project is its `events`, and `model` sums them up.

#![forbid(unsafe_code)]
#![cfg_attr(
    test,
    allow(
        clippy::unwrap_used,
        clippy::expect_used,
        clippy::panic,
        clippy::indexing_slicing
    )
)]

mod access;
mod actions;
mod admin;
mod answer;
mod apps;
mod build;
mod call;
mod commands;
mod config;
mod control;
mod disturb;
mod errors;
mod events;
mod exchange;
mod faults;
mod gates;
mod generate;
mod gzip;
mod handle;
mod identities;
mod instance;
mod introspection;
mod journal;
mod ledger;
mod me;
mod model;
mod oauth;
mod project;
mod random;
mod replies;
mod routes;
mod script;
mod secret;
mod server;
mod shared;
mod simulator;
mod standard;
mod tls;
mod token;
mod wire;
mod world;
mod world_file;

pub use actions::{Action, Cut, Which};
pub use build::{AppHandle, KeyFile, NewApp, NotThere};
pub use commands::Command;
pub use config::{
    ATTEMPT_HEADER, Availability, Config, IntrospectionMode, Lag, Settings, Whitespace,
};
pub use events::AuthMethod;
pub use faults::{Fault, FaultState};
pub use gates::Gate;
pub use identities::{Role, Scope};
pub use ledger::{Counters, Effect, Execution, Outcome, RequestRecord};
pub use model::State;
pub use replies::Reply;
pub use routes::Operation;
pub use secret::SecretValue;
pub use simulator::{Simulator, StartError};
pub use standard::StandardWorld;
pub use tls::TlsError;
pub use world_file::{
    AppSpec, OrgSpec, ProjectSpec, RoleSpec, UserHandle, UserSpec, WorldFile, WorldSummary,
};

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic elsewhere does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
