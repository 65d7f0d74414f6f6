//! What the operator may do to Pods and workloads: rights by two switches, and a policy that leaves nothing of them but annotations of its own.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Request;
use k8s_openapi::api::admissionregistration::v1::{
    ValidatingAdmissionPolicy, ValidatingAdmissionPolicyBinding,
};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use kube::Client;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::{Value, json};

use crate::rights::{Used, all_refused, apply, kubeconfig, rules, stop, world};
use crate::support::controlplane::client_from;
use crate::support::eventually;
use crate::support::helm::{of_kind, render, the};
use crate::support::world::{Operator, PATIENCE, World};

const BOTH: &str = "consumers.refresh=true,consumers.restart=true";
const POLICY: [&str; 2] = [
    "ValidatingAdmissionPolicy",
    "ValidatingAdmissionPolicyBinding",
];

#[test]
fn without_a_switch_there_is_no_policy_and_with_either_there_is_one() {
    for kind in POLICY {
        assert!(of_kind(&render(&[]), kind).is_empty());
        for switch in ["refresh", "restart"] {
            let objects = render(&["--set", &format!("consumers.{switch}=true")]);
            the(&objects, kind);
        }
    }
}

#[test]
fn the_policy_is_about_the_operator_s_account_whatever_its_name() {
    let own = "namespaceOverride=platform,serviceAccount.create=false,serviceAccount.name=shared";
    for (set, account) in [
        ("replicas=1", "operators:zso-zitadel-secret-operator"),
        (own, "platform:shared"),
    ] {
        let objects = render(&["--set", BOTH, "--set", set]);
        let policy = the(&objects, POLICY[0]);
        let about = json!([{"name": "operator", "expression": format!("request.userInfo.username == 'system:serviceaccount:{account}'")}]);
        assert_eq!(policy["spec"]["matchConditions"], about);
        assert_eq!(policy["spec"]["failurePolicy"], "Fail");
        let binding = the(&objects, POLICY[1]);
        assert_eq!(
            binding["spec"],
            json!({"policyName": policy["metadata"]["name"], "validationActions": ["Deny"]})
        );
    }
}

/// The rules and the policy for a service account of this name.
fn confined(account: &str, arguments: &[&str]) -> Vec<Value> {
    let policy = ["--set", BOTH, "--show-only", "templates/consumers.yaml"];
    rules(account, &[&policy[..], arguments].concat())
}

/// The objects of a namespace that are patched: a Pod, a Deployment, a `StatefulSet`, a `DaemonSet`, all named `it`.
fn objects(namespace: &str) -> Vec<Value> {
    let metadata = json!({
        "name": "it", "namespace": namespace, "labels": {"app": "it"},
        "annotations": {"other.example.com/tool": "1", "zitadel-secrets.dev/refresh-not": "1"},
    });
    let pod = json!({
        "nodeSelector": {"no": "node"}, "automountServiceAccountToken": false,
        "containers": [{"name": "main", "image": "example.com/it:1"}],
    });
    let template = json!({
        "metadata": {"labels": {"app": "it"}, "annotations": {"other.example.com/tool": "1", "zitadel-secrets.dev/rotation-0": "a"}},
        "spec": pod,
    });
    let selector = json!({"matchLabels": {"app": "it"}});
    let workload = |kind: &str| json!({"apiVersion": "apps/v1", "kind": kind, "metadata": metadata, "spec": {"selector": selector, "template": template}});
    let (mut deployment, mut set) = (workload("Deployment"), workload("StatefulSet"));
    deployment["spec"]["replicas"] = json!(0);
    set["spec"]["replicas"] = json!(0);
    set["spec"]["serviceName"] = json!("it");
    vec![
        json!({"apiVersion": "v1", "kind": "Pod", "metadata": metadata, "spec": pod}),
        deployment,
        set,
        workload("DaemonSet"),
    ]
}

/// Creates them. A Pod needs the service account of its namespace.
async fn place(world: &World, namespace: &str) {
    let account = ["get", "serviceaccount", "default", "--namespace", namespace];
    eventually(PATIENCE, || async {
        world
            .cluster
            .kubectl(&account)
            .status
            .success()
            .then_some(())
    })
    .await;
    apply(world, &objects(namespace));
}

