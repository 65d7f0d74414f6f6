//! Error answers: JSON of the API in its two forms, and everything else. No I/O.

use serde_json::Value;

use super::answer::Answer;
use super::error::{ErrorClass, ErrorId, Operation, ZitadelError};

/// An error as the APIs write it. Management v1: `{"code":5,"message":…,"details":[{"id":…} | {"slug":…}]}`. Connect:
/// `{"code":"not_found","message":…,"details":[{"debug":{"id":…}}]}`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct ErrorBody {
    /// The gRPC code.
    pub(super) code: u64,
    /// Ids (`zitadel.v1.ErrorDetail`) and slugs (`zitadel.error.v2.ErrorDetail`, ids with dots), in order.
    pub(super) ids: Vec<String>,
}

/// Connect's words for the gRPC codes from 1 on (<https://connectrpc.com/docs/protocol/#error-codes>).
const CONNECT_CODES: [&str; 16] = [
    "canceled",
    "unknown",
    "invalid_argument",
    "deadline_exceeded",
    "not_found",
    "already_exists",
    "permission_denied",
    "resource_exhausted",
    "failed_precondition",
    "aborted",
    "out_of_range",
    "unimplemented",
    "internal",
    "unavailable",
    "data_loss",
    "unauthenticated",
];

impl ErrorBody {
    /// The body, if it is such an error.
    pub(super) fn parse(body: &[u8]) -> Option<Self> {
        let value: Value = serde_json::from_slice(body).ok()?;
        let code = match value.get("code")? {
            Value::String(word) => CONNECT_CODES.iter().position(|code| code == word)? as u64 + 1,
            code => code.as_u64().filter(|code| *code <= 16)?,
        };
        let details = value.get("details").and_then(Value::as_array);
        let ids = details
            .into_iter()
            .flatten()
            .map(|detail| detail.get("debug").unwrap_or(detail))
            .flat_map(|detail| [detail.get("id"), detail.get("slug")])
            .flatten()
            .filter_map(Value::as_str)
            .filter(|id| !id.is_empty())
            .map(str::to_owned)
            .collect();
        Some(Self { code, ids })
    }

    /// Whether an action target wrote this, possibly after the call was executed.
    pub(super) fn is_from_an_action(&self) -> bool {
        let is_action = |id: &String| {
            id.get(..4)
                .is_some_and(|area| area.eq_ignore_ascii_case("exec"))
        };
        self.ids.iter().any(is_action)
    }
}

/// The error that an answer represents.
pub(super) fn error_of(operation: Operation, answer: &Answer) -> ZitadelError {
    let body = ErrorBody::parse(&answer.body);
    let id = body
        .as_ref()
        .and_then(|body| body.ids.iter().find_map(|id| ErrorId::parse(id)));
    let class = match &body {
        Some(body) if body.is_from_an_action() => ErrorClass::ActionInterrupted,
        _ => id
            .as_ref()
            .and_then(|id| class_of_id(id.as_str()))
            .unwrap_or_else(|| class_of_status(answer, body.as_ref())),
    };
    ZitadelError::new(operation, class).with_answer(answer.status, id)
}

/// The class of an id that is more specific than the status.
fn class_of_id(id: &str) -> Option<ErrorClass> {
    match id {
        "COMMAND-2g66f" | "COMMAND-Kd92s" | "QUERY-pCP8P" | "MANAG-SFf2a" => {
            Some(ErrorClass::AppNotFound)
        }
        "COMMAND-aeH4" => Some(ErrorClass::NotAnApiApp),
        "COMMAND-Ghrh3" => Some(ErrorClass::NotAnOidcApp),
        "AUTHZ-cdgFk" => Some(ErrorClass::NotAMember),
        "AUTH-Bs7Ds" => Some(ErrorClass::OrganizationNotFound),
        _ => None,
    }
}

