//! What a client is made from.

use std::sync::Arc;
use std::time::Duration;

use super::credential::Credential;
use super::error::{Operation, ZitadelError};
use super::issuer::{Endpoint, Issuer};
use super::proxy::Proxy;
use crate::process::clock::{Clock, SystemClock};

/// Deadlines of calls. Each covers everything the call does, including access tokens and bodies.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Timeouts {
    /// Connecting.
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
    /// The address to connect to instead; requests then carry the host of `url`.
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
    /// Observes every call when it ends.
    pub observer: Option<Observer>,
}

/// Observes a call that ended: which one, its error if it failed, and how long it took, including the request for an access token if it
/// needed a new one, which is observed as a call of its own as well. A call that reads several pages is one call.
pub type Observer = Box<dyn Fn(Operation, Option<&ZitadelError>, Duration) + Send + Sync>;

impl ClientConfig {
    /// A configuration with that URL and credential; everything else has its default.
    pub fn new(url: Issuer, credential: Credential) -> Self {
        Self {
            url,
            endpoint: None,
            ca_pem: None,
            proxy: None,
            credential,
            timeouts: Timeouts::default(),
            clock: Arc::new(SystemClock),
            observer: None,
        }
    }
}

/// Why no client can be made.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ConfigError {
    /// The CA bundle holds no certificate, or one that cannot be read.
    #[error("the CA bundle is not one or more certificates in PEM")]
    CaBundle,
    /// The CA bundle of the proxy holds no certificate, or one that cannot be read.
    #[error("the CA bundle of the proxy is not one or more certificates in PEM")]
    ProxyCaBundle,
    /// The proxy's URL cannot be used.
    #[error("the URL of the proxy cannot be used")]
    Proxy,
    /// TLS cannot be set up, such as without any system root.
    #[error("TLS cannot be set up; are there system root certificates?")]
    Tls,
}
