//! What of a watched object is kept in memory: how much a tenant writes into metadata must not decide how much memory the operator
//! needs. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::Resource;

use super::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};
use super::write::FIELD_MANAGER;

/// Objects of one page of a list. A page is in memory twice, as bytes and as objects, before anything of it can be dropped; an object
/// may have 256 KiB of annotations, and an API server's own page has 500 of them.
pub const PAGE: u32 = 25;
/// A longer commit record is none that the operator wrote: one of two applications has less than 2 KiB.
const LONGEST_RECORD: usize = 16 * 1024;

/// Drops `managedFields`.
pub fn managed_fields<K: Resource>(object: &mut K) {
    object.meta_mut().managed_fields = None;
}

/// Drops what the operator never reads of an object: annotations, and `managedFields`.
pub fn annotations<K: Resource>(object: &mut K) {
    let metadata = object.meta_mut();
    metadata.managed_fields = None;
    metadata.annotations = None;
}

/// Of a Secret keeps the commit record, the label by which it is watched, and the labels and annotations that the operator applied.
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
    if let Some(all) = all {
        all.retain(|name, _| name == own || applied.contains(name));
    }
}

/// The names in one map of the metadata that the operator owns. Whoever changes a value becomes its owner, so a changed one is not kept
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
}
