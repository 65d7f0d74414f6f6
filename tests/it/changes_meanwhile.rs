//! What is changed while something is under way, or by somebody else: names of Secrets, objects that wait for their turn.

use std::time::{Duration, Instant};

use crate::support::world::{PATIENCE, Tenant, World};
use crate::support::{data, eventually};
use serde_json::{Value, json};
use zitadel_simulator::{Action, Fault, Operation};

async fn tenant(prefix: &str) -> Tenant {
    World::shared().await.tenant(prefix).await
}

async fn apply(tenant: &Tenant, app: &str, extra: Value) {
    tenant.apply("orders", app, extra).await.unwrap();
}

/// Waits until the status names that Secret, and all is well.
async fn moved(tenant: &Tenant, name: &str) {
    let there = |object: &zitadel_secret_operator::api::ApiAppSecret| {
        let status = object.status.as_ref()?;
        (status.secret_name.as_deref() == Some(name)).then_some(())
    };
    tenant.until("orders", there).await;
    tenant.ready("orders").await;
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
async fn a_renamed_secret_leaves_nothing_behind() {
    let tenant = tenant("rename").await;
    let app = tenant.app("orders");
    apply(&tenant, &app.id, json!({"secret": {"name": "before"}})).await;
    tenant.ready("orders").await;
    let value = tenant.client_secret("before").await;
    apply(&tenant, &app.id, json!({"secret": {"name": "after"}})).await;
    moved(&tenant, "after").await;
    tenant.secret_gone("before").await;
    assert_eq!(tenant.client_secret("after").await, value);
    // Nor does a key of the copy that has another name by now.
    let keys = json!({"secret": {"name": "after", "data": data(&[("CLIENT_ID", "ClientId"), ("PASSWORD", "ClientSecret")])}});
    apply(&tenant, &app.id, keys).await;
    eventually(PATIENCE, || async {
        let data = tenant.data("after").await;
        let moved = data.get("PASSWORD") == value.as_ref() && !data.contains_key("CLIENT_SECRET");
        moved.then_some(())
    })
    .await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn what_others_wrote_into_a_secret_stays_when_it_is_renamed() {
    let tenant = tenant("renameshared").await;
    let app = tenant.app("orders");
    let value = app.secret.clone().unwrap();
    let theirs = json!({"CLIENT_SECRET": value, "other": "x"});
    tenant.create_secret("oauth", theirs).await;
    let spec = |name: &str, trigger: &str| json!({"secret": {"name": name, "adoptionPolicy": "Required", "labels": {"ours": "1"}}, "rotation": {"trigger": trigger}});
    apply(&tenant, &app.id, spec("oauth", "a")).await;
    tenant.ready("orders").await;
    apply(&tenant, &app.id, spec("oauth", "b")).await;
    tenant.until_generates(&app, 1).await;
    tenant.ready("orders").await;
    let rotated = tenant.client_secret("oauth").await;
    apply(&tenant, &app.id, spec("after", "b")).await;
    moved(&tenant, "after").await;
    assert_eq!(tenant.client_secret("after").await, rotated);
    assert_eq!(tenant.generates(&app), 1);
    eventually(PATIENCE, || async {
        let data = tenant.data("oauth").await;
        (!data.contains_key("CLIENT_SECRET")).then_some(())
    })
    .await;
    assert_eq!(tenant.value("oauth", "other").await.as_deref(), Some("x"));
    let metadata = tenant.secret("oauth").await.metadata;
    let marks = |all: Option<std::collections::BTreeMap<String, String>>| {
        let all = all.unwrap_or_default();
        all.into_keys()
            .filter(|key| key.starts_with("zitadel-secrets.dev/"))
            .count()
    };
    assert_eq!(
        (marks(metadata.labels), marks(metadata.annotations)),
        (0, 0)
    );
    assert_eq!(metadata.owner_references, None);
}

#[tokio::test]
async fn a_secret_of_long_ago_under_the_new_name_does_not_replace_the_newer_one() {
    let tenant = tenant("renameback").await;
    let app = tenant.app("orders");
    let retained = |name: &str| json!({"secret": {"name": name, "deletionPolicy": "Retain"}});
    apply(&tenant, &app.id, retained("oauth")).await;
    tenant.ready("orders").await;
    let old = tenant.client_secret("oauth").await;
    tenant.delete("orders").await;
    apply(&tenant, &app.id, retained("oauth-v2")).await;
    tenant.ready("orders").await;
    let new = tenant.client_secret("oauth-v2").await;
    assert_ne!(new, old);
    let generates = tenant.generates(&app);
    apply(&tenant, &app.id, retained("oauth")).await;
    moved(&tenant, "oauth").await;
    assert_eq!(tenant.client_secret("oauth").await, new);
    tenant.until_accepted(&app, "oauth").await;
    tenant.secret_gone("oauth-v2").await;
    assert_eq!(tenant.generates(&app), generates);
}

#[tokio::test]
async fn an_object_that_is_suspended_while_it_waits_for_its_turn_is_not_rotated() {
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
