//! The suite: what is made, rotated, disturbed, compared and removed.

use std::panic::{AssertUnwindSafe, resume_unwind};
use std::time::Duration;

use futures::FutureExt as _;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DynamicObject, Patch, PatchParams};
use kube::core::ApiResource;
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};
use tokio::signal::unix::{SignalKind, signal};
use zitadel_secret_operator::api::{ApiAppSecret, OidcAppSecret, ZitadelConnection};

use super::client::{App, Zitadel};
use super::compare::{Evidence, Record, Verdict, compare};
use super::cutter::{Cutter, Fault};
use super::table::{Row, Table};
use crate::support::controlplane::Options;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, World};
use crate::support::{apply, apply_secret, eventually};

/// How much is tried, and how.
#[derive(Clone, Copy)]
pub struct Plan {
    /// Rotations of one application by trigger.
    pub rotations: usize,
    /// Rotations over a standby pair by trigger.
    pub standby: usize,
    /// Rotations of an OIDC application by trigger.
    pub oidc: usize,
    /// `spec.api` of the connection.
    pub api: &'static str,
    /// How many times faster than in production the operator waits.
    pub speed: &'static str,
    /// How long a rotation may take, with a repair.
    pub patience: Duration,
}

/// Runs the suite in an organization of its own.
///
/// # Panics
/// When the suite cannot be run to its end. What differs is in the table.
pub async fn qualify(zitadel: &Zitadel, plan: Plan) -> Table {
    let (ended, removed) =
        in_an_organization(zitadel, async |id| Box::pin(run(zitadel, id, plan)).await).await;
    let mut table = ended.unwrap_or_else(|panic| resume_unwind(panic));
    table.extend([Row::all("organizations removed", 1, usize::from(removed))]);
    table
}

/// Makes an organization, and removes it whether the suite ends well, panics or is interrupted by ^C or SIGTERM. Returns what came of the suite, and
/// whether the organization is removed.
///
/// # Panics
/// When there is no organization, with what to do about it in one line.
pub async fn in_an_organization<T>(
    zitadel: &Zitadel,
    suite: impl AsyncFnOnce(&str) -> T,
) -> (std::thread::Result<T>, bool) {
    let name = format!("zso-live-{}", uuid::Uuid::new_v4().simple());
    // From here on, so that no signal ends the process while it has an organization.
    let mut interrupt = signal(SignalKind::interrupt()).unwrap();
    let mut terminate = signal(SignalKind::terminate()).unwrap();
    let made = zitadel.make_organization(&name).await;
    let id = made.unwrap_or_else(|error| panic!("organization {name}: {}", error.advice()));
    println!("organization {name} ({id}): made");
    let ended = tokio::select! {
        ended = AssertUnwindSafe(suite(&id)).catch_unwind() => Some(ended),
        _ = interrupt.recv() => None,
        _ = terminate.recv() => None,
    };
    let ended = ended.unwrap_or_else(|| {
        println!("interrupted");
        Err(Box::new("interrupted"))
    });
    let removed = zitadel.remove_organization(&id).await;
    match &removed {
        Ok(()) => println!("organization {name} ({id}): removed"),
        Err(error) => println!(
            "organization {name} ({id}): LEFT BEHIND with all that is in it; remove it by hand ({error})"
        ),
    }
    (ended, removed.is_ok())
}

/// What the suite has made in ZITADEL.
struct Made {
    project: String,
    user: String,
    token: SecretString,
    single: App,
    first: App,
    second: App,
    oidc: App,
}

impl Made {
    async fn make(zitadel: &Zitadel, organization: &str) -> Self {
        let within = zitadel.within(organization);
        let project = within.make_project("payments").await.unwrap();
        // NB: unless the instance puts domains into login names, user names are unique in all of it.
        let name = format!("zso-live-{organization}");
        let user = within.make_service_user(&name).await.unwrap();
        within.make_owner(&project, &user).await.unwrap();
        let api = |name| within.make_api_app(&project, name);
        Self {
            token: within.make_token(&user).await.unwrap(),
            single: api("single").await.unwrap(),
            first: api("pair-a").await.unwrap(),
            second: api("pair-b").await.unwrap(),
            oidc: within.make_oidc_app(&project, "web").await.unwrap(),
            project,
            user,
        }
    }

    fn apps(&self) -> [&App; 4] {
        [&self.single, &self.first, &self.second, &self.oidc]
    }
}

/// The operator between a cluster and ZITADEL, and what it did so far.
struct Stage {
    world: World,
    namespace: String,
    cutter: Cutter,
    operator: Operator,
    /// The audit records of operators that were killed.
    records: Vec<Value>,
    plan: Plan,
    table: Table,
    handled: usize,
    killed: usize,
}

const SINGLE: &str = "single";
const PAIR: &str = "pair";
const OIDC: &str = "web";

