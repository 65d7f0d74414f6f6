//! What this process wrote and a watch has not shown yet. No I/O.

use std::collections::HashMap;
use std::hash::Hash;

use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// A resourceVersion as a number: they can be compared within a resource since Kubernetes 1.35.
pub fn revision(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// The own writes that lie over what one watch shows, by key. Each is dropped when the watch shows it, or what became of it since: a
/// later list knows nothing of it, and must not make it news again.
#[derive(Debug)]
pub struct Overlay<K, V> {
    /// The highest revision of any event. Deletions count as well: an object that was written and is absent may lag behind, or be gone.
    shown: u64,
    /// Lists that were begun.
    begun: u64,
    written: HashMap<K, Written<V>>,
}

/// Something that this process wrote.
#[derive(Debug)]
struct Written<V> {
    value: V,
    revision: u64,
    /// Lists that were begun before.
    lists: u64,
}

impl<K, V> Default for Overlay<K, V> {
    fn default() -> Self {
        Self {
            shown: 0,
            begun: 0,
            written: HashMap::new(),
        }
    }
}

impl<K: Eq + Hash, V> Overlay<K, V> {
    /// Takes note of an event that the store of the watch has applied.
    pub fn note<O: kube::Resource>(&mut self, event: &Event<O>) {
        match event {
            Event::Init => {
                self.begun += 1;
                // NB: an etcd that was restored from a backup counts from a lower revision on.
                self.shown = 0;
            }
            // A list that was begun after a write has it, or what became of it.
            Event::InitDone => {
                let begun = self.begun;
                self.drop_unless(|written| written.lists >= begun);
            }
            Event::Apply(object) | Event::Delete(object) => {
                let shown = revision(&object.resource_version().unwrap_or_default());
                self.shown = self.shown.max(shown);
                let shown = self.shown;
                self.drop_unless(|written| written.revision > shown);
            }
            // NB: a list need not be in the order of revisions, so one of its objects says nothing of the others.
            Event::InitApply(_) => {}
        }
    }

    /// Takes note of something that was just written, with this revision, unless the watch has shown it already.
    pub fn insert(&mut self, key: K, text: &str, value: V) {
        let revision = revision(text);
        if revision <= self.shown {
            self.written.remove(&key);
            return;
        }
        let lists = self.begun;
        let written = Written {
            value,
            revision,
            lists,
        };
        self.written.insert(key, written);
    }

    /// What was written under a key, if the watch has not shown it.
    pub fn get<Q>(&self, key: &Q) -> Option<&V>
    where
        K: std::borrow::Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.written.get(key).map(|written| &written.value)
    }

    fn drop_unless(&mut self, keep: impl Fn(&Written<V>) -> bool) {
        if !self.written.is_empty() {
            self.written.retain(|_, written| keep(written));
            // NB: what was once a burst does not stay a large table.
            if self.written.is_empty() {
                self.written = HashMap::new();
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;

    fn event(revision: u64, wrap: fn(Secret) -> Event<Secret>) -> Event<Secret> {
        let mut secret = Secret::default();
        secret.metadata.resource_version = Some(revision.to_string());
        wrap(secret)
    }

    #[test]
    fn a_write_is_shown_by_any_later_event_also_by_the_deletion_of_what_was_written() {
        for last in [event(7, Event::Apply), event(8, Event::Delete)] {
            let mut overlay = Overlay::default();
            overlay.note(&event(5, Event::Apply));
            overlay.insert("a", "7", ());
            assert!(overlay.get("a").is_some());
            overlay.note(&event(6, Event::Delete));
            assert!(overlay.get("a").is_some());
            overlay.note(&last);
            assert!(overlay.get("a").is_none());
        }
    }

    #[test]
    fn what_the_watch_showed_before_the_answer_came_is_not_kept() {
        let mut overlay = Overlay::default();
        overlay.insert("a", "6", ());
        overlay.note(&event(5, Event::Apply));
        overlay.note(&event(8, Event::Apply));
        overlay.insert("b", "7", ());
        assert!(overlay.written.is_empty());
        overlay.insert("b", "9", ());
        assert!(overlay.get("b").is_some());
    }

    #[test]
    fn a_write_is_shown_by_a_list_that_was_begun_after_it_and_by_no_earlier_one() {
        let mut overlay = Overlay::default();
        overlay.note(&event(0, |_| Event::Init));
        overlay.insert("a", "7", ());
        overlay.note(&event(9, Event::InitApply));
        overlay.note(&event(0, |_| Event::InitDone));
        assert!(overlay.get("a").is_some());
        overlay.note(&event(0, |_| Event::Init));
        assert!(overlay.get("a").is_some());
        overlay.note(&event(0, |_| Event::InitDone));
        assert!(overlay.get("a").is_none());
    }

    #[test]
    fn what_was_written_before_an_older_state_was_restored_counts_no_more_once_that_was_listed() {
        let mut overlay = Overlay::default();
        overlay.note(&event(0, |_| Event::Init));
        overlay.note(&event(0, |_| Event::InitDone));
        overlay.insert("a", "900", ());
        overlay.note(&event(0, |_| Event::Init));
        overlay.note(&event(12, Event::InitApply));
        overlay.note(&event(0, |_| Event::InitDone));
        assert!(overlay.get("a").is_none());
        overlay.insert("a", "13", ());
        assert!(
            overlay.get("a").is_some(),
            "the restored data counts from a lower revision on"
        );
    }
}
