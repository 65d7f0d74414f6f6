//! The rotation protocol, model-checked: the shipped `rotation::decide` and `fence` in an abstract world with an adversary.
#![allow(
    clippy::pedantic,
    dead_code,
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::struct_excessive_bools,
    clippy::too_many_lines,
    clippy::unused_self,
    clippy::similar_names,
    clippy::cast_possible_truncation
)]

use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

#[path = "model/actor.rs"]
mod actor;
#[path = "model/adversary.rs"]
mod adversary;
#[path = "model/calls.rs"]
mod calls;
#[path = "model/configurations.rs"]
mod configurations;
#[path = "model/controls.rs"]
mod controls;
#[path = "model/hash.rs"]
mod hash;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/replica.rs"]
mod replica;
#[path = "model/world.rs"]
mod world;

/// More than any configuration of the ordinary run has.
const MOST: usize = 1_500_000;

/// Explores configurations, two at once, prints a line for each, and returns the names of those that do not hold.
fn explored(worlds: &[machine::World], most: usize) -> Vec<&'static str> {
    let next = AtomicUsize::new(0);
    let failed = Mutex::new(Vec::new());
    let explore = || {
        while let Some(world) = worlds.get(next.fetch_add(1, Ordering::Relaxed)) {
            let outcome = properties::explore(world, most);
            let mut failed = failed.lock().unwrap();
            println!(
                "{:<55} {:>9} states {:>7.1} s {} violations",
                world.name,
                outcome.states,
                outcome.time.as_secs_f64(),
                outcome.violations.len()
            );
            for (property, path) in &outcome.violations {
                println!("  violated: {property}");
                properties::print_path(world, property, path);
            }
            if !outcome.violations.is_empty() {
                failed.push(world.name);
            }
        }
    };
    std::thread::scope(|scope| {
        scope.spawn(explore);
        scope.spawn(explore);
    });
    failed.into_inner().unwrap()
}

#[test]
fn the_protocol_holds_and_recovers_in_every_configuration() {
    let mut worlds = configurations::all();
    // `ONLY=standby cargo test --test model the_protocol -- --nocapture`: some of them.
    if let Ok(only) = std::env::var("ONLY") {
        worlds.retain(|world| world.name.contains(&only));
    }
    assert_eq!(explored(&worlds, MOST), [""; 0]);
}

#[test]
fn stateright_finds_no_violation_either() {
    for world in configurations::all().iter().take(3) {
        let (states, violated) = properties::check(world);
        println!("{:<55} {states:>9} states by stateright", world.name);
        assert_eq!(violated, [""; 0], "{}", world.name);
    }
}

#[test]
fn each_mechanism_is_missed_when_it_is_taken_away() {
    for (world, expected) in controls::controls() {
        let outcome = properties::explore(&world, MOST);
        let violated: Vec<_> = outcome.violations.iter().map(|(name, _)| *name).collect();
        println!(
            "{:<40} fails {violated:?} after {} states",
            world.name, outcome.states
        );
        assert!(
            violated.iter().any(|name| expected.contains(name)),
            "{} stays green, or fails otherwise than by {expected:?}: {violated:?}",
            world.name
        );
    }
}

/// `make model`: at least ten million states altogether.
#[test]
#[ignore = "takes minutes and gigabytes"]
fn large() {
    assert_eq!(explored(&configurations::large(), 60_000_000), [""; 0]);
}
