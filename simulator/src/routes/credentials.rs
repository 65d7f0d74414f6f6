//! What a service user authenticates with, whichever API changes it (`internal/command/user_machine_*.go`,
//! `user_personal_access_token.go`). Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::Value;

use crate::random;
use crate::routes::Operation;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::routes::keys::{date, expiry};
use crate::world::World;
use crate::world::build::key_file;
use crate::world::identities::{self, Key, NEVER, PublicKey, Token, TokenKind};
use crate::world::secret::SecretValue;
use crate::world::users::{User, UserEventKind};

/// A key or token just made.
pub(crate) struct NewCredential {
    pub(crate) id: String,
    pub(crate) sequence: u64,
    /// The key file as base64, or the token: it is never shown again. Nothing where the caller keeps the private key.
    pub(crate) value: Option<String>,
}

/// Sets or replaces a user's secret.
pub(crate) fn set_secret(call: &Call, user: &mut User, editor: &str) -> (SecretValue, u64) {
    let secret = SecretValue::from(random::secret(&call.settings));
    let set = UserEventKind::SecretSet {
        secret: secret.clone(),
    };
    (secret, push(call, user, set, editor))
}

/// Removes a user's secret.
pub(crate) fn remove_secret(call: &Call, user: &mut User, editor: &str) -> Result<u64, ApiError> {
    if user.current().secret.is_none() {
        return Err(errors::USER_SECRET_UNKNOWN);
    }
    Ok(push(call, user, UserEventKind::SecretRemoved, editor))
}

/// A key asked for.
pub(crate) struct KeyWish {
    /// The caller's own; nothing: the server makes a pair.
    public: Option<PublicKey>,
    expires_at: Timestamp,
}

impl KeyWish {
    pub(crate) fn read(call: &Call, body: &Value) -> Result<Self, ApiError> {
        let public = body.get("publicKey").and_then(Value::as_str);
        let public = public.map(|public| {
            let pem = STANDARD.decode(public).ok();
            let key = pem.and_then(|pem| PublicKey::from_pem(&pem));
            key.ok_or(errors::PUBLIC_KEY_INVALID)
        });
        Ok(Self {
            public: public.transpose()?,
            expires_at: future_expiry(call, body)?,
        })
    }
}

/// `expirationDate` of a request; absent means never.
pub(crate) fn future_expiry(call: &Call, body: &Value) -> Result<Timestamp, ApiError> {
    let expires_at = expiry(body).unwrap_or(NEVER);
    let in_future = expires_at > call.now;
    in_future.then_some(expires_at).ok_or(errors::KEY_EXPIRED)
}

/// Adds a key to a user that exists.
pub(crate) fn add_key(
    call: &Call,
    world: &mut World,
    user: &str,
    wish: KeyWish,
    editor: &str,
) -> Result<NewCredential, ApiError> {
    let id = world.ids.next();
    let (verifies, value) = if let Some(public) = wish.public {
        (public, None)
    } else {
        let (pem, public) = identities::new_rsa_key().ok_or(errors::INTERNAL)?;
        let file = key_file(&id, &pem, &date(wish.expires_at), user);
        (public, Some(STANDARD.encode(file)))
    };
    let added = UserEventKind::KeyAdded {
        id: id.clone(),
        key: Key {
            owner: user.to_owned(),
            verifies,
            expires_at: wish.expires_at,
        },
    };
    world.key_users.insert(id.clone(), user.to_owned());
    let user = world.users.get_mut(user).ok_or(errors::KEY_USER_UNKNOWN)?;
    let sequence = push(call, user, added, editor);
    Ok(NewCredential {
        id,
        sequence,
        value,
    })
}

/// Adds a personal access token to a user that exists.
pub(crate) fn add_pat(
    call: &Call,
    world: &mut World,
    user: &str,
    expires_at: Timestamp,
    editor: &str,
) -> Result<NewCredential, ApiError> {
    let (id, value) = (world.ids.next(), random::pat());
    let added = UserEventKind::PatAdded {
        id: id.clone(),
        expires_at,
    };
    let token = Token {
        id: id.clone(),
        user: user.to_owned(),
        kind: TokenKind::Pat,
        issued_at: call.now,
        expires_at,
        dead: false,
    };
    world.tokens.insert(value.clone(), token);
    let user = world.users.get_mut(user).ok_or(errors::PAT_USER_UNKNOWN)?;
    let sequence = push(call, user, added, editor);
    Ok(NewCredential {
        id,
        sequence,
        value: Some(value),
    })
}

/// Whether the user has the key or token of the call, in the words of its operation.
pub(crate) fn exists(call: &Call, user: Option<&User>) -> Result<(), ApiError> {
    let user = user.map(User::current);
    let (found, unknown) = match call.route.operation {
        Operation::RemovePat => (
            user.is_some_and(|user| user.pat(call.key()).is_some()),
            errors::REMOVE_PAT_UNKNOWN,
        ),
        _ => (
            user.is_some_and(|user| user.key(call.key()).is_some()),
            errors::REMOVE_MACHINE_KEY_UNKNOWN,
        ),
    };
    found.then_some(()).ok_or(unknown)
}

/// Removes the key or token of the call, which exists.
pub(crate) fn remove(call: &Call, user: &mut User, editor: &str) -> u64 {
    let id = call.key().to_owned();
    let removed = match call.route.operation {
        Operation::RemovePat => UserEventKind::PatRemoved { id },
        _ => UserEventKind::KeyRemoved { id },
    };
    push(call, user, removed, editor)
}

fn push(call: &Call, user: &mut User, kind: UserEventKind, editor: &str) -> u64 {
    user.push(kind, editor, call.now, call.settings.projection_lag)
}
