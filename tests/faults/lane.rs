//! A lane: a namespace, a ZITADEL and replicas of its own on a shared API server. Cells run in a lane one after the other.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{Namespace, Pod, Secret};
use k8s_openapi::api::rbac::v1::{Role, RoleBinding};
use kube::api::{Api, DeleteParams, ObjectMeta, Patch, PatchParams, PostParams};
use kube::{Client, ResourceExt as _};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{
    AppSecret, AppSecretStatus, ConditionType, Kind, ZitadelConnection,
};
use zitadel_secret_operator::ids::{AppId, ProjectId, Sequence};
use zitadel_secret_operator::rotation::{Claim, CommitRecord};
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
use zitadel_secret_operator::store::secret::COMMIT_ANNOTATION;
use zitadel_secret_operator::target::apps::claim_name;
use zitadel_secret_operator::zitadel::AppRef;
use zitadel_simulator::{AppHandle, Config, Operation, Role as Permission, Scope, Simulator};

use super::cell::Setting;
use super::history::History;
use super::layer::Wire;
use super::relay::Relay;
use super::replica::{Replica, Setup, timing};
use crate::support::controlplane::ControlPlane;
use crate::support::tenant::app_of;
use crate::support::world::PATIENCE;
use crate::support::{apply, apply_secret, eventually, rights};

/// The name of the object and of its Secret in every cell.
pub const NAME: &str = "orders";
/// The trigger of a subject that was taken over and not rotated yet.
const TAKEN_OVER: &str = "a";
const HOUR: SignedDuration = SignedDuration::from_hours(1);

/// A lane.
pub struct Lane {
    pub client: Client,
    pub zitadel: Simulator,
    pub relay: Relay,
    pub wire: Arc<Wire>,
    pub history: History,
    pub namespace: String,
    pub project: String,
    pub setup: Setup,
    /// How many replicas there should be.
    pub wanted: usize,
    pub replicas: Vec<Replica>,
    /// Replicas that were killed or have ended, and when they were asked to.
    started: usize,
    objects: usize,
    pub bystander: String,
    /// How the subjects rotate.
    pub setting: Setting,
    /// The standby application of the subject.
    pub standby: Option<AppHandle>,
    /// The pair of the subject's first application that was taken over.
    pub adopted: String,
    /// When the consumer of the subject got the newest pair; none: it has the adopted one.
    pub released: Option<Timestamp>,
}

