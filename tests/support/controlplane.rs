//! A Kubernetes control plane for tests. In this order: the cluster of `TEST_KUBECONFIG`, the programs in
//! `KUBEBUILDER_ASSETS`, the binary `ZSO_CONTROLPLANE`, or the one that `tests/controlplane/build.sh` builds.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Output, Stdio};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;
use std::{env, fs, process};

use k8s_openapi::api::authentication::v1::{TokenRequest, TokenRequestSpec};
use k8s_openapi::api::core::v1::{Namespace, ServiceAccount};
use kube::api::{Api, ObjectMeta, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::{Client, Config};
use serde::Deserialize;
use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::sync::OnceCell;

use super::envtest::Envtest;
use super::eventually;

const GIVEN: &str = "TEST_KUBECONFIG";
const ASSETS: &str = "KUBEBUILDER_ASSETS";
const BINARY: &str = "ZSO_CONTROLPLANE";

/// How a control plane of a test's own is started.
#[derive(Clone, Copy, Default)]
pub struct Options {
    /// Write an audit log; see [`ControlPlane::audit_log`].
    pub audit: bool,
    /// Let etcd wait for the disk.
    pub fsync: bool,
}

/// A running control plane. It ends with this process, or when it is dropped.
pub struct ControlPlane {
    kind: Kind,
    kubeconfig: PathBuf,
    audit_log: Option<PathBuf>,
    /// Where kubeconfigs and kubectl's cache go.
    scratch: PathBuf,
    kubeconfigs: AtomicUsize,
    _dir: Option<TempDir>,
}

enum Kind {
    Built(Built),
    Envtest(Mutex<Envtest>),
    Given,
}

/// One process of the `controlplane` binary.
struct Built {
    binary: PathBuf,
    data_dir: PathBuf,
    options: Options,
    child: Mutex<Child>,
}

/// The line that `controlplane up` prints when it is ready.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Ready {
    kubeconfig: PathBuf,
    audit_log: PathBuf,
    data_dir: PathBuf,
}

