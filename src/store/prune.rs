//! What of a watched object is kept in memory: how much a tenant writes into metadata must not decide how much memory the operator
//! needs. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{
    FieldsV1, ManagedFieldsEntry, ObjectMeta, OwnerReference,
};
use kube::Resource;

use crate::api::GROUP;
use crate::store::apply::FIELD_MANAGER;
use crate::store::reading::{applies, owned_keys};
use crate::store::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};

/// Objects of one page of a list. A page is in memory twice, as bytes and as objects, before anything of it can be dropped; an object
/// may have 256 KiB of annotations, and an API server's own page has 500 of them.
pub const PAGE: u32 = 25;
/// A longer commit record is none that the operator wrote: one of two applications has less than 2 KiB.
const LONGEST_RECORD: usize = 16 * 1024;

/// Labels, or annotations, of one Secret that are kept: twice what a spec may ask for.
const APPLIED: usize = 64;
/// A longer value is none that a spec may ask for: 1,024 characters of up to four bytes.
const LONGEST_VALUE: usize = 4096;
/// References to owners of one Secret that are kept. The operator writes one.
const OWNERS: usize = 8;

/// Drops what the operator never reads of an object: annotations, and `managedFields`.
pub fn annotations<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    metadata.managed_fields = None;
    metadata.annotations = None;
}

/// Drops of the metadata of an object that keeps a client secret all that its tenant may make large and the operator never reads: besides
/// annotations the labels, finalizers and owners.
pub fn metadata(metadata: &mut ObjectMeta) {
    metadata.managed_fields = None;
    metadata.annotations = None;
    metadata.labels = None;
    metadata.finalizers = None;
    metadata.owner_references = None;
}

/// Of a Secret keeps the commit record, the label by which it is watched, the labels, annotations and owners that the operator applied, and
/// who else applies one of its keys.
pub fn secret<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    let managers = metadata.managed_fields.take().unwrap_or_default();
    keep(
        &mut metadata.labels,
        MANAGED_LABEL,
        &applied(&managers, "f:labels"),
    );
    keep(
        &mut metadata.annotations,
        COMMIT_ANNOTATION,
        &applied(&managers, "f:annotations"),
    );
    shorten_record(metadata);
    metadata.finalizers = None;
    if let Some(owners) = &mut metadata.owner_references {
        owners.retain(may_be_ours);
        owners.truncate(OWNERS);
    }
    let record = metadata.annotations.as_ref();
    let record = record.and_then(|all| all.get(COMMIT_ANNOTATION));
    let others = record.map(|record| applied_by_others(&managers, record));
    metadata.managed_fields = others.filter(|others| !others.is_empty());
}

fn may_be_ours(owner: &OwnerReference) -> bool {
    let group = owner.api_version.split('/').next();
    group == Some(GROUP)
}

/// The field managers that apply a key of the record as well, with those keys alone.
fn applied_by_others(managers: &[ManagedFieldsEntry], record: &str) -> Vec<ManagedFieldsEntry> {
    /// One is enough to be named.
    const KEPT: usize = 2;
    /// The operator writes no more.
    const KEYS: usize = 7;
    let others = managers
        .iter()
        .filter(|entry| applies(entry) && entry.manager.as_deref() != Some(FIELD_MANAGER));
    let kept = others.filter_map(|entry| {
        // NB: the record has the names of all keys that the operator wrote, in quotes.
        let keys = owned_keys(entry).filter(|key| record.contains(&format!("\"{key}\"")));
        let keys: serde_json::Map<_, _> = keys
            .take(KEYS)
            .map(|key| (format!("f:{key}"), serde_json::json!({})))
            .collect();
        (!keys.is_empty()).then(|| ManagedFieldsEntry {
            manager: entry.manager.clone(),
            operation: entry.operation.clone(),
            fields_v1: Some(FieldsV1(serde_json::json!({"f:data": keys}))),
            ..ManagedFieldsEntry::default()
        })
    });
    kept.take(KEPT).collect()
}

/// An over-long record is as unreadable when it is empty.
fn shorten_record(metadata: &mut ObjectMeta) {
    let annotations = metadata.annotations.as_mut();
    let record = annotations.and_then(|all| all.get_mut(COMMIT_ANNOTATION));
    if let Some(record) = record.filter(|record| record.len() > LONGEST_RECORD) {
        *record = String::new();
    }
}

fn keep(all: &mut Option<BTreeMap<String, String>>, own: &str, applied: &BTreeSet<String>) {
    let mut kept = 0;
    if let Some(all) = all {
        all.retain(|name, value| {
            let is_applied = applied.contains(name) && value.len() <= LONGEST_VALUE;
            kept += usize::from(is_applied);
            name == own || (is_applied && kept <= APPLIED)
        });
    }
}

