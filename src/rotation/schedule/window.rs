//! One window: when it opens, and how long it stays open. Does no I/O.
//!
//! * **Schedule**: five fields of cron, minute to weekday; names in any case (`MON`, `jan`). A day fits when the day of
//!   the month *or* the weekday fits, unless one of them is `*`; with `+` before the weekday, both must fit
//!   (`0 3 1-7 * +SUN` is the first Sunday). `L` (last day), `15W` (working day nearest the 15th), `5#2` (second Friday)
//!   and `5#L` (last Friday) mean what croner documents. No seconds, no years, no `?`, no `LW`, no `@daily` and the like.
//! * **Time zone**: an IANA name, from the time zone data that is compiled in, so that every replica agrees. UTC if none.
//! * **Duration** is elapsed time: 2 h stay 2 h while the clocks change. It can be longer than the time between two
//!   openings; then the window is simply always open.
//! * **Clocks going forward**: an opening at a time that is skipped happens at the first instant after the gap.
//! * **Clocks going back**: an opening at a time that comes twice happens once, the first time.
//!   The second time adds nothing, except for a window that covers its days without a gap, such as `*/15 * * * *` for 15 minutes:
//!   that one is open whatever the clocks do.
//! * **Never**: a schedule that fits no day of 2000 to 2027 is refused. In 28 years every date, 29 February included,
//!   falls on every weekday, so what does not happen in them is not on the calendar.

use croner::{
    Cron,
    parser::{CronParser, Seconds, Year},
};
use jiff::{
    SignedDuration, Timestamp,
    civil::DateTime,
    tz::{AmbiguousOffset, TimeZone, TimeZoneDatabase},
};

use crate::api;
use crate::rotation::schedule::cron_field::CronField;
use crate::rotation::schedule::interval::{self, IntervalError};

/// The longest time a window can stay open: a week.
pub const MAX_DURATION: SignedDuration = SignedDuration::from_hours(7 * 24);

/// The longest schedule that is read; the CRD has the same limit.
const MAX_SCHEDULE: usize = 128;

/// Above this many characters a sentence says less than the five fields themselves.
const MAX_SENTENCE: usize = 120;

/// The years that are searched for a first opening, see the module's documentation.
const SEARCHED_YEARS: (i16, i16) = (2000, 2027);

/// Why a window is refused. The text begins with the name of its field.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum WindowError {
    /// The schedule is longer than any sensible one.
    #[error("schedule is longer than 128 characters; write several windows")]
    TooLong,
    /// A name instead of fields.
    #[error(
        "schedule is a name with @; write five fields, such as 0 3 * * * for every day at 03:00"
    )]
    Nickname,
    /// Not five fields.
    #[error(
        "schedule has {0} fields; write five: minute, hour, day of the month, month, weekday, such as 0 3 * * MON-FRI"
    )]
    Fields(usize),
    /// A field that can't be read.
    #[error("schedule can't be read in its {0}; {accepts}", accepts = .0.accepts())]
    Field(CronField),
    /// No day on the calendar fits.
    #[error(
        "schedule never opens: no day of the calendar fits it; choose a day that its month has, such as 28 or L in February"
    )]
    NeverOpens,
    /// No such time zone.
    #[error("timeZone is not a known time zone; write an IANA name, such as Europe/Zurich or UTC")]
    TimeZone,
    /// The duration can't be read.
    #[error("duration {0}")]
    Duration(IntervalError),
    /// A window that is never open.
    #[error("duration is zero; write how long the window stays open, such as 2h")]
    DurationZero,
    /// A window that is open for too long.
    #[error("duration is longer than 7d; write 7d or less, or leave out the windows")]
    DurationTooLong,
}

/// A window that was read and checked.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RotationWindow {
    cron: Cron,
    zone: TimeZone,
    duration: SignedDuration,
    /// Whether it is open all day long on its days.
    gapless: bool,
}

impl RotationWindow {
    /// Reads a window.
    pub fn parse(window: &api::Window) -> Result<Self, WindowError> {
        let cron = cron(&window.schedule)?;
        let name = window.time_zone.as_deref().unwrap_or("UTC");
        let zone = TimeZoneDatabase::bundled()
            .get(name)
            .ok()
            .filter(|zone| !zone.is_unknown())
            .ok_or(WindowError::TimeZone)?;
        let duration = interval::parse(&window.duration).map_err(WindowError::Duration)?;
        if duration.is_zero() {
            return Err(WindowError::DurationZero);
        }
        let duration = SignedDuration::try_from(duration)
            .ok()
            .filter(|duration| *duration <= MAX_DURATION)
            .ok_or(WindowError::DurationTooLong)?;
        Ok(Self {
            gapless: is_gapless(&cron, duration),
            cron,
            zone,
            duration,
        })
    }

    /// The first instant from that one on at which it is open: that one, or the next opening; none only near the end of the
    /// calendar (year 5000). It is open from its opening on, and no longer at the instant it closes.
    pub fn next_open(&self, from: Timestamp) -> Option<Timestamp> {
        if self.gapless && self.is_shown_open(from) {
            return Some(from);
        }
        let earliest = from.checked_sub(self.duration).unwrap_or(Timestamp::MIN);
        self.next_opening(earliest).map(|opening| opening.max(from))
    }

    /// The first opening after that instant; none only near the end of the calendar.
    pub fn next_opening(&self, after: Timestamp) -> Option<Timestamp> {
        let mut clock = self.zone.to_datetime(after);
        // NB: openings are searched on the wall clock, which never repeats; what it shows for the second time while the
        // clocks go back was an opening before `after`, and is passed over.
        loop {
            clock = self.cron.find_next_occurrence(&clock, false).ok()?;
            let opening = self.instant(clock)?;
            if opening > after {
                return Some(opening);
            }
        }
    }

