use jiff::ToSpan;
use proptest::{prelude::*, sample::select};

use super::*;

fn given(schedule: &str, zone: Option<&str>, duration: &str) -> api::Window {
    api::Window {
        name: "w".to_owned(),
        schedule: schedule.to_owned(),
        time_zone: zone.map(str::to_owned),
        duration: duration.to_owned(),
    }
}

fn refused(schedule: &str) -> WindowError {
    RotationWindow::parse(&given(schedule, None, "1h")).unwrap_err()
}

#[test]
fn a_schedule_that_is_not_five_fields_is_refused() {
    assert_eq!(refused(""), WindowError::Fields(0));
    assert_eq!(refused("0 3 * *"), WindowError::Fields(4));
    assert_eq!(refused("0 0 3 * * *"), WindowError::Fields(6));
    assert_eq!(refused("0 3 * * MON 2027"), WindowError::Fields(6));
    assert_eq!(refused("0 0 3 * * * 2027"), WindowError::Fields(7));
    for name in ["@daily", "@reboot", "@every 1h"] {
        assert_eq!(refused(name), WindowError::Nickname, "{name}");
    }
    assert_eq!(refused(&"0".repeat(129)), WindowError::TooLong);
}

#[test]
fn a_field_that_can_not_be_read_is_named() {
    use CronField::{Day, Hour, Minute, Month, Weekday};
    for (schedule, field) in [
        ("60 3 * * *", Minute),
        ("*/0 3 * * *", Minute),
        ("0/10 3 * * *", Minute),
        ("/10 3 * * *", Minute),
        ("30-10 3 * * *", Minute),
        ("5- 3 * * *", Minute),
        ("1,,2 3 * * *", Minute),
        ("-1 3 * * *", Minute),
        ("\u{661} 3 * * *", Minute),
        ("0 24 * * *", Hour),
        ("0 L * * *", Hour),
        ("0 MON * * *", Hour),
        ("0 99999999999999999999 * * *", Hour),
        ("0 3 0 * *", Day),
        ("0 3 32 * *", Day),
        ("0 3 32W * *", Day),
        ("0 3 W * *", Day),
        ("0 3 LW * *", Day),
        ("0 3 L-3 * *", Day),
        ("0 3 ? * *", Day),
        ("0 3 , * *", Day),
        ("0 3 * 13 *", Month),
        ("0 3 * JANFEB *", Month),
        ("0 3 * JAN1 *", Month),
        ("0 3 * 1JAN *", Month),
        ("0 3 * MON *", Month),
        ("0 3 * JANUARY *", Month),
        ("0 3 * * 8", Weekday),
        ("0 3 * * ?", Weekday),
        ("0 3 * * L", Weekday),
        ("0 3 * * 5L", Weekday),
        ("0 3 * * +", Weekday),
        ("0 3 * * MON+", Weekday),
        ("0 3 * * MON#6", Weekday),
        ("0 3 * * 1##2", Weekday),
        ("0 3 * * FRI-MON", Weekday),
        ("0 3 * * MONTUE", Weekday),
        ("0 3 * * JAN", Weekday),
    ] {
        assert_eq!(refused(schedule), WindowError::Field(field), "{schedule}");
    }
}

#[test]
fn a_window_that_never_opens_is_refused() {
    for schedule in [
        "0 3 30 2 *",
        "0 3 30,31 2 *",
        "0 3 31 4,6,9,11 *",
        "0 3 31 2 +MON",
        "0 3 30W 2 *",
        "0 3 1-7 * +MON#2",
    ] {
        assert_eq!(refused(schedule), WindowError::NeverOpens, "{schedule}");
    }
}

#[test]
fn a_window_that_opens_once_in_28_years_is_taken() {
    for weekday in ["SUN", "MON", "TUE", "WED", "THU", "FRI", "SAT"] {
        for schedule in [
            format!("0 3 29 2 +{weekday}"),
            format!("0 3 * 2 {weekday}#5"),
        ] {
            assert!(
                RotationWindow::parse(&given(&schedule, None, "1h")).is_ok(),
                "{schedule}"
            );
        }
    }
}

