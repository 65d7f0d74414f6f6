//! Text of a page. What comes from elsewhere is escaped: only text of this program can be markup. No I/O.

use std::fmt::Write as _;

use crate::plugin::safe;

/// A page, or a part of one.
#[derive(Debug, Default)]
pub struct Markup(String);

impl Markup {
    /// Adds markup.
    pub fn raw(&mut self, markup: &'static str) -> &mut Self {
        self.0.push_str(markup);
        self
    }

    /// Adds text, which cannot become markup, neither between tags nor in a quoted attribute.
    pub fn text(&mut self, text: &str) -> &mut Self {
        for character in safe::text(text).chars() {
            match character {
                '&' => self.0.push_str("&amp;"),
                '<' => self.0.push_str("&lt;"),
                '>' => self.0.push_str("&gt;"),
                '"' => self.0.push_str("&quot;"),
                '\'' => self.0.push_str("&#39;"),
                '`' => self.0.push_str("&#96;"),
                character => self.0.push(character),
            }
        }
        self
    }

    /// Adds a part of a whole, such as `12.34%`.
    pub fn percent(&mut self, share: f64) -> &mut Self {
        // NB: writing to a String cannot fail.
        let _ = write!(self.0, "{:.2}%", share * 100.0);
        self
    }

    /// All of it.
    pub fn into_string(self) -> String {
        self.0
    }
}

/// A count with a narrow space between thousands.
pub fn grouped(count: usize) -> String {
    let digits = count.to_string();
    let mut text = String::new();
    for (index, digit) in digits.char_indices() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push('\u{202f}');
        }
        text.push(digit);
    }
    text
}
