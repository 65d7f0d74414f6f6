//! Clocks: local wall time, time since boot, and a server's time. No I/O but reading the clock.

use std::sync::Arc;
use std::time::Duration;

use jiff::{SignedDuration, Timestamp};
use parking_lot::Mutex;

/// The source of the process's time. Tests use a [`ManualClock`].
pub trait Clock: Send + Sync {
    /// The local wall clock. It may jump; no deadline is measured with it.
    fn wall(&self) -> Timestamp;

    /// Time since boot, including suspension (`CLOCK_BOOTTIME`). Every deadline is measured with it, because time also passes
    /// while a host is suspended.
    fn boot(&self) -> Duration;
}

/// The clocks of this host.
#[derive(Debug, Clone, Copy, Default)]
pub struct SystemClock;

// NB: macOS has no CLOCK_BOOTTIME; its CLOCK_MONOTONIC includes suspension.
#[cfg(any(target_os = "linux", target_os = "android"))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Boottime;
#[cfg(not(any(target_os = "linux", target_os = "android")))]
const SINCE_BOOT: rustix::time::ClockId = rustix::time::ClockId::Monotonic;

impl Clock for SystemClock {
    fn wall(&self) -> Timestamp {
        Timestamp::now()
    }

    fn boot(&self) -> Duration {
        // NB: never negative for these clocks, so the fallback is never taken.
        Duration::try_from(rustix::time::clock_gettime(SINCE_BOOT)).unwrap_or_default()
    }
}

/// A clock that tests advance.
#[derive(Debug)]
pub struct ManualClock(Mutex<(Timestamp, Duration)>);

impl ManualClock {
    /// Starts at `wall`, one hour after boot.
    pub fn new(wall: Timestamp) -> Self {
        Self(Mutex::new((wall, Duration::from_hours(1))))
    }

    /// Advances both clocks.
    pub fn advance(&self, by: Duration) {
        let mut now = self.0.lock();
        now.0 = now.0.saturating_add(by).unwrap_or(now.0);
        now.1 = now.1.saturating_add(by);
    }

    /// Sets only the wall clock, as NTP or an administrator does.
    pub fn set_wall(&self, wall: Timestamp) {
        self.0.lock().0 = wall;
    }
}

impl Clock for ManualClock {
    fn wall(&self) -> Timestamp {
        self.0.lock().0
    }

    fn boot(&self) -> Duration {
        self.0.lock().1
    }
}

/// A server's clock, from its `Date` header.
///
/// `Date` has a resolution of one second and is truncated (RFC 9110 §5.6.7), so a reading is behind by up to one second plus the
/// latency of the answer. With a new reading, [`ServerClock::now`] can step back by that much.
#[derive(Clone)]
pub struct ServerClock {
    clock: Arc<dyn Clock>,
    reading: Arc<Mutex<Option<Reading>>>,
}

#[derive(Debug, Clone, Copy)]
struct Reading {
    date: Timestamp,
    at_wall: Timestamp,
    at_boot: Duration,
}

impl ServerClock {
    /// A clock without a reading yet.
    pub fn new(clock: Arc<dyn Clock>) -> Self {
        Self {
            clock,
            reading: Arc::default(),
        }
    }

    /// Stores a reading: the server's date, and both local clocks when its answer arrived.
    /// A reading older than the stored one is discarded.
    pub fn update(&self, date: Timestamp, at_wall: Timestamp, at_boot: Duration) {
        let mut reading = self.reading.lock();
        if reading.is_none_or(|stored| stored.at_boot <= at_boot) {
            *reading = Some(Reading {
                date,
                at_wall,
                at_boot,
            });
        }
    }

    /// Takes a reading from the headers of an answer; without a readable `Date` nothing changes.
    pub fn observe(&self, headers: &http::HeaderMap) {
        let date = headers
            .get(http::header::DATE)
            .and_then(|value| value.to_str().ok())
            .and_then(parse_http_date);
        if let Some(date) = date {
            self.update(date, self.clock.wall(), self.clock.boot());
        }
    }

