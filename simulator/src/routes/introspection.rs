//! Introspection (RFC 7662) as ZITADEL answers it, against the projection (`internal/api/oidc/introspect.go`).

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::config::IntrospectionMode;
use crate::routes::call::Call;
use crate::routes::client;
use crate::routes::oauth::OauthError;
use crate::world::World;
use crate::world::identities::TokenKind;
use crate::world::model::App;

const REFUSED: OauthError = OauthError::bare("unauthorized_client");
const PAT_SCOPE: &str =
    "openid profile urn:zitadel:iam:user:metadata urn:zitadel:iam:user:resourceowner";

pub(crate) fn introspect(call: &Call, world: &mut World) -> Result<Value, OauthError> {
    match call.settings.introspection {
        IntrospectionMode::Normal => {}
        IntrospectionMode::AlwaysInactive => return Ok(json!({"active": false})),
        IntrospectionMode::AlwaysRefused => return Err(REFUSED),
    }
    let presented = Presented::read(call)?;
    let token = call.form("token").filter(|token| !token.is_empty());
    let token = token.ok_or(OauthError::new("invalid_request", "token missing"))?;
    let (project, app) = presented.verify(call, world).ok_or(REFUSED)?;
    Ok(active(call, world, &token, &app.client_id, &project)
        .unwrap_or_else(|| json!({"active": false})))
}

/// What an application proves itself with.
enum Presented {
    Secret { client_id: String, secret: String },
    Assertion(String),
}

impl Presented {
    fn read(call: &Call) -> Result<Self, OauthError> {
        if let Some(assertion) = client::client_assertion(call) {
            return Ok(Self::Assertion(assertion));
        }
        let (client_id, secret) = client::credentials(call);
        let client_id = client_id
            .filter(|id| !id.is_empty())
            .ok_or(client::NO_CLIENT)?;
        let unproven = OauthError::new("invalid_client", "client must be authenticated");
        let secret = secret.filter(|secret| !secret.is_empty()).ok_or(unproven)?;
        Ok(Self::Secret { client_id, secret })
    }

    /// Project and app, if both are active. NB: the auth method is not consulted; a secret and keys work side by side.
    fn verify(&self, call: &Call, world: &mut World) -> Option<(String, App)> {
        match self {
            Self::Assertion(assertion) => client::asserted(call, world, assertion),
            Self::Secret { client_id, secret } => {
                world.active_client(client_id).filter(|(_, app)| {
                    let stored = app.secret.as_ref();
                    stored.is_some_and(|stored| stored.expose() == secret)
                })
            }
        }
    }
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
                "updated_at": seconds(user.current().changed_at),
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
