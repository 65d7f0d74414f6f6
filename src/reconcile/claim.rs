//! Writes a claim, over a revision of it.

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;

use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::rotation::{Claim, Slot, Version};
use crate::store::apply;
use crate::store::claim;

/// Writes the claim of an application over the revision given, or creates it. What was written is known at once, and wakes nobody.
///
/// # Errors
///
/// The API server did not confirm the write.
pub(crate) async fn put(
    context: &Context,
    reconciliation: &Reconciliation,
    slot: Slot,
    claim: &Claim,
    over: Option<&Version>,
) -> Result<(), kube::Error> {
    let namespace = &context.process.settings.namespace;
    let api: Api<Lease> = Api::namespaced(context.process.client.clone(), namespace);
    let name = &reconciliation.application(slot).claim;
    let lease = claim::lease(namespace, name, claim, over);
    let lease = serde_json::from_value(lease).map_err(kube::Error::SerdeError)?;
    let owner = &reconciliation.target.owner;
    let writing = context.store.own_claims.begin(namespace, name, || {
        // NB: another actor has written it meanwhile: perhaps for another object.
        context.store.wake(owner);
        if let Some(Ok(claim)) = context
            .store
            .claims
            .get(name)
            .as_deref()
            .map(|it| &it.record)
        {
            context.store.wake(&claim.owner);
        }
    });
    let written = match over {
        Some(_) => api.replace(name, &apply::put(), &lease).await?,
        None => api.create(&apply::put(), &lease).await?,
    };
    writing.written(&written);
    context.store.claims.wrote(&written);
    Ok(())
}
