//! How long the pair before the stored one is kept: `spec.rotation.overlap`. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api;
use crate::rotation::schedule::interval::{self, IntervalError, MAX_INTERVAL, later};

/// An overlap that was read and checked.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Overlap {
    minimum: Duration,
    /// Whether it lasts until every consumer has the stored pair.
    pub awaits_consumers: bool,
    maximum: Option<Duration>,
}

/// Why an overlap is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum OverlapError {
    /// A length of time that can't be read.
    #[error("{0} {1}")]
    Duration(&'static str, IntervalError),
    /// A length above ten years.
    #[error(
        "{0} is longer than ten years; leave spec.rotation.overlap out to keep the old credential until the next rotation"
    )]
    TooLong(&'static str),
    /// It lasts at least until the next rotation.
    #[error(
        "{0} is not shorter than spec.rotation.interval; write a shorter time, or leave spec.rotation.overlap out to keep the old credential until the next rotation"
    )]
    NotShorter(&'static str),
    /// The maximum is below the minimum.
    #[error(
        "spec.rotation.overlap.maximum is shorter than spec.rotation.overlap.minimum; write a longer maximum, or a shorter minimum"
    )]
    MaximumBelowMinimum,
    /// Nothing says when it ends.
    #[error(
        "spec.rotation.overlap.minimum is missing; write how long the previous credential keeps working, such as 1h, or set until: ConsumersCurrent"
    )]
    Endless,
    /// A limit where only the time counts.
    #[error(
        "spec.rotation.overlap.maximum limits the wait for consumers; it needs spec.rotation.overlap.until: ConsumersCurrent"
    )]
    MaximumWithoutWait,
}

const MINIMUM: &str = "spec.rotation.overlap.minimum";
const MAXIMUM: &str = "spec.rotation.overlap.maximum";

impl Overlap {
    /// Reads what the object says, for a credential that is rotated at this interval.
    pub(super) fn read(
        overlap: &api::Overlap,
        interval: Option<Duration>,
    ) -> Result<Self, OverlapError> {
        let read = |field, text: &Option<String>| {
            let Some(text) = text else { return Ok(None) };
            match interval::parse(text).map_err(|error| OverlapError::Duration(field, error))? {
                length if length > MAX_INTERVAL => Err(OverlapError::TooLong(field)),
                length if interval.is_some_and(|interval| length >= interval) => {
                    Err(OverlapError::NotShorter(field))
                }
                length => Ok(Some(length)),
            }
        };
        let awaits_consumers = overlap.until == Some(api::OverlapEnd::ConsumersCurrent);
        let (minimum, maximum) = (
            read(MINIMUM, &overlap.minimum)?,
            read(MAXIMUM, &overlap.maximum)?,
        );
        match (awaits_consumers, minimum, maximum) {
            (false, None, _) => Err(OverlapError::Endless),
            (false, _, Some(_)) => Err(OverlapError::MaximumWithoutWait),
            (_, minimum, Some(maximum)) if minimum.is_some_and(|minimum| minimum > maximum) => {
                Err(OverlapError::MaximumBelowMinimum)
            }
            (_, minimum, maximum) => Ok(Self {
                minimum: minimum.unwrap_or_default(),
                awaits_consumers,
                maximum,
            }),
        }
    }

    /// When the pair before one that was made at `made` can stop being accepted, at the soonest.
    pub fn ends(&self, made: Timestamp) -> Timestamp {
        later(made, self.minimum)
    }

    /// When it stops being accepted, whatever consumers hold; none: never.
    pub fn latest(&self, made: Timestamp) -> Option<Timestamp> {
        self.maximum.map(|maximum| later(made, maximum))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::OverlapEnd;

    fn read(
        minimum: Option<&str>,
        until: Option<OverlapEnd>,
        maximum: Option<&str>,
    ) -> Result<Overlap, OverlapError> {
        let text = |it: Option<&str>| it.map(ToOwned::to_owned);
        let overlap = api::Overlap {
            minimum: text(minimum),
            until,
            maximum: text(maximum),
        };
        Overlap::read(&overlap, Some(Duration::from_hours(24)))
    }

    #[test]
    fn an_overlap_ends_by_time_or_by_its_consumers_within_its_limits() {
        use OverlapEnd::{ConsumersCurrent, Elapsed};
        let made: Timestamp = "2026-11-30T00:00:00Z".parse().unwrap();
        let at = |text: &str| -> Timestamp { text.parse().unwrap() };
        let timed = read(Some("1h"), None, None).unwrap();
        assert_eq!(timed.ends(made), at("2026-11-30T01:00:00Z"));
        assert_eq!((timed.latest(made), timed.awaits_consumers), (None, false));
        let waits = read(None, Some(ConsumersCurrent), Some("6h")).unwrap();
        assert_eq!(waits.ends(made), made);
        assert_eq!(waits.latest(made), Some(at("2026-11-30T06:00:00Z")));
        assert!(waits.awaits_consumers);
        assert!(read(Some("1h"), Some(ConsumersCurrent), None).is_ok());
        for (minimum, until, maximum, error) in [
            (None, None, None, OverlapError::Endless),
            (None, Some(Elapsed), None, OverlapError::Endless),
            (
                Some("1h"),
                Some(Elapsed),
                Some("2h"),
                OverlapError::MaximumWithoutWait,
            ),
            (
                Some("3h"),
                Some(ConsumersCurrent),
                Some("2h"),
                OverlapError::MaximumBelowMinimum,
            ),
            (
                None,
                Some(ConsumersCurrent),
                Some("1d"),
                OverlapError::NotShorter(MAXIMUM),
            ),
            (Some("1d"), None, None, OverlapError::NotShorter(MINIMUM)),
        ] {
            assert_eq!(read(minimum, until, maximum), Err(error));
        }
    }
}
