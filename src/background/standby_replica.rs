//! What a replica does while another one leads: it watches open claims, so that the time for which they must be seen unchanged does not
//! begin only when the leader is known to be gone. It writes nothing and asks ZITADEL nothing.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::background::every;
use crate::ids::AttemptId;
use crate::reconcile::context::Context;
use crate::rotation::{Owner, Version};

/// Claims that are read at once.
const CONCURRENCY: usize = 8;

/// An open claim, and the Secret that its value would be written to.
struct Open {
    claim: String,
    /// The claims of its object: what is remembered of two applications is kept under one of them.
    of_object: Vec<String>,
    attempt: AttemptId,
    namespace: String,
    secret: String,
}

/// Reads every open claim and its Secret again and again while this replica does not lead. The watches say which ones are open; that
/// nothing moved is only taken from reads that were answered.
pub async fn watch(context: Arc<Context>) {
    let mut ticks = every(context.process.settings.timing.takeover / 8);
    let mut found = FoundOpen::default();
    loop {
        context.process.lead.standby().await;
        let reading = async {
            ticks.tick().await;
            let changes = context.store.changes();
            stream::iter(found.as_of(changes, || open(&context)))
                .for_each_concurrent(CONCURRENCY, |open| read(&context, open))
                .await;
        };
        tokio::select! {
            () = reading => {}
            true = context.process.lead.leading() => {}
        }
    }
}

/// The claims that were found open. Among ten thousand that rest they are looked for only when the watches have shown something.
#[derive(Default)]
struct FoundOpen {
    /// As of which change.
    changes: Option<u64>,
    open: Vec<Open>,
}

impl FoundOpen {
    /// The open claims as of this change. `find` finds them.
    fn as_of(&mut self, changes: u64, find: impl FnOnce() -> Vec<Open>) -> &[Open] {
        if self.changes != Some(changes) {
            self.open = find();
            self.changes = Some(changes);
        }
        &self.open
    }
}

/// The claims that are open by the watches.
fn open(context: &Context) -> Vec<Open> {
    let claims = context.store.claims.shown();
    let readable = || {
        let all = claims.iter();
        all.filter_map(|(name, kept)| Some((name, kept.record.as_ref().ok()?)))
    };
    let mut of: HashMap<&Owner, Vec<String>> = HashMap::new();
    for (name, claim) in readable() {
        of.entry(&claim.owner).or_default().push(name.clone());
    }
    readable()
        .filter_map(|(name, claim)| {
            let attempt = claim.live_attempt()?.id;
            let spec = context.store.object(&claim.owner)?.read().ok()?.spec;
            let open = Open {
                claim: name.clone(),
                of_object: of.get(&claim.owner).cloned().unwrap_or_default(),
                attempt,
                secret: spec.secret_name(&claim.owner.name).to_owned(),
                namespace: claim.owner.namespace.clone(),
            };
            (!carries(context, &open)).then_some(open)
        })
        .collect()
}

/// Whether the Secret carries the attempt by the watches, so that the claim is resolved.
fn carries(context: &Context, open: &Open) -> bool {
    let secret = context.store.secret(&open.namespace, &open.secret);
    let record = secret.and_then(|secret| secret.record());
    record.is_some_and(|record| {
        let mut entries = record.apps.values().map(|recorded| &recorded.entry);
        entries.any(|entry| entry.attempt == Some(open.attempt))
    })
}

async fn read(context: &Context, open: &Open) {
    let namespace = &context.process.settings.namespace;
    let leases: Api<Lease> = Api::namespaced(context.process.client.clone(), namespace);
    let secrets: Api<Secret> = Api::namespaced(context.process.client.clone(), &open.namespace);
    let (lease, secret) = futures::join!(
        leases.get_metadata_opt(&open.claim),
        secrets.get_metadata_opt(&open.secret)
    );
    let now = context.process.clock.boot();
    for name in &open.of_object {
        let state = context.app(name);
        let memory = &mut state.lock().memory;
        match (&lease, &secret) {
            (Ok(Some(lease)), Ok(secret)) => {
                let secret = secret.as_ref().map(|secret| version(&secret.metadata));
                memory.attempt_seen(open.attempt, now);
                memory.seen_unchanged(version(&lease.metadata), secret, now);
            }
            (Ok(None), Ok(_)) => {}
            (Err(_), _) | (_, Err(_)) => memory.read_failed(),
        }
    }
}

fn version(metadata: &kube::core::ObjectMeta) -> Version {
    Version {
        uid: metadata.uid.clone().unwrap_or_default(),
        revision: metadata.resource_version.clone().unwrap_or_default(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn open_claims_are_looked_for_only_when_something_has_changed() {
        let mut found = FoundOpen::default();
        let mut searched = 0;
        let counts = [0, 0, 0, 1, 1, 7, 7].map(|changes| {
            let all = found.as_of(changes, || {
                searched += 1;
                Vec::new()
            });
            assert!(all.is_empty());
            searched
        });
        assert_eq!(counts, [1, 1, 1, 2, 2, 3, 3]);
    }
}
