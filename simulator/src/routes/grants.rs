//! What an OIDC application or a service user may ask of the token endpoint and its neighbors. No code, refresh token or subject token is ever valid here: what
//! counts is whether the client is. Does no I/O.

use serde_json::{Value, json};

use crate::random;
use crate::routes::call::Call;
use crate::routes::client::{self, NO_CLIENT};
use crate::routes::oauth::OauthError;
use crate::world::World;

const TOKEN_EXCHANGE: &str = "urn:ietf:params:oauth:grant-type:token-exchange";

/// The grants of clients; nothing for a grant type that is not known.
pub(crate) fn token(call: &Call, world: &mut World, grant: &str) -> Option<OauthError> {
    let invalid = match grant {
        "authorization_code" => "Errors.User.Code.Invalid",
        "refresh_token" => "Errors.User.RefreshToken.Invalid",
        TOKEN_EXCHANGE => "subject_token invalid",
        _ => return None,
    };
    let refused = client::verify(call, world).err();
    Some(refused.unwrap_or(OauthError::new("invalid_request", invalid)))
}

/// The service user of the client credentials grant, whose client id is its name.
pub(crate) fn service_user(call: &Call, world: &World) -> Result<String, OauthError> {
    let (name, secret) = client::credentials(call);
    let name = name.filter(|name| !name.is_empty()).ok_or(NO_CLIENT)?;
    let user = world.users.values().find(|user| user.login_name == name);
    let user = user.ok_or(OauthError::new("invalid_client", "client not found"))?;
    let refused = |description| Err(OauthError::new("invalid_request", description));
    match user.projected().secret {
        None => refused("Errors.User.Machine.Secret.NotExisting"),
        Some(stored) if secret.as_deref() == Some(stored.expose()) => Ok(user.id.clone()),
        Some(_) => refused("Errors.User.Machine.Secret.Invalid"),
    }
}

/// Revocation of a token that is not the client's: nothing happens. NB: the answer has no body.
pub(crate) fn revoke(call: &Call, world: &mut World) -> Result<Value, OauthError> {
    client::verify(call, world).map(|()| Value::Null)
}

/// A device code, which nobody will use.
pub(crate) fn authorize_device(call: &Call, world: &mut World) -> Result<Value, OauthError> {
    client::verify(call, world)?;
    let part = || random::token(4).to_uppercase();
    let user_code = format!("{}-{}", part(), part());
    let page = format!("{}/device", call.issuer);
    Ok(json!({
        "device_code": random::token(22),
        "user_code": user_code,
        "verification_uri": page,
        "verification_uri_complete": format!("{page}?user_code={user_code}"),
        "expires_in": 300,
        "interval": 5,
    }))
}
