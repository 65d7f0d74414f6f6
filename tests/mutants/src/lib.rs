//! The pure core and what it uses of the rest of the crate. See `make mutants`.
#![allow(dead_code, unused_imports)]

pub mod api;
pub mod ids;
pub mod rotation;
