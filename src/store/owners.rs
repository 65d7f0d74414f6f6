//! Which objects name which applications. No I/O.

use std::collections::{BTreeSet, HashMap};

use crate::api::{ApiAppSecret, ConditionType};
use crate::rotation::Owner;
use crate::target::{ObjectVersion, object_version, owner};

/// Which objects name which applications.
#[derive(Default)]
pub struct Owners {
    by_object: HashMap<(String, String), (Vec<AppKey>, Aged, Reported)>,
    by_app: HashMap<AppKey, BTreeSet<Aged>>,
}

/// When it was created, and which it is: older ones come first.
type Aged = (i64, Owner);

/// What may decide whether an object keeps others waiting: its version, whether it is being deleted, and why it is ready or not.
type Reported = (ObjectVersion, bool, Option<String>);

/// Connection, project and application.
type AppKey = (String, String, String);

impl Owners {
    /// Takes note of an object. The others come back that name an application which it named before, if it names that no more, or if
    /// it may keep them waiting no more.
    pub fn insert(&mut self, object: &ApiAppSecret) -> Vec<Owner> {
        let owner = owner(object);
        let key = (owner.namespace.clone(), owner.name.clone());
        let conditions = object.status.as_ref().map(|status| &status.conditions);
        let ready = conditions.and_then(|conditions| conditions.get(ConditionType::Ready));
        let reported: Reported = (
            object_version(&object.metadata),
            object.metadata.deletion_timestamp.is_some(),
            ready.map(|ready| ready.reason.clone()),
        );
        let same = self
            .by_object
            .get(&key)
            .is_some_and(|(_, _, before)| *before == reported);
        let before = self.remove(&owner.namespace, &owner.name);
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
        let apps: Vec<AppKey> = ids
            .into_iter()
            .map(|app| {
                let connection = spec.connection_name().to_owned();
                (connection, spec.project_id.clone(), app.to_owned())
            })
            .collect();
        let created = object
            .metadata
            .creation_timestamp
            .as_ref()
            .map_or(0, |time| time.0.as_second());
        let place = (created, owner);
        for app in &apps {
            let places = self.by_app.entry(app.clone()).or_default();
            places.insert(place.clone());
        }
        let still = |other: &Owner| {
            let places = apps.iter().filter_map(|app| self.by_app.get(app));
            places.flatten().any(|(_, owner)| owner == other)
        };
        let freed = before.into_iter();
        let freed = freed.filter(|other| !same || !still(other)).collect();
        self.by_object.insert(key, (apps, place, reported));
        freed
    }

    /// Forgets an object. The others that name an application of it come back.
    pub fn remove(&mut self, namespace: &str, name: &str) -> Vec<Owner> {
        let key = (namespace.to_owned(), name.to_owned());
        let Some((apps, place, _)) = self.by_object.remove(&key) else {
            return Vec::new();
        };
        let mut others = BTreeSet::new();
        for app in apps {
            let Some(places) = self.by_app.get_mut(&app) else {
                continue;
            };
            places.remove(&place);
            others.extend(places.iter().map(|(_, owner)| owner.clone()));
            if places.is_empty() {
                self.by_app.remove(&app);
            }
        }
        others.into_iter().collect()
    }

    /// Forgets objects that are gone from a namespace, or from all of them. The others that name the same applications come back.
    ///
    /// NB: what exists in another namespace is shown by another watch, whose list may be under way.
    pub fn retain(&mut self, within: Option<&str>, exists: impl Fn(&Owner) -> bool) -> Vec<Owner> {
        let gone: Vec<Owner> = self
            .by_object
            .values()
            .map(|(_, (_, owner), _)| owner)
            .filter(|owner| within.is_none_or(|within| within == owner.namespace))
            .filter(|owner| !exists(owner))
            .cloned()
            .collect();
        gone.iter()
            .flat_map(|owner| self.remove(&owner.namespace, &owner.name))
            .collect()
    }

    /// The older objects for applications of this one, and the application, the oldest first.
    pub fn older(&self, owner: &Owner) -> Vec<(String, Owner)> {
        let key = (owner.namespace.clone(), owner.name.clone());
        let Some((apps, place, _)) = self.by_object.get(&key) else {
            return Vec::new();
        };
        let places = apps
            .iter()
            .filter_map(|app| Some((app, self.by_app.get(app)?)));
        let mut older: Vec<_> = places
            .flat_map(|(app, places)| places.range(..place).map(move |aged| (aged, &app.2)))
            .collect();
        older.sort_unstable();
        let named = |((_, owner), app): (&Aged, &String)| (app.clone(), owner.clone());
        older.into_iter().map(named).collect()
    }
}

#[cfg(test)]
mod tests {
    use crate::api::ApiAppSecretStatus;

    use super::*;

    fn object(name: &str, created: i64) -> ApiAppSecret {
        let spec = serde_json::from_value(serde_json::json!({"projectId": "1", "appId": "2"}));
        let mut object = ApiAppSecret::new(name, spec.unwrap());
        object.metadata.namespace = Some("n".into());
        object.metadata.uid = Some(format!("uid-{name}"));
        let created = jiff::Timestamp::from_second(created).unwrap();
        object.metadata.creation_timestamp = Some(
            k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(created),
        );
        object
    }

    fn older(index: &Owners, object: &ApiAppSecret) -> Vec<Owner> {
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
        assert!(index.retain(Some("elsewhere"), |_| false).is_empty());
        assert_eq!(older(&index, &young), [owner(&old)]);
        let freed = index.retain(Some("n"), |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
        assert_eq!(older(&index, &young), []);
        index.insert(&old);
        let freed = index.retain(None, |exists| exists.name == "young");
        assert_eq!(freed, [owner(&young)]);
    }

    #[test]
    fn an_application_whose_pair_is_stored_is_the_objects_until_another_pair_is() {
        let mut old = object("old", 1);
        old.spec.app_id = "3".to_owned();
        let young = object("young", 2);
        let mut index = Owners::default();
        index.insert(&young);
        let storing = |active: &str| ApiAppSecretStatus {
            active_app_id: Some(active.to_owned()),
            ..ApiAppSecretStatus::default()
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
