//! Objects that are suspended, deleted and created again.

use crate::fixtures::{holds, tenant};
use crate::support::world::{PATIENCE, World};
use crate::support::{data, eventually};
use k8s_openapi::api::core::v1::Namespace;
use kube::api::{Api, DeleteParams, Patch, PatchParams};
use serde_json::json;
use std::time::{Duration, Instant};
use zitadel_secret_operator::api::{AppSecret, ConditionType};
use zitadel_simulator::{Action, Availability, Config, Cut, Fault, Operation, Simulator};

#[tokio::test]
async fn a_suspended_object_is_left_alone_until_it_is_resumed() {
    let tenant = tenant("suspend").await;
    let app = tenant.app("orders");
    tenant
        .apply("orders", &app.id, json!({"suspend": true}))
        .await
        .unwrap();
    tenant.reason("orders", "Suspended").await;
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.apply("orders", &app.id, json!({"suspend": true, "rotation": {"trigger": "a"}, "secret": {"data": data(&[("id", "ClientId"), ("CLIENT_SECRET", "ClientSecret")])}})).await.unwrap();
    let object = tenant.reason("orders", "Suspended").await;
    assert!(
        holds(&object, ConditionType::Ready),
        "what is known of the credential stands"
    );
    tenant.delete_secret("orders").await;
    tenant.fence().await;
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
    assert_eq!(tenant.generates(&app), 1);
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "a"}}))
        .await
        .unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 2);
}

