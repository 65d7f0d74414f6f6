//! The values: what is refused, and that the answer names the field.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::support::helm::{CHART, helm, refused, render, root, text, the};

#[test]
fn the_chart_lints_with_its_defaults_and_with_everything_switched_on() {
    for arguments in [&[][..], &["--values", "tests/chart/everything.yaml"]] {
        let usual = ["lint", "--strict", CHART];
        let output = helm(None, &[&usual, arguments].concat());
        let printed = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success(), "{printed}");
        assert!(printed.contains("0 chart(s) failed"), "{printed}");
        assert!(!printed.contains("[WARNING]"), "{printed}");
    }
}

/// A wrong value, and what the answer says of it.
const WRONG: &[(&str, &str)] = &[
    ("replicas=two", "/replicas"),
    ("replicas=-1", "/replicas"),
    ("replica=2", "'replica' not allowed"),
    ("revisionHistoryLimit=-1", "/revisionHistoryLimit"),
    (
        "image.registry=https://registry.example.com",
        "/image/registry",
    ),
    ("image.registry=registry.example.com/", "/image/registry"),
    ("namespaceOverride=a.b", "/namespaceOverride"),
    ("runtimeClassName=gVisor", "/runtimeClassName"),
    ("deploymentAnnotations=x", "/deploymentAnnotations"),
    ("service.labels.a=b c", "/service/labels/a"),
    (
        r"service.labels.app\.kubernetes\.io/component=x",
        "/service/labels/app.kubernetes.io~1component",
    ),
    (
        "service.ipFamilyPolicy=DualStack",
        "/service/ipFamilyPolicy",
    ),
    ("service.ipFamilies={IPv5}", "/service/ipFamilies/0"),
    ("service.ipFamilies={IPv4,IPv4}", "/service/ipFamilies"),
    ("extraObjects={x}", "/extraObjects/0"),
    ("image.tag=a b", "/image/tag"),
    ("image.digest=sha256:1", "/image/digest"),
    ("image.pullPolicy=Sometimes", "/image/pullPolicy"),
    ("imagePullSecrets[0].nam=x", "/imagePullSecrets/0"),
    ("commonLabels.a=b c", "/commonLabels/a"),
    ("commonLabels.a b=c", "/commonLabels"),
    (
        r"commonLabels.app\.kubernetes\.io/name=x",
        "/commonLabels/app.kubernetes.io~1name",
    ),
    (
        r"podLabels.app\.kubernetes\.io/component=x",
        "/podLabels/app.kubernetes.io~1component",
    ),
    (
        r"metrics.dashboard.labels.helm\.sh/chart=x",
        "/metrics/dashboard/labels/helm.sh~1chart",
    ),
    ("fullnameOverride=my.operator", "/fullnameOverride"),
    ("fullnameOverride=1st", "/fullnameOverride"),
    ("nameOverride=my.operator", "/nameOverride"),
    ("crds.instal=true", "/crds"),
    ("watchNamespaces=orders", "/watchNamespaces"),
    ("watchNamespaces={Orders}", "/watchNamespaces/0"),
    ("watchNamespaces={a,a}", "/watchNamespaces"),
    ("controllerClass=Team", "/controllerClass"),
    ("operator.minimumInterval=soon", "/operator/minimumInterval"),
    ("operator.minimumInterval=1h1h", "/operator/minimumInterval"),
    ("operator.minimumInterval=1m1h", "/operator/minimumInterval"),
    ("operator.driftInterval=10", "/operator/driftInterval"),
    ("operator.extraArgs={run}", "/operator/extraArgs/0"),
    ("operator.logFormat=xml", "/operator/logFormat"),
    ("operator.adminPort=80", "/operator/adminPort"),
    ("operator.adminAddress=localhost", "/operator/adminAddress"),
    ("operator.adminAddress=999.1.1.1", "/operator/adminAddress"),
    ("operator.adminAddress=1.2.3", "/operator/adminAddress"),
    ("operator.adminAddress=[:::]", "/operator/adminAddress"),
    ("operator.verbose=true", "/operator"),
    (
        "podSecurityContext.runAsUser=0",
        "/podSecurityContext/runAsUser",
    ),
    (
        "podSecurityContext.runAsNonRoot=false",
        "/podSecurityContext/runAsNonRoot",
    ),
    ("securityContext.privileged=true", "/securityContext"),
    (
        "securityContext.allowPrivilegeEscalation=true",
        "/securityContext/allowPrivilegeEscalation",
    ),
    (
        "securityContext.capabilities.drop={NET_RAW}",
        "/securityContext/capabilities/drop",
    ),
    ("dnsPolicy=Cluster", "/dnsPolicy"),
    ("hostAliases[0].ip=1.2.3.4", "/hostAliases/0"),
    ("extraVolumes[0].emptyDir.medium=Memory", "/extraVolumes/0"),
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
    (
        "podDisruptionBudget.maxUnavailable=0%",
        "/podDisruptionBudget/maxUnavailable",
    ),
    ("service.port=0", "/service/port"),
    (
        "metrics.serviceMonitor.interval=1s1m",
        "/metrics/serviceMonitor/interval",
    ),
    ("networkPolicy.dnsPorts={}", "/networkPolicy/dnsPorts"),
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
        "metrics.prometheusRule.alerts.ZitadelSecretHolds.enabled=false",
        "invalid propertyName 'ZitadelSecretHolds'",
    ),
    (
        "networkPolicy.egressPorts={70000}",
        "/networkPolicy/egressPorts/0",
    ),
    ("connection.create=true", "'connection' not allowed"),
];

