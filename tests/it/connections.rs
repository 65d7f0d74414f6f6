//! Connections that change, or can't be read, while objects use them.

use crate::support::controlplane::{ControlPlane, Options};
use crate::support::eventually;
use crate::support::forward_proxy::ForwardProxy;
use crate::support::policy::{self, dry_run};
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::api::events::v1::Event;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, ListParams, Patch, PatchParams, PostParams};
use kube::core::{ApiResource, DynamicObject};
use serde_json::{Value, json};
use std::time::Duration;
use zitadel_secret_operator::api::{ConditionType, ZitadelConnection};
use zitadel_simulator::{
    Action, AppHandle, Availability, Config, Cut, Fault, Operation, Reply, Simulator,
};

async fn issued(tenant: &Tenant) -> AppHandle {
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    app
}

async fn until_connection(tenant: &Tenant, reason: &str) {
    eventually(PATIENCE, || async {
        (tenant.connection_reason().await == reason).then_some(())
    })
    .await;
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

async fn trigger(tenant: &Tenant, trigger: &str) {
    let rotation = json!({"spec": {"rotation": {"trigger": trigger}}});
    tenant.edit("orders", rotation).await;
}

#[tokio::test]
async fn a_grant_that_is_taken_away_ends_at_once_while_zitadel_is_down() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("revoked-down", &zitadel).await;
    let app = issued(&tenant).await;
    for availability in [Availability::Hanging, Availability::Refusing] {
        zitadel.set_availability(availability);
        tenant.apply_connection(json!({"grants": []})).await;
        tenant.reason("orders", "NotGranted").await;
        tenant.apply_connection(json!({})).await;
        tenant
            .until("orders", |object| {
                let conditions = &object.status.as_ref()?.conditions;
                let ready = conditions.get(ConditionType::Ready)?;
                (ready.reason != "NotGranted").then_some(())
            })
            .await;
    }
    tenant.apply_connection(json!({"grants": []})).await;
    tenant.reason("orders", "NotGranted").await;
    trigger(&tenant, "leak").await;
    zitadel.set_availability(Availability::Up);
    // Looked at again, now that it is up.
    tenant.set_credential(&format!("{}\n", tenant.pat)).await;
    until_connection(&tenant, "Connected").await;
    tenant.reason("orders", "NotGranted").await;
    assert_eq!(tenant.generates(&app), 1);
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
    let app = issued(&tenant).await;
    let other = json!({"url": other.url()});
    tenant.apply_connection(other).await;
    until_connection(&tenant, "ZitadelUnreachable").await;
    let before = zitadel.request_log().len();
    trigger(&tenant, "leak").await;
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
    let app = issued(&tenant).await;
    for (number, status) in [(1, 403), (2, 404)] {
        let page = Action::RespondBefore(Reply::ingress_html(status));
        let fault = Fault::on(Operation::Me, page).always();
        let fault = zitadel.inject(fault);
        tenant
            .apply_connection(json!({"limits": {"repairs": {"count": number}}}))
            .await;
        // Made anew, since the credential seems to be another one.
        tenant.set_credential(&format!("{}\n\n", tenant.pat)).await;
        until_connection(&tenant, "UnexpectedAnswer").await;
        trigger(&tenant, &number.to_string()).await;
        tenant.until_generates(&app, 1 + number).await;
        zitadel.remove_fault(fault);
        tenant.set_credential(&tenant.pat).await;
        until_connection(&tenant, "Connected").await;
    }
    let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
    let conditions = connection.status.unwrap().conditions;
    assert!(!conditions.is_true(ConditionType::Stalled));
}

