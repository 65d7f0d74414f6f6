//! Connections: credentials, endpoints and certificates.

use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, DeleteParams};
use serde_json::json;
use zitadel_secret_operator::api::ZitadelConnection;
use zitadel_simulator::{Config, Operation, Role, Scope, Simulator};

use crate::fixtures::tenant;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use crate::support::{apply, apply_secret, data, eventually};

#[tokio::test]
async fn the_credential_of_a_connection_can_be_exchanged_without_a_pause() {
    let tenant = tenant("credential").await;
    let app = tenant.issued("orders", json!({})).await;
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "both"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    // The operator saw the new one before the trigger that follows.
    tenant.zitadel.revoke_token(&tenant.pat);
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "new"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 3).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn a_namespace_may_use_several_connections_and_an_object_names_its_own_organization() {
    let world = World::shared().await;
    let (one, other) = (world.tenant("one").await, world.tenant("other").await);
    let grants = |tenant: &Tenant| json!([{"name": "by-name", "namespaces": [one.namespace], "projectIds": [tenant.project]}]);
    // A connection whose default organization is not the one that the object needs.
    other
        .apply_connection(json!({"organizationId": one.organization, "grants": grants(&other)}))
        .await;
    let (mine, theirs) = (one.app("mine"), other.app("theirs"));
    one.apply("mine", &mine.id, json!({})).await.unwrap();
    let spec = json!({"connectionRef": {"name": other.namespace}, "projectId": other.project, "organizationId": other.organization});
    one.apply("theirs", &theirs.id, spec).await.unwrap();
    let object = one.ready("theirs").await;
    one.ready("mine").await;
    assert_eq!(
        object.status.unwrap().resource_owner.as_deref(),
        Some(other.organization.as_str())
    );
    assert!(one.accepted(&mine, "mine").await && one.accepted(&theirs, "theirs").await);
    let asked = other
        .zitadel
        .request_log()
        .into_iter()
        .filter(|request| request.app.as_deref() == Some(&theirs.id) && request.org.is_some());
    assert!(
        asked
            .into_iter()
            .all(|request| request.org.as_deref() == Some(&other.organization))
    );
}

#[tokio::test]
async fn a_service_account_key_works_also_where_zitadel_is_dialed_inside_the_cluster() {
    let config = Config {
        external_hosts: vec!["iam.example.com".to_owned()],
        ..Config::default()
    };
    let zitadel = Simulator::start(config).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("key", &zitadel).await;
    let key = zitadel.create_machine_key(&tenant.user).unwrap();
    tenant.set_credential(&key.json).await;
    let credential =
        json!({"serviceAccountKey": {"secretKeyRef": {"name": tenant.namespace, "key": "token"}}});
    tenant.apply_connection(json!({"url": "https://iam.example.com", "endpoint": zitadel.url(), "auth": credential})).await;
    tenant.connected().await;
    let app = tenant.issued("orders", json!({"secret": {"data": data(&[("CLIENT_ID", "ClientId"), ("CLIENT_SECRET", "ClientSecret"), ("issuer", "Issuer"), ("token", "TokenEndpoint")])}})).await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(
        tenant.value("orders", "issuer").await.as_deref(),
        Some("https://iam.example.com")
    );
    let token = tenant.value("orders", "token").await.unwrap();
    assert!(token.starts_with("https://iam.example.com/"), "{token}");
    let connections: Api<zitadel_secret_operator::api::ZitadelConnection> =
        Api::all(tenant.client.clone());
    let status = connections
        .get(&tenant.namespace)
        .await
        .unwrap()
        .status
        .unwrap();
    assert_eq!(status.user_id, Some(tenant.user.clone()));
    assert!(status.credential_expiry.is_some());
    let rotates = async |trigger: &str, generates: u64| {
        tenant.trigger("orders", trigger).await;
        tenant.until_generates(&app, generates).await;
        // It may have been reported as ready for this generation before, while a new token was requested.
        tenant.until_accepted(&app, "orders").await;
        tenant.ready("orders").await;
        assert!(tenant.accepted(&app, "orders").await);
    };
    let before = zitadel.requests(Operation::Token);
    rotates("x", 2).await;
    assert_eq!(
        zitadel.requests(Operation::Token),
        before,
        "tokens are kept until shortly before they expire"
    );
    zitadel.revoke_access_tokens();
    rotates("y", 3).await;
    // Another key takes over as soon as it is stored, so that the former one can be removed.
    let tokens = zitadel.requests(Operation::Token);
    let new = zitadel.create_machine_key(&tenant.user).unwrap();
    tenant.set_credential(&new.json).await;
    eventually(PATIENCE, || async {
        (zitadel.requests(Operation::Token) > tokens).then_some(())
    })
    .await;
    zitadel.remove_machine_key(&key.key_id);
    zitadel.revoke_access_tokens();
    rotates("z", 4).await;
}

