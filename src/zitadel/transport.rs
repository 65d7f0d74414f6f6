//! HTTP as this client wants it: deadlines over whole calls, bounded bodies, no redirects, no proxies, nothing sent twice.

use std::io::{self, ErrorKind};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use reqwest::{Certificate, Method, RequestBuilder, redirect, retry};
use zeroize::Zeroizing;

use super::answer::{Answer, Failure};
use super::client::ConfigError;
use super::detail::{self, Detail, Fault};
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
    peer: Arc<str>,
    connect_timeout: Duration,
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
        let base = endpoint.map_or(issuer.as_str(), Endpoint::as_str);
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
            peer: peer(base),
            base: base.to_owned(),
            connect_timeout,
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
            .unwrap_or_else(|_| {
                let detail = self.detail(Fault::AnswerTimeout(deadline));
                Err(Failure::MaybeSent(ErrorClass::Timeout, None, Some(detail)))
            })
    }

    async fn exchange(&self, request: RequestBuilder, limit: usize) -> Result<Answer, Failure> {
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        self.server.observe(response.headers());
        let status = response.status().as_u16();
        let too_large = Failure::MaybeSent(ErrorClass::TooLarge, Some(status), None);
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large);
        }
        // NB: room for the usual answer from the start, so that no copy of a secret is left behind by growing.
        let mut body = Zeroizing::new(Vec::with_capacity(limit.min(16 * 1024)));
        loop {
            let chunk = response.chunk().await;
            let interrupted = || {
                let detail = self.detail(Fault::Closed);
                Failure::MaybeSent(ErrorClass::Interrupted, Some(status), Some(detail))
            };
            let Some(chunk) = chunk.map_err(|_| interrupted())? else {
                return Ok(Answer { status, body });
            };
            if body.len() + chunk.len() > limit {
                return Err(too_large);
            }
            body.extend_from_slice(&chunk);
        }
    }

    fn detail(&self, fault: Fault) -> Detail {
        Detail::new(&self.peer, fault)
    }

    /// NB: the error itself is dropped, its texts hold URLs and what the remote side sent.
    fn failure(&self, error: &reqwest::Error) -> Failure {
        if error.is_builder() {
            return Failure::NotSent(ErrorClass::Rejected, None);
        }
        // The connector failed, so there was no connection to write to (`hyper-util` makes this kind of error nowhere else).
        if error.is_connect() {
            let (class, fault) = self.not_connected(error);
            return Failure::NotSent(class, fault.map(|fault| self.detail(fault)));
        }
        let (class, fault) = not_answered(error);
        Failure::MaybeSent(class, None, Some(self.detail(fault)))
    }

    fn not_connected(&self, error: &reqwest::Error) -> (ErrorClass, Option<Fault>) {
        if error.is_dns() {
            return (ErrorClass::UnreachableDns, Some(Fault::NameNotFound));
        }
        if let Some(error) = detail::find::<rustls::Error>(error) {
            return (ErrorClass::Tls, Some(detail::tls(error)));
        }
        if detail::find::<Late>(error).is_some() {
            return (ErrorClass::Timeout, None);
        }
        let unreachable = ErrorClass::UnreachableConnect;
        let kind = detail::find::<io::Error>(error).map(io::Error::kind);
        let fault = match kind {
            Some(ErrorKind::ConnectionRefused) => Some(Fault::Refused),
            Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Some(Fault::Reset),
            Some(ErrorKind::UnexpectedEof) => Some(Fault::Closed),
            Some(ErrorKind::HostUnreachable | ErrorKind::NetworkUnreachable) => {
                Some(Fault::NoRoute)
            }
            _ if error.is_timeout() => Some(Fault::ConnectTimeout(self.connect_timeout)),
            _ => None,
        };
        (unreachable, fault)
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

/// Why a request that may have left has no answer.
fn not_answered(error: &reqwest::Error) -> (ErrorClass, Fault) {
    // NB: of a client certificate that is wanted the server says so after the handshake.
    if let Some(error) = detail::find::<rustls::Error>(error) {
        return (ErrorClass::Tls, detail::tls(error));
    }
    if detail::find::<hyper::Error>(error).is_some_and(hyper::Error::is_parse) {
        return (ErrorClass::Malformed, Fault::NotHttp);
    }
    let kind = detail::find::<io::Error>(error).map(io::Error::kind);
    let fault = match kind {
        Some(ErrorKind::ConnectionReset | ErrorKind::BrokenPipe) => Fault::Reset,
        _ => Fault::Closed,
    };
    (ErrorClass::Interrupted, fault)
}

/// `host:port` of an origin.
fn peer(base: &str) -> Arc<str> {
    let Ok(url) = reqwest::Url::parse(base) else {
        return base.into();
    };
    let host = url.host_str().unwrap_or_default();
    let port = url.port_or_known_default().unwrap_or_default();
    format!("{host}:{port}").into()
}
