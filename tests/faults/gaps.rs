//! Faults that are no cells of the matrix: what others take away (journal, judge, namespace, Lease), and a second cluster.

use k8s_openapi::api::core::v1::{ConfigMap, Namespace, Secret};
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use zitadel_secret_operator::store::apply::FIELD_MANAGER;
use zitadel_simulator::{Action, Cut, Fault as Script, IntrospectionMode, Lag, Operation};

use super::further::{PATIENCE, at_rest, at_rest_with, patient};
use super::invariants;
use super::lane::{Lane, NAME};
use super::layer::{Act, Rule};
use super::replica::LEADER_LEASE;
use crate::support::controlplane::ControlPlane;
use crate::support::{apply, eventually, policy};

/// For Kubernetes' own controllers, which take their time.
const LONG: std::time::Duration = std::time::Duration::from_mins(2);

/// C47: no user may read the journal. Rotations go on; of an answer that is lost only the stored value itself can tell, and does so
/// twice; and a call that was never carried out costs nothing.
pub async fn journal_forbidden(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.zitadel
        .configure(|settings| settings.journal_forbidden = true);
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    lane.at_generate(Action::DropAfter(Cut::Reset));
    lane.trigger(&app, "c").await;
    lane.ends_with(&app, "c", 3).await;
    assert_eq!(lane.causes(&app), ["Trigger", "Trigger", "LostAttempt"]);
    lane.at_generate(Action::DropBefore(Cut::Reset));
    lane.trigger(&app, "d").await;
    lane.ends_with(&app, "d", 4).await;
    // It is readable again: what was made meanwhile is no news.
    lane.zitadel
        .configure(|settings| settings.journal_forbidden = false);
    lane.scanned().await;
    lane.reconcile_again().await;
    lane.ends_with(&app, "d", 4).await;
}

/// A journal that leaves out everything older than today, as ZITADEL's retention does.
pub async fn journal_cut(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    let now = jiff::Timestamp::now();
    lane.zitadel
        .configure(|settings| settings.journal_since = Some(now));
    lane.scanned().await;
    lane.reconcile_again().await;
    lane.ends_with(&app, "b", 1).await;
    lane.trigger(&app, "c").await;
    lane.ends_with(&app, "c", 2).await;
    // An answer that is lost is found in what is left.
    lane.at_generate(Action::DropAfter(Cut::Reset));
    lane.trigger(&app, "d").await;
    lane.ends_with(&app, "d", 4).await;
}

/// A journal in no order, with every entry twice, and with entries of unknown types.
pub async fn journal_unordered(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    for trigger in ["b", "c"] {
        lane.trigger(&app, trigger).await;
        lane.settle(&app, trigger, PATIENCE).await.unwrap();
    }
    let executions = lane.zitadel.executions();
    let mut items: Vec<_> = executions
        .iter()
        .filter(|made| made.app == app.id)
        .map(|made| {
            json!({
                "changeDate": made.change_date.to_string(), "sequence": made.sequence.to_string(), "editorId": made.editor,
                "eventType": {"key": "EventTypes.project.application.config.api.secret.changed", "localizedMessage": "x"},
            })
        })
        .collect();
    items.extend(items.clone());
    items.rotate_left(1);
    items.insert(
        1,
        json!({"eventType": {"key": "EventTypes.new"}, "sequence": "x"}),
    );
    items.push(json!(null));
    let odd = Action::ReplaceBody(json!({"result": items}).to_string());
    let odd = Script::on(Operation::Journal, odd).always();
    let odd = lane.zitadel.inject(odd);
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "d").await;
    gate.reached().await;
    lane.zitadel.remove_fault(odd);
    gate.release();
    lane.ends_with(&app, "d", 3).await;
    assert_eq!(lane.causes(&app), ["Trigger"; 3]);
}

/// A projection that passes a rotation on late: longer than a value is proven, shorter than the longest known lag.
pub async fn judge_learns_late(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.zitadel.configure(|settings| {
        settings.projection_lag = Lag::Fixed(std::time::Duration::from_millis(900));
        settings.get_forces_projection = false;
    });
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
}

