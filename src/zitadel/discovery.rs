//! ZITADEL's OIDC configuration. No I/O.

use serde_json::Value;

use super::answer::Answer;
use super::detail::{Detail, Fault};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::error_of;
use super::issuer::Issuer;

/// The part of the OIDC configuration that consumers of a secret need.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Discovery {
    /// The issuer: the configured URL.
    pub issuer: Issuer,
    /// Where consumers introspect tokens.
    pub introspection_endpoint: String,
    /// Where consumers get tokens.
    pub token_endpoint: String,
}

/// Parses an answer. It is an error unless the issuer is the configured one and the endpoints have its origin, because consumers send
/// their credentials there.
pub fn parse(answer: &Answer, issuer: &Issuer) -> Result<Discovery, ZitadelError> {
    if answer.status != 200 {
        return Err(error_of(Operation::Discovery, answer));
    }
    let error = |class| ZitadelError::new(Operation::Discovery, class).with_answer(200, None);
    let body: Value =
        serde_json::from_slice(&answer.body).map_err(|_| error(ErrorClass::Malformed))?;
    let field = |name| {
        let text = body.get(name).and_then(Value::as_str);
        text.ok_or_else(|| error(ErrorClass::Malformed))
    };
    let said = field("issuer")?;
    if said != issuer.as_str() {
        let fault = Fault::OtherIssuer(Issuer::origin_of(said));
        return Err(error(ErrorClass::IssuerMismatch).with_detail(Some(Detail::of(fault))));
    }
    let endpoint = |name: &'static str| {
        let url = field(name)?;
        if url.len() > 2048 || !url.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(error(ErrorClass::Malformed));
        }
        if !issuer.is_origin_of(url) {
            let fault = Fault::EndpointElsewhere(name);
            return Err(error(ErrorClass::IssuerMismatch).with_detail(Some(Detail::of(fault))));
        }
        Ok(url.to_owned())
    };
    Ok(Discovery {
        issuer: issuer.clone(),
        introspection_endpoint: endpoint("introspection_endpoint")?,
        token_endpoint: endpoint("token_endpoint")?,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use zeroize::Zeroizing;

    use super::*;

    fn parsed(status: u16, body: &Value) -> Result<Discovery, ErrorClass> {
        let issuer = Issuer::parse("https://iam.example.com", false).unwrap();
        let body = Zeroizing::new(body.to_string().into_bytes());
        parse(&Answer { status, body }, &issuer).map_err(|error| error.class())
    }

    fn answer() -> Value {
        json!({"issuer": "https://iam.example.com",
            "introspection_endpoint": "https://iam.example.com/oauth/v2/introspect",
            "token_endpoint": "https://iam.example.com/oauth/v2/token"})
    }

    #[test]
    fn the_endpoints_are_read() {
        let read = parsed(200, &answer()).unwrap();
        assert_eq!(
            read.token_endpoint,
            "https://iam.example.com/oauth/v2/token"
        );
    }

    #[test]
    fn the_issuer_that_zitadel_gives_is_quoted_if_it_is_an_origin() {
        let issuer = Issuer::parse("https://iam.example.com", false).unwrap();
        let said = |given: &str| {
            let mut answer = answer();
            answer["issuer"] = json!(given);
            let body = Zeroizing::new(answer.to_string().into_bytes());
            let error = parse(&Answer { status: 200, body }, &issuer).err().unwrap();
            error.detail().unwrap().to_string()
        };
        for origin in [
            "https://login.example.test",
            "http://iam.example.com",
            "https://iam.example.com:8443",
        ] {
            let text = said(origin);
            let quoted = format!("ZITADEL's issuer is {origin}, not spec.url: correct spec.url");
            assert!(text.contains(&quoted), "{text}");
        }
        for none in [
            "https://me:hunter2@login.example.test",
            "https://login.example.test/hunter2",
            "hunter2",
            "https://login.example.test\nhunter2",
        ] {
            let text = said(none);
            assert!(!text.contains("hunter2"), "{text}");
            assert!(text.contains("not spec.url"), "{text}");
        }
    }

    #[test]
    fn another_issuer_or_a_foreign_endpoint_is_an_error() {
        for (field, value, class) in [
            (
                "issuer",
                json!("https://iam.example.com/"),
                ErrorClass::IssuerMismatch,
            ),
            (
                "issuer",
                json!("http://iam.example.com"),
                ErrorClass::IssuerMismatch,
            ),
            ("issuer", json!(null), ErrorClass::Malformed),
            (
                "token_endpoint",
                json!("https://evil.example.com/t"),
                ErrorClass::IssuerMismatch,
            ),
            (
                "token_endpoint",
                json!("https://iam.example.com/a\nb"),
                ErrorClass::Malformed,
            ),
            ("introspection_endpoint", json!(7), ErrorClass::Malformed),
        ] {
            let mut answer = answer();
            answer[field] = value;
            assert_eq!(parsed(200, &answer), Err(class), "{answer}");
        }
        assert_eq!(parsed(404, &answer()), Err(ErrorClass::Rejected));
        assert_eq!(parsed(200, &json!("text")), Err(ErrorClass::Malformed));
    }
}
