//! Several operators in one cluster: each keeps the connections of its class, and nothing of another's.

use std::path::Path;

use crate::support::controlplane::Options;
use crate::support::operator::check;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use crate::support::{apply_secret, eventually, rights};
use k8s_openapi::api::core::v1::Secret;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType};

const CLASS: &str = "second";

fn operator(world: &World, kubeconfig: &Path, arguments: &[&str]) -> Operator {
    let usual = ["--protocol-speed", "20"];
    Operator::start(kubeconfig, &world.directory, &[&usual, arguments].concat())
}

/// Whether any series of an operator speaks of a tenant's connection or objects.
async fn speaks_of(operator: &Operator, tenant: &Tenant) -> bool {
    let (status, text) = operator.get("/metrics").await.unwrap();
    assert_eq!(status, 200);
    text.contains(&tenant.namespace)
}

async fn ready_page(operator: &Operator) {
    eventually(PATIENCE, || async {
        let (status, text) = operator.get("/ready").await?;
        (status == 200 && !text.contains("cannot be used")).then_some(())
    })
    .await;
}

/// Stores the tenant's credential in the namespace of an operator.
async fn credential(tenant: &Tenant, namespace: &str) {
    let values = json!({"token": tenant.pat});
    apply_secret(&tenant.client, namespace, &tenant.namespace, values).await;
}

/// Takes it away there.
async fn no_credential(tenant: &Tenant, namespace: &str) {
    let secrets: Api<Secret> = Api::namespaced(tenant.client.clone(), namespace);
    let params = DeleteParams::default();
    let gone = secrets.delete(&tenant.namespace, &params).await;
    gone.map(drop).unwrap();
}

