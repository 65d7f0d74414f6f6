//! The main job on real parts: a cluster, the operator's binary, and a server that behaves as ZITADEL does.

use std::time::Duration;

use crate::support::controlplane::Options;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use crate::support::{data, eventually};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Namespace};
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{ApiAppSecret, ConditionType, Status};
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
use zitadel_simulator::{
    Action, Availability, Config, Cut, Fault, Operation, Reply, Role, Scope, Simulator,
};

async fn tenant(prefix: &str) -> Tenant {
    World::shared().await.tenant(prefix).await
}

fn reason(object: &ApiAppSecret) -> &str {
    &object
        .status
        .as_ref()
        .unwrap()
        .conditions
        .get(ConditionType::Ready)
        .unwrap()
        .reason
}

fn message(object: &ApiAppSecret) -> &str {
    &object
        .status
        .as_ref()
        .unwrap()
        .conditions
        .get(ConditionType::Ready)
        .unwrap()
        .message
}

fn holds(object: &ApiAppSecret, condition: ConditionType) -> bool {
    object
        .status
        .as_ref()
        .unwrap()
        .conditions
        .is_true(condition)
}

// ---- issue ----

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
    assert_eq!(reason(&object), "UpToDate");
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
    let params = PatchParams::apply("tests").force();
    tenant
        .objects()
        .patch("orders", &params, &Patch::Apply(&manifest))
        .await
        .unwrap();
    tenant.reason("orders", "ConnectionNotFound").await;
    let default = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "default"},
        "spec": {
            "url": tenant.url, "organizationId": tenant.organization,
            "auth": {"personalAccessToken": {"secretKeyRef": {"name": tenant.namespace, "key": "token"}}},
            "grants": [{"name": "by-name", "namespaces": [tenant.namespace], "projectIds": ["*"]}],
        },
    });
    let connections: Api<zitadel_secret_operator::api::ZitadelConnection> =
        Api::all(tenant.client.clone());
    connections
        .patch("default", &params, &Patch::Apply(&default))
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn the_secret_is_made_as_the_template_says_and_nothing_of_the_object_itself_is_copied() {
    let tenant = tenant("template").await;
    let app = tenant.app("orders");
    let mut manifest = tenant.manifest("orders", &app.id, json!({"secret": {
        "name": "oauth", "type": "example.com/oauth", "labels": {"team": "orders"}, "annotations": {"reloader.example.com/match": "true"},
        "data": data(&[
            ("id", "ClientId"), ("secret", "ClientSecret"), ("issuer", "Issuer"), ("introspection", "IntrospectionEndpoint"),
            ("token", "TokenEndpoint"), ("project", "ProjectId"), ("app", "AppId"),
        ]),
    }}));
    manifest["metadata"]["labels"] = json!({"argocd.argoproj.io/instance": "x"});
    manifest["metadata"]["annotations"] = json!({"note": "x"});
    tenant
        .objects()
        .patch(
            "orders",
            &PatchParams::apply("tests"),
            &Patch::Apply(&manifest),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    let mut data = tenant.data("oauth").await;
    let value = data.remove("secret").unwrap();
    assert!(tenant.zitadel.accepts(&app.id, &value));
    let expected = json!({
        "id": app.client_id, "issuer": tenant.url, "introspection": format!("{}/oauth/v2/introspect", tenant.url),
        "token": format!("{}/oauth/v2/token", tenant.url), "project": tenant.project, "app": app.id,
    });
    assert_eq!(json!(data), expected);
    let secret = tenant.secret("oauth").await;
    assert_eq!(secret.type_.as_deref(), Some("example.com/oauth"));
    assert_eq!(
        json!(secret.metadata.labels),
        json!({"team": "orders", "zitadel-secrets.dev/managed": "true"})
    );
    let annotations = secret.metadata.annotations.unwrap();
    let names: Vec<&str> = annotations.keys().map(String::as_str).collect();
    assert_eq!(
        names,
        ["reloader.example.com/match", "zitadel-secrets.dev/commit"]
    );
    let owners = secret.metadata.owner_references.unwrap();
    assert_eq!(
        (
            owners.len(),
            owners[0].kind.as_str(),
            owners[0].controller,
            owners[0].block_owner_deletion
        ),
        (1, "ApiAppSecret", None, None)
    );
}

// ---- rotation ----

#[tokio::test]
async fn a_new_trigger_rotates_once_and_the_old_value_is_refused() {
    let tenant = tenant("trigger").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "a"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    let first = tenant.client_secret("orders").await.unwrap();
    assert_eq!(
        tenant.generates(&app),
        1,
        "a trigger that is there at the first issue counts as handled"
    );
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "b"}}))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        (tenant.client_secret("orders").await.unwrap() != first).then_some(())
    })
    .await;
    let object = tenant
        .until("orders", |object| {
            (object.status.as_ref()?.observed_trigger.as_deref() == Some("b")).then_some(())
        })
        .await;
    let status = object.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    assert_eq!(tenant.generates(&app), 2);
    assert!(tenant.accepted(&app, "orders").await && !tenant.zitadel.accepts(&app.id, &first));
    let note = tenant.event("orders", "Rotated").await;
    assert!(note.contains("Trigger"), "{note}");
    // Taking the trigger away, and giving the same again, is no new trigger.
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "b"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn an_interval_rotates_when_it_is_due_never_earlier_and_the_history_keeps_the_last_ten() {
    let tenant = tenant("interval").await;
    let app = tenant.app("orders");
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}}),
        )
        .await
        .unwrap();
    let first = tenant.ready("orders").await;
    assert!(first.status.unwrap().next_rotation_time.is_some());
    tenant.until_generates(&app, 12).await;
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}, "suspend": true}),
        )
        .await
        .unwrap();
    tenant.reason("orders", "Suspended").await;
    tenant.fence().await;
    let made: Vec<_> = tenant
        .zitadel
        .executions()
        .into_iter()
        .filter(|made| made.app == app.id && made.request.is_some())
        .collect();
    for pair in made.windows(2) {
        let apart = pair[1].change_date.duration_since(pair[0].change_date);
        assert!(apart >= jiff::SignedDuration::from_secs(1), "{apart}");
    }
    let status = tenant
        .objects()
        .get("orders")
        .await
        .unwrap()
        .status
        .unwrap();
    let newest: Vec<_> = made
        .iter()
        .rev()
        .take(10)
        .map(|made| Some(made.sequence.to_string()))
        .collect();
    let history: Vec<_> = status
        .history
        .iter()
        .map(|past| past.sequence.clone())
        .collect();
    assert_eq!(history, newest);
    assert!(status.history.iter().all(|past| past.reason == "Due"));
    assert_eq!(status.schedule.as_deref(), Some("every 1s"));
    assert!(tenant.accepted(&app, "orders").await);
    tenant.event("orders", "Rotated").await;
}

