//! Every manifest in `examples/`, and those that the chart shows at Artifact Hub, are accepted by a real API server with the operator's CRDs.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::path::{Path, PathBuf};

use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, ObjectMeta, PostParams};
use serde_json::{Value, json};
use support::controlplane::ControlPlane;
use support::world::install_definitions;

fn manifests(directory: &Path, found: &mut Vec<PathBuf>) {
    for entry in std::fs::read_dir(directory).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            manifests(&path, found);
        } else if path
            .extension()
            .is_some_and(|extension| extension == "yaml")
        {
            found.push(path);
        }
    }
}

/// The examples in the chart's annotation, as one file.
fn shown_at_artifact_hub(directory: &Path) -> PathBuf {
    let chart = Path::new(env!("CARGO_MANIFEST_DIR")).join("charts/zitadel-secret-operator");
    let chart = std::fs::read_to_string(chart.join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&chart).unwrap();
    let examples = chart["annotations"]["artifacthub.io/crdsExamples"].as_str();
    let examples: Value = serde_saphyr::from_str(examples.unwrap()).unwrap();
    let file = directory.join("artifact-hub.json");
    let list = json!({"apiVersion": "v1", "kind": "List", "items": examples});
    std::fs::write(&file, list.to_string()).unwrap();
    file
}

#[tokio::test]
async fn every_example_is_accepted_by_the_api_server() {
    let cluster = ControlPlane::shared().await;
    let client = cluster.client().await;
    install_definitions(&client).await;
    let namespaces: Api<Namespace> = Api::all(client);
    for name in ["orders", "zitadel-secret-operator"] {
        let namespace = Namespace {
            metadata: ObjectMeta {
                name: Some(name.to_owned()),
                ..ObjectMeta::default()
            },
            ..Namespace::default()
        };
        match namespaces.create(&PostParams::default(), &namespace).await {
            Ok(_) => {}
            Err(kube::Error::Api(status)) if status.code == 409 => {}
            Err(error) => panic!("{error}"),
        }
    }
    let mut files = Vec::new();
    manifests(
        &Path::new(env!("CARGO_MANIFEST_DIR")).join("examples"),
        &mut files,
    );
    assert!(files.len() >= 5, "{files:?}");
    files.push(shown_at_artifact_hub(cluster.scratch()));
    for file in files {
        let file = file.to_str().unwrap();
        let output = cluster.kubectl(&[
            "apply",
            "--server-side",
            "--dry-run=server",
            "--validate=strict",
            "--filename",
            file,
        ]);
        let errors = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{file}: {errors}");
        assert!(!errors.contains("Warning"), "{file}: {errors}");
    }
}
