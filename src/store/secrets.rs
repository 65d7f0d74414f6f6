//! The Secrets with our label as a watch shows them: what is kept of them, and which object keeps which. No I/O.
//!
//! Never their data, and of their metadata only what reading one takes, in a form that costs a few allocations: a map with one label in
//! it takes half a kilobyte.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use crate::rotation::{CommitRecord, Owner, Version};
use crate::store::prune;
use crate::store::secret::COMMIT_ANNOTATION;
use crate::store::shown::Shown;

/// A namespace and a name.
type Key = (Box<str>, Box<str>);

/// What is kept of a Secret.
#[derive(Debug, PartialEq, Eq)]
pub struct KeptSecret {
    /// Its revision.
    pub version: Version,
    /// The commit record, as it is annotated.
    record: Option<Box<str>>,
    /// The uid of the object that it is kept for, by the record.
    owner: Option<Box<str>>,
    /// The rest of its metadata, as JSON.
    rest: Box<str>,
}

impl KeptSecret {
    /// What is kept of a Secret with this pruned metadata.
    fn new(metadata: &ObjectMeta) -> Self {
        let mut rest = metadata.clone();
        let version = Version {
            uid: rest.uid.take().unwrap_or_default(),
            revision: rest.resource_version.take().unwrap_or_default(),
        };
        let namespace = rest.namespace.take().unwrap_or_default();
        let annotations = rest.annotations.as_mut();
        let record = annotations.and_then(|all| all.remove(COMMIT_ANNOTATION));
        (rest.name, rest.generation, rest.creation_timestamp) = (None, None, None);
        let parsed = record.as_deref().map(CommitRecord::from_json);
        let owner = parsed.and_then(Result::ok).map(|record| record.owner);
        // NB: a record of another namespace came with a backup or a copy.
        let owner = owner.filter(|owner| owner.namespace == namespace);
        Self {
            version,
            owner: owner.map(|owner| owner.uid.into()),
            record: record.map(Into::into),
            // NB: maps of strings serialize, always.
            rest: serde_json::to_string(&rest).unwrap_or_default().into(),
        }
    }

    /// Its commit record, if that can be read.
    pub fn record(&self) -> Option<CommitRecord> {
        CommitRecord::from_json(self.record.as_ref()?).ok()
    }

    /// Its metadata, as far as it is kept.
    pub fn metadata(&self) -> ObjectMeta {
        let mut metadata: ObjectMeta = serde_json::from_str(&self.rest).unwrap_or_default();
        metadata.uid = Some(self.version.uid.clone());
        metadata.resource_version = Some(self.version.revision.clone());
        if let Some(record) = &self.record {
            let annotations = metadata.annotations.get_or_insert_default();
            annotations.insert(COMMIT_ANNOTATION.to_owned(), record.to_string());
        }
        metadata
    }
}

/// The Secrets of one watch.
#[derive(Debug, Default)]
pub struct Secrets(Mutex<Kept>);

#[derive(Debug, Default)]
struct Kept {
    all: Shown<Key, KeptSecret>,
    /// By the uid of an object: the names of the Secrets that are kept for it. After its Secret was given another name there are two for
    /// a while.
    of_owner: HashMap<Box<str>, Vec<Box<str>>>,
}

impl Secrets {
    /// Takes note of an event. What has changed comes back, also what is gone.
    pub fn note(&self, event: &Event<PartialObjectMeta<Secret>>) -> Vec<(Key, Arc<KeptSecret>)> {
        let mut kept = self.0.lock();
        if let Event::Apply(secret) | Event::Delete(secret) = event {
            kept.unindex(&key(&secret.metadata));
        }
        let changed = kept.all.note(event, |secret| {
            (key(&secret.metadata), KeptSecret::new(&secret.metadata))
        });
        let Kept { all, of_owner } = &mut *kept;
        match event {
            Event::Apply(_) => {
                for (key, secret) in &changed {
                    index(of_owner, key, secret);
                }
            }
            Event::InitDone => {
                of_owner.clear();
                for (key, secret) in all.shown() {
                    index(of_owner, key, secret);
                }
            }
            Event::Delete(_) | Event::Init | Event::InitApply(_) => {}
        }
        changed
    }

