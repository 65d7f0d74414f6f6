//! What the templates make of the values.

use std::collections::{BTreeMap, BTreeSet};
use std::ffi::OsString;

use clap::{CommandFactory as _, Parser as _};
use serde_json::{Value, json};
use zitadel_secret_operator::api;
use zitadel_secret_operator::cli::{Cli, Command};

use crate::support::helm::{
    CHART, documents, helm, of_kind, program, render, root, succeeded, text, the,
};

/// The annotation with which Helm leaves an object behind.
const KEEP: &str = "\n  annotations:\n    helm.sh/resource-policy: keep";

fn container(pod: &Value) -> &Value {
    let containers = pod["containers"].as_array().unwrap();
    assert_eq!(containers.len(), 1);
    &containers[0]
}

/// The arguments of a container, as the operator reads them.
fn command(pod: &Value) -> Command {
    let arguments = container(pod)["args"].as_array().unwrap().iter();
    let arguments = arguments.map(|argument| OsString::from(argument.as_str().unwrap()));
    Cli::try_parse_from(
        [OsString::from("zitadel-secret-operator")]
            .into_iter()
            .chain(arguments),
    )
    .unwrap_or_else(|error| panic!("{error}"))
    .command
}

#[test]
fn the_definitions_are_those_of_the_code_and_stay_when_the_release_goes() {
    let rendered = text(&["--show-only", "templates/crds.yaml"]);
    let definitions = api::documents().unwrap();
    for (name, yaml) in &definitions {
        let read = |path: &str| std::fs::read_to_string(root().join(path)).unwrap();
        assert_eq!(
            read(&format!("{CHART}/files/crds/{name}")),
            *yaml,
            "{name}: run `make crds`"
        );
        assert_eq!(
            read(&format!("crds/{name}")),
            *yaml,
            "{name}: run `make crds`"
        );
        let kept = yaml.replacen("\nmetadata:", &format!("\nmetadata:{KEEP}"), 1);
        assert!(rendered.contains(&kept), "{name}");
    }
    assert_eq!(rendered.matches(KEEP).count(), definitions.len());
    assert_eq!(documents(&rendered).len(), definitions.len());
    let without = render(&["--set", "crds.install=false"]);
    assert!(of_kind(&without, "CustomResourceDefinition").is_empty());
}

#[test]
fn the_pods_may_do_nothing_to_their_node() {
    let objects = render(&[]);
    let deployed = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let check = &the(&objects, "Pod")["spec"];
    for pod in [deployed, check] {
        assert_eq!(
            pod["securityContext"],
            json!({
                "runAsNonRoot": true, "runAsUser": 65532, "runAsGroup": 65532,
                "seccompProfile": {"type": "RuntimeDefault"}
            })
        );
        assert_eq!(
            container(pod)["securityContext"],
            json!({
                "allowPrivilegeEscalation": false, "readOnlyRootFilesystem": true,
                "capabilities": {"drop": ["ALL"]}
            })
        );
        for field in ["hostNetwork", "hostPID", "hostIPC", "volumes"] {
            assert!(pod.get(field).is_none(), "{field}");
        }
        let resources = &container(pod)["resources"];
        assert_eq!(
            resources["requests"]["memory"],
            resources["limits"]["memory"]
        );
        assert!(resources["limits"]["memory"].is_string());
    }
}

#[test]
fn openshift_can_choose_the_user_itself() {
    let chosen = "podSecurityContext.runAsUser=null,podSecurityContext.runAsGroup=null";
    let objects = render(&["--set", chosen]);
    for pod in [
        &the(&objects, "Deployment")["spec"]["template"]["spec"],
        &the(&objects, "Pod")["spec"],
    ] {
        assert_eq!(
            pod["securityContext"],
            json!({"runAsNonRoot": true, "seccompProfile": {"type": "RuntimeDefault"}})
        );
    }
}

