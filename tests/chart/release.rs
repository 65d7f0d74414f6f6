//! What `make release-dry-run` wrote: it is installed from exactly those files.

use std::path::PathBuf;

use aws_lc_rs::digest;
use k8s_openapi::api::apps::v1::Deployment;
use kube::api::Api;

use super::install::Kubelet;
use crate::support::controlplane::{ControlPlane, Options, client_from};
use crate::support::helm::{helm, root, succeeded};

const NAME: &str = "zitadel-secret-operator";

fn file(name: &str) -> PathBuf {
    root().join("target/release-dry-run").join(name)
}

/// The digest under which a registry has the image.
fn pushed() -> String {
    use std::fmt::Write as _;
    let index = std::fs::read(file("image/index.json")).unwrap();
    let hash = digest::digest(&digest::SHA256, &index);
    hash.as_ref()
        .iter()
        .fold("sha256:".to_owned(), |mut text, byte| {
            write!(text, "{byte:02x}").unwrap();
            text
        })
}

async fn image(cluster: &ControlPlane) -> String {
    let client = client_from(cluster.admin_kubeconfig()).await;
    let deployments: Api<Deployment> = Api::namespaced(client, NAME);
    let deployed = deployments.get(NAME).await.unwrap();
    let pod = deployed.spec.unwrap().template.spec.unwrap();
    pod.containers[0].image.clone().unwrap()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "make release-dry-run writes the files first"]
async fn the_files_of_a_release_install_its_image() {
    let version = env!("CARGO_PKG_VERSION");
    let by_helm = ControlPlane::start(Options::default()).await;
    let kubeconfig = by_helm.admin_kubeconfig();
    let _kubelet = Kubelet::start(client_from(kubeconfig).await);
    let chart = file(&format!("{NAME}-{version}.tgz"));
    let chart = chart.to_str().unwrap();
    let namespace = ["--namespace", NAME, "--create-namespace"];
    let install = [&["install", NAME, chart, "--wait"], &namespace[..]].concat();
    succeeded(&helm(Some(kubeconfig), &install));
    let listed = succeeded(&helm(Some(kubeconfig), &["list", "--namespace", NAME]));
    assert!(listed.contains(&format!("{NAME}-{version}")), "{listed}");
    let named = image(&by_helm).await;
    assert!(named.ends_with(&format!("/{NAME}@{}", pushed())), "{named}");

    let plain = ControlPlane::start(Options::default()).await;
    let manifests = file("install.yaml");
    let applied = plain.kubectl(&["apply", "-f", manifests.to_str().unwrap()]);
    succeeded(&applied);
    assert_eq!(image(&plain).await, named);

    let notes = std::fs::read_to_string(file("notes.md")).unwrap();
    assert!(!notes.contains("## ["), "the notes are one section");
    let listed = std::fs::read_dir(file("")).unwrap();
    let bills = listed.filter(|entry| {
        let name = entry.as_ref().unwrap().file_name();
        name.to_string_lossy().ends_with(".cdx.json")
    });
    assert!(bills.count() >= 1);
}
