//! The negative controls: a configuration that holds with one mechanism taken away, which must fail.

use crate::configurations::{alone, pair, status, world};
use crate::machine::{Standby, Without, World};
use crate::world::Admission;
use crate::world::Fault::*;

/// The controls, each with the properties of which at least one must fail.
pub fn controls() -> Vec<(World, &'static [&'static str])> {
    let without = |without, world: World| World {
        without,
        scans_project: true,
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
            World {
                replicas: 2,
                ..without(
                    Without::RecheckOfClaim,
                    world(
                        "a recheck without the claim",
                        false,
                        &[(Due, 1), (DeleteClaim, 1), (Crash, 1)],
                    ),
                )
            },
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
                Without::Doubts,
                world(
                    "doubts are not asked about",
                    false,
                    &[(Due, 1), (LostAnswer, 1)],
                ),
            ),
            &["ready is true"],
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
        (
            without(
                Without::LastActive,
                pair(
                    "the wrong application is the stored one",
                    &[(DeleteSecret, 1)],
                ),
            ),
            &["held pair spared"],
        ),
        (
            without(
                Without::ProjectScan,
                status("the project is not scanned", &[(Foreign, 1)]),
            ),
            &["recovers"],
        ),
        (
            without(
                Without::VerifiedRevision,
                status("a verdict for any revision", &[(EditSecret, 1)]),
            ),
            &["truth"],
        ),
        (
            without(
                Without::Proven,
                status(
                    "accepted, as others suppose",
                    &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1), (Crash, 1)],
                ),
            ),
            &["recovers"],
        ),
        (
            World {
                replicas: 2,
                ..without(
                    Without::FormerRevision,
                    status("a former Secret of any revision", &[(Rename, 1), (Due, 1)]),
                )
            },
            &["newest kept"],
        ),
        (
            World {
                replicas: 2,
                confirms_object: true,
                ..without(
                    Without::CurrentObject,
                    status("any object is the present one", &[(Rename, 1)]),
                )
            },
            &["only for the present object"],
        ),
        (
            World {
                without: Without::Lag,
                ..alone(
                    "dropped when the time to prove is over",
                    &[(Due, 1), (Lag, 1)],
                )
            },
            &["newest kept"],
        ),
        (
            World {
                without: Without::Compare,
                admission: Admission::ChangesReal,
                ..alone("what was written is not compared", &[(Due, 1)])
            },
            &["truth", "ready is true"],
        ),
        (
            World {
                standby: Standby::Consumers,
                ..without(
                    Without::Consumers,
                    pair("consumers are not waited for", &[(Due, 1)]),
                )
            },
            &["slowest consumer spared"],
        ),
        (
            World {
                standby: Standby::Provisioned,
                ..without(
                    Without::Provision,
                    pair("the standby to come is not waited for", &[(Due, 1)]),
                )
            },
            &["held pair spared"],
        ),
        (
            World {
                without: Without::AskedFor,
                breaker: true,
                asked: 50,
                ..alone(
                    "rotations that were asked for count",
                    &[(Trigger, 1), (LostAnswer, 1)],
                )
            },
            &["recovers"],
        ),
    ]
}