fn class_of_status(answer: &Answer, body: Option<&ErrorBody>) -> ErrorClass {
    // NB: a proxy answers 403 and 404 in the same words until it is reconfigured. Only an error with an id is ZITADEL's verdict.
    let is_verdict = body.is_some_and(|body| !body.ids.is_empty());
    match (answer.status, body.map(|body| body.code)) {
        (200..=299, _) => ErrorClass::Malformed,
        (300..=399, _) => ErrorClass::Redirected,
        (401, _) | (_, Some(16)) => ErrorClass::Unauthenticated,
        (403, _) | (_, Some(7)) if is_verdict => ErrorClass::PermissionDenied,
        (404, _) | (_, Some(5)) if names_no_instance(&answer.body) => ErrorClass::InstanceNotFound,
        (404, _) if names_no_route(&answer.body) => ErrorClass::NotServed,
        (501, _) => ErrorClass::NotServed,
        (404, _) | (_, Some(5)) if is_verdict => ErrorClass::NotFound,
        (429, _) | (_, Some(8)) => ErrorClass::RateLimited,
        (409, Some(6)) if is_verdict => ErrorClass::AlreadyExists,
        (408 | 499 | 502..=504, _) | (_, Some(14)) => ErrorClass::Unavailable,
        (400..=499, _) => ErrorClass::Rejected,
        (500..=599, _) => ErrorClass::Internal,
        _ => ErrorClass::Malformed,
    }
}

/// ZITADEL answers an unknown host without details, as JSON or plain text; only the message contains the id.
fn names_no_instance(body: &[u8]) -> bool {
    [b"QUERY-1kIjX", b"QUERY-IuGh1"]
        .iter()
        .any(|id| body.windows(id.len()).any(|part| part == *id))
}

