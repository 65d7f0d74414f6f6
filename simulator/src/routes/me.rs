//! The caller's own user (`GET /auth/v1/users/me`). Does no I/O.

use serde_json::{Value, json};

use crate::routes::answer::rfc3339;
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::world::World;

/// Needs an authenticated caller and nothing else.
pub(crate) fn me(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)?;
    let user = world.users.get(&caller.user).ok_or(errors::TOKEN_INVALID)?;
    let created = rfc3339(user.created_at);
    Ok(json!({"user": {
        "id": user.id,
        "details": {"sequence": "1", "creationDate": created, "changeDate": created, "resourceOwner": user.org},
        "state": "USER_STATE_ACTIVE",
        "userName": user.login_name,
        "loginNames": [user.login_name],
        "preferredLoginName": user.login_name,
        "machine": {"name": user.name},
    }}))
}
