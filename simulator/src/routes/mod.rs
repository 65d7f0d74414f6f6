//! Which operation a method and a path mean, and what answers it. Does no I/O.
//!
//! [`handle`] dispatches: management v1 to [`generate`], [`apps`], [`changes`], [`keys`], [`projects`], [`journal`], [`users`] and [`setup`];
//! the services v2 to [`v2`]; OAuth to [`token`], [`grants`] and [`introspection`]. An API that is not served has [`unserved`].

pub(crate) mod access;
pub(crate) mod answer;
pub(crate) mod app_json;
pub(crate) mod apps;
pub(crate) mod assertion;
pub(crate) mod call;
pub(crate) mod changes;
pub(crate) mod client;
pub(crate) mod creation;
pub(crate) mod credentials;
pub(crate) mod errors;
pub(crate) mod generate;
pub(crate) mod grants;
pub(crate) mod handle;
pub(crate) mod introspection;
pub(crate) mod journal;
pub(crate) mod keys;
pub(crate) mod oauth;
pub(crate) mod operation;
pub(crate) mod projects;
pub(crate) mod setup;
pub(crate) mod token;
pub(crate) mod unserved;
pub(crate) mod users;
pub(crate) mod v2;

use http::Method;

pub use operation::{Api, Operation};

/// A request's operation and the ids in its path.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Route {
    pub(crate) operation: Operation,
    pub(crate) api: Api,
    pub(crate) project: Option<String>,
    pub(crate) app: Option<String>,
    pub(crate) user: Option<String>,
    /// Of an app's or a user's key, or of a personal access token.
    pub(crate) key: Option<String>,
    /// The path is about the configuration of OIDC apps.
    pub(crate) oidc: bool,
    /// The path exists, but not with this method.
    pub(crate) wrong_method: bool,
}

impl Route {
    fn new(operation: Operation, api: Api, right_method: bool) -> Self {
        Self {
            operation,
            api,
            project: None,
            app: None,
            user: None,
            key: None,
            oidc: false,
            wrong_method: !right_method,
        }
    }
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
    let found = |operation, right_method| Route::new(operation, Api::Other, right_method);
    match segments.as_slice() {
        ["management", "v1", "orgs"] => Route::new(O::AddOrg, Api::ManagementV1, post),
        ["management", "v1", "orgs", "me"] if method == Method::DELETE => {
            Route::new(O::RemoveOrg, Api::ManagementV1, true)
        }
        ["management", "v1", "projects"] => Route::new(O::AddProject, Api::ManagementV1, post),
        ["management", "v1", "users", "machine"] => {
            Route::new(O::AddMachineUser, Api::ManagementV1, post)
        }
        ["management", "v1", "projects", project, rest @ ..] => match project_route(rest, method) {
            Some(mut route) => {
                route.project = Some((*project).to_owned());
                route
            }
            None => Route::new(O::Unknown, Api::ManagementV1, true),
        },
        ["management", "v1", "users", user, rest @ ..] => user_route(user, rest, method),
        ["auth", "v1", "users", "me"] => Route::new(O::Me, Api::AuthV1, get),
        ["auth", "v1", "users", "me", "changes", "_search"] => {
            Route::new(O::UserJournal, Api::AuthV1, post)
        }
        ["oauth", "v2", "token"] => found(O::Token, post),
        ["oauth", "v2", "introspect"] => found(O::Introspect, post),
        ["oauth", "v2", "revoke"] => found(O::Revoke, post),
        ["oauth", "v2", "device_authorization"] => found(O::AuthorizeDevice, post),
        [".well-known", "openid-configuration"] => found(O::Discovery, get),
        ["debug", "healthz"] => found(O::Healthz, get),
        ["debug", "ready"] => found(O::Ready, get),
        [service, name] => v2::method(service, name).map_or_else(
            || found(O::Unknown, true),
            |(api, operation)| Route::new(operation, api, post),
        ),
        _ => found(O::Unknown, true),
    }
}

