//! The process around the operator: clocks, name resolution, logs, metrics, the admin server, shutdown and leader election.
//!
//! Nothing here decides about a rotation; the callers say what to count, what to hold and when to end.

pub mod admin;
pub mod clock;
pub mod denied_requests;
pub mod dns;
pub mod holding;
pub mod kube_client;
pub mod kube_error;
pub mod leader;
pub mod log_limit;
pub mod metrics;
pub mod panic;
pub mod pod_lock;
pub mod proxy;
pub mod readiness;
pub mod relist;
mod request_name;
pub mod shutdown;
pub mod telemetry;