#[test]
fn only_known_time_zones_are_taken() {
    for zone in [
        "UTC",
        "Etc/UTC",
        "Europe/Zurich",
        "europe/zurich",
        "Asia/Kathmandu",
    ] {
        assert!(
            RotationWindow::parse(&given("0 3 * * *", Some(zone), "1h")).is_ok(),
            "{zone}"
        );
    }
    for zone in [
        "",
        "Europe/Zuerich",
        "Etc/Unknown",
        "CEST",
        "+01:00",
        "Local",
        "EST5EDT,M3.2.0,M11.1.0",
        "../Zurich",
        "/etc/localtime",
    ] {
        let error = RotationWindow::parse(&given("0 3 * * *", Some(zone), "1h"));
        assert_eq!(error, Err(WindowError::TimeZone), "{zone}");
    }
}

#[test]
fn a_duration_is_above_zero_and_a_week_at_most() {
    for (duration, expected) in [
        ("1s", None),
        ("7d", None),
        ("1w", None),
        ("0h", Some(WindowError::DurationZero)),
        ("7d1s", Some(WindowError::DurationTooLong)),
        ("999999w", Some(WindowError::DurationTooLong)),
        ("2", Some(WindowError::Duration(IntervalError::Unit))),
        ("2h30", Some(WindowError::Duration(IntervalError::Unit))),
        (
            "2 h",
            Some(WindowError::Duration(IntervalError::Character(1))),
        ),
    ] {
        let got = RotationWindow::parse(&given("0 3 * * *", None, duration)).err();
        assert_eq!(got, expected, "{duration}");
    }
}

#[test]
fn a_window_is_described_in_a_sentence() {
    for (schedule, zone, duration, expected) in [
        (
            "0 3 * * MON-FRI",
            Some("europe/zurich"),
            "2h",
            "at 03:00, Monday through Friday, for 2h (Europe/Zurich)",
        ),
        (
            "30 4 * * sun",
            None,
            "90m",
            "at 04:30, on Sunday, for 1h30m (UTC)",
        ),
        ("*/15 * * * *", None, "5m", "every 15 minutes, for 5m (UTC)"),
        (
            "0 22,23 1,15 */3 MON#1,WED#3",
            None,
            "1w",
            "at 0 22,23 1,15 */3 1#1,3#3, for 7d (UTC)",
        ),
    ] {
        let window = RotationWindow::parse(&given(schedule, zone, duration)).unwrap();
        assert_eq!(window.describe(), expected);
    }
}

/// Days before, at and after a change of clocks, and an ordinary one.
const CHANGES: [(&str, &str); 13] = [
    ("Europe/Zurich", "2026-03-29"),
    ("Europe/Zurich", "2026-10-25"),
    ("Europe/Dublin", "2026-03-29"),
    ("America/New_York", "2026-03-08"),
    ("America/New_York", "2026-11-01"),
    ("Australia/Lord_Howe", "2026-04-05"),
    ("Australia/Lord_Howe", "2026-10-04"),
    ("Pacific/Chatham", "2026-09-27"),
    ("America/Sao_Paulo", "2018-02-18"),
    ("America/Sao_Paulo", "2018-11-04"),
    ("Africa/Casablanca", "2026-02-15"),
    ("Pacific/Apia", "2011-12-30"),
    ("Asia/Kathmandu", "2026-01-10"),
];

const SCHEDULES: [&str; 9] = [
    "30 2 * * *",
    "0 2 * * *",
    "0 0 * * *",
    "*/15 * * * *",
    "45 1,2,23 * * *",
    "* 2 * * *",
    "0 * * * *",
    "17 */3 * * *",
    "59 23 * * *",
];

