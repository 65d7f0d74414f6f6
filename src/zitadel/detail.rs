//! The detailed cause of a failed call, in the operator's own words. No I/O.
//!
//! Nothing in it was written by the remote side, except an origin that parses as one and the dates of a certificate.

use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use rustls::pki_types::UnixTime;
use rustls::{AlertDescription, CertificateError, InvalidMessage};

/// A fault and the host it occurred at.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Detail {
    /// `host:port` as configured.
    peer: Arc<str>,
    /// Whether that is the connection's proxy, so that ZITADEL was never reached.
    is_proxy: bool,
    fault: Fault,
}

/// What went wrong.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Fault {
    /// The host name does not resolve.
    NameNotFound,
    /// Nothing listens on the port.
    Refused,
    /// There is no route to the address.
    NoRoute,
    /// The connection was reset.
    Reset,
    /// The connection was closed before the answer was complete.
    Closed,
    /// No connection within that time.
    ConnectTimeout(Duration),
    /// No complete answer within that time.
    AnswerTimeout(Duration),
    /// The answer is not HTTP/1.1.
    NotHttp,
    /// The certificate expired; since when, if that is known.
    Expired(Option<Timestamp>),
    /// The certificate is not valid yet; from when on, if that is known.
    NotYetValid(Option<Timestamp>),
    /// The certificate is for another name.
    OtherName,
    /// The certificate was issued by an authority that is not trusted, or by itself.
    UnknownIssuer,
    /// The certificate is for another purpose, such as for clients.
    OtherPurpose,
    /// The certificate was revoked.
    Revoked,
    /// The certificate cannot be read, or its signature is wrong.
    BadCertificate,
    /// The server does not speak TLS but, for example, plain HTTP.
    NotTls,
    /// The server asks for a client certificate.
    ClientCertificate,
    /// The server offers no TLS version that the operator supports (1.2 and 1.3).
    TlsVersion,
    /// Another failure of the TLS handshake.
    Handshake,
    /// ZITADEL's issuer is that origin, if it is one.
    OtherIssuer(Option<String>),
    /// An endpoint in the OIDC configuration has another origin than the issuer.
    EndpointElsewhere(&'static str),
    /// The token endpoint answers `server_error`.
    TokenServerError,
    /// The client id of an application cannot be used.
    ClientId,
    /// The proxy requires a user and a password (407), or rejects the ones stored there.
    ProxyCredentials(Option<Arc<str>>),
    /// The proxy opens no tunnel to that address.
    NoTunnel(Arc<str>),
    /// The proxy opened no tunnel to that address within that time.
    TunnelTimeout(Arc<str>, Duration),
}

impl Detail {
    /// A fault at the host.
    pub fn new(peer: &Arc<str>, fault: Fault) -> Self {
        Self {
            peer: Arc::clone(peer),
            is_proxy: false,
            fault,
        }
    }

    /// A fault at the connection's proxy, before ZITADEL was reached.
    pub fn of_proxy(peer: &Arc<str>, fault: Fault) -> Self {
        Self {
            peer: Arc::clone(peer),
            is_proxy: true,
            fault,
        }
    }

    /// A fault without a host.
    pub fn of(fault: Fault) -> Self {
        Self {
            peer: "".into(),
            is_proxy: false,
            fault,
        }
    }

    /// What went wrong.
    pub fn fault(&self) -> &Fault {
        &self.fault
    }

    /// Whether the connection's proxy failed, so that ZITADEL was never reached.
    pub fn is_proxy(&self) -> bool {
        self.is_proxy
    }

    /// The next step after a proxy failed, unless the sentence about the fault contains it.
    fn next_step(&self) -> &'static str {
        match &self.fault {
            Fault::ProxyCredentials(_) | Fault::NoTunnel(_) => "",
            Fault::NotTls => {
                ", so ZITADEL was not asked: write http:// instead of https:// in spec.proxy.url"
            }
            Fault::Expired(_)
            | Fault::NotYetValid(_)
            | Fault::OtherName
            | Fault::UnknownIssuer
            | Fault::OtherPurpose
            | Fault::Revoked
            | Fault::BadCertificate => {
                ", so ZITADEL was not asked: check spec.proxy.url and spec.proxy.caBundle"
            }
            Fault::NotHttp => {
                ", so ZITADEL was not asked: check that spec.proxy.url is that of an HTTP proxy"
            }
            _ => {
                ", so ZITADEL was not asked: check spec.proxy.url, that the proxy runs, and that the operator's network lets it through"
            }
        }
    }
}

