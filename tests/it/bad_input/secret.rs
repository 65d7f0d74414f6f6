//! Secrets that cannot be written.

use crate::fixtures::{Issued, assert_conditions, holds, message, tenant};
use crate::support::eventually;
use crate::support::policy::dry_run;
use crate::support::world::{PATIENCE, Tenant};
use k8s_openapi::api::core::v1::ResourceQuota;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;

#[tokio::test]
async fn a_secret_that_is_immutable_or_of_another_type_is_reported() {
    let tenant = tenant("immutable").await;
    let issued = Issued::new(&tenant).await;
    tenant
        .edit(
            "issued",
            json!({"spec": {"secret": {"type": "example.com/other"}}}),
        )
        .await;
    let object = issued.holds(&tenant, "SecretTypeMismatch").await;
    assert_conditions!(object, Stalled);
    tenant
        .edit("issued", json!({"spec": {"secret": null}}))
        .await;
    tenant.reason("issued", "UpToDate").await;
    tenant
        .edit_secret("issued", json!({"immutable": true}))
        .await;
    let issued = Issued::of(&tenant, issued.app).await;
    issued.holds(&tenant, "SecretImmutable").await;
    // As the message says: it is deleted by a person.
    tenant.delete_secret("issued").await;
    tenant.until_accepted(&issued.app, "issued").await;
    tenant.ready("issued").await;
}

/// A quota of that name that allows as many Secrets as there are. Waits for its effect.
async fn no_room(tenant: &Tenant, name: &str, secrets: u32) -> Api<ResourceQuota> {
    let quotas: Api<ResourceQuota> = Api::namespaced(tenant.client.clone(), &tenant.namespace);
    let hard = json!({"secrets": secrets.to_string()});
    let quota = json!({"metadata": {"name": name}, "spec": {"hard": hard}});
    quotas
        .create(
            &PostParams::default(),
            &serde_json::from_value(quota).unwrap(),
        )
        .await
        .unwrap();
    // The quota controller would do this.
    let status = json!({"status": {"hard": hard, "used": hard}});
    quotas
        .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        dry_run(&tenant.secrets()).await.err().map(drop)
    })
    .await;
    quotas
}

#[tokio::test]
async fn a_rename_that_a_quota_does_not_allow_leaves_the_former_secret_and_says_so() {
    let tenant = tenant("renamequota").await;
    let issued = Issued::new(&tenant).await;
    let quotas = no_room(&tenant, "full", 1).await;
    let renamed = json!({"spec": {"secret": {"name": "renamed"}}});
    tenant.edit("issued", renamed).await;
    let object = issued.holds(&tenant, "QuotaExceeded").await;
    let (stalled, message) = (
        holds(&object, ConditionType::Stalled),
        message(&object, ConditionType::Stalled),
    );
    let named = format!(
        "ResourceQuota full of namespace {} does not allow Secret renamed: raise it",
        tenant.namespace
    );
    assert!(stalled && message.starts_with(&named), "{message}");
    let stays = "Until then the client secret stays in Secret issued";
    assert!(message.ends_with(stays), "{message}");
    let ready = holds(&object, ConditionType::Ready);
    assert!(!ready, "there is no Secret of the name that is declared");
    let accepted = holds(&object, ConditionType::Verified);
    assert!(accepted, "{object:?}");
    let status = object.status.unwrap();
    assert_eq!(status.secret_name.as_deref(), Some("issued"));
    assert!(tenant.accepted(&issued.app, "issued").await);
    quotas
        .delete("full", &DeleteParams::default())
        .await
        .unwrap();
    let labels = json!({"spec": {"secret": {"labels": {"room": "made"}}}});
    tenant.edit("issued", labels).await;
    tenant.until_accepted(&issued.app, "renamed").await;
    tenant.secret_gone("issued").await;
}

#[tokio::test]
async fn a_quota_without_room_stops_the_issue_before_any_generate() {
    let tenant = tenant("quota").await;
    let quotas = no_room(&tenant, "none", 0).await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "QuotaExceeded").await;
    let message = message(&object, ConditionType::Stalled);
    let named = format!(
        "ResourceQuota none of namespace {} does not allow Secret orders",
        tenant.namespace
    );
    assert!(message.starts_with(&named), "{message}");
    assert_eq!(tenant.generates(&app), 0);
    quotas
        .delete("none", &DeleteParams::default())
        .await
        .unwrap();
    tenant.trigger("orders", "room").await;
    tenant.until_accepted(&app, "orders").await;
    assert_eq!(tenant.generates(&app), 1);
}
