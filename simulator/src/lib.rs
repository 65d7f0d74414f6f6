//! A ZITADEL simulator for everything that concerns client secrets, with a ledger of what it executed and
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
//! A request goes through `server` (bytes, then `exchange`), where the `ledger` records it and `faults` disturb it, to `routes`, which read
//! and change a `world` of projects; a project is its events.

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

mod config;
mod faults;
mod ledger;
mod random;
mod routes;
mod server;
mod simulator;
mod world;

pub use config::{
    ATTEMPT_HEADER, Availability, Config, Deprecation, IntrospectionMode, Lag, Served, Settings,
    Whitespace,
};
pub use faults::actions::{Action, Cut, Which};
pub use faults::gates::Gate;
pub use faults::replies::Reply;
pub use faults::{Fault, FaultState};
pub use ledger::{Counters, Effect, Execution, Outcome, RequestRecord};
pub use routes::{Api, Operation};
pub use server::tls::TlsError;
pub use simulator::{Simulator, StartError};
pub use world::build::{AppHandle, ChangeError, KeyFile, NewApp};
pub use world::events::AuthMethod;
pub use world::file::{
    AppSpec, OrgSpec, ProjectSpec, RoleSpec, UserHandle, UserSpec, WorldFile, WorldSummary,
};
pub use world::identities::{Role, Scope};
pub use world::model::State;
pub use world::secret::SecretValue;
pub use world::standard::StandardWorld;

use std::sync::{Mutex, MutexGuard, PoisonError};

/// Locks; a panic elsewhere does not spread.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
