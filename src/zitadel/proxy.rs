//! The forward proxy through which a connection reaches ZITADEL. No I/O.

use std::net::IpAddr;
use std::sync::Arc;

use http::HeaderValue;
use hyper_util::client::proxy::matcher::Matcher;

use super::issuer::{Endpoint, IssuerError};
use super::sensitive;

/// The maximum length of user and password, in bytes.
const MAX_AUTH: usize = 4096;

/// A proxy, and the hosts that are reached without it.
pub struct Proxy {
    url: Endpoint,
    auth: Option<ProxyAuth>,
    none_for: Vec<String>,
    pub(super) ca_pem: Option<Vec<u8>>,
}

/// User and password for the proxy. They cannot be printed.
pub struct ProxyAuth {
    header: HeaderValue,
    stored_in: Arc<str>,
}

/// Why a URL is not accepted as a proxy.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyUrlError {
    /// Not a URL, another scheme, or more than an origin.
    #[error(
        "is not the address of an HTTP proxy, such as http://proxy.example.com:3128: http or https, without a path"
    )]
    Form,
    /// `user:password@host`.
    #[error(
        "has a user or password: store them as user:password in a Secret and name it in spec.proxy.auth.secretKeyRef"
    )]
    UserInfo,
}

/// Why user and password are rejected, without their value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum ProxyAuthError {
    /// There is nothing.
    #[error("is empty: store user:password there, see spec.proxy.auth")]
    Empty,
    /// There is no colon.
    #[error(
        "has no colon between user and password: store user:password there, see spec.proxy.auth"
    )]
    NoColon,
    /// Nothing before the colon.
    #[error("has no user before the colon: store user:password there, see spec.proxy.auth")]
    NoUser,
    /// Nothing after the colon.
    #[error("has no password after the colon: store user:password there, see spec.proxy.auth")]
    NoPassword,
    /// Longer than any real one.
    #[error("is longer than {MAX_AUTH} bytes: store user:password there, see spec.proxy.auth")]
    TooLong,
    /// Not text, or more than one line.
    #[error("is not one line of text: store user:password there, see spec.proxy.auth")]
    NotALine,
}

/// An entry of the list that would never match any host.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "is not a host name, domain, IP address or CIDR range, such as zitadel.internal, .svc.cluster.local, 10.0.0.5 or 10.0.0.0/8; a port or * cannot be given"
)]
pub struct NoProxyError;

impl Proxy {
    /// The proxy at that URL.
    pub fn parse(url: &str) -> Result<Self, ProxyUrlError> {
        let url = Endpoint::parse(url, true).map_err(|error| match error {
            IssuerError::UserInfo => ProxyUrlError::UserInfo,
            _ => ProxyUrlError::Form,
        })?;
        Ok(Self {
            url,
            auth: None,
            none_for: Vec::new(),
            ca_pem: None,
        })
    }

    /// Sets the credentials.
    #[must_use]
    pub fn with_auth(self, auth: Option<ProxyAuth>) -> Self {
        Self { auth, ..self }
    }

    /// Sets certificate authorities (PEM) that replace the system's for a proxy that speaks TLS.
    #[must_use]
    pub fn with_ca(self, ca_pem: Option<Vec<u8>>) -> Self {
        Self { ca_pem, ..self }
    }

    /// Adds hosts that are reached directly: a name with its subdomains, an address, or a range.
    pub fn without(mut self, host: &str) -> Result<Self, NoProxyError> {
        if !names_hosts(host) {
            return Err(NoProxyError);
        }
        self.none_for.push(host.to_owned());
        Ok(self)
    }

    /// `scheme://host[:port]`.
    pub(super) fn url(&self) -> &str {
        self.url.as_str()
    }

    /// Whether the proxy itself speaks TLS.
    pub(super) fn is_tls(&self) -> bool {
        self.url.scheme() == "https"
    }

