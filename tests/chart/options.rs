//! What single values of the chart change.

use serde_json::{Value, json};

use crate::support::helm::{helm, of_kind, render, the};

#[test]
fn the_deployment_takes_annotations_a_history_and_a_runtime_class() {
    let objects = render(&[]);
    let deployment = the(&objects, "Deployment");
    assert_eq!(deployment["spec"]["revisionHistoryLimit"], 10);
    assert!(deployment["metadata"]["annotations"].is_null());
    let none = render(&["--set", "revisionHistoryLimit=0"]);
    assert_eq!(the(&none, "Deployment")["spec"]["revisionHistoryLimit"], 0);

    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    let deployment = the(&objects, "Deployment");
    assert_eq!(deployment["spec"]["revisionHistoryLimit"], 3);
    let annotations = &deployment["metadata"]["annotations"];
    assert_eq!(*annotations, json!({"example.com/owner": "platform"}));
    let pod = &deployment["spec"]["template"];
    assert_eq!(
        pod["metadata"]["annotations"],
        json!({"example.com/scrape": "false"})
    );
    // The check runs where the operator runs.
    for pod in [&pod["spec"], &the(&objects, "Pod")["spec"]] {
        assert_eq!(pod["runtimeClassName"], "gvisor");
    }
}

#[test]
fn the_service_has_ipv6_where_the_cluster_has_it_and_labels_of_its_own() {
    let of = |arguments: &[&str]| the(&render(arguments), "Service").clone();
    let service = of(&[]);
    assert_eq!(service["spec"]["ipFamilyPolicy"], "PreferDualStack");
    assert!(service["spec"]["ipFamilies"].is_null());
    let service = of(&["--set", "service.ipFamilyPolicy="]);
    assert!(service["spec"]["ipFamilyPolicy"].is_null());

    let service = of(&["--values", "tests/chart/everything.yaml"]);
    assert_eq!(service["spec"]["ipFamilyPolicy"], "RequireDualStack");
    assert_eq!(service["spec"]["ipFamilies"], json!(["IPv6", "IPv4"]));
    let labels = &service["metadata"]["labels"];
    assert_eq!(labels["scrape"], "metrics");
    assert_eq!(labels["team"], "platform", "of commonLabels");
    assert_eq!(labels["app.kubernetes.io/component"], "operator");
}

#[test]
fn everything_can_be_in_another_namespace_than_the_release() {
    let all = ["--values", "tests/chart/everything.yaml"];
    let moved = [&all[..], &["--set", "namespaceOverride=platform"]].concat();
    let objects = render(&moved);
    let namespaces = |object: &Value| object["metadata"]["namespace"].clone();
    let own: Vec<_> = objects.iter().map(namespaces).collect();
    // Roles in the watched namespaces stay there.
    let elsewhere = ["platform", "orders", "billing"];
    for namespace in own.iter().filter_map(Value::as_str) {
        assert!(elsewhere.contains(&namespace), "{namespace}");
    }
    for kind in [
        "Deployment",
        "ServiceAccount",
        "Service",
        "Pod",
        "ConfigMap",
    ] {
        assert_eq!(namespaces(the(&objects, kind)), "platform", "{kind}");
    }
    let bindings = ["ClusterRoleBinding", "RoleBinding"];
    let bindings = bindings.iter().flat_map(|kind| of_kind(&objects, kind));
    let mut subjects = 0;
    for binding in bindings {
        assert_eq!(binding["subjects"][0]["namespace"], "platform");
        subjects += 1;
    }
    assert!(subjects >= 3);
    let alerts = the(&objects, "PrometheusRule").to_string();
    assert!(alerts.contains("namespace=\\\"platform\\\""), "{alerts}");

    let usual = ["install", "zso", "charts/zitadel-secret-operator"];
    let further = ["--namespace", "apps", "--dry-run=client"];
    let set = ["--set", "namespaceOverride=platform"];
    let notes = helm(None, &[&usual[..], &further, &set].concat());
    let notes = String::from_utf8(notes.stdout).unwrap();
    assert!(
        notes.contains("kubectl -n platform create secret"),
        "{notes}"
    );
    assert!(notes.contains("helm test zso -n apps"), "{notes}");
}

#[test]
fn further_objects_are_rendered_as_templates() {
    assert!(of_kind(&render(&[]), "LimitRange").is_empty());
    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    assert_eq!(the(&objects, "LimitRange")["metadata"]["name"], "keeper");
    let two = "extraObjects[0].apiVersion=v1,extraObjects[0].kind=LimitRange,extraObjects[1].apiVersion=v1,extraObjects[1].kind=LimitRange";
    assert_eq!(of_kind(&render(&["--set", two]), "LimitRange").len(), 2);
}
