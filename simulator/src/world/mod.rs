//! Everything that one ZITADEL instance stores. Does no I/O.
//!
//! [`project`] has the events of a project, and [`model`] sums them up; [`users`] has service users; [`build`] and [`control`] change a world.

pub(crate) mod build;
pub(crate) mod control;
pub(crate) mod events;
pub(crate) mod file;
pub(crate) mod identities;
pub(crate) mod instance;
pub(crate) mod model;
pub(crate) mod oidc;
pub(crate) mod project;
pub(crate) mod secret;
pub(crate) mod standard;
pub(crate) mod users;

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::config::{Lag, Settings};
use crate::random::{self, Ids};
use crate::world::build::ChangeError;
use crate::world::events::{AuthMethod, EventKind};
use crate::world::identities::{Key, Membership, Role, Scope, Token};
use crate::world::model::{App, AppKey, State};
use crate::world::oidc::OidcConfig;
use crate::world::project::{NewEvent, Project};
use crate::world::secret::SecretValue;
use crate::world::users::{User, UserEventKind};

#[derive(Debug)]
pub(crate) struct Org {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: State,
}

#[derive(Debug)]
pub(crate) struct World {
    pub(crate) ids: Ids,
    /// ZITADEL's own project: the audience of its API.
    pub(crate) zitadel_project: String,
    pub(crate) orgs: BTreeMap<String, Org>,
    pub(crate) projects: HashMap<String, Project>,
    pub(crate) users: HashMap<String, User>,
    pub(crate) memberships: Vec<Membership>,
    pub(crate) tokens: HashMap<String, Token>,
    /// User of each key.
    pub(crate) key_users: HashMap<String, String>,
    /// The user behind changes that no scripted user makes, as an administrator in the console does.
    pub(crate) console: String,
    /// Project and app of a client id.
    clients: HashMap<String, (String, String)>,
}

/// Ids and secret of an app just made.
#[derive(Clone, Debug)]
pub(crate) struct NewApp {
    pub(crate) id: String,
    pub(crate) client_id: String,
    pub(crate) secret: Option<SecretValue>,
    pub(crate) sequence: u64,
    pub(crate) created_at: Timestamp,
}

impl World {
    pub(crate) fn new() -> Self {
        let ids = Ids::new();
        let zitadel_project = ids.next();
        let console = ids.next();
        let mut world = Self {
            ids,
            zitadel_project,
            console: console.clone(),
            orgs: BTreeMap::new(),
            projects: HashMap::new(),
            users: HashMap::new(),
            memberships: Vec::new(),
            tokens: HashMap::new(),
            key_users: HashMap::new(),
            clients: HashMap::new(),
        };
        let org = world.add_org(None, "ZITADEL");
        world.add_user(
            Some(console.clone()),
            &org,
            "console-admin",
            "Console Admin",
            Timestamp::now(),
        );
        world.memberships.push(Membership {
            user: console,
            role: Role::IamOwner,
            scope: Scope::Instance,
        });
        world
    }

    pub(crate) fn add_org(&mut self, id: Option<String>, name: &str) -> String {
        let id = id.unwrap_or_else(|| self.ids.next());
        self.orgs.insert(
            id.clone(),
            Org {
                id: id.clone(),
                name: name.to_owned(),
                state: State::Active,
            },
        );
        id
    }

    pub(crate) fn add_project(
        &mut self,
        id: Option<String>,
        org: &str,
        name: &str,
        at: Timestamp,
    ) -> String {
        let id = id.unwrap_or_else(|| self.ids.next());
        let mut project = Project::new(id.clone(), org.to_owned());
        let added = EventKind::ProjectAdded {
            name: name.to_owned(),
        };
        project.push(NewEvent::of_project(added, &self.console), at, Lag::None);
        self.projects.insert(id.clone(), project);
        id
    }

    /// An API app: two events in one push. A `private_key_jwt` app gets no secret.
    pub(crate) fn add_api_app(
        &mut self,
        project: &str,
        spec: &NewApiApp<'_>,
        at: Timestamp,
        settings: &Settings,
    ) -> Result<NewApp, ChangeError> {
        let secret = (spec.method == AuthMethod::Basic).then(|| {
            spec.secret
                .map_or_else(|| random::secret(settings).into(), SecretValue::from)
        });
        let client_id = spec
            .client_id
            .map_or_else(|| self.ids.next(), str::to_owned);
        let config = EventKind::ApiAdded {
            client_id: client_id.clone(),
            method: spec.method,
            secret: secret.clone(),
        };
        self.add_app(project, spec, config, (client_id, secret), at, settings)
    }

    pub(crate) fn add_oidc_app(
        &mut self,
        project: &str,
        spec: &NewApiApp<'_>,
        oidc: OidcConfig,
        at: Timestamp,
        settings: &Settings,
    ) -> Result<NewApp, ChangeError> {
        let secret = oidc.method.has_secret().then(|| {
            spec.secret
                .map_or_else(|| random::secret(settings).into(), SecretValue::from)
        });
        let client_id = spec
            .client_id
            .map_or_else(|| self.ids.next(), str::to_owned);
        let config = EventKind::OidcAdded {
            client_id: client_id.clone(),
            config: oidc,
            secret: secret.clone(),
        };
        self.add_app(project, spec, config, (client_id, secret), at, settings)
    }

