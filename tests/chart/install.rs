//! The chart and the plain manifests on a real API server. There is no kubelet, so pods are made and do not run.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{Namespace, Pod};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ApiAppSecret, ZitadelConnection};

use super::rendered::released;
use crate::support::controlplane::{ControlPlane, Options, client_from};
use crate::support::eventually;
use crate::support::helm::{CHART, helm, root, succeeded};
use crate::support::world::PATIENCE;

const NAMESPACE: &str = "zitadel-secret-operator";
const RELEASE: &str = "zitadel-secret-operator";

async fn namespace(client: &Client, name: &str, labels: Value) {
    let namespaces: Api<Namespace> = Api::all(client.clone());
    let object = json!({"metadata": {"name": name, "labels": labels}});
    let object = serde_json::from_value(object).unwrap();
    namespaces
        .create(&PostParams::default(), &object)
        .await
        .unwrap();
}

/// Waits for the pod of the present generation, which admission lets in only if it keeps to the namespace's standard.
async fn pod_made(client: &Client, namespace: &str) -> Pod {
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), namespace);
    let pods: Api<Pod> = Api::namespaced(client.clone(), namespace);
    eventually(PATIENCE, || async {
        let deployed = deployments.get(RELEASE).await.ok()?;
        let status = deployed.status?;
        let made = status.updated_replicas? >= 1
            && status.observed_generation == deployed.metadata.generation;
        let pods = pods.list(&ListParams::default()).await.unwrap();
        pods.items.into_iter().next().filter(|_| made)
    })
    .await
}

