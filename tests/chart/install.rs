//! The chart and the plain manifests on a real API server. There is no kubelet, so pods are made and do not run.

use std::path::Path;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Pod, Service};
use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ApiAppSecret, ZitadelConnection};

use super::pages::{commands, run};
use super::rendered::released;
use crate::support::controlplane::{ControlPlane, Options, client_from};
use crate::support::eventually;
use crate::support::helm::{CHART, helm, refused, root, succeeded};
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

/// What a kubelet and a scheduler do as far as a Deployment shows it: the pods that were made become ready. Helm's `--wait` and
/// everything between stays real.
pub struct Kubelet(tokio::task::JoinHandle<()>);

impl Kubelet {
    pub fn start(client: Client) -> Self {
        Self(tokio::spawn(async move {
            loop {
                tokio::time::sleep(Duration::from_millis(100)).await;
                let _ = Self::pass(&client).await;
            }
        }))
    }

    /// Makes every pod ready that a controller made and that is not.
    async fn pass(client: &Client) -> kube::Result<()> {
        let all: Api<Pod> = Api::all(client.clone());
        for pod in all.list(&ListParams::default()).await? {
            let ready = pod
                .status
                .as_ref()
                .is_some_and(|s| s.phase.as_deref() == Some("Running"));
            let (Some(namespace), false) = (pod.namespace(), ready) else {
                continue;
            };
            let now = jiff::Timestamp::now().to_string();
            let status = json!({"status": {"phase": "Running", "startTime": now, "conditions": [
                {"type": "Ready", "status": "True", "lastTransitionTime": now},
                {"type": "ContainersReady", "status": "True", "lastTransitionTime": now},
            ]}});
            let pods: Api<Pod> = Api::namespaced(client.clone(), &namespace);
            let params = PatchParams::default();
            let patch = Patch::Merge(&status);
            pods.patch_status(&pod.name_any(), &params, &patch).await?;
        }
        Ok(())
    }
}

impl Drop for Kubelet {
    fn drop(&mut self) {
        self.0.abort();
    }
}

/// A connection as a platform owner makes it after the installation; its ZITADEL is down.
async fn connection(client: &Client) -> ZitadelConnection {
    let connections: Api<ZitadelConnection> = Api::all(client.clone());
    let spec = json!({
        "url": "https://iam.example.com",
        "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "zitadel-key", "key": "key.json"}}},
    });
    let object = json!({"metadata": {"name": "default"}, "spec": spec});
    let object = serde_json::from_value(object).unwrap();
    connections
        .create(&PostParams::default(), &object)
        .await
        .unwrap()
}

