//! Faults that are no cells of the matrix: rotations without effect, restores, edits and deletions by others.

use std::ops::RangeBounds;
use std::sync::atomic::Ordering;
use std::time::Duration;

use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use zitadel_simulator::{Action, AppHandle, Fault as Script, Operation, Which};

use super::audit;
use super::cell::{Boundary, Cell, Setting};
use super::invariants;
use super::lane::{Lane, NAME, claim, value};
use super::layer::{Act, Rule};
use super::replica::{Replica, Setup};
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::world::install_definitions;
use crate::support::{apply, eventually};

/// For what needs the quiet period, or three probes.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// A lane with an object at rest whose trigger is `a`.
pub async fn at_rest(replicas: usize) -> (Lane, AppHandle) {
    at_rest_with(replicas, |_| {}).await
}

/// The same with replicas that are started differently.
pub async fn at_rest_with(replicas: usize, change: impl FnOnce(&mut Setup)) -> (Lane, AppHandle) {
    at_rest_beside(replicas, false, change).await
}

/// The same, with or without a standby application.
pub async fn at_rest_beside(
    replicas: usize,
    standby: bool,
    change: impl FnOnce(&mut Setup),
) -> (Lane, AppHandle) {
    let setting = if standby {
        Setting::Standby
    } else {
        Setting::Alone
    };
    at_rest_on(ControlPlane::shared().await, replicas, setting, change).await
}

/// One replica at rest, with an object that rotates in such a setting.
pub async fn at_rest_in(setting: Setting) -> (Lane, AppHandle) {
    at_rest_on(ControlPlane::shared().await, 1, setting, |_| {}).await
}

/// Times in which no replica gives up a call that a test holds.
pub fn patient(setup: &mut Setup) {
    setup.timing.request = PATIENCE;
    setup.timing.takeover = PATIENCE * 4;
}

/// A value that has no effect differs from one that got no verdict in time: on a busy machine two questions take longer than the scaled
/// time to prove a value, and then the newest value is published, as the best there is.
fn judged(setup: &mut Setup) {
    setup.timing.prove = Duration::from_secs(3);
    setup.timing.lag = Duration::from_secs(4);
    setup.timing.dead = setup.timing.lag;
}

async fn at_rest_on(
    cluster: &ControlPlane,
    replicas: usize,
    setting: Setting,
    change: impl FnOnce(&mut Setup),
) -> (Lane, AppHandle) {
    audit::collect();
    let client = cluster.client().await;
    install_definitions(&client).await;
    let mut lane = Lane::new(cluster, &client, replicas, false).await;
    lane.set(setting).await;
    change(&mut lane.setup);
    lane.fill().await.unwrap();
    let app = lane.subject().await;
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    lane.wire.clear();
    (lane, app)
}

