//! Detects an API server that was restored from a backup.

use std::sync::Arc;
use std::time::Duration;

use kube::api::ObjectMeta;
use kube::{Api, Resource as _};

use crate::background::every;
use crate::reconcile::context::Context;
use crate::store::object::Object;
use crate::store::overlay::revision;

/// Checks whether the API server still has the newest object that the watches have shown. If what it has is older, or nothing twice in a
/// row, the watches show what is no more: its data went back. One request, however many objects there are.
pub async fn detect_restore(context: Arc<Context>) {
    let mut ticks = every(
        context
            .process
            .settings
            .drift_interval
            .max(Duration::from_secs(1)),
    );
    let mut absent = None;
    loop {
        ticks.tick().await;
        let objects = context.store.objects();
        let Some(newest) = objects.max_by_key(|object| version(object.meta())) else {
            continue;
        };
        let kind = newest.kind();
        let newest = newest.metadata();
        let (namespace, name) = (newest.namespace.clone(), newest.name.clone());
        let (namespace, name) = (namespace.unwrap_or_default(), name.unwrap_or_default());
        let client = context.process.client.clone();
        let api: Api<Object> = Api::namespaced_with(client, &namespace, &kind);
        let known = std::mem::take(&mut absent);
        match api.get_metadata_opt(&name).await {
            Ok(Some(found)) if found.metadata.uid == newest.uid => {
                if version(&found.metadata) < version(&newest) {
                    context
                        .process
                        .relist
                        .data_went_back(&format!("the newest {kind}"));
                }
            }
            Ok(_) if known == newest.uid => {
                context
                    .process
                    .relist
                    .data_went_back(&format!("no newest {kind}"));
            }
            Ok(_) => absent = newest.uid,
            Err(_) => {}
        }
    }
}

fn version(metadata: &ObjectMeta) -> u64 {
    revision(metadata.resource_version.as_deref().unwrap_or_default())
}
