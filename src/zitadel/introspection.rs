//! The verdict of introspection on a client id and secret. No I/O.

use serde_json::Value;

use super::answer::Answer;
use super::error::{Operation, ZitadelError};
use super::error_body::error_of;
use crate::ids::ProjectId;

/// The token that is introspected.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProbeToken {
    /// A valid token of the operator whose audience includes this project: valid credentials give `Active`.
    Own(ProjectId),
    /// A text in the form of a token that is not one: valid credentials give `Inactive`.
    Junk,
}

/// ZITADEL's verdict. It is read from the body, not from the status: the documentation says 401 where the code says 400.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Introspection {
    /// The credentials are valid: a proof.
    Active,
    /// Valid credentials and a token for another audience, *or* an internal error of ZITADEL: no proof on its own.
    Inactive,
    /// The credentials were rejected: they are wrong, or the application, project or organization is inactive.
    Refused,
    /// An answer that says nothing about the credentials.
    NoVerdict,
}

/// The verdict in an answer; an error if the answer is not about credentials (5xx, 404, 429, redirect).
pub fn judge(answer: &Answer) -> Result<Introspection, ZitadelError> {
    let body = || serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
    match answer.status {
        200 => Ok(match body().get("active").and_then(Value::as_bool) {
            Some(true) => Introspection::Active,
            Some(false) => Introspection::Inactive,
            None => Introspection::NoVerdict,
        }),
        400 | 401 => Ok(match body().get("error").and_then(Value::as_str) {
            Some("unauthorized_client" | "invalid_client") => Introspection::Refused,
            _ => Introspection::NoVerdict,
        }),
        _ => Err(error_of(Operation::Introspect, answer)),
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use zeroize::Zeroizing;

    use super::*;
    use crate::zitadel::error::ErrorClass;

    fn judged(status: u16, body: &str) -> Result<Introspection, ErrorClass> {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        judge(&Answer { status, body }).map_err(|error| error.class())
    }

    #[test]
    fn the_body_decides() {
        use Introspection as I;
        let rows = [
            (200, r#"{"active":true,"sub":"1"}"#, I::Active),
            (200, r#"{"active":false}"#, I::Inactive),
            (200, r#"{"active":"true"}"#, I::NoVerdict),
            (200, "{}", I::NoVerdict),
            (200, "<html>", I::NoVerdict),
            (200, "", I::NoVerdict),
            (200, r#"{"error":"unauthorized_client"}"#, I::NoVerdict),
            (400, r#"{"error":"unauthorized_client"}"#, I::Refused),
            (401, r#"{"error":"invalid_client"}"#, I::Refused),
            (
                400,
                r#"{"error":"unauthorized_client","parent":"x"}"#,
                I::Refused,
            ),
            (400, r#"{"error":"invalid_request"}"#, I::NoVerdict),
            (400, r#"{"active":true}"#, I::NoVerdict),
            (401, "unauthorized_client", I::NoVerdict),
        ];
        for (status, body, verdict) in rows {
            assert_eq!(judged(status, body), Ok(verdict), "{status} {body}");
        }
    }

    #[test]
    fn an_answer_about_something_else_is_an_error() {
        assert_eq!(
            judged(500, r#"{"error":"unauthorized_client"}"#),
            Err(ErrorClass::Internal)
        );
        assert_eq!(judged(302, ""), Err(ErrorClass::Redirected));
        assert_eq!(judged(429, "blocked"), Err(ErrorClass::RateLimited));
        assert_eq!(judged(204, ""), Err(ErrorClass::Malformed));
        assert_eq!(
            judged(404, "ID=QUERY-1kIjX"),
            Err(ErrorClass::InstanceNotFound)
        );
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(status in any::<u16>(), body in any::<Vec<u8>>()) {
            let _ = judge(&Answer { status, body: Zeroizing::new(body) });
        }
    }
}
