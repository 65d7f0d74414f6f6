//! The filters of templates. Each takes a text to one that the format reads back as the same text. No I/O.

use std::fmt::Write as _;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use minijinja::{Environment, Error, ErrorKind};
use percent_encoding::{AsciiSet, NON_ALPHANUMERIC, utf8_percent_encode};

use super::language::MAX_OUTPUT;

type Filter = fn(&str) -> String;

/// The filters by name.
const FILTERS: [(&str, Filter); 5] = [
    ("tojson", tojson),
    ("b64", |text| STANDARD.encode(text)),
    ("urlencode", urlencode),
    ("shellquote", shellquote),
    ("properties", properties),
];

/// Their names.
pub(super) fn names() -> impl Iterator<Item = &'static str> {
    FILTERS.into_iter().map(|(name, _)| name)
}

/// Adds them to an environment.
pub(super) fn add(environment: &mut Environment<'static>) {
    for (name, filter) in FILTERS {
        environment.add_filter(name, move |text: &str| {
            // NB: fuel is taken for a result only once it exists; a chain of filters must not grow by a factor each.
            if text.len() > MAX_OUTPUT {
                return Err(Error::from(ErrorKind::WriteFailure));
            }
            Ok(filter(text))
        });
    }
}

/// A JSON string with its quotes. Unlike other implementations of the filter it escapes nothing for HTML: `&` stays `&`. The few
/// characters that are allowed in JSON and not in YAML 1.2, section 5.1, or a line break in YAML 1.1, are escaped.
fn tojson(text: &str) -> String {
    let json = serde_json::Value::from(text).to_string();
    let mut escaped = String::with_capacity(json.len());
    for character in json.chars() {
        match character {
            '\u{7f}'..='\u{9f}'
            | '\u{2028}'
            | '\u{2029}'
            | '\u{feff}'
            | '\u{fffe}'
            | '\u{ffff}' => {
                unit(&mut escaped, character as u32);
            }
            _ => escaped.push(character),
        }
    }
    escaped
}

/// Adds a UTF-16 code unit as JSON and Java escape it.
fn unit(text: &mut String, unit: u32) {
    // Writing to a string cannot fail.
    let _ = write!(text, "\\u{unit:04X}");
}

/// Everything but the unreserved characters of RFC 3986, section 2.3, is escaped, `/` too.
fn urlencode(text: &str) -> String {
    const RESERVED: &AsciiSet = &NON_ALPHANUMERIC
        .remove(b'-')
        .remove(b'.')
        .remove(b'_')
        .remove(b'~');
    utf8_percent_encode(text, RESERVED).to_string()
}

/// One word of a POSIX shell, always in single quotes.
fn shellquote(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}

/// A value of a Java properties file, as `java.util.Properties` reads it from a stream: what is not ASCII is `\uXXXX`.
fn properties(text: &str) -> String {
    let mut escaped = String::with_capacity(text.len());
    for (at, character) in text.char_indices() {
        match character {
            '\\' => escaped.push_str(r"\\"),
            ' ' if at == 0 => escaped.push_str(r"\ "),
            ' '..='~' => escaped.push(character),
            _ => {
                for code in character.encode_utf16(&mut [0; 2]) {
                    unit(&mut escaped, u32::from(*code));
                }
            }
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_filter_escapes_what_its_format_needs_and_nothing_else() {
        assert_eq!(tojson("a\"\\/<&>'é\n"), r#""a\"\\/<&>'é\n""#);
        assert_eq!(urlencode("aZ0-._~ /%+é"), "aZ0-._~%20%2F%25%2B%C3%A9");
        assert_eq!(shellquote("a'b$`\\\""), r#"'a'\''b$`\"'"#);
        assert_eq!(shellquote(""), "''");
        assert_eq!(
            properties(" a b\\=:#!é😀\t"),
            r"\ a b\\=:#!\u00E9\uD83D\uDE00\u0009"
        );
    }
}
