//! Objects of kind `ApiAppSecret` that are accepted, and what of them can be changed.

use kube::api::{Patch, PatchParams, PostParams};
use serde_json::{Value, json};

use crate::kinds::{Kind, many, many_keys, standby, windows};
use crate::support::data;

#[tokio::test]
async fn an_api_app_secret_with_every_field_is_accepted_and_unchanged() {
    let kind = Kind::app_secrets("accepted").await;
    kind.accepts(vec![
        vec![],
        vec![("projectId", json!("x".repeat(200))), ("appId", json!("A.b_c-9"))],
        vec![("secret.data", data(&[("a", "ClientId"), ("b", "ClientSecret"), ("CLIENT_ID", "Issuer"), ("CLIENT_SECRET", "AppId")]))],
        vec![("secret.data", data(&[("CLIENT_SECRET", "ClientId"), ("CLIENT_ID", "ClientSecret")]))],
        vec![("secret.data", data(&[("a", "ClientSecret"), ("b", "ClientSecret")]))],
        vec![("secret.data", many_keys(32))],
        vec![("secret.adoptionPolicy", json!("Never"))],
        vec![("secret.labels", many(32)), ("secret.annotations", many(32))],
        vec![("secret.labels", json!({"app": "", "example.com/team": "orders-1.x_y"}))],
        vec![("secret.annotations", json!({"a": "x".repeat(1024)}))],
        vec![("rotation.interval", json!("1w2d3h4m5s"))],
        vec![("rotation.windows", windows(16))],
        vec![("rotation.jitterPercent", json!(0))],
        vec![("rotation.jitterPercent", json!(50))],
        vec![("rotation.trigger", json!("~".repeat(128)))],
        vec![("standby", standby("3")), ("rotation.overlap.minimum", json!("0s"))],
        vec![("secret.name", json!("a.b-1.c"))],
        vec![("secret.type", json!("kubernetes.io/basic-auth"))],
        vec![("secret.type", json!("example.com/oauth"))],
        vec![("secret.labels", json!({"app.kubernetes.io/name": "orders", "argocd.argoproj.io/instance": "x"}))],
        vec![("secret.annotations", json!({"app.kubernetes.io/name": "orders", "meta.helm.sh/release-name": "x", "reloader.stakater.com/match": "true"}))],
    ])
    .await;
    let full = json!({
        "connectionRef": {"name": "default"}, "organizationId": "9", "projectId": "1", "appId": "2", "standby": {"type": "Existing", "appId": "3"},
        "secret": {
            "name": "orders", "type": "Opaque", "labels": {"a": "b"}, "annotations": {"c": "d"}, "adoptionPolicy": "Required", "deletionPolicy": "Retain",
            "data": data(&[("a", "ClientId"), ("b", "ClientSecret"), ("c", "Issuer"), ("d", "IntrospectionEndpoint"), ("e", "TokenEndpoint"), ("f", "ProjectId"), ("g", "AppId")]),
        },
        "rotation": {
            "interval": "30d", "jitterPercent": 10, "overlap": {"minimum": "24h"}, "trigger": "2026-11 leak",
            "windows": [{"name": "nightly", "schedule": "0 3 * * MON-FRI", "timeZone": "America/Argentina/Buenos_Aires", "duration": "2h"}],
        },
        "recovery": {"missing": "Report", "rejected": "Rotate"}, "suspend": true,
    });
    let params = PostParams::default();
    let mut object = kind.object("full", &[]);
    object.data["spec"] = full.clone();
    let stored = kind.api.create(&params, &object).await.unwrap();
    assert_eq!(
        stored.data["spec"], full,
        "nothing is defaulted, nothing is pruned"
    );
    let stored = kind
        .api
        .create(&params, &kind.object("least", &[]))
        .await
        .unwrap();
    assert_eq!(stored.data["spec"], kind.base, "nothing is defaulted");
}

#[tokio::test]
async fn project_application_and_organization_of_an_object_cannot_be_changed_and_the_rest_can() {
    let kind = Kind::app_secrets("immutable").await;
    kind.api
        .create(&PostParams::default(), &kind.object("orders", &[]))
        .await
        .unwrap();
    let patch = async |change: Value| {
        kind.api
            .patch(
                "orders",
                &PatchParams::default(),
                &Patch::Merge(json!({"spec": change})),
            )
            .await
    };
    for field in ["projectId", "appId"] {
        let refused = patch(json!({field: "7"})).await.unwrap_err();
        let before = &kind.base[field];
        let message =
            format!("{field} cannot be changed from {before} to \"7\": delete the object");
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 422 && status.message.contains(&message)),
            "{refused}"
        );
        let removed = patch(json!({field: null})).await.unwrap_err();
        assert!(
            matches!(&removed, kube::Error::Api(status) if status.code == 422),
            "{removed}"
        );
    }
    patch(json!({"organizationId": "9"})).await.unwrap();
    for change in [json!("10"), Value::Null] {
        let refused = patch(json!({"organizationId": change})).await.unwrap_err();
        let message = "organizationId cannot be changed from \"9\": delete the object";
        assert!(
            matches!(&refused, kube::Error::Api(status) if status.code == 422 && status.message.contains(message)),
            "{refused}"
        );
    }
    let rest = json!({"standby": standby("3"), "connectionRef": {"name": "other"}, "secret": {"name": "x"}, "rotation": {"interval": "1h"}});
    patch(rest).await.unwrap();
}
