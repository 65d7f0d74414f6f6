use jiff::ToSpan;
use proptest::{prelude::*, sample::select};

use super::*;
use crate::api;

const UID: &str = "0b1f6f0c-5a0e-4b57-9a5d-6d2f2f9f7b11";
const HOUR: Duration = Duration::from_hours(1);

fn window((schedule, zone, duration): (&str, &str, &str)) -> api::Window {
    api::Window {
        name: "w".to_owned(),
        schedule: schedule.to_owned(),
        time_zone: (!zone.is_empty()).then(|| zone.to_owned()),
        duration: duration.to_owned(),
    }
}

fn overlap_of(minimum: &str) -> api::Overlap {
    api::Overlap {
        minimum: Some(minimum.to_owned()),
        ..api::Overlap::default()
    }
}

fn rotation(interval: &str, jitter: i32, windows: &[(&str, &str, &str)]) -> Rotation {
    Rotation {
        interval: Some(interval.to_owned()),
        jitter_percent: Some(jitter),
        windows: Some(windows.iter().copied().map(window).collect()),
        ..Rotation::default()
    }
}

fn schedule(interval: &str, jitter: i32, windows: &[Drawn]) -> Schedule {
    Schedule::parse(Some(&rotation(interval, jitter, windows)), UID, HOUR).unwrap()
}

fn at(text: &str) -> Timestamp {
    text.parse().unwrap()
}