impl ControlPlane {
    /// The control plane that all tests of this test binary share, with an audit log.
    pub async fn shared() -> &'static Arc<Self> {
        static SHARED: OnceCell<Arc<ControlPlane>> = OnceCell::const_new();
        SHARED
            .get_or_init(|| async {
                let options = Options {
                    audit: true,
                    ..Options::default()
                };
                if let Some(path) = env::var_os(GIVEN) {
                    return Arc::new(Self::given(path.into()));
                }
                // A static is never dropped, so the process itself removes the directory when it ends.
                Arc::new(blocking(move || Self::launch(options, true)).await)
            })
            .await
    }

    /// A control plane for one test alone, which it may kill and restart.
    ///
    /// # Panics
    /// With `TEST_KUBECONFIG`, which names the only cluster.
    pub async fn start(options: Options) -> Self {
        assert!(
            Self::can_start(),
            "this test needs a control plane of its own, which {GIVEN} does not allow"
        );
        blocking(move || Self::launch(options, false)).await
    }

    /// Whether tests can have control planes of their own.
    pub fn can_start() -> bool {
        env::var_os(GIVEN).is_none()
    }

    fn given(kubeconfig: PathBuf) -> Self {
        let scratch =
            Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("given-{}", process::id()));
        fs::create_dir_all(&scratch).unwrap();
        Self {
            kind: Kind::Given,
            kubeconfig,
            audit_log: None,
            scratch,
            kubeconfigs: AtomicUsize::new(0),
            _dir: None,
        }
    }

    fn launch(options: Options, shared: bool) -> Self {
        if let Some(assets) = env::var_os(ASSETS) {
            let dir = tempfile::tempdir_in(env!("CARGO_TARGET_TMPDIR")).unwrap();
            let envtest = Envtest::start(Path::new(&assets), dir.path(), options);
            return Self {
                kubeconfig: envtest.kubeconfig(),
                audit_log: options.audit.then(|| envtest.audit_log()),
                kind: Kind::Envtest(Mutex::new(envtest)),
                scratch: dir.path().to_owned(),
                kubeconfigs: AtomicUsize::new(0),
                _dir: Some(dir),
            };
        }
        let dir = (!shared).then(|| tempfile::tempdir().unwrap());
        let binary = binary();
        let (child, ready) = up(&binary, dir.as_ref().map(TempDir::path), options);
        Self {
            kubeconfig: ready.kubeconfig,
            audit_log: options.audit.then_some(ready.audit_log),
            scratch: ready.data_dir.clone(),
            kind: Kind::Built(Built {
                binary,
                data_dir: ready.data_dir,
                options,
                child: Mutex::new(child),
            }),
            kubeconfigs: AtomicUsize::new(0),
            _dir: dir,
        }
    }

    /// Whether the controllers run (garbage collection, namespaces, service accounts, Deployments).
    pub fn has_controllers(&self) -> bool {
        !matches!(self.kind, Kind::Envtest(_))
    }

    /// Asserts that they run.
    pub fn assert_controllers(&self) {
        assert!(
            self.has_controllers(),
            "this test needs kube-controller-manager, which the programs in {ASSETS} lack"
        );
    }

    /// Whether this is the control plane in `tests/controlplane`, whose version is known.
    pub fn is_built(&self) -> bool {
        matches!(self.kind, Kind::Built(_))
    }

    /// The binary `controlplane` and its data directory, if that is what runs.
    pub fn program(&self) -> Option<(&Path, &Path)> {
        match &self.kind {
            Kind::Built(built) => Some((&built.binary, &built.data_dir)),
            Kind::Envtest(_) | Kind::Given => None,
        }
    }

    /// A directory that goes with this control plane.
    pub fn scratch(&self) -> &Path {
        &self.scratch
    }

    /// Kubeconfig of an administrator.
    pub fn admin_kubeconfig(&self) -> &Path {
        &self.kubeconfig
    }

    /// An administrator's client. Make one per test: a client does not survive the runtime it was made in.
    pub async fn client(&self) -> Client {
        client_from(&self.kubeconfig).await
    }

    /// Kubeconfig of a user that RBAC does not know yet.
    pub async fn kubeconfig_for_user(&self, name: &str, groups: &[&str]) -> PathBuf {
        let path = self.new_kubeconfig_path(name);
        if let Kind::Built(built) = &self.kind {
            let mut command = Command::new(&built.binary);
            command
                .arg("kubeconfig")
                .arg("--data-dir")
                .arg(&built.data_dir)
                .args(["--user", name]);
            command.args(groups.iter().flat_map(|group| ["--group", group]));
            let output = blocking(move || command.output().unwrap()).await;
            assert!(
                output.status.success(),
                "{}",
                String::from_utf8_lossy(&output.stderr)
            );
            fs::write(&path, output.stdout).unwrap();
        } else {
            // No certificate authority to sign with: the administrator acts as the user.
            self.write_kubeconfig(&path, |user| {
                user["as"] = json!(name);
                user["as-groups"] = json!(groups);
            });
        }
        path
    }

    /// Kubeconfig with a token of an existing service account, valid for an hour.
    pub async fn kubeconfig_for_service_account(&self, namespace: &str, name: &str) -> PathBuf {
        let accounts: Api<ServiceAccount> = Api::namespaced(self.client().await, namespace);
        let request = TokenRequest {
            spec: Some(TokenRequestSpec {
                expiration_seconds: Some(3600),
                ..TokenRequestSpec::default()
            }),
            ..TokenRequest::default()
        };
        let answer = accounts
            .create_token_request(name, &PostParams::default(), &request)
            .await
            .unwrap();
        let token = answer.status.unwrap().token;
        let path = self.new_kubeconfig_path(name);
        self.write_kubeconfig(&path, |user| *user = json!({ "token": token }));
        path
    }

    /// Makes a namespace of this name, if there is none.
    pub async fn namespace(&self, name: &str) {
        let namespaces: Api<Namespace> = Api::all(self.client().await);
        let namespace = serde_json::from_value(json!({"metadata": {"name": name}})).unwrap();
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }

    /// Makes a namespace with a name of its own and waits until it is fit for use.
    pub async fn fresh_namespace(&self, prefix: &str) -> String {
        let client = self.client().await;
        let metadata = ObjectMeta {
            generate_name: Some(format!("{prefix}-")),
            ..ObjectMeta::default()
        };
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let namespace = Namespace {
            metadata,
            ..Namespace::default()
        };
        let made = namespaces
            .create(&PostParams::default(), &namespace)
            .await
            .unwrap();
        let name = made.metadata.name.unwrap();
        if self.has_controllers() {
            let accounts: &Api<ServiceAccount> = &Api::namespaced(client, &name);
            eventually(Duration::from_secs(20), || async {
                accounts.get_opt("default").await.unwrap()
            })
            .await;
        }
        name
    }

    /// Runs kubectl as the administrator. Not from a test that paused tokio's clock: it blocks the thread.
    pub fn kubectl(&self, args: &[&str]) -> Output {
        self.kubectl_command(args).output().unwrap()
    }

    /// kubectl as the administrator, to be run.
    pub fn kubectl_command(&self, args: &[&str]) -> Command {
        let mut command = match &self.kind {
            Kind::Built(built) => {
                let mut command = Command::new(&built.binary);
                command.arg("kubectl");
                command
            }
            Kind::Envtest(envtest) => Command::new(lock(envtest).kubectl()),
            Kind::Given => Command::new("kubectl"),
        };
        // Ports are used again by later control planes: what kubectl remembers of this one is for this one only.
        command
            .env("KUBECONFIG", &self.kubeconfig)
            .env("KUBECACHEDIR", self.scratch.join("kubectl-cache"));
        command.env("KUBERC", "off").args(args).stdin(Stdio::null());
        command
    }

    /// One JSON object per answered request (level `Metadata`), written before the answer.
    ///
    /// # Panics
    /// When there is none, which is the case for a given cluster; see [`has_audit_log`](Self::has_audit_log).
    pub fn audit_log(&self) -> &Path {
        self.audit_log
            .as_deref()
            .expect("this control plane has no audit log")
    }

    pub fn has_audit_log(&self) -> bool {
        self.audit_log.is_some()
    }

    /// Ends everything at once, as a power failure would (SIGKILL).
    pub fn kill(&self) {
        match &self.kind {
            Kind::Built(built) => kill(&mut lock(&built.child)),
            Kind::Envtest(envtest) => lock(envtest).kill(),
            Kind::Given => panic!("a given cluster is not ours to kill"),
        }
    }

    /// Starts again with the same addresses, certificates and objects, after killing what still runs.
    pub async fn restart(&self) {
        self.kill();
        match &self.kind {
            Kind::Built(built) => {
                let (binary, dir, options) =
                    (built.binary.clone(), built.data_dir.clone(), built.options);
                let (child, _) = blocking(move || up(&binary, Some(&dir), options)).await;
                *lock(&built.child) = child;
            }
            Kind::Envtest(envtest) => lock(envtest).run(),
            Kind::Given => {}
        }
    }

    /// Copies etcd's files, for which everything is killed and started again.
    ///
    /// # Panics
    /// With the programs of envtest, whose files are elsewhere.
    pub async fn back_up(&self) -> TempDir {
        assert!(
            env::var_os(ASSETS).is_none(),
            "this test needs the control plane in tests/controlplane, and {ASSETS} is set"
        );
        self.kill();
        let backup = tempfile::tempdir().unwrap();
        copy(&self.etcd(), backup.path());
        self.restart().await;
        backup
    }

    /// Puts etcd's files back as they were: revisions are counted again from there on.
    pub async fn restore(&self, backup: &TempDir) {
        self.kill();
        fs::remove_dir_all(self.etcd()).unwrap();
        copy(backup.path(), &self.etcd());
        self.restart().await;
    }

    fn etcd(&self) -> PathBuf {
        let Kind::Built(built) = &self.kind else {
            panic!("only the built control plane keeps etcd's files in a place of its own")
        };
        built.data_dir.join("etcd")
    }

    fn new_kubeconfig_path(&self, name: &str) -> PathBuf {
        let number = self.kubeconfigs.fetch_add(1, Ordering::Relaxed);
        let name = name.replace(|c: char| !c.is_ascii_alphanumeric(), "-");
        self.scratch.join(format!("{number}-{name}.kubeconfig"))
    }

    /// Writes the administrator's kubeconfig with other credentials.
    fn write_kubeconfig(&self, path: &Path, change: impl FnOnce(&mut Value)) {
        let config = Kubeconfig::read_from(&self.kubeconfig).unwrap();
        let mut config = serde_json::to_value(config).unwrap();
        let current = config["current-context"].clone();
        let contexts = config["contexts"].as_array().unwrap();
        let context = contexts
            .iter()
            .find(|context| context["name"] == current)
            .unwrap();
        let name = context["context"]["user"].clone();
        let users = config["users"].as_array_mut().unwrap();
        let user = users.iter_mut().find(|user| user["name"] == name).unwrap();
        change(&mut user["user"]);
        fs::write(path, serde_json::to_vec(&config).unwrap()).unwrap(); // JSON is YAML
    }
}

