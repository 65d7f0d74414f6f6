//! Connections that cannot be used.

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, ListParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Availability, Config, Simulator};

use crate::fixtures::{Issued, assert_conditions, holds, message, reason, tenant};
use crate::support::eventually;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};

fn known(reason: &str) -> bool {
    zitadel_secret_operator::api::Reason::ALL
        .iter()
        .any(|known| known.as_str() == reason)
}

/// The claims of a tenant's objects, with their revisions.
async fn claims_of(tenant: &Tenant) -> Vec<(String, Option<String>)> {
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let all = leases.list(&ListParams::default()).await.unwrap();
    let ours = |lease: &Lease| {
        let annotations = lease.metadata.annotations.as_ref();
        annotations.is_some_and(|all| all.values().any(|it| it.contains(&tenant.namespace)))
    };
    let ours = all.items.into_iter().filter(ours);
    ours.map(|lease| {
        (
            lease.metadata.name.unwrap(),
            lease.metadata.resource_version,
        )
    })
    .collect()
}

#[tokio::test]
async fn a_deleted_connection_is_reported_and_the_secret_stays() {
    let tenant = tenant("deleted").await;
    let issued = Issued::new(&tenant).await;
    let claims = claims_of(&tenant).await;
    assert_eq!(claims.len(), 1);
    tenant.zitadel.revoke_token(&tenant.pat);
    issued.holds(&tenant, "CredentialRejected").await;
    assert_eq!(claims_of(&tenant).await, claims, "over a broken connection");
    tenant
        .connections()
        .delete(&tenant.namespace, &DeleteParams::default())
        .await
        .unwrap();
    issued.holds(&tenant, "ConnectionNotFound").await;
    assert_eq!(
        claims_of(&tenant).await,
        claims,
        "under the same name, untouched"
    );
    tenant.apply_connection(json!({})).await;
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

#[tokio::test]
async fn a_credential_that_is_missing_or_malformed_is_reported_without_a_word_of_it() {
    let tenant = tenant("malformed").await;
    let issued = Issued::new(&tenant).await;
    let secrets: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let key_file = tenant
        .zitadel
        .create_machine_key(&tenant.user)
        .unwrap()
        .json;
    let key_file: Value = serde_json::from_str(&key_file).unwrap();
    let with = |field: &str, value: Value| {
        let mut file = key_file.clone();
        file[field] = value;
        file.to_string()
    };
    let pat = "personalAccessToken";
    let key = "serviceAccountKey";
    let cases = [
        (pat, Some(String::new())),
        (pat, Some(" \n".to_owned())),
        (pat, Some("canary two".to_owned())),
        (pat, Some("canary\ntwo".to_owned())),
        (pat, Some("canäry".to_owned())),
        (pat, Some(key_file.to_string())),
        (pat, Some("x".repeat(65_537))),
        (key, Some("canary".to_owned())),
        (key, Some("{\"canary".to_owned())),
        (key, Some("[]".to_owned())),
        (key, Some(with("type", json!("application")))),
        (key, Some(with("keyId", Value::Null))),
        (key, Some(with("userId", json!("../canary")))),
        (key, Some(with("key", json!("canary")))),
        (key, Some(with("key", json!(7)))),
        (
            key,
            Some(with(
                "key",
                json!("-----BEGIN RSA PRIVATE KEY-----\ncanary\n-----END RSA PRIVATE KEY-----\n"),
            )),
        ),
        (key, Some(with("expirationDate", json!("canary")))),
        (pat, None),
    ];
    for (type_, text) in cases {
        let reference = |key: &str| {
            let reference = json!({"secretKeyRef": {"name": tenant.namespace, "key": key}});
            let mut auth = json!({});
            auth[type_] = reference;
            json!({ "auth": auth })
        };
        if let Some(text) = &text {
            tenant.set_credential(text).await;
        } else {
            secrets
                .delete(&tenant.namespace, &DeleteParams::default())
                .await
                .unwrap();
        }
        tenant.apply_connection(reference("token")).await;
        let reason = if text.is_some() {
            "CredentialMalformed"
        } else {
            "CredentialMissing"
        };
        let message = eventually(PATIENCE, || async {
            let status = tenant
                .connections()
                .get(&tenant.namespace)
                .await
                .unwrap()
                .status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            (ready.reason == reason).then(|| ready.message.clone())
        })
        .await;
        assert!(!message.contains("canary"), "{message}");
        let object = issued.holds(&tenant, reason).await;
        assert_conditions!(object, Stalled);
        // In between, so that the next case differs from this one.
        tenant.apply_connection(reference("none")).await;
        issued.holds(&tenant, "CredentialMissing").await;
    }
    tenant.set_credential(&tenant.pat).await;
    tenant.apply_connection(json!({})).await;
    tenant.ready("issued").await;
    tenant.until_generates(&issued.app, 2).await;
}

#[tokio::test]
async fn a_credential_that_zitadel_refuses_leaves_the_secret_usable() {
    let tenant = tenant("refused").await;
    let issued = Issued::new(&tenant).await;
    tenant.zitadel.revoke_token(&tenant.pat);
    let object = issued.holds(&tenant, "CredentialRejected").await;
    assert!(holds(&object, ConditionType::Ready), "what is stored works");
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant.until_generates(&issued.app, 2).await;
    tenant.ready("issued").await;
}

#[tokio::test]
async fn a_zitadel_that_is_down_in_any_way_is_reported_and_waited_for() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("down", &zitadel).await;
    let issued = Issued::new(&tenant).await;
    for (availability, reasons) in [
        (Availability::Refusing, vec!["ZitadelUnreachable"]),
        (Availability::Resetting, vec!["ZitadelUnreachable"]),
        (Availability::InternalError, vec!["ZitadelUnavailable"]),
        (Availability::Unavailable, vec!["ZitadelUnavailable"]),
        (Availability::DatabaseDown, vec!["ZitadelUnavailable"]),
        (Availability::Hanging, vec!["ZitadelTimeout"]),
    ] {
        let issued = Issued::of(&tenant, issued.app.clone()).await;
        zitadel.set_availability(availability);
        for reason in reasons {
            let object = issued.holds(&tenant, reason).await;
            assert_conditions!(object, Ready);
            let ready = message(&object, ConditionType::Ready);
            let stands = ". ZITADEL accepted the stored client secret at 20";
            assert!(ready.contains(stands), "{ready}");
            let verified = message(&object, ConditionType::Verified);
            assert!(verified.contains("; asked at 20"), "{verified}");
        }
        zitadel.set_availability(Availability::Up);
        tenant
            .until_generates(&issued.app, issued.generates + 1)
            .await;
        tenant.reason("issued", "UpToDate").await;
    }
    assert_eq!(tenant.generates(&issued.app), 7);
}

