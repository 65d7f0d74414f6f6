//! Identifiers as types: what they name can't be mixed up, and none can hold a value that would change the meaning of a
//! URL path. No I/O.

use std::fmt;
use std::hash::{DefaultHasher, Hasher as _};

use serde::{Deserialize, Serialize};

/// Why a text is not an identifier.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IdError {
    /// Nothing was given.
    #[error("is empty")]
    Empty,
    /// ZITADEL takes ids of at most 200 characters (`management.proto`).
    #[error("is longer than 200 characters")]
    TooLong,
    /// Only `A-Z a-z 0-9 _ . -` can stand in an id, and not `.` or `..` alone.
    #[error("has a character outside A-Z a-z 0-9 _ . - at position {0}")]
    Character(usize),
}

fn check(text: &str) -> Result<(), IdError> {
    if text.is_empty() {
        return Err(IdError::Empty);
    }
    if text.len() > 200 {
        return Err(IdError::TooLong);
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '.' | '-');
    match text.chars().position(|c| !allowed(c)) {
        Some(at) => Err(IdError::Character(at)),
        // NB: "." and ".." are path segments to every URL library.
        None if text.chars().all(|c| c == '.') => Err(IdError::Character(0)),
        None => Ok(()),
    }
}

macro_rules! id {
    ($(#[$doc:meta])* $name:ident) => {
        $(#[$doc])*
        #[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub struct $name(String);

        impl $name {
            /// The id as it is written.
            pub fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = IdError;
            fn try_from(text: String) -> Result<Self, IdError> {
                check(&text).map(|()| Self(text))
            }
        }

        impl TryFrom<&str> for $name {
            type Error = IdError;
            fn try_from(text: &str) -> Result<Self, IdError> {
                Self::try_from(text.to_owned())
            }
        }

        impl From<$name> for String {
            fn from(id: $name) -> String {
                id.0
            }
        }

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str(&self.0)
            }
        }
    };
}

id!(
    /// A ZITADEL organization.
    OrganizationId
);
id!(
    /// A ZITADEL project.
    ProjectId
);
id!(
    /// A ZITADEL application (not its client id).
    AppId
);
id!(
    /// A ZITADEL user; here the operator's own service user, or the editor of a change.
    UserId
);

/// A hash of a project's id, the same for as long as the process runs: objects are counted by project without keeping the id of each.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct ProjectKey(u64);

impl ProjectKey {
    /// That of a project with this id.
    pub fn of(id: &str) -> Self {
        let mut hasher = DefaultHasher::new();
        hasher.write(id.as_bytes());
        Self(hasher.finish())
    }
}

/// The place of a client secret among those of its application: the number of its event in ZITADEL's *project*, which only grows and which
/// the applications of a project share. Where the API gives no number, the time of the event stands for it, in microseconds; it is greater
/// than every number, so that what was made over such an API is newer than what was made before.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub struct Sequence(pub u64);

impl Sequence {
    /// From here on it is a time: the microseconds of September 2005, and more events than any project has.
    const FIRST_TIME: u64 = 1 << 50;

    /// A time as a place.
    pub fn of_time(time: jiff::Timestamp) -> Self {
        let microseconds = u64::try_from(time.as_microsecond()).unwrap_or_default();
        Self(microseconds.max(Self::FIRST_TIME))
    }

    /// Whether it is a time.
    pub const fn is_time(self) -> bool {
        self.0 >= Self::FIRST_TIME
    }

    /// ZITADEL's number, if it is one. Its first event has number 1; 0 stands for a value of which nothing is known.
    pub fn number(self) -> Option<u64> {
        (self.0 > 0 && !self.is_time()).then_some(self.0)
    }
}

/// For messages: `sequence 42`, or the time.
impl fmt::Display for Sequence {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let time = i64::try_from(self.0).ok().filter(|_| self.is_time());
        match time.and_then(|time| jiff::Timestamp::from_microsecond(time).ok()) {
            Some(time) => write!(f, "changed at {time}"),
            None => write!(f, "sequence {}", self.0),
        }
    }
}

