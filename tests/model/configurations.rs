//! The configurations that must hold: one application, a standby beside it, a status, objects that are confirmed, renames.

use crate::machine::{Standby, World};
use crate::world::Admission;
use crate::world::Fault::{self, *};

/// One application.
pub const fn world(name: &'static str, first: bool, faults: &'static [(Fault, u8)]) -> World {
    World {
        name,
        first,
        faults,
        ..World::PLAIN
    }
}

/// One replica and one application, where what is asked of ZITADEL and written to Kubernetes matters.
pub const fn alone(name: &'static str, faults: &'static [(Fault, u8)]) -> World {
    World {
        replicas: 1,
        scans_project: true,
        stale: false,
        ..world(name, false, faults)
    }
}

/// A projection that lags, admission that changes what is written, and the breaker.
fn publishing() -> Vec<World> {
    let admission = |admission, world: World| World { admission, ..world };
    let after_fifty = |world: World| World {
        breaker: true,
        asked: 50,
        ..world
    };
    vec![
        alone("three late values in a row", &[(Due, 3), (Lag, 3)]),
        World {
            replicas: 2,
            ..alone("due, late value, two replicas", &[(Due, 1), (Lag, 1)])
        },
        World {
            torn: true,
            ..alone("reads apart, late value", &[(Due, 2), (Lag, 2)])
        },
        alone(
            "late value, crash and no verdict",
            &[(Due, 1), (Lag, 1), (Crash, 1), (NoVerdict, 1)],
        ),
        alone(
            "late value, lost answer, without effect",
            &[(Due, 1), (Lag, 1), (LostAnswer, 1), (WithoutEffect, 1)],
        ),
        pair("standby, three late values in a row", &[(Due, 3), (Lag, 3)]),
        pair(
            "standby, late value, no verdict and crash",
            &[(Due, 1), (Lag, 1), (NoVerdict, 1), (Crash, 1)],
        ),
        admission(
            Admission::Changes,
            alone("values changed in dry runs too", &[(Due, 1), (Crash, 1)]),
        ),
        admission(
            Admission::ChangesReal,
            alone(
                "values changed in real writes",
                &[(Due, 1), (LostWriteAnswer, 1)],
            ),
        ),
        admission(
            Admission::ChangesReal,
            alone(
                "values changed in real writes, crash",
                &[(Due, 1), (Crash, 1)],
            ),
        ),
        admission(
            Admission::DropsRecordReal,
            alone(
                "records dropped in real writes",
                &[(Due, 1), (LostWriteAnswer, 1)],
            ),
        ),
        admission(
            Admission::DropsRecordReal,
            alone(
                "records dropped in real writes, crash",
                &[(Due, 1), (Crash, 1)],
            ),
        ),
        after_fifty(alone(
            "fifty triggers, then two lost answers",
            &[(Trigger, 1), (LostAnswer, 2), (DeleteSecret, 1)],
        )),
        after_fifty(alone(
            "fifty triggers, then a crash and no effect",
            &[(Trigger, 1), (Crash, 1), (WithoutEffect, 1)],
        )),
    ]
}

/// The configurations, each small enough for every test run.
pub fn all() -> Vec<World> {
    let mut all = one();
    all.extend(pairs());
    all.extend(statuses());
    all.extend(objects());
    all.extend(publishing());
    all
}