#[tokio::test]
async fn a_due_rotation_waits_for_its_window_and_says_when_it_opens() {
    let tenant = tenant("window").await;
    let app = tenant.app("orders");
    // A window on 29 February only.
    let windows = json!([{"name": "w", "schedule": "0 3 29 2 *", "duration": "1m"}]);
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0, "windows": windows}}),
        )
        .await
        .unwrap();
    let object = tenant.reason("orders", "AwaitingWindow").await;
    assert!(holds(&object, ConditionType::Ready));
    let next = object
        .status
        .unwrap()
        .next_rotation_time
        .unwrap()
        .0
        .to_string();
    assert!(next.ends_with("-02-29T03:00:00Z"), "{next}");
    tenant.apply("orders", &app.id, json!({"rotation": {"interval": "1s", "jitterPercent": 0, "windows": windows, "trigger": "now"}})).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.reason("orders", "AwaitingWindow").await;
    assert_eq!(
        tenant.generates(&app),
        2,
        "a trigger does not wait for a window"
    );
}

#[tokio::test]
async fn a_suspended_object_is_left_alone_until_it_is_resumed() {
    let tenant = tenant("suspend").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"suspend": true}))
        .await
        .unwrap();
    tenant.reason("orders", "Suspended").await;
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.apply("orders", &app.id, json!({"suspend": true, "rotation": {"trigger": "a"}, "secret": {"data": data(&[("id", "ClientId"), ("CLIENT_SECRET", "ClientSecret")])}})).await.unwrap();
    let object = tenant.reason("orders", "Suspended").await;
    assert!(
        holds(&object, ConditionType::Ready),
        "what is known of the credential stands"
    );
    tenant.delete_secret("orders").await;
    tenant.fence().await;
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
    assert_eq!(tenant.generates(&app), 1);
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "a"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 2);
}

// ---- what never rotates ----

#[tokio::test]
async fn a_changed_template_is_rendered_from_the_value_that_is_held_and_old_names_vanish() {
    let tenant = tenant("render").await;
    let app = tenant.app("orders");
    let secret = |entries: &[(&str, &str)], labels: Value, annotations: Value| json!({"secret": {"data": data(entries), "labels": labels, "annotations": annotations}});
    let (id, pair) = (("CLIENT_ID", "ClientId"), ("CLIENT_SECRET", "ClientSecret"));
    tenant
        .apply(
            "orders",
            &app.id,
            secret(
                &[id, pair, ("ISSUER", "Issuer")],
                json!({"a": "1", "b": "1"}),
                json!({"a": "1"}),
            ),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await.unwrap();
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"mine": "kept"}, "metadata": {"labels": {"mine": "kept"}}}),
        )
        .await;
    for (key, entries, names) in [
        (
            "password",
            vec![id, ("password", "ClientSecret"), ("project", "ProjectId")],
            vec!["CLIENT_ID", "mine", "password", "project"],
        ),
        (
            "x",
            vec![("x", "ClientSecret"), ("y", "ClientId")],
            vec!["mine", "x", "y"],
        ),
        // The two names swapped.
        (
            "y",
            vec![("y", "ClientSecret"), ("x", "ClientId")],
            vec!["mine", "x", "y"],
        ),
    ] {
        tenant
            .apply(
                "orders",
                &app.id,
                secret(&entries, json!({"b": "2"}), json!({})),
            )
            .await
            .unwrap();
        tenant.ready("orders").await;
        let data = tenant.data("orders").await;
        assert_eq!(data.keys().map(String::as_str).collect::<Vec<_>>(), names);
        assert_eq!(data[key], value);
    }
    let metadata = tenant.secret("orders").await.metadata;
    assert_eq!(
        json!(metadata.labels),
        json!({"b": "2", "mine": "kept", "zitadel-secrets.dev/managed": "true"})
    );
    assert!(!metadata.annotations.unwrap().contains_key("a"));
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_renamed_secret_gets_the_value_that_is_held() {
    let tenant = tenant("rename").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"secret": {"name": "before"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    let value = tenant.client_secret("before").await.unwrap();
    tenant
        .apply("orders", &app.id, json!({"secret": {"name": "after"}}))
        .await
        .unwrap();
    let object = tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1, "{object:?}");
    assert_eq!(tenant.client_secret("after").await, Some(value));
    assert_eq!(object.status.unwrap().secret_name.as_deref(), Some("after"));
}

#[tokio::test]
async fn the_deletion_policy_can_be_changed_without_a_rotation() {
    let tenant = tenant("policy").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    for (policy, owners) in [("Retain", 0), ("Delete", 1), ("Retain", 0)] {
        tenant
            .apply(
                "orders",
                &app.id,
                json!({"secret": {"deletionPolicy": policy}}),
            )
            .await
            .unwrap();
        tenant.ready("orders").await;
        let metadata = tenant.secret("orders").await.metadata;
        assert_eq!(
            metadata.owner_references.unwrap_or_default().len(),
            owners,
            "{policy}"
        );
    }
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn labels_and_annotations_of_the_object_cause_no_request_at_all() {
    let tenant = tenant("labels").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"rotation": {"interval": "30d"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
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
async fn an_edited_interval_never_rotates_a_credential_that_is_not_due_by_it() {
    let tenant = tenant("edits").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"rotation": {"interval": "30d"}}))
        .await
        .unwrap();
    let before = tenant
        .ready("orders")
        .await
        .status
        .unwrap()
        .next_rotation_time
        .unwrap();
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"rotation": {"interval": "1h"}, "recovery": {"missing": "Report"}}),
        )
        .await
        .unwrap();
    let after = tenant.ready("orders").await.status.unwrap();
    assert!(after.next_rotation_time.unwrap() < before);
    assert_eq!(after.schedule.as_deref(), Some("every 1h"));
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
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
    let parts = |object: &ApiAppSecret| {
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
    if !crate::support::controlplane::ControlPlane::can_start() {
        return;
    }
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
}

// ---- the life of the Secret ----

