//! Upgrade and downgrade: an older version of the operator, this one, the older one and this one again, with an attempt open each time.
//! Definitions and manifests change with the version, by the table in `docs/how-to/upgrade.md`.
//! `make upgrade` builds the older one in `ZSO_OLDER_SOURCE` and names it in `ZSO_OLDER_OPERATOR`. With `ZSO_FIXTURES` what it stores is
//! written into that directory, as it is in `tests/fixtures`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::cell::RefCell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{ListParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use kube::{Api, ResourceExt};
use serde_json::{Value, json};
use support::controlplane::{ControlPlane, Options};
use support::process::{Launch, Process};
use support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use support::{apply, data, eventually};
use tokio::time::timeout;
use zitadel_secret_operator::api::ZitadelConnection;
use zitadel_simulator::{Action, AppHandle, Fault, Gate, Operation};

/// Which fields the definitions have, and so the manifests.
#[derive(Clone, Copy, PartialEq)]
enum Fields {
    /// Those of the older version.
    Older,
    /// Those of today.
    Today,
}

impl Fields {
    /// The one of the two that these fields call for.
    fn pick(self, older: Value, today: Value) -> Value {
        match self {
            Self::Older => older,
            Self::Today => today,
        }
    }

    /// Replaces the definitions in the cluster. They are in use when a manifest with these fields is accepted.
    async fn define(self, world: &World) {
        let source = match self {
            Self::Older => PathBuf::from(std::env::var_os("ZSO_OLDER_SOURCE").unwrap()),
            Self::Today => PathBuf::from(env!("CARGO_MANIFEST_DIR")),
        };
        let client = world.cluster.client().await;
        let api: Api<CustomResourceDefinition> = Api::all(client);
        for kind in ["apiappsecrets", "zitadelconnections"] {
            let file = source.join(format!("crds/zitadel-secrets.dev_{kind}.yaml"));
            let text = std::fs::read_to_string(file).unwrap();
            let definition: CustomResourceDefinition = serde_saphyr::from_str(&text).unwrap();
            apply(&api, &definition).await.unwrap();
        }
    }

    /// The connection of a tenant, as a user writes it.
    async fn apply_connection(self, tenant: &Tenant) {
        let (name, namespace) = (&tenant.namespace, &tenant.namespace);
        let key = json!({"name": name, "key": "token"});
        let mut spec = self.pick(
            json!({
                "credential": {"secretRef": key, "type": "PersonalAccessToken"},
                "allowInsecure": true,
                "grants": [{"namespaces": {"names": [namespace]}, "projectIds": [tenant.project]}],
                "limits": {"maxInFlight": 2, "repairsPer10Minutes": 20},
                "allowWithoutRehearsal": true,
            }),
            json!({
                "auth": {"personalAccessToken": {"secretKeyRef": key}},
                "tls": {"plaintext": "Allow"},
                "grants": [{"name": "orders", "namespaces": [namespace], "projectIds": [tenant.project]}],
                "limits": {"concurrentGenerates": 2, "repairs": {"count": 20, "window": "10m"}},
                "rehearsal": "BestEffort",
            }),
        );
        spec["url"] = tenant.url.clone().into();
        spec["organizationId"] = tenant.organization.clone().into();
        replace(&connections(tenant), "ZitadelConnection", name, spec).await;
    }
}

/// Creates or replaces an object as `kubectl replace` does, as soon as the API server knows the fields of its manifest. NB: a server-side
/// apply is refused over a stored object of which a field had another type.
async fn replace(api: &Api<DynamicObject>, kind: &str, name: &str, spec: Value) {
    let mut manifest = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": kind, "metadata": {"name": name}, "spec": spec,
    });
    let params = PostParams::default();
    timeout(PATIENCE, async {
        loop {
            let live = api.get_opt(name).await.unwrap();
            manifest["metadata"]["resourceVersion"] =
                live.as_ref().and_then(ResourceExt::resource_version).into();
            let object = serde_json::from_value(manifest.clone()).unwrap();
            let written = match live {
                Some(_) => api.replace(name, &params, &object).await,
                None => api.create(&params, &object).await,
            };
            match written {
                // What the definitions do not know is left out of the answer.
                Ok(stored) if stored.data["spec"] == manifest["spec"] => return,
                Ok(_) => {}
                Err(error) => println!("{kind} {name}: {error}"),
            }
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    })
    .await
    .unwrap();
}

