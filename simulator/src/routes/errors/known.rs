//! Each error that the simulator answers, by what is wrong. Does no I/O.

use super::{ApiError, Code};

pub(crate) const TOKEN_INVALID: ApiError =
    ApiError::new(Code::Unauthenticated, "AUTH-7fs1e", "Errors.Token.Invalid");
pub(crate) const AUTH_HEADER_INVALID: ApiError =
    ApiError::new(Code::Unauthenticated, "AUTH-toLo1", "invalid auth header");
pub(crate) const ORG_UNKNOWN: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-Bs7Ds",
    "Organisation doesn't exist",
);
pub(crate) const NO_MEMBERSHIP: ApiError =
    ApiError::new(Code::NotFound, "AUTHZ-cdgFk", "membership not found");
pub(crate) const NO_PERMISSION: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-5mWD2",
    "No matching permissions found",
);
pub(crate) const OTHER_PROJECT_ONLY: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-3jknH",
    "No matching permissions found",
);
pub(crate) const COMMAND_DENIED: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-AWfge",
    "No matching permissions found",
);
pub(crate) const COMMAND_OTHER_PROJECT: ApiError = ApiError::new(
    Code::PermissionDenied,
    "AUTH-Swrgg2",
    "No matching permissions found",
);
pub(crate) const APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-2g66f",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
/// The event store's own id: it is that of every name in use.
pub(crate) const APP_NAME_IN_USE: ApiError = ApiError::translated(
    Code::AlreadyExists,
    "V3-DKcYh",
    "Application already exists",
    "Applikation existiert bereits",
);
pub(crate) const APP_UNKNOWN_V2: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-Kd92s",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const APP_NOT_API: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-aeH4",
    "Application is not type API",
    "Applikation ist nicht vom Typ API",
);
pub(crate) const APP_NOT_OIDC: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-Ghrh3",
    "Application is not type OIDC",
    "Applikation ist nicht vom Typ OIDC",
);
pub(crate) const GET_APP_UNKNOWN: ApiError =
    ApiError::new(Code::NotFound, "QUERY-pCP8P", "Errors.App.NotExisting");
pub(crate) const GET_PROJECT_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "QUERY-fk2fs",
    "Project not found",
    "Projekt nicht gefunden",
);
pub(crate) const GET_APP_OTHER_ORG: ApiError =
    ApiError::new(Code::NotFound, "MANAG-SFf2a", "Application not found");
pub(crate) const RENAME_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-28di9",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const RENAME_NO_CHANGE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-2m8vx",
    "No changes",
    "Keine Änderungen",
);
pub(crate) const CONFIG_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-2n8uU",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const CONFIG_NOT_API: ApiError = ApiError::translated(
    Code::InvalidArgument,
    "COMMAND-Gnwt3",
    "Application is not type API",
    "Applikation ist nicht vom Typ API",
);
pub(crate) const CONFIG_NO_CHANGE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-1m88i",
    "No changes",
    "Keine Änderungen",
);
pub(crate) const SWITCH_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-ov9d3",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
pub(crate) const APP_NOT_ACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-dsh35",
    "Application is not active",
    "Applikation ist nicht aktiv",
);
pub(crate) const APP_NOT_INACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-1n8cM",
    "Application is not inactive",
    "Applikation ist nicht inaktiv",
);
pub(crate) const REMOVE_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-0po9s",
    "Application doesn't exist",
    "Applikation existiert nicht",
);
/// NB: a failed precondition, unlike everywhere else.
pub(crate) const KEY_APP_UNKNOWN: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-sak25",
    "Application not found",
    "Applikation nicht gefunden",
);
pub(crate) const KEY_NOT_FOR_METHOD: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-Dff54",
    "Chosen Auth Method does not require a key",
    "Gewählte Auth Methode benötigt keinen Key",
);
pub(crate) const KEY_EXPIRED: ApiError = ApiError::new(
    Code::InvalidArgument,
    "DOMAIN-dv3t5",
    "Errors.AuthNKey.ExpireBeforeNow",
);
pub(crate) const GET_KEY_UNKNOWN: ApiError =
    ApiError::new(Code::NotFound, "QUERY-Dgr3g", "Errors.AuthNKey.NotFound");
pub(crate) const REMOVE_KEY_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-4m77G",
    "Application key not found",
    "Applikations Key nicht gefunden",
);
pub(crate) const FILTER_UNKNOWN: ApiError =
    ApiError::new(Code::InvalidArgument, "CONV-z2mAGy", "List.Query.Invalid");
pub(crate) const APP_TYPE_UNKNOWN: ApiError =
    ApiError::new(Code::InvalidArgument, "APP-0iiN46", "unknown app type");
pub(crate) const INTERNAL: ApiError = ApiError::new(Code::Internal, "", "Errors.Internal");
pub(crate) const PROJECT_NOT_FOUND: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMA-VCnwD",
    "Project not found",
    "Projekt nicht gefunden",
);
pub(crate) const PROJECT_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-112M9",
    "Project doesn't exist",
    "Projekt existiert nicht",
);
pub(crate) const PROJECT_NOT_ACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-mki55",
    "Project is not active",
    "Projekt ist nicht aktiv",
);
pub(crate) const PROJECT_NOT_INACTIVE: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-5M9bs",
    "Project is not inactive",
    "Projekt ist nicht inaktiv",
);
pub(crate) const GET_USER_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "QUERY-Dfbg2",
    "User could not be found",
    "Benutzer konnte nicht gefunden werden",
);
pub(crate) const GET_USER_OTHER_ORG: ApiError = ApiError::translated(
    Code::NotFound,
    "MANAG-fpo4B",
    "User could not be found",
    "Benutzer konnte nicht gefunden werden",
);
pub(crate) const SET_SECRET_USER_UNKNOWN: ApiError = ApiError::new(
    Code::FailedPrecondition,
    "COMMAND-x8910n",
    "Errors.User.NotExisting",
);
pub(crate) const REMOVE_SECRET_USER_UNKNOWN: ApiError = ApiError::new(
    Code::FailedPrecondition,
    "COMMAND-x7s802",
    "Errors.User.NotExisting",
);
pub(crate) const USER_SECRET_UNKNOWN: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-coi82n",
    "Secret doesn't exist",
    "Secret existiert nicht",
);
pub(crate) const PUBLIC_KEY_INVALID: ApiError = ApiError::new(
    Code::InvalidArgument,
    "COMMAND-5F3h1",
    "Public key is not a valid RSA public key in PKIX format with PEM encoding",
);
pub(crate) const KEY_USER_UNKNOWN: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-bnipwm1",
    "User could not be found",
    "Benutzer konnte nicht gefunden werden",
);
pub(crate) const PAT_USER_UNKNOWN: ApiError = ApiError::translated(
    Code::FailedPrecondition,
    "COMMAND-Dggw2",
    "User could not be found",
    "Benutzer konnte nicht gefunden werden",
);
pub(crate) const REMOVE_MACHINE_KEY_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-4m77G",
    "Machine key not found",
    "Maschinen Key nicht gefunden",
);
pub(crate) const REMOVE_PAT_UNKNOWN: ApiError = ApiError::translated(
    Code::NotFound,
    "COMMAND-4m77G",
    "Personal Access Token not found",
    "Persönliches Access Token nicht gefunden",
);
pub(crate) const GET_PAT_UNKNOWN: ApiError = ApiError::new(
    Code::NotFound,
    "QUERY-fRunu",
    "Errors.PersonalAccessToken.NotFound",
);
