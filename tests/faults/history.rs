//! Every revision of the Secrets and claims of one lane, as a watch of the tests' own sees them.

use std::sync::{Arc, Mutex};

use futures::{StreamExt as _, TryStreamExt as _};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, WatchEvent, WatchParams};
use kube::{Client, ResourceExt};

/// Revisions, oldest first.
#[derive(Clone, Default)]
pub struct History {
    secrets: Arc<Mutex<Vec<Secret>>>,
    leases: Arc<Mutex<Vec<Lease>>>,
}

impl History {
    /// Begins to watch.
    pub async fn start(client: &Client, namespace: &str, operator_namespace: &str) -> Self {
        let history = Self::default();
        let secrets = Api::namespaced(client.clone(), namespace);
        watch(secrets, Arc::clone(&history.secrets)).await;
        let leases = Api::namespaced(client.clone(), operator_namespace);
        watch(leases, Arc::clone(&history.leases)).await;
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

    /// Names of all Secrets seen.
    pub fn secret_names(&self) -> Vec<String> {
        let all = self.secrets.lock().unwrap();
        all.iter().map(ResourceExt::name_any).collect()
    }

    /// Revisions of all Leases.
    pub fn leases(&self) -> Vec<Lease> {
        self.leases.lock().unwrap().clone()
    }

    /// Forgets what was seen so far.
    pub fn clear(&self) {
        self.secrets.lock().unwrap().clear();
        self.leases.lock().unwrap().clear();
    }
}

/// A plain watch: unlike a watcher it has no gaps that it fills with the present state; when it ends early, the test fails.
async fn watch<K>(api: Api<K>, seen: Arc<Mutex<Vec<K>>>)
where
    K: kube::Resource + Clone + std::fmt::Debug + Send + serde::de::DeserializeOwned + 'static,
{
    let list = api.list_metadata(&kube::api::ListParams::default()).await;
    let mut version = list.unwrap().metadata.resource_version.unwrap();
    tokio::spawn(async move {
        loop {
            let parameters = WatchParams::default().timeout(290);
            let stream = api.watch(&parameters, &version).await.unwrap().boxed();
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
                    WatchEvent::Error(error) => panic!("{error}"),
                }
            }
        }
    });
}