fn connections(tenant: &Tenant) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<ZitadelConnection>(&());
    Api::all_with(tenant.client.clone(), &resource)
}

/// Waits until an object is Ready for its present generation, with that trigger handled.
async fn ready(tenant: &Tenant, name: &str, trigger: Option<&str>) -> DynamicObject {
    let last = RefCell::new(None);
    let asking = async {
        loop {
            let object = tenant.untyped_objects().get(name).await.unwrap();
            if is_ready(&object) && object.data["status"]["observedTrigger"].as_str() == trigger {
                return object;
            }
            last.replace(Some(object));
            tokio::time::sleep(Duration::from_millis(50)).await;
        }
    };
    let found = timeout(PATIENCE, asking).await;
    found.unwrap_or_else(|_| panic!("{name} is not Ready with trigger {trigger:?}: {last:#?}"))
}

fn is_ready(object: &DynamicObject) -> bool {
    let conditions = object.data["status"]["conditions"].as_array();
    conditions.into_iter().flatten().any(|condition| {
        condition["type"] == "Ready"
            && condition["status"] == "True"
            && condition["observedGeneration"].as_i64() == object.metadata.generation
    })
}

/// An object and what a user writes of it.
struct Object {
    name: &'static str,
    app: AppHandle,
    trigger: Option<&'static str>,
    /// Older and today's fields.
    extra: [Value; 2],
}

impl Object {
    fn new(tenant: &Tenant, name: &'static str) -> Self {
        Self {
            name,
            app: tenant.app(name),
            trigger: None,
            extra: [json!({}), json!({})],
        }
    }

    async fn apply(&self, tenant: &Tenant, fields: Fields) {
        let [older, today] = self.extra.clone();
        let manifest = tenant.manifest(self.name, &self.app.id, fields.pick(older, today));
        let mut spec = manifest["spec"].clone();
        if let Some(trigger) = self.trigger {
            spec["rotation"]["trigger"] = trigger.into();
        }
        replace(&tenant.untyped_objects(), "ApiAppSecret", self.name, spec).await;
    }
}

/// A tenant, with an object for each time that one version follows another: its attempt is open then.
struct Open {
    tenant: Tenant,
    /// Whether ZITADEL carries out what is open, so that its value is lost.
    executed: bool,
    objects: Vec<Object>,
}

impl Open {
    async fn new(world: &World, prefix: &str, executed: bool) -> Self {
        let tenant = world.tenant(prefix).await;
        Self {
            tenant,
            executed,
            objects: Vec::new(),
        }
    }

    /// Has an object issued. NB: of one object 0.1.0 repairs no second lost answer.
    async fn issue(&mut self, name: &'static str, fields: Fields) -> DynamicObject {
        let object = Object::new(&self.tenant, name);
        object.apply(&self.tenant, fields).await;
        self.objects.push(object);
        ready(&self.tenant, name, None).await
    }

    /// Asks for the rotation of the last object, whose call is held from now on.
    async fn begin(&mut self, fields: Fields) -> Gate {
        let object = self.objects.last_mut().unwrap();
        let gate = self.tenant.zitadel.gate(&object.app.id);
        let name = gate.name().to_owned();
        let hold = if self.executed {
            Action::HoldAfter { gate: name }
        } else {
            Action::HoldBefore {
                gate: name,
                outlives_client: false,
            }
        };
        let fault = Fault::on(Operation::Generate, hold).app(&object.app.id);
        self.tenant.zitadel.inject(fault);
        object.trigger = Some("a");
        object.apply(&self.tenant, fields).await;
        gate
    }

