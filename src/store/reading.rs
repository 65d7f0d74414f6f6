//! A Secret as it is read: what decisions need of it, and who else writes it. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{ManagedFieldsEntry, ObjectMeta};
use kube::api::Patch;
use serde_json::{Value as Json, json};

use crate::api::{DeletionPolicy, Reason};
use crate::ids::AppId;
use crate::rotation::{
    CommitRecord, Entry, Failure, Fingerprint, HandledTrigger, Origin, Owner, RecordError,
    Recorded, SecretState, SecretView, Slot, Value, Version,
};
use crate::store::apply::FIELD_MANAGER;
use crate::store::secret::{COMMIT_ANNOTATION, MANAGED_LABEL, SecretTarget};
use crate::target::Target;
use crate::zitadel::ClientSecret;

/// What is known of a Secret, and the value in it if the data was read.
pub struct Reading {
    /// For decisions.
    pub view: SecretView,
    /// Its commit record, whatever application it speaks of.
    pub commit: Option<CommitRecord>,
    /// The client secret.
    pub value: Option<ClientSecret>,
    /// The client id in it.
    pub client_id: Option<String>,
    /// The names of its keys, if the data was read.
    pub keys: Vec<String>,
    /// What was posted, if something was applied since.
    posted: Option<Posted>,
    /// What is not as the operator writes it.
    pub undone: Option<Undone>,
    /// Who writes the client secret, or applies one of the keys, besides the operator.
    pub writer: Option<Writer>,
    /// The type of the Secret, if it was read.
    pub type_: Option<String>,
}

/// Who writes a key of the Secret besides the operator.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Writer {
    /// The field manager.
    pub manager: String,
    /// The key.
    pub key: String,
    /// Whether it applies the key, so that it would write it again and again.
    pub applies: bool,
}

/// Something that the operator wrote and that is not so any more.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Undone {
    /// What.
    what: String,
    /// The field manager that wrote the Secret last besides the operator.
    manager: Option<String>,
}

impl Undone {
    /// As the failure of the write that was undone. Without another field manager it is admission that undoes it.
    pub fn failure(&self) -> Failure {
        let (reason, answer) = match &self.manager {
            Some(manager) => (
                Reason::SecretContested,
                format!("{}; last written by field manager {manager}", self.what),
            ),
            None => (Reason::SecretMutated, format!("changed: {}", self.what)),
        };
        Failure {
            answer: Some(answer),
            ..Failure::new(reason, false)
        }
    }
}

impl Reading {
    /// The patch that takes the ownership of what was posted off the Secret, and the keys that were only posted and are not wanted any
    /// more. The API server takes apply and everything else for two owners, and a field that either of them has is not removed when
    /// the other lets go of it.
    pub fn disowned(&self) -> Option<Patch<Json>> {
        let posted = self.posted.as_ref()?;
        let left_over = posted.left_over.iter();
        let data: serde_json::Map<_, _> = left_over.map(|key| (key.clone(), Json::Null)).collect();
        // NB: not a JSON patch: the API server calls one that comes too late unprocessable, as it does what a policy refuses.
        Some(Patch::Merge(json!({
            "metadata": {
                "uid": self.view.version.uid,
                "resourceVersion": self.view.version.revision,
                "managedFields": posted.others,
            },
            "data": data,
        })))
    }
}

