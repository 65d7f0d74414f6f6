//! `doctor`.

use k8s_openapi::api::coordination::v1::Lease;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, PropagationPolicy};
use serde_json::{Value, json};

use super::*;
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::operator::Operator;
use crate::support::world::OPERATOR_NAMESPACE;
use crate::support::{apply, eventually};

/// What a run found, as `CHECK RESULT MESSAGE`.
fn found(ran: &Ran) -> Vec<String> {
    let json = ran.json();
    let items = json["items"].as_array().unwrap().iter();
    let text = |item: &Value, field: &str| item[field].as_str().unwrap().to_owned();
    items
        .map(|it| {
            ["check", "result", "message"]
                .map(|field| text(it, field))
                .join(" ")
        })
        .collect()
}

/// That something begins so, and has this in it.
#[track_caller]
fn assert_found(found: &[String], begin: &str, part: &str) {
    let is = |line: &String| line.starts_with(begin) && line.contains(part);
    assert!(found.iter().any(is), "{begin} … {part}: {found:#?}");
}

/// What is found of an installation that is well.
const WELL: [(&str, &str); 15] = [
    ("definition ok", "v1alpha1 is that of this version"),
    ("operator ok", "1 replica is ready"),
    ("leader ok", " leads"),
    (
        "rights ok",
        "system:serviceaccount:zitadel-secret-operator:zitadel-secret-operator has all rights",
    ),
    ("clock ok", "the clock of this machine"),
    ("clock ok", "the clock of the operator ("),
    ("clock ok", "the clock of ZITADEL is"),
    ("clock ok", "no object reports"),
    ("connection ok", "Connected as user"),
    ("credential info", "personal access token"),
    ("fromHere ok", "responds"),
    ("object ok", "none of 1 objects"),
    ("claim ok", "no claim in namespace zitadel-secret-operator"),
    ("secret ok", "each of 1 Secrets"),
    ("caller ok", "every command in all namespaces"),
];

/// What is found of one that [`take_away`] was about.
const NOT_WELL: [(&str, &str); 8] = [
    (
        "definition warning",
        "older than this plugin: it lacks spec.suspend",
    ),
    ("leader problem", "no replica leads: "),
    (
        "rights problem",
        " leases in namespace zitadel-secret-operator: granted by the chart with rbac.create: true",
    ),
    (
        "object problem",
        "/lost: the ZitadelConnection nowhere does not exist",
    ),
    (
        "claim info",
        "/orders, which is gone, remembers its rotations",
    ),
    ("claim warning", "a newer version of the operator"),
    ("secret info", "it was kept when "),
    ("credential info", "personal access token"),
];

