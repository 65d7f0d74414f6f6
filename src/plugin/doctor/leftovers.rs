//! What is left behind: claims, standby applications in ZITADEL, Secrets. No I/O.

use std::collections::HashSet;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::core::{ObjectMeta, PartialObjectMeta};

use crate::background::sweep::written;
use crate::ids::{AppId, ProjectId};
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::objects::{Known, Owned};
use crate::rotation::{Claim, CommitRecord, Owner, RecordError};
use crate::store::claim::KeptClaim;
use crate::store::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};
use crate::target::apps::claim_name;
use crate::zitadel::{AppRef, Issuer};

/// The operator deletes the claim of an application that no object names a day after its last rotation, and a little later.
const KEPT: SignedDuration = SignedDuration::from_hours(25);

/// The names of the claims of all objects.
fn claims_of_objects(known: &Known<'_>) -> HashSet<String> {
    let issuer = |name: &str| {
        let spec = &known.connections?.get(name)?.as_ref()?.spec;
        Issuer::parse(&spec.url, spec.allows_plaintext()).ok()
    };
    let of = |object: &Owned| {
        let issuer = issuer(&object.connection);
        let project = ProjectId::try_from(object.project.as_str()).ok();
        let apps = object.apps.iter().filter_map(|app| {
            let app = AppRef {
                organization: None,
                project: project.clone()?,
                app: AppId::try_from(app.as_str()).ok()?,
            };
            Some(claim_name(issuer.as_ref()?.as_str(), &app))
        });
        apps.collect::<Vec<_>>()
    };
    known.objects.iter().flat_map(of).collect()
}

fn uids(objects: &[Owned]) -> HashSet<&str> {
    objects.iter().map(|object| object.uid.as_str()).collect()
}

/// Judges the claims in a namespace of an operator.
pub fn claims(known: &Known<'_>, namespace: &str, leases: &[Lease]) -> Vec<Finding> {
    let wanted = claims_of_objects(known);
    let there = uids(known.objects);
    // NB: one that cannot be read may be that of an object in a namespace which is not listed, or whose connection is not known.
    let knows_all = known.scope.namespace.is_none() && known.connections.is_some();
    let mut findings = Vec::new();
    for lease in leases
        .iter()
        .filter(|lease| !wanted.contains(&lease.name_any()))
    {
        let name = lease.name_any();
        let object = format!("lease.coordination.k8s.io/{name}");
        let about = |finding: Finding| finding.about(namespace, object.as_str());
        let delete = format!("kubectl delete lease {name} --namespace {namespace}");
        match KeptClaim::from(lease).record {
            Ok(claim) if is_foreign(known, &claim) || there.contains(claim.owner.uid.as_str()) => {}
            Ok(claim) => {
                let orphan = orphan(&claim, &lease.metadata, known.now, &delete);
                findings.push(about(orphan));
                findings.extend(standby(&claim).map(about));
            }
            Err(_) if !knows_all => {}
            Err(RecordError::Newer) => {
                let message = "a newer version of the operator wrote the claim, and no object names its application: use the plugin of that version";
                findings.push(about(Finding::new(Check::Claim, Verdict::Warning, message)));
            }
            Err(RecordError::Unreadable) => {
                let message = "the claim cannot be read, and no object names its application: if the application is not in use, delete it";
                let finding = Finding::new(Check::Claim, Verdict::Warning, message);
                findings.push(about(finding.fix(delete)));
            }
        }
    }
    if findings.is_empty() {
        let message = format!("no claim in namespace {namespace} is left behind");
        findings.push(Finding::new(Check::Claim, Verdict::Ok, message));
    }
    findings
}

/// Whether a claim is of an object in a namespace that is not meant.
fn is_foreign(known: &Known<'_>, claim: &Claim) -> bool {
    let mut meant = known.scope.namespace.iter();
    meant.any(|meant| *meant != claim.owner.namespace)
}

/// A claim whose object is gone. The operator deletes it; where it has not, something keeps it from it.
fn orphan(claim: &Claim, metadata: &ObjectMeta, now: Timestamp, delete: &str) -> Finding {
    let owner = in_words(&claim.owner);
    let last = claim.last_rotation().max(written(metadata));
    let is_late = last.is_none_or(|last| now.duration_since(last) > KEPT);
    if is_late {
        let message = format!(
            "the claim of {owner} is left behind: the object is gone, and no operator has deleted the claim"
        );
        return Finding::new(Check::Claim, Verdict::Warning, message).fix(delete);
    }
    let message = format!(
        "the claim of {owner}, which is gone, remembers its rotations; the operator deletes it a day after the last one"
    );
    Finding::new(Check::Claim, Verdict::Info, message)
}

/// The application that the operator created, which outlives its object.
fn standby(claim: &Claim) -> Option<Finding> {
    let app = claim.standby.as_ref()?;
    let message = format!(
        "application {app}, which the operator created in ZITADEL as the standby of {}, is left behind: if no one uses its client secret, delete it in ZITADEL's console",
        in_words(&claim.owner)
    );
    Some(Finding::new(Check::Standby, Verdict::Warning, message))
}