/// Gives the tenant's connection to the operators of a class.
async fn hand_over(tenant: &Tenant, class: Value) {
    let change = Patch::Merge(json!({"spec": {"controllerClass": class}}));
    let (connections, params) = (tenant.connections(), PatchParams::default());
    let changed = connections.patch(&tenant.namespace, &params, &change).await;
    changed.map(drop).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_each_keep_the_connections_of_their_class_and_say_nothing_of_the_others() {
    let world = World::own(Options::default()).await;
    let second_home = world.cluster.fresh_namespace("second-operator").await;
    let (ours, theirs) = (world.tenant("ours").await, world.tenant("theirs").await);
    no_credential(&theirs, OPERATOR_NAMESPACE).await;
    credential(&theirs, &second_home).await;
    hand_over(&theirs, json!(CLASS)).await;
    let app = theirs.app("api");
    theirs.apply("api", &app.id, json!({})).await.unwrap();

    // The first operator leaves the other's alone, whether or not the other runs.
    let first = operator(&world, &world.kubeconfig, &[]);
    ours.connected().await;
    ours.fence().await;
    ready_page(&first).await;
    let connection = theirs.connections().get(&theirs.namespace).await.unwrap();
    let untouched = connection.status.unwrap();
    assert_eq!(untouched.observed_generation, Some(-1));
    let object = theirs.objects().get("api").await.unwrap();
    assert_eq!(object.status.unwrap().observed_generation, Some(-1));
    assert!(theirs.events("api").await.is_empty());
    assert!(!speaks_of(&first, &theirs).await);
    assert!(speaks_of(&first, &ours).await);
    let usual = ["--timeout", "2s", "--leader-elect=false"];
    let third = [&usual[..], &["--controller-class", "third"]].concat();
    let (passed, printed) = check(&world.kubeconfig, &usual, &[]).await;
    assert!(passed && !printed.contains(&theirs.namespace), "{printed}");
    let (passed, printed) = check(&world.kubeconfig, &third, &[]).await;
    assert!(!passed, "{printed}");
    assert!(
        printed.contains("none has the spec.controllerClass third"),
        "{printed}"
    );

    // The second one keeps its own, and changes nothing of the first one's.
    let before = ours.connections().get(&ours.namespace).await.unwrap();
    let arguments = ["--controller-class", CLASS, "--namespace", &second_home];
    let rights = rights::grant(&world.cluster, &second_home).await;
    let second = operator(&world, &rights, &arguments);
    theirs.ready("api").await;
    theirs.fence().await;
    ready_page(&second).await;
    assert!(!speaks_of(&second, &ours).await);
    assert!(!speaks_of(&first, &theirs).await);
    let after = ours.connections().get(&ours.namespace).await.unwrap();
    assert_eq!(before.resource_version(), after.resource_version());
    assert_eq!(theirs.generates(&app), 1);

    // A connection changes hands.
    second.stop();
    credential(&theirs, OPERATOR_NAMESPACE).await;
    hand_over(&theirs, Value::Null).await;
    theirs.connected().await;
    ours.fence().await;
    theirs.ready("api").await;
    assert!(speaks_of(&first, &theirs).await);
    assert_eq!(theirs.generates(&app), 1);
    let value = theirs.client_secret("api").await.unwrap();
    assert!(theirs.zitadel.accepts(&app.id, &value));

    // And back, without a word.
    hand_over(&theirs, json!(CLASS)).await;
    eventually(PATIENCE, || async {
        (!speaks_of(&first, &theirs).await).then_some(())
    })
    .await;
    no_credential(&theirs, OPERATOR_NAMESPACE).await;
    ours.fence().await;
    theirs.ready("api").await;
    let connection = theirs.connections().get(&theirs.namespace).await.unwrap();
    let status = connection.status.unwrap();
    assert!(status.conditions.is_true(ConditionType::Ready));
    assert!(status.observed_generation < connection.metadata.generation);
    // That it is gone concerns every operator: its class is not known any more.
    let (connections, params) = (theirs.connections(), DeleteParams::default());
    let deleted = connections.delete(&theirs.namespace, &params).await;
    deleted.map(drop).unwrap();
    theirs.reason("api", "ConnectionNotFound").await;
}

/// The reasons of the events about the object.
async fn reasons(tenant: &Tenant) -> Vec<String> {
    let events = tenant.events("api").await.into_iter();
    events.map(|(_, reason, _)| reason).collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_operators_of_one_class_that_keep_the_same_object_say_so() {
    let world = World::own(Options::default()).await;
    let second_home = world.cluster.fresh_namespace("second-operator").await;
    let tenant = world.tenant("both").await;
    credential(&tenant, &second_home).await;
    let app = tenant.app("api");
    let rotated = async |trigger: &str| {
        let extra = json!({"rotation": {"trigger": trigger}});
        tenant.apply("api", &app.id, extra).await.unwrap();
        let handled = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            (status.observed_trigger.as_deref() == Some(trigger)).then_some(())
        };
        tenant.until("api", handled).await;
        tenant.until_accepted(&app, "api").await;
    };
    let first = operator(&world, &world.kubeconfig, &[]);
    rotated("alone").await;
    rotated("still alone").await;
    let rights = rights::grant(&world.cluster, &second_home).await;
    let second = operator(&world, &rights, &["--namespace", &second_home]);
    ready_page(&second).await;
    tenant.fence().await;
    assert!(
        !reasons(&tenant)
            .await
            .contains(&"AnotherOperator".to_owned())
    );
    for trigger in ["both", "again", "and again"] {
        rotated(trigger).await;
    }
    let note = tenant.event("api", "AnotherOperator").await;
    assert!(note.contains("Secret api was written by attempt"), "{note}");
    assert!(note.contains("another operator of class default"), "{note}");
    // The page and the log say the same, one of them a moment earlier.
    let says = async |operator: &Operator| {
        let named = format!(
            "another operator of class default keeps the same objects: ApiAppSecret {}/",
            tenant.namespace
        );
        eventually(PATIENCE, || async {
            let said = operator.get("/ready").await?.1.contains(&named);
            let log = operator.printed();
            (said == log.contains("another operator of this class")).then_some(said)
        })
        .await
    };
    assert!(says(&first).await || says(&second).await);
}