impl Lane {
    /// Waits for rest; then so many generates must have been carried out, and every invariant must hold.
    pub async fn ends_with(&mut self, app: &AppHandle, trigger: &str, generates: usize) {
        let broken = self
            .broken_at_the_end(app, trigger, generates..=generates)
            .await;
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// The same where what was done to the object has invariants not hold, or not be checked: every other one must.
    pub async fn ends_with_but_for(
        &mut self,
        app: &AppHandle,
        trigger: &str,
        generates: impl RangeBounds<usize>,
        not: &[&str],
    ) {
        let mut broken = self.broken_at_the_end(app, trigger, generates).await;
        broken.retain(|what| !not.iter().any(|not| what.starts_with(&format!("{not}:"))));
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// Waits for rest; then so many generates must have been carried out. The invariants that do not hold.
    pub async fn broken_at_the_end(
        &mut self,
        app: &AppHandle,
        trigger: &str,
        generates: impl RangeBounds<usize>,
    ) -> Vec<String> {
        self.settle(app, trigger, PATIENCE).await.unwrap();
        let made = invariants::executed(self, app).len();
        assert!(generates.contains(&made), "{made} generates");
        let cell = Cell {
            boundary: Boundary::Generate,
            strike: 0,
            replicas: self.wanted,
            way: "",
            setting: Setting::Alone,
            without: None,
        };
        invariants::check(self, app, &cell).await
    }

    /// Why calls were made, as the audit records say.
    pub fn causes(&self, app: &AppHandle) -> Vec<String> {
        let records = self.apps(app).flat_map(|app| audit::records(&app.id));
        records.map(|record| record.cause).collect()
    }

    /// Waits until every replica has scanned the project once more.
    pub async fn scanned(&self) {
        let scans = || self.zitadel.requests(Operation::SearchApps);
        let before = scans();
        let wanted = before + 2 * self.replicas.len() as u64;
        eventually(PATIENCE, || async { (scans() >= wanted).then_some(()) }).await;
    }

    /// The client secret that is stored.
    pub async fn stored(&self) -> Option<String> {
        self.secrets()
            .get_opt(NAME)
            .await
            .unwrap()
            .as_ref()
            .and_then(value)
    }

    /// Does something to the next generate.
    pub fn at_generate(&self, action: Action) {
        self.zitadel.inject(Script::on(Operation::Generate, action));
    }

    /// Waits for something of the object's status, by its text.
    pub async fn says(&self, word: &str) {
        self.says_in(word, PATIENCE).await;
    }

    /// The same, for as long as that.
    pub async fn says_in(&self, word: &str, patience: Duration) {
        eventually(patience, || async {
            let object = self.objects().get(NAME).await.unwrap();
            serde_json::to_string(&object.status)
                .unwrap()
                .contains(word)
                .then_some(())
        })
        .await;
    }

    /// Deletes the object, without its Secret, and makes it again.
    pub async fn recreate(&self, app: &AppHandle, trigger: &str) {
        let orphan = DeleteParams {
            propagation_policy: Some(kube::api::PropagationPolicy::Orphan),
            ..DeleteParams::default()
        };
        self.objects().delete(NAME, &orphan).await.unwrap();
        eventually(PATIENCE, || async {
            let found = self.objects().get_opt(NAME).await.unwrap();
            found.is_none().then_some(())
        })
        .await;
        self.trigger(app, trigger).await;
    }

    /// Has every replica reconcile the object once more, and waits until it has.
    pub async fn reconcile_again(&self) {
        assert!(
            self.reconciled_again(PATIENCE).await,
            "not every replica reconciles it"
        );
    }

    /// The same; whether every replica did within that time.
    pub async fn reconciled_again(&self, patience: Duration) -> bool {
        let at_work = |replica: &&Replica| {
            !replica.controls.is_dead() && replica.controls.stopped_at().is_none()
        };
        let before: Vec<_> = self
            .replicas
            .iter()
            .filter(at_work)
            .map(|replica| (replica, replica.reconciled()))
            .collect();
        let label =
            json!({"metadata": {"labels": {"reconciled": uuid::Uuid::new_v4().to_string()}}});
        self.objects()
            .patch(NAME, &PatchParams::default(), &Patch::Merge(label))
            .await
            .unwrap();
        let reconciled = async {
            while !before
                .iter()
                .all(|(replica, before)| replica.reconciled() > *before)
            {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
        };
        tokio::time::timeout(patience, reconciled).await.is_ok()
    }

    /// Whatever was written where, the object comes to rest with the value that it had, and nothing is generated.
    async fn is_unmoved(&mut self, app: &AppHandle, value: Option<&String>, written: Option<&str>) {
        let what = written.map(|text| text.chars().take(300).collect::<String>());
        self.reconcile_again().await;
        let unrest = self.settle(app, "a", PATIENCE).await.err();
        assert_eq!(unrest, None, "{what:?}");
        assert_eq!(self.stored().await.as_ref(), value, "{what:?}");
        assert_eq!(invariants::executed(self, app).len(), 0, "{what:?}");
        self.ends_with_but_for(app, "a", 0..=0, &[]).await;
    }

    /// Empties the status, as a person with too many rights would.
    pub async fn wipe_status(&self) {
        let wiped = json!({"status": null});
        self.objects()
            .patch_status(NAME, &PatchParams::default(), &Patch::Merge(wiped))
            .await
            .unwrap();
    }

    fn connections(&self) -> kube::Api<zitadel_secret_operator::api::ZitadelConnection> {
        kube::Api::all(self.client.clone())
    }

    /// The connection's spec.
    pub async fn connection_spec(&self) -> serde_json::Value {
        let connection = self.connections().get(&self.namespace).await.unwrap();
        serde_json::to_value(connection.spec).unwrap()
    }

    /// Changes fields of the connection's spec.
    pub async fn edit_connection(&self, fields: serde_json::Value) {
        let patch = json!({"spec": fields});
        self.connections()
            .patch(
                &self.namespace,
                &PatchParams::default(),
                &Patch::Merge(patch),
            )
            .await
            .unwrap();
    }

    /// Waits until an operator has checked the connection as it is now.
    pub async fn taken_in(&self) {
        eventually(PATIENCE, || async {
            let connection = self.connections().get(&self.namespace).await.unwrap();
            let seen = connection
                .status
                .and_then(|status| status.observed_generation);
            (seen == connection.metadata.generation).then_some(())
        })
        .await;
    }

    /// Changes the Secret as a person would.
    pub async fn edit_secret(&self, patch: serde_json::Value) {
        let params = PatchParams::default();
        self.secrets()
            .patch(NAME, &params, &Patch::Merge(patch))
            .await
            .unwrap();
    }
}

/// C48.
pub async fn without_effect(replicas: usize) {
    let (mut lane, app) = at_rest_with(replicas, judged).await;
    lane.at_generate(Action::WithoutEffect);
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 2).await;
    // Of two replicas the other one may be the first to see that no process holds the value.
    if replicas == 1 {
        assert_eq!(lane.causes(&app), ["Trigger"; 2]);
    }
}

/// C49.
pub async fn crossed(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.at_generate(Action::Crossed(Which::Second));
    lane.trigger(&app, "b").await;
    // The other rotation has killed the stored value: what ZITADEL refuses is as good, and the newest there is.
    lane.ends_with_but_for(&app, "b", 2..=2, &["I10a"]).await;
}

/// C50.
pub async fn deactivated(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    lane.zitadel.deactivate_app(&app.id).unwrap();
    gate.release();
    let made = invariants::executed(&lane, &app).remove(0).secret;
    eventually(PATIENCE, || async {
        (lane.stored().await.as_deref() == Some(made.expose())).then_some(())
    })
    .await;
    lane.says("AppNotReady").await;
    lane.zitadel.reactivate_app(&app.id).unwrap();
    lane.ends_with(&app, "b", 1).await;
}

/// C50 for the whole project: before a rotation, and where the stored value is probed.
pub async fn project_deactivated(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.zitadel.deactivate_project(&lane.project).unwrap();
    // An edit of the Secret causes a probe; the value is rejected, like everything in an inactive project.
    lane.edit_secret(json!({"metadata": {"labels": {"touched": "by-another"}}}))
        .await;
    lane.says("ProjectInactive").await;
    // Longer than it takes to call a refused value dead: a rotation is triggered, and has to wait, after that time.
    let probed = lane.zitadel.requests(Operation::Introspect);
    eventually(PATIENCE, || async {
        (lane.zitadel.requests(Operation::Introspect) >= probed + 4 * 3 * replicas as u64)
            .then_some(())
    })
    .await;
    lane.trigger(&app, "b").await;
    lane.says("ProjectInactive").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    lane.zitadel.reactivate_project(&lane.project).unwrap();
    lane.ends_with(&app, "b", 1).await;
}

/// C25.
pub async fn zitadel_restored(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    // Each replica has scanned the project: it knows the sequence that will be the newest one again.
    lane.scanned().await;
    let before = lane.zitadel.project_sequence(&lane.project).unwrap();
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    lane.zitadel
        .restore_from_backup(&lane.project, before)
        .unwrap();
    // ZITADEL counts from a lower number again.
    lane.ends_with_but_for(&app, "b", 1..=2, &["I6"]).await;
}

/// C23: the Secret is as it was before the last rotation.
pub async fn secret_restored(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let old = lane.secrets().get(NAME).await.unwrap();
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    let annotations = &old.metadata.annotations;
    let restored = json!({"metadata": {"annotations": annotations}, "data": old.data});
    lane.edit_secret(restored).await;
    // The test itself has put the older value back.
    lane.ends_with_but_for(&app, "b", 2..=2, &["I6"]).await;
}

/// C31.
pub async fn secret_deleted(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.secrets()
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    // Not the trigger is the cause.
    lane.ends_with_but_for(&app, "a", 1..=1, &["I7"]).await;
    assert_eq!(lane.causes(&app), ["SecretMissing"]);
}

/// The same while nothing but the watch of the Secrets is down: what is gone is missing in a later list, and shown in no other way. Nothing
/// else reconciles the object, which is rotated on trigger only.
pub async fn secret_deleted_unseen(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    // So often that a watch does not go on from where it was, which would show the deletion.
    let often = 5 * replicas;
    lane.wire
        .add(Rule::new(vec![Act::Unreachable; 1000], |seen| {
            seen.resource == "secrets" && matches!(seen.verb, "list" | "watch")
        }));
    lane.wire.cut_watches();
    eventually(PATIENCE, || async {
        (lane.wire.fired().len() >= often).then_some(())
    })
    .await;
    let (secrets, params) = (lane.secrets(), DeleteParams::default());
    secrets.delete(NAME, &params).await.unwrap();
    lane.wire.clear();
    lane.ends_with_but_for(&app, "a", 1..=1, &["I7"]).await;
    assert_eq!(lane.causes(&app), ["SecretMissing"]);
}

/// C32.
pub async fn value_edited(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let wrong = json!({"stringData": {"CLIENT_SECRET": "edited-by-a-person"}});
    lane.edit_secret(wrong.clone()).await;
    // The test itself has written another value, and that is the cause.
    lane.ends_with_but_for(&app, "a", 1..=1, &["I6", "I7"])
        .await;
    assert_eq!(lane.causes(&app), ["SecretInvalid"]);
    lane.edit_secret(wrong).await;
    lane.says("SecretContested").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
}

/// C42: another actor deletes the claim while the call is under way.
pub async fn claim_deleted(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    let name = lane.claim_name(&app);
    lane.leases()
        .delete(&name, &DeleteParams::default())
        .await
        .unwrap();
    gate.release();
    lane.ends_with_but_for(&app, "b", 1..=2, &[]).await;
}

/// C43 and C44: a claim that cannot be read, and one of a newer version.
pub async fn claim_replaced(replicas: usize) {
    use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
    let (mut lane, app) = at_rest(replicas).await;
    let name = lane.claim_name(&app);
    let write = async |lane: &Lane, text: &str| {
        let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: text}}});
        lane.leases()
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    };
    write(&lane, "{").await;
    lane.ends_with_but_for(&app, "a", 0..=0, &[]).await;
    write(&lane, r#"{"version":2,"owner":7}"#).await;
    lane.trigger(&app, "b").await;
    lane.says("ClaimFromNewerVersion").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
}

