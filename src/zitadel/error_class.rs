//! The classes of failed calls. No I/O.

use std::fmt;

/// The class of a failed call.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum ErrorClass {
    /// The host name does not resolve.
    UnreachableDns,
    /// The connection could not be established.
    UnreachableConnect,
    /// The TLS session could not be established: certificate, name, protocol.
    Tls,
    /// The deadline passed.
    Timeout,
    /// The connection broke before the answer was complete.
    Interrupted,
    /// The credential or token was not accepted (401). ZITADEL also answers this when it fails to load a token.
    Unauthenticated,
    /// The service user lacks the role (403 with an id).
    PermissionDenied,
    /// The organization does not exist, or could not be loaded (`AUTH-Bs7Ds`).
    OrganizationNotFound,
    /// The service user has no membership at all in the organization (`AUTHZ-cdgFk`).
    NotAMember,
    /// No such application in that project and organization.
    AppNotFound,
    /// An OIDC or SAML application (`COMMAND-aeH4`).
    NotAnApiApp,
    /// The application is not an OIDC application.
    NotAnOidcApp,
    /// Something of that name exists (409).
    AlreadyExists,
    /// ZITADEL has no instance with that host name.
    InstanceNotFound,
    /// Another 404 of ZITADEL's own, with an id.
    NotFound,
    /// This ZITADEL does not serve that API (a route that it does not have, or 501). It passes: another API is used then, or a proxy was
    /// configured anew.
    NotServed,
    /// The API in use does not have such a call; nothing was sent.
    NotInApi,
    /// Another request error (4xx), also from a proxy in front of ZITADEL.
    Rejected,
    /// An action target of ZITADEL interrupted the call (`EXEC-…`), before or after its execution.
    ActionInterrupted,
    /// Too many requests, quota used up, instance blocked (429).
    RateLimited,
    /// Starting, stopping, or a proxy that cannot reach it (502, 503, 504).
    Unavailable,
    /// An internal error (other 5xx).
    Internal,
    /// An answer that is not what the API documents.
    Malformed,
    /// An answer larger than any real one.
    TooLarge,
    /// A redirect, which is never followed.
    Redirected,
    /// ZITADEL's issuer is not the configured URL.
    IssuerMismatch,
    /// The key in the credential cannot sign.
    CredentialMalformed,
    /// The token endpoint rejected the service account key.
    TokenRefused,
}

impl ErrorClass {
    /// A stable CamelCase word for conditions, events, metrics and logs.
    pub fn reason(self) -> &'static str {
        match self {
            Self::UnreachableDns => "UnreachableDns",
            Self::UnreachableConnect => "UnreachableConnect",
            Self::Tls => "Tls",
            Self::Timeout => "Timeout",
            Self::Interrupted => "Interrupted",
            Self::Unauthenticated => "Unauthenticated",
            Self::PermissionDenied => "PermissionDenied",
            Self::OrganizationNotFound => "OrganizationNotFound",
            Self::NotAMember => "NotAMember",
            Self::AppNotFound => "AppNotFound",
            Self::NotAnApiApp => "NotAnApiApp",
            Self::NotAnOidcApp => "NotAnOidcApp",
            Self::AlreadyExists => "AlreadyExists",
            Self::InstanceNotFound => "InstanceNotFound",
            Self::NotFound => "NotFound",
            Self::NotServed => "NotServed",
            Self::NotInApi => "NotInApi",
            Self::Rejected => "Rejected",
            Self::ActionInterrupted => "ActionInterrupted",
            Self::RateLimited => "RateLimited",
            Self::Unavailable => "Unavailable",
            Self::Internal => "Internal",
            Self::Malformed => "Malformed",
            Self::TooLarge => "TooLarge",
            Self::Redirected => "Redirected",
            Self::IssuerMismatch => "IssuerMismatch",
            Self::CredentialMalformed => "CredentialMalformed",
            Self::TokenRefused => "TokenRefused",
        }
    }

    /// Whether manual action is required, so that retrying soon is pointless. Answers that ZITADEL also gives during a temporary failure
    /// (401, `AUTH-Bs7Ds`, a rejected assertion) are not permanent.
    pub fn is_permanent(self) -> bool {
        match self {
            Self::PermissionDenied
            | Self::NotAMember
            | Self::AppNotFound
            | Self::NotAnApiApp
            | Self::NotAnOidcApp
            | Self::AlreadyExists
            | Self::InstanceNotFound
            | Self::NotFound
            | Self::NotInApi
            | Self::IssuerMismatch
            | Self::CredentialMalformed => true,
            Self::UnreachableDns
            | Self::UnreachableConnect
            | Self::Tls
            | Self::Timeout
            | Self::Interrupted
            | Self::Unauthenticated
            | Self::OrganizationNotFound
            | Self::Rejected
            | Self::ActionInterrupted
            | Self::RateLimited
            | Self::Unavailable
            | Self::Internal
            | Self::Malformed
            | Self::TooLarge
            | Self::Redirected
            | Self::NotServed
            | Self::TokenRefused => false,
        }
    }

    fn text(self) -> &'static str {
        match self {
            Self::UnreachableDns => "host name does not resolve",
            Self::UnreachableConnect => "cannot connect",
            Self::Tls => "no TLS session",
            Self::Timeout => "no response in time",
            Self::Interrupted => "connection broke",
            Self::Unauthenticated => "credential not accepted",
            Self::PermissionDenied => "permission denied",
            Self::OrganizationNotFound => "organization not found",
            Self::NotAMember => "service user is no member of the organization",
            Self::AppNotFound => "application not found",
            Self::NotAnApiApp => "not an API application",
            Self::NotAnOidcApp => "not an OIDC application",
            Self::AlreadyExists => "the name is taken",
            Self::InstanceNotFound => "no instance of that host name",
            Self::NotFound => "not found",
            Self::NotServed => "this ZITADEL does not serve that API",
            Self::NotInApi => "not part of ZITADEL's API v2",
            Self::Rejected => "request rejected",
            Self::ActionInterrupted => "interrupted by an action",
            Self::RateLimited => "too many requests",
            Self::Unavailable => "unavailable",
            Self::Internal => "internal error",
            Self::Malformed => "malformed response",
            Self::TooLarge => "response too large",
            Self::Redirected => "redirected",
            Self::IssuerMismatch => "issuer is not the configured url",
            Self::CredentialMalformed => "credential malformed",
            Self::TokenRefused => "service account key refused",
        }
    }
}

impl fmt::Display for ErrorClass {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.text())
    }
}
