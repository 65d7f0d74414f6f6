//! Templates of a Secret's keys: checked once per generation, rendered with an application's values. No I/O.
//!
//! The language is a small part of Jinja: the seven values of [`Values`], literals in quotes, `~`, five filters, and conditions
//! that never depend on the client secret. [`check`] has the allow list; it refuses everything else with the line before minijinja
//! compiles a template. Because of it, whether a template renders depends on the size of the client secret alone, and
//! [`Template::rehearse`] answers that before a client secret is generated.
//!
//! NB: minijinja keeps the values and the results of filters in buffers of its own, which are not wiped. This module is the only one
//! that hands out a client secret to code that copies it. What it returns is wiped when dropped, no error has a value or a text of
//! minijinja in it, and minijinja is built without its `debug` feature, which would keep values in errors.

mod check;
mod error;
mod filter;
mod language;
#[cfg(any(test, fuzzing))]
pub(crate) mod properties;
#[cfg(test)]
mod recipes;
#[cfg(test)]
mod tests;

use std::io;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering::Relaxed};

use minijinja::syntax::SyntaxConfig;
use minijinja::{AutoEscape, Environment, UndefinedBehavior, Value};
use zeroize::Zeroizing;

pub use error::{ErrorKind, TemplateError};
#[cfg(any(test, fuzzing))]
pub(crate) use language::MAX_TEMPLATE;
pub(crate) use language::{MAX_OUTPUT, Values};

/// What rendering may cost: one for each step, and one for every 64 bytes that a step reads or makes. This bounds the memory too.
const FUEL: u64 = 20_000;
/// Less in a rehearsal, so that what passes it never runs out of steps later.
const REHEARSAL_FUEL: u64 = FUEL / 2;

/// A template that is known to be in the language.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Template {
    text: Box<str>,
}

impl Template {
    /// Checks a template. Every error that does not depend on the values is found here.
    pub(crate) fn parse(text: &str) -> Result<Self, TemplateError> {
        check::check(text, &syntax()?)?;
        environment(FUEL)?
            .template_from_str(text)
            .map_err(|error| TemplateError::of(&error, 1))?;
        Ok(Self { text: text.into() })
    }

    /// The template as it was written.
    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    /// Whether what is rendered with these values contains the client secret, in whatever encoding.
    #[cfg(test)]
    pub(crate) fn contains_secret(&self, values: Values<'_>) -> Result<bool, TemplateError> {
        let render = |secret: &str| self.render(values.with_secret(secret));
        Ok(*render("a")? != *render("b")?)
    }

    /// The text for a key. It is not empty, and it is wiped when dropped.
    pub(crate) fn render(&self, values: Values<'_>) -> Result<Zeroizing<String>, TemplateError> {
        self.render_with(values, FUEL)
    }

    fn render_with(
        &self,
        values: Values<'_>,
        fuel: u64,
    ) -> Result<Zeroizing<String>, TemplateError> {
        let mut output = Output::default();
        let mut environment = environment(fuel)?;
        let written = Arc::clone(&output.written);
        environment.set_formatter(move |output, _, value| {
            // NB: an error of the output loses the line. This one keeps it.
            let Some(text) = value.as_str() else {
                return Err(minijinja::ErrorKind::InvalidOperation.into());
            };
            if written.load(Relaxed) + text.len() > MAX_OUTPUT {
                return Err(minijinja::ErrorKind::WriteFailure.into());
            }
            Ok(output.write_str(text)?)
        });
        environment
            .template_from_str(&self.text)
            .and_then(|template| {
                let values = values
                    .pairs()
                    .map(|(name, value)| (name, Value::from(value)));
                template.render_captured_to(Value::from_pairs(values), &mut output)
            })
            .map_err(|error| TemplateError::of(&error, 1))?;
        let output = &output.text;
        if output.trim().is_empty() {
            return Err(TemplateError::new(1, ErrorKind::Empty));
        }
        // NB: not shrunk, which could leave a copy behind.
        let mut exact = Zeroizing::new(String::with_capacity(output.len()));
        exact.push_str(output);
        Ok(exact)
    }

    /// The longest text for a key that a client secret of this many bytes leads to: each filter makes most of another character.
    /// What succeeds here succeeds with the client secret that is generated afterward.
    ///
    /// NB: with one exception, `b64 | urlencode` within a factor of three of [`MAX_OUTPUT`]: how much of Base64 is escaped is chance.
    pub(crate) fn rehearse(
        &self,
        values: Values<'_>,
        secret_length: usize,
    ) -> Result<Zeroizing<String>, TemplateError> {
        let mut longest = Zeroizing::new(String::new());
        for characters in WORST_CASES {
            let secret = worst_case(characters, secret_length);
            let text = self.render_with(values.with_secret(&secret), REHEARSAL_FUEL)?;
            if text.len() > longest.len() {
                longest = text;
            }
        }
        Ok(longest)
    }
}

/// What the client secrets of a rehearsal consist of: everything that a format escapes, and then only what makes the most of one of
/// the filters.
const WORST_CASES: [&str; 6] = [r#""\%$'`# =:é"#, "\"", "\\", "'", "%", "é"];

/// A text of this many bytes that consists of these characters; the rest is filled up.
fn worst_case(characters: &str, length: usize) -> String {
    let mut text = String::with_capacity(length);
    for character in characters.chars().cycle() {
        if text.len() + character.len_utf8() > length {
            break;
        }
        text.push(character);
    }
    while text.len() < length {
        text.push('%');
    }
    text
}

/// Collects what a template prints. The text never grows, so that no copy is left behind.
struct Output {
    text: Zeroizing<String>,
    written: Arc<AtomicUsize>,
}

impl Default for Output {
    fn default() -> Self {
        Self {
            text: Zeroizing::new(String::with_capacity(MAX_OUTPUT)),
            written: Arc::default(),
        }
    }
}

impl io::Write for Output {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        let text = std::str::from_utf8(bytes).map_err(io::Error::other)?;
        let length = self.text.len() + text.len();
        if length > MAX_OUTPUT {
            return Err(io::ErrorKind::FileTooLarge.into());
        }
        self.text.push_str(text);
        self.written.store(length, Relaxed);
        Ok(bytes.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

/// Jinja's delimiters. A line break at the end of a template is kept.
fn syntax() -> Result<SyntaxConfig, TemplateError> {
    SyntaxConfig::builder()
        .keep_trailing_newline(true)
        .build()
        .map_err(|error| TemplateError::of(&error, 1))
}

/// An environment with the five filters and nothing else.
fn environment(fuel: u64) -> Result<Environment<'static>, TemplateError> {
    let mut environment = Environment::empty();
    environment.set_syntax(syntax()?);
    environment.set_undefined_behavior(UndefinedBehavior::Strict);
    environment.set_auto_escape_callback(|_| AutoEscape::None);
    environment.set_fuel(Some(fuel));
    filter::add(&mut environment);
    Ok(environment)
}
