//! Answers that a fault gives instead of ZITADEL's own. Does no I/O.

use serde::{Deserialize, Serialize};
use serde_json::json;

/// A scripted answer.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Reply {
    /// HTTP status.
    pub status: u16,
    /// Value of `Content-Type`; empty: none.
    #[serde(default)]
    pub content_type: String,
    /// Further headers.
    #[serde(default)]
    pub headers: Vec<(String, String)>,
    /// Body.
    #[serde(default)]
    pub body: String,
}

impl Reply {
    /// Any body.
    pub fn new(status: u16, content_type: &str, body: impl Into<String>) -> Self {
        Self {
            status,
            content_type: content_type.to_owned(),
            headers: Vec::new(),
            body: body.into(),
        }
    }

    /// A JSON body.
    pub fn json(status: u16, body: &serde_json::Value) -> Self {
        Self::new(status, "application/json", body.to_string())
    }

    /// An error of ZITADEL with a detail; `id` empty: without one.
    pub fn zitadel(status: u16, code: u32, id: &str, text: &str) -> Self {
        if id.is_empty() {
            return Self::json(status, &json!({"code": code, "message": text}));
        }
        let detail = json!({"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": id, "message": text});
        Self::json(
            status,
            &json!({"code": code, "message": format!("{text} ({id})"), "details": [detail]}),
        )
    }

    /// An error of the application service v2, whose code is a word.
    pub fn connect(status: u16, code: &str, id: &str, text: &str) -> Self {
        let detail =
            json!({"type": "zitadel.v1.ErrorDetail", "debug": {"id": id, "message": text}});
        Self::json(
            status,
            &json!({"code": code, "message": format!("{text} ({id})"), "details": [detail]}),
        )
    }

    /// An error of ZITADEL in the newer form, whose detail has a slug (`zitadel.error.v2`).
    pub fn zitadel_slug(status: u16, code: u32, slug: &str, text: &str) -> Self {
        let detail = json!({"@type": "type.googleapis.com/zitadel.error.v2.ErrorDetail", "slug": slug, "message": text});
        Self::json(
            status,
            &json!({"code": code, "message": text, "details": [detail]}),
        )
    }

    /// An error of the token or introspection endpoint.
    pub fn oauth(status: u16, error: &str) -> Self {
        Self::json(status, &json!({"error": error}))
    }

    /// 401 `AUTH-7fs1e`: almost any error while loading a token.
    pub fn token_invalid() -> Self {
        Self::zitadel(401, 16, "AUTH-7fs1e", "Errors.Token.Invalid")
    }

    /// 403 `AUTH-Bs7Ds`: any error while loading the organization.
    pub fn org_unknown() -> Self {
        Self::zitadel(403, 7, "AUTH-Bs7Ds", "Organisation doesn't exist")
    }

    /// 404 `AUTHZ-cdgFk`: no membership.
    pub fn no_membership() -> Self {
        Self::zitadel(404, 5, "AUTHZ-cdgFk", "membership not found")
    }

    /// 429 as the API sends it.
    pub fn quota_exhausted() -> Self {
        Self::zitadel(429, 8, "QUOTA-vjAy8", "Quota.Access.Exhausted")
    }

    /// 429 as the token and introspection endpoints send it.
    pub fn instance_blocked() -> Self {
        Self::new(
            429,
            "text/plain; charset=utf-8",
            "Your ZITADEL instance is blocked.\n",
        )
    }

    /// 400 of an action target that interrupts; on the response side the rotation has been done.
    pub fn action_interrupted() -> Self {
        Self::zitadel(400, 9, "EXEC-dra6yamk98", "interrupted by a target")
    }

    /// An ingress's own error page, such as 502 or 504.
    pub fn ingress_html(status: u16) -> Self {
        let page = format!(
            "<html><head><title>{status}</title></head><body><h1>{status}</h1></body></html>\n"
        );
        Self::new(status, "text/html", page)
    }

    /// 302 to another place.
    pub fn redirect(location: &str) -> Self {
        Self::new(302, "text/html", "").header("location", location)
    }

    /// Adds a header.
    #[must_use]
    pub fn header(mut self, name: &str, value: &str) -> Self {
        self.headers.push((name.to_owned(), value.to_owned()));
        self
    }
}
