//! The process: its pages, its end, its start without definitions.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::{Value, json};
use support::controlplane::Options;
use support::eventually;
use support::forward_proxy::ForwardProxy;
use support::operator::check;
use support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World, install_definitions};
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::ConditionType;
use zitadel_simulator::{AppHandle, Gate, Operation};

/// A cluster without an operator: each test starts its own, one at a time, since all of them see all objects.
async fn world() -> (&'static World, tokio::sync::MutexGuard<'static, ()>) {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = ONE.lock().await;
    let world = WORLD
        .get_or_init(|| async {
            World::own(Options {
                audit: true,
                ..Options::default()
            })
            .await
        })
        .await;
    (world, turn)
}

fn start(world: &World, arguments: &[&str]) -> Arc<Operator> {
    let arguments = [&["--protocol-speed", "20"], arguments].concat();
    Arc::new(Operator::start(
        &world.kubeconfig,
        &world.directory,
        &arguments,
    ))
}

async fn until_ready(operator: &Operator) {
    eventually(PATIENCE, || async {
        (operator.get("/ready").await?.0 == 200).then_some(())
    })
    .await;
}

/// Asks it to stop, in a thread of its own, and hands back what its exit code will be.
fn stopping(operator: &Arc<Operator>) -> tokio::task::JoinHandle<Option<i32>> {
    let operator = Arc::clone(operator);
    tokio::task::spawn_blocking(move || operator.stop())
}

async fn held(gate: &Gate) {
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
}

/// A client secret that was generated and cannot be written.
async fn unwritable(world: &World, prefix: &str) -> (Tenant, AppHandle) {
    let tenant = world.tenant(prefix).await;
    let app = tenant.app("orders");
    let gate = world.zitadel.hold_after(Operation::Generate);
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    held(&gate).await;
    // The shell is there and empty; made immutable, it takes no value.
    tenant
        .edit_secret("orders", json!({"immutable": true}))
        .await;
    gate.release();
    (tenant, app)
}

#[tokio::test]
async fn its_pages_answer_and_it_ends_with_0_when_it_is_asked_to() {
    let (world, _turn) = world().await;
    let operator = start(world, &[]);
    until_ready(&operator).await;
    assert_eq!(operator.get("/live").await.unwrap().0, 200);
    let (status, metrics) = operator.get("/metrics").await.unwrap();
    assert_eq!(status, 200);
    for name in [
        "build_info",
        "unflushed_secrets 0\n",
        "kubernetes_requests_total",
        "leader 1\n",
    ] {
        assert!(
            metrics.contains(&format!("zitadel_secret_operator_{name}")),
            "{name}"
        );
    }
    assert!(metrics.ends_with("# EOF\n"));
    assert_eq!(operator.get("/no-such-page").await.unwrap().0, 404);
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
    assert_eq!(operator.get("/live").await, None);
}