#[tokio::test]
async fn a_project_that_cannot_be_looked_at_is_told_and_looked_at_again() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unlisted", &zitadel).await;
    let app = issued(&tenant).await;
    let page = Action::RespondBefore(Reply::ingress_html(404));
    let fault = zitadel.inject(Fault::on(Operation::SearchApps, page).always());
    zitadel.rotate_elsewhere(&app.id, None).unwrap();
    let operator = world.operator.as_ref().unwrap();
    // NB: of each kind of trouble the log has a line in half a minute, whichever project it was.
    eventually(PATIENCE, || async {
        let told = operator.printed().contains("of a project cannot be listed");
        (told && zitadel.fired(fault) >= 2).then_some(())
    })
    .await;
    zitadel.remove_fault(fault);
    // The value that somebody else replaced is refused by now, and that is seen.
    tenant.until_generates(&app, 3).await;
    tenant.until_accepted(&app, "orders").await;
}

/// Takes the schema away, as an older or newer definition might lack a rule.
async fn loosen(tenant: &Tenant) {
    let api: Api<CustomResourceDefinition> = Api::all(tenant.client.clone());
    let name = "zitadelconnections.zitadel-secrets.dev";
    let mut definition = serde_json::to_value(api.get(name).await.unwrap()).unwrap();
    definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"] =
        json!({"type": "object", "x-kubernetes-preserve-unknown-fields": true});
    let definition = serde_json::from_value(definition).unwrap();
    api.replace(name, &PostParams::default(), &definition)
        .await
        .unwrap();
    let probe = json!({"apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "probe"}, "spec": 1});
    let probe: DynamicObject = serde_json::from_value(probe).unwrap();
    let params = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    eventually(PATIENCE, || async {
        dynamic(tenant).create(&params, &probe).await.ok().map(drop)
    })
    .await;
}

fn dynamic(tenant: &Tenant) -> Api<DynamicObject> {
    let resource = ApiResource::erase::<ZitadelConnection>(&());
    Api::all_with(tenant.client.clone(), &resource)
}

async fn edit_connection(tenant: &Tenant, spec: Value) {
    let change = Patch::Merge(json!({ "spec": spec }));
    dynamic(tenant)
        .patch(&tenant.namespace, &PatchParams::default(), &change)
        .await
        .unwrap();
}

/// Waits until a connection is stalled with this reason, and returns the message.
async fn stalled(tenant: &Tenant, reason: &str) -> String {
    eventually(PATIENCE, || async {
        let object = dynamic(tenant).get(&tenant.namespace).await.unwrap();
        let conditions = object.data["status"]["conditions"].as_array()?.clone();
        let of = |type_: &str| conditions.iter().find(|c| c["type"] == type_).cloned();
        let (ready, stalled) = (of("Ready")?, of("Stalled")?);
        let told = ready["reason"] == reason && ready["status"] == "False";
        (told && stalled["status"] == "True").then(|| ready["message"].to_string())
    })
    .await
}

#[tokio::test]
async fn a_connection_that_cannot_be_read_is_stalled_and_the_others_go_on() {
    if !ControlPlane::can_start() {
        return;
    }
    let world = World::own(Options::default()).await;
    let (good, bad) = (world.tenant("good").await, world.tenant("bad").await);
    loosen(&bad).await;
    edit_connection(&bad, json!({"auth": "canary"})).await;
    let _operator = Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--protocol-speed", "20"],
    );
    let app = bad.app("orders");
    bad.apply("orders", &app.id, json!({})).await.unwrap();
    let other = issued(&good).await;
    let message = stalled(&bad, "InvalidObject").await;
    assert!(!message.contains("canary"), "{message}");
    let field = "spec.auth: expected struct Auth, found a string.";
    assert!(message.contains(field), "{message}");
    let object = bad.reason("orders", "InvalidObject").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(message.contains("ZitadelConnection bad"), "{message}");
    assert!(message.contains(field), "{message}");
    // What the schema of this version would have refused is refused by the code as well.
    let credential =
        json!({"personalAccessToken": {"secretKeyRef": {"name": bad.namespace, "key": "token"}}});
    let insecure = json!({"auth": credential, "endpoint": "http://zitadel.invalid:8080"});
    edit_connection(&bad, insecure).await;
    let message = stalled(&bad, "InvalidSpec").await;
    assert!(message.contains("spec.endpoint"), "{message}");
    assert_eq!(bad.generates(&app), 0);
    // Corrected, it is taken up; spoilt, it is not used any more.
    edit_connection(&bad, json!({"endpoint": null})).await;
    bad.ready("orders").await;
    edit_connection(&bad, json!({"grants": "canary"})).await;
    stalled(&bad, "InvalidObject").await;
    trigger(&bad, "leak").await;
    bad.reason("orders", "InvalidObject").await;
    trigger(&good, "leak").await;
    good.until_generates(&other, 2).await;
    assert_eq!(bad.generates(&app), 1);
}

#[tokio::test]
async fn a_token_that_is_refused_has_the_connection_checked_at_once() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("refused", &zitadel).await;
    issued(&tenant).await;
    // The same answer to one call alone says nothing of the connection.
    let refusal = || Action::RespondBefore(Reply::token_invalid());
    let fault = zitadel.inject(Fault::on(Operation::Generate, refusal()).always());
    trigger(&tenant, "alone").await;
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
    trigger(&tenant, "all").await;
    // NB: an hour would go by otherwise.
    until_connection(&tenant, "CredentialRejected").await;
    let rejected = connection_event(&tenant, "CredentialRejected").await;
    assert_eq!(rejected, "Warning");
    assert_eq!(connection_event(&tenant, "Connected").await, "Normal");
    for fault in faults {
        zitadel.remove_fault(fault);
    }
    // Checked at once, instead of in half a minute.
    tenant.set_credential(&format!("{}\n", tenant.pat)).await;
    until_connection(&tenant, "Connected").await;
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
    until_connection(&tenant, "ZitadelUnavailable").await;
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

/// What stands in the Ready condition of a connection, once it has the reason.
async fn connection_says(tenant: &Tenant, reason: &str, holds: &str) -> String {
    eventually(PATIENCE, || async {
        let connection = tenant.connections().get(&tenant.namespace).await.unwrap();
        let status = connection.status?;
        let ready = status.conditions.get(ConditionType::Ready)?;
        let current = ready.observed_generation == connection.metadata.generation;
        (current && ready.reason == reason && ready.message.contains(holds))
            .then(|| ready.message.clone())
    })
    .await
}

/// Stores `user:password` for the proxy, under that key.
async fn store_for_the_proxy(tenant: &Tenant, key: &str, text: &str) -> String {
    let api: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let name = format!("{}-proxy", tenant.namespace);
    let secret = json!({"apiVersion": "v1", "kind": "Secret", "metadata": {"name": name}, "stringData": {key: text}});
    let params = PatchParams::apply("tests").force();
    api.patch(&name, &params, &Patch::Apply(&secret))
        .await
        .unwrap();
    name
}

/// What `check` prints, and whether it is content.
async fn check(world: &World) -> (bool, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
        .args(["check", "--namespace", OPERATOR_NAMESPACE])
        .args(["--leader-elect", "false", "--timeout", "1s"])
        .env("KUBECONFIG", &world.kubeconfig)
        .output()
        .await
        .unwrap();
    let printed = String::from_utf8(output.stdout).unwrap();
    (output.status.success(), printed)
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
        let message = connection_says(tenant, reason, says).await;
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
    let message = connection_says(&tenant, "ProxyRefused", &address).await;
    assert!(
        message.contains("spec.proxy.auth.secretKeyRef"),
        "{message}"
    );
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let object = tenant.reason("orders", "ProxyRefused").await;
    let conditions = object.status.unwrap().conditions;
    let told = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(
        told.contains(&format!("the proxy {address} asks")),
        "{told}"
    );

    let name = format!("{}-proxy", tenant.namespace);
    let auth = json!({"secretKeyRef": {"name": name, "key": "auth"}});
    connect(json!({"url": url, "auth": auth})).await;
    let stored = format!("Secret {OPERATOR_NAMESPACE}/{name}");
    let message = connection_says(&tenant, "CredentialMissing", &stored).await;
    assert!(
        message.contains("with key auth does not exist"),
        "{message}"
    );
    wrong_credentials_are_named(&tenant, &stored).await;
    let (well, printed) = check(world).await;
    let line = format!(
        "connection {}: ProxyRefused: spec.proxy: the proxy {address}",
        tenant.namespace
    );
    assert!(!well && printed.contains(&line), "{printed}");
    assert_eq!((proxy.opened(), zitadel.request_log().len()), (0, 0));

    // Corrected, it is used without a restart.
    store_for_the_proxy(&tenant, "auth", "operator:password").await;
    until_connection(&tenant, "Connected").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert!(proxy.opened() > 0);
    let printed = world.operator.as_ref().unwrap().printed();
    assert!(!printed.contains("operator:canary"));

    // A host that is listed needs no proxy.
    let unused = proxy.opened();
    let listed = json!({"url": url, "auth": auth, "noProxy": ["127.0.0.0/8"]});
    connect(listed).await;
    until_connection(&tenant, "Connected").await;
    trigger(&tenant, "direct").await;
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert_eq!(proxy.opened(), unused);

    connect(json!({"url": url, "auth": auth})).await;
    until_connection(&tenant, "Connected").await;
    proxy.stop().await;
    trigger(&tenant, "dead").await;
    let message = connection_says(&tenant, "ProxyUnreachable", &address).await;
    assert_eq!(
        message,
        format!(
            "spec.proxy: the proxy {address} refuses connections, so ZITADEL was not asked: check spec.proxy.url, that the proxy runs, and that the operator's network lets it through"
        )
    );
    tenant.reason("orders", "ProxyUnreachable").await;
    assert_eq!(tenant.generates(&app), 2);
}

/// The schema of another version may let through what the code then refuses.
#[tokio::test]
async fn a_list_of_hosts_that_would_match_none_is_an_invalid_spec() {
    let world = World::shared().await;
    let tenant = world.tenant("listed").await;
    // NB: the schema cannot tell that a range has 32 bits at most.
    let proxy = json!({"url": "http://proxy.invalid:3128", "noProxy": ["10.0.0.0/33"]});
    tenant.apply_connection(json!({ "proxy": proxy })).await;
    let message = connection_says(&tenant, "InvalidSpec", "10.0.0.0/33").await;
    assert!(
        message.starts_with("spec.proxy.noProxy: \"10.0.0.0/33\" is not"),
        "{message}"
    );
}

#[tokio::test]
async fn a_change_list_that_may_not_be_read_is_said_on_the_object_with_the_missing_right() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unread", &zitadel).await;
    let app = issued(&tenant).await;
    let denied = format!("read the change list of app {} in project", app.id);
    zitadel.configure(|settings| settings.journal_forbidden = true);
    trigger(&tenant, "denied").await;
    let says = |object: &zitadel_secret_operator::api::ApiAppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.get(ConditionType::Ready)?;
        let current = ready.observed_generation == object.metadata.generation;
        let holds = conditions.is_true(ConditionType::Ready);
        (current && holds).then(|| ready.message.clone())
    };
    let object = tenant
        .until("orders", |object| {
            says(object)?.contains(&denied).then_some(())
        })
        .await;
    let message = says(&object).unwrap();
    assert!(
        message.contains("the permission project.app.read"),
        "{message}"
    );
    tenant.until_generates(&app, 2).await;
    zitadel.configure(|settings| settings.journal_forbidden = false);
    trigger(&tenant, "granted").await;
    tenant.until_generates(&app, 3).await;
    tenant
        .until("orders", |object| {
            (!says(object)?.contains(&denied)).then_some(())
        })
        .await;
}

