//! A world for tests: a cluster, a simulator and the operator's real binary, which all tests of one file share.
//!
//! Each test takes a [`Tenant`]: a namespace, a connection and an organization of its own.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Secret};
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use kube::core::ObjectMeta;
use kube::{Client, CustomResourceExt};
use serde_json::{Value, json};
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::{ApiAppSecret, ConditionType, ZitadelConnection};
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
use zitadel_simulator::{AppHandle, Config, Role, Scope, Simulator, UserHandle};

use super::controlplane::{ControlPlane, Options};
use super::{eventually, rights};

/// The namespace that the operator runs in.
pub const OPERATOR_NAMESPACE: &str = "zitadel-secret-operator";
/// How long anything that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// The operator's binary, running.
pub struct Operator {
    child: Mutex<Child>,
    /// Everything it printed.
    pub log: PathBuf,
    /// Where /ready and /metrics are.
    pub admin: String,
}

impl Operator {
    /// Starts the binary against a cluster. `arguments` come after the usual ones.
    pub fn start(kubeconfig: &Path, directory: &Path, arguments: &[&str]) -> Self {
        let log = ["--log", "trace,hyper=debug,h2=info,rustls=debug"];
        let usual = [&["--leader-elect", "false"], &log[..], arguments].concat();
        Self::start_with(kubeconfig, directory, &usual)
    }

    /// Starts the binary without an opinion on leader election and logs.
    pub fn start_with(kubeconfig: &Path, directory: &Path, arguments: &[&str]) -> Self {
        Self::start_in(kubeconfig, directory, arguments, &[])
    }

