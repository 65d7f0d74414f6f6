//! HTTP with deadlines for whole calls, bounded bodies, no redirects, no undeclared proxy, and nothing sent twice.

use std::io::{self, ErrorKind};
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use reqwest::{Certificate, Method, RequestBuilder, redirect, retry};
use zeroize::Zeroizing;

use super::answer::{Answer, SendError};
use super::config::ConfigError;
use super::deprecation::Deprecation;
use super::detail::{self, Detail, Fault};
use super::error::ErrorClass;
use super::issuer::{Endpoint, Issuer};
use super::proxy::Proxy;
use super::send_deadline::{DeadlinePassed, SendDeadline};
use super::sensitive;
use super::trust::{self, TrustError};
use crate::process::clock::{Clock, ServerClock};
use crate::process::dns::SystemDns;

/// The largest body that is read, in bytes.
pub(super) const SMALL_BODY: usize = 64 * 1024;
/// The largest list that is read, in bytes.
pub(super) const LIST_BODY: usize = 4 * 1024 * 1024;

pub(super) struct Transport {
    reads: reqwest::Client,
    once: reqwest::Client,
    base: String,
    peer: Arc<str>,
    through: Option<Through>,
    connect_timeout: Duration,
    pub(super) clock: Arc<dyn Clock>,
    pub(super) server: ServerClock,
    pub(super) deprecation: Mutex<Option<Deprecation>>,
}

/// The proxy that every request goes through.
struct Through {
    /// `host:port` of the proxy.
    proxy: Arc<str>,
    /// `host:port` that it connects to.
    target: Arc<str>,
    /// Where its credentials are stored, if it has any.
    stored_in: Option<Arc<str>>,
    /// Whether the proxy opens a tunnel. Plain HTTP is forwarded without one.
    is_tunnel: bool,
}

impl Through {
    fn detail(&self, fault: Fault) -> Detail {
        Detail::of_proxy(&self.proxy, fault)
    }

    fn no_credentials(&self) -> Detail {
        self.detail(Fault::ProxyCredentials(self.stored_in.clone()))
    }
}

impl Transport {
    pub(super) fn new(
        issuer: &Issuer,
        endpoint: Option<&Endpoint>,
        ca_pem: Option<&[u8]>,
        proxy: Option<&Proxy>,
        connect_timeout: Duration,
        clock: Arc<dyn Clock>,
    ) -> Result<Self, ConfigError> {
        let base = endpoint.map_or(issuer.as_str(), Endpoint::as_str);
        // NO_PROXY lists hosts that are reached directly.
        let proxy = proxy.filter(|proxy| proxy.is_for(base));
        let roots = ca_pem.map(roots).transpose()?;
        let tls = proxy.map(|proxy| tls(proxy, base, ca_pem)).transpose()?;
        let tls = tls.flatten();
        let build = |pool: usize, send_deadline: Option<SendDeadline>| {
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
                // HTTP/1.1: a server that refuses an HTTP/2 stream invites the client to send the request again, and one hanging
                // connection would block every call.
                .http1_only()
                .retry(retry::never());
            if let Some(send_deadline) = send_deadline {
                builder = builder.connector_layer(send_deadline);
            }
            if let Some(proxy) = proxy {
                builder = builder.proxy(proxy.rule().map_err(|_| ConfigError::Proxy)?);
            }
            if let Some(tls) = &tls {
                builder = builder.tls_backend_preconfigured(tls.clone());
            } else if let Some(roots) = &roots {
                builder = builder.tls_certs_only(roots.clone());
            }
            // The certificates of a bundle are parsed only here.
            let unusable = match roots {
                Some(_) => ConfigError::CaBundle,
                None => ConfigError::Tls,
            };
            builder.build().map_err(|_| unusable)
        };
        let target = peer(base);
        let through = proxy.map(|proxy| Through {
            proxy: peer(proxy.url()),
            target: Arc::clone(&target),
            stored_in: proxy.stored_in(),
            is_tunnel: base.starts_with("https:"),
        });
        let peer = match &through {
            Some(Through { proxy, .. }) => format!("{target} (through the proxy {proxy})").into(),
            None => target,
        };
        Ok(Self {
            reads: build(8, None)?,
            // Generate uses a new connection each time: on a pooled one that the server has just closed, hyper itself
            // sends the request again, regardless of the retry policy.
            once: build(0, Some(SendDeadline(Arc::clone(&clock))))?,
            peer,
            through,
            base: base.to_owned(),
            connect_timeout,
            server: ServerClock::new(Arc::clone(&clock)),
            clock,
            deprecation: Mutex::default(),
        })
    }

