//! The kill loop: replicas are killed at random while credentials rotate all the time, and none may be lost.
//!
//! `CHAOS_KILLS` says how often (20 by default), `CHAOS_SEED` repeats the random choices of a run.
#![allow(
    clippy::pedantic,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

#[path = "chaos/loop.rs"]
mod kill_loop;
#[path = "chaos/verdict.rs"]
mod verdict;

mod support;

use kill_loop::Plan;

fn from_environment<T: std::str::FromStr>(name: &str) -> Option<T> {
    std::env::var(name).ok()?.parse().ok()
}

fn plan(kills: usize, leader_elect: bool) -> Plan {
    Plan {
        kills,
        leader_elect,
        objects: 50,
        seed: from_environment("CHAOS_SEED").unwrap_or_else(|| fastrand::u64(..)),
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_replicas_that_both_work_lose_no_credential_when_they_are_killed() {
    let kills = from_environment("CHAOS_KILLS").unwrap_or(20);
    kill_loop::run(plan(kills, false)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_leader_and_its_standby_lose_no_credential_when_they_are_killed() {
    // Another takes over after 15 s only, whatever the protocol's speed is.
    let kills: usize = from_environment("CHAOS_KILLS").unwrap_or(20);
    kill_loop::run(plan(kills.div_ceil(10), true)).await;
}