/// Records that were edited by hand: whatever stands in them, the value that is stored is good, and nothing is generated.
pub async fn records_edited(replicas: usize) {
    use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
    use zitadel_secret_operator::store::secret::COMMIT_ANNOTATION;
    let (mut lane, app) = at_rest(replicas).await;
    let name = lane.claim_name(&app);
    let value = lane.stored().await;
    let lease = lane.leases().get(&name).await.unwrap();
    let claim: serde_json::Value =
        serde_json::from_str(&lease.metadata.annotations.unwrap()[CLAIM_ANNOTATION]).unwrap();
    let secret = lane.secrets().get(NAME).await.unwrap();
    let record: serde_json::Value =
        serde_json::from_str(&secret.metadata.annotations.unwrap()[COMMIT_ANNOTATION]).unwrap();
    let id = &app.id;
    let huge = "9".repeat(400);
    let edited = |at: &str, to: serde_json::Value| {
        let mut record = record.clone();
        *record.pointer_mut(at).unwrap() = to;
        record.to_string()
    };
    let sequence = format!("/apps/{id}/sequence");
    let records = [
        None,
        Some(String::new()),
        Some("null".into()),
        Some("{}".into()),
        Some("{\"version\":1}".into()),
        Some(edited(&sequence, json!("18446744073709551615"))),
        Some(edited(&sequence, json!(huge))),
        Some(edited(&sequence, json!(-1))),
        Some(edited(
            &format!("/apps/{id}/changeDate"),
            json!("9999-12-31T23:59:59Z"),
        )),
        Some(edited("/active", json!("999"))),
        Some(edited("/scope", json!("another instance"))),
        Some(edited("/key", json!("../../etc/passwd"))),
        Some(edited("/owner/uid", json!("somebody"))),
        Some(format!(
            "{{\"version\":1,\"x\":\"{}\"}}",
            "x".repeat(20_000)
        )),
    ];
    for text in records {
        lane.edit_secret(json!({"metadata": {"annotations": {COMMIT_ANNOTATION: text}}}))
            .await;
        lane.is_unmoved(&app, value.as_ref(), text.as_deref()).await;
    }
    let attempt = |pre: serde_json::Value| {
        json!({
            "id": uuid::Uuid::now_v7(), "preSequence": pre, "cause": "Due", "trigger": "a",
            "holder": {"pod": "nobody", "process": "nobody"}, "time": "9999-12-31T23:59:59Z", "state": "Open",
        })
    };
    let edited = |key: &str, to: serde_json::Value| {
        let mut claim = claim.clone();
        claim[key] = to;
        claim.to_string()
    };
    let claims = [
        None,
        Some(String::new()),
        Some("[]".into()),
        Some(huge.clone()),
        Some(edited("attempt", attempt(json!("18446744073709551615")))),
        Some(edited("attempt", attempt(json!(null)))),
        Some(edited(
            "owner",
            json!({"namespace": "x", "name": "y", "uid": "z"}),
        )),
        Some(edited("invalidRepair", json!("9999-12-31T23:59:59Z"))),
        Some(edited(
            "replaced",
            json!(vec![json!({"id": uuid::Uuid::now_v7()}); 100]),
        )),
    ];
    for text in claims {
        let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: text}}});
        lane.leases()
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
        lane.is_unmoved(&app, value.as_ref(), text.as_deref()).await;
    }
    // It is rotated like any other afterwards.
    lane.trigger(&app, "b").await;
    lane.ends_with_but_for(&app, "b", 1..=1, &[]).await;
}

