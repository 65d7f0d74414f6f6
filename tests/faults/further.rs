//! Faults that are no cells of the matrix: rotations without effect, restores, edits and deletions by others.

use std::time::Duration;

use kube::api::{DeleteParams, Patch, PatchParams};
use serde_json::json;
use zitadel_simulator::{Action, AppHandle, Fault as Script, Operation, Which};

use super::audit;
use super::cell::{Boundary, Cell};
use super::invariants;
use super::lane::{Lane, NAME, value};
use crate::support::controlplane::ControlPlane;
use crate::support::world::install_definitions;

/// For what needs the quiet period, or three probes.
pub const PATIENCE: Duration = Duration::from_secs(25);

/// A lane with an object at rest whose trigger is `a`.
pub async fn at_rest(replicas: usize) -> (Lane, AppHandle) {
    audit::collect();
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    install_definitions(&client).await;
    let mut lane = Lane::new(cluster, &client, replicas, false).await;
    lane.fill().await.unwrap();
    let app = lane.subject().await;
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    lane.wire.clear();
    (lane, app)
}

impl Lane {
    /// Waits for rest; then so many generates must have been carried out, and every invariant must hold.
    pub async fn ends_with(&mut self, app: &AppHandle, trigger: &str, generates: usize) {
        self.settle(app, trigger, PATIENCE).await.unwrap();
        assert_eq!(invariants::executed(self, app).len(), generates);
        let cell = Cell {
            boundary: Boundary::Generate,
            strike: 0,
            replicas: self.wanted,
            way: "",
            standby: false,
        };
        let broken = invariants::check(self, app, &cell).await;
        assert!(broken.is_empty(), "{broken:?}");
    }

    /// Waits until every replica has looked at the project once more.
    pub async fn looked(&self) {
        let looks = || self.zitadel.requests(Operation::SearchApps);
        let before = looks();
        let wanted = before + 2 * self.replicas.len() as u64;
        crate::support::eventually(PATIENCE, || async { (looks() >= wanted).then_some(()) }).await;
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
        crate::support::eventually(PATIENCE, || async {
            let object = self.objects().get(NAME).await.unwrap();
            serde_json::to_string(&object.status)
                .unwrap()
                .contains(word)
                .then_some(())
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
    let (mut lane, app) = at_rest(replicas).await;
    lane.at_generate(Action::WithoutEffect);
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 2).await;
}

/// C49.
pub async fn crossed(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.at_generate(Action::Crossed(Which::Second));
    lane.trigger(&app, "b").await;
    lane.settle(&app, "b", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 2);
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
    crate::support::eventually(PATIENCE, || async {
        (lane.stored().await.as_deref() == Some(made.expose())).then_some(())
    })
    .await;
    lane.says("AppNotReady").await;
    lane.zitadel.reactivate_app(&app.id).unwrap();
    lane.ends_with(&app, "b", 1).await;
}

/// C50 for the whole project: before a rotation, and where the stored value is looked at.
pub async fn project_deactivated(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.zitadel.deactivate_project(&lane.project).unwrap();
    // Whoever touches the Secret has its value looked at; it is refused, like everything in an inactive project.
    lane.edit_secret(json!({"metadata": {"labels": {"touched": "by-another"}}}))
        .await;
    lane.says("ProjectInactive").await;
    // Longer than it takes to call a refused value dead: a rotation is asked for, and told to wait, after that time.
    let probed = lane.zitadel.requests(Operation::Introspect);
    crate::support::eventually(PATIENCE, || async {
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
    // Each replica has looked at the project: it knows the sequence that will be the newest one again.
    lane.looked().await;
    let before = lane.zitadel.project_sequence(&lane.project).unwrap();
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    lane.zitadel
        .restore_from_backup(&lane.project, before)
        .unwrap();
    lane.settle(&app, "b", PATIENCE).await.unwrap();
    assert!(invariants::executed(&lane, &app).len() <= 2);
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
    lane.settle(&app, "b", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 2);
}

/// C31.
pub async fn secret_deleted(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.secrets()
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
}

/// C32.
pub async fn value_edited(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    let wrong = json!({"stringData": {"CLIENT_SECRET": "edited-by-a-person"}});
    lane.edit_secret(wrong.clone()).await;
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
    lane.edit_secret(wrong).await;
    lane.says("SecretContested").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
}

/// C42: somebody deletes the claim while the call is under way.
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
    lane.settle(&app, "b", PATIENCE).await.unwrap();
    assert!(invariants::executed(&lane, &app).len() <= 2);
}

/// C43 and C44: a claim that cannot be read, and one of a newer version.
pub async fn claim_replaced(replicas: usize) {
    use zitadel_secret_operator::controller::CLAIM_ANNOTATION;
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
    lane.settle(&app, "a", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    write(&lane, r#"{"version":2,"owner":7}"#).await;
    lane.trigger(&app, "b").await;
    lane.says("ClaimFromNewerVersion").await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
}