/// ZITADEL's gateway answers a route that this version does not have without details.
fn names_no_route(body: &[u8]) -> bool {
    let Ok(body) = serde_json::from_slice::<Value>(body) else {
        return false;
    };
    body.get("code").and_then(Value::as_u64) == Some(5)
        && body.get("message").and_then(Value::as_str) == Some("Not Found")
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use zeroize::Zeroizing;

    use super::*;

    fn answer(status: u16, body: impl Into<Vec<u8>>) -> Answer {
        Answer {
            status,
            body: Zeroizing::new(body.into()),
        }
    }

    #[test]
    fn both_shapes_of_details_are_read() {
        let body = json!({"code": 5, "message": "x", "details": [
            {"@type": "type.googleapis.com/zitadel.v1.ErrorDetail", "id": "COMMAND-2g66f", "message": "x"},
            {"@type": "type.googleapis.com/zitadel.error.v2.ErrorDetail", "slug": "project.app.missing"},
            {"id": ""}, {"id": 7}, null, "text"]});
        let parsed = ErrorBody::parse(body.to_string().as_bytes()).unwrap();
        assert_eq!((parsed.code, parsed.ids.len()), (5, 2));
        assert!(!parsed.is_from_an_action());
        let slug = json!({"code": 9, "details": [{"slug": "exec.target.failed"}]});
        assert!(
            ErrorBody::parse(slug.to_string().as_bytes())
                .unwrap()
                .is_from_an_action()
        );
    }

    #[test]
    fn another_body_is_not_an_error_of_the_api() {
        for bad in [
            "",
            "null",
            "[]",
            "{}",
            r#"{"code":"lost"}"#,
            r#"{"code":99}"#,
            r#"{"code":-1}"#,
            "<html>",
        ] {
            assert_eq!(ErrorBody::parse(bad.as_bytes()), None, "{bad}");
        }
    }

    #[test]
    fn an_answer_has_one_class_and_none_of_its_text() {
        use ErrorClass as C;
        let json = |code: u8, id: &str| {
            json!({"code": code, "message": "canary", "details": [{"id": id, "message": "canary"}]})
                .to_string()
        };
        let slug = |code: u8, slug: &str| {
            json!({"code": code, "message": "canary", "details": [{"slug": slug}]}).to_string()
        };
        let rows = [
            (401, json(16, "AUTH-7fs1e"), C::Unauthenticated),
            (
                401,
                json!({"code": 16, "message": "canary"}).to_string(),
                C::Unauthenticated,
            ),
            (403, json(7, "AUTH-5mWD2"), C::PermissionDenied),
            (403, json(7, "AUTH-Bs7Ds"), C::OrganizationNotFound),
            (404, json(5, "AUTHZ-cdgFk"), C::NotAMember),
            (404, json(5, "COMMAND-2g66f"), C::AppNotFound),
            (404, json(5, "QUERY-pCP8P"), C::AppNotFound),
            (404, json(5, "MANAG-SFf2a"), C::AppNotFound),
            (
                404,
                json!({"code": 5, "message": "canary ID=QUERY-1kIjX Message=…"}).to_string(),
                C::InstanceNotFound,
            ),
            (404, "canary ID=QUERY-IuGh1".to_owned(), C::InstanceNotFound),
            (
                404,
                json!({"code": 5, "message": "Not Found"}).to_string(),
                C::NotServed,
            ),
            (404, json(5, "PROJECT-abc12"), C::NotFound),
            (404, slug(5, "project.missing"), C::NotFound),
            (403, slug(7, "permission.denied"), C::PermissionDenied),
            // Not ZITADEL's own: a proxy, a firewall, an ingress without a backend.
            (404, "canary".to_owned(), C::Rejected),
            (404, "<html>canary</html>".to_owned(), C::Rejected),
            (
                404,
                json!({"code": 5, "message": "canary"}).to_string(),
                C::Rejected,
            ),
            (403, "<html>canary</html>".to_owned(), C::Rejected),
            (
                403,
                json!({"code": 7, "message": "canary"}).to_string(),
                C::Rejected,
            ),
            (403, String::new(), C::Rejected),
            (400, json(3, "COMMAND-aeH4"), C::NotAnApiApp),
            (400, json(3, "COMMAND-Ghrh3"), C::NotAnOidcApp),
            (400, json(9, "EXEC-bmhNhpcqpF"), C::ActionInterrupted),
            (404, json(5, "EXEC-reUaUZCzCp"), C::ActionInterrupted),
            (400, "canary".to_owned(), C::Rejected),
            (
                405,
                json!({"code": 12, "message": "canary"}).to_string(),
                C::Rejected,
            ),
            (429, json(8, "LIMITS-molsj"), C::RateLimited),
            (
                429,
                "Your ZITADEL instance is blocked.".to_owned(),
                C::RateLimited,
            ),
            (
                500,
                json!({"code": 13, "message": "canary"}).to_string(),
                C::Internal,
            ),
            (
                500,
                json!({"code": 2, "message": "canary"}).to_string(),
                C::Internal,
            ),
            (502, "<html>canary</html>".to_owned(), C::Unavailable),
            (
                503,
                json!({"code": 14, "message": "canary"}).to_string(),
                C::Unavailable,
            ),
            (504, String::new(), C::Unavailable),
            (408, String::new(), C::Unavailable),
            (302, String::new(), C::Redirected),
            (200, "<html>canary</html>".to_owned(), C::Malformed),
            (999, String::new(), C::Malformed),
        ];
        judge_all(rows);
    }

    #[test]
    fn an_error_of_connect_has_the_same_classes() {
        use ErrorClass as C;
        let connect = |code: &str, id: &str| {
            let detail = json!({"type": "zitadel.v1.ErrorDetail", "value": "canary", "debug": {"id": id, "message": "canary"}});
            json!({"code": code, "message": "canary", "details": [detail]}).to_string()
        };
        judge_all([
            (404, connect("not_found", "COMMAND-Kd92s"), C::AppNotFound),
            (404, connect("not_found", "QUERY-pCP8P"), C::AppNotFound),
            (404, connect("not_found", "AUTHZ-cdgFk"), C::NotAMember),
            (
                403,
                connect("permission_denied", "AUTH-AWfge"),
                C::PermissionDenied,
            ),
            (
                403,
                connect("permission_denied", "AUTH-Bs7Ds"),
                C::OrganizationNotFound,
            ),
            (
                401,
                connect("unauthenticated", "AUTH-7fs1e"),
                C::Unauthenticated,
            ),
            (
                404,
                json!({"code": "not_found", "message": "canary ID=QUERY-1kIjX"}).to_string(),
                C::InstanceNotFound,
            ),
            (
                400,
                json!({"code": "invalid_argument", "message": "canary"}).to_string(),
                C::Rejected,
            ),
            (
                500,
                json!({"code": "internal", "message": "canary"}).to_string(),
                C::Internal,
            ),
            (
                501,
                json!({"code": "unimplemented", "message": "canary"}).to_string(),
                C::NotServed,
            ),
            (
                501,
                json!({"code": 12, "message": "canary"}).to_string(),
                C::NotServed,
            ),
            (501, "<html>canary</html>".to_owned(), C::NotServed),
            // A method that the service does not have, in the words of any web server.
            (404, "404 page not found\n".to_owned(), C::Rejected),
        ]);
    }

    fn judge_all(rows: impl IntoIterator<Item = (u16, String, ErrorClass)>) {
        for (status, body, class) in rows {
            let error = error_of(Operation::App, &answer(status, body.clone()));
            assert_eq!(error.class(), class, "{status} {body}");
            assert_eq!(error.http_status(), Some(status));
            assert!(!format!("{error}{error:?}").contains("canary"), "{error:?}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_have_a_class(status in any::<u16>(), body in any::<Vec<u8>>()) {
            error_of(Operation::App, &answer(status, body));
        }
    }
}
