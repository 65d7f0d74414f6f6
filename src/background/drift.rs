//! Finds rotations that another actor made.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use tokio_util::task::AbortOnDropHandle;

use crate::background::every;
use crate::connection::Connection;
use crate::ids::{AppId, OrganizationId, ProjectId, ProjectKey, Sequence};
use crate::reconcile::context::Context;
use crate::rotation::Owner;
use crate::target::owner;
use crate::zitadel::AppRef;

/// How often a project is tried that cannot be read. Then it waits for the next scan.
const TRIES: u32 = 3;
/// The wait between two tries.
const RETRY: Duration = Duration::from_secs(10);

/// Scans every project that an object names: one request for each project, however many objects there are. Each connection has a task of
/// its own, so that one that hangs delays no other.
pub async fn scan_for_external_rotations(context: Arc<Context>) {
    let mut ticks = every(
        context
            .process
            .settings
            .drift_interval
            .max(Duration::from_secs(1)),
    );
    let mut scans: HashMap<String, AbortOnDropHandle<()>> = HashMap::new();
    loop {
        ticks.tick().await;
        scans.retain(|_, scan| !scan.is_finished());
        for connection in context.connections.usable() {
            let name = connection.name.clone();
            scans.entry(name).or_insert_with(|| {
                let scan = scan_projects(Arc::clone(&context), connection);
                AbortOnDropHandle::new(tokio::spawn(scan))
            });
        }
    }
}

async fn scan_projects(context: Arc<Context>, connection: Arc<Connection>) {
    let objects = named(&context, &connection.name).await;
    let projects: HashSet<_> = objects
        .keys()
        .map(|app| {
            let app = connection.app(app);
            (app.organization, app.project)
        })
        .collect();
    let mut left = projects;
    for attempt in 0..TRIES {
        if attempt > 0 {
            tokio::time::sleep(context.process.settings.drift_interval.min(RETRY)).await;
        }
        left = read_projects(&context, &connection, &objects, left).await;
        if left.is_empty() {
            return;
        }
    }
}

/// Reads each of these projects, and wakes the objects whose applications have changed. Returns the projects that could not be read.
async fn read_projects(
    context: &Context,
    connection: &Connection,
    objects: &HashMap<AppRef, Vec<Owner>>,
    projects: HashSet<(Option<OrganizationId>, ProjectId)>,
) -> HashSet<(Option<OrganizationId>, ProjectId)> {
    let mut failed = HashSet::new();
    for (organization, project) in projects {
        let begun = context.process.clock.boot();
        let changed = match connection.scan(organization.as_ref(), &project).await {
            Ok(changed) => changed,
            Err(error) => {
                if let Some(left_out) = context.log.allows("ProjectNotLookedAt") {
                    tracing::warn!(
                        connection = connection.name,
                        %project,
                        %error,
                        left_out,
                        "the applications of a project cannot be listed, so rotations by others go unnoticed; it is tried again"
                    );
                }
                failed.insert((organization, project));
                continue;
            }
        };
        let key = ProjectKey::of(project.as_str());
        connection.shared.saw_project(key, begun);
        for (app, owners) in objects {
            // NB: the sequence may be the one that was seen before the last rotation, and be news all the same: of a restored ZITADEL.
            let behind = |owner: &&Owner| {
                let hint = connection.hint(&connection.app(app));
                hint.is_some() && hint < stored_sequence(context, owner, &app.app)
            };
            let changed = changed.contains(&app.app);
            if app.project == project {
                let woken = owners.iter().filter(|owner| changed || behind(owner));
                woken.for_each(|owner| context.store.wake(owner));
            }
        }
    }
    failed
}

/// What the Secret of an object records of the newest value of an application.
fn stored_sequence(context: &Context, owner: &Owner, app: &AppId) -> Option<Sequence> {
    let object = context.store.object(owner)?.read().ok()?;
    let name = object.spec.secret_name(&owner.name);
    let secret = context.store.secret(&owner.namespace, name)?;
    Some(secret.record()?.apps.get(app)?.entry.sequence)
}

/// The applications that objects name over a connection, and the objects.
async fn named(context: &Context, connection: &str) -> HashMap<AppRef, Vec<Owner>> {
    let mut all: HashMap<AppRef, Vec<Owner>> = HashMap::new();
    let objects = context.store.objects();
    let objects = objects.filter(|object| object.connection() == Some(connection));
    for object in objects.filter_map(|object| object.read().ok()) {
        for app in context.store.apps_of(&object) {
            all.entry(app).or_default().push(owner(&object));
        }
        // Ten thousand of them take a worker too long.
        tokio::task::yield_now().await;
    }
    all
}