#[tokio::test]
async fn with_delete_the_secret_goes_with_its_object() {
    let tenant = tenant("delete").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.delete("orders").await;
    if World::shared().await.cluster.has_controllers() {
        tenant.secret_gone("orders").await;
    }
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn no_deletion_is_ever_blocked_nor_costs_a_generate() {
    let cluster = World::shared().await.cluster;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("last", &zitadel).await;
    let apps = ["foreground", "namespace"].map(|name| (name, tenant.app(name)));
    for (name, app) in &apps {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        let object = tenant.ready(name).await;
        // Nobody has to be there for it to go, the operator neither.
        assert_eq!(object.metadata.finalizers, None);
        assert_eq!(tenant.secret(name).await.metadata.finalizers, None);
    }
    if !cluster.has_controllers() {
        return;
    }
    zitadel.set_availability(Availability::Hanging);
    let foreground = DeleteParams::foreground();
    tenant
        .objects()
        .delete("foreground", &foreground)
        .await
        .unwrap();
    tenant.secret_gone("foreground").await;
    eventually(PATIENCE, || async {
        let found = tenant.objects().get_opt("foreground").await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    zitadel.set_availability(Availability::Up);
    // What is due in a namespace that ends is not made any more.
    let trigger = json!({"spec": {"rotation": {"trigger": "last"}}});
    let namespaces: Api<Namespace> = Api::all(tenant.client.clone());
    let at_once = DeleteParams::default();
    namespaces
        .delete(&tenant.namespace, &at_once)
        .await
        .unwrap();
    // NB: what is in the namespace stays for five seconds.
    tenant.reason("namespace", "NamespaceTerminating").await;
    let _ = tenant
        .objects()
        .patch("namespace", &PatchParams::default(), &Patch::Merge(trigger))
        .await;
    eventually(PATIENCE, || async {
        let found = namespaces.get_opt(&tenant.namespace).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    World::shared().await.tenant("fence").await.fence().await;
    assert_eq!(tenant.generates(&apps[0].1), 1);
    assert_eq!(tenant.generates(&apps[1].1), 1);
}

#[tokio::test]
async fn with_retain_the_secret_stays_and_an_object_made_again_keeps_its_value() {
    let tenant = tenant("retain").await;
    let app = tenant.app("orders");
    let spec = json!({"secret": {"deletionPolicy": "Retain"}, "rotation": {"trigger": "a", "interval": "30d"}});
    tenant.apply("orders", &app.id, spec.clone()).await.unwrap();
    tenant.ready("orders").await;
    let before = tenant.secret("orders").await;
    assert_eq!(before.metadata.owner_references, None);
    tenant.delete("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.secret("orders").await, before);
    // A trigger that is there from the beginning counts as handled, also where the claim is damaged later.
    let mut again = spec;
    again["rotation"]["trigger"] = json!("from the beginning");
    tenant.apply("orders", &app.id, again).await.unwrap();
    tenant.ready("orders").await;
    let claim = tenant.claims("orders").await;
    tenant.write_claim(&claim[0], "{").await;
    tenant
        .edit("orders", json!({"spec": {"rotation": {"interval": "31d"}}}))
        .await;
    let written = eventually(PATIENCE, || async { tenant.claims("orders").await.pop() }).await;
    let handled = r#"\"handledTrigger\":\"from the beginning\""#;
    assert!(format!("{written:?}").contains(handled), "{written:?}");
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(tenant.secret("orders").await.data, before.data);
    // The new object's own trigger works.
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"secret": {"deletionPolicy": "Retain"}, "rotation": {"trigger": "b"}}),
        )
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn what_was_asked_for_before_an_object_was_made_again_leaves_its_breaker_closed() {
    let tenant = tenant("preview").await;
    let (app, other) = (tenant.app("orders"), tenant.app("other"));
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.apply("other", &other.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.ready("other").await;
    for generates in 2..=4 {
        let trigger = json!({"spec": {"rotation": {"trigger": generates.to_string()}}});
        tenant.edit("orders", trigger).await;
        tenant.until_generates(&app, generates).await;
        tenant.ready("orders").await;
    }
    tenant.age_claims("other").await;
    for name in ["orders", "other"] {
        tenant.delete(name).await;
        tenant.secret_gone(name).await;
    }
    // The claim whose last rotation was long ago goes.
    eventually(PATIENCE, || async {
        tenant.claims("other").await.is_empty().then_some(())
    })
    .await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let cut = Action::DropAfter(Cut::Reset);
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, cut).app(&app.id));
    tenant
        .edit("orders", json!({"spec": {"rotation": {"trigger": "lost"}}}))
        .await;
    let repaired = |object: &ApiAppSecret| {
        let last = object.status.as_ref()?.last_rotation.as_ref()?;
        (last.reason == "LostAttempt").then_some(())
    };
    tenant.until("orders", repaired).await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 7);
}

#[tokio::test]
async fn a_secret_deleted_by_a_person_is_restored_by_one_generate() {
    let tenant = tenant("missing").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.delete_secret("orders").await;
    tenant.until_accepted(&app, "orders").await;
    let object = tenant
        .until("orders", |object| {
            (object.status.as_ref()?.last_rotation.as_ref()?.reason == "SecretMissing")
                .then_some(())
        })
        .await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(object.status.unwrap().history.len(), 2);
    // The same for the key alone.
    tenant
        .edit_secret("orders", json!({"data": {"CLIENT_SECRET": null}}))
        .await;
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 3);
}

#[tokio::test]
async fn a_secret_deleted_by_a_person_is_only_reported_if_the_policy_says_so() {
    let tenant = tenant("report").await;
    let app = tenant.app("orders");
    let recovery = json!({"missing": "Report"});
    tenant
        .apply("orders", &app.id, json!({"recovery": recovery}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant.delete_secret("orders").await;
    let object = tenant.reason("orders", "SecretMissing").await;
    assert!(holds(&object, ConditionType::Stalled));
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    tenant.event("orders", "SecretMissing").await;
    // As the message says.
    assert!(message(&object).contains("spec.rotation.trigger"));
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"recovery": recovery, "rotation": {"trigger": "again"}}),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn a_value_edited_by_hand_is_repaired_once_and_then_the_quarrel_is_reported() {
    let tenant = tenant("edited").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand"}}),
        )
        .await;
    tenant.until_accepted(&app, "orders").await;
    let object = tenant
        .until("orders", |object| {
            (object.status.as_ref()?.last_rotation.as_ref()?.reason == "SecretInvalid")
                .then_some(())
        })
        .await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(object.status.unwrap().history.len(), 2);
    tenant.ready("orders").await;
    let refused = tenant.event("orders", "Refused").await;
    assert!(
        refused.starts_with("ZITADEL rejects the client secret in Secret orders"),
        "{refused}"
    );
    let rotated = tenant.event("orders", "Rotated").await;
    assert!(rotated.contains("(SecretInvalid)"), "{rotated}");
    let events = tenant.events("orders").await;
    let warned =
        |(type_, reason, _): &(String, String, String)| type_ == "Warning" && reason == "Refused";
    assert!(events.iter().any(warned), "{events:?}");
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand-again"}}),
        )
        .await;
    let object = tenant.reason("orders", "SecretContested").await;
    assert!(holds(&object, ConditionType::Stalled));
    let told = message(&object);
    assert!(
        told.starts_with("Field manager ")
            && told.contains("changed key CLIENT_SECRET of Secret orders again"),
        "{told}"
    );
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(
        tenant.client_secret("orders").await.as_deref(),
        Some("by-hand-again")
    );
    let out = json!({"spec": {"rotation": {"trigger": "out"}}});
    tenant.edit("orders", out).await;
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 3);
}

