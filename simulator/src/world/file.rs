//! Worlds described in JSON.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::world::build::{AppHandle, ChangeError, NewApp};
use crate::world::events::AuthMethod;
use crate::world::identities::{Role, Scope};
use crate::world::model::State;
use crate::{Simulator, lock};

/// A world in JSON. Objects refer to each other by name; absent ids and secrets are generated.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct WorldFile {
    /// Organizations with their projects and apps.
    pub organizations: Vec<OrgSpec>,
    /// Service users.
    #[serde(default)]
    pub users: Vec<UserSpec>,
}

/// An organization of a [`WorldFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct OrgSpec {
    id: Option<String>,
    name: String,
    #[serde(default)]
    projects: Vec<ProjectSpec>,
}

/// A project of a [`WorldFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct ProjectSpec {
    id: Option<String>,
    name: String,
    #[serde(default)]
    apps: Vec<AppSpec>,
}

/// An app of a [`WorldFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct AppSpec {
    id: Option<String>,
    name: String,
    client_id: Option<String>,
    secret: Option<String>,
    #[serde(default)]
    method: AuthMethod,
    oidc_redirect_uri: Option<String>,
    #[serde(default)]
    state: State,
}

/// A service user of a [`WorldFile`].
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct UserSpec {
    user_name: String,
    organization: String,
    #[serde(default)]
    roles: Vec<RoleSpec>,
    /// Make a key file too.
    #[serde(default)]
    pub(crate) machine_key: bool,
}

/// A membership of a [`WorldFile`]: on a project, on an organization, or on the instance.
#[derive(Clone, Debug, Deserialize)]
#[serde(rename_all = "camelCase", deny_unknown_fields)]
pub struct RoleSpec {
    role: Role,
    project: Option<String>,
    organization: Option<String>,
}

/// The ids and credentials of a world, by name.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct WorldSummary {
    /// Organization ids.
    pub organizations: BTreeMap<String, String>,
    /// Project ids.
    pub projects: BTreeMap<String, String>,
    /// Apps.
    pub apps: BTreeMap<String, AppHandle>,
    /// Service users.
    pub users: BTreeMap<String, UserHandle>,
}

/// A service user as its maker sees it.
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct UserHandle {
    /// User id.
    pub id: String,
    /// Personal access token.
    pub pat: String,
    /// JSON key file, if asked for.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub key: Option<String>,
}

impl Simulator {
    /// Builds what the file describes, on top of what there is.
    pub fn load_world(&self, file: &WorldFile) -> Result<WorldSummary, ChangeError> {
        let mut summary = WorldSummary::default();
        let mut switched = Vec::new();
        let now = self.shared.now();
        for org in &file.organizations {
            let org_id = lock(&self.shared.world).add_org(org.id.clone(), &org.name);
            for project in &org.projects {
                let project_id = lock(&self.shared.world).add_project(
                    project.id.clone(),
                    &org_id,
                    &project.name,
                    now,
                );
                for app in &project.apps {
                    let made = self.create_app(&project_id, &app.to_new())?;
                    match app.state {
                        State::Active => {}
                        state => switched.push((made.id.clone(), state)),
                    }
                    summary.apps.insert(app.name.clone(), made);
                }
                summary.projects.insert(project.name.clone(), project_id);
            }
            summary.organizations.insert(org.name.clone(), org_id);
        }
        for user in &file.users {
            let made = self.load_user(user, &summary)?;
            summary.users.insert(user.user_name.clone(), made);
        }
        for (app, state) in switched {
            match state {
                State::Removed => self.remove_app(&app)?,
                _ => self.deactivate_app(&app)?,
            };
        }
        Ok(summary)
    }

    fn load_user(
        &self,
        user: &UserSpec,
        summary: &WorldSummary,
    ) -> Result<UserHandle, ChangeError> {
        let found = |map: &BTreeMap<String, String>, kind, name: &str| {
            map.get(name)
                .cloned()
                .ok_or_else(|| ChangeError::not_there(kind, name))
        };
        let id = self.create_user(
            &found(&summary.organizations, "organization", &user.organization)?,
            &user.user_name,
        );
        for role in &user.roles {
            let scope = match (&role.project, &role.organization) {
                (Some(project), _) => Scope::Project(found(&summary.projects, "project", project)?),
                (None, Some(org)) => {
                    Scope::Org(found(&summary.organizations, "organization", org)?)
                }
                (None, None) => Scope::Instance,
            };
            self.grant(&id, role.role, scope);
        }
        let pat = self.create_pat(&id)?;
        let key = user
            .machine_key
            .then(|| self.create_machine_key(&id))
            .transpose()?
            .map(|key| key.json);
        Ok(UserHandle { id, pat, key })
    }
}

impl AppSpec {
    fn to_new(&self) -> NewApp {
        NewApp {
            id: self.id.clone(),
            client_id: self.client_id.clone(),
            secret: self.secret.clone(),
            name: self.name.clone(),
            method: self.method,
            oidc_redirect_uri: self.oidc_redirect_uri.clone(),
        }
    }
}