#[test]
fn labels_of_one_s_own_are_there_once_and_never_in_place_of_the_chart_s() {
    // NB: a key that is there twice cannot be read at all.
    let both = "commonLabels.team=a,commonLabels.tier=x,podLabels.team=b,metrics.dashboard.enabled=true,metrics.dashboard.labels.team=c";
    let objects = render(&["--set", both]);
    let deployment = the(&objects, "Deployment");
    let labels = |object: &Value| {
        let labels = &object["metadata"]["labels"];
        [&labels["team"], &labels["tier"]].map(|label| label.as_str().unwrap().to_owned())
    };
    assert_eq!(labels(deployment), ["a", "x"]);
    assert_eq!(labels(&deployment["spec"]["template"]), ["b", "x"]);
    assert_eq!(labels(the(&objects, "ConfigMap")), ["c", "x"]);
    let usual = r"commonLabels.app\.kubernetes\.io/name=x";
    let objects = render(&["--set", usual, "--skip-schema-validation"]);
    let deployment = the(&objects, "Deployment");
    let pods = &deployment["spec"]["template"]["metadata"]["labels"];
    assert!(selects(
        &deployment["spec"]["selector"]["matchLabels"],
        pods
    ));
}

const RELEASED: &str = "registry.example.com/team/operator";
const HOME: &str = "https://git.example.com/team/operator";

/// What a release of an image with this digest publishes beside it: a directory, and the chart in it.
pub fn released(digest: &str) -> (tempfile::TempDir, String) {
    let out = tempfile::tempdir().unwrap();
    let output = std::process::Command::new(root().join("deploy/release.sh"))
        .args([RELEASED, digest, HOME])
        .arg(out.path())
        .env("ZSO_HELM", program())
        .output();
    succeeded(&output.unwrap());
    let version = env!("CARGO_PKG_VERSION");
    let chart = out
        .path()
        .join(format!("zitadel-secret-operator-{version}.tgz"));
    let chart = chart.to_str().unwrap().to_owned();
    (out, chart)
}

#[test]
fn a_released_chart_names_its_image_by_digest_and_every_word_of_the_user_wins_over_it() {
    let digest = format!("sha256:{:064}", 1);
    let (_copy, chart) = released(&digest);
    let image = |set: &str| {
        let output = helm(None, &["template", "x", &chart, "--set", set]);
        let objects = documents(&succeeded(&output));
        let of = |pod: &Value| container(pod)["image"].as_str().unwrap().to_owned();
        let image = of(&the(&objects, "Deployment")["spec"]["template"]["spec"]);
        assert_eq!(of(&the(&objects, "Pod")["spec"]), image);
        image
    };
    let version = env!("CARGO_PKG_VERSION");
    let other = format!("sha256:{:064}", 2);
    assert_eq!(image("replicas=1"), format!("{RELEASED}@{digest}"));
    assert_eq!(image("image.tag=edge"), format!("{RELEASED}:edge"));
    let both = format!("image.tag=edge,image.digest={other}");
    assert_eq!(image(&both), format!("{RELEASED}@{other}"));
    // An image of one's own may have another digest.
    let elsewhere = "image.repository=registry.example.com/team/operator-2";
    assert_eq!(image(elsewhere), format!("{RELEASED}-2:{version}"));
    for own in ["operator", "team/operator"] {
        let other = format!("image.repository={own}");
        assert_eq!(image(&other), format!("{own}:{version}"));
    }
    // A mirror has the same one, whether it keeps the name of the registry or not.
    let mirror = "image.registry=mirror.example.com:5000";
    let path = "mirror.example.com:5000";
    assert_eq!(image(mirror), format!("{path}/{RELEASED}@{digest}"));
    let short = format!("{mirror},image.repository=team/operator");
    assert_eq!(image(&short), format!("{path}/team/operator@{digest}"));
    let tagged = format!("{short},image.tag=edge");
    assert_eq!(image(&tagged), format!("{path}/team/operator:edge"));
    let another = format!("{mirror},image.repository=operator");
    assert_eq!(image(&another), format!("{path}/operator:{version}"));
}

