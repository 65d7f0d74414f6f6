//! The first issue, and what of an object never rotates its credential.

use crate::fixtures::{assert_status, holds, reason, tenant};
use crate::support::apply;
use crate::support::controlplane::Options;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, World};
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType};

#[tokio::test]
async fn an_object_gets_a_secret_that_zitadel_accepts_and_a_status_that_says_so() {
    let tenant = tenant("issue").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(
        tenant.value("orders", "CLIENT_ID").await,
        Some(app.client_id.clone())
    );
    assert_eq!(reason(&object, ConditionType::Ready), "UpToDate");
    assert!(
        holds(&object, ConditionType::Verified)
            && !holds(&object, ConditionType::Stalled)
            && !holds(&object, ConditionType::Reconciling)
    );
    let status = object.status.unwrap();
    let made = tenant
        .zitadel
        .executions()
        .into_iter()
        .find(|made| made.app == app.id && made.request.is_some())
        .unwrap();
    assert_eq!(status.sequence, Some(made.sequence.to_string()));
    assert_eq!(
        status.change_date.map(|date| date.0.as_second()),
        Some(made.change_date.as_second())
    );
    assert_eq!(
        status.resource_owner.as_deref(),
        Some(tenant.organization.as_str())
    );
    assert_eq!(status.client_id, Some(app.client_id.clone()));
    assert_eq!(status.active_app_id, Some(app.id.clone()));
    assert_eq!(status.secret_name.as_deref(), Some("orders"));
    assert_eq!(status.observed_generation, Some(1));
    assert_eq!(status.attempt, None);
    assert_eq!(
        status.next_rotation_time, None,
        "without an interval nothing is due"
    );
    let last = status.last_rotation.unwrap();
    assert_eq!(
        (last.reason.as_str(), last.attempt),
        ("FirstIssue", made.attempt.unwrap())
    );
    assert_eq!(status.history.len(), 1);
    let note = tenant.event("orders", "Issued").await;
    assert!(note.contains(&made.sequence.to_string()), "{note}");
}

#[tokio::test]
async fn an_object_without_connection_ref_uses_the_connection_named_default() {
    let tenant = tenant("default").await;
    let app = tenant.app("orders");
    let mut manifest = tenant.manifest("orders", &app.id, json!({}));
    manifest["spec"]
        .as_object_mut()
        .unwrap()
        .remove("connectionRef");
    apply(&tenant.objects(), &manifest).await.unwrap();
    tenant.reason("orders", "ConnectionNotFound").await;
    let default = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "default"},
        "spec": {
            "url": tenant.url, "organizationId": tenant.organization,
            "auth": {"personalAccessToken": {"secretKeyRef": {"name": tenant.namespace, "key": "token"}}},
            "grants": [{"name": "by-name", "namespaces": [tenant.namespace], "projectIds": ["*"]}],
        },
    });
    apply(&tenant.connections(), &default).await.unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn labels_and_annotations_of_the_object_cause_no_request_at_all() {
    let tenant = tenant("labels").await;
    let app = tenant
        .issued("orders", json!({"rotation": {"interval": "30d"}}))
        .await;
    tenant.fence().await;
    let (before, secret) = (tenant.requests_about(&app), tenant.secret("orders").await);
    let mut edited = None;
    for value in ["1", "2", "3"] {
        edited = Some(
            tenant
                .edit(
                    "orders",
                    json!({"metadata": {"labels": {"x": value}, "annotations": {"x": value}}}),
                )
                .await,
        );
    }
    tenant.fence().await;
    assert_eq!(tenant.requests_about(&app), before);
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(tenant.secret("orders").await, secret);
    let now = tenant.objects().get("orders").await.unwrap();
    assert_eq!(
        now.metadata.resource_version,
        edited.unwrap().metadata.resource_version,
        "no status was written either"
    );
}

