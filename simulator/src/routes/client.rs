//! How a client authenticates: by Basic, in the form, or with an assertion. Does no I/O.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use http::HeaderMap;

use crate::routes::assertion;
use crate::routes::call::{Call, form_decoded};
use crate::routes::oauth::OauthError;
use crate::world::World;
use crate::world::model::{App, AppKind};
use crate::world::oidc::OidcMethod;

pub(crate) const NO_CLIENT: OauthError = OauthError::new(
    "invalid_request",
    "client_id or client_assertion must be provided",
);

/// The client id of a request's Basic credentials.
pub(crate) fn basic_client(headers: &HeaderMap) -> Option<String> {
    basic(headers).map(|(id, _)| id)
}

/// Client id and secret: of the Basic header, which wins, or of the form.
pub(crate) fn credentials(call: &Call) -> (Option<String>, Option<String>) {
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

/// The assertion of a client that signs instead of showing a secret.
pub(crate) fn client_assertion(call: &Call) -> Option<String> {
    let kind = call.form("client_assertion_type")?;
    (kind == assertion::CLIENT_ASSERTION)
        .then(|| call.form("client_assertion"))
        .flatten()
}

/// Project and app of a client assertion that is in order; the app, its project and organization are active.
pub(crate) fn asserted(call: &Call, world: &mut World, assertion: &str) -> Option<(String, App)> {
    let key = world.app_key(&assertion::key_id(assertion)?)?.key;
    let client_id = assertion::subject(call, assertion, &key)?;
    world.active_client(&client_id)
}

/// Authenticates an OIDC app at the token endpoint and its neighbors (`internal/api/oidc/client.go`, `VerifyClient`). NB: BASIC and POST are
/// one, and a public client needs no secret.
pub(crate) fn verify(call: &Call, world: &mut World) -> Result<(), OauthError> {
    if let Some(assertion) = client_assertion(call) {
        let asserted = asserted(call, world, &assertion);
        return asserted
            .map(|_| ())
            .ok_or(OauthError::new("invalid_client", "invalid assertion"));
    }
    let (client_id, secret) = credentials(call);
    let client_id = client_id.filter(|id| !id.is_empty()).ok_or(NO_CLIENT)?;
    let inactive = OauthError::new("invalid_client", "no active client not found");
    let (_, app) = world.active_client(&client_id).ok_or(inactive)?;
    let Some(AppKind::Oidc(config)) = &app.kind else {
        return Err(inactive);
    };
    let proven = match config.method {
        OidcMethod::None => true,
        OidcMethod::PrivateKeyJwt => false,
        OidcMethod::Basic | OidcMethod::Post => app
            .secret
            .is_some_and(|stored| secret.as_deref() == Some(stored.expose())),
    };
    proven
        .then_some(())
        .ok_or(OauthError::new("invalid_client", "invalid secret"))
}
