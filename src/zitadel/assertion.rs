//! Assertions of the JWT profile (RFC 7523): signed statements that are exchanged for access tokens. No I/O.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use secrecy::SecretString;
use serde::Serialize;

use crate::ids::UserId;

/// ZITADEL rejects an `iat` more than 1 s ahead of its clock or more than 1 h behind it.
const BACKDATED_SECONDS: i64 = 60;
const VALID_SECONDS: i64 = 600;

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    sub: &'a str,
    aud: &'a str,
    iat: i64,
    exp: i64,
}

/// The key cannot sign.
#[derive(Debug)]
pub(super) struct CannotSign;

/// The key of a service user that signs assertions.
pub(super) struct SigningKey {
    pub(super) id: String,
    pub(super) user: UserId,
    pub(super) key: EncodingKey,
}

impl SigningKey {
    /// An assertion of the service user's identity for that audience, valid around `now` on ZITADEL's clock.
    pub(super) fn sign(&self, audience: &str, now: Timestamp) -> Result<SecretString, CannotSign> {
        let mut header = Header::new(Algorithm::RS256);
        header.kid = Some(self.id.clone());
        let claims = Claims {
            iss: self.user.as_str(),
            sub: self.user.as_str(),
            aud: audience,
            iat: now.as_second() - BACKDATED_SECONDS,
            exp: now.as_second() + VALID_SECONDS,
        };
        jsonwebtoken::encode(&header, &claims, &self.key)
            .map(SecretString::from)
            // NB: the error itself is dropped: it may quote the signed text.
            .map_err(|_| CannotSign)
    }
}
