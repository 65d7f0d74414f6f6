//! Changing an application: renaming, switching off and on, removing, changing the auth method; one event each
//! (`internal/command/project_application.go`, `project_application_api.go`). Does no I/O.

use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::creation::api_method;
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::events::EventKind;
use crate::world::model::{App, AppKind, State};
use crate::world::project::{NewEvent, Project};

/// Over management v1.
pub(crate) fn change(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = call.authorize(world, Permission::WriteApps, "UpdateAppRequest")?;
    let operation = call.route.operation;
    let name = body.get("name").and_then(Value::as_str).unwrap_or_default();
    if operation == Operation::RenameApp {
        call.check_length("UpdateAppRequest.Name", name)?;
    }
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(unknown(operation))?;
    let kind = event(operation, project, call.app(), name, &body)?;
    name_is_free(project, call.app(), &kind)?;
    let new = NewEvent::of_app(kind, call.app(), &caller.user);
    let sequence = project.push(new, call.now, call.settings.projection_lag);
    Ok(json!({"details": change_details(sequence, call, &project.org)}))
}

/// The event that makes the change, if app and state allow it. `configuration` is for [`Operation::ChangeAuthMethod`].
pub(crate) fn event(
    operation: Operation,
    project: &Project,
    app: &str,
    name: &str,
    configuration: &Value,
) -> Result<EventKind, ApiError> {
    let app = project.current.app(app).ok_or(unknown(operation))?;
    match (operation, app.state) {
        (Operation::RemoveApp, _) => Ok(EventKind::AppRemoved),
        (Operation::DeactivateApp, State::Active) => Ok(EventKind::AppDeactivated),
        (Operation::DeactivateApp, _) => Err(errors::APP_NOT_ACTIVE),
        (Operation::ReactivateApp, State::Inactive) => Ok(EventKind::AppReactivated),
        (Operation::ReactivateApp, _) => Err(errors::APP_NOT_INACTIVE),
        (Operation::RenameApp, _) if name == app.name => Err(errors::RENAME_NO_CHANGE),
        (Operation::RenameApp, _) => Ok(EventKind::AppRenamed {
            name: name.to_owned(),
        }),
        _ => method_changed(app, configuration),
    }
}

fn method_changed(app: &App, configuration: &Value) -> Result<EventKind, ApiError> {
    let method = api_method(configuration);
    match &app.kind {
        Some(AppKind::Api(present)) if *present != method => Ok(EventKind::ApiChanged { method }),
        Some(AppKind::Api(_)) => Err(errors::CONFIG_NO_CHANGE),
        _ => Err(errors::CONFIG_NOT_API),
    }
}

/// The event store refuses a name in use when all else is in order.
pub(crate) fn name_is_free(project: &Project, app: &str, kind: &EventKind) -> Result<(), ApiError> {
    match kind {
        EventKind::AppRenamed { name } => project
            .name_is_free(name, app)
            .map_err(|_| errors::APP_NAME_IN_USE),
        _ => Ok(()),
    }
}

/// No such app, in the words of the operation.
pub(crate) const fn unknown(operation: Operation) -> ApiError {
    match operation {
        Operation::RemoveApp => errors::REMOVE_APP_UNKNOWN,
        Operation::RenameApp => errors::RENAME_APP_UNKNOWN,
        Operation::DeactivateApp | Operation::ReactivateApp => errors::SWITCH_APP_UNKNOWN,
        _ => errors::CONFIG_APP_UNKNOWN,
    }
}

/// `details` of an answer of v1 to a change.
pub(crate) fn change_details(sequence: u64, call: &Call, owner: &str) -> Value {
    json!({"sequence": sequence.to_string(), "changeDate": rfc3339(call.now), "resourceOwner": owner})
}
