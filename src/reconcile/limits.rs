//! How many objects are reconciled at once. What hangs (a ZITADEL that does not answer, a webhook of one namespace) keeps only places
//! of its own kind, so that the others go on. Does no I/O.
//!
//! An object that finds no place does not wait in it: its name is put on a list, and it is woken when a place is free. A thousand
//! waiting objects are a thousand names then, and not a thousand tasks.

use std::collections::{HashMap, HashSet, VecDeque};
use std::hash::Hash;
use std::sync::Arc;

use parking_lot::Mutex;
use tokio::sync::OwnedSemaphorePermit;

/// Objects that are reconciled at once, in all.
pub const IN_ALL: u16 = 64;
/// Objects that are reconciled at once, of one connection.
const OF_CONNECTION: usize = 16;
/// The same, of one connection and one namespace: the namespaces of a connection cannot take all of its places.
const OF_NAMESPACE: usize = 12;

#[derive(Debug, Clone, PartialEq, Eq, Hash)]
enum Kind {
    Connection(String),
    Namespace(String, String),
}

impl Kind {
    const fn slots(&self) -> usize {
        match self {
            Self::Connection(_) => OF_CONNECTION,
            Self::Namespace(..) => OF_NAMESPACE,
        }
    }
}

/// Who is in, and who waits.
#[derive(Debug)]
struct Pool<T> {
    taken: usize,
    waiting: VecDeque<T>,
    listed: HashSet<T>,
}

impl<T> Default for Pool<T> {
    fn default() -> Self {
        Self {
            taken: 0,
            waiting: VecDeque::new(),
            listed: HashSet::new(),
        }
    }
}

impl<T: Clone + Eq + Hash> Pool<T> {
    fn list(&mut self, who: &T) {
        if self.listed.insert(who.clone()) {
            self.waiting.push_back(who.clone());
        }
    }

    fn next(&mut self) -> Option<T> {
        let who = self.waiting.pop_front()?;
        self.listed.remove(&who);
        Some(who)
    }
}

/// The places. Clones share them.
pub struct Pools<T> {
    pools: Arc<Mutex<HashMap<Kind, Pool<T>>>>,
    wake: Arc<dyn Fn(T) + Send + Sync>,
}

impl<T> Clone for Pools<T> {
    fn clone(&self) -> Self {
        Self {
            pools: Arc::clone(&self.pools),
            wake: Arc::clone(&self.wake),
        }
    }
}

impl<T: Clone + Eq + Hash> Pools<T> {
    /// `wake` has an object reconciled again that found no slot.
    pub fn new(wake: impl Fn(T) + Send + Sync + 'static) -> Self {
        Self {
            pools: Arc::default(),
            wake: Arc::new(wake),
        }
    }

    /// A place for an object of that connection and namespace. None: it will be woken when there is one.
    pub fn try_acquire(&self, who: &T, connection: &str, namespace: &str) -> Option<PoolSlot<T>> {
        let kinds = [
            Kind::Namespace(connection.to_owned(), namespace.to_owned()),
            Kind::Connection(connection.to_owned()),
        ];
        let mut pools = self.pools.lock();
        for kind in &kinds {
            let pool = pools.entry(kind.clone()).or_default();
            if pool.taken >= kind.slots() {
                pool.list(who);
                return None;
            }
        }
        for kind in &kinds {
            pools.entry(kind.clone()).or_default().taken += 1;
        }
        drop(pools);
        Some(PoolSlot {
            all: self.clone(),
            kinds,
        })
    }

    /// Wakes those for which there are slots. One that leaves wakes the next; to be called now and then all the same, since one that
    /// was woken may be gone meanwhile, and never leaves.
    pub fn wake_waiters(&self) {
        let kinds: Vec<Kind> = self.pools.lock().keys().cloned().collect();
        self.wake_of(&kinds, usize::MAX);
    }