    /// Whether requests to that origin go through it.
    pub(super) fn is_for(&self, origin: &str) -> bool {
        let matcher = Matcher::builder()
            .all(self.url())
            .no(self.none_for.join(","))
            .build();
        let origin = origin.parse::<http::Uri>();
        origin.is_ok_and(|origin| matcher.intercept(&origin).is_some())
    }

    /// Where its credentials are stored, if it has any.
    pub(super) fn stored_in(&self) -> Option<Arc<str>> {
        self.auth.as_ref().map(|auth| Arc::clone(&auth.stored_in))
    }

    /// The proxy for reqwest, restricted to those origins.
    pub(super) fn rule(&self) -> Result<reqwest::Proxy, reqwest::Error> {
        let rule = reqwest::Proxy::all(self.url())?;
        Ok(match &self.auth {
            Some(auth) => rule.custom_http_auth(auth.header.clone()),
            None => rule,
        })
    }
}

impl ProxyAuth {
    /// `user:password`; a line break at the end is ignored. `stored_in` names its place in messages.
    pub fn parse(bytes: &[u8], stored_in: &str) -> Result<Self, ProxyAuthError> {
        let text = std::str::from_utf8(bytes).map_err(|_| ProxyAuthError::NotALine)?;
        let text = text.trim_end_matches(['\r', '\n']);
        if text.trim().is_empty() {
            return Err(ProxyAuthError::Empty);
        }
        if text.len() > MAX_AUTH {
            return Err(ProxyAuthError::TooLong);
        }
        if text.chars().any(char::is_control) {
            return Err(ProxyAuthError::NotALine);
        }
        let (user, password) = text.split_once(':').ok_or(ProxyAuthError::NoColon)?;
        if user.is_empty() {
            return Err(ProxyAuthError::NoUser);
        }
        if password.is_empty() {
            return Err(ProxyAuthError::NoPassword);
        }
        let header = sensitive::basic(user, password).ok_or(ProxyAuthError::NotALine)?;
        Ok(Self {
            header,
            stored_in: stored_in.into(),
        })
    }
}