    /// A request that may be repeated.
    pub(super) fn read(&self, method: Method, path: &str) -> RequestBuilder {
        self.reads.request(method, format!("{}{path}", self.base))
    }

    /// A request that is sent at most once.
    pub(super) fn once(&self, method: Method, path: &str) -> RequestBuilder {
        self.once.request(method, format!("{}{path}", self.base))
    }

    /// Sends the request and reads the whole answer, at most `limit` bytes of it, before the deadline.
    pub(super) async fn send(
        &self,
        request: RequestBuilder,
        limit: usize,
        deadline: Duration,
    ) -> Result<Answer, SendError> {
        // NB: boxed, so that every future above it stays small.
        tokio::time::timeout(deadline, Box::pin(self.exchange(request, limit)))
            .await
            .unwrap_or_else(|_| {
                let detail = self.detail(Fault::AnswerTimeout(deadline));
                Err(SendError::MaybeSent(
                    ErrorClass::Timeout,
                    None,
                    Some(detail),
                ))
            })
    }

    async fn exchange(&self, request: RequestBuilder, limit: usize) -> Result<Answer, SendError> {
        let mut response = request.send().await.map_err(|error| self.failure(&error))?;
        self.server.observe(response.headers());
        // NB: of what was asked of v2 and of OIDC nothing is announced, so that is no news.
        if let Some(announced) = Deprecation::of(response.headers()) {
            *self.deprecation.lock() = Some(announced);
        }
        let status = response.status().as_u16();
        // NB: only a proxy answers 407, and without a tunnel it answers the request itself.
        if let Some(through) = self.through.as_ref().filter(|through| !through.is_tunnel)
            && status == 407
        {
            let detail = through.no_credentials();
            let class = ErrorClass::UnreachableConnect;
            return Err(SendError::MaybeSent(class, None, Some(detail)));
        }
        let too_large = SendError::MaybeSent(ErrorClass::TooLarge, Some(status), None);
        let announced = response.content_length().unwrap_or(0);
        if announced > limit as u64 {
            return Err(too_large);
        }
        // NB: the capacity fits the usual answer, so that growing leaves no copy of a secret behind.
        let mut body = Zeroizing::new(Vec::with_capacity(limit.min(16 * 1024)));
        loop {
            let chunk = response.chunk().await;
            let interrupted = || {
                let detail = self.detail(Fault::Closed);
                SendError::MaybeSent(ErrorClass::Interrupted, Some(status), Some(detail))
            };
            let Some(chunk) = chunk.map_err(|_| interrupted())? else {
                return Ok(Answer { status, body });
            };
            if body.len() + chunk.len() > limit {
                return Err(too_large);
            }
            sensitive::append(&mut body, chunk);
        }
    }

    fn detail(&self, fault: Fault) -> Detail {
        Detail::new(&self.peer, fault)
    }

    /// NB: the error itself is dropped because its texts contain URLs and what the remote side sent.
    fn failure(&self, error: &reqwest::Error) -> SendError {
        if error.is_builder() {
            return SendError::NotSent(ErrorClass::Rejected, None);
        }
        // The connector failed, so there was no connection to write to (`hyper-util` returns this kind of error nowhere else).
        if error.is_connect() {
            let (class, detail) = self.not_connected(error);
            return SendError::NotSent(class, detail);
        }
        let (class, fault) = not_answered(error);
        SendError::MaybeSent(class, None, Some(self.detail(fault)))
    }

