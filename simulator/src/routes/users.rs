//! Service users over `/management/v1` and `/auth/v1` (`internal/api/grpc/management/user.go`). Does no I/O.

use serde_json::{Value, json};

use crate::routes::Operation;
use crate::routes::access::{Caller, Permission};
use crate::routes::answer::{rfc3339, set};
use crate::routes::call::Call;
use crate::routes::changes::change_details;
use crate::routes::credentials::{self, KeyWish};
use crate::routes::errors::{self, ApiError, Code};
use crate::routes::keys::date;
use crate::world::World;
use crate::world::users::{Credential, User};

/// What a personal access token may do; it is always this.
const PAT_SCOPES: [&str; 4] = [
    "openid",
    "profile",
    "urn:zitadel:iam:user:metadata",
    "urn:zitadel:iam:user:resourceowner",
];

/// The caller's own user (`GetMyUser`). Needs an authenticated caller and nothing else.
pub(crate) fn me(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)?;
    let user = world.users.get(&caller.user).ok_or(errors::TOKEN_INVALID)?;
    Ok(json!({"user": user_json(user)}))
}

/// `GetUserByID`
pub(crate) fn get(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = authorize(call, world, Permission::ReadUsers, "GetUserByIDRequest.Id")?;
    Ok(json!({"user": user_json(find(call, world, &caller)?)}))
}

/// `GenerateMachineSecret`. NB: its date is a date of creation, also where it replaces a secret.
pub(crate) fn set_secret(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let field = "GenerateMachineSecretRequest.UserId";
    let caller = authorize(call, world, Permission::WriteUsers, field)?;
    let user = find(call, world, &caller)?;
    let (secret, sequence) = credentials::set_secret(call, user, &caller.user);
    Ok(json!({
        "clientId": user.login_name,
        "clientSecret": secret.expose(),
        "details": creation_details(call, sequence, &caller.org),
    }))
}

/// `RemoveMachineSecret`
pub(crate) fn remove_secret(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let field = "RemoveMachineSecretRequest.UserId";
    let caller = authorize(call, world, Permission::WriteUsers, field)?;
    let user = world
        .user_of(&caller.org, call.user())
        .ok_or(errors::REMOVE_SECRET_USER_UNKNOWN)?;
    let sequence = credentials::remove_secret(call, user, &caller.user)?;
    Ok(json!({"details": change_details(sequence, call, &caller.org)}))
}

/// `AddMachineKey`. An answer without `keyDetails` is to a caller that keeps the private key.
pub(crate) fn add_key(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let field = "AddMachineKeyRequest.UserId";
    let caller = authorize(call, world, Permission::WriteUsers, field)?;
    if body.get("type").and_then(Value::as_str) != Some("KEY_TYPE_JSON") {
        let text =
            "invalid AddMachineKeyRequest.Type: value must not be in list [KEY_TYPE_UNSPECIFIED]";
        return Err(ApiError::plain(Code::InvalidArgument, text));
    }
    let wish = KeyWish::read(call, &body)?;
    let user = world.user_of(&caller.org, call.user());
    user.ok_or(errors::KEY_USER_UNKNOWN)?;
    let made = credentials::add_key(call, world, call.user(), wish, &caller.user)?;
    let mut answer = json!({
        "keyId": made.id,
        "details": creation_details(call, made.sequence, &caller.org),
    });
    if let Some(file) = made.value {
        set(&mut answer, "keyDetails", file);
    }
    Ok(answer)
}

/// `AddPersonalAccessToken`
pub(crate) fn add_pat(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let field = "AddPersonalAccessTokenRequest.UserId";
    let caller = authorize(call, world, Permission::WriteUsers, field)?;
    let expires_at = credentials::future_expiry(call, &body)?;
    let user = world.user_of(&caller.org, call.user());
    user.ok_or(errors::PAT_USER_UNKNOWN)?;
    let made = credentials::add_pat(call, world, call.user(), expires_at, &caller.user)?;
    Ok(json!({
        "tokenId": made.id,
        "token": made.value,
        "details": creation_details(call, made.sequence, &caller.org),
    }))
}

/// `ListMachineKeys` and `ListPersonalAccessTokens`: in the order in which they were made.
pub(crate) fn search(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let body = call.json_body()?;
    let field = "ListMachineKeysRequest.UserId";
    let caller = authorize(call, world, Permission::ReadUsers, field)?;
    let mut details = json!({"viewTimestamp": rfc3339(call.now)});
    let user = world.user_of(&caller.org, call.user());
    let user = user.map(|user| user.projected());
    let pats = call.route.operation == Operation::SearchPats;
    let found = user.map_or_else(
        Vec::new,
        |user| if pats { user.pats() } else { user.keys() },
    );
    if found.is_empty() {
        return Ok(json!({"details": details}));
    }
    set(&mut details, "totalResult", found.len().to_string());
    let limit = body.pointer("/query/limit").and_then(Value::as_u64);
    let limit = limit.and_then(|limit| usize::try_from(limit).ok());
    let limit = limit.filter(|limit| *limit > 0).unwrap_or(usize::MAX);
    let json = if pats { pat_json } else { key_json };
    let page: Vec<Value> = found
        .into_iter()
        .take(limit)
        .map(|found| json(found, &caller.org))
        .collect();
    Ok(json!({"details": details, "result": page}))
}

