//! Says in the status of each connection how many objects name it.

use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use kube::api::Patch;
use kube::{Api, ResourceExt as _};
use serde_json::json;

use crate::api::ZitadelConnection;
use crate::background::every;
use crate::reconcile::context::Context;
use crate::store::Store;
use crate::store::apply;
use crate::store::cache::Cache;

/// Between two counts at most.
const PERIOD: Duration = Duration::from_mins(1);

/// Counts from time to time: one write for each connection whose number has changed, however many objects came.
pub async fn count_objects_periodically(context: Arc<Context>) {
    let period = context.process.settings.drift_interval;
    let mut ticks = every(period.clamp(Duration::from_secs(1), PERIOD));
    loop {
        ticks.tick().await;
        // NB: a namespace that was not listed yet looks empty.
        let store = &context.store;
        if store.namespaces.values().all(Cache::is_synced) {
            report(&context, &count(store)).await;
        }
    }
}

/// How many objects name each connection.
fn count(store: &Store) -> HashMap<String, i64> {
    let mut counts = HashMap::new();
    for object in store.all_objects() {
        if let Some(name) = object.connection() {
            *counts.entry(name.to_owned()).or_default() += 1;
        }
    }
    counts
}

async fn report(context: &Context, counts: &HashMap<String, i64>) {
    let api: Api<ZitadelConnection> = Api::all(context.process.client.clone());
    for guarded in context.store.own_connections() {
        // One that was never checked has no status yet.
        let Ok(connection) = &guarded.0 else { continue };
        let Some(status) = &connection.status else {
            continue;
        };
        let name = connection.name_any();
        let objects = counts.get(&name).copied().unwrap_or_default();
        if status.objects == Some(objects) {
            continue;
        }
        let uid = connection.uid();
        let patch = json!({"metadata": {"uid": uid}, "status": {"objects": objects}});
        // NB: one that fails is counted again soon.
        if let Err(error) = api
            .patch_status(&name, &apply::patch(), &Patch::Merge(patch))
            .await
        {
            tracing::debug!(name, %error, "status.objects of a ZitadelConnection could not be written; it is tried again within a minute");
        }
    }
}
