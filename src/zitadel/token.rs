//! Access tokens: a personal one as it is, or short-lived ones got for a service account key and kept until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::answer::Answer;
use super::assertion;
use super::credential::{Credential, ServiceAccountKey};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::error_of;
use super::transport::{SMALL_BODY, Transport, lock};
use crate::ids::ProjectId;

/// What a token is for.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Audience {
    /// ZITADEL's own API.
    Api,
    /// The applications of a project: introspection of such a token says `active`.
    Project(ProjectId),
}

impl Audience {
    fn scope(&self) -> String {
        let api = "openid urn:zitadel:iam:org:project:id:zitadel:aud";
        match self {
            Self::Api => api.to_owned(),
            Self::Project(project) => format!("{api} urn:zitadel:iam:org:project:id:{project}:aud"),
        }
    }
}

/// One access token.
#[derive(Clone)]
pub(super) struct Token {
    value: Arc<SecretString>,
    serial: u64,
    /// When it was got, on the clock since boot.
    got: Duration,
    /// How long it may be used from then on.
    usable: Duration,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    pub(super) fn age(&self, boottime: Duration) -> Duration {
        boottime.saturating_sub(self.got)
    }
}

type Slot = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Gives tokens. Of many callers that need a new one, one asks for it and the others wait for that.
pub(super) struct TokenSource {
    credential: Credential,
    issuer: String,
    deadline: Duration,
    serials: AtomicU64,
    slots: Mutex<HashMap<Audience, Slot>>,
}

impl TokenSource {
    /// `issuer` is the audience of assertions, `deadline` that of one request.
    pub(super) fn new(credential: Credential, issuer: String, deadline: Duration) -> Self {
        Self {
            credential,
            issuer,
            deadline,
            serials: AtomicU64::new(0),
            slots: Mutex::new(HashMap::new()),
        }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// A token that is good for a while yet.
    pub(super) async fn token(
        &self,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        // A personal access token is good for every audience: introspection adds the client's ids to it.
        let audience = match self.credential {
            Credential::PersonalAccessToken(_) => &Audience::Api,
            Credential::ServiceAccountKey(_) => audience,
        };
        let slot = Arc::clone(lock(&self.slots).entry(audience.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(token) = &*slot
            && token.age(transport.clock.boottime()) < token.usable
        {
            return Ok(token.clone());
        }
        let token = match &self.credential {
            Credential::PersonalAccessToken(token) => Token {
                value: Arc::new(token.clone()),
                serial: 0,
                got: transport.clock.boottime(),
                usable: Duration::MAX,
            },
            Credential::ServiceAccountKey(key) => self.ask(key, audience, transport).await?,
        };
        *slot = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused, unless another has taken its place. Whether asking again can give another one.
    pub(super) fn forget(&self, audience: &Audience, refused: &Token) -> bool {
        if matches!(self.credential, Credential::PersonalAccessToken(_)) {
            return false;
        }
        let slot = lock(&self.slots).get(audience).cloned();
        // NB: a slot that is held is being filled with another token just now.
        if let Some(mut slot) = slot.as_ref().and_then(|slot| slot.try_lock().ok()) {
            slot.take_if(|token| token.serial == refused.serial);
        }
        true
    }

    async fn ask(
        &self,
        key: &ServiceAccountKey,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        let assumed = transport.now();
        let first = self.ask_once(key, audience, transport).await;
        // The refusal itself told ZITADEL's time: if that is why, the next assertion is right.
        match first {
            Err(error)
                if error.class() == ErrorClass::TokenRefused
                    && transport.now().duration_since(assumed).abs().as_secs() > 30 =>
            {
                self.ask_once(key, audience, transport).await
            }
            first => first,
        }
    }

    async fn ask_once(
        &self,
        key: &ServiceAccountKey,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        let assertion = assertion::sign(key, &self.issuer, transport.now())
            .map_err(|_| ZitadelError::new(Operation::Token, ErrorClass::CredentialMalformed))?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
            ("scope", &audience.scope()),
        ];
        let request = transport.read(Method::POST, "/oauth/v2/token").form(&form);
        // NB: counted from before the request, so a token is never thought younger than it is.
        let got = transport.clock.boottime();
        let answer = transport
            .send(request, SMALL_BODY, self.deadline)
            .await
            .map_err(|failure| failure.of(Operation::Token))?;
        let (value, usable) = parse(&answer)?;
        Ok(Token {
            value: Arc::new(value),
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            got,
            usable,
        })
    }
}

#[derive(Deserialize)]
struct TokenAnswer {
    access_token: SecretString,
    #[serde(default)]
    token_type: Value,
    #[serde(default)]
    expires_in: Value,
}

fn parse(answer: &Answer) -> Result<(SecretString, Duration), ZitadelError> {
    let error = |class| ZitadelError::new(Operation::Token, class).with_answer(answer.status, None);
    if answer.status != 200 {
        let is_oauth_error = serde_json::from_slice::<Value>(&answer.body)
            .is_ok_and(|body| body.get("error").is_some_and(Value::is_string));
        return Err(match answer.status {
            400 | 401 if is_oauth_error => error(ErrorClass::TokenRefused),
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

/// How long a token may be used: `expires_in` seconds less a margin, at most a day. One that says nothing usable about
/// itself serves the present call only.
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

    #[test]
    fn a_probe_token_is_for_the_project_too() {
        let project = ProjectId::try_from("42").unwrap();
        let scope = Audience::Project(project).scope();
        assert!(scope.starts_with(&Audience::Api.scope()));
        assert!(scope.ends_with(" urn:zitadel:iam:org:project:id:42:aud"));
    }

    proptest! {
        #[test]
        fn any_bytes_are_a_token_answer_or_not(status in any::<u16>(), body in any::<Vec<u8>>()) {
            let _ = parse(&Answer { status, body: Zeroizing::new(body) });
        }

        #[test]
        fn any_lifetime_is_bounded(seconds in any::<f64>()) {
            prop_assert!(usable_for(&json!(seconds)) <= Duration::from_secs(86_400));
        }
    }
}