#[test]
fn the_operator_has_ten_seconds_less_than_its_pod_to_write_what_it_holds() {
    for seconds in [120, 300] {
        let set = format!("terminationGracePeriodSeconds={seconds}");
        let objects = render(&["--set", &set]);
        let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
        assert_eq!(pod["terminationGracePeriodSeconds"], seconds);
        let Command::Run(run) = command(pod) else {
            panic!("the container runs the operator");
        };
        assert_eq!(run.grace.as_secs() + 10, seconds);
    }
    let objects = render(&[]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    assert_eq!(pod["terminationGracePeriodSeconds"], 120);
}

#[test]
fn the_values_become_flags_that_the_operator_understands() {
    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let Command::Run(run) = command(pod) else {
        panic!("the container runs the operator");
    };
    assert_eq!(run.scope.watch_namespaces, ["orders", "billing"]);
    assert_eq!(run.admin_address.to_string(), "0.0.0.0:9090");
    assert!(run.leader_elect && run.metrics_per_object);
    assert!(run.consumers.refresh && run.consumers.restart);
    assert_eq!(run.minimum_interval.as_secs(), 36 * 3600);
    assert_eq!(run.drift_interval.as_secs(), 300);
    assert_eq!(
        run.log.as_deref(),
        Some("info,zitadel_secret_operator=debug")
    );
    assert_eq!(
        container(pod)["env"][3],
        json!({"name": "TZ", "value": "UTC"})
    );
    let image = container(pod)["image"].as_str().unwrap();
    assert!(
        image.starts_with("registry.example.com:5000/tools/zitadel-secret-operator@sha256:0123")
    );
    assert_eq!(pod["priorityClassName"], "system-cluster-critical");
    assert_eq!(pod["serviceAccountName"], "keeper-of-secrets");
    assert_eq!(container(pod)["ports"][0]["containerPort"], 9090);
    assert_eq!(pod["volumes"][0]["name"], "extra");
    assert_eq!(container(pod)["volumeMounts"][0]["name"], "extra");
    for pod in [pod, &the(&objects, "Pod")["spec"]] {
        assert_eq!(pod["dnsPolicy"], "None");
        assert_eq!(pod["dnsConfig"]["nameservers"], json!(["10.0.0.10"]));
        assert_eq!(pod["hostAliases"][0]["ip"], "10.1.2.3");
    }

    let Command::Check(check) = command(&the(&objects, "Pod")["spec"]) else {
        panic!("the test checks");
    };
    assert_eq!(check.leader_elect, run.leader_elect);
    assert!(check.consumers.refresh && check.consumers.restart);
    assert_eq!(check.scope.watch_namespaces, ["orders", "billing"]);
    for scope in [&run.scope, &check.scope] {
        assert_eq!(scope.controller_class, "team-a");
    }
    assert_eq!(run.protocol_speed, 1, "of operator.extraArgs");

    let objects = render(&[]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let Command::Run(run) = command(pod) else {
        panic!("the container runs the operator");
    };
    assert!(run.scope.watch_namespaces.is_empty(), "the whole cluster");
    assert!(!run.consumers.refresh && !run.consumers.restart);
    assert_eq!(run.scope.controller_class, api::DEFAULT_CLASS);
    let version = env!("CARGO_PKG_VERSION");
    let image = format!("zitadel-secret-operator:{version}");
    assert_eq!(
        container(pod)["image"],
        image,
        "the chart's appVersion is the program's"
    );
}

#[test]
fn the_pod_tells_the_operator_its_namespace_name_and_uid_in_variables_that_it_reads() {
    let command = Cli::command();
    let arguments = command
        .get_subcommands()
        .flat_map(clap::Command::get_arguments);
    let known: Vec<_> = arguments.filter_map(clap::Arg::get_env).collect();
    let objects = render(&[]);
    let deployed = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let fields = [
        ("POD_NAMESPACE", "metadata.namespace"),
        ("POD_NAME", "metadata.name"),
        ("POD_UID", "metadata.uid"),
    ];
    for (pod, fields) in [
        (deployed, &fields[..]),
        (&the(&objects, "Pod")["spec"], &fields[..1]),
    ] {
        let variables = container(pod)["env"].as_array().unwrap();
        for (name, field) in fields {
            assert!(known.iter().any(|known| known == name), "{name}");
            let from = json!({"name": name, "valueFrom": {"fieldRef": {"fieldPath": field}}});
            assert!(variables.contains(&from), "{name}");
        }
        assert_eq!(variables.len(), fields.len());
    }
}

#[test]
fn probes_ask_the_pages_that_are_there_and_a_stuck_process_alone_is_restarted() {
    let objects = render(&[]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let probe = |name: &str| container(pod)[name]["httpGet"].clone();
    assert_eq!(
        probe("livenessProbe"),
        json!({"path": "/live", "port": "admin"})
    );
    assert_eq!(
        probe("readinessProbe"),
        json!({"path": "/ready", "port": "admin"})
    );
    assert_eq!(container(pod)["ports"][0]["name"], "admin");
}

#[test]
fn several_replicas_are_spread_and_not_evicted_all_at_once_and_one_is_no_obstacle() {
    let one = render(&[]);
    assert!(of_kind(&one, "PodDisruptionBudget").is_empty());
    let spread = |objects: &[Value]| {
        the(objects, "Deployment")["spec"]["template"]["spec"]["topologySpreadConstraints"].clone()
    };
    assert!(spread(&one).is_null());
    let two = render(&["--set", "replicas=2"]);
    let budget = the(&two, "PodDisruptionBudget");
    let pods = the(&two, "Deployment")["spec"]["template"]["metadata"]["labels"].clone();
    for selector in [
        &budget["spec"]["selector"]["matchLabels"],
        &spread(&two)[0]["labelSelector"]["matchLabels"],
        &the(&two, "Deployment")["spec"]["selector"]["matchLabels"],
    ] {
        assert!(selects(selector, &pods), "{selector}");
    }
    assert_eq!(budget["spec"]["maxUnavailable"], 1);
    let off = render(&["--set", "replicas=2,podDisruptionBudget.enabled=false"]);
    assert!(of_kind(&off, "PodDisruptionBudget").is_empty());
    let check = &the(&two, "Pod")["metadata"]["labels"];
    assert!(!selects(&budget["spec"]["selector"]["matchLabels"], check));
}

fn selects(selector: &Value, labels: &Value) -> bool {
    let selector = selector.as_object().unwrap();
    !selector.is_empty() && selector.iter().all(|(name, value)| labels[name] == *value)
}

#[test]
fn monitoring_is_off_until_it_is_asked_for_and_finds_the_operator() {
    let kinds = [
        "ServiceMonitor",
        "PodMonitor",
        "PrometheusRule",
        "ConfigMap",
        "NetworkPolicy",
    ];
    let objects = render(&[]);
    for kind in kinds {
        assert!(of_kind(&objects, kind).is_empty(), "{kind}");
    }
    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    let service = the(&objects, "Service");
    let monitor = the(&objects, "ServiceMonitor");
    let pods = &the(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&service["spec"]["selector"], pods));
    assert!(selects(
        &monitor["spec"]["selector"]["matchLabels"],
        &service["metadata"]["labels"]
    ));
    let check = &the(&objects, "Pod")["metadata"]["labels"];
    assert!(!selects(&service["spec"]["selector"], check));
    assert_eq!(
        monitor["spec"]["endpoints"][0]["port"],
        service["spec"]["ports"][0]["name"]
    );
    assert_eq!(service["spec"]["ports"][0]["targetPort"], "admin");
    // Else the namespace of an object would be called exported_namespace.
    assert_eq!(monitor["spec"]["endpoints"][0]["honorLabels"], true);
    assert_eq!(monitor["metadata"]["labels"]["release"], "monitoring");
    let further = |endpoint: &Value| {
        assert_eq!(endpoint["scrapeTimeout"], "10s");
        assert_eq!(endpoint["relabelings"][0]["action"], "labeldrop");
        assert_eq!(endpoint["metricRelabelings"][0]["action"], "keep");
    };
    further(&monitor["spec"]["endpoints"][0]);

    let rule = the(&objects, "PrometheusRule");
    let read =
        |name: &str| std::fs::read_to_string(root().join(CHART).join("files").join(name)).unwrap();
    let mut alerts: Value = serde_saphyr::from_str(&read("alerts.yaml")).unwrap();
    let absent = &mut alerts["groups"][0]["rules"][0]["expr"];
    assert_eq!(*absent, "absent(zitadel_secret_operator_leader == 1)");
    // As tests/rules tries it: another release does not stand in for this one.
    let namespace = monitor["metadata"]["namespace"].as_str().unwrap();
    *absent = format!(
        "label_replace(absent(zitadel_secret_operator_leader{{namespace=\"{namespace}\"}} == 1), \"namespace\", \"{namespace}\", \"\", \"\")"
    )
    .into();
    assert_eq!(rule["spec"], alerts);
    // A chart from a checkout does not know where the page is.
    assert_eq!(runbooks(rule), ["docs/how-to/alerts.md"].into());
    let dashboard = the(&objects, "ConfigMap");
    let shown = dashboard["data"]["zitadel-secret-operator.json"]
        .as_str()
        .unwrap();
    let shown: Value = serde_json::from_str(shown).unwrap();
    assert_eq!(
        shown,
        serde_json::from_str::<Value>(&read("dashboard.json")).unwrap()
    );
    assert_eq!(dashboard["metadata"]["labels"]["grafana_dashboard"], "1");

    let set = "metrics.podMonitor.enabled=true,metrics.podMonitor.scrapeTimeout=10s,metrics.podMonitor.relabelings[0].action=labeldrop,metrics.podMonitor.metricRelabelings[0].action=keep";
    let objects = render(&["--set", set]);
    let monitor = the(&objects, "PodMonitor");
    let pods = &the(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"];
    assert!(selects(&monitor["spec"]["selector"]["matchLabels"], pods));
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["port"], "admin");
    assert_eq!(endpoint["honorLabels"], true);
    further(endpoint);
    let objects = render(&[
        "--set",
        "metrics.podMonitor.enabled=true,metrics.podMonitor.honorLabels=false",
    ]);
    let monitor = the(&objects, "PodMonitor");
    let endpoint = &monitor["spec"]["podMetricsEndpoints"][0];
    assert_eq!(endpoint["honorLabels"], false);
}

#[test]
fn each_alert_has_a_severity_and_a_switch() {
    let enabled = "metrics.prometheusRule.enabled=true";
    let of = "metrics.prometheusRule.alerts";
    let set = format!(
        "{enabled},{of}.ZitadelSecretHeld.severity=page,{of}.ZitadelSecretFleetDark.enabled=false"
    );
    let rules = |set: &str| -> BTreeMap<String, String> {
        let objects = render(&["--set", set]);
        let groups = the(&objects, "PrometheusRule")["spec"]["groups"].clone();
        let groups = groups.as_array().unwrap().iter();
        let rules = groups.flat_map(|group| group["rules"].as_array().unwrap());
        let alerts = rules.filter_map(|rule| {
            let severity = rule["labels"]["severity"].as_str()?;
            Some((rule["alert"].as_str()?.to_owned(), severity.to_owned()))
        });
        alerts.collect()
    };
    let mut expected = rules(enabled);
    expected.insert("ZitadelSecretHeld".to_owned(), "page".to_owned());
    expected.remove("ZitadelSecretFleetDark").unwrap();
    assert_eq!(rules(&set), expected);
    // One that is named in the values exists, and each that exists can be named.
    let schema = std::fs::read_to_string(root().join(CHART).join("values.schema.json")).unwrap();
    let schema: Value = serde_json::from_str(&schema).unwrap();
    let alerts = "/properties/metrics/properties/prometheusRule/properties/alerts";
    let named = schema.pointer(&format!("{alerts}/propertyNames/enum"));
    let named = named.unwrap().as_array().unwrap().iter();
    let named: BTreeSet<_> = named
        .map(|name| name.as_str().unwrap().to_owned())
        .collect();
    assert_eq!(named, rules(enabled).into_keys().collect());
}

/// The pages to which the alerts of a `PrometheusRule` link; each link has a heading.
fn runbooks(rule: &Value) -> BTreeSet<&str> {
    let groups = rule["spec"]["groups"].as_array().unwrap();
    let rules = groups
        .iter()
        .flat_map(|group| group["rules"].as_array().unwrap());
    let alerts = rules.filter(|rule| rule.get("record").is_none());
    let pages = alerts.map(|rule| {
        let link = rule["annotations"]["runbook_url"].as_str().unwrap();
        let (page, heading) = link.split_once('#').unwrap();
        assert_eq!(heading, rule["alert"].as_str().unwrap().to_lowercase());
        page
    });
    pages.collect()
}

#[test]
fn alerts_link_to_the_page_of_the_chart_s_repository_or_wherever_a_value_says() {
    let enabled = "metrics.prometheusRule.enabled=true";
    let url = "https://docs.example.com/how-to/alerts.html";
    let value = format!("metrics.prometheusRule.runbookUrl={url}");
    let objects = render(&["--set", enabled, "--set", &value]);
    assert_eq!(runbooks(the(&objects, "PrometheusRule")), [url].into());

    let (_copy, chart) = released("sha256:0");
    let output = helm(None, &["template", "x", &chart, "--set", enabled]);
    let objects = documents(&succeeded(&output));
    let version = env!("CARGO_PKG_VERSION");
    let page = format!("{HOME}/blob/v{version}/docs/how-to/alerts.md");
    assert_eq!(
        runbooks(the(&objects, "PrometheusRule")),
        [page.as_str()].into()
    );
}

#[test]
fn the_network_policy_lets_through_what_the_operator_needs_and_no_more() {
    let objects = render(&["--values", "tests/chart/everything.yaml"]);
    let spec = &the(&objects, "NetworkPolicy")["spec"];
    for pod in [
        &the(&objects, "Deployment")["spec"]["template"]["metadata"]["labels"],
        &the(&objects, "Pod")["metadata"]["labels"],
    ] {
        assert!(selects(&spec["podSelector"]["matchLabels"], pod));
    }
    assert_eq!(spec["policyTypes"], json!(["Ingress", "Egress"]));
    assert_eq!(
        spec["ingress"],
        json!([{
            "ports": [{"port": 9090, "protocol": "TCP"}],
            "from": [{"namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": "monitoring"}}}],
        }])
    );
    let tcp = |port: u16| json!({"port": port, "protocol": "TCP"});
    assert_eq!(
        spec["egress"],
        json!([
            {"ports": [
                {"port": 53, "protocol": "UDP"}, tcp(53),
                {"port": 5353, "protocol": "UDP"}, tcp(5353),
            ]},
            {"ports": [tcp(6443), tcp(8443)]},
            {"to": [{"ipBlock": {"cidr": "10.0.0.0/8"}}]},
        ])
    );
    let objects = render(&["--set", "networkPolicy.enabled=true"]);
    let spec = &the(&objects, "NetworkPolicy")["spec"];
    assert_eq!(spec["ingress"], json!([{"ports": [tcp(8080)]}]));
    let dns = json!([{"port": 53, "protocol": "UDP"}, tcp(53)]);
    assert_eq!(spec["egress"][0]["ports"], dns);
    assert_eq!(spec["egress"][1]["ports"], json!([tcp(443), tcp(6443)]));
}

