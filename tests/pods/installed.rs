//! The product as a user has it: its image on a node, installed by its chart, and a ZITADEL that Pods reach.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ContainerStatus, Pod};
use kube::ResourceExt as _;
use kube::api::{Api, ListParams};
use serde_json::json;
use tokio::sync::{Mutex, MutexGuard, OnceCell};
use zitadel_simulator::{Config, Simulator};

use crate::support::consumers::{Reports, Target};
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::helm::{CHART, helm, succeeded};
use crate::support::node::Node;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use crate::support::{apply_secret, eventually};

/// The release, its Deployment and its Lease.
pub const RELEASE: &str = "zitadel-secret-operator";
/// The name that the node's images have.
pub const REPOSITORY: &str = "localhost/zitadel-secret-operator";
/// The host of ZITADEL, which the node's DNS knows.
const ZITADEL: &str = "zitadel.test";

/// A node with the operator.
pub struct Installed {
    pub world: World,
    pub node: Node,
    /// ZITADEL's port on the node.
    pub port: u16,
    /// Where consumers report to.
    pub reports: Reports,
}

/// The one that all tests share, one at a time: all of them kill something.
pub async fn installed() -> (&'static Installed, MutexGuard<'static, ()>) {
    static INSTALLED: OnceCell<Installed> = OnceCell::const_new();
    static ONE: Mutex<()> = Mutex::const_new(());
    let turn = ONE.lock().await;
    (INSTALLED.get_or_init(Installed::new).await, turn)
}

/// The image of `make image`, if `ZSO_IMAGE` names it.
pub fn released_image() -> Option<PathBuf> {
    std::env::var_os("ZSO_IMAGE").map(PathBuf::from)
}

/// Gives a node the operator's image: that of `make image`, or else the binary that was built with this test, with its libraries.
pub fn import(node: &Node) {
    let name = format!("{REPOSITORY}:tested");
    if let Some(layout) = released_image() {
        node.import(&layout, &name);
    } else {
        let program = env!("CARGO_BIN_EXE_zitadel-secret-operator");
        node.import_program(Path::new(program), &name);
    }
}

impl Installed {
    async fn new() -> Self {
        let cluster = ControlPlane::start(Options::default()).await;
        let zitadel = Simulator::start(Config {
            tls: true,
            external_hosts: vec![ZITADEL.to_owned()],
            ..Config::default()
        })
        .unwrap();
        let port = zitadel.address().port();
        let reports = Reports::listen();
        let node = Node::start(&cluster, &[port, reports.port()]).await;
        import(&node);
        let world = World {
            directory: cluster.scratch().to_owned(),
            kubeconfig: cluster.admin_kubeconfig().to_owned(),
            cluster: Arc::new(cluster),
            zitadel,
            operator: None,
        };
        let installed = Self {
            world,
            node,
            port,
            reports,
        };
        installed.helm("install", &["--create-namespace"]).await;
        installed
    }

    /// Runs helm for the release as the documentation does: with `--wait`.
    pub async fn helm(&self, verb: &str, arguments: &[&str]) {
        let image = format!("image.repository={REPOSITORY},image.tag=tested");
        let usual = [verb, RELEASE, CHART, "--namespace", OPERATOR_NAMESPACE];
        let settings = ["--set", &image, "--wait", "--timeout", "90s"];
        self.run_helm(&[&usual, &settings, arguments].concat())
            .await;
    }

    pub async fn run_helm(&self, arguments: &[&str]) -> String {
        let arguments: Vec<String> = arguments.iter().map(|a| (*a).to_owned()).collect();
        let kubeconfig = self.world.kubeconfig.clone();
        let run = move || {
            let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
            succeeded(&helm(Some(&kubeconfig), &words))
        };
        tokio::task::spawn_blocking(run).await.unwrap()
    }