/// The openings as the module's documentation puts it, minute by minute: a window opens when the clock shows its time,
/// or a later one, for the first time.
fn openings(cron: &Cron, zone: &TimeZone, from: Timestamp, to: Timestamp) -> Vec<Timestamp> {
    let mut at = from - 50.hours();
    let mut shown = zone.to_datetime(at);
    let mut found = Vec::new();
    while at < to {
        at += 1.minute();
        let clock = zone.to_datetime(at);
        let mut opens = false;
        while shown < clock {
            shown += 1.minute();
            opens |= cron.is_time_matching(&shown).unwrap();
        }
        if opens && from <= at {
            found.push(at);
        }
    }
    found
}

#[test]
fn a_window_that_covers_its_days_by_wildcards_stays_open_while_the_clocks_change() {
    for (zone, day) in CHANGES {
        let midnight = day.parse::<jiff::civil::Date>().unwrap();
        let midnight = midnight.in_tz(zone).unwrap().timestamp();
        for (schedule, duration) in [
            ("* * * * *", "1m"),
            ("*/15 * * * *", "15m"),
            ("0 * * * *", "1h"),
            ("30 0-23 * * *", "1h"),
            ("* * * * SAT,SUN,MON", "1m"),
        ] {
            let window = RotationWindow::parse(&given(schedule, Some(zone), duration)).unwrap();
            for minute in (0..26 * 60_i64).step_by(7) {
                let at = midnight + minute.minutes();
                assert_eq!(window.next_open(at), Some(at), "{zone} {schedule}");
            }
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(96))]

    #[test]
    fn openings_are_those_of_a_clock_that_is_watched_minute_by_minute(
        (zone, day) in select(&CHANGES[..]),
        schedule in select(&SCHEDULES[..]),
        minutes in -1500..1500_i64,
    ) {
        let window = RotationWindow::parse(&given(schedule, Some(zone), "10m")).unwrap();
        let midnight = day.parse::<jiff::civil::Date>().unwrap().in_tz(zone).unwrap();
        let from = midnight.timestamp().round(jiff::Unit::Minute).unwrap() + minutes.minutes();
        let expected = openings(&window.cron, &window.zone, from, from + 30.hours());

        let mut at = from - 1.nanosecond();
        for opening in &expected {
            at = window.next_opening(at).unwrap();
            prop_assert_eq!(at, *opening);
        }
        // Seen from any instant, also while the clock shows a time for the second time.
        for quarter in 0..120_i64 {
            let at = from + (15 * quarter).minutes();
            let next = expected.iter().find(|opening| **opening > at);
            let last = expected.iter().rfind(|opening| **opening <= at);
            prop_assert!(next.is_none() || window.next_opening(at).as_ref() == next, "{at}");
            prop_assert!(last.is_none() || window.last_opening(at).as_ref() == last, "{at}");
        }
    }

    #[test]
    fn no_text_breaks_it(schedule in "[-0-9*,/#+LWA-Z@? ]{0,40}", zone in ".{0,12}", duration in ".{0,6}") {
        let _ = RotationWindow::parse(&given(&schedule, Some(&zone), &duration));
        let _ = RotationWindow::parse(&given(&schedule, None, "1h"));
    }

    #[test]
    fn every_text_of_five_plain_fields_opens_where_it_says(
        minute in 0..60_i8, hour in 0..24_i8, day in 1..29_i8, month in 1..13_i8, at in 0..4_000_000_000_i64,
    ) {
        let window = RotationWindow::parse(&given(&format!("{minute} {hour} {day} {month} *"), None, "1h")).unwrap();
        let at = Timestamp::from_second(at).unwrap();
        let opening = window.next_opening(at).unwrap();
        let clock = TimeZone::UTC.to_datetime(opening);
        prop_assert_eq!((clock.minute(), clock.hour(), clock.day(), clock.month()), (minute, hour, day, month));
        prop_assert!(at < opening && opening <= at + (366 * 24).hours());
    }
}
