//! From an operation to its answer: dispatch, and errors in the manner of each endpoint.

use std::sync::Arc;

use serde_json::Value;

use crate::config::Availability;
use crate::lock;
use crate::routes::answer::Answer;
use crate::routes::apps;
use crate::routes::call::Call;
use crate::routes::changes;
use crate::routes::errors::{ApiError, Code};
use crate::routes::generate;
use crate::routes::grants;
use crate::routes::introspection;
use crate::routes::journal;
use crate::routes::keys;
use crate::routes::oauth::{self, OauthError};
use crate::routes::projects;
use crate::routes::setup;
use crate::routes::token;
use crate::routes::users;
use crate::routes::v2;
use crate::routes::{Operation, Route};
use crate::world::World;
use crate::world::instance::UnknownHost;

const TEXT: &str = "text/plain; charset=utf-8";

/// Answers that need no instance, or that say that there is none.
pub(crate) fn before_instance(route: &Route, availability: Availability) -> Option<Answer> {
    let down = availability == Availability::DatabaseDown;
    match (availability, route.operation) {
        (Availability::InternalError, _) => Some(Answer::new(500, TEXT, "internal server error\n")),
        (Availability::Unavailable, _) => Some(Answer::new(
            503,
            "text/html",
            "<html><body><h1>503 Service Temporarily Unavailable</h1></body></html>\n",
        )),
        (_, Operation::Healthz) => Some(Answer::new(200, TEXT, "ok")),
        (_, Operation::Ready) if down => {
            Some(Answer::new(412, "application/json", "\"not ready\"\n"))
        }
        (_, Operation::Ready) => Some(Answer::new(200, "application/json", "\"ok\"\n")),
        (_, operation) if down && operation.is_oauth() => Some(Answer::new(
            500,
            TEXT,
            "unable to set instance: database not reachable\n",
        )),
        _ => None,
    }
}

/// The answer where the host belongs to no instance.
pub(crate) fn unknown_host(call: &Call, error: &UnknownHost) -> Answer {
    if call.route.operation.is_oauth() {
        Answer::new(404, TEXT, error.message() + "\n")
    } else {
        refusal(call, &ApiError::plain(Code::NotFound, error.message()))
    }
}

/// Errors that the REST gateway finds before any interceptor runs.
pub(crate) fn at_gateway(call: &Call) -> Option<Answer> {
    let error = match &call.route {
        Route { api, .. } if api.is_connect() => return v2::before_interceptors(call),
        Route {
            operation: Operation::Unknown,
            ..
        } => ApiError::gateway(Code::NotFound, "Not Found"),
        Route {
            wrong_method: true, ..
        } => ApiError::gateway(Code::Unimplemented, "Method Not Allowed"),
        // NB: the change list declares no body, so the gateway never reads one.
        Route {
            operation:
                Operation::Journal
                | Operation::ProjectJournal
                | Operation::GetApp
                | Operation::GetAppKey
                | Operation::GetProject
                | Operation::GetUser
                | Operation::GetUserKey
                | Operation::GetPat
                | Operation::Me,
            ..
        } => return None,
        Route { operation, .. } if operation.is_oauth() => return None,
        _ => call.json_body().err()?,
    };
    Some(refusal(call, &error))
}

/// The database is gone: the instance cannot be looked up.
pub(crate) fn database_down(call: &Call) -> Answer {
    refusal(
        call,
        &ApiError::plain(
            Code::Internal,
            "unable to set instance using origin (ExternalDomain is localhost)",
        ),
    )
}

