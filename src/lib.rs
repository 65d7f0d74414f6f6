//! Keeps the client secrets of ZITADEL API applications in Kubernetes Secrets: created, rotated, verified and repaired.
//!
//! Data flows one way, `observe → decide → act → report`:
//!
//! * [`api`] the kinds people write, no I/O
//! * [`ids`] identifiers as types, no I/O
//! * [`zitadel`] a typed client of the few routes that are needed
//! * [`rotation`] the pure core: what is known goes in, one next step comes out
//! * [`controller`] the shell around it: reads, carries out one step, reports
//! * [`rights`] what all of that needs in a cluster; [`check`] asks the API server whether it is granted
//! * [`process`] the process: leader election, admin server, metrics, clocks, shutdown

pub mod api;
pub mod check;
pub mod cli;
pub mod controller;
pub mod ids;
pub mod operator;
pub mod process;
#[cfg(any(test, fuzzing))]
pub mod properties;
pub mod rights;
pub mod rotation;
pub mod zitadel;
