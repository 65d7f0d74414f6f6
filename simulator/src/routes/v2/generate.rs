//! `GenerateClientSecret`: API and OIDC applications alike; neither states nor the auth method are checked. Does no I/O.

use serde_json::{Value, json};

use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::routes::generate;
use crate::routes::v2;
use crate::world::World;

/// Answers without a sequence.
pub(crate) fn generate(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let ids = [("ProjectId", call.project()), ("ApplicationId", call.app())];
    let caller = v2::authenticate(call, world, &ids)?;
    let found = world.projects.get(call.project());
    let app = found.and_then(|project| project.current.app(call.app()));
    if app.is_none_or(|app| app.kind.is_none()) {
        return Err(errors::APP_UNKNOWN_V2);
    }
    v2::check(world, &caller.user, Permission::WriteApps, call.project())?;
    let project = world
        .projects
        .get_mut(call.project())
        .ok_or(errors::APP_UNKNOWN_V2)?;
    let generated = generate::execute(call, project, call.app(), &caller.user);
    Ok(json!({
        "clientSecret": generated.secret.expose(),
        "creationDate": rfc3339(generated.change_date),
    }))
}
