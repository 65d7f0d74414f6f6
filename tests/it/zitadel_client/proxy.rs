//! Calls through a forward proxy.

use zitadel_secret_operator::api::Kind;
use zitadel_secret_operator::zitadel::{
    Client, ClientConfig, ConfigError, ErrorClass, GenerateOutcome, Proxy, ProxyAuth,
};
use zitadel_simulator::Config;

use super::{World, attempt};
use crate::support::forward_proxy::{ForwardProxy, Manner};

fn secured() -> World {
    World::start(Config {
        tls: true,
        ..Config::default()
    })
}

fn through(world: &World, proxy: &ForwardProxy, auth: Option<&str>) -> ClientConfig {
    let auth = auth.map(|auth| ProxyAuth::parse(auth.as_bytes(), "Secret a/b, key c").unwrap());
    ClientConfig {
        proxy: Some(Proxy::parse(&proxy.url()).unwrap().with_auth(auth)),
        ..world.config(world.pat())
    }
}

/// What a client says of the connection's proxy, and that nothing was executed.
async fn said_of_the_proxy(world: &World, config: ClientConfig) -> String {
    let client = Client::new(config).unwrap();
    let error = client.me().await.unwrap_err();
    let detail = error.detail().unwrap();
    assert!(detail.is_proxy(), "{detail}");
    let outcome = client
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    let GenerateOutcome::NotExecuted(other) = outcome else {
        panic!("nothing was sent");
    };
    assert_eq!(other.detail(), error.detail());
    assert!(!error.to_string().contains("canary"), "{error}");
    detail.to_string()
}

#[tokio::test]
async fn a_proxy_that_asks_for_credentials_gets_them_and_opens_tunnels() {
    let world = secured();
    let proxy = ForwardProxy::start(Some("operator:pass:word")).await;
    let address = proxy.address();
    assert_eq!(
        said_of_the_proxy(&world, through(&world, &proxy, None)).await,
        format!(
            "the proxy {address} asks for a user and a password (407): store user:password in a Secret in the operator's namespace and name it in spec.proxy.auth.secretKeyRef"
        )
    );
    assert_eq!(
        said_of_the_proxy(&world, through(&world, &proxy, Some("operator:wrong"))).await,
        format!(
            "the proxy {address} does not accept the user and password in Secret a/b, key c (407): correct them there, see spec.proxy.auth"
        )
    );
    assert_eq!((proxy.opened(), proxy.refused()), (0, 4));
    assert!(world.simulator.request_log().is_empty());
    let client = Client::new(through(&world, &proxy, Some("operator:pass:word\n"))).unwrap();
    client.me().await.unwrap();
    let outcome = client
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    assert!(matches!(outcome, GenerateOutcome::Success { .. }));
    assert_eq!(proxy.opened(), 2);
    // ZITADEL's certificate is checked through the tunnel too.
    let client = Client::new(ClientConfig {
        ca_pem: None,
        ..through(&world, &proxy, Some("operator:pass:word"))
    });
    let error = client.unwrap().me().await.unwrap_err();
    assert_eq!(error.class(), ErrorClass::Tls);
    let detail = error.detail().unwrap();
    assert!(!detail.is_proxy());
    let said = format!(
        "(through the proxy {address}) is self-signed or of an unknown issuer: see spec.tls.caBundle"
    );
    assert!(detail.to_string().ends_with(&said), "{detail}");
}

