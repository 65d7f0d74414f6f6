//! The services v2 over Connect with JSON. Does no I/O.
//!
//! Unlike management v1 the application service finds the organization by the project, whatever `x-zitadel-orgid` says, searches before
//! it asks whether the caller may, and has no barrier after which a change is seen. [`apps`] makes, shows and changes applications,
//! [`list`] lists them, [`generate`] makes secrets and [`keys`] keys. What is not recorded follows `internal/api/grpc/application/v2`.
//! [`projects`] is the project service, [`users`] the user service.

pub(crate) mod apps;
pub(crate) mod generate;
pub(crate) mod keys;
pub(crate) mod list;
pub(crate) mod projects;
pub(crate) mod users;

use serde_json::Value;

use crate::routes::access::{Caller, Permission};
use crate::routes::answer::Answer;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError, Code, Language};
use crate::routes::{Api, Operation, Route};
use crate::world::World;

/// Name of each service, which is the first part of a path.
const SERVICES: [(Api, &str); 3] = [
    (
        Api::ApplicationV2,
        "zitadel.application.v2.ApplicationService",
    ),
    (Api::ProjectV2, "zitadel.project.v2.ProjectService"),
    (Api::UserV2, "zitadel.user.v2.UserService"),
];

/// Name of each method.
const METHODS: [(Api, &str, Operation); 22] = {
    use Api::{ApplicationV2 as A, ProjectV2 as P, UserV2 as U};
    [
        (A, "GenerateClientSecret", Operation::Generate),
        (A, "GetApplication", Operation::GetApp),
        (A, "ListApplications", Operation::SearchApps),
        (A, "CreateApplication", Operation::CreateApiApp),
        (A, "UpdateApplication", Operation::RenameApp),
        (A, "DeactivateApplication", Operation::DeactivateApp),
        (A, "ReactivateApplication", Operation::ReactivateApp),
        (A, "DeleteApplication", Operation::RemoveApp),
        (A, "CreateApplicationKey", Operation::AddAppKey),
        (A, "ListApplicationKeys", Operation::SearchAppKeys),
        (A, "GetApplicationKey", Operation::GetAppKey),
        (A, "DeleteApplicationKey", Operation::RemoveAppKey),
        (P, "GetProject", Operation::GetProject),
        (U, "GetUserByID", Operation::GetUser),
        (U, "AddSecret", Operation::SetUserSecret),
        (U, "RemoveSecret", Operation::RemoveUserSecret),
        (U, "AddKey", Operation::AddUserKey),
        (U, "ListKeys", Operation::SearchUserKeys),
        (U, "RemoveKey", Operation::RemoveUserKey),
        (U, "AddPersonalAccessToken", Operation::AddPat),
        (U, "ListPersonalAccessTokens", Operation::SearchPats),
        (U, "RemovePersonalAccessToken", Operation::RemovePat),
    ]
};

/// The API of a service, and the operation of its method.
pub(crate) fn method(service: &str, method: &str) -> Option<(Api, Operation)> {
    let (api, _) = SERVICES.into_iter().find(|(_, name)| *name == service)?;
    let found = METHODS
        .into_iter()
        .find(|(of, name, _)| (*of, *name) == (api, method));
    Some((
        api,
        found.map_or(Operation::Unknown, |(_, _, operation)| operation),
    ))
}

/// Service and method of a call.
pub(crate) fn procedure(call: &Call) -> String {
    let service = SERVICES.into_iter().find(|(api, _)| *api == call.route.api);
    format!("{}.{}", service.map_or("", |(_, name)| name), name(call))
}

/// Takes the ids out of the body, and from the fields that are there which of two operations a method means.
pub(crate) fn read_body(route: &mut Route, body: &[u8]) {
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    let id = |name: &str| text(&body, name).map(str::to_owned);
    route.project = id("projectId");
    route.app = id("applicationId");
    route.user = id("userId");
    route.key = id("keyId").or_else(|| id("tokenId"));
    route.oidc = field(&body, "oidcConfiguration").is_some();
    route.operation = match route.operation {
        Operation::CreateApiApp if route.oidc => Operation::CreateOidcApp,
        Operation::RenameApp if text(&body, "name").is_none() => Operation::ChangeAuthMethod,
        operation => operation,
    };
}