async fn run(zitadel: &Zitadel, organization: &str, plan: Plan) -> Table {
    let made = Made::make(zitadel, organization).await;
    let mut stage = Stage::build(zitadel, organization, &made, plan).await;
    let (lost, killed) = stage.rotate().await;
    stage
        .judge(zitadel, organization, &made, lost, killed)
        .await;
    stage.table
}

impl Stage {
    async fn build(zitadel: &Zitadel, organization: &str, made: &Made, plan: Plan) -> Self {
        // NB: the world has a simulator, too, which idles where another ZITADEL is asked.
        let world = World::own(Options::default()).await;
        let namespace = world.cluster.fresh_namespace("live").await;
        let client = world.cluster.client().await;
        let credential = json!({"token": made.token.expose_secret()});
        apply_secret(&client, OPERATOR_NAMESPACE, &namespace, credential).await;
        let cutter = Cutter::start(zitadel.url()).await;
        let connection = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": namespace},
            "spec": {
                "url": zitadel.url(), "endpoint": cutter.url(), "api": plan.api, "organizationId": organization,
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": namespace, "key": "token"}}},
                "grants": [{
                    "name": "live", "namespaces": [namespace], "projectIds": [made.project],
                    "kinds": ["ApiAppSecret", "OidcAppSecret"],
                }],
            },
        });
        let connections: Api<ZitadelConnection> = Api::all(client);
        apply(&connections, &connection).await.unwrap();
        let operator = start(&world, plan);
        let stage = Self {
            world,
            namespace,
            cutter,
            operator,
            records: Vec::new(),
            plan,
            table: Table::default(),
            handled: 0,
            killed: 0,
        };
        let standby = json!({"type": "Existing", "appId": made.second.id});
        stage.issue(SINGLE, made, &made.single, json!({})).await;
        stage
            .issue(PAIR, made, &made.first, json!({"standby": standby}))
            .await;
        stage.issue(OIDC, made, &made.oidc, json!({})).await;
        stage
    }

    /// Applies an object, and waits until its Secret is published.
    async fn issue(&self, name: &str, made: &Made, app: &App, extra: Value) {
        let mut spec = json!({"connectionRef": {"name": self.namespace}, "projectId": made.project, "appId": app.id});
        spec["rotation"] = json!({"trigger": "first"});
        spec.as_object_mut()
            .unwrap()
            .extend(extra.as_object().unwrap().clone());
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": resource(name).kind,
            "metadata": {"name": name, "namespace": self.namespace}, "spec": spec,
        });
        apply(&self.objects(name).await, &object).await.unwrap();
        self.until_handled(name, "first").await;
    }

    /// Rotates everything, and returns how many answers were lost and how often the operator was killed.
    async fn rotate(&mut self) -> (usize, usize) {
        let Plan {
            rotations,
            standby,
            oidc,
            ..
        } = self.plan;
        // NB: no application loses more than two answers: at three within an hour its breaker opens.
        let single = [
            (rotations / 5, Fault::LoseAnswer),
            (rotations * 2 / 5, Fault::HoldAnswer),
            (rotations * 3 / 5, Fault::HoldRequest),
        ];
        self.rotate_one(
            "rotations of one API application",
            SINGLE,
            rotations,
            &single,
        )
        .await;
        let pair = [(standby / 2, Fault::LoseAnswer)];
        self.rotate_one("rotations over a standby pair", PAIR, standby, &pair)
            .await;
        let web = [(oidc / 2, Fault::LoseAnswer)];
        self.rotate_one("rotations of an OIDC application", OIDC, oidc, &web)
            .await;
        let all = [&single[..], &pair, &web].concat();
        let holds = |fault: &Fault| *fault != Fault::LoseAnswer;
        let killed = all.iter().filter(|(_, fault)| holds(fault)).count();
        let kept = all.iter().filter(|(_, f)| *f == Fault::HoldRequest).count();
        (all.len() - kept, killed)
    }

    /// Rotates one object so many times; at the indexes of `faults` the call meets one.
    async fn rotate_one(
        &mut self,
        what: &'static str,
        name: &str,
        times: usize,
        faults: &[(usize, Fault)],
    ) {
        println!("{what}: {times}");
        let before = self.handled;
        for index in 0..times {
            let trigger = format!("{what} {index}").replace(' ', "-");
            let fault = faults.iter().find(|(at, _)| *at == index);
            self.rotate_once(name, &trigger, fault.map(|(_, fault)| *fault))
                .await;
        }
        let handled = self.handled - before;
        self.table.extend([Row::all(what, times, handled)]);
    }

    async fn rotate_once(&mut self, name: &str, trigger: &str, fault: Option<Fault>) {
        let struck = self.cutter.struck();
        if let Some(fault) = fault {
            self.cutter.arm(fault);
        }
        let edit = json!({"spec": {"rotation": {"trigger": trigger}}});
        let objects = self.objects(name).await;
        let params = PatchParams::default();
        let edited = objects.patch(name, &params, &Patch::Merge(edit)).await;
        edited.unwrap();
        if fault.is_some() {
            eventually(self.plan.patience, || async {
                (self.cutter.struck() > struck).then_some(())
            })
            .await;
        }
        if fault.is_some_and(|fault| fault != Fault::LoseAnswer) {
            self.kill_and_start_again();
        }
        let status = self.until_handled(name, trigger).await;
        self.handled += 1;
        // The window of a repair is that of the repair's own value: it counts as any other.
        let window = &status["lastRotation"]["darkWindowMilliseconds"];
        self.table.window(window.as_i64());
    }

    /// Kills the operator as `kill -9` does, with an attempt open, and starts another one.
    fn kill_and_start_again(&mut self) {
        self.operator.kill();
        self.killed += 1;
        self.records.extend(self.operator.audit());
        self.operator = start(&self.world, self.plan);
    }

    async fn objects(&self, name: &str) -> Api<DynamicObject> {
        let client = self.world.cluster.client().await;
        Api::namespaced_with(client, &self.namespace, &resource(name))
    }

    /// Waits until an object is Ready and reports that a trigger is handled, and returns its status.
    async fn until_handled(&self, name: &str, trigger: &str) -> Value {
        let objects = self.objects(name).await;
        let asking = async {
            loop {
                let object = objects.get(name).await.unwrap();
                let status = &object.data["status"];
                let conditions = status["conditions"].as_array();
                let ready = conditions.into_iter().flatten().any(|condition| {
                    condition["type"] == "Ready"
                        && condition["status"] == "True"
                        && condition["observedGeneration"].as_i64() == object.metadata.generation
                });
                if ready && status["observedTrigger"] == trigger {
                    return status.clone();
                }
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        };
        let patience = self.plan.patience;
        if let Ok(status) = tokio::time::timeout(patience, asking).await {
            return status;
        }
        let status = objects.get(name).await.unwrap().data["status"].clone();
        panic!("{name}: trigger {trigger} is not handled within {patience:?}: {status:#}");
    }

    /// Compares, and asks ZITADEL about what is stored.
    async fn judge(
        &mut self,
        zitadel: &Zitadel,
        organization: &str,
        made: &Made,
        lost: usize,
        killed: usize,
    ) {
        self.records.extend(self.operator.audit());
        let all = self.cutter.lost();
        let mut verdicts = Vec::new();
        for app in made.apps() {
            let changes = zitadel.within(organization);
            let changes = changes.secret_changes(&made.project, &app.id).await;
            let of_app = all.iter().filter(|lost| lost.app == app.id);
            let evidence = Evidence {
                changes: changes.unwrap(),
                records: Record::about(&self.records, &app.id),
                lost: of_app.cloned().collect(),
            };
            verdicts.push(compare(&evidence, &made.user));
        }
        self.table.extend([
            Row::all("answers of ZITADEL lost on the way", lost, all.len()),
            Row::all("kill -9 with an attempt open", killed, self.killed),
        ]);
        self.table.extend(Verdict::sum(verdicts).rows(lost));
        let connections: Api<ZitadelConnection> = Api::all(self.world.cluster.client().await);
        let connection = connections.get(&self.namespace).await.unwrap();
        let api = connection.status.and_then(|status| status.api);
        self.table.api = json!(api)["inUse"].as_str().map(str::to_owned);
        let mut accepted = 0;
        for name in [SINGLE, PAIR, OIDC] {
            let (id, secret) = self.stored(name).await;
            let is_ours = made.apps().iter().any(|app| app.client_id == id);
            accepted += usize::from(is_ours && zitadel.accepts(&id, &secret, &made.token).await);
        }
        self.table
            .extend([Row::all("Secrets that introspect as active", 3, accepted)]);
    }

    /// The pair in a Secret.
    async fn stored(&self, name: &str) -> (String, String) {
        let client = self.world.cluster.client().await;
        let secrets: Api<Secret> = Api::namespaced(client, &self.namespace);
        let mut data = secrets.get(name).await.unwrap().data.unwrap();
        let mut text = |key| String::from_utf8(data.remove(key).unwrap().0).unwrap();
        (text("CLIENT_ID"), text("CLIENT_SECRET"))
    }
}

fn start(world: &World, plan: Plan) -> Operator {
    let arguments = ["--protocol-speed", plan.speed];
    Operator::start(&world.kubeconfig, &world.directory, &arguments)
}

/// The kind of an object of the suite.
fn resource(name: &str) -> ApiResource {
    match name {
        OIDC => ApiResource::erase::<OidcAppSecret>(&()),
        _ => ApiResource::erase::<ApiAppSecret>(&()),
    }
}