#[tokio::test]
async fn a_server_whose_certificate_is_not_trusted_gets_nothing() {
    let zitadel = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let tenant = World::shared().await.tenant_at("tls", &zitadel).await;
    tenant.apply_connection(json!({})).await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "TlsFailed").await;
    assert_eq!(tenant.connection_reason().await, "TlsFailed");
    for bundle in [
        json!({"configMapKeyRef": {"name": "none", "key": "ca.crt"}}),
        json!({"secretKeyRef": {"name": tenant.namespace, "key": "none"}}),
        json!({"secretKeyRef": {"name": tenant.namespace, "key": "token"}}),
    ] {
        tenant
            .apply_connection(json!({"tls": {"caBundle": bundle}}))
            .await;
        tenant.reason("orders", "CaBundleInvalid").await;
        tenant.apply_connection(json!({})).await;
        tenant.reason("orders", "TlsFailed").await;
    }
    assert!(zitadel.request_log().is_empty());
    assert!(tenant.secrets().get_opt("orders").await.unwrap().is_none());
}

#[tokio::test]
async fn a_server_that_calls_itself_by_another_url_is_not_used() {
    let tenant = tenant("issuer").await;
    let port = World::shared().await.zitadel.address().port();
    let app = tenant.app("orders");
    tenant.apply_connection(json!({"url": "https://iam.example.com", "endpoint": format!("http://127.0.0.1:{port}")})).await;
    assert_ne!(tenant.connection_reason().await, "Connected");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.until("orders", |object| {
        let reason = &object
            .status
            .as_ref()?
            .conditions
            .get(ConditionType::Ready)?
            .reason;
        (!["ConnectionNotFound", "UpToDate"].contains(&reason.as_str())).then_some(())
    });
    let object = object.await;
    assert_conditions!(object, !Ready);
    let reason = reason(&object, ConditionType::Ready);
    assert!(known(reason), "{reason}");
    assert_eq!(tenant.generates(&app), 0);
}
