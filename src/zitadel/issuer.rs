//! Accepted URLs of ZITADEL. No I/O.

use std::fmt;

use reqwest::Url;

/// Why a URL is rejected.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum IssuerError {
    /// It cannot be read.
    #[error("is not a URL of the form https://host[:port]")]
    NotAUrl,
    /// Something else than https or http.
    #[error("has a scheme other than https")]
    Scheme,
    /// The credential would cross the network in the clear.
    #[error("is plain http and the host is not a loopback address")]
    PlainHttp,
    /// `user:password@host`.
    #[error("has a user or password")]
    UserInfo,
    /// ZITADEL's issuer is an origin.
    #[error("has a path, query or fragment")]
    NotAnOrigin,
}

/// ZITADEL's external URL: the issuer of its tokens, as `scheme://host[:port]` without a trailing slash.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Issuer(Origin);

/// Where to connect instead, if not to the issuer.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Endpoint(Origin);

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Origin {
    text: String,
    scheme_len: usize,
}

impl Issuer {
    /// An https URL, or plain http if the host is a loopback address or `allow_insecure` is set.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, IssuerError> {
        Origin::parse(text, allow_insecure).map(Self)
    }

    /// `scheme://host[:port]`: the issuer, and the audience of assertions.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }

    /// `host[:port]`, without the scheme's usual port.
    pub fn authority(&self) -> &str {
        self.0.authority()
    }

    /// Only the origin that a text names: safe to show, regardless of its author.
    pub fn origin_of(text: &str) -> Option<String> {
        let origin = Origin::parse(text, true).ok()?.text;
        (origin.len() <= 300 && origin.bytes().all(|b| b.is_ascii_graphic())).then_some(origin)
    }

    /// Whether a URL has this origin, for every parser.
    ///
    /// NB: the URL ends up in Secrets, and other programs interpret `user@`, a backslash before the host, an escaped letter in it or a missing
    /// slash differently from browsers. The case of scheme and host means nothing to any of them (RFC 3986, 6.2.2.1).
    pub fn is_origin_of(&self, url: &str) -> bool {
        let origin = &self.0.text;
        let head = url.get(..origin.len());
        head.is_some_and(|head| head.eq_ignore_ascii_case(origin))
            && !url.contains(['@', '\\'])
            && Url::parse(url).is_ok_and(|url| url.origin().ascii_serialization() == *origin)
    }
}

impl Endpoint {
    /// An https URL, or plain http if the host is a loopback address or `allow_insecure` is set: inside a cluster ZITADEL often
    /// speaks plain http behind an ingress.
    pub fn parse(text: &str, allow_insecure: bool) -> Result<Self, IssuerError> {
        Origin::parse(text, allow_insecure).map(Self)
    }

    /// `scheme://host[:port]`.
    pub fn as_str(&self) -> &str {
        &self.0.text
    }

    /// `https` or `http`.
    pub fn scheme(&self) -> &str {
        self.0.scheme()
    }
}

impl From<&Issuer> for Endpoint {
    fn from(issuer: &Issuer) -> Self {
        Self(issuer.0.clone())
    }
}

impl fmt::Display for Issuer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

impl Origin {
    fn parse(text: &str, allow_insecure: bool) -> Result<Self, IssuerError> {
        // NB: checked on the text itself, because the URL parser repairs its input: it drops tabs and line breaks, treats
        // `\` as `/`, and resolves dots.
        let odd = |c: char| c.is_whitespace() || c.is_control() || c == '\\';
        if text.chars().any(odd) {
            return Err(IssuerError::NotAUrl);
        }
        let (_, rest) = text.split_once("://").ok_or(IssuerError::NotAUrl)?;
        let (authority, tail) = rest.split_at(rest.find(['/', '?', '#']).unwrap_or(rest.len()));
        if authority.is_empty() {
            return Err(IssuerError::NotAUrl);
        }
        if authority.contains('@') {
            return Err(IssuerError::UserInfo);
        }
        if !matches!(tail, "" | "/") {
            return Err(IssuerError::NotAnOrigin);
        }
        let url = Url::parse(text).map_err(|_| IssuerError::NotAUrl)?;
        if !matches!(url.scheme(), "https" | "http") {
            return Err(IssuerError::Scheme);
        }
        if url.scheme() == "http" && !allow_insecure && !is_loopback(&url) {
            return Err(IssuerError::PlainHttp);
        }
        Ok(Self {
            text: url.origin().ascii_serialization(),
            scheme_len: url.scheme().len(),
        })
    }

    fn scheme(&self) -> &str {
        self.text.get(..self.scheme_len).unwrap_or_default()
    }