/// C24: etcd comes back from a backup while the operator runs, so that revisions are counted again from a lower one.
pub async fn etcd_restored(replicas: usize) {
    let cluster = ControlPlane::start(Options::default()).await;
    let (mut lane, app) = at_rest_on(&cluster, replicas, Setting::Alone, |_| {}).await;
    let backup = cluster.back_up().await;
    for trigger in ["b", "c"] {
        lane.trigger(&app, trigger).await;
        lane.settle(&app, trigger, PATIENCE).await.unwrap();
    }
    assert_eq!(invariants::executed(&lane, &app).len(), 2);
    cluster.restore(&backup).await;
    // The object asks for `a` again, and the Secret holds what was stored then.
    lane.settle(&app, "a", PATIENCE * 2).await.unwrap();
    let made = invariants::executed(&lane, &app).len();
    assert!((3..=4).contains(&made), "{made} generates");
    // What the API server says of the object is true again, and it goes on.
    lane.trigger(&app, "d").await;
    // What was seen of the Secret is not all, and in two histories.
    lane.ends_with_but_for(&app, "d", made + 1..=made + 1, &["Gap", "I6", "I17"])
        .await;
}

/// C29: the object is made again over a Secret that is good.
pub async fn recreated(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let before = lane.objects().get(NAME).await.unwrap().metadata.uid;
    lane.recreate(&app, "a").await;
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    let lease = lane.leases().get(&lane.claim_name(&app)).await.unwrap();
    let owner = claim(&lease).unwrap().owner.uid;
    assert_ne!(before.as_ref(), Some(&owner));
    assert_eq!(
        lane.objects().get(NAME).await.unwrap().metadata.uid,
        Some(owner)
    );
    // And it is rotated like any other.
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
}

