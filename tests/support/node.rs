//! A node for tests: kubelet, scheduler and containerd in namespaces of their own, on a control plane of a test. See tests/node/README.md.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};

use serde::Deserialize;

use super::controlplane::ControlPlane;
use super::helm::root;

/// A node. It ends with this process, or when it is dropped.
pub struct Node {
    child: Mutex<Child>,
    ready: Ready,
}

/// The line that `node up` prints when Pods can be scheduled.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    address: String,
    data_dir: PathBuf,
    cgroup: String,
}

impl Node {
    /// Starts the first node of a control plane. At its address, Pods reach what listens on these ports of 127.0.0.1 in this process's network.
    ///
    /// # Panics
    /// Where this machine cannot run a node, with the reason.
    pub async fn start(cluster: &ControlPlane, ports: &[u16]) -> Self {
        Self::up(cluster, ports, &[]).await
    }

    /// Starts a further node. Its name is an address of the loopback, such as 127.0.0.2.
    pub async fn join(cluster: &ControlPlane, ports: &[u16], name: &str) -> Self {
        Self::up(cluster, ports, &["--join", "--name", name]).await
    }

    async fn up(cluster: &ControlPlane, ports: &[u16], arguments: &[&str]) -> Self {
        let (controlplane, data) = cluster
            .program()
            .expect("a node needs the control plane of tests/controlplane");
        let mut command = Command::new(program("node"));
        command
            .args(["up", "--json", "--exit-on-stdin-close"])
            .arg("--controlplane")
            .arg(data)
            .arg("--controlplane-program")
            .arg(controlplane)
            .args(ports.iter().map(|port| format!("--forward={port}")))
            .args(arguments)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        tokio::task::spawn_blocking(move || {
            let mut child = command.spawn().unwrap();
            let mut line = String::new();
            let mut output = BufReader::new(child.stdout.take().unwrap());
            output.read_line(&mut line).unwrap();
            assert!(!line.is_empty(), "node up: {}", child.wait().unwrap());
            Self {
                child: Mutex::new(child),
                ready: serde_json::from_str(&line).unwrap(),
            }
        })
        .await
        .unwrap()
    }

    /// The address at which Pods reach the forwarded ports.
    pub fn address(&self) -> &str {
        &self.ready.address
    }

    /// Where logs and everything else of the node is.
    pub fn data_dir(&self) -> &Path {
        &self.ready.data_dir
    }

    /// Gives the node the image in an OCI layout, a directory or a tar file, under a name.
    pub fn import(&self, layout: &Path, name: &str) {
        let mut command = Command::new(program("node"));
        command.arg("import").arg(self.data_dir());
        run(command.arg(root().join(layout)).arg(name));
    }

    /// Gives the node an image of a program of this machine, with the libraries that it is linked with.
    pub fn import_program(&self, program_path: &Path, name: &str) {
        let layout = tempfile::NamedTempFile::new().unwrap();
        let mut command = Command::new(program("node"));
        run(command.arg("pack").arg(layout.path()).arg(program_path));
        self.import(layout.path(), name);
    }

    /// The cgroups of its Pods, one directory for each controller.
    pub fn cgroups(&self) -> Vec<PathBuf> {
        let controllers = fs::read_dir("/sys/fs/cgroup").unwrap();
        controllers
            .map(|controller| controller.unwrap().path().join(&self.ready.cgroup))
            .filter(|path| path.exists())
            .collect()
    }

    /// The cgroup of a container under a controller, by its id as a Pod's status has it.
    pub fn cgroup(&self, controller: &str, container: &str) -> PathBuf {
        let (_, id) = container.split_once("://").unwrap();
        let top = Path::new("/sys/fs/cgroup").join(controller);
        find(&top.join(&self.ready.cgroup), id)
            .unwrap_or_else(|| panic!("no cgroup of {container}"))
    }

    /// The process id of `node up`.
    pub fn pid(&self) -> u32 {
        self.lock().id()
    }

    /// Ends `node up` at once (SIGKILL): the rest of the node ends by itself.
    pub fn kill(&self) {
        let mut child = self.lock();
        let _ = child.kill();
        child.wait().unwrap();
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        let mut child = self.lock();
        drop(child.stdin.take());
        let _ = child.wait();
    }
}

/// A directory of this name at any depth.
fn find(top: &Path, name: &str) -> Option<PathBuf> {
    fs::read_dir(top)
        .ok()?
        .filter_map(Result::ok)
        .find_map(|entry| {
            let path = entry.path();
            if !path.is_dir() {
                return None;
            }
            if entry.file_name() == name {
                return Some(path);
            }
            find(&path, name)
        })
}

/// A program of target/node, built first if need be.
pub(super) fn program(name: &str) -> PathBuf {
    static BUILT: std::sync::OnceLock<PathBuf> = std::sync::OnceLock::new();
    let directory = BUILT.get_or_init(|| {
        let check = Command::new(root().join("tests/node/check.sh"))
            .output()
            .unwrap();
        assert!(
            check.status.success(),
            "{}",
            String::from_utf8_lossy(&check.stdout)
        );
        run(Command::new(root().join("tests/node/build.sh")).stdin(Stdio::null()));
        root().join("target/node")
    });
    directory.join(name)
}

fn run(command: &mut Command) {
    let status = command.status().unwrap();
    assert!(status.success(), "{command:?}: {status}");
}
