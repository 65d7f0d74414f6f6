//! One request as the handlers see it.

use std::sync::Arc;

use bytes::Bytes;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::Value;

use crate::config::Settings;
use crate::faults::actions::Which;
use crate::routes::Route;
use crate::routes::access::{Caller, Permission};
use crate::routes::errors::{ApiError, Code, Language};
use crate::server::shared::Shared;
use crate::world::World;

/// How a generate is executed.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum Mode {
    #[default]
    Once,
    Twice(Which),
    WithoutEffect,
    Crossed(Which),
}

/// A request whose body has been read.
#[derive(Debug)]
pub(crate) struct Call {
    pub(crate) shared: Arc<Shared>,
    /// Number in the ledger.
    pub(crate) id: u64,
    pub(crate) route: Route,
    pub(crate) query: String,
    pub(crate) headers: HeaderMap,
    pub(crate) body: Bytes,
    pub(crate) issuer: String,
    pub(crate) attempt: Option<String>,
    pub(crate) mode: Mode,
    /// Settings and ZITADEL's clock at the time of execution.
    pub(crate) settings: Settings,
    pub(crate) now: Timestamp,
}

impl Call {
    /// Id of the project in the path.
    pub(crate) fn project(&self) -> &str {
        self.route.project.as_deref().unwrap_or_default()
    }

    /// Id of the app in the path.
    pub(crate) fn app(&self) -> &str {
        self.route.app.as_deref().unwrap_or_default()
    }

    /// Id of the user in the path.
    pub(crate) fn user(&self) -> &str {
        self.route.user.as_deref().unwrap_or_default()
    }

    /// Id of the key or token in the path.
    pub(crate) fn key(&self) -> &str {
        self.route.key.as_deref().unwrap_or_default()
    }

    /// Language for texts made inside the Translation interceptor.
    pub(crate) fn language(&self) -> Language {
        let wanted = self
            .headers
            .get(http::header::ACCEPT_LANGUAGE)
            .and_then(|value| value.to_str().ok());
        if wanted.is_some_and(|wanted| wanted.trim_start().starts_with("de")) {
            Language::German
        } else {
            Language::English
        }
    }

    /// The body as the gateway reads it: nothing is an empty object.
    pub(crate) fn json_body(&self) -> Result<Value, ApiError> {
        if self.body.iter().all(u8::is_ascii_whitespace) {
            return Ok(Value::Object(serde_json::Map::new()));
        }
        match serde_json::from_slice::<Value>(&self.body) {
            Ok(body @ Value::Object(_)) => Ok(body),
            Ok(_) => {
                let first = char::from(self.body.first().copied().unwrap_or(b'?'));
                let text = format!("proto: syntax error (line 1:1): unexpected token {first}");
                Err(ApiError::gateway(Code::InvalidArgument, text))
            }
            Err(error) if error.is_eof() => {
                Err(ApiError::gateway(Code::InvalidArgument, "unexpected EOF"))
            }
            Err(error) => Err(ApiError::gateway(
                Code::InvalidArgument,
                format!("proto: syntax error: {error}"),
            )),
        }
    }

    /// Authenticates, checks the permission on the path's project, then the lengths of the ids: the server's order.
    pub(crate) fn authorize(
        &self,
        world: &World,
        permission: Permission,
        message: &str,
    ) -> Result<Caller, ApiError> {
        let caller = world.authenticate(&self.headers, self.now, self.settings.legacy_statuses)?;
        world.check(&caller, permission, self.project())?;
        for (field, id) in [
            ("ProjectId", &self.route.project),
            ("AppId", &self.route.app),
        ] {
            if let Some(id) = id {
                self.check_length(&format!("{message}.{field}"), id)?;
            }
        }
        Ok(caller)
    }

    /// Ids and names have 1 to 200 characters. NB: up to v4 the refusal of others is an internal error.
    pub(crate) fn check_length(&self, field: &str, value: &str) -> Result<(), ApiError> {
        if (1..=200).contains(&value.chars().count()) {
            return Ok(());
        }
        let code = if self.settings.legacy_statuses {
            Code::Unknown
        } else {
            Code::InvalidArgument
        };
        let text =
            format!("invalid {field}: value length must be between 1 and 200 runes, inclusive");
        Err(ApiError::plain(code, text))
    }

    /// A parameter of the query string.
    pub(crate) fn parameter(&self, name: &str) -> Option<String> {
        form_value(self.query.as_bytes(), name)
    }

    /// A field of a form body.
    pub(crate) fn form(&self, name: &str) -> Option<String> {
        form_value(&self.body, name)
    }
}

/// First value of this name in `application/x-www-form-urlencoded` data.
pub(crate) fn form_value(form: &[u8], name: &str) -> Option<String> {
    let text = String::from_utf8_lossy(form);
    text.split('&').find_map(|pair| {
        let (key, value) = pair.split_once('=').unwrap_or((pair, ""));
        (form_decoded(key) == name).then(|| form_decoded(value))
    })
}

/// Undoes form encoding: plus is a blank.
pub(crate) fn form_decoded(text: &str) -> String {
    crate::routes::percent_decoded(&text.replace('+', " "))
}
