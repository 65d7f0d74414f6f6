//! Assertions of the JWT profile (RFC 7523): signed statements that are exchanged for tokens. No I/O.

use jiff::Timestamp;
use jsonwebtoken::{Algorithm, Header};
use secrecy::SecretString;
use serde::Serialize;

use super::credential::ServiceAccountKey;

/// ZITADEL refuses an `iat` more than 1 s ahead of its clock or more than 1 h behind it.
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

/// A statement of who the service user is, for that audience, valid around `now` on ZITADEL's clock.
pub(super) fn sign(
    key: &ServiceAccountKey,
    audience: &str,
    now: Timestamp,
) -> Result<SecretString, CannotSign> {
    let mut header = Header::new(Algorithm::RS256);
    header.kid = Some(key.key_id.clone());
    let claims = Claims {
        iss: key.user.as_str(),
        sub: key.user.as_str(),
        aud: audience,
        iat: now.as_second() - BACKDATED_SECONDS,
        exp: now.as_second() + VALID_SECONDS,
    };
    jsonwebtoken::encode(&header, &claims, &key.key)
        .map(SecretString::from)
        // NB: the error itself is dropped: it may quote what was signed.
        .map_err(|_| CannotSign)
}