#[tokio::test]
async fn the_deletion_policy_can_be_changed_without_a_rotation() {
    let tenant = tenant("policy").await;
    let app = tenant.issued("orders", json!({})).await;
    for (policy, owners) in [("Retain", 0), ("Delete", 1), ("Retain", 0)] {
        tenant
            .apply(
                "orders",
                &app.id,
                json!({"secret": {"deletionPolicy": policy}}),
            )
            .await
            .unwrap();
        tenant.ready("orders").await;
        let metadata = tenant.secret("orders").await.metadata;
        assert_eq!(
            metadata.owner_references.unwrap_or_default().len(),
            owners,
            "{policy}"
        );
    }
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn with_delete_the_secret_goes_with_its_object() {
    let tenant = tenant("delete").await;
    let app = tenant.issued("orders", json!({})).await;
    tenant.delete("orders").await;
    World::shared().await.cluster.assert_controllers();
    tenant.secret_gone("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn no_deletion_is_ever_blocked_nor_costs_a_generate() {
    let cluster = &World::shared().await.cluster;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("last", &zitadel).await;
    let apps = ["foreground", "namespace"].map(|name| (name, tenant.app(name)));
    for (name, app) in &apps {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        let object = tenant.ready(name).await;
        // Nothing has to run for it to go, not even the operator.
        assert_eq!(object.metadata.finalizers, None);
        assert_eq!(tenant.secret(name).await.metadata.finalizers, None);
    }
    cluster.assert_controllers();
    zitadel.set_availability(Availability::Hanging);
    let foreground = DeleteParams::foreground();
    tenant
        .objects()
        .delete("foreground", &foreground)
        .await
        .unwrap();
    tenant.secret_gone("foreground").await;
    eventually(PATIENCE, || async {
        let found = tenant.objects().get_opt("foreground").await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    zitadel.set_availability(Availability::Up);
    // What is due in a namespace that ends is not made any more.
    let trigger = json!({"spec": {"rotation": {"trigger": "last"}}});
    let namespaces: Api<Namespace> = Api::all(tenant.client.clone());
    let at_once = DeleteParams::default();
    namespaces
        .delete(&tenant.namespace, &at_once)
        .await
        .unwrap();
    // NB: what is in the namespace stays for five seconds.
    tenant.reason("namespace", "NamespaceTerminating").await;
    let _ = tenant
        .objects()
        .patch("namespace", &PatchParams::default(), &Patch::Merge(trigger))
        .await;
    eventually(PATIENCE, || async {
        let found = namespaces.get_opt(&tenant.namespace).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    World::shared().await.tenant("fence").await.fence().await;
    assert_eq!(tenant.generates(&apps[0].1), 1);
    assert_eq!(tenant.generates(&apps[1].1), 1);
}

#[tokio::test]
async fn with_retain_the_secret_stays_and_an_object_made_again_keeps_its_value() {
    let tenant = tenant("retain").await;
    let app = tenant.app("orders");
    let spec = json!({"secret": {"deletionPolicy": "Retain"}, "rotation": {"trigger": "a", "interval": "30d"}});
    tenant.apply("orders", &app.id, spec.clone()).await.unwrap();
    tenant.ready("orders").await;
    let before = tenant.secret("orders").await;
    assert_eq!(before.metadata.owner_references, None);
    tenant.delete("orders").await;
    tenant.fence().await;
    assert_eq!(tenant.secret("orders").await, before);
    // A trigger that is there from the beginning counts as handled, also where the claim is damaged later.
    let mut again = spec;
    again["rotation"]["trigger"] = json!("from the beginning");
    tenant.apply("orders", &app.id, again).await.unwrap();
    tenant.ready("orders").await;
    let claim = tenant.claims("orders").await;
    tenant.write_claim(&claim[0], "{").await;
    tenant
        .edit("orders", json!({"spec": {"rotation": {"interval": "31d"}}}))
        .await;
    let written = eventually(PATIENCE, || async { tenant.claims("orders").await.pop() }).await;
    let handled = r#"\"handledTrigger\":\"from the beginning\""#;
    assert!(format!("{written:?}").contains(handled), "{written:?}");
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(tenant.secret("orders").await.data, before.data);
    // The new object's own trigger works.
    tenant
        .apply(
            "orders",
            &app.id,
            json!({"secret": {"deletionPolicy": "Retain"}, "rotation": {"trigger": "b"}}),
        )
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn what_was_asked_for_before_an_object_was_made_again_leaves_its_breaker_closed() {
    let tenant = tenant("preview").await;
    let (app, other) = (tenant.app("orders"), tenant.app("other"));
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.apply("other", &other.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.ready("other").await;
    for generates in 2..=4 {
        let trigger = json!({"spec": {"rotation": {"trigger": generates.to_string()}}});
        tenant.edit("orders", trigger).await;
        tenant.until_generates(&app, generates).await;
        tenant.ready("orders").await;
    }
    tenant.age_claims("other").await;
    for name in ["orders", "other"] {
        tenant.delete(name).await;
        tenant.secret_gone(name).await;
    }
    // The claim whose last rotation was long ago goes.
    eventually(PATIENCE, || async {
        tenant.claims("other").await.is_empty().then_some(())
    })
    .await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let cut = Action::DropAfter(Cut::Reset);
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, cut).app(&app.id));
    tenant.trigger("orders", "lost").await;
    let repaired = |object: &AppSecret| {
        let last = object.status.as_ref()?.last_rotation.as_ref()?;
        (last.reason == "LostAttempt").then_some(())
    };
    tenant.until("orders", repaired).await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 7);
}

#[tokio::test]
async fn an_object_that_is_made_again_and_again_is_issued_each_time_and_never_stopped() {
    let tenant = tenant("again").await;
    let app = tenant.app("orders");
    for made in 1..=5 {
        tenant.apply("orders", &app.id, json!({})).await.unwrap();
        let status = tenant.ready("orders").await.status.unwrap();
        assert_eq!(status.last_rotation.unwrap().reason, "FirstIssue");
        let replaced = status.history[0].replaced.as_ref();
        let made_with_it = replaced.is_none_or(|replaced| replaced.with_app == Some(true));
        assert_eq!(made_with_it, made == 1, "{replaced:?}");
        assert_eq!(tenant.generates(&app), made);
        // Its Secret goes with it.
        tenant.delete("orders").await;
        tenant.secret_gone("orders").await;
    }
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let events = tenant.events("orders").await;
    let warned = |(type_, reason, note): &(String, String, String)| {
        type_ == "Warning" && reason == "Issued" && note.contains("It replaced one")
    };
    assert!(events.iter().any(warned), "{events:?}");
    assert!(events.iter().all(|(_, reason, _)| reason != "LostAttempt"));
    // What is repaired next is not held back either.
    tenant.delete_secret("orders").await;
    tenant.until_generates(&app, 7).await;
    let status = tenant.ready("orders").await.status.unwrap();
    assert_eq!(status.last_rotation.unwrap().reason, "SecretMissing");
}

/// Until so much time has passed: what is tested is that something is old by then.
async fn past(span: Duration) {
    let since = Instant::now();
    eventually(PATIENCE, || async {
        (since.elapsed() > span).then_some(())
    })
    .await;
}

#[tokio::test]
async fn an_object_that_is_suspended_while_it_waits_to_catch_up_is_not_rotated() {
    // Half as fast as the shared one, so that the call that is held does not run into its deadline.
    let world = World::shared().await;
    let own = world.own_operator(&["--protocol-speed", "10"]).await;
    let tenant = own.tenant_at("turns", world, &world.zitadel).await;
    let apps = ["first", "second", "third"].map(|name| tenant.app(name));
    let gate = tenant.zitadel.gate(&tenant.namespace);
    let hold = Action::HoldBefore {
        gate: gate.name().to_owned(),
        outlives_client: false,
    };
    tenant
        .zitadel
        .inject(Fault::on(Operation::Generate, hold).app(&apps[0].id));
    tenant.apply("first", &apps[0].id, json!({})).await.unwrap();
    gate.reached().await;
    // The second one may claim, the third one has to wait.
    for (name, app) in ["second", "third"].into_iter().zip(&apps[1..]) {
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        eventually(PATIENCE, || async {
            let shell = tenant.secrets().get_opt(name).await.unwrap();
            (shell.is_some() && tenant.requests_about(app) > 0).then_some(())
        })
        .await;
        past(Duration::from_millis(300)).await;
    }
    tenant
        .edit("third", json!({"spec": {"suspend": true}}))
        .await;
    // Longer than a claim may be old before it is used.
    past(Duration::from_millis(1200)).await;
    gate.release();
    tenant.reason("third", "Suspended").await;
    tenant.ready("second").await;
    tenant.fence().await;
    assert_eq!(tenant.generates(&apps[2]), 0);
}
