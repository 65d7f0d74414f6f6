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

#[path = "model/actor.rs"]
mod actor;
#[path = "model/controls.rs"]
mod controls;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/world.rs"]
mod world;

/// More than any configuration of the ordinary run has.
const MOST: usize = 1_500_000;

/// Explores configurations, prints a line for each, and returns the names of those that do not hold.
fn explored(worlds: &[machine::World], most: usize) -> Vec<&'static str> {
    let mut failed = Vec::new();
    for world in worlds {
        let outcome = properties::explore(world, most);
        println!(
            "{:<55} {:>9} states {:>7.1} s {} violations",
            world.name,
            outcome.states,
            outcome.time.as_secs_f64(),
            outcome.violations.len()
        );
        for (property, path) in &outcome.violations {
            println!("  violated: {property}");
            properties::tell(world, path);
        }
        if !outcome.violations.is_empty() {
            failed.push(world.name);
        }
    }
    failed
}

#[test]
fn the_protocol_holds_and_recovers_in_every_configuration() {
    assert_eq!(explored(&controls::all(), MOST), [""; 0]);
}

#[test]
fn stateright_finds_no_violation_either() {
    for world in controls::all().iter().take(3) {
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
    assert_eq!(explored(&controls::large(), 60_000_000), [""; 0]);
}
