//! Claims as Leases: read and made. No I/O.

use k8s_openapi::api::coordination::v1::Lease;
use serde_json::{Value as Json, json};

use crate::rotation::{Claim, ClaimView, Owner, RecordError, Version};
use crate::store::secret::put;

/// The label of claims.
pub const CLAIM_LABEL: &str = "zitadel-secrets.dev/claim";
/// The annotation with the claim.
pub const CLAIM_ANNOTATION: &str = "zitadel-secrets.dev/claim";

/// The claim in a Lease. `elsewhere` says whether an owner is another object that exists and means this application.
pub fn view(lease: Option<&Lease>, elsewhere: impl Fn(&Owner) -> bool) -> ClaimView {
    let Some(lease) = lease else {
        return ClaimView::Absent;
    };
    let text = lease
        .metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(CLAIM_ANNOTATION));
    let record = text.map_or(Err(RecordError::Unreadable), |text| Claim::from_json(text));
    let version = Version {
        uid: lease.metadata.uid.clone().unwrap_or_default(),
        revision: lease.metadata.resource_version.clone().unwrap_or_default(),
    };
    let held_elsewhere = record.as_ref().is_ok_and(|claim| elsewhere(&claim.owner));
    ClaimView::Present {
        version,
        record,
        held_elsewhere,
    }
}

/// The Lease of a claim.
pub fn lease(namespace: &str, name: &str, claim: &Claim, over: Option<&Version>) -> Json {
    let mut metadata = json!({
        "name": name,
        "namespace": namespace,
        "labels": {CLAIM_LABEL: "true"},
        "annotations": {CLAIM_ANNOTATION: claim.to_json()},
    });
    if let Some(version) = over {
        // NB: a PUT of a Lease with a stale resourceVersion of a deleted object creates it again; with the uid it does not.
        put(&mut metadata, "uid", version.uid.as_str());
        put(&mut metadata, "resourceVersion", version.revision.as_str());
    }
    let holder = claim
        .live_attempt()
        .map(|attempt| format!("{}/{}", attempt.holder.pod, attempt.holder.process));
    json!({
        "apiVersion": "coordination.k8s.io/v1",
        "kind": "Lease",
        "metadata": metadata,
        "spec": {"holderIdentity": holder},
    })
}
