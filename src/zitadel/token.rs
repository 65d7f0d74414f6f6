//! Access tokens: a personal one as it is, or short-lived ones got for a service account key and kept until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

use super::credential::{Credential, ServiceAccountKey};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::sensitive;
use super::token_answer;
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
    refused: Arc<AtomicBool>,
    /// When it was got, on the clock since boot.
    got: Duration,
    /// How long it may be used from then on.
    usable: Duration,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    fn is_usable(&self, boottime: Duration) -> bool {
        self.age(boottime) < self.usable && !self.refused.load(Ordering::Relaxed)
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
    slots: Mutex<HashMap<Audience, Slot>>,
}

impl TokenSource {
    /// `issuer` is the audience of assertions, `deadline` that of one request.
    pub(super) fn new(credential: Credential, issuer: String, deadline: Duration) -> Self {
        Self {
            credential,
            issuer,
            deadline,
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
            && token.is_usable(transport.clock.boot())
        {
            return Ok(token.clone());
        }
        let token = match &self.credential {
            Credential::PersonalAccessToken(token) => Token {
                value: Arc::new(token.clone()),
                refused: Arc::default(),
                got: transport.clock.boot(),
                usable: Duration::MAX,
            },
            Credential::ServiceAccountKey(key) => self.ask(key, audience, transport).await?,
        };
        *slot = Some(token.clone());
        Ok(token)
    }

    /// Forgets a token that was refused: nobody is given it any more. Whether asking again can give another one.
    pub(super) fn forget(&self, refused: &Token) -> bool {
        if matches!(self.credential, Credential::PersonalAccessToken(_)) {
            return false;
        }
        refused.refused.store(true, Ordering::Relaxed);
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
        let assertion = key
            .signing
            .sign(&self.issuer, transport.now())
            .map_err(|_| ZitadelError::new(Operation::Token, ErrorClass::CredentialMalformed))?;
        let form = [
            ("grant_type", "urn:ietf:params:oauth:grant-type:jwt-bearer"),
            ("assertion", assertion.expose_secret()),
            ("scope", &audience.scope()),
        ];
        let request = transport.read(Method::POST, "/oauth/v2/token");
        let request = sensitive::form(request, &form);
        // NB: counted from before the request, so a token is never thought younger than it is.
        let got = transport.clock.boot();
        let answer = transport
            .send(request, SMALL_BODY, self.deadline)
            .await
            .map_err(|failure| failure.of(Operation::Token))?;
        let (value, usable) = token_answer::parse(&answer)?;
        Ok(Token {
            value: Arc::new(value),
            refused: Arc::default(),
            got,
            usable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_refused_token_is_given_to_nobody_also_while_another_caller_looks_at_it() {
        let key = crate::zitadel::credential::tests::service_account_key();
        let source = TokenSource::new(key, "https://iam.example.com".to_owned(), Duration::ZERO);
        let token = Token {
            value: Arc::new(SecretString::from("a")),
            refused: Arc::default(),
            got: Duration::ZERO,
            usable: Duration::from_secs(60),
        };
        let slot = Slot::default();
        slot.try_lock().unwrap().replace(token.clone());
        lock(&source.slots).insert(Audience::Api, Arc::clone(&slot));
        let looking = slot.try_lock().unwrap();
        assert!(looking.as_ref().unwrap().is_usable(Duration::ZERO));
        assert!(source.forget(&token));
        drop(looking);
        let kept = slot.try_lock().unwrap();
        assert!(!kept.as_ref().unwrap().is_usable(Duration::ZERO));
    }

    #[test]
    fn a_probe_token_is_for_the_project_too() {
        let project = ProjectId::try_from("42").unwrap();
        let scope = Audience::Project(project).scope();
        assert!(scope.starts_with(&Audience::Api.scope()));
        assert!(scope.ends_with(" urn:zitadel:iam:org:project:id:42:aud"));
    }
}
