//! Building a world: organizations, projects, apps, users and what they authenticate with.

use jiff::{SignedDuration, Timestamp};
use serde::Serialize;
use serde_json::json;

use crate::config::Lag;
use crate::random;
use crate::world::events::AuthMethod;
use crate::world::identities::{self, Key, Role, Scope, Token, TokenKind};
use crate::world::oidc::OidcConfig;
use crate::world::users::UserEventKind;
use crate::world::{NewApiApp, World};
use crate::{Simulator, lock};

/// Why a change of the world was not made.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChangeError {
    /// No object with this id.
    #[error("there is no {kind} {id}")]
    NotThere {
        /// What was searched for.
        kind: &'static str,
        /// Its id.
        id: String,
    },
    /// Names of apps are unique in a project without regard to case.
    #[error("project {project} already has an application named {name}")]
    NameInUse {
        /// Project id.
        project: String,
        /// The name asked for.
        name: String,
    },
}

impl ChangeError {
    pub(crate) fn not_there(kind: &'static str, id: &str) -> Self {
        Self::NotThere {
            kind,
            id: id.to_owned(),
        }
    }
}

/// An app to be made; what is absent is generated.
#[derive(Clone, Debug, Default)]
pub struct NewApp {
    /// App id.
    pub id: Option<String>,
    /// Client id.
    pub client_id: Option<String>,
    /// First secret.
    pub secret: Option<String>,
    /// Name.
    pub name: String,
    /// How an API app authenticates.
    pub method: AuthMethod,
    /// Makes an OIDC app with this redirect URI instead of an API app.
    pub oidc_redirect_uri: Option<String>,
}

/// An app as its maker sees it.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct AppHandle {
    /// App id.
    pub id: String,
    /// Project id.
    pub project: String,
    /// Client id.
    pub client_id: String,
    /// First secret; none for `private_key_jwt`.
    pub secret: Option<String>,
}

/// A service user's key.
#[derive(Clone, Debug)]
pub struct KeyFile {
    /// Key id.
    pub key_id: String,
    /// The JSON key file as ZITADEL hands it out (`internal/domain/machine_key.go`).
    pub json: String,
}

impl Simulator {
    /// Makes this user the editor of what follows on the admin side; before, it is an administrator in the console.
    pub fn act_as(&self, user: &str) {
        user.clone_into(&mut lock(&self.shared.world).console);
    }

    /// Makes an organization and returns its id.
    pub fn create_org(&self, name: &str) -> String {
        lock(&self.shared.world).add_org(None, name)
    }

    /// Makes a project and returns its id.
    pub fn create_project(&self, org: &str, name: &str) -> String {
        let now = self.shared.now();
        lock(&self.shared.world).add_project(None, org, name, now)
    }

    /// Makes an API app with auth method BASIC.
    pub fn create_api_app(&self, project: &str, name: &str) -> Result<AppHandle, ChangeError> {
        self.create_app(
            project,
            &NewApp {
                name: name.to_owned(),
                ..NewApp::default()
            },
        )
    }

    /// Makes an app of any kind.
    pub fn create_app(&self, project: &str, new: &NewApp) -> Result<AppHandle, ChangeError> {
        let mut world = lock(&self.shared.world);
        let (now, settings) = (self.shared.now(), self.settings());
        let editor = world.console.clone();
        let spec = NewApiApp {
            id: new.id.as_deref(),
            client_id: new.client_id.as_deref(),
            secret: new.secret.as_deref(),
            name: &new.name,
            method: new.method,
            editor: &editor,
        };
        let made = match &new.oidc_redirect_uri {
            Some(uri) => {
                let config = OidcConfig::with_redirect(uri);
                world.add_oidc_app(project, &spec, config, now, &settings)
            }
            None => world.add_api_app(project, &spec, now, &settings),
        }?;
        Ok(AppHandle {
            id: made.id,
            project: project.to_owned(),
            client_id: made.client_id,
            secret: made.secret.map(|secret| secret.expose().to_owned()),
        })
    }

    /// Makes a service user without membership and returns its id.
    pub fn create_user(&self, org: &str, user_name: &str) -> String {
        self.create_named_user(org, user_name, user_name)
    }

    /// Makes a service user whose display name is not its user name.
    pub fn create_named_user(&self, org: &str, user_name: &str, name: &str) -> String {
        let now = self.shared.now();
        lock(&self.shared.world).add_user(None, org, user_name, name, now)
    }

    /// Makes a user a member.
    pub fn grant(&self, user: &str, role: Role, scope: Scope) {
        let now = self.shared.now();
        lock(&self.shared.world).add_membership(user, role, scope, now);
    }

    /// Ends every membership of a user.
    pub fn revoke_memberships(&self, user: &str) {
        lock(&self.shared.world)
            .memberships
            .retain(|membership| membership.user != user);
    }

    /// Makes a personal access token that never expires.
    pub fn create_pat(&self, user: &str) -> Result<String, ChangeError> {
        self.create_expiring_pat(user, identities::NEVER)
    }

    /// Makes a personal access token that expires at this time, by ZITADEL's clock.
    pub fn create_expiring_pat(
        &self,
        user: &str,
        expires_at: Timestamp,
    ) -> Result<String, ChangeError> {
        let issued_at = self.shared.now();
        let mut world = lock(&self.shared.world);
        let (id, value) = (world.ids.next(), random::pat());
        let added = UserEventKind::PatAdded {
            id: id.clone(),
            expires_at,
        };
        world.push_user(user, added, issued_at)?;
        let token = Token {
            id,
            user: user.to_owned(),
            kind: TokenKind::Pat,
            issued_at,
            expires_at,
            dead: false,
        };
        world.tokens.insert(value.clone(), token);
        Ok(value)
    }

    /// Makes an RSA key for a service user (takes a good part of a second in debug builds).
    pub fn create_machine_key(&self, user: &str) -> Result<KeyFile, ChangeError> {
        let (pem, verifies) = identities::new_rsa_key()
            .ok_or_else(|| ChangeError::not_there("RSA key for user", user))?;
        let now = self.shared.now();
        let expires_at = now + SignedDuration::from_hours(24 * 365);
        let mut world = lock(&self.shared.world);
        let key_id = world.ids.next();
        let key = Key {
            owner: user.to_owned(),
            verifies,
            expires_at,
        };
        let added = UserEventKind::KeyAdded {
            id: key_id.clone(),
            key,
        };
        world.push_user(user, added, now)?;
        world.key_users.insert(key_id.clone(), user.to_owned());
        let expiry = expires_at.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
        let json = key_file(&key_id, &pem, &expiry, user);
        Ok(KeyFile { key_id, json })
    }
}

/// A key file as ZITADEL hands it out.
pub(crate) fn key_file(id: &str, pem: &str, expires_at: &str, user: &str) -> String {
    let json = json!({
        "type": "serviceaccount",
        "keyId": id,
        "key": pem,
        "expirationDate": expires_at,
        "userId": user,
    });
    json.to_string()
}

impl World {
    /// An event that an administrator in the console makes; its projections have it at once.
    pub(crate) fn push_user(
        &mut self,
        user: &str,
        kind: UserEventKind,
        at: Timestamp,
    ) -> Result<u64, ChangeError> {
        let found = self.users.get_mut(user);
        let found = found.ok_or_else(|| ChangeError::not_there("user", user))?;
        Ok(found.push(kind, &self.console, at, Lag::None))
    }
}
