//! Definitions that are replaced under a running operator, and objects that are applied with them.
//!
//! NB: for a second the API server's watches still show objects by the schema that was replaced: without fields that it did not have. A
//! watch that goes on from there never shows them again.

use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::Client;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};

use crate::fixtures::{assert_status, dynamic_connections, stalled_connection};
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{Operator, PATIENCE, World, install_definitions};

const CONNECTIONS: Plural = Plural("zitadelconnections");
const OBJECTS: Plural = Plural("apiappsecrets");

struct Plural(&'static str);

impl Plural {
    /// Replaces the definition by one whose spec has no field of this name and no rules.
    async fn define_without(&self, client: &Client, field: &str) {
        let name = format!("{}.zitadel-secrets.dev", self.0);
        let api: Api<CustomResourceDefinition> = Api::all(client.clone());
        let definition = api.get(&name).await.unwrap();
        let mut definition = serde_json::to_value(definition).unwrap();
        let schema = &mut definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"];
        remove(&mut schema["properties"]["spec"], field);
        let definition = serde_json::from_value(definition).unwrap();
        api.replace(&name, &PostParams::default(), &definition)
            .await
            .unwrap();
    }

    /// Waits until the API server keeps a field of an object, or drops it.
    async fn until_kept(&self, client: &Client, object: &Value, field: &str, kept: bool) {
        let namespace = object["metadata"]["namespace"].as_str();
        let namespace = namespace.map_or_else(String::new, |name| format!("namespaces/{name}/"));
        let path = format!("/apis/zitadel-secrets.dev/v1alpha1/{namespace}{}", self.0);
        let uri = format!("{path}?dryRun=All");
        let mut probe = object.clone();
        probe["metadata"]["name"] = json!("probe");
        eventually(PATIENCE, || async {
            let body = serde_json::to_vec(&probe).unwrap();
            let request = http::Request::post(&uri).header("content-type", "application/json");
            let answer = client.request::<Value>(request.body(body).unwrap()).await;
            (answer.ok()?.pointer(field).is_some() == kept).then_some(())
        })
        .await;
    }
}

/// Removes a field from a schema, and what may mention it.
fn remove(schema: &mut Value, field: &str) {
    const RULES: [&str; 4] = [
        "required",
        "x-kubernetes-validations",
        "x-kubernetes-list-type",
        "x-kubernetes-list-map-keys",
    ];
    if let Value::Object(members) = schema {
        members.retain(|member, _| !RULES.contains(&member.as_str()) && member != field);
    }
    let inner: Vec<&mut Value> = match schema {
        Value::Object(members) => members.values_mut().collect(),
        Value::Array(items) => items.iter_mut().collect(),
        _ => Vec::new(),
    };
    for inner in inner {
        remove(inner, field);
    }
}

fn start(world: &World) -> Operator {
    let arguments = ["--protocol-speed", "20"];
    Operator::start(&world.kubeconfig, &world.directory, &arguments)
}

#[tokio::test]
async fn an_object_that_is_applied_with_its_definition_is_taken_with_all_of_its_fields() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("team").await;
    let app = tenant.app("suspended");
    let manifest = tenant.manifest("suspended", &app.id, json!({"suspend": true}));
    OBJECTS.define_without(&tenant.client, "suspend").await;
    let kept = |kept| OBJECTS.until_kept(&tenant.client, &manifest, "/spec/suspend", kept);
    kept(false).await;
    let _operator = start(&world);
    tenant.issued("shown", json!({})).await;
    install_definitions(&tenant.client).await;
    kept(true).await;
    let suspended = json!({"suspend": true});
    tenant.apply("suspended", &app.id, suspended).await.unwrap();
    assert_status!(tenant, "suspended", "Suspended", !Ready);
    assert_eq!(tenant.generates(&app), 0);
}

#[tokio::test]
async fn a_connection_that_is_applied_with_its_definition_is_taken_with_all_of_its_fields() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("team").await;
    let manifest = tenant.connection_manifest(json!({}));
    CONNECTIONS.define_without(&tenant.client, "auth").await;
    let kept = |kept| CONNECTIONS.until_kept(&tenant.client, &manifest, "/spec/auth", kept);
    kept(false).await;
    let _operator = start(&world);
    stalled_connection(&tenant, "InvalidObject").await;
    let connections = dynamic_connections(&tenant);
    let name = &tenant.namespace;
    connections
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    install_definitions(&tenant.client).await;
    kept(true).await;
    tenant.apply_connection(json!({})).await;
    assert_eq!(tenant.connection_reason().await, "Connected");
}

#[tokio::test]
async fn a_field_of_a_connection_that_came_with_its_definition_is_not_overlooked() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("team").await;
    let elsewhere = json!({"endpoint": "https://127.0.0.1:1"});
    let manifest = tenant.connection_manifest(elsewhere.clone());
    CONNECTIONS.define_without(&tenant.client, "endpoint").await;
    let kept = |kept| CONNECTIONS.until_kept(&tenant.client, &manifest, "/spec/endpoint", kept);
    kept(false).await;
    let _operator = start(&world);
    tenant.connected().await;
    install_definitions(&tenant.client).await;
    kept(true).await;
    tenant.apply_connection(elsewhere).await;
    tenant.until_connection("ZitadelUnreachable").await;
}
