//! What is looked at from time to time rather than on an event: rotations by others, and claims that nobody needs any more.

use std::collections::{BTreeSet, HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{DeleteParams, Preconditions};
use kube::{Api, ResourceExt};

use super::claim;
use super::context::{Context, owner};
use super::target;
use crate::api::ApiAppSecret;
use crate::ids::{AppId, OrganizationId, ProjectId};
use crate::rotation::{ClaimView, Owner};
use crate::zitadel::AppRef;

/// Looks at every project that an object names: one request a project, however many objects there are.
pub async fn look_for_rotations_by_others(context: Arc<Context>) {
    let mut ticks =
        tokio::time::interval(context.settings.drift_interval.max(Duration::from_secs(1)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        ticks.tick().await;
        for connection in context.connections.usable() {
            let objects = named(&context, &connection.name);
            let projects: BTreeSet<_> = objects
                .keys()
                .map(|app| {
                    let app = connection.app(app);
                    (app.organization, app.project)
                })
                .collect::<HashSet<_>>()
                .into_iter()
                .collect();
            for (organization, project) in projects {
                let changed: HashSet<AppId> = connection
                    .look(organization.as_ref(), &project)
                    .await
                    .into_iter()
                    .collect();
                for (app, owners) in &objects {
                    if app.project == project && changed.contains(&app.app) {
                        for owner in owners {
                            context.wake(owner);
                        }
                    }
                }
            }
        }
    }
}

/// The applications that objects name over a connection, and the objects.
fn named(context: &Context, connection: &str) -> HashMap<AppRef, Vec<Owner>> {
    let mut all: HashMap<AppRef, Vec<Owner>> = HashMap::new();
    for guarded in context.stores.objects.state() {
        let Ok(object) = &guarded.0 else { continue };
        if object.spec.connection_name() != connection {
            continue;
        }
        if let Some(app) = app(object) {
            all.entry(app).or_default().push(owner(object));
        }
    }
    all
}

fn app(object: &ApiAppSecret) -> Option<AppRef> {
    let organization = object
        .spec
        .organization_id
        .as_deref()
        .map(OrganizationId::try_from)
        .transpose()
        .ok()?;
    Some(AppRef {
        organization,
        project: ProjectId::try_from(object.spec.project_id.as_str()).ok()?,
        app: AppId::try_from(object.spec.app_id.as_str()).ok()?,
    })
}

/// Deletes claims of applications that no object names any more. One that is open stays for the quiet period, since whoever holds it
/// may still be writing.
pub async fn sweep_claims(context: Arc<Context>) {
    let quiet = context.settings.timing.quiet;
    let mut ticks = tokio::time::interval(quiet.max(Duration::from_millis(100)));
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut orphans: HashMap<String, (String, Duration)> = HashMap::new();
    let namespace = context.settings.namespace.clone();
    let api: Api<Lease> = Api::namespaced(context.client.clone(), &namespace);
    loop {
        ticks.tick().await;
        let now = context.clock.boot();
        let wanted = wanted(&context);
        let mut seen = HashSet::new();
        for lease in context.stores.claims.state() {
            let name = lease.name_any();
            let revision = lease.resource_version().unwrap_or_default();
            if wanted.contains(&name) || kept(&context, &lease) {
                continue;
            }
            seen.insert(name.clone());
            let since = match orphans.get(&name) {
                Some((known, since)) if *known == revision => *since,
                _ => now,
            };
            orphans.insert(name.clone(), (revision.clone(), since));
            if now.saturating_sub(since) < quiet {
                continue;
            }
            let preconditions = Preconditions {
                uid: lease.uid(),
                resource_version: Some(revision),
            };
            let params = DeleteParams {
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            if api.delete(&name, &params).await.is_ok() {
                tracing::info!(
                    claim = name,
                    "deleted the claim of an application that no object names"
                );
            }
        }
        orphans.retain(|name, _| seen.contains(name));
        context.forget_apps(|claim| wanted.contains(claim));
        let uids: HashSet<String> = context
            .stores
            .objects
            .state()
            .iter()
            .filter_map(|object| object.uid())
            .collect();
        super::context::lock(&context.statuses).retain(|uid, _| uids.contains(uid));
        super::context::lock(&context.unreadable).retain(|(uid, _)| uids.contains(uid));
    }
}

/// The claims of all objects.
fn wanted(context: &Context) -> HashSet<String> {
    let mut wanted = HashSet::new();
    for guarded in context.stores.objects.state() {
        let Ok(object) = &guarded.0 else { continue };
        let (Some(app), Ok(connection)) = (
            app(object),
            context.connections.get(object.spec.connection_name()),
        ) else {
            continue;
        };
        wanted.insert(target::claim_name(
            &connection.endpoints.issuer,
            &connection.app(&app),
        ));
    }
    wanted
}

/// Whether a claim's owner still exists, or can't be told.
fn kept(context: &Context, lease: &Lease) -> bool {
    match claim::view(Some(lease), |_| false) {
        // NB: a claim that can't be read is never taken to be nobody's.
        ClaimView::Absent | ClaimView::Present { record: Err(_), .. } => true,
        ClaimView::Present {
            record: Ok(claim), ..
        } => context.object(&claim.owner).is_some(),
    }
}