/// The version of ZITADEL's API that a call goes to.
#[derive(
    Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize,
)]
pub enum ApiVersion {
    /// Management v1: with a journal, and reads that are up to date.
    #[default]
    V1,
    /// The application service v2: without both.
    V2,
}

impl ApiVersion {
    /// The version as it stands in specs and statuses.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::V1 => "V1",
            Self::V2 => "V2",
        }
    }
}

impl fmt::Display for ApiVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

// NB: a string on the wire, as in ZITADEL's JSON: JSON numbers lose uint64 precision in many readers.
impl Serialize for Sequence {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for Sequence {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = <std::borrow::Cow<'de, str>>::deserialize(deserializer)?;
        text.parse().map(Self).map_err(serde::de::Error::custom)
    }
}

/// One try to rotate one application: made before anything is sent, unique for ever (`UUIDv7`).
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct AttemptId(pub uuid::Uuid);

impl AttemptId {
    /// When it was made, by the clock of the process that made it; the epoch for an id without a time.
    pub fn made_at(&self) -> jiff::Timestamp {
        let (seconds, nanoseconds) = self.0.get_timestamp().map_or((0, 0), |made| made.to_unix());
        let time = i64::try_from(seconds)
            .ok()
            .zip(i32::try_from(nanoseconds).ok());
        time.and_then(|(seconds, nanoseconds)| jiff::Timestamp::new(seconds, nanoseconds).ok())
            .unwrap_or_default()
    }
}

impl fmt::Display for AttemptId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_attempt_knows_when_it_was_made() {
        let before = jiff::Timestamp::now();
        let made = AttemptId(uuid::Uuid::now_v7()).made_at();
        let off = made.duration_since(before);
        assert!(off.abs() < jiff::SignedDuration::from_secs(10), "{off}");
        assert_eq!(
            AttemptId(uuid::Uuid::nil()).made_at(),
            jiff::Timestamp::UNIX_EPOCH
        );
    }

    #[test]
    fn an_id_cannot_change_the_path_it_stands_in() {
        for bad in [
            "", "a/b", "..", ".", "a%2fb", "a b", "a\n", "ä", "a?b", "a#b",
        ] {
            assert!(AppId::try_from(bad).is_err(), "{bad:?}");
        }
        assert_eq!(AppId::try_from("x".repeat(201)), Err(IdError::TooLong));
        assert!(AppId::try_from("x".repeat(200)).is_ok());
        assert_eq!(AppId::try_from("ab/c"), Err(IdError::Character(2)));
        for good in ["269012345678901234", "a.b_c-D", "..a"] {
            assert!(AppId::try_from(good).is_ok(), "{good:?}");
        }
    }

    #[test]
    fn a_time_is_a_place_after_every_number() {
        let time: jiff::Timestamp = "2026-11-29T06:05:51.901573Z".parse().unwrap();
        let place = Sequence::of_time(time);
        assert_eq!(place, Sequence(1_795_932_351_901_573));
        assert_eq!((place.is_time(), place.number()), (true, None));
        assert_eq!(place.to_string(), format!("changed at {time}"));
        let number = Sequence(4_000_000_000);
        assert_eq!(
            (number.number(), number.to_string().as_str()),
            (Some(4_000_000_000), "sequence 4000000000")
        );
        assert!(
            number < place
                && place < Sequence::of_time(time + jiff::SignedDuration::from_micros(1))
        );
        assert!(Sequence::of_time(jiff::Timestamp::UNIX_EPOCH).is_time());
    }

    #[test]
    fn a_sequence_is_a_string_on_the_wire_and_keeps_all_64_bits() {
        let json = serde_json::to_string(&Sequence(u64::MAX)).unwrap();
        assert_eq!(json, "\"18446744073709551615\"");
        assert_eq!(
            serde_json::from_str::<Sequence>(&json).unwrap(),
            Sequence(u64::MAX)
        );
        for bad in ["\"-1\"", "\"18446744073709551616\"", "\"\"", "7", "null"] {
            assert!(serde_json::from_str::<Sequence>(bad).is_err(), "{bad}");
        }
    }
}
