//! Access tokens: a personal one as it is, or short-lived ones for a service account key, cached until they expire.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

use parking_lot::Mutex;
use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

use super::config::Observer;
use super::credential::{Credential, ServiceAccountKey};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::sensitive;
use super::token_answer;
use super::transport::{SMALL_BODY, Transport};
use crate::ids::ProjectId;

/// The audience of a token.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(super) enum Audience {
    /// ZITADEL's own API.
    Api,
    /// The applications of a project. Their introspection of such a token says `active`.
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
    rejected: Arc<AtomicBool>,
    /// When it was requested, on the clock since boot.
    requested: Duration,
    /// How long it may be used from then on.
    usable: Duration,
}

impl Token {
    pub(super) fn expose(&self) -> &str {
        self.value.expose_secret()
    }

    fn is_usable(&self, boottime: Duration) -> bool {
        self.age(boottime) < self.usable && !self.rejected.load(Ordering::Relaxed)
    }

    pub(super) fn age(&self, boottime: Duration) -> Duration {
        boottime.saturating_sub(self.requested)
    }
}

type CachedToken = Arc<tokio::sync::Mutex<Option<Token>>>;

/// Provides tokens. When several callers need a new one, one of them requests it and the others wait.
pub(super) struct TokenSource {
    credential: Credential,
    issuer: String,
    deadline: Duration,
    observer: Option<Arc<Observer>>,
    slots: Mutex<HashMap<Audience, CachedToken>>,
}

impl TokenSource {
    /// `issuer` is the audience of assertions, `deadline` that of one request. Each request is reported to the observer.
    pub(super) fn new(
        credential: Credential,
        issuer: String,
        deadline: Duration,
        observer: Option<Arc<Observer>>,
    ) -> Self {
        Self {
            credential,
            issuer,
            deadline,
            observer,
            slots: Mutex::new(HashMap::new()),
        }
    }

    pub(super) fn credential(&self) -> &Credential {
        &self.credential
    }

    /// A token that remains valid for a while.
    pub(super) async fn token(
        &self,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        // A personal access token is valid for every audience: introspection adds the client's ids to it.
        let audience = match self.credential {
            Credential::PersonalAccessToken(_) => &Audience::Api,
            Credential::ServiceAccountKey(_) => audience,
        };
        let slot = Arc::clone(self.slots.lock().entry(audience.clone()).or_default());
        let mut slot = slot.lock().await;
        if let Some(token) = &*slot
            && token.is_usable(transport.clock.boot())
        {
            return Ok(token.clone());
        }
        let token = match &self.credential {
            Credential::PersonalAccessToken(token) => Token {
                value: Arc::new(token.clone()),
                rejected: Arc::default(),
                requested: transport.clock.boot(),
                usable: Duration::MAX,
            },
            // NB: boxed, because it is rare and large.
            Credential::ServiceAccountKey(key) => {
                Box::pin(self.request(key, audience, transport)).await?
            }
        };
        *slot = Some(token.clone());
        Ok(token)
    }

    /// Discards a token that was rejected, for all callers. Returns whether a new one can be requested.
    pub(super) fn discard(&self, rejected: &Token) -> bool {
        if matches!(self.credential, Credential::PersonalAccessToken(_)) {
            return false;
        }
        rejected.rejected.store(true, Ordering::Relaxed);
        true
    }

    async fn request(
        &self,
        key: &ServiceAccountKey,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        let assumed = transport.now();
        let first = self.observed(key, audience, transport).await;
        // The rejection itself carried ZITADEL's time: if a wrong time was the cause, the next assertion is right.
        match first {
            Err(error)
                if error.class() == ErrorClass::TokenRefused
                    && transport.now().duration_since(assumed).abs().as_secs() > 30 =>
            {
                self.observed(key, audience, transport).await
            }
            first => first,
        }
    }

    /// One request, reported to the observer.
    async fn observed(
        &self,
        key: &ServiceAccountKey,
        audience: &Audience,
        transport: &Transport,
    ) -> Result<Token, ZitadelError> {
        let started = Instant::now();
        let result = self.request_once(key, audience, transport).await;
        if let Some(observer) = &self.observer {
            observer(Operation::Token, result.as_ref().err(), started.elapsed());
        }
        result
    }

    async fn request_once(
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
        // NB: measured before the request, so a token's age is never underestimated.
        let requested = transport.clock.boot();
        let answer = transport
            .send(request, SMALL_BODY, self.deadline)
            .await
            .map_err(|failure| failure.of(Operation::Token))?;
        let (value, usable) = token_answer::parse(&answer)?;
        Ok(Token {
            value: Arc::new(value),
            rejected: Arc::default(),
            requested,
            usable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rejected_token_is_not_used_again_even_while_another_caller_checks_it() {
        let key = crate::zitadel::credential::tests::service_account_key();
        let source = TokenSource::new(
            key,
            "https://iam.example.com".to_owned(),
            Duration::ZERO,
            None,
        );
        let token = Token {
            value: Arc::new(SecretString::from("a")),
            rejected: Arc::default(),
            requested: Duration::ZERO,
            usable: Duration::from_secs(60),
        };
        let slot = CachedToken::default();
        slot.try_lock().unwrap().replace(token.clone());
        source.slots.lock().insert(Audience::Api, Arc::clone(&slot));
        let checking = slot.try_lock().unwrap();
        assert!(checking.as_ref().unwrap().is_usable(Duration::ZERO));
        assert!(source.discard(&token));
        drop(checking);
        let cached = slot.try_lock().unwrap();
        assert!(!cached.as_ref().unwrap().is_usable(Duration::ZERO));
    }

    #[test]
    fn a_probe_token_is_for_the_project_too() {
        let project = ProjectId::try_from("42").unwrap();
        let scope = Audience::Project(project).scope();
        assert!(scope.starts_with(&Audience::Api.scope()));
        assert!(scope.ends_with(" urn:zitadel:iam:org:project:id:42:aud"));
    }
}
