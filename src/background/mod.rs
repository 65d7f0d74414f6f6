//! What is done from time to time rather than on an event.

pub(crate) mod health;
pub(crate) mod inventory;
pub(crate) mod patrol;
pub(crate) mod standby_replica;
