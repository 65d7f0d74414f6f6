//! Applications that cannot be rotated.

use crate::fixtures::{Issued, assert_conditions, message, reason, tenant};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{AuthMethod, NewApp, Role, Scope};

#[tokio::test]
async fn an_application_that_cannot_be_rotated_has_a_reason_for_each_cause() {
    let tenant = tenant("apps").await;
    let other = tenant.zitadel.create_org("other");
    let make = |new: NewApp| tenant.zitadel.create_app(&tenant.project, &new).unwrap();
    let good = tenant.app("good");
    let oidc = make(NewApp {
        name: "web".to_owned(),
        oidc_redirect_uri: Some("https://localhost/cb".to_owned()),
        ..NewApp::default()
    });
    let jwt = make(NewApp {
        name: "jwt".to_owned(),
        method: AuthMethod::PrivateKeyJwt,
        ..NewApp::default()
    });
    let (inactive, removed) = (tenant.app("inactive"), tenant.app("removed"));
    tenant.zitadel.deactivate_app(&inactive.id).unwrap();
    tenant.zitadel.remove_app(&removed.id).unwrap();
    let foreign = tenant.zitadel.create_project(&other, "foreign");
    tenant
        .apply_connection(
            json!({"grants": [{"name": "by-name", "namespaces": [tenant.namespace], "projectIds": ["*"]}]}),
        )
        .await;
    tenant.connected().await;
    let cases = [
        ("unknown-app", json!({"appId": "7"}), "AppNotFound"),
        ("removed", json!({"appId": removed.id}), "AppNotFound"),
        ("oidc", json!({"appId": oidc.id}), "AppNotApi"),
        ("jwt", json!({"appId": jwt.id}), "AppNotReady"),
        ("inactive", json!({"appId": inactive.id}), "AppNotReady"),
        (
            "unknown-org",
            json!({"organizationId": "7"}),
            "OrganizationNotFound",
        ),
        (
            "other-org",
            json!({"organizationId": other, "appId": "8"}),
            "NotAMember",
        ),
        (
            "other-project",
            json!({"projectId": foreign, "appId": "9"}),
            "PermissionDenied",
        ),
    ];
    for (index, (name, change, _)) in cases.iter().enumerate() {
        let app = if change.get("appId").is_some() {
            good.id.clone()
        } else {
            tenant.app(&format!("good-{index}")).id
        };
        tenant.apply(name, &app, change.clone()).await.unwrap();
    }
    let mut wrong = Vec::new();
    for (name, _, expected) in &cases {
        let object = tenant.until(name, |object| {
            let ready = object
                .status
                .as_ref()?
                .conditions
                .get(ConditionType::Ready)?;
            (ready.reason != "Rotating").then_some(())
        });
        let object = object.await;
        let ready = ConditionType::Ready;
        assert_conditions!(object, !Ready);
        let reason = reason(&object, ready);
        if reason != *expected {
            let message = message(&object, ready);
            wrong.push(format!("{name}: {reason}, not {expected}: {message}"));
        }
        assert!(
            tenant.secrets().get_opt(name).await.unwrap().is_none(),
            "{name}"
        );
    }
    assert!(wrong.is_empty(), "{wrong:#?}");
    tenant.apply("good", &good.id, json!({})).await.unwrap();
    tenant.ready("good").await;
    tenant.fence().await;
    let own = tenant
        .zitadel
        .executions()
        .into_iter()
        .filter(|made| made.project == tenant.project && made.request.is_some());
    assert_eq!(own.count(), 2, "the good one and the fence");
}

#[tokio::test]
async fn an_application_that_changes_after_its_issue_is_reported_and_its_secret_stays() {
    let tenant = tenant("changed").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.deactivate_app(&issued.app.id).unwrap();
    issued.holds(&tenant, "AppNotReady").await;
    tenant.zitadel.reactivate_app(&issued.app.id).unwrap();
    tenant.trigger("issued", "active").await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.reason("issued", "UpToDate").await;
    let issued = Issued::of(&tenant, issued.app).await;
    tenant
        .zitadel
        .change_auth_method(&issued.app.id, AuthMethod::PrivateKeyJwt)
        .unwrap();
    issued.holds(&tenant, "AppNotReady").await;
    tenant.zitadel.remove_app(&issued.app.id).unwrap();
    issued.holds(&tenant, "AppNotFound").await;
}

#[tokio::test]
async fn a_service_user_that_may_only_read_rotates_nothing() {
    let tenant = tenant("viewer").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.revoke_memberships(&tenant.user);
    issued.holds(&tenant, "NotAMember").await;
    tenant.zitadel.grant(
        &tenant.user,
        Role::ProjectOwnerViewer,
        Scope::Project(tenant.project.clone()),
    );
    let object = issued.holds(&tenant, "PermissionDenied").await;
    assert_conditions!(object, Stalled);
    tenant.zitadel.grant(
        &tenant.user,
        Role::ProjectOwner,
        Scope::Project(tenant.project.clone()),
    );
    tenant.trigger("issued", "owner").await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.ready("issued").await;
}