/// C28: the same while a rotation is under way. The Secret is kept: otherwise the API server removes it with the object, and
/// there is nothing to adopt.
pub async fn recreated_meanwhile(replicas: usize) {
    // The answer is held for as long as it takes to make the object again.
    let (mut lane, app) = at_rest_with(replicas, patient).await;
    let retain = json!({"spec": {"secret": {"deletionPolicy": "Retain"}}});
    lane.objects()
        .patch(NAME, &PatchParams::default(), &Patch::Merge(retain))
        .await
        .unwrap();
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    lane.recreate(&app, "b").await;
    gate.release();
    lane.ends_with_but_for(&app, "b", 1..=1, &[]).await;
}

/// A replica whose watch of the objects stands still sees a claim, and not whose it is: it takes it from no holder.
pub async fn blind() {
    use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
    let (lane, _) = at_rest(2).await;
    let blind = lane.replicas[1].controls.number;
    let other = lane
        .zitadel
        .create_api_app(&lane.project, "second")
        .unwrap();
    lane.wire.add(
        Rule::new(vec![Act::Drop; 1000], move |seen| {
            seen.replica == blind
                && seen.resource == "apiappsecrets"
                && matches!(seen.verb, "list" | "watch")
        })
        .prelude(),
    );
    // What this fires upon is carried out twice, which changes nothing: it only shows that it came.
    lane.wire.add(Rule::new(vec![Act::Twice], move |seen| {
        seen.replica == blind
            && seen.resource == "apiappsecrets"
            && seen.verb == "get"
            && seen.name == "second"
    }));
    lane.wire.cut_watches();
    let second = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "second"},
        "spec": {
            "connectionRef": {"name": lane.namespace}, "projectId": lane.project, "appId": other.id,
        },
    });
    let objects = lane.objects();
    apply(&objects, &second).await.unwrap();
    eventually(PATIENCE, || async {
        let status = objects.get("second").await.unwrap().status;
        let text = serde_json::to_string(&status).unwrap();
        text.contains("UpToDate").then_some(())
    })
    .await;
    // A claim is kept for a day after the last rotation. This one seems older.
    let name = lane.claim_name(&other);
    let lease = lane.leases().get(&name).await.unwrap();
    let text = &lease.metadata.annotations.unwrap()[CLAIM_ANNOTATION];
    let mut claim: serde_json::Value = serde_json::from_str(text).unwrap();
    claim["attempt"]["time"] = json!("2020-01-01T00:00:00Z");
    let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: claim.to_string()}}});
    lane.leases()
        .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        (!lane.wire.fired().is_empty()).then_some(())
    })
    .await;
    assert!(
        lane.leases()
            .get_opt(&lane.claim_name(&other))
            .await
            .unwrap()
            .is_some()
    );
}