    /// Takes note of a Secret that this process wrote. It counts until the watch has shown it.
    pub fn wrote(&self, secret: &Secret) {
        let mut metadata = PartialObjectMeta::<Secret> {
            metadata: secret.metadata.clone(),
            ..PartialObjectMeta::default()
        };
        prune::secret(&mut metadata);
        let secret = KeptSecret::new(&metadata.metadata);
        let revision = secret.version.revision.clone();
        let all = &mut self.0.lock().all;
        all.wrote(key(&metadata.metadata), &revision, secret);
    }

    /// A Secret as it was written last: by this process, or by the watch.
    pub fn get(&self, namespace: &str, name: &str) -> Option<Arc<KeptSecret>> {
        let key = (namespace.into(), name.into());
        self.0.lock().all.get(&key).cloned()
    }

    /// The names of the Secrets that an object keeps, by their records, as the watch shows them.
    pub fn of_owner(&self, owner: &Owner) -> Vec<String> {
        let kept = self.0.lock();
        let names = kept.of_owner.get(owner.uid.as_str());
        let is_owners = |name: &&str| {
            let key = (owner.namespace.as_str().into(), (*name).into());
            let record = kept
                .all
                .shown()
                .get(&key)
                .and_then(|secret| secret.record());
            record.is_some_and(|record| record.owner == *owner)
        };
        let names = names.into_iter().flatten().map(|name| &**name);
        names.filter(is_owners).map(ToOwned::to_owned).collect()
    }
}

impl Kept {
    /// Takes a Secret out of the index.
    fn unindex(&mut self, key: &Key) {
        let Some(owner) = self
            .all
            .shown()
            .get(key)
            .and_then(|gone| gone.owner.as_ref())
        else {
            return;
        };
        if let Some(names) = self.of_owner.get_mut(owner) {
            names.retain(|name| *name != key.1);
            if names.is_empty() {
                self.of_owner.remove(owner);
            }
        }
    }
}

fn index(of_owner: &mut HashMap<Box<str>, Vec<Box<str>>>, key: &Key, secret: &KeptSecret) {
    if let Some(owner) = &secret.owner {
        let names = of_owner.entry(owner.clone()).or_default();
        // NB: most objects have one.
        names.reserve_exact(1);
        names.push(key.1.clone());
    }
}