/// The route for what follows `/projects/{id}`.
fn project_route(rest: &[&str], method: &Method) -> Option<Route> {
    use Operation as O;
    let post = method == Method::POST;
    let put = method == Method::PUT;
    let get = method == Method::GET;
    let delete = method == Method::DELETE;
    let (operation, app, right_method) = match rest {
        [] if get => (O::GetProject, None, true),
        ["_deactivate"] => (O::DeactivateProject, None, post),
        ["_reactivate"] => (O::ReactivateProject, None, post),
        ["changes", "_search"] => (O::ProjectJournal, None, post),
        ["members"] => (O::AddProjectMember, None, post),
        ["apps", "_search"] if post => (O::SearchApps, None, true),
        ["apps", "api"] if post => (O::CreateApiApp, None, true),
        ["apps", "oidc"] if post => (O::CreateOidcApp, None, true),
        ["apps", app] if put => (O::RenameApp, Some(*app), true),
        ["apps", app] if delete => (O::RemoveApp, Some(*app), true),
        ["apps", app] => (O::GetApp, Some(*app), get),
        ["apps", app, "_deactivate"] => (O::DeactivateApp, Some(*app), post),
        ["apps", app, "_reactivate"] => (O::ReactivateApp, Some(*app), post),
        ["apps", app, "api_config"] => (O::ChangeAuthMethod, Some(*app), put),
        ["apps", app, "changes", "_search"] => (O::Journal, Some(*app), post),
        ["apps", app, "keys"] => (O::AddAppKey, Some(*app), post),
        ["apps", app, "keys", "_search"] => (O::SearchAppKeys, Some(*app), post),
        ["apps", app, "keys", _] if delete => (O::RemoveAppKey, Some(*app), true),
        ["apps", app, "keys", _] => (O::GetAppKey, Some(*app), get),
        [
            "apps",
            app,
            "api_config" | "oidc_config",
            "_generate_client_secret",
        ] => (O::Generate, Some(*app), post),
        _ => return None,
    };
    let key = match rest {
        ["apps", _, "keys", key] if *key != "_search" => Some((*key).to_owned()),
        _ => None,
    };
    Some(Route {
        app: app.map(str::to_owned),
        key,
        oidc: matches!(rest, ["apps", "oidc"] | ["apps", _, "oidc_config", ..]),
        ..Route::new(operation, Api::ManagementV1, right_method)
    })
}

/// The route for what follows `/users/{id}`.
fn user_route(user: &str, rest: &[&str], method: &Method) -> Route {
    use Operation as O;
    let (post, get) = (method == Method::POST, method == Method::GET);
    let (put, delete) = (method == Method::PUT, method == Method::DELETE);
    let (operation, right_method) = match rest {
        [] => (O::GetUser, get),
        ["changes", "_search"] => (O::UserJournal, post),
        ["secret"] if delete => (O::RemoveUserSecret, true),
        ["secret"] => (O::SetUserSecret, put),
        ["keys"] => (O::AddUserKey, post),
        ["keys", "_search"] => (O::SearchUserKeys, post),
        ["keys", _] if delete => (O::RemoveUserKey, true),
        ["keys", _] => (O::GetUserKey, get),
        ["pats"] => (O::AddPat, post),
        ["pats", "_search"] => (O::SearchPats, post),
        ["pats", _] if delete => (O::RemovePat, true),
        ["pats", _] => (O::GetPat, get),
        _ => (O::Unknown, true),
    };
    let key = match rest {
        ["keys" | "pats", key] if *key != "_search" => Some((*key).to_owned()),
        _ => None,
    };
    Route {
        user: Some(user.to_owned()),
        key,
        ..Route::new(operation, Api::ManagementV1, right_method)
    }
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
    fn one_operation_is_called_through_several_apis() {
        let generates = [
            "/management/v1/projects/1/apps/2/api_config/_generate_client_secret",
            "/management/v1/projects/1/apps/2/oidc_config/_generate_client_secret",
            "/zitadel.application.v2.ApplicationService/GenerateClientSecret",
        ];
        let found = generates.map(|path| route(&Method::POST, path));
        assert!(
            found
                .iter()
                .all(|route| route.operation == Operation::Generate)
        );
        assert_eq!(
            found.map(|route| (route.api, route.oidc)),
            [
                (Api::ManagementV1, false),
                (Api::ManagementV1, true),
                (Api::ApplicationV2, false)
            ]
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
