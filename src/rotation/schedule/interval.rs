//! Lengths of time as people write them, such as `30d` or `1d12h`. Does no I/O.
//!
//! jiff's own parser also takes `1.5d`, `30 days`, `-1d`, months and years, and its errors have no position to report.

use std::time::Duration;

use jiff::Timestamp;

/// The units, from large to small, with their length in seconds.
const UNITS: [(char, u64); 5] = [
    ('w', 604_800),
    ('d', 86_400),
    ('h', 3_600),
    ('m', 60),
    ('s', 1),
];

/// The longest text that is read; the CRD has the same limit.
const MAX_LENGTH: usize = 32;

/// The longest interval and the longest overlap: ten years of 365 days.
pub const MAX_INTERVAL: Duration = Duration::from_hours(10 * 365 * 24);

/// The instant so long after another; the last one that there is where that would be beyond it.
pub fn later(instant: Timestamp, by: Duration) -> Timestamp {
    instant.checked_add(by).unwrap_or(Timestamp::MAX)
}

/// Why a text is not a length of time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IntervalError {
    /// Nothing was given.
    #[error("is empty; write a number and a unit, such as 30d or 1d12h")]
    Empty,
    /// The text is longer than any sensible value.
    #[error("is longer than 32 characters; write it with fewer parts, such as 1d12h")]
    TooLong,
    /// Something that is neither a digit nor a unit.
    #[error(
        "has something that is neither a digit nor one of the units w d h m s at position {0}; write such as 30d or 1d12h"
    )]
    Character(usize),
    /// A unit without a number before it.
    #[error("has a unit without a number at position {0}; write such as 30d or 1d12h")]
    Number(usize),
    /// A number without a unit after it.
    #[error("ends with a number without a unit; add one of w d h m s, such as 30d")]
    Unit,
    /// A unit that is repeated, or comes after a smaller one.
    #[error(
        "has a unit out of order at position {0}; write each unit once, from large to small, such as 1d12h"
    )]
    Order(usize),
    /// More seconds than can be counted.
    #[error("is too long to be counted; write a shorter time, such as 30d")]
    Overflow,
}

/// Reads numbers with the units `w d h m s`, each unit at most once and from large to small. `0s` is read as zero.
///
/// A day is 24 hours and a week seven days of elapsed time, whatever the clocks do meanwhile.
pub fn parse(text: &str) -> Result<Duration, IntervalError> {
    if text.is_empty() {
        return Err(IntervalError::Empty);
    }
    if text.len() > MAX_LENGTH {
        return Err(IntervalError::TooLong);
    }
    let mut seconds: u64 = 0;
    let mut number: Option<u64> = None;
    let mut units = UNITS.iter();
    for (at, character) in text.chars().enumerate() {
        if let Some(digit) = character.to_digit(10) {
            let shifted = number.unwrap_or(0).checked_mul(10);
            number = Some(
                shifted
                    .and_then(|value| value.checked_add(u64::from(digit)))
                    .ok_or(IntervalError::Overflow)?,
            );
            continue;
        }
        if !UNITS.iter().any(|(unit, _)| *unit == character) {
            return Err(IntervalError::Character(at));
        }
        let count = number.take().ok_or(IntervalError::Number(at))?;
        // NB: `find` uses up the larger units, so none of them can follow.
        let (_, length) = units
            .find(|(unit, _)| *unit == character)
            .ok_or(IntervalError::Order(at))?;
        seconds = count
            .checked_mul(*length)
            .and_then(|part| seconds.checked_add(part))
            .ok_or(IntervalError::Overflow)?;
    }
    if number.is_some() {
        return Err(IntervalError::Unit);
    }
    Ok(Duration::from_secs(seconds))
}

/// Writes a length of time as [`parse`] reads it, in days and smaller units; what is below a second is left out.
pub fn format(duration: Duration) -> String {
    let mut rest = duration.as_secs();
    if rest == 0 {
        return "0s".to_owned();
    }
    let mut text = String::new();
    for (unit, length) in UNITS.iter().skip(1) {
        let count = rest / length;
        rest %= length;
        if count > 0 {
            text.push_str(&count.to_string());
            text.push(*unit);
        }
    }
    text
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn every_unit_alone_and_combined_is_read() {
        for (text, seconds) in [
            ("30d", 2_592_000),
            ("1d12h", 129_600),
            ("2w", 1_209_600),
            ("1w1d1h1m1s", 694_861),
            ("90m", 5_400),
            ("0s", 0),
            ("000007s", 7),
        ] {
            assert_eq!(parse(text), Ok(Duration::from_secs(seconds)), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_length_of_time_is_refused_with_its_position() {
        for (text, error) in [
            ("", IntervalError::Empty),
            ("30", IntervalError::Unit),
            ("1d12", IntervalError::Unit),
            ("d", IntervalError::Number(0)),
            ("1dh", IntervalError::Number(2)),
            ("30D", IntervalError::Character(2)),
            ("30 d", IntervalError::Character(2)),
            ("-1d", IntervalError::Character(0)),
            ("1.5d", IntervalError::Character(1)),
            ("1y", IntervalError::Character(1)),
            ("P30D", IntervalError::Character(0)),
            ("٣d", IntervalError::Character(0)),
            ("1h1d", IntervalError::Order(3)),
            ("1h1h", IntervalError::Order(3)),
            ("99999999999999999999d", IntervalError::Overflow),
            ("9999999999999999999w", IntervalError::Overflow),
            ("1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d1d", IntervalError::TooLong),
        ] {
            assert_eq!(parse(text), Err(error), "{text}");
        }
    }

    proptest! {
        #[test]
        fn what_is_written_is_read_back(seconds in 0..u64::from(u32::MAX)) {
            let duration = Duration::from_secs(seconds);
            prop_assert_eq!(parse(&format(duration)), Ok(duration));
        }

        #[test]
        fn no_text_breaks_it(text in ".{0,40}") {
            let _ = parse(&text);
        }
    }
}