const WORKLOADS: [&str; 3] = ["deployments", "statefulsets", "daemonsets"];

fn path(namespace: &str, resource: &str) -> String {
    let group = if resource == "pods" {
        "api/v1"
    } else {
        "apis/apps/v1"
    };
    format!("/{group}/namespaces/{namespace}/{resource}/it")
}

/// The annotation of a `DaemonSet` that the API server changes itself when the template changes.
const COUNTER: &str = "deprecated.daemonset.template.generation";

/// A resource and a merge patch of the object.
type Change = (&'static str, Value);

/// Changes that are the operator's business.
fn allowed() -> Vec<Change> {
    let refresh =
        |value: Value| json!({"metadata": {"annotations": {"zitadel-secrets.dev/refresh": value}}});
    let mut all = vec![
        ("pods", refresh(json!("1"))),
        ("pods", refresh(json!(null))),
    ];
    for workload in WORKLOADS {
        for annotations in [
            json!({"zitadel-secrets.dev/rotation-0123456789abcdef": "1"}),
            json!({"zitadel-secrets.dev/rotation-0": "b", "zitadel-secrets.dev/rotation-1": "1"}),
            json!({"zitadel-secrets.dev/rotation-0": null}),
        ] {
            let template = json!({"metadata": {"annotations": annotations}});
            all.push((workload, json!({"spec": {"template": template}})));
        }
    }
    all
}

/// Changes that one clause of the policy alone refuses, by the number of the clause.
fn forbidden() -> Vec<(usize, Change)> {
    let mut all = Vec::new();
    let owner = json!([{"apiVersion": "v1", "kind": "ConfigMap", "name": "x", "uid": "x"}]);
    for resource in ["pods", "deployments", "statefulsets", "daemonsets"] {
        for metadata in [
            json!({"labels": {"app": "other"}}),
            json!({"labels": {"more": "1"}}),
            json!({"labels": null}),
            json!({"finalizers": ["example.com/x"]}),
            json!({"ownerReferences": owner}),
            json!({"generateName": "x"}),
        ] {
            all.push((0, (resource, json!({"metadata": metadata}))));
        }
    }
    let tools = [
        json!({"other.example.com/tool": "2"}),
        json!({"other.example.com/tool": null}),
        json!({"more": "1"}),
        json!({"kubectl.kubernetes.io/restartedAt": "2026-11-30T00:00:00Z"}),
        json!({"zitadel-secrets.dev/commit": "1"}),
    ];
    for workload in WORKLOADS {
        let rotation = json!({"zitadel-secrets.dev/rotation-0": "1"});
        let refresh = json!({"zitadel-secrets.dev/refresh": "1"});
        let counter = json!({COUNTER: "7"});
        let counter = (workload != "daemonsets").then_some(&counter);
        for annotations in tools.iter().chain([&rotation, &refresh]).chain(counter) {
            let metadata = json!({"metadata": {"annotations": annotations}});
            all.push((1, (workload, metadata)));
        }
        for annotations in tools.iter().chain([&refresh]) {
            let template = json!({"metadata": {"annotations": annotations}});
            all.push((6, (workload, json!({"spec": {"template": template}}))));
        }
        let template = json!({"metadata": {"labels": {"more": "1"}}});
        all.push((5, (workload, json!({"spec": {"template": template}}))));
        let main = |field: &str, value: Value| {
            let mut main = json!({"name": "main", "image": "example.com/it:1"});
            main[field] = value;
            json!({"containers": [main]})
        };
        for pod in [
            main("image", json!("example.com/it:2")),
            main("command", json!(["sh"])),
            main("env", json!([{"name": "A", "value": "b"}])),
            json!({"volumes": [{"name": "x", "emptyDir": {}}]}),
            json!({"serviceAccountName": "other"}),
            json!({"hostNetwork": true}),
            json!({"nodeSelector": null}),
        ] {
            all.push((4, (workload, json!({"spec": {"template": {"spec": pod}}}))));
        }
        all.push((3, (workload, json!({"spec": {"minReadySeconds": 7}}))));
    }
    for (workload, spec) in [
        ("deployments", json!({"replicas": 3})),
        ("deployments", json!({"paused": true})),
        (
            "deployments",
            json!({"strategy": {"type": "Recreate", "rollingUpdate": null}}),
        ),
        ("statefulsets", json!({"replicas": 3})),
        (
            "statefulsets",
            json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}),
        ),
        (
            "daemonsets",
            json!({"updateStrategy": {"type": "OnDelete", "rollingUpdate": null}}),
        ),
    ] {
        all.push((3, (workload, json!({ "spec": spec }))));
    }
    let rotation = json!({"zitadel-secrets.dev/rotation-0": "1"});
    for annotations in tools.iter().chain([&rotation]) {
        all.push((
            6,
            ("pods", json!({"metadata": {"annotations": annotations}})),
        ));
    }
    for spec in [
        json!({"containers": [{"name": "main", "image": "example.com/it:2"}]}),
        json!({"activeDeadlineSeconds": 60}),
    ] {
        all.push((2, ("pods", json!({ "spec": spec }))));
    }
    all
}

