//! Claims that are damaged, or that no object names any more, and what is held while a connection is gone.

use crate::fixtures::{assert_status, message, tenant};
use crate::support::eventually;
use crate::support::policy;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, World};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::Api;
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_secret_operator::store::claim::CLAIM_ANNOTATION;
use zitadel_simulator::{Config, Operation, Simulator};

#[tokio::test]
async fn a_held_value_is_reported_and_written_also_when_its_connection_is_gone() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("held-gone", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let claims = || async {
        let claims = tenant.claims("orders").await.into_iter();
        let known = claims.map(|lease| (lease.metadata.name, lease.metadata.resource_version));
        known.collect::<Vec<_>>()
    };
    let gate = zitadel.hold_after(Operation::Generate);
    tenant.trigger("orders", "held").await;
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
    policy::deny_secrets(&tenant.client, &tenant.namespace).await;
    gate.release();
    tenant.reason("orders", "SecretWriteRefused").await;
    let before = claims().await;
    tenant
        .connections()
        .delete(&tenant.namespace, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    // The object is reconciled after that.
    let touched = json!({"spec": {"rotation": {"trigger": "more"}}});
    tenant.edit("orders", touched).await;
    let object = assert_status!(tenant, "orders", "SecretWriteRefused", Stalled);
    let said = message(&object, ConditionType::Ready);
    assert!(said.contains("do not restart the operator"), "{said}");
    assert_eq!(claims().await, before);
    policy::allow_secrets(&tenant.client, &tenant.namespace).await;
    tenant.until_accepted(&app, "orders").await;
    tenant.reason("orders", "ConnectionNotFound").await;
    assert_eq!(claims().await, before, "under the same name, untouched");
    assert_eq!(tenant.generates(&app), 2);
    tenant.apply_connection(json!({})).await;
    tenant.until_generates(&app, 3).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

/// The text of a claim without its attempt.
fn without_attempt(text: &str) -> String {
    let mut claim: Value = serde_json::from_str(text).unwrap();
    claim.as_object_mut().unwrap().remove("attempt").unwrap();
    claim.to_string()
}

#[tokio::test]
async fn of_claims_that_no_object_names_only_those_of_long_ago_that_can_be_read_are_deleted() {
    let tenant = tenant("swept").await;
    let names = ["aged", "bare", "damaged", "last"];
    for name in names {
        let app = tenant.app(name);
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
    }
    let mut leases = Vec::new();
    for name in names {
        leases.push(tenant.claims(name).await.remove(0));
    }
    let text = |n: usize| {
        let lease: &Lease = &leases[n];
        lease.metadata.annotations.as_ref().unwrap()[CLAIM_ANNOTATION].clone()
    };
    tenant.age_claims("aged").await;
    let operator = World::shared().await.operator.as_ref().unwrap();
    let mut log = std::fs::File::open(&operator.log).unwrap();
    std::io::Seek::seek(&mut log, std::io::SeekFrom::End(0)).unwrap();
    for name in names {
        tenant.delete(name).await;
        tenant.secret_gone(name).await;
    }
    tenant
        .write_claim(&leases[1], &without_attempt(&text(1)))
        .await;
    tenant.write_claim(&leases[2], "{}").await;
    let gone = async |name| {
        eventually(PATIENCE, || async {
            tenant.claims(name).await.is_empty().then_some(())
        })
        .await;
    };
    gone("aged").await;
    // It is deleted after the others were seen without an owner for as long.
    tenant.age_claims("last").await;
    gone("last").await;
    let api: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    for lease in &leases[1..3] {
        let name = lease.metadata.name.as_ref().unwrap();
        assert!(api.get_opt(name).await.unwrap().is_some(), "{name}");
    }
    // The one that cannot be read is reported.
    let mut printed = String::new();
    eventually(PATIENCE, || {
        std::io::Read::read_to_string(&mut log, &mut printed).unwrap();
        let logged = printed.contains("a claim cannot be read and no object names its application");
        async move { logged.then_some(()) }
    })
    .await;
}

#[tokio::test]
async fn a_claim_that_is_damaged_while_its_object_is_at_rest_is_replaced() {
    let tenant = tenant("damaged").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.fence().await;
    let claim = tenant.claims("orders").await.remove(0);
    tenant.write_claim(&claim, "{}").await;
    eventually(PATIENCE, || async {
        (!tenant.claims("orders").await.is_empty()).then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}