    /// Waits until all are well, with their triggers handled. How many values are lost, and how many were made that nothing asked for.
    async fn settled(&self) -> (u64, u64) {
        let (mut lost, mut needless) = (0, 0);
        for Object { name, app, .. } in &self.objects {
            ready(&self.tenant, name, Some("a")).await;
            lost += u64::from(!self.tenant.accepted(app, name).await);
            let wanted = 2 + u64::from(self.executed);
            let more = self.tenant.generates(app) - wanted;
            if more > 0 {
                println!(
                    "{more} more of {name} in {}, app {}",
                    self.tenant.namespace, app.id
                );
            }
            needless += more;
        }
        (lost, needless)
    }
}

/// The entries of a history, without the field whose name and unit changed.
fn history(object: &DynamicObject) -> Vec<Value> {
    let history = object.data["status"]["history"].as_array().unwrap();
    history.iter().cloned().map(without_dark_window).collect()
}

fn without_dark_window(mut entry: Value) -> Value {
    if let Some(fields) = entry.as_object_mut() {
        fields.retain(|name, _| !name.starts_with("darkWindow"));
    }
    entry
}

/// What is rotated by nothing, whichever version runs: an object at rest with all that the table of fields names, one with a standby
/// application, and one that adopted its value.
struct Steady {
    tenant: Tenant,
    objects: [Object; 3],
    standby: AppHandle,
}

impl Steady {
    async fn new(world: &World) -> Self {
        let tenant = world.tenant("steady").await;
        let objects = ["one", "pair", "adopted"].map(|name| Object::new(&tenant, name));
        let standby = tenant.app("standby");
        Self {
            tenant,
            objects,
            standby,
        }
    }

    /// Has all of them issued, and the pair rotated once.
    async fn issue(&mut self, fields: Fields) {
        let standby = &self.standby.id;
        let value = self.objects[2].app.secret.clone().unwrap();
        let window =
            json!({"schedule": "0 3 * * *", "timeZone": "Europe/Zurich", "duration": "2h"});
        let mut named = window.clone();
        named["name"] = "nightly".into();
        let labels = json!({"team": "orders"});
        let keys = [
            ("CLIENT_ID", "ClientId"),
            ("CLIENT_SECRET", "ClientSecret"),
            ("ISSUER", "Issuer"),
        ];
        self.objects[0].extra = [
            json!({
                "rotation": {"interval": "30d", "jitter": 20, "windows": [window]},
                "secret": {"name": "renamed", "labels": labels, "keys": {"issuer": "ISSUER"}},
                "recovery": {"missingSecret": "Report", "invalidSecret": "Report"},
            }),
            json!({
                "rotation": {"interval": "30d", "jitterPercent": 20, "windows": [named]},
                "secret": {"name": "renamed", "labels": labels, "data": data(&keys)},
                "recovery": {"missing": "Report", "rejected": "Report"},
            }),
        ];
        self.objects[1].extra = [
            json!({"standbyAppId": standby, "rotation": {"interval": "30d", "overlap": "24h"}}),
            json!({"standby": {"type": "Existing", "appId": standby}, "rotation": {"interval": "30d", "overlap": {"minimum": "24h"}}}),
        ];
        self.objects[2].extra = [
            json!({"secret": {"adopt": true}}),
            json!({"secret": {"adoptionPolicy": "Required"}}),
        ];
        let values = json!({"CLIENT_SECRET": value});
        self.tenant.create_secret("adopted", values).await;
        for object in &mut self.objects {
            object.trigger = Some("a");
            object.apply(&self.tenant, fields).await;
            ready(&self.tenant, object.name, object.trigger).await;
        }
        let pair = &mut self.objects[1];
        pair.trigger = Some("b");
        pair.apply(&self.tenant, fields).await;
        ready(&self.tenant, "pair", Some("b")).await;
    }

    fn generates(&self) -> u64 {
        let apps = self.objects.iter().map(|object| &object.app);
        let apps = apps.chain([&self.standby]);
        apps.map(|app| self.tenant.generates(app)).sum()
    }

