//! The values: what is refused, and that the answer names the field.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::helm::{CHART, helm, refused, root, text};

#[test]
fn the_chart_lints_with_its_defaults_and_with_everything_switched_on() {
    for arguments in [&[][..], &["--values", "tests/chart/everything.yaml"]] {
        let usual = ["lint", "--strict", CHART];
        let output = helm(None, &[&usual, arguments].concat());
        let told = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{told}");
        assert!(told.contains("0 chart(s) failed"), "{told}");
        assert!(!told.contains("[WARNING]"), "{told}");
    }
}

#[test]
fn a_wrong_value_is_refused_and_the_answer_names_it() {
    for (argument, field) in [
        ("replicas=two", "/replicas"),
        ("replicas=-1", "/replicas"),
        ("replica=2", "'replica' not allowed"),
        ("image.tag=a b", "/image/tag"),
        ("image.digest=sha256:1", "/image/digest"),
        ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
        ("imagePullSecrets[0].nam=x", "/imagePullSecrets/0"),
        ("commonLabels.a=b c", "/commonLabels/a"),
        ("crds.instal=true", "/crds"),
        ("watchNamespaces=orders", "/watchNamespaces"),
        ("watchNamespaces={Orders}", "/watchNamespaces/0"),
        ("watchNamespaces={a,a}", "/watchNamespaces"),
        ("controllerClass=Team", "/controllerClass"),
        ("operator.minimumInterval=soon", "/operator/minimumInterval"),
        ("operator.driftInterval=10", "/operator/driftInterval"),
        ("operator.logFormat=xml", "/operator/logFormat"),
        ("operator.adminPort=80", "/operator/adminPort"),
        ("operator.adminAddress=localhost", "/operator/adminAddress"),
        ("operator.verbose=true", "/operator"),
        ("serviceAccount.create=perhaps", "/serviceAccount/create"),
        ("rbac.crate=false", "/rbac"),
        ("resources.limits.memory=1GB", "/resources/limits/memory"),
        ("resources.limits.memory=null", "/resources/limits"),
        (
            "terminationGracePeriodSeconds=5",
            "/terminationGracePeriodSeconds",
        ),
        (
            "podDisruptionBudget.maxUnavailable=0",
            "/podDisruptionBudget/maxUnavailable",
        ),
        (
            "podDisruptionBudget.maxUnavailable=half",
            "/podDisruptionBudget/maxUnavailable",
        ),
        ("service.port=0", "/service/port"),
        (
            "metrics.serviceMonitor.interval=often",
            "/metrics/serviceMonitor/interval",
        ),
        ("metrics.alerts.enabled=true", "/metrics"),
        (
            "metrics.podMonitor.honorLabels=no-matter",
            "/metrics/podMonitor/honorLabels",
        ),
        (
            "metrics.prometheusRule.runbookUrl=docs",
            "/metrics/prometheusRule/runbookUrl",
        ),
        (
            "networkPolicy.egressPorts={70000}",
            "/networkPolicy/egressPorts/0",
        ),
        ("connection.create=true", "/connection/url"),
        ("connection.url=iam.example.com", "/connection/url"),
        ("connection.organizationId=7", "/connection/organizationId"),
        ("connection.credential.token=x", "/connection/credential"),
        (
            "connection.credential.type=Password",
            "/connection/credential/type",
        ),
        (
            "connection.grants[0].projectIds[0]=a",
            "/connection/grants/0",
        ),
        (
            "connection.limits.maxInFlight=0",
            "/connection/limits/maxInFlight",
        ),
    ] {
        let usual = ["template", "zso", CHART, "--set", argument];
        let told = refused(&helm(None, &usual));
        assert!(told.contains(field), "{argument}: {told}");
    }
}

#[test]
fn what_the_schema_cannot_say_is_refused_with_what_to_do() {
    for (arguments, told) in [
        (
            &["--set", "resources.limits.memory=1Gi"][..],
            "requests.memory and limits.memory must be the same",
        ),
        (
            &[
                "--set",
                "metrics.serviceMonitor.enabled=true,metrics.podMonitor.enabled=true",
            ],
            "not both",
        ),
        (
            &[
                "--set",
                "metrics.serviceMonitor.enabled=true,service.enabled=false",
            ],
            "needs service.enabled",
        ),
        (
            &["--set", "serviceAccount.create=false"],
            "serviceAccount.name",
        ),
        (&["--kube-version", "1.31.0"], "kubeVersion"),
    ] {
        let usual = ["template", "zso", CHART];
        let answer = refused(&helm(None, &[&usual, arguments].concat()));
        assert!(answer.contains(told), "{arguments:?}: {answer}");
    }
}

/// The paths of all values, and which of them are maps that anybody may fill.
fn paths(value: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    for (name, value) in value.as_object().into_iter().flatten() {
        paths(value, &format!("{path}.{name}"), found);
    }
}

fn paths_of_schema(root: &Value, schema: &Value, path: &str, found: &mut BTreeSet<String>) {
    found.insert(path.to_owned());
    let schema = match schema["$ref"].as_str() {
        Some(reference) => root.pointer(reference.strip_prefix('#').unwrap()).unwrap(),
        None => schema,
    };
    for (name, field) in schema["properties"].as_object().into_iter().flatten() {
        paths_of_schema(root, field, &format!("{path}.{name}"), found);
    }
}

#[test]
fn every_value_has_a_default_and_a_schema_and_the_schema_allows_nothing_else() {
    let read = |name: &str| std::fs::read_to_string(root().join(CHART).join(name)).unwrap();
    let values: Value = serde_saphyr::from_str(&read("values.yaml")).unwrap();
    let schema: Value = serde_json::from_str(&read("values.schema.json")).unwrap();
    let (mut defaults, mut known) = (BTreeSet::new(), BTreeSet::new());
    paths(&values, "", &mut defaults);
    paths_of_schema(&schema, &schema, "", &mut known);
    // Subcharts are handed this one; what is in these maps is the user's.
    known.remove(".global");
    let open = [
        ".connection.limits.",
        ".connection.caBundle.",
        ".resources.limits.cpu",
    ];
    known.retain(|path| !open.iter().any(|prefix| path.starts_with(prefix)));
    defaults.retain(|path| path != ".metrics.dashboard.labels.grafana_dashboard");
    assert_eq!(defaults, known);
    closed(&schema, "");
}

/// Objects with named properties take no others.
fn closed(schema: &Value, path: &str) {
    // An environment variable has more fields than are worth repeating.
    let open = path.ends_with(".extraEnv.items");
    if schema["properties"].is_object() && schema["type"] == "object" && !open {
        assert_eq!(schema["additionalProperties"], false, "{path}");
    }
    for (name, inner) in schema.as_object().into_iter().flatten() {
        if name != "if" && name != "then" {
            closed(inner, &format!("{path}.{name}"));
        }
    }
}

#[test]
fn with_a_value_for_everything_no_field_is_left_out_by_mistake() {
    let rendered = text(&["--values", "tests/chart/everything.yaml"]);
    assert!(!rendered.contains("<no value>"), "{rendered}");
    assert!(!rendered.contains("%!"), "{rendered}");
}