/// One application.
fn one() -> Vec<World> {
    let scanned = |world: World| World {
        scans_project: true,
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
        scanned(world(
            "due, late request",
            false,
            &[(Due, 1), (EarlyTimeout, 1), (Late, 1)],
        )),
        scanned(world(
            "due, duplicate and lost answer",
            false,
            &[(Due, 1), (Duplicate, 1), (LostAnswer, 1)],
        )),
        scanned(world(
            "due, without effect and no verdict",
            false,
            &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1)],
        )),
        scanned(world(
            "foreign rotation while due",
            false,
            &[(Due, 1), (Foreign, 1)],
        )),
        scanned(world(
            "Secret deleted while due",
            false,
            &[(Due, 1), (DeleteSecret, 1)],
        )),
        scanned(world(
            "Secret edited, and its record",
            false,
            &[(EditSecret, 1), (StripRecord, 1)],
        )),
        scanned(world(
            "claim deleted while due",
            false,
            &[(Due, 1), (DeleteClaim, 1)],
        )),
        scanned(world(
            "claim damaged while due",
            false,
            &[(Due, 1), (DamageClaim, 1)],
        )),
        world(
            "object recreated while due",
            false,
            &[(Due, 1), (Recreate, 1)],
        ),
        world(
            "object recreated, crash",
            false,
            &[(Recreate, 1), (Crash, 1)],
        ),
        scanned(World {
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
        // NB: with views of a watch that lag behind as well, more than fit into memory.
        World {
            stale: false,
            ..three(world(
                "three replicas, trigger, lost answer",
                false,
                &[(Trigger, 1), (LostAnswer, 1)],
            ))
        },
        World {
            scans_project: true,
            stale: false,
            ..world(
                "two replicas, late and without effect",
                false,
                &[(Due, 1), (Late, 1), (EarlyTimeout, 1), (WithoutEffect, 1)],
            )
        },
        world(
            "two replicas, object recreated while due, crash",
            false,
            &[(Due, 1), (Recreate, 1), (Crash, 1)],
        ),
    ]
}

/// With a standby application, whose pair is stored.
pub const fn pair(name: &'static str, faults: &'static [(Fault, u8)]) -> World {
    World {
        name,
        faults,
        replicas: 1,
        standby: Standby::Active,
        status: true,
        scans_project: true,
        stale: false,
        ..World::PLAIN
    }
}