/// How the API server answers to a change, which is not stored.
async fn changed(
    client: &Client,
    namespace: &str,
    (resource, patch): &Change,
) -> kube::Result<Value> {
    let uri = format!("{}?dryRun=All", path(namespace, resource));
    let request = Request::patch(uri).header("content-type", "application/merge-patch+json");
    let request = request.body(patch.to_string().into_bytes());
    client.request(request.unwrap()).await
}

/// The status code of that answer, and the message of a refusal.
async fn answer(client: &Client, namespace: &str, change: &Change) -> (u16, String) {
    match changed(client, namespace, change).await {
        Ok(_) => (200, String::new()),
        Err(kube::Error::Api(status)) => (status.code, status.message.clone()),
        Err(error) => panic!("{error}"),
    }
}

/// The same changes by another account with the same rights, which the policy is not about.
async fn others_are_free(world: &World, namespace: &str) {
    let account = "not-confined";
    let all = confined(account, &[]).into_iter();
    let rights: Vec<_> = all
        .filter(|object| !POLICY.contains(&object["kind"].as_str().unwrap()))
        .collect();
    apply(world, &rights);
    let client = client_from(&kubeconfig(world, account).await).await;
    let all = forbidden();
    eventually(PATIENCE, || async {
        let (code, _) = answer(&client, namespace, &all[0].1).await;
        (code == 200).then_some(())
    })
    .await;
    for (_, change) in &all {
        let (code, message) = answer(&client, namespace, change).await;
        assert_eq!(code, 200, "{change:?}: not a change at all: {message}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_operator_can_change_nothing_of_pods_and_workloads_but_its_own_annotations() {
    let (world, _turn) = world().await;
    let account = "confined";
    let namespace = world.cluster.fresh_namespace("consumers").await;
    place(world, &namespace).await;
    let rendered = confined(account, &[]);
    let policy = the(&rendered, POLICY[0]);
    let clauses = policy["spec"]["validations"].as_array().unwrap();
    let name = policy["metadata"]["name"].as_str().unwrap();
    apply(world, &rendered);
    let client = client_from(&kubeconfig(world, account).await).await;
    let all = forbidden();
    let denied = |message: &str, clause: usize| {
        let said = clauses[clause]["message"].as_str().unwrap();
        message.ends_with(&format!("denied request: {said}"))
    };
    eventually(PATIENCE, || async {
        let (code, message) = answer(&client, &namespace, &all[0].1).await;
        (code == 422 && denied(&message, all[0].0)).then_some(())
    })
    .await;
    for (clause, change) in &all {
        let (code, message) = answer(&client, &namespace, change).await;
        assert!(
            code == 422 && denied(&message, *clause),
            "{change:?}: {code} {message}"
        );
    }
    for change in allowed() {
        let (code, message) = answer(&client, &namespace, &change).await;
        assert_eq!(code, 200, "{change:?}: {message}");
    }
    let counter = json!({"metadata": {"annotations": {COUNTER: "7"}}});
    let daemon_set = changed(&client, &namespace, &("daemonsets", counter)).await;
    let annotations = &daemon_set.unwrap()["metadata"]["annotations"];
    assert_eq!(annotations[COUNTER], "1", "it is the API server's");
    all_refused(&client, never_allowed(&namespace)).await;
    others_are_free(world, &namespace).await;

    // Each clause is needed: without it, what it refuses is accepted.
    let admin = world.cluster.client().await;
    let policies: Api<ValidatingAdmissionPolicy> = Api::all(admin.clone());
    let with = async |validations: Vec<&Value>| {
        let patch = Patch::Merge(json!({"spec": {"validations": validations}}));
        let params = PatchParams::default();
        policies.patch(name, &params, &patch).await.unwrap();
    };
    for (number, _) in clauses.iter().enumerate() {
        let others = clauses.iter().enumerate();
        with(
            others
                .filter(|(other, _)| *other != number)
                .map(|(_, it)| it)
                .collect(),
        )
        .await;
        let mut own = all
            .iter()
            .filter(|(clause, _)| *clause == number)
            .peekable();
        let first = &own.peek().expect("a change for each clause").1;
        eventually(PATIENCE, || async {
            let (code, _) = answer(&client, &namespace, first).await;
            (code == 200).then_some(())
        })
        .await;
        for (_, change) in own {
            let (code, message) = answer(&client, &namespace, change).await;
            assert_eq!(code, 200, "without clause {number}: {change:?}: {message}");
        }
    }
    let bindings: Api<ValidatingAdmissionPolicyBinding> = Api::all(admin);
    let _ = bindings
        .delete(name, &kube::api::DeleteParams::default())
        .await;
}

/// Requests about Pods and workloads that are refused by RBAC, whatever they change.
fn never_allowed(namespace: &str) -> Vec<(&'static str, String)> {
    let pods = format!("/api/v1/namespaces/{namespace}/pods");
    let apps = format!("/apis/apps/v1/namespaces/{namespace}");
    let mut all = vec![
        ("GET", path(namespace, "pods")),
        ("GET", format!("{pods}?watch=true")),
        ("GET", format!("{pods}/it/log")),
        ("POST", format!("{pods}/it/exec")),
        ("POST", format!("{pods}/it/eviction")),
        ("PATCH", format!("{pods}/it/ephemeralcontainers")),
        ("PATCH", format!("{pods}/it/resize")),
        ("PATCH", format!("{pods}/it/status")),
        ("POST", pods.clone()),
        ("DELETE", pods),
        ("GET", format!("{apps}/replicasets")),
        ("PATCH", format!("{apps}/replicasets/it")),
        (
            "PATCH",
            format!("/apis/batch/v1/namespaces/{namespace}/jobs/it"),
        ),
        (
            "PATCH",
            format!("/apis/batch/v1/namespaces/{namespace}/cronjobs/it"),
        ),
    ];
    for workload in WORKLOADS {
        all.extend([
            ("GET", format!("{apps}/{workload}")),
            ("POST", format!("{apps}/{workload}")),
            ("PATCH", format!("{apps}/{workload}/it/scale")),
            ("PATCH", format!("{apps}/{workload}/it/status")),
        ]);
    }
    for resource in ["pods", "deployments", "statefulsets", "daemonsets"] {
        all.push(("PUT", path(namespace, resource)));
        all.push(("DELETE", path(namespace, resource)));
    }
    all
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_a_list_of_namespaces_pods_and_workloads_elsewhere_cannot_be_touched() {
    let (world, _turn) = world().await;
    let account = "confined-here";
    let here = world.cluster.fresh_namespace("here").await;
    let elsewhere = world.cluster.fresh_namespace("elsewhere").await;
    place(world, &here).await;
    place(world, &elsewhere).await;
    let watched = format!("watchNamespaces={{{here}}}");
    apply(world, &confined(account, &["--set", &watched]));
    let client = client_from(&kubeconfig(world, account).await).await;
    let image = json!({"spec": {"containers": [{"name": "main", "image": "x"}]}});
    eventually(PATIENCE, || async {
        let (code, _) = answer(&client, &here, &("pods", image.clone())).await;
        (code == 422).then_some(())
    })
    .await;
    for change in allowed() {
        let (code, message) = answer(&client, &here, &change).await;
        assert_eq!(code, 200, "{change:?}: {message}");
        let (code, _) = answer(&client, &elsewhere, &change).await;
        assert_eq!(code, 403, "{change:?}");
    }
    all_refused(&client, never_allowed(&here)).await;
    let everywhere = [
        "/api/v1/pods".to_owned(),
        format!("/api/v1/namespaces/{elsewhere}/pods"),
    ];
    all_refused(&client, everywhere.map(|path| ("GET", path)).to_vec()).await;
}

/// Has each Pod of the namespace run for an hour, by what a kubelet would say.
async fn run_pods(pods: &Api<Pod>) {
    let long_ago = jiff::Timestamp::now() - jiff::SignedDuration::from_hours(1);
    let long_ago = long_ago.to_string();
    for pod in pods.list(&ListParams::default()).await.unwrap() {
        let status = json!({"status": {
            "phase": "Running", "startTime": long_ago,
            "conditions": [{"type": "Ready", "status": "True", "lastTransitionTime": long_ago}],
            "containerStatuses": [{
                "name": "main", "image": "main", "imageID": "", "ready": true, "restartCount": 0, "started": true,
                "state": {"running": {"startedAt": long_ago}},
            }],
        }});
        let name = pod.metadata.name.unwrap();
        let patch = Patch::Merge(status);
        let params = PatchParams::default();
        pods.patch_status(&name, &params, &patch).await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn under_the_policy_pods_are_refreshed_and_workloads_restarted_and_every_right_is_used() {
    let (world, _turn) = world().await;
    let account = "consuming";
    apply(world, &confined(account, &[]));
    let tenant = world.tenant("consuming").await;
    let mut used = Used::by(world, account);
    let arguments = ["--protocol-speed", "20", "--consumers-refresh", "true"];
    let arguments = [&arguments[..], &["--consumers-restart", "true"]].concat();
    let kubeconfig = kubeconfig(world, account).await;
    let operator = Operator::start(&kubeconfig, &world.directory, &arguments);
    let operator = Arc::new(operator);
    tenant
        .issued("orders", json!({"consumers": {"restart": "WhenStale"}}))
        .await;
    let key = json!({"secretKeyRef": {"name": "orders", "key": "CLIENT_SECRET"}});
    let reads = json!({"name": "main", "image": "main", "env": [{"name": "S", "valueFrom": key}]});
    let mounts = json!({"name": "main", "image": "main", "volumeMounts": [{"name": "v", "mountPath": "/v"}]});
    let labels = json!({"app": "web"});
    let place = &tenant.namespace;
    apply(
        world,
        &[
            json!({"apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": "web", "namespace": place}, "spec": {
                "selector": {"matchLabels": labels}, "template": {"metadata": {"labels": labels}, "spec": {"containers": [reads]}},
            }}),
            json!({"apiVersion": "v1", "kind": "Pod", "metadata": {"name": "file", "namespace": place}, "spec": {
                "containers": [mounts], "volumes": [{"name": "v", "secret": {"secretName": "orders"}}],
            }}),
        ],
    );
    let pods: Api<Pod> = Api::namespaced(tenant.client.clone(), place);
    let deployments: Api<Deployment> = Api::namespaced(tenant.client.clone(), place);
    eventually(PATIENCE, || async {
        let all = pods.list(&ListParams::default()).await.unwrap();
        (all.items.len() == 2).then_some(())
    })
    .await;
    run_pods(&pods).await;
    tenant.trigger("orders", "now").await;
    eventually(PATIENCE, || async {
        let annotations = pods.get("file").await.unwrap().metadata.annotations?;
        annotations
            .contains_key("zitadel-secrets.dev/refresh")
            .then_some(())
    })
    .await;
    eventually(PATIENCE, || async {
        let deployment = deployments.get("web").await.unwrap();
        let annotations = deployment.spec?.template.metadata?.annotations?;
        let mut keys = annotations.into_keys();
        keys.any(|key| key.starts_with("zitadel-secrets.dev/rotation-"))
            .then_some(())
    })
    .await;
    stop(&operator).await;
    used.read();
    assert!(used.refused.is_empty(), "{:?}", used.refused);
    let of_consumers = used
        .uses
        .iter()
        .filter(|(group, resource, ..)| group == "apps" || resource == "pods");
    let of_consumers: BTreeSet<_> = of_consumers
        .map(|(_, resource, verb, _)| (resource.as_str(), verb.as_str()))
        .collect();
    let expected = [
        ("deployments", "get"),
        ("deployments", "patch"),
        ("pods", "list"),
        ("pods", "patch"),
    ];
    assert_eq!(of_consumers, BTreeSet::from(expected));
}
