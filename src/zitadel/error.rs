//! Error classes of calls to ZITADEL. No I/O.
//!
//! Nothing in an error was written by the remote side, except an error id in a form that cannot contain a message. So logs and
//! conditions leak nothing and cannot be forged.

use std::fmt;

use super::detail::Detail;
pub use super::error_class::ErrorClass;

/// Which call failed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Operation {
    /// Read the own user.
    Me,
    /// Ask whether an API is served.
    Api,
    /// Generate a new secret.
    Generate,
    /// Read one application.
    App,
    /// Read a project.
    Project,
    /// List applications.
    Apps,
    /// Create an application.
    CreateApp,
    /// Read the journal.
    Changes,
    /// Check whether a secret is valid.
    Introspect,
    /// Read the OIDC configuration.
    Discovery,
    /// Request an access token.
    Token,
}

impl Operation {
    /// A stable name for logs and metrics.
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Me => "me",
            Self::Api => "api",
            Self::Generate => "generate",
            Self::App => "app",
            Self::Project => "project",
            Self::Apps => "apps",
            Self::CreateApp => "create_app",
            Self::Changes => "changes",
            Self::Introspect => "introspect",
            Self::Discovery => "discovery",
            Self::Token => "token",
        }
    }
}

/// An error id of ZITADEL such as `COMMAND-2g66f`, always of the form `[A-Z]{2,10}-[A-Za-z0-9]{3,8}`.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ErrorId(String);

impl ErrorId {
    /// The id, if the text has that form.
    pub fn parse(text: &str) -> Option<Self> {
        let (area, code) = text.split_once('-')?;
        let area_fits =
            (2..=10).contains(&area.len()) && area.bytes().all(|b| b.is_ascii_uppercase());
        let code_fits =
            (3..=8).contains(&code.len()) && code.bytes().all(|b| b.is_ascii_alphanumeric());
        (area_fits && code_fits).then(|| Self(text.to_owned()))
    }

    /// The id as ZITADEL writes it.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why a call has no result.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}: {}{}", operation.as_str(), What(self), Evidence(self))]
pub struct ZitadelError {
    operation: Operation,
    class: ErrorClass,
    http_status: Option<u16>,
    id: Option<ErrorId>,
    detail: Option<Detail>,
}

struct What<'a>(&'a ZitadelError);

impl fmt::Display for What<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.0.detail {
            Some(detail) => detail.fmt(f),
            None => self.0.class.fmt(f),
        }
    }
}

struct Evidence<'a>(&'a ZitadelError);

impl fmt::Display for Evidence<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match (self.0.http_status, self.0.error_id()) {
            (None, None) => Ok(()),
            (Some(status), None) => write!(f, " (HTTP {status})"),
            (None, Some(id)) => write!(f, " ({id})"),
            (Some(status), Some(id)) => write!(f, " (HTTP {status}, {id})"),
        }
    }
}

impl ZitadelError {
    /// An error without an answer, or one where the answer does not matter.
    pub fn new(operation: Operation, class: ErrorClass) -> Self {
        Self {
            operation,
            class,
            http_status: None,
            id: None,
            detail: None,
        }
    }

    /// Adds status and error id of an answer.
    #[must_use]
    pub fn with_answer(self, http_status: u16, id: Option<ErrorId>) -> Self {
        Self {
            http_status: Some(http_status),
            id,
            ..self
        }
    }

    /// Adds the detailed cause.
    #[must_use]
    pub fn with_detail(self, detail: Option<Detail>) -> Self {
        Self { detail, ..self }
    }

    /// The detailed cause, if more than the class is known.
    pub fn detail(&self) -> Option<&Detail> {
        self.detail.as_ref()
    }

    /// Which call failed.
    pub fn operation(&self) -> Operation {
        self.operation
    }

    /// The class of the error.
    pub fn class(&self) -> ErrorClass {
        self.class
    }

    /// ZITADEL's error id, if there was one in the usual form.
    pub fn error_id(&self) -> Option<&str> {
        self.id.as_ref().map(ErrorId::as_str)
    }

    /// The HTTP status, if there was an answer.
    pub fn http_status(&self) -> Option<u16> {
        self.http_status
    }

    /// A short description of the unusable answer: `malformed response, HTTP 200`.
    pub fn answer(&self) -> String {
        match self.http_status {
            Some(status) => format!("{}, HTTP {status}", self.class),
            None => self.class.to_string(),
        }
    }

    /// Whether retrying soon is pointless; see [`ErrorClass::is_permanent`].
    pub fn is_permanent(&self) -> bool {
        self.class.is_permanent()
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn only_the_usual_form_is_an_error_id() {
        for good in ["COMMAND-2g66f", "AUTH-7fs1e", "QUERY-1kIjX", "AB-123"] {
            assert_eq!(ErrorId::parse(good).unwrap().as_str(), good);
        }
        let bad = [
            "",
            "-",
            "A-123",
            "ABCDEFGHIJK-123",
            "AUTH-12",
            "AUTH-123456789",
            "auth-7fs1e",
            "AUTH-7fs1e\n",
            " AUTH-7fs1e",
            "AUTH-7f-1e",
            "AUTH_7fs1e",
            "project.app.missing",
            "ÄÖ-12345",
            "EXEC-dra6yamk98",
        ];
        for bad in bad {
            assert_eq!(ErrorId::parse(bad), None, "{bad:?}");
        }
    }

    #[test]
    fn an_error_names_the_call_the_class_the_status_and_the_id() {
        let error = ZitadelError::new(Operation::App, ErrorClass::AppNotFound);
        assert_eq!(error.to_string(), "app: application not found");
        let error = error.with_answer(404, ErrorId::parse("COMMAND-2g66f"));
        assert_eq!(
            error.to_string(),
            "app: application not found (HTTP 404, COMMAND-2g66f)"
        );
        assert_eq!(error.error_id(), Some("COMMAND-2g66f"));
        assert_eq!(error.http_status(), Some(404));
        assert!(error.is_permanent());
    }

    proptest! {
        #[test]
        fn any_text_is_an_id_or_not(text in ".*") {
            if let Some(id) = ErrorId::parse(&text) {
                prop_assert!(id.as_str().len() <= 19 && id.as_str().is_ascii());
            }
        }
    }
}
