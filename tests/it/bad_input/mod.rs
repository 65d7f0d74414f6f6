//! Bad input of every kind: each has its own reason, costs no generate and leaves the Secret that is there as it is.

mod answers;
mod application;
mod connection;
mod object;
mod secret;
mod unreadable_connection;