#[tokio::test]
async fn a_ca_bundle_is_trusted_from_a_config_map_or_a_secret_and_read_again_when_it_changes() {
    let zitadel = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let other = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("tls", &zitadel).await;
    let app = tenant.app("orders");
    let maps: Api<ConfigMap> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let bundle = async |pem: &str| {
        let map = json!({"apiVersion": "v1", "kind": "ConfigMap", "metadata": {"name": tenant.namespace}, "data": {"ca.crt": pem}});
        apply(&maps, &map).await.unwrap();
    };
    bundle(other.ca_pem().unwrap()).await;
    tenant
        .apply_connection(
            json!({"tls": {"caBundle": {"configMapKeyRef": {"name": tenant.namespace, "key": "ca.crt"}}}}),
        )
        .await;
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "TlsFailed").await;
    assert!(
        zitadel.request_log().is_empty(),
        "nothing is sent before the handshake is verified"
    );
    bundle(zitadel.ca_pem().unwrap()).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);

    let name = format!("{}-ca", tenant.namespace);
    let values = json!({"ca.crt": zitadel.ca_pem().unwrap()});
    apply_secret(&tenant.client, OPERATOR_NAMESPACE, &name, values).await;
    tenant
        .apply_connection(
            json!({"tls": {"caBundle": {"secretKeyRef": {"name": name, "key": "ca.crt"}}}}),
        )
        .await;
    tenant
        .apply("orders", &app.id, json!({"rotation": {"trigger": "x"}}))
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn an_instance_wide_service_user_serves_projects_of_other_organizations() {
    let world = World::shared().await;
    let tenant = world.tenant("boss").await;
    let boss = tenant
        .zitadel
        .create_user(&world.zitadel.create_org("boss"), "boss");
    tenant.zitadel.grant(&boss, Role::IamOwner, Scope::Instance);
    let pat = tenant.zitadel.create_pat(&boss).unwrap();
    tenant.set_credential(&pat).await;
    let app = tenant.issued("orders", json!({})).await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn the_status_of_a_connection_counts_the_objects_that_name_it() {
    let tenant = tenant("counted").await;
    tenant.connected().await;
    let counts = |expected: i64| {
        let connections: Api<ZitadelConnection> = Api::all(tenant.client.clone());
        let name = tenant.namespace.clone();
        eventually(PATIENCE, move || {
            let (connections, name) = (connections.clone(), name.clone());
            async move {
                let status = connections.get(&name).await.unwrap().status?;
                (status.objects == Some(expected)).then_some(())
            }
        })
    };
    counts(0).await;
    tenant.issued("one", json!({})).await;
    tenant.issued("two", json!({})).await;
    counts(2).await;
    let gone = DeleteParams::default();
    tenant.objects().delete("one", &gone).await.unwrap();
    counts(1).await;
    assert_eq!(tenant.connection_reason().await, "Connected");
}
