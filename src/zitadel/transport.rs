//! HTTP as this client wants it: deadlines over whole calls, bounded bodies, no redirects, no proxies, nothing sent twice.

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Method, RequestBuilder, redirect, retry};
use zeroize::Zeroizing;

use super::answer::{Answer, Failure};
use super::client::ConfigError;
use super::dns::SystemDns;
use super::error::ErrorClass;
use super::issuer::{Endpoint, Issuer};
use super::last_look::{LastLook, Late};
use crate::runtime::clock::{Clock, ServerClock};

/// Largest body that is read, in bytes.
pub(super) const SMALL_BODY: usize = 64 * 1024;
/// Largest list that is read, in bytes.
pub(super) const LIST_BODY: usize = 4 * 1024 * 1024;

pub(super) struct Transport {
    reads: reqwest::Client,
    once: reqwest::Client,
    base: String,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) server: ServerClock,
}

impl Transport {
    pub(super) fn new(
        issuer: &Issuer,
        endpoint: Option<&Endpoint>,
        ca_pem: Option<&[u8]>,
        connect_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let roots = ca_pem.map(roots).transpose()?;
        let build = |pool: usize, last_look: Option<LastLook>| {
            let mut builder = reqwest::Client::builder()
                .user_agent(concat!(
                    "zitadel-secret-operator/",
                    env!("CARGO_PKG_VERSION")
                ))
                .default_headers(headers(issuer, endpoint)?)
                .connect_timeout(connect_timeout)
                .pool_max_idle_per_host(pool)
                // An environment variable must not decide where the credential goes.
                .no_proxy()
                .dns_resolver(SystemDns::default())
                .redirect(redirect::Policy::none())
                .referer(false)
                // HTTP/1.1: a server that refuses an HTTP/2 stream invites the client to send it again, and one connection
                // that hangs would hold up every call.
                .http1_only()
                .retry(retry::never());
            if let Some(last_look) = last_look {
                builder = builder.connector_layer(last_look);
            }
            if let Some(roots) = &roots {
                builder = builder.tls_certs_only(roots.clone());
            }
            // The certificates of a bundle are read only here.
            let unusable = match roots {
                Some(_) => ConfigError::CaBundle,
                None => ConfigError::Tls,
            };
            builder.build().map_err(|_| unusable)
        };
        Ok(Self {
            reads: build(8, None)?,
            // Generate gets a fresh connection each time: on a pooled one that the server has just closed, hyper sends a
            // request again by itself, whatever the retry policy says.
            once: build(0, Some(LastLook(Arc::clone(&clock))))?,
            base: endpoint
                .map_or(issuer.as_str(), Endpoint::as_str)
                .to_owned(),
            server: ServerClock::new(Arc::clone(&clock)),
            clock,
        })
    }

    /// A request that may be repeated.
    pub(super) fn read(&self, method: Method, path: &str) -> RequestBuilder {
        self.reads.request(method, format!("{}{path}", self.base))
    }

    /// A request that leaves at most once.
    pub(super) fn once(&self, method: Method, path: &str) -> RequestBuilder {
        self.once.request(method, format!("{}{path}", self.base))
    }

    /// Sends the request and reads the whole answer, at most `limit` bytes of it, before the deadline.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, Failure> {
        tokio::time::timeout(deadline, self.exchange(request, limit))
            .await
            .unwrap_or(Err(Failure::MaybeSent(ErrorClass::Timeout, None)))
    }

    async fn exchange(&self, request: RequestBuilder, limit: usize) -> Result<Answer, Failure> {
        let mut response = request.send().await.map_err(|error| failure(&error))?;
        self.server.observe(response.headers());
        let status = response.status().as_u16();
        let too_large = Failure::MaybeSent(ErrorClass::TooLarge, Some(status));
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large);
        }
        // NB: room for the usual answer from the start, so that no copy of a secret is left behind by growing.
        let mut body = Zeroizing::new(Vec::with_capacity(limit.min(16 * 1024)));
        loop {
            let chunk = response.chunk().await;
            let interrupted = Failure::MaybeSent(ErrorClass::Interrupted, Some(status));
            let Some(chunk) = chunk.map_err(|_| interrupted)? else {
                return Ok(Answer { status, body });
            };
            if body.len() + chunk.len() > limit {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
    }

    /// ZITADEL's clock if it is known, the local one otherwise.
    pub(super) fn now(&self) -> jiff::Timestamp {
        self.server.now().unwrap_or_else(|| self.clock.wall())
    }
}

/// A mutex's content, also if another task panicked: what stands in it is always whole.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn roots(pem: &[u8]) -> Result<Vec<Certificate>, ConfigError> {
    let roots = Certificate::from_pem_bundle(pem).map_err(|_| ConfigError::CaBundle)?;
    if roots.is_empty() {
        return Err(ConfigError::CaBundle);
    }
    Ok(roots)
}

/// `x-zitadel-instance-host` chooses instance and issuer, whatever host is dialled; `x-forwarded-proto` the issuer's scheme
/// where ZITADEL does not insist on https.
fn headers(issuer: &Issuer, endpoint: Option<&Endpoint>) -> Result<http::HeaderMap, ConfigError> {
    let value = |text: &str| http::HeaderValue::from_str(text).map_err(|_| ConfigError::Tls);
    let mut headers = http::HeaderMap::new();
    headers.insert(http::header::ACCEPT, value("application/json")?);
    if let Some(endpoint) = endpoint.filter(|endpoint| endpoint.as_str() != issuer.as_str()) {
        headers.insert("x-zitadel-instance-host", value(issuer.authority())?);
        if endpoint.scheme() != issuer.scheme() {
            headers.insert("x-forwarded-proto", value(issuer.scheme())?);
        }
    }
    Ok(headers)
}

/// NB: the error itself is dropped, its texts hold URLs and what the remote side sent.
fn failure(error: &reqwest::Error) -> Failure {
    if error.is_builder() {
        return Failure::NotSent(ErrorClass::Rejected);
    }
    // The connector failed, so there was no connection to write to (`hyper-util` makes this kind of error nowhere else).
    if error.is_connect() {
        return Failure::NotSent(connect_class(error));
    }
    let class = if error.is_timeout() {
        ErrorClass::Timeout
    } else {
        ErrorClass::Interrupted
    };
    Failure::MaybeSent(class, None)
}

fn connect_class(error: &reqwest::Error) -> ErrorClass {
    if error.is_dns() {
        return ErrorClass::UnreachableDns;
    }
    let mut cause = error.source();
    while let Some(error) = cause {
        if is_tls(error) {
            return ErrorClass::Tls;
        }
        if error.is::<Late>() {
            return ErrorClass::Timeout;
        }
        cause = error.source();
    }
    ErrorClass::UnreachableConnect
}

fn is_tls(error: &(dyn Error + 'static)) -> bool {
    if error.is::<rustls::Error>() {
        return true;
    }
    // NB: an `io::Error` does not give what it wraps as its source, only the source of that.
    error
        .downcast_ref::<std::io::Error>()
        .and_then(std::io::Error::get_ref)
        .is_some_and(|inner| is_tls(inner))
}