/// C33: a second object for the same application.
pub async fn second_object(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let second = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "second"},
        "spec": {
            "connectionRef": {"name": lane.namespace}, "projectId": lane.project, "appId": app.id,
            "rotation": {"trigger": "x"},
        },
    });
    let objects = lane.objects();
    apply(&objects, &second).await.unwrap();
    let says = async |name: &str, word: &str| {
        eventually(PATIENCE, || async {
            let status = objects.get(name).await.unwrap().status;
            let text = serde_json::to_string(&status).unwrap();
            text.contains(word).then_some(())
        })
        .await;
    };
    says("second", "AppAlreadyClaimed").await;
    // The first goes on, and the second has nothing done for it.
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    assert!(lane.secrets().get_opt("second").await.unwrap().is_none());
    objects
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    says("second", "UpToDate").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 2);
    let secret = lane.secrets().get("second").await.unwrap();
    assert!(lane.zitadel.accepts(&app.id, &value(&secret).unwrap()));
}

/// C40: the host's wall clock jumps by ten years either way, and ZITADEL's by a day.
pub async fn clocks_jump(replicas: usize) {
    const DAY: i64 = 24 * 3600;
    const TEN_YEARS: i64 = 10 * 365 * DAY;
    let (mut lane, app) = at_rest(replicas).await;
    let interval = json!({"spec": {"rotation": {"interval": "1h"}}});
    lane.objects()
        .patch(NAME, &PatchParams::default(), &Patch::Merge(interval))
        .await
        .unwrap();
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    let skew = std::sync::Arc::clone(&lane.setup.skew);
    for jump in [TEN_YEARS, -TEN_YEARS] {
        skew.store(jump, Ordering::SeqCst);
        lane.reconcile_again().await;
    }
    skew.store(0, Ordering::SeqCst);
    assert_eq!(
        invariants::executed(&lane, &app).len(),
        0,
        "the host's clock"
    );
    // NB: in ten years the operator's key has expired.
    for jump in [DAY, -DAY] {
        lane.zitadel
            .configure(|settings| settings.clock_skew_ms = jump * 1000);
        // The scan of the project shows the replicas the new time.
        lane.scanned().await;
        lane.reconcile_again().await;
    }
    assert_eq!(
        invariants::executed(&lane, &app).len(),
        0,
        "ZITADEL's clock"
    );
    // NB: what is made while ZITADEL's clock is behind is old when it is right again.
    lane.zitadel
        .configure(|settings| settings.clock_skew_ms = 0);
    lane.scanned().await;
    // A trigger works all the same, whatever the host's clock says.
    skew.store(TEN_YEARS, Ordering::SeqCst);
    lane.trigger(&app, "b").await;
    eventually(PATIENCE, || async {
        let made = invariants::executed(&lane, &app);
        let made = made.first()?;
        (lane.stored().await.as_deref() == Some(made.secret.expose())).then_some(())
    })
    .await;
    skew.store(0, Ordering::SeqCst);
    lane.ends_with_but_for(&app, "b", 1..=1, &[]).await;
}

/// A container that is killed with a value in memory and restarts in its pod waits for no one, while another pod's open claim is watched:
/// that wait is far longer here than this test has patience.
pub async fn same_pod(replicas: usize) {
    let long = |setup: &mut Setup| setup.timing.takeover = PATIENCE * 4;
    let (mut lane, app) = at_rest_with(replicas, long).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    let lease = lane.leases().get(&lane.claim_name(&app)).await.unwrap();
    let holder = claim(&lease).unwrap().attempt.unwrap().holder;
    let victim = lane.replicas.iter().position(|r| r.holder == holder);
    let mut victim = lane.replicas.remove(victim.unwrap());
    victim.controls.kill();
    victim.ended().await;
    gate.release();
    lane.restart_in_same_pod(&holder.pod);
    // It was killed in the call, and could not log it.
    lane.ends_with_but_for(&app, "b", 2..=2, &["I21"]).await;
}

/// I13: a grant that is taken away between the claim and the call.
pub async fn grant_removed(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let gate = lane.zitadel.gate("second reading");
    let hold = Action::HoldAfter {
        gate: gate.name().to_owned(),
    };
    // The first reading of the journal is before the claim, the second after it.
    lane.zitadel
        .inject(Script::on(Operation::Journal, hold).nth(2));
    lane.trigger(&app, "b").await;
    gate.reached().await;
    let grants = lane.connection_spec().await["grants"].clone();
    lane.edit_connection(json!({"grants": []})).await;
    lane.taken_in().await;
    gate.release();
    lane.says("NotGranted").await;
    lane.reconcile_again().await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    lane.edit_connection(json!({"grants": grants})).await;
    lane.ends_with(&app, "b", 1).await;
}

