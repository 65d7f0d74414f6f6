//! Why a template is refused: a line and a kind, without a value and without a text of minijinja. No I/O.

use std::fmt;

use super::filter;
use super::language::{
    MAX_DEPTH, MAX_OUTPUT, MAX_STATEMENTS, MAX_TEMPLATE, MAX_TOKENS, STATEMENTS, Values,
};
use crate::target::quote;

/// Why a template is refused or cannot be rendered.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("line {line}: {kind}")]
pub struct TemplateError {
    /// The line of the template, from 1.
    pub(crate) line: usize,
    /// What is wrong there.
    pub(crate) kind: ErrorKind,
}

/// What is wrong with a template. A name is quoted only from the template itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ErrorKind {
    /// The template is too long.
    TooLong,
    /// It is not the syntax of Jinja.
    Syntax,
    /// A statement that is not in the language.
    Statement(String),
    /// An expression that is not in the language.
    Expression,
    /// A condition that is not in the language.
    Condition,
    /// A condition on the client secret.
    SecretInCondition,
    /// `a if b` without `else`.
    MissingElse,
    /// A value that does not exist.
    UnknownName(String),
    /// A filter that does not exist.
    UnknownFilter(String),
    /// A filter was given arguments.
    Arguments(String),
    /// An expression is too long or nested too deeply.
    TooComplex,
    /// Too many statements.
    TooManyStatements,
    /// Rendering takes too long.
    TooManySteps,
    /// The text is too long.
    TooLarge,
    /// The template prints nothing.
    Empty,
    /// Anything else. The check leaves nothing of this kind.
    Failed,
}

impl TemplateError {
    pub(super) const fn new(line: usize, kind: ErrorKind) -> Self {
        Self { line, kind }
    }

    /// An error of minijinja, of which only the kind and the line are taken, or this line if it has none.
    pub(super) fn of(error: &minijinja::Error, line: usize) -> Self {
        use minijinja::ErrorKind as Kind;
        let kind = match error.kind() {
            Kind::SyntaxError | Kind::BadEscape => ErrorKind::Syntax,
            Kind::OutOfFuel => ErrorKind::TooManySteps,
            Kind::WriteFailure => ErrorKind::TooLarge,
            _ => ErrorKind::Failed,
        };
        Self::new(error.line().unwrap_or(line), kind)
    }
}

/// Names in a sentence.
fn list(names: impl Iterator<Item = &'static str>) -> String {
    names.collect::<Vec<_>>().join(", ")
}

impl fmt::Display for ErrorKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLong => write!(f, "a template has at most {MAX_TEMPLATE} bytes"),
            Self::Syntax => f.write_str(
                "this is not valid template syntax; check that quotes, parentheses, {{ }} and {% %} are closed",
            ),
            Self::Statement(name) => write!(
                f,
                "the statement {} is not available; use {}",
                quote::value(name),
                list(STATEMENTS.into_iter()),
            ),
            Self::Expression => f.write_str(
                "this expression is not available; use values, texts in quotes, ~, filters and \"a if condition else b\"",
            ),
            Self::Condition => f.write_str(
                "this condition is not available; use ==, != or in between texts, combined with and, or, not",
            ),
            Self::SecretInCondition => f.write_str(
                "a condition cannot depend on clientSecret, because its result is not known before the client secret is generated",
            ),
            Self::MissingElse => f.write_str("an \"if\" in an expression needs an \"else\""),
            Self::UnknownName(name) => write!(
                f,
                "there is no value {}; the values are {}",
                quote::value(name),
                list(Values::NAMES.into_iter()),
            ),
            Self::UnknownFilter(name) => write!(
                f,
                "there is no filter {}; the filters are {}",
                quote::value(name),
                list(filter::names()),
            ),
            Self::Arguments(name) => {
                write!(f, "the filter {} takes no arguments", quote::value(name))
            }
            Self::TooComplex => write!(
                f,
                "between two delimiters there can be at most {MAX_TOKENS} names, texts and operators, and {MAX_DEPTH} levels of parentheses"
            ),
            Self::TooManyStatements => write!(
                f,
                "a template has at most {MAX_STATEMENTS} statements"
            ),
            Self::TooManySteps => f.write_str("rendering takes too many steps; use fewer filters"),
            Self::TooLarge => write!(f, "the rendered text has more than {MAX_OUTPUT} bytes"),
            Self::Empty => f.write_str("the template prints nothing"),
            Self::Failed => f.write_str("the template cannot be rendered"),
        }
    }
}