fn release(kubeconfig: &Path, verb: &str, arguments: &[&str]) -> String {
    let usual = [verb, RELEASE, CHART, "--namespace", NAMESPACE];
    succeeded(&helm(Some(kubeconfig), &[&usual, arguments].concat()))
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_made_outlives_upgrades_rollbacks_and_the_release_itself() {
    if !ControlPlane::can_start() {
        return;
    }
    let cluster = ControlPlane::start(Options::default()).await;
    let kubeconfig = cluster.admin_kubeconfig();
    let client = client_from(kubeconfig).await;
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    namespace(&client, NAMESPACE, restricted).await;
    namespace(&client, "orders", json!({})).await;

    let connection = [
        "--set",
        "connection.create=true,connection.url=https://iam.example.com",
    ];
    let notes = release(kubeconfig, "install", &connection);
    let told = format!(
        "kubectl -n {NAMESPACE} create secret generic zitadel-key --from-file=key.json=FILE"
    );
    assert!(notes.contains(&told), "{notes}");
    pod_made(&client, NAMESPACE).await;
    let connections: Api<ZitadelConnection> = Api::all(client.clone());
    let first = connections.get("default").await.unwrap();
    assert_eq!(first.spec.url, "https://iam.example.com");
    let objects: Api<ApiAppSecret> = Api::namespaced(client.clone(), "orders");
    let object =
        json!({"metadata": {"name": "orders-api"}, "spec": {"projectId": "1", "appId": "2"}});
    let object = serde_json::from_value(object).unwrap();
    let object = objects
        .create(&PostParams::default(), &object)
        .await
        .unwrap();

    // The connection was made as a hook, and is part of the release from now on.
    let changed = [
        &connection[..],
        &[
            "--set-string",
            "connection.organizationId=7",
            "--set",
            "replicas=2",
        ],
    ]
    .concat();
    release(kubeconfig, "upgrade", &changed);
    pod_made(&client, NAMESPACE).await;
    let second = connections.get("default").await.unwrap();
    assert_eq!(second.uid(), first.uid());
    assert_eq!(second.spec.organization_id.as_deref(), Some("7"));
    succeeded(&helm(
        Some(kubeconfig),
        &["rollback", RELEASE, "1", "--namespace", NAMESPACE],
    ));
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());
    release(kubeconfig, "upgrade", &["--reset-values"]);
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());

    let told = succeeded(&helm(
        Some(kubeconfig),
        &["uninstall", RELEASE, "--namespace", NAMESPACE],
    ));
    assert!(told.contains("apiappsecrets.zitadel-secrets.dev"), "{told}");
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    assert!(deployments.get_opt(RELEASE).await.unwrap().is_none());
    assert_eq!(objects.get("orders-api").await.unwrap().uid(), object.uid());
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());

    // A later release takes over what the first one left; it is a published one, with its image.
    let digests = [1, 2].map(|n| format!("sha256:{n:064}"));
    let [first_chart, next_chart] = [&digests[0], &digests[1]].map(|digest| released(digest));
    let told = |verb: &str, chart: &str, arguments: &[&str]| {
        let usual = [verb, RELEASE, chart, "--namespace", NAMESPACE];
        succeeded(&helm(Some(kubeconfig), &[&usual, arguments].concat()));
    };
    let image = async || {
        let deployed = deployments.get(RELEASE).await.unwrap();
        let pod = deployed.spec.unwrap().template.spec.unwrap();
        pod.containers[0].image.clone().unwrap()
    };
    told("install", &first_chart.1, &connection);
    assert!(image().await.ends_with(&digests[0]));
    told("upgrade", &next_chart.1, &["--reuse-values"]);
    assert!(image().await.ends_with(&digests[1]), "not the older image");
    told(
        "upgrade",
        &next_chart.1,
        &["--reuse-values", "--set", "image.tag=edge"],
    );
    assert!(image().await.ends_with(":edge"));
    assert_eq!(objects.get("orders-api").await.unwrap().uid(), object.uid());
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_plain_manifests_can_be_applied_as_they_are_again_and_over_older_definitions() {
    if !ControlPlane::can_start() {
        return;
    }
    let cluster = ControlPlane::start(Options::default()).await;
    let client = client_from(cluster.admin_kubeconfig()).await;
    let apply = |arguments: &[&str]| {
        let output = cluster.kubectl(&[&["apply"], arguments].concat());
        let (out, err) = (
            String::from_utf8_lossy(&output.stdout).into_owned(),
            String::from_utf8_lossy(&output.stderr).into_owned(),
        );
        assert!(output.status.success(), "{out}{err}");
        assert!(!err.contains("Warning"), "{err}");
        out
    };
    let made = apply(&["--filename", "deploy/install.yaml"]);
    assert!(
        made.lines().all(|line| line.ends_with(" created")),
        "{made}"
    );
    pod_made(&client, NAMESPACE).await;
    let again = apply(&["--filename", "deploy/install.yaml"]);
    assert!(
        again
            .lines()
            .all(|line| line.ends_with(" unchanged") || line.ends_with(" configured")),
        "{again}"
    );
    let built = apply(&["--kustomize", "deploy"]);
    assert_eq!(built.lines().count(), made.lines().count());

    // An overlay moves everything into another namespace, and the operator with it.
    let overlay = tempfile::tempdir().unwrap();
    let base = overlay.path().join("base");
    std::fs::create_dir(&base).unwrap();
    for file in ["install.yaml", "kustomization.yaml"] {
        std::fs::copy(root().join("deploy").join(file), base.join(file)).unwrap();
    }
    let text = "namespace: platform\nresources: [base]\n";
    std::fs::write(overlay.path().join("kustomization.yaml"), text).unwrap();
    apply(&["--kustomize", overlay.path().to_str().unwrap()]);
    let pod = pod_made(&client, "platform").await.spec.unwrap();
    let container = serde_json::to_value(&pod.containers[0]).unwrap();
    assert!(!container["args"].to_string().contains(NAMESPACE));
    let field = json!({"fieldRef": {"apiVersion": "v1", "fieldPath": "metadata.namespace"}});
    let variable = json!({"name": "POD_NAMESPACE", "valueFrom": field});
    let variables = container["env"].as_array().unwrap();
    assert!(variables.contains(&variable), "{variables:?}");
    let bindings: Api<ClusterRoleBinding> = Api::all(client.clone());
    let subjects = bindings.get(RELEASE).await.unwrap().subjects.unwrap();
    assert_eq!(subjects[0].namespace.as_deref(), Some("platform"));

    // The definitions fit into the annotation in which a client-side apply keeps them, with room to grow.
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions.list(&ListParams::default()).await.unwrap() {
        let kept = &definition.annotations()["kubectl.kubernetes.io/last-applied-configuration"];
        assert!(
            kept.len() < 262_144 / 2,
            "{}: {} bytes",
            definition.name_any(),
            kept.len()
        );
    }

    // An object is accepted as soon as the definitions are served.
    namespace(&client, "orders", json!({})).await;
    let objects: Api<ApiAppSecret> = Api::namespaced(client, "orders");
    let object = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
        "metadata": {"name": "orders-api"}, "spec": {"projectId": "1", "appId": "2"}
    });
    eventually(Duration::from_secs(10), || async {
        let params = PatchParams::apply("tests");
        objects
            .patch("orders-api", &params, &Patch::Apply(&object))
            .await
            .ok()
    })
    .await;
}