    fn authority(&self) -> &str {
        self.text
            .get(self.scheme_len + "://".len()..)
            .unwrap_or_default()
    }
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost"
        || address
            .parse::<std::net::IpAddr>()
            .is_ok_and(|address| address.is_loopback())
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn an_issuer_is_an_origin() {
        for (text, origin, authority) in [
            (
                "https://iam.example.com",
                "https://iam.example.com",
                "iam.example.com",
            ),
            (
                "https://iam.example.com/",
                "https://iam.example.com",
                "iam.example.com",
            ),
            (
                "https://IAM.example.com:443",
                "https://iam.example.com",
                "iam.example.com",
            ),
            (
                "https://iam.example.com:8443/",
                "https://iam.example.com:8443",
                "iam.example.com:8443",
            ),
            (
                "http://localhost:8080",
                "http://localhost:8080",
                "localhost:8080",
            ),
            ("http://127.0.0.1:80", "http://127.0.0.1", "127.0.0.1"),
            ("http://[::1]:8080", "http://[::1]:8080", "[::1]:8080"),
        ] {
            let issuer = Issuer::parse(text, false).unwrap();
            assert_eq!((issuer.as_str(), issuer.authority()), (origin, authority));
            assert!(origin.starts_with(&format!("{}://", issuer.scheme())));
        }
    }

    #[test]
    fn anything_else_is_rejected_with_the_reason() {
        for (text, why) in [
            ("", IssuerError::NotAUrl),
            ("iam.example.com", IssuerError::NotAUrl),
            ("https:iam.example.com", IssuerError::NotAUrl),
            ("https://", IssuerError::NotAUrl),
            ("https:///iam.example.com", IssuerError::NotAUrl),
            ("https://iam.example.com:99999", IssuerError::NotAUrl),
            ("https://iam .example.com", IssuerError::NotAUrl),
            ("https://iam.example.com\n", IssuerError::NotAUrl),
            ("https://iam.example.com\\evil", IssuerError::NotAUrl),
            ("ftp://iam.example.com", IssuerError::Scheme),
            ("file:///etc/passwd", IssuerError::NotAUrl),
            ("http://iam.example.com", IssuerError::PlainHttp),
            ("http://localhost.example.com", IssuerError::PlainHttp),
            ("http://10.0.0.1", IssuerError::PlainHttp),
            ("https://u@iam.example.com", IssuerError::UserInfo),
            ("https://u:p@iam.example.com", IssuerError::UserInfo),
            ("https://@iam.example.com", IssuerError::UserInfo),
            ("https://iam.example.com/ui", IssuerError::NotAnOrigin),
            ("https://iam.example.com//", IssuerError::NotAnOrigin),
            ("https://iam.example.com/.", IssuerError::NotAnOrigin),
            ("https://iam.example.com?a", IssuerError::NotAnOrigin),
            ("https://iam.example.com/?", IssuerError::NotAnOrigin),
            ("https://iam.example.com#", IssuerError::NotAnOrigin),
        ] {
            assert_eq!(Issuer::parse(text, false), Err(why), "{text:?}");
        }
        assert!(Issuer::parse("http://iam.example.com", true).is_ok());
        for (text, allow_insecure, expected) in [
            ("https://zitadel.zitadel:8443", false, Ok(())),
            ("http://127.0.0.1:8080", false, Ok(())),
            ("http://zitadel.zitadel:8080", true, Ok(())),
            (
                "http://zitadel.zitadel:8080",
                false,
                Err(IssuerError::PlainHttp),
            ),
            ("http://zitadel/x", true, Err(IssuerError::NotAnOrigin)),
        ] {
            let parsed = Endpoint::parse(text, allow_insecure).map(drop);
            assert_eq!(parsed, expected, "{text}");
        }
    }

    #[test]
    fn an_issuer_knows_its_own_urls() {
        let issuer = Issuer::parse("https://iam.example.com", false).unwrap();
        assert!(issuer.is_origin_of("https://iam.example.com/oauth/v2/token"));
        for other in [
            "https://iam.example.com.evil/x",
            "http://iam.example.com/x",
            "https://iam.example.com:8443/x",
            "https://x@iam.example.com/x",
            r"https://iam.example.com\@evil.com/x",
            "x",
        ] {
            assert!(!issuer.is_origin_of(other), "{other}");
        }
    }

    proptest! {
        #[test]
        fn any_text_is_an_issuer_or_not(text in ".*", insecure in any::<bool>()) {
            if let Ok(issuer) = Issuer::parse(&text, insecure) {
                prop_assert_eq!(Issuer::parse(issuer.as_str(), insecure), Ok(issuer));
            }
        }
    }
}
