//! State changes as values, for the admin side.

use serde::Deserialize;
use serde_json::{Value, json};
use zitadel_simulator::{AuthMethod, ChangeError, Cut, NewApp, Role, Scope, Simulator, State};

/// A change of the world, as `{"command": "...", ...}`.
#[derive(Clone, Debug, Deserialize)]
#[serde(
    tag = "command",
    rename_all = "camelCase",
    rename_all_fields = "camelCase",
    deny_unknown_fields
)]
#[allow(
    missing_docs,
    reason = "each is the method of Simulator with the same name"
)]
pub(crate) enum Command {
    CreateOrg {
        name: String,
    },
    CreateProject {
        org: String,
        name: String,
    },
    CreateApiApp {
        project: String,
        name: String,
    },
    CreateKeyApp {
        project: String,
        name: String,
    },
    CreateUser {
        org: String,
        user_name: String,
    },
    CreatePat {
        user: String,
    },
    CreateMachineKey {
        user: String,
    },
    Grant {
        user: String,
        role: Role,
        scope: Scope,
    },
    RevokeMemberships {
        user: String,
    },
    DeactivateApp {
        app: String,
    },
    ReactivateApp {
        app: String,
    },
    RemoveApp {
        app: String,
    },
    RenameApp {
        app: String,
        name: String,
    },
    ChangeAuthMethod {
        app: String,
        method: AuthMethod,
    },
    RehashSecret {
        app: String,
    },
    RotateElsewhere {
        app: String,
        editor: Option<String>,
    },
    DeactivateProject {
        project: String,
    },
    ReactivateProject {
        project: String,
    },
    RemoveProject {
        project: String,
    },
    SetOrgState {
        org: String,
        state: State,
    },
    DeactivateUser {
        user: String,
    },
    ReactivateUser {
        user: String,
    },
    RevokeToken {
        token: String,
    },
    RevokeAccessTokens {},
    RemoveMachineKey {
        key_id: String,
    },
    RestoreFromBackup {
        project: String,
        sequence: u64,
    },
    ForceProjections {},
    CutConnections {},
}

/// Carries out a command; returns what it made: an id, a sequence, an app, a key.
pub(crate) fn execute(simulator: &Simulator, command: Command) -> Result<Value, ChangeError> {
    use Command as C;
    let sequence = |sequence: u64| json!({"sequence": sequence});
    let done = |()| json!({});
    match command {
        C::CreateOrg { name } => Ok(json!({"id": simulator.create_org(&name)})),
        C::CreateProject { org, name } => Ok(json!({"id": simulator.create_project(&org, &name)})),
        C::CreateApiApp { project, name } => simulator
            .create_api_app(&project, &name)
            .map(|app| json!(app)),
        C::CreateKeyApp { project, name } => {
            let new = NewApp {
                name,
                method: AuthMethod::PrivateKeyJwt,
                ..NewApp::default()
            };
            simulator.create_app(&project, &new).map(|app| json!(app))
        }
        C::CreateUser { org, user_name } => {
            Ok(json!({"id": simulator.create_user(&org, &user_name)}))
        }
        C::CreatePat { user } => simulator.create_pat(&user).map(|pat| json!({"pat": pat})),
        C::CreateMachineKey { user } => simulator
            .create_machine_key(&user)
            .map(|key| json!({"keyId": key.key_id, "key": key.json})),
        C::Grant { user, role, scope } => {
            simulator.grant(&user, role, scope);
            Ok(done(()))
        }
        C::RevokeMemberships { user } => {
            simulator.revoke_memberships(&user);
            Ok(done(()))
        }
        C::DeactivateApp { app } => simulator.deactivate_app(&app).map(sequence),
        C::ReactivateApp { app } => simulator.reactivate_app(&app).map(sequence),
        C::RemoveApp { app } => simulator.remove_app(&app).map(sequence),
        C::RenameApp { app, name } => simulator.rename_app(&app, &name).map(sequence),
        C::ChangeAuthMethod { app, method } => {
            simulator.change_auth_method(&app, method).map(sequence)
        }
        C::RehashSecret { app } => simulator.rehash_secret(&app).map(sequence),
        C::RotateElsewhere { app, editor } => simulator
            .rotate_elsewhere(&app, editor.as_deref())
            .map(|execution| json!(execution)),
        C::DeactivateProject { project } => simulator.deactivate_project(&project).map(sequence),
        C::ReactivateProject { project } => simulator.reactivate_project(&project).map(sequence),
        C::RemoveProject { project } => simulator.remove_project(&project).map(sequence),
        C::SetOrgState { org, state } => simulator.set_org_state(&org, state).map(done),
        C::DeactivateUser { user } => simulator.deactivate_user(&user).map(done),
        C::ReactivateUser { user } => simulator.reactivate_user(&user).map(done),
        C::RevokeToken { token } => {
            simulator.revoke_token(&token);
            Ok(done(()))
        }
        C::RevokeAccessTokens {} => {
            simulator.revoke_access_tokens();
            Ok(done(()))
        }
        C::RemoveMachineKey { key_id } => {
            simulator.remove_machine_key(&key_id);
            Ok(done(()))
        }
        C::RestoreFromBackup { project, sequence } => {
            simulator.restore_from_backup(&project, sequence).map(done)
        }
        C::ForceProjections {} => {
            simulator.force_projections();
            Ok(done(()))
        }
        C::CutConnections {} => {
            simulator.cut_connections(Cut::Reset);
            Ok(done(()))
        }
    }
}