fn in_words(owner: &Owner) -> String {
    format!("{} {}/{}", owner.kind, owner.namespace, owner.name)
}

/// Judges the Secrets that the operator wrote, by their metadata.
pub fn secrets(objects: &[Owned], secrets: &[PartialObjectMeta]) -> Vec<Finding> {
    let there = uids(objects);
    let mut findings: Vec<Finding> = secrets
        .iter()
        .filter_map(|secret| {
            let record = secret.annotations().get(COMMIT_ANNOTATION)?;
            let owner = CommitRecord::from_json(record).ok()?.owner;
            let namespace = secret.namespace().unwrap_or_default();
            // NB: what a tenant copies into another namespace is none of the operator's.
            if owner.namespace != namespace || there.contains(owner.uid.as_str()) {
                return None;
            }
            let name = secret.name_any();
            let message = format!(
                "it was kept when {} was deleted: no operator rotates it any more. Delete it, adopt it (`kubectl zitadel-secret import`), or take the operator's label off",
                in_words(&owner)
            );
            let finding = Finding::new(Check::Secret, Verdict::Info, message);
            let finding = finding.about(&namespace, format!("secret/{name}"));
            Some(finding.fix(format!(
                "kubectl label secret {name} --namespace {namespace} {MANAGED_LABEL}-"
            )))
        })
        .collect();
    if findings.is_empty() {
        let message = format!("each of {} Secrets has its object", secrets.len());
        findings.push(Finding::new(Check::Secret, Verdict::Ok, message));
    }
    findings
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::cluster::Scope;
    use crate::plugin::doctor::fixtures::{connections, now, owned};
    use crate::plugin::doctor::operators::Operators;
    use crate::store::claim::{CLAIM_ANNOTATION, CLAIM_LABEL};

    /// A claim of an object with that uid, written at that time.
    fn lease(name: &str, uid: &str, written: &str) -> Value {
        let record = json!({
            "version": 1, "owner": {"namespace": "orders", "name": "api", "uid": uid}, "issued": true, "standby": "77",
        });
        json!({
            "metadata": {
                "name": name, "namespace": "operators", "creationTimestamp": written, "labels": {CLAIM_LABEL: "true"},
                "annotations": {CLAIM_ANNOTATION: record.to_string()},
            },
        })
    }

    fn judged(lease: Value, namespace: Option<&str>) -> Vec<(Check, Verdict)> {
        let known = Known {
            objects: &[owned("api", |_| {})],
            connections: Some(&connections("b")),
            operators: &Operators::default(),
            scope: &Scope {
                namespace: namespace.map(ToOwned::to_owned),
                labels: None,
            },
            now: now(),
        };
        let lease = serde_json::from_value(lease).unwrap();
        let findings = claims(&known, "operators", &[lease]).into_iter();
        findings.map(|it| (it.check, it.result)).collect()
    }

    const OLD: &str = "2026-11-29T10:00:00Z";

    #[test]
    fn a_claim_is_left_behind_if_its_object_is_gone_and_no_object_names_its_application() {
        let ok = [(Check::Claim, Verdict::Ok)];
        let left = [
            (Check::Claim, Verdict::Warning),
            (Check::Standby, Verdict::Warning),
        ];
        assert_eq!(judged(lease("claim-1", "another", OLD), None), left);
        assert_eq!(
            judged(lease("claim-1", "another", OLD), Some("orders")),
            left
        );
        assert_eq!(
            judged(lease("claim-1", "another", OLD), Some("billing")),
            ok
        );
        assert_eq!(judged(lease("claim-1", "uid of api", OLD), None), ok);
        let app = AppRef {
            organization: None,
            project: ProjectId::try_from("1").unwrap(),
            app: AppId::try_from("2").unwrap(),
        };
        let named = claim_name("https://iam.example.com", &app);
        assert_eq!(judged(lease(&named, "another", OLD), None), ok);
    }

    #[test]
    fn a_claim_is_kept_for_a_day() {
        let fresh = judged(lease("claim-1", "another", "2026-11-30T10:00:00Z"), None);
        assert_eq!(fresh[0], (Check::Claim, Verdict::Info));
    }

    #[test]
    fn a_claim_that_cannot_be_read_is_left_behind_only_where_all_objects_are_known() {
        for text in ["", r#"{"version": 99}"#] {
            let mut lease = lease("claim-1", "another", OLD);
            lease["metadata"]["annotations"][CLAIM_ANNOTATION] = text.into();
            let found = judged(lease.clone(), None);
            assert_eq!(found, [(Check::Claim, Verdict::Warning)], "{text}");
            assert_eq!(judged(lease, Some("orders")), [(Check::Claim, Verdict::Ok)]);
        }
    }
}
