//! `rotate`.

use serde_json::{Value, json};

use super::*;
use crate::fixtures::{abandon, tenant};
use crate::support::eventually;

const ROTATE: [&str; 4] = ["rotate", "orders", "--reason", "leak, INC-1"];

/// Applies the object with a field manager, and more of its metadata.
fn apply_as(
    manager: &str,
    tenant: &Tenant,
    app: &str,
    extra: Value,
    annotations: &Value,
) -> Vec<String> {
    let mut manifest = tenant.manifest("orders", app, extra);
    manifest["metadata"]["annotations"] = annotations.clone();
    let file = std::env::temp_dir().join(format!("{}.json", tenant.namespace));
    std::fs::write(&file, manifest.to_string()).unwrap();
    let arguments = [
        "apply",
        "--server-side",
        "--force-conflicts",
        "--field-manager",
        manager,
        "-f",
        file.to_str().unwrap(),
    ];
    arguments.map(ToOwned::to_owned).to_vec()
}

async fn kubectl(arguments: &[String]) {
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let output = World::shared().await.cluster.kubectl(&arguments);
    assert!(output.status.success(), "{output:?}");
}

#[tokio::test]
async fn it_says_what_will_happen_and_follows_the_rotation_to_its_end() {
    let tenant = tenant("rotate").await;
    let windows = json!([{"name": "w", "schedule": "0 3 29 2 *", "duration": "1h"}]);
    let rotation = json!({"rotation": {"interval": "30d", "windows": windows}});
    let app = tenant.issued("orders", rotation).await;
    let said = as_admin(&tenant, &[&ROTATE[..], &["--dry-run"]].concat()).await;
    for part in [
        "generates a new client secret of app ",
        "It starts at once, outside of its windows",
        "The present client secret stops working at once",
        "No Pod of the namespace uses Secret orders",
        "Nothing was changed.",
    ] {
        said.ends(0, part);
    }
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    let ran = as_admin(&tenant, &[&ROTATE[..], &["--yes", "--wait"]].concat()).await;
    ran.ends(0, "the Secret has the new client secret");
    ran.ends(0, "no Pod uses the Secret");
    assert_eq!(
        ran.stdout,
        "apiappsecret.zitadel-secrets.dev/orders rotated\n"
    );
    assert_eq!(tenant.generates(&app), 2);
    assert!(tenant.accepted(&app, "orders").await);
    let object = tenant.objects().get("orders").await.unwrap();
    let trigger = object.spec.rotation.unwrap().trigger.unwrap();
    assert!(trigger.ends_with("Z leak, INC-1"), "{trigger}");
    let managers = object.metadata.managed_fields.unwrap();
    let ours = managers
        .iter()
        .any(|it| it.manager.as_deref() == Some("zitadel-secret-plugin"));
    assert!(ours, "{managers:?}");
    // The same reason again is another rotation.
    let json = as_admin(
        &tenant,
        &[&ROTATE[..], &["--yes", "--wait", "-o", "json"]].concat(),
    )
    .await
    .json();
    assert_eq!(tenant.generates(&app), 3);
    let status = tenant.status("orders").await;
    assert_eq!(json["attempt"], status.last_rotation.unwrap().attempt);
    assert_eq!(json["trigger"], status.observed_trigger.unwrap());
}

#[tokio::test]
async fn nothing_is_rotated_unasked_nor_for_a_reason_that_does_not_fit() {
    let tenant = tenant("unasked").await;
    let app = tenant.issued("orders", json!({})).await;
    as_admin(&tenant, &ROTATE).await.ends(2, "add --yes");
    let long = "x".repeat(200);
    for reason in ["", "a\nb", "Schlüssel", &long] {
        let arguments = ["rotate", "orders", "--yes", "--reason", reason];
        as_admin(&tenant, &arguments).await.ends(2, "--reason");
    }
    as_admin(&tenant, &["rotate", "orders", "--yes"])
        .await
        .ends(2, "--reason");
    as_admin(&tenant, &[&ROTATE[..], &["--yes", "-A"]].concat())
        .await
        .ends(2, "about one object");
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
}

#[tokio::test]
async fn what_git_keeps_is_not_changed_and_the_change_to_commit_is_printed() {
    let tracking = json!({"argocd.argoproj.io/tracking-id": "shop:zitadel-secrets.dev/ApiAppSecret:orders/orders"});
    for (prefix, manager, extra, annotations, has_way_out) in [
        (
            "argo",
            "argocd-controller",
            json!({"rotation": {"trigger": "a"}}),
            json!({}),
            false,
        ),
        ("tracked", "tests", json!({}), tracking, true),
        (
            "flux",
            "kustomize-controller",
            json!({"rotation": {"interval": "30d"}}),
            json!({}),
            true,
        ),
    ] {
        let tenant = tenant(prefix).await;
        let app = tenant.issued("orders", json!({})).await;
        kubectl(&apply_as(manager, &tenant, &app.id, extra, &annotations)).await;
        tenant.ready("orders").await;
        let before = tenant.generates(&app);
        let ran = as_admin(&tenant, &[&ROTATE[..], &["--yes"]].concat()).await;
        ran.ends(1, "so nothing was changed");
        assert_eq!(ran.stderr.contains("kubectl patch"), has_way_out, "{ran:?}");
        let change: Value = serde_saphyr::from_str(&ran.stdout).unwrap();
        assert_eq!(change["metadata"]["name"], "orders");
        tenant.fence().await;
        assert_eq!(tenant.generates(&app), before);
        // It is a change that rotates once it is applied.
        let file = std::env::temp_dir().join(format!("{}.yaml", tenant.namespace));
        std::fs::write(&file, &ran.stdout).unwrap();
        let apply = [
            "apply",
            "--server-side",
            "--force-conflicts",
            "-f",
            file.to_str().unwrap(),
        ];
        kubectl(&apply.map(ToOwned::to_owned)).await;
        tenant.until_generates(&app, before + 1).await;
    }
}

#[tokio::test]
async fn a_wait_ends_at_its_timeout_at_an_interrupt_and_where_a_person_must_act() {
    let tenant = tenant("wait").await;
    tenant.issued("orders", json!({})).await;
    // No operator of this world reconciles it any more.
    abandon(&tenant).await;
    let wait = |more: &[&str]| {
        [
            &["-n", &tenant.namespace],
            &ROTATE[..],
            &["--yes", "--wait"],
            more,
        ]
        .concat()
        .iter()
        .map(ToString::to_string)
        .collect::<Vec<_>>()
    };
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let arguments = wait(&["--timeout", "2s"]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(kubeconfig, &arguments).ends(4, "it goes on without this command");
    let triggered = async || {
        let object = tenant.objects().get("orders").await.unwrap();
        object.spec.rotation.and_then(|it| it.trigger)
    };
    let before = triggered().await;
    let arguments = wait(&[]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let child = command(kubeconfig, &arguments).spawn().unwrap();
    eventually(PATIENCE, || async {
        (triggered().await != before).then_some(())
    })
    .await;
    let pid = rustix::process::Pid::from_child(&child);
    rustix::process::kill_process(pid, rustix::process::Signal::INT).unwrap();
    let ran = Ran::from(child.wait_with_output().unwrap());
    ran.ends(130, "The rotation goes on without this command");
    tenant
        .edit("orders", json!({"spec": {"suspend": true}}))
        .await;
    let arguments = wait(&[]);
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    run(kubeconfig, &arguments).ends(1, "it rotates when spec.suspend is taken away");
}
