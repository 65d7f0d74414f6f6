//! Deletes the claims of applications that no object names any more.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::{DeleteParams, ObjectMeta, Preconditions};

use crate::background::every;
use crate::ids::{AppId, ProjectId};
use crate::reconcile::context::Context;
use crate::rotation::{Claim, Owner, RecordError};
use crate::store::cache::Cache;
use crate::store::object::Object;
use crate::store::owners::AppKey;
use crate::target::apps;
use crate::zitadel::AppRef;

/// Warns, now and then, of claims that cannot be read and whose application no object names.
fn warn_of(context: &Context, unreadable: &[String]) {
    if let Some(claim) = unreadable.first()
        && let Some(left_out) = context.log.allows("ClaimUnreadable")
    {
        tracing::warn!(
            claim,
            unreadable = unreadable.len(),
            left_out,
            "a claim cannot be read and no object names its application; it was not deleted: delete the Lease if the application is not in use"
        );
    }
}

/// A claim that no object names.
struct Orphan {
    revision: String,
    /// When it was first seen so, since boot.
    since: Duration,
    /// Until when it is kept, if it does not say so itself and was asked for.
    until: Option<Timestamp>,
}

/// Deletes claims of applications that no object names any more, a day after their last rotation. One that is open stays for the quiet
/// period at least, since the process that holds it may still be writing. While a namespace was not shown yet, an object in it may name
/// any application: then all stay. One that cannot be read stays, and is reported: it may be the only record of a value that is in use.
pub async fn sweep_claims(context: Arc<Context>) {
    let quiet = context.process.settings.timing.quiet;
    let mut ticks = every(quiet.max(Duration::from_millis(100)));
    let mut orphans: HashMap<String, Orphan> = HashMap::new();
    let namespace = context.process.settings.namespace.clone();
    let api: Api<Lease> = Api::namespaced(context.process.client.clone(), &namespace);
    loop {
        ticks.tick().await;
        let now = context.process.clock.boot();
        let complete = context.store.namespaces.values().all(Cache::is_synced);
        let named = claims_of_objects(&context).into_iter();
        let wanted: HashSet<String> = named.map(|(name, _)| name).collect();
        let (mut seen, mut unreadable) = (HashSet::new(), Vec::new());
        let claims = context.store.claims.shown();
        for (name, kept_claim) in &claims {
            let revision = &kept_claim.version.revision;
            if !complete || wanted.contains(name) {
                continue;
            }
            let claim = match &kept_claim.record {
                Ok(claim) => claim,
                Err(RecordError::Unreadable) => {
                    unreadable.push(name.clone());
                    continue;
                }
                // NB: a claim that can't be read is never taken to be no one's.
                Err(RecordError::Newer) => continue,
            };
            if kept(&context, &claim.owner) || is_recent(&context, claim) {
                continue;
            }
            seen.insert(name.clone());
            let known = orphans.remove(name);
            let known = known.filter(|known| known.revision == *revision);
            let orphan = orphans
                .entry(name.clone())
                .or_insert(known.unwrap_or(Orphan {
                    revision: revision.clone(),
                    since: now,
                    until: None,
                }));
            if now.saturating_sub(orphan.since) < quiet {
                continue;
            }
            if claim.attempt.is_none() {
                // It says nothing of a rotation, such as that of an object that was made again.
                if orphan.until.is_none() {
                    orphan.until = kept_until(&context, &api, name).await;
                }
                if orphan
                    .until
                    .is_none_or(|until| context.process.clock.wall() < until)
                {
                    continue;
                }
            }
            if Box::pin(has_owner(&context, &claim.owner)).await {
                continue;
            }
            let preconditions = Preconditions {
                uid: Some(kept_claim.version.uid.clone()),
                resource_version: Some(revision.clone()),
            };
            let params = DeleteParams {
                preconditions: Some(preconditions),
                ..DeleteParams::default()
            };
            if api.delete(name, &params).await.is_ok() {
                tracing::info!(
                    claim = name,
                    "deleted the claim of an application that no object names"
                );
            }
        }
        orphans.retain(|name, _| seen.contains(name));
        warn_of(&context, &unreadable);
        // NB: as long as there is a claim, what is known of it stays: while the connections are not known yet, nothing seems wanted.
        let claims: HashSet<String> = claims.into_iter().map(|(name, _)| name).collect();
        context.forget_apps(|claim| wanted.contains(claim) || claims.contains(claim));
        let uids: HashSet<String> = context
            .store
            .objects()
            .map(|object| object.uid().to_owned())
            .collect();
        context
            .store
            .unreadable
            .lock()
            .retain(|(uid, _)| uids.contains(uid));
        context.retries.retain(|uid| uids.contains(uid));
        context.consumers.retain(|uid| uids.contains(uid));
    }
}

