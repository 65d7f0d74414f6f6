//! The operator as the service account of the chart, in both scopes: what it uses is what it is granted, and the rest is refused.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Arc;

use http::Request;
use kube::Client;
use kube::api::{Api, DeleteParams, ListParams};
use kube::client::Body;
use serde_json::{Value, json};
use tokio::sync::{MutexGuard, OnceCell};
use zitadel_secret_operator::api::{OidcAppSecret, ZitadelConnection};
use zitadel_secret_operator::rights::{RIGHTS, RightScope};
use zitadel_simulator::{AppHandle, NewApp};

use crate::support::audit::AuditLog;
use crate::support::controlplane::{Options, client_from};
use crate::support::eventually;
use crate::support::helm::{CHART, documents, helm, succeeded};
use crate::support::operator::check;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};

/// A cluster without an operator: each test starts its own, one at a time.
pub async fn world() -> (&'static World, MutexGuard<'static, ()>) {
    static WORLD: OnceCell<World> = OnceCell::const_new();
    static ONE: tokio::sync::Mutex<()> = tokio::sync::Mutex::const_new(());
    let turn = ONE.lock().await;
    let world = WORLD
        .get_or_init(|| async {
            let options = Options {
                audit: true,
                ..Options::default()
            };
            World::own(options).await
        })
        .await;
    (world, turn)
}

/// The chart's rules for a service account of this name, which no other test has.
pub fn rules(account: &str, arguments: &[&str]) -> Vec<Value> {
    let set = format!("crds.install=false,fullnameOverride={account}");
    let usual = [
        "template",
        "zso",
        CHART,
        "--namespace",
        OPERATOR_NAMESPACE,
        "--set",
        &set,
        "--show-only",
        "templates/rbac.yaml",
        "--show-only",
        "templates/serviceaccount.yaml",
    ];
    documents(&succeeded(&helm(None, &[&usual[..], arguments].concat())))
}

/// Applies objects as an administrator.
pub fn apply(world: &World, objects: &[Value]) {
    let list = json!({"apiVersion": "v1", "kind": "List", "items": objects});
    let path = world
        .directory
        .join(format!("{}.json", uuid::Uuid::new_v4().simple()));
    std::fs::write(&path, list.to_string()).unwrap();
    let output = world
        .cluster
        .kubectl(&["apply", "--filename", path.to_str().unwrap()]);
    let printed = String::from_utf8_lossy(&output.stderr);
    assert!(output.status.success(), "{printed}");
}

/// A kubeconfig of a service account in the operator's namespace.
pub async fn kubeconfig(world: &World, account: &str) -> PathBuf {
    let cluster = &world.cluster;
    cluster
        .kubeconfig_for_service_account(OPERATOR_NAMESPACE, account)
        .await
}

/// Asks it to stop and waits for its end.
pub async fn stop(operator: &Arc<Operator>) {
    let stopping = Arc::clone(operator);
    let code = tokio::task::spawn_blocking(move || stopping.stop())
        .await
        .unwrap();
    assert_eq!(code, Some(0), "{}", operator.printed());
}

/// Group, resource, verb and place.
pub type Use = (String, String, String, RightScope);

/// Every right of the list, one by one.
fn all_rights() -> BTreeSet<Use> {
    let mut all = BTreeSet::new();
    for right in RIGHTS {
        for verb in right.verbs {
            all.insert((
                right.group.into(),
                right.resource.into(),
                (*verb).into(),
                right.scope,
            ));
        }
    }
    all
}

/// What a user has asked of the API server.
pub struct Used {
    log: AuditLog,
    user: String,
    pub uses: BTreeSet<Use>,
    pub refused: Vec<String>,
    namespaces: BTreeSet<String>,
}

impl Used {
    pub fn by(world: &World, account: &str) -> Self {
        Self {
            log: AuditLog::from_now(world.cluster.audit_log()),
            user: format!("system:serviceaccount:{OPERATOR_NAMESPACE}:{account}"),
            uses: BTreeSet::new(),
            refused: Vec::new(),
            namespaces: BTreeSet::new(),
        }
    }

