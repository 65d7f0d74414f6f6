//! Projects over management v1 (`internal/api/grpc/management/project.go`). Does no I/O.

use jiff::Timestamp;
use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::changes::change_details;
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::events::EventKind;
use crate::world::model::State;
use crate::world::project::NewEvent;

/// `DeactivateProject` and `ReactivateProject`.
pub(crate) fn switch_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = call.authorize(world, Permission::WriteApps, "DeactivateProjectRequest")?;
    let project = world
        .project_of(&caller.org, call.project())
        .ok_or(errors::PROJECT_UNKNOWN)?;
    let kind = match (call.route.operation, project.current.state) {
        (Operation::DeactivateProject, State::Active) => EventKind::ProjectDeactivated,
        (Operation::DeactivateProject, _) => return Err(errors::PROJECT_NOT_ACTIVE),
        (_, State::Inactive) => EventKind::ProjectReactivated,
        _ => return Err(errors::PROJECT_NOT_INACTIVE),
    };
    let sequence = project.push(
        NewEvent::of_project(kind, &caller.user),
        call.now,
        call.settings.projection_lag,
    );
    Ok(json!({"details": change_details(sequence, call, &project.org)}))
}

/// `GetProjectByID`. By the source (`internal/query/project.go`); there is no recording of it.
pub(crate) fn get_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    call.authorize(world, Permission::ReadApps, "GetProjectByIDRequest")?;
    let found = read(call, world)?;
    Ok(json!({"project": {
        "id": call.project(),
        "name": found.name,
        "state": found.state,
        "details": {
            "sequence": found.sequence.to_string(),
            "creationDate": rfc3339(found.created_at),
            "changeDate": rfc3339(found.changed_at),
            "resourceOwner": found.owner,
        },
    }}))
}

/// A project as both APIs show it.
pub(crate) struct Shown {
    pub(crate) name: String,
    /// Name of the state, the same in both APIs.
    pub(crate) state: &'static str,
    pub(crate) owner: String,
    pub(crate) created_at: Timestamp,
    /// Date and sequence of the last event of the project itself: its apps do not count.
    pub(crate) changed_at: Timestamp,
    pub(crate) sequence: u64,
}

/// The call's project, with the projection brought up to date first.
pub(crate) fn read(call: &Call, world: &mut World) -> Result<Shown, ApiError> {
    let project = world
        .projects
        .get_mut(call.project())
        .ok_or(errors::GET_PROJECT_UNKNOWN)?;
    let owner = project.org.clone();
    let model = if call.settings.get_forces_projection {
        project.force_projection()
    } else {
        project.projected()
    };
    let state = match model.state {
        State::Active => "PROJECT_STATE_ACTIVE",
        State::Inactive => "PROJECT_STATE_INACTIVE",
        State::Removed => return Err(errors::GET_PROJECT_UNKNOWN),
    };
    Ok(Shown {
        name: model.name.clone(),
        state,
        owner,
        created_at: model.created_at,
        changed_at: model.changed_at,
        sequence: model.sequence,
    })
}
