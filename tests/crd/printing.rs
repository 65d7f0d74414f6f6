//! The definitions as the program prints them, and objects as kubectl finds and prints them.

use std::path::Path;
use std::process::Command;

use kube::Resource as _;
use kube::api::{ListParams, Patch, PatchParams, PostParams};
use serde_json::json;
use zitadel_secret_operator::api::{self, ApiAppSecret};

use crate::kinds::{Kind, cluster, directory};
use crate::support::eventually;
use crate::support::world::PATIENCE;

fn printed(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
        .args(arguments)
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn the_committed_definitions_are_what_the_program_prints_and_small() {
    let scratch = tempfile::tempdir().unwrap();
    printed(&["crd", "--output", scratch.path().to_str().unwrap()]);
    let names = |path: &Path| {
        let mut names: Vec<_> = path
            .read_dir()
            .unwrap()
            .map(|entry| entry.unwrap().file_name())
            .collect();
        names.sort();
        names
    };
    assert_eq!(names(&directory()), names(scratch.path()));
    let mut all = String::new();
    for (name, _) in api::documents().unwrap() {
        let committed = std::fs::read_to_string(directory().join(&name)).unwrap();
        let made = std::fs::read_to_string(scratch.path().join(&name)).unwrap();
        assert!(
            committed == made,
            "crds/{name} is not what `zitadel-secret-operator crd` prints: run `cargo run -- crd --output crds`"
        );
        assert!(made.len() < 100_000, "{name} has {} bytes", made.len());
        all.push_str("---\n");
        all.push_str(&made);
    }
    assert!(
        printed(&["crd"]) == all,
        "with and without --output the same is printed"
    );
}

#[tokio::test]
async fn objects_are_found_by_their_project_and_application() {
    let kind = Kind::app_secrets("selectable").await;
    for (name, project, app) in [("a", "1", "2"), ("b", "1", "3"), ("c", "4", "2")] {
        let object = kind.object(
            name,
            &[("projectId", json!(project)), ("appId", json!(app))],
        );
        kind.api
            .create(&PostParams::default(), &object)
            .await
            .unwrap();
    }
    let found = async |selector: &str| {
        let found = kind
            .api
            .list(&ListParams::default().fields(selector))
            .await
            .unwrap();
        found
            .items
            .into_iter()
            .map(|object| object.metadata.name.unwrap())
            .collect::<Vec<_>>()
    };
    assert_eq!(found("spec.projectId=1").await, ["a", "b"]);
    assert_eq!(found("spec.appId=2").await, ["a", "c"]);
    assert_eq!(found("spec.projectId=1,spec.appId=2").await, ["a"]);
}

#[tokio::test]
async fn kubectl_knows_both_kinds_by_short_name_and_category_and_prints_what_matters() {
    let kind = Kind::app_secrets("columns").await;
    let cluster = cluster().await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let namespace = kind.api.namespace().unwrap().to_owned();
    let connections = Kind::connections().await;
    connections
        .api
        .create(&PostParams::default(), &connections.object("columns", &[]))
        .await
        .unwrap();
    let now = "2026-01-01T00:00:00Z";
    let ready = json!({"type": "Ready", "status": "True", "reason": "UpToDate", "message": "the credential works", "lastTransitionTime": now});
    let status = json!({"status": {
        "conditions": [ready], "secretName": "orders-oauth", "sequence": "18446744073709551615", "nextRotationTime": "2999-01-01T00:00:00Z",
        "schedule": "every 30d", "lastRotation": {"time": now, "reason": "Due", "attempt": "x"},
    }});
    kind.api
        .patch_status("orders", &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();

    let get = |arguments: &[&str]| {
        let output = cluster.kubectl(arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        String::from_utf8(output.stdout).unwrap()
    };
    let words = |line: &str| {
        line.split("  ")
            .map(str::trim)
            .filter(|word| !word.is_empty())
            .map(str::to_owned)
            .collect::<Vec<_>>()
    };
    let table = |arguments: &[&str]| get(arguments).lines().map(words).collect::<Vec<_>>();
    // Discovery is cached by the API server for a moment.
    eventually(PATIENCE, || async {
        cluster
            .kubectl(&["get", "aas", "-A"])
            .status
            .success()
            .then_some(())
    })
    .await;
    let short = table(&["get", "aas", "-n", &namespace]);
    assert_eq!(
        short[0],
        [
            "NAME",
            "READY",
            "STATUS",
            "SECRET",
            "LAST ROTATION",
            "NEXT ROTATION",
            "AGE"
        ]
    );
    assert_eq!(
        short[1][..4],
        ["orders", "True", "UpToDate", "orders-oauth"]
    );
    assert_eq!(
        short[1][5], "2999-01-01T00:00:00Z",
        "kubectl would print a date in the future as <invalid>"
    );
    let wide = table(&["get", "aas", "-n", &namespace, "-o", "wide"]);
    assert_eq!(
        wide[0][7..],
        [
            "VERIFIED",
            "REASON",
            "CONSUMERS",
            "CONNECTION",
            "APP",
            "SCHEDULE",
            "MESSAGE"
        ]
    );
    assert_eq!(wide[1][7..], ["2", "every 30d", "the credential works"]);
    let connection = table(&["get", "zc", "columns"]);
    assert_eq!(
        connection[0],
        [
            "NAME",
            "READY",
            "STATUS",
            "URL",
            "API",
            "CREDENTIAL EXPIRY",
            "AGE"
        ]
    );
    let category = get(&["get", "zitadel", "-n", &namespace, "-o", "name"]);
    let names: Vec<&str> = category.lines().collect();
    assert!(
        names.contains(&"apiappsecret.zitadel-secrets.dev/orders"),
        "{names:?}"
    );
    assert!(
        names.contains(&"zitadelconnection.zitadel-secrets.dev/columns"),
        "{names:?}"
    );
    assert_eq!(ApiAppSecret::plural(&()), "apiappsecrets");
    let explained = get(&["explain", "aas.spec.rotation.interval"]);
    assert!(explained.contains("30d"), "{explained}");
}

#[tokio::test]
async fn the_kind_of_oidc_applications_has_the_same_columns_and_no_standby() {
    let definitions = api::definitions().unwrap();
    let columns = |kind: &str| {
        let of_kind = definitions.iter().find(|crd| crd.spec.names.kind == kind);
        of_kind.unwrap().spec.versions[0]
            .additional_printer_columns
            .clone()
    };
    assert_eq!(columns("OidcAppSecret"), columns("ApiAppSecret"));
    let kind = Kind::oidc_app_secrets("oidc-columns").await;
    kind.api
        .create(&PostParams::default(), &kind.object("web", &[]))
        .await
        .unwrap();
    let namespace = kind.api.namespace().unwrap();
    let cluster = cluster().await;
    let found = eventually(PATIENCE, || async {
        let output = cluster.kubectl(&["get", "oas,zitadel", "-n", namespace, "-o", "name"]);
        let printed = String::from_utf8(output.stdout).unwrap();
        output.status.success().then_some(printed)
    })
    .await;
    assert!(
        found.contains("oidcappsecret.zitadel-secrets.dev/web"),
        "{found}"
    );
    let explained = cluster.kubectl(&["explain", "oas.spec"]);
    let explained = String::from_utf8(explained.stdout).unwrap();
    assert!(explained.contains("The OIDC application"), "{explained}");
    for (path, value) in [
        ("standby", json!({"type": "Provisioned"})),
        ("rotation.overlap.minimum", json!("1h")),
    ] {
        let stored = kind.judged(&[(path, value)]).await.unwrap();
        let spec = stored.data["spec"].to_string();
        assert!(
            !spec.contains("standby") && !spec.contains("overlap"),
            "{spec}"
        );
    }
}
