//! Applications as protojson writes them: zero values are left out, sequences are strings. Does no I/O.

use serde_json::{Value, json};

use crate::routes::answer::{rfc3339, set};
use crate::world::events::AuthMethod;
use crate::world::model::{App, AppKind, State};
use crate::world::oidc::{OidcConfig, OidcMethod};

/// In management v1.
pub(crate) fn v1(app: &App, owner: &str) -> Value {
    let mut out = json!({
        "id": app.id,
        "details": {
            "sequence": app.sequence.to_string(),
            "creationDate": rfc3339(app.created_at),
            "changeDate": rfc3339(app.changed_at),
            "resourceOwner": owner,
        },
        "state": if app.state == State::Active { "APP_STATE_ACTIVE" } else { "APP_STATE_INACTIVE" },
        "name": app.name,
    });
    if let Some(kind) = &app.kind {
        let name = if is_oidc(kind) {
            "oidcConfig"
        } else {
            "apiConfig"
        };
        set(&mut out, name, configuration(app, kind));
    }
    out
}

/// In the application service v2: without sequence and resource owner.
pub(crate) fn v2(app: &App, project: &str) -> Value {
    let state = if app.state == State::Active {
        "APPLICATION_STATE_ACTIVE"
    } else {
        "APPLICATION_STATE_INACTIVE"
    };
    let mut out = json!({
        "applicationId": app.id,
        "creationDate": rfc3339(app.created_at),
        "changeDate": rfc3339(app.changed_at),
        "state": state,
        "name": app.name,
        "projectId": project,
    });
    if let Some(kind) = &app.kind {
        let name = v2_configuration(is_oidc(kind));
        set(&mut out, name, configuration(app, kind));
    }
    out
}

/// Name of the field with an application's configuration.
pub(crate) const fn v2_configuration(oidc: bool) -> &'static str {
    if oidc {
        "oidcConfiguration"
    } else {
        "apiConfiguration"
    }
}

const fn is_oidc(kind: &AppKind) -> bool {
    matches!(kind, AppKind::Oidc(_))
}

fn configuration(app: &App, kind: &AppKind) -> Value {
    match kind {
        AppKind::Api(AuthMethod::Basic) => json!({"clientId": app.client_id}),
        AppKind::Api(AuthMethod::PrivateKeyJwt) => {
            json!({"clientId": app.client_id, "authMethodType": "API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT"})
        }
        AppKind::Oidc(config) => oidc_configuration(&app.client_id, config),
    }
}

fn oidc_configuration(client_id: &str, config: &OidcConfig) -> Value {
    let origins: Vec<String> = config.redirect_uris.iter().map(|uri| origin(uri)).collect();
    let mut out = json!({
        "redirectUris": config.redirect_uris,
        "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
        "grantTypes": config.grants,
        "clientId": client_id,
        "clockSkew": "0s",
        "allowedOrigins": origins,
    });
    if config.method != OidcMethod::Basic {
        set(&mut out, "authMethodType", config.method.name());
    }
    out
}

/// Scheme and authority of a URI.
fn origin(uri: &str) -> String {
    uri.splitn(4, '/').take(3).collect::<Vec<_>>().join("/")
}