    fn add_app(
        &mut self,
        project: &str,
        spec: &NewApiApp<'_>,
        config: EventKind,
        (client_id, secret): (String, Option<SecretValue>),
        at: Timestamp,
        settings: &Settings,
    ) -> Result<NewApp, ChangeError> {
        let id = spec.id.map_or_else(|| self.ids.next(), str::to_owned);
        let stream = self
            .projects
            .get_mut(project)
            .ok_or_else(|| ChangeError::not_there("project", project))?;
        stream.name_is_free(spec.name, &id)?;
        let added = EventKind::AppAdded {
            name: spec.name.to_owned(),
        };
        stream.push(
            NewEvent::of_app(added, &id, spec.editor),
            at,
            settings.projection_lag,
        );
        let sequence = stream.push(
            NewEvent::of_app(config, &id, spec.editor),
            at,
            settings.projection_lag,
        );
        self.clients
            .insert(client_id.clone(), (project.to_owned(), id.clone()));
        Ok(NewApp {
            id,
            client_id,
            secret,
            sequence,
            created_at: at,
        })
    }

    pub(crate) fn add_user(
        &mut self,
        id: Option<String>,
        org: &str,
        user_name: &str,
        name: &str,
        at: Timestamp,
    ) -> String {
        let id = id.unwrap_or_else(|| self.ids.next());
        let mut user = User {
            id: id.clone(),
            org: org.to_owned(),
            login_name: user_name.to_owned(),
            name: name.to_owned(),
            events: Vec::new(),
        };
        user.push(UserEventKind::Added, &self.console, at, Lag::None);
        self.users.insert(id.clone(), user);
        id
    }

    /// A membership. One on a project is an event of that project too.
    pub(crate) fn add_membership(&mut self, user: &str, role: Role, scope: Scope, at: Timestamp) {
        if let Scope::Project(project) = &scope
            && let Some(project) = self.projects.get_mut(project)
        {
            project.push(
                NewEvent::of_project(EventKind::MemberAdded, &self.console),
                at,
                Lag::None,
            );
        }
        self.memberships.push(Membership {
            user: user.to_owned(),
            role,
            scope,
        });
    }

    /// The project with this id whose owner is this organization; a removed project is none.
    pub(crate) fn project_of(&mut self, org: &str, project: &str) -> Option<&mut Project> {
        self.projects
            .get_mut(project)
            .filter(|found| found.org == org && found.current.state != State::Removed)
    }

    /// The user with this id in this organization.
    pub(crate) fn user_of(&mut self, org: &str, user: &str) -> Option<&mut User> {
        self.users.get_mut(user).filter(|found| found.org == org)
    }

    /// A key of a service user, as the projection knows it.
    pub(crate) fn machine_key(&self, id: &str) -> Option<&Key> {
        let user = self.users.get(self.key_users.get(id)?)?;
        user.projected().key(id).map(|(_, key)| key)
    }

    /// Project and app of a client id, whatever their state.
    pub(crate) fn app_of_client(&self, client_id: &str) -> Option<(String, String)> {
        self.clients.get(client_id).cloned()
    }

    /// The project that holds an app.
    pub(crate) fn project_with_app(&mut self, app: &str) -> Option<&mut Project> {
        self.projects
            .values_mut()
            .find(|project| project.current.apps.contains_key(app))
    }

    /// A key of an app, as the projection knows it.
    pub(crate) fn app_key(&mut self, id: &str) -> Option<AppKey> {
        self.projects
            .values_mut()
            .find_map(|project| project.projected().key(id).cloned())
    }

    /// Project id, organization id and app of a client id, as the projection knows them; only where app, project and
    /// organization are active (`internal/query/introspection_client_by_id.sql`).
    pub(crate) fn active_client(&mut self, client_id: &str) -> Option<(String, App)> {
        let (project_id, app_id) = self.clients.get(client_id)?;
        let project = self.projects.get_mut(project_id)?;
        if self.orgs.get(&project.org)?.state != State::Active {
            return None;
        }
        let model = project.projected();
        if model.state != State::Active {
            return None;
        }
        let app = model
            .apps
            .get(app_id)
            .filter(|app| app.state == State::Active && app.client_id == client_id)?;
        Some((project_id.clone(), app.clone()))
    }
}

/// What an app is made from; absent ids and secrets are generated.
#[derive(Clone, Copy, Debug, Default)]
pub(crate) struct NewApiApp<'a> {
    pub(crate) id: Option<&'a str>,
    pub(crate) client_id: Option<&'a str>,
    pub(crate) secret: Option<&'a str>,
    pub(crate) name: &'a str,
    pub(crate) method: AuthMethod,
    pub(crate) editor: &'a str,
}
