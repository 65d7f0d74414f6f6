//! The token endpoint: the grants of clients, and the JWT profile grant (RFC 7523) with ZITADEL's claim rules (`internal/api/oidc/token_jwt_profile.go`).

use base64::Engine as _;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use crate::random;
use crate::routes::answer::set;
use crate::routes::assertion;
use crate::routes::call::Call;
use crate::routes::grants;
use crate::routes::oauth::OauthError;
use crate::world::World;
use crate::world::identities::{Token, TokenKind};
use crate::world::model::State;

const JWT_BEARER: &str = "urn:ietf:params:oauth:grant-type:jwt-bearer";
const NO_SCOPE: &str = "The scope of your request is missing. Please ensure some scopes are requested. \
    If you have any questions, you may contact the administrator of the application.";
/// Audience scope of a project; the id `zitadel` means ZITADEL's own project (`internal/domain/request.go`).
const AUDIENCE_SCOPE: &str = "urn:zitadel:iam:org:project:id:";

pub(crate) fn token(call: &Call, world: &mut World) -> Result<Value, OauthError> {
    let user = match call.form("grant_type").as_deref() {
        Some(JWT_BEARER) => by_assertion(call, world)?,
        Some("client_credentials") => grants::service_user(call, world)?,
        None | Some("") => return Err(OauthError::new("invalid_request", "grant_type missing")),
        Some(grant) => {
            let unknown = OauthError::new("unsupported_grant_type", "grant type not supported");
            return Err(grants::token(call, world, grant).unwrap_or(unknown));
        }
    };
    let scope = call.form("scope").unwrap_or_default();
    if scope.trim().is_empty() {
        return Err(OauthError::new("invalid_request", NO_SCOPE));
    }
    let found = world.users.get(&user);
    if found.is_none_or(|user| user.current().state != State::Active) {
        return Err(OauthError::new("invalid_request", "Errors.User.NotActive"));
    }
    let lifetime = call.settings.token_lifetime_seconds;
    let access_token = issue(world, &user, &scope, call.now, lifetime);
    let mut answer =
        json!({"access_token": access_token, "token_type": "Bearer", "expires_in": lifetime});
    if scope.split(' ').any(|scope| scope == "openid") {
        set(&mut answer, "id_token", id_token(call, &user, lifetime));
    }
    Ok(answer)
}

/// The user whose key signed the assertion.
fn by_assertion(call: &Call, world: &World) -> Result<String, OauthError> {
    let assertion = call.form("assertion");
    let assertion = assertion.filter(|assertion| !assertion.is_empty());
    let assertion = assertion.ok_or(OauthError::new("invalid_request", "assertion missing"))?;
    assertion::key_id(&assertion)
        .and_then(|id| assertion::subject(call, &assertion, world.machine_key(&id)?))
        .ok_or(OauthError::new("invalid_grant", "invalid assertion"))
}

/// Makes an access token. Its audience follows from its scopes.
pub(crate) fn issue(
    world: &mut World,
    user: &str,
    scope: &str,
    now: Timestamp,
    lifetime: i64,
) -> String {
    let audience = scope
        .split(' ')
        .filter_map(|scope| scope.strip_prefix(AUDIENCE_SCOPE)?.strip_suffix(":aud"))
        .map(|id| {
            if id == "zitadel" {
                world.zitadel_project.clone()
            } else {
                id.to_owned()
            }
        })
        .collect();
    let value = random::token(108);
    let token = Token {
        id: format!("V2_{}-at_{}", world.ids.next(), world.ids.next()),
        user: user.to_owned(),
        kind: TokenKind::Access {
            scope: scope.to_owned(),
            audience,
        },
        issued_at: now,
        expires_at: now + SignedDuration::from_secs(lifetime.clamp(0, 1 << 32)),
        dead: false,
    };
    world.tokens.insert(value.clone(), token);
    value
}

/// An id token with the right claims. NB: its signature is random; nothing here checks one.
fn id_token(call: &Call, user: &str, lifetime: i64) -> String {
    let now = call.now.as_second();
    let header = json!({"alg": "RS256", "kid": "1", "typ": "JWT"});
    let claims = json!({"iss": call.issuer, "sub": user, "aud": [user], "iat": now, "exp": now.saturating_add(lifetime)});
    let encode = |part: &Value| URL_SAFE_NO_PAD.encode(part.to_string());
    format!(
        "{}.{}.{}",
        encode(&header),
        encode(&claims),
        random::token(342)
    )
}
