//! The YAML blocks of the pages are what the API server accepts: whole manifests as they are, parts of one in an object around them.

use std::path::Path;

use serde_json::{Map, Value, json};

use crate::markdown::{blocks, pages};
use crate::support::controlplane::ControlPlane;
use crate::support::helm::documents;
use crate::support::world::install_definitions;

/// Which fields of a spec only a connection has.
const OF_A_CONNECTION: [&str; 6] = ["url", "endpoint", "proxy", "tls", "auth", "grants"];

/// A spec of either kind with what must be there.
fn whole(mut spec: Map<String, Value>) -> Value {
    let connection = OF_A_CONNECTION
        .iter()
        .any(|field| spec.contains_key(*field));
    let (kind, missing) = if connection {
        let auth = json!({"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}});
        (
            "ZitadelConnection",
            json!({"url": "https://iam.example.com", "auth": auth}),
        )
    } else {
        ("ApiAppSecret", json!({"projectId": "1", "appId": "2"}))
    };
    for (field, value) in missing.as_object().unwrap() {
        spec.entry(field).or_insert(value.clone());
    }
    let mut metadata = json!({"name": "page"});
    if !connection {
        metadata["namespace"] = json!("orders");
    }
    json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": kind, "metadata": metadata, "spec": spec})
}

/// The object that a block is, or is a part of. None if it is of another kind than ours.
fn object(document: &Value) -> Option<Value> {
    if document.is_array() {
        let mut data = document.as_array().unwrap().clone();
        let secret = json!({"key": "CLIENT_SECRET", "from": "ClientSecret"});
        if !data.contains(&secret) {
            data.push(secret);
        }
        return Some(whole(Map::from_iter([(
            "secret".to_owned(),
            json!({"data": data}),
        )])));
    }
    let fields = document.as_object().unwrap();
    if let Some(version) = fields.get("apiVersion") {
        let ours = version
            .as_str()
            .unwrap()
            .starts_with("zitadel-secrets.dev/");
        return ours.then(|| document.clone());
    }
    let spec = fields
        .get("spec")
        .map_or(fields, |spec| spec.as_object().unwrap());
    let ours = OF_A_CONNECTION.iter().chain(&[
        "projectId",
        "appId",
        "secret",
        "rotation",
        "recovery",
        "standby",
        "suspend",
    ]);
    let ours = ours.into_iter().any(|field| spec.contains_key(*field));
    ours.then(|| whole(spec.clone()))
}

/// The API server takes the manifests of a file, found at `place`, without a warning.
pub fn accepted(cluster: &ControlPlane, file: &Path, place: &str) {
    let output = cluster.kubectl(&[
        "apply",
        "--server-side",
        "--dry-run=server",
        "--validate=strict",
        "--filename",
        file.to_str().unwrap(),
    ]);
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && errors.is_empty(),
        "{place}: {errors}"
    );
}

#[tokio::test]
async fn every_manifest_on_a_page_is_accepted_by_the_api_server() {
    let cluster = ControlPlane::shared().await;
    install_definitions(&cluster.client().await).await;
    cluster.namespace("orders").await;
    let mut tried = 0;
    for (path, page) in pages() {
        for block in blocks(&page)
            .into_iter()
            .filter(|block| block.language == "yaml")
        {
            // Values of the chart have a test of their own.
            if block.text.starts_with("# values") {
                continue;
            }
            let place = format!("{}:{}", path.display(), block.line);
            let objects: Vec<Value> = documents(&block.text).iter().filter_map(object).collect();
            if objects.is_empty() {
                continue;
            }
            let file = cluster.scratch().join("page.json");
            let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
            std::fs::write(&file, list.to_string()).unwrap();
            accepted(cluster, &file, &place);
            tried += objects.len();
        }
    }
    assert!(tried > 12, "{tried}");
}
