//! Connections through a forward proxy.

use crate::support::apply_secret;
use crate::support::forward_proxy::ForwardProxy;
use crate::support::operator::check;
use crate::support::world::{OPERATOR_NAMESPACE, Tenant, World};
use k8s_openapi::api::core::v1::ConfigMap;
use kube::api::{Api, PostParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{Config, Simulator};

/// Stores `user:password` for the proxy, under that key.
async fn store_for_the_proxy(tenant: &Tenant, key: &str, text: &str) -> String {
    let name = format!("{}-proxy", tenant.namespace);
    let values = json!({ key: text });
    apply_secret(&tenant.client, OPERATOR_NAMESPACE, &name, values).await;
    name
}

/// What is wrong with the proxy's credentials is said by the Secret and its key, and never by what they hold.
async fn wrong_credentials_are_named(tenant: &Tenant, stored: &str) {
    for (key, text, reason, says) in [
        (
            "other",
            "operator:password",
            "CredentialMissing",
            "with key auth does not exist",
        ),
        (
            "auth",
            "operator",
            "CredentialMalformed",
            "key auth: has no colon",
        ),
        (
            "auth",
            "operator:",
            "CredentialMalformed",
            "key auth: has no password",
        ),
        (
            "auth",
            "operator:canary",
            "ProxyRefused",
            "does not accept the user and password",
        ),
    ] {
        store_for_the_proxy(tenant, key, text).await;
        let message = tenant.connection_says(reason, says).await;
        assert!(message.contains(stored), "{message}");
        assert!(!message.contains("canary"), "{message}");
    }
}

#[tokio::test]
async fn a_proxy_that_fails_is_named_and_used_as_soon_as_its_credentials_are_right() {
    let zitadel = Simulator::start(Config {
        tls: true,
        ..Config::default()
    })
    .unwrap();
    let mut proxy = ForwardProxy::start(Some("operator:password")).await;
    let (address, url) = (proxy.address(), proxy.url());
    let world = World::shared().await;
    let tenant = world.tenant_at("through", &zitadel).await;
    let ca = format!("{}-ca", tenant.namespace);
    let maps: Api<ConfigMap> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let map = json!({"metadata": {"name": ca}, "data": {"ca.crt": zitadel.ca_pem().unwrap()}});
    let map = serde_json::from_value(map).unwrap();
    maps.create(&PostParams::default(), &map).await.unwrap();
    let authorities = json!({"configMapKeyRef": {"name": ca, "key": "ca.crt"}});
    let connect = async |proxy: Value| {
        let spec = json!({"tls": {"caBundle": authorities}, "proxy": proxy});
        tenant.apply_connection(spec).await;
    };
    connect(json!({ "url": url })).await;
    let message = tenant.connection_says("ProxyRefused", &address).await;
    assert!(
        message.contains("spec.proxy.auth.secretKeyRef"),
        "{message}"
    );
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "ProxyRefused").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(
        message.contains(&format!("the proxy {address} asks")),
        "{message}"
    );

    let name = format!("{}-proxy", tenant.namespace);
    let auth = json!({"secretKeyRef": {"name": name, "key": "auth"}});
    connect(json!({"url": url, "auth": auth})).await;
    let stored = format!("Secret {OPERATOR_NAMESPACE}/{name}");
    let message = tenant.connection_says("CredentialMissing", &stored).await;
    assert!(
        message.contains("with key auth does not exist"),
        "{message}"
    );
    wrong_credentials_are_named(&tenant, &stored).await;
    let (well, printed) = check(
        &world.kubeconfig,
        &["--leader-elect", "false", "--timeout", "1s"],
        &[],
    )
    .await;
    let line = format!(
        "connection {}: ProxyRefused: spec.proxy: the proxy {address}",
        tenant.namespace
    );
    assert!(!well && printed.contains(&line), "{printed}");
    assert_eq!((proxy.opened(), zitadel.request_log().len()), (0, 0));

    // Corrected, it is used without a restart.
    store_for_the_proxy(&tenant, "auth", "operator:password").await;
    tenant.until_connection("Connected").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert!(proxy.opened() > 0);
    let printed = world.operator.as_ref().unwrap().printed();
    assert!(!printed.contains("operator:canary"));

    // A host that is listed needs no proxy.
    let listed = json!({"url": url, "auth": auth, "noProxy": ["127.0.0.0/8"]});
    connect(listed).await;
    tenant.until_connection("Connected").await;
    // NB: until then a check in the background may go through the proxy.
    let unused = proxy.opened();
    tenant.trigger("orders", "direct").await;
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert_eq!(proxy.opened(), unused);

    connect(json!({"url": url, "auth": auth})).await;
    tenant.until_connection("Connected").await;
    proxy.stop().await;
    tenant.trigger("orders", "dead").await;
    let message = tenant.connection_says("ProxyUnreachable", &address).await;
    assert_eq!(
        message,
        format!(
            "spec.proxy: the proxy {address} refuses connections, so ZITADEL was not asked: check spec.proxy.url, that the proxy runs, and that the operator's network lets it through"
        )
    );
    tenant.reason("orders", "ProxyUnreachable").await;
    assert_eq!(tenant.generates(&app), 2);
}