/// A standby beside the first application.
fn pairs() -> Vec<World> {
    let two = |world: World| World {
        replicas: 2,
        ..world
    };
    let new = |world: World| World {
        standby: Standby::New,
        ..world
    };
    let overlap = |world: World| World {
        standby: Standby::Overlap,
        ..world
    };
    let consumers = |world: World| World {
        standby: Standby::Consumers,
        ..world
    };
    let provisioned = |world: World| World {
        standby: Standby::Provisioned,
        ..world
    };
    vec![
        provisioned(pair("standby to come, due, crash", &[(Due, 2), (Crash, 1)])),
        provisioned(pair(
            "standby to come, lost answers, lost write answers",
            &[(Due, 1), (LostAnswer, 1), (LostWriteAnswer, 2)],
        )),
        provisioned(pair(
            "standby to come, Secret deleted, lost write answer",
            &[(DeleteSecret, 1), (Due, 1), (LostWriteAnswer, 1)],
        )),
        provisioned(pair(
            "standby to come, lost request, foreign rotation",
            &[
                (Due, 1),
                (LostRequest, 1),
                (Foreign, 1),
                (LostWriteAnswer, 1),
            ],
        )),
        provisioned(pair(
            "standby to come, claim deleted while due",
            &[(Due, 2), (DeleteClaim, 1), (LostWriteAnswer, 1)],
        )),
        provisioned(pair(
            "standby to come, claim damaged while due",
            &[(Due, 2), (DamageClaim, 1)],
        )),
        World {
            first: true,
            ..provisioned(pair(
                "standby to come, first issue, crash, lost answer, lost write answer",
                &[(Crash, 1), (LostAnswer, 1), (LostWriteAnswer, 1)],
            ))
        },
        two(provisioned(pair(
            "standby to come, two replicas, due, crash",
            &[(Due, 1), (Crash, 1)],
        ))),
        pair("standby, due, delay", &[(Due, 2), (Delay, 1)]),
        two(pair("standby, due, crash", &[(Due, 1), (Crash, 1)])),
        new(pair(
            "standby never used, due, crash",
            &[(Due, 2), (Crash, 1)],
        )),
        World {
            first: true,
            ..new(pair(
                "standby, first issue, crash and lost answer",
                &[(Crash, 1), (LostAnswer, 1)],
            ))
        },
        overlap(pair("standby, overlap, crash", &[(Due, 2), (Crash, 1)])),
        overlap(pair(
            "standby, overlap, lost answer and request",
            &[(Due, 1), (LostAnswer, 1), (LostRequest, 1)],
        )),
        overlap(pair(
            "standby, overlap, Secret deleted",
            &[(Due, 1), (DeleteSecret, 1)],
        )),
        overlap(pair(
            "standby, overlap, record stripped",
            &[(StripRecord, 1), (EditSecret, 1)],
        )),
        overlap(pair(
            "standby, overlap, edited and lost answer",
            &[(Due, 1), (LostAnswer, 1), (EditSecret, 1)],
        )),
        overlap(pair(
            "standby, overlap, late request",
            &[(Due, 1), (EarlyTimeout, 1), (Late, 1)],
        )),
        overlap(pair(
            "standby, overlap, two foreign rotations",
            &[(Due, 1), (Foreign, 2)],
        )),
        overlap(two(pair(
            "standby, overlap, two replicas, crash",
            &[(Crash, 1)],
        ))),
        consumers(pair(
            "standby, consumers, due, crash",
            &[(Due, 2), (Crash, 1)],
        )),
        consumers(pair(
            "standby, consumers, lost answer, trigger",
            &[(Due, 1), (LostAnswer, 1), (Trigger, 1)],
        )),
        consumers(two(pair(
            "standby, consumers, two replicas, crash",
            &[(Crash, 1)],
        ))),
        pair("standby, Secret deleted", &[(DeleteSecret, 1)]),
        pair(
            "standby, Secret deleted twice, crash",
            &[(DeleteSecret, 2), (Crash, 1)],
        ),
        pair(
            "standby, Secret deleted, early time-out",
            &[(Due, 1), (DeleteSecret, 1), (EarlyTimeout, 1)],
        ),
        pair(
            "standby, Secret deleted, trigger",
            &[(DeleteSecret, 1), (Trigger, 1), (Delay, 1)],
        ),
        pair(
            "standby, Secret deleted, status lost",
            &[(Due, 1), (DeleteSecret, 1), (LostStatus, 1), (Crash, 1)],
        ),
        pair(
            "standby, Secret and claims deleted",
            &[(DeleteSecret, 1), (DeleteClaim, 2)],
        ),
        pair(
            "standby, Secret deleted, foreign rotation",
            &[(Due, 1), (DeleteSecret, 1), (Foreign, 1)],
        ),
        pair(
            "standby, Secret deleted, journal cut",
            &[(Due, 1), (DeleteSecret, 1), (Cut, 1)],
        ),
        World {
            no_journal: true,
            ..pair(
                "standby, Secret deleted, no journal",
                &[(Due, 1), (DeleteSecret, 1), (Crash, 1)],
            )
        },
        new(pair(
            "standby never used, Secret deleted, crash",
            &[(Due, 1), (DeleteSecret, 1), (Crash, 1)],
        )),
        World {
            first: true,
            ..new(pair(
                "standby, first issue and Secret deleted",
                &[(DeleteSecret, 1), (LostAnswer, 1), (Crash, 1)],
            ))
        },
        pair(
            "standby, object recreated, Secret deleted",
            &[(Recreate, 1), (DeleteSecret, 1)],
        ),
        pair(
            "standby, record stripped, foreign rotation",
            &[(Due, 1), (StripRecord, 1), (Foreign, 1)],
        ),
        two(pair("standby, slow holder", &[(Due, 1), (Slow, 1)])),
        pair(
            "standby, Secret deleted while due",
            &[(Due, 1), (DeleteSecret, 1)],
        ),
        pair(
            "standby, Secret deleted while due, crash",
            &[(Due, 1), (DeleteSecret, 1), (Crash, 1)],
        ),
        two(pair(
            "standby, Secret deleted, two replicas",
            &[(DeleteSecret, 1)],
        )),
        pair(
            "standby, record stripped while due",
            &[(Due, 1), (StripRecord, 1)],
        ),
        pair(
            "standby, record stripped, crash",
            &[(Due, 1), (StripRecord, 1), (Crash, 1)],
        ),
        pair(
            "standby, Secret edited while due",
            &[(Due, 1), (EditSecret, 1)],
        ),
        pair(
            "standby, claim deleted while due",
            &[(Due, 1), (DeleteClaim, 1), (Crash, 1)],
        ),
        pair(
            "standby, claim damaged while due",
            &[(Due, 1), (DamageClaim, 1), (Crash, 1)],
        ),
        pair(
            "standby, trigger, lost answer",
            &[(Trigger, 2), (LostAnswer, 1), (Delay, 1)],
        ),
        pair(
            "standby, foreign rotation while due",
            &[(Due, 1), (Foreign, 1)],
        ),
        pair(
            "standby, without effect and no verdict",
            &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1)],
        ),
        pair(
            "standby, lost write answers",
            &[(Due, 1), (LostWriteAnswer, 2), (DeleteSecret, 1)],
        ),
        World {
            torn: true,
            ..two(pair("standby, reads apart", &[(Due, 1)]))
        },
        pair(
            "standby, journal fails and lost answer",
            &[(Due, 1), (JournalFails, 1), (LostAnswer, 1)],
        ),
    ]
}