    fn not_connected(&self, error: &reqwest::Error) -> (ErrorClass, Option<Detail>) {
        let Some(through) = &self.through else {
            let (class, fault) = self.no_connection(error);
            return (class, fault.map(|fault| self.detail(fault)));
        };
        let unreachable = |fault| {
            let detail = through.detail(fault);
            (ErrorClass::UnreachableConnect, Some(detail))
        };
        let target = || Arc::clone(&through.target);
        let text = detail::tunnel(error);
        match text.as_deref() {
            Some("proxy authorization required") => {
                return (
                    ErrorClass::UnreachableConnect,
                    Some(through.no_credentials()),
                );
            }
            Some("unsuccessful" | "proxy response headers too long") => {
                return unreachable(Fault::NoTunnel(target()));
            }
            Some("unexpected end of file") => return unreachable(Fault::Closed),
            _ => {}
        }
        // Anything after the tunnel concerns ZITADEL and not the proxy.
        let at_proxy = text.is_some() || !through.is_tunnel;
        let (class, fault) = self.no_connection(error);
        let detail = fault.map(|fault| match fault {
            Fault::ConnectTimeout(after) if through.is_tunnel => {
                through.detail(Fault::TunnelTimeout(target(), after))
            }
            fault if at_proxy => through.detail(fault),
            fault => self.detail(fault),
        });
        (class, detail)
    }

    /// Why there is no connection to the dialed host.
    fn no_connection(&self, error: &reqwest::Error) -> (ErrorClass, Option<Fault>) {
        if error.is_dns() {
            return (ErrorClass::UnreachableDns, Some(Fault::NameNotFound));
        }
        if let Some(error) = detail::find::<rustls::Error>(error) {
            return (ErrorClass::Tls, Some(detail::tls(error)));
        }
        if detail::find::<DeadlinePassed>(error).is_some() {
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

/// The TLS configuration for a proxy with its own certificate authorities; none if one set of them serves both.
fn tls(
    proxy: &Proxy,
    base: &str,
    ca_pem: Option<&[u8]>,
) -> Result<Option<rustls::ClientConfig>, ConfigError> {
    let host = |url: &str| Some(reqwest::Url::parse(url).ok()?.host_str()?.to_owned());
    let Some(proxy_host) = host(proxy.url()).filter(|_| proxy.is_tls()) else {
        return Ok(None);
    };
    // NB: if both have the same name, their certificates cannot be distinguished, and only ZITADEL's authorities may vouch for ZITADEL.
    if host(base).as_ref() == Some(&proxy_host) {
        return Ok(None);
    }
    let config = trust::config(&proxy_host, proxy.ca_pem.as_deref(), ca_pem);
    config.map(Some).map_err(|error| match error {
        TrustError::ProxyBundle => ConfigError::ProxyCaBundle,
        TrustError::Bundle => ConfigError::CaBundle,
        TrustError::System => ConfigError::Tls,
    })
}

fn roots(pem: &[u8]) -> Result<Vec<Certificate>, ConfigError> {
    let roots = Certificate::from_pem_bundle(pem).map_err(|_| ConfigError::CaBundle)?;
    if roots.is_empty() {
        return Err(ConfigError::CaBundle);
    }
    Ok(roots)
}

/// `x-zitadel-instance-host` selects the instance and its issuer independently of the dialed host; `x-forwarded-proto` selects the
/// issuer's scheme unless ZITADEL requires https.
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

/// Why a request that may have been sent has no answer.
fn not_answered(error: &reqwest::Error) -> (ErrorClass, Fault) {
    // NB: a server that requires a client certificate reports it after the handshake.
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
