//! GitOps: what was applied never drifts, and the policies in `gitops/`.

use crate::fixtures::{root, tenant};
use crate::support::controlplane::ControlPlane;
use crate::support::eventually;
use crate::support::world::{PATIENCE, Tenant, World};
use k8s_openapi::api::core::v1::Namespace;
use kube::Client;
use kube::api::{Api, Patch, PatchParams, PostParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use serde_json::{Value, json};
use zitadel_secret_operator::api::AppSecret;

/// An object as it is stored, without what the API server itself keeps of its history.
async fn stored(tenant: &Tenant, name: &str) -> Value {
    let mut object = serde_json::to_value(tenant.objects().get(name).await.unwrap()).unwrap();
    object["metadata"]
        .as_object_mut()
        .unwrap()
        .remove("managedFields");
    object
}

/// What belongs to the person or tool that applies the object, byte for byte.
fn applied(object: &Value) -> String {
    let metadata = &object["metadata"];
    let parts = [
        "labels",
        "annotations",
        "finalizers",
        "ownerReferences",
        "generation",
    ];
    let parts: Vec<_> = parts.iter().map(|part| &metadata[part]).collect();
    json!([object["spec"], parts]).to_string()
}

#[tokio::test]
async fn what_was_applied_never_drifts_whatever_the_operator_does() {
    let tenant = tenant("drift").await;
    let cluster = &World::shared().await.cluster;
    let apps = [
        ("client", tenant.app("client")),
        ("server", tenant.app("server")),
    ];
    let apply = |name: &str, app: &str, extra: Value, more: &[&str]| {
        let mut manifest = tenant.manifest(name, app, extra);
        manifest["metadata"]["labels"] = json!({"argocd.argoproj.io/instance": "orders"});
        manifest["metadata"]["annotations"] = json!({"argocd.argoproj.io/sync-wave": "0"});
        let file = cluster
            .scratch()
            .join(format!("{}-{name}.json", tenant.namespace));
        std::fs::write(&file, manifest.to_string()).unwrap();
        let mut arguments = vec!["apply", "-o", "json", "--filename", file.to_str().unwrap()];
        if name == "server" {
            arguments.extend(["--server-side", "--field-manager", "gitops"]);
        }
        arguments.extend(more);
        let output = cluster.kubectl(&arguments);
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
        let mut object: Value = serde_json::from_slice(&output.stdout).unwrap();
        object["metadata"]
            .as_object_mut()
            .unwrap()
            .remove("managedFields");
        object
    };
    for (name, app) in &apps {
        let spec = |trigger: &str| json!({"rotation": {"interval": "30d", "trigger": trigger}, "secret": {"labels": {"team": "orders"}}});
        apply(name, &app.id, spec("a"), &[]);
        tenant.ready(name).await;
        let made = apply(name, &app.id, spec("b"), &[]);
        let rotated = |cause: &'static str| {
            move |object: &AppSecret| {
                let status = object.status.as_ref()?;
                let last = status.last_rotation.as_ref()?;
                (last.reason == cause && status.attempt.is_none()).then_some(())
            }
        };
        tenant.until(name, rotated("Trigger")).await;
        tenant.ready(name).await;
        tenant.delete_secret(name).await;
        tenant.until(name, rotated("SecretMissing")).await;
        tenant.ready(name).await;
        tenant.fence().await;
        let now = stored(&tenant, name).await;
        assert_eq!(applied(&now), applied(&made), "{name}");
        // What a tool would change by applying the same again: nothing at all.
        let again = apply(name, &app.id, spec("b"), &["--dry-run=server"]);
        assert_eq!(again, now, "{name}");
        let again = apply(name, &app.id, spec("b"), &[]);
        assert_eq!(again, now, "{name}");
    }
}

fn shipped(cluster: &ControlPlane, arguments: &[&str], file: &str) {
    let file = root().join("gitops").join(file);
    let output = cluster.kubectl(&[arguments, &["--filename", file.to_str().unwrap()]].concat());
    let errors = String::from_utf8_lossy(&output.stderr);
    assert!(
        output.status.success() && !errors.contains("Warning"),
        "{errors}"
    );
}

#[tokio::test]
async fn the_manifests_for_argo_cd_are_accepted() {
    let world = World::shared().await;
    for name in ["argocd", "orders"] {
        world.cluster.namespace(name).await;
    }
    for file in ["argocd/argocd-cm.yaml", "argocd/sync-waves.yaml"] {
        shipped(
            &world.cluster,
            &[
                "apply",
                "--server-side",
                "--dry-run=server",
                "--validate=strict",
            ],
            file,
        );
    }
}

/// The message with which the API server refuses, and nothing if it accepts.
fn refusal<T>(result: Result<T, kube::Error>) -> Option<(u16, String)> {
    match result {
        Ok(_) => None,
        Err(kube::Error::Api(status)) => Some((status.code, status.message.clone())),
        Err(error) => panic!("{error}"),
    }
}

