//! State changes as values, for the admin side.

use serde::Deserialize;
use serde_json::{Value, json};

use crate::Simulator;
use crate::world::build::{ChangeError, NewApp};
use crate::world::events::AuthMethod;
use crate::world::identities::{Role, Scope};
use crate::world::model::State;

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
pub enum Command {
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

impl Simulator {
    /// Carries out a command; returns what it made: an id, a sequence, an app, a key.
    pub fn command(&self, command: Command) -> Result<Value, ChangeError> {
        use Command as C;
        let sequence = |sequence: u64| json!({"sequence": sequence});
        let done = |()| json!({});
        match command {
            C::CreateOrg { name } => Ok(json!({"id": self.create_org(&name)})),
            C::CreateProject { org, name } => Ok(json!({"id": self.create_project(&org, &name)})),
            C::CreateApiApp { project, name } => {
                self.create_api_app(&project, &name).map(|app| json!(app))
            }
            C::CreateKeyApp { project, name } => {
                let new = NewApp {
                    name,
                    method: AuthMethod::PrivateKeyJwt,
                    ..NewApp::default()
                };
                self.create_app(&project, &new).map(|app| json!(app))
            }
            C::CreateUser { org, user_name } => {
                Ok(json!({"id": self.create_user(&org, &user_name)}))
            }
            C::CreatePat { user } => self.create_pat(&user).map(|pat| json!({"pat": pat})),
            C::CreateMachineKey { user } => self
                .create_machine_key(&user)
                .map(|key| json!({"keyId": key.key_id, "key": key.json})),
            C::Grant { user, role, scope } => {
                self.grant(&user, role, scope);
                Ok(done(()))
            }
            C::RevokeMemberships { user } => {
                self.revoke_memberships(&user);
                Ok(done(()))
            }
            C::DeactivateApp { app } => self.deactivate_app(&app).map(sequence),
            C::ReactivateApp { app } => self.reactivate_app(&app).map(sequence),
            C::RemoveApp { app } => self.remove_app(&app).map(sequence),
            C::RenameApp { app, name } => self.rename_app(&app, &name).map(sequence),
            C::ChangeAuthMethod { app, method } => {
                self.change_auth_method(&app, method).map(sequence)
            }
            C::RehashSecret { app } => self.rehash_secret(&app).map(sequence),
            C::RotateElsewhere { app, editor } => self
                .rotate_elsewhere(&app, editor.as_deref())
                .map(|execution| json!(execution)),
            C::DeactivateProject { project } => self.deactivate_project(&project).map(sequence),
            C::ReactivateProject { project } => self.reactivate_project(&project).map(sequence),
            C::RemoveProject { project } => self.remove_project(&project).map(sequence),
            C::SetOrgState { org, state } => self.set_org_state(&org, state).map(done),
            C::DeactivateUser { user } => self.deactivate_user(&user).map(done),
            C::ReactivateUser { user } => self.reactivate_user(&user).map(done),
            C::RevokeToken { token } => {
                self.revoke_token(&token);
                Ok(done(()))
            }
            C::RevokeAccessTokens {} => {
                self.revoke_access_tokens();
                Ok(done(()))
            }
            C::RemoveMachineKey { key_id } => {
                self.remove_machine_key(&key_id);
                Ok(done(()))
            }
            C::RestoreFromBackup { project, sequence } => {
                self.restore_from_backup(&project, sequence).map(done)
            }
            C::ForceProjections {} => {
                self.force_projections();
                Ok(done(()))
            }
            C::CutConnections {} => {
                self.cut_connections(crate::Cut::Reset);
                Ok(done(()))
            }
        }
    }
}
