//! Connections: credentials, endpoints, certificates, and what changes while objects use them.

use crate::fixtures::tenant;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use crate::support::{apply, apply_secret, data, eventually};
use k8s_openapi::api::core::v1::ConfigMap;
use k8s_openapi::api::events::v1::Event;
use kube::api::{Api, ListParams};
use serde_json::json;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{
    Action, Availability, Config, Fault, Operation, Reply, Role, Scope, Simulator,
};

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
async fn a_service_account_key_works_also_where_zitadel_is_dialled_inside_the_cluster() {
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

/// Waits for an event about the connection with that reason, and returns its type.
async fn connection_event(tenant: &Tenant, reason: &str) -> String {
    let events: Api<Event> = Api::namespaced(tenant.client.clone(), "default");
    eventually(PATIENCE, || async {
        let all = events.list(&ListParams::default()).await.unwrap();
        let about = |event: &Event| {
            let regarding = event.regarding.as_ref();
            let name = regarding.and_then(|it| it.name.as_deref());
            name == Some(&*tenant.namespace) && event.reason.as_deref() == Some(reason)
        };
        all.items.into_iter().find(about)?.type_
    })
    .await
}

#[tokio::test]
async fn an_address_that_is_not_declared_any_more_gets_nothing() {
    let (zitadel, other) = (
        Simulator::start(Config::default()).unwrap(),
        Simulator::start(Config::default()).unwrap(),
    );
    other.set_availability(Availability::Refusing);
    let world = World::shared().await;
    let tenant = world.tenant_at("moved", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let other = json!({"url": other.url()});
    tenant.apply_connection(other).await;
    tenant.until_connection("ZitadelUnreachable").await;
    let before = zitadel.request_log().len();
    tenant.trigger("orders", "leak").await;
    tenant.reason("orders", "ZitadelUnreachable").await;
    assert_eq!(zitadel.request_log().len(), before);
    tenant.apply_connection(json!({})).await;
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn a_page_of_a_proxy_is_no_verdict_on_a_connection() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("proxy", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    for (number, status) in [(1, 403), (2, 404)] {
        let page = Action::RespondBefore(Reply::ingress_html(status));
        let fault = Fault::on(Operation::Me, page).always();
        let fault = zitadel.inject(fault);
        tenant
            .apply_connection(json!({"limits": {"repairs": {"count": number}}}))
            .await;
        // Made anew, since the credential seems to be another one.
        tenant.set_credential(&format!("{}\n\n", tenant.pat)).await;
        tenant.until_connection("UnexpectedAnswer").await;
        tenant.trigger("orders", &number.to_string()).await;
        tenant.until_generates(&app, 1 + number).await;
        zitadel.remove_fault(fault);
        tenant.set_credential(&tenant.pat).await;
        tenant.until_connection("Connected").await;
    }
    let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
    let conditions = connection.status.unwrap().conditions;
    assert!(!conditions.is_true(ConditionType::Stalled));
}

#[tokio::test]
async fn a_token_that_is_refused_has_the_connection_checked_at_once() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("refused", &zitadel).await;
    tenant.issued("orders", json!({})).await;
    // The same answer to one call alone says nothing of the connection.
    let refusal = || Action::RespondBefore(Reply::token_invalid());
    let fault = zitadel.inject(Fault::on(Operation::Generate, refusal()).always());
    tenant.trigger("orders", "alone").await;
    let object = tenant.reason("orders", "CredentialRejected").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(
        message.contains("when the client secret of app") && message.contains("(AUTH-7fs1e)"),
        "{message}"
    );
    assert_eq!(tenant.connection_reason().await, "Connected");
    zitadel.remove_fault(fault);
    let operations = [
        Operation::Me,
        Operation::Generate,
        Operation::GetApp,
        Operation::GetProject,
    ];
    let faults = operations.map(|one| zitadel.inject(Fault::on(one, refusal()).always()));
    tenant.trigger("orders", "all").await;
    // NB: an hour would go by otherwise.
    tenant.until_connection("CredentialRejected").await;
    let rejected = connection_event(&tenant, "CredentialRejected").await;
    assert_eq!(rejected, "Warning");
    assert_eq!(connection_event(&tenant, "Connected").await, "Normal");
    for fault in faults {
        zitadel.remove_fault(fault);
    }
    // Checked at once, instead of in half a minute.
    tenant.set_credential(&format!("{}\n", tenant.pat)).await;
    tenant.until_connection("Connected").await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn while_zitadel_is_down_one_check_asks_for_all_and_all_go_on_when_it_is_back() {
    const OBJECTS: usize = 4;
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("down", &zitadel).await;
    let names: Vec<String> = (0..OBJECTS).map(|n| format!("orders-{n}")).collect();
    let mut apps = Vec::new();
    for name in &names {
        let app = tenant.app(name);
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
        apps.push(app);
    }
    zitadel.set_availability(Availability::Unavailable);
    let change = |n: u32| json!({"spec": {"rotation": {"trigger": n.to_string()}}});
    tenant.edit(&names[0], change(1)).await;
    tenant.until_connection("ZitadelUnavailable").await;
    let asked = || {
        let asks = [Operation::GetApp, Operation::Journal, Operation::Generate];
        asks.map(|one| zitadel.requests(one)).iter().sum::<u64>()
    };
    let before = asked();
    for name in &names {
        tenant.edit(name, change(2)).await;
    }
    for name in &names {
        tenant
            .until(name, |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                let known = ready.observed_generation == object.metadata.generation;
                (known && ready.message.contains("cannot be used: ZITADEL: ")).then_some(())
            })
            .await;
    }
    assert_eq!(asked(), before, "only the check of the connection asks");
    zitadel.set_availability(Availability::Up);
    for (name, app) in names.iter().zip(&apps) {
        tenant.until_generates(app, 2).await;
        tenant.ready(name).await;
    }
}

#[tokio::test]
async fn a_401_to_any_call_has_the_connection_checked_and_only_a_refused_check_is_the_credential() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unauthorized", &zitadel).await;
    let app = tenant.issued("orders", json!({})).await;
    let page = || Reply::new(401, "text/html", "<html>sign in</html>");
    let empty = || Reply::new(401, "text/plain", "");
    let mut made = 1;
    for (n, (operation, reply)) in [
        (Operation::GetApp, Reply::token_invalid()),
        (Operation::GetApp, page()),
        (Operation::Journal, Reply::token_invalid()),
        (Operation::Journal, empty()),
        (Operation::GetProject, Reply::token_invalid()),
        (Operation::Generate, page()),
    ]
    .into_iter()
    .enumerate()
    {
        let what = format!("{operation:?} {n}");
        let checks = zitadel.requests(Operation::Me);
        let fault = Fault::on(operation, Action::RespondBefore(reply));
        let fault = zitadel.inject(fault.always());
        tenant.trigger("orders", &what).await;
        tenant
            .until("orders", |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                let current = ready.observed_generation == object.metadata.generation;
                (current && ready.reason == "CredentialRejected").then_some(())
            })
            .await;
        eventually(PATIENCE, || async {
            (zitadel.requests(Operation::Me) > checks).then_some(())
        })
        .await;
        assert_eq!(tenant.connection_reason().await, "Connected", "{what}");
        assert_eq!(tenant.generates(&app), made, "{what}");
        zitadel.remove_fault(fault);
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
}
