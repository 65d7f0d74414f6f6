//! What a template can use, and how large it can be. No I/O.

use crate::api::ValueSource;

/// The longest template, in bytes.
pub(crate) const MAX_TEMPLATE: usize = 8 << 10;
/// The longest text that a template renders to, in bytes.
pub(crate) const MAX_OUTPUT: usize = 64 << 10;
/// The statements of the language.
pub(super) const STATEMENTS: [&str; 4] = ["if", "elif", "else", "endif"];
/// The most tokens between two delimiters. minijinja's compiler recurses for each operator and filter.
pub(super) const MAX_TOKENS: usize = 64;
/// How deeply parentheses are nested at most. For each level minijinja's parser takes up to 20 KB of the stack.
pub(super) const MAX_DEPTH: usize = 8;
/// The most statements. The parser recurses for each `elif` without a limit of its own.
pub(super) const MAX_STATEMENTS: usize = 40;

/// The values that a template can use, under the names of [`Values::NAMES`].
#[derive(Clone, Copy)]
pub(crate) struct Values<'a> {
    /// `clientId`
    pub(crate) client_id: &'a str,
    /// `clientSecret`
    pub(crate) client_secret: &'a str,
    /// `issuer`
    pub(crate) issuer: &'a str,
    /// `introspectionEndpoint`
    pub(crate) introspection_endpoint: &'a str,
    /// `tokenEndpoint`
    pub(crate) token_endpoint: &'a str,
    /// `projectId`
    pub(crate) project_id: &'a str,
    /// `appId`
    pub(crate) app_id: &'a str,
}

impl<'a> Values<'a> {
    /// The name of the value that a Secret is about.
    pub(super) const SECRET: &'static str = "clientSecret";
    /// The names in a template.
    pub(crate) const NAMES: [&'static str; 7] = [
        "clientId",
        Self::SECRET,
        "issuer",
        "introspectionEndpoint",
        "tokenEndpoint",
        "projectId",
        "appId",
    ];

    /// The value that an entry of `spec.secret.data` names.
    pub(crate) const fn of(self, source: ValueSource) -> &'a str {
        match source {
            ValueSource::ClientId => self.client_id,
            ValueSource::ClientSecret => self.client_secret,
            ValueSource::Issuer => self.issuer,
            ValueSource::IntrospectionEndpoint => self.introspection_endpoint,
            ValueSource::TokenEndpoint => self.token_endpoint,
            ValueSource::ProjectId => self.project_id,
            ValueSource::AppId => self.app_id,
        }
    }

    /// Each name and its value.
    pub(super) fn pairs(self) -> impl Iterator<Item = (&'static str, &'a str)> {
        let values = [
            self.client_id,
            self.client_secret,
            self.issuer,
            self.introspection_endpoint,
            self.token_endpoint,
            self.project_id,
            self.app_id,
        ];
        Self::NAMES.into_iter().zip(values)
    }

    /// The same with another client secret.
    pub(super) const fn with_secret<'b>(self, client_secret: &'b str) -> Values<'b>
    where
        'a: 'b,
    {
        Values {
            client_secret,
            ..self
        }
    }
}
