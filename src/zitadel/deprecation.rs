//! What ZITADEL announces of the API that answered: `Deprecation` (RFC 9745) and `Sunset` (RFC 8594). No I/O.

use std::fmt;

use http::HeaderMap;
use jiff::Timestamp;

use crate::process::clock::parse_http_date;

/// The API that answered is deprecated.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Deprecation {
    /// Since when, if that is said.
    since: Option<Timestamp>,
    /// When it stops being served, if that is said.
    until: Option<Timestamp>,
}

impl Deprecation {
    /// What the headers of an answer announce.
    pub(super) fn of(headers: &HeaderMap) -> Option<Self> {
        let text = |name: &str| headers.get(name)?.to_str().ok();
        let since = text("deprecation")?;
        if since == "false" {
            return None;
        }
        let seconds = since.strip_prefix('@').and_then(|it| it.parse().ok());
        let time = seconds.and_then(|seconds| Timestamp::from_second(seconds).ok());
        Some(Self {
            // NB: drafts before the RFC had a date as in `Sunset`, or `true`.
            since: time.or_else(|| parse_http_date(since)),
            until: text("sunset").and_then(parse_http_date),
        })
    }
}

/// For messages: `deprecated since 2026-01-01, and served until 2027-01-01`.
impl fmt::Display for Deprecation {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let day = |time: Timestamp| time.strftime("%Y-%m-%d").to_string();
        f.write_str("deprecated")?;
        if let Some(since) = self.since {
            write!(f, " since {}", day(since))?;
        }
        match self.until {
            Some(until) => write!(f, ", and served until {}", day(until)),
            None => Ok(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn announced(headers: &[(&'static str, &'static str)]) -> Option<String> {
        let mut map = HeaderMap::new();
        for (name, value) in headers {
            map.insert(*name, value.parse().unwrap());
        }
        Deprecation::of(&map).map(|it| it.to_string())
    }

    #[test]
    fn a_deprecation_is_said_in_the_operators_own_words() {
        let sunset = ("sunset", "Fri, 01 Jan 2027 00:00:00 GMT");
        let rows = [
            (vec![], None),
            (vec![sunset], None),
            (vec![("deprecation", "false")], None),
            (vec![("deprecation", "true")], Some("deprecated")),
            (vec![("deprecation", "canary")], Some("deprecated")),
            (
                vec![("deprecation", "@1767225600")],
                Some("deprecated since 2026-01-01"),
            ),
            (
                vec![("deprecation", "Thu, 01 Jan 2026 00:00:00 GMT"), sunset],
                Some("deprecated since 2026-01-01, and served until 2027-01-01"),
            ),
            (
                vec![("deprecation", "@99999999999999999999")],
                Some("deprecated"),
            ),
        ];
        for (headers, said) in rows {
            assert_eq!(announced(&headers).as_deref(), said, "{headers:?}");
        }
    }
}