#[tokio::test]
async fn an_admission_webhook_that_hangs_is_named_and_nothing_is_rotated() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
    let world = World::shared().await;
    let tenant = world.tenant("webhook").await;
    let app = issued(&tenant).await;
    let hangs = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = hangs.local_addr().unwrap().port();
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let configuration = |name: &str, namespace: &str, resource: &str, group: &str| {
        let configuration = json!({
            "metadata": {"name": name},
            "webhooks": [{
                "name": "slow.example.com",
                "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1,
                "clientConfig": {"url": format!("https://127.0.0.1:{port}/")},
                "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": namespace}},
                "rules": [{"apiGroups": [group], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": [resource]}],
            }],
        });
        serde_json::from_value::<Webhooks>(configuration).unwrap()
    };
    let name = tenant.namespace.clone();
    let of_secrets = configuration(&name, &name, "secrets", "");
    api.create(&PostParams::default(), &of_secrets)
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        dry_run(&tenant.secrets()).await.err().map(drop)
    })
    .await;
    trigger(&tenant, "slow").await;
    let object = tenant.reason("orders", "SecretWriteRefused").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    let said =
        "Admission webhook slow.example.com does not answer in time and so refuses Secret orders: ";
    assert!(message.starts_with(said), "{message}");
    assert!(
        message.contains(". Nothing was rotated. The operator tries again at "),
        "{message}"
    );
    assert_eq!(tenant.generates(&app), 1);
    api.delete(&name, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
}

