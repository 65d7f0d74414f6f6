//! What a watch shows of one kind, and over it what this process wrote and the watch has not shown yet. No I/O.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::sync::Arc;

use kube::Resource;
use kube::runtime::watcher::Event;

use crate::store::overlay::Overlay;

/// The objects of one watch by key, each as what is kept of it.
#[derive(Debug)]
pub struct Shown<K, V> {
    by_watch: HashMap<K, Arc<V>>,
    /// What the list that is under way has shown.
    listed: HashMap<K, Arc<V>>,
    written: Overlay<K, Arc<V>>,
}

impl<K, V> Default for Shown<K, V> {
    fn default() -> Self {
        Self {
            by_watch: HashMap::new(),
            listed: HashMap::new(),
            written: Overlay::default(),
        }
    }
}

impl<K: Clone + Eq + Hash, V> Shown<K, V> {
    /// Takes note of an event; `read` makes of an object its key and what is kept of it. What has changed comes back, also what is gone:
    /// what was deleted while the watch was interrupted is only missing in the list.
    pub fn note<O: Resource>(
        &mut self,
        event: &Event<O>,
        read: impl Fn(&O) -> (K, V),
    ) -> Vec<(K, Arc<V>)> {
        let read = |object| {
            let (key, value) = read(object);
            (key, Arc::new(value))
        };
        let changed = match event {
            Event::Apply(object) => {
                let (key, value) = read(object);
                self.by_watch.insert(key.clone(), Arc::clone(&value));
                vec![(key, value)]
            }
            Event::Delete(object) => {
                let (key, value) = read(object);
                self.by_watch.remove(&key);
                vec![(key, value)]
            }
            Event::Init => {
                self.listed.clear();
                Vec::new()
            }
            Event::InitApply(object) => {
                let (key, value) = read(object);
                self.listed.insert(key.clone(), Arc::clone(&value));
                vec![(key, value)]
            }
            Event::InitDone => {
                let listed = std::mem::take(&mut self.listed);
                let mut missed = std::mem::replace(&mut self.by_watch, listed);
                missed.retain(|key, _| !self.by_watch.contains_key(key));
                missed.into_iter().collect()
            }
        };
        self.written.note(event);
        changed
    }

    /// Takes note of something that this process wrote, with this revision. It counts until the watch has shown it.
    pub fn wrote(&mut self, key: K, revision: &str, value: V) {
        self.written.insert(key, revision, Arc::new(value));
    }

    /// What was written last under a key: by this process, or by the watch.
    pub fn get<Q>(&self, key: &Q) -> Option<&Arc<V>>
    where
        K: Borrow<Q>,
        Q: Eq + Hash + ?Sized,
    {
        self.written.get(key).or_else(|| self.by_watch.get(key))
    }

    /// All of them as the watch shows them, by key.
    pub const fn shown(&self) -> &HashMap<K, Arc<V>> {
        &self.by_watch
    }
}
