//! The requests about consumers: Pods are listed and prompted, workloads are read and restarted. Nothing else is asked of either.

use std::collections::BTreeMap;

use kube::api::{GetParams, ListParams, Patch, PatchParams};
use kube::core::Request;
use serde::de::IgnoredAny;
use serde_json::json;

use crate::consumers::pod::{Pod, PodPage};
use crate::consumers::workload::{Workload, WorkloadId};
use crate::process::{kube_client, kube_error};
use crate::store::apply;

/// The annotation of a Pod that is changed so that the kubelet refreshes its volumes: the rotations that it was changed for.
pub const REFRESH_ANNOTATION: &str = "zitadel-secrets.dev/refresh";

/// A page of `limit` Pods of a namespace, and where the next one begins. A Pod may have 1.5 MB, and a page is in memory as a whole while it
/// is read.
///
/// # Errors
/// As the API server has it; 410 where the list took too long and has to be begun again.
pub async fn pods(
    client: &kube::Client,
    namespace: &str,
    limit: u32,
    from: Option<&str>,
) -> Result<(Vec<Pod>, Option<String>), kube::Error> {
    let mut params = ListParams::default().limit(limit);
    params.continue_token = from.map(ToOwned::to_owned);
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let request = request.list(&params).map_err(kube::Error::BuildRequest)?;
    let body = kube_client::body(client, request).await?;
    let page: PodPage = serde_json::from_slice(&body).map_err(kube::Error::SerdeError)?;
    let next = page.metadata.continue_.filter(|token| !token.is_empty());
    Ok((page.items, next))
}

/// Has the kubelet refresh the volumes of a Pod, by a change of its annotation.
///
/// # Errors
/// As the API server has it; 409 where the Pod is another one by now.
pub async fn prompt(
    client: &kube::Client,
    namespace: &str,
    (name, uid): (&str, &str),
    value: &str,
) -> Result<(), kube::Error> {
    let patch = json!({"metadata": {"uid": uid, "annotations": {REFRESH_ANNOTATION: value}}});
    let request = Request::new(format!("/api/v1/namespaces/{namespace}/pods"));
    let request = request.patch_metadata(name, &apply::patch(), &Patch::Merge(patch));
    let request = request.map_err(kube::Error::BuildRequest)?;
    client.request::<IgnoredAny>(request).await.map(drop)
}

fn path(namespace: &str, id: &WorkloadId) -> String {
    let plural = id.kind.plural();
    format!("/apis/apps/v1/namespaces/{namespace}/{plural}")
}

/// A workload; none if it does not exist.
///
/// # Errors
/// As the API server has it.
pub async fn workload(
    client: &kube::Client,
    namespace: &str,
    id: &WorkloadId,
) -> Result<Option<Workload>, kube::Error> {
    let request = Request::new(path(namespace, id)).get(&id.name, &GetParams::default());
    match client
        .request(request.map_err(kube::Error::BuildRequest)?)
        .await
    {
        Ok(workload) => Ok(Some(workload)),
        Err(error) if kube_error::is_absent(&error) => Ok(None),
        Err(error) => Err(error),
    }
}

/// Restarts a workload, by annotations of its Pod template, with the field manager that `params` name. Nothing happens where it has them
/// already.
///
/// # Errors
/// As the API server has it; 409 where the workload is another one by now.
pub async fn restart(
    client: &kube::Client,
    namespace: &str,
    id: &WorkloadId,
    uid: &str,
    annotations: &BTreeMap<String, String>,
    params: &PatchParams,
) -> Result<(), kube::Error> {
    let template = json!({"metadata": {"annotations": annotations}});
    let patch = json!({"metadata": {"uid": uid}, "spec": {"template": template}});
    let request = Request::new(path(namespace, id));
    let request = request.patch(&id.name, params, &Patch::Merge(patch));
    let request = request.map_err(kube::Error::BuildRequest)?;
    client.request::<IgnoredAny>(request).await.map(drop)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use http::{Request, Response};
    use kube::client::Body;
    use parking_lot::Mutex;
    use serde_json::Value;

    use super::*;
    use crate::consumers::workload::{Kind, annotation};

    /// `tests/drift` sends the same to an API server, and asks Argo CD and Flux what they make of it.
    #[tokio::test]
    async fn a_restart_is_the_request_that_argo_cd_and_flux_are_tried_with() {
        let sent: Arc<Mutex<Option<Value>>> = Arc::default();
        let seen = Arc::clone(&sent);
        let service = tower::service_fn(move |request: Request<Body>| {
            let seen = Arc::clone(&seen);
            async move {
                let (head, body) = request.into_parts();
                let body = body.collect_bytes().await.unwrap();
                *seen.lock() = Some(json!({
                    "method": head.method.as_str(), "path": head.uri.to_string(),
                    "contentType": head.headers["content-type"].to_str().unwrap(),
                    "body": serde_json::from_slice::<Value>(&body).unwrap(),
                }));
                Ok::<_, std::io::Error>(Response::new(Body::from(b"{}".to_vec())))
            }
        });
        let client = kube::Client::new(service, "default");
        let id = WorkloadId {
            kind: Kind::Deployment,
            name: "api".to_owned(),
        };
        let annotations = BTreeMap::from([(annotation("api-zitadel"), "due.1".to_owned())]);
        restart(
            &client,
            "NAMESPACE",
            &id,
            "UID",
            &annotations,
            &apply::patch(),
        )
        .await
        .unwrap();
        let expected = include_str!("../../tests/drift/testdata/restart.json");
        let expected: Value = serde_json::from_str(expected).unwrap();
        assert_eq!(sent.lock().take().unwrap(), expected);
    }
}
