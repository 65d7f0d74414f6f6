//! The configurations that must hold, and the negative controls: the same world with one mechanism taken away, which must fail.

use crate::machine::{Without, World};
use crate::world::Fault::{self, *};

const fn world(name: &'static str, first: bool, faults: &'static [(Fault, u8)]) -> World {
    World {
        name,
        replicas: 2,
        first,
        faults,
        no_journal: false,
        torn: false,
        stale: true,
        look: false,
        refusing: false,
        without: Without::Nothing,
    }
}

/// The configurations, each small enough for every test run.
pub fn all() -> Vec<World> {
    let look = |world: World| World {
        look: true,
        stale: false,
        ..world
    };
    vec![
        world(
            "first issue, crash and lost answer",
            true,
            &[(Crash, 1), (LostAnswer, 1)],
        ),
        world(
            "first issue, lost write answers",
            true,
            &[(LostWriteAnswer, 2), (LostRequest, 1)],
        ),
        world(
            "trigger, crash and lost answer",
            false,
            &[(Trigger, 1), (Crash, 1), (LostAnswer, 1)],
        ),
        world(
            "due, crash and lost write answer",
            false,
            &[(Due, 1), (Crash, 1), (LostWriteAnswer, 1)],
        ),
        world(
            "due and trigger, delay and refusal",
            false,
            &[(Due, 1), (Trigger, 1), (Delay, 1)],
        ),
        world(
            "due, slow holder and crash",
            false,
            &[(Due, 1), (Slow, 1), (Crash, 1)],
        ),
        look(world(
            "due, late request",
            false,
            &[(Due, 1), (EarlyTimeout, 1), (Late, 1)],
        )),
        look(world(
            "due, duplicate and lost answer",
            false,
            &[(Due, 1), (Duplicate, 1), (LostAnswer, 1)],
        )),
        look(world(
            "due, without effect and no verdict",
            false,
            &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1)],
        )),
        look(world(
            "foreign rotation while due",
            false,
            &[(Due, 1), (Foreign, 1)],
        )),
        look(world(
            "Secret deleted while due",
            false,
            &[(Due, 1), (DeleteSecret, 1)],
        )),
        look(world(
            "Secret edited, and its record",
            false,
            &[(EditSecret, 1), (StripRecord, 1)],
        )),
        look(world(
            "claim deleted while due",
            false,
            &[(Due, 1), (DeleteClaim, 1)],
        )),
        look(world(
            "claim damaged while due",
            false,
            &[(Due, 1), (DamageClaim, 1)],
        )),
        world(
            "object recreated while due",
            false,
            &[(Due, 1), (Recreate, 1), (Crash, 1)],
        ),
        look(World {
            no_journal: true,
            ..world(
                "no journal, crash and lost request",
                false,
                &[(Due, 1), (Crash, 1), (LostRequest, 1)],
            )
        }),
        world(
            "journal fails now and then",
            false,
            &[(Due, 1), (JournalFails, 2), (LostAnswer, 1)],
        ),
        World {
            torn: true,
            ..world(
                "reads apart, lost answer",
                false,
                &[(Due, 1), (LostAnswer, 1)],
            )
        },
        World {
            refusing: true,
            ..world(
                "Secret writes refused at first",
                false,
                &[(Due, 1), (Crash, 1)],
            )
        },
    ]
}

/// What is explored by `make model`.
pub fn large() -> Vec<World> {
    let three = |world: World| World {
        replicas: 3,
        ..world
    };
    vec![
        three(world(
            "three replicas, due, crash",
            false,
            &[(Due, 1), (Crash, 1)],
        )),
        three(world(
            "three replicas, trigger, lost answer",
            false,
            &[(Trigger, 1), (LostAnswer, 1)],
        )),
        World {
            look: true,
            stale: false,
            ..world(
                "two replicas, late and without effect",
                false,
                &[(Due, 1), (Late, 1), (EarlyTimeout, 1), (WithoutEffect, 1)],
            )
        },
    ]
}

/// The controls, each with the properties of which at least one must fail.
pub fn controls() -> Vec<(World, &'static [&'static str])> {
    let without = |without, world: World| World {
        without,
        look: true,
        ..world
    };
    vec![
        (
            without(
                Without::ClaimCas,
                world("without claim CAS", false, &[(Due, 1)]),
            ),
            &["serial", "charge", "necessity"],
        ),
        (
            without(
                Without::Quiet,
                world(
                    "without quiet period",
                    false,
                    &[(Due, 1), (EarlyTimeout, 1)],
                ),
            ),
            &["serial", "charge"],
        ),
        (
            without(
                Without::Recheck,
                world(
                    "without recheck",
                    false,
                    &[(Due, 1), (DeleteClaim, 1), (Crash, 1)],
                ),
            ),
            &["serial", "charge", "necessity"],
        ),
        (
            without(
                Without::SequenceFence,
                world("without sequence fence", false, &[(Due, 1), (Slow, 1)]),
            ),
            &["monotone", "refused value never published"],
        ),
        (
            without(
                Without::SecretCas,
                world("without Secret CAS", false, &[(Due, 1), (Slow, 1)]),
            ),
            &["monotone", "refused value never published"],
        ),
        (
            World {
                no_journal: true,
                ..without(
                    Without::JournalAndRecheck,
                    world(
                        "without journal and recheck",
                        false,
                        &[(Due, 1), (Crash, 1), (DeleteClaim, 1)],
                    ),
                )
            },
            &["serial", "charge", "necessity", "recovers"],
        ),
        (
            without(
                Without::Prove,
                world("without proving", false, &[(Due, 1), (WithoutEffect, 1)]),
            ),
            &["refused value never published"],
        ),
        (
            without(
                Without::SendOnce,
                world(
                    "sent again without an answer",
                    false,
                    &[(Due, 1), (LostAnswer, 1)],
                ),
            ),
            &["send once"],
        ),
        (
            without(
                Without::PairedProbe,
                world(
                    "a lone 200 is trusted",
                    false,
                    &[(Foreign, 1), (NoVerdict, 1)],
                ),
            ),
            &["truth", "recovers"],
        ),
        (
            without(
                Without::StandingProbe,
                world(
                    "unproven values count as proven",
                    false,
                    &[(Due, 1), (LostAnswer, 1), (WithoutEffect, 1)],
                ),
            ),
            &["truth", "recovers"],
        ),
        (
            without(
                Without::UncancellableFlush,
                world("a flush that can be cancelled", false, &[(Due, 1)]),
            ),
            &["charge", "necessity"],
        ),
        (
            World {
                refusing: true,
                ..without(
                    Without::Rehearsal,
                    world("without rehearsal", false, &[(Due, 1)]),
                )
            },
            &["preflight"],
        ),
    ]
}
