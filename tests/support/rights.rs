//! The rights of the operator under test: those of `deploy/install.yaml`, which is made from the chart, and no others.

use std::path::{Path, PathBuf};

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DynamicObject, ListParams};
use kube::core::TypeMeta;
use kube::discovery::ApiResource;
use zitadel_secret_operator::api::ApiAppSecret;

use super::controlplane::{ControlPlane, client_from};
use super::helm::{documents, root};
use super::world::PATIENCE;
use super::{apply, eventually};

/// The service account of the operator, in whichever namespace it runs, and what its roles are called.
pub const ACCOUNT: &str = "zitadel-secret-operator";
const KINDS: [&str; 5] = [
    "ServiceAccount",
    "ClusterRole",
    "ClusterRoleBinding",
    "Role",
    "RoleBinding",
];

/// Grants them to the service account of an operator in `namespace`, waits until they are in force, and returns its kubeconfig, which is
/// good for an hour.
pub async fn grant(cluster: &ControlPlane, namespace: &str) -> PathBuf {
    let admin = cluster.client().await;
    let manifest = std::fs::read_to_string(root().join("deploy/install.yaml")).unwrap();
    for mut object in documents(&manifest) {
        let types: TypeMeta = serde_json::from_value(object.clone()).unwrap();
        if !KINDS.contains(&types.kind.as_str()) {
            continue;
        }
        for place in ["/metadata/namespace", "/subjects/0/namespace"] {
            if let Some(found) = object.pointer_mut(place) {
                *found = namespace.into();
            }
        }
        // One role for the cluster, bound to each operator by itself.
        if types.kind == "ClusterRoleBinding" {
            object["metadata"]["name"] = format!("{ACCOUNT}-{namespace}").into();
        }
        let object: DynamicObject = serde_json::from_value(object).unwrap();
        let resource = ApiResource::from_gvk(&(&types).try_into().unwrap());
        let api: Api<DynamicObject> = match &object.metadata.namespace {
            Some(namespace) => Api::namespaced_with(admin.clone(), namespace, &resource),
            None => Api::all_with(admin.clone(), &resource),
        };
        apply(&api, &object).await.unwrap();
    }
    let kubeconfig = cluster
        .kubeconfig_for_service_account(namespace, ACCOUNT)
        .await;
    in_force(&kubeconfig, namespace).await;
    kubeconfig
}

/// The API server's authorizer learns of roles by a watch.
async fn in_force(kubeconfig: &Path, namespace: &str) {
    let operator = client_from(kubeconfig).await;
    let everywhere: Api<ApiAppSecret> = Api::all(operator.clone());
    let here: Api<Lease> = Api::namespaced(operator, namespace);
    let one = ListParams::default().limit(1);
    eventually(PATIENCE, || async {
        let (objects, leases) = (everywhere.list(&one).await, here.list(&one).await);
        (allowed(&objects) && allowed(&leases)).then_some(())
    })
    .await;
}

/// A test without the CRDs gets 404 here.
fn allowed<T>(answer: &kube::Result<T>) -> bool {
    !matches!(answer, Err(kube::Error::Api(status)) if status.code == 403)
}
