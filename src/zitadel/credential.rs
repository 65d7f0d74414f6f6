//! The credential of the operator's service user, as an administrator provides it. No I/O.

use jiff::Timestamp;
use jsonwebtoken::EncodingKey;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::assertion::SigningKey;
use crate::ids::UserId;

/// The operator's credential. It cannot be printed.
pub enum Credential {
    /// A personal access token, sent as it is.
    PersonalAccessToken(SecretString),
    /// A key that signs assertions, which the token endpoint exchanges for short-lived tokens.
    ServiceAccountKey(ServiceAccountKey),
}

/// A machine key file (`type: serviceaccount`).
pub struct ServiceAccountKey {
    pub(super) signing: SigningKey,
    expires: Option<Timestamp>,
}

/// Which part of a credential is wrong, without its value.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum CredentialError {
    /// There is nothing.
    #[error("is empty")]
    Empty,
    /// Larger than any real one.
    #[error("is larger than 64 KiB")]
    TooLarge,
    /// A token contains a space, a line break or a character outside ASCII.
    #[error("has a character that no token has")]
    TokenCharacter,
    /// JSON where a token should be.
    #[error("is a key file: put it into spec.auth.serviceAccountKey instead")]
    KeyFileAsToken,
    /// Not a JSON object.
    #[error("is not a JSON key file: a token goes into spec.auth.personalAccessToken instead")]
    NotJson,
    /// `type` is not `serviceaccount`, such as a key file of an application.
    #[error("is not a key of a service account (`type` is not `serviceaccount`)")]
    KeyType,
    /// `keyId` is absent, empty or odd.
    #[error("has no usable `keyId`")]
    KeyId,
    /// `userId` is absent, empty or odd.
    #[error("has no usable `userId`")]
    UserId,
    /// `key` is absent or no RSA private key in PEM.
    #[error("has no usable `key` (an RSA private key in PEM)")]
    Key,
    /// `expirationDate` is not a time.
    #[error("has an `expirationDate` that is not a time")]
    ExpirationDate,
}

const MAX_LEN: usize = 64 * 1024;

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct KeyFile {
    #[serde(default)]
    r#type: Value,
    #[serde(default)]
    key_id: Value,
    #[serde(default)]
    user_id: Value,
    key: Option<SecretString>,
    #[serde(default)]
    expiration_date: Value,
}

impl Credential {
    /// A personal access token; white space around it is ignored (ZITADEL writes a trailing line break).
    pub fn personal_access_token(bytes: &[u8]) -> Result<Self, CredentialError> {
        let token = within_limits(bytes)?.trim_ascii();
        if token.starts_with(b"{") {
            return Err(CredentialError::KeyFileAsToken);
        }
        // NB: no assumption about length or alphabet, except that it fits a header.
        if !token.iter().all(u8::is_ascii_graphic) {
            return Err(CredentialError::TokenCharacter);
        }
        let text = std::str::from_utf8(token).map_err(|_| CredentialError::TokenCharacter)?;
        Ok(Self::PersonalAccessToken(SecretString::from(text)))
    }

    /// A machine key file. The key must be able to sign.
    pub fn service_account_key(bytes: &[u8]) -> Result<Self, CredentialError> {
        ServiceAccountKey::parse(within_limits(bytes)?).map(Self::ServiceAccountKey)
    }

    /// When it expires, if that is known. Tokens do not contain it.
    pub fn expiry(&self) -> Option<Timestamp> {
        match self {
            Self::PersonalAccessToken(_) => None,
            Self::ServiceAccountKey(key) => key.expires,
        }
    }
}

impl ServiceAccountKey {
    fn parse(bytes: &[u8]) -> Result<Self, CredentialError> {
        let file: KeyFile =
            serde_json::from_slice(bytes).map_err(|error| match error.classify() {
                // NB: only the key is not declared as any JSON value.
                serde_json::error::Category::Data if bytes.starts_with(b"{") => {
                    CredentialError::Key
                }
                _ => CredentialError::NotJson,
            })?;
        if file.r#type.as_str() != Some("serviceaccount") {
            return Err(CredentialError::KeyType);
        }
        let key_id = file.key_id.as_str().unwrap_or_default();
        if !(1..=200).contains(&key_id.len()) || !key_id.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(CredentialError::KeyId);
        }
        let user = UserId::try_from(file.user_id.as_str().unwrap_or_default())
            .map_err(|_| CredentialError::UserId)?;
        let pem = file.key.ok_or(CredentialError::Key)?;
        let key = EncodingKey::from_rsa_pem(pem.expose_secret().as_bytes())
            .map_err(|_| CredentialError::Key)?;
        let signing = SigningKey {
            id: key_id.to_owned(),
            user,
            key,
        };
        let expires = expiry(&file.expiration_date)?;
        // A key that cannot sign is found now and not at the first call.
        let signed = signing.sign("", Timestamp::UNIX_EPOCH);
        signed.map_err(|_| CredentialError::Key)?;
        Ok(Self { signing, expires })
    }
}

fn within_limits(bytes: &[u8]) -> Result<&[u8], CredentialError> {
    if bytes.len() > MAX_LEN {
        return Err(CredentialError::TooLarge);
    }
    match bytes.trim_ascii() {
        [] => Err(CredentialError::Empty),
        rest => Ok(rest),
    }
}

/// Absent in older files. "Never" is the end of the year 9999, which no `Timestamp` can hold, or Go's year 1.
fn expiry(value: &Value) -> Result<Option<Timestamp>, CredentialError> {
    match value {
        Value::Null => Ok(None),
        Value::String(text) if text.starts_with("9999-") || text.starts_with("0001-01-01T") => {
            Ok(None)
        }
        Value::String(text) => text
            .parse()
            .map(Some)
            .map_err(|_| CredentialError::ExpirationDate),
        _ => Err(CredentialError::ExpirationDate),
    }
}

#[cfg(test)]
pub(super) mod tests;
