//! Service users and what they authenticate with. What is not recorded follows `internal/api/grpc/user/v2`. Does no I/O.

use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::{Caller, Permission};
use crate::routes::answer::{rfc3339, set};
use crate::routes::call::Call;
use crate::routes::credentials::{self, KeyWish};
use crate::routes::errors::{self, ApiError};
use crate::routes::users;
use crate::routes::v2;
use crate::world::World;
use crate::world::users::User;

/// `GetUserByID`. NB: here v2 does show a sequence.
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = authenticate(call, world)?;
    let user = world.users.get(call.user());
    let user = user.ok_or(errors::GET_USER_UNKNOWN)?;
    check(world, &caller, Permission::ReadUsers, user)?;
    let model = user.current();
    let details = json!({
        "sequence": model.sequence.to_string(),
        "changeDate": rfc3339(model.changed_at),
        "resourceOwner": user.org,
        "creationDate": rfc3339(model.created_at),
    });
    Ok(json!({"details": details, "user": {
        "userId": user.id,
        "details": details,
        "state": users::state(user),
        "username": user.login_name,
        "loginNames": [user.login_name],
        "preferredLoginName": user.login_name,
        "machine": users::machine(user),
    }}))
}

/// `AddSecret`, which replaces one, and `RemoveSecret`.
pub(crate) fn secret(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let (unknown, adds) = match call.route.operation {
        Operation::SetUserSecret => (errors::SET_SECRET_USER_UNKNOWN, true),
        _ => (errors::REMOVE_SECRET_USER_UNKNOWN, false),
    };
    let caller = writer(call, world, &unknown)?;
    let user = world.users.get_mut(call.user()).ok_or(unknown)?;
    let date = rfc3339(call.now);
    if adds {
        let (secret, _) = credentials::set_secret(call, user, &caller);
        Ok(json!({"creationDate": date, "clientSecret": secret.expose()}))
    } else {
        credentials::remove_secret(call, user, &caller)?;
        Ok(json!({"deletionDate": date}))
    }
}

/// `AddKey`
pub(crate) fn add_key(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let wish = KeyWish::read(call, &body);
    let caller = writer(call, world, &errors::KEY_USER_UNKNOWN)?;
    let made = credentials::add_key(call, world, call.user(), wish?, &caller)?;
    let mut answer = json!({"creationDate": rfc3339(call.now), "keyId": made.id});
    if let Some(file) = made.value {
        set(&mut answer, "keyContent", file);
    }
    Ok(answer)
}

/// `AddPersonalAccessToken`
pub(crate) fn add_pat(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let expires_at = credentials::future_expiry(call, &body);
    let caller = writer(call, world, &errors::PAT_USER_UNKNOWN)?;
    let made = credentials::add_pat(call, world, call.user(), expires_at?, &caller)?;
    Ok(json!({
        "creationDate": rfc3339(call.now),
        "tokenId": made.id,
        "token": made.value,
    }))
}

/// `RemoveKey` and `RemovePersonalAccessToken`
pub(crate) fn remove(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = authenticate(call, world)?;
    let user = world.users.get(call.user());
    credentials::exists(call, user)?;
    let user = user.ok_or(errors::REMOVE_MACHINE_KEY_UNKNOWN)?;
    check(world, &caller, Permission::WriteUsers, user)?;
    if let Some(user) = world.users.get_mut(call.user()) {
        credentials::remove(call, user, &caller);
    }
    Ok(json!({"deletionDate": rfc3339(call.now)}))
}

/// The caller, who may change the call's user.
fn writer(call: &Call, world: &World, unknown: &ApiError) -> Result<String, ApiError> {
    let caller = authenticate(call, world)?;
    let user = world.users.get(call.user());
    let user = user.ok_or_else(|| unknown.clone())?;
    check(world, &caller, Permission::WriteUsers, user)?;
    Ok(caller)
}

fn authenticate(call: &Call, world: &World) -> Result<String, ApiError> {
    v2::authenticate(call, world, &[("UserId", call.user())]).map(|caller| caller.user)
}

/// Checks a permission in the user's own organization; reading oneself needs none.
pub(crate) fn check(
    world: &World,
    caller: &str,
    permission: Permission,
    user: &User,
) -> Result<(), ApiError> {
    if permission == Permission::ReadUsers && caller == user.id {
        return Ok(());
    }
    let caller = Caller {
        user: caller.to_owned(),
        org: user.org.clone(),
    };
    let scopes = world.scopes(&caller, permission);
    scopes.map(|_| ()).map_err(v2::in_command)
}
