//! A cluster that cannot be asked: each command says what is missing, and what to do.

use std::net::TcpListener;

use serde_json::json;

use super::*;
use crate::fixtures::tenant;
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::eventually;

/// Each command that asks the cluster, about an object named `orders`.
const COMMANDS: [&[&str]; 8] = [
    &["status"],
    &["status", "orders"],
    &["status", "--watch"],
    &["history"],
    &["timeline"],
    &["plan"],
    &["consumers", "orders"],
    &["rotate", "orders", "--reason", "x", "--yes"],
];

/// What goes on where the others end, as long as the cluster answers at all.
const DOCTOR: &[&str] = &["doctor"];

/// A kubeconfig in a directory that is kept.
fn kubeconfig(directory: &Path, server: &str) -> std::path::PathBuf {
    let path = directory.join("kubeconfig");
    let text = json!({
        "apiVersion": "v1", "kind": "Config", "current-context": "here",
        "clusters": [{"name": "here", "cluster": {"server": server}}],
        "users": [{"name": "me", "user": {"token": "t"}}],
        "contexts": [{"name": "here", "context": {"cluster": "here", "user": "me"}}],
    });
    std::fs::write(&path, text.to_string()).unwrap();
    path
}

#[tokio::test]
async fn a_missing_right_is_named_and_a_namespace_is_proposed() {
    let tenant = tenant("denied").await;
    tenant.issued("orders", json!({})).await;
    let cluster = &World::shared().await.cluster;
    let kubeconfig = cluster.kubeconfig_for_user("nobody", &[]).await;
    for arguments in COMMANDS {
        let ran = run(
            &kubeconfig,
            &[&["-n", &tenant.namespace], arguments].concat(),
        );
        ran.ends(3, "apiappsecrets.zitadel-secrets.dev in namespace ");
        assert!(ran.stderr.contains("you may not "), "{ran:?}");
        assert_eq!(ran.stdout, "", "{ran:?}");
    }
    run(&kubeconfig, &["-A", "status"]).ends(3, "or choose a namespace with -n");
    // What one kind of objects can be seen of is shown, and that it is not all.
    let one = [
        "--verb=get,list,watch",
        "--resource=apiappsecrets.zitadel-secrets.dev",
    ];
    grant(&tenant, "nobody", &one).await;
    let ran = eventually(PATIENCE, || async {
        let ran = run(&kubeconfig, &["-n", &tenant.namespace, "status"]);
        ran.stdout.contains("orders").then_some(ran)
    })
    .await;
    let partly = "not all kinds are shown: you may not list oidcappsecrets";
    ran.ends(3, partly);
    // What is found is certain, whatever else there may be.
    tenant
        .apply("wrong", "269012345678901234", json!({}))
        .await
        .unwrap();
    tenant.reason("wrong", "AppNotFound").await;
    run(&kubeconfig, &["-n", &tenant.namespace, "status"]).ends(1, partly);
}

#[tokio::test]
async fn whoever_may_look_may_not_rotate() {
    let tenant = tenant("looks").await;
    let app = tenant.issued("orders", json!({})).await;
    let cluster = &World::shared().await.cluster;
    let kubeconfig = cluster.kubeconfig_for_user("looks", &[]).await;
    let kinds = "--resource=apiappsecrets.zitadel-secrets.dev,oidcappsecrets.zitadel-secrets.dev";
    grant(&tenant, "looks", &["--verb=get,list", kinds]).await;
    let own = ["-n", &tenant.namespace];
    eventually(PATIENCE, || async {
        let ran = run(&kubeconfig, &[&own[..], &["status", "orders"]].concat());
        (ran.code == Some(0)).then_some(())
    })
    .await;
    let consumers = run(&kubeconfig, &[&own[..], &["consumers", "orders"]].concat());
    consumers.ends(3, "you may not list pods in namespace");
    let rotate = ["rotate", "orders", "--reason", "x", "--yes"];
    let ran = run(&kubeconfig, &[&own[..], &rotate].concat());
    ran.ends(
        3,
        "you may not patch apiappsecrets.zitadel-secrets.dev in namespace",
    );
    assert!(
        ran.stderr
            .contains("Which Pods use the Secret is not known"),
        "{ran:?}"
    );
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn a_cluster_without_the_definitions_is_told_from_one_without_objects() {
    let cluster = ControlPlane::start(Options::default()).await;
    for arguments in COMMANDS {
        let ran = run(cluster.admin_kubeconfig(), arguments);
        ran.ends(
            3,
            "the cluster does not serve apiappsecrets.zitadel-secrets.dev",
        );
    }
    let tenant = tenant("empty").await;
    for command in ["status", "history", "timeline", "plan"] {
        as_admin(&tenant, &[command])
            .await
            .ends(0, "in namespace empty-");
    }
    let none = as_admin(&tenant, &["consumers", "orders"]).await;
    none.ends(1, "there is no object named orders");
}

#[tokio::test]
async fn the_caller_can_act_as_someone_else() {
    let tenant = tenant("as").await;
    let ran = as_admin(&tenant, &["status", "--as", "nobody"]).await;
    ran.ends(3, "you may not list apiappsecrets");
    let nobody = World::shared()
        .await
        .cluster
        .kubeconfig_for_user("nobody", &[])
        .await;
    let ran = run(&nobody, &["status", "--as", "system:admin"]);
    ran.ends(3, "ask for the verb impersonate on users");
}

#[tokio::test]
async fn a_server_that_is_not_there_is_named_with_its_port() {
    let directory = tempfile::tempdir().unwrap();
    let free = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = free.local_addr().unwrap().port();
    drop(free);
    let dead = kubeconfig(directory.path(), &format!("https://127.0.0.1:{port}"));
    let unknown = tempfile::tempdir().unwrap();
    let unknown = kubeconfig(unknown.path(), "https://no-such-host.invalid:6443");
    for arguments in COMMANDS.into_iter().chain([DOCTOR]) {
        let refused = format!("127.0.0.1:{port} refuses connections");
        run(&dead, arguments).ends(3, &refused);
        run(&unknown, arguments).ends(3, "no-such-host.invalid:6443");
    }
    // One that takes the connection, and never says anything.
    let silent = TcpListener::bind("127.0.0.1:0").unwrap();
    let port = silent.local_addr().unwrap().port();
    let silent_config = tempfile::tempdir().unwrap();
    let server = format!("http://localhost:{port}");
    let silent_config = kubeconfig(silent_config.path(), &server);
    for arguments in [&["status"][..], DOCTOR] {
        let late = format!("localhost:{port} did not respond within 10 s");
        run(&silent_config, arguments).ends(4, &late);
    }
}

#[tokio::test]
async fn a_kubeconfig_or_context_that_is_not_there_is_wrong_usage() {
    let directory = tempfile::tempdir().unwrap();
    let there = kubeconfig(directory.path(), "https://127.0.0.1:1");
    let absent = directory.path().join("absent");
    run(&absent, &["status"]).ends(2, "absent");
    run(
        &there,
        &["status", "--kubeconfig", absent.to_str().unwrap()],
    )
    .ends(2, "cannot be read");
    run(&there, &["status", "--context", "elsewhere"]).ends(2, "has no context elsewhere");
    std::fs::write(&absent, "users: [{user: {token: hidden").unwrap();
    let ran = run(&absent, &["status"]);
    ran.ends(2, "cannot be used");
    assert!(!ran.stderr.contains("hidden"), "{ran:?}");
    run(&there, &["status", "a", "-A"]).ends(2, "cannot be given together");
    run(&there, &["status", "Wrong"]).ends(2, "not the name of an object");
}