#[tokio::test]
async fn a_tool_that_applies_a_key_as_well_is_named_at_once_and_a_trigger_takes_the_key_over() {
    let tenant = tenant("applied").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    // The very value, so that nothing but the ownership changes.
    let data = tenant.secret("orders").await.data.unwrap();
    let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders"}, "data": {"CLIENT_SECRET": data["CLIENT_SECRET"]}});
    let flux = PatchParams::apply("kustomize-controller");
    tenant
        .secrets()
        .patch("orders", &flux, &Patch::Apply(value))
        .await
        .unwrap();
    let object = tenant.reason("orders", "SecretContested").await;
    assert!(holds(&object, ConditionType::Ready), "the value works");
    let named = "Field manager kustomize-controller applies key CLIENT_SECRET of Secret orders";
    assert!(message(&object).starts_with(named), "{}", message(&object));
    let warned = tenant.event("orders", "SecretContested").await;
    assert!(warned.starts_with(named), "{warned}");
    tenant.fence().await;
    let object = tenant.objects().get("orders").await.unwrap();
    assert_eq!(reason(&object), "SecretContested", "it is not forgotten");
    // Also where a rotation is due that waits for it.
    let last = object.status.unwrap().last_rotation.unwrap().time.0;
    eventually(PATIENCE, || async {
        let age = jiff::Timestamp::now().duration_since(last);
        (age > jiff::SignedDuration::from_secs(2)).then_some(())
    })
    .await;
    let due = json!({"spec": {"rotation": {"interval": "1s", "jitter": 0}}});
    tenant.edit("orders", due).await;
    let stalled = |object: &ApiAppSecret| holds(object, ConditionType::Stalled).then_some(());
    let object = tenant.until("orders", stalled).await;
    assert_eq!(reason(&object), "SecretContested");
    assert!(holds(&object, ConditionType::Ready), "the value works");
    assert!(tenant.accepted(&app, "orders").await);
    let due = json!({"spec": {"rotation": {"interval": null, "jitter": null}}});
    tenant.edit("orders", due).await;
    assert_eq!(tenant.generates(&app), 1);
    let out = json!({"spec": {"rotation": {"trigger": "out"}}});
    tenant.edit("orders", out).await;
    tenant.until_generates(&app, 2).await;
    let object = tenant.ready("orders").await;
    assert_eq!(reason(&object), "UpToDate");
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn rotations_in_quick_succession_have_an_event_each_with_a_text_of_its_own() {
    let tenant = tenant("succession").await;
    let app = tenant.app("orders");
    let at_once = json!({"rotation": {"interval": "1s", "jitterPercent": 0}});
    tenant.apply("orders", &app.id, at_once).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let trigger = |trigger: &str| json!({"rotation": {"trigger": trigger}});
    let reason_is = |reason: &'static str| {
        move |object: &ApiAppSecret| {
            let last = object.status.as_ref()?.last_rotation.as_ref()?;
            (last.reason == reason).then_some(())
        }
    };
    tenant.apply("orders", &app.id, trigger("a")).await.unwrap();
    tenant.until("orders", reason_is("Trigger")).await;
    let useless = Action::ReplaceBody("{}".to_owned());
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, useless).app(&app.id));
    tenant.apply("orders", &app.id, trigger("b")).await.unwrap();
    tenant.until("orders", reason_is("LostAttempt")).await;
    let notes = eventually(PATIENCE, || async {
        let events = tenant.events("orders").await.into_iter();
        let rotated = events.filter(|(_, reason, _)| reason == "Rotated");
        let notes: Vec<String> = rotated.map(|(_, _, note)| note).collect();
        let all = ["(Due)", "(Trigger)", "(LostAttempt)"];
        let found = |cause: &str| notes.iter().any(|note| note.contains(cause));
        all.into_iter().all(found).then_some(notes)
    })
    .await;
    let distinct: std::collections::BTreeSet<_> = notes.iter().collect();
    assert_eq!(distinct.len(), notes.len(), "{notes:?}");
    let lost = tenant.event("orders", "LostAttempt").await;
    assert!(lost.contains("malformed answer, HTTP 200"), "{lost}");
}

