//! ZITADEL's clock as seen from the local ones.

use std::time::Duration;

use jiff::{SignedDuration, Timestamp};

/// ZITADEL's clock at one instant; `Date` headers have whole seconds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ServerTime {
    /// What ZITADEL's `Date` header said.
    pub date: Timestamp,
    /// The local wall clock when that answer arrived.
    pub received: Timestamp,
    /// The local time since boot when that answer arrived.
    pub received_boottime: Duration,
}

impl ServerTime {
    /// How far ZITADEL's clock is ahead of the local wall clock, as it was when the answer arrived.
    pub fn ahead(&self) -> SignedDuration {
        self.date.duration_since(self.received)
    }

    /// ZITADEL's clock now, whatever has become of the local wall clock since.
    pub fn now(&self, boottime: Duration) -> Timestamp {
        let passed = boottime.saturating_sub(self.received_boottime);
        self.date.checked_add(passed).unwrap_or(Timestamp::MAX)
    }
}

/// The time in a `Date` header.
pub(super) fn parse_date_header(value: &http::HeaderValue) -> Option<Timestamp> {
    jiff::fmt::rfc2822::DateTimeParser::new()
        .parse_timestamp(value.to_str().ok()?)
        .ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn zitadels_clock_goes_on_by_the_time_since_boot() {
        let date: Timestamp = "2026-07-10T10:00:00Z".parse().unwrap();
        let time = ServerTime {
            date,
            received: "2026-07-10T09:59:50Z".parse().unwrap(),
            received_boottime: Duration::from_secs(100),
        };
        assert_eq!(time.ahead(), SignedDuration::from_secs(10));
        assert_eq!(
            time.now(Duration::from_secs(160)),
            date + Duration::from_mins(1)
        );
        assert_eq!(time.now(Duration::from_secs(1)), date);
        assert_eq!(time.now(Duration::MAX), Timestamp::MAX);
    }

    #[test]
    fn a_date_header_is_read_or_ignored() {
        let parse = |text: &'static str| parse_date_header(&http::HeaderValue::from_static(text));
        assert_eq!(
            parse("Fri, 10 Jul 2026 10:00:00 GMT"),
            "2026-07-10T10:00:00Z".parse().ok()
        );
        for bad in ["", "yesterday", "2026-07-10T10:00:00Z", "0"] {
            assert_eq!(parse(bad), None, "{bad:?}");
        }
    }
}
