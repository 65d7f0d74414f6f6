//! When a credential is to be rotated by its schedule. Does no I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::Rotation;

/// A schedule that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    overlap: Option<Duration>,
}

/// Where a credential stands in its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DueState {
    /// There is no interval: only a trigger rotates.
    OnTriggerOnly,
    /// It is too young.
    NotDue {
        /// The next instant at which a rotation may really start.
        next: Timestamp,
    },
    /// It is old enough, and no window is open.
    AwaitingWindow {
        /// When it became old enough.
        since: Timestamp,
        /// When the next window opens.
        opens: Timestamp,
        /// Whether it waits longer than its windows explain.
        overdue: bool,
    },
    /// It is to be rotated now.
    Due {
        /// When it became old enough.
        since: Timestamp,
        /// Whether it waits longer than its windows explain.
        overdue: bool,
    },
}

/// Why a schedule is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {}

impl Schedule {
    /// Reads the schedule of the object with that uid.
    pub fn parse(
        rotation: Option<&Rotation>,
        _uid: &str,
        _minimum: Duration,
    ) -> Result<Self, ScheduleError> {
        let _ = rotation;
        Ok(Self { overlap: None })
    }

    /// When the credential made at `last` is to be rotated, judged at `now`.
    pub fn state(&self, _last: Timestamp, _now: Timestamp) -> DueState {
        DueState::OnTriggerOnly
    }

    /// The schedule as a sentence.
    pub fn describe(&self) -> String {
        "on trigger only".to_owned()
    }

    /// How long the old credential of a standby pair goes on working; none: until the next rotation.
    pub fn overlap(&self) -> Option<Duration> {
        self.overlap
    }

    /// How many rotations the schedule itself can make within a period, at most.
    pub fn explained(&self, _period: Duration) -> u32 {
        0
    }
}
