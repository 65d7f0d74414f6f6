//! Projects over management v1 (`internal/api/grpc/management/project.go`). Does no I/O.

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

/// `GetProjectByID`: brings the projection up to date first. By the source (`internal/query/project.go`); there is no recording of it.
pub(crate) fn get_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    call.authorize(world, Permission::ReadApps, "GetProjectByIDRequest")?;
    let project = world
        .projects
        .get_mut(call.project())
        .ok_or(errors::GET_PROJECT_UNKNOWN)?;
    let owner = project.org.clone();
    let (id, last) = (project.id.clone(), project.events.last().cloned());
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
    let mut out = json!({"id": id, "name": model.name, "state": state});
    if let Some((last, out)) = last.zip(out.as_object_mut()) {
        let details = json!({
            "sequence": last.sequence.to_string(),
            "changeDate": rfc3339(last.created_at),
            "resourceOwner": owner,
        });
        out.insert("details".to_owned(), details);
    }
    Ok(json!({"project": out}))
}
