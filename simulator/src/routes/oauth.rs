//! What the OAuth endpoints share: their errors and the discovery document (`zitadel/oidc pkg/op`). Does no I/O.

use serde_json::{Value, json};

/// An OAuth error; always HTTP 400 here.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct OauthError {
    error: &'static str,
    description: Option<&'static str>,
}

impl OauthError {
    pub(crate) const fn new(error: &'static str, description: &'static str) -> Self {
        Self {
            error,
            description: Some(description),
        }
    }

    pub(crate) const fn bare(error: &'static str) -> Self {
        Self {
            error,
            description: None,
        }
    }

    pub(crate) fn body(&self) -> Value {
        match self.description {
            Some(description) => json!({"error": self.error, "error_description": description}),
            None => json!({"error": self.error}),
        }
    }
}

/// `/.well-known/openid-configuration`
pub(crate) fn discovery(issuer: &str) -> Value {
    let endpoint = |path: &str| format!("{issuer}{path}");
    json!({
        "issuer": issuer,
        "authorization_endpoint": endpoint("/oauth/v2/authorize"),
        "token_endpoint": endpoint("/oauth/v2/token"),
        "introspection_endpoint": endpoint("/oauth/v2/introspect"),
        "userinfo_endpoint": endpoint("/oidc/v1/userinfo"),
        "revocation_endpoint": endpoint("/oauth/v2/revoke"),
        "end_session_endpoint": endpoint("/oidc/v1/end_session"),
        "device_authorization_endpoint": endpoint("/oauth/v2/device_authorization"),
        "jwks_uri": endpoint("/oauth/v2/keys"),
        "scopes_supported": ["openid", "profile", "email", "phone", "address", "offline_access"],
        "response_types_supported": ["code", "id_token", "id_token token"],
        "response_modes_supported": ["query", "fragment", "form_post"],
        "grant_types_supported": [
            "authorization_code", "implicit", "refresh_token", "client_credentials",
            "urn:ietf:params:oauth:grant-type:jwt-bearer", "urn:ietf:params:oauth:grant-type:device_code",
        ],
        "subject_types_supported": ["public"],
        "id_token_signing_alg_values_supported": ["EdDSA", "RS256", "RS384", "RS512", "ES256", "ES384", "ES512"],
        "request_object_signing_alg_values_supported": ["RS256"],
        "token_endpoint_auth_methods_supported": CLIENT_AUTH,
        "token_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "revocation_endpoint_auth_methods_supported": CLIENT_AUTH,
        "revocation_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "introspection_endpoint_auth_methods_supported": ["client_secret_basic", "private_key_jwt"],
        "introspection_endpoint_auth_signing_alg_values_supported": ["RS256"],
        "claims_supported": [
            "sub", "aud", "exp", "iat", "iss", "auth_time", "nonce", "acr", "amr", "c_hash", "at_hash", "act", "scopes",
            "client_id", "azp", "preferred_username", "name", "family_name", "given_name", "locale", "email",
            "email_verified", "phone_number", "phone_number_verified",
        ],
        "code_challenge_methods_supported": ["S256"],
        "ui_locales_supported": [
            "ar", "bg", "cs", "de", "en", "es", "fr", "hu", "id", "it", "ja", "ko", "mk", "nl", "pl", "pt", "ro", "ru",
            "sv", "tr", "uk", "zh",
        ],
        "request_parameter_supported": true,
        "request_uri_parameter_supported": false,
        "backchannel_logout_supported": true,
        "backchannel_logout_session_supported": true,
    })
}

const CLIENT_AUTH: [&str; 4] = [
    "none",
    "client_secret_basic",
    "client_secret_post",
    "private_key_jwt",
];
