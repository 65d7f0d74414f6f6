//! Compares an answer with the recorded one.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use serde_json::Value;

use super::Exchange;
use super::values::{Values, placeholder};

/// Headers that the recording selects from; one that it does not list must be absent.
const HEADERS: [&str; 3] = ["cache-control", "content-type", "www-authenticate"];
/// Numbers that depend on the time of the recording.
const TIMES: [&str; 4] = ["iat", "nbf", "auth_time", "updated_at"];

/// The simulator's answer.
#[derive(Debug)]
pub struct Observed {
    status: u16,
    headers: BTreeMap<String, String>,
    /// JSON, or a text as a string, as in the recording.
    pub body: Value,
}

impl Observed {
    pub async fn read(response: reqwest::Response) -> Self {
        let status = response.status().as_u16();
        let header = |name: &&str| {
            let value = response.headers().get(*name)?.to_str().unwrap();
            Some(((*name).to_owned(), value.to_owned()))
        };
        let headers = HEADERS.iter().filter_map(header).collect();
        let text = response.text().await.unwrap();
        let body = serde_json::from_str(&text).unwrap_or(Value::String(text));
        Self {
            status,
            headers,
            body,
        }
    }
}

/// Collects differences and binds placeholders as they appear.
pub struct Comparison<'a> {
    values: &'a mut Values,
    pub differences: Vec<String>,
}

impl<'a> Comparison<'a> {
    pub fn new(values: &'a mut Values) -> Self {
        Self {
            values,
            differences: Vec::new(),
        }
    }

    pub fn status_and_headers(&mut self, exchange: &Exchange, observed: &Observed) {
        if exchange.status != observed.status {
            self.differ("status", exchange.status, observed.status);
        }
        if exchange.response_headers != observed.headers {
            self.differ("headers", &exchange.response_headers, &observed.headers);
        }
    }

    /// Same fields, same types, same order; values as far as they do not depend on the run.
    pub fn value(&mut self, path: &str, expected: &Value, actual: &Value) {
        let field = path.rsplit('.').next().unwrap_or_default();
        match (expected, actual) {
            (Value::Object(expected), Value::Object(actual)) => {
                let names = |object: &serde_json::Map<String, Value>| {
                    object.keys().cloned().collect::<BTreeSet<_>>()
                };
                if names(expected) != names(actual) {
                    self.differ(path, names(expected), names(actual));
                    return;
                }
                for (name, value) in expected {
                    self.value(&format!("{path}.{name}"), value, &actual[name]);
                }
            }
            (Value::Array(expected), Value::Array(actual)) => {
                if expected.len() != actual.len() {
                    self.differ(path, expected.len(), actual.len());
                }
                for (index, (expected, actual)) in expected.iter().zip(actual).enumerate() {
                    self.value(&format!("{path}[{index}]"), expected, actual);
                }
            }
            (Value::String(expected), Value::String(actual)) => {
                self.text(path, field, expected, actual);
            }
            // Not compared by value, but both are numbers.
            (Value::Number(_), Value::Number(actual)) if TIMES.contains(&field) => {
                let near = Timestamp::now().as_second() - actual.as_i64().unwrap();
                if near.abs() > 600 {
                    self.differ(path, "about now", actual);
                }
            }
            // 2099 for a PAT, 12 hours ahead for an access token.
            (Value::Number(expected), Value::Number(actual))
                if field == "exp" && expected.as_i64() < Some(2_000_000_000) =>
            {
                let ahead = actual.as_i64().unwrap() - Timestamp::now().as_second();
                if !(42_000..43_200).contains(&ahead) {
                    self.differ(path, "12 hours ahead", actual);
                }
            }
            (expected, actual) if expected == actual => {}
            (expected, actual) => self.differ(path, expected, actual),
        }
    }

    fn text(&mut self, path: &str, field: &str, expected: &str, actual: &str) {
        if field == "viewTimestamp" || field == "jti" && expected.starts_with("V2_") {
            return;
        }
        if let Ok(recorded) = expected.parse::<Timestamp>() {
            // Equal times of the recording are equal here, and the form is the same.
            if actual.parse::<Timestamp>().is_err() || !actual.ends_with('Z') {
                self.differ(path, recorded, actual);
            }
            self.same_as_before(path, expected, actual);
        } else if let Some(name) = placeholder(expected) {
            self.same_as_before(path, name, actual);
        } else {
            let expected = self.values.fill(expected);
            let words = |text: &str| {
                text.split_whitespace()
                    .map(str::to_owned)
                    .collect::<Vec<_>>()
            };
            if words(&expected) != words(actual) {
                self.differ(path, expected, actual);
            }
        }
    }

    /// What a name stands for is settled when it appears first.
    fn same_as_before(&mut self, path: &str, name: &str, actual: &str) {
        match self.values.find(name) {
            Some(known) if known == actual => {}
            Some(known) => {
                let known = known.to_owned();
                self.differ(path, known, actual);
            }
            None if actual.is_empty() => self.differ(path, name, actual),
            None => self.values.bind(name, actual),
        }
    }

    fn differ(&mut self, path: &str, expected: impl std::fmt::Debug, actual: impl std::fmt::Debug) {
        self.differences.push(format!(
            "{path}: recorded {expected:?}, answered {actual:?}"
        ));
    }
}