#[test]
fn a_wrong_value_is_refused_and_the_answer_names_it() {
    for (argument, field) in WRONG {
        let usual = ["template", "zso", CHART, "--set", argument];
        let printed = refused(&helm(None, &usual));
        assert!(printed.contains(field), "{argument}: {printed}");
    }
}

#[test]
fn what_the_chart_says_to_the_operator_cannot_be_said_again() {
    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    let mut refusals = 0;
    for argument in container["args"].as_array().unwrap() {
        let flag = argument.as_str().unwrap().split('=').next().unwrap();
        // The one of operator.extraArgs.
        if flag == "--protocol-speed" || !flag.starts_with("--") {
            continue;
        }
        let again = format!("operator.extraArgs[0]={flag}=x");
        let printed = refused(&helm(None, &["template", "zso", CHART, "--set", &again]));
        assert!(
            printed.contains("/operator/extraArgs/0"),
            "{again}: {printed}"
        );
        refusals += 1;
    }
    for variable in container["env"].as_array().unwrap() {
        if variable["valueFrom"].is_null() {
            continue;
        }
        let name = variable["name"].as_str().unwrap();
        let again = format!("operator.extraEnv[0].name={name}");
        let printed = refused(&helm(None, &["template", "zso", CHART, "--set", &again]));
        assert!(
            printed.contains("/operator/extraEnv/0"),
            "{again}: {printed}"
        );
        refusals += 1;
    }
    assert!(refusals >= 12, "{refusals}");
}

#[test]
fn values_at_the_edge_are_accepted_and_are_what_the_operator_reads() {
    for (value, accepted) in [
        (
            "operator.minimumInterval=1w2d3h4m5s",
            "--minimum-interval=1w2d3h4m5s",
        ),
        (
            "operator.adminAddress=127.0.0.1",
            "--admin-address=127.0.0.1:8080",
        ),
        ("operator.adminAddress=[::1]", "--admin-address=[::1]:8080"),
        (
            "operator.adminAddress=[fe80::1:2]",
            "--admin-address=[fe80::1:2]:8080",
        ),
        (
            "operator.adminAddress=[1:2:3:4:5:6:7:8]",
            "--admin-address=[1:2:3:4:5:6:7:8]:8080",
        ),
        ("operator.log=info: #x", "--log=info: #x"),
        (
            "operator.extraArgs={--protocol-speed=3}",
            "--protocol-speed=3",
        ),
    ] {
        let objects = render(&["--set", value]);
        let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
        let arguments = pod["containers"][0]["args"].as_array().unwrap();
        assert!(arguments.iter().any(|a| a == accepted), "{arguments:?}");
    }
}

#[test]
fn what_the_schema_cannot_say_is_refused_with_what_to_do() {
    for (arguments, expected) in [
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
        assert!(answer.contains(expected), "{arguments:?}: {answer}");
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
        ".podSecurityContext.",
        ".resources.limits.cpu",
        ".securityContext.",
    ];
    defaults.retain(|path| !path.to_lowercase().contains("securitycontext."));
    known.retain(|path| !open.iter().any(|prefix| path.starts_with(prefix)));
    defaults.retain(|path| path != ".metrics.dashboard.labels.grafana_dashboard");
    assert_eq!(defaults, known);
    closed(&schema, "");
}

/// Objects with named properties take no others.
fn closed(schema: &Value, path: &str) {
    // An environment variable or a volume has more fields than are worth repeating.
    let open = path.ends_with(".extraEnv.items") || path.ends_with(".namedObjects.items");
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
