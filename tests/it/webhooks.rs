//! Admission webhooks that hang or fail.

use std::time::Duration;

use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, Patch, PatchParams, PostParams};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Action, Config, Fault, Operation, Reply, Simulator};

use crate::fixtures::{assert_status, message};
use crate::support::eventually;
use crate::support::policy::dry_run;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, World};

#[tokio::test]
async fn an_admission_webhook_that_hangs_is_named_and_nothing_is_rotated() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
    let world = World::shared().await;
    let tenant = world.tenant("webhook").await;
    let app = tenant.issued("orders", json!({})).await;
    let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = hangs.local_addr().unwrap().port();
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let configuration = |name: &str, namespace: &str, resource: &str, group: &str| {
        let configuration = json!({
            "metadata": {"name": name},
            "webhooks": [{
                "name": "slow.example.com",
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1,
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}],
            }],
        });
        serde_json::from_value::<Webhooks>(configuration).unwrap()
    };
    let name = tenant.namespace.clone();
    let of_secrets = configuration(&name, &name, "secrets", "");
    api.create(&PostParams::default(), &of_secrets)
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        dry_run(&tenant.secrets()).await.err().map(drop)
    })
    .await;
    tenant.trigger("orders", "slow").await;
    let object = tenant.reason("orders", "SecretWriteRefused").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    let said = "Admission webhook slow.example.com does not respond in time and so refuses Secret orders: ";
    assert!(message.starts_with(said), "{message}");
    assert!(
        message.contains(". Nothing was rotated. The operator tries again at "),
        "{message}"
    );
    assert_eq!(tenant.generates(&app), 1);
    api.delete(&name, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn an_admission_webhook_that_fails_for_the_claim_is_named_and_nothing_is_generated() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
    let world = World::shared().await;
    let tenant = world.tenant("claim-webhook").await;
    let app = tenant.issued("orders", json!({})).await;
    let lease = tenant.claims("orders").await.remove(0);
    let claim = lease.metadata.name.unwrap();
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    // Gives each request the same configured answer, by HTTPS.
    let config = Config {
        tls: true,
        ..Config::default()
    };
    let webhook = Simulator::start(config).unwrap();
    let ca = k8s_openapi::ByteString(webhook.ca_pem().unwrap().as_bytes().to_vec());
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let name = tenant.namespace.clone();
    let configuration = json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "claims.example.com",
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1,
            "clientConfig": {"url": format!("{}/oauth/v2/introspect", webhook.url()), "caBundle": ca},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OPERATOR_NAMESPACE}},
            "matchConditions": [{"name": "claim", "expression": format!("request.name == '{claim}'")}],
            "rules": [{"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["leases"]}],
        }],
    });
    let configuration = serde_json::from_value::<Webhooks>(configuration).unwrap();
    let touch = Patch::Merge(json!({"metadata": {"labels": {"touched": "1"}}}));
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let denied = || async {
        let touched = leases.patch(&claim, &params, &touch).await;
        touched.is_err()
    };
    let html = |status| Action::RespondBefore(Reply::new(status, "text/html", "<html>no</html>"));
    let hang = Action::DelayBefore {
        delay: Duration::from_secs(120),
        outlives_client: false,
    };
    let mut made = 1;
    for (how, action, said) in [
        ("500", html(500), "fails and so"),
        ("403", html(403), "fails and so"),
        ("200", html(200), "fails and so"),
        ("hangs", hang, "does not respond in time and so"),
    ] {
        let fault = Fault::on(Operation::Introspect, action);
        let fault = webhook.inject(fault.always());
        api.create(&PostParams::default(), &configuration)
            .await
            .unwrap();
        eventually(PATIENCE, || async { denied().await.then_some(()) }).await;
        tenant.trigger("orders", how).await;
        let object = assert_status!(tenant, "orders", "ClaimWriteForbidden", Ready);
        let message = message(&object, ConditionType::Ready);
        let start = format!(
            "Admission webhook claims.example.com {said} refuses the Lease with the claim of app {}",
            app.id
        );
        assert!(message.starts_with(&start), "{how}: {message}");
        assert_eq!(tenant.generates(&app), made, "{how}");
        api.delete(&name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        webhook.remove_fault(fault);
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    assert_eq!(tenant.generates(&app), made);
}
