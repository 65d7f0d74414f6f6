//! Secrets that get another name.

use crate::fixtures::{assert_conditions, tenant};
use crate::support::world::{PATIENCE, Tenant};
use crate::support::{data, eventually};
use serde_json::{Value, json};

#[tokio::test]
async fn a_renamed_secret_gets_the_value_that_is_held() {
    let tenant = tenant("rename").await;
    let app = tenant
        .issued("orders", json!({"secret": {"name": "before"}}))
        .await;
    let value = tenant.client_secret("before").await.unwrap();
    tenant
        .apply("orders", &app.id, json!({"secret": {"name": "after"}}))
        .await
        .unwrap();
    let object = tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 1, "{object:?}");
    assert_eq!(tenant.client_secret("after").await, Some(value));
    assert_eq!(object.status.unwrap().secret_name.as_deref(), Some("after"));
}

#[tokio::test]
async fn a_secret_that_is_renamed_onto_a_foreign_one_stays_verified() {
    let tenant = tenant("obstacle").await;
    let app = tenant
        .issued("orders", json!({"secret": {"name": "before"}}))
        .await;
    for (foreign, data) in [
        ("other", json!({"key": "x"})),
        ("copy", json!({"CLIENT_SECRET": "x"})),
    ] {
        tenant.create_secret(foreign, data).await;
        tenant
            .edit("orders", json!({"spec": {"secret": {"name": foreign}}}))
            .await;
        let object = tenant.reason("orders", "SecretNotOwned").await;
        assert_conditions!(object, Verified "Accepted");
        assert_eq!(
            object.status.unwrap().secret_name.as_deref(),
            Some("before")
        );
    }
    assert_eq!(tenant.generates(&app), 1);
}

async fn apply(tenant: &Tenant, app: &str, extra: Value) {
    tenant.apply("orders", app, extra).await.unwrap();
}

/// Waits until the status names that Secret, and all is well.
async fn moved(tenant: &Tenant, name: &str) {
    let there = |object: &zitadel_secret_operator::api::AppSecret| {
        let status = object.status.as_ref()?;
        (status.secret_name.as_deref() == Some(name)).then_some(())
    };
    tenant.until("orders", there).await;
    tenant.ready("orders").await;
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