/// Leaves behind the claim and the Secret of an object, and a claim of a version to come; makes an object without a connection; takes away a
/// role, and a field of a definition.
async fn take_away(world: &World, tenant: &Tenant) {
    let claim = tenant.claims("orders").await.remove(0);
    let client = world.cluster.client().await;
    let claims: Api<Lease> = Api::namespaced(client, OPERATOR_NAMESPACE);
    let other = json!({
        "apiVersion": "coordination.k8s.io/v1", "kind": "Lease",
        "metadata": {
            "name": "claim-of-no-one", "namespace": OPERATOR_NAMESPACE, "labels": claim.labels(),
            "annotations": {"zitadel-secrets.dev/claim": "{\"version\": 99}"},
        },
    });
    apply(&claims, &other).await.unwrap();
    let orphan = DeleteParams {
        propagation_policy: Some(PropagationPolicy::Orphan),
        ..DeleteParams::default()
    };
    let objects = &tenant.objects();
    objects.delete("orders", &orphan).await.unwrap();
    eventually(PATIENCE, || async {
        let found = objects.get_opt("orders").await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    let lost = json!({"connectionRef": {"name": "nowhere"}});
    tenant
        .apply("lost", "269012345678901234", lost)
        .await
        .unwrap();
    let kubectl = |arguments: &[&str]| {
        let output = world.cluster.kubectl(arguments);
        assert!(output.status.success(), "{output:?}");
    };
    let own = ["-n", OPERATOR_NAMESPACE];
    kubectl(
        &[
            &own[..],
            &["delete", "rolebinding", "zitadel-secret-operator"],
        ]
        .concat(),
    );
    age_definition(&world.cluster);
}

/// Makes the definition of `OidcAppSecrets` one of a version that had no `spec.suspend`.
pub(super) fn age_definition(cluster: &ControlPlane) {
    let field = "/spec/versions/0/schema/openAPIV3Schema/properties/spec/properties/suspend";
    let patch = json!([{"op": "remove", "path": field}]).to_string();
    let definition = ["patch", "crd", "oidcappsecrets.zitadel-secrets.dev"];
    let output = cluster.kubectl(&[&definition[..], &["--type=json", "-p", &patch]].concat());
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn an_installation_is_well_until_something_is_taken_away() {
    let world = World::own(Options::default()).await;
    install(&world.cluster.client().await).await;
    let arguments = ["--protocol-speed", "20"];
    let operator = Operator::start_with(&world.kubeconfig, &world.directory, &arguments);
    let tenant = world.tenant("doctor").await;
    tenant.issued("orders", json!({})).await;
    let kubeconfig = world.cluster.admin_kubeconfig();
    let doctor = |more: &[&str]| run(kubeconfig, &[&["doctor", "-o", "json"], more].concat());

    let well = doctor(&["-A", "--from-here"]);
    let lines = found(&well);
    assert_eq!(well.code, Some(0), "{lines:#?}");
    for (begin, part) in WELL {
        assert_found(&lines, begin, part);
    }
    let table = run(kubeconfig, &["doctor", "-n", &tenant.namespace]);
    table.ends(0, "0 of ");
    assert!(table.stdout.starts_with("RESULT   CHECK "), "{table:?}");
    let names = run(kubeconfig, &["doctor", "-A", "-o", "name"]);
    let definition = "crd/apiappsecrets.zitadel-secrets.dev\n";
    assert!(names.stdout.contains(definition), "{names:?}");
    assert!(
        names.stdout.lines().all(|line| line.contains('/')),
        "{names:?}"
    );

    // No operator tidies up any more.
    operator.kill();
    take_away(&world, &tenant).await;
    let lines = eventually(PATIENCE, || async {
        let ran = doctor(&["-A"]);
        let lines = found(&ran);
        assert_eq!(ran.code, Some(1), "{lines:#?}");
        // The API server's authorizer learns of roles by a watch, and the operator's Lease lasts for a while.
        let is_there = |begin: &str| lines.iter().any(|line| line.starts_with(begin));
        (is_there("rights problem ") && is_there("leader problem ")).then_some(lines)
    })
    .await;
    for (begin, part) in NOT_WELL {
        assert_found(&lines, begin, part);
    }
    assert!(
        lines[0].contains(" problem "),
        "the worst comes first: {lines:#?}"
    );
    let value = tenant.client_secret("orders").await.unwrap();
    for format in ["wide", "yaml", "table"] {
        let ran = run(kubeconfig, &["doctor", "-A", "-o", format]);
        assert_eq!(ran.code, Some(1), "{ran:?}");
        assert!(!ran.stdout.contains(&value), "the value is printed");
    }
    // Of another namespace none of that matters, but the installation.
    let lines = found(&doctor(&["-n", "default"]));
    assert_found(&lines, "object ok ", "none of 0 objects");
    assert_found(&lines, "claim ok ", "is left behind");
    assert_found(&lines, "secret ok ", "each of 0 Secrets");
    assert_found(&lines, "leader problem ", "");
    // With labels it is not known which objects are gone.
    let lines = found(&doctor(&["-A", "-l", "team=a"]));
    let is_claim = |line: &String| line.starts_with("claim ");
    assert!(!lines.iter().any(is_claim), "{lines:#?}");
}

#[tokio::test]
async fn what_may_not_be_asked_is_named_and_stops_no_other_check() {
    let world = World::shared().await;
    let tenant = world.tenant("limited").await;
    let cluster = &world.cluster;
    let kubeconfig = cluster.kubeconfig_for_user("limited", &[]).await;
    let own = ["-n", tenant.namespace.as_str(), "doctor", "-o", "json"];
    let ran = run(&kubeconfig, &own);
    let lines = found(&ran);
    assert_eq!(ran.code, Some(3), "{lines:#?}");
    for (check, right) in [
        (
            "definition",
            "get customresourcedefinitions.apiextensions.k8s.io in the whole cluster",
        ),
        (
            "operator",
            "list deployments.apps in the whole cluster, or --operator-namespace",
        ),
        (
            "leader",
            "list leases.coordination.k8s.io in the whole cluster, or --operator-namespace",
        ),
        (
            "connection",
            "list zitadelconnections.zitadel-secrets.dev in the whole cluster",
        ),
        (
            "object",
            "list apiappsecrets.zitadel-secrets.dev in namespace limited-",
        ),
    ] {
        let begin = format!("{check} unknown not checked: it needs the right to ");
        assert_found(&lines, &begin, right);
    }
    assert_found(&lines, "clock ok ", "this machine");
    assert_found(
        &lines,
        "caller info ",
        "you may not use `rotate` in namespace limited-",
    );
    let table = run(&kubeconfig, &own[..3]);
    table.ends(3, "could not be made");
    // What is allowed is checked.
    let kinds = "--resource=apiappsecrets.zitadel-secrets.dev,oidcappsecrets.zitadel-secrets.dev";
    grant(&tenant, "limited", &["--verb=get,list", kinds]).await;
    let lines = eventually(PATIENCE, || async {
        let lines = found(&run(&kubeconfig, &own));
        let is_there = |line: &String| line.starts_with("object ok none of 0 objects");
        lines.iter().any(is_there).then_some(lines)
    })
    .await;
    assert_found(
        &lines,
        "secret unknown ",
        "the right to list secrets in namespace limited-",
    );
    assert_found(
        &lines,
        "claim unknown ",
        "the operator's namespace, which is not known",
    );
}

#[tokio::test]
async fn a_cluster_without_definitions_and_operator_is_told_how_to_get_them() {
    let cluster = ControlPlane::start(Options::default()).await;
    let ran = run(cluster.admin_kubeconfig(), &["doctor", "-o", "json"]);
    let lines = found(&ran);
    assert_eq!(ran.code, Some(1), "{lines:#?}");
    assert_found(&lines, "definition problem ", "it is not installed");
    assert_found(
        &lines,
        "operator problem ",
        "no operator runs in the cluster",
    );
    let command = "kubectl apply --server-side --force-conflicts --filename crds/";
    assert!(ran.stdout.contains(command), "{ran:?}");
    assert!(ran.stdout.contains("helm install"), "{ran:?}");
}

#[tokio::test]
async fn a_connection_that_nothing_answers_is_named_with_host_and_port() {
    let world = World::shared().await;
    let tenant = world.tenant("nothing").await;
    let free = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    tenant
        .apply_connection(json!({"url": format!("http://127.0.0.1:{port}")}))
        .await;
    tenant.until_connection("ZitadelUnreachable").await;
    let name = format!("zitadelconnection.zitadel-secrets.dev/{}", tenant.namespace);
    let ran = as_admin(&tenant, &["doctor", "-o", "json", "--from-here"]).await;
    assert_eq!(ran.code, Some(1), "{ran:?}");
    let json = ran.json();
    let items = json["items"].as_array().unwrap();
    for (check, result) in [("connection", "problem"), ("fromHere", "warning")] {
        let is = |it: &&Value| it["check"] == check && it["object"] == *name;
        let finding = items.iter().find(is).unwrap();
        assert_eq!(finding["result"], result, "{finding}");
        let message = finding["message"].as_str().unwrap();
        assert!(
            message.contains(&format!("127.0.0.1:{port} refuses connections")),
            "{message}"
        );
    }
}
