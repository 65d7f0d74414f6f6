//! The pure core: what is known goes in, one next step comes out. No I/O, no clock, no randomness.

pub mod interval;
pub mod schedule;
pub mod window;
