//! What the watches show: one cache for each namespace that is watched, or one for the whole cluster.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Namespace;
use kube::core::{DeserializeGuard, PartialObjectMeta};
use kube::runtime::reflector::{ObjectRef, Store};
use kube::runtime::watcher::Event;
use parking_lot::Mutex;
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

use crate::api::{AppSecretStatus, Kind, ZitadelConnection};
use crate::store::object::Object;
use crate::store::overlay::Overlay;
use crate::store::own_writes::OwnWrites;
use crate::store::secrets::Secrets;

/// A `ZitadelConnection`, or why it can't be read.
pub type GuardedConnection = DeserializeGuard<ZitadelConnection>;

/// Whether a watch has shown everything once.
///
/// NB: not the store's own `wait_until_ready`, which wakes only one of those who wait: of sixteen objects that are reconciled while
/// a slow list is under way, fifteen would wait for ever.
#[derive(Clone, Default)]
pub struct Synced(CancellationToken);

impl Synced {
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

/// A status that was written.
#[derive(Debug, Clone)]
pub struct WrittenStatus {
    /// The revision of the object that carries it.
    pub revision: String,
    /// The status.
    pub status: AppSecretStatus,
}

/// The watched objects of one kind, in one namespace or in all.
#[derive(Clone)]
pub struct Objects {
    /// The kind.
    pub kind: Kind,
    /// All of them.
    pub all: Store<Object>,
    /// Whether all of them were shown.
    pub synced: Synced,
    /// By uid: the statuses that this process wrote and the watch has not shown.
    pub statuses: Arc<Mutex<Overlay<String, WrittenStatus>>>,
    /// Which events only show a status that this process wrote.
    pub own_statuses: Arc<OwnWrites>,
    /// Asks for an object to be reconciled again.
    pub wake: mpsc::UnboundedSender<ObjectRef<Object>>,
}

/// Something for each kind.
#[derive(Clone)]
pub struct ByKind<T> {
    /// For `ApiAppSecret`s.
    pub api_app: T,
    /// For `OidcAppSecret`s.
    pub oidc_app: T,
}

impl<T> ByKind<T> {
    /// What is there for a kind.
    pub const fn of(&self, kind: Kind) -> &T {
        match kind {
            Kind::ApiApp => &self.api_app,
            Kind::OidcApp => &self.oidc_app,
        }
    }

    /// What is there for each kind.
    pub fn iter(&self) -> impl Iterator<Item = &T> {
        Kind::ALL.into_iter().map(|kind| self.of(kind))
    }
}

/// The watched objects of one namespace, or of all, and what reconciling them needs.
///
/// NB: a cache is not shared by two watches: a list of the one would take away what the other has shown, and how far the one has
/// come says nothing of the other.
#[derive(Clone)]
pub struct Cache {
    /// The objects of each kind.
    pub objects: ByKind<Objects>,
    /// The Secrets with our label.
    pub secrets: Arc<Secrets>,
    /// Whether all of them were shown.
    pub secrets_synced: Synced,
    /// The metadata of the namespaces, for grants by label.
    pub namespaces: Store<PartialObjectMeta<Namespace>>,
    /// Whether all of them were shown.
    pub namespaces_synced: Synced,
}

impl Cache {
    /// Waits until everything was shown once.
    pub async fn synced(&self) {
        for kind in Kind::ALL {
            self.synced_for(kind).await;
        }
    }

    /// Waits until everything was shown once but for the objects of other kinds.
    pub async fn synced_for(&self, kind: Kind) {
        self.objects.of(kind).synced.wait().await;
        self.secrets_synced.wait().await;
        self.namespaces_synced.wait().await;
    }

    /// Whether everything was shown once.
    pub fn is_synced(&self) -> bool {
        let all = self.objects.iter().all(|objects| objects.synced.is());
        all && self.secrets_synced.is() && self.namespaces_synced.is()
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use k8s_openapi::api::coordination::v1::Lease;

    use super::*;

    #[tokio::test]
    async fn all_waiters_wake_when_everything_was_shown() {
        let (filled, began) = (Synced::default(), Arc::new(tokio::sync::Barrier::new(17)));
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