impl Drop for ControlPlane {
    fn drop(&mut self) {
        if !matches!(self.kind, Kind::Given) {
            self.kill();
        }
    }
}

/// A client that reports every error at once: kube's own repetitions are off.
pub async fn client_from(kubeconfig: &Path) -> Client {
    let kubeconfig = Kubeconfig::read_from(kubeconfig).unwrap();
    let mut config = Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
        .await
        .unwrap();
    config.default_retry = false;
    Client::try_from(config).unwrap()
}

/// The binary, built first if need be.
fn binary() -> PathBuf {
    if let Some(path) = env::var_os(BINARY) {
        return path.into();
    }
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let status = Command::new(root.join("tests/controlplane/build.sh"))
        .stdin(Stdio::null())
        .status();
    assert!(
        status.is_ok_and(|status| status.success()),
        "tests/controlplane/build.sh failed: it needs Go; or set {BINARY}, {ASSETS} or {GIVEN}"
    );
    root.join("target/controlplane/controlplane")
}

/// Starts `controlplane up` and waits for its line. A plain process, not one of tokio's: the runtime of the test that
/// comes first ends long before the last test.
fn up(binary: &Path, data_dir: Option<&Path>, options: Options) -> (Child, Ready) {
    let mut command = Command::new(binary);
    command
        .arg("up")
        .arg("--parent-pid")
        .arg(process::id().to_string());
    if let Some(dir) = data_dir {
        command.arg("--data-dir").arg(dir);
    }
    if options.audit {
        command.arg("--audit");
    }
    if options.fsync {
        command.arg("--fsync");
    }
    let mut child = command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap())
        .read_line(&mut line)
        .unwrap();
    assert!(
        !line.is_empty(),
        "controlplane up: {}",
        child.wait().unwrap()
    );
    (child, serde_json::from_str(&line).unwrap())
}

fn copy(from: &Path, to: &Path) {
    fs::create_dir_all(to).unwrap();
    for entry in fs::read_dir(from).unwrap() {
        let entry = entry.unwrap();
        let target = to.join(entry.file_name());
        if entry.file_type().unwrap().is_dir() {
            copy(&entry.path(), &target);
        } else {
            fs::copy(entry.path(), target).unwrap();
        }
    }
}

fn kill(child: &mut Child) {
    let _ = child.kill(); // an error means that it has ended
    child.wait().unwrap();
}

fn lock<T>(mutex: &Mutex<T>) -> std::sync::MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(value) => value,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