#[tokio::test]
async fn a_proxy_that_fails_is_not_taken_for_zitadel() {
    let world = secured();
    let mut proxy = ForwardProxy::start(None).await;
    let (address, url) = (proxy.address(), world.simulator.url());
    let target = url.strip_prefix("https://").unwrap();
    for (manner, said) in [
        (
            Manner::Refuse,
            format!("the proxy {address} does not open a tunnel (CONNECT) to {target}: allow that"),
        ),
        (
            Manner::Hang,
            format!("the proxy {address} opened no tunnel (CONNECT) to {target} within"),
        ),
    ] {
        proxy.set(manner);
        let message = said_of_the_proxy(&world, through(&world, &proxy, None)).await;
        assert!(message.starts_with(&said), "{message}");
    }
    proxy.stop().await;
    let message = said_of_the_proxy(&world, through(&world, &proxy, None)).await;
    let said = format!(
        "the proxy {address} refuses connections, so ZITADEL was not asked: check spec.proxy.url"
    );
    assert!(message.starts_with(&said), "{message}");
    let nowhere = ClientConfig {
        proxy: Proxy::parse("http://proxy.invalid:3128").ok(),
        ..world.config(world.pat())
    };
    let message = said_of_the_proxy(&world, nowhere).await;
    let said = "the host name of the proxy proxy.invalid:3128 does not resolve";
    assert!(message.starts_with(said), "{message}");
    assert!(world.simulator.request_log().is_empty());
}

#[tokio::test]
async fn a_host_that_is_listed_is_dialed_directly() {
    let world = secured();
    let mut proxy = ForwardProxy::start(None).await;
    proxy.stop().await;
    let listed = Proxy::parse(&proxy.url()).unwrap().without("127.0.0.0/8");
    let config = ClientConfig {
        proxy: listed.ok(),
        ..world.config(world.pat())
    };
    Client::new(config).unwrap().me().await.unwrap();
}

#[tokio::test]
async fn plain_http_goes_through_the_proxy_as_it_is() {
    let world = World::plain();
    let mut proxy = ForwardProxy::start(Some("operator:password")).await;
    let address = proxy.address();
    let client = Client::new(through(&world, &proxy, None)).unwrap();
    let error = client.me().await.unwrap_err();
    let said = format!("me: the proxy {address} asks for a user and a password (407): store");
    assert!(error.to_string().starts_with(&said), "{error}");
    // NB: without a tunnel only ZITADEL's word proves that nothing was done.
    let outcome = client
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    assert!(matches!(outcome, GenerateOutcome::Unknown(_)));
    assert!(world.simulator.request_log().is_empty());
    let config = || through(&world, &proxy, Some("operator:password"));
    let client = Client::new(config()).unwrap();
    client.me().await.unwrap();
    let outcome = client
        .generate(Kind::ApiApp, &world.orders(), attempt())
        .await;
    assert!(matches!(outcome, GenerateOutcome::Success { .. }));
    let config = config();
    proxy.stop().await;
    let message = said_of_the_proxy(&world, config).await;
    let said = format!("the proxy {address} refuses connections");
    assert!(message.starts_with(&said), "{message}");
}

#[tokio::test]
async fn the_authorities_of_a_proxy_are_its_own() {
    let world = secured();
    // It speaks TLS, and opens no tunnels.
    let proxy = secured();
    let pem = |world: &World| world.simulator.ca_pem().map(|pem| pem.as_bytes().to_vec());
    let config = |ca_pem| ClientConfig {
        proxy: Some(
            Proxy::parse(&proxy.simulator.url().replace("127.0.0.1", "localhost"))
                .unwrap()
                .with_ca(ca_pem),
        ),
        ..world.config(world.pat())
    };
    let next = ", so ZITADEL was not asked: check spec.proxy.url and spec.proxy.caBundle";
    // NB: all simulators' authorities have one name, so another one has signed wrongly.
    for (ca_pem, what) in [
        (None, " is self-signed or of an unknown issuer"),
        (pem(&world), " is not valid"),
    ] {
        let message = said_of_the_proxy(&world, config(ca_pem)).await;
        let about = "the certificate of the proxy localhost:";
        let end = format!("{what}{next}");
        assert!(
            message.starts_with(about) && message.ends_with(&end),
            "{message}"
        );
    }
    let message = said_of_the_proxy(&world, config(pem(&proxy))).await;
    assert!(
        message.contains("does not open a tunnel (CONNECT)"),
        "{message}"
    );
    let bad = config(Some(b"canary".to_vec()));
    assert_eq!(Client::new(bad).err(), Some(ConfigError::ProxyCaBundle));
}