    /// The same with further environment variables.
    pub fn start_in(
        kubeconfig: &Path,
        directory: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = directory.join(format!("operator-{}.log", uuid::Uuid::new_v4().simple()));
        let output = File::create(&log).unwrap();
        // Whoever says so has another one.
        let often = ["--drift-interval", "2s"];
        let often = if arguments.contains(&often[0]) {
            &[][..]
        } else {
            &often[..]
        };
        // A static is never dropped: the process ends itself when the pipe from this one closes without a word.
        let child = Command::new("sh")
            .args([
                "-c",
                r#"exec 3<&0; (read -r _ <&3 || kill -9 $$) & exec "$@" </dev/null 3<&-"#,
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
            .arg("run")
            .args(["--admin-address", "127.0.0.1:0", "--log-format", "json"])
            .args(["--minimum-interval", "1s"])
            .args(often)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", OPERATOR_NAMESPACE)
            .env("METRICS_PER_OBJECT", "true")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut operator = Self {
            child: Mutex::new(child),
            log,
            admin: String::new(),
        };
        operator.admin = operator.admin_address();
        operator
    }

    /// Reads the admin address off the log, where it stands in the first lines.
    fn admin_address(&self) -> String {
        for _ in 0..500 {
            let lines = BufReader::new(File::open(&self.log).unwrap())
                .lines()
                .map_while(Result::ok);
            for line in lines {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["fields"]["address"]
                    .as_str()
                    .or_else(|| line["address"].as_str())
                {
                    return format!("http://{address}");
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!(
            "the operator did not say its admin address: {}",
            self.printed()
        );
    }

    /// Everything that it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The audit records so far.
    pub fn audit(&self) -> Vec<Value> {
        let lines = self.printed();
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == "audit")
            .collect()
    }

    /// Status and body of a page of the admin server.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let host = self.admin.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        ended(&mut child);
    }

    /// Asks it to stop and waits for its exit code.
    pub fn stop(&self) -> Option<i32> {
        let mut child = self.child.lock().unwrap();
        let pid = rustix::process::Pid::from_raw(i32::try_from(child.id()).unwrap()).unwrap();
        rustix::process::kill_process(pid, rustix::process::Signal::TERM).unwrap();
        ended(&mut child)
    }
}

/// Waits for the end of a process and of its watchman, who must not outlive it: process ids are used again.
fn ended(child: &mut Child) -> Option<i32> {
    if let Some(mut watchman) = child.stdin.take() {
        let _ = watchman.write_all(b"\n");
    }
    child.wait().unwrap().code()
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}

/// A cluster with the CRDs, and a simulator.
pub struct World {
    /// The cluster.
    pub cluster: &'static ControlPlane,
    /// ZITADEL.
    pub zitadel: Simulator,
    /// For logs. `ZSO_TEST_LOGS` names one that is kept.
    pub directory: PathBuf,
    /// The operator's: a service account with the chart's rights.
    pub kubeconfig: PathBuf,
    /// The operator, if this world has one that all share.
    pub operator: Option<Arc<Operator>>,
}

static SHARED: OnceCell<World> = OnceCell::const_new();

impl World {
    /// The world that all tests of one file share, with an operator.
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| {
                Box::pin(async {
                    let mut world = Self::on(ControlPlane::shared().await).await;
                    let operator = Operator::start(
                        &world.kubeconfig,
                        &world.directory,
                        &["--protocol-speed", "20"],
                    );
                    world.operator = Some(Arc::new(operator));
                    world
                })
            })
            .await
    }

    /// A world of one's own, without an operator. The control plane is leaked: it ends with this process.
    pub async fn own(options: Options) -> Self {
        Self::on(Box::leak(Box::new(ControlPlane::start(options).await))).await
    }

    async fn on(cluster: &'static ControlPlane) -> Self {
        let client = cluster.client().await;
        install_definitions(&client).await;
        let namespaces: Api<Namespace> = Api::all(client);
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(OPERATOR_NAMESPACE.into()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
        let kubeconfig = rights::grant(cluster, OPERATOR_NAMESPACE).await;
        let zitadel = Simulator::start(Config::default()).unwrap();
        let directory = std::env::var_os("ZSO_TEST_LOGS")
            .map_or_else(|| cluster.scratch().to_owned(), PathBuf::from);
        Self {
            cluster,
            zitadel,
            directory,
            kubeconfig,
            operator: None,
        }
    }

    /// An operator of its own controller class, in a namespace of its own, for a test that needs other settings than the shared one has.
    /// Its tenants come from [`OwnOperator::tenant_at`].
    pub async fn own_operator(&self, arguments: &[&str]) -> OwnOperator {
        let namespace = self.cluster.fresh_namespace("operator").await;
        let kubeconfig = rights::grant(self.cluster, &namespace).await;
        let own = ["--controller-class", &namespace, "--namespace", &namespace];
        let arguments = [&own, arguments].concat();
        OwnOperator {
            operator: Operator::start(&kubeconfig, &self.directory, &arguments),
            namespace,
        }
    }

    /// A namespace, an organization with a project, a service user and a connection that grants the one to the other.
    pub async fn tenant(&self, prefix: &str) -> Tenant {
        self.tenant_at(prefix, &self.zitadel).await
    }

    /// The same at another ZITADEL.
    pub async fn tenant_at(&self, prefix: &str, zitadel: &Simulator) -> Tenant {
        self.tenant_of(prefix, zitadel, None).await
    }

    async fn tenant_of(
        &self,
        prefix: &str,
        zitadel: &Simulator,
        operator: Option<&OwnOperator>,
    ) -> Tenant {
        let client = self.cluster.client().await;
        let namespace = self.cluster.fresh_namespace(prefix).await;
        let organization = zitadel.create_org(&namespace);
        let project = zitadel.create_project(&organization, "payments");
        let user = zitadel.create_user(&organization, "operator");
        zitadel.grant(&user, Role::ProjectOwner, Scope::Project(project.clone()));
        let pat = zitadel.create_pat(&user).unwrap();
        let tenant = Tenant {
            client,
            zitadel: zitadel.clone(),
            url: zitadel.url(),
            namespace,
            organization,
            project,
            user,
            pat,
            class: operator.map(|operator| operator.namespace.clone()),
        };
        tenant.set_credential(&tenant.pat).await;
        if !zitadel.url().starts_with("https") {
            tenant.apply_connection(json!({})).await;
        }
        tenant
    }
}

/// An operator beside the shared one.
pub struct OwnOperator {
    /// The process.
    pub operator: Operator,
    /// Its namespace, and its controller class.
    pub namespace: String,
}

impl OwnOperator {
    /// A tenant of this operator.
    pub async fn tenant_at(&self, prefix: &str, world: &World, zitadel: &Simulator) -> Tenant {
        world.tenant_of(prefix, zitadel, Some(self)).await
    }
}

/// Installs the custom resource definitions and waits until they are served.
pub async fn install_definitions(client: &Client) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in [ApiAppSecret::crd(), ZitadelConnection::crd()] {
        let name = definition.metadata.name.clone().unwrap();
        let params = PatchParams::apply("tests").force();
        api.patch(&name, &params, &Patch::Apply(&definition))
            .await
            .unwrap();
        eventually(PATIENCE, || async {
            let found = api.get(&name).await.ok()?;
            let conditions = found.status?.conditions?;
            conditions
                .iter()
                .any(|c| c.type_ == "Established" && c.status == "True")
                .then_some(())
        })
        .await;
    }
}

/// One tenant of a shared world.
pub struct Tenant {
    /// The cluster, as its administrator.
    pub client: Client,
    /// ZITADEL.
    pub zitadel: Simulator,
    /// ZITADEL's URL.
    pub url: String,
    /// The namespace; the connection has the same name, and so has its credential Secret.
    pub namespace: String,
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// The operator's service user.
    pub user: String,
    /// The service user's token.
    pub pat: String,
    /// The controller class of an [`OwnOperator`], which is its namespace, too.
    class: Option<String>,
}

impl Tenant {
    /// A new API application of the project.
    pub fn app(&self, name: &str) -> AppHandle {
        self.zitadel.create_api_app(&self.project, name).unwrap()
    }