/// The claims of all objects: the name of each, and the application that it is about. Of a connection of which it is not known which ZITADEL
/// it means there are none.
fn claims_of_objects(context: &Context) -> Vec<(String, Arc<AppKey>)> {
    let store = &context.store;
    let apps = store.owners.lock().apps();
    let mut issuers: HashMap<Box<str>, Option<String>> = HashMap::new();
    let named = apps.into_iter().filter_map(|app| {
        let (connection, project, id) = &*app;
        let issuer = issuers.entry(connection.clone()).or_insert_with(|| {
            let own = !store.is_foreign(connection);
            own.then(|| store.issuer(connection)).flatten()
        });
        let app_ref = AppRef {
            organization: None,
            project: ProjectId::try_from(&**project).ok()?,
            app: AppId::try_from(&**id).ok()?,
        };
        let issuer = issuer.as_ref()?;
        let name = apps::claim_name(issuer, &app_ref);
        // That of the standby application which the operator created beside it.
        let standby = store.provisioned_by(&name).map(|standby| {
            let app_ref = AppRef {
                app: standby,
                ..app_ref
            };
            (apps::claim_name(issuer, &app_ref), Arc::clone(&app))
        });
        Some(std::iter::once((name, app)).chain(standby))
    });
    named.flatten().collect()
}

/// The objects whose application a claim is about, by its name: what is in it cannot be read.
pub(crate) fn claimants(context: &Context, claim: &str) -> Vec<Owner> {
    let claims = claims_of_objects(context).into_iter();
    let apps = claims.filter_map(|(name, app)| (name == claim).then_some(app));
    let owners = context.store.owners.lock();
    apps.flat_map(|app| owners.of_app(&app)).collect()
}

/// Whether a claim's owner exists by the API server itself, or that is unknown: the watch of the objects may lag behind that of the claims.
async fn has_owner(context: &Context, owner: &Owner) -> bool {
    let client = context.process.client.clone();
    let api: Api<Object> = Api::namespaced_with(client, &owner.namespace, &owner.kind);
    let found = api.get_metadata_opt(&owner.name).await;
    found.map_or(true, |found| {
        found.is_some_and(|found| found.metadata.uid.as_ref() == Some(&owner.uid))
    })
}

/// Whether a claim knows of rotations that still count: an object that is created again inherits them. Of one that is swept the journal
/// would have to stand in, which knows no causes, so that what was asked for would count as repairs.
fn is_recent(context: &Context, claim: &Claim) -> bool {
    let now = context.process.clock.wall();
    let from = now
        .checked_sub(context.process.settings.timing.breaker_long)
        .ok();
    claim.last_rotation() > from
}

/// Until when a claim is kept that does not say when its application was rotated: a day from when it was written last. None if that
/// could not be read.
async fn kept_until(context: &Context, api: &Api<Lease>, name: &str) -> Option<Timestamp> {
    // NB: the watch leaves out who wrote it and when.
    let found = api.get_metadata(name).await.ok()?;
    let day = context.process.settings.timing.breaker_long;
    written(&found.metadata)?.checked_add(day).ok()
}

/// When an object was written last, by the API server's clock.
pub(crate) fn written(metadata: &ObjectMeta) -> Option<Timestamp> {
    let fields = metadata.managed_fields.iter().flatten();
    let times = fields.filter_map(|entry| entry.time.as_ref());
    let times = times.chain(&metadata.creation_timestamp);
    times.map(|time| time.0).max()
}

/// Whether a claim's owner still exists by the watches, or that is unknown.
fn kept(context: &Context, owner: &Owner) -> bool {
    !context.store.knows(owner.kind, &owner.namespace) || context.store.object(owner).is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_object_was_written_when_its_newest_field_was() {
        let metadata = |times: &[&str]| -> ObjectMeta {
            let fields = times.iter().map(|time| serde_json::json!({"time": time}));
            let fields: Vec<_> = fields.collect();
            let created = "2026-01-01T00:00:00Z";
            serde_json::from_value(
                serde_json::json!({"creationTimestamp": created, "managedFields": fields}),
            )
            .unwrap()
        };
        for (times, newest) in [
            (&[][..], "2026-01-01T00:00:00Z"),
            (
                &["2026-03-01T00:00:00Z", "2026-02-01T00:00:00Z"],
                "2026-03-01T00:00:00Z",
            ),
        ] {
            assert_eq!(written(&metadata(times)), newest.parse().ok());
        }
        assert_eq!(written(&ObjectMeta::default()), None);
    }
}
