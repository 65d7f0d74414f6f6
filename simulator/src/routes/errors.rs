//! Errors of ZITADEL's API as they appear on the wire, with the ids by which clients must distinguish them. Does no I/O.

use std::borrow::Cow;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD_NO_PAD;
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

pub(crate) const TOKEN_INVALID: ApiError =
    ApiError::new(Code::Unauthenticated, "AUTH-7fs1e", "Errors.Token.Invalid");
pub(crate) const AUTH_HEADER_INVALID: ApiError =
    ApiError::new(Code::Unauthenticated, "AUTH-toLo1", "invalid auth header");
pub(crate) const ORG_UNKNOWN: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-Bs7Ds",
    "Organisation doesn't exist",
);
pub(crate) const NO_MEMBERSHIP: ApiError =
    ApiError::new(Code::NotFound, "AUTHZ-cdgFk", "membership not found");
pub(crate) const NO_PERMISSION: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-5mWD2",
    "No matching permissions found",
);
pub(crate) const OTHER_PROJECT_ONLY: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-3jknH",
    "No matching permissions found",
);
pub(crate) const COMMAND_DENIED: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-AWfge",
    "No matching permissions found",
);
pub(crate) const COMMAND_OTHER_PROJECT: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-Swrgg2",
    "No matching permissions found",
);
pub(crate) const APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-2g66f",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
/// The event store's own id: it is that of every name in use.
pub(crate) const APP_NAME_IN_USE: ApiError = ApiError::translated(
    Code::AlreadyExists,
    "V3-DKcYh",
    "Application already exists",
    "Applikation existiert bereits",
);
pub(crate) const APP_UNKNOWN_V2: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-Kd92s",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const APP_NOT_API: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-aeH4",
    "Application is not type API",
    "Applikation ist nicht vom Typ API",
);
pub(crate) const APP_NOT_OIDC: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-Ghrh3",
    "Application is not type OIDC",
    "Applikation ist nicht vom Typ OIDC",
);
pub(crate) const GET_APP_UNKNOWN: ApiError =
    ApiError::new(Code::NotFound, "QUERY-pCP8P", "Errors.App.NotExisting");
pub(crate) const GET_PROJECT_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "QUERY-fk2fs",
    "Project not found",
    "Projekt nicht gefunden",
);
pub(crate) const GET_APP_OTHER_ORG: ApiError =
    ApiError::new(Code::NotFound, "MANAG-SFf2a", "Application not found");
pub(crate) const RENAME_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-28di9",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const RENAME_NO_CHANGE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-2m8vx",
    "No changes",
    "Keine Änderungen",
);
pub(crate) const CONFIG_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-2n8uU",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const CONFIG_NOT_API: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-Gnwt3",
    "Application is not type API",
    "Applikation ist nicht vom Typ API",
);
pub(crate) const CONFIG_NO_CHANGE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-1m88i",
    "No changes",
    "Keine Änderungen",
);
pub(crate) const SWITCH_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-ov9d3",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const APP_NOT_ACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-dsh35",
    "Application is not active",
    "Applikation ist nicht aktiv",
);
pub(crate) const APP_NOT_INACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-1n8cM",
    "Application is not inactive",
    "Applikation ist nicht inaktiv",
);
pub(crate) const REMOVE_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-0po9s",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
/// NB: a failed precondition, unlike everywhere else.
pub(crate) const KEY_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-sak25",
    "Application not found",
    "Applikation nicht gefunden",
);
pub(crate) const KEY_NOT_FOR_METHOD: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-Dff54",
    "Chosen Auth Method does not require a key",
    "Gewählte Auth Methode benötigt keinen Key",
);
pub(crate) const KEY_EXPIRED: ApiError = ApiError::new(
    Code::InvalidArgument,
    "DOMAIN-dv3t5",
    "Errors.AuthNKey.ExpireBeforeNow",
);
pub(crate) const GET_KEY_UNKNOWN: ApiError =
    ApiError::new(Code::NotFound, "QUERY-Dgr3g", "Errors.AuthNKey.NotFound");
pub(crate) const REMOVE_KEY_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-4m77G",
    "Application key not found",
    "Applikations Key nicht gefunden",
);
pub(crate) const FILTER_UNKNOWN: ApiError =
    ApiError::new(Code::InvalidArgument, "CONV-z2mAGy", "List.Query.Invalid");
pub(crate) const APP_TYPE_UNKNOWN: ApiError =
    ApiError::new(Code::InvalidArgument, "APP-0iiN46", "unknown app type");
pub(crate) const INTERNAL: ApiError = ApiError::new(Code::Internal, "", "Errors.Internal");
pub(crate) const PROJECT_NOT_FOUND: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMA-VCnwD",
    "Project not found",
    "Projekt nicht gefunden",
);
pub(crate) const PROJECT_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-112M9",
    "Project doesn't exist",
    "Projekt existiert nicht",
);
pub(crate) const PROJECT_NOT_ACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-mki55",
    "Project is not active",
    "Projekt ist nicht aktiv",
);
pub(crate) const PROJECT_NOT_INACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-5M9bs",
    "Project is not inactive",
    "Projekt ist nicht inaktiv",
);
