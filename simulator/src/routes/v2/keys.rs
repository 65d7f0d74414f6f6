//! Keys of applications. Does no I/O.

use serde_json::{Value, json};

use crate::routes::access::Permission;
use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::routes::keys as v1;
use crate::routes::v2;
use crate::world::World;

/// `CreateApplicationKey`. NB: it needs a date of expiry.
pub(crate) fn create(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let caller = authenticate(call, world)?;
    let project = world.projects.get(call.project());
    let project = project.ok_or(errors::KEY_APP_UNKNOWN)?;
    v1::app_exists(project, call.app())?;
    v2::check(world, &caller, Permission::WriteApps, call.project())?;
    let id = world.ids.next();
    let project = world.projects.get_mut(call.project());
    let project = project.ok_or(errors::KEY_APP_UNKNOWN)?;
    let made = v1::generate(call, project, id, &caller, v1::expiry(&body))?;
    Ok(json!({
        "keyId": made.id,
        "creationDate": rfc3339(call.now),
        "keyDetails": made.details,
    }))
}

/// `GetApplicationKey`, by the key's id alone.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = v2::authenticate(call, world, &[("KeyId", call.key())])?;
    let found = world.projects.values_mut().find_map(|project| {
        Some((
            project.id.clone(),
            project.projected().key(call.key())?.clone(),
        ))
    });
    let (project, key) = found.ok_or(errors::GET_KEY_UNKNOWN)?;
    v2::check(world, &caller.user, Permission::ReadApps, &project)?;
    Ok(json!({
        "keyId": key.id,
        "creationDate": rfc3339(key.created_at),
        "expirationDate": v1::date(key.key.expires_at),
    }))
}

/// `DeleteApplicationKey`
pub(crate) fn delete(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = authenticate(call, world)?;
    let project = world.projects.get(call.project());
    v1::exists(project.ok_or(errors::REMOVE_KEY_UNKNOWN)?, call)?;
    v2::check(world, &caller, Permission::WriteApps, call.project())?;
    let project = world.projects.get_mut(call.project());
    v1::discard(call, project.ok_or(errors::REMOVE_KEY_UNKNOWN)?, &caller);
    Ok(json!({"deletionDate": rfc3339(call.now)}))
}

fn authenticate(call: &Call, world: &World) -> Result<String, ApiError> {
    let ids = [("ApplicationId", call.app()), ("ProjectId", call.project())];
    v2::authenticate(call, world, &ids).map(|caller| caller.user)
}