/// Schedule, time zone (none: empty), duration.
type Drawn = (&'static str, &'static str, &'static str);

/// Name, windows (schedule, time zone, duration), due, start, close.
type Case = (
    &'static str,
    &'static [Drawn],
    &'static str,
    &'static str,
    &'static str,
);

/// A case without a close is one of windows that never close.
const NEVER: &str = "";

#[rustfmt::skip]
const CASES: &[Case] = &[
    ("without a time zone it is UTC", &[("0 3 * * *", "", "1h")],
        "2026-01-10T12:00Z", "2026-01-11T03:00Z", "2026-01-11T04:00Z"),
    ("working days: due on Friday noon, starts on Monday", &[("0 3 * * MON-FRI", "Europe/Zurich", "2h")],
        "2026-01-09T12:00+01", "2026-01-12T03:00+01", "2026-01-12T05:00+01"),
    ("names in lower case", &[("0 3 * jan sun", "", "1h")],
        "2026-01-05T00:00Z", "2026-01-11T03:00Z", "2026-01-11T04:00Z"),
    ("7 is Sunday", &[("0 3 * * 7", "", "1h")],
        "2026-01-05T00:00Z", "2026-01-11T03:00Z", "2026-01-11T04:00Z"),
    ("Monday to Sunday is every day", &[("0 3 * * MON-SUN", "", "1h")],
        "2026-01-10T12:00Z", "2026-01-11T03:00Z", "2026-01-11T04:00Z"),

    ("Zurich: 02:30 in the gap opens at its end", &[("30 2 * * *", "Europe/Zurich", "1h")],
        "2026-03-28T12:00+01", "2026-03-29T03:00+02", "2026-03-29T04:00+02"),
    ("Zurich: the start of the gap opens at its end", &[("0 2 * * *", "Europe/Zurich", "1h")],
        "2026-03-28T12:00+01", "2026-03-29T03:00+02", "2026-03-29T04:00+02"),
    ("Zurich: two hours across the gap are two hours", &[("30 1 * * *", "Europe/Zurich", "2h")],
        "2026-03-28T12:00+01", "2026-03-29T01:30+01", "2026-03-29T04:30+02"),
    ("Zurich: 02:30 in the fold opens the first time", &[("30 2 * * *", "Europe/Zurich", "1h")],
        "2026-10-24T12:00+02", "2026-10-25T02:30+02", "2026-10-25T02:30+01"),
    ("Zurich: 02:30 in the fold does not open the second time", &[("30 2 * * *", "Europe/Zurich", "15m")],
        "2026-10-25T02:10+01", "2026-10-26T02:30+01", "2026-10-26T02:45+01"),
    ("Zurich: three hours across the fold are three hours", &[("0 2 * * *", "Europe/Zurich", "3h")],
        "2026-10-24T12:00+02", "2026-10-25T02:00+02", "2026-10-25T04:00+01"),
    ("Zurich: due in the second 02:40, in the window of the first 02:30", &[("30 2 * * *", "Europe/Zurich", "90m")],
        "2026-10-25T02:40+01", "2026-10-25T02:40+01", "2026-10-25T03:00+01"),
    ("Dublin: the gap is at 01:00", &[("30 1 * * *", "Europe/Dublin", "1h")],
        "2026-03-28T12:00Z", "2026-03-29T02:00+01", "2026-03-29T03:00+01"),
    ("New York: 02:15 in the gap opens at its end", &[("15 2 * * *", "America/New_York", "1h")],
        "2026-03-07T12:00-05", "2026-03-08T03:00-04", "2026-03-08T04:00-04"),
    ("New York: every hour, the gap included", &[("0 * * * *", "America/New_York", "10m")],
        "2026-03-08T01:30-05", "2026-03-08T03:00-04", "2026-03-08T03:10-04"),
    ("New York: 01:30 in the fold opens the first time", &[("30 1 * * *", "America/New_York", "1h")],
        "2026-10-31T12:00-04", "2026-11-01T01:30-04", "2026-11-01T01:30-05"),
    ("New York: every quarter, not in the repeated hour", &[("*/15 * * * *", "America/New_York", "5m")],
        "2026-11-01T01:50-04", "2026-11-01T02:00-05", "2026-11-01T02:05-05"),
    ("Lord Howe: a gap of half an hour in October", &[("15 2 * * *", "Australia/Lord_Howe", "1h")],
        "2026-10-03T12:00+10:30", "2026-10-04T02:30+11", "2026-10-04T03:30+11"),
    ("Lord Howe: a fold of half an hour in April", &[("45 1 * * *", "Australia/Lord_Howe", "20m")],
        "2026-04-04T12:00+11", "2026-04-05T01:45+11", "2026-04-05T01:35+10:30"),
    ("Lord Howe: the second 01:45 does not open", &[("45 1 * * *", "Australia/Lord_Howe", "20m")],
        "2026-04-05T01:40+10:30", "2026-04-06T01:45+10:30", "2026-04-06T02:05+10:30"),
    ("Chatham: the gap is at 02:45", &[("0 3 * * *", "Pacific/Chatham", "1h")],
        "2026-09-26T12:00+12:45", "2026-09-27T03:45+13:45", "2026-09-27T04:45+13:45"),
    ("Sao Paulo 2018: a midnight that did not exist", &[("0 0 * * *", "America/Sao_Paulo", "1h")],
        "2018-11-03T12:00-03", "2018-11-04T01:00-02", "2018-11-04T02:00-02"),
    ("Sao Paulo 2018: the hour before midnight twice", &[("30 23 * * *", "America/Sao_Paulo", "1h")],
        "2018-02-17T12:00-02", "2018-02-17T23:30-02", "2018-02-17T23:30-03"),
    ("Sao Paulo today: no change of clocks", &[("30 0 * * *", "America/Sao_Paulo", "1h")],
        "2026-10-31T12:00-03", "2026-11-01T00:30-03", "2026-11-01T01:30-03"),
    ("Apia 2011: a day that did not exist", &[("0 12 30 12 *", "Pacific/Apia", "1h")],
        "2011-12-01T00:00-10", "2011-12-31T00:00+14", "2011-12-31T01:00+14"),
    ("Kathmandu: three quarters past", &[("0 3 * * *", "Asia/Kathmandu", "1h")],
        "2026-01-10T00:00Z", "2026-01-10T21:15Z", "2026-01-10T22:15Z"),

    ("29 February waits for a leap year", &[("0 3 29 2 *", "", "1h")],
        "2026-03-01T00:00Z", "2028-02-29T03:00Z", "2028-02-29T04:00Z"),
    ("29 February: 2100 is no leap year", &[("0 3 29 2 *", "", "1h")],
        "2096-03-01T00:00Z", "2104-02-29T03:00Z", "2104-02-29T04:00Z"),
    ("last day of February in a leap year", &[("0 3 L * *", "", "1h")],
        "2028-02-10T00:00Z", "2028-02-29T03:00Z", "2028-02-29T04:00Z"),
    ("last day of February in a common year", &[("0 3 L 2 *", "", "1h")],
        "2027-02-10T00:00Z", "2027-02-28T03:00Z", "2027-02-28T04:00Z"),
    ("the 31st passes over April", &[("0 3 31 * *", "", "1h")],
        "2026-03-31T04:00Z", "2026-05-31T03:00Z", "2026-05-31T04:00Z"),
    ("working day nearest the 15th, a Sunday", &[("0 3 15W 11 *", "", "1h")],
        "2026-11-01T00:00Z", "2026-11-16T03:00Z", "2026-11-16T04:00Z"),
    ("first Sunday of the month", &[("0 3 1-7 * +SUN", "", "1h")],
        "2026-06-08T00:00Z", "2026-07-05T03:00Z", "2026-07-05T04:00Z"),
    ("the 13th or a Friday", &[("0 3 13 * FRI", "", "1h")],
        "2026-06-08T00:00Z", "2026-06-12T03:00Z", "2026-06-12T04:00Z"),
    ("a Friday the 13th", &[("0 3 13 * +FRI", "", "1h")],
        "2026-03-14T00:00Z", "2026-11-13T03:00Z", "2026-11-13T04:00Z"),
    ("second Friday", &[("0 3 * * 5#2", "", "1h")],
        "2026-06-13T00:00Z", "2026-07-10T03:00Z", "2026-07-10T04:00Z"),
    ("last Friday", &[("0 3 * * FRI#L", "", "1h")],
        "2026-06-13T00:00Z", "2026-06-26T03:00Z", "2026-06-26T04:00Z"),

    ("windows that overlap are one", &[("0 3 * * *", "", "2h"), ("0 4 * * *", "", "3h")],
        "2026-01-10T02:00Z", "2026-01-10T03:00Z", "2026-01-10T07:00Z"),
    ("windows that touch are one", &[("0 3 * * *", "", "1h"), ("0 4 * * *", "", "1h")],
        "2026-01-10T02:00Z", "2026-01-10T03:00Z", "2026-01-10T05:00Z"),
    ("of two time zones the next one counts",
        &[("0 3 * * *", "Europe/Zurich", "1h"), ("0 3 * * *", "America/New_York", "1h")],
        "2026-01-10T05:00Z", "2026-01-10T08:00Z", "2026-01-10T09:00Z"),
    ("a window across midnight is still open after it", &[("0 22 * * *", "Europe/Zurich", "4h")],
        "2026-01-11T01:00+01", "2026-01-11T01:00+01", "2026-01-11T02:00+01"),
    ("due at the opening", &[("0 3 * * *", "", "1h")],
        "2026-01-10T03:00Z", "2026-01-10T03:00Z", "2026-01-10T04:00Z"),
    ("due just before the opening", &[("0 3 * * *", "", "1h")],
        "2026-01-10T02:59:59.999999999Z", "2026-01-10T03:00Z", "2026-01-10T04:00Z"),
    ("due at the close", &[("0 3 * * *", "", "1h")],
        "2026-01-10T04:00Z", "2026-01-11T03:00Z", "2026-01-11T04:00Z"),
    ("longer than its period: always open", &[("0 */6 * * *", "", "8h")],
        "2026-01-10T05:17Z", "2026-01-10T05:17Z", NEVER),
    ("as long as its period: always open", &[("0 * * * *", "", "1h")],
        "2026-01-10T05:17Z", "2026-01-10T05:17Z", NEVER),
    ("a week from the first of the month", &[("0 0 1 * *", "", "7d")],
        "2026-01-10T00:00Z", "2026-02-01T00:00Z", "2026-02-08T00:00Z"),
    ("New Year in Auckland is the day before in UTC", &[("0 0 1 1 *", "Pacific/Auckland", "2h")],
        "2026-12-30T12:00Z", "2026-12-31T11:00Z", "2026-12-31T13:00Z"),
    ("a window across the end of the year", &[("0 23 31 12 *", "", "3h")],
        "2026-12-31T23:30Z", "2026-12-31T23:30Z", "2027-01-01T02:00Z"),
    ("no window at all: at once", &[], "2026-01-10T05:17Z", "2026-01-10T05:17Z", NEVER),
];

#[test]
fn the_calendar_cases_start_and_close_when_they_should() {
    let mut names = std::collections::BTreeSet::new();
    for (name, windows, due, start, close) in CASES {
        assert!(names.insert(name), "twice: {name}");
        let (due, start) = (at(due), at(start));
        let schedule = schedule("30d", 0, windows);
        let last = due - 720.hours();

        let before = schedule.state(last, last + 1.hour());
        assert_eq!(before, DueState::NotDue { next: start }, "{name}");
        assert_eq!(schedule.start(last), Some(start), "{name}");
        if due < start {
            for now in [due, start - 1.nanosecond()] {
                let DueState::AwaitingWindow { since, opens, .. } = schedule.state(last, now)
                else {
                    panic!("{name}: not waiting at {now}");
                };
                assert_eq!((since, opens), (due, start), "{name}");
            }
        }
        let due_at =
            |now| matches!(schedule.state(last, now), DueState::Due { since, .. } if since == due);
        assert!(due_at(start), "{name}: not due at its start");
        if *close == NEVER {
            for hours in 1..100 {
                assert!(due_at(start + hours.hours()), "{name}: {hours} h later");
            }
        } else {
            let close = at(close);
            assert!(due_at(close - 1.nanosecond()), "{name}: closed too early");
            assert!(!due_at(close), "{name}: closed too late");
        }
    }
    assert!(names.len() >= 30, "{} cases", names.len());
}

#[test]
fn a_rotation_is_overdue_one_gap_after_it_became_due() {
    let nights = [("0 3 * * MON-FRI", "", "2h")];
    let cases: &[(&[Drawn], &str, &str)] = &[
        // Due, overdue. The gap from Friday to Monday is three days.
        (&nights, "2026-01-09T12:00Z", "2026-01-12T12:00Z"),
        (&nights, "2026-01-08T12:00Z", "2026-01-09T12:00Z"),
        (&nights, "2026-01-08T03:30Z", "2026-01-09T03:30Z"),
        (&[], "2026-01-08T03:30Z", "2026-01-08T04:30Z"),
        (
            &[("* * * * *", "", "1m")],
            "2026-01-08T03:30Z",
            "2026-01-08T04:30Z",
        ),
        (
            &[("0 0 1 1 *", "", "1d")],
            "2026-06-01T00:00Z",
            "2027-06-01T00:00Z",
        ),
    ];
    for (windows, due, overdue) in cases {
        let schedule = schedule("30d", 0, windows);
        let (due, limit) = (at(due), at(overdue));
        let state = |now| match schedule.state(due - 720.hours(), now) {
            DueState::AwaitingWindow { overdue, .. } | DueState::Due { overdue, .. } => overdue,
            other => panic!("{other:?}"),
        };
        assert!(!state(due), "{due}");
        assert!(!state(limit - 1.nanosecond()), "{due}");
        assert!(state(limit), "{due}");
        assert!(state(limit + 1000.hours()), "{due}");
    }
}

#[test]
fn without_an_interval_only_a_trigger_rotates() {
    let windows = Rotation {
        windows: Some(vec![window(("0 3 * * *", "", "1h"))]),
        ..Rotation::default()
    };
    for given in [None, Some(&Rotation::default()), Some(&windows)] {
        let schedule = Schedule::parse(given, UID, HOUR).unwrap();
        assert_eq!(
            schedule.state(Timestamp::UNIX_EPOCH, at("2026-01-01T00:00Z")),
            DueState::OnTriggerOnly
        );
        assert_eq!(schedule.describe(), "on trigger only");
    }
}

#[test]
fn a_credential_made_in_the_future_is_not_due() {
    let schedule = schedule("1h", 0, &[]);
    let now = at("2026-01-01T00:00Z");
    let last = at("2031-01-01T00:00Z");
    assert_eq!(
        schedule.state(last, now),
        DueState::NotDue {
            next: at("2031-01-01T01:00Z")
        }
    );
}

#[test]
fn the_ends_of_time_are_not_due_and_break_nothing() {
    let windows = [
        ("30 2 29 2 *", "Europe/Zurich", "7d"),
        ("* * * * *", "Pacific/Apia", "1m"),
    ];
    for windows in [&windows[..], &windows[..1], &[]] {
        let schedule = schedule("3650d", 50, windows);
        for last in [Timestamp::MIN, Timestamp::MAX] {
            for now in [
                Timestamp::MIN,
                Timestamp::UNIX_EPOCH,
                Timestamp::MAX - 1.second(),
            ] {
                let state = schedule.state(last, now);
                assert!(
                    last == Timestamp::MIN || matches!(state, DueState::NotDue { .. }),
                    "{last} {now} {state:?}"
                );
            }
        }
    }
}

#[test]
fn bad_values_are_refused_with_their_field_and_what_to_write() {
    let interval = |text: &str| rotation(text, 10, &[]);
    let mut overlap = interval("30d");
    overlap.overlap = Some(overlap_of("1x"));
    let mut long_overlap = interval("30d");
    long_overlap.overlap = Some(overlap_of("3651d"));
    let good = ("0 3 * * *", "", "1h");
    for (given, expected) in [
        (
            interval("30"),
            "spec.rotation.interval ends with a number without a unit; add one of w d h m s, such as 30d",
        ),
        (
            interval("0d"),
            "spec.rotation.interval is zero; write a time such as 30d, or leave it out to rotate on trigger only",
        ),
        (
            interval("59m59s"),
            "spec.rotation.interval is shorter than this operator allows; write 1h or more",
        ),
        (
            interval("3650d1s"),
            "spec.rotation.interval is longer than ten years; write 3650d or less, or leave it out to rotate on trigger only",
        ),
        (
            interval("999999w"),
            "spec.rotation.interval is longer than ten years; write 3650d or less, or leave it out to rotate on trigger only",
        ),
        (
            rotation("30d", 51, &[]),
            "spec.rotation.jitterPercent is not between 0 and 50; write percent of the interval, such as 10",
        ),
        (
            rotation("30d", -1, &[]),
            "spec.rotation.jitterPercent is not between 0 and 50; write percent of the interval, such as 10",
        ),
        (
            overlap,
            "spec.rotation.overlap.minimum has something that is neither a digit nor one of the units w d h m s at position 1; write such as 30d or 1d12h",
        ),
        (
            long_overlap,
            "spec.rotation.overlap.minimum is longer than ten years; leave spec.rotation.overlap out to keep the old credential until the next rotation",
        ),
        (
            rotation("30d", 0, &[good; 17]),
            "spec.rotation.windows has more than 16 windows; combine some, such as 0 1,3 * * MON-FRI",
        ),
        (
            rotation("30d", 0, &[good, ("0 3 * * *", "Mars/Olympus", "1h")]),
            "spec.rotation.windows[name=w].timeZone is not a known time zone; write an IANA name, such as Europe/Zurich or UTC",
        ),
        (
            rotation("30d", 0, &[("0 25 * * *", "", "1h")]),
            "spec.rotation.windows[name=w].schedule can't be read in its second field (hour); write 0-23 and * , - /, such as 3 or 1-5",
        ),
        (
            rotation("30d", 0, &[good, good, ("0 3 30 2 *", "", "1h")]),
            "spec.rotation.windows[name=w].schedule never opens: no day of the calendar fits it; choose a day that its month has, such as 28 or L in February",
        ),
        (
            rotation("30d", 0, &[("0 3 * * *", "", "8d")]),
            "spec.rotation.windows[name=w].duration is longer than 7d; write 7d or less, or leave out the windows",
        ),
    ] {
        let error = Schedule::parse(Some(&given), UID, HOUR).unwrap_err();
        assert_eq!(error.to_string(), expected);
    }
    // A stored window may have no name, or one that is none.
    for name in ["", "a b", "Ä", &"x".repeat(64)] {
        let mut given = rotation("30d", 0, &[good, ("0 3 * * *", "", "8d")]);
        given.windows.as_mut().unwrap()[1].name = name.to_owned();
        let error = Schedule::parse(Some(&given), UID, HOUR).unwrap_err();
        assert!(
            error
                .to_string()
                .starts_with("spec.rotation.windows[1].duration is longer"),
            "{error}"
        );
    }
}

#[test]
fn a_refusal_never_repeats_what_was_written() {
    let long = "q".repeat(100_000);
    let mut overlap = rotation("30d", 10, &[]);
    overlap.overlap = Some(overlap_of(&long));
    for given in [
        rotation(&long, 10, &[]),
        rotation("30d", 10, &[(&long, "", "1h")]),
        rotation("30d", 10, &[("0 3 * * *", &long, "1h")]),
        rotation("30d", 10, &[("0 3 * * *", "", &long)]),
        rotation("30d", 10, &[("0 qqq * * *", "", "1h")]),
        overlap,
    ] {
        let error = Schedule::parse(Some(&given), UID, HOUR).unwrap_err();
        let text = error.to_string();
        assert!(text.len() < 300 && !text.contains("qq"), "{text}");
    }
}

#[test]
fn the_minimum_is_the_operators() {
    let second = Duration::from_secs(1);
    assert!(Schedule::parse(Some(&rotation("5s", 0, &[])), UID, second).is_ok());
    assert_eq!(
        Schedule::parse(Some(&rotation("5s", 0, &[])), UID, HOUR),
        Err(ScheduleError::IntervalTooShort { minimum: HOUR })
    );
}

#[test]
fn a_schedule_is_described_in_a_sentence() {
    let night = ("0 3 * * MON-FRI", "Europe/Zurich", "2h");
    let sunday = ("0 5 * * SUN", "", "90m");
    for (windows, expected) in [
        (&[][..], "every 30d"),
        (
            &[night],
            "every 30d, at 03:00, Monday through Friday, for 2h (Europe/Zurich)",
        ),
        (
            &[night, sunday],
            "every 30d, at 03:00, Monday through Friday, for 2h (Europe/Zurich); or at 05:00, on Sunday, for 1h30m (UTC)",
        ),
    ] {
        assert_eq!(schedule("30d", 10, windows).describe(), expected);
    }
    let many = schedule("30d", 10, &[sunday; 16]).describe();
    assert!(many.ends_with("; or in 13 other windows") && many.len() < 700);
}

#[test]
fn the_overlap_is_read_and_can_be_zero() {
    for (text, expected) in [("24h", 24 * 3600), ("0s", 0)] {
        let mut given = rotation("30d", 10, &[]);
        given.overlap = Some(overlap_of(text));
        let schedule = Schedule::parse(Some(&given), UID, HOUR).unwrap();
        let made = Timestamp::UNIX_EPOCH;
        let ends = made + Duration::from_secs(expected);
        assert_eq!(schedule.overlap().map(|it| it.ends(made)), Some(ends));
    }
    assert_eq!(schedule("30d", 10, &[]).overlap(), None);
}

#[test]
fn the_offset_of_an_object_never_changes() {
    // NB: other numbers here would move every rotation of every fleet at the next upgrade.
    let month = Duration::from_hours(30 * 24);
    assert_eq!(fnv1a("".bytes()), 0xcbf2_9ce4_8422_2325);
    assert_eq!(fnv1a("a".bytes()), 0xaf63_dc4c_8601_ec8c);
    assert_eq!(offset(month, 10, UID), Duration::from_secs(203_779));
    assert_eq!(offset(month, 0, UID), Duration::ZERO);
    assert_eq!(offset(Duration::from_secs(5), 10, UID), Duration::ZERO);
}

#[test]
fn a_fleet_made_together_is_spread_over_the_jitter() {
    let month = Duration::from_hours(30 * 24);
    let mut tenths = [0_u32; 10];
    for object in 0..10_000 {
        let uid = format!("0b1f6f0c-5a0e-4b57-9a5d-{object:012x}");
        let offset = offset(month, 10, &uid).as_secs();
        tenths[usize::try_from(offset * 10 / (3 * 86_400)).unwrap()] += 1;
    }
    for count in tenths {
        assert!((800..1200).contains(&count), "{tenths:?}");
    }
}

#[test]
fn a_backlog_is_spread_over_its_span() {
    let most = Duration::from_secs(600);
    assert_eq!(Backlog::span(10, most), None);
    assert_eq!(Backlog::span(11, most), Some(Duration::from_millis(6_600)));
    assert_eq!(Backlog::span(5_000, most), Some(most));
    let since = at("2026-03-01T00:00:00Z");
    let backlog = Backlog { since, span: most };
    let mut minutes = [0; 10];
    for n in 0..1000 {
        let start = backlog.start_of(&format!("00000000-0000-0000-0000-{n:012}"));
        let offset = start.duration_since(since).as_secs() / 60;
        minutes[usize::try_from(offset).unwrap()] += 1;
    }
    assert!(
        minutes.iter().all(|count| (50..200).contains(count)),
        "{minutes:?}"
    );
}

#[test]
fn a_state_costs_little_even_with_sixteen_rare_windows() {
    let usual = ("0 3 * * MON-FRI", "Europe/Zurich", "2h");
    let rare = ("0 3 29 2 +MON", "Australia/Lord_Howe", "1h");
    // NB: the limits are far above what it takes (a debug build on a busy machine) and far below a search without a bound.
    for (windows, limit) in [(&[usual; 1][..], 100), (&[rare; 16][..], 2_000)] {
        let schedule = schedule("30d", 10, windows);
        let last = at("2026-01-01T00:00Z");
        let start = std::time::Instant::now();
        for days in 0..5 {
            let state = schedule.state(last, last + (24 * (37 + days)).hours());
            assert!(matches!(state, DueState::AwaitingWindow { .. }));
        }
        let each = start.elapsed() / 5;
        println!("{} windows: {each:?}", windows.len());
        assert!(each < Duration::from_millis(limit), "{each:?}");
    }
}

const ZONES: [&str; 8] = [
    "",
    "Europe/Zurich",
    "America/New_York",
    "Australia/Lord_Howe",
    "America/Sao_Paulo",
    "Asia/Kathmandu",
    "Pacific/Chatham",
    "Africa/Casablanca",
];
const SCHEDULES: [&str; 12] = [
    "0 3 * * *",
    "30 2 * * *",
    "0 2 * * SUN",
    "0 3 * * MON-FRI",
    "*/15 * * * *",
    "0 */6 * * *",
    "30 23 L * *",
    "0 0 1 1 *",
    "0 3 29 2 *",
    "0 3 15W * *",
    "0 3 1-7 * +SUN",
    "0 12 13 * FRI",
];
const DURATIONS: [&str; 5] = ["1m", "1h", "2h30m", "1d", "7d"];
const INTERVALS: [&str; 6] = ["1h", "1d12h", "1w", "30d", "90d", "365d"];

fn windows() -> impl Strategy<Value = Vec<Drawn>> {
    prop::collection::vec(
        (
            select(&SCHEDULES[..]),
            select(&ZONES[..]),
            select(&DURATIONS[..]),
        ),
        0..4,
    )
}

fn instants() -> impl Strategy<Value = Timestamp> {
    // From 2001 to 2065, some of them around the changes of clocks of 2026.
    prop_oneof![
        1_000_000_000..3_000_000_000_i64,
        1_774_700_000..1_774_800_000_i64,
        1_792_800_000..1_792_950_000_i64,
    ]
    .prop_map(|second| Timestamp::from_second(second).unwrap())
}

/// The first instant at which a rotation can start, as the state says it at `now`.
fn start(state: DueState, now: Timestamp) -> Timestamp {
    state.next_start().unwrap_or(now)
}

fn open(windows: &[Drawn], at: Timestamp) -> bool {
    windows.is_empty()
        || windows.iter().any(|drawn| {
            RotationWindow::parse(&window(*drawn))
                .unwrap()
                .next_open(at)
                == Some(at)
        })
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn the_next_start_is_in_a_window_and_after_the_last_rotation(
        interval in select(&INTERVALS[..]), jitter in 0..=50, windows in windows(), last in instants(), later in -100..20_000_i64,
    ) {
        let schedule = schedule(interval, jitter, &windows);
        let now = last + later.hours();
        let state = schedule.state(last, now);
        let start = start(state, now);
        prop_assert!(last < start);
        prop_assert!(open(&windows, start));
        // What was foretold for then is so then.
        let then = schedule.state(last, start);
        prop_assert!(matches!(then, DueState::Due { .. }), "{then:?}");
        // And not any earlier.
        if now < start {
            let before = schedule.state(last, start - 1.nanosecond());
            prop_assert!(!matches!(before, DueState::Due { .. }), "{before:?}");
        }
    }

    #[test]
    fn no_rotation_starts_before_interval_and_offset_are_over_or_outside_a_window(
        interval in select(&INTERVALS[..]), jitter in 0..=50, windows in windows(), last in instants(), later in -100..20_000_i64,
    ) {
        let schedule = schedule(interval, jitter, &windows);
        let now = last + later.hours();
        let length = interval::parse(interval).unwrap();
        let offset = offset(length, u32::try_from(jitter).unwrap(), UID);
        prop_assert!(offset.is_zero() || offset * 100 < length * u32::try_from(jitter).unwrap());
        let due = last + length + offset;
        match schedule.state(last, now) {
            DueState::Due { since, .. } => {
                prop_assert!(since == due && due <= now && open(&windows, now));
            }
            DueState::AwaitingWindow { since, opens, .. } => {
                prop_assert!(since == due && due <= now && now < opens && !open(&windows, now));
            }
            DueState::NotDue { next } => {
                prop_assert!(now < due && due <= next);
                prop_assert!(!windows.is_empty() || next == due);
            }
            DueState::OnTriggerOnly
            | DueState::CatchingUp { .. }
            | DueState::AwaitingConsumers { .. } => prop_assert!(false),
        }
    }

    #[test]
    fn a_backlog_delays_only_what_became_due_before_and_never_past_its_window(
        interval in select(&INTERVALS[..]), windows in windows(), last in instants(), later in 0..20_000_i64, away in 0..100_i64,
        span in 1..7_200_u64, uid in "[a-z0-9-]{1,36}",
    ) {
        let schedule = schedule(interval, 0, &windows);
        let now = last + later.hours();
        let backlog = Backlog { since: now - away.minutes(), span: Duration::from_secs(span) };
        let plain = schedule.state(last, now);
        let state = schedule.state_after_downtime(last, now, &uid, backlog);
        match state {
            DueState::CatchingUp { since, starts, .. } => {
                prop_assert!(since < backlog.since && now < starts);
                prop_assert!(starts < backlog.since + backlog.span);
                let then = schedule.state_after_downtime(last, starts, &uid, backlog);
                prop_assert!(matches!(then, DueState::Due { .. }), "{then:?}");
                let is_due = matches!(plain, DueState::Due { .. });
                prop_assert!(is_due);
            }
            state => prop_assert_eq!(state, plain),
        }
    }

    #[test]
    fn as_time_passes_the_start_never_moves_back_and_due_never_becomes_not_due(
        interval in select(&INTERVALS[..]), jitter in 0..=50, windows in windows(), last in instants(),
        mut steps in prop::collection::vec(0..10_000_000_i64, 2..12),
    ) {
        let schedule = schedule(interval, jitter, &windows);
        steps.sort_unstable();
        let mut before: Option<(Timestamp, bool, bool)> = None;
        for step in steps {
            let now = last + step.seconds();
            let state = schedule.state(last, now);
            let due = !matches!(state, DueState::NotDue { .. });
            let overdue = matches!(state, DueState::Due { overdue: true, .. } | DueState::AwaitingWindow { overdue: true, .. });
            let start = start(state, now);
            if let Some((earlier, was_due, was_overdue)) = before {
                prop_assert!(earlier <= start);
                prop_assert!(due || !was_due);
                prop_assert!(overdue || !was_overdue);
            }
            before = Some((start, due, overdue));
        }
    }

    #[test]
    fn a_younger_credential_never_starts_earlier(
        interval in select(&INTERVALS[..]), windows in windows(), last in instants(), by in 0..5_000_i64, later in 0..20_000_i64,
    ) {
        let schedule = schedule(interval, 10, &windows);
        let now = last + later.hours();
        prop_assert!(start(schedule.state(last, now), now) <= start(schedule.state(last + by.hours(), now), now));
    }

    #[test]
    fn a_restart_changes_nothing(
        interval in select(&INTERVALS[..]), jitter in 0..=50, windows in windows(), last in instants(), later in 0..20_000_i64, uid in "[0-9a-f-]{0,36}",
    ) {
        let given = rotation(interval, jitter, &windows);
        let now = last + later.hours();
        let read = || Schedule::parse(Some(&given), &uid, HOUR).unwrap();
        prop_assert_eq!(read(), read());
        prop_assert_eq!(read().state(last, now), read().state(last, now));
        prop_assert_eq!(read().describe(), read().describe());
    }

    #[test]
    fn a_changed_schedule_never_rotates_earlier_than_it_says_itself(
        intervals in (select(&INTERVALS[..]), select(&INTERVALS[..])), windows in (windows(), windows()), last in instants(), change in 0..9_000_i64,
    ) {
        let now = last + change.hours();
        let old = schedule(intervals.0, 10, &windows.0);
        let new = schedule(intervals.1, 10, &windows.1);
        // Nothing rotated by the old one; from now on the new one alone counts.
        let _ = old.state(last, now);
        if let DueState::Due { .. } = new.state(last, now) {
            prop_assert!(last + interval::parse(intervals.1).unwrap() <= now);
            prop_assert!(open(&windows.1, now));
        }
    }

    #[test]
    fn a_schedule_never_rotates_more_often_than_its_interval_allows(
        interval in select(&["1h", "1d12h", "1w"][..]), jitter in 0..=50, windows in windows(), first in instants(), period in 1..2_000_u32,
    ) {
        let schedule = schedule(interval, jitter, &windows);
        let period = HOUR * period;
        let most = period.as_secs() / interval::parse(interval).unwrap().as_secs() + 1;
        let mut last = first;
        let mut made = 0;
        // Rotates as early as it may.
        for _ in 0..=most.min(60) {
            last = start(schedule.state(last, last), last);
            made += u64::from(last < first + period);
        }
        prop_assert!(made <= most);
    }

    #[test]
    fn while_a_rotation_is_not_overdue_it_waits_for_one_gap_at_most(
        windows in windows(), last in instants(), later in 0..20_000_i64,
    ) {
        let schedule = schedule("1d12h", 10, &windows);
        let now = last + later.hours();
        if let DueState::AwaitingWindow { opens, overdue: true, since } = schedule.state(last, now) {
            // Overdue while it waits: at least one window opened, or was open, since it became due.
            prop_assert!(schedule.first_start(since) < now && now < opens);
        }
    }
}
