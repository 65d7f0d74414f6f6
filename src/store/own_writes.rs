//! Which events of a watch show nothing but what this process has just written. No I/O.
//!
//! Such an event is no reason to reconcile: the reconciliation that wrote goes on from there, or ended with it. It is known by the exact
//! revision that the API server answered the write with, so that no change by another actor is missed.

use std::collections::{HashMap, HashSet};

use kube::runtime::watcher::Event;
use kube::{Resource, ResourceExt as _};
use parking_lot::Mutex;

/// Namespace and name.
type Key = (String, String);

/// The writes of this process to the objects of one watch.
#[derive(Debug, Default)]
pub struct OwnWrites(Mutex<HashMap<Key, Own>>);

#[derive(Debug, Default)]
struct Own {
    /// Whether a write is under way: its revision is not known yet.
    writing: bool,
    /// The revisions that the watch has shown meanwhile.
    shown: HashSet<String>,
    /// The revision of the last write, until the watch shows it.
    written: Option<String>,
}

/// A write that is under way.
#[derive(Debug)]
pub struct Writing<'a, F: Fn()> {
    all: &'a OwnWrites,
    key: Key,
    /// Has the object reconciled.
    wake: F,
    revision: Option<String>,
}

impl OwnWrites {
    /// A write begins. Until it ends, the events of the object wait for its revision. `wake` has the object reconciled if one of them
    /// showed anything else.
    pub fn begin<F: Fn()>(&self, namespace: &str, name: &str, wake: F) -> Writing<'_, F> {
        let key = (namespace.to_owned(), name.to_owned());
        self.0.lock().entry(key.clone()).or_default().writing = true;
        Writing {
            all: self,
            key,
            wake,
            revision: None,
        }
    }

    /// Whether an event is no reason to reconcile now.
    pub fn explain<K: Resource, E>(&self, event: &Result<Event<K>, E>) -> bool {
        let mut all = self.0.lock();
        match event {
            Ok(Event::Apply(object)) => {
                let revision = object.resource_version().unwrap_or_default();
                let key = key(object);
                let Some(own) = all.get_mut(&key) else {
                    return false;
                };
                if own.writing {
                    own.shown.insert(revision);
                    return true;
                }
                let same = own.written.as_ref() == Some(&revision);
                if same {
                    all.remove(&key);
                }
                same
            }
            Ok(Event::Delete(object)) => {
                let key = key(object);
                all.retain(|known, own| own.writing || *known != key);
                false
            }
            // NB: what a list shows may have been changed by another actor while nothing was watched, so nothing in it is explained.
            Ok(Event::InitDone) => {
                all.retain(|_, own| own.writing);
                false
            }
            Ok(Event::Init | Event::InitApply(_)) | Err(_) => false,
        }
    }
}

fn key<K: Resource>(object: &K) -> Key {
    (object.namespace().unwrap_or_default(), object.name_any())
}

impl<F: Fn()> Writing<'_, F> {
    /// The API server answered the write with this revision.
    pub fn written<K: Resource>(mut self, object: &K) {
        self.revision = object.resource_version();
    }
}

/// NB: also where the write failed, or its answer never came: what the watch has shown meanwhile is reconciled.
impl<F: Fn()> Drop for Writing<'_, F> {
    fn drop(&mut self) {
        let mut all = self.all.0.lock();
        let mut shown = all.remove(&self.key).unwrap_or_default().shown;
        if let Some(revision) = self.revision.take()
            && !shown.remove(&revision)
        {
            let own = Own {
                written: Some(revision),
                ..Own::default()
            };
            all.insert(self.key.clone(), own);
        }
        drop(all);
        if !shown.is_empty() {
            (self.wake)();
        }
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;
    use std::convert::Infallible;

    use k8s_openapi::api::coordination::v1::Lease;

    use super::*;

    fn lease(revision: &str) -> Lease {
        let mut lease = Lease::default();
        lease.metadata.namespace = Some("operator".into());
        lease.metadata.name = Some("claim".into());
        lease.metadata.resource_version = Some(revision.into());
        lease
    }

    fn explain(all: &OwnWrites, revision: &str) -> bool {
        all.explain::<_, Infallible>(&Ok(Event::Apply(lease(revision))))
    }

    /// Which of the events before and after the answer to a write are no reason to reconcile, and how often the object is woken.
    fn seen(before: &[&str], answer: Option<&str>, after: &[&str]) -> (Vec<bool>, u32) {
        let (all, woken) = (OwnWrites::default(), Cell::new(0));
        let writing = all.begin("operator", "claim", || woken.set(woken.get() + 1));
        let mut explained: Vec<_> = before.iter().map(|it| explain(&all, it)).collect();
        match answer {
            Some(revision) => writing.written(&lease(revision)),
            None => drop(writing),
        }
        explained.extend(after.iter().map(|it| explain(&all, it)));
        (explained, woken.get())
    }

    #[test]
    fn the_event_of_an_own_write_is_no_reason_to_reconcile_before_its_answer_or_after_it() {
        assert_eq!(seen(&["7"], Some("7"), &[]), (vec![true], 0));
        assert_eq!(seen(&[], Some("7"), &["7"]), (vec![true], 0));
    }

    #[test]
    fn a_change_by_another_actor_is_reconciled_whenever_it_comes() {
        for before in [&["6", "7"][..], &["7", "8"], &["6", "7", "8"], &["6"]] {
            let (_, woken) = seen(before, Some("7"), &[]);
            assert_eq!(woken, 1, "{before:?}");
        }
        let after = seen(&[], Some("7"), &["6", "7", "8", "7"]);
        assert_eq!(after.0, [false, true, false, false]);
        assert_eq!(seen(&["7"], Some("7"), &["8"]), (vec![true, false], 0));
    }

    #[test]
    fn what_was_shown_during_a_write_that_failed_is_reconciled() {
        assert_eq!(seen(&["7"], None, &["8"]), (vec![true, false], 1));
        assert_eq!(seen(&[], None, &["7"]), (vec![false], 0));
    }

    #[test]
    fn what_is_gone_or_was_listed_is_forgotten_unless_it_is_being_written() {
        let all = OwnWrites::default();
        let done = || Ok::<_, Infallible>(Event::<Lease>::InitDone);
        for event in [Ok(Event::Delete(lease("8"))), done()] {
            all.begin("operator", "claim", || {}).written(&lease("7"));
            let writing = all.begin("operator", "another", || {});
            assert!(!all.explain(&event));
            let left: Vec<_> = all.0.lock().keys().map(|key| key.1.clone()).collect();
            assert_eq!(left, ["another"]);
            drop(writing);
            assert!(all.0.lock().is_empty());
        }
    }
}