    /// The server's current time: the last reading plus the boot time elapsed since, so that a jump of the local wall
    /// clock does not affect it. `None` before the first reading.
    pub fn now(&self) -> Option<Timestamp> {
        let reading = self.reading()?;
        reading.date.checked_add(self.age_of(&reading)).ok()
    }

    /// The server's clock minus the local wall clock at the last reading.
    pub fn offset(&self) -> Option<SignedDuration> {
        self.reading()
            .map(|reading| reading.date.duration_since(reading.at_wall))
    }

    /// The age of the last reading. The drift of the local oscillator, at most about 100 ppm, grows with it.
    pub fn age(&self) -> Option<Duration> {
        self.reading().map(|reading| self.age_of(&reading))
    }

    fn reading(&self) -> Option<Reading> {
        *self.reading.lock()
    }

    fn age_of(&self, reading: &Reading) -> Duration {
        self.clock.boot().saturating_sub(reading.at_boot)
    }
}

/// Parses an HTTP date in the form that servers must send (IMF-fixdate, RFC 9110 §5.6.7), to the second.
pub fn parse_http_date(text: &str) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(text)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(text: &str) -> Timestamp {
        text.parse().unwrap()
    }

    fn server_ahead_by(seconds: i64) -> (Arc<ManualClock>, ServerClock) {
        let local = Arc::new(ManualClock::new(at("2026-03-01T12:00:00Z")));
        let server = ServerClock::new(local.clone());
        let date = local.wall() + SignedDuration::from_secs(seconds);
        server.update(date, local.wall(), local.boot());
        (local, server)
    }

    #[test]
    fn a_server_clock_without_a_reading_has_no_time() {
        let server = ServerClock::new(Arc::new(SystemClock));
        assert_eq!(server.now(), None);
        assert_eq!(server.age(), None);
        assert_eq!(server.offset(), None);
    }

    #[test]
    fn a_server_clock_runs_on_from_its_reading() {
        let (local, server) = server_ahead_by(-600);
        local.advance(Duration::from_secs(90));
        assert_eq!(server.now(), Some(at("2026-03-01T11:51:30Z")));
        assert_eq!(server.age(), Some(Duration::from_secs(90)));
        assert_eq!(server.offset(), Some(SignedDuration::from_secs(-600)));
    }

    #[test]
    fn a_jump_of_the_local_wall_clock_does_not_move_a_server_clock() {
        let (local, server) = server_ahead_by(0);
        local.set_wall(at("2031-01-01T00:00:00Z"));
        local.advance(Duration::from_secs(1));
        assert_eq!(server.now(), Some(at("2026-03-01T12:00:01Z")));
    }

    #[test]
    fn a_late_reading_does_not_replace_a_newer_one() {
        let (local, server) = server_ahead_by(0);
        let earlier = local.boot().checked_sub(Duration::from_secs(5)).unwrap();
        server.update(at("2020-01-01T00:00:00Z"), local.wall(), earlier);
        assert_eq!(server.now(), Some(at("2026-03-01T12:00:00Z")));
    }

    #[test]
    fn only_a_readable_date_header_is_a_reading() {
        let (_, server) = server_ahead_by(0);
        let mut headers = http::HeaderMap::new();
        for (text, now) in [
            ("yesterday", "2026-03-01T12:00:00Z"),
            ("Sun, 06 Nov 1994 08:49:37 GMT", "1994-11-06T08:49:37Z"),
        ] {
            headers.insert(http::header::DATE, text.parse().unwrap());
            server.observe(&headers);
            assert_eq!(server.now(), Some(at(now)), "{text}");
        }
    }

    #[test]
    fn the_boot_clock_runs_forward() {
        let first = SystemClock.boot();
        assert!(first > Duration::ZERO);
        assert!(SystemClock.boot() >= first);
    }
}
