//! Answers of the token endpoint. No I/O.

use std::time::Duration;

use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::detail::{Detail, Fault};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::error_of;

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
}

/// The token and how long it is usable.
pub(super) fn parse(answer: &Answer) -> Result<(SecretString, Duration), ZitadelError> {
    let error = |class| ZitadelError::new(Operation::Token, class).with_answer(answer.status, None);
    if answer.status != 200 {
        let body = serde_json::from_slice::<Value>(&answer.body).unwrap_or_default();
        let word = body.get("error").and_then(Value::as_str);
        let is_oauth_error = word.is_some();
        return Err(match answer.status {
            400 | 401 if is_oauth_error => error(ErrorClass::TokenRefused),
            // NB: the answer of ZITADEL 4.13 for a deleted key.
            500..=599 if word == Some("server_error") => {
                error(ErrorClass::Internal).with_detail(Some(Detail::of(Fault::TokenServerError)))
            }
            _ => error_of(Operation::Token, answer),
        });
    }
    let body: TokenAnswer =
        serde_json::from_slice(&answer.body).map_err(|_| error(ErrorClass::Malformed))?;
    let token = body.access_token.expose_secret();
    let is_token = !token.is_empty() && token.bytes().all(|b| b.is_ascii_graphic());
    let is_bearer = match &body.token_type {
        Value::Null => true,
        Value::String(kind) => kind.eq_ignore_ascii_case("bearer"),
        _ => false,
    };
    if !is_token || !is_bearer {
        return Err(error(ErrorClass::Malformed));
    }
    Ok((body.access_token, usable_for(&body.expires_in)))
}

/// How long a token is usable: `expires_in` seconds less a margin, at most a day. Without a usable `expires_in` it serves only the
/// current call.
fn usable_for(expires_in: &Value) -> Duration {
    const DAY: f64 = 86_400.0;
    let seconds = expires_in.as_f64().unwrap_or(0.0).clamp(0.0, DAY);
    let margin = (seconds / 10.0).min(60.0);
    Duration::from_secs_f64(seconds - margin)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;
    use zeroize::Zeroizing;

    use super::*;

    #[test]
    fn a_token_is_used_until_shortly_before_it_ends() {
        for (expires_in, seconds) in [
            (json!(43199), 43139),
            (json!(600), 540),
            (json!(100), 90),
            (json!(10), 9),
            (json!(0), 0),
            (json!(-1), 0),
            (json!(1e18), 86_340),
            (json!(1_000_000_000_000_000_000_u64), 86_340),
            (json!(u64::MAX), 86_340),
            (json!(i64::MIN), 0),
            (json!("3600"), 0),
            (json!(null), 0),
        ] {
            assert_eq!(usable_for(&expires_in).as_secs(), seconds, "{expires_in}");
        }
    }

    fn parsed(status: u16, body: &str) -> Result<String, ErrorClass> {
        let body = Zeroizing::new(body.as_bytes().to_vec());
        parse(&Answer { status, body })
            .map(|(token, _)| token.expose_secret().to_owned())
            .map_err(|error| error.class())
    }

    #[test]
    fn a_token_answer_is_read_or_classed() {
        use ErrorClass as C;
        assert_eq!(
            parsed(200, r#"{"access_token":"abc","token_type":"bearer"}"#).unwrap(),
            "abc"
        );
        let refused = r#"{"error":"invalid_grant","error_description":"invalid assertion"}"#;
        for (status, body, class) in [
            (400, refused, C::TokenRefused),
            (401, refused, C::TokenRefused),
            (400, "<html>", C::Rejected),
            (404, "ID=QUERY-1kIjX", C::InstanceNotFound),
            (429, "Your ZITADEL instance is blocked.", C::RateLimited),
            (500, refused, C::Internal),
            (302, "", C::Redirected),
            (200, "", C::Malformed),
            (200, "<html>", C::Malformed),
            (200, r#"{"access_token":""}"#, C::Malformed),
            (200, r#"{"access_token":7}"#, C::Malformed),
            (200, r#"{"access_token":"a\nb"}"#, C::Malformed),
            (
                200,
                r#"{"access_token":"a","token_type":"DPoP"}"#,
                C::Malformed,
            ),
        ] {
            assert_eq!(parsed(status, body), Err(class), "{status} {body}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_token_answer_or_not(status in any::<u16>(), body in any::<Vec<u8>>()) {
            let _ = parse(&Answer { status, body: Zeroizing::new(body) });
        }

        #[test]
        fn any_lifetime_is_bounded(seconds in any::<f64>()) {
            prop_assert!(usable_for(&json!(seconds)) <= Duration::from_hours(24));
        }
    }
}
