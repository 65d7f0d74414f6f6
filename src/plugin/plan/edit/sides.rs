//! What both sides of an edit come to, and what follows for the times of rotations. No I/O.

use jiff::Timestamp;

use crate::api::{AppSecretStatus, seconds};
use crate::plugin::calendar::ahead;
use crate::plugin::decision::{Course, Scene};
use crate::plugin::plan::edit::consequence::{Change, Consequence};
use crate::rotation::Cause;
use crate::target::Target;

/// More rotations are not counted.
const MOST: usize = 1000;

/// What both sides of an edit come to.
pub(super) struct Sides<'a> {
    pub(super) status: &'a AppSecretStatus,
    pub(super) before: Option<&'a Target>,
    pub(super) target: &'a Target,
    pub(super) course: Course,
    /// The scheduled rotations without the edit, and with it.
    pub(super) ahead: [Ahead; 2],
    /// Whether it is due without the edit as well.
    pub(super) was_due: bool,
    /// Whether a grant covers it that was not covered before.
    pub(super) granted_again: bool,
}

/// The scheduled rotations that lie ahead.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) struct Ahead {
    /// The first one.
    pub(super) next: Option<Timestamp>,
    /// How many there are in the time.
    count: usize,
}

impl Ahead {
    /// Those of an object that the operator does that with.
    pub(super) fn of(scene: &Scene<'_>, course: &Course, until: Timestamp) -> Self {
        let due = |until| {
            let rotations = ahead(scene, course, until).ok().into_iter().flatten();
            rotations.filter(|it| it.cause == Cause::Due)
        };
        Self {
            next: due(Timestamp::MAX).next().map(|it| seconds(it.time)),
            count: due(until).take(MOST).count(),
        }
    }
}

fn count(rotations: usize) -> String {
    match rotations {
        0 => "none".to_owned(),
        MOST.. => format!("{MOST} or more"),
        rotations => rotations.to_string(),
    }
}

impl Sides<'_> {
    pub(super) fn moves(&self) -> Option<Consequence> {
        let [Ahead { next: from, .. }, Ahead { next: to, .. }] = self.ahead;
        let is_rotated = self
            .course
            .cause()
            .is_some_and(|cause| cause != Cause::Retire);
        if self.before.is_none() || is_rotated || from == to || self.course.stalled().is_some() {
            return None;
        }
        let resumes = self.granted_again || self.before.is_some_and(|before| before.suspended);
        let message = match (from, to) {
            _ if resumes => return None,
            (Some(from), Some(to)) => {
                let word = if to > from { "later" } else { "sooner" };
                format!(
                    "the next rotation moves from {from} to {to}, {word} ({})",
                    self.target.schedule.describe()
                )
            }
            (Some(from), None) => {
                format!("it is not rotated at {from} any more, but on trigger only")
            }
            (None, Some(to)) => format!(
                "it is rotated at {to} ({})",
                self.target.schedule.describe()
            ),
            (None, None) => return None,
        };
        let [was, is] = self.ahead.map(|ahead| ahead.count);
        let within = if was == is {
            String::new()
        } else {
            format!("; {} in the time instead of {}", count(is), count(was))
        };
        Some(Consequence {
            from,
            to,
            ..Consequence::new(Change::Moves, format!("{message}{within}"))
        })
    }

    pub(super) fn suspends(&self) -> Option<Consequence> {
        let [Ahead { next: from, .. }, Ahead { next: to, .. }] = self.ahead;
        let was = self.before.is_some_and(|before| before.suspended);
        let next = |time: Option<Timestamp>| {
            time.map_or_else(String::new, |time| {
                format!(": the next rotation is at {time}")
            })
        };
        let (change, message) = match (was, self.target.suspended) {
            (false, true) => {
                let would = from.map_or_else(String::new, |from| format!(", not even at {from}"));
                let message = format!("nothing is rotated, repaired or written any more{would}");
                (Change::Suspends, message)
            }
            (true, false) => (
                Change::Resumes,
                format!("it is rotated, repaired and written again{}", next(to)),
            ),
            // NB: what rotates now says so.
            (false, false) if self.granted_again && self.course.cause().is_none() => (
                Change::Resumes,
                format!(
                    "a grant of ZitadelConnection {} covers it again: it is rotated, repaired and written{}",
                    self.target.connection,
                    next(to)
                ),
            ),
            _ => return None,
        };
        Some(Consequence {
            from,
            to,
            ..Consequence::new(change, message)
        })
    }

    pub(super) fn standby(&self) -> Option<Consequence> {
        let (was, is) = (self.before?, self.target);
        let has = |target: &Target| target.standby.is_some() || target.provisioned;
        let message = match (has(was), has(is)) {
            (true, false) => {
                "without a standby the next rotation ends the stored client secret at once"
                    .to_owned()
            }
            (false, true) if is.provisioned => return None,
            (false, true) => {
                "from the next rotation on the stored client secret goes on working after it"
                    .to_owned()
            }
            (true, true) if was.standby != is.standby && !is.provisioned => {
                "the next rotation is made on the new standby application".to_owned()
            }
            _ => return None,
        };
        Some(Consequence::new(Change::ChangesStandby, message))
    }
}
