//! The control plane that the other integration tests stand on.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    missing_docs
)]

mod support;

use std::time::Duration;

use k8s_openapi::api::core::v1::{ConfigMap, Secret, ServiceAccount};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::OwnerReference;
use kube::Error;
use kube::api::{Api, DeleteParams, ListParams, ObjectMeta, PostParams};
use serde_json::Value;
use support::controlplane::{ControlPlane, Options, client_from};
use support::eventually;

fn named(name: &str) -> ObjectMeta {
    ObjectMeta {
        name: Some(name.into()),
        ..ObjectMeta::default()
    }
}

fn config_map(name: &str) -> ConfigMap {
    ConfigMap {
        metadata: named(name),
        ..ConfigMap::default()
    }
}

#[tokio::test]
async fn the_api_server_says_which_release_it_is() {
    let cluster = ControlPlane::shared().await;
    let version = cluster.client().await.apiserver_version().await.unwrap();
    if cluster.is_built() {
        assert_eq!(version.git_version, "v1.36.3");
    }
    let kubectl = cluster.kubectl(&["version", "--output=json"]);
    let seen: Value = serde_json::from_slice(&kubectl.stdout).unwrap();
    assert_eq!(seen["serverVersion"]["gitVersion"], version.git_version);
}

#[tokio::test]
async fn a_secret_goes_when_its_owner_is_gone() {
    let cluster = ControlPlane::shared().await;
    cluster.assert_controllers();
    let namespace = cluster.fresh_namespace("owner").await;
    let client = cluster.client().await;
    let owners: Api<ConfigMap> = Api::namespaced(client.clone(), &namespace);
    let secrets: Api<Secret> = Api::namespaced(client, &namespace);
    let owner = owners
        .create(&PostParams::default(), &config_map("owner"))
        .await
        .unwrap();
    let reference = OwnerReference {
        api_version: "v1".into(),
        kind: "ConfigMap".into(),
        name: "owner".into(),
        uid: owner.metadata.uid.unwrap(),
        ..OwnerReference::default()
    };
    let kept_by_owner = Secret {
        metadata: ObjectMeta {
            owner_references: Some(vec![reference]),
            ..named("owned")
        },
        ..Secret::default()
    };
    let ownerless = Secret {
        metadata: named("free"),
        ..Secret::default()
    };
    for secret in [&kept_by_owner, &ownerless] {
        secrets
            .create(&PostParams::default(), secret)
            .await
            .unwrap();
    }

    owners
        .delete("owner", &DeleteParams::default())
        .await
        .unwrap();

    let secrets = &secrets;
    eventually(Duration::from_mins(1), || async {
        secrets
            .get_opt("owned")
            .await
            .unwrap()
            .is_none()
            .then_some(())
    })
    .await;
    assert!(secrets.get_opt("free").await.unwrap().is_some());
}

#[tokio::test]
async fn no_user_reads_secrets_without_a_role() {
    let cluster = ControlPlane::shared().await;
    let namespace = cluster.fresh_namespace("rbac").await;
    let admin = cluster.client().await;
    let accounts: Api<ServiceAccount> = Api::namespaced(admin, &namespace);
    let account = ServiceAccount {
        metadata: named("reader"),
        ..ServiceAccount::default()
    };
    accounts
        .create(&PostParams::default(), &account)
        .await
        .unwrap();
    let list = async |kubeconfig| {
        let secrets: Api<Secret> = Api::namespaced(client_from(kubeconfig).await, &namespace);
        secrets.list(&ListParams::default()).await
    };
    let alice = cluster.kubeconfig_for_user("alice", &["developers"]).await;
    let reader = cluster
        .kubeconfig_for_service_account(&namespace, "reader")
        .await;

    for (kubeconfig, user) in [
        (&alice, "alice".to_owned()),
        (&reader, format!("system:serviceaccount:{namespace}:reader")),
    ] {
        let Err(Error::Api(refusal)) = list(kubeconfig).await else {
            panic!("{user} may list Secrets");
        };
        assert!(refusal.is_forbidden(), "{refusal:?}");
        assert!(refusal.message.contains(&user), "{refusal:?}");
    }

    let account = format!("--serviceaccount={namespace}:reader");
    for command in [
        "role readers --verb=list --resource=secrets",
        &format!("rolebinding readers --role=readers {account} --group=developers"),
    ] {
        let mut args = vec!["-n", &namespace, "create"];
        args.extend(command.split(' '));
        let made = cluster.kubectl(&args);
        let complaint = String::from_utf8_lossy(&made.stderr);
        assert!(made.status.success(), "{command}: {complaint}");
    }
    for kubeconfig in [&alice, &reader] {
        let list = &list;
        eventually(Duration::from_secs(10), || async {
            list(kubeconfig).await.ok()
        })
        .await;
    }
}

#[tokio::test]
async fn the_audit_log_names_who_did_what_to_which_object() {
    let cluster = ControlPlane::shared().await;
    if !cluster.has_audit_log() {
        return;
    }
    let namespace = cluster.fresh_namespace("audit").await;
    let maps: Api<ConfigMap> = Api::namespaced(cluster.client().await, &namespace);
    maps.create(&PostParams::default(), &config_map("seen"))
        .await
        .unwrap();

    let log = std::fs::read_to_string(cluster.audit_log()).unwrap();
    let mut found = log
        .lines()
        .filter_map(|line| serde_json::from_str::<Value>(line).ok())
        .filter(|event| {
            let object = &event["objectRef"];
            event["verb"] == "create"
                && object["resource"] == "configmaps"
                && object["namespace"] == namespace
                && object["name"] == "seen"
        });
    let event = found.next().unwrap();
    assert_eq!(event["stage"], "ResponseComplete");
    assert_eq!(event["user"]["username"], "admin");
    assert_eq!(event["responseStatus"]["code"], 201);
    assert!(found.next().is_none(), "logged twice");
}

#[tokio::test]
async fn objects_outlive_a_killed_control_plane() {
    let cluster = ControlPlane::start(Options::default()).await;
    let maps: Api<ConfigMap> = Api::default_namespaced(cluster.client().await);
    let before = maps
        .create(&PostParams::default(), &config_map("kept"))
        .await
        .unwrap();

    cluster.kill();
    assert!(
        maps.get("kept").await.is_err(),
        "a killed API server answers"
    );
    cluster.restart().await;

    // The same client: address and certificates are the same as well.
    let after = maps.get("kept").await.unwrap();
    assert_eq!(after.metadata.uid, before.metadata.uid);
    assert_eq!(
        after.metadata.resource_version,
        before.metadata.resource_version
    );
}
