//! Keeps the client secrets of ZITADEL API applications in Kubernetes Secrets: created, rotated, verified and repaired.
//!
//! Data flows one way, `observe → decide → act → report`:
//!
//! * [`api`] the kinds people write, no I/O
//! * [`ids`] identifiers as types, no I/O
//! * [`zitadel`] a typed client of the few routes that are needed
//! * [`rotation`] the pure core: what is known goes in, one next step comes out
//! * [`target`] what an object asks for, parsed into types that cannot hold an invalid value, no I/O
//! * [`store`] what is known of the cluster
//! * [`connection`] the `ZitadelConnection`s: clients, grants, limits
//! * [`reconcile`] the loop: observes, asks [`rotation`] for one step, carries it out
//! * [`consumers`] the Pods that use a credential, until each of them has the new one
//! * [`report`] status, conditions, messages, events
//! * [`background`] what is done from time to time rather than on an event
//! * [`operator`] starts and stops all of it
//! * [`rights`] what all of that needs in a cluster; [`check`] asks the API server whether it is granted
//! * [`plugin`] the kubectl plugin, with its caller's rights
//! * [`process`] the process: leader election, admin server, metrics, clocks, shutdown

pub mod api;
pub(crate) mod background;
pub mod check;
pub mod cli;
pub(crate) mod connection;
pub(crate) mod consumers;
pub mod ids;
pub mod operator;
pub mod plugin;
pub mod process;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod reconcile;
pub(crate) mod report;
pub mod rights;
pub mod rotation;
pub mod store;
pub mod target;
pub mod zitadel;