    /// How many of the values are not accepted any more.
    async fn lost(&self) -> u64 {
        let mut lost = 0;
        for (app, secret) in [
            (&self.objects[0].app, "renamed"),
            (&self.standby, "pair"),
            (&self.objects[2].app, "adopted"),
        ] {
            lost += u64::from(!self.tenant.accepted(app, secret).await);
        }
        lost
    }

    /// What is stored of all of them and is the same whichever version runs: status, Secret, commit record and claims.
    async fn stored(&self) -> Vec<Value> {
        let mut all = Vec::new();
        for object in &self.objects {
            all.push(self.stored_of(object.name).await);
        }
        all
    }

    async fn stored_of(&self, name: &str) -> Value {
        let object = self.tenant.untyped_objects().get(name).await.unwrap();
        let mut status = object.data["status"].clone();
        let fields = status.as_object_mut().unwrap();
        for written_anew in [
            "conditions",
            "secretResourceVersion",
            "schedule",
            "nextRotationTime",
            // 0.1.0 has no such field.
            "standbyAppId",
        ] {
            fields.remove(written_anew);
        }
        // So 0.1.0 writes that a value which was taken over has none.
        if fields.get("sequence").is_some_and(|it| it == "0") {
            fields.remove("sequence");
        }
        // The generation moves with the manifest.
        fields.remove("observedGeneration");
        for (field, value) in fields.iter_mut() {
            match (field.as_str(), value) {
                ("lastRotation", entry) => *entry = without_dark_window(entry.take()),
                ("history", Value::Array(entries)) => {
                    for entry in entries {
                        *entry = without_dark_window(entry.take());
                    }
                }
                _ => {}
            }
        }
        let secret = self
            .tenant
            .secret(status["secretName"].as_str().unwrap())
            .await;
        let record = commit_record(&secret);
        let claims = self.tenant.claims(name).await.into_iter().map(|lease| {
            let claim = claim(&lease);
            json!({"name": lease.metadata.name, "attempt": claim["attempt"]["id"], "state": claim["attempt"]["state"]})
        });
        json!({
            "status": status,
            "secret": {"uid": secret.metadata.uid, "data": secret.data, "type": secret.type_, "labels": secret.metadata.labels},
            "record": {"apps": record["apps"], "active": record["active"]},
            "claims": claims.collect::<Vec<_>>(),
        })
    }
}

fn commit_record(secret: &Secret) -> Value {
    let annotations = secret.metadata.annotations.as_ref().unwrap();
    serde_json::from_str(&annotations["zitadel-secrets.dev/commit"]).unwrap()
}

fn claim(lease: &Lease) -> Value {
    let annotations = lease.metadata.annotations.as_ref().unwrap();
    serde_json::from_str(&annotations["zitadel-secrets.dev/claim"]).unwrap()
}

/// Stores what the older version has written of an object, as fixtures.
async fn keep(tenant: &Tenant, name: &str, directory: &Path) {
    let write = |file: &str, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        std::fs::write(directory.join(format!("{file}.json")), text).unwrap();
    };
    let client = &tenant.client;
    let object = tenant.untyped_objects().get(name).await.unwrap();
    let secret = object.data["status"]["secretName"].as_str().unwrap();
    let bare = |mut value: Value| {
        value["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        value
    };
    let prefix = format!("{}-{name}", tenant.namespace.split('-').next().unwrap());
    let uid = object.metadata.uid.clone().unwrap();
    write(
        &format!("{prefix}-object"),
        &bare(serde_json::to_value(&object).unwrap()),
    );
    let secret = tenant.secrets().get_metadata(secret).await.unwrap();
    let record = &secret.metadata.annotations.unwrap()["zitadel-secrets.dev/commit"];
    write(
        &format!("{prefix}-record"),
        &serde_json::from_str(record).unwrap(),
    );
    let claims: Api<Lease> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let labelled = ListParams::default().labels("zitadel-secrets.dev/claim");
    let claims = claims.list(&labelled).await.unwrap().into_iter();
    let claims = claims.map(|lease| claim(&lease));
    let own = claims.filter(|claim| claim["owner"]["uid"] == uid.as_str());
    for (number, claim) in own.enumerate() {
        write(&format!("{prefix}-claim-{number}"), &claim);
    }
    let connection = connections(tenant).get(&tenant.namespace).await.unwrap();
    write(
        &format!("{prefix}-connection"),
        &bare(serde_json::to_value(connection).unwrap()),
    );
}