/// Reads a Secret's metadata, and its data if there is any. `exists` says whether an `ApiAppSecret` is there and still names this
/// Secret.
pub fn read(
    place: SecretTarget<'_>,
    metadata: &ObjectMeta,
    full: Option<&Secret>,
    exists: impl Fn(&Owner) -> bool,
) -> Reading {
    let target = place.target;
    let annotation = metadata
        .annotations
        .as_ref()
        .and_then(|all| all.get(COMMIT_ANNOTATION));
    let labelled = metadata
        .labels
        .as_ref()
        .is_some_and(|all| all.contains_key(MANAGED_LABEL));
    let commit = annotation
        .map(|text| CommitRecord::from_json(text))
        .transpose();
    let record = commit.as_ref().ok().and_then(Option::as_ref);
    let Spoken {
        active,
        recorded,
        idle,
    } = spoken(place, record);
    let view_commit = match &commit {
        Err(RecordError::Newer) => Err(RecordError::Newer),
        Err(RecordError::Unreadable) => Err(RecordError::Unreadable),
        Ok(_) => Ok(recorded.map(|recorded| recorded.entry.clone())),
    };
    let owned = record.is_some_and(|record| record.owner == target.owner);
    let held_elsewhere = record
        .map(|record| &record.owner)
        .filter(|owner| **owner != target.owner && exists(owner))
        .cloned();
    let data = &target.secret.data;
    let held = full.and_then(|secret| held(secret, record, data.secret_key()));
    let version = Version {
        uid: metadata.uid.clone().unwrap_or_default(),
        revision: metadata.resource_version.clone().unwrap_or_default(),
    };
    let has = |all: &Option<BTreeMap<String, String>>, wanted: &BTreeMap<String, String>| {
        wanted
            .iter()
            .all(|(name, value)| all.as_ref().and_then(|all| all.get(name)) == Some(value))
    };
    let data_rendered =
        full.is_none_or(|secret| has_data(place, secret, recorded.zip(record), held.as_ref()));
    let posted = full.and_then(|secret| {
        let kept = record.map(|record| record.key.as_str());
        posted(secret, &data.keys().chain(kept).collect())
    });
    let rendered = labelled
        && posted
            .as_ref()
            .is_none_or(|posted| posted.left_over.is_empty())
        && record.is_some_and(|record| record.template == place.template_hash())
        && has(&metadata.labels, &target.secret.labels)
        && has(&metadata.annotations, &target.secret.annotations)
        && owner_reference(metadata, &target.owner)
            == (target.secret.deletion == DeletionPolicy::Delete)
        && data_rendered;
    let value = match (full, &held) {
        (None, _) => Value::Unseen,
        (Some(_), Some(_)) => Value::Present,
        (Some(_), None) => Value::Absent,
    };
    let origin = origin(record, full);
    let kept = record.map_or(data.secret_key(), |record| &record.key);
    let writer = writer(target, kept, metadata);
    let is_applied = writer.as_ref().is_some_and(|writer| writer.applies);
    let refused = full.and_then(|secret| refused(target, secret));
    let refused = refused.or(is_applied.then_some(Reason::SecretContested));
    let view = SecretView {
        version,
        managed: labelled || annotation.is_some(),
        active,
        idle,
        commit: view_commit,
        held_elsewhere,
        owned,
        value,
        origin,
        fingerprint: held
            .as_ref()
            .map(|held| Fingerprint::of(place.salt, held.expose().as_bytes())),
        handled_trigger: record.map_or(HandledTrigger::Unrecorded, CommitRecord::handled_trigger),
        rendered,
        refused,
        co_written: writer.is_some(),
    };
    Reading {
        view,
        commit: commit.ok().flatten(),
        value: held,
        client_id: full.and_then(|secret| text(secret, data.client_id_key()?)),
        keys: full.map_or_else(Vec::new, key_names),
        posted,
        undone: full.and_then(|_| undone(target, metadata, data_rendered)),
        writer,
        type_: full.and_then(|secret| secret.type_.clone()),
    }
}

/// The client secret. It is where the commit record says, also when the key has a new name, or two keys swap theirs.
fn held(secret: &Secret, record: Option<&CommitRecord>, key: &str) -> Option<ClientSecret> {
    let data = secret.data.as_ref()?;
    let of = |key: &str| {
        data.get(key)
            .and_then(|bytes| ClientSecret::try_from(bytes.0.as_slice()).ok())
    };
    record
        .and_then(|record| of(&record.key))
        .or_else(|| of(key))
}

/// Who applies one of the declared keys besides the operator, or else who wrote the client secret last.
fn writer(target: &Target, kept: &str, metadata: &ObjectMeta) -> Option<Writer> {
    let others = metadata.managed_fields.iter().flatten();
    let others = others.filter_map(|entry| {
        let manager = entry.manager.as_deref()?;
        (manager != FIELD_MANAGER).then_some((entry, manager))
    });
    let named = |entry: &ManagedFieldsEntry, manager: &str, key: &str| Writer {
        manager: manager.to_owned(),
        key: key.to_owned(),
        applies: applies(entry),
    };
    let secret = target.secret.data.secret_key();
    let applied = others.clone().filter(|(entry, _)| applies(entry));
    let applied = applied.filter_map(|(entry, manager)| {
        let owns = |key: &&str| owned_keys(entry).any(|owned| owned == *key);
        let key = std::iter::once(secret)
            .chain(target.secret.data.keys())
            .find(owns)?;
        Some(named(entry, manager, key))
    });
    let changed = || {
        let changed = others.filter(|(entry, _)| owned_keys(entry).any(|owned| owned == kept));
        let last = changed.max_by_key(|(entry, _)| entry.time.as_ref().map(|time| time.0))?;
        Some(named(last.0, last.1, kept))
    };
    let mut applied = applied;
    applied.next().or_else(changed)
}

