//! Runs commands as they are on a page.

use std::ffi::OsStr;
use std::fs::Permissions;
use std::os::unix::fs::{PermissionsExt as _, symlink};
use std::path::Path;
use std::process::Stdio;

use rustix::process::Pid;
use tempfile::TempDir;
use tokio::io::{AsyncBufReadExt as _, BufReader};

use crate::support::controlplane::ControlPlane;
use crate::support::world::PATIENCE;

/// Where commands run, as the administrator of a cluster.
pub struct Shell {
    /// What they find in `PATH`.
    programs: TempDir,
    /// Where they are.
    directory: TempDir,
}

impl Shell {
    pub fn new(cluster: &ControlPlane) -> Self {
        Self {
            programs: programs(cluster),
            directory: tempfile::tempdir().unwrap(),
        }
    }

    /// The directory that commands are run in.
    pub fn directory(&self) -> &Path {
        self.directory.path()
    }

    /// The lines that a command prints, as a terminal has them. Each goes to `meanwhile` with the process of the plugin, and the next one is
    /// read after that.
    pub async fn printed(&self, command: &str, meanwhile: impl AsyncFn(&str, Pid)) -> Vec<String> {
        let path = std::env::var("PATH").unwrap();
        let mut child = tokio::process::Command::new("sh")
            .args(["-c", &format!("exec 2>&1\nexec {command}")])
            .current_dir(&self.directory)
            .env("PATH", format!("{}:{path}", self.programs.path().display()))
            .env("LC_ALL", "C.UTF-8")
            .env_remove("NO_COLOR")
            .env_remove("KUBERNETES_SERVICE_HOST")
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        let plugin = Pid::from_raw(child.id().unwrap().try_into().unwrap()).unwrap();
        let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
        let mut printed = Vec::new();
        let reading = async {
            while let Some(line) = lines.next_line().await.unwrap() {
                meanwhile(&line, plugin).await;
                printed.push(line);
            }
        };
        if tokio::time::timeout(2 * PATIENCE, reading).await.is_err() {
            printed.push("and does not end".to_owned());
        }
        printed
    }
}

/// A directory with kubectl and the plugin.
fn programs(cluster: &ControlPlane) -> TempDir {
    let programs = tempfile::tempdir().unwrap();
    let plugin = programs.path().join("kubectl-zitadel_secret");
    symlink(env!("CARGO_BIN_EXE_kubectl-zitadel_secret"), plugin).unwrap();
    let command = cluster.kubectl_command(&[]);
    let quoted = |text: &OsStr| format!("'{}'", text.to_str().unwrap());
    let set = command.get_envs().map(|(name, value)| {
        let value = quoted(value.unwrap());
        format!("export {}={value}\n", name.to_str().unwrap())
    });
    let words: Vec<_> = std::iter::once(command.get_program())
        .chain(command.get_args())
        .map(quoted)
        .collect();
    let script = format!(
        "#!/bin/sh\n{}exec {} \"$@\"\n",
        set.collect::<String>(),
        words.join(" ")
    );
    let kubectl = programs.path().join("kubectl");
    std::fs::write(&kubectl, script).unwrap();
    std::fs::set_permissions(kubectl, Permissions::from_mode(0o755)).unwrap();
    programs
}
