//! Which objects name which applications. No I/O.

use std::collections::{BTreeSet, HashMap};
use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::sync::Arc;

use crate::api::{AppSecret, ConditionType, Kind};
use crate::rotation::Owner;
use crate::target::{object_version, owner};

/// Which objects name which applications.
#[derive(Default)]
pub struct Owners {
    by_object: HashMap<Key, Known>,
    /// The objects of each application, the oldest first: one, nearly always.
    by_app: HashMap<Arc<AppKey>, Vec<Arc<Aged>>>,
}

/// Kind, namespace and name.
type Key = (Kind, Box<str>, Box<str>);

/// What is known of an object.
struct Known {
    apps: Box<[Arc<AppKey>]>,
    aged: Arc<Aged>,
    reported: Reported,
}

/// When it was created, and which it is: older ones come first.
type Aged = (i64, Owner);

/// What may decide whether an object keeps others waiting, as a hash: its version, whether it is being deleted, and why it is ready or not.
type Reported = u64;

/// Connection, project and application.
pub type AppKey = (Box<str>, Box<str>, Box<str>);

impl Owners {
    /// Takes note of an object. The others come back that name an application which it named before, if it names that no more, or if
    /// it may keep them waiting no more.
    pub fn insert(&mut self, object: &AppSecret) -> Vec<Owner> {
        let owner = owner(object);
        let key = key(owner.kind, &owner.namespace, &owner.name);
        let conditions = object.status.as_ref().map(|status| &status.conditions);
        let ready = conditions.and_then(|conditions| conditions.get(ConditionType::Ready));
        let mut hasher = DefaultHasher::new();
        (
            object_version(&object.metadata),
            object.metadata.deletion_timestamp.is_some(),
            ready.map(|ready| &ready.reason),
        )
            .hash(&mut hasher);
        let reported = hasher.finish();
        let known = self.by_object.get(&key);
        let same = known.is_some_and(|known| known.reported == reported);
        let before = self.remove(owner.kind, &owner.namespace, &owner.name);
        let spec = &object.spec;
        // A standby that is named no more is the object's for as long as its pair is stored.
        let stored = object
            .status
            .as_ref()
            .and_then(|status| status.active_app_id.as_ref());
        let ids: BTreeSet<&str> = std::iter::once(spec.app_id.as_str())
            .chain(spec.standby_app_id())
            .chain(stored.map(String::as_str))
            .collect();
        let apps: Box<[Arc<AppKey>]> = ids
            .into_iter()
            .map(|app| {
                let project = spec.project_id.as_str();
                Arc::new((spec.connection_name().into(), project.into(), app.into()))
            })
            .collect();
        let created = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |time| time.0.as_second());
        let aged = Arc::new((created, owner));
        for app in &apps {
            let objects = self.by_app.entry(Arc::clone(app)).or_default();
            if let Err(at) = objects.binary_search(&aged) {
                objects.reserve_exact(1);
                objects.insert(at, Arc::clone(&aged));
            }
        }
        let still = |other: &Owner| {
            let objects = apps.iter().filter_map(|app| self.by_app.get(app));
            objects.flatten().any(|aged| aged.1 == *other)
        };
        let freed = before.into_iter();
        let freed = freed.filter(|other| !same || !still(other)).collect();
        let known = Known {
            apps,
            aged,
            reported,
        };
        self.by_object.insert(key, known);
        freed
    }

    /// Forgets an object. The others that name an application of it come back.
    pub fn remove(&mut self, kind: Kind, namespace: &str, name: &str) -> Vec<Owner> {
        let Some(Known { apps, aged, .. }) = self.by_object.remove(&key(kind, namespace, name))
        else {
            return Vec::new();
        };
        let mut others = BTreeSet::new();
        for app in &apps {
            let Some(objects) = self.by_app.get_mut(app) else {
                continue;
            };
            objects.retain(|object| *object != aged);
            others.extend(objects.iter().map(|object| object.1.clone()));
            if objects.is_empty() {
                self.by_app.remove(app);
            }
        }
        others.into_iter().collect()
    }

    /// Forgets objects of a kind that are gone from a namespace, or from all of them. The others that name the same applications come back.
    ///
    /// NB: what exists in another namespace, or of another kind, is shown by another watch, whose list may be under way.
    pub fn retain(
        &mut self,
        kind: Kind,
        within: Option<&str>,
        exists: impl Fn(&Owner) -> bool,
    ) -> Vec<Owner> {
        let gone: Vec<Owner> = self
            .by_object
            .values()
            .map(|known| &known.aged.1)
            .filter(|owner| {
                owner.kind == kind && within.is_none_or(|within| within == owner.namespace)
            })
            .filter(|owner| !exists(owner))
            .cloned()
            .collect();
        gone.iter()
            .flat_map(|owner| self.remove(owner.kind, &owner.namespace, &owner.name))
            .collect()
    }

    /// All applications that are named, or whose pair is stored.
    pub fn apps(&self) -> Vec<Arc<AppKey>> {
        self.by_app.keys().cloned().collect()
    }

    /// The objects of an application, the oldest first.
    pub fn of_app(&self, app: &AppKey) -> Vec<Owner> {
        let objects = self.by_app.get(app).into_iter().flatten();
        objects.map(|aged| aged.1.clone()).collect()
    }

    /// The older objects for applications of this one, and the application, the oldest first.
    pub fn older(&self, owner: &Owner) -> Vec<(String, Owner)> {
        let Some(known) = self
            .by_object
            .get(&key(owner.kind, &owner.namespace, &owner.name))
        else {
            return Vec::new();
        };
        let apps = known.apps.iter();
        let mut older: Vec<_> = apps
            .filter_map(|app| Some((app, self.by_app.get(app)?)))
            .flat_map(|(app, objects)| objects.iter().map(move |aged| (aged, &*app.2)))
            .filter(|(aged, _)| **aged < known.aged)
            .collect();
        older.sort_unstable();
        let named = |(aged, app): (&Arc<Aged>, &str)| (app.to_owned(), aged.1.clone());
        older.into_iter().map(named).collect()
    }
}

