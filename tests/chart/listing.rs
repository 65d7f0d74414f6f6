//! What people read of the chart: the words after an installation, and what Artifact Hub shows.

use serde_json::Value;
use zitadel_secret_operator::api;

use crate::support::helm::{CHART, helm, root, succeeded};

/// What is said after an installation with these arguments.
fn notes(arguments: &[&str]) -> String {
    let usual = ["install", "zso", CHART, "--namespace", "operators"];
    let dry = ["--dry-run=client"];
    let said = succeeded(&helm(None, &[&usual[..], &dry, arguments].concat()));
    let (_, notes) = said.split_once("\nNOTES:\n").unwrap();
    notes.to_owned()
}

#[test]
fn after_the_installation_the_next_commands_are_said_and_fit_the_values() {
    let said = notes(&["--values", "tests/chart/everything.yaml"]);
    for line in [
        "kubectl -n operators create secret generic zitadel-key --from-file=key.json",
        "kubectl apply -f connection.yaml -f orders-api.yaml",
        "helm test zso -n operators",
    ] {
        assert!(said.contains(&format!("\n  {line}\n")), "{line}: {said}");
    }
    assert!(said.contains("orders, billing"), "{said}");
    assert!(said.contains("spec.controllerClass: team-a"), "{said}");

    let said = notes(&[]);
    assert!(said.contains("all namespaces"), "{said}");
    assert!(!said.contains("controllerClass"), "{said}");
    assert!(said.contains("\n  helm test zso -n operators\n"), "{said}");
}

#[test]
fn artifact_hub_lists_the_kinds_that_exist() {
    let text = std::fs::read_to_string(root().join(CHART).join("Chart.yaml")).unwrap();
    let chart: Value = serde_saphyr::from_str(&text).unwrap();
    let annotation = |name: &str| -> Value {
        let text = chart["annotations"][format!("artifacthub.io/{name}")].as_str();
        serde_saphyr::from_str(text.unwrap()).unwrap()
    };
    let list = |value: &Value, field: &dyn Fn(&Value) -> String| {
        let mut list: Vec<_> = value.as_array().unwrap().iter().map(field).collect();
        list.sort();
        list
    };
    let definitions: Vec<Value> = api::documents()
        .unwrap()
        .iter()
        .map(|(_, yaml)| serde_saphyr::from_str(yaml).unwrap())
        .collect();
    let definitions = Value::Array(definitions);
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    assert_eq!(
        list(&annotation("crds"), &|kind| [
            &kind["kind"],
            &kind["version"],
            &kind["name"]
        ]
        .map(text)
        .join(" ")),
        list(&definitions, &|kind| [
            &kind["spec"]["names"]["kind"],
            &kind["spec"]["versions"][0]["name"],
            &kind["metadata"]["name"]
        ]
        .map(text)
        .join(" "))
    );
    // A test of the examples gives these to an API server.
    assert_eq!(
        list(&annotation("crdsExamples"), &|example| text(
            &example["kind"]
        )),
        list(&definitions, &|kind| text(&kind["spec"]["names"]["kind"]))
    );
    assert_eq!(chart["version"], env!("CARGO_PKG_VERSION"));
    assert_eq!(chart["appVersion"], env!("CARGO_PKG_VERSION"));
}
