//! Which operation a method and a path mean, and what answers it. Does no I/O.
//!
//! [`handle`] dispatches to [`generate`], [`apps`], [`journal`], [`me`], [`token`] and [`introspection`].

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod apps;
pub(crate) mod call;
pub(crate) mod errors;
pub(crate) mod generate;
pub(crate) mod handle;
pub(crate) mod introspection;
pub(crate) mod journal;
pub(crate) mod me;
pub(crate) mod oauth;
pub(crate) mod token;

use http::Method;
use serde::{Deserialize, Serialize};

/// An operation of ZITADEL that the simulator knows.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Operation {
    /// `POST /management/v1/projects/{p}/apps/{a}/api_config/_generate_client_secret`
    Generate,
    /// `POST /management/v1/projects/{p}/apps/{a}/oidc_config/_generate_client_secret`
    GenerateOidc,
    /// `POST /zitadel.application.v2.ApplicationService/GenerateClientSecret`
    GenerateV2,
    /// `GET /management/v1/projects/{p}/apps/{a}`
    GetApp,
    /// `GET /management/v1/projects/{p}`
    GetProject,
    /// `POST /management/v1/projects/{p}/apps/_search`
    SearchApps,
    /// `POST /management/v1/projects/{p}/apps/api`
    CreateApiApp,
    /// `PUT /management/v1/projects/{p}/apps/{a}`
    RenameApp,
    /// `PUT /management/v1/projects/{p}/apps/{a}/api_config`
    ChangeAuthMethod,
    /// `POST /management/v1/projects/{p}/apps/{a}/_deactivate`
    DeactivateApp,
    /// `POST /management/v1/projects/{p}/apps/{a}/_reactivate`
    ReactivateApp,
    /// `DELETE /management/v1/projects/{p}/apps/{a}`
    RemoveApp,
    /// `POST /management/v1/projects/{p}/_deactivate`
    DeactivateProject,
    /// `POST /management/v1/projects/{p}/_reactivate`
    ReactivateProject,
    /// `POST /management/v1/projects/{p}/apps/{a}/changes/_search`
    Journal,
    /// `GET /auth/v1/users/me`
    Me,
    /// `POST /oauth/v2/token`
    Token,
    /// `POST /oauth/v2/introspect`
    Introspect,
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
        matches!(self, Self::Generate | Self::GenerateOidc | Self::GenerateV2)
    }

    /// Answers in the OAuth manner, not in the API's.
    pub(crate) const fn is_oauth(self) -> bool {
        matches!(self, Self::Token | Self::Introspect | Self::Discovery)
    }
}

/// A request's operation and the ids in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) project: Option<String>,
    pub(crate) app: Option<String>,
    /// The path exists, but not with this method.
    pub(crate) wrong_method: bool,
}

pub(crate) fn route(method: &Method, path: &str) -> Route {
    use Operation as O;
    let segments: Vec<String> = path
        .trim_start_matches('/')
        .split('/')
        .map(percent_decoded)
        .collect();
    let segments: Vec<&str> = segments.iter().map(String::as_str).collect();
    let post = method == Method::POST;
    let get = method == Method::GET;
    let found = |operation, right_method: bool| (operation, None, None, right_method);
    let (operation, project, app, right_method) = match segments.as_slice() {
        ["management", "v1", "projects", project, rest @ ..] => match project_route(rest, method) {
            Some((operation, app, right_method)) => {
                (operation, Some((*project).to_owned()), app, right_method)
            }
            None => found(O::Unknown, true),
        },
        [
            "zitadel.application.v2.ApplicationService",
            "GenerateClientSecret",
        ] => found(O::GenerateV2, post),
        ["auth", "v1", "users", "me"] => found(O::Me, get),
        ["oauth", "v2", "token"] => found(O::Token, post),
        ["oauth", "v2", "introspect"] => found(O::Introspect, post),
        [".well-known", "openid-configuration"] => found(O::Discovery, get),
        ["debug", "healthz"] => found(O::Healthz, get),
        ["debug", "ready"] => found(O::Ready, get),
        _ => found(O::Unknown, true),
    };
    Route {
        operation,
        project,
        app,
        wrong_method: !right_method,
    }
}

/// Operation, app and whether the method fits, for what follows `/projects/{id}`.
fn project_route(rest: &[&str], method: &Method) -> Option<(Operation, Option<String>, bool)> {
    use Operation as O;
    let post = method == Method::POST;
    let put = method == Method::PUT;
    let (operation, app, right_method) = match rest {
        [] if method == Method::GET => (O::GetProject, None, true),
        ["_deactivate"] => (O::DeactivateProject, None, post),
        ["_reactivate"] => (O::ReactivateProject, None, post),
        ["apps", "_search"] if post => (O::SearchApps, None, true),
        ["apps", "api"] if post => (O::CreateApiApp, None, true),
        ["apps", app] if put => (O::RenameApp, Some(*app), true),
        ["apps", app] if method == Method::DELETE => (O::RemoveApp, Some(*app), true),
        ["apps", app] => (O::GetApp, Some(*app), method == Method::GET),
        ["apps", app, "_deactivate"] => (O::DeactivateApp, Some(*app), post),
        ["apps", app, "_reactivate"] => (O::ReactivateApp, Some(*app), post),
        ["apps", app, "api_config"] => (O::ChangeAuthMethod, Some(*app), put),
        ["apps", app, "changes", "_search"] => (O::Journal, Some(*app), post),
        ["apps", app, "api_config", "_generate_client_secret"] => (O::Generate, Some(*app), post),
        ["apps", app, "oidc_config", "_generate_client_secret"] => {
            (O::GenerateOidc, Some(*app), post)
        }
        _ => return None,
    };
    Some((operation, app.map(str::to_owned), right_method))
}

/// Undoes percent encoding; bytes that are no UTF-8 become replacement characters.
pub(crate) fn percent_decoded(text: &str) -> String {
    if !text.contains('%') {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut bytes = text.bytes();
    while let Some(byte) = bytes.next() {
        let mut ahead = bytes.clone();
        let hex = |byte: Option<u8>| byte.and_then(|byte| char::from(byte).to_digit(16));
        match (byte, hex(ahead.next()), hex(ahead.next())) {
            (b'%', Some(high), Some(low)) => {
                out.push(u8::try_from(high * 16 + low).unwrap_or(b'?'));
                bytes = ahead;
            }
            _ => out.push(byte),
        }
    }
    String::from_utf8_lossy(&out).into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ids_are_taken_from_the_path_and_decoded() {
        let found = route(
            &Method::POST,
            "/management/v1/projects/1/apps/a%2Fb/api_config/_generate_client_secret",
        );
        assert_eq!(
            (found.operation, found.app.as_deref()),
            (Operation::Generate, Some("a/b"))
        );
    }

    #[test]
    fn a_wrong_method_differs_from_an_unknown_path() {
        assert!(
            route(
                &Method::GET,
                "/management/v1/projects/1/apps/2/changes/_search"
            )
            .wrong_method
        );
        assert_eq!(
            route(&Method::GET, "/management/v1/nowhere").operation,
            Operation::Unknown
        );
    }
}