/// I5: where a webhook cannot take part in dry runs nothing is generated, unless the connection allows it.
pub async fn no_dry_run(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let refusals = vec![Act::NoDryRun; 1000];
    lane.wire.add(Rule::new(refusals, |seen| {
        seen.resource == "secrets" && seen.dry_run
    }));
    lane.trigger(&app, "b").await;
    lane.says("DryRunUnsupported").await;
    lane.reconcile_again().await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    lane.edit_connection(json!({"rehearsal": "BestEffort"}))
        .await;
    // That no rehearsal came before the claim is what was allowed; everything else holds.
    let broken = lane.broken_at_the_end(&app, "b", 1..=1).await;
    assert!(
        matches!(broken.as_slice(), [only] if only.starts_with("I5:")),
        "{broken:?}"
    );
}

/// I9: answers that are always lost, and an adversary that removes whatever could remember that.
pub async fn breaker_under_attack(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let lost = Script::on(Operation::Generate, Action::ReplaceBody("{}".into())).always();
    lane.zitadel.inject(lost);
    lane.trigger(&app, "b").await;
    lane.says("BreakerOpen").await;
    // What was asked for, and as many repairs.
    let limit = 1 + zitadel_secret_operator::rotation::Timing::BREAKER_SHORT_LIMIT as usize;
    assert_eq!(invariants::executed(&lane, &app).len(), limit);
    for turn in 0..6 {
        match turn % 3 {
            0 => {
                let name = lane.claim_name(&app);
                let params = DeleteParams::default();
                lane.leases().delete(&name, &params).await.unwrap();
            }
            1 => lane.recreate(&app, "b").await,
            _ => {
                for replica in lane.replicas.drain(..) {
                    replica.controls.kill();
                }
                lane.fill().await.unwrap();
            }
        }
        lane.wipe_status().await;
        lane.says("BreakerOpen").await;
        lane.reconcile_again().await;
        let made = invariants::executed(&lane, &app).len();
        assert!(made <= limit, "{made} generates after turn {turn}");
    }
    // A new trigger gives one more.
    lane.zitadel.clear_faults();
    lane.trigger(&app, "c").await;
    lane.ends_with_but_for(&app, "c", limit + 1..=limit + 1, &[])
        .await;
}

/// Any number of rotations that were asked for leaves the breaker closed: what is lost after them is repaired.
pub async fn after_fifty_triggers(replicas: usize) {
    let (mut lane, app) = at_rest_with(replicas, judged).await;
    for number in 1..=50 {
        lane.trigger(&app, &format!("t{number}")).await;
        eventually(PATIENCE, || async {
            (invariants::executed(&lane, &app).len() == number).then_some(())
        })
        .await;
    }
    lane.settle(&app, "t50", PATIENCE).await.unwrap();
    lane.at_generate(Action::DropAfter(zitadel_simulator::Cut::Close));
    lane.trigger(&app, "lost").await;
    lane.settle(&app, "lost", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 52);
    lane.at_generate(Action::WithoutEffect);
    lane.trigger(&app, "without effect").await;
    lane.settle(&app, "without effect", PATIENCE).await.unwrap();
    lane.secrets()
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    // Two lost values and one that was deleted are three repairs.
    lane.ends_with_but_for(&app, "without effect", 55..=55, &["I7"])
        .await;
}

/// I22: another version of the operator was at work, and left an open attempt. `attempt` is executed and its answer is lost.
pub async fn versions(replicas: usize) {
    use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
    use zitadel_secret_operator::store::secret::COMMIT_ANNOTATION;
    let (mut lane, app) = at_rest(replicas).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    for mut replica in lane.replicas.drain(..) {
        replica.controls.kill();
        replica.ended().await;
    }
    gate.release();
    let name = lane.claim_name(&app);
    let present = lane.leases().get(&name).await.unwrap().metadata.annotations;
    let ours = present.unwrap().remove(CLAIM_ANNOTATION).unwrap();
    let rewrite = async |lane: &Lane, change: &dyn Fn(&mut serde_json::Value)| {
        let mut claim = serde_json::from_str(&ours).unwrap();
        change(&mut claim);
        let patch = json!({"metadata": {"annotations": {CLAIM_ANNOTATION: claim.to_string()}}});
        let leases = lane.leases();
        leases
            .patch(&name, &PatchParams::default(), &Patch::Merge(patch))
            .await
            .unwrap();
    };
    // N+1 wrote it: nothing is done, whatever is in it.
    rewrite(&lane, &|claim| {
        claim["version"] = json!(2);
        claim["attempt"] = json!("in another form");
    })
    .await;
    lane.fill().await.unwrap();
    lane.says("ClaimFromNewerVersion").await;
    lane.reconcile_again().await;
    let before = lane.stored().await;
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
    // Back to this version, as an earlier build of it wrote it and a later one that knows more fields.
    rewrite(&lane, &|claim| {
        let claim = claim.as_object_mut().unwrap();
        claim.remove("issued");
        claim.insert("learnedLater".into(), json!({"a": [1, 2]}));
        claim["attempt"]["learnedLater"] = json!(7);
    })
    .await;
    // All were killed in the first call, and could not log it.
    lane.ends_with_but_for(&app, "b", 2..=2, &["I21"]).await;
    assert_ne!(lane.stored().await, before);
    // The same for the Secret's record: a newer one is left alone, and the value in it stays.
    let secret = lane.secrets().get(NAME).await.unwrap();
    let record = secret.metadata.annotations.unwrap()[COMMIT_ANNOTATION].clone();
    let newer = json!({"version": 2, "apps": "in another form"}).to_string();
    lane.edit_secret(json!({"metadata": {"annotations": {COMMIT_ANNOTATION: newer}}}))
        .await;
    lane.trigger(&app, "c").await;
    lane.says("CommitRecordFromNewerVersion").await;
    lane.reconcile_again().await;
    assert_eq!(invariants::executed(&lane, &app).len(), 2);
    lane.edit_secret(json!({"metadata": {"annotations": {COMMIT_ANNOTATION: record}}}))
        .await;
    lane.ends_with_but_for(&app, "c", 3..=3, &["I21"]).await;
}

