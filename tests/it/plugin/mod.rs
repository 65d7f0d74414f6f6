//! `kubectl zitadel-secret` on a real API server.

mod access;
mod completion;
mod doctor;
mod history;
mod import;
mod pages;
mod plan;
mod rotate;
mod status;
mod timeline;

use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::sync::mpsc;
use std::time::Duration;

use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::api::{Api, ListParams, Patch, PatchParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};

use crate::support::helm::{documents, root};
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// The plugin with a kubeconfig, and nothing of this process' environment that it would heed.
fn command(kubeconfig: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_kubectl-zitadel_secret"));
    command
        .env("KUBECONFIG", kubeconfig)
        .env_remove("NO_COLOR")
        .env_remove("KUBERNETES_SERVICE_HOST")
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    command
}

/// What a run of the plugin came to.
#[derive(Debug)]
pub(crate) struct Ran {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

impl From<Output> for Ran {
    fn from(output: Output) -> Self {
        Self {
            code: output.status.code(),
            stdout: String::from_utf8(output.stdout).unwrap(),
            stderr: String::from_utf8(output.stderr).unwrap(),
        }
    }
}

impl Ran {
    /// What it printed, as JSON.
    pub(crate) fn json(&self) -> Value {
        serde_json::from_str(&self.stdout).unwrap_or_else(|error| panic!("{error}: {self:?}"))
    }

    /// Asserts the exit code, and that stderr says something.
    #[track_caller]
    pub(crate) fn ends(&self, code: i32, says: &str) {
        assert_eq!(self.code, Some(code), "{self:?}");
        assert!(self.stderr.contains(says), "{self:?}");
    }
}

/// Runs the plugin with a kubeconfig.
pub(crate) fn run(kubeconfig: &Path, arguments: &[&str]) -> Ran {
    command(kubeconfig, arguments).output().unwrap().into()
}

/// Runs the plugin as the administrator, in a tenant's namespace.
pub(crate) async fn as_admin(tenant: &Tenant, arguments: &[&str]) -> Ran {
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    run(
        kubeconfig,
        &[&["-n", &tenant.namespace], arguments].concat(),
    )
}

/// Gives a user a role in a tenant's namespace, such as with `--verb=get`.
pub(crate) async fn grant(tenant: &Tenant, user: &str, rules: &[&str]) {
    let cluster = &World::shared().await.cluster;
    let (role, to) = (format!("--role={user}"), format!("--user={user}"));
    for arguments in [
        &[&["role", user], rules].concat()[..],
        &["rolebinding", user, &role, &to],
    ] {
        let output = cluster.kubectl(&[&["-n", &tenant.namespace, "create"], arguments].concat());
        assert!(output.status.success(), "{output:?}");
    }
}

/// A namespace of the operator with the Deployment of `deploy/install.yaml`, whose Pod is said to be ready: the operator is a process.
/// Returns the name of the Pod.
async fn install(client: &Client) -> String {
    let manifest = std::fs::read_to_string(root().join("deploy/install.yaml")).unwrap();
    let all = documents(&manifest);
    let deployment = all.iter().find(|it| it["kind"] == "Deployment").unwrap();
    let deployments: Api<Deployment> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    apply(&deployments, deployment).await.unwrap();
    let pods: &Api<Pod> = &Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let params = &ListParams::default().labels("app.kubernetes.io/component=operator");
    let pod = eventually(PATIENCE, || async {
        pods.list(params).await.unwrap().items.pop()
    })
    .await;
    let ready = json!({"status": {"phase": "Running", "conditions": [{"type": "Ready", "status": "True"}]}});
    let (pod, ready) = (pod.name_any(), Patch::Strategic(ready));
    pods.patch_status(&pod, &PatchParams::default(), &ready)
        .await
        .unwrap();
    let name = deployment["metadata"]["name"].as_str().unwrap();
    eventually(PATIENCE, || async {
        let status = deployments.get(name).await.unwrap().status?;
        (status.ready_replicas == Some(1)).then_some(())
    })
    .await;
    pod
}

/// A run whose lines are read one by one.
struct Running {
    child: Child,
    lines: mpsc::Receiver<String>,
}

impl Running {
    fn start(mut command: Command) -> Self {
        let mut child = command.spawn().unwrap();
        let stdout = BufReader::new(child.stdout.take().unwrap());
        let (sender, lines) = mpsc::channel();
        std::thread::spawn(move || {
            for line in stdout.lines().map_while(Result::ok) {
                if sender.send(line).is_err() {
                    return;
                }
            }
        });
        Self { child, lines }
    }

    /// The next line that has this in it.
    fn line(&self, part: &str) -> String {
        let mut seen = Vec::new();
        loop {
            let line = self.lines.recv_timeout(PATIENCE);
            let line = line.unwrap_or_else(|_| panic!("no line with {part}: {seen:#?}"));
            if line.contains(part) {
                return line;
            }
            seen.push(line);
        }
    }

    /// Whether it prints nothing for that long.
    fn is_quiet(&self, span: Duration) -> bool {
        self.lines.recv_timeout(span).is_err()
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}