#[tokio::test]
async fn an_admission_webhook_that_fails_for_the_claim_is_named_and_nothing_is_generated() {
    use k8s_openapi::api::admissionregistration::v1::ValidatingWebhookConfiguration as Webhooks;
    let world = World::shared().await;
    let tenant = world.tenant("claim-webhook").await;
    let app = issued(&tenant).await;
    let lease = tenant.claims("orders").await.remove(0);
    let claim = lease.metadata.name.unwrap();
    let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    // Answers whatever is asked as it is told to, by HTTPS.
    let config = Config {
        tls: true,
        ..Config::default()
    };
    let webhook = Simulator::start(config).unwrap();
    let ca = k8s_openapi::ByteString(webhook.ca_pem().unwrap().as_bytes().to_vec());
    let api: Api<Webhooks> = Api::all(tenant.client.clone());
    let name = tenant.namespace.clone();
    let configuration = json!({
        "metadata": {"name": name},
        "webhooks": [{
            "name": "claims.example.com",
            "admissionReviewVersions": ["v1"], "sideEffects": "None", "failurePolicy": "Fail", "timeoutSeconds": 1,
            "clientConfig": {"url": format!("{}/oauth/v2/introspect", webhook.url()), "caBundle": ca},
            "namespaceSelector": {"matchLabels": {"kubernetes.io/metadata.name": OPERATOR_NAMESPACE}},
            "matchConditions": [{"name": "claim", "expression": format!("request.name == '{claim}'")}],
            "rules": [{"apiGroups": ["coordination.k8s.io"], "apiVersions": ["v1"], "operations": ["CREATE", "UPDATE"], "resources": ["leases"]}],
        }],
    });
    let configuration = serde_json::from_value::<Webhooks>(configuration).unwrap();
    let touch = Patch::Merge(json!({"metadata": {"labels": {"touched": "1"}}}));
    let params = PatchParams {
        dry_run: true,
        ..PatchParams::default()
    };
    let denied = || async {
        let touched = leases.patch(&claim, &params, &touch).await;
        touched.is_err()
    };
    let html = |status| Action::RespondBefore(Reply::new(status, "text/html", "<html>no</html>"));
    let hang = Action::DelayBefore {
        delay: Duration::from_secs(120),
        outlives_client: false,
    };
    let mut made = 1;
    for (how, action, said) in [
        ("500", html(500), "fails and so"),
        ("403", html(403), "fails and so"),
        ("200", html(200), "fails and so"),
        ("hangs", hang, "does not answer in time and so"),
    ] {
        let fault = Fault::on(Operation::Introspect, action);
        let fault = webhook.inject(fault.always());
        api.create(&PostParams::default(), &configuration)
            .await
            .unwrap();
        eventually(PATIENCE, || async { denied().await.then_some(()) }).await;
        trigger(&tenant, how).await;
        let object = tenant.reason("orders", "ClaimWriteForbidden").await;
        let conditions = object.status.unwrap().conditions;
        let message = &conditions.get(ConditionType::Ready).unwrap().message;
        let start = format!(
            "Admission webhook claims.example.com {said} refuses the Lease with the claim of app {}",
            app.id
        );
        assert!(message.starts_with(&start), "{how}: {message}");
        assert!(conditions.is_true(ConditionType::Ready), "{how}: {message}");
        assert_eq!(tenant.generates(&app), made, "{how}");
        api.delete(&name, &kube::api::DeleteParams::default())
            .await
            .unwrap();
        webhook.remove_fault(fault);
        made += 1;
        tenant.until_generates(&app, made).await;
        tenant.ready("orders").await;
    }
    assert_eq!(tenant.generates(&app), made);
}

