//! What integration tests share: a control plane and a way to wait for something.
#![allow(dead_code, missing_docs)]
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::missing_panics_doc,
    clippy::needless_pass_by_value
)]

pub mod audit;
pub mod consumers;
pub mod controlplane;
mod envtest;
pub mod fleet;
pub mod forward_proxy;
pub mod helm;
pub mod node;
pub mod operator;
pub mod policy;
pub mod process;
pub mod rights;
pub mod tenant;
pub mod world;

use std::fmt::Debug;
use std::future::Future;
use std::panic::Location;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Client;
use kube::api::{Api, Patch, PatchParams};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// Applies an object (server-side apply) as the field manager `tests`, with force.
pub async fn apply<K>(api: &Api<K>, object: &impl Serialize) -> Result<K, kube::Error>
where
    K: Clone + Debug + DeserializeOwned,
{
    let object = serde_json::to_value(object).unwrap();
    let name = object["metadata"]["name"].as_str().unwrap().to_owned();
    let params = PatchParams::apply("tests").force();
    api.patch(&name, &params, &Patch::Apply(&object)).await
}

/// Applies a Secret with these values.
pub async fn apply_secret(client: &Client, namespace: &str, name: &str, values: serde_json::Value) {
    let api: Api<Secret> = Api::namespaced(client.clone(), namespace);
    let secret = serde_json::json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": values});
    apply(&api, &secret).await.unwrap();
}

/// The list for `spec.secret.data`, from keys and the names of what they hold.
pub fn data(entries: &[(&str, &str)]) -> serde_json::Value {
    let entry = |(key, from): &(&str, &str)| serde_json::json!({"key": key, "from": from});
    entries.iter().map(entry).collect()
}

/// Asks again and again until the answer is `Some`, and returns what is in it.
///
/// # Panics
/// When `timeout` is over; the message names the line of the call.
#[track_caller]
pub fn eventually<T, F>(timeout: Duration, mut probe: impl FnMut() -> F) -> impl Future<Output = T>
where
    F: Future<Output = Option<T>>,
{
    let caller = Location::caller();
    let ask = async move {
        loop {
            if let Some(found) = probe().await {
                return found;
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    async move {
        tokio::time::timeout(timeout, ask)
            .await
            .unwrap_or_else(|_| panic!("{caller}: not so within {timeout:?}"))
    }
}
