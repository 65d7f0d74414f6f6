//! Claims: read from Leases, kept, and made. No I/O.

use std::sync::Arc;

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use serde_json::{Value as Json, json};

use crate::rotation::{Claim, ClaimView, Owner, RecordError, Version};
use crate::store::secret::put;
use crate::store::shown::Shown;

/// The label of claims.
pub const CLAIM_LABEL: &str = "zitadel-secrets.dev/claim";
/// The annotation with the claim.
pub const CLAIM_ANNOTATION: &str = "zitadel-secrets.dev/claim";

/// A claim as its Lease has it: all that is kept of the Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct KeptClaim {
    /// The Lease's revision.
    pub version: Version,
    /// Its content.
    pub record: Result<Claim, RecordError>,
}

impl From<&Lease> for KeptClaim {
    fn from(lease: &Lease) -> Self {
        let text = lease.annotations().get(CLAIM_ANNOTATION);
        let version = Version {
            uid: lease.metadata.uid.clone().unwrap_or_default(),
            revision: lease.metadata.resource_version.clone().unwrap_or_default(),
        };
        Self {
            version,
            record: text.map_or(Err(RecordError::Unreadable), |text| Claim::from_json(text)),
        }
    }
}

impl KeptClaim {
    /// The claim for decisions. `elsewhere` says whether an owner is another object that exists and means this application.
    pub fn view(kept: Option<&Self>, elsewhere: impl Fn(&Owner) -> bool) -> ClaimView {
        let Some(Self { version, record }) = kept else {
            return ClaimView::Absent;
        };
        let held_elsewhere = record.as_ref().is_ok_and(|claim| elsewhere(&claim.owner));
        ClaimView::Present {
            version: version.clone(),
            record: record.clone(),
            held_elsewhere,
        }
    }
}

/// All claims, by the names of their Leases.
#[derive(Debug, Default)]
pub struct Claims(Mutex<Shown<String, KeptClaim>>);

impl Claims {
    /// Takes note of an event. Those that have changed come back, also those that are gone.
    pub fn note(&self, event: &Event<Lease>) -> Vec<(String, Arc<KeptClaim>)> {
        let read = |lease: &Lease| (lease.name_any(), KeptClaim::from(lease));
        self.0.lock().note(event, read)
    }

    /// Takes note of a claim that this process wrote. It counts until the watch has shown it.
    pub fn wrote(&self, lease: &Lease) {
        let claim = KeptClaim::from(lease);
        let revision = claim.version.revision.clone();
        self.0.lock().wrote(lease.name_any(), &revision, claim);
    }

    /// A claim as it was written last: by this process, or by the watch.
    pub fn get(&self, name: &str) -> Option<Arc<KeptClaim>> {
        self.0.lock().get(name).cloned()
    }

    /// All claims as the watch shows them, by name.
    pub fn shown(&self) -> Vec<(String, Arc<KeptClaim>)> {
        let kept = self.0.lock();
        let all = kept.shown().iter();
        all.map(|(name, claim)| (name.clone(), Arc::clone(claim)))
            .collect()
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

#[cfg(test)]
mod tests {
    use super::*;

    fn lease(name: &str, revision: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.name = Some(name.into());
        lease.metadata.resource_version = Some(revision.into());
        lease
    }

    fn names(changed: Vec<(String, Arc<KeptClaim>)>) -> Vec<String> {
        let mut names: Vec<_> = changed.into_iter().map(|(name, _)| name).collect();
        names.sort();
        names
    }

    fn list(claims: &Claims, names_and_revisions: &[(&str, &str)]) -> Vec<String> {
        claims.note(&Event::Init);
        for (name, revision) in names_and_revisions {
            claims.note(&Event::InitApply(lease(name, revision)));
        }
        names(claims.note(&Event::InitDone))
    }

    fn revision(claims: &Claims, name: &str) -> Option<String> {
        claims.get(name).map(|claim| claim.version.revision.clone())
    }

    #[test]
    fn what_a_list_leaves_out_is_gone_and_comes_back_as_changed() {
        let claims = Claims::default();
        assert_eq!(list(&claims, &[("a", "1"), ("b", "2")]), [""; 0]);
        claims.note(&Event::Init);
        claims.note(&Event::InitApply(lease("b", "2")));
        assert!(
            claims.get("a").is_some(),
            "a list that was begun is no whole list"
        );
        assert_eq!(list(&claims, &[("b", "2")]), ["a"]);
        assert_eq!(claims.get("a"), None);
        assert_eq!(names(claims.note(&Event::Delete(lease("b", "3")))), ["b"]);
        assert_eq!(claims.shown(), []);
    }

    #[test]
    fn an_own_write_counts_until_the_watch_shows_it() {
        let claims = Claims::default();
        list(&claims, &[("a", "1")]);
        claims.wrote(&lease("a", "3"));
        claims.wrote(&lease("b", "4"));
        assert_eq!(revision(&claims, "a").as_deref(), Some("3"));
        claims.note(&Event::Apply(lease("a", "2")));
        assert_eq!(revision(&claims, "a").as_deref(), Some("3"));
        claims.note(&Event::Apply(lease("a", "3")));
        claims.note(&Event::Delete(lease("b", "5")));
        assert_eq!(revision(&claims, "a").as_deref(), Some("3"));
        assert_eq!(claims.get("b"), None, "it was deleted after it was written");
    }
}