#[tokio::test]
async fn a_value_edited_by_hand_is_only_reported_if_the_policy_says_so() {
    let tenant = tenant("invalid").await;
    let app = tenant.app("orders");
    let recovery = json!({"rejected": "Report"});
    tenant
        .apply("orders", &app.id, json!({"recovery": recovery}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"CLIENT_SECRET": "by-hand"}}),
        )
        .await;
    let object = tenant.reason("orders", "SecretInvalid").await;
    assert!(holds(&object, ConditionType::Stalled));
    assert_eq!(tenant.generates(&app), 1);
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"recovery": recovery, "rotation": {"trigger": "again"}}),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn a_client_id_or_label_edited_by_hand_is_put_right_without_a_generate() {
    let tenant = tenant("putright").await;
    let app = tenant.app("orders");
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"secret": {"labels": {"team": "orders"}}}),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    tenant.edit_secret("orders", json!({"stringData": {"CLIENT_ID": "by-hand"}, "metadata": {"labels": {"team": "by-hand"}}})).await;
    eventually(PATIENCE, || async {
        let right = tenant.value("orders", "CLIENT_ID").await.as_ref() == Some(&app.client_id);
        let labels = tenant.secret("orders").await.metadata.labels.unwrap();
        (right && labels["team"] == "orders").then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn whatever_stands_beside_the_pair_is_put_right_without_a_generate() {
    let tenant = tenant("beside").await;
    let app = tenant.app("orders");
    let entries = data(&[
        ("CLIENT_ID", "ClientId"),
        ("CLIENT_SECRET", "ClientSecret"),
        ("ISSUER", "Issuer"),
        ("INTROSPECTION", "IntrospectionEndpoint"),
        ("APP", "AppId"),
    ]);
    let extra = json!({"secret": {"data": entries}});
    tenant.apply("orders", &app.id, extra).await.unwrap();
    tenant.ready("orders").await;
    let written = tenant.data("orders").await;
    let elsewhere =
        json!({"ISSUER": "https://elsewhere.example", "INTROSPECTION": "x", "APP": "7"});
    tenant
        .edit_secret("orders", json!({"stringData": elsewhere}))
        .await;
    eventually(PATIENCE, || async {
        (tenant.data("orders").await == written).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_template_is_rendered_from_the_value_that_is_held_and_a_wrong_one_generates_nothing() {
    let tenant = tenant("templates").await;
    let app = tenant.app("orders");
    let with = |template: &str| {
        let entries = json!([
            {"key": "CLIENT_SECRET", "from": "ClientSecret"},
            {"key": "oauth", "template": template},
        ]);
        json!({"secret": {"data": entries}})
    };
    let oauth = async || tenant.data("orders").await.get("oauth").cloned();
    // What is wrong is said before anything is generated.
    for (template, told) in [
        (
            "id={{ clientId }}\nsecret={{ clientsecret }}",
            "template of key oauth: line 2: ",
        ),
        (
            "{% for x in range(1000000000) %}x{% endfor %}",
            "template of key oauth: line 1: ",
        ),
        ("{{ clientId", "template of key oauth: line 1: "),
        ("{# nothing #}", "template of key oauth: line 1: "),
    ] {
        tenant
            .apply("orders", &app.id, with(template))
            .await
            .unwrap();
        let object = tenant
            .until("orders", |object| {
                object
                    .status
                    .as_ref()?
                    .conditions
                    .get(ConditionType::Ready)?;
                message(object).contains(told).then_some(())
            })
            .await;
        assert!(holds(&object, ConditionType::Stalled), "{object:?}");
    }
    assert_eq!(tenant.generates(&app), 0);
    let json = r#"{"id": {{ clientId | tojson }}, "secret": {{ clientSecret | tojson }}, "issuer": {{ issuer | tojson }}}"#;
    tenant.apply("orders", &app.id, with(json)).await.unwrap();
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await.unwrap();
    let expected = json!({"id": app.client_id, "secret": value, "issuer": tenant.url});
    let rendered: Value = serde_json::from_str(&oauth().await.unwrap()).unwrap();
    assert_eq!(rendered, expected);
    // Edited, it is rendered again; changed by hand, it is put right; wrong, what was written stays.
    let pair = format!("{}:{value}", app.client_id);
    tenant
        .apply("orders", &app.id, with("{{ clientId }}:{{ clientSecret }}"))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        (oauth().await? == pair).then_some(())
    })
    .await;
    tenant
        .edit_secret(
            "orders",
            json!({"stringData": {"oauth": "changed by hand"}}),
        )
        .await;
    eventually(PATIENCE, || async {
        (oauth().await? == pair).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    tenant
        .apply("orders", &app.id, with("{{ nonsense }}"))
        .await
        .unwrap();
    tenant.reason("orders", "InvalidSpec").await;
    assert_eq!(oauth().await, Some(pair));
    assert_eq!(tenant.generates(&app), 1);
    // A rotation renders it with the new value.
    let mut rotated = with("{{ clientSecret }}");
    rotated["rotation"] = json!({"trigger": "a"});
    tenant.apply("orders", &app.id, rotated).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    let value = tenant.client_secret("orders").await;
    assert_eq!(oauth().await, value);
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn a_secret_can_have_the_type_for_basic_authentication() {
    let tenant = tenant("basic").await;
    let app = tenant.app("orders");
    let extra = |trigger: &str| {
        let entries = data(&[("username", "ClientId"), ("password", "ClientSecret")]);
        json!({"secret": {"type": "kubernetes.io/basic-auth", "data": entries}, "rotation": {"trigger": trigger}})
    };
    for (trigger, generates) in [("a", 1), ("b", 2)] {
        tenant
            .apply("orders", &app.id, extra(trigger))
            .await
            .unwrap();
        tenant.until_generates(&app, generates).await;
        tenant.ready("orders").await;
        let data = tenant.data("orders").await;
        assert_eq!(data["username"], app.client_id);
        assert!(tenant.zitadel.accepts(&app.id, &data["password"]));
    }
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn a_foreign_secret_is_refused_and_untouched_unless_adopt_is_set() {
    let tenant = tenant("foreign").await;
    let app = tenant.app("orders");
    tenant
        .create_secret("orders", json!({"CLIENT_SECRET": "theirs", "other": "x"}))
        .await;
    let before = tenant.secret("orders").await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "SecretNotOwned").await;
    assert!(holds(&object, ConditionType::Stalled));
    tenant.fence().await;
    assert_eq!(tenant.secret("orders").await, before);
    assert_eq!(tenant.generates(&app), 0);
    assert!(message(&object).contains("adoptionPolicy"));
}

#[tokio::test]
async fn an_adopted_secret_keeps_its_value_if_it_authenticates_and_its_other_keys_always() {
    let tenant = tenant("adopt").await;
    let app = tenant.app("orders");
    let value = app.secret.clone().unwrap();
    tenant
        .create_secret("oauth", json!({"CLIENT_SECRET": value, "other": "x"}))
        .await;
    tenant
        .edit_secret(
            "oauth",
            json!({"metadata": {"labels": {"theirs": "kept"}, "annotations": {"theirs": "kept"}}}),
        )
        .await;
    let spec = |trigger: &str| json!({"secret": {"name": "oauth", "adoptionPolicy": "Required"}, "rotation": {"trigger": trigger, "interval": "30d"}});
    tenant.apply("orders", &app.id, spec("a")).await.unwrap();
    let object = tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 0);
    let data = tenant.data("oauth").await;
    assert_eq!(
        json!(data),
        json!({"CLIENT_ID": app.client_id, "CLIENT_SECRET": value, "other": "x"})
    );
    let status = object.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "Adopted");
    assert!(status.next_rotation_time.is_some());
    let note = tenant.event("orders", "Adopted").await;
    assert!(note.contains("Secret oauth"), "{note}");
    tenant.apply("orders", &app.id, spec("b")).await.unwrap();
    tenant.until_generates(&app, 1).await;
    tenant.ready("orders").await;
    tenant.until_accepted(&app, "oauth").await;
    assert_eq!(tenant.value("oauth", "other").await.as_deref(), Some("x"));
    let metadata = tenant.secret("oauth").await.metadata;
    assert_eq!(metadata.labels.unwrap()["theirs"], "kept");
    assert_eq!(metadata.annotations.unwrap()["theirs"], "kept");
}

#[tokio::test]
async fn with_nothing_to_adopt_nothing_is_generated_until_a_trigger_asks_for_it() {
    let tenant = tenant("adoptnone").await;
    let spec = |secret: &str, trigger: &str| json!({"secret": {"name": secret, "adoptionPolicy": "Required"}, "rotation": {"trigger": trigger}});
    let objects = ["absent", "lacking", "rejected"];
    let apps = objects.map(|name| tenant.app(name));
    tenant
        .create_secret("lacking", json!({"client-secret": "live", "other": "x"}))
        .await;
    tenant
        .create_secret("rejected", json!({"CLIENT_SECRET": "dead", "other": "x"}))
        .await;
    for (name, app) in objects.iter().zip(&apps) {
        tenant.apply(name, &app.id, spec(name, "a")).await.unwrap();
    }
    for (name, said) in [
        ("absent", "Secret absent does not exist"),
        (
            "lacking",
            "no client secret under the key CLIENT_SECRET; its keys are client-secret, other",
        ),
        ("rejected", "ZITADEL rejects the value of key CLIENT_SECRET"),
    ] {
        let object = tenant.reason(name, "NothingToAdopt").await;
        assert!(holds(&object, ConditionType::Stalled), "{name}");
        assert!(message(&object).contains(said), "{}", message(&object));
    }
    for app in &apps {
        assert_eq!(tenant.generates(app), 0);
        assert!(app.secret.is_some());
    }
    assert_eq!(
        tenant.client_secret("rejected").await.as_deref(),
        Some("dead")
    );
    for (name, app) in objects.iter().zip(&apps) {
        tenant.apply(name, &app.id, spec(name, "b")).await.unwrap();
        tenant.until_accepted(app, name).await;
        tenant.ready(name).await;
        assert_eq!(tenant.generates(app), 1, "{name}");
    }
    assert_eq!(
        tenant.value("rejected", "other").await.as_deref(),
        Some("x")
    );
}

// ---- several objects ----

#[tokio::test]
async fn of_two_objects_for_one_application_the_older_works_and_the_younger_says_who() {
    let tenant = tenant("rivals").await;
    let app = tenant.app("orders");
    tenant.apply("older", &app.id, json!({})).await.unwrap();
    tenant.ready("older").await;
    tenant
        .apply("younger", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    let younger = tenant.reason("younger", "AppAlreadyClaimed").await;
    assert!(message(&younger).contains(&format!("{}/older", tenant.namespace)));
    assert!(holds(&younger, ConditionType::Stalled));
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert!(tenant.secrets().get_opt("younger").await.unwrap().is_none());
    assert!(tenant.accepted(&app, "older").await);
    tenant.delete("older").await;
    tenant.ready("younger").await;
    assert!(tenant.accepted(&app, "younger").await);
}

#[tokio::test]
async fn an_object_without_a_grant_keeps_nobody_waiting_and_whoever_was_first_keeps_the_application()
 {
    // NB: of two objects of one second the one whose namespace comes first counts as the older.
    let stranger = tenant("a-stranger").await;
    let tenant = tenant("victim").await;
    let app = tenant.app("orders");
    let theirs = json!({"connectionRef": {"name": tenant.namespace}, "projectId": tenant.project});
    stranger.apply("orders", &app.id, theirs).await.unwrap();
    stranger.reason("orders", "NotGranted").await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    // Granted later, it is the older one, and comes second.
    let both = json!([{"name": "by-name", "namespaces": [tenant.namespace, stranger.namespace], "projectIds": [tenant.project]}]);
    tenant.apply_connection(json!({"grants": both})).await;
    let told = stranger.reason("orders", "AppAlreadyClaimed").await;
    assert!(message(&told).contains(&format!("{}/orders", tenant.namespace)));
    let trigger = json!({"rotation": {"trigger": "a"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert!(
        stranger
            .secrets()
            .get_opt("orders")
            .await
            .unwrap()
            .is_none()
    );
}

#[tokio::test]
async fn an_older_object_that_can_be_used_no_more_keeps_nobody_waiting() {
    let tenant = tenant("unusable").await;
    let app = tenant.app("orders");
    let suspended = json!({"suspend": true});
    tenant.apply("elder", &app.id, suspended).await.unwrap();
    tenant.reason("elder", "Suspended").await;
    tenant.apply("younger", &app.id, json!({})).await.unwrap();
    tenant.reason("younger", "AppAlreadyClaimed").await;
    let windows = json!([{"name": "w", "schedule": "61 * * * *", "duration": "1h"}]);
    let unusable = json!({"rotation": {"interval": "1h", "windows": windows}});
    tenant.apply("elder", &app.id, unusable).await.unwrap();
    tenant.reason("elder", "InvalidSpec").await;
    tenant.ready("younger").await;
    assert!(tenant.accepted(&app, "younger").await);
}

#[tokio::test]
async fn of_two_objects_for_one_secret_the_second_says_who_keeps_it() {
    let tenant = tenant("share").await;
    let (first, second) = (tenant.app("first"), tenant.app("second"));
    tenant
        .apply("first", &first.id, json!({"secret": {"name": "oauth"}}))
        .await
        .unwrap();
    tenant.ready("first").await;
    tenant
        .apply(
            "second",
            &second.id,
            json!({"secret": {"name": "oauth", "adoptionPolicy": "Required"}}),
        )
        .await
        .unwrap();
    let object = tenant.reason("second", "SecretKeyConflict").await;
    assert!(message(&object).contains(&format!("{}/first", tenant.namespace)));
    tenant.fence().await;
    assert_eq!(tenant.generates(&second), 0);
    assert!(tenant.accepted(&first, "oauth").await);
}

// ---- connections ----

#[tokio::test]
async fn the_credential_of_a_connection_can_be_exchanged_without_a_pause() {
    let tenant = tenant("credential").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "both"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    // The operator was told of the new one before the trigger that follows.
    tenant.zitadel.revoke_token(&tenant.pat);
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "new"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 3).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn more_repairs_than_the_connection_allows_wait() {
    let tenant = tenant("limit").await;
    tenant
        .apply_connection(json!({"limits": {"repairs": {"count": 1}}}))
        .await;
    tenant.connected().await;
    let apps = [tenant.app("first"), tenant.app("second")];
    let generates = || apps.each_ref().map(|app| tenant.generates(app));
    for (name, app) in ["first", "second"].iter().zip(&apps) {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
    }
    tenant.delete_secret("first").await;
    tenant.until_generates(&apps[0], 2).await;
    tenant.ready("first").await;
    tenant.delete_secret("second").await;
    tenant.reason("second", "RepairLimit").await;
    tenant.fence().await;
    assert_eq!(generates(), [2, 1]);
    // What a person asks for is no repair.
    let trigger = json!({"rotation": {"trigger": "now"}});
    tenant.apply("second", &apps[1].id, trigger).await.unwrap();
    tenant.ready("second").await;
    assert_eq!(generates(), [2, 2]);
}

#[tokio::test]
async fn no_more_generate_calls_are_under_way_than_the_connection_allows() {
    for limit in [1, 2] {
        let zitadel = Simulator::start(Config::default()).unwrap();
        let tenant = World::shared().await.tenant_at("in-flight", &zitadel).await;
        let limits = json!({"limits": {"concurrentGenerates": limit}});
        tenant.apply_connection(limits).await;
        tenant.connected().await;
        let slow = Action::DelayAfter(Duration::from_millis(300));
        zitadel.inject(Fault::on(Operation::Generate, slow).always());
        let names: Vec<_> = (0..5).map(|n| format!("app-{n}")).collect();
        for name in &names {
            let app = tenant.app(name);
            tenant.apply(name, &app.id, json!({})).await.unwrap();
        }
        for name in &names {
            tenant.ready(name).await;
        }
        let most = zitadel.counters().max_generates_in_flight;
        assert!((1..=limit).contains(&most), "{most}");
    }
}

#[tokio::test]
async fn a_namespace_may_use_several_connections_and_an_object_names_its_own_organisation() {
    let world = World::shared().await;
    let (one, other) = (world.tenant("one").await, world.tenant("other").await);
    let grants = |tenant: &Tenant| json!([{"name": "by-name", "namespaces": [one.namespace], "projectIds": [tenant.project]}]);
    // A connection whose default organisation is not the one that the object needs.
    other
        .apply_connection(json!({"organizationId": one.organization, "grants": grants(&other)}))
        .await;
    let (mine, theirs) = (one.app("mine"), other.app("theirs"));
    one.apply("mine", &mine.id, json!({})).await.unwrap();
    let spec = json!({"connectionRef": {"name": other.namespace}, "projectId": other.project, "organizationId": other.organization});
    one.apply("theirs", &theirs.id, spec).await.unwrap();
    let object = one.ready("theirs").await;
    one.ready("mine").await;
    assert_eq!(
        object.status.unwrap().resource_owner.as_deref(),
        Some(other.organization.as_str())
    );
    assert!(one.accepted(&mine, "mine").await && one.accepted(&theirs, "theirs").await);
    let asked = other
        .zitadel
        .request_log()
        .into_iter()
        .filter(|request| request.app.as_deref() == Some(&theirs.id) && request.org.is_some());
    assert!(
        asked
            .into_iter()
            .all(|request| request.org.as_deref() == Some(&other.organization))
    );
}

#[tokio::test]
async fn a_grant_by_label_follows_the_labels_of_the_namespace() {
    let tenant = tenant("selector").await;
    let app = tenant.app("orders");
    let grants = json!([{"name": "by-label", "namespaceSelector": {"matchLabels": {"team": tenant.namespace}}, "projectIds": ["*"]}]);
    tenant.apply_connection(json!({"grants": grants})).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "NotGranted").await;
    let namespaces: Api<Namespace> = Api::all(tenant.client.clone());
    let label = async |value: Value| {
        let change = json!({"metadata": {"labels": {"team": value}}});
        namespaces
            .patch(
                &tenant.namespace,
                &PatchParams::default(),
                &Patch::Merge(change),
            )
            .await
            .unwrap();
    };
    label(json!(tenant.namespace)).await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
    label(Value::Null).await;
    tenant.reason("orders", "NotGranted").await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    tenant.reason("orders", "NotGranted").await;
    assert_eq!(tenant.generates(&app), 1);
    assert!(
        tenant.accepted(&app, "orders").await,
        "a grant that is withdrawn leaves the Secret as it is"
    );
}

#[tokio::test]
async fn a_service_account_key_works_also_where_zitadel_is_dialled_inside_the_cluster() {
    let config = Config {
        external_hosts: vec!["iam.example.com".to_owned()],
        ..Config::default()
    };
    let zitadel = Simulator::start(config).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("key", &zitadel).await;
    let key = zitadel.create_machine_key(&tenant.user).unwrap();
    tenant.set_credential(&key.json).await;
    let credential =
        json!({"serviceAccountKey": {"secretKeyRef": {"name": tenant.namespace, "key": "token"}}});
    tenant.apply_connection(json!({"url": "https://iam.example.com", "endpoint": zitadel.url(), "auth": credential})).await;
    tenant.connected().await;
    let app = tenant.app("orders");
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"secret": {"data": data(&[("CLIENT_ID", "ClientId"), ("CLIENT_SECRET", "ClientSecret"), ("issuer", "Issuer"), ("token", "TokenEndpoint")])}}),
        )
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(
        tenant.value("orders", "issuer").await.as_deref(),
        Some("https://iam.example.com")
    );
    let token = tenant.value("orders", "token").await.unwrap();
    assert!(token.starts_with("https://iam.example.com/"), "{token}");
    let connections: Api<zitadel_secret_operator::api::ZitadelConnection> =
        Api::all(tenant.client.clone());
    let status = connections
        .get(&tenant.namespace)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status.user_id, Some(tenant.user.clone()));
    assert!(status.credential_expiry.is_some());
    let before = zitadel.requests(Operation::Token);
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert_eq!(
        zitadel.requests(Operation::Token),
        before,
        "tokens are kept until shortly before they expire"
    );
    zitadel.revoke_access_tokens();
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "y"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 3).await;
    // It may have been called ready for this generation before, while a new token was got.
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    // Another key takes over as soon as it is stored, so that the former one can be removed.
    let tokens = zitadel.requests(Operation::Token);
    let new = zitadel.create_machine_key(&tenant.user).unwrap();
    tenant.set_credential(&new.json).await;
    eventually(PATIENCE, || async {
        (zitadel.requests(Operation::Token) > tokens).then_some(())
    })
    .await;
    zitadel.remove_machine_key(&key.key_id);
    zitadel.revoke_access_tokens();
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "z"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 4).await;
    // It may have been called ready for this generation before, while a new token was got.
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn a_ca_bundle_is_trusted_from_a_config_map_or_a_secret_and_read_again_when_it_changes() {
    let zitadel = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let other = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("tls", &zitadel).await;
    let app = tenant.app("orders");
    let maps: Api<ConfigMap> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let bundle = async |pem: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": tenant.namespace}, "data": {"ca.crt": pem}});
        maps.patch(
            &tenant.namespace,
            &PatchParams::apply("tests").force(),
            &Patch::Apply(&map),
        )
        .await
        .unwrap();
    };
    bundle(other.ca_pem().unwrap()).await;
    tenant
        .apply_connection(
            json!({"tls": {"caBundle": {"configMapKeyRef": {"name": tenant.namespace, "key": "ca.crt"}}}}),
        )
        .await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "TlsFailed").await;
    assert!(
        zitadel.request_log().is_empty(),
        "nothing is sent before the handshake is verified"
    );
    bundle(zitadel.ca_pem().unwrap()).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);

    let secrets: Api<k8s_openapi::api::core::v1::Secret> =
        Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let name = format!("{}-ca", tenant.namespace);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {"ca.crt": zitadel.ca_pem().unwrap()}});
    secrets
        .patch(&name, &PatchParams::apply("tests"), &Patch::Apply(&secret))
        .await
        .unwrap();
    tenant
        .apply_connection(
            json!({"tls": {"caBundle": {"secretKeyRef": {"name": name, "key": "ca.crt"}}}}),
        )
        .await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn a_rotation_by_somebody_else_is_found_and_replaced_once_if_the_policy_says_so() {
    let tenant = tenant("elsewhere").await;
    let (rotated, reported) = (tenant.app("rotated"), tenant.app("reported"));
    tenant
        .apply("rotated", &rotated.id, json!({}))
        .await
        .unwrap();
    tenant
        .apply(
            "reported",
            &reported.id,
            json!({"recovery": {"rejected": "Report"}}),
        )
        .await
        .unwrap();
    tenant.ready("rotated").await;
    tenant.ready("reported").await;
    for app in [&rotated, &reported] {
        tenant.zitadel.rotate_elsewhere(&app.id, None).unwrap();
    }
    tenant.until_accepted(&rotated, "rotated").await;
    let object = tenant.reason("reported", "RotatedElsewhere").await;
    assert!(holds(&object, ConditionType::Stalled));
    let own = |id: &str| {
        tenant
            .zitadel
            .executions()
            .iter()
            .filter(|made| made.app == id && made.request.is_some())
            .count()
    };
    assert_eq!((own(&rotated.id), own(&reported.id)), (2, 1));
}

