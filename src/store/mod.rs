//! What is known of the cluster: what the watches show, and what this process wrote that they do not show yet.

pub(crate) mod cache;
pub mod claim;
pub(crate) mod own_writes;
pub(crate) mod progress;
pub(crate) mod prune;
pub mod scope;
pub mod secret;
pub(crate) mod secrets_by_owner;
pub(crate) mod watch;