    /// The namespace of the operator that serves this tenant.
    fn operator_namespace(&self) -> &str {
        self.class.as_deref().unwrap_or(OPERATOR_NAMESPACE)
    }

    /// Stores the operator's credential.
    pub async fn set_credential(&self, token: &str) {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), self.operator_namespace());
        let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": self.namespace}, "stringData": {"token": token}});
        api.patch(
            &self.namespace,
            &PatchParams::apply("tests").force(),
            &Patch::Apply(&secret),
        )
        .await
        .unwrap();
    }

    /// Applies the connection; `extra` overrides fields of the spec.
    pub async fn apply_connection(&self, extra: Value) {
        let mut spec = json!({
            "url": self.url,
            "auth": {"personalAccessToken": {"secretKeyRef": {"name": self.namespace, "key": "token"}}},
            "organizationId": self.organization,
            "grants": [{"name": "by-name", "namespaces": [self.namespace], "projectIds": [self.project]}],
        });
        if let Some(class) = &self.class {
            spec["controllerClass"] = json!(class);
        }
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let api: Api<ZitadelConnection> = Api::all(self.client.clone());
        let object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": self.namespace}, "spec": spec});
        api.patch(
            &self.namespace,
            &PatchParams::apply("tests").force(),
            &Patch::Apply(&object),
        )
        .await
        .unwrap();
    }

    /// The connections.
    pub fn connections(&self) -> Api<ZitadelConnection> {
        Api::all(self.client.clone())
    }

    /// Waits until the operator has something to say of the connection as it is now, and returns the reason.
    pub async fn connection_reason(&self) -> String {
        eventually(PATIENCE, || async {
            let connection = self.connections().get(&self.namespace).await.unwrap();
            let status = connection.status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let current = ready.observed_generation == connection.metadata.generation;
            current.then(|| ready.reason.clone())
        })
        .await
    }

    /// Waits until the connection can be used as it is now.
    pub async fn connected(&self) {
        assert_eq!(self.connection_reason().await, "Connected");
    }

    /// The objects of this namespace.
    pub fn objects(&self) -> Api<ApiAppSecret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// The Secrets of this namespace.
    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// An object for an application; `extra` overrides fields of the spec.
    pub fn manifest(&self, name: &str, app: &str, extra: Value) -> Value {
        let mut spec = json!({"connectionRef": {"name": self.namespace}, "projectId": self.project, "appId": app});
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        })
    }

    /// Applies an object for an application.
    pub async fn apply(
        &self,
        name: &str,
        app: &str,
        extra: Value,
    ) -> Result<ApiAppSecret, kube::Error> {
        let object = self.manifest(name, app, extra);
        self.objects()
            .patch(
                name,
                &PatchParams::apply("tests").force(),
                &Patch::Apply(&object),
            )
            .await
    }

    /// The claims of an object of this tenant: of its application, and of its standby.
    pub async fn claims(&self, object: &str) -> Vec<Lease> {
        let all = self.leases().list(&ListParams::default()).await.unwrap();
        let owner = format!(r#""namespace":"{}","name":"{object}""#, self.namespace);
        let is_its = |lease: &Lease| claim_text(lease).is_some_and(|text| text.contains(&owner));
        all.into_iter().filter(is_its).collect()
    }

    /// Writes something else in place of a claim.
    pub async fn write_claim(&self, lease: &Lease, text: &str) {
        let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: text}}});
        let patch = Patch::Merge(patch);
        let name = lease.metadata.name.as_ref().unwrap();
        self.leases()
            .patch(name, &PatchParams::default(), &patch)
            .await
            .unwrap();
    }

    /// Makes the claims of an object look as if its last rotation was long ago.
    pub async fn age_claims(&self, object: &str) {
        for lease in self.claims(object).await {
            let mut claim: Value = serde_json::from_str(claim_text(&lease).unwrap()).unwrap();
            claim["attempt"]["time"] = json!("2020-01-01T00:00:00Z");
            self.write_claim(&lease, &claim.to_string()).await;
        }
    }

    fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), self.operator_namespace())
    }

    /// Deletes an object.
    pub async fn delete(&self, name: &str) {
        self.objects()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Waits until an object is Ready for its present generation.
    #[track_caller]
    pub fn ready<'a>(&'a self, name: &'a str) -> impl Future<Output = ApiAppSecret> + 'a {
        self.until(name, |object| {
            let status = object.status.as_ref()?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let current = ready.observed_generation == object.metadata.generation;
            (current && status.conditions.is_true(ConditionType::Ready)).then_some(())
        })
    }

    /// Waits until an object has a Ready condition with this reason, for its present generation.
    #[track_caller]
    pub fn reason<'a>(
        &'a self,
        name: &'a str,
        reason: &'a str,
    ) -> impl Future<Output = ApiAppSecret> + 'a {
        self.until(name, move |object| {
            let ready = object
                .status
                .as_ref()?
                .conditions
                .get(ConditionType::Ready)?;
            let current = ready.observed_generation == object.metadata.generation;
            (ready.reason == reason && current).then_some(())
        })
    }

    /// Waits until something holds of an object, and returns the object.
    ///
    /// # Panics
    /// When that takes too long; the message has the object's last status.
    #[track_caller]
    pub fn until<'a>(
        &'a self,
        name: &'a str,
        holds: impl Fn(&ApiAppSecret) -> Option<()> + 'a,
    ) -> impl Future<Output = ApiAppSecret> + 'a {
        let caller = std::panic::Location::caller();
        async move {
            let api = self.objects();
            let mut last = None;
            let asking = async {
                loop {
                    if let Ok(object) = api.get(name).await {
                        if holds(&object).is_some() {
                            return object;
                        }
                        last = Some(object);
                    }
                    tokio::time::sleep(Duration::from_millis(20)).await;
                }
            };
            if let Ok(object) = tokio::time::timeout(PATIENCE, asking).await {
                return object;
            }
            let last = last.map(|object| json!({"spec": object.spec, "status": object.status}));
            panic!(
                "{caller}: not so within {PATIENCE:?}: {}/{name} is {last:#?}",
                self.namespace
            );
        }
    }

    /// A Secret of this namespace.
    pub async fn secret(&self, name: &str) -> Secret {
        self.secrets().get(name).await.unwrap()
    }

    /// The texts in a Secret by key.
    pub async fn data(&self, name: &str) -> BTreeMap<String, String> {
        let data = self.secret(name).await.data.unwrap_or_default();
        data.into_iter()
            .map(|(key, value)| (key, String::from_utf8(value.0).unwrap()))
            .collect()
    }

    /// Makes a Secret as a person would, with `kubectl create`.
    pub async fn create_secret(&self, name: &str, data: Value) {
        let object = json!({"metadata": {"name": name}, "stringData": data});
        let object = serde_json::from_value(object).unwrap();
        self.secrets()
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }

    /// Changes a Secret as a person would, with `kubectl edit`.
    pub async fn edit_secret(&self, name: &str, change: Value) {
        self.secrets()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap();
    }

    /// Deletes a Secret.
    pub async fn delete_secret(&self, name: &str) {
        self.secrets()
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }

    /// Waits until a Secret is gone.
    pub async fn secret_gone(&self, name: &str) {
        eventually(PATIENCE, || async {
            self.secrets()
                .get_opt(name)
                .await
                .unwrap()
                .is_none()
                .then_some(())
        })
        .await;
    }

    /// Waits until ZITADEL accepts what is stored, and returns it.
    pub async fn until_accepted(&self, app: &AppHandle, secret: &str) -> String {
        eventually(PATIENCE, || async {
            let value = self.client_secret(secret).await?;
            self.zitadel.accepts(&app.id, &value).then_some(value)
        })
        .await
    }

    /// Waits until so many client secrets were made for an application.
    pub async fn until_generates(&self, app: &AppHandle, count: u64) {
        eventually(PATIENCE, || async {
            (self.generates(app) >= count).then_some(())
        })
        .await;
    }

    /// Requests about an application, by whatever operation.
    pub fn requests_about(&self, app: &AppHandle) -> usize {
        let log = self.zitadel.request_log();
        log.iter()
            .filter(|request| request.app.as_deref() == Some(&app.id))
            .count()
    }

    /// Has the operator issue a credential of another application. What it was told before, it has looked at by then: watches keep
    /// the order, and a look that rests takes far less than an issue.
    pub async fn fence(&self) {
        let name = format!("fence-{}", uuid::Uuid::new_v4().simple());
        let app = self.app(&name);
        self.apply(&name, &app.id, json!({})).await.unwrap();
        self.ready(&name).await;
    }

    /// The events about an object: type, reason and note.
    pub async fn events(&self, name: &str) -> Vec<(String, String, String)> {
        let api: Api<Event> = Api::namespaced(self.client.clone(), &self.namespace);
        let events = api.list(&ListParams::default()).await.unwrap();
        let about = |event: &Event| {
            event
                .regarding
                .as_ref()
                .and_then(|regarding| regarding.name.as_deref())
                == Some(name)
        };
        let told = |event: Event| {
            (
                event.type_.unwrap_or_default(),
                event.reason.unwrap_or_default(),
                event.note.unwrap_or_default(),
            )
        };
        events.items.into_iter().filter(about).map(told).collect()
    }

    /// Waits for an event with this reason, and returns its note.
    pub async fn event(&self, name: &str, reason: &str) -> String {
        eventually(PATIENCE, || async {
            let events = self.events(name).await;
            let found = events.into_iter().find(|(_, told, _)| told == reason);
            found.map(|(_, _, note)| note)
        })
        .await
    }

    /// Changes an object's labels, annotations or spec as a person would.
    pub async fn edit(&self, name: &str, change: Value) -> ApiAppSecret {
        self.objects()
            .patch(name, &PatchParams::default(), &Patch::Merge(change))
            .await
            .unwrap()
    }

    /// The value of a key of a Secret.
    pub async fn value(&self, secret: &str, key: &str) -> Option<String> {
        let secret = self.secrets().get_opt(secret).await.unwrap()?;
        let bytes = secret.data?.remove(key)?;
        Some(String::from_utf8(bytes.0).unwrap())
    }

    /// The client secret in a Secret with the default keys.
    pub async fn client_secret(&self, secret: &str) -> Option<String> {
        self.value(secret, "CLIENT_SECRET").await
    }

    /// Whether ZITADEL accepts what is stored.
    pub async fn accepted(&self, app: &AppHandle, secret: &str) -> bool {
        match self.client_secret(secret).await {
            Some(value) => self.zitadel.accepts(&app.id, &value),
            None => false,
        }
    }

    /// How many client secrets were made for an application.
    pub fn generates(&self, app: &AppHandle) -> u64 {
        self.zitadel.generates(&app.id)
    }
}

/// A user of the standard world; named here so that tests need not name the simulator.
pub type User = UserHandle;

fn claim_text(lease: &Lease) -> Option<&String> {
    lease.metadata.annotations.as_ref()?.get(CLAIM_ANNOTATION)
}