/// Introspection that says 200 to everybody, without a word for or against: nothing is proven, nothing is repaired, and a rotation that
/// is asked for is made all the same.
pub async fn judge_without_a_verdict(replicas: usize) {
    let (mut lane, app) = at_rest(replicas).await;
    lane.zitadel
        .configure(|settings| settings.introspection = IntrospectionMode::AlwaysInactive);
    lane.edit_secret(json!({"metadata": {"labels": {"touched": "by-another"}}}))
        .await;
    let probed = lane.zitadel.requests(Operation::Introspect);
    lane.reconcile_again().await;
    eventually(PATIENCE, || async {
        let probes = lane.zitadel.requests(Operation::Introspect) - probed;
        (probes >= 8 * replicas as u64).then_some(())
    })
    .await;
    assert_eq!(invariants::executed(&lane, &app).len(), 0);
    lane.trigger(&app, "b").await;
    eventually(PATIENCE, || async {
        let made = invariants::executed(&lane, &app);
        let made = made.first()?.secret.expose().to_owned();
        (lane.stored().await? == made).then_some(())
    })
    .await;
    lane.says("NoVerdict").await;
    lane.zitadel
        .configure(|settings| settings.introspection = IntrospectionMode::default());
    lane.ends_with(&app, "b", 1).await;
}

/// C14: after a good rehearsal a policy of the cluster refuses the write. The value is held, however long that lasts.
pub async fn policy_after_the_rehearsal(replicas: usize) {
    let (mut lane, app) = at_rest_with(replicas, patient).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    policy::deny_secrets(&lane.client, &lane.namespace).await;
    gate.release();
    lane.says("SecretWriteRefused").await;
    eventually(PATIENCE, || async { (lane.held() == 1).then_some(()) }).await;
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
    policy::allow_secrets(&lane.client, &lane.namespace).await;
    lane.ends_with(&app, "b", 1).await;
    assert_eq!(lane.held(), 0);
}

/// C13: another actor changes the Secret between its reading and the write that brings it up to date, three times. A write that comes
/// too late is decided again; that is no refusal to report.
pub async fn changed_while_rendered() {
    let (mut lane, app) = at_rest(1).await;
    let secrets = lane.secrets();
    let params = PatchParams::default();
    let writes = |seen: &super::layer::Seen| {
        seen.verb == "patch" && seen.resource == "secrets" && !seen.dry_run
    };
    // As if the operator had created it with what is applied by now: that ownership has to go first, in a write of its own.
    let posted = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let label = Patch::Merge(json!({"metadata": {"labels": {"posted": "true"}}}));
    secrets.patch(NAME, &posted, &label).await.unwrap();
    lane.wire.add(Rule::new(vec![Act::FreezeBefore; 3], writes));
    let edit = Patch::Merge(json!({"spec": {"secret": {"labels": {"team": "orders"}}}}));
    lane.objects().patch(NAME, &params, &edit).await.unwrap();
    for time in 0..3 {
        let hit = eventually(PATIENCE, || async { lane.wire.fired().get(time).copied() }).await;
        let touched = json!({"metadata": {"annotations": {"touched": time.to_string()}}});
        let touched = secrets.patch(NAME, &params, &Patch::Merge(touched)).await;
        touched.unwrap();
        lane.replica(hit.replica).unwrap().controls.thaw();
    }
    eventually(PATIENCE, || async {
        let labels = secrets.get(NAME).await.unwrap().metadata.labels?;
        (labels.get("team")? == "orders").then_some(())
    })
    .await;
    lane.ends_with(&app, "a", 0).await;
    let writes = lane.wire.writes();
    let refused = writes
        .iter()
        .filter(|write| write.seen.resource == "secrets");
    let refused = refused.map(|write| write.status);
    let refused: Vec<u16> = refused.filter(|status| *status >= 400).collect();
    assert_eq!(refused, [409, 409, 409]);
}

