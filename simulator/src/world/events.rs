//! The events of a project: the truth from which everything else is computed. Does no I/O.

use jiff::Timestamp;

use crate::world::identities::Key;
use crate::world::oidc::OidcConfig;
use crate::world::secret::SecretValue;

/// How an application authenticates at introspection.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum AuthMethod {
    /// `API_AUTH_METHOD_TYPE_BASIC`, the zero of the enum, so absent in JSON.
    #[default]
    Basic,
    /// `API_AUTH_METHOD_TYPE_PRIVATE_KEY_JWT`.
    PrivateKeyJwt,
}

/// One event of a project's stream.
#[derive(Clone, Debug)]
pub(crate) struct Event {
    /// Position in the project's stream, from 1; all its apps count together.
    pub(crate) sequence: u64,
    pub(crate) kind: EventKind,
    pub(crate) app: Option<String>,
    pub(crate) editor: String,
    /// Start of the transaction; also the event's position for projections.
    pub(crate) created_at: Timestamp,
    /// The projection passes this event by for good (zitadel/zitadel#8517).
    pub(crate) passed_by: bool,
}

/// What happened.
#[derive(Clone, Debug)]
pub(crate) enum EventKind {
    ProjectAdded {
        name: String,
    },
    ProjectDeactivated,
    ProjectReactivated,
    ProjectRemoved,
    MemberAdded,
    AppAdded {
        name: String,
    },
    AppRenamed {
        name: String,
    },
    AppDeactivated,
    AppReactivated,
    AppRemoved,
    ApiAdded {
        client_id: String,
        method: AuthMethod,
        secret: Option<SecretValue>,
    },
    ApiChanged {
        method: AuthMethod,
    },
    ApiSecretChanged {
        secret: SecretValue,
    },
    /// A silent re-hash: the same secret with other hash parameters.
    ApiSecretUpdated,
    OidcAdded {
        client_id: String,
        config: OidcConfig,
        secret: Option<SecretValue>,
    },
    OidcSecretChanged {
        secret: SecretValue,
    },
    AppKeyAdded {
        id: String,
        app: String,
        key: Key,
    },
    AppKeyRemoved {
        id: String,
    },
}

impl EventKind {
    /// The event's type (`internal/repository/project`).
    pub(crate) const fn name(&self) -> &'static str {
        match self {
            Self::ProjectAdded { .. } => "project.added",
            Self::ProjectDeactivated => "project.deactivated",
            Self::ProjectReactivated => "project.reactivated",
            Self::ProjectRemoved => "project.removed",
            Self::MemberAdded => "project.member.added",
            Self::AppAdded { .. } => "project.application.added",
            Self::AppRenamed { .. } => "project.application.changed",
            Self::AppDeactivated => "project.application.deactivated",
            Self::AppReactivated => "project.application.reactivated",
            Self::AppRemoved => "project.application.removed",
            Self::ApiAdded { .. } => "project.application.config.api.added",
            Self::ApiChanged { .. } => "project.application.config.api.changed",
            Self::ApiSecretChanged { .. } => "project.application.config.api.secret.changed",
            Self::ApiSecretUpdated => "project.application.config.api.secret.updated",
            Self::OidcAdded { .. } => "project.application.config.oidc.added",
            Self::OidcSecretChanged { .. } => "project.application.config.oidc.secret.changed",
            // NB: *oidc* for API apps, too.
            Self::AppKeyAdded { .. } => "project.application.oidc.key.added",
            Self::AppKeyRemoved { .. } => "project.application.oidc.key.removed",
        }
    }

    /// The event's English name in change lists (`internal/static/i18n/en.yaml`).
    pub(crate) const fn message(&self) -> &'static str {
        match self {
            Self::ProjectAdded { .. } => "Project added",
            Self::ProjectDeactivated => "Project deactivated",
            Self::ProjectReactivated => "Project reactivated",
            Self::ProjectRemoved => "Project removed",
            Self::MemberAdded => "Project member added",
            Self::AppAdded { .. } => "Application added",
            Self::AppRenamed { .. } => "Application changed",
            Self::AppDeactivated => "Application deactivated",
            Self::AppReactivated => "Application reactivated",
            Self::AppRemoved => "Application removed",
            Self::ApiAdded { .. } => "API Configuration added",
            Self::ApiChanged { .. } => "API Configuration changed",
            Self::ApiSecretChanged { .. } => "API secret changed",
            Self::ApiSecretUpdated => "API secret hash updated",
            Self::OidcAdded { .. } => "OIDC Configuration added",
            Self::OidcSecretChanged { .. } => "OIDC secret changed",
            Self::AppKeyAdded { .. } => "OIDC Application Key added",
            Self::AppKeyRemoved { .. } => "OIDC Application Key removed",
        }
    }

    /// Whether the event changes the project itself (`internal/query/projection/project.go`).
    pub(crate) const fn is_of_project(&self) -> bool {
        matches!(
            self,
            Self::ProjectAdded { .. }
                | Self::ProjectDeactivated
                | Self::ProjectReactivated
                | Self::ProjectRemoved
        )
    }

    /// Whether the event replaces a client secret.
    pub(crate) const fn is_rotation(&self) -> bool {
        matches!(
            self,
            Self::ApiSecretChanged { .. } | Self::OidcSecretChanged { .. }
        )
    }
}