impl fmt::Display for Detail {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.sentence(f)?;
        if self.is_proxy {
            f.write_str(self.next_step())?;
        }
        Ok(())
    }
}

impl Detail {
    fn sentence(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let proxied;
        let peer: &str = if self.is_proxy {
            proxied = format!("the proxy {}", self.peer);
            &proxied
        } else {
            &self.peer
        };
        match &self.fault {
            Fault::NameNotFound => write!(f, "the host name of {peer} does not resolve"),
            Fault::Refused => write!(f, "{peer} refuses connections"),
            Fault::NoRoute => write!(f, "there is no route to {peer}"),
            Fault::Reset => write!(f, "{peer} reset the connection"),
            Fault::Closed => {
                write!(
                    f,
                    "{peer} closed the connection before the response was complete"
                )
            }
            Fault::ConnectTimeout(after) => {
                write!(f, "no connection to {peer} within {} s", after.as_secs())
            }
            Fault::AnswerTimeout(after) => {
                write!(f, "no response from {peer} within {} s", after.as_secs())
            }
            Fault::NotHttp => write!(f, "{peer} responds with something other than HTTP/1.1"),
            Fault::Expired(Some(since)) => {
                write!(f, "the certificate of {peer} expired at {since:.0}")
            }
            Fault::Expired(None) => write!(f, "the certificate of {peer} expired"),
            Fault::NotYetValid(Some(from)) => {
                write!(f, "the certificate of {peer} is not valid before {from:.0}")
            }
            Fault::NotYetValid(None) => write!(f, "the certificate of {peer} is not valid yet"),
            Fault::OtherName => write!(f, "the certificate of {peer} is for another name"),
            Fault::UnknownIssuer => write!(
                f,
                "the certificate of {peer} is self-signed or of an unknown issuer{}",
                if self.is_proxy {
                    ""
                } else {
                    ": see spec.tls.caBundle"
                }
            ),
            Fault::OtherPurpose => {
                write!(f, "the certificate of {peer} is not one for servers")
            }
            Fault::Revoked => write!(f, "the certificate of {peer} was revoked"),
            Fault::BadCertificate => write!(f, "the certificate of {peer} is not valid"),
            Fault::NotTls => write!(f, "{peer} does not speak TLS"),
            Fault::ClientCertificate => {
                write!(f, "{peer} asks for a client certificate, and there is none")
            }
            Fault::TlsVersion => write!(f, "{peer} speaks neither TLS 1.2 nor TLS 1.3"),
            Fault::Handshake => write!(f, "the TLS handshake with {peer} failed"),
            Fault::OtherIssuer(Some(origin)) => write!(
                f,
                "ZITADEL's issuer is {origin}, not spec.url: correct spec.url, or ZITADEL's external domain"
            ),
            Fault::OtherIssuer(None) => write!(
                f,
                "ZITADEL's issuer is not spec.url, nor any other origin: correct ZITADEL's external domain"
            ),
            Fault::EndpointElsewhere(field) => write!(
                f,
                "the issuer is right, but ZITADEL's {field} is of another origin: correct ZITADEL's external domain, or the proxy before it"
            ),
            Fault::TokenServerError => write!(
                f,
                "the token endpoint returns server_error; some versions of ZITADEL do so for a service account key that was deleted or has expired"
            ),
            Fault::ClientId => write!(f, "its client id cannot be used"),
            Fault::ProxyCredentials(None) => write!(
                f,
                "{peer} asks for a user and a password (407): store user:password in a Secret in the operator's namespace and name it in spec.proxy.auth.secretKeyRef"
            ),
            Fault::ProxyCredentials(Some(stored_in)) => write!(
                f,
                "{peer} does not accept the user and password in {stored_in} (407): correct them there, see spec.proxy.auth"
            ),
            Fault::NoTunnel(to) => write!(
                f,
                "{peer} does not open a tunnel (CONNECT) to {to}: allow that host and port in the proxy's rules, check that the proxy can reach it, or list the host in spec.proxy.noProxy"
            ),
            Fault::TunnelTimeout(to, after) => write!(
                f,
                "{peer} opened no tunnel (CONNECT) to {to} within {} s",
                after.as_secs()
            ),
        }
    }
}

/// The first error of that type among an error and its sources.
///
/// NB: an `io::Error` does not return the error it wraps as its source, only that error's source.
pub(crate) fn find<'a, T: Error + 'static>(error: &'a (dyn Error + 'static)) -> Option<&'a T> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(found) = error.downcast_ref::<T>() {
            return Some(found);
        }
        let wrapped = error
            .downcast_ref::<io::Error>()
            .and_then(io::Error::get_ref);
        if let Some(found) = wrapped.and_then(|inner| find::<T>(inner)) {
            return Some(found);
        }
        next = error.source();
    }
    None
}