    /// A tenant whose connection leads to ZITADEL by the name that Pods know.
    pub async fn tenant(&self, prefix: &str) -> Tenant {
        let mut tenant = self.world.tenant(prefix).await;
        tenant.url = format!("https://{ZITADEL}:{}", self.port);
        let name = format!("{}-ca", tenant.namespace);
        let values = json!({"ca.crt": self.world.zitadel.ca_pem().unwrap()});
        apply_secret(&tenant.client, OPERATOR_NAMESPACE, &name, values).await;
        let bundle = json!({"secretKeyRef": {"name": name, "key": "ca.crt"}});
        tenant
            .apply_connection(json!({"tls": {"caBundle": bundle}}))
            .await;
        tenant
    }

    /// What consumers of a tenant need.
    pub fn target(&self, tenant: &Tenant) -> Target {
        Target {
            url: tenant.url.clone(),
            ca: self.world.zitadel.ca_pem().unwrap().to_owned(),
            token: tenant.pat.clone(),
            reports: format!("{}:{}", self.node.address(), self.reports.port()),
            pause: "20ms".to_owned(),
        }
    }

    pub async fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.world.cluster.client().await, OPERATOR_NAMESPACE)
    }

    /// The operator's Pods that are not being deleted, when there are so many and all are Ready.
    pub async fn ready(&self, count: usize) -> Vec<Pod> {
        let pods = &self.pods().await;
        let params = &ListParams::default().labels("app.kubernetes.io/component=operator");
        eventually(PATIENCE * 2, || async {
            let mut found = pods.list(params).await.ok()?.items;
            found.retain(|pod| pod.metadata.deletion_timestamp.is_none());
            let ready = |pod: &Pod| container(pod).is_some_and(|container| container.ready);
            (found.len() == count && found.iter().all(ready)).then_some(found)
        })
        .await
    }

    /// The Pod of the only replica.
    pub async fn pod(&self) -> Pod {
        self.ready(1).await.remove(0)
    }

    /// What a Pod has logged so far.
    pub fn log(&self, pod: &str) -> String {
        let arguments = ["logs", "--namespace", OPERATOR_NAMESPACE, pod];
        let output = self.world.cluster.kubectl(&arguments);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// Who holds the Lease.
    pub async fn holder(&self) -> Option<String> {
        let leases: Api<Lease> = self.leases().await;
        let lease = leases.get(RELEASE).await.ok()?;
        lease.spec?.holder_identity
    }

    pub async fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.world.cluster.client().await, OPERATOR_NAMESPACE)
    }

    /// Waits until a Pod leads.
    pub async fn leads(&self, pod: &Pod) {
        let name = &pod.name_any();
        eventually(PATIENCE, || async {
            self.holder().await?.starts_with(name).then_some(())
        })
        .await;
    }

    /// The process of the operator in a Pod, as this machine numbers it.
    pub fn process(&self, pod: &Pod) -> u32 {
        let id = container(pod).unwrap().container_id.unwrap();
        let processes = self.node.cgroup("memory", &id).join("cgroup.procs");
        let processes = std::fs::read_to_string(processes).unwrap();
        processes.trim().parse().unwrap()
    }

    /// Waits until the container of a Pod runs again, after so many restarts.
    pub async fn restarted(&self, pod: &Pod, restarts: i32) -> Pod {
        let (pods, name) = (&self.pods().await, &pod.name_any());
        eventually(PATIENCE * 2, || async {
            let pod = pods.get(name).await.ok()?;
            let container = container(&pod)?;
            (container.restart_count == restarts && container.ready).then_some(pod)
        })
        .await
    }
}

/// The only container of a Pod.
pub fn container(pod: &Pod) -> Option<ContainerStatus> {
    let statuses = pod.status.as_ref()?.container_statuses.as_ref()?;
    statuses.first().cloned()
}

/// Prints a figure for docs/benchmarks.md.
pub fn figure(name: &str, value: Duration) {
    println!("figure {name} {:.1} s", value.as_secs_f64());
}