#[tokio::test]
async fn a_wiped_status_is_rebuilt_without_a_rotation() {
    let tenant = tenant("status").await;
    let app = tenant.app("orders");
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"trigger": "a", "interval": "30d"}}),
        )
        .await
        .unwrap();
    let before = tenant.ready("orders").await.status.unwrap();
    let wiped = tenant
        .objects()
        .patch_status(
            "orders",
            &PatchParams::default(),
            &Patch::Merge(json!({"status": null})),
        )
        .await
        .unwrap();
    assert_eq!(wiped.status.unwrap().sequence, None);
    let after = tenant.ready("orders").await.status.unwrap();
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(
        (after.sequence, after.change_date, after.client_id),
        (before.sequence, before.change_date, before.client_id)
    );
    assert_eq!(
        (after.observed_trigger, after.next_rotation_time),
        (before.observed_trigger, before.next_rotation_time)
    );
    assert_eq!(after.history.len(), 1);
}

#[tokio::test]
async fn spec_labels_and_annotations_of_an_object_are_never_written() {
    let tenant = tenant("gitops").await;
    let app = tenant.app("orders");
    let made = tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}}),
        )
        .await
        .unwrap();
    tenant.until_generates(&app, 3).await;
    tenant.ready("orders").await;
    let now = tenant.objects().get("orders").await.unwrap();
    assert_eq!(now.spec, made.spec);
    let parts = |object: &AppSecret| {
        let metadata = object.metadata.clone();
        (
            metadata.generation,
            metadata.labels,
            metadata.annotations,
            metadata.finalizers,
            metadata.owner_references,
        )
    };
    assert_eq!(parts(&now), parts(&made));
    let managers = now.metadata.managed_fields.unwrap();
    let others = managers
        .iter()
        .filter(|entry| entry.manager.as_deref() == Some("zitadel-secret-operator"));
    assert!(
        others
            .into_iter()
            .all(|entry| entry.subresource.as_deref() == Some("status")),
        "{managers:?}"
    );
}

#[tokio::test]
async fn a_killed_and_restarted_operator_finds_everything_in_order_and_writes_nothing() {
    let world = World::own(Options {
        audit: true,
        ..Options::default()
    })
    .await;
    let start = || {
        Operator::start(
            &world.kubeconfig,
            &world.directory,
            &["--protocol-speed", "20"],
        )
    };
    let tenant = world.tenant("restart").await;
    let operator = start();
    let apps: Vec<_> = (0..5)
        .map(|index| (format!("app-{index}"), tenant.app(&format!("app-{index}"))))
        .collect();
    for (name, app) in &apps {
        tenant
            .apply(
                name,
                &app.id,
                json!({"rotation": {"interval": "30d", "trigger": "a"}}),
            )
            .await
            .unwrap();
    }
    for (name, _) in &apps {
        tenant.ready(name).await;
    }
    operator.kill();
    let seen = std::fs::read_to_string(world.cluster.audit_log())
        .unwrap()
        .len();
    let operator = start();
    tenant.fence().await;
    operator.stop();
    let log = std::fs::read_to_string(world.cluster.audit_log()).unwrap();
    let writes: Vec<Value> = log[seen..]
        .lines()
        .filter_map(|line| serde_json::from_str(line).ok())
        .filter(|entry: &Value| {
            let verb = entry["verb"].as_str().unwrap_or_default();
            let object = &entry["objectRef"];
            let name = object["name"].as_str().unwrap_or_default();
            ["create", "update", "patch", "delete"].contains(&verb)
                && (name.starts_with("app-")
                    || (object["resource"] == "leases"
                        && object["namespace"] == OPERATOR_NAMESPACE))
        })
        .collect();
    // The fence's own claim is made.
    assert!(
        writes
            .iter()
            .all(|entry| entry["objectRef"]["resource"] == "leases" && entry["verb"] == "create"),
        "{writes:#?}"
    );
    assert_eq!(writes.len(), 1);
    assert!(apps.iter().all(|(_, app)| tenant.generates(app) == 1));

    // With a connection that is of no use by now, what was known before the restart stands.
    tenant.set_credential("no-such-token").await;
    let operator = start();
    tenant.until_connection("CredentialRejected").await;
    tenant.trigger("app-0", "b").await;
    assert_status!(tenant, "app-0", "CredentialRejected", Ready, Verified "Accepted");
    operator.stop();
}
