//! The Pods that use a credential: a rotation has ended when each of them has the new value.
//!
//! A [`rotation`] is followed from its write on, until every consumer has the value. Once in a while the Pods of the namespace are looked
//! at in a [`pass`], for all of its rotations together: [`find`] says how a Pod uses a Secret, [`judge`] which value it has, [`tally`] adds
//! up. Pods that mount the Secret are prompted to refresh their files, [`restart`] replaces those that keep the former value, where the
//! object asks for it. [`registry`] has the rotations, [`pod`] and [`workload`] are what is read of either, [`requests`] the only requests.
//!
//! Nothing is remembered that matters: a process that takes over finds out from the commit record and the Pods. While no rotation is
//! followed, nothing is asked.

pub mod find;
pub mod judge;
mod pass;
pub mod pod;
mod registry;
pub mod requests;
pub mod restart;
pub mod rotation;
pub mod tally;
#[cfg(test)]
mod tests;
pub mod workload;

use std::sync::Arc;

use crate::consumers::registry::Registry;
pub use crate::consumers::registry::{Abilities, Handles};
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::{Followed, Progress, Totals};
use crate::ids::AttemptId;
use crate::rotation::{Owner, Uptake};

/// The consumers of all rotations that are not finished; clones share them.
#[derive(Clone)]
pub struct Consumers(Arc<Registry>);

impl Consumers {
    /// No rotation is followed yet.
    pub fn new(handles: Handles) -> Self {
        Self(Arc::new(Registry::new(handles)))
    }

    /// Whether the operator is to look at Pods at all.
    pub fn sees_pods(&self) -> bool {
        let abilities = self.0.handles.abilities;
        abilities.refresh || abilities.restart
    }

    /// The time on the control plane's clock.
    pub fn now(&self) -> jiff::Timestamp {
        self.0.now()
    }

    /// Follows a rotation until every consumer has its value. What is known of it.
    pub fn follow(&self, rotation: Rotation) -> Followed {
        if !self.sees_pods() {
            return Followed {
                rotation,
                progress: Progress::Unseen,
            };
        }
        let mut namespaces = self.0.namespaces.lock();
        let name = rotation.owner.namespace.clone();
        let namespace = namespaces.entry(name.clone()).or_default();
        let uid = rotation.owner.uid.clone();
        let known = namespace.rotations.get(&uid);
        let followed = match known.filter(|known| known.rotation.attempt == rotation.attempt) {
            Some(known) => known.with(rotation),
            None => Followed {
                rotation,
                progress: Progress::Counting,
            },
        };
        if known == Some(&followed) {
            return followed;
        }
        // NB: that its value was written a little earlier is no reason to stop prompting.
        if known.is_none_or(|known| !known.asks_the_same(&followed)) {
            namespace.news.notify_one();
        }
        namespace.rotations.insert(uid, followed.clone());
        if !std::mem::replace(&mut namespace.at_work, true) {
            let work = pass::follow_namespace(Arc::clone(&self.0), name);
            self.0.handles.tasks.spawn(work);
        }
        followed
    }

    /// How far the consumers of an object's rotation are; none where it is not followed.
    pub fn progress(&self, namespace: &str, uid: &str, attempt: AttemptId) -> Option<Progress> {
        let namespaces = self.0.namespaces.lock();
        let followed = namespaces.get(namespace)?.rotations.get(uid)?;
        let same = followed.rotation.attempt == attempt;
        same.then(|| followed.progress.clone())
    }

    /// Whether consumers may hold the pair before the stored one, whose overlap lasts until they do not.
    pub fn awaited(&self, owner: &Owner, attempt: AttemptId) -> Uptake {
        if !self.sees_pods() {
            return Uptake::Unseen;
        }
        match self.progress(&owner.namespace, &owner.uid, attempt) {
            Some(Progress::Unseen) => Uptake::Unseen,
            Some(progress) if progress.is_complete() => Uptake::Current,
            // They are followed from the next report on.
            Some(_) | None => Uptake::Behind,
        }
    }

    /// The consumers of all rotations that were followed.
    pub fn totals(&self) -> Totals {
        let now = self.now();
        let mut totals = Totals::default();
        let namespaces = self.0.namespaces.lock();
        for followed in namespaces.values().flat_map(|it| it.rotations.values()) {
            totals.add(&followed.progress, followed.rotation.deadline() <= now);
        }
        totals
    }

    /// Follows an object's rotation no more.
    pub fn forget(&self, namespace: &str, uid: &str) {
        let mut namespaces = self.0.namespaces.lock();
        if let Some(namespace) = namespaces.get_mut(namespace) {
            namespace.rotations.remove(uid);
        }
    }

    /// Forgets the rotations of objects that are gone.
    pub fn retain(&self, keep: impl Fn(&str) -> bool) {
        let mut namespaces = self.0.namespaces.lock();
        for namespace in namespaces.values_mut() {
            namespace.rotations.retain(|uid, _| keep(uid));
        }
        namespaces.retain(|_, it| it.at_work || !it.rotations.is_empty());
    }
}
