//! An answer on its way to the client, and how JSON is written. Does no I/O.

use std::io;

use bytes::Bytes;
use jiff::Timestamp;
use serde::Serialize as _;
use serde_json::Value;
use serde_json::ser::{CompactFormatter, Formatter, Serializer};

use crate::config::Whitespace;
use crate::faults::actions::Cut;
use crate::faults::replies::Reply;
use crate::random;

/// Status, headers and body.
#[derive(Clone, Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: Bytes,
    pub(crate) end: End,
}

/// How the body ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum End {
    Whole,
    /// After this many bytes the connection ends.
    CutAfter(usize),
    Never,
}

/// What the client gets.
#[derive(Clone, Debug)]
pub(crate) enum Delivery {
    Answer(Answer),
    /// The connection ends.
    Drop(Cut),
    /// The client has gone; nothing was executed.
    RolledBack,
}

impl Answer {
    pub(crate) fn new(status: u16, content_type: &str, body: impl Into<Bytes>) -> Self {
        let mut answer = Self {
            status,
            headers: Vec::new(),
            body: body.into(),
            end: End::Whole,
        };
        if !content_type.is_empty() {
            answer.set("content-type", content_type);
        }
        answer
    }

    pub(crate) fn json(status: u16, body: &Value, whitespace: Whitespace) -> Self {
        Self::new(status, "application/json", json_bytes(body, whitespace))
    }

    /// Marked as everything is that passes ZITADEL's interceptors (`cache_interceptor.go`).
    pub(crate) fn uncached(self) -> Self {
        self.with("cache-control", "no-store")
    }

    pub(crate) fn with(mut self, name: &str, value: &str) -> Self {
        self.set(name, value);
        self
    }

    /// Sets a header, replacing one of that name.
    pub(crate) fn set(&mut self, name: &str, value: &str) {
        self.headers.retain(|(existing, _)| existing != name);
        self.headers.push((name.to_owned(), value.to_owned()));
    }
}

impl From<&Reply> for Answer {
    fn from(reply: &Reply) -> Self {
        let mut answer = Self::new(reply.status, &reply.content_type, reply.body.clone());
        answer.headers.extend(
            reply
                .headers
                .iter()
                .map(|(name, value)| (name.to_lowercase(), value.clone())),
        );
        answer
    }
}

/// Sets a field of a JSON object.
pub(crate) fn set(object: &mut Value, name: &str, value: impl Into<Value>) {
    if let Some(object) = object.as_object_mut() {
        object.insert(name.to_owned(), value.into());
    }
}

/// RFC 3339 in UTC with 0, 3 or 6 digits of a second, as protojson prints microseconds.
pub(crate) fn rfc3339(at: Timestamp) -> String {
    let seconds = at.strftime("%Y-%m-%dT%H:%M:%S");
    match at.as_microsecond().rem_euclid(1_000_000) {
        0 => format!("{seconds}Z"),
        micros if micros % 1000 == 0 => format!("{seconds}.{:03}Z", micros / 1000),
        micros => format!("{seconds}.{micros:06}Z"),
    }
}

fn json_bytes(value: &Value, whitespace: Whitespace) -> Vec<u8> {
    let spaced = match whitespace {
        Whitespace::Compact => false,
        Whitespace::Spaced => true,
        Whitespace::Random => random::number().is_multiple_of(2),
    };
    let mut out = Vec::with_capacity(256);
    // Writing a `Value` into memory cannot fail.
    let _ = if spaced {
        value.serialize(&mut Serializer::with_formatter(&mut out, Spaced))
    } else {
        value.serialize(&mut Serializer::with_formatter(&mut out, CompactFormatter))
    };
    out
}

/// A blank after commas and colons.
struct Spaced;

impl Formatter for Spaced {
    fn begin_array_value<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_key<W: ?Sized + io::Write>(
        &mut self,
        writer: &mut W,
        first: bool,
    ) -> io::Result<()> {
        writer.write_all(if first { b"" } else { b", " })
    }

    fn begin_object_value<W: ?Sized + io::Write>(&mut self, writer: &mut W) -> io::Result<()> {
        writer.write_all(b": ")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fractions_of_a_second_come_in_groups_of_three() {
        let print = |text: &str| rfc3339(text.parse().unwrap());
        assert_eq!(print("2026-01-02T03:04:05Z"), "2026-01-02T03:04:05Z");
        assert_eq!(
            print("2026-01-02T03:04:05.120Z"),
            "2026-01-02T03:04:05.120Z"
        );
        assert_eq!(
            print("2026-01-02T03:04:05.000012Z"),
            "2026-01-02T03:04:05.000012Z"
        );
    }
}
