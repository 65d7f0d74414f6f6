//! Errors of ZITADEL's API as they appear on the wire, with the ids by which clients must distinguish them. Does no I/O.

mod known;

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
pub(crate) use known::*;
use serde_json::{Value, json};

/// gRPC status codes that ZITADEL uses here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Code {
    Unknown = 2,
    InvalidArgument = 3,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unauthenticated = 16,
}

impl Code {
    /// HTTP status at the gateway (`grpc-gateway runtime/errors.go`).
    pub(crate) const fn http_status(self) -> u16 {
        match self {
            Self::Unknown | Self::Internal => 500,
            Self::InvalidArgument | Self::FailedPrecondition => 400,
            Self::NotFound => 404,
            Self::AlreadyExists => 409,
            Self::PermissionDenied => 403,
            Self::Unimplemented => 405,
            Self::Unauthenticated => 401,
        }
    }

    /// Name in Connect's error bodies.
    const fn connect_name(self) -> &'static str {
        match self {
            Self::Unknown => "unknown",
            Self::InvalidArgument => "invalid_argument",
            Self::NotFound => "not_found",
            Self::AlreadyExists => "already_exists",
            Self::PermissionDenied => "permission_denied",
            Self::FailedPrecondition => "failed_precondition",
            Self::Unimplemented => "unimplemented",
            Self::Internal => "internal",
            Self::Unauthenticated => "unauthenticated",
        }
    }
}

/// Language of texts made inside the Translation interceptor.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Language {
    English,
    German,
}

/// An error answer of the API.
#[derive(Clone, Debug)]
pub(crate) struct ApiError {
    pub(crate) code: Code,
    /// Empty: an error without details.
    pub(crate) id: &'static str,
    text: Cow<'static, str>,
    german: Option<&'static str>,
    /// Made by the REST gateway, before any interceptor: no cache header.
    pub(crate) at_gateway: bool,
}

impl ApiError {
    pub(crate) const fn new(code: Code, id: &'static str, text: &'static str) -> Self {
        Self {
            code,
            id,
            text: Cow::Borrowed(text),
            german: None,
            at_gateway: false,
        }
    }

    const fn translated(
        code: Code,
        id: &'static str,
        text: &'static str,
        german: &'static str,
    ) -> Self {
        Self {
            code,
            id,
            text: Cow::Borrowed(text),
            german: Some(german),
            at_gateway: false,
        }
    }

    pub(crate) fn plain(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            code,
            id: "",
            text: text.into(),
            german: None,
            at_gateway: false,
        }
    }

    pub(crate) fn gateway(code: Code, text: impl Into<Cow<'static, str>>) -> Self {
        Self {
            at_gateway: true,
            ..Self::plain(code, text)
        }
    }

    /// `message` of the body: text and id.
    pub(crate) fn message(&self, language: Language) -> String {
        if self.id.is_empty() {
            self.text.clone().into_owned()
        } else {
            format!("{} ({})", self.text(language), self.id)
        }
    }

    fn text(&self, language: Language) -> &str {
        match (language, self.german) {
            (Language::German, Some(german)) => german,
            _ => &self.text,
        }
    }

    /// Body of the REST gateway (`internal/api/grpc/gerrors/zitadel_errors.go`).
    pub(crate) fn rest_body(&self, language: Language) -> Value {
        let mut body = json!({"code": self.code as u32, "message": self.message(language)});
        if !self.id.is_empty()
            && let Some(body) = body.as_object_mut()
        {
            let detail = json!({
                "@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": self.id, "message": self.text(language),
            });
            body.insert("details".to_owned(), Value::Array(vec![detail]));
        }
        body
    }

    /// Body of a Connect method: the code as a word, the detail as base64 protobuf and readable. NB: never translated.
    pub(crate) fn connect_body(&self) -> Value {
        let language = Language::English;
        let mut body = json!({"code": self.code.connect_name(), "message": self.message(language)});
        if !self.id.is_empty()
            && let Some(body) = body.as_object_mut()
        {
            let mut detail = Vec::new();
            protobuf_string(&mut detail, 1, self.id);
            protobuf_string(&mut detail, 2, self.text(language));
            let detail = json!({
                "type": "zitadel.v1.ErrorDetail",
                "value": STANDARD_NO_PAD.encode(detail),
                "debug": {"id": self.id, "message": self.text(language)},
            });
            body.insert("details".to_owned(), Value::Array(vec![detail]));
        }
        body
    }
}

fn protobuf_string(out: &mut Vec<u8>, field: u8, value: &str) {
    out.push(field << 3 | 2);
    let mut length = value.len();
    while length >= 0x80 {
        out.push(u8::try_from(length & 0x7f).unwrap_or(0) | 0x80);
        length >>= 7;
    }
    out.push(u8::try_from(length).unwrap_or(0));
    out.extend_from_slice(value.as_bytes());
}