    pub fn read(&mut self) {
        for request in self.log.read() {
            if request.user() != self.user {
                continue;
            }
            if request.code() == 403 {
                self.refused
                    .push(format!("{} {}", request.verb, request.uri));
            }
            let resource = match request.subresource() {
                "" => request.resource().to_owned(),
                sub => format!("{}/{sub}", request.resource()),
            };
            let place = match request.namespace() {
                _ if resource == "namespaces" => RightScope::WatchedNamespaces,
                OPERATOR_NAMESPACE => RightScope::Own,
                "" if resource.starts_with("zitadelconnections") => RightScope::Cluster,
                _ => RightScope::Watched,
            };
            if place == RightScope::Watched {
                self.namespaces.insert(request.namespace().to_owned());
            }
            self.uses.insert((
                request.group().to_owned(),
                resource,
                request.verb.clone(),
                place,
            ));
        }
    }
}

/// Grants of both kinds.
pub fn grants_of_both(tenant: &Tenant) -> Value {
    json!([{
        "name": "both", "namespaces": [tenant.namespace], "projectIds": [tenant.project],
        "kinds": ["ApiAppSecret", "OidcAppSecret"],
    }])
}

/// An OIDC application, and an object for it.
pub async fn web(tenant: &Tenant) -> AppHandle {
    let new = NewApp {
        name: "web".to_owned(),
        oidc_redirect_uri: Some("https://localhost/callback".to_owned()),
        ..NewApp::default()
    };
    let app = tenant.zitadel.create_app(&tenant.project, &new).unwrap();
    let mut object = tenant.manifest("web", &app.id, json!({}));
    object["kind"] = json!("OidcAppSecret");
    crate::support::apply(&web_objects(tenant), &object)
        .await
        .unwrap();
    app
}

/// The objects for OIDC applications.
pub fn web_objects(tenant: &Tenant) -> Api<OidcAppSecret> {
    Api::namespaced(tenant.client.clone(), &tenant.namespace)
}

/// Everything that happens to an object, from its first value to its end, while the operator runs as `account`.
async fn whole_life(world: &World, tenant: &Tenant, account: &str, arguments: &[&str]) -> Used {
    let mut used = Used::by(world, account);
    let kubeconfig = kubeconfig(world, account).await;
    let arguments = [&["--protocol-speed", "20"], arguments].concat();
    let operator = Operator::start_with(&kubeconfig, &world.directory, &arguments);
    let operator = Arc::new(operator);
    let mut spec = json!({"tls": {"caBundle": {"configMapKeyRef": {"name": "kube-root-ca.crt", "key": "ca.crt"}}}});
    spec["grants"] = grants_of_both(tenant);
    tenant.apply_connection(spec).await;
    let web = web(tenant).await;
    tenant.until_generates(&web, 1).await;
    let app = tenant.app("orders");
    let secret = |name: &str| json!({"secret": {"name": name}});
    tenant
        .apply("orders", &app.id, secret("first"))
        .await
        .unwrap();
    tenant.ready("orders").await;
    for (trigger, generates) in [("a", 2), ("b", 3)] {
        tenant
            .edit(
                "orders",
                json!({"spec": {"rotation": {"trigger": trigger}}}),
            )
            .await;
        tenant.until_generates(&app, generates).await;
        tenant.ready("orders").await;
    }
    tenant
        .edit("orders", json!({"spec": {"secret": {"name": "second"}}}))
        .await;
    tenant.secret_gone("first").await;
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "second").await);
    assert_eq!(tenant.generates(&app), 3, "another name costs nothing");
    // A claim is kept for a day after the last rotation.
    tenant.age_claims("orders").await;
    tenant.delete("orders").await;
    tenant.secret_gone("second").await;
    // The claim goes last. Events are written beside all this.
    let last = [
        ("coordination.k8s.io", "leases", "delete"),
        ("events.k8s.io", "events", "create"),
    ];
    let used_now = std::cell::RefCell::new(&mut used);
    eventually(PATIENCE, || async {
        let mut used = used_now.borrow_mut();
        used.read();
        let seen = |(group, resource, verb): &(&str, &str, &str)| {
            used.uses.iter().any(|used| {
                (used.0.as_str(), used.1.as_str(), used.2.as_str()) == (*group, *resource, *verb)
            })
        };
        last.iter().all(seen).then_some(())
    })
    .await;
    let page = operator.get("/ready").await.unwrap();
    assert_eq!(page.0, 200, "{}", page.1);
    assert!(!page.1.contains("RBAC"), "{}", page.1);
    stop(&operator).await;
    used.read();
    used
}