/// The status cannot be written: each try waits longer than the one before, and the log says it once.
pub async fn status_refused(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    // The first scan of the project has objects reconciled, too.
    lane.scanned().await;
    for replica in &lane.replicas {
        let number = replica.controls.number;
        let refused = vec![Act::Refuse(503); 3];
        lane.wire.add(Rule::new(refused, move |seen| {
            seen.replica == number && seen.resource == "apiappsecrets/status"
        }));
    }
    // Nothing happens but this, so that every reconciliation after the first is a retry of the same.
    lane.wipe_status().await;
    lane.ends_with_but_for(&app, "a", 0..=0, &[]).await;
    let first = lane.wire.fired()[0].replica;
    let mut tries = lane.wire.fired();
    tries.retain(|fired| fired.replica == first);
    let waits: Vec<_> = tries
        .windows(2)
        .map(|pair| pair[1].at.duration_since(pair[0].at).as_secs_f64())
        .collect();
    assert!(!waits.is_empty());
    for (wait, least) in waits.iter().zip([1.0, 2.0]) {
        assert!(*wait >= least, "{waits:?}");
    }
    let lines = audit::warnings("reconciling an object failed", &lane.namespace);
    assert!(lines > 0, "a failure is logged");
    assert!(
        lines <= lane.replicas.len(),
        "{lines} lines of {replicas} replicas"
    );
}

/// The answer to the write of a status is lost, and so is that to its event, which the server was too busy to take at first.
pub async fn news_unanswered(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    // The first scan of the project has objects reconciled, too.
    lane.scanned().await;
    let lost = Rule::new(vec![Act::CutAfter], |seen| {
        seen.resource == "apiappsecrets/status"
    });
    lane.wire.add(lost);
    let busy = Rule::new(vec![Act::Refuse(503), Act::CutAfter], |seen| {
        seen.resource == "events"
    });
    lane.wire.add(busy);
    let suspend = async |suspend: bool| {
        let patch = Patch::Merge(json!({"spec": {"suspend": suspend}}));
        let params = PatchParams::default();
        lane.objects().patch(NAME, &params, &patch).await.unwrap();
    };
    suspend(true).await;
    let events: Api<Event> = Api::namespaced(lane.client.clone(), &lane.namespace);
    let published = async || {
        let all = events.list(&ListParams::default()).await.unwrap().items;
        let suspended = all.iter().filter(|it| {
            let regarding = it.regarding.as_ref().and_then(|it| it.name.as_deref());
            (regarding, it.reason.as_deref()) == (Some(NAME), Some("Suspended"))
        });
        suspended.count()
    };
    eventually(PATIENCE, || async {
        let fired = lane.wire.fired().len();
        (published().await >= 1 && fired == 3).then_some(())
    })
    .await;
    suspend(false).await;
    lane.ends_with(&app, "a", 0).await;
    assert_eq!(published().await, 1);
}

/// What an earlier attempt's request does that is still on its way when everybody has given it up.
pub async fn zombie(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let gate = lane.zitadel.gate("zombie");
    lane.at_generate(Action::HoldBefore {
        gate: gate.name().to_owned(),
        outlives_client: true,
    });
    lane.trigger(&app, "b").await;
    gate.reached().await;
    // The caller has given up, and no one knows whether it was carried out: that is waited for.
    lane.says("OutcomeUnknown").await;
    assert_eq!(lane.zitadel.requests(Operation::Generate), 1);
    gate.release();
    lane.ends_with_but_for(&app, "b", 2..=2, &[]).await;
}