impl Lane {
    /// A lane without replicas.
    pub async fn new(
        cluster: &ControlPlane,
        client: &Client,
        wanted: usize,
        leader_election: bool,
    ) -> Self {
        let namespaces: Api<Namespace> = Api::all(client.clone());
        let mut names = Vec::new();
        for prefix in ["faults-", "operator-"] {
            let metadata = ObjectMeta {
                generate_name: Some(prefix.to_owned()),
                ..ObjectMeta::default()
            };
            let namespace = Namespace {
                metadata,
                ..Namespace::default()
            };
            let made = namespaces.create(&PostParams::default(), &namespace).await;
            names.push(made.unwrap().name_any());
        }
        let [namespace, operator_namespace]: [String; 2] = names.try_into().unwrap();
        let zitadel = Simulator::start(Config {
            threads: 1,
            ..Config::default()
        })
        .unwrap();
        let relay = Relay::start(zitadel.address()).await;
        let organization = zitadel.create_org("acme");
        let project = zitadel.create_project(&organization, "payments");
        let user = zitadel.create_user(&organization, "operator");
        zitadel.grant(
            &user,
            Permission::ProjectOwner,
            Scope::Project(project.clone()),
        );
        let key = zitadel.create_machine_key(&user).unwrap().json;
        let values = json!({ "key.json": key });
        apply_secret(client, &operator_namespace, "credential", values).await;
        let connection = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": namespace},
            "spec": {
                "url": zitadel.url(),
                "endpoint": relay.url(),
                "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "credential", "key": "key.json"}}},
                "organizationId": organization,
                "grants": [{
                    "name": "by-name", "namespaces": [namespace], "projectIds": [project], "kinds": Kind::ALL,
                }],
            },
        });
        let connections: Api<ZitadelConnection> = Api::all(client.clone());
        apply(&connections, &connection).await.unwrap();
        let bystander = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": "bystander", "labels": {"zitadel-secrets.dev/managed": "true"}},
            "stringData": {"CLIENT_SECRET": "another's"},
        });
        let secrets: Api<Secret> = Api::namespaced(client.clone(), &namespace);
        let bystander = apply(&secrets, &bystander).await.unwrap();
        let wire = Arc::new(Wire::default());
        let setup = Setup {
            kubeconfig: rights::grant(cluster, &operator_namespace).await,
            wire: Arc::clone(&wire),
            operator_namespace: operator_namespace.clone(),
            namespace: namespace.clone(),
            leader_election,
            sees_pods: false,
            timing: timing(),
            skew: Arc::default(),
        };
        Self {
            history: History::start(client, &namespace, &operator_namespace).await,
            client: client.clone(),
            zitadel,
            relay,
            wire,
            namespace,
            project,
            setup,
            wanted,
            replicas: Vec::new(),
            started: 0,
            objects: 0,
            bystander: bystander.resource_version().unwrap(),
            setting: Setting::Alone,
            standby: None,
            adopted: String::new(),
            released: None,
        }
    }

    /// Starts replicas until there are as many as wanted and all that should be are ready, as a Deployment does.
    pub async fn fill(&mut self) -> Result<(), String> {
        let begun = Instant::now();
        loop {
            self.replicas.retain(|replica| !replica.has_ended());
            while self.replicas.len() < self.wanted {
                let pod = format!("pod-{}", self.started);
                let replica = Replica::start(self.started, &pod, &self.setup);
                self.replicas.push(replica);
                self.started += 1;
            }
            // With an election only one of them has something to be ready for.
            let ready = if self.setup.leader_election {
                self.replicas.iter().any(Replica::is_ready)
            } else {
                self.replicas.iter().all(Replica::is_ready)
            };
            if ready {
                return Ok(());
            }
            if begun.elapsed() > Duration::from_secs(20) {
                let states: Vec<_> = self.replicas.iter().map(Replica::state).collect();
                return Err(format!("not ready: {states:?}"));
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// Starts a replica in the pod of one that was killed.
    pub fn restart_in_same_pod(&mut self, pod: &str) {
        self.replicas.retain(|replica| !replica.has_ended());
        self.replicas
            .push(Replica::start(self.started, pod, &self.setup));
        self.started += 1;
    }

    /// The replica of that number, if it still lives.
    pub fn replica(&self, number: usize) -> Option<&Replica> {
        self.replicas
            .iter()
            .find(|replica| replica.controls.number == number)
    }

    pub fn objects(&self) -> Api<AppSecret> {
        let kind = self.setting.kind();
        Api::namespaced_with(self.client.clone(), &self.namespace, &kind)
    }

    pub fn secrets(&self) -> Api<Secret> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    pub fn leases(&self) -> Api<Lease> {
        Api::namespaced(self.client.clone(), &self.setup.operator_namespace)
    }

    pub fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.client.clone(), &self.namespace)
    }

    /// Sets how subjects rotate from now on, before a replica is started.
    pub async fn set(&mut self, setting: Setting) {
        self.setting = setting;
        self.setup.sees_pods = setting.awaits_consumers();
        if setting == Setting::V2 {
            self.edit_connection(json!({"api": "V2"})).await;
        }
        if !self.setup.sees_pods {
            return;
        }
        let role = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "Role", "metadata": {"name": "consumers"},
            "rules": [{"apiGroups": [""], "resources": ["pods"], "verbs": ["list", "patch"]}],
        });
        let roles: Api<Role> = Api::namespaced(self.client.clone(), &self.namespace);
        apply(&roles, &role).await.unwrap();
        let subject = json!({
            "kind": "ServiceAccount", "name": rights::ACCOUNT, "namespace": self.setup.operator_namespace,
        });
        let binding = json!({
            "apiVersion": "rbac.authorization.k8s.io/v1", "kind": "RoleBinding", "metadata": {"name": "consumers"},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "Role", "name": "consumers"},
            "subjects": [subject],
        });
        let bindings: Api<RoleBinding> = Api::namespaced(self.client.clone(), &self.namespace);
        apply(&bindings, &binding).await.unwrap();
    }

    /// A Pod that has the pair of the subject in its environment, as it is now.
    pub async fn consumer(&self) {
        let key = json!({"name": NAME, "key": "CLIENT_SECRET"});
        let container = json!({"name": "app", "image": "app", "env": [{"name": "S", "valueFrom": {"secretKeyRef": key}}]});
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod", "metadata": {"name": NAME}, "spec": {"containers": [container]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        // NB: the service account of the namespace comes after the namespace.
        eventually(PATIENCE, || async {
            let made = self.pods().create(&PostParams::default(), &pod).await;
            made.ok()
        })
        .await;
        self.runs_since(Timestamp::now() - HOUR).await;
    }

    /// The container of the Pod is restarted, and reads the newest pair.
    pub async fn release(&mut self) {
        self.released = Some(Timestamp::now());
        self.runs_since(Timestamp::now() + HOUR).await;
    }

    /// What a kubelet says of the Pod.
    async fn runs_since(&self, started: Timestamp) {
        let status = json!({"status": {
            "phase": "Running",
            "containerStatuses": [{
                "name": "app", "image": "app", "imageID": "", "ready": true, "restartCount": 0, "started": true,
                "state": {"running": {"startedAt": started.to_string()}},
            }],
        }});
        let (params, status) = (PatchParams::default(), Patch::Merge(status));
        let written = self.pods().patch_status(NAME, &params, &status).await;
        written.unwrap();
    }

    /// Why consumers are not as far as they are to be; nothing if they are.
    fn behind(&self, status: &AppSecretStatus) -> Option<String> {
        let last = status.last_rotation.as_ref()?;
        let counted = status.consumers.as_ref();
        let counted = counted.filter(|it| it.attempt == last.attempt);
        let Some(counted) = counted else {
            return Some("consumers are not counted".into());
        };
        let stale = i64::from(self.released.is_none());
        if (counted.total, counted.stale) != (1, stale) {
            return Some(format!("consumers: {counted:?}"));
        }
        if status.previous.is_some() != self.released.is_none() {
            return Some(format!("the former pair: {:?}", status.previous));
        }
        None
    }

    /// The name of an application's claim.
    pub fn claim_name(&self, app: &AppHandle) -> String {
        let app = AppRef {
            organization: None,
            project: ProjectId::try_from(self.project.as_str()).unwrap(),
            app: AppId::try_from(app.id.as_str()).unwrap(),
        };
        claim_name(&self.zitadel.url(), &app)
    }

    /// The place of the newest value that ZITADEL has.
    pub fn latest(&self, app: &AppHandle) -> Sequence {
        if self.setting != Setting::V2 {
            return Sequence(self.zitadel.latest(&app.id).unwrap_or_default());
        }
        let made = self.zitadel.executions().into_iter();
        let dates = made
            .filter(|made| made.app == app.id)
            .map(|made| made.change_date);
        dates.max().map(Sequence::of_time).unwrap_or_default()
    }

    /// The applications of the subject.
    pub fn apps<'a>(&'a self, app: &'a AppHandle) -> impl Iterator<Item = &'a AppHandle> {
        std::iter::once(app).chain(&self.standby)
    }

    /// The application whose pair a Secret holds.
    pub fn active<'a>(&'a self, app: &'a AppHandle, secret: &Secret) -> &'a AppHandle {
        let active = commit(secret).map(|commit| commit.active.to_string());
        self.apps(app)
            .find(|app| Some(&app.id) == active.as_ref())
            .unwrap_or(app)
    }

    /// Removes the object of the cell before, and its Secret.
    pub async fn clean(&mut self) {
        let objects = self.objects();
        let _ = objects.delete(NAME, &DeleteParams::default()).await;
        let _ = self.secrets().delete(NAME, &DeleteParams::default()).await;
        let now = DeleteParams::default().grace_period(0);
        let _ = self.pods().delete(NAME, &now).await;
        self.released = None;
        while objects.get_opt(NAME).await.unwrap().is_some() {
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
    }

    /// A new application whose secret another actor made, and an object that takes it over: so none of the operator's own
    /// rotations stands in the journal yet.
    pub async fn subject(&mut self) -> AppHandle {
        self.objects += 1;
        let name = format!("orders-{}", self.objects);
        let app = app_of(self.setting.kind(), &self.zitadel, &self.project, &name);
        let made = self.zitadel.rotate_elsewhere(&app.id, None).unwrap();
        made.secret.expose().clone_into(&mut self.adopted);
        self.standby = self.setting.has_standby().then(|| {
            let name = format!("orders-{}-standby", self.objects);
            self.zitadel.create_api_app(&self.project, &name).unwrap()
        });
        let secret = json!({
            "apiVersion": "v1", "kind": "Secret", "metadata": {"name": NAME},
            "stringData": {"CLIENT_ID": app.client_id, "CLIENT_SECRET": made.secret.expose()},
        });
        let params = PostParams::default();
        self.secrets()
            .create(&params, &serde_json::from_value(secret).unwrap())
            .await
            .unwrap();
        self.trigger(&app, TAKEN_OVER).await;
        app
    }

    fn manifest(&self, app: &AppHandle, trigger: &str) -> Value {
        let mut object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": self.setting.kind(), "metadata": {"name": NAME},
            "spec": {
                "connectionRef": {"name": self.namespace}, "projectId": self.project, "appId": app.id,
                "rotation": {"trigger": trigger}, "secret": {"adoptionPolicy": "Required"},
            },
        });
        if let Some(standby) = &self.standby {
            object["spec"]["standby"] = json!({"type": "Existing", "appId": standby.id});
        }
        if self.setting.awaits_consumers() {
            object["spec"]["rotation"]["overlap"] = json!({"until": "ConsumersCurrent"});
        }
        object
    }

    /// Makes one rotation due.
    pub async fn trigger(&self, app: &AppHandle, trigger: &str) {
        let object = self.manifest(app, trigger);
        apply(&self.objects(), &object).await.unwrap();
    }

    /// Why the lane is not at rest yet; nothing if it is.
    pub async fn unrest(&self, app: &AppHandle, trigger: &str) -> Option<String> {
        let Ok(object) = self.objects().get(NAME).await else {
            return Some("the object is gone".into());
        };
        let status = object.status.unwrap_or_default();
        let Some(ready) = status.conditions.get(ConditionType::Ready) else {
            return Some("there is no condition".into());
        };
        if ready.reason != "UpToDate" || status.observed_generation != object.metadata.generation {
            return Some(format!("Ready is {:?} {}", ready.status, ready.reason));
        }
        if status.observed_trigger.as_deref() != Some(trigger) {
            return Some("the trigger is not handled".into());
        }
        if self.setting.awaits_consumers()
            && trigger != TAKEN_OVER
            && let Some(reason) = self.behind(&status)
        {
            return Some(reason);
        }
        let Ok(secret) = self.secrets().get(NAME).await else {
            return Some("the Secret is gone".into());
        };
        let Some(commit) = commit(&secret) else {
            return Some("there is no commit record".into());
        };
        let active = self.active(app, &secret);
        let Some(recorded) = commit.stored() else {
            return Some("nothing is recorded".into());
        };
        let stored = recorded.entry.sequence;
        // NB: without a journal nothing is known of one that was taken over.
        let unknown = self.setting == Setting::V2 && trigger == TAKEN_OVER;
        if stored != self.latest(active) && !(unknown && stored == Sequence(0)) {
            return Some("the Secret is not the newest".into());
        }
        if status.sequence != stored.number().map(|number| number.to_string()) {
            return Some(format!("status.sequence is {:?}", status.sequence));
        }
        if !self
            .zitadel
            .accepts(&active.id, &value(&secret).unwrap_or_default())
        {
            return Some("the value is refused".into());
        }
        for app in self.apps(app) {
            let lease = self.leases().get_opt(&self.claim_name(app)).await.unwrap();
            let claim = lease.as_ref().and_then(claim);
            let open = claim.as_ref().and_then(Claim::live_attempt);
            let id = AppId::try_from(app.id.as_str()).unwrap();
            let carried = commit.apps.get(&id).and_then(|made| made.entry.attempt);
            if open.is_some_and(|attempt| Some(attempt.id) != carried) {
                return Some("a claim is open".into());
            }
        }
        if self.held() > 0 {
            return Some("something is held".into());
        }
        None
    }

    /// How many values the replicas hold.
    pub fn held(&self) -> usize {
        let live = |replica: &&Replica| !replica.controls.is_dead();
        self.replicas
            .iter()
            .filter(live)
            .map(|replica| replica.holding.count())
            .sum()
    }

    /// Waits until the lane is at rest and stays so for a moment. The last reason why it was not, if the time is over.
    pub async fn settle(
        &mut self,
        app: &AppHandle,
        trigger: &str,
        bound: Duration,
    ) -> Result<(), String> {
        let begun = Instant::now();
        let mut quiet: Option<(u64, Instant)> = None;
        loop {
            self.bury().await?;
            let activity = self.activity();
            let reason = match self.unrest(app, trigger).await {
                None => match quiet {
                    Some((seen, since)) if seen == activity => {
                        if since.elapsed() > Duration::from_millis(120) {
                            return Ok(());
                        }
                        "requests go on".to_owned()
                    }
                    _ => {
                        quiet = Some((activity, Instant::now()));
                        "requests go on".to_owned()
                    }
                },
                Some(reason) => {
                    quiet = None;
                    reason
                }
            };
            if begun.elapsed() > bound {
                return Err(format!("after {bound:?}: {reason}"));
            }
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Starts new replicas for those that are dead or have ended, as a Deployment does.
    pub async fn bury(&mut self) -> Result<(), String> {
        if self.replicas.iter().any(Replica::has_ended) {
            return self.fill().await;
        }
        Ok(())
    }

    /// Requests so far, but for those that are made from time to time.
    fn activity(&self) -> u64 {
        let counters = self.zitadel.counters();
        let zitadel: u64 = counters
            .requests
            .iter()
            .filter(|(operation, _)| !matches!(operation, Operation::SearchApps | Operation::Token))
            .map(|(_, count)| count)
            .sum();
        let kubernetes = if self.setup.leader_election {
            0
        } else {
            self.wire.requests()
        };
        zitadel + kubernetes
    }
}

/// The claim in a Lease.
pub fn claim(lease: &Lease) -> Option<Claim> {
    let text = lease.annotations().get(CLAIM_ANNOTATION)?;
    Claim::from_json(text).ok()
}

/// The commit record of a Secret.
pub fn commit(secret: &Secret) -> Option<CommitRecord> {
    let text = secret.annotations().get(COMMIT_ANNOTATION)?;
    CommitRecord::from_json(text).ok()
}

/// The client secret in a Secret.
pub fn value(secret: &Secret) -> Option<String> {
    let bytes = secret.data.as_ref()?.get("CLIENT_SECRET")?;
    String::from_utf8(bytes.0.clone()).ok()
}
