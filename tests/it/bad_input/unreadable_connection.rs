//! Connections that cannot be read.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::DynamicObject;
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;

use crate::fixtures::{dynamic_connections, stalled_connection};
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{Operator, PATIENCE, Tenant, World};

/// Takes the schema away, as an older or newer definition might lack a rule.
async fn loosen(tenant: &Tenant) {
    let api: Api<CustomResourceDefinition> = Api::all(tenant.client.clone());
    let name = "zitadelconnections.zitadel-secrets.dev";
    let mut definition = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = serde_json::from_value(definition).unwrap();
    api.replace(name, &PostParams::default(), &definition)
        .await
        .unwrap();
    let probe = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "probe"}, "spec": 1});
    let probe: DynamicObject = serde_json::from_value(probe).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(PATIENCE, || async {
        dynamic_connections(tenant)
            .create(&params, &probe)
            .await
            .ok()
            .map(drop)
    })
    .await;
}

async fn edit_connection(tenant: &Tenant, spec: Value) {
    let change = Patch::Merge(json!({ "spec": spec }));
    dynamic_connections(tenant)
        .patch(&tenant.namespace, &PatchParams::default(), &change)
        .await
        .unwrap();
}

#[tokio::test]
async fn a_connection_that_cannot_be_read_is_stalled_and_the_others_go_on() {
    let world = World::own(Options::default()).await;
    let (good, bad) = (world.tenant("good").await, world.tenant("bad").await);
    loosen(&bad).await;
    edit_connection(&bad, json!({"auth": "canary"})).await;
    let _operator = Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--protocol-speed", "20"],
    );
    let app = bad.app("orders");
    bad.apply("orders", &app.id, json!({})).await.unwrap();
    let other = good.issued("orders", json!({})).await;
    let message = stalled_connection(&bad, "InvalidObject").await;
    assert!(!message.contains("canary"), "{message}");
    let field = "spec.auth: expected struct Auth, found a string.";
    assert!(message.contains(field), "{message}");
    let object = bad.reason("orders", "InvalidObject").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(message.contains("ZitadelConnection bad"), "{message}");
    assert!(message.contains(field), "{message}");
    // What the schema of this version would have refused is refused by the code as well.
    let credential =
        json!({"personalAccessToken": {"secretKeyRef": {"name": bad.namespace, "key": "token"}}});
    let insecure = json!({"auth": credential, "endpoint": "http://zitadel.invalid:8080"});
    edit_connection(&bad, insecure).await;
    let message = stalled_connection(&bad, "InvalidSpec").await;
    assert!(message.contains("spec.endpoint"), "{message}");
    assert_eq!(bad.generates(&app), 0);
    // Corrected, it is taken up; spoilt, it is not used any more.
    edit_connection(&bad, json!({"endpoint": null})).await;
    bad.ready("orders").await;
    edit_connection(&bad, json!({"grants": "canary"})).await;
    stalled_connection(&bad, "InvalidObject").await;
    bad.trigger("orders", "leak").await;
    bad.reason("orders", "InvalidObject").await;
    good.trigger("orders", "leak").await;
    good.until_generates(&other, 2).await;
    assert_eq!(bad.generates(&app), 1);
}

/// The schema of another version may let through what the code then refuses.
#[tokio::test]
async fn a_list_of_hosts_that_would_match_none_is_an_invalid_spec() {
    let world = World::shared().await;
    let tenant = world.tenant("listed").await;
    // NB: the schema cannot express that a range has 32 bits at most.
    let proxy = json!({"url": "http://proxy.invalid:3128", "noProxy": ["10.0.0.0/33"]});
    tenant.apply_connection(json!({ "proxy": proxy })).await;
    let message = tenant.connection_says("InvalidSpec", "10.0.0.0/33").await;
    assert!(
        message.starts_with("spec.proxy.noProxy: \"10.0.0.0/33\" is not"),
        "{message}"
    );
}
