//! An object that needs a person or cannot reach ZITADEL, and a connection in its states.

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType, ZitadelConnection};
use zitadel_simulator::{Action, Availability, Config, Fault, Operation, Simulator};

use super::is_sample;
use crate::fixtures::tenant;
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, World};

#[tokio::test]
async fn an_object_for_which_a_person_must_act() {
    let tenant = tenant("stalled").await;
    let app = tenant.app("api");
    let apply = async |name: &str, app: &str, extra: Value| {
        tenant.apply(name, app, extra).await.unwrap();
    };
    apply("elsewhere", &app.id, json!({"projectId": "elsewhere"})).await;
    is_sample(
        &tenant,
        "not-granted",
        &tenant.reason("elsewhere", "NotGranted").await,
    );
    apply(
        "zero",
        &app.id,
        json!({"rotation": {"windows": [{"name": "w", "schedule": "0 0 30 2 *", "duration": "1h"}]}}),
    )
    .await;
    is_sample(
        &tenant,
        "invalid-spec",
        &tenant.reason("zero", "InvalidSpec").await,
    );
    apply("never", &app.id, json!({"suspend": true})).await;
    is_sample(
        &tenant,
        "suspended-at-once",
        &tenant.reason("never", "Suspended").await,
    );

    let report = json!({"recovery": {"missing": "Report", "rejected": "Report"}});
    let (gone, dead) = (tenant.app("gone"), tenant.app("dead"));
    apply("gone", &gone.id, report.clone()).await;
    apply("dead", &dead.id, report).await;
    tenant.ready("gone").await;
    tenant.ready("dead").await;
    tenant.delete_secret("gone").await;
    is_sample(
        &tenant,
        "secret-missing",
        &tenant.reason("gone", "SecretMissing").await,
    );
    tenant.zitadel.rotate_elsewhere(&dead.id, None).unwrap();
    let dead = tenant.reason("dead", "RotatedElsewhere").await;
    is_sample(&tenant, "rotated-elsewhere", &dead);
}

#[tokio::test]
async fn an_object_whose_repairs_have_stopped() {
    let tenant = tenant("breaker").await;
    let app = tenant.app("api");
    let useless = Action::ReplaceBody("{}".to_owned());
    let fault = Fault::on(Operation::Generate, useless)
        .app(&app.id)
        .always();
    tenant.zitadel.inject(fault);
    tenant.apply("api", &app.id, json!({})).await.unwrap();
    is_sample(
        &tenant,
        "breaker-open",
        &tenant.reason("api", "BreakerOpen").await,
    );
}

#[tokio::test]
async fn an_object_whose_zitadel_is_down() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("down", &zitadel).await;
    let (due, other, new) = (tenant.app("due"), tenant.app("other"), tenant.app("new"));
    tenant.apply("due", &due.id, json!({})).await.unwrap();
    tenant.apply("other", &other.id, json!({})).await.unwrap();
    tenant.ready("due").await;
    tenant.ready("other").await;
    zitadel.set_availability(Availability::Unavailable);
    tenant.apply("new", &new.id, json!({})).await.unwrap();
    // First its own call fails, then the connection's check says it for all.
    let says_it = |object: &AppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.get(ConditionType::Ready)?;
        let by_connection = ready.message.contains(" cannot be used: ");
        (ready.reason == "ZitadelUnavailable" && by_connection).then_some(())
    };
    is_sample(&tenant, "zitadel-down", &tenant.until("new", says_it).await);
    tenant
        .apply(
            "due",
            &due.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}}),
        )
        .await
        .unwrap();
    let is_due = |object: &AppSecret| {
        says_it(object)?;
        let since: Timestamp = object.status.as_ref()?.next_rotation_time.as_ref()?.0;
        let seen = object.status.as_ref()?.observed_generation == object.metadata.generation;
        (seen && since <= Timestamp::now()).then_some(())
    };
    let due = tenant.until("due", is_due).await;
    let since: Timestamp = due
        .status
        .as_ref()
        .unwrap()
        .next_rotation_time
        .as_ref()
        .unwrap()
        .0;
    assert!(
        since <= Timestamp::now(),
        "it says since when it is due: {since}"
    );
    is_sample(&tenant, "due-and-zitadel-down", &due);

    // A connection that never worked, and an object that worked over another one.
    let mut connection: Value =
        serde_json::to_value(tenant.connections().get(&tenant.namespace).await.unwrap()).unwrap();
    let name = format!("{}-down", tenant.namespace);
    connection["metadata"] = json!({"name": name});
    connection["status"] = Value::Null;
    let connection: ZitadelConnection = serde_json::from_value(connection).unwrap();
    tenant
        .connections()
        .create(&PostParams::default(), &connection)
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        let status = tenant.connections().get(&name).await.unwrap().status?;
        status.conditions.get(ConditionType::Ready).map(drop)
    })
    .await;
    tenant
        .apply("other", &other.id, json!({"connectionRef": {"name": name}}))
        .await
        .unwrap();
    let other = tenant.reason("other", "ZitadelUnavailable").await;
    is_sample(&tenant, "connection-down", &other);
}

#[tokio::test]
async fn an_object_whose_new_value_is_on_its_way_or_cannot_be_written() {
    let world = World::own(Options::default()).await;
    // Without hurry: a generate that is held must not run into its deadline.
    let operator = Operator::start(&world.kubeconfig, &world.directory, &[]);
    let tenant = world.tenant("held").await;
    let app = tenant.app("api");
    let gate = world.zitadel.hold_after(Operation::Generate);
    tenant.apply("api", &app.id, json!({})).await.unwrap();
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
    is_sample(
        &tenant,
        "rotating",
        &tenant.reason("api", "SecretHeld").await,
    );
    tenant.edit_secret("api", json!({"immutable": true})).await;
    gate.release();
    is_sample(
        &tenant,
        "held",
        &tenant.reason("api", "SecretImmutable").await,
    );
    drop(operator);
}

#[tokio::test]
async fn a_connection_in_its_states() {
    let tenant = tenant("connection").await;
    let connections = tenant.connections();
    let connection = || async { connections.get(&tenant.namespace).await.unwrap() };
    tenant.connected().await;
    is_sample(&tenant, "connection-connected", &connection().await);
    tenant.zitadel.revoke_token(&tenant.pat);
    // The check is made when the Secret changes.
    tenant.set_credential(&tenant.pat).await;
    let reported = async |reason: &str| {
        tenant
            .apply_connection(json!({"limits": {"concurrentGenerates": 1}}))
            .await;
        eventually(PATIENCE, || async {
            (tenant.connection_reason().await == reason).then_some(())
        })
        .await;
    };
    reported("CredentialRejected").await;
    is_sample(&tenant, "connection-rejected", &connection().await);
    let secrets: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    secrets
        .delete(&tenant.namespace, &DeleteParams::default())
        .await
        .unwrap();
    reported("CredentialMissing").await;
    is_sample(&tenant, "connection-missing", &connection().await);

    let mut new: Value = serde_json::to_value(connection().await).unwrap();
    new["metadata"] = json!({"name": format!("{}-new", tenant.namespace)});
    new["status"] = Value::Null;
    let new: ZitadelConnection = serde_json::from_value(new).unwrap();
    let new = connections
        .create(&PostParams::default(), &new)
        .await
        .unwrap();
    is_sample(&tenant, "connection-new", &new);
}
