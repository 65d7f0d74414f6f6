//! The client: its parts, and how every call but generate is sent.

use std::sync::Arc;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use jiff::Timestamp;
use reqwest::RequestBuilder;
use zeroize::Zeroizing;

use super::answer::Answer;
use super::backend::Backend;
use super::config::{ClientConfig, ConfigError, Observer, Timeouts};
use super::deprecation::Deprecation;
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::error_of;
use super::issuer::Issuer;
use super::sensitive;
use super::token::{Audience, Token, TokenSource};
use super::transport::Transport;
use super::v1::V1;
use super::v2::V2;
use crate::ids::ApiVersion;
use crate::process::clock::ServerClock;

/// A client of one ZITADEL instance with one credential, over one version of its API.
#[derive(Clone)]
pub struct Client {
    pub(super) api: ApiVersion,
    pub(super) issuer: Issuer,
    pub(super) transport: Arc<Transport>,
    pub(super) tokens: Arc<TokenSource>,
    pub(super) timeouts: Timeouts,
    observer: Option<Arc<Observer>>,
}

impl Client {
    /// Creates a client of v1. Nothing is sent yet.
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
        let observer = config.observer.map(Arc::new);
        Ok(Self {
            api: ApiVersion::V1,
            tokens: Arc::new(TokenSource::new(
                config.credential,
                issuer,
                config.timeouts.call,
                observer.clone(),
            )),
            issuer: config.url,
            transport: Arc::new(transport),
            timeouts: config.timeouts,
            observer,
        })
    }

    /// The same client over a version of the API: it shares connections and tokens.
    #[must_use]
    pub fn over(&self, api: ApiVersion) -> Self {
        Self {
            api,
            ..self.clone()
        }
    }

    /// The version of the API that its calls go to.
    pub const fn api(&self) -> ApiVersion {
        self.api
    }

    pub(super) fn backend(&self) -> &'static dyn Backend {
        match self.api {
            ApiVersion::V1 => &V1,
            ApiVersion::V2 => &V2,
        }
    }

    /// When the credential expires, if that is known.
    pub fn credential_expiry(&self) -> Option<Timestamp> {
        self.tokens.credential().expiry()
    }

    /// What ZITADEL announced last of an API that was asked.
    pub fn deprecation(&self) -> Option<Deprecation> {
        *self.transport.deprecation.lock()
    }

    /// ZITADEL's clock, from the newest answer that had a `Date` header.
    pub fn clock(&self) -> &ServerClock {
        &self.transport.server
    }

    /// The call within its deadline, reported to the observer.
    pub(super) async fn call<T>(
        &self,
        operation: Operation,
        deadline: Duration,
        call: impl Future<Output = Result<T, ZitadelError>> + Send,
    ) -> Result<T, ZitadelError> {
        let started = Instant::now();
        let result = within(operation, deadline, call).await;
        self.report(operation, result.as_ref().err(), started);
        result
    }

    /// Reports a call that ended to the observer.
    pub(super) fn report(
        &self,
        operation: Operation,
        error: Option<&ZitadelError>,
        started: Instant,
    ) {
        if let Some(observer) = &self.observer {
            observer(operation, error, started.elapsed());
        }
    }

    /// An authorized request that may be repeated, judged by `parse` if it was answered with 200. A rejected token is
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
            let request = authorized(request(), &token, operation)?;
            let answer = self
                .transport
                .send(request, limit, self.timeouts.call)
                .await
                .map_err(|failure| failure.of(operation))?;
            if answer.status == 200 {
                let malformed =
                    || ZitadelError::new(operation, ErrorClass::Malformed).with_answer(200, None);
                return parse(&answer).ok_or_else(malformed);
            }
            let replaced = answer.status == 401 && may_replace && self.tokens.discard(&token);
            if !replaced {
                return Err(error_of(operation, &answer));
            }
            may_replace = false;
        }
    }
}

/// The request with the token.
pub(super) fn authorized(
    request: RequestBuilder,
    token: &Token,
    operation: Operation,
) -> Result<RequestBuilder, ZitadelError> {
    let bearer = Zeroizing::new(["Bearer ", token.expose()].concat().into_bytes());
    let value = sensitive::header(bearer)
        .ok_or_else(|| ZitadelError::new(operation, ErrorClass::CredentialMalformed))?;
    Ok(request.header(AUTHORIZATION, value))
}

/// The call within its deadline.
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
