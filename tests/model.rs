//! The rotation protocol, model-checked: the shipped `rotation::decide` and `fence` in an abstract world with an adversary.
#![allow(
    missing_docs,
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing
)]

#[path = "model/actor.rs"]
mod actor;
#[path = "model/machine.rs"]
mod machine;
#[path = "model/properties.rs"]
mod properties;
#[path = "model/world.rs"]
mod world;

use machine::World;
use world::Fault;

#[test]
fn first() {
    use Fault::*;
    let crash: &[(Fault, u8)] = &[(Crash, 1), (LostAnswer, 1)];
    let trigger: &[(Fault, u8)] = &[(Trigger, 1), (Crash, 1), (LostAnswer, 1)];
    for (name, first, faults) in [("first", true, crash), ("trigger", false, trigger)] {
        let world = World {
            name,
            first,
            faults,
            ..World::default()
        };
        let outcome = properties::explore(&world, 3_000_000);
        println!("{name}: {} states in {:?}", outcome.states, outcome.time);
        for (name, path) in &outcome.violations {
            println!("  VIOLATED {name}");
            properties::tell(&world, path);
        }
    }
}