#[tokio::test]
async fn in_production_an_interval_needs_a_window() {
    let world = World::shared().await;
    let (production, other) = (tenant("production").await, tenant("test").await);
    shipped(
        &world.cluster,
        &["apply"],
        "policies/window-in-production.yaml",
    );
    let namespaces: Api<Namespace> = Api::all(production.client.clone());
    let label = json!({"metadata": {"labels": {"environment": "production"}}});
    namespaces
        .patch(
            &production.namespace,
            &PatchParams::default(),
            &Patch::Merge(label),
        )
        .await
        .unwrap();
    let dry = PostParams {
        dry_run: true,
        ..PostParams::default()
    };
    let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": "2h"}]);
    let create = async |tenant: &Tenant, rotation: Value| {
        let object = tenant.manifest("api", "2", json!({"rotation": rotation}));
        let object = serde_json::from_value(object).unwrap();
        refusal(tenant.objects().create(&dry, &object).await)
    };
    let (code, message) =
        eventually(PATIENCE, || create(&production, json!({"interval": "30d"}))).await;
    assert_eq!(code, 422);
    assert!(
        message.contains("spec.rotation.windows is needed in production"),
        "{message}"
    );
    assert!(
        create(&production, json!({"interval": "30d", "windows": []}))
            .await
            .is_some()
    );
    for accepted in [
        json!({}),
        json!({"trigger": "a"}),
        json!({"interval": "30d", "windows": windows}),
    ] {
        assert_eq!(
            create(&production, accepted.clone()).await,
            None,
            "{accepted}"
        );
    }
    assert_eq!(create(&other, json!({"interval": "30d"})).await, None);
    // Nor can a window be taken away later.
    let app = production.app("api");
    let rotation = json!({"rotation": {"interval": "30d", "windows": windows}});
    production.apply("api", &app.id, rotation).await.unwrap();
    production.ready("api").await;
    let without = production
        .apply("api", &app.id, json!({"rotation": {"interval": "30d"}}))
        .await;
    assert_eq!(refusal(without).map(|(code, _)| code), Some(422));
}

#[tokio::test]
async fn only_who_has_the_verb_trigger_may_set_one() {
    let world = World::shared().await;
    let tenant = tenant("trigger").await;
    let app = tenant
        .issued("api", json!({"rotation": {"trigger": "a"}}))
        .await;
    shipped(&world.cluster, &["apply"], "policies/who-may-trigger.yaml");
    let own = &tenant.namespace;
    let bind = |arguments: &[&str]| {
        let output = world
            .cluster
            .kubectl(&[&["-n", own, "create"], arguments].concat());
        assert!(
            output.status.success(),
            "{}",
            String::from_utf8_lossy(&output.stderr)
        );
    };
    let resource = "--resource=apiappsecrets.zitadel-secrets.dev";
    bind(&["role", "edit", "--verb=get,list,update,patch", resource]);
    bind(&[
        "rolebinding",
        "edit",
        "--role=edit",
        "--user=alice",
        "--user=bob",
    ]);
    bind(&[
        "rolebinding",
        "trigger",
        "--clusterrole=zitadel-secrets-trigger",
        "--user=bob",
    ]);
    let objects_of = async |user: &str| -> Api<AppSecret> {
        let kubeconfig = world.cluster.kubeconfig_for_user(user, &[]).await;
        let config = Kubeconfig::read_from(kubeconfig).unwrap();
        let options = KubeConfigOptions::default();
        let config = kube::Config::from_custom_kubeconfig(config, &options).await;
        let client = Client::try_from(config.unwrap()).unwrap();
        Api::namespaced_with(client, own, &tenant.kind)
    };
    let (alice, bob) = (objects_of("alice").await, objects_of("bob").await);
    let patch = async |api: &Api<AppSecret>, rotation: Value, dry_run: bool| {
        let params = PatchParams {
            dry_run,
            ..PatchParams::default()
        };
        let patch = Patch::Merge(json!({"spec": {"rotation": rotation}}));
        refusal(api.patch("api", &params, &patch).await)
    };
    let (code, message) = eventually(PATIENCE, || {
        patch(&alice, json!({"trigger": "alice"}), true)
    })
    .await;
    assert_eq!(code, 403);
    assert!(message.contains("needs the verb trigger"), "{message}");
    for harmless in [
        json!({"interval": "30d"}),
        json!({"trigger": "a", "jitterPercent": 5}),
        json!({"trigger": null}),
    ] {
        assert_eq!(
            patch(&alice, harmless.clone(), true).await,
            None,
            "{harmless}"
        );
    }
    assert!(
        patch(&alice, json!({"trigger": "alice"}), false)
            .await
            .is_some()
    );
    tenant.fence().await;
    assert_eq!(tenant.generates(&app), 1);
    assert_eq!(patch(&bob, json!({"trigger": "bob"}), false).await, None);
    tenant.until_generates(&app, 2).await;
    let triggered = |object: &AppSecret| {
        (object.status.as_ref()?.observed_trigger.as_deref() == Some("bob")).then_some(())
    };
    tenant.until("api", triggered).await;
}
