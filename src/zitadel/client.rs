//! The client that speaks HTTP: what it is made of, and how every call but generate is sent.

use std::sync::Arc;
use std::time::Duration;

use http::header::AUTHORIZATION;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::credential::Credential;
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::error_of;
use super::issuer::{Endpoint, Issuer};
use super::proxy::Proxy;
use super::sensitive;
use super::token::{Audience, Token, TokenSource};
use super::transport::Transport;
use crate::process::clock::{Clock, SystemClock};

/// How long calls may take; each is over everything the call does, tokens and bodies included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Making a connection.
    pub connect: Duration,
    /// A call that reads one thing.
    pub call: Duration,
    /// A call that reads a list, all pages of it.
    pub list: Duration,
    /// Generate. ZITADEL takes up to 15 s for a transaction.
    pub generate: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            connect: Duration::from_secs(5),
            call: Duration::from_secs(10),
            list: Duration::from_secs(30),
            generate: Duration::from_secs(30),
        }
    }
}

/// What a client is made from.
pub struct ClientConfig {
    /// ZITADEL's external URL.
    pub url: Issuer,
    /// Where to connect instead; ZITADEL is then told the host of `url`.
    pub endpoint: Option<Endpoint>,
    /// Certificates in PEM that replace the system's roots.
    pub ca_pem: Option<Vec<u8>>,
    /// The proxy to go through. Environment variables never name one.
    pub proxy: Option<Proxy>,
    /// The service user's credential.
    pub credential: Credential,
    /// Deadlines.
    pub timeouts: Timeouts,
    /// The host's clocks.
    pub clock: Arc<dyn Clock>,
}

impl ClientConfig {
    /// That URL and credential; everything else as usual.
    pub fn new(url: Issuer, credential: Credential) -> Self {
        Self {
            url,
            endpoint: None,
            ca_pem: None,
            proxy: None,
            credential,
            timeouts: Timeouts::default(),
            clock: Arc::new(SystemClock),
        }
    }
}

/// Why no client can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The CA bundle holds no certificate, or one that cannot be read.
    #[error("the CA bundle is not one or more certificates in PEM")]
    CaBundle,
    /// The same of the proxy's.
    #[error("the CA bundle of the proxy is not one or more certificates in PEM")]
    ProxyCaBundle,
    /// The proxy's URL cannot be used.
    #[error("the URL of the proxy cannot be used")]
    Proxy,
    /// TLS cannot be set up, such as without any system root.
    #[error("TLS cannot be set up; are there system root certificates?")]
    Tls,
}

/// A client of one ZITADEL instance with one credential.
pub struct Client {
    pub(super) issuer: Issuer,
    pub(super) transport: Transport,
    pub(super) tokens: TokenSource,
    pub(super) timeouts: Timeouts,
}

impl Client {
    /// A client; nothing is sent yet.
    pub fn new(config: ClientConfig) -> Result<Self, ConfigError> {
        let transport = Transport::new(
            &config.url,
            config.endpoint.as_ref(),
            config.ca_pem.as_deref(),
            config.proxy.as_ref(),
            config.timeouts.connect,
            config.clock,
        )?;
        let issuer = config.url.as_str().to_owned();
        Ok(Self {
            tokens: TokenSource::new(config.credential, issuer, config.timeouts.call),
            issuer: config.url,
            transport,
            timeouts: config.timeouts,
        })
    }

    /// When the credential ends, if it says so.
    pub fn credential_expiry(&self) -> Option<Timestamp> {
        self.tokens.credential().expiry()
    }

    /// An authorised request that may be repeated, judged by `parse` if it was answered with 200. A refused token is
    /// replaced once.
    pub(super) async fn read<T>(
        &self,
        operation: Operation,
        limit: usize,
        request: impl Fn() -> RequestBuilder + Send + Sync,
        parse: impl Fn(&Answer) -> Option<T> + Send + Sync,
    ) -> Result<T, ZitadelError> {
        let mut may_replace = true;
        loop {
            let token = self.tokens.token(&Audience::Api, &self.transport).await?;
            let authorised = authorised(request(), &token, operation)?;
            let answer = self
                .transport
                .send(authorised, limit, self.timeouts.call)
                .await
                .map_err(|failure| failure.of(operation))?;
            if answer.status == 200 {
                let malformed =
                    || ZitadelError::new(operation, ErrorClass::Malformed).with_answer(200, None);
                return parse(&answer).ok_or_else(malformed);
            }
            let replaced = answer.status == 401 && may_replace && self.tokens.forget(&token);
            if !replaced {
                return Err(error_of(operation, &answer));
            }
            may_replace = false;
        }
    }
}

/// The request with the token.
pub(super) fn authorised(
    request: RequestBuilder,
    token: &Token,
    operation: Operation,
) -> Result<RequestBuilder, ZitadelError> {
    let bearer = Zeroizing::new(["Bearer ", token.expose()].concat().into_bytes());
    let value = sensitive::header(bearer)
        .ok_or_else(|| ZitadelError::new(operation, ErrorClass::CredentialMalformed))?;
    Ok(request.header(AUTHORIZATION, value))
}

/// The call within its time.
pub(super) async fn within<T>(
    operation: Operation,
    deadline: Duration,
    call: impl Future<Output = Result<T, ZitadelError>> + Send,
) -> Result<T, ZitadelError> {
    tokio::time::timeout(deadline, call)
        .await
        .unwrap_or_else(|_| Err(ZitadelError::new(operation, ErrorClass::Timeout)))
}

#[cfg(test)]
mod tests;