/// Runs helm with `--wait` beside the tasks of the test.
async fn waited(kubeconfig: &Path, arguments: &[&str]) -> String {
    let kubeconfig = kubeconfig.to_owned();
    let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
    let running = move || {
        let mut words: Vec<&str> = arguments.iter().map(String::as_str).collect();
        words.extend(["--wait", "--timeout", "90s"]);
        succeeded(&helm(Some(&kubeconfig), &words))
    };
    tokio::task::spawn_blocking(running).await.unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn helm_waits_for_the_operator_and_for_no_zitadel() {
    let cluster = ControlPlane::start(Options::default()).await;
    let kubeconfig = cluster.admin_kubeconfig();
    let client = client_from(kubeconfig).await;
    let _kubelet = Kubelet::start(client.clone());
    let first = [
        RELEASE,
        CHART,
        "--namespace",
        NAMESPACE,
        "--create-namespace",
    ];
    let verb = |verb: &'static str| [&[verb], &first[..]].concat();
    // Without the definitions; then a connection whose ZITADEL is down and whose Secret is not there.
    waited(kubeconfig, &verb("install")).await;
    let connections: Api<ZitadelConnection> = Api::all(client.clone());
    let made = connection(&client).await;
    let upgrade = [
        &verb("upgrade")[..],
        &["--set", "operator.driftInterval=5m"],
    ]
    .concat();
    waited(kubeconfig, &upgrade).await;
    // A second release, of another class, in another namespace.
    let second = [
        "install",
        "payments",
        CHART,
        "--namespace",
        "payments",
        "--create-namespace",
        "--set",
        "controllerClass=payments,watchNamespaces={payments},crds.install=false",
        // In a namespace of its own beside the release, with what else a cluster may ask for.
        "--set",
        "namespaceOverride=platform,deploymentAnnotations.owner=platform,service.labels.scrape=metrics",
        "--set",
        "extraObjects[0].apiVersion=v1,extraObjects[0].kind=ConfigMap,extraObjects[0].metadata.name=\\{{ .Release.Name \\}}",
    ];
    namespace(&client, "platform", json!({})).await;
    waited(kubeconfig, &second).await;
    let moved: Api<Deployment> = Api::namespaced(client.clone(), "platform");
    let moved = moved.list(&ListParams::default()).await.unwrap();
    assert_eq!(moved.items[0].annotations()["owner"], "platform");
    assert_eq!(
        moved.items[0].status.as_ref().unwrap().available_replicas,
        Some(1)
    );
    let services: Api<Service> = Api::namespaced(client.clone(), "platform");
    let service = services.list(&ListParams::default()).await.unwrap();
    assert_eq!(service.items[0].labels()["scrape"], "metrics");
    let further: Api<ConfigMap> = Api::namespaced(client.clone(), "payments");
    further.get("payments").await.unwrap();
    // Uninstalled, and installed again where the definitions and the connection are there already.
    waited(
        kubeconfig,
        &["uninstall", RELEASE, "--namespace", NAMESPACE],
    )
    .await;
    waited(kubeconfig, &verb("install")).await;
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    let status = deployments.get(RELEASE).await.unwrap().status.unwrap();
    assert_eq!(status.available_replicas, Some(1));
    assert_eq!(connections.get("default").await.unwrap().uid(), made.uid());
}

fn release(kubeconfig: &Path, verb: &str, arguments: &[&str]) -> String {
    let usual = [verb, RELEASE, CHART, "--namespace", NAMESPACE];
    succeeded(&helm(Some(kubeconfig), &[&usual, arguments].concat()))
}

/// What a field says of itself in older definitions.
const OLDER: &str = "As it was before.";

/// The definitions with another text for a field, as kubectl applies them.
fn older_definitions(directory: &Path) -> std::path::PathBuf {
    let definitions = zitadel_secret_operator::api::definitions().unwrap();
    let older = definitions.iter().map(|definition| {
        let mut definition = serde_json::to_value(definition).unwrap();
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        schema["properties"]["spec"]["description"] = json!(OLDER);
        definition
    });
    let list = json!({"apiVersion": "v1", "kind": "List", "items": older.collect::<Vec<_>>()});
    let file = directory.join("older.json");
    std::fs::write(&file, list.to_string()).unwrap();
    file
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_people_made_outlives_upgrades_rollbacks_and_the_release_itself() {
    let cluster = ControlPlane::start(Options::default()).await;
    let kubeconfig = cluster.admin_kubeconfig();
    let client = client_from(kubeconfig).await;
    let restricted = json!({"pod-security.kubernetes.io/enforce": "restricted"});
    namespace(&client, NAMESPACE, restricted).await;
    namespace(&client, "orders", json!({})).await;

    // The definitions of an earlier version were applied by hand.
    let directory = tempfile::tempdir().unwrap();
    let older = older_definitions(directory.path());
    let applied = cluster.kubectl(&["apply", "--filename", older.to_str().unwrap()]);
    assert!(applied.status.success(), "{applied:?}");
    let usual = ["install", RELEASE, CHART, "--namespace", NAMESPACE];
    let answer = refused(&helm(Some(kubeconfig), &usual));
    assert!(answer.contains("invalid ownership metadata"), "{answer}");
    let values = directory.path().join("values.yaml");
    std::fs::write(values, "replicas: 1\n").unwrap();
    let mut notes = String::new();
    for command in commands("install.md", "Let Helm take over the definitions") {
        notes = run(&cluster, directory.path(), &command);
    }
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in definitions.list(&ListParams::default()).await.unwrap() {
        let text = serde_json::to_string(&definition.spec).unwrap();
        assert!(!text.contains(OLDER), "{}", definition.name_any());
    }
    let command =
        format!("kubectl -n {NAMESPACE} create secret generic zitadel-key --from-file=key.json");
    assert!(notes.contains(&command), "{notes}");
    pod_made(&client, NAMESPACE).await;
    let services: Api<Service> = Api::namespaced(client.clone(), NAMESPACE);
    let service = services.get(RELEASE).await.unwrap().spec.unwrap();
    assert_eq!(service.ip_family_policy.unwrap(), "PreferDualStack");
    assert_eq!(service.ip_families.unwrap(), ["IPv4", "IPv6"]);
    let addresses = service.cluster_ips.unwrap();
    let is_v6 = addresses.iter().map(|address| address.contains(':'));
    assert!(is_v6.eq([false, true]), "{addresses:?}");
    let connections: Api<ZitadelConnection> = Api::all(client.clone());
    let first = connection(&client).await;
    let objects: Api<ApiAppSecret> = Api::namespaced(client.clone(), "orders");
    let object =
        json!({"metadata": {"name": "orders-api"}, "spec": {"projectId": "1", "appId": "2"}});
    let object = serde_json::from_value(object).unwrap();
    let object = objects
        .create(&PostParams::default(), &object)
        .await
        .unwrap();

    release(kubeconfig, "upgrade", &["--set", "replicas=2"]);
    pod_made(&client, NAMESPACE).await;
    succeeded(&helm(
        Some(kubeconfig),
        &["rollback", RELEASE, "1", "--namespace", NAMESPACE],
    ));
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());
    release(kubeconfig, "upgrade", &["--reset-values"]);
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());

    let printed = succeeded(&helm(
        Some(kubeconfig),
        &["uninstall", RELEASE, "--namespace", NAMESPACE],
    ));
    assert!(
        printed.contains("apiappsecrets.zitadel-secrets.dev"),
        "{printed}"
    );
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), NAMESPACE);
    assert!(deployments.get_opt(RELEASE).await.unwrap().is_none());
    assert_eq!(objects.get("orders-api").await.unwrap().uid(), object.uid());
    assert_eq!(connections.get("default").await.unwrap().uid(), first.uid());

    // A later release takes over what the first one left; it is a published one, with its image.
    let digests = [1, 2].map(|n| format!("sha256:{n:064}"));
    let [first_chart, next_chart] = [&digests[0], &digests[1]].map(|digest| released(digest));
    let release = |verb: &str, chart: &str, arguments: &[&str]| {
        let usual = [verb, RELEASE, chart, "--namespace", NAMESPACE];
        succeeded(&helm(Some(kubeconfig), &[&usual, arguments].concat()));
    };
    let image = async || {
        let deployed = deployments.get(RELEASE).await.unwrap();
        let pod = deployed.spec.unwrap().template.spec.unwrap();
        pod.containers[0].image.clone().unwrap()
    };
    release("install", &first_chart.1, &[]);
    assert!(image().await.ends_with(&digests[0]));
    release("upgrade", &next_chart.1, &["--reuse-values"]);
    assert!(image().await.ends_with(&digests[1]), "not the older image");
    release(
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