/// C30: the namespace is being deleted. Before the call nothing is generated for it; a value that is held does not stop its end, and is
/// dropped with it.
pub async fn namespace_deleted(replicas: usize) {
    ControlPlane::shared().await.assert_controllers();
    let (mut lane, app) = at_rest_with(replicas, |setup| {
        patient(setup);
        setup.timing.request = LONG;
    })
    .await;
    // Something that keeps the namespace from being gone at once.
    let stays = json!({"metadata": {"name": "stays", "finalizers": ["example.com/stays"]}});
    let config: Api<ConfigMap> = Api::namespaced(lane.client.clone(), &lane.namespace);
    let stays = serde_json::from_value(stays).unwrap();
    config.create(&PostParams::default(), &stays).await.unwrap();
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    let namespaces: Api<Namespace> = Api::all(lane.client.clone());
    let params = DeleteParams::default();
    namespaces.delete(&lane.namespace, &params).await.unwrap();
    eventually(LONG, || async {
        let object = lane.objects().get_opt(NAME).await.unwrap();
        let secret = lane.secrets().get_opt(NAME).await.unwrap();
        (object.is_none() && secret.is_none()).then_some(())
    })
    .await;
    gate.release();
    // The namespace is still there, and nothing can be made in it; a value that has no place is not held for ever.
    eventually(PATIENCE, || async { (lane.held() == 0).then_some(()) }).await;
    assert!(lane.secrets().get_opt(NAME).await.unwrap().is_none());
    let free = Patch::Merge(json!({"metadata": {"finalizers": null}}));
    config
        .patch("stays", &PatchParams::default(), &free)
        .await
        .unwrap();
    eventually(LONG, || async {
        let found = namespaces.get_opt(&lane.namespace).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    lane.bury().await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
}

/// C38: the leader loses the Lease while its call is under way, and another leads. The value is written by the one that got it.
pub async fn lease_lost() {
    let (mut lane, app) = at_rest_with(2, |setup| {
        patient(setup);
        setup.leader_election = true;
    })
    .await;
    let leader = async |lane: &Lane| {
        let lease = lane.leases().get(LEADER_LEASE).await.unwrap();
        lease.spec.unwrap().holder_identity
    };
    let before = leader(&lane).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    // Who sent the call can reach everything but the Lease.
    let number = {
        let lease = lane.leases().get(&lane.claim_name(&app)).await.unwrap();
        let holder = super::lane::claim(&lease).unwrap().attempt.unwrap().holder;
        let sender = lane
            .replicas
            .iter()
            .find(|replica| replica.holder == holder);
        sender.unwrap().controls.number
    };
    lane.wire.add(
        Rule::new(vec![Act::Unreachable; 1000], move |seen| {
            seen.replica == number && seen.resource == "leases" && seen.name == LEADER_LEASE
        })
        .prelude(),
    );
    eventually(PATIENCE, || async {
        let now = leader(&lane).await;
        (now.is_some() && now != before).then_some(())
    })
    .await;
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
    gate.release();
    let made = invariants::executed(&lane, &app).remove(0).secret;
    eventually(PATIENCE, || async {
        (lane.stored().await.as_deref() == Some(made.expose())).then_some(())
    })
    .await;
    lane.ends_with(&app, "b", 1).await;
}

/// C35: two clusters keep a Secret each for one application, with one service user. Neither knows of the other; the breaker ends it.
pub async fn two_clusters(replicas: usize) {
    let (ours, app) = at_rest(replicas).await;
    let (theirs, _) = at_rest(replicas).await;
    // The other cluster has the same ZITADEL, credential and application.
    let copied: Api<Secret> = Api::namespaced(ours.client.clone(), &ours.setup.operator_namespace);
    let credential = copied.get("credential").await.unwrap().data;
    let secrets: Api<Secret> =
        Api::namespaced(theirs.client.clone(), &theirs.setup.operator_namespace);
    let copy = Patch::Merge(json!({"data": credential}));
    let params = PatchParams::default();
    secrets.patch("credential", &params, &copy).await.unwrap();
    theirs
        .objects()
        .delete(NAME, &DeleteParams::default())
        .await
        .unwrap();
    let mut spec = ours.connection_spec().await;
    spec["grants"][0]["namespaces"] = json!([theirs.namespace]);
    theirs.edit_connection(spec).await;
    theirs.taken_in().await;
    let stored = ours.secrets().get(NAME).await.unwrap();
    let secret = json!({"metadata": {"name": "shared"}, "data": stored.data});
    let params = PostParams::default();
    theirs
        .secrets()
        .create(&params, &serde_json::from_value(secret).unwrap())
        .await
        .unwrap();
    let object = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "shared"},
        "spec": {
            "connectionRef": {"name": theirs.namespace}, "projectId": ours.project, "appId": app.id,
            "rotation": {"trigger": "a"}, "secret": {"adoptionPolicy": "Required"},
        },
    });
    apply(&theirs.objects(), &object).await.unwrap();
    let says = async |word: &str| {
        eventually(PATIENCE * 2, || async {
            let object = theirs.objects().get("shared").await.unwrap();
            let status = serde_json::to_string(&object.status).unwrap();
            status.contains(word).then_some(())
        })
        .await;
    };
    says("UpToDate").await;
    assert_eq!(invariants::executed(&ours, &app).len(), 0);
    // One rotates; the other takes that for a lost answer of its own, and so on.
    ours.trigger(&app, "b").await;
    let limit = zitadel_secret_operator::rotation::Timing::BREAKER_SHORT_LIMIT as usize;
    // The last one has a value that works, and the other one says what is wrong.
    eventually(PATIENCE * 2, || async {
        let said = [
            ours.objects().get(NAME).await.unwrap().status,
            theirs.objects().get("shared").await.unwrap().status,
        ];
        let said = said.map(|status| serde_json::to_string(&status).unwrap());
        let frozen = said.iter().filter(|said| said.contains("BreakerOpen"));
        (frozen.count() == 1).then_some(())
    })
    .await;
    for _ in 0..2 {
        ours.scanned().await;
    }
    let made = invariants::executed(&ours, &app).len();
    assert!(made <= 1 + 2 * limit, "{made} generates");
}
