//! An admission webhook that answers `allowed: false`. It chooses the status code of its denial itself, and some choose one with another
//! meaning.

mod webhook;

use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;

use crate::fixtures::{assert_conditions, assert_status, holds, message, tenant};
use crate::support::eventually;
use crate::support::policy::dry_run;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant};
use webhook::Webhook;

/// Has the webhook asked about the Secrets of a tenant (at `/secrets`) and about one claim (at `/claims`).
async fn register(webhook: &Webhook, tenant: &Tenant, claim: &str) {
    let hook = |name: &str, namespace: &str, groups: &str, resources: &str, object: &str| {
        json!({
            "name": format!("{name}.example.com"), "clientConfig": webhook.client_config(&format!("/{name}")),
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail",
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
            "matchConditions": [{"name": "one", "expression": object}],
            "rules": [{"apiGroups": [groups], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resources]}],
        })
    };
    let claim = format!("request.name == '{claim}'");
    let configuration = json!({"metadata": {"name": tenant.namespace}, "webhooks": [
        hook("secrets", &tenant.namespace, "", "secrets", "true"),
        hook("claims", OPERATOR_NAMESPACE, "coordination.k8s.io", "leases", &claim),
    ]});
    let configuration = serde_json::from_value(configuration).unwrap();
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let created = api.create(&PostParams::default(), &configuration).await;
    created.unwrap();
    // It has an effect a moment later.
    webhook.deny("/secrets", json!({}), true);
    let secrets = tenant.secrets();
    eventually(PATIENCE, || async { dry_run(&secrets).await.err() }).await;
    webhook.allow("/secrets");
}

/// Denials that webhooks send: a policy's, no reason at all, and codes that mean another thing where the API server sends them.
fn statuses() -> [Value; 8] {
    [
        json!({"code": 403, "message": "canary", "reason": "Forbidden"}),
        json!({}),
        json!({"code": 404, "message": "canary not found", "reason": "NotFound"}),
        json!({"code": 409, "message": "canary", "reason": "Conflict"}),
        json!({"code": 422, "message": "canary is immutable", "reason": "Invalid"}),
        json!({"code": 429, "message": "canary", "reason": "TooManyRequests"}),
        json!({"code": 500, "message": "canary", "reason": "InternalError"}),
        json!({"code": 400, "message": "canary has side effects", "reason": "BadRequest"}),
    ]
}

/// Those that differ most.
fn few() -> impl Iterator<Item = Value> {
    let codes = [json!(null), json!(409), json!(500)];
    let all = statuses().into_iter();
    all.filter(move |status| codes.contains(&status["code"]))
}

/// Whether the webhook itself could not answer, as it says: it may at the next try.
fn is_temporary(status: &Value) -> bool {
    status["code"] == json!(500) || status["code"] == json!(429)
}

#[tokio::test]
async fn a_webhook_that_denies_the_secret_is_named_and_nothing_is_generated_or_lost() {
    let tenant = tenant("denied").await;
    let app = tenant.issued("orders", json!({})).await;
    let webhook = Webhook::start().await;
    let claim = tenant.claims("orders").await.remove(0);
    let claim = claim.metadata.name.unwrap();
    register(&webhook, &tenant, &claim).await;
    let mut made = 1;
    for status in statuses() {
        webhook.deny("/secrets", status.clone(), true);
        let trigger = format!("before {status}");
        tenant.trigger("orders", &trigger).await;
        let object = assert_status!(tenant, "orders", "SecretWriteRefused", Ready);
        let said = message(&object, ConditionType::Ready);
        let fails = if status["code"] == json!(500) {
            " fails and so"
        } else {
            ""
        };
        let named = format!(
            "Admission webhook secrets.example.com{fails} refuses Secret orders: exempt the Secret or namespace {} from it, or change spec.secret to what it allows. Nothing was rotated",
            tenant.namespace
        );
        assert!(said.starts_with(&named), "{status}: {said}");
        assert!(
            said.contains("The operator tries again at 20"),
            "{status}: {said}"
        );
        assert!(!said.contains("canary"), "{status}: {said}");
        let stalled = holds(&object, ConditionType::Stalled);
        assert_eq!(stalled, !is_temporary(&status), "{status}");
        assert_eq!(tenant.generates(&app), made, "{status}");
        let asked = webhook.allow("/secrets");
        assert!(asked <= 4, "{status}: the write was tried {asked} times");
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.handled("orders", &trigger).await;
        tenant.reason("orders", "UpToDate").await;
    }
    let warnings = tenant.events("orders").await.into_iter();
    let warnings = warnings.filter(|(type_, reason, note)| {
        type_ == "Warning"
            && reason == "SecretWriteRefused"
            && note.starts_with("Admission webhook secrets.example.com")
    });
    assert!(warnings.count() > 0, "{:#?}", tenant.events("orders").await);

    // Only the real write is denied: the value is there already, and is held.
    for status in few() {
        webhook.deny("/secrets", status.clone(), false);
        let trigger = format!("after {status}");
        tenant.trigger("orders", &trigger).await;
        let object = tenant.reason("orders", "SecretWriteRefused").await;
        // The former value died when the new one was made.
        assert_conditions!(object, !Ready, !Verified);
        let said = message(&object, ConditionType::Ready);
        let named = "Admission webhook secrets.example.com";
        assert!(said.starts_with(named), "{status}: {said}");
        assert!(
            said.contains("do not restart the operator"),
            "{status}: {said}"
        );
        assert!(!said.contains("canary"), "{status}: {said}");
        made += 1;
        assert_eq!(tenant.generates(&app), made, "{status}");
        webhook.allow("/secrets");
        tenant.handled("orders", &trigger).await;
        tenant.reason("orders", "UpToDate").await;
        assert!(tenant.accepted(&app, "orders").await, "{status}");
        assert_eq!(tenant.generates(&app), made, "{status}: it was held");
    }

    for status in few() {
        webhook.deny("/claims", status.clone(), true);
        let trigger = format!("claim {status}");
        tenant.trigger("orders", &trigger).await;
        let object = assert_status!(tenant, "orders", "ClaimWriteForbidden", Ready);
        let said = message(&object, ConditionType::Ready);
        let named = "Admission webhook claims.example.com";
        assert!(said.starts_with(named), "{status}: {said}");
        assert!(
            said.contains("exempt Leases of that namespace"),
            "{status}: {said}"
        );
        assert!(!said.contains("canary"), "{status}: {said}");
        assert_eq!(tenant.generates(&app), made, "{status}");
        let asked = webhook.allow("/claims");
        assert!(asked <= 4, "{status}: the claim was tried {asked} times");
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.handled("orders", &trigger).await;
        tenant.reason("orders", "UpToDate").await;
    }
    assert_eq!(tenant.generates(&app), made);
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let params = DeleteParams::default();
    api.delete(&tenant.namespace, &params).await.unwrap();
}