/// A field by its JSON name or its name in the `.proto` file: both are read, and unknown ones are dropped.
fn field<'a>(body: &'a Value, name: &str) -> Option<&'a Value> {
    let proto_name = || {
        let mut out = String::new();
        for character in name.chars() {
            if character.is_ascii_uppercase() {
                out.push('_');
            }
            out.push(character.to_ascii_lowercase());
        }
        out
    };
    body.get(name).or_else(|| body.get(proto_name()))
}

fn text<'a>(body: &'a Value, name: &str) -> Option<&'a str> {
    field(body, name)?.as_str()
}

/// What is answered before any interceptor runs: unknown methods, and bodies that cannot be read.
pub(crate) fn before_interceptors(call: &Call) -> Option<Answer> {
    if call.route.operation == Operation::Unknown {
        return Some(Answer::new(
            404,
            "text/plain; charset=utf-8",
            "404 page not found\n",
        ));
    }
    if call.route.wrong_method {
        return Some(Answer::new(405, "", ""));
    }
    let content_type = call.headers.get(http::header::CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    if content_type.and_then(|value| value.split(';').next()) != Some("application/json") {
        return Some(Answer::new(415, "", ""));
    }
    let reason = call.json_body().err()?.message(Language::English);
    let package = match call.route.api {
        Api::ProjectV2 => "project",
        Api::UserV2 => "user",
        _ => "application",
    };
    let message = format!(
        "unmarshal message: unmarshal into *{package}.{}: proto: {}",
        request(call),
        reason.trim_start_matches("proto: ")
    );
    let error = ApiError::plain(Code::InvalidArgument, message);
    Some(Answer::json(
        400,
        &error.connect_body(),
        call.settings.whitespace,
    ))
}

/// Name of the call's method.
fn name(call: &Call) -> &'static str {
    let operation = match call.route.operation {
        Operation::CreateOidcApp => Operation::CreateApiApp,
        Operation::ChangeAuthMethod => Operation::RenameApp,
        operation => operation,
    };
    let found = METHODS
        .into_iter()
        .find(|(_, _, known)| *known == operation);
    found.map_or("", |(_, name, _)| name)
}

/// Name of the call's message.
fn request(call: &Call) -> String {
    format!("{}Request", name(call))
}

/// Executes a method.
pub(crate) fn execute(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    match call.route.operation {
        Operation::Generate => generate::generate(call, world),
        Operation::GetApp => apps::get(call, world),
        Operation::SearchApps => list::apps(call, world),
        Operation::CreateApiApp | Operation::CreateOidcApp => apps::create(call, world),
        Operation::AddAppKey => keys::create(call, world),
        Operation::SearchAppKeys => list::keys(call, world),
        Operation::GetAppKey => keys::get(call, world),
        Operation::RemoveAppKey => keys::delete(call, world),
        Operation::GetProject => projects::get(call, world),
        Operation::GetUser => users::get(call, world),
        Operation::SetUserSecret | Operation::RemoveUserSecret => users::secret(call, world),
        Operation::AddUserKey => users::add_key(call, world),
        Operation::AddPat => users::add_pat(call, world),
        Operation::SearchUserKeys | Operation::SearchPats => list::credentials(call, world),
        Operation::RemoveUserKey | Operation::RemovePat => users::remove(call, world),
        _ => apps::change(call, world),
    }
}

/// Authenticates, then checks the lengths of the fields that must be there.
fn authenticate(call: &Call, world: &World, fields: &[(&str, &str)]) -> Result<Caller, ApiError> {
    let caller = world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)?;
    for (name, value) in fields {
        call.check_length(&format!("{}.{name}", request(call)), value)?;
    }
    Ok(caller)
}

/// Checks a permission on a project in the project's own organization.
fn check(world: &World, user: &str, permission: Permission, project: &str) -> Result<(), ApiError> {
    let owner = world.projects.get(project).map(|found| found.org.clone());
    let caller = Caller {
        user: user.to_owned(),
        org: owner.unwrap_or_default(),
    };
    world
        .check(&caller, permission, project)
        .map_err(in_command)
}

/// A refusal with the id that it has where a command or query asks, not an interceptor.
fn in_command(error: ApiError) -> ApiError {
    match error.id {
        "AUTH-5mWD2" => errors::COMMAND_DENIED,
        "AUTH-3jknH" => errors::COMMAND_OTHER_PROJECT,
        _ => error,
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_field_has_two_names() {
        let body = json!({"applicationId": "1", "project_id": "2"});
        assert_eq!(text(&body, "applicationId"), Some("1"));
        assert_eq!(text(&body, "projectId"), Some("2"));
        assert_eq!(text(&body, "keyId"), None);
    }
}
