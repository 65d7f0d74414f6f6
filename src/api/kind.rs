//! The kinds of objects that keep a client secret. No I/O.

use std::fmt;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// A kind of objects that keep a client secret.
// NB: without a default, so that no reference to an object of another kind is made by leaving the kind out.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
pub enum Kind {
    /// `ApiAppSecret`: the client secret of an API application.
    #[serde(rename = "ApiAppSecret")]
    ApiApp,
}

impl Kind {
    /// All kinds.
    pub const ALL: [Self; 1] = [Self::ApiApp];

    /// The kind, as it stands in manifests, records, events and metrics.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::ApiApp => "ApiAppSecret",
        }
    }

    /// The resource, as it stands in the paths of the API server.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::ApiApp => "apiappsecrets",
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