#[tokio::test]
async fn a_401_to_any_call_has_the_connection_checked_and_only_a_refused_check_is_the_credential() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("unauthorized", &zitadel).await;
    let app = issued(&tenant).await;
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
        trigger(&tenant, &what).await;
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

#[tokio::test]
async fn a_held_value_is_reported_and_written_also_when_its_connection_is_gone() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("held-gone", &zitadel).await;
    let app = issued(&tenant).await;
    let claims = || async {
        let claims = tenant.claims("orders").await.into_iter();
        let known = claims.map(|lease| (lease.metadata.name, lease.metadata.resource_version));
        known.collect::<Vec<_>>()
    };
    let gate = zitadel.hold_after(Operation::Generate);
    trigger(&tenant, "held").await;
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
    policy::deny_secrets(&tenant.client, &tenant.namespace).await;
    gate.release();
    tenant.reason("orders", "SecretWriteRefused").await;
    let before = claims().await;
    tenant
        .connections()
        .delete(&tenant.namespace, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    // The object is reconciled after that.
    let touched = json!({"spec": {"rotation": {"trigger": "more"}}});
    tenant.edit("orders", touched).await;
    tenant.reason("orders", "SecretWriteRefused").await;
    assert_eq!(claims().await, before);
    policy::allow_secrets(&tenant.client, &tenant.namespace).await;
    tenant.until_accepted(&app, "orders").await;
    tenant.reason("orders", "ConnectionNotFound").await;
    assert_eq!(claims().await, before, "under the same name, untouched");
    assert_eq!(tenant.generates(&app), 2);
    tenant.apply_connection(json!({})).await;
    tenant.until_generates(&app, 3).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
}

