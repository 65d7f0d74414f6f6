//! The state of a project after a number of events. Does no I/O.

use std::collections::{BTreeMap, HashMap};

use jiff::Timestamp;

use crate::world::events::{AuthMethod, Event, EventKind};
use crate::world::identities::Key;
use crate::world::oidc::OidcConfig;
use crate::world::secret::SecretValue;

/// State of an organization, a project, an app or a user.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, serde::Deserialize, serde::Serialize)]
#[serde(rename_all = "SCREAMING_SNAKE_CASE")]
pub enum State {
    /// In use.
    #[default]
    Active,
    /// Deactivated.
    Inactive,
    /// Removed: as if it had never existed.
    Removed,
}

/// Kind of an application, with what only that kind has.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum AppKind {
    Api(AuthMethod),
    Oidc(OidcConfig),
}

#[derive(Clone, Debug)]
pub(crate) struct App {
    pub(crate) id: String,
    pub(crate) name: String,
    pub(crate) state: State,
    /// Nothing between `application.added` and its configuration.
    pub(crate) kind: Option<AppKind>,
    pub(crate) client_id: String,
    pub(crate) secret: Option<SecretValue>,
    pub(crate) created_at: Timestamp,
    /// Date and sequence of the last event of this app.
    pub(crate) changed_at: Timestamp,
    pub(crate) sequence: u64,
}

/// A key by which an app signs assertions instead of showing a secret.
#[derive(Clone, Debug)]
pub(crate) struct AppKey {
    pub(crate) id: String,
    pub(crate) app: String,
    pub(crate) key: Key,
    pub(crate) created_at: Timestamp,
    pub(crate) sequence: u64,
}

/// A project and its apps: the sum of its events up to some point.
#[derive(Clone, Debug, Default)]
pub(crate) struct Model {
    pub(crate) name: String,
    pub(crate) state: State,
    pub(crate) created_at: Timestamp,
    /// Date and sequence of the last event of the project itself.
    pub(crate) changed_at: Timestamp,
    pub(crate) sequence: u64,
    pub(crate) apps: BTreeMap<String, App>,
    /// By id; those of removed apps stay, and are of no use.
    pub(crate) keys: BTreeMap<String, AppKey>,
    /// Ids of the apps that are not removed, by their names in lower case.
    pub(crate) names: HashMap<String, String>,
}

impl Model {
    pub(crate) fn app(&self, id: &str) -> Option<&App> {
        self.apps
            .get(id)
            .filter(|app| app.state != State::Removed && self.state != State::Removed)
    }

    /// Id of the app with this name, in any case.
    pub(crate) fn app_named(&self, name: &str) -> Option<&str> {
        let id = self.names.get(&name.to_lowercase())?;
        self.app(id).map(|app| app.id.as_str())
    }

    /// A key of an app that is not removed.
    pub(crate) fn key(&self, id: &str) -> Option<&AppKey> {
        self.keys.get(id).filter(|key| self.app(&key.app).is_some())
    }

    pub(crate) fn apply(&mut self, event: &Event) {
        self.apply_name(event);
        if event.kind.is_of_project() {
            self.changed_at = event.created_at;
            self.sequence = event.sequence;
        }
        match (&event.kind, &event.app) {
            (EventKind::ProjectAdded { name }, _) => {
                self.name.clone_from(name);
                self.created_at = event.created_at;
            }
            (EventKind::ProjectDeactivated, _) => self.state = State::Inactive,
            (EventKind::ProjectReactivated, _) => self.state = State::Active,
            (EventKind::ProjectRemoved, _) => self.state = State::Removed,
            (EventKind::AppAdded { name }, Some(id)) => {
                let app = App {
                    id: id.clone(),
                    name: name.clone(),
                    state: State::Active,
                    kind: None,
                    client_id: String::new(),
                    secret: None,
                    created_at: event.created_at,
                    changed_at: event.created_at,
                    sequence: event.sequence,
                };
                self.apps.insert(id.clone(), app);
            }
            // NB: an event about a key names no app, so neither the app's journal nor its sequence shows it.
            (EventKind::AppKeyAdded { id, app, key }, _) => {
                let key = AppKey {
                    id: id.clone(),
                    app: app.clone(),
                    key: key.clone(),
                    created_at: event.created_at,
                    sequence: event.sequence,
                };
                self.keys.insert(id.clone(), key);
            }
            (EventKind::AppKeyRemoved { id }, _) => {
                self.keys.remove(id);
            }
            (kind, Some(id)) => {
                if let Some(app) = self.apps.get_mut(id) {
                    app.apply(kind);
                    app.changed_at = event.created_at;
                    app.sequence = event.sequence;
                }
            }
            (_, None) => {}
        }
    }
}

impl Model {
    /// Adding, renaming and removing an app take and free its name.
    fn apply_name(&mut self, event: &Event) {
        let Some(id) = &event.app else { return };
        if let EventKind::AppRenamed { .. } | EventKind::AppRemoved = event.kind
            && let Some(app) = self.apps.get(id)
        {
            let name = app.name.to_lowercase();
            if self.names.get(&name) == Some(id) {
                self.names.remove(&name);
            }
        }
        if let EventKind::AppAdded { name } | EventKind::AppRenamed { name } = &event.kind {
            self.names.insert(name.to_lowercase(), id.clone());
        }
    }
}

impl App {
    fn apply(&mut self, kind: &EventKind) {
        match kind {
            EventKind::AppRenamed { name } => self.name.clone_from(name),
            EventKind::AppDeactivated => self.state = State::Inactive,
            EventKind::AppReactivated => self.state = State::Active,
            EventKind::AppRemoved => self.state = State::Removed,
            EventKind::ApiAdded {
                client_id,
                method,
                secret,
            } => {
                self.kind = Some(AppKind::Api(*method));
                self.client_id.clone_from(client_id);
                self.secret.clone_from(secret);
            }
            EventKind::OidcAdded {
                client_id,
                config,
                secret,
            } => {
                self.kind = Some(AppKind::Oidc(config.clone()));
                self.client_id.clone_from(client_id);
                self.secret.clone_from(secret);
            }
            // NB: the stored secret outlives a change of the auth method (`internal/query/projection/app.go`).
            EventKind::ApiChanged { method } => self.kind = Some(AppKind::Api(*method)),
            EventKind::ApiSecretChanged { secret } | EventKind::OidcSecretChanged { secret } => {
                self.secret = Some(secret.clone());
            }
            EventKind::ApiSecretUpdated
            | EventKind::AppAdded { .. }
            | EventKind::AppKeyAdded { .. }
            | EventKind::AppKeyRemoved { .. }
            | EventKind::ProjectAdded { .. }
            | EventKind::ProjectDeactivated
            | EventKind::ProjectReactivated
            | EventKind::ProjectRemoved
            | EventKind::MemberAdded => {}
        }
    }
}
