//! Every revision of the Secrets, objects and claims of one lane, as a watch of the tests' own sees them.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};
use zitadel_secret_operator::api::{AppSecret, Kind};

use crate::support::eventually;
use crate::support::world::PATIENCE;

/// Revisions, oldest first.
#[derive(Clone, Default)]
pub struct History {
    secrets: Arc<Mutex<Vec<Secret>>>,
    leases: Arc<Mutex<Vec<Lease>>>,
    objects: Arc<Mutex<Vec<AppSecret>>>,
    gap: Arc<AtomicBool>,
}

impl History {
    /// Begins to watch.
    pub async fn start(client: &Client, namespace: &str, operator_namespace: &str) -> Self {
        let history = Self::default();
        let secrets = Api::namespaced(client.clone(), namespace);
        watch(secrets, Arc::clone(&history.secrets), &history.gap).await;
        let leases = Api::namespaced(client.clone(), operator_namespace);
        watch(leases, Arc::clone(&history.leases), &history.gap).await;
        for kind in Kind::ALL {
            let objects = Api::namespaced_with(client.clone(), namespace, &kind);
            watch(objects, Arc::clone(&history.objects), &history.gap).await;
        }
        history
    }

    /// Revisions of a Secret.
    pub fn secret(&self, name: &str) -> Vec<Secret> {
        let all = self.secrets.lock().unwrap();
        all.iter()
            .filter(|secret| secret.name_any() == name)
            .cloned()
            .collect()
    }

    /// Whether revisions may be missing.
    pub fn has_gap(&self) -> bool {
        self.gap.load(Ordering::SeqCst)
    }

    /// Names of all Secrets seen.
    pub fn secret_names(&self) -> Vec<String> {
        let all = self.secrets.lock().unwrap();
        all.iter().map(ResourceExt::name_any).collect()
    }

    /// Revisions of all Leases.
    pub fn leases(&self) -> Vec<Lease> {
        self.leases.lock().unwrap().clone()
    }

    /// Revisions of all objects.
    pub fn objects(&self) -> Vec<AppSecret> {
        self.objects.lock().unwrap().clone()
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        self.secrets.lock().unwrap().clear();
        self.leases.lock().unwrap().clear();
        self.objects.lock().unwrap().clear();
    }
}

/// A plain watch: unlike a watcher it fills no gap with the present state; it notes that there is one, as after a restore of etcd.
async fn watch<K>(api: Api<K>, seen: Arc<Mutex<Vec<K>>>, gap: &Arc<AtomicBool>)
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let present = async |api: &Api<K>| {
        let list = api.list_metadata(&kube::api::ListParams::default()).await;
        list.map(|list| list.metadata.resource_version.unwrap())
    };
    // NB: an API server that has just started answers 429 until it has read the objects of a kind.
    let first = eventually(PATIENCE, || async { present(&api).await.ok() });
    let mut version = first.await;
    let gap = Arc::clone(gap);
    tokio::spawn(async move {
        loop {
            let parameters = WatchParams::default().timeout(290);
            let Ok(stream) = api.watch(&parameters, &version).await else {
                // The API server is away.
                tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                continue;
            };
            let stream = stream.boxed();
            let mut stream = std::pin::pin!(stream);
            while let Ok(Some(event)) = stream.try_next().await {
                match event {
                    WatchEvent::Added(object)
                    | WatchEvent::Modified(object)
                    | WatchEvent::Deleted(object) => {
                        version = object.resource_version().unwrap();
                        seen.lock().unwrap().push(object);
                    }
                    WatchEvent::Bookmark(bookmark) => {
                        version = bookmark.metadata.resource_version;
                    }
                    WatchEvent::Error(_) => {
                        gap.store(true, Ordering::SeqCst);
                        while present(&api).await.map(|now| version = now).is_err() {
                            tokio::time::sleep(std::time::Duration::from_millis(200)).await;
                        }
                        break;
                    }
                }
            }
        }
    });
}