/// Requests that are refused, whatever the scope: method, path.
fn never_allowed(account: &str, tenant: &str) -> Vec<(&'static str, String)> {
    let own = OPERATOR_NAMESPACE;
    let ours = format!("/apis/zitadel-secrets.dev/v1alpha1/namespaces/{tenant}/apiappsecrets");
    let connections = "/apis/zitadel-secrets.dev/v1alpha1/zitadelconnections".to_owned();
    let rbac = "/apis/rbac.authorization.k8s.io/v1";
    let leases = "/apis/coordination.k8s.io/v1/namespaces";
    let core = "/api/v1/namespaces";
    vec![
        // Objects belong to people.
        ("POST", ours.clone()),
        ("PUT", format!("{ours}/orders")),
        ("PATCH", format!("{ours}/orders")),
        ("DELETE", format!("{ours}/orders")),
        ("DELETE", ours.clone()),
        ("PUT", format!("{ours}/orders/status")),
        ("GET", format!("{connections}/{tenant}")),
        ("POST", connections.clone()),
        ("PATCH", format!("{connections}/{tenant}")),
        ("DELETE", format!("{connections}/{tenant}")),
        ("PUT", format!("{connections}/{tenant}/status")),
        // Secrets are created and applied; nothing else.
        ("PUT", format!("{core}/{tenant}/secrets/orders")),
        ("DELETE", format!("{core}/{tenant}/secrets")),
        // Claims are in the operator's own namespace.
        ("GET", format!("{leases}/{tenant}/leases/x")),
        ("POST", format!("{leases}/{tenant}/leases")),
        ("GET", format!("{leases}/kube-system/leases")),
        ("PATCH", format!("{leases}/{own}/leases/x")),
        ("DELETE", format!("{leases}/{own}/leases")),
        // Configuration elsewhere, and its own.
        ("GET", format!("{core}/{tenant}/configmaps/kube-root-ca.crt")),
        ("PATCH", format!("{core}/{own}/configmaps/kube-root-ca.crt")),
        ("POST", format!("{core}/{own}/configmaps")),
        // No way to more rights.
        ("POST", format!("{rbac}/clusterroles")),
        ("POST", format!("{rbac}/clusterrolebindings")),
        ("PATCH", format!("{rbac}/clusterroles/{own}-{account}")),
        ("POST", format!("{rbac}/namespaces/{own}/roles")),
        ("POST", format!("{rbac}/namespaces/{own}/rolebindings")),
        ("PATCH", format!("{rbac}/namespaces/{own}/roles/{account}")),
        ("POST", format!("{rbac}/namespaces/{tenant}/rolebindings")),
        ("POST", format!("{core}/{own}/serviceaccounts/{account}/token")),
        ("POST", format!("{core}/{tenant}/serviceaccounts/default/token")),
        ("GET", format!("{core}/{own}/serviceaccounts")),
        // No workloads.
        ("GET", format!("{core}/{tenant}/pods")),
        ("POST", format!("{core}/{own}/pods")),
        ("POST", format!("{core}/{own}/pods/x/exec")),
        ("GET", format!("{core}/{own}/pods/x/log")),
        ("PATCH", format!("/apis/apps/v1/namespaces/{own}/deployments/{account}")),
        // Nothing of the cluster.
        ("PATCH", format!("{core}/{tenant}")),
        ("DELETE", format!("{core}/{tenant}")),
        ("GET", "/api/v1/nodes".to_owned()),
        ("GET", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions".to_owned()),
        ("DELETE", "/apis/apiextensions.k8s.io/v1/customresourcedefinitions/apiappsecrets.zitadel-secrets.dev".to_owned()),
        ("GET", format!("/apis/events.k8s.io/v1/namespaces/{tenant}/events")),
        ("POST", "/apis/certificates.k8s.io/v1/certificatesigningrequests".to_owned()),
        ("GET", "/metrics".to_owned()),
    ]
}

/// Requests that are refused when only `tenant` is watched.
fn not_allowed_elsewhere(elsewhere: &str) -> Vec<(&'static str, String)> {
    let own = OPERATOR_NAMESPACE;
    let core = "/api/v1/namespaces";
    let ours = format!("/apis/zitadel-secrets.dev/v1alpha1/namespaces/{elsewhere}/apiappsecrets");
    vec![
        ("GET", "/api/v1/secrets".to_owned()),
        ("GET", format!("{core}/{elsewhere}/secrets")),
        ("GET", format!("{core}/{elsewhere}/secrets/orders")),
        ("POST", format!("{core}/{elsewhere}/secrets")),
        ("PATCH", format!("{core}/{elsewhere}/secrets/orders")),
        ("DELETE", format!("{core}/{elsewhere}/secrets/orders")),
        ("GET", format!("{core}/kube-system/secrets")),
        // The operator's own credentials are read and never written.
        ("POST", format!("{core}/{own}/secrets")),
        ("PATCH", format!("{core}/{own}/secrets/key")),
        ("DELETE", format!("{core}/{own}/secrets/key")),
        (
            "GET",
            "/apis/zitadel-secrets.dev/v1alpha1/apiappsecrets".to_owned(),
        ),
        ("GET", ours.clone()),
        ("GET", format!("{ours}/orders")),
        ("PATCH", format!("{ours}/orders/status")),
        (
            "POST",
            format!("/apis/events.k8s.io/v1/namespaces/{elsewhere}/events"),
        ),
        ("GET", "/api/v1/namespaces".to_owned()),
        (
            "GET",
            format!("{core}?fieldSelector=metadata.name%3D{elsewhere}"),
        ),
        ("GET", format!("{core}/{elsewhere}")),
    ]
}

/// The status that a request is answered with.
async fn answer(client: &Client, method: &str, path: &str) -> u16 {
    let kind = if method == "PATCH" {
        "application/merge-patch+json"
    } else {
        "application/json"
    };
    let request = Request::builder()
        .method(method)
        .uri(path)
        .header("content-type", kind);
    let body = if method == "GET" {
        Vec::new()
    } else {
        b"{}".to_vec()
    };
    client
        .send(request.body(Body::from(body)).unwrap())
        .await
        .unwrap()
        .status()
        .as_u16()
}

pub async fn all_refused(client: &Client, requests: Vec<(&'static str, String)>) {
    let mut allowed = Vec::new();
    for (method, path) in requests {
        let status = answer(client, method, &path).await;
        if status != 403 {
            allowed.push(format!("{method} {path}: {status}"));
        }
    }
    assert!(allowed.is_empty(), "{allowed:#?}");
}

/// The operator's token does not let anyone impersonate another user.
async fn no_impersonation(client: &Client) {
    let request = Request::get("/api/v1/nodes").header("impersonate-user", "admin");
    let request = request.header("impersonate-group", "system:masters");
    let answer = client
        .send(request.body(Body::empty()).unwrap())
        .await
        .unwrap();
    assert_eq!(answer.status().as_u16(), 403);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_the_whole_cluster_every_right_is_used_and_nothing_else_is_allowed() {
    let (world, _turn) = world().await;
    let account = "whole-cluster";
    apply(world, &rules(account, &[]));
    let tenant = world.tenant("cluster").await;
    let used = whole_life(world, &tenant, account, &[]).await;
    assert!(used.refused.is_empty(), "{:?}", used.refused);
    assert_eq!(used.uses, all_rights());
    let client = client_from(&kubeconfig(world, account).await).await;
    let read = format!("/api/v1/namespaces/{OPERATOR_NAMESPACE}/configmaps/kube-root-ca.crt");
    assert_eq!(
        answer(&client, "GET", &read).await,
        200,
        "the token is good"
    );
    all_refused(&client, never_allowed(account, &tenant.namespace)).await;
    no_impersonation(&client).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn for_a_list_of_namespaces_every_right_is_used_and_nothing_beyond_them_is_seen() {
    let (world, _turn) = world().await;
    let account = "some-namespaces";
    let (tenant, other) = (
        world.tenant("watched").await,
        world.tenant("unwatched").await,
    );
    // A grant by label needs the labels of the namespace.
    let scope = format!("watchNamespaces={{{}}}", tenant.namespace);
    apply(world, &rules(account, &["--set", &scope]));
    let foreign = other.app("orders");
    other.apply("orders", &foreign.id, json!({})).await.unwrap();
    let watch = ["--watch-namespaces", &tenant.namespace];
    let used = whole_life(world, &tenant, account, &watch).await;
    assert!(used.refused.is_empty(), "{:?}", used.refused);
    assert_eq!(used.uses, all_rights());
    assert_eq!(used.namespaces, BTreeSet::from([tenant.namespace.clone()]));
    assert_eq!(other.generates(&foreign), 0);
    let untouched = other.objects().get("orders").await.unwrap();
    // The API server's own default says that no operator has checked it.
    let generation = untouched
        .status
        .and_then(|status| status.observed_generation);
    assert_eq!(generation, Some(-1));

    let client = client_from(&kubeconfig(world, account).await).await;
    let own = format!("/api/v1/namespaces/{}/secrets", tenant.namespace);
    assert_eq!(answer(&client, "GET", &own).await, 200, "the token is good");
    all_refused(&client, never_allowed(account, &tenant.namespace)).await;
    all_refused(&client, not_allowed_elsewhere(&other.namespace)).await;
    no_impersonation(&client).await;
    other.delete("orders").await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn grants_by_label_work_where_only_some_namespaces_are_watched() {
    let (world, _turn) = world().await;
    let account = "by-label";
    let tenant = world.tenant("labelled").await;
    let scope = format!("watchNamespaces={{{}}}", tenant.namespace);
    apply(world, &rules(account, &["--set", &scope]));
    let grant = json!({"grants": [{"name": "by-label", "namespaceSelector": {"matchLabels": {"team": "orders"}}, "projectIds": ["*"]}]});
    tenant.apply_connection(grant).await;
    let arguments = [
        "--protocol-speed",
        "20",
        "--watch-namespaces",
        &tenant.namespace,
    ];
    let operator = Operator::start(
        &kubeconfig(world, account).await,
        &world.directory,
        &arguments,
    );
    let operator = Arc::new(operator);
    let app = tenant.app("orders");
    tenant.apply("orders", &app.id, json!({})).await.unwrap();
    tenant.reason("orders", "NotGranted").await;
    let label = ["label", "namespace", &tenant.namespace, "team=orders"];
    assert!(world.cluster.kubectl(&label).status.success());
    tenant.ready("orders").await;
    assert!(tenant.accepted(&app, "orders").await);
    stop(&operator).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn check_says_which_right_is_missing_and_which_connection_is_not_ready() {
    let (world, _turn) = world().await;
    let connections: Api<ZitadelConnection> = Api::all(world.cluster.client().await);
    let all = ListParams::default();
    connections
        .delete_collection(&DeleteParams::default(), &all)
        .await
        .unwrap();

    let account = "checked";
    let tenant = world.tenant("checked").await;
    let other = world.cluster.fresh_namespace("other").await;
    let scope = format!("watchNamespaces={{{},{other}}}", tenant.namespace);
    apply(world, &rules(account, &["--set", &scope]));
    let mine = kubeconfig(world, account).await;
    let both = format!("{},{other}", tenant.namespace);
    let watch = ["--watch-namespaces", &both, "--timeout", "1s"];
    // As the operator of these tests runs.
    let check = async |arguments: &[&str]| {
        let arguments = [&["--leader-elect", "false"], arguments].concat();
        check(&mine, &arguments, &[]).await
    };

    let (well, printed) = check(&watch).await;
    assert!(
        !well && printed.contains("the operator has not checked it yet: is it running?"),
        "{printed}"
    );
    let operator = Operator::start(&mine, &world.directory, &watch[..2]);
    let operator = Arc::new(operator);
    tenant.connected().await;
    let (well, printed) = check(&watch).await;
    let verbs: usize = RIGHTS
        .iter()
        .map(|right| {
            let places = matches!(
                right.scope,
                RightScope::Watched | RightScope::WatchedNamespaces
            );
            right.verbs.len() * if places { 2 } else { 1 }
        })
        .sum();
    assert!(well, "{printed}");
    assert!(
        printed.starts_with(&format!("permissions: {verbs} of {verbs} are granted\n")),
        "{printed}"
    );
    assert!(
        printed.contains(&format!("connection {}: Connected", tenant.namespace)),
        "{printed}"
    );

    check_consumers(world, (account, &scope), (&watch, &other), verbs).await;

    // The whole cluster is more than it was given.
    let (well, printed) = check(&["--timeout", "1s"]).await;
    assert!(!well, "{printed}");
    assert!(printed.contains("  missing: list secrets\n"), "{printed}");
    assert!(
        printed.contains("granted by the chart with rbac.create: true and watchNamespaces: []"),
        "{printed}"
    );
    assert!(!printed.contains("src/"), "{printed}");
    assert!(
        !printed.contains("missing: list secrets in namespace"),
        "its own is granted: {printed}"
    );

    tenant.set_credential("no-such-token").await;
    eventually(PATIENCE, || async {
        (tenant.connection_reason().await == "CredentialRejected").then_some(())
    })
    .await;
    let (well, printed) = check(&watch).await;
    assert!(!well && printed.contains("CredentialRejected"), "{printed}");
    tenant
        .connections()
        .delete(&tenant.namespace, &DeleteParams::default())
        .await
        .unwrap();
    let (well, printed) = check(&watch).await;
    assert!(
        !well && printed.contains("there is no ZitadelConnection: create one"),
        "{printed}"
    );
    stop(&operator).await;
}

/// With the flags for consumers their rights are checked like the `others`, in both namespaces.
async fn check_consumers(
    world: &World,
    (account, scope): (&str, &str),
    (watch, namespace): (&[&str], &str),
    others: usize,
) {
    let kubeconfig = kubeconfig(world, account).await;
    let check = async || {
        let flags = [
            "--leader-elect",
            "false",
            "--consumers-refresh",
            "true",
            "--consumers-restart",
            "true",
        ];
        check(&kubeconfig, &[watch, &flags].concat(), &[]).await
    };
    let (well, printed) = check().await;
    assert!(!well, "{printed}");
    for (right, value) in [
        ("patch pods", "consumers.refresh"),
        ("get deployments", "consumers.restart"),
    ] {
        let missing = format!(
            "  missing: {right} in namespace {namespace}\n           granted by the chart with rbac.create: true, {value}: true and {namespace} in watchNamespaces\n"
        );
        assert!(printed.contains(&missing), "{printed}");
    }
    let switches = "consumers.refresh=true,consumers.restart=true";
    let granted = rules(account, &["--set", scope, "--set", switches]);
    apply(world, &granted);
    let printed = eventually(PATIENCE, || async {
        let (well, printed) = check().await;
        well.then_some(printed)
    })
    .await;
    let all = others + 2 * 8;
    let expected = format!("permissions: {all} of {all} are granted\n");
    assert!(printed.starts_with(&expected), "{printed}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn who_may_edit_a_namespace_may_edit_its_objects_and_no_connection() {
    let (world, _turn) = world().await;
    apply(world, &rules("people", &[]));
    let namespace = world.cluster.fresh_namespace("people").await;
    let bind = |role: &str| {
        let user = format!("--user={role}or");
        let (role, name) = (format!("--clusterrole={role}"), role.to_owned());
        let arguments = [
            "create",
            "rolebinding",
            &name,
            &role,
            &user,
            "--namespace",
            &namespace,
        ];
        assert!(world.cluster.kubectl(&arguments).status.success());
    };
    bind("edit");
    bind("view");
    let can = |user: &str, verb: &str, resource: &str| {
        let user = format!("--as={user}");
        // NB: kubectl takes what is behind a slash for a name.
        let (resource, subresource) = resource.split_once('/').unwrap_or((resource, ""));
        let subresource = format!("--subresource={subresource}");
        let arguments = [
            "auth",
            "can-i",
            verb,
            resource,
            &user,
            &subresource,
            "--namespace",
            &namespace,
        ];
        world.cluster.kubectl(&arguments).status.success()
    };
    let mine = "apiappsecrets.zitadel-secrets.dev";
    eventually(PATIENCE, || async {
        can("editor", "create", mine).then_some(())
    })
    .await;
    eventually(PATIENCE, || async {
        can("viewor", "watch", mine).then_some(())
    })
    .await;
    for verb in ["get", "list", "update", "patch", "delete"] {
        assert!(can("editor", verb, mine), "{verb}");
    }
    assert!(!can("viewor", "patch", mine) && !can("viewor", "delete", mine));
    for user in ["editor", "viewor"] {
        assert!(
            !can(user, "get", "zitadelconnections.zitadel-secrets.dev"),
            "{user}"
        );
        assert!(!can(user, "patch", &format!("{mine}/status")), "{user}");
    }
}