fn key(kind: Kind, namespace: &str, name: &str) -> Key {
    (kind, namespace.into(), name.into())
}

#[cfg(test)]
mod tests {
    use crate::api::{ApiAppSecret, AppSecretStatus};

    use super::*;

    fn object(name: &str, created: i64) -> AppSecret {
        let spec = serde_json::from_value(serde_json::json!({"projectId": "1", "appId": "2"}));
        let mut object = AppSecret::from(ApiAppSecret::new(name, spec.unwrap()));
        object.metadata.namespace = Some("n".into());
        object.metadata.uid = Some(format!("uid-{name}"));
        let created = jiff::Timestamp::from_second(created).unwrap();
        object.metadata.creation_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created),
        );
        object
    }

    fn older(index: &Owners, object: &AppSecret) -> Vec<Owner> {
        let older = index.older(&owner(object));
        older.into_iter().map(|(_, owner)| owner).collect()
    }

    #[test]
    fn an_object_that_is_gone_is_no_rival_also_where_its_deletion_was_never_shown() {
        let (old, young) = (object("old", 1), object("young", 2));
        let mut index = Owners::default();
        index.insert(&old);
        index.insert(&young);
        assert_eq!(older(&index, &young), [owner(&old)]);
        assert_eq!(older(&index, &old), []);
        assert!(
            index
                .retain(Kind::ApiApp, Some("elsewhere"), |_| false)
                .is_empty()
        );
        assert_eq!(older(&index, &young), [owner(&old)]);
        let freed = index.retain(Kind::ApiApp, Some("n"), |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
        assert_eq!(older(&index, &young), []);
        index.insert(&old);
        let freed = index.retain(Kind::ApiApp, None, |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
    }

    #[test]
    fn an_application_whose_pair_is_stored_is_the_objects_until_another_pair_is() {
        let mut old = object("old", 1);
        old.spec.app_id = "3".to_owned();
        let young = object("young", 2);
        let mut index = Owners::default();
        index.insert(&young);
        let storing = |active: &str| AppSecretStatus {
            active_app_id: Some(active.to_owned()),
            ..AppSecretStatus::default()
        };
        old.status = Some(storing("2"));
        index.insert(&old);
        assert_eq!(index.older(&owner(&young)), [("2".to_owned(), owner(&old))]);
        assert_eq!(index.insert(&old), []);
        old.metadata.generation = Some(2);
        assert_eq!(
            index.insert(&old),
            [owner(&young)],
            "it may be invalid by now"
        );
        old.status = Some(storing("3"));
        assert_eq!(index.insert(&old), [owner(&young)]);
        assert_eq!(index.older(&owner(&young)), []);
    }
}
