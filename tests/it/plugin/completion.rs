//! Completion, as kubectl and a shell ask for it.

use std::env;
use std::os::unix::fs::symlink;

use serde_json::json;
use tempfile::TempDir;

use super::*;
use crate::fixtures::tenant;
use crate::support::controlplane::ControlPlane;

/// A directory with the plugin and its link, before all others in `PATH`.
struct Installed {
    directory: TempDir,
}

impl Installed {
    fn new() -> Self {
        let directory = tempfile::tempdir().unwrap();
        for name in ["kubectl-zitadel_secret", "kubectl_complete-zitadel_secret"] {
            let path = directory.path().join(name);
            symlink(env!("CARGO_BIN_EXE_kubectl-zitadel_secret"), path).unwrap();
        }
        Self { directory }
    }

    fn path(&self) -> String {
        let path = env::var("PATH").unwrap();
        format!("{}:{path}", self.directory.path().display())
    }

    /// What kubectl's own completion offers, and its directive.
    fn kubectl(&self, cluster: &ControlPlane, words: &[&str]) -> Vec<String> {
        let words = [&["__complete", "zitadel-secret"], words].concat();
        let mut command = cluster.kubectl_command(&words);
        let ran = Ran::from(command.env("PATH", self.path()).output().unwrap());
        ran.stdout.lines().map(ToOwned::to_owned).collect()
    }
}

#[tokio::test]
async fn kubectl_completes_commands_flags_and_the_names_in_the_cluster() {
    let tenant = tenant("complete").await;
    let cluster = &World::shared().await.cluster;
    tenant.issued("orders", json!({})).await;
    tenant.issued("billing.v2", json!({})).await;
    let installed = Installed::new();
    let offered = |words: &[&str]| installed.kubectl(cluster, words);
    let namespace = tenant.namespace.as_str();
    let status = offered(&["sta"]);
    assert!(
        status[0].starts_with("status\tShow each credential"),
        "{status:?}"
    );
    assert_eq!(status[1], ":4");
    assert_eq!(
        offered(&["status", "-n", namespace, ""]),
        ["billing.v2\tApiAppSecret", "orders\tApiAppSecret", ":4"]
    );
    assert_eq!(
        offered(&["rotate", "-n", namespace, "or"]),
        ["orders\tApiAppSecret", ":4"]
    );
    // One that is given already is not offered again, and a kind goes before a name.
    assert_eq!(
        offered(&["status", "orders", "-n", namespace, ""]),
        ["billing.v2\tApiAppSecret", ":4"]
    );
    assert_eq!(
        offered(&["history", "-n", namespace, "aas/o"]),
        ["aas/orders\tApiAppSecret", ":4"]
    );
    assert_eq!(offered(&["history", "-n", namespace, "oas/o"]), [":4"]);
    assert_eq!(offered(&["status", "-n", namespace]), [namespace, ":4"]);
    assert_eq!(
        offered(&["status", &format!("--namespace={namespace}")])[0],
        namespace
    );
    let secrets = offered(&["import", "-n", namespace, ""]);
    assert!(secrets.contains(&"orders".to_owned()), "{secrets:?}");
    let contexts = offered(&["status", "--context", ""]);
    assert!(contexts.len() > 1, "{contexts:?}");
}

#[tokio::test]
async fn a_shell_completes_the_plugin_by_its_script() {
    let tenant = tenant("bash").await;
    let cluster = &World::shared().await.cluster;
    tenant.issued("orders", json!({})).await;
    let installed = Installed::new();
    let script = format!(
        "source <(kubectl-zitadel_secret completion bash)
         complete -p kubectl-zitadel_secret >&2
         COMP_WORDS=(kubectl-zitadel_secret status -n {namespace} o) COMP_CWORD=4 COMP_TYPE=9
         $(complete -p kubectl-zitadel_secret | sed 's/.*-F \\([^ ]*\\).*/\\1/') kubectl-zitadel_secret o {namespace}
         printf '%s\\n' \"${{COMPREPLY[@]}}\"",
        namespace = tenant.namespace
    );
    let output = Command::new("bash")
        .args(["-c", &script])
        .env("PATH", installed.path())
        .env("KUBECONFIG", cluster.admin_kubeconfig())
        .output()
        .unwrap();
    let ran = Ran::from(output);
    assert_eq!(
        (ran.code, ran.stdout.trim()),
        (Some(0), "orders"),
        "{ran:?}"
    );
}
