//! When a credential is to be rotated by its schedule: interval, jitter, windows. Does no I/O, and has no clock.
//!
//! * A credential made at `last` becomes **due** at `last + interval + offset`. The offset is the object's own: its uid,
//!   hashed, gives a whole number of seconds in `[0, jitter % of the interval)`, the same for an object every time. So a
//!   rotation may be late by the jitter, and is never early; objects made together do not rotate together.
//! * A due rotation **starts** in a window; the union of the windows counts. Without windows it starts at once. The rules of
//!   windows, of clocks that change and of dates that do not exist are in [`window`].
//! * A rotation is **overdue** one gap after it became due, where the gap is the time between the last opening at or before
//!   the due instant and the first one after it: by then the windows were open for a whole duration. Without windows, and
//!   where the gap is shorter, it is overdue after [`GRACE`].
//! * Everything is judged from `last` and `now` alone. A restart changes nothing; another schedule holds from the next
//!   reconcile on, for the same `last`, so a changed schedule never rotates earlier than it says itself. A `last` in the future
//!   (clocks that disagree) is not due.
//! * A week is 7 × 24 h and a day 24 h of elapsed time, whatever the clocks do.

mod cron_field;
pub mod interval;
pub(super) mod overlap;
pub(super) mod window;

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

use crate::api::Rotation;
use crate::rotation::hash::fnv1a;
use crate::rotation::schedule::interval::{IntervalError, MAX_INTERVAL, later};
use crate::rotation::schedule::overlap::{Overlap, OverlapError};
use crate::rotation::schedule::window::{RotationWindow, WindowError};

/// How long a due rotation may wait without a window to blame before it is overdue.
pub const GRACE: SignedDuration = SignedDuration::from_hours(1);

/// The jitter, in percent, when none is given.
const DEFAULT_JITTER: i32 = 10;

/// The most windows; the CRD has the same limit.
const MAX_WINDOWS: usize = 16;

/// A sentence names at most so many windows, to keep the status short.
const DESCRIBED_WINDOWS: usize = 3;

/// A schedule that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    age: Option<Age>,
    windows: Vec<RotationWindow>,
    overlap: Option<Overlap>,
}

/// The age at which a credential is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Age {
    interval: Duration,
    offset: Duration,
}

/// Where a credential stands in its schedule.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum DueState {
    /// There is no interval: only a trigger rotates.
    OnTriggerOnly,
    /// It is too young.
    NotDue {
        /// The next instant at which a rotation can really start: due, and in a window.
        next: Timestamp,
    },
    /// It is old enough, and no window is open.
    AwaitingWindow {
        /// When it became due.
        since: Timestamp,
        /// When the next window opens.
        opens: Timestamp,
        /// Whether it waits longer than its windows explain.
        overdue: bool,
    },
    /// Overdue after downtime, like many others: it starts when the operator catches up.
    CatchingUp {
        /// When it became due.
        since: Timestamp,
        /// When it starts.
        starts: Timestamp,
        /// Whether it waits longer than its windows explain.
        overdue: bool,
    },
    /// It is to be rotated, and consumers may still hold the pair that the next rotation would replace.
    AwaitingConsumers {
        /// When it became due.
        since: Timestamp,
    },
    /// It is to be rotated now.
    Due {
        /// When it became due, which can be before the window opened.
        since: Timestamp,
        /// Whether it waits longer than its windows explain.
        overdue: bool,
    },
}

impl DueState {
    /// The next start that lies ahead, which is also when the schedule is to be judged again; none if it can start now,
    /// or never.
    pub const fn next_start(self) -> Option<Timestamp> {
        match self {
            Self::NotDue { next } => Some(next),
            Self::AwaitingWindow { opens, .. } => Some(opens),
            Self::CatchingUp { starts, .. } => Some(starts),
            Self::OnTriggerOnly | Self::AwaitingConsumers { .. } | Self::Due { .. } => None,
        }
    }

    /// The next rotation, as it is reported: the next start, or since when it has been due if it can start now.
    pub const fn next_rotation(self) -> Option<Timestamp> {
        match self {
            Self::Due { since, .. } | Self::AwaitingConsumers { since } => Some(since),
            other => other.next_start(),
        }
    }
}

/// Many credentials that became due while the operator was away. They are rotated one after another, not all at once: consumers
/// that restart for each of them would do so together.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Backlog {
    /// When the operator was back.
    pub since: Timestamp,
    /// The time over which they are spread.
    pub span: Duration,
}

impl Backlog {
    /// So few are no backlog.
    const FEW: usize = 10;

