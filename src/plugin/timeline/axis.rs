//! The time that a picture shows, from left to right. No I/O.

use std::time::Duration;

use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};

/// Monday, in seconds after the first instant of Unix time, which was on a Thursday.
const MONDAY: i64 = 4 * DAY;
const DAY: i64 = 86_400;
const MINUTE: i64 = 60;

/// What lies between two ticks, from small to large.
const STEPS: [Step; 17] = [
    Step::Seconds(MINUTE),
    Step::Seconds(5 * MINUTE),
    Step::Seconds(15 * MINUTE),
    Step::Seconds(60 * MINUTE),
    Step::Seconds(180 * MINUTE),
    Step::Seconds(360 * MINUTE),
    Step::Seconds(720 * MINUTE),
    Step::Seconds(DAY),
    Step::Seconds(2 * DAY),
    Step::Seconds(7 * DAY),
    Step::Seconds(14 * DAY),
    Step::Months(1),
    Step::Months(2),
    Step::Months(3),
    Step::Months(6),
    Step::Months(12),
    Step::Months(24),
];

#[derive(Clone, Copy)]
enum Step {
    Seconds(i64),
    Months(i64),
}

impl Step {
    /// About how many seconds it has.
    const fn seconds(self) -> i64 {
        match self {
            Self::Seconds(seconds) => seconds,
            Self::Months(months) => months * 30 * DAY,
        }
    }

    fn label(self, at: Timestamp) -> String {
        let is_midnight = at.as_second() % DAY == 0;
        let format = match self {
            Self::Seconds(seconds) if seconds < DAY && !is_midnight => "%H:%M",
            Self::Seconds(_) => "%b %-d",
            Self::Months(months) if months < 12 => "%b %Y",
            Self::Months(_) => "%Y",
        };
        at.strftime(format).to_string()
    }
}

/// The time that a picture shows: what was, and what is to come.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Axis {
    /// Its left end.
    pub from: Timestamp,
    /// Between what was and what is to come.
    pub now: Timestamp,
    /// Its right end.
    pub until: Timestamp,
}

/// A point in time with a name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tick {
    /// The time.
    pub at: Timestamp,
    /// Its name, in UTC.
    pub label: String,
}

impl Axis {
    /// So long before now, and so long after it.
    pub fn around(now: Timestamp, since: Duration, ahead: Duration) -> Self {
        Self {
            from: now.checked_sub(since).unwrap_or(Timestamp::MIN),
            now,
            until: now.checked_add(ahead).unwrap_or(Timestamp::MAX),
        }
    }

    /// Whether an instant is within the picture.
    pub fn has(&self, at: Timestamp) -> bool {
        self.from <= at && at <= self.until
    }

    /// Where an instant is, from 0 at the left end to 1 at the right one; what is beyond an end is at that end.
    #[allow(clippy::cast_precision_loss)] // A picture has fewer than 2^52 points.
    pub fn share(&self, at: Timestamp) -> f64 {
        let seconds = |span: SignedDuration| span.as_millis() as f64;
        let all = seconds(self.until.duration_since(self.from));
        let part = seconds(at.duration_since(self.from));
        if all > 0.0 {
            (part / all).clamp(0.0, 1.0)
        } else {
            0.0
        }
    }

    /// The name of its left end.
    pub fn begin(&self) -> String {
        let days = self.now.duration_since(self.from).as_hours() / 24;
        let format = match days {
            ..2 => "%H:%M",
            2..300 => "%b %-d",
            _ => "%b %Y",
        };
        self.from.strftime(format).to_string()
    }

    /// Round points in time, so many at the most.
    pub fn ticks(&self, most: usize) -> Vec<Tick> {
        let most = i64::try_from(most.max(1)).unwrap_or(i64::MAX);
        let all = self.until.duration_since(self.from).as_secs();
        let fits = |step: &Step| all / step.seconds() <= most;
        let Some(step) = STEPS.into_iter().find(fits) else {
            return Vec::new();
        };
        let instants: Vec<Timestamp> = match step {
            Step::Seconds(seconds) => self.seconds(seconds).collect(),
            Step::Months(months) => self.months(months).collect(),
        };
        let ticks = instants.into_iter().map(|at| Tick {
            at,
            label: step.label(at),
        });
        ticks.collect()
    }

