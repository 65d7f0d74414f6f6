//! The process around the operator: clocks, logs, metrics, the admin server, shutdown and leader election.
//!
//! Nothing here knows what a rotation is; it is told what to count, what to hold and when to end.

pub mod admin;
pub mod clock;
pub mod holding;
pub mod kube_client;
pub mod leader;
pub mod log_limit;
pub mod metrics;
pub mod panics;
pub mod pod_lock;
pub mod proxy;
pub mod readiness;
pub mod refusals;
mod request_name;
pub mod rewind;
pub mod shutdown;
pub mod telemetry;