/// The names in one map of the metadata that the operator owns. An actor that changes a value becomes its owner, so a changed one is not kept
/// and reads as missing, which it is for the operator.
fn applied(managers: &[ManagedFieldsEntry], map: &str) -> BTreeSet<String> {
    let ours = managers
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some(FIELD_MANAGER));
    let fields = ours.filter_map(|entry| {
        let fields = entry.fields_v1.as_ref()?;
        fields.0.get("f:metadata")?.get(map)?.as_object()
    });
    let names = fields.flat_map(serde_json::Map::keys);
    names
        .filter_map(|name| Some(name.strip_prefix("f:")?.to_owned()))
        .collect()
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::core::v1::Secret;
    use serde_json::json;

    use super::*;

    fn sample(record: &str) -> Secret {
        let big = "x".repeat(200_000);
        serde_json::from_value(json!({"metadata": {
            "name": "a",
            "labels": {MANAGED_LABEL: "true", "team": "orders", "other": "1"},
            "annotations": {COMMIT_ANNOTATION: record, "mine": "1", "theirs": big},
            "managedFields": [
                {"manager": FIELD_MANAGER, "operation": "Apply", "fieldsV1": {"f:metadata": {
                    "f:labels": {".": {}, "f:team": {}},
                    "f:annotations": {"f:mine": {}},
                }}},
                {"manager": "kubectl", "operation": "Update", "fieldsV1": {"f:metadata": {
                    "f:labels": {"f:other": {}}, "f:annotations": {"f:theirs": {}},
                }}},
            ],
        }}))
        .unwrap()
    }

    #[test]
    fn of_a_secret_it_is_kept_who_else_applies_its_keys() {
        let mut found =
            sample(r#"{"key":"CLIENT_SECRET","fingerprint":{"keys":{"CLIENT_ID":""}}}"#);
        let other = |manager: &str, operation: &str, field: &str, key: &str| {
            let key = format!("f:{key}");
            let entry = json!({"manager": manager, "operation": operation, "fieldsV1": {field: {key: {}, "f:more": {}}}});
            serde_json::from_value(entry).unwrap()
        };
        found.metadata.managed_fields.as_mut().unwrap().extend([
            other("edit", "Update", "f:data", "CLIENT_SECRET"),
            other("flux", "Apply", "f:data", "CLIENT_SECRET"),
            other("argo", "Apply", "f:data", "OTHER"),
            other("kubectl", "Apply", "f:stringData", "CLIENT_ID"),
        ]);
        secret(&mut found);
        let kept = found.metadata.managed_fields.unwrap();
        let kept: Vec<_> = kept
            .iter()
            .map(|entry| {
                (
                    entry.manager.as_deref().unwrap(),
                    owned_keys(entry).collect::<Vec<_>>(),
                )
            })
            .collect();
        assert_eq!(
            kept,
            [
                ("flux", vec!["CLIENT_SECRET"]),
                ("kubectl", vec!["CLIENT_ID"])
            ]
        );
    }

    #[test]
    fn of_a_secret_only_what_the_operator_wrote_is_kept() {
        let mut found = sample("{}");
        secret(&mut found);
        let names = |all: Option<BTreeMap<String, String>>| all.unwrap().into_keys().collect();
        let labels: Vec<_> = names(found.metadata.labels);
        let annotations: Vec<_> = names(found.metadata.annotations);
        assert_eq!(labels, ["team", MANAGED_LABEL]);
        assert_eq!(annotations, ["mine", COMMIT_ANNOTATION]);
        assert_eq!(found.metadata.managed_fields, None);
    }

    #[test]
    fn a_record_that_is_too_long_is_kept_as_an_unreadable_one() {
        let mut found = sample(&"x".repeat(200_000));
        secret(&mut found);
        let annotations = found.metadata.annotations.unwrap();
        assert_eq!(annotations[COMMIT_ANNOTATION], "");
    }

    #[test]
    fn annotations_of_an_object_are_not_kept() {
        let mut found = sample("{}");
        annotations(&mut found);
        assert_eq!(found.metadata.annotations, None);
        assert!(found.metadata.labels.is_some());
    }

    #[test]
    fn whatever_else_a_tenant_makes_large_is_not_kept_either() {
        let mut found = sample("{}");
        let reference = |group: &str, uid: &str| json!({"apiVersion": format!("{group}/v1alpha1"), "kind": "K", "name": "a", "uid": uid});
        let foreign = (0..1000).map(|n| reference("example.com", &n.to_string()));
        let owners: Vec<_> = foreign.chain([reference(GROUP, "u")]).collect();
        let mut metadata = serde_json::to_value(&found.metadata).unwrap();
        metadata["ownerReferences"] = json!(owners);
        metadata["finalizers"] = json!(vec!["example.com/x"; 1000]);
        found.metadata = serde_json::from_value(metadata).unwrap();
        let mut kept = found.clone();
        secret(&mut kept);
        let owners = kept.metadata.owner_references.unwrap();
        assert_eq!((owners.len(), owners[0].uid.as_str()), (1, "u"));
        assert_eq!(kept.metadata.finalizers, None);
        self::metadata(&mut found.metadata);
        let ObjectMeta {
            labels,
            annotations,
            finalizers,
            owner_references,
            managed_fields,
            name,
            ..
        } = found.metadata;
        assert_eq!(name.as_deref(), Some("a"));
        assert_eq!((labels, annotations), (None, None));
        assert_eq!((finalizers, owner_references), (None, None));
        assert_eq!(managed_fields, None);
    }

    #[test]
    fn of_what_a_tenant_applies_in_the_operators_name_little_is_kept() {
        let mut found = sample("{}");
        let many: BTreeMap<_, _> = (0..1000)
            .map(|n| (format!("n{n}"), "1".to_owned()))
            .collect();
        let fields = many.keys().map(|name| (format!("f:{name}"), json!({})));
        let fields: serde_json::Map<_, _> = fields.collect();
        found.metadata.labels = Some(many);
        let annotations = found.metadata.annotations.as_mut().unwrap();
        annotations.insert("mine".to_owned(), "x".repeat(200_000));
        let managers = found.metadata.managed_fields.as_mut().unwrap();
        let ours = managers[0].fields_v1.as_mut().unwrap();
        ours.0["f:metadata"]["f:labels"] = json!(fields);
        secret(&mut found);
        assert_eq!(found.metadata.labels.unwrap().len(), APPLIED);
        let annotations = found.metadata.annotations.unwrap();
        assert_eq!(
            annotations.into_keys().collect::<Vec<_>>(),
            [COMMIT_ANNOTATION]
        );
    }
}
