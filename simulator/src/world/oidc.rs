//! How an OIDC application is configured, as far as its secrets and its answers are concerned. Does no I/O.

/// How an OIDC application authenticates at the token endpoint (`internal/domain/application_oidc.go`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum OidcMethod {
    /// The zero of the enum, so absent in JSON.
    #[default]
    Basic,
    Post,
    /// A public client.
    None,
    PrivateKeyJwt,
}

impl OidcMethod {
    /// Whether a new application of this method gets a secret.
    pub(crate) const fn has_secret(self) -> bool {
        matches!(self, Self::Basic | Self::Post)
    }

    /// Name in the API.
    pub(crate) const fn name(self) -> &'static str {
        match self {
            Self::Basic => "OIDC_AUTH_METHOD_TYPE_BASIC",
            Self::Post => "OIDC_AUTH_METHOD_TYPE_POST",
            Self::None => "OIDC_AUTH_METHOD_TYPE_NONE",
            Self::PrivateKeyJwt => "OIDC_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT",
        }
    }

    /// The method with this name in the API; an absent or unknown name is the zero.
    pub(crate) fn named(name: &str) -> Self {
        let all = [Self::Post, Self::None, Self::PrivateKeyJwt];
        let found = all.into_iter().find(|method| method.name() == name);
        found.unwrap_or_default()
    }
}

/// Configuration of an OIDC application of the type *web*.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct OidcConfig {
    pub(crate) redirect_uris: Vec<String>,
    /// Names of the grant types in the API.
    pub(crate) grants: Vec<String>,
    pub(crate) method: OidcMethod,
}

impl OidcConfig {
    /// One redirect URI, the authorization code grant, BASIC.
    pub(crate) fn with_redirect(uri: &str) -> Self {
        Self {
            redirect_uris: vec![uri.to_owned()],
            grants: vec!["OIDC_GRANT_TYPE_AUTHORIZATION_CODE".to_owned()],
            method: OidcMethod::Basic,
        }
    }
}