fn key(metadata: &ObjectMeta) -> Key {
    let text = |text: &Option<String>| text.as_deref().unwrap_or_default().into();
    (text(&metadata.namespace), text(&metadata.name))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use kube::ResourceExt as _;

    use super::*;
    use crate::rotation::UnknownFields;
    use crate::store::secret::MANAGED_LABEL;

    fn owner(namespace: &str, uid: &str) -> Owner {
        Owner {
            namespace: namespace.into(),
            name: "api".into(),
            uid: uid.into(),
        }
    }

    fn record(owner: &Owner) -> CommitRecord {
        CommitRecord {
            version: CommitRecord::VERSION,
            owner: owner.clone(),
            scope: String::new(),
            active: "1".try_into().unwrap(),
            key: String::new(),
            template: String::new(),
            apps: BTreeMap::new(),
            fingerprint: None,
            published_time: None,
            trigger: None,
            unknown: UnknownFields::default(),
        }
    }

    fn secret(name: &str, owner: &Owner) -> PartialObjectMeta<Secret> {
        let mut secret = PartialObjectMeta::<Secret>::default();
        secret.metadata.namespace = Some("orders".into());
        secret.metadata.name = Some(name.into());
        secret
            .annotations_mut()
            .insert(COMMIT_ANNOTATION.into(), record(owner).to_json());
        secret
    }

    #[test]
    fn an_object_keeps_what_records_say_and_the_watch_still_shows() {
        let (this, that) = (owner("orders", "1"), owner("orders", "2"));
        let all = Secrets::default();
        let note = |event: Event<PartialObjectMeta<Secret>>| {
            all.note(&event);
            let mut names = all.of_owner(&this);
            names.sort();
            (names, all.of_owner(&that))
        };
        note(Event::Init);
        note(Event::InitApply(secret("a", &this)));
        note(Event::InitApply(secret("b", &this)));
        let shown = note(Event::InitDone);
        assert_eq!(shown.0, ["a", "b"]);
        // However often it is written.
        for _ in 0..2 {
            let shown = note(Event::Apply(secret("b", &that)));
            assert_eq!(shown, (vec!["a".into()], vec!["b".into()]));
        }
        // Another list leaves one out.
        note(Event::Init);
        note(Event::InitApply(secret("b", &that)));
        let shown = note(Event::InitDone);
        assert_eq!(shown, (vec![], vec!["b".into()]));
        assert_eq!(
            note(Event::Delete(secret("b", &that))).1,
            Vec::<String>::new()
        );
    }

    #[test]
    fn a_record_of_another_namespace_belongs_to_no_object() {
        let elsewhere = owner("billing", "1");
        let all = Secrets::default();
        all.note(&Event::Apply(secret("a", &elsewhere)));
        assert_eq!(all.of_owner(&elsewhere), [""; 0]);
    }

    #[test]
    fn what_a_list_leaves_out_comes_back_as_changed() {
        let all = Secrets::default();
        all.note(&Event::Apply(secret("a", &owner("orders", "1"))));
        all.note(&Event::Init);
        let missed = all.note(&Event::InitDone);
        assert_eq!(missed.len(), 1);
        assert_eq!(&*missed[0].0.1, "a");
        assert_eq!(all.get("orders", "a"), None);
    }

    /// A Secret of every shape that pruning leaves.
    #[test]
    fn what_is_kept_of_a_secret_reads_as_its_pruned_metadata() {
        let fields = |map: &str, names: &[&str]| {
            let names = names
                .iter()
                .map(|name| (format!("f:{name}"), serde_json::json!({})));
            serde_json::json!({"f:metadata": {map: names.collect::<serde_json::Map<_, _>>()}})
        };
        let mut written: Secret = serde_json::from_value(serde_json::json!({
            "metadata": {
                "name": "a", "namespace": "orders", "uid": "u", "resourceVersion": "7",
                "labels": {MANAGED_LABEL: "true", "team": "orders"},
                "annotations": {COMMIT_ANNOTATION: record(&owner("orders", "1")).to_json(), "note": "\"quoted\""},
                "ownerReferences": [{"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "name": "api", "uid": "1"}],
                "managedFields": [
                    {"manager": crate::store::apply::FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields("f:labels", &["team"])},
                    {"manager": crate::store::apply::FIELD_MANAGER, "operation": "Apply", "fieldsV1": fields("f:annotations", &["note"])},
                ],
            },
            "data": {"CLIENT_SECRET": "c2VjcmV0"},
        }))
        .unwrap();
        let all = Secrets::default();
        all.wrote(&written);
        let kept = all.get("orders", "a").unwrap();
        prune::secret(&mut written);
        let metadata = ObjectMeta {
            name: None,
            namespace: None,
            ..written.metadata.clone()
        };
        assert_eq!(metadata.labels.as_ref().map(BTreeMap::len), Some(2));
        assert_eq!(metadata.annotations.as_ref().map(BTreeMap::len), Some(2));
        assert_eq!(kept.metadata(), metadata);
        assert_eq!(kept.record(), Some(record(&owner("orders", "1"))));
        assert!(!format!("{kept:?}").contains("c2VjcmV0"));
    }
}