#[test]
fn the_chart_makes_no_connection_no_secret_and_no_hook_but_its_test() {
    for arguments in [
        &[][..],
        &["--values", "tests/chart/everything.yaml"],
        &["--set", "crds.install=false"],
    ] {
        let objects = render(arguments);
        assert!(of_kind(&objects, "ZitadelConnection").is_empty());
        assert!(of_kind(&objects, "Secret").is_empty());
        for object in &objects {
            let hook = &object["metadata"]["annotations"]["helm.sh/hook"];
            assert!(hook.is_null() || hook == "test", "{object}");
        }
    }
}

#[test]
fn a_hung_process_is_killed_within_75_seconds_and_an_orderly_stop_has_its_whole_grace() {
    let objects = render(&[]);
    let pod = &the(&objects, "Deployment")["spec"]["template"]["spec"];
    let probe = &container(pod)["livenessProbe"];
    let number = |field: &str| probe[field].as_u64().unwrap();
    // The hang begins just after a probe that went well. The last probe that counts begins after so many periods and fails by
    // its time-out; one second is the kubelet's own.
    let noticed =
        number("failureThreshold") * number("periodSeconds") + number("timeoutSeconds") + 1;
    let killed = noticed + number("terminationGracePeriodSeconds");
    assert!(killed <= 75, "{killed} s");
    // A busy machine is no reason to kill a process that may hold a value.
    assert!(noticed >= 40, "{noticed} s");
    assert_eq!(pod["terminationGracePeriodSeconds"], 120);
    let Command::Run(run) = command(pod) else {
        panic!("the container runs the operator");
    };
    assert_eq!(run.grace.as_secs(), 110);
}