/// Executes an operation against the world.
pub(crate) fn execute(call: &mut Call) -> Answer {
    if call.route.api.is_connect() {
        return api(call, v2::execute);
    }
    match call.route.operation {
        Operation::Generate => api(call, generate::generate),
        Operation::GetApp => api(call, apps::get),
        Operation::GetProject => api(call, projects::get_project),
        Operation::SearchApps => api(call, apps::search),
        Operation::CreateApiApp | Operation::CreateOidcApp => api(call, apps::create),
        Operation::RenameApp
        | Operation::ChangeAuthMethod
        | Operation::DeactivateApp
        | Operation::ReactivateApp
        | Operation::RemoveApp => api(call, changes::change),
        Operation::DeactivateProject | Operation::ReactivateProject => {
            api(call, projects::switch_project)
        }
        Operation::AddOrg => api(call, setup::add_org),
        Operation::RemoveOrg => api(call, setup::remove_org),
        Operation::AddProject => api(call, setup::add_project),
        Operation::AddProjectMember => api(call, setup::add_member),
        Operation::AddMachineUser => api(call, setup::add_machine_user),
        Operation::AddAppKey => api(call, keys::add),
        Operation::SearchAppKeys => api(call, keys::search),
        Operation::GetAppKey => api(call, keys::get),
        Operation::RemoveAppKey => api(call, keys::remove),
        Operation::Journal | Operation::ProjectJournal => api(call, journal::list),
        Operation::Me => api(call, users::me),
        Operation::GetUser => api(call, users::get),
        Operation::UserJournal => api(call, journal::of_user),
        Operation::SetUserSecret => api(call, users::set_secret),
        Operation::RemoveUserSecret => api(call, users::remove_secret),
        Operation::AddUserKey => api(call, users::add_key),
        Operation::SearchUserKeys | Operation::SearchPats => api(call, users::search),
        Operation::GetUserKey => api(call, users::get_key),
        Operation::AddPat => api(call, users::add_pat),
        Operation::GetPat => api(call, users::get_pat),
        Operation::RemoveUserKey | Operation::RemovePat => api(call, users::remove),
        Operation::Token => oauth(call, token::token),
        Operation::Introspect => oauth(call, introspection::introspect),
        Operation::Revoke => oauth(call, grants::revoke),
        Operation::AuthorizeDevice => oauth(call, grants::authorize_device),
        Operation::Discovery => oauth(call, |call, _| Ok(oauth::discovery(&call.issuer))),
        Operation::Healthz | Operation::Ready | Operation::Unknown => {
            refusal(call, &ApiError::gateway(Code::NotFound, "Not Found"))
        }
    }
}

/// One after another, each with the time at which it has its turn: the order of sequences is that of dates, unless a fault crosses
/// them.
fn in_turn<T>(call: &mut Call, handler: impl FnOnce(&Call, &mut World) -> T) -> T {
    let shared = Arc::clone(&call.shared);
    let mut world = lock(&shared.world);
    call.now = shared.now();
    handler(call, &mut world)
}

fn api(
    call: &mut Call,
    handler: impl FnOnce(&Call, &mut World) -> Result<Value, ApiError>,
) -> Answer {
    let result = in_turn(call, handler);
    match result {
        Ok(body) => Answer::json(200, &body, call.settings.whitespace).uncached(),
        Err(error) => refusal(call, &error),
    }
}

fn oauth(
    call: &mut Call,
    handler: impl FnOnce(&Call, &mut World) -> Result<Value, OauthError>,
) -> Answer {
    let result = in_turn(call, handler);
    let (status, body) = match result {
        Ok(Value::Null) => return Answer::new(200, "application/json", "").uncached(),
        Ok(body) => (200, body),
        Err(error) => (400, error.body()),
    };
    Answer::json(status, &body, crate::config::Whitespace::Compact).uncached()
}

fn refusal(call: &Call, error: &ApiError) -> Answer {
    let (language, status) = (call.language(), error.code.http_status());
    if call.route.api.is_connect() {
        return Answer::json(status, &error.connect_body(), call.settings.whitespace);
    }
    let mut answer = Answer::json(status, &error.rest_body(language), call.settings.whitespace);
    if !error.at_gateway {
        answer = answer.uncached();
    }
    if status == 401 {
        answer.set("www-authenticate", &error.message(language));
    }
    answer
}
