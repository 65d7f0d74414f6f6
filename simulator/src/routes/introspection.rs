//! Introspection (RFC 7662) as ZITADEL answers it, against the projection (`internal/api/oidc/introspect.go`).

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;
use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::IntrospectionMode;
use crate::routes::call::{Call, form_decoded};
use crate::routes::oauth::OauthError;
use crate::world::World;
use crate::world::identities::TokenKind;

const REFUSED: OauthError = OauthError::bare("unauthorized_client");
const PAT_SCOPE: &str =
    "openid profile urn:zitadel:iam:user:metadata urn:zitadel:iam:user:resourceowner";

pub(crate) fn introspect(call: &Call, world: &mut World) -> Result<Value, OauthError> {
    match call.settings.introspection {
        IntrospectionMode::Normal => {}
        IntrospectionMode::AlwaysInactive => return Ok(json!({"active": false})),
        IntrospectionMode::AlwaysRefused => return Err(REFUSED),
    }
    let (client_id, secret) = credentials(call);
    let no_client = OauthError::new(
        "invalid_request",
        "client_id or client_assertion must be provided",
    );
    let client_id = client_id.filter(|id| !id.is_empty()).ok_or(no_client)?;
    let unproven = OauthError::new("invalid_client", "client must be authenticated");
    let secret = secret.filter(|secret| !secret.is_empty()).ok_or(unproven)?;
    let token = call.form("token").filter(|token| !token.is_empty());
    let token = token.ok_or(OauthError::new("invalid_request", "token missing"))?;

    let (project, app) = world.active_client(&client_id).ok_or(REFUSED)?;
    if app.secret.is_none_or(|stored| stored.expose() != secret) {
        return Err(REFUSED);
    }
    Ok(active(call, world, &token, &client_id, &project)
        .unwrap_or_else(|| json!({"active": false})))
}

/// The client id of a request's Basic credentials.
pub(crate) fn basic_client(headers: &HeaderMap) -> Option<String> {
    basic(headers).map(|(id, _)| id)
}

/// Client id and secret: of the Basic header, which wins, or of the form.
fn credentials(call: &Call) -> (Option<String>, Option<String>) {
    match basic(&call.headers) {
        Some((id, secret)) => (Some(id), Some(secret)),
        None => (call.form("client_id"), call.form("client_secret")),
    }
}

/// Both halves are query-unescaped by the server (`zitadel/oidc pkg/op/server_http.go`).
fn basic(headers: &HeaderMap) -> Option<(String, String)> {
    let header = headers.get(http::header::AUTHORIZATION)?.to_str().ok()?;
    let decoded = STANDARD.decode(header.strip_prefix("Basic ")?).ok()?;
    let decoded = String::from_utf8(decoded).ok()?;
    let (id, secret) = decoded.split_once(':')?;
    Some((form_decoded(id), form_decoded(secret)))
}

/// The answer for a live token whose audience holds the client or its project.
fn active(
    call: &Call,
    world: &World,
    token: &str,
    client_id: &str,
    project: &str,
) -> Option<Value> {
    let token = world.live_token(token, call.now)?;
    let user = world.users.get(&token.user)?;
    let seconds = Timestamp::as_second;
    match &token.kind {
        TokenKind::Pat => {
            let org = world.orgs.get(&user.org)?;
            Some(json!({
                "active": true,
                "aud": [client_id, project],
                "exp": seconds(token.expires_at),
                "iat": seconds(token.issued_at),
                "nbf": seconds(token.issued_at),
                "iss": call.issuer,
                "jti": token.id,
                "name": user.name,
                "preferred_username": user.login_name,
                "username": user.login_name,
                "scope": PAT_SCOPE,
                "sub": user.id,
                "token_type": "Bearer",
                "updated_at": seconds(user.created_at),
                "urn:zitadel:iam:user:resourceowner:id": org.id,
                "urn:zitadel:iam:user:resourceowner:name": org.name,
                "urn:zitadel:iam:user:resourceowner:primary_domain": format!("{}.localhost", org.name),
            }))
        }
        TokenKind::Access { scope, audience } => audience
            .iter()
            .any(|entry| entry == client_id || entry == project)
            .then(|| {
                json!({
                    "active": true,
                    "scope": scope,
                    "client_id": user.login_name,
                    "token_type": "Bearer",
                    "exp": seconds(token.expires_at),
                    "iat": seconds(token.issued_at),
                    "auth_time": seconds(token.issued_at),
                    "nbf": seconds(token.issued_at),
                    "sub": user.id,
                    "aud": audience,
                    "iss": call.issuer,
                    "jti": token.id,
                })
            }),
    }
}
