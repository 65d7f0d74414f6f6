//! Making, showing and changing applications. Does no I/O. Configurations of OIDC applications cannot be changed.

use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::{rfc3339, set};
use crate::routes::app_json;
use crate::routes::call::Call;
use crate::routes::changes;
use crate::routes::creation::{self, Wish};
use crate::routes::errors::{self, ApiError};
use crate::routes::v2;
use crate::world::World;
use crate::world::model::State;
use crate::world::project::NewEvent;

/// `CreateApplication`
pub(crate) fn create(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let name = v2::text(&body, "name").unwrap_or_default();
    let fields = [("ProjectId", call.project()), ("Name", name)];
    let caller = v2::authenticate(call, world, &fields)?;
    let field = app_json::v2_configuration(call.route.oidc);
    let configuration = v2::field(&body, field).ok_or(errors::APP_TYPE_UNKNOWN)?;
    let project = world.projects.get(call.project());
    if project.is_none_or(|project| project.current.state == State::Removed) {
        return Err(errors::PROJECT_NOT_FOUND);
    }
    v2::check(world, &caller.user, Permission::WriteApps, call.project())?;
    let wish = Wish::read(call.route.oidc, configuration);
    let made = creation::add(call, world, &caller.user, name.trim(), wish)?;
    let mut credentials = json!({"clientId": made.client_id});
    if let Some(secret) = &made.secret {
        set(&mut credentials, "clientSecret", secret.expose());
    }
    Ok(json!({
        "applicationId": made.id,
        "creationDate": rfc3339(made.created_at),
        (field): credentials,
    }))
}

/// `GetApplication`. NB: it does not bring the projection up to date first.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let ids = [("ApplicationId", call.app())];
    let caller = v2::authenticate(call, world, &ids)?;
    let project = world
        .project_with_app(call.app())
        .ok_or(errors::GET_APP_UNKNOWN)?;
    let id = project.id.clone();
    let app = project.projected().app(call.app()).cloned();
    let app = app.ok_or(errors::GET_APP_UNKNOWN)?;
    v2::check(world, &caller.user, Permission::ReadApps, &id)?;
    Ok(json!({"application": app_json::v2(&app, &id)}))
}

/// `UpdateApplication`, which may change name and configuration at once, `DeactivateApplication`, `ReactivateApplication`,
/// `DeleteApplication`.
pub(crate) fn change(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let ids = [("ProjectId", call.project()), ("ApplicationId", call.app())];
    let user = v2::authenticate(call, world, &ids)?.user;
    let name = v2::text(&body, "name").unwrap_or_default().trim();
    let configuration = v2::field(&body, app_json::v2_configuration(false));
    let mut make = |operation| {
        let configuration = configuration.unwrap_or(&Value::Null);
        push(call, world, &user, operation, name, configuration)
    };
    let date = match call.route.operation {
        Operation::RenameApp => {
            if !name.is_empty() {
                make(Operation::RenameApp)?;
            }
            if configuration.is_some() {
                make(Operation::ChangeAuthMethod)?;
            }
            "changeDate"
        }
        operation => {
            make(operation)?;
            match operation {
                Operation::ChangeAuthMethod => "changeDate",
                Operation::DeactivateApp => "deactivationDate",
                Operation::ReactivateApp => "reactivationDate",
                _ => "deletionDate",
            }
        }
    };
    Ok(json!({(date): rfc3339(call.now)}))
}

/// One change: whether there is something to change, whether the caller may, whether the name is free.
fn push(
    call: &Call,
    world: &mut World,
    user: &str,
    operation: Operation,
    name: &str,
    configuration: &Value,
) -> Result<(), ApiError> {
    let unknown = || changes::unknown(operation);
    let project = world.projects.get(call.project()).ok_or_else(unknown)?;
    let kind = changes::event(operation, project, call.app(), name, configuration)?;
    v2::check(world, user, Permission::WriteApps, call.project())?;
    let project = world.projects.get_mut(call.project()).ok_or_else(unknown)?;
    changes::name_is_free(project, call.app(), &kind)?;
    let new = NewEvent::of_app(kind, call.app(), user);
    project.push(new, call.now, call.settings.projection_lag);
    Ok(())
}
