//! What a client may ask for, and through which API. Does no I/O.

use serde::{Deserialize, Serialize};

/// An operation of ZITADEL that the simulator knows, whichever [`Api`] it is called through.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST /management/v1/projects/{p}/apps/{a}/api_config/_generate_client_secret`, the same with `oidc_config`, and v2
    /// `GenerateClientSecret`
    Generate,
    /// `GET /management/v1/projects/{p}/apps/{a}`, v2 `GetApplication`
    GetApp,
    /// `GET /management/v1/projects/{p}`, v2 `GetProject`
    GetProject,
    /// `POST /management/v1/projects/{p}/apps/_search`, v2 `ListApplications`
    SearchApps,
    /// `POST /management/v1/projects/{p}/apps/api`, v2 `CreateApplication`
    CreateApiApp,
    /// `POST /management/v1/projects/{p}/apps/oidc`, v2 `CreateApplication` with `oidcConfiguration`
    CreateOidcApp,
    /// `PUT /management/v1/projects/{p}/apps/{a}`, v2 `UpdateApplication`
    RenameApp,
    /// `PUT /management/v1/projects/{p}/apps/{a}/api_config`, v2 `UpdateApplication` without a name
    ChangeAuthMethod,
    /// `POST /management/v1/projects/{p}/apps/{a}/_deactivate`, v2 `DeactivateApplication`
    DeactivateApp,
    /// `POST /management/v1/projects/{p}/apps/{a}/_reactivate`, v2 `ReactivateApplication`
    ReactivateApp,
    /// `DELETE /management/v1/projects/{p}/apps/{a}`, v2 `DeleteApplication`
    RemoveApp,
    /// `POST /management/v1/projects/{p}/apps/{a}/keys`, v2 `CreateApplicationKey`
    AddAppKey,
    /// `POST /management/v1/projects/{p}/apps/{a}/keys/_search`, v2 `ListApplicationKeys`
    SearchAppKeys,
    /// `GET /management/v1/projects/{p}/apps/{a}/keys/{k}`, v2 `GetApplicationKey`
    GetAppKey,
    /// `DELETE /management/v1/projects/{p}/apps/{a}/keys/{k}`, v2 `DeleteApplicationKey`
    RemoveAppKey,
    /// `POST /management/v1/orgs`
    AddOrg,
    /// `DELETE /management/v1/orgs/me`
    RemoveOrg,
    /// `POST /management/v1/projects`
    AddProject,
    /// `POST /management/v1/projects/{p}/members`
    AddProjectMember,
    /// `POST /management/v1/users/machine`
    AddMachineUser,
    /// `POST /management/v1/projects/{p}/_deactivate`
    DeactivateProject,
    /// `POST /management/v1/projects/{p}/_reactivate`
    ReactivateProject,
    /// `POST /management/v1/projects/{p}/apps/{a}/changes/_search`
    Journal,
    /// `POST /management/v1/projects/{p}/changes/_search`
    ProjectJournal,
    /// `GET /auth/v1/users/me`
    Me,
    /// `GET /management/v1/users/{u}`, v2 `GetUserByID`
    GetUser,
    /// `POST /management/v1/users/{u}/changes/_search`, `POST /auth/v1/users/me/changes/_search`
    UserJournal,
    /// `PUT /management/v1/users/{u}/secret`, v2 `AddSecret`
    SetUserSecret,
    /// `DELETE /management/v1/users/{u}/secret`, v2 `RemoveSecret`
    RemoveUserSecret,
    /// `POST /management/v1/users/{u}/keys`, v2 `AddKey`
    AddUserKey,
    /// `POST /management/v1/users/{u}/keys/_search`, v2 `ListKeys`
    SearchUserKeys,
    /// `GET /management/v1/users/{u}/keys/{k}`
    GetUserKey,
    /// `DELETE /management/v1/users/{u}/keys/{k}`, v2 `RemoveKey`
    RemoveUserKey,
    /// `POST /management/v1/users/{u}/pats`, v2 `AddPersonalAccessToken`
    AddPat,
    /// `POST /management/v1/users/{u}/pats/_search`, v2 `ListPersonalAccessTokens`
    SearchPats,
    /// `GET /management/v1/users/{u}/pats/{t}`
    GetPat,
    /// `DELETE /management/v1/users/{u}/pats/{t}`, v2 `RemovePersonalAccessToken`
    RemovePat,
    /// `POST /oauth/v2/token`
    Token,
    /// `POST /oauth/v2/introspect`
    Introspect,
    /// `POST /oauth/v2/revoke`
    Revoke,
    /// `POST /oauth/v2/device_authorization`
    AuthorizeDevice,
    /// `GET /.well-known/openid-configuration`
    Discovery,
    /// `GET /debug/healthz`
    Healthz,
    /// `GET /debug/ready`
    Ready,
    /// Anything else.
    Unknown,
}

impl Operation {
    /// Makes a new secret.
    pub const fn generates(self) -> bool {
        matches!(self, Self::Generate)
    }

    /// Answers in the OAuth manner, not in the API's.
    pub(crate) const fn is_oauth(self) -> bool {
        matches!(
            self,
            Self::Token | Self::Introspect | Self::Revoke | Self::AuthorizeDevice | Self::Discovery
        )
    }
}

/// The API through which an [`Operation`] is called.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Api {
    /// REST under `/management/v1`.
    ManagementV1,
    /// Connect, `zitadel.application.v2.ApplicationService`.
    ApplicationV2,
    /// Connect, `zitadel.project.v2.ProjectService`.
    ProjectV2,
    /// Connect, `zitadel.user.v2.UserService`.
    UserV2,
    /// `/auth/v1`.
    AuthV1,
    /// OAuth, probes, and unknown paths.
    #[default]
    Other,
}

impl Api {
    /// Speaks Connect, not REST.
    pub(crate) const fn is_connect(self) -> bool {
        matches!(self, Self::ApplicationV2 | Self::ProjectV2 | Self::UserV2)
    }
}