#[tokio::test]
async fn an_instance_wide_service_user_serves_projects_of_other_organisations() {
    let world = World::shared().await;
    let tenant = world.tenant("boss").await;
    let boss = tenant
        .zitadel
        .create_user(&world.zitadel.create_org("boss"), "boss");
    tenant.zitadel.grant(&boss, Role::IamOwner, Scope::Instance);
    let pat = tenant.zitadel.create_pat(&boss).unwrap();
    tenant.set_credential(&pat).await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

// ---- truth ----

/// What the conditions say of the stored value.
fn verified(object: &ApiAppSecret) -> (Status, String) {
    let conditions = &object.status.as_ref().unwrap().conditions;
    let found = conditions.get(ConditionType::Verified).unwrap();
    (found.status, found.reason.clone())
}

#[tokio::test]
async fn a_rotation_with_the_operator_s_own_user_elsewhere_is_called_refused_before_it_is_repaired()
{
    let tenant = tenant("ownuser").await;
    let app = tenant.app("own");
    tenant.apply("own", &app.id, json!({})).await.unwrap();
    tenant.ready("own").await;
    tenant
        .zitadel
        .rotate_elsewhere(&app.id, Some(&tenant.user))
        .unwrap();
    let object = tenant.reason("own", "Refused").await;
    assert!(!holds(&object, ConditionType::Ready));
    assert_eq!(verified(&object), (Status::False, "Refused".to_owned()));
    tenant.until_accepted(&app, "own").await;
    let object = tenant.ready("own").await;
    assert_eq!(verified(&object), (Status::True, "Accepted".to_owned()));
}

#[tokio::test]
async fn after_a_lost_answer_without_a_journal_the_stored_value_is_called_refused_before_it_is_repaired()
 {
    let tenant = tenant("unread").await;
    let app = tenant.app("unread");
    tenant.apply("unread", &app.id, json!({})).await.unwrap();
    tenant.ready("unread").await;
    let denied = r#"{"code":7,"message":"no","details":[{"id":"AUTH-5mWD2"}]}"#;
    let denied = Action::RespondBefore(Reply::new(403, "application/json", denied));
    tenant
        .zitadel
        .inject(Fault::on(Operation::Journal, denied).app(&app.id).always());
    let lost = Action::RespondAfter(Reply::ingress_html(502));
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, lost).app(&app.id));
    tenant
        .edit("unread", json!({"spec": {"rotation": {"trigger": "x"}}}))
        .await;
    let object = tenant.reason("unread", "Refused").await;
    assert!(!holds(&object, ConditionType::Ready));
    assert_eq!(verified(&object), (Status::False, "Refused".to_owned()));
    tenant.until_accepted(&app, "unread").await;
    let object = tenant.ready("unread").await;
    assert_eq!(verified(&object), (Status::True, "Accepted".to_owned()));
}