    /// The time over which so many credentials are spread: `most` for a thousand or more, none for a few.
    pub fn span(count: usize, most: Duration) -> Option<Duration> {
        let share = u32::try_from(count.min(1000)).unwrap_or(1000);
        (count > Self::FEW).then(|| most * share / 1000)
    }

    /// When the object with that uid starts.
    fn start_of(self, uid: &str) -> Timestamp {
        let millis = u64::try_from(self.span.as_millis()).unwrap_or(u64::MAX);
        let offset = fnv1a(uid.bytes()).checked_rem(millis).unwrap_or(0);
        later(self.since, Duration::from_millis(offset))
    }
}

/// Why a schedule is refused: the field, what is wrong with it, and what to write instead.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScheduleError {
    /// The interval can't be read.
    #[error("spec.rotation.interval {0}")]
    Interval(IntervalError),
    /// An interval of nothing.
    #[error(
        "spec.rotation.interval is zero; write a time such as 30d, or leave it out to rotate on trigger only"
    )]
    IntervalZero,
    /// The interval is below the operator's minimum.
    #[error("spec.rotation.interval is shorter than this operator allows; write {} or more", interval::format(*.minimum))]
    IntervalTooShort {
        /// The operator's minimum.
        minimum: Duration,
    },
    /// The interval is above [`MAX_INTERVAL`].
    #[error(
        "spec.rotation.interval is longer than ten years; write 3650d or less, or leave it out to rotate on trigger only"
    )]
    IntervalTooLong,
    /// The jitter is no percentage between 0 and 50.
    #[error(
        "spec.rotation.jitterPercent is not between 0 and 50; write percent of the interval, such as 10"
    )]
    Jitter,
    /// The overlap can't be used.
    #[error(transparent)]
    Overlap(#[from] OverlapError),
    /// More windows than are read.
    #[error(
        "spec.rotation.windows has more than 16 windows; combine some, such as 0 1,3 * * MON-FRI"
    )]
    TooManyWindows,
    /// A window can't be used.
    #[error("spec.rotation.windows[{window}].{error}")]
    Window {
        /// Which one: `name=` and its name, or its index in the list where it has no usable name.
        window: String,
        /// What is wrong with it.
        error: WindowError,
    },
}

/// Names a window of the list.
fn which(index: usize, window: &crate::api::Window) -> String {
    let name = &window.name;
    let is_name = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
    if (1..=63).contains(&name.len()) && name.chars().all(is_name) {
        format!("name={name}")
    } else {
        index.to_string()
    }
}

impl Schedule {
    /// Reads the schedule of the object with that uid. `minimum` is the shortest interval that the operator allows.
    pub fn parse(
        rotation: Option<&Rotation>,
        uid: &str,
        minimum: Duration,
    ) -> Result<Self, ScheduleError> {
        let default = Rotation::default();
        let rotation = rotation.unwrap_or(&default);
        let jitter = u32::try_from(rotation.jitter_percent.unwrap_or(DEFAULT_JITTER))
            .ok()
            .filter(|percent| *percent <= 50)
            .ok_or(ScheduleError::Jitter)?;
        let age = match rotation.interval.as_deref() {
            Some(text) => {
                let interval = read_interval(text, minimum)?;
                let offset = offset(interval, jitter, uid);
                Some(Age { interval, offset })
            }
            None => None,
        };
        let windows = rotation.windows.as_deref().unwrap_or_default();
        if windows.len() > MAX_WINDOWS {
            return Err(ScheduleError::TooManyWindows);
        }
        let windows = windows
            .iter()
            .enumerate()
            .map(|(index, window)| {
                RotationWindow::parse(window).map_err(|error| ScheduleError::Window {
                    window: which(index, window),
                    error,
                })
            })
            .collect::<Result<_, _>>()?;
        let overlap = rotation.overlap.as_ref();
        let overlap = overlap.map(|it| Overlap::read(it, age.map(|age| age.interval)));
        let overlap = overlap.transpose()?;
        Ok(Self {
            age,
            windows,
            overlap,
        })
    }

    /// When the credential made at `last` is to be rotated, judged at `now`.
    pub fn state(&self, last: Timestamp, now: Timestamp) -> DueState {
        let Some(age) = self.age else {
            return DueState::OnTriggerOnly;
        };
        // NB: at the end of the calendar (year 9999) sums stop there.
        let since = later(later(last, age.interval), age.offset);
        if now < since {
            return DueState::NotDue {
                next: self.first_start(since),
            };
        }
        let overdue = self.is_overdue(since, now);
        match self.first_start(now) {
            start if start <= now => DueState::Due { since, overdue },
            opens => DueState::AwaitingWindow {
                since,
                opens,
                overdue,
            },
        }
    }