async fn until_ready(process: &Process) {
    eventually(PATIENCE, || async {
        process.is_ready().await.then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "needs an older version: make upgrade"]
async fn an_upgrade_and_a_downgrade_with_open_attempts_lose_no_value_and_rotate_nothing_needlessly()
{
    let older = PathBuf::from(std::env::var_os("ZSO_OLDER_OPERATOR").unwrap());
    assert!(ControlPlane::can_start());
    let world = World::own(Options::default()).await;
    let newer = Launch::new(&world.kubeconfig, &world.directory).arguments(&[
        "--protocol-speed",
        "20",
        "--drift-interval",
        "2s",
    ]);
    let older = Launch {
        binary: older,
        ..newer.clone()
    };
    let mut open = [
        Open::new(&world, "lost", true).await,
        Open::new(&world, "unsent", false).await,
    ];
    let mut steady = Steady::new(&world).await;
    Fields::Older.define(&world).await;
    for tenant in [&open[0].tenant, &open[1].tenant, &steady.tenant] {
        Fields::Older.apply_connection(tenant).await;
    }
    let mut running = older.start();
    steady.issue(Fields::Older).await;
    let (made, before) = (steady.generates(), steady.stored().await);
    let (mut lost, mut needless, mut kept) = (0, 0, 0);
    let mut fields = Fields::Older;
    let following = [
        ("newer", &newer, Fields::Today),
        ("older", &older, Fields::Older),
        ("again", &newer, Fields::Today),
    ];
    for (version, next, its_fields) in following {
        let mut issued = Vec::new();
        for one in &mut open {
            issued.push(one.issue(version, fields).await);
        }
        // All at once: a call that is held for long is given up, and then its repair would be open.
        let mut gates = Vec::new();
        for one in &mut open {
            gates.push(one.begin(fields).await);
        }
        for gate in gates {
            timeout(PATIENCE, gate.reached()).await.unwrap();
        }
        // NB: no gate is opened any more: a call might pass before ZITADEL sees that its client is gone.
        running.kill();
        if let Some(directory) = std::env::var_os("ZSO_FIXTURES")
            && version == "newer"
        {
            keep(&open[0].tenant, version, Path::new(&directory)).await;
            keep(&steady.tenant, "one", Path::new(&directory)).await;
            keep(&steady.tenant, "pair", Path::new(&directory)).await;
        }
        fields = its_fields;
        // As a release does it: the definitions and the process, and the manifests only then, objects first.
        fields.define(&world).await;
        running = next.clone().pod(version).start();
        until_ready(&running).await;
        for one in &open {
            for object in &one.objects {
                object.apply(&one.tenant, fields).await;
            }
        }
        for object in &steady.objects {
            object.apply(&steady.tenant, fields).await;
        }
        for tenant in [&open[0].tenant, &open[1].tenant, &steady.tenant] {
            fields.apply_connection(tenant).await;
        }
        for (one, issued) in open.iter().zip(issued) {
            let (values, generates) = one.settled().await;
            lost += values;
            needless += generates;
            let before = history(&issued);
            let now = history(&one.tenant.untyped_objects().get(version).await.unwrap());
            assert_eq!(now[1..], before, "{version}");
            kept += before.len();
        }
        for object in &steady.objects {
            ready(&steady.tenant, object.name, object.trigger).await;
        }
        let more = steady.generates() - made;
        if more > 0 {
            println!("{more} more of the steady ones after {version}");
        }
        needless += more;
        assert_eq!(steady.stored().await, before, "{version}");
        lost += steady.lost().await;
    }
    println!("figure upgrade_lost_values {lost}");
    println!("figure upgrade_needless_generates {needless}");
    println!("figure upgrade_history_entries_kept {kept}");
    assert_eq!((lost, needless), (0, 0));
}
