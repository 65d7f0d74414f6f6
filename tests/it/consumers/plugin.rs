//! `kubectl zitadel-secret consumers` and `rotate`, where Pods use the credential.

use super::restart::running;
use super::*;
use crate::plugin::{Ran, as_admin, run};

/// Runs the plugin while the tests' kubelet goes on.
async fn plugin(it: &Consuming, arguments: &[&str]) -> Ran {
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let all = [&["-n", &it.tenant.namespace], arguments].concat();
    let all: Vec<_> = all.iter().map(ToString::to_string).collect();
    let run = move || {
        let all: Vec<_> = all.iter().map(String::as_str).collect();
        run(kubeconfig, &all)
    };
    tokio::task::spawn_blocking(run).await.unwrap()
}

#[tokio::test]
async fn each_pod_is_shown_with_its_use_and_its_value_and_a_rotation_names_those_that_keep_it() {
    let it = Consuming::new("shown").await;
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    it.until("AllCurrent").await;
    it.pod("env", environment(), json!({})).await;
    it.pod("files", directory(), json!({})).await;
    it.pod("other", json!({"container": {}}), json!({})).await;
    let ran = plugin(&it, &["consumers", "orders"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert_eq!(ran.stdout.matches(" Current ").count(), 2, "{ran:?}");
    let said = plugin(&it, &["rotate", "orders", "--reason", "x", "--dry-run"]).await;
    said.ends(
        0,
        "1 of 2 Pods that use Secret orders keep the old value until they are restarted: env;",
    );
    it.tenant.trigger("orders", "1").await;
    it.counted(2, 1).await;
    let ran = plugin(&it, &["consumers", "orders"]).await;
    ran.ends(
        1,
        "2 of 2 may have a former value of Secret orders: have the Pods made anew that are Former",
    );
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(
        lines[0].starts_with("POD     OWNER   RUNNING   STATE "),
        "{ran:?}"
    );
    assert!(
        lines[1].starts_with("env     -       60m       Former "),
        "{ran:?}"
    );
    assert!(lines[1].ends_with("environment (app)"), "{ran:?}");
    assert!(
        lines[2].starts_with("files   -       60m       Refreshing "),
        "{ran:?}"
    );
    let json = plugin(&it, &["consumers", "orders", "-o", "json"])
        .await
        .json();
    assert_eq!(json["items"][0]["state"], "Former");
    let names = plugin(&it, &["consumers", "orders", "-o", "name"]).await;
    assert_eq!(names.stdout, "pod/env\npod/files\n");
    let ran = plugin(&it, &["consumers", "orders", "--restart"]).await;
    ran.ends(1, "Pod env belongs to nothing, which is not restarted");
}

#[tokio::test]
async fn workloads_that_are_behind_are_restarted_one_after_another_with_the_rights_of_the_caller() {
    let (it, kubelet) = running("byhand", json!({"refresh": "None"}), &["a", "b"]).await;
    it.tenant.trigger("orders", "1").await;
    it.counted(2, 2).await;
    let restart = ["consumers", "orders", "--restart"];
    let dry = plugin(&it, &[&restart[..], &["--dry-run"]].concat()).await;
    dry.ends(0, "");
    assert_eq!(
        dry.stdout,
        "deployment.apps/a would be restarted\ndeployment.apps/b would be restarted\n"
    );
    assert!(it.restarted().await.is_empty());
    // NB: a test that fails is to end before the default timeout.
    let timed = [&restart[..], &["--timeout", "100s"]].concat();
    let both = async {
        eventually(PATIENCE, || async {
            (it.restarted().await == ["a"]).then_some(())
        })
        .await;
        kubelet.let_in(&["a"]);
        eventually(PATIENCE, || async {
            (it.restarted().await == ["a", "b"]).then_some(())
        })
        .await;
        assert_eq!(kubelet.started("a"), 2, "b waits for a");
        kubelet.let_in(&["b"]);
    };
    let (ran, ()) = tokio::join!(plugin(&it, &timed), both);
    ran.ends(0, "Deployment/b has rolled out");
    assert_eq!(
        ran.stdout,
        "deployment.apps/a restarted\ndeployment.apps/b restarted\n"
    );
    it.until("AllCurrent").await;
    let ran = as_admin(&it.tenant, &["consumers", "orders"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    let ran = plugin(&it, &restart).await;
    ran.ends(0, "nothing is restarted");
}
