//! Changing the world behind the client's back, and judging what it holds.

use jiff::Timestamp;

use crate::config::Settings;
use crate::ledger::{Effect, Execution};
use crate::random;
use crate::routes::generate;
use crate::world::World;
use crate::world::build::ChangeError;
use crate::world::events::{AuthMethod, EventKind};
use crate::world::model::{Model, State};
use crate::world::project::{NewEvent, Project};
use crate::world::secret::SecretValue;
use crate::world::users::UserEventKind;
use crate::{Simulator, lock};

impl Simulator {
    /// Deactivates an app; returns the event's sequence.
    pub fn deactivate_app(&self, app: &str) -> Result<u64, ChangeError> {
        self.change_app(app, EventKind::AppDeactivated)
    }

    /// Reactivates an app.
    pub fn reactivate_app(&self, app: &str) -> Result<u64, ChangeError> {
        self.change_app(app, EventKind::AppReactivated)
    }

    /// Removes an app for good.
    pub fn remove_app(&self, app: &str) -> Result<u64, ChangeError> {
        self.change_app(app, EventKind::AppRemoved)
    }

    /// Renames an app, which moves its sequence.
    pub fn rename_app(&self, app: &str, name: &str) -> Result<u64, ChangeError> {
        let renamed = EventKind::AppRenamed {
            name: name.to_owned(),
        };
        self.push(
            |world| {
                let project = world
                    .project_with_app(app)
                    .ok_or_else(|| ChangeError::not_there("app", app))?;
                project.name_is_free(name, app)?;
                Ok(project)
            },
            |editor| NewEvent::of_app(renamed, app, editor),
        )
    }

    /// Changes an API app's auth method; its stored secret stays.
    pub fn change_auth_method(&self, app: &str, method: AuthMethod) -> Result<u64, ChangeError> {
        self.change_app(app, EventKind::ApiChanged { method })
    }

    /// A silent re-hash (`…api.secret.updated`): the sequence moves, the secret stays.
    pub fn rehash_secret(&self, app: &str) -> Result<u64, ChangeError> {
        self.change_app(app, EventKind::ApiSecretUpdated)
    }

    /// Another actor rotates: a user, or an administrator in the console if none is named.
    pub fn rotate_elsewhere(
        &self,
        app: &str,
        editor: Option<&str>,
    ) -> Result<Execution, ChangeError> {
        let mut world = lock(&self.shared.world);
        let (now, settings) = (self.shared.now(), self.settings());
        let editor = editor.map_or_else(|| world.console.clone(), str::to_owned);
        let project = world
            .project_with_app(app)
            .ok_or_else(|| ChangeError::not_there("app", app))?;
        let secret = SecretValue::from(random::secret(&settings));
        let made = generate::rotate(
            project,
            app,
            &editor,
            secret,
            now,
            settings.projection_lag,
            false,
        );
        let execution = Execution {
            request: None,
            executed_at: Timestamp::now(),
            attempt: None,
            project: project.id.clone(),
            app: app.to_owned(),
            editor,
            sequence: made.sequence,
            change_date: made.change_date,
            secret: made.secret,
            effect: Effect::Applied,
        };
        self.shared.ledger.execute(execution.clone());
        Ok(execution)
    }

    /// Deactivates a project with all its apps.
    pub fn deactivate_project(&self, project: &str) -> Result<u64, ChangeError> {
        self.change_project(project, EventKind::ProjectDeactivated)
    }

    /// Reactivates a project.
    pub fn reactivate_project(&self, project: &str) -> Result<u64, ChangeError> {
        self.change_project(project, EventKind::ProjectReactivated)
    }

    /// Removes a project with all its apps.
    pub fn remove_project(&self, project: &str) -> Result<u64, ChangeError> {
        self.change_project(project, EventKind::ProjectRemoved)
    }

    /// Sets an organization's state.
    pub fn set_org_state(&self, org: &str, state: State) -> Result<(), ChangeError> {
        let mut world = lock(&self.shared.world);
        world
            .orgs
            .get_mut(org)
            .ok_or_else(|| ChangeError::not_there("organization", org))?
            .state = state;
        Ok(())
    }

    /// Deactivates a user. Its tokens die at once and stay dead after a reactivation.
    pub fn deactivate_user(&self, user: &str) -> Result<(), ChangeError> {
        let now = self.shared.now();
        let mut world = lock(&self.shared.world);
        world.push_user(user, UserEventKind::Deactivated, now)?;
        world
            .tokens
            .values_mut()
            .filter(|token| token.user == user)
            .for_each(|token| token.dead = true);
        Ok(())
    }

    /// Reactivates a user.
    pub fn reactivate_user(&self, user: &str) -> Result<(), ChangeError> {
        let now = self.shared.now();
        let mut world = lock(&self.shared.world);
        world.push_user(user, UserEventKind::Reactivated, now)?;
        Ok(())
    }