    /// The same after downtime with a backlog. If the start would fall after the window closes, the object starts at once.
    pub fn state_after_downtime(
        &self,
        last: Timestamp,
        now: Timestamp,
        uid: &str,
        backlog: Backlog,
    ) -> DueState {
        let state = self.state(last, now);
        let DueState::Due { since, overdue } = state else {
            return state;
        };
        let starts = backlog.start_of(uid);
        let found = since < backlog.since;
        if found && now < starts && matches!(self.state(last, starts), DueState::Due { .. }) {
            return DueState::CatchingUp {
                since,
                starts,
                overdue,
            };
        }
        state
    }

    /// When the credential made at `last` can first be rotated: when it is due, and a window is open. None without an interval.
    pub fn start(&self, last: Timestamp) -> Option<Timestamp> {
        let age = self.age?;
        let since = later(later(last, age.interval), age.offset);
        Some(self.first_start(since))
    }

    /// The next instant at which waiting is called by another name: when the credential becomes due, and when it is overdue.
    pub fn next_change(&self, last: Timestamp, now: Timestamp) -> Option<Timestamp> {
        let age = self.age?;
        let since = later(later(last, age.interval), age.offset);
        if now < since {
            return Some(since);
        }
        let overdue = since.checked_add(self.patience(since)).ok()?;
        (now < overdue).then_some(overdue)
    }

    /// The schedule as a sentence, such as `every 30d, at 03:00, Monday through Friday, for 2h (Europe/Zurich)`.
    pub fn describe(&self) -> String {
        let Some(age) = self.age else {
            return "on trigger only".to_owned();
        };
        let every = format!("every {}", interval::format(age.interval));
        let described = self.windows.iter().take(DESCRIBED_WINDOWS);
        let mut windows: Vec<String> = described.map(RotationWindow::describe).collect();
        match self.windows.len().saturating_sub(DESCRIBED_WINDOWS) {
            0 => {}
            1 => windows.push("in another window".to_owned()),
            more => windows.push(format!("in {more} other windows")),
        }
        if windows.is_empty() {
            every
        } else {
            format!("{every}, {}", windows.join("; or "))
        }
    }

    /// When the next window opens; none if one is open, or if there are no windows.
    pub fn closed_until(&self, now: Timestamp) -> Option<Timestamp> {
        Some(self.first_start(now)).filter(|opens| *opens > now)
    }

    /// How long the old credential of a standby pair goes on working; none: until the next rotation.
    pub const fn overlap(&self) -> Option<Overlap> {
        self.overlap
    }

    /// The first instant, from that one on, at which a rotation can start.
    fn first_start(&self, from: Timestamp) -> Timestamp {
        if self.windows.is_empty() {
            return from;
        }
        let starts = self.windows.iter().filter_map(|w| w.next_open(from));
        starts.min().unwrap_or(Timestamp::MAX)
    }

    /// Whether a rotation that became due at that instant waits for longer than its windows explain.
    fn is_overdue(&self, due: Timestamp, now: Timestamp) -> bool {
        now.duration_since(due) >= self.patience(due)
    }

    /// How long a rotation that became due at that instant may wait before it is overdue.
    fn patience(&self, due: Timestamp) -> SignedDuration {
        let openings = self.windows.iter().filter_map(|w| w.last_opening(due));
        let Some(last) = openings.max() else {
            return GRACE;
        };
        let openings = self.windows.iter().filter_map(|w| w.next_opening(due));
        let next = openings.min().unwrap_or(Timestamp::MAX);
        next.duration_since(last).max(GRACE)
    }
}

fn read_interval(text: &str, minimum: Duration) -> Result<Duration, ScheduleError> {
    let interval = interval::parse(text).map_err(ScheduleError::Interval)?;
    if interval.is_zero() {
        Err(ScheduleError::IntervalZero)
    } else if interval > MAX_INTERVAL {
        Err(ScheduleError::IntervalTooLong)
    } else if interval < minimum {
        Err(ScheduleError::IntervalTooShort { minimum })
    } else {
        Ok(interval)
    }
}

/// The object's own share of the jitter.
fn offset(interval: Duration, percent: u32, uid: &str) -> Duration {
    let span = interval.as_secs() * u64::from(percent) / 100;
    Duration::from_secs(fnv1a(uid.bytes()).checked_rem(span).unwrap_or(0))
}

#[cfg(test)]
mod tests;