#[tokio::test]
async fn what_counts_towards_the_repair_limit_survives_an_edit_of_the_connection() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let world = World::shared().await;
    let tenant = world.tenant_at("limit-edited", &zitadel).await;
    let limits = |count: u32, generates: u32| json!({"limits": {"concurrentGenerates": generates, "repairs": {"count": count, "window": "10m"}}});
    tenant.apply_connection(limits(1, 1)).await;
    tenant.connected().await;
    let lose = async |name: &str| {
        let app = tenant.app(name);
        tenant.apply(name, &app.id, json!({})).await.unwrap();
        tenant.ready(name).await;
        let cut = Action::DropAfter(Cut::Reset);
        zitadel.inject(Fault::on(Operation::Generate, cut).app(&app.id));
        let rotation = json!({"spec": {"rotation": {"trigger": "lost"}}});
        tenant.edit(name, rotation).await;
        app
    };
    let first = lose("first").await;
    tenant.until_generates(&first, 3).await;
    tenant.ready("first").await;
    // Edited, broken and whole again.
    tenant.apply_connection(limits(1, 2)).await;
    tenant.connected().await;
    tenant.set_credential("none").await;
    until_connection(&tenant, "CredentialRejected").await;
    tenant.set_credential(&tenant.pat).await;
    until_connection(&tenant, "Connected").await;
    let second = lose("second").await;
    tenant.reason("second", "RepairLimit").await;
    assert_eq!(tenant.generates(&second), 2);
    // A higher limit counts at once.
    tenant.apply_connection(limits(2, 2)).await;
    tenant.until_generates(&second, 3).await;
    tenant.ready("second").await;
    assert_eq!(tenant.generates(&first) + tenant.generates(&second), 6);
}
