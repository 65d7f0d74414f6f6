//! The kinds of objects that keep a client secret. No I/O.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The API group of all kinds.
pub const GROUP: &str = "zitadel-secrets.dev";

/// A kind of objects that keep a client secret.
// NB: without a default, so that no reference to an object of another kind is made by leaving the kind out.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Kind {
    /// `ApiAppSecret`: the client secret of an API application.
    #[serde(rename = "ApiAppSecret")]
    ApiApp,
    /// `OidcAppSecret`: the client secret of an OIDC application.
    #[serde(rename = "OidcAppSecret")]
    OidcApp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 2] = [Self::ApiApp, Self::OidcApp];

    /// The kind, as it stands in manifests, records, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiApp => "ApiAppSecret",
            Self::OidcApp => "OidcAppSecret",
        }
    }

    /// The resource, as it stands in the paths of the API server.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::ApiApp => "apiappsecrets",
            Self::OidcApp => "oidcappsecrets",
        }
    }

    /// The kind of what is stored without one: there was no other.
    pub const fn unnamed() -> Self {
        Self::ApiApp
    }

    /// Whether it is the one that is stored without its name.
    pub const fn is_unnamed(&self) -> bool {
        matches!(self, Self::ApiApp)
    }
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}
