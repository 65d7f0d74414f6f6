//! The fault matrix: faults at every boundary of a rotation, on a real API server and a ZITADEL that keeps a ledger.

pub mod audit;
pub mod cell;
pub mod controls;
pub mod further;
pub mod gaps;
pub mod history;
pub mod invariants;
pub mod judge;
pub mod lane;
pub mod lasting;
pub mod layer;
pub mod matrix;
pub mod panics;
pub mod relay;
pub mod replica;
