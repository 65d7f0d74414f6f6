//! The project service. By the source (`internal/api/grpc/project/v2/query.go`); there is no recording of it. Does no I/O.

use serde_json::{Value, json};

use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::ApiError;
use crate::routes::projects;
use crate::routes::v2;
use crate::world::World;

/// `GetProject`: brings the projection up to date first. NB: unlike the application service it asks for the permission twice, first
/// for any project of the organization in `x-zitadel-orgid`, by default the caller's own
/// (`internal/api/grpc/server/connect_middleware/auth_interceptor.go`), then for this one.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)?;
    world.scopes(&caller, Permission::ReadApps)?;
    call.check_length("GetProjectRequest.ProjectId", call.project())?;
    let found = projects::read(call, world)?;
    v2::check(world, &caller.user, Permission::ReadApps, call.project())?;
    Ok(json!({"project": {
        "projectId": call.project(),
        "organizationId": found.owner,
        "creationDate": rfc3339(found.created_at),
        "changeDate": rfc3339(found.changed_at),
        "name": found.name,
        "state": found.state,
    }}))
}