/// What of the metadata is not as the operator writes it, and which field manager wrote the Secret last besides the operator.
fn undone(target: &Target, metadata: &ObjectMeta, data_rendered: bool) -> Option<Undone> {
    let differs = |all: &Option<BTreeMap<String, String>>, name: &str, value: Option<&str>| {
        let found = all.as_ref().and_then(|all| all.get(name));
        found.map(String::as_str) != value && (value.is_some() || found.is_none())
    };
    let labels = target.secret.labels.iter();
    let label = std::iter::once((MANAGED_LABEL, None))
        .chain(labels.map(|(name, value)| (name.as_str(), Some(value.as_str()))))
        .find(|(name, value)| differs(&metadata.labels, name, *value))
        .map(|(name, _)| format!("label {name}"));
    let annotations = target.secret.annotations.iter();
    let annotation = || {
        std::iter::once((COMMIT_ANNOTATION, None))
            .chain(annotations.map(|(name, value)| (name.as_str(), Some(value.as_str()))))
            .find(|(name, value)| differs(&metadata.annotations, name, *value))
            .map(|(name, _)| format!("annotation {name}"))
    };
    let owner = || {
        let wanted = target.secret.deletion == DeletionPolicy::Delete;
        let differs = owner_reference(metadata, &target.owner) != wanted;
        differs.then(|| "metadata.ownerReferences".to_owned())
    };
    let data = || (!data_rendered).then(|| "a key in data".to_owned());
    let what = label.or_else(annotation).or_else(owner).or_else(data)?;
    let others = metadata.managed_fields.iter().flatten();
    let other = others
        .filter(|entry| entry.manager.as_deref() != Some(FIELD_MANAGER))
        .max_by_key(|entry| entry.time.as_ref().map(|time| time.0))
        .and_then(|entry| entry.manager.clone());
    Some(Undone {
        what,
        manager: other,
    })
}

fn key_names(secret: &Secret) -> Vec<String> {
    secret
        .data
        .iter()
        .flat_map(BTreeMap::keys)
        .cloned()
        .collect()
}

/// Whether a Secret has the declared keys, with what is recorded and what is made of the client secret in it.
fn has_data(
    place: SecretTarget<'_>,
    secret: &Secret,
    known: Option<(&Recorded, &CommitRecord)>,
    held: Option<&ClientSecret>,
) -> bool {
    let stored = |key: &str| Some(&secret.data.as_ref()?.get(key)?.0);
    let Some(((recorded, record), held)) = known.zip(held) else {
        let mut keys = place.target.secret.data.keys();
        return keys.all(|key| stored(key).is_some());
    };
    let wanted = place.data(&record.active, &recorded.client_id, held.expose());
    wanted
        .iter()
        .all(|(key, value)| stored(key).is_some_and(|stored| stored == value.as_bytes()))
}

/// What a commit record says of an object's applications.
struct Spoken<'a> {
    active: Slot,
    recorded: Option<&'a Recorded>,
    idle: Option<Entry>,
}

fn spoken<'a>(place: SecretTarget<'_>, record: Option<&'a CommitRecord>) -> Spoken<'a> {
    let target = place.target;
    let here = record.filter(|record| record.scope == place.scope);
    let standby = standby(target, here);
    let active = match here.map(|record| &record.active) {
        Some(active) if Some(active) == standby.as_ref() => Slot::Standby,
        _ => Slot::Primary,
    };
    let of = |slot| {
        let app = match slot {
            Slot::Primary => Some(&target.app.app),
            Slot::Standby => standby.as_ref(),
        };
        here.and_then(|record| record.apps.get(app?))
    };
    // A record of an application that the object does not know is no record of its value.
    let known = |record: &CommitRecord| active == Slot::Standby || record.active == target.app.app;
    let recorded = of(active).filter(|_| here.is_some_and(known));
    let idle = recorded.and_then(|_| of(active.other()));
    Spoken {
        active,
        recorded,
        idle: idle.map(|recorded| recorded.entry.clone()),
    }
}

