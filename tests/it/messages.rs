//! What conditions, events and the log say, where that is the subject.

use kube::api::{Patch, PatchParams};
use serde_json::json;
use zitadel_secret_operator::api::{AppSecret, ConditionType};
use zitadel_simulator::{Action, Config, Fault, Operation, Reply, Simulator};

use crate::fixtures::{Issued, assert_conditions, assert_status, holds, message, reason, tenant};
use crate::support::eventually;
use crate::support::policy::{allow_secrets, deny_secrets};
use crate::support::world::{PATIENCE, World};

#[tokio::test]
async fn a_lost_secret_whose_repair_is_refused_says_that_no_credential_works() {
    let tenant = tenant("lost").await;
    let issued = Issued::new(&tenant).await;
    deny_secrets(&tenant.client, &tenant.namespace).await;
    let never = tenant.app("never");
    tenant.apply("never", &never.id, json!({})).await.unwrap();
    tenant.delete_secret("issued").await;
    let object = tenant.reason("issued", "SecretWriteRefused").await;
    assert_conditions!(object, !Verified "SecretMissing");
    // No consumer relies yet on one that never existed.
    let object = tenant.reason("never", "SecretWriteRefused").await;
    assert_eq!(reason(&object, ConditionType::Verified), "");
    assert_eq!(tenant.generates(&issued.app), 1);

    allow_secrets(&tenant.client, &tenant.namespace).await;
    tenant.trigger("issued", "again").await;
    tenant.until_accepted(&issued.app, "issued").await;
    let object = tenant.ready("issued").await;
    assert!(holds(&object, ConditionType::Verified));
    assert_eq!(tenant.generates(&issued.app), 2);
}

#[tokio::test]
async fn a_tool_that_applies_a_key_as_well_is_named_at_once_and_a_trigger_takes_the_key_over() {
    let tenant = tenant("applied").await;
    let app = tenant.issued("orders", json!({})).await;
    // The very value, so that nothing but the ownership changes.
    let data = tenant.secret("orders").await.data.unwrap();
    let value = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": "orders"}, "data": {"CLIENT_SECRET": data["CLIENT_SECRET"]}});
    let flux = PatchParams::apply("kustomize-controller");
    tenant
        .secrets()
        .patch("orders", &flux, &Patch::Apply(value))
        .await
        .unwrap();
    let object = assert_status!(tenant, "orders", "SecretContested", Ready);
    let named = "Field manager kustomize-controller applies key CLIENT_SECRET of Secret orders";
    assert!(
        message(&object, ConditionType::Ready).starts_with(named),
        "{}",
        message(&object, ConditionType::Ready)
    );
    let warned = tenant.event("orders", "SecretContested").await;
    assert!(warned.starts_with(named), "{warned}");
    tenant.fence().await;
    let object = tenant.objects().get("orders").await.unwrap();
    assert_eq!(
        reason(&object, ConditionType::Ready),
        "SecretContested",
        "it is not forgotten"
    );
    // Also where a rotation is due that waits for it.
    let last = object.status.unwrap().last_rotation.unwrap().time.0;
    eventually(PATIENCE, || async {
        let age = jiff::Timestamp::now().duration_since(last);
        (age > jiff::SignedDuration::from_secs(2)).then_some(())
    })
    .await;
    let due = json!({"spec": {"rotation": {"interval": "1s", "jitter": 0}}});
    tenant.edit("orders", due).await;
    let stalled = |object: &AppSecret| holds(object, ConditionType::Stalled).then_some(());
    let object = tenant.until("orders", stalled).await;
    assert_eq!(reason(&object, ConditionType::Ready), "SecretContested");
    assert!(holds(&object, ConditionType::Ready), "the value works");
    assert!(tenant.accepted(&app, "orders").await);
    let due = json!({"spec": {"rotation": {"interval": null, "jitter": null}}});
    tenant.edit("orders", due).await;
    assert_eq!(tenant.generates(&app), 1);
    tenant.trigger("orders", "out").await;
    tenant.until_generates(&app, 2).await;
    let object = tenant.ready("orders").await;
    assert_eq!(reason(&object, ConditionType::Ready), "UpToDate");
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn a_project_that_cannot_be_scanned_is_logged_and_scanned_again() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unlisted", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let page = Action::RespondBefore(Reply::ingress_html(404));
    let fault = zitadel.inject(Fault::on(Operation::SearchApps, page).always());
    zitadel.rotate_elsewhere(&app.id, None).unwrap();
    let operator = world.operator.as_ref().unwrap();
    // NB: of each kind of trouble the log has a line in half a minute, whichever project it was.
    eventually(PATIENCE, || async {
        let logged = operator.printed().contains("of a project cannot be listed");
        (logged && zitadel.fired(fault) >= 2).then_some(())
    })
    .await;
    zitadel.remove_fault(fault);
    // The value that another actor replaced is rejected by now, and that is seen.
    tenant.until_generates(&app, 3).await;
    tenant.until_accepted(&app, "orders").await;
}

#[tokio::test]
async fn a_change_list_that_may_not_be_read_is_said_on_the_object_with_the_missing_right() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unread", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let denied = format!("read the change list of app {} in project", app.id);
    zitadel.configure(|settings| settings.journal_forbidden = true);
    tenant.trigger("orders", "denied").await;
    let says = |object: &zitadel_secret_operator::api::AppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.get(ConditionType::Ready)?;
        let current = ready.observed_generation == object.metadata.generation;
        let holds = conditions.is_true(ConditionType::Ready);
        (current && holds).then(|| ready.message.clone())
    };
    let object = tenant
        .until("orders", |object| {
            says(object)?.contains(&denied).then_some(())
        })
        .await;
    let message = says(&object).unwrap();
    assert!(
        message.contains("the permission project.app.read"),
        "{message}"
    );
    tenant.until_generates(&app, 2).await;
    zitadel.configure(|settings| settings.journal_forbidden = false);
    tenant.trigger("orders", "granted").await;
    tenant.until_generates(&app, 3).await;
    tenant
        .until("orders", |object| {
            (!says(object)?.contains(&denied)).then_some(())
        })
        .await;
}