/// One application, with a status whose verdict spares a probe.
pub const fn status(name: &'static str, faults: &'static [(Fault, u8)]) -> World {
    World {
        name,
        faults,
        replicas: 1,
        status: true,
        scans_project: true,
        stale: false,
        ..World::PLAIN
    }
}

/// Verdicts out of the status, and a journal that cannot be read.
fn statuses() -> Vec<World> {
    let two = |world: World| World {
        replicas: 2,
        ..world
    };
    vec![
        status(
            "foreign rotation, journal fails now and then",
            &[(Foreign, 1), (JournalFails, 2), (Crash, 1)],
        ),
        World {
            no_journal: true,
            ..status("foreign rotation, no journal", &[(Foreign, 1), (Crash, 1)])
        },
        status(
            "foreign rotation, crash",
            &[(Foreign, 1), (Due, 1), (Crash, 1)],
        ),
        status(
            "without effect, no verdict and crash",
            &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1), (Crash, 1)],
        ),
        two(status(
            "without effect and no verdict, two report it",
            &[(Due, 1), (WithoutEffect, 1), (NoVerdict, 1)],
        )),
        status("journal cut, foreign rotation", &[(Cut, 1), (Foreign, 1)]),
        status(
            "journal cut, lost answer and crash",
            &[(Cut, 1), (Due, 1), (LostAnswer, 1), (Crash, 1)],
        ),
        status(
            "journal cut, record stripped",
            &[(Cut, 1), (StripRecord, 1), (EditSecret, 1)],
        ),
        status(
            "status lost, foreign rotation while due",
            &[(LostStatus, 1), (Due, 1), (Foreign, 1), (Crash, 1)],
        ),
    ]
}

/// Objects whose watch lags behind, and renames.
fn objects() -> Vec<World> {
    let old = |world: World| World {
        replicas: 2,
        confirms_object: true,
        stale: false,
        ..world
    };
    let renamed = |world: World| World {
        replicas: 2,
        confirms_object: true,
        scans_project: false,
        ..world
    };
    vec![
        old(world(
            "old object, suspended while due",
            false,
            &[(Due, 1), (Suspend, 1)],
        )),
        old(world("old object, two triggers", false, &[(Trigger, 2)])),
        old(world(
            "old object, recreated while due",
            false,
            &[(Due, 1), (Recreate, 1)],
        )),
        status("renamed and back, crash", &[(Rename, 2), (Crash, 1)]),
        status(
            "renamed and back, lost write answers",
            &[(Rename, 2), (LostWriteAnswer, 2)],
        ),
        status(
            "renamed while due, lost answer and crash",
            &[(Rename, 1), (Due, 1), (LostAnswer, 1), (Crash, 1)],
        ),
        World {
            standby: Standby::Active,
            ..status(
                "renamed while due, with a standby, crash",
                &[(Rename, 1), (Due, 1), (Crash, 1)],
            )
        },
        World {
            stale: true,
            ..renamed(status("renamed, two replicas", &[(Rename, 1)]))
        },
        renamed(status(
            "renamed while due, two replicas",
            &[(Rename, 1), (Due, 1)],
        )),
    ]
}