/// The application beside the one that `spec.appId` names: the one whose pair is stored, if that is another, or else the standby.
/// A standby that the object names no more is one for as long as its pair is stored.
pub fn standby(target: &Target, record: Option<&CommitRecord>) -> Option<AppId> {
    let former = record
        .filter(|record| record.owner == target.owner && record.stored().is_some())
        .map(|record| &record.active)
        .filter(|active| **active != target.app.app);
    former.or(target.standby.as_ref()).cloned()
}

fn text(secret: &Secret, key: &str) -> Option<String> {
    let stored = secret.data.as_ref()?.get(key)?;
    String::from_utf8(stored.0.clone()).ok()
}

fn owner_reference(metadata: &ObjectMeta, owner: &Owner) -> bool {
    metadata
        .owner_references
        .iter()
        .flatten()
        .any(|reference| reference.uid == owner.uid)
}

/// Why the API server would refuse a change.
fn refused(target: &Target, secret: &Secret) -> Option<Reason> {
    if secret.immutable == Some(true) {
        return Some(Reason::SecretImmutable);
    }
    if secret.type_.as_deref().unwrap_or("Opaque") != target.secret.type_ {
        return Some(Reason::SecretTypeMismatch);
    }
    None
}

/// Whose the client secret is, by its bytes: admission may change what the operator writes, and anyone may write in its name.
fn origin(record: Option<&CommitRecord>, full: Option<&Secret>) -> Origin {
    let known = record.and_then(|record| {
        let data = full?.data.as_ref();
        let stored = data.and_then(|data| data.get(&record.key));
        let stored = stored.map_or(&[][..], |bytes| &bytes.0);
        Some(record.fingerprint.as_ref()?.origin(&record.key, stored))
    });
    known.unwrap_or(Origin::Unknown)
}

/// The keys of a Secret's data that a field manager owns. One that applies `stringData` owns them there.
pub(crate) fn owned_keys(entry: &ManagedFieldsEntry) -> impl Iterator<Item = &str> {
    let fields = entry.fields_v1.as_ref().map(|fields| &fields.0);
    let maps = ["f:data", "f:stringData"].into_iter();
    let maps = maps.filter_map(move |map| fields?.get(map)?.as_object());
    let keys = maps.flat_map(serde_json::Map::keys);
    keys.filter_map(|key| key.strip_prefix("f:"))
}

/// What the operator has posted.
struct Posted {
    /// What `managedFields` says of everybody else, and of what was applied.
    others: Vec<ManagedFieldsEntry>,
    /// The keys that are only in it, and that no one wants any more.
    left_over: BTreeSet<String>,
}

/// What was posted, if something was applied since: as long as nothing was, it is all that there is.
fn posted(secret: &Secret, wanted: &BTreeSet<&str>) -> Option<Posted> {
    let managers = secret.metadata.managed_fields.as_ref()?;
    let ours = |entry: &ManagedFieldsEntry, operation| {
        entry.operation.as_deref() == Some(operation)
            && entry.manager.as_deref() == Some(FIELD_MANAGER)
    };
    let entry = managers.iter().position(|entry| ours(entry, "Update"))?;
    if !managers.iter().any(|entry| ours(entry, "Apply")) {
        return None;
    }
    let mut others = managers.clone();
    let entry = others.remove(entry);
    let mut left_over: BTreeSet<String> = owned_keys(&entry).map(ToOwned::to_owned).collect();
    let kept: BTreeSet<&str> = others.iter().flat_map(owned_keys).collect();
    left_over.retain(|key| !wanted.contains(key.as_str()) && !kept.contains(key.as_str()));
    Some(Posted { others, left_over })
}

/// A declarative tool would write its value again and again; a single edit by hand would not.
pub(crate) fn applies(entry: &ManagedFieldsEntry) -> bool {
    entry.operation.as_deref() == Some("Apply")
}

/// The state for decisions.
pub fn state(reading: Option<&Reading>) -> SecretState {
    reading.map_or(SecretState::Absent, |reading| {
        SecretState::Present(reading.view.clone())
    })
}
