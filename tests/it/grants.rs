//! Which namespaces, projects and applications a connection is granted to.

use crate::fixtures::{Issued, assert_conditions, message, tenant};
use crate::support::world::World;
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Availability, Config, Simulator};

#[tokio::test]
async fn a_grant_by_label_follows_the_labels_of_the_namespace() {
    let tenant = tenant("selector").await;
    let app = tenant.app("orders");
    let grants = json!([{"name": "by-label", "namespaceSelector": {"matchLabels": {"team": tenant.namespace}}, "projectIds": ["*"]}]);
    tenant.apply_connection(json!({"grants": grants})).await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "NotGranted").await;
    let namespaces: Api<Namespace> = Api::all(tenant.client.clone());
    let label = async |value: Value| {
        let change = json!({"metadata": {"labels": {"team": value}}});
        namespaces
            .patch(
                &tenant.namespace,
                &PatchParams::default(),
                &Patch::Merge(change),
            )
            .await
            .unwrap();
    };
    label(json!(tenant.namespace)).await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
    label(Value::Null).await;
    tenant.reason("orders", "NotGranted").await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    tenant.reason("orders", "NotGranted").await;
    assert_eq!(tenant.generates(&app), 1);
    assert!(
        tenant.accepted(&app, "orders").await,
        "a grant that is withdrawn leaves the Secret as it is"
    );
}

#[tokio::test]
async fn without_a_connection_or_a_grant_nothing_happens() {
    let tenant = tenant("ungranted").await;
    let issued = Issued::new(&tenant).await;
    let other = tenant.app("other");
    let grant = |namespaces: Value, projects: Value, apps: Value| {
        let mut grant = json!({"name": "one", "projectIds": projects, "appIds": apps});
        let (field, value) = match namespaces {
            Value::Array(_) => ("namespaces", namespaces),
            selector => ("namespaceSelector", selector),
        };
        grant[field] = value;
        json!({"grants": [grant]})
    };
    let here = json!([tenant.namespace]);
    for grants in [
        json!({"grants": []}),
        grant(json!(["elsewhere"]), json!(["*"]), json!(["*"])),
        grant(here.clone(), json!(["1"]), json!(["*"])),
        grant(here.clone(), json!([tenant.project]), json!([other.id])),
        grant(
            json!({"matchLabels": {"no": "such"}}),
            json!(["*"]),
            json!(["*"]),
        ),
    ] {
        tenant.apply_connection(grants).await;
        tenant.connected().await;
        let object = issued.holds(&tenant, "NotGranted").await;
        assert_conditions!(object, Stalled);
    }
    tenant
        .edit(
            "issued",
            json!({"spec": {"connectionRef": {"name": "no-such"}}}),
        )
        .await;
    let object = issued.holds(&tenant, "ConnectionNotFound").await;
    assert!(message(&object, ConditionType::Ready).contains("no-such"));
    tenant.apply_connection(json!({})).await;
    tenant
        .edit(
            "issued",
            json!({"spec": {"connectionRef": {"name": tenant.namespace}}}),
        )
        .await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

#[tokio::test]
async fn a_grant_that_is_taken_away_ends_at_once_while_zitadel_is_down() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("revoked-down", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    for availability in [Availability::Hanging, Availability::Refusing] {
        zitadel.set_availability(availability);
        tenant.apply_connection(json!({"grants": []})).await;
        tenant.reason("orders", "NotGranted").await;
        tenant.apply_connection(json!({})).await;
        tenant
            .until("orders", |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                (ready.reason != "NotGranted").then_some(())
            })
            .await;
    }
    tenant.apply_connection(json!({"grants": []})).await;
    tenant.reason("orders", "NotGranted").await;
    tenant.trigger("orders", "leak").await;
    zitadel.set_availability(Availability::Up);
    // Checked again, now that it is up.
    tenant.set_credential(&format!("{}\n", tenant.pat)).await;
    tenant.until_connection("Connected").await;
    tenant.reason("orders", "NotGranted").await;
    assert_eq!(tenant.generates(&app), 1);
}
