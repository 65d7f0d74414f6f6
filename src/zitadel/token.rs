//! Access tokens: a personal one as it is, or short-lived ones got for a service account key and kept until they end.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use reqwest::Method;
use secrecy::{ExposeSecret, SecretString};

use super::assertion;
use super::credential::{Credential, ServiceAccountKey};
use super::error::{ErrorClass, Operation, ZitadelError};
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
            && token.age(transport.clock.boot()) < token.usable
        {
            return Ok(token.clone());
        }
        let token = match &self.credential {
            Credential::PersonalAccessToken(token) => Token {
                value: Arc::new(token.clone()),
                serial: 0,
                got: transport.clock.boot(),
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
        let got = transport.clock.boot();
        let answer = transport
            .send(request, SMALL_BODY, self.deadline)
            .await
            .map_err(|failure| failure.of(Operation::Token))?;
        let (value, usable) = token_answer::parse(&answer)?;
        Ok(Token {
            value: Arc::new(value),
            serial: self.serials.fetch_add(1, Ordering::Relaxed),
            got,
            usable,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_probe_token_is_for_the_project_too() {
        let project = ProjectId::try_from("42").unwrap();
        let scope = Audience::Project(project).scope();
        assert!(scope.starts_with(&Audience::Api.scope()));
        assert!(scope.ends_with(" urn:zitadel:iam:org:project:id:42:aud"));
    }
}