/// The text of a proxy tunnel error, if one is among an error and its sources.
///
/// NB: hyper-util's type for tunnel errors is private, so its text is the only way to recognize it.
pub(super) fn tunnel(error: &(dyn Error + 'static)) -> Option<String> {
    let mut next = Some(error);
    while let Some(error) = next {
        if let Some(text) = error.to_string().strip_prefix("tunnel error: ") {
            return Some(text.to_owned());
        }
        next = error.source();
    }
    None
}

/// The fault that a failed TLS session represents.
pub(crate) fn tls(error: &rustls::Error) -> Fault {
    match error {
        rustls::Error::InvalidCertificate(certificate) => certificate_fault(certificate),
        rustls::Error::InvalidMessage(
            InvalidMessage::InvalidContentType
            | InvalidMessage::UnknownProtocolVersion
            | InvalidMessage::MessageTooLarge
            | InvalidMessage::InvalidEmptyPayload,
        ) => Fault::NotTls,
        rustls::Error::AlertReceived(alert) => match alert {
            AlertDescription::CertificateRequired | AlertDescription::NoCertificate => {
                Fault::ClientCertificate
            }
            AlertDescription::ProtocolVersion => Fault::TlsVersion,
            AlertDescription::UnrecognisedName => Fault::OtherName,
            _ => Fault::Handshake,
        },
        rustls::Error::PeerIncompatible(
            rustls::PeerIncompatible::ServerDoesNotSupportTls12Or13
            | rustls::PeerIncompatible::ServerTlsVersionIsDisabledByOurConfig,
        ) => Fault::TlsVersion,
        _ => Fault::Handshake,
    }
}

fn certificate_fault(error: &CertificateError) -> Fault {
    match error {
        CertificateError::Expired => Fault::Expired(None),
        CertificateError::ExpiredContext { not_after, .. } => Fault::Expired(time(*not_after)),
        CertificateError::NotValidYet => Fault::NotYetValid(None),
        CertificateError::NotValidYetContext { not_before, .. } => {
            Fault::NotYetValid(time(*not_before))
        }
        CertificateError::NotValidForName | CertificateError::NotValidForNameContext { .. } => {
            Fault::OtherName
        }
        // NB: a self-signed certificate is an authority used as a server certificate.
        CertificateError::UnknownIssuer | CertificateError::Other(_) => Fault::UnknownIssuer,
        CertificateError::InvalidPurpose | CertificateError::InvalidPurposeContext { .. } => {
            Fault::OtherPurpose
        }
        CertificateError::Revoked => Fault::Revoked,
        _ => Fault::BadCertificate,
    }
}

fn time(time: UnixTime) -> Option<Timestamp> {
    Timestamp::from_second(i64::try_from(time.as_secs()).ok()?).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_cause_of_a_failed_tls_session_has_a_sentence_of_its_own() {
        let peer: Arc<str> = "iam.example.com:443".into();
        let said = |error| Detail::new(&peer, tls(&error)).to_string();
        let expired = CertificateError::ExpiredContext {
            time: UnixTime::since_unix_epoch(Duration::from_secs(1_800_000_000)),
            not_after: UnixTime::since_unix_epoch(Duration::from_secs(1_700_000_000)),
        };
        for (error, sentence) in [
            (
                expired.into(),
                "the certificate of iam.example.com:443 expired at 2023-11-14T22:13:20Z",
            ),
            (
                CertificateError::NotValidYet.into(),
                "the certificate of iam.example.com:443 is not valid yet",
            ),
            (
                CertificateError::NotValidForName.into(),
                "the certificate of iam.example.com:443 is for another name",
            ),
            (
                CertificateError::UnknownIssuer.into(),
                "the certificate of iam.example.com:443 is self-signed or of an unknown issuer: see spec.tls.caBundle",
            ),
            (
                InvalidMessage::InvalidContentType.into(),
                "iam.example.com:443 does not speak TLS",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::CertificateRequired),
                "iam.example.com:443 asks for a client certificate, and there is none",
            ),
            (
                rustls::Error::AlertReceived(AlertDescription::ProtocolVersion),
                "iam.example.com:443 speaks neither TLS 1.2 nor TLS 1.3",
            ),
        ] {
            assert_eq!(said(error), sentence);
        }
    }
}