/// Whether reqwest understands an entry. NB: it treats others as names that no host has.
fn names_hosts(entry: &str) -> bool {
    if let Some((address, bits)) = entry.split_once('/') {
        let digits = !bits.is_empty() && bits.bytes().all(|b| b.is_ascii_digit());
        let most = match address.parse() {
            Ok(IpAddr::V4(_)) => 32,
            Ok(IpAddr::V6(_)) => 128,
            Err(_) => return false,
        };
        return digits && bits.parse::<u8>().is_ok_and(|bits| bits <= most);
    }
    if entry.parse::<IpAddr>().is_ok() {
        return true;
    }
    let name = entry.strip_prefix('.').unwrap_or(entry);
    let is_label = |label: &str| {
        !label.is_empty()
            && label
                .bytes()
                .all(|b| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_'))
    };
    name.len() <= 253 && name.split('.').all(is_label)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_an_http_or_https_origin_without_credentials() {
        for good in [
            "http://proxy.example.com:3128",
            "http://proxy:3128/",
            "https://10.0.0.1",
            "http://[fd00::1]:3128",
        ] {
            assert!(Proxy::parse(good).is_ok(), "{good}");
        }
        for (bad, why) in [
            ("", ProxyUrlError::Form),
            ("proxy:3128", ProxyUrlError::Form),
            ("socks5://proxy:1080", ProxyUrlError::Form),
            ("http://proxy:3128/path", ProxyUrlError::Form),
            ("http://proxy:3128?a", ProxyUrlError::Form),
            ("http://proxy:99999", ProxyUrlError::Form),
            ("http://user@proxy:3128", ProxyUrlError::UserInfo),
            ("http://user:canary@proxy:3128", ProxyUrlError::UserInfo),
        ] {
            let error = Proxy::parse(bad).err().unwrap();
            assert_eq!(error, why, "{bad}");
            assert!(!error.to_string().contains("canary"));
        }
    }

    #[test]
    fn credentials_are_a_user_and_a_password_on_one_line() {
        let parse = |text: &str| ProxyAuth::parse(text.as_bytes(), "x").map(drop);
        for good in ["u:p", "u:p\n", "u:p\r\n", "u:p:q", "dömäin\\u:p äß"] {
            assert_eq!(parse(good), Ok(()), "{good:?}");
        }
        for (bad, why) in [
            ("", ProxyAuthError::Empty),
            ("\n", ProxyAuthError::Empty),
            ("user", ProxyAuthError::NoColon),
            (":password", ProxyAuthError::NoUser),
            ("user:", ProxyAuthError::NoPassword),
            ("user:\n", ProxyAuthError::NoPassword),
            ("a:b\nc:d", ProxyAuthError::NotALine),
            ("a:b\0", ProxyAuthError::NotALine),
        ] {
            assert_eq!(parse(bad), Err(why), "{bad:?}");
        }
        let long = format!("u:{}", "x".repeat(MAX_AUTH));
        assert_eq!(parse(&long), Err(ProxyAuthError::TooLong));
        let bytes = ProxyAuth::parse(b"\xff:\xfe", "x").map(drop);
        assert_eq!(bytes, Err(ProxyAuthError::NotALine));
    }

    #[test]
    fn listed_hosts_are_dialed_directly() {
        let proxy = Proxy::parse("http://proxy:3128").unwrap();
        let none_for = ["example.com", ".cluster.local", "10.0.0.0/8", "fd00::/8"];
        let proxy = none_for
            .into_iter()
            .fold(proxy, |proxy, host| proxy.without(host).unwrap());
        for (origin, is_for) in [
            ("https://iam.example.org", true),
            ("https://notexample.com", true),
            ("https://11.0.0.1", true),
            ("http://localhost:8080", true),
            ("https://example.com", false),
            ("https://iam.EXAMPLE.com:8443", false),
            ("http://zitadel.svc.cluster.local:8080", false),
            ("https://10.1.2.3", false),
            ("https://[fd00::1]:8443", false),
        ] {
            assert_eq!(proxy.is_for(origin), is_for, "{origin}");
        }
    }

    #[test]
    fn what_would_match_no_host_is_refused() {
        for good in [
            "zitadel",
            "zitadel.internal",
            ".svc.cluster.local",
            "10.0.0.5",
            "10.0.0.0/8",
            "::1",
            "fd00::/8",
        ] {
            assert!(names_hosts(good), "{good}");
        }
        for bad in [
            "",
            ".",
            "*",
            "*.example.com",
            "a,b",
            "a b",
            "https://zitadel",
            "zitadel:8080",
            "10.0.0.5:8080",
            "[::1]",
            "10.0.0.0/33",
            "10.0.0.0/",
            "10.0.0.0/+8",
            "fd00::/129",
            "example.com.",
            "a..b",
        ] {
            assert!(!names_hosts(bad), "{bad:?}");
        }
    }

    /// Does not compile if one of these can be printed or serialized: two candidates for `check` would be ambiguous.
    #[test]
    fn credentials_of_a_proxy_cannot_be_printed() {
        macro_rules! not_implemented {
            ($of:ty: $($trait:path),+) => {$({
                trait Ambiguous<A> { fn check() {} }
                impl<T: ?Sized> Ambiguous<()> for T {}
                struct Implemented;
                impl<T: ?Sized + $trait> Ambiguous<Implemented> for T {}
                <$of as Ambiguous<_>>::check();
            })+};
        }
        not_implemented!(ProxyAuth: std::fmt::Debug, std::fmt::Display, serde::Serialize, Clone);
        not_implemented!(Proxy: std::fmt::Debug, std::fmt::Display, serde::Serialize);
    }
}