    /// The last opening at or before that instant; none only near the beginning of the calendar.
    pub fn last_opening(&self, until: Timestamp) -> Option<Timestamp> {
        let mut clock = self.zone.to_datetime(until);
        // NB: while the clock shows times for the second time, later ones were already shown the first time.
        if let AmbiguousOffset::Fold { before, .. } =
            self.zone.to_ambiguous_timestamp(clock).offset()
        {
            clock = before.to_datetime(until);
        }
        let mut inclusive = true;
        loop {
            clock = self.cron.find_previous_occurrence(&clock, inclusive).ok()?;
            let opening = self.instant(clock)?;
            if opening <= until {
                return Some(opening);
            }
            inclusive = false;
        }
    }

    /// Whether the clock shows a time between an opening and its end.
    ///
    /// NB: by the clock alone, which shows no time between two openings of a window without gaps, however the clocks change.
    fn is_shown_open(&self, at: Timestamp) -> bool {
        let clock = self.zone.to_datetime(at);
        let opening = self.cron.find_previous_occurrence(&clock, true);
        let end = opening.map(|opening| opening.checked_add(self.duration));
        matches!(end, Ok(Ok(end)) if clock < end)
    }

    /// When the clock shows that time: the first time if it does so twice, the end of the gap if never.
    fn instant(&self, clock: DateTime) -> Option<Timestamp> {
        match self.zone.to_ambiguous_timestamp(clock).offset() {
            AmbiguousOffset::Unambiguous { offset }
            | AmbiguousOffset::Fold { before: offset, .. } => offset.to_timestamp(clock).ok(),
            AmbiguousOffset::Gap { before, after } => {
                let inside = after.to_timestamp(clock).ok()?;
                match self.zone.following(inside).next() {
                    Some(transition) => Some(transition.timestamp()),
                    None => before.to_timestamp(clock).ok(),
                }
            }
        }
    }

    /// The window as part of a sentence, such as `at 03:00, on Monday, for 2h (Europe/Zurich)`.
    pub fn describe(&self) -> String {
        let sentence = self
            .cron
            .describe()
            .replace(
                "on Monday, Tuesday, Wednesday, Thursday, and Friday",
                "Monday through Friday",
            )
            .replace("At every", "every");
        let sentence = sentence.trim_end_matches('.');
        let mut letters = sentence.chars();
        let when = match letters.next() {
            Some(first) if sentence.len() <= MAX_SENTENCE => {
                format!("{}{}", first.to_ascii_lowercase(), letters.as_str())
            }
            _ => format!("at {}", self.cron.as_str()),
        };
        let duration = interval::format(self.duration.unsigned_abs());
        let zone = self.zone.iana_name().unwrap_or("UTC");
        format!("{when}, for {duration} ({zone})")
    }
}

fn cron(text: &str) -> Result<Cron, WindowError> {
    if text.len() > MAX_SCHEDULE {
        return Err(WindowError::TooLong);
    }
    if text.contains('@') {
        return Err(WindowError::Nickname);
    }
    let text = text.to_ascii_uppercase();
    let fields: Vec<&str> = text.split_ascii_whitespace().collect();
    let [minute, hour, day, month, weekday] = fields.as_slice() else {
        return Err(WindowError::Fields(fields.len()));
    };
    for (field, text) in CronField::ALL.into_iter().zip(&fields) {
        if !field.is_spelled(text) {
            return Err(WindowError::Field(field));
        }
    }
    let parser = CronParser::builder()
        .seconds(Seconds::Disallowed)
        .year(Year::Disallowed)
        .build();
    let Ok(cron) = parser.parse(&fields.join(" ")) else {
        let alone = [
            format!("{minute} * * * *"),
            format!("* {hour} * * *"),
            format!("* * {day} * *"),
            format!("* * * {month} *"),
            format!("* * * * {weekday}"),
        ];
        let refused = alone.iter().position(|text| parser.parse(text).is_err());
        let field = refused.and_then(|at| CronField::ALL.get(at));
        return Err(WindowError::Field(
            field.copied().unwrap_or(CronField::Weekday),
        ));
    };
    if opens(&cron) {
        Ok(cron)
    } else {
        Err(WindowError::NeverOpens)
    }
}

/// Whether each opening lasts until the next one, in every hour of the day.
fn is_gapless(cron: &Cron, duration: SignedDuration) -> bool {
    let fits = |found| matches!(found, Ok(true));
    let minutes = (0..60_u32).filter(|minute| fits(cron.pattern.minute_match(*minute)));
    let minutes: Vec<i64> = minutes.map(i64::from).collect();
    let again = minutes.first().map(|first| first + 60);
    let next = minutes.iter().skip(1).copied().chain(again);
    (0..24).all(|hour| fits(cron.pattern.hour_match(hour)))
        && minutes
            .iter()
            .zip(next)
            .all(|(minute, next)| SignedDuration::from_mins(next - minute) <= duration)
}

/// Whether a day of the searched years fits.
fn opens(cron: &Cron) -> bool {
    let (first, last) = SEARCHED_YEARS;
    // NB: croner itself would go on until the year 5000; with years in the pattern it passes over all others.
    let bounded = CronParser::new().parse(&format!("0 {} {first}-{last}", cron.as_str()));
    let start = DateTime::new(first, 1, 1, 0, 0, 0, 0);
    match (bounded, start) {
        (Ok(bounded), Ok(start)) => bounded.find_next_occurrence(&start, true).is_ok(),
        _ => false,
    }
}

#[cfg(test)]
mod tests;
