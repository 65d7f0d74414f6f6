//! What a client makes before there is an application: an organization, a project, a service user, a membership
//! (`internal/api/grpc/management`). By the source; there is no recording of it. Does no I/O.

use serde::Deserialize as _;
use serde_json::{Value, json};

use crate::routes::access::{Caller, Permission};
use crate::routes::answer::{rfc3339, set};
use crate::routes::call::Call;
use crate::routes::errors::{self, ApiError};
use crate::world::World;
use crate::world::identities::{Role, Scope};

/// `AddOrg`: its maker becomes its owner.
pub(crate) fn add_org(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let name = name(call, "AddOrgRequest.Name", "name")?;
    let caller = authenticate(call, world)?;
    if !is_instance_owner(world, &caller) {
        return Err(errors::NO_PERMISSION);
    }
    let id = world.add_org(None, &name);
    world.add_membership(
        &caller.user,
        Role::OrgOwner,
        Scope::Org(id.clone()),
        call.now,
    );
    Ok(made(call, "id", &id, &id))
}

/// `RemoveOrg`: the organization that the call acts in, with everything in it.
pub(crate) fn remove_org(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let caller = owner(call, world)?;
    world.orgs.remove(&caller.org);
    world
        .projects
        .retain(|_, project| project.org != caller.org);
    world.users.retain(|_, user| user.org != caller.org);
    Ok(json!({"details": {"changeDate": rfc3339(call.now), "resourceOwner": caller.org}}))
}

/// `AddProject`
pub(crate) fn add_project(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let name = name(call, "AddProjectRequest.Name", "name")?;
    let caller = owner(call, world)?;
    let id = world.add_project(None, &caller.org, &name, call.now);
    Ok(made(call, "id", &id, &caller.org))
}

/// `AddMachineUser`
pub(crate) fn add_machine_user(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let user_name = name(call, "AddMachineUserRequest.UserName", "userName")?;
    let name = name(call, "AddMachineUserRequest.Name", "name")?;
    let caller = owner(call, world)?;
    let id = world.add_user(None, &caller.org, &user_name, &name, call.now);
    Ok(made(call, "userId", &id, &caller.org))
}

/// `AddProjectMember`. NB: roles that the simulator does not know are dropped.
pub(crate) fn add_member(call: &Call, world: &mut World) -> Result<Value, ApiError> {
    let user = name(call, "AddProjectMemberRequest.UserId", "userId")?;
    let caller = owner(call, world)?;
    let project = world.project_of(&caller.org, call.project());
    project.ok_or(errors::PROJECT_UNKNOWN)?;
    if !world.users.contains_key(&user) {
        return Err(errors::GET_USER_UNKNOWN);
    }
    let body = call.json_body()?;
    let roles = body.get("roles").and_then(Value::as_array);
    for role in roles.into_iter().flatten() {
        if let Ok(role) = Role::deserialize(role) {
            let scope = Scope::Project(call.project().to_owned());
            world.add_membership(&user, role, scope, call.now);
        }
    }
    Ok(json!({"details": details(call, &caller.org)}))
}

fn authenticate(call: &Call, world: &World) -> Result<Caller, ApiError> {
    world.authenticate(&call.headers, call.now, call.settings.legacy_statuses)
}

fn is_instance_owner(world: &World, caller: &Caller) -> bool {
    world.memberships.iter().any(|found| {
        found.user == caller.user && found.role == Role::IamOwner && found.scope == Scope::Instance
    })
}

/// The caller, if everything in the organization is theirs: of the roles here the same that write users.
fn owner(call: &Call, world: &World) -> Result<Caller, ApiError> {
    let caller = authenticate(call, world)?;
    world.scopes(&caller, Permission::WriteUsers)?;
    Ok(caller)
}

fn name(call: &Call, message: &str, field: &str) -> Result<String, ApiError> {
    let body = call.json_body()?;
    let name = body.get(field).and_then(Value::as_str).unwrap_or_default();
    call.check_length(message, name)?;
    Ok(name.to_owned())
}

fn made(call: &Call, field: &str, id: &str, owner: &str) -> Value {
    let mut answer = json!({"details": details(call, owner)});
    set(&mut answer, field, id);
    answer
}

/// NB: the sequence is always the first one, also where the project has more events.
fn details(call: &Call, owner: &str) -> Value {
    json!({"sequence": "1", "creationDate": rfc3339(call.now), "resourceOwner": owner})
}
