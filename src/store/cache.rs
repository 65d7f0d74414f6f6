//! What the watches show: one cache for each namespace that is watched, or one for the whole cluster.

use std::collections::BTreeMap;
use std::sync::{Arc, Mutex};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use kube::Resource as _;
use kube::core::PartialObjectMeta;
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::reconcile::context::{Guarded, GuardedConnection, lock};
use crate::rotation::Owner;
use crate::store::progress::Progress;
use crate::store::secrets_by_owner::Kept;

/// Whether a watch has shown everything once.
///
/// NB: not the store's own `wait_until_ready`, which wakes only one of those who wait: of sixteen objects that are looked at while
/// a slow list is under way, fifteen would wait for ever.
#[derive(Clone, Default)]
pub struct Filled(CancellationToken);

impl Filled {
    /// Takes note of an event that the store of the watch has applied.
    pub fn note<K, E>(&self, event: &Result<Event<K>, E>) {
        if matches!(event, Ok(Event::InitDone)) {
            self.0.cancel();
        }
    }

    /// Waits until it has.
    pub async fn wait(&self) {
        self.0.cancelled().await;
    }

    /// Whether it has.
    pub fn is(&self) -> bool {
        self.0.is_cancelled()
    }
}

/// The watched objects of one namespace, or of all.
///
/// NB: a cache is not shared by two watches: a list of the one would take away what the other has shown, and how far the one has
/// come says nothing of the other.
#[derive(Clone)]
pub struct Cache {
    /// The `ApiAppSecret`s.
    pub objects: Store<Guarded>,
    /// Whether all of them were shown.
    pub objects_filled: Filled,
    /// How far the watch of the objects has come.
    pub objects_shown: Arc<Progress>,
    /// The metadata of the Secrets with our label.
    pub secrets: Store<PartialObjectMeta<Secret>>,
    /// Which of them each object keeps.
    pub kept: Arc<Mutex<Kept>>,
    /// Whether all of them were shown.
    pub secrets_filled: Filled,
    /// How far the watch of the Secrets has come.
    pub secrets_shown: Arc<Progress>,
    /// The metadata of the namespaces, for grants by label.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Whether all of them were shown.
    pub namespaces_filled: Filled,
    /// Asks for an object to be looked at again.
    pub wake: mpsc::UnboundedSender<ObjectRef<Guarded>>,
}

impl Cache {
    /// Waits until everything was shown once.
    pub async fn filled(&self) {
        self.objects_filled.wait().await;
        self.secrets_filled.wait().await;
        self.namespaces_filled.wait().await;
    }

    /// Whether everything was shown once.
    pub fn is_filled(&self) -> bool {
        self.objects_filled.is() && self.secrets_filled.is() && self.namespaces_filled.is()
    }
}

/// All caches.
#[derive(Clone)]
pub struct Caches {
    /// By namespace; `None` is the whole cluster, and the only one then.
    pub parts: BTreeMap<Option<String>, Cache>,
    /// All connections.
    pub connections: Store<GuardedConnection>,
    /// Whether all of them were shown.
    pub connections_filled: Filled,
    /// All claims.
    pub claims: Store<Lease>,
    /// Whether all of them were shown.
    pub claims_filled: Filled,
    /// How far the watch of the claims has come.
    pub claims_shown: Arc<Progress>,
}

impl Caches {
    /// The cache of a namespace, if it is watched.
    pub fn of(&self, namespace: &str) -> Option<&Cache> {
        self.parts
            .get(&None)
            .or_else(|| self.parts.get(&Some(namespace.to_owned())))
    }

    /// Whether it is known which objects a namespace has. Where it is not, nobody can say that an object is gone.
    pub fn knows(&self, namespace: &str) -> bool {
        self.of(namespace)
            .is_some_and(|cache| cache.objects_filled.is())
    }

    /// Waits until everything was shown that it takes to look at the objects of a namespace.
    pub async fn filled(&self, namespace: &str) {
        self.claims_filled.wait().await;
        self.connections_filled.wait().await;
        if let Some(cache) = self.of(namespace) {
            cache.filled().await;
        }
    }

    /// Waits until the claims, the connections and one namespace at least were shown. Of one namespace whose watch is refused the others
    /// must not have to suffer.
    pub async fn begun(&self) {
        self.claims_filled.wait().await;
        self.connections_filled.wait().await;
        let any = self.parts.values().map(|cache| Box::pin(cache.filled()));
        // NB: there is one part at least.
        let _ = futures::future::select_all(any).await;
    }

    /// Has an object looked at again, if its namespace is watched.
    pub fn wake(&self, object: ObjectRef<Guarded>) {
        let cache = object
            .namespace
            .as_deref()
            .and_then(|namespace| self.of(namespace));
        if let Some(cache) = cache {
            // NB: the receiver lives as long as the controller; without one there is nothing left to wake.
            let _ = cache.wake.send(object);
        }
    }

    /// All `ApiAppSecret`s.
    pub fn objects(&self) -> impl Iterator<Item = Arc<Guarded>> {
        self.parts.values().flat_map(|cache| cache.objects.state())
    }

    /// An `ApiAppSecret`, if it is there and has that uid.
    pub fn object(&self, namespace: &str, name: &str, uid: &str) -> Option<Arc<Guarded>> {
        let reference = ObjectRef::new(name).within(namespace);
        self.of(namespace)?
            .objects
            .get(&reference)
            .filter(|object| object.meta().uid.as_deref() == Some(uid))
    }

    /// The metadata of a Secret with our label.
    pub fn secret(&self, namespace: &str, name: &str) -> Option<Arc<PartialObjectMeta<Secret>>> {
        let reference = ObjectRef::new(name).within(namespace);
        self.of(namespace)?.secrets.get(&reference)
    }

    /// The names of the Secrets that an object keeps, by their records.
    pub fn kept_by(&self, owner: &Owner) -> Vec<String> {
        let Some(cache) = self.of(&owner.namespace) else {
            return Vec::new();
        };
        lock(&cache.kept).by(owner).map(ToOwned::to_owned).collect()
    }

    /// Whether a namespace is being deleted.
    pub fn is_terminating(&self, namespace: &str) -> bool {
        let found = self
            .of(namespace)
            .and_then(|cache| cache.namespaces.get(&ObjectRef::new(namespace)));
        found.is_some_and(|found| found.metadata.deletion_timestamp.is_some())
    }

    /// A label of a namespace.
    pub fn namespace_label(&self, namespace: &str, name: &str) -> Option<String> {
        let found = self
            .of(namespace)?
            .namespaces
            .get(&ObjectRef::new(namespace))?;
        found.metadata.labels.as_ref()?.get(name).cloned()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    #[tokio::test]
    async fn all_who_wait_are_told_when_everything_was_shown() {
        let (filled, began) = (Filled::default(), Arc::new(tokio::sync::Barrier::new(17)));
        let mut waiting = tokio::task::JoinSet::new();
        for _ in 0..16 {
            let (filled, began) = (filled.clone(), Arc::clone(&began));
            waiting.spawn(async move {
                began.wait().await;
                filled.wait().await;
            });
        }
        began.wait().await;
        tokio::task::yield_now().await;
        let (init, done) = (Event::<Lease>::Init, Event::<Lease>::InitDone);
        filled.note::<_, ()>(&Ok(init));
        assert!(!filled.is(), "a list that was begun is no whole list");
        filled.note::<_, ()>(&Ok(done));
        let all = tokio::time::timeout(Duration::from_secs(10), waiting.join_all());
        assert_eq!(all.await.map(|done| done.len()), Ok(16));
        assert!(filled.is());
    }
}
