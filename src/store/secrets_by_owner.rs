//! Which Secrets an object keeps, by their commit records: after its Secret was given another name there are two for a while. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::core::PartialObjectMeta;
use kube::runtime::watcher::Event;

use crate::rotation::{CommitRecord, Owner};
use crate::store::secret::COMMIT_ANNOTATION;

/// A namespace and a name.
type Key = (String, String);

/// The Secrets of each object, as a watch shows them.
#[derive(Debug, Default)]
pub struct SecretsByOwner {
    owner_of: BTreeMap<Key, Owner>,
    secrets_of: BTreeMap<Owner, BTreeSet<String>>,
    /// What the list that is under way has shown.
    listed: BTreeSet<Key>,
}

impl SecretsByOwner {
    /// Takes note of an event.
    pub fn note<E>(&mut self, event: &Result<Event<PartialObjectMeta<Secret>>, E>) {
        match event {
            Ok(Event::Apply(secret)) => self.insert(secret),
            Ok(Event::InitApply(secret)) => {
                self.listed.insert(key(secret));
                self.insert(secret);
            }
            Ok(Event::Delete(secret)) => self.remove(&key(secret)),
            Ok(Event::Init) => self.listed.clear(),
            // What was deleted while the watch was interrupted is only missing in the list.
            Ok(Event::InitDone) => {
                let listed = std::mem::take(&mut self.listed);
                let known: Vec<_> = self.owner_of.keys().cloned().collect();
                for gone in known.iter().filter(|key| !listed.contains(key)) {
                    self.remove(gone);
                }
            }
            Err(_) => {}
        }
    }

    /// The names of the Secrets that an object keeps.
    pub fn by(&self, owner: &Owner) -> impl Iterator<Item = &str> {
        let names = self.secrets_of.get(owner);
        names.into_iter().flatten().map(String::as_str)
    }

    fn insert(&mut self, secret: &PartialObjectMeta<Secret>) {
        let key = key(secret);
        self.remove(&key);
        let record = secret.annotations().get(COMMIT_ANNOTATION);
        let record = record.and_then(|text| CommitRecord::from_json(text).ok());
        let owner = record.map(|record| record.owner);
        // NB: a record of another namespace came with a backup or a copy.
        if let Some(owner) = owner.filter(|owner| owner.namespace == key.0) {
            let names = self.secrets_of.entry(owner.clone()).or_default();
            names.insert(key.1.clone());
            self.owner_of.insert(key, owner);
        }
    }

    fn remove(&mut self, key: &Key) {
        let Some(owner) = self.owner_of.remove(key) else {
            return;
        };
        if let Some(names) = self.secrets_of.get_mut(&owner) {
            names.remove(&key.1);
            if names.is_empty() {
                self.secrets_of.remove(&owner);
            }
        }
    }
}

fn key(secret: &PartialObjectMeta<Secret>) -> Key {
    (secret.namespace().unwrap_or_default(), secret.name_any())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rotation::UnknownFields;

    fn owner(namespace: &str, uid: &str) -> Owner {
        Owner {
            namespace: namespace.into(),
            name: "api".into(),
            uid: uid.into(),
        }
    }

    fn secret(name: &str, owner: &Owner) -> PartialObjectMeta<Secret> {
        let record = CommitRecord {
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
        };
        let mut secret = PartialObjectMeta::<Secret>::default();
        secret.metadata.namespace = Some("orders".into());
        secret.metadata.name = Some(name.into());
        secret
            .annotations_mut()
            .insert(COMMIT_ANNOTATION.into(), record.to_json());
        secret
    }

    fn kept(kept: &SecretsByOwner, owner: &Owner) -> Vec<String> {
        kept.by(owner).map(ToOwned::to_owned).collect()
    }

    #[test]
    fn an_object_keeps_what_records_say_and_the_watch_still_shows() {
        let (this, that) = (owner("orders", "1"), owner("orders", "2"));
        let mut all = SecretsByOwner::default();
        let mut note = |event: Event<PartialObjectMeta<Secret>>| {
            all.note::<()>(&Ok(event));
            (kept(&all, &this), kept(&all, &that))
        };
        note(Event::Init);
        note(Event::InitApply(secret("a", &this)));
        let shown = note(Event::InitApply(secret("b", &this)));
        assert_eq!(shown.0, ["a", "b"]);
        note(Event::InitDone);
        let shown = note(Event::Apply(secret("b", &that)));
        assert_eq!(shown, (vec!["a".into()], vec!["b".into()]));
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
    fn a_record_of_another_namespace_has_no_owner() {
        let elsewhere = owner("billing", "1");
        let mut all = SecretsByOwner::default();
        all.note::<()>(&Ok(Event::Apply(secret("a", &elsewhere))));
        assert!(kept(&all, &elsewhere).is_empty());
    }
}
