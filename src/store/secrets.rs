//! The Secrets with our label as a watch shows them: what is kept of them, and which object keeps which. No I/O.
//!
//! Never their data, and of their metadata only what reading one takes, packed: a map with one label in it takes half a kilobyte.

use std::collections::HashMap;
use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::core::{ObjectMeta, PartialObjectMeta};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;

use crate::rotation::{CommitRecord, Owner, Version};
use crate::store::packed::Packed;
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
    /// The uid of the object that it is kept for, by the record.
    owner: Option<Box<str>>,
    /// The rest of its metadata, with the commit record.
    rest: Option<Packed>,
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
        (rest.name, rest.generation, rest.creation_timestamp) = (None, None, None);
        let owner = record(&rest).map(|record| record.owner);
        // NB: a record of another namespace came with a backup or a copy.
        let owner = owner.filter(|owner| owner.namespace == namespace);
        Self {
            version,
            owner: owner.map(|owner| owner.uid.into()),
            // NB: maps of strings serialize, always.
            rest: Packed::new(&rest).ok(),
        }
    }

    /// Its commit record, if that can be read.
    pub fn record(&self) -> Option<CommitRecord> {
        record(&self.rest.as_ref()?.read().ok()?)
    }

    /// Its metadata, as far as it is kept.
    pub fn metadata(&self) -> ObjectMeta {
        let rest = self.rest.as_ref().and_then(|rest| rest.read().ok());
        ObjectMeta {
            uid: Some(self.version.uid.clone()),
            resource_version: Some(self.version.revision.clone()),
            ..rest.unwrap_or_default()
        }
    }
}

/// The commit record that is annotated, if there is one and it can be read.
fn record(metadata: &ObjectMeta) -> Option<CommitRecord> {
    let record = metadata.annotations.as_ref()?.get(COMMIT_ANNOTATION)?;
    CommitRecord::from_json(record).ok()
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
            kind: crate::api::Kind::ApiApp,
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

    #[test]
    fn a_secret_takes_little_room() {
        let uid = "8efbbaa9-8e4b-4c39-8ff2-f8d592ace5f9";
        let json = r#"{"version":1,"owner":{"namespace":"shop","name":"payments","uid":"UID"},"scope":"2967ece327f009cb9ecf76fe8fdf211e","active":"471359388500920558","key":"CLIENT_SECRET","template":"6835a9249f062d3332e5f55310faff7d","apps":{"471359388500920558":{"attempt":"02b33ba1-8a4c-78b4-a2f2-3c3d7caf8430","sequence":"5","changeDate":"2026-03-04T05:06:07.839245Z","clientId":"471359388500855021"}},"fingerprint":{"salt":"a1d87dbe2f592b7367987fbea28250007139c09872953d4d1f04f20e0fbb0bdb","keys":{"CLIENT_ID":"b2edcc03b32ab970edb08c3b3886d428f26a5f5f1f31f002db2b5550f325d195","CLIENT_SECRET":"c30b958cd507f6e238a22d6854e7ff710d8f890f473060078fcc9e02de7989f8"}},"publishedTime":"2026-03-04T05:06:07.861365289Z","trigger":"0"}"#;
        let mut found = secret("payments", &owner("shop", uid));
        found.metadata.namespace = Some("shop".into());
        found
            .annotations_mut()
            .insert(COMMIT_ANNOTATION.into(), json.replace("UID", uid));
        found
            .labels_mut()
            .insert(MANAGED_LABEL.into(), "true".into());
        let kept = KeptSecret::new(&found.metadata);
        assert_eq!(kept.owner.as_deref(), Some(uid));
        let packed = kept.rest.unwrap().len();
        // Two thirds of it are hashes and identifiers.
        assert!(packed <= 460, "{packed} bytes");
    }
}