    /// Revokes a personal access token or an access token.
    pub fn revoke_token(&self, token: &str) {
        if let Some(token) = lock(&self.shared.world).tokens.get_mut(token) {
            token.dead = true;
        }
    }

    /// Revokes every access token, but no personal access token: clients must fetch new ones.
    pub fn revoke_access_tokens(&self) {
        let mut world = lock(&self.shared.world);
        world
            .tokens
            .retain(|_, token| matches!(token.kind, crate::world::identities::TokenKind::Pat));
    }

    /// Removes a service user's key.
    pub fn remove_machine_key(&self, key_id: &str) {
        let now = self.shared.now();
        let mut world = lock(&self.shared.world);
        if let Some(user) = world.key_users.remove(key_id) {
            let id = key_id.to_owned();
            // Keys are of users that exist.
            let _ = world.push_user(&user, UserEventKind::KeyRemoved { id }, now);
        }
    }

    /// ZITADEL comes back from a backup: a project's events after this sequence are gone and their numbers are used again.
    pub fn restore_from_backup(&self, project: &str, sequence: u64) -> Result<(), ChangeError> {
        let mut world = lock(&self.shared.world);
        let project = world
            .projects
            .get_mut(project)
            .ok_or_else(|| ChangeError::not_there("project", project))?;
        project.restore(sequence);
        Ok(())
    }

    /// Brings every projection up to date.
    pub fn force_projections(&self) {
        let mut world = lock(&self.shared.world);
        for project in world.projects.values_mut() {
            project.force_projection();
        }
        for user in world.users.values_mut() {
            user.force_projection();
        }
    }

    /// Sequence of the app's newest rotation in its journal; nothing if it was never rotated.
    pub fn latest(&self, app: &str) -> Option<u64> {
        let mut world = lock(&self.shared.world);
        let events = &world.project_with_app(app)?.events;
        let newest = events
            .iter()
            .rev()
            .find(|event| event.app.as_deref() == Some(app) && event.kind.is_rotation());
        newest.map(|event| event.sequence)
    }

    /// Sequence of a project's newest event.
    pub fn project_sequence(&self, project: &str) -> Option<u64> {
        lock(&self.shared.world)
            .projects
            .get(project)?
            .events
            .last()
            .map(|event| event.sequence)
    }

    /// Whether introspection accepts this secret for the app now: by the projection, with app, project and organization active.
    pub fn accepts(&self, app: &str, secret: &str) -> bool {
        self.judge(app, secret, |project| judged(project.projected(), app))
    }

    /// Whether introspection will accept it once the projection has caught up.
    pub fn would_accept(&self, app: &str, secret: &str) -> bool {
        self.judge(app, secret, |project| judged(&project.eventual(app), app))
    }

    /// The secret that introspection knows for the app now, whatever the states.
    pub fn accepted_secret(&self, app: &str) -> Option<SecretValue> {
        lock(&self.shared.world)
            .project_with_app(app)?
            .projected()
            .apps
            .get(app)?
            .secret
            .clone()
    }

    fn judge(
        &self,
        app: &str,
        secret: &str,
        active_secret: impl FnOnce(&mut Project) -> Option<SecretValue>,
    ) -> bool {
        let mut world = lock(&self.shared.world);
        let Some(project) = world.project_with_app(app) else {
            return false;
        };
        let (org, stored) = (project.org.clone(), active_secret(project));
        let org_active = world
            .orgs
            .get(&org)
            .is_some_and(|org| org.state == State::Active);
        org_active && stored.is_some_and(|stored| stored.expose() == secret)
    }

    fn change_app(&self, app: &str, kind: EventKind) -> Result<u64, ChangeError> {
        self.push(
            |world| {
                world
                    .project_with_app(app)
                    .ok_or_else(|| ChangeError::not_there("app", app))
            },
            |editor| NewEvent::of_app(kind, app, editor),
        )
    }

    fn change_project(&self, id: &str, kind: EventKind) -> Result<u64, ChangeError> {
        self.push(
            |world| {
                world
                    .projects
                    .get_mut(id)
                    .ok_or_else(|| ChangeError::not_there("project", id))
            },
            |editor| NewEvent::of_project(kind, editor),
        )
    }

    fn push(
        &self,
        find: impl FnOnce(&mut World) -> Result<&mut Project, ChangeError>,
        event: impl FnOnce(&str) -> NewEvent,
    ) -> Result<u64, ChangeError> {
        let mut world = lock(&self.shared.world);
        let now = self.shared.now();
        let Settings { projection_lag, .. } = self.settings();
        let event = event(&world.console);
        Ok(find(&mut world)?.push(event, now, projection_lag))
    }
}

/// The app's secret, if app and project are active.
fn judged(model: &Model, app: &str) -> Option<SecretValue> {
    let app = model
        .apps
        .get(app)
        .filter(|app| app.state == State::Active && model.state == State::Active)?;
    app.secret.clone()
}