#[test]
fn releases_of_one_name_in_two_namespaces_share_nothing() {
    let names = |namespace: &str| -> Vec<String> {
        let objects = render(&["--namespace", namespace, "--set", "crds.install=false"]);
        let cluster_wide = objects
            .iter()
            .filter(|object| object["metadata"]["namespace"].is_null());
        let named = |object: &Value| object["metadata"]["name"].as_str().unwrap().to_owned();
        cluster_wide.map(named).collect()
    };
    let (first, second) = (names("a"), names("b"));
    assert!(first.len() >= 4);
    assert!(
        first.iter().all(|name| !second.contains(name)),
        "{first:?} {second:?}"
    );
}

#[test]
fn the_plain_manifests_are_what_the_chart_renders() {
    text(&[]); // builds Helm where there is none yet
    let fresh = tempfile::tempdir().unwrap();
    let status = std::process::Command::new(root().join("deploy/render.sh"))
        .arg(fresh.path())
        .status()
        .unwrap();
    assert!(status.success());
    for file in ["install.yaml", "kustomization.yaml"] {
        let read = |path: std::path::PathBuf| std::fs::read_to_string(path).unwrap();
        let (stored, made) = (
            read(root().join("deploy").join(file)),
            read(fresh.path().join(file)),
        );
        assert!(
            stored == made,
            "deploy/{file} is not what the chart renders: run `make deploy`"
        );
    }
    let text = std::fs::read_to_string(root().join("deploy/install.yaml")).unwrap();
    assert!(
        !text.contains("helm.sh") && !text.contains("Helm"),
        "it is not Helm's"
    );
    let objects = documents(&text);
    assert_eq!(
        the(&objects, "Namespace")["metadata"]["name"],
        "zitadel-secret-operator"
    );
    assert_eq!(of_kind(&objects, "CustomResourceDefinition").len(), 3);
    assert!(of_kind(&objects, "Pod").is_empty());
}