    fn seconds(&self, step: i64) -> impl Iterator<Item = Timestamp> {
        let offset = if step < 7 * DAY { 0 } else { MONDAY };
        let first = (self.from.as_second() - offset).div_euclid(step) * step + offset;
        let all = (0..).map_while(move |number| Timestamp::from_second(first + number * step).ok());
        self.within(all)
    }

    fn months(&self, step: i64) -> impl Iterator<Item = Timestamp> {
        let date = self.from.to_zoned(TimeZone::UTC).date();
        let month = i64::from(date.year()) * 12 + i64::from(date.month()) - 1;
        let first = month.div_euclid(step) * step;
        let all = (0..).map_while(move |number| {
            let month = first + number * step;
            let year = i16::try_from(month.div_euclid(12)).ok()?;
            let month = i8::try_from(month.rem_euclid(12) + 1).ok()?;
            let date = Date::new(year, month, 1).ok()?;
            Some(date.to_zoned(TimeZone::UTC).ok()?.timestamp())
        });
        self.within(all)
    }

    fn within(&self, all: impl Iterator<Item = Timestamp>) -> impl Iterator<Item = Timestamp> {
        let (from, until) = (self.from, self.until);
        all.skip_while(move |at| *at < from)
            .take_while(move |at| *at <= until)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(since: &str, ahead: &str) -> Axis {
        let span = |text| crate::rotation::parse_interval(text).unwrap();
        let now = "2026-11-30T22:10:00Z".parse().unwrap();
        Axis::around(now, span(since), span(ahead))
    }

    fn labels(axis: &Axis, most: usize) -> Vec<String> {
        let ticks = axis.ticks(most).into_iter();
        ticks.map(|tick| tick.label).collect()
    }

    #[test]
    fn ticks_are_round_and_no_more_than_there_is_room_for() {
        for (since, most, expected) in [
            ("7d", 5, vec!["Nov 25", "Nov 27", "Nov 29"]),
            ("7d", 2, vec!["Nov 30"]),
            ("12h", 5, vec!["12:00", "15:00", "18:00", "21:00"]),
            ("24h", 4, vec!["Nov 30", "06:00", "12:00", "18:00"]),
            ("100d", 4, vec!["Sep 2026", "Oct 2026", "Nov 2026"]),
            ("520w", 8, vec!["2018", "2020", "2022", "2024", "2026"]),
        ] {
            assert_eq!(labels(&axis(since, "0s"), most), expected, "{since}");
        }
        for since in ["1s", "10m", "3h", "2d", "30d", "520w"] {
            for most in 1..20 {
                let count = labels(&axis(since, "3d"), most).len();
                assert!(count <= most + 1, "{since}: {count} of {most}");
            }
        }
    }

    #[test]
    fn an_instant_has_a_place_whatever_it_is() {
        let axis = axis("3d", "1d");
        assert!((axis.share(axis.now) - 0.75).abs() < 1e-9);
        for (at, share) in [
            (axis.from, 0.0),
            (Timestamp::MIN, 0.0),
            (axis.until, 1.0),
            (Timestamp::MAX, 1.0),
        ] {
            assert!((axis.share(at) - share).abs() < f64::EPSILON, "{at}");
        }
        let all = Axis {
            from: Timestamp::MIN,
            now: Timestamp::MIN,
            until: Timestamp::MAX,
        };
        assert!(all.ticks(8).len() <= 9);
        let nothing = Axis {
            from: axis.now,
            until: axis.now,
            ..axis
        };
        assert!(nothing.share(axis.now).abs() < f64::EPSILON);
    }
}