    fn wake_of(&self, kinds: &[Kind], most: usize) {
        let mut woken = Vec::new();
        let mut pools = self.pools.lock();
        for kind in kinds {
            let Some(pool) = pools.get_mut(kind) else {
                continue;
            };
            let free = kind.slots().saturating_sub(pool.taken);
            woken.extend((0..free.min(most)).map_while(|_| pool.next()));
            if pool.taken == 0 && pool.waiting.is_empty() {
                pools.remove(kind);
            }
        }
        drop(pools);
        for who in woken {
            (self.wake)(who);
        }
    }

    fn leave(&self, kinds: &[Kind; 2]) {
        for kind in kinds {
            if let Some(pool) = self.pools.lock().get_mut(kind) {
                pool.taken = pool.taken.saturating_sub(1);
            }
        }
        self.wake_of(kinds, 1);
    }
}

/// A slot, released when dropped.
#[must_use = "the slot is released when this is dropped"]
pub struct PoolSlot<T: Clone + Eq + Hash> {
    all: Pools<T>,
    kinds: [Kind; 2],
}

impl<T: Clone + Eq + Hash> Drop for PoolSlot<T> {
    fn drop(&mut self) {
        self.all.leave(&self.kinds);
    }
}

/// What one rotation has been permitted so far.
#[derive(Default)]
pub struct ClaimPermit {
    /// To have a claim open: from before the claim until generate was sent.
    pub(crate) claim: Option<OwnedSemaphorePermit>,
    /// To send generate.
    pub(crate) generate: Option<OwnedSemaphorePermit>,
}

#[cfg(test)]
mod tests {
    use super::*;

    type Woken = Arc<Mutex<Vec<usize>>>;

    fn bulkheads() -> (Pools<usize>, Woken) {
        let woken = Woken::default();
        let noted = Arc::clone(&woken);
        let wake = move |who| noted.lock().push(who);
        (Pools::new(wake), woken)
    }

    #[test]
    fn a_connection_that_is_full_leaves_room_for_others_and_so_does_a_namespace() {
        let (all, _) = bulkheads();
        let of_one: Vec<_> = (0..OF_NAMESPACE)
            .map(|who| all.try_acquire(&who, "hangs", "a").unwrap())
            .collect();
        assert!(all.try_acquire(&90, "hangs", "a").is_none());
        let of_another: Vec<_> = (OF_NAMESPACE..OF_CONNECTION)
            .map(|who| all.try_acquire(&who, "hangs", "b").unwrap())
            .collect();
        assert!(all.try_acquire(&91, "hangs", "c").is_none());
        // NB: also in a namespace whose objects of the other connection all wait.
        assert!(all.try_acquire(&92, "works", "a").is_some());
        drop((of_one, of_another));
        assert!(all.try_acquire(&90, "hangs", "a").is_some());
    }

    #[test]
    fn a_waiter_is_woken_in_turn_once_for_each_free_slot() {
        let (all, woken) = bulkheads();
        let mut places: Vec<_> = (0..OF_NAMESPACE)
            .map(|who| all.try_acquire(&who, "c", "a").unwrap())
            .collect();
        for who in [20, 21, 20, 22] {
            assert!(all.try_acquire(&who, "c", "a").is_none());
        }
        assert!(woken.lock().is_empty());
        places.pop();
        assert_eq!(*woken.lock(), [20]);
        let _taken = all.try_acquire(&20, "c", "a").unwrap();
        assert!(all.try_acquire(&23, "c", "a").is_none());
        places.pop();
        assert_eq!(*woken.lock(), [20, 21]);
    }

    #[test]
    fn a_waiter_that_was_woken_and_is_gone_strands_no_other() {
        let (all, woken) = bulkheads();
        let places: Vec<_> = (0..OF_NAMESPACE)
            .map(|who| all.try_acquire(&who, "c", "a").unwrap())
            .collect();
        for who in 20..40 {
            assert!(all.try_acquire(&who, "c", "a").is_none());
        }
        drop(places);
        assert_eq!(woken.lock().len(), OF_NAMESPACE);
        // None of them comes.
        all.wake_waiters();
        assert_eq!(*woken.lock(), (20..40).collect::<Vec<_>>());
        assert!(all.pools.lock().is_empty(), "nothing is kept");
    }
}
