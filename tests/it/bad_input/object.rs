//! Objects that cannot be read or used.

use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{Operator, PATIENCE, Tenant, World};
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ApiAppSecret;

/// Objects that cannot be read, and what is said of them.
fn unreadable() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "number",
            json!({"spec": {"projectId": 7, "appId": "2"}}),
            "spec.projectId: expected a string, found a number.",
        ),
        (
            "list",
            json!({"spec": {"projectId": "1", "appId": ["canary-in-a-list"]}}),
            "spec.appId: expected a string, found a list.",
        ),
        (
            "text",
            json!({"spec": "canary-in-a-text"}),
            "spec: expected struct ApiAppSecretSpec, found a string.",
        ),
        ("none", json!({}), "spec is missing."),
        (
            "enum",
            json!({"spec": {"projectId": "1", "appId": "2", "secret": {"deletionPolicy": "canary-policy"}}}),
            "spec.secret.deletionPolicy: expected `Delete` or `Retain`, found a string.",
        ),
        (
            "deep",
            json!({"spec": {"projectId": "1", "appId": "2", "rotation": {"windows": [{"name": "w", "schedule": {"a": 1}}]}}}),
            "spec.rotation.windows[0].schedule: expected a string, found a map.",
        ),
    ]
}

/// Specs that can be read and not used, and the field at fault.
fn unusable() -> Vec<(&'static str, Value, &'static str)> {
    vec![
        (
            "slash",
            json!({"projectId": "1", "appId": "../x"}),
            "spec.appId \\\"../x\\\" has",
        ),
        (
            "long",
            json!({"projectId": "x".repeat(201), "appId": "2"}),
            "spec.projectId",
        ),
        (
            "zero",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "0s"}}),
            "spec.rotation.interval",
        ),
        (
            "ages",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "3650001d"}}),
            "spec.rotation.interval",
        ),
        (
            "keys",
            json!({"projectId": "1", "appId": "2", "secret": {"data": [{"key": "CLIENT_ID", "from": "ClientId"}]}}),
            "spec.secret.data",
        ),
        (
            "label",
            json!({"projectId": "1", "appId": "2", "secret": {"labels": {"zitadel-secrets.dev/managed": "x"}}}),
            "spec.secret.labels",
        ),
        (
            "token",
            json!({"projectId": "1", "appId": "2", "secret": {"type": "kubernetes.io/service-account-token", "annotations": {"kubernetes.io/service-account.name": "default"}}}),
            "spec.secret.type",
        ),
        (
            "dots",
            json!({"projectId": "1", "appId": "2", "secret": {"name": "a..b"}}),
            "spec.secret.name",
        ),
        (
            "order",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h1d"}}),
            "spec.rotation.interval",
        ),
        (
            "cron",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h", "windows": [{"name": "w", "schedule": "61 * * * *", "duration": "1h"}]}}),
            "spec.rotation.windows[name=w].schedule",
        ),
        (
            "zone",
            json!({"projectId": "1", "appId": "2", "rotation": {"interval": "1h", "windows": [{"name": "w", "schedule": "0 3 * * *", "duration": "1h", "timeZone": "Mars/Olympus"}]}}),
            "spec.rotation.windows[name=w].timeZone \\\"Mars/Olympus\\\" is not",
        ),
    ]
}

#[tokio::test]
async fn an_object_that_cannot_be_read_is_stalled_and_the_others_go_on() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("unreadable").await;
    loosen(&tenant).await;
    let _operator = Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--protocol-speed", "20"],
    );
    let resource = ApiResource::erase::<ApiAppSecret>(&());
    let api: Api<DynamicObject> =
        Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    let good = tenant.app("good");
    let bad = unreadable();
    for (name, content, _) in &bad {
        let mut object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": name}});
        object
            .as_object_mut()
            .unwrap()
            .extend(content.as_object().unwrap().clone());
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
    }
    tenant.apply("good", &good.id, json!({})).await.unwrap();
    tenant.ready("good").await;
    let message = async |name: &str, reason: &str| {
        eventually(PATIENCE, || async {
            let object = api.get(name).await.unwrap();
            let conditions = object.data["status"]["conditions"].as_array()?.clone();
            let of = |type_: &str| {
                conditions
                    .iter()
                    .find(|condition| condition["type"] == type_)
                    .cloned()
            };
            let (ready, stalled) = (of("Ready")?, of("Stalled")?);
            (ready["reason"] == reason && ready["status"] == "False" && stalled["status"] == "True")
                .then(|| ready["message"].to_string())
        })
        .await
    };
    for (name, _, expected) in &bad {
        let message = message(name, "InvalidObject").await;
        assert!(message.contains(expected), "{name}: {message}");
        assert!(!message.contains("canary"), "{message}");
    }
    // What the schema of this version would have refused is refused by the code as well.
    for (name, spec, field) in unusable() {
        let object = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": name}, "spec": spec});
        api.create(
            &PostParams::default(),
            &serde_json::from_value(object).unwrap(),
        )
        .await
        .unwrap();
        let message = message(name, "InvalidSpec").await;
        assert!(message.contains(field), "{name}: {message}");
    }
    // Corrected, it is taken up.
    let app = tenant.app("number");
    let spec = tenant.manifest("number", &app.id, json!({}))["spec"].clone();
    api.patch(
        "number",
        &PatchParams::default(),
        &Patch::Merge(json!({"spec": spec})),
    )
    .await
    .unwrap();
    tenant.ready("number").await;
    tenant.fence().await;
    assert_eq!((tenant.generates(&good), tenant.generates(&app)), (1, 1));
}

/// Takes the schema away, as an older or newer definition might lack a rule.
async fn loosen(tenant: &Tenant) {
    let api: Api<CustomResourceDefinition> = Api::all(tenant.client.clone());
    let name = "apiappsecrets.zitadel-secrets.dev";
    let mut definition = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    let version = &mut definition["spec"]["versions"][0];
    version["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    version.as_object_mut().unwrap().remove("selectableFields");
    api.replace(
        name,
        &PostParams::default(),
        &serde_json::from_value(definition).unwrap(),
    )
    .await
    .unwrap();
    let resource = ApiResource::erase::<ApiAppSecret>(&());
    let objects: Api<DynamicObject> =
        Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    let probe = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret", "metadata": {"name": "probe"}, "spec": 1});
    let probe: DynamicObject = serde_json::from_value(probe).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(PATIENCE, || async {
        objects.create(&params, &probe).await.ok().map(drop)
    })
    .await;
}
