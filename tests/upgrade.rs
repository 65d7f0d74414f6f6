//! Upgrade and downgrade: an older version of the operator, this one, the older one and this one again, with an attempt open each time.
//! `make upgrade` builds the older one and names it in `ZSO_OLDER_OPERATOR`. With `ZSO_FIXTURES` what it stores is written into that
//! directory, as it is in `tests/fixtures`.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::path::{Path, PathBuf};

use k8s_openapi::api::coordination::v1::Lease;
use kube::Api;
use kube::api::ListParams;
use serde_json::{Value, json};
use support::controlplane::{ControlPlane, Options};
use support::process::{Launch, Process};
use support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use support::{data, eventually, fleet};
use tokio::time::timeout;
use zitadel_secret_operator::api::ApiAppSecret;
use zitadel_simulator::{AppHandle, Operation};

/// A tenant, with an object for each time that one version follows another: its attempt is open then.
struct Open {
    tenant: Tenant,
    /// Whether ZITADEL carries out what is open, so that its value is lost.
    executed: bool,
    objects: Vec<(&'static str, AppHandle)>,
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

    /// Has an object issued, asks for its rotation, and waits until that is under way. NB: of one object 0.1.0 repairs no second lost answer.
    async fn begin(&mut self, name: &'static str) -> ApiAppSecret {
        let zitadel = &self.tenant.zitadel;
        let app = self.tenant.app(name);
        self.tenant.apply(name, &app.id, json!({})).await.unwrap();
        let issued = self.tenant.ready(name).await;
        let gate = if self.executed {
            zitadel.hold_after(Operation::Generate)
        } else {
            zitadel.hold_before(Operation::Generate)
        };
        let change = json!({"spec": {"rotation": {"trigger": "a"}}});
        self.tenant.edit(name, change).await;
        timeout(PATIENCE, gate.reached()).await.unwrap();
        self.objects.push((name, app));
        issued
    }

    /// Waits until all are well, with their triggers handled. How many values are lost, and how many were made that nothing asked for.
    async fn settled(&self) -> (u64, u64) {
        let (mut lost, mut needless) = (0, 0);
        for (name, app) in &self.objects {
            self.tenant.until(name, |object| handled(object, "a")).await;
            lost += u64::from(!self.tenant.accepted(app, name).await);
            let wanted = 2 + u64::from(self.executed);
            needless += self.tenant.generates(app) - wanted;
        }
        (lost, needless)
    }
}

/// Whether an object is Ready for its present generation, with that trigger handled.
fn handled(object: &ApiAppSecret, trigger: &str) -> Option<()> {
    let status = object.status.as_ref()?;
    let handled = status.observed_trigger.as_deref() == Some(trigger);
    (fleet::is_ready(object) && handled).then_some(())
}

/// What is rotated by nothing, whichever version runs: an object at rest, and one with a standby application.
struct Steady {
    tenant: Tenant,
    apps: [AppHandle; 3],
}

impl Steady {
    async fn new(world: &World) -> Self {
        let tenant = world.tenant("steady").await;
        let apps = ["one", "pair", "standby"].map(|name| tenant.app(name));
        let extra = json!({
            "rotation": {"trigger": "a", "interval": "30d"},
            "secret": {"name": "renamed", "labels": {"team": "orders"}, "data": data(&[("CLIENT_ID", "ClientId"), ("CLIENT_SECRET", "ClientSecret"), ("ISSUER", "Issuer")])},
        });
        tenant.apply("one", &apps[0].id, extra).await.unwrap();
        let extra = json!({"standby": {"type": "Existing", "appId": apps[2].id}, "rotation": {"trigger": "a"}});
        tenant.apply("pair", &apps[1].id, extra).await.unwrap();
        tenant.ready("one").await;
        tenant.ready("pair").await;
        let change = json!({"spec": {"rotation": {"trigger": "b"}}});
        tenant.edit("pair", change).await;
        tenant.until("pair", |object| handled(object, "b")).await;
        Self { tenant, apps }
    }

