//! Text from the cluster, made harmless to a terminal. No I/O.
//!
//! A message, a name in a status or an annotation is written by whoever may write the object. On a terminal an escape sequence in it could
//! hide a line, or write one that nobody printed.

use std::borrow::Cow;
use std::fmt::Write as _;

/// Whether a character does something to a terminal or to the order of text, instead of being seen.
fn acts(c: char) -> bool {
    c.is_control()
        || matches!(
            c,
            '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}' | '\u{feff}' | '\u{061c}'
        )
}

/// The text with every character that acts on a terminal written out, such as `\u{1b}`. A line break becomes a space.
pub fn text(text: &str) -> Cow<'_, str> {
    if !text.contains(acts) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        match c {
            '\n' | '\r' | '\t' => safe.push(' '),
            c if acts(c) => safe.extend(c.escape_unicode()),
            c => safe.push(c),
        }
    }
    safe.into()
}

/// JSON whose strings have no character that acts on a terminal: an escape of JSON stands for each.
///
/// NB: the serializer escapes those below U+0020 itself, and other than in a string none can be there; line breaks between values stay.
pub fn json(text: &str) -> Cow<'_, str> {
    let is_left = |c: char| acts(c) && c != '\n';
    if !text.contains(is_left) {
        return text.into();
    }
    let mut safe = String::with_capacity(text.len());
    for c in text.chars() {
        if is_left(c) {
            let mut units = [0; 2];
            for unit in c.encode_utf16(&mut units) {
                // NB: writing to a String cannot fail.
                let _ = write!(safe, "\\u{unit:04x}");
            }
        } else {
            safe.push(c);
        }
    }
    safe.into()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_acts_on_a_terminal_is_written_out() {
        for (given, expected) in [
            ("plain, with ä and …", "plain, with ä and …"),
            ("\u{1b}[2J\u{7}", r"\u{1b}[2J\u{7}"),
            ("\u{9b}31m\u{7f}", r"\u{9b}31m\u{7f}"),
            ("a\nb\tc\rd", "a b c d"),
            ("user\u{202e}txt", r"user\u{202e}txt"),
        ] {
            assert_eq!(text(given), expected);
        }
    }

    #[test]
    fn json_says_the_same_with_escapes() {
        let given = serde_json::json!({"a": "\u{1b}[2J\u{9b}\u{202e}\n", "b": ["ä"]});
        let printed = serde_json::to_string_pretty(&given).unwrap();
        let safe = json(&printed);
        assert!(!safe.contains(['\u{1b}', '\u{9b}', '\u{202e}']), "{safe}");
        let read: serde_json::Value = serde_json::from_str(&safe).unwrap();
        assert_eq!(read, given);
    }
}