#[tokio::test]
async fn a_trigger_that_is_set_while_the_claim_is_damaged_rotates_once() {
    let tenant = tenant("spoilt").await;
    let app = tenant.app("spoilt");
    tenant.apply("spoilt", &app.id, json!({})).await.unwrap();
    tenant.ready("spoilt").await;
    let claim = tenant.claims("spoilt").await;
    tenant.write_claim(&claim[0], "{").await;
    tenant
        .edit("spoilt", json!({"spec": {"rotation": {"trigger": "leak"}}}))
        .await;
    tenant.until_generates(&app, 2).await;
    tenant.until_accepted(&app, "spoilt").await;
    let object = tenant.reason("spoilt", "UpToDate").await;
    let status = object.status.unwrap();
    assert_eq!(status.observed_trigger.as_deref(), Some("leak"));
    assert_eq!(status.last_rotation.unwrap().reason, "Trigger");
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn a_secret_that_is_renamed_onto_a_foreign_one_stays_verified() {
    let tenant = tenant("obstacle").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"secret": {"name": "before"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    for (foreign, data) in [
        ("other", json!({"key": "x"})),
        ("copy", json!({"CLIENT_SECRET": "x"})),
    ] {
        tenant.create_secret(foreign, data).await;
        tenant
            .edit("orders", json!({"spec": {"secret": {"name": foreign}}}))
            .await;
        let object = tenant.reason("orders", "SecretNotOwned").await;
        assert_eq!(verified(&object), (Status::True, "Accepted".to_owned()));
        assert_eq!(
            object.status.unwrap().secret_name.as_deref(),
            Some("before")
        );
    }
    assert_eq!(tenant.generates(&app), 1);
}

/// The text of a claim without its attempt.
fn without_attempt(text: &str) -> String {
    let mut claim: Value = serde_json::from_str(text).unwrap();
    claim.as_object_mut().unwrap().remove("attempt").unwrap();
    claim.to_string()
}

#[tokio::test]
async fn of_claims_that_no_object_names_only_those_of_long_ago_that_can_be_read_are_deleted() {
    let tenant = tenant("swept").await;
    let names = ["aged", "bare", "damaged", "last"];
    for name in names {
        let app = tenant.app(name);
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
    }
    let mut leases = Vec::new();
    for name in names {
        leases.push(tenant.claims(name).await.remove(0));
    }
    let text = |n: usize| {
        let lease: &Lease = &leases[n];
        lease.metadata.annotations.as_ref().unwrap()[CLAIM_ANNOTATION].clone()
    };
    tenant.age_claims("aged").await;
    let operator = World::shared().await.operator.as_ref().unwrap();
    let mut log = std::fs::File::open(&operator.log).unwrap();
    std::io::Seek::seek(&mut log, std::io::SeekFrom::End(0)).unwrap();
    for name in names {
        tenant.delete(name).await;
        tenant.secret_gone(name).await;
    }
    tenant
        .write_claim(&leases[1], &without_attempt(&text(1)))
        .await;
    tenant.write_claim(&leases[2], "{}").await;
    let gone = async |name| {
        eventually(PATIENCE, || async {
            tenant.claims(name).await.is_empty().then_some(())
        })
        .await;
    };
    gone("aged").await;
    // It is deleted after the others were seen to be nobody's for as long.
    tenant.age_claims("last").await;
    gone("last").await;
    let api: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    for lease in &leases[1..3] {
        let name = lease.metadata.name.as_ref().unwrap();
        assert!(api.get_opt(name).await.unwrap().is_some(), "{name}");
    }
    // The one that cannot be read is reported.
    let mut printed = String::new();
    eventually(PATIENCE, || {
        std::io::Read::read_to_string(&mut log, &mut printed).unwrap();
        let told = printed.contains("a claim cannot be read and no object names its application");
        async move { told.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_damaged_while_its_object_is_at_rest_is_replaced() {
    let tenant = tenant("damaged").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.fence().await;
    let claim = tenant.claims("orders").await.remove(0);
    tenant.write_claim(&claim, "{}").await;
    eventually(PATIENCE, || async {
        (!tenant.claims("orders").await.is_empty()).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}
