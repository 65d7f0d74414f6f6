//! The cluster: one of the demo's own, or the caller's after asking.

use std::io::{BufRead as _, IsTerminal as _, Write as _};
use std::path::{Path, PathBuf};
use std::process::Command;

use anyhow::{Context as _, bail, ensure};
use serde_json::{Value, json};

use super::processes::Program;
use super::screen::kubectl;

/// The operator's namespace.
pub const OPERATOR_NAMESPACE: &str = "zitadel-secret-operator";
/// The namespace of the team.
pub const TEAM_NAMESPACE: &str = "zitadel-demo";

/// What the demo creates outside of namespaces, for `kubectl delete`.
const CLUSTER_WIDE: [&str; 5] = [
    "customresourcedefinition/apiappsecrets.zitadel-secrets.dev",
    "customresourcedefinition/oidcappsecrets.zitadel-secrets.dev",
    "customresourcedefinition/zitadelconnections.zitadel-secrets.dev",
    "clusterrole/zitadel-secret-operator",
    "clusterrolebinding/zitadel-secret-operator",
];

/// A cluster that the demo may use.
pub struct Cluster {
    own: Option<Program>,
    kubectl: PathBuf,
    directory: PathBuf,
    admin: PathBuf,
}

impl Cluster {
    /// Starts a control plane, or asks for the caller's cluster.
    pub fn take(
        root: &Path,
        directory: &Path,
        given: Option<PathBuf>,
    ) -> anyhow::Result<Option<Self>> {
        let programs = root.join("target/controlplane");
        let cluster = |own, admin| Self {
            own,
            kubectl: programs.join("kubectl"),
            directory: directory.to_owned(),
            admin,
        };
        if let Some(admin) = given {
            let cluster = cluster(None, admin);
            return Ok(cluster.ask()?.then_some(cluster));
        }
        let mut command = Command::new(programs.join("controlplane"));
        command
            .arg("up")
            .arg("--data-dir")
            .arg(directory.join("cluster"))
            .args(["--parent-pid", &std::process::id().to_string()]);
        let log = directory.join("controlplane.log");
        let (own, ready) = Program::announced("the control plane", &mut command, &log)
            .context("is target/controlplane built? tests/controlplane/build.sh does that")?;
        let kubeconfig = ready
            .get("kubeconfig")
            .and_then(Value::as_str)
            .context("no kubeconfig")?;
        Ok(Some(cluster(Some(own), kubeconfig.into())))
    }

    /// Whether it is the demo's own.
    pub const fn is_own(&self) -> bool {
        self.own.is_some()
    }

    /// The program.
    pub fn kubectl_program(&self) -> PathBuf {
        self.kubectl.clone()
    }

    fn kubectl(&self, arguments: &[&str]) -> anyhow::Result<String> {
        kubectl(&self.kubectl, &self.directory, &self.admin, arguments)
    }

    /// Writes `kubeconfig`: the administrator's, with the team's namespace as the default.
    pub fn write_kubeconfig(&self) -> anyhow::Result<()> {
        self.write("kubeconfig", |_| {})
    }

    /// Writes `operator.kubeconfig`: the service account that the examples give the operator, and nothing more.
    pub fn write_operator_kubeconfig(&self, hours: u32) -> anyhow::Result<PathBuf> {
        let token = self.kubectl(&[
            "create",
            "token",
            "zitadel-secret-operator",
            "--namespace",
            OPERATOR_NAMESPACE,
            &format!("--duration={hours}h"),
        ])?;
        self.write("operator.kubeconfig", |user| {
            *user = json!({"token": token.trim()});
        })?;
        Ok(self.directory.join("operator.kubeconfig"))
    }

    fn write(&self, name: &str, change: impl Fn(&mut Value)) -> anyhow::Result<()> {
        let config = self.kubectl(&[
            "config",
            "view",
            "--minify",
            "--flatten",
            "--raw",
            "--output=json",
        ])?;
        let mut config: Value = serde_json::from_str(&config)?;
        if let Some(context) = config.pointer_mut("/contexts/0/context") {
            context["namespace"] = TEAM_NAMESPACE.into();
        }
        if let Some(user) = config.pointer_mut("/users/0/user") {
            change(user);
        }
        // The directory can be read by its owner only.
        Ok(std::fs::write(
            self.directory.join(name),
            serde_json::to_vec(&config)?,
        )?)
    }

    /// Asks whether the caller's cluster may be used. Nothing was written to it so far.
    fn ask(&self) -> anyhow::Result<bool> {
        let server = self.kubectl(&[
            "config",
            "view",
            "--minify",
            "--output=jsonpath={.clusters[0].cluster.server}",
        ])?;
        let context = self.kubectl(&["config", "current-context"])?;
        ensure!(
            std::io::stdin().is_terminal(),
            "KUBECONFIG is set, so the demo would use the cluster {}, and there is no terminal to ask on; \
             unset KUBECONFIG to have a cluster of the demo's own",
            server.trim()
        );
        for name in CLUSTER_WIDE
            .iter()
            .map(|name| (*name).to_owned())
            .chain(namespaces())
        {
            let found = self.kubectl(&["get", &name, "--ignore-not-found", "--output=name"])?;
            if !found.trim().is_empty() {
                bail!(
                    "{name} already exists in that cluster; the demo would interfere with its users"
                );
            }
        }
        println!(
            "KUBECONFIG is set: the demo would use\n  context {}\n  server  {}",
            context.trim(),
            server.trim()
        );
        println!("It would create, and remove at the end:");
        for name in CLUSTER_WIDE
            .iter()
            .map(|name| (*name).to_owned())
            .chain(namespaces())
        {
            println!("  {name}");
        }
        println!("The operator and the ZITADEL simulator run on this machine, not in the cluster.");
        print!("Use this cluster? [y/N] ");
        std::io::stdout().flush()?;
        let mut answer = String::new();
        std::io::stdin().lock().read_line(&mut answer)?;
        Ok(matches!(answer.trim().to_lowercase().as_str(), "y" | "yes"))
    }

    /// Removes what the demo created in the caller's cluster; one of its own just ends.
    pub fn clean_up(&mut self) -> anyhow::Result<()> {
        if let Some(own) = &mut self.own {
            own.stop()?;
            return Ok(());
        }
        println!("\nremoving what was created in the cluster; a namespace takes a few seconds");
        let mut failed = None;
        for name in CLUSTER_WIDE
            .iter()
            .map(|name| (*name).to_owned())
            .chain(namespaces())
        {
            // Each for itself: what can be removed is removed.
            if let Err(error) =
                self.kubectl(&["delete", &name, "--ignore-not-found", "--timeout=60s"])
            {
                eprintln!("{name} is still there: {error:#}");
                failed = Some(error);
            }
        }
        failed.map_or(Ok(()), Err)
    }
}

fn namespaces() -> impl Iterator<Item = String> {
    [TEAM_NAMESPACE, OPERATOR_NAMESPACE]
        .into_iter()
        .map(|name| format!("namespace/{name}"))
}
