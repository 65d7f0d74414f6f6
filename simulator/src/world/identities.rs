//! Users, their memberships, and what they authenticate with. Does no I/O.

use aws_lc_rs::signature::KeyPair as _;
use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use jsonwebtoken::{Algorithm, DecodingKey};
use serde::{Deserialize, Serialize};

/// Role of a membership (`cmd/defaults.yaml`, `InternalAuthZ`).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum Role {
    /// Everything on the instance.
    IamOwner,
    /// Everything in one organization.
    OrgOwner,
    /// Reading in one organization.
    OrgOwnerViewer,
    /// Everything in one project: the least that may generate secrets.
    ProjectOwner,
    /// Reading in one project.
    ProjectOwnerViewer,
}

impl Role {
    /// Holds `user.write`; every role here holds `user.read`.
    pub(crate) const fn writes_users(self) -> bool {
        matches!(self, Self::IamOwner | Self::OrgOwner)
    }

    /// Holds `project.app.write`; every role here holds `project.app.read`.
    pub(crate) const fn writes_apps(self) -> bool {
        matches!(self, Self::IamOwner | Self::OrgOwner | Self::ProjectOwner)
    }
}

/// Where a membership counts.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Scope {
    /// On the whole instance.
    Instance,
    /// In the organization with this id.
    Org(String),
    /// In the project with this id.
    Project(String),
}

#[derive(Debug)]
pub(crate) struct Membership {
    pub(crate) user: String,
    pub(crate) role: Role,
    pub(crate) scope: Scope,
}

/// A personal access token or an access token; both are opaque.
#[derive(Debug)]
pub(crate) struct Token {
    pub(crate) id: String,
    pub(crate) user: String,
    pub(crate) kind: TokenKind,
    pub(crate) issued_at: Timestamp,
    pub(crate) expires_at: Timestamp,
    pub(crate) dead: bool,
}

#[derive(Debug)]
pub(crate) enum TokenKind {
    /// Exempt from every audience check (`token_verifier.go`, `internal/api/oidc/access_token.go`).
    Pat,
    Access {
        scope: String,
        audience: Vec<String>,
    },
}

/// The public half of a key that signs assertions.
#[derive(Clone)]
pub(crate) struct Key {
    /// Issuer and subject of the assertions: a user's id or an app's client id.
    pub(crate) owner: String,
    pub(crate) verifies: PublicKey,
    pub(crate) expires_at: Timestamp,
}

/// A public key with the algorithms that it fits.
#[derive(Clone)]
pub(crate) struct PublicKey {
    pub(crate) key: DecodingKey,
    pub(crate) algorithms: &'static [Algorithm],
}

impl PublicKey {
    const fn rsa(key: DecodingKey) -> Self {
        let algorithms = &[Algorithm::RS256, Algorithm::PS256];
        Self { key, algorithms }
    }

    const fn ec(key: DecodingKey) -> Self {
        let algorithms = &[Algorithm::ES256];
        Self { key, algorithms }
    }

    /// An RSA or P-256 key in PKIX form.
    pub(crate) fn from_pem(pem: &[u8]) -> Option<Self> {
        let rsa = DecodingKey::from_rsa_pem(pem).map(Self::rsa);
        rsa.or_else(|_| DecodingKey::from_ec_pem(pem).map(Self::ec))
            .ok()
    }
}

impl std::fmt::Debug for Key {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        formatter
            .debug_struct("Key")
            .field("owner", &self.owner)
            .finish_non_exhaustive()
    }
}

/// No expiry: ZITADEL's end of the year 9999 (`internal/domain/expiration.go`), which is past the last [`Timestamp`].
pub(crate) const NEVER: Timestamp = Timestamp::MAX;

/// RSA 2048, as ZITADEL makes them: the private key as PKCS#1 PEM and the public half for checking.
pub(crate) fn new_rsa_key() -> Option<(String, PublicKey)> {
    use aws_lc_rs::encoding::{AsDer, Pkcs8V1Der};
    let pair = aws_lc_rs::rsa::KeyPair::generate(aws_lc_rs::rsa::KeySize::Rsa2048).ok()?;
    let verifies = PublicKey::rsa(DecodingKey::from_rsa_der(pair.public_key().as_ref()));
    let pkcs8: Pkcs8V1Der = pair.as_der().ok()?;
    let pem = pem("RSA PRIVATE KEY", pkcs1_of_pkcs8(pkcs8.as_ref())?);
    Some((pem, verifies))
}

/// The private key inside a `PrivateKeyInfo` (RFC 5208): SEQUENCE { INTEGER, SEQUENCE, OCTET STRING }.
fn pkcs1_of_pkcs8(der: &[u8]) -> Option<&[u8]> {
    let (info, _) = der_value(der, 0x30)?;
    let (_, rest) = der_value(info, 0x02)?;
    let (_, rest) = der_value(rest, 0x30)?;
    der_value(rest, 0x04).map(|(key, _)| key)
}

/// Content of the first value, which must have this tag, and what follows it.
fn der_value(der: &[u8], tag: u8) -> Option<(&[u8], &[u8])> {
    let (&found, rest) = der.split_first()?;
    let (&length, rest) = rest.split_first()?;
    let (length, rest) = if length < 0x80 {
        (usize::from(length), rest)
    } else {
        let (bytes, rest) = rest.split_at_checked(usize::from(length & 0x7f))?;
        (
            bytes
                .iter()
                .fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)),
            rest,
        )
    };
    (found == tag).then(|| rest.split_at_checked(length))?
}

fn pem(label: &str, der: &[u8]) -> String {
    let body = STANDARD.encode(der);
    let mut pem = format!("-----BEGIN {label}-----\n");
    let mut rest = body.as_str();
    while !rest.is_empty() {
        let (line, next) = rest.split_at(rest.len().min(64));
        pem.push_str(line);
        pem.push('\n');
        rest = next;
    }
    pem + "-----END " + label + "-----\n"
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_machine_key_signs_what_its_public_half_accepts() {
        let (pem, verifies) = new_rsa_key().unwrap();
        assert!(pem.starts_with("-----BEGIN RSA PRIVATE KEY-----\n"));
        let signs = jsonwebtoken::EncodingKey::from_rsa_pem(pem.as_bytes()).unwrap();
        let header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        let claims = serde_json::json!({"exp": 4_000_000_000_u64});
        let jwt = jsonwebtoken::encode(&header, &claims, &signs).unwrap();
        let validation = jsonwebtoken::Validation::new(jsonwebtoken::Algorithm::RS256);
        jsonwebtoken::decode::<serde_json::Value>(&jwt, &verifies.key, &validation).unwrap();
    }
}
