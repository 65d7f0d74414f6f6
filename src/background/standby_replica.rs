//! What a replica does while another one leads: it watches open claims, so that the time for which they must be seen unchanged does not
//! begin only when the leader is known to be gone. It writes nothing and asks ZITADEL nothing.

use std::collections::HashMap;
use std::sync::Arc;

use futures::{StreamExt as _, stream};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, ResourceExt as _};

use crate::background::every;
use crate::ids::AttemptId;
use crate::reconcile::context::Context;
use crate::rotation::{ClaimView, CommitRecord, Owner, Version};
use crate::store::claim;
use crate::store::secret::COMMIT_ANNOTATION;

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
    loop {
        context.process.lead.standby().await;
        let reading = async {
            ticks.tick().await;
            stream::iter(open(&context))
                .for_each_concurrent(CONCURRENCY, |open| read(&context, open))
                .await;
        };
        tokio::select! {
            () = reading => {}
            true = context.process.lead.leading() => {}
        }
    }
}

/// The claims that are open by the watches.
fn open(context: &Context) -> Vec<Open> {
    let leases = context.store.claims.state();
    let claims: Vec<_> = leases
        .iter()
        .filter_map(|lease| match claim::view(Some(lease), |_| false) {
            ClaimView::Present {
                record: Ok(claim), ..
            } => Some((lease.name_any(), claim)),
            _ => None,
        })
        .collect();
    let mut of: HashMap<&Owner, Vec<String>> = HashMap::new();
    for (name, claim) in &claims {
        of.entry(&claim.owner).or_default().push(name.clone());
    }
    claims
        .iter()
        .filter_map(|(name, claim)| {
            let attempt = claim.live_attempt()?.id;
            let object = context.store.object(&claim.owner)?;
            let spec = &object.0.as_ref().ok()?.spec;
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
    let record = secret
        .as_ref()
        .and_then(|secret| secret.annotations().get(COMMIT_ANNOTATION))
        .and_then(|text| CommitRecord::from_json(text).ok());
    record.is_some_and(|record| {
        let mut entries = record.apps.values().map(|recorded| &recorded.entry);
        entries.any(|entry| entry.attempt == Some(open.attempt))
    })
}

async fn read(context: &Context, open: Open) {
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