#[tokio::test]
async fn a_generate_that_is_under_way_is_written_before_the_process_ends() {
    let (world, _turn) = world().await;
    // Without hurry: a generate that is held must not run into its deadline.
    let operator = Arc::new(Operator::start(&world.kubeconfig, &world.directory, &[]));
    let tenant = world.tenant("sigterm").await;
    let (app, later) = (tenant.app("orders"), tenant.app("later"));
    let gate = world.zitadel.hold_after(Operation::Generate);
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    held(&gate).await;
    assert!(!tenant.accepted(&app, "orders").await);
    let exit = stopping(&operator);
    eventually(PATIENCE, || async {
        operator.printed().contains("stopping").then_some(())
    })
    .await;
    tenant.apply("later", &later.id, json!({})).await.unwrap();
    assert_eq!(
        operator.get("/live").await.unwrap().0,
        200,
        "it answers until the end"
    );
    gate.release();
    assert_eq!(exit.await.unwrap(), Some(0));
    assert!(
        tenant.accepted(&app, "orders").await,
        "the value was written after SIGTERM"
    );
    assert_eq!(
        (tenant.generates(&app), tenant.generates(&later)),
        (1, 0),
        "and nothing new was begun"
    );

    let operator = start(world, &[]);
    tenant.ready("orders").await;
    tenant.ready("later").await;
    assert_eq!((tenant.generates(&app), tenant.generates(&later)), (1, 1));
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_value_that_cannot_be_written_in_time_ends_the_process_with_75_and_is_replaced_by_the_next()
 {
    let (world, _turn) = world().await;
    let operator = Arc::new(Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--grace", "2s"],
    ));
    let (tenant, app) = unwritable(world, "held").await;
    eventually(PATIENCE, || async {
        let metrics = operator.get("/metrics").await?.1;
        metrics
            .contains("zitadel_secret_operator_unflushed_secrets 1")
            .then_some(())
    })
    .await;
    let object = tenant.reason("orders", "SecretImmutable").await;
    assert!(object.status.unwrap().attempt.is_some());
    // NB: it sees the objects of the other tests as well.
    let audit = operator.audit();
    let mine = |record: &&Value| record["namespace"] == tenant.namespace;
    let attempt = audit.iter().find(mine).unwrap()["attempt"]
        .as_str()
        .unwrap();
    assert_eq!(stopping(&operator).await.unwrap(), Some(75));
    let log = operator.printed();
    let last: Vec<&str> = log
        .lines()
        .filter(|line| line.contains("ending with a credential that is not written"))
        .collect();
    assert!(last.len() == 1 && last[0].contains(attempt), "{last:?}");

    tenant.delete_secret("orders").await;
    let operator = start(world, &[]);
    tenant.until_accepted(&app, "orders").await;
    tenant.ready("orders").await;
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_value_that_is_held_is_written_as_soon_as_it_can_be() {
    let (world, _turn) = world().await;
    let operator = Arc::new(Operator::start(&world.kubeconfig, &world.directory, &[]));
    let (tenant, app) = unwritable(world, "patience").await;
    tenant.reason("orders", "SecretImmutable").await;
    // The only way out of an immutable Secret is a new one; SIGTERM meanwhile waits for it.
    let exit = stopping(&operator);
    tenant.delete_secret("orders").await;
    assert_eq!(exit.await.unwrap(), Some(0));
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn without_definitions_it_stays_up_and_begins_when_they_are_there() {
    let (world, _turn) = world().await;
    let client = world.cluster.client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let names = [
        "apiappsecrets.zitadel-secrets.dev",
        "zitadelconnections.zitadel-secrets.dev",
    ];
    for name in names {
        definitions
            .delete(name, &DeleteParams::default())
            .await
            .unwrap();
    }
    for name in names {
        eventually(PATIENCE, || async {
            definitions
                .get_opt(name)
                .await
                .unwrap()
                .is_none()
                .then_some(())
        })
        .await;
    }
    let operator = start(world, &[]);
    eventually(PATIENCE, || async {
        operator.printed().contains("404").then_some(())
    })
    .await;
    assert_eq!(operator.get("/live").await.unwrap().0, 200);
    let message = "the API server knows no apiappsecrets: install the custom resource definitions";
    eventually(PATIENCE, || async {
        let (status, page) = operator.get("/ready").await?;
        (status == 503 && page.contains(message)).then_some(())
    })
    .await;
    install_definitions(&client).await;
    until_ready(&operator).await;
    let tenant = world.tenant("late").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}

#[tokio::test]
async fn without_the_definition_of_one_kind_the_other_goes_on_and_it_begins_when_that_is_there() {
    let (world, _turn) = world().await;
    let client = world.cluster.client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client.clone());
    let name = "oidcappsecrets.zitadel-secrets.dev";
    let params = DeleteParams::default();
    definitions.delete(name, &params).await.unwrap();
    eventually(PATIENCE, || async {
        let found = definitions.get_opt(name).await.unwrap();
        found.is_none().then_some(())
    })
    .await;
    let operator = start(world, &[]);
    let tenant = world.tenant("half").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let trigger = json!({"rotation": {"trigger": "now"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    tenant.handled("orders", "now").await;
    assert!(tenant.accepted(&app, "orders").await);
    let message = "the API server knows no oidcappsecrets: install the custom resource definitions";
    eventually(PATIENCE, || async {
        let (status, page) = operator.get("/ready").await?;
        (status == 503 && page.contains(message)).then_some(())
    })
    .await;
    install_definitions(&client).await;
    until_ready(&operator).await;
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}

#[tokio::test]
async fn a_connection_without_its_credential_says_so_and_is_used_as_soon_as_it_is_there() {
    let (world, _turn) = world().await;
    let tenant = world.tenant("bare").await;
    let credentials: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    let name = &tenant.namespace;
    credentials
        .delete(name, &DeleteParams::default())
        .await
        .unwrap();
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let operator = start(world, &[]);
    assert_eq!(tenant.connection_reason().await, "CredentialMissing");
    let connection = tenant.connections().get(name).await.unwrap();
    let conditions = connection.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Stalled).unwrap().message;
    let missing = format!("Secret {OPERATOR_NAMESPACE}/{name} with key token does not exist");
    assert!(message.starts_with(&missing), "{message}");
    let object = tenant.reason("orders", "CredentialMissing").await;
    let conditions = object.status.unwrap().conditions;
    let message = &conditions.get(ConditionType::Ready).unwrap().message;
    assert!(
        message.contains(&format!("ZitadelConnection {name}")),
        "{message}"
    );
    let unusable = format!("{name} (CredentialMissing)");
    eventually(PATIENCE, || async {
        let (status, page) = operator.get("/ready").await?;
        (status == 200 && page.contains(&unusable)).then_some(())
    })
    .await;

    tenant.set_credential(&tenant.pat).await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    assert_eq!(tenant.generates(&app), 1);
    eventually(PATIENCE, || async {
        let (_, page) = operator.get("/ready").await?;
        (!page.contains(&unusable)).then_some(())
    })
    .await;
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}

#[tokio::test]
async fn with_leader_election_one_of_two_works_and_the_other_takes_over() {
    let (world, _turn) = world().await;
    let params = PatchParams::default();
    let run = || {
        let operator = Operator::start_with(
            &world.kubeconfig,
            &world.directory,
            &["--protocol-speed", "20", "--log", "debug"],
        );
        Arc::new(operator)
    };
    let leads = async |operator: &Operator| {
        operator
            .get("/metrics")
            .await
            .is_some_and(|(_, text)| text.contains("zitadel_secret_operator_leader 1\n"))
    };
    let (first, second) = (run(), run());
    eventually(PATIENCE, || async {
        (leads(&first).await != leads(&second).await).then_some(())
    })
    .await;
    let tenant = world.tenant("leader").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    let (leader, standby) = if leads(&first).await {
        (first, second)
    } else {
        (second, first)
    };
    assert_eq!((leader.audit().len(), standby.audit().len()), (1, 0));
    for (operator, works) in [(&leader, true), (&standby, false)] {
        let (_, text) = operator.get("/metrics").await.unwrap();
        assert_eq!(
            text.contains("zitadel_secret_operator_object_condition{"),
            works,
            "a standby does not show what it does not watch"
        );
    }
    assert_eq!(stopping(&leader).await.unwrap(), Some(0));
    // A lease that is given back is taken at once.
    eventually(PATIENCE, || async { leads(&standby).await.then_some(()) }).await;
    tenant
        .objects()
        .patch(
            "orders",
            &params,
            &Patch::Merge(json!({"spec": {"rotation": {"trigger": "x"}}})),
        )
        .await
        .unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert_eq!(stopping(&standby).await.unwrap(), Some(0));
}

/// A proxy that is dead costs nothing where `NO_PROXY` covers the API server, and is named where it does not.
async fn check_behind_proxies(world: &World) {
    let check = async |variables: &[(&str, &str)]| {
        check(&world.kubeconfig, &["--timeout", "60s"], variables).await
    };
    let dead = "http://127.0.0.1:9";
    for (proxy, none) in [("HTTPS_PROXY", "NO_PROXY"), ("https_proxy", "no_proxy")] {
        let (well, printed) = check(&[(proxy, dead), (none, "127.0.0.1,localhost")]).await;
        assert!(well, "{printed}");
        let (well, printed) = check(&[(proxy, dead)]).await;
        assert!(!well, "{printed}");
        let sentence = format!(
            "{proxy} is set to 127.0.0.1:9, which refuses connections: unset it, or add the API server's host"
        );
        assert!(printed.contains(&sentence), "{printed}");
    }
    let proxy = ForwardProxy::start(None).await;
    let (well, printed) = check(&[("HTTPS_PROXY", &proxy.url())]).await;
    assert!(well, "{printed}");
    let opened = proxy.opened();
    assert!(opened > 0);
    // What the kubeconfig says goes first.
    let kubeconfig = through(world, &proxy);
    let kubeconfig = kubeconfig.to_str().unwrap();
    let (well, printed) = check(&[("KUBECONFIG", kubeconfig), ("HTTPS_PROXY", dead)]).await;
    assert!(well, "{printed}");
    assert!(proxy.opened() > opened);
}

/// The operator's kubeconfig with a `proxy-url`.
fn through(world: &World, proxy: &ForwardProxy) -> std::path::PathBuf {
    let text = std::fs::read_to_string(&world.kubeconfig).unwrap();
    let mut kubeconfig: serde_json::Value = serde_saphyr::from_str(&text).unwrap();
    kubeconfig["clusters"][0]["cluster"]["proxy-url"] = json!(proxy.url());
    let name = format!("kubeconfig-{}", uuid::Uuid::new_v4().simple());
    let file = world.directory.join(name);
    std::fs::write(&file, kubeconfig.to_string()).unwrap();
    file
}

/// Variables of proxies count for the Kubernetes API alone: ZITADEL is dialed as its connection says.
#[tokio::test]
async fn the_operator_runs_behind_a_proxy_to_the_api_server_and_dials_zitadel_directly() {
    let (world, _turn) = world().await;
    let proxy = ForwardProxy::start(None).await;
    let kubeconfig = through(world, &proxy);
    let (url, dead) = (proxy.url(), "http://127.0.0.1:9");
    let tenant = world.tenant("proxied").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let nobodys = [
        ("HTTP_PROXY", dead),
        ("http_proxy", dead),
        ("ALL_PROXY", dead),
    ];
    let usual = (world.kubeconfig.clone(), "127.0.0.1,localhost", false);
    for (number, (file, variables, is_proxied)) in [
        (kubeconfig, vec![("HTTPS_PROXY", dead)], true),
        (usual.0.clone(), vec![("HTTPS_PROXY", url.as_str())], true),
        (
            usual.0.clone(),
            vec![("HTTPS_PROXY", dead), ("NO_PROXY", usual.1)],
            usual.2,
        ),
    ]
    .into_iter()
    .enumerate()
    {
        let opened = proxy.opened();
        let arguments = ["--leader-elect", "false", "--protocol-speed", "20"];
        let variables = [&nobodys[..], &variables].concat();
        let operator = Arc::new(Operator::start_in(
            &file,
            &world.directory,
            &arguments,
            &variables,
        ));
        let trigger = json!({"spec": {"rotation": {"trigger": number.to_string()}}});
        tenant.edit("orders", trigger).await;
        tenant
            .until_generates(&app, 1 + u64::try_from(number).unwrap())
            .await;
        tenant.ready("orders").await;
        assert_eq!(proxy.opened() > opened, is_proxied);
        assert_eq!(stopping(&operator).await.unwrap(), Some(0));
    }
}

#[tokio::test]
async fn check_says_which_replica_leads_and_fails_when_none_does() {
    let (world, _turn) = world().await;
    let check = async |timeout: &str| check(&world.kubeconfig, &["--timeout", timeout], &[]).await;
    let tenant = world.tenant("checked").await;
    let operator = Arc::new(Operator::start_with(
        &world.kubeconfig,
        &world.directory,
        &["--pod-name", "the-leader"],
    ));
    tenant.connected().await;
    let (well, printed) = check("60s").await;
    assert!(
        well && printed.contains("\nleader: the-leader\n"),
        "{printed}"
    );
    check_behind_proxies(world).await;
    // A credential that was good: the next call finds that it is not any more.
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.ready("orders").await;
    tenant.zitadel.revoke_token(&tenant.pat);
    let trigger = json!({"spec": {"rotation": {"trigger": "1"}}});
    tenant.edit("orders", trigger).await;
    eventually(PATIENCE, || async {
        (tenant.connection_reason().await == "CredentialRejected").then_some(())
    })
    .await;
    let (well, printed) = check("2s").await;
    let rejected = format!("connection {}: CredentialRejected: ", tenant.namespace);
    assert!(!well && printed.contains(&rejected), "{printed}");
    let new = tenant.zitadel.create_pat(&tenant.user).unwrap();
    tenant.set_credential(&new).await;
    eventually(PATIENCE, || async {
        (tenant.connection_reason().await == "Connected").then_some(())
    })
    .await;
    // Or else the operator of another test carries the trigger out.
    tenant.until_generates(&app, 2).await;
    tenant.ready("orders").await;
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
    // Its connection still says Connected.
    let (well, printed) = check("2s").await;
    assert!(!well && printed.contains("\nleader: none: "), "{printed}");
    assert!(
        printed.contains(&format!("connection {}: Connected", tenant.namespace)),
        "{printed}"
    );
}

#[tokio::test]
async fn a_fleet_that_became_due_during_downtime_is_rotated_one_object_after_another() {
    const FLEET: usize = 40;
    let (world, _turn) = world().await;
    let tenant = world.tenant("fleet").await;
    let operator = start(world, &[]);
    let names: Vec<String> = (0..FLEET).map(|n| format!("app-{n}")).collect();
    let apps: Vec<_> = names.iter().map(|name| tenant.app(name)).collect();
    let rotation = json!({"rotation": {"interval": "8s", "jitterPercent": 0}});
    for (name, app) in names.iter().zip(&apps) {
        tenant.apply(name, &app.id, rotation.clone()).await.unwrap();
    }
    for name in &names {
        tenant.ready(name).await;
    }
    operator.kill();
    let made = |app| {
        tenant
            .zitadel
            .executions()
            .iter()
            .filter(|made| made.app == app)
            .count()
    };
    let before: Vec<usize> = apps.iter().map(|app| made(app.id.clone())).collect();
    // All of them are due by now.
    let last = tenant.zitadel.executions().last().unwrap().change_date;
    eventually(PATIENCE, || async {
        let age = jiff::Timestamp::now().duration_since(last);
        (age > jiff::SignedDuration::from_secs(9)).then_some(())
    })
    .await;
    // A thousand would be spread over 200 s, so these are over 8 s.
    let operator = Operator::start(
        &world.kubeconfig,
        &world.directory,
        &["--protocol-speed", "3"],
    );
    let waits = |object: &zitadel_secret_operator::api::AppSecret| {
        let ready = object
            .status
            .as_ref()?
            .conditions
            .get(zitadel_secret_operator::api::ConditionType::Ready)?;
        (ready.reason == "CatchingUp").then_some(())
    };
    eventually(PATIENCE, || async {
        let objects = tenant.objects().list(&ListParams::default()).await.unwrap();
        objects.iter().find_map(waits)
    })
    .await;
    eventually(PATIENCE, || async {
        let later =
            |(app, before): (&zitadel_simulator::AppHandle, &usize)| made(app.id.clone()) > *before;
        apps.iter().zip(&before).all(later).then_some(())
    })
    .await;
    let firsts: Vec<jiff::Timestamp> = apps
        .iter()
        .zip(&before)
        .map(|(app, before)| {
            let made = tenant.zitadel.executions();
            let mut of_app = made.iter().filter(|made| made.app == app.id);
            of_app.nth(*before).unwrap().change_date
        })
        .collect();
    let spread = firsts
        .iter()
        .max()
        .unwrap()
        .duration_since(*firsts.iter().min().unwrap());
    assert!(spread > jiff::SignedDuration::from_secs(4), "{spread}");
    // The next test must not find them.
    for name in &names {
        tenant.delete(name).await;
    }
    operator.stop();
}

/// Has the API server keep fields of a status that only a later version's definition names.
async fn later_definition(world: &World) {
    let client = world.cluster.client().await;
    let definitions: Api<CustomResourceDefinition> = Api::all(client);
    let name = "apiappsecrets.zitadel-secrets.dev";
    let mut definition = serde_json::to_value(definitions.get(name).await.unwrap()).unwrap();
    let status = "/spec/versions/0/schema/openAPIV3Schema/properties/status";
    for place in [
        "",
        "/properties/lastRotation",
        "/properties/history/items",
        "/properties/conditions/items",
    ] {
        let schema = definition.pointer_mut(&format!("{status}{place}")).unwrap();
        schema["x-kubernetes-preserve-unknown-fields"] = json!(true);
    }
    let definition = serde_json::from_value(definition).unwrap();
    let params = kube::api::PostParams::default();
    definitions
        .replace(name, &params, &definition)
        .await
        .unwrap();
}

#[tokio::test]
async fn fields_of_a_later_version_in_a_status_outlive_a_rotation() {
    let (world, _turn) = world().await;
    let operator = start(world, &[]);
    let tenant = world.tenant("later").await;
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    let issued = tenant.ready("orders").await;
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
    later_definition(world).await;
    let mut status = serde_json::to_value(issued.status.unwrap()).unwrap();
    for place in ["", "/lastRotation", "/history/0", "/conditions/0"] {
        status.pointer_mut(place).unwrap()["added"] = json!({"x": 1});
    }
    status["history"][0]["outcome"] = json!("Teleported");
    let resource =
        kube::core::ApiResource::erase::<zitadel_secret_operator::api::ApiAppSecret>(&());
    let objects: Api<kube::core::DynamicObject> =
        Api::namespaced_with(tenant.client.clone(), &tenant.namespace, &resource);
    let patch = Patch::Merge(json!({"status": status}));
    let read = async || objects.get("orders").await.unwrap().data["status"].clone();
    // The API server takes a changed definition into use a moment later.
    eventually(PATIENCE, || async {
        let params = PatchParams::default();
        objects
            .patch_status("orders", &params, &patch)
            .await
            .unwrap();
        (read().await == status).then_some(())
    })
    .await;
    let operator = start(world, &[]);
    let trigger = json!({"rotation": {"trigger": "now"}});
    tenant.apply("orders", &app.id, trigger).await.unwrap();
    let handled = |object: &zitadel_secret_operator::api::AppSecret| {
        let status = object.status.as_ref()?;
        (status.observed_trigger.as_deref() == Some("now")).then_some(())
    };
    tenant.until("orders", handled).await;
    tenant.ready("orders").await;
    let after = read().await;
    assert_eq!(after["history"][1], status["history"][0]);
    for place in ["", "/lastRotation", "/conditions/0"] {
        let kept = &after.pointer(place).unwrap()["added"];
        assert_eq!(kept, &json!({"x": 1}), "{place}: {after:#}");
    }
    assert_eq!(tenant.generates(&app), 2);
    assert_eq!(stopping(&operator).await.unwrap(), Some(0));
}