/// `GetMachineKeyByIDs`. The public half is not shown.
pub(crate) fn get_key(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let field = "GetMachineKeyByIDsRequest.UserId";
    let caller = authorize(call, world, Permission::ReadUsers, field)?;
    let user = world
        .user_of(&caller.org, call.user())
        .map(|user| user.current());
    let key = user.as_ref().and_then(|user| user.key(call.key()));
    let (key, _) = key.ok_or(errors::GET_KEY_UNKNOWN)?;
    Ok(json!({"key": key_json(key, &caller.org)}))
}

/// `GetPersonalAccessTokenByIDs`. The token itself is not shown.
pub(crate) fn get_pat(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let field = "GetPersonalAccessTokenByIDsRequest.UserId";
    let caller = authorize(call, world, Permission::ReadUsers, field)?;
    let user = world
        .user_of(&caller.org, call.user())
        .map(|user| user.current());
    let pat = user.as_ref().and_then(|user| user.pat(call.key()));
    let pat = pat.ok_or(errors::GET_PAT_UNKNOWN)?;
    Ok(json!({"token": pat_json(pat, &caller.org)}))
}

/// `RemoveMachineKey` and `RemovePersonalAccessToken`
pub(crate) fn remove(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let field = "RemoveMachineKeyRequest.UserId";
    let caller = authorize(call, world, Permission::WriteUsers, field)?;
    let user = world.user_of(&caller.org, call.user());
    credentials::exists(call, user.as_deref())?;
    let user = user.ok_or(errors::REMOVE_MACHINE_KEY_UNKNOWN)?;
    let sequence = credentials::remove(call, user, &caller.user);
    Ok(json!({"details": change_details(sequence, call, &caller.org)}))
}

/// Authenticates and checks the permission, which is one in the whole organization.
pub(crate) fn authorize(
    call: &Call,
    world: &World,
    permission: Permission,
    field: &str,
) -> Result<Caller, ApiError> {
    let caller = world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)?;
    world.scopes(&caller, permission)?;
    call.check_length(field, call.user())?;
    Ok(caller)
}

/// The call's user, which belongs to the caller's organization.
fn find<'a>(call: &Call, world: &'a mut World, caller: &Caller) -> Result<&'a mut User, ApiError> {
    let user = world.users.get_mut(call.user());
    let user = user.ok_or(errors::GET_USER_UNKNOWN)?;
    if user.org != caller.org {
        return Err(errors::GET_USER_OTHER_ORG);
    }
    Ok(user)
}

fn user_json(user: &User) -> Value {
    let model = user.current();
    json!({
        "id": user.id,
        "details": {
            "sequence": model.sequence.to_string(),
            "creationDate": rfc3339(model.created_at),
            "changeDate": rfc3339(model.changed_at),
            "resourceOwner": user.org,
        },
        "state": state(user),
        "userName": user.login_name,
        "loginNames": [user.login_name],
        "preferredLoginName": user.login_name,
        "machine": machine(user),
    })
}

/// Name of the user's state, the same in both APIs.
pub(crate) fn state(user: &User) -> &'static str {
    if user.current().state == crate::State::Active {
        "USER_STATE_ACTIVE"
    } else {
        "USER_STATE_INACTIVE"
    }
}

/// What only service users have, the same in both APIs.
pub(crate) fn machine(user: &User) -> Value {
    let mut machine = json!({"name": user.name});
    if user.current().secret.is_some() {
        set(&mut machine, "hasSecret", true);
    }
    machine
}

fn creation_details(call: &Call, sequence: u64, owner: &str) -> Value {
    json!({
        "sequence": sequence.to_string(),
        "creationDate": rfc3339(call.now),
        "resourceOwner": owner,
    })
}

fn key_json(key: Credential<'_>, owner: &str) -> Value {
    let mut json = credential_json(key, owner);
    set(&mut json, "type", "KEY_TYPE_JSON");
    json
}

fn pat_json(pat: Credential<'_>, owner: &str) -> Value {
    let mut json = credential_json(pat, owner);
    set(&mut json, "scopes", PAT_SCOPES.to_vec());
    json
}

fn credential_json(found: Credential<'_>, owner: &str) -> Value {
    let created = rfc3339(found.created_at);
    json!({
        "id": found.id,
        "details": {
            "sequence": found.sequence.to_string(),
            "creationDate": created,
            "changeDate": created,
            "resourceOwner": owner,
        },
        "expirationDate": date(found.expires_at),
    })
}