    fn generates(&self) -> u64 {
        self.apps.iter().map(|app| self.tenant.generates(app)).sum()
    }

    /// What was stored of an object that no rotation changes.
    async fn stored(&self, name: &str) -> Value {
        let object = self.tenant.objects().get(name).await.unwrap();
        let mut status = serde_json::to_value(object.status).unwrap();
        let fields = status.as_object_mut().unwrap();
        for written_anew in [
            "conditions",
            "secretResourceVersion",
            "schedule",
            "nextRotationTime",
        ] {
            fields.remove(written_anew);
        }
        status
    }
}

/// Stores what the older version has written of an object, as fixtures.
async fn keep(tenant: &Tenant, name: &str, directory: &Path) {
    let write = |file: &str, value: &Value| {
        let text = serde_json::to_string_pretty(value).unwrap() + "\n";
        std::fs::write(directory.join(format!("{file}.json")), text).unwrap();
    };
    let client = &tenant.client;
    let object = tenant.objects().get(name).await.unwrap();
    let secret = object.spec.secret_name(name).to_owned();
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
    let secret = tenant.secrets().get_metadata(&secret).await.unwrap();
    let record = &secret.metadata.annotations.unwrap()["zitadel-secrets.dev/commit"];
    write(
        &format!("{prefix}-record"),
        &serde_json::from_str(record).unwrap(),
    );
    let claims: Api<Lease> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
    let labelled = ListParams::default().labels("zitadel-secrets.dev/claim");
    let claims = claims.list(&labelled).await.unwrap().into_iter();
    let claims = claims.map(|lease| {
        let text = &lease.metadata.annotations.unwrap()["zitadel-secrets.dev/claim"];
        serde_json::from_str::<Value>(text).unwrap()
    });
    let own = claims.filter(|claim| claim["owner"]["uid"] == uid.as_str());
    for (number, claim) in own.enumerate() {
        write(&format!("{prefix}-claim-{number}"), &claim);
    }
    let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
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
    let mut running = older.start();
    let steady = Steady::new(&world).await;
    let (made, before) = (
        steady.generates(),
        [steady.stored("one").await, steady.stored("pair").await],
    );
    let (mut lost, mut needless, mut kept) = (0, 0, 0);
    let following = [("newer", &newer), ("older", &older), ("again", &newer)];
    for (version, next) in following {
        let mut issued = Vec::new();
        for one in &mut open {
            issued.push(one.begin(version).await);
        }
        running.kill();
        if let Some(directory) = std::env::var_os("ZSO_FIXTURES")
            && version == "newer"
        {
            keep(&open[0].tenant, version, Path::new(&directory)).await;
            keep(&steady.tenant, "one", Path::new(&directory)).await;
            keep(&steady.tenant, "pair", Path::new(&directory)).await;
        }
        world.zitadel.clear_faults();
        running = next.clone().pod(version).start();
        until_ready(&running).await;
        for (one, issued) in open.iter().zip(issued) {
            let (values, generates) = one.settled().await;
            lost += values;
            needless += generates;
            let before = issued.status.unwrap().history;
            let object = one.tenant.objects().get(version).await.unwrap();
            let history = object.status.unwrap().history;
            assert_eq!(history[1..], before, "{version}");
            kept += before.len();
        }
        for name in ["one", "pair"] {
            steady.tenant.ready(name).await;
        }
        needless += steady.generates() - made;
        let after = [steady.stored("one").await, steady.stored("pair").await];
        assert_eq!(after, before, "{version}");
        for (app, secret) in [(0, "renamed"), (2, "pair")] {
            let app = &steady.apps[app];
            lost += u64::from(!steady.tenant.accepted(app, secret).await);
        }
    }
    println!("figure upgrade_lost_values {lost}");
    println!("figure upgrade_needless_generates {needless}");
    println!("figure upgrade_history_entries_kept {kept}");
    assert_eq!((lost, needless), (0, 0));
}
