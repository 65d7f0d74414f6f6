//! `status`.

use std::io::Read as _;

use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};

use super::*;
use crate::fixtures::{abandon, tenant};

#[tokio::test]
async fn the_worst_comes_first_and_decides_the_exit_code() {
    let tenant = tenant("status").await;
    tenant
        .issued("fine", json!({"rotation": {"interval": "30d"}}))
        .await;
    let ran = as_admin(&tenant, &["status"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME   STATUS     AGE"), "{ran:?}");
    assert!(lines[1].starts_with("fine   UpToDate "), "{ran:?}");
    assert!(lines[1].contains(" FirstIssue "), "{ran:?}");
    // Nothing that is wrong with one hides the other.
    tenant
        .apply("wrong", "269012345678901234", json!({}))
        .await
        .unwrap();
    tenant.reason("wrong", "AppNotFound").await;
    let ran = as_admin(&tenant, &["status"]).await;
    ran.ends(1, "1 of 2 needs attention");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[1].starts_with("wrong   AppNotFound "), "{ran:?}");
    assert!(lines[1].contains("check spec.appId"), "{ran:?}");
    assert_eq!(as_admin(&tenant, &["status", "fine"]).await.code, Some(0));
    let names = as_admin(&tenant, &["status", "-o", "name"]).await;
    let expected =
        "apiappsecret.zitadel-secrets.dev/wrong\napiappsecret.zitadel-secrets.dev/fine\n";
    assert_eq!(
        (names.stdout.as_str(), names.stderr.as_str()),
        (expected, "")
    );
    let json = as_admin(&tenant, &["status", "-o", "json"]).await.json();
    assert_eq!(json["items"][0]["level"], "broken");
    assert_eq!(json["items"][1]["status"], "UpToDate");
    let yaml = as_admin(&tenant, &["status", "-o", "yaml"]).await.stdout;
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml["items"][1]["lastReason"], "FirstIssue");
}

#[tokio::test]
async fn an_object_of_a_newer_version_is_shown_with_what_can_be_read() {
    let tenant = tenant("newer").await;
    // One that no operator of this world reconciles.
    abandon(&tenant).await;
    tenant
        .apply("words", "269012345678901234", json!({}))
        .await
        .unwrap();
    let ran = as_admin(&tenant, &["status", "words"]).await;
    assert!(ran.stdout.contains("Pending"), "{ran:?}");
    assert_eq!(ran.code, Some(0), "it was made just now: {ran:?}");
    // Every character that a name can have.
    let name = "0.a-b--c.z9";
    tenant
        .apply(name, "269012345678901235", json!({}))
        .await
        .unwrap();
    let ran = as_admin(&tenant, &["status", name, "-o", "name"]).await;
    assert_eq!(
        ran.stdout,
        format!("apiappsecret.zitadel-secrets.dev/{name}\n"),
        "{ran:?}"
    );
    let ready = json!([
        {"type": "Ready", "status": "True", "reason": "Teleported", "message": "\u{1b}[2Jgone\u{9b}31m", "lastTransitionTime": "2026-01-01T00:00:00Z"},
        {"type": "Telepathic", "status": "Perhaps", "reason": "x", "message": "x", "lastTransitionTime": "2026-01-01T00:00:00Z"},
    ]);
    let patch = json!({"status": {"observedGeneration": 1, "conditions": ready}});
    let patch = Patch::Merge(patch);
    let params = PatchParams::default();
    tenant
        .objects()
        .patch_status("words", &params, &patch)
        .await
        .unwrap();
    let ran = as_admin(&tenant, &["status", "words"]).await;
    assert_eq!(ran.code, Some(0), "{ran:?}");
    assert!(ran.stdout.contains("Teleported"), "{ran:?}");
    assert!(ran.stdout.contains(r"\u{1b}[2Jgone\u{9b}31m"), "{ran:?}");
    for format in ["table", "wide", "json", "yaml", "name"] {
        let ran = as_admin(&tenant, &["status", "words", "-o", format]).await;
        assert!(!ran.stdout.contains(['\u{1b}', '\u{9b}']), "{ran:?}");
    }
}

#[tokio::test]
async fn watching_prints_a_line_for_each_change_and_nothing_else() {
    let tenant = tenant("watch").await;
    tenant.issued("orders", json!({})).await;
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let arguments = ["-n", &tenant.namespace, "status", "--watch"];
    let running = Running::start(command(kubeconfig, &arguments));
    running.line("NAME");
    running.line("orders");
    assert!(running.is_quiet(Duration::from_secs(1)));
    tenant
        .edit("orders", json!({"metadata": {"labels": {"team": "a"}}}))
        .await;
    tenant
        .edit("orders", json!({"spec": {"suspend": true}}))
        .await;
    // The label is no change: the first line is about the edit after it.
    let line = running.line("orders");
    let is_later = line.contains("has not seen the last edit") || line.contains("Suspended");
    assert!(is_later, "{line}");
    tenant.issued("late", json!({})).await;
    running.line("late");
    tenant.delete("orders").await;
    running.line("Deleted");
}

#[tokio::test]
async fn a_reader_that_has_seen_enough_ends_it_quietly() {
    let tenant = tenant("pipe").await;
    tenant.issued("orders", json!({})).await;
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let mut child = command(kubeconfig, &["-A", "status"]).spawn().unwrap();
    drop(child.stdout.take());
    let status = child.wait().unwrap();
    let mut stderr = String::new();
    child
        .stderr
        .take()
        .unwrap()
        .read_to_string(&mut stderr)
        .unwrap();
    assert_eq!((status.code(), stderr.as_str()), (Some(0), ""));
}

#[tokio::test]
async fn both_kinds_are_shown_and_told_apart_by_their_kind() {
    let tenant = tenant("kinds").await;
    tenant.apply_connection(json!({"grants": [{
        "name": "all", "namespaces": [tenant.namespace], "projectIds": [tenant.project], "kinds": ["ApiAppSecret", "OidcAppSecret"],
    }]})).await;
    tenant.connected().await;
    tenant.issued("same", json!({})).await;
    let oidc = json!({
        "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "OidcAppSecret", "metadata": {"name": "same", "namespace": tenant.namespace},
        "spec": {"connectionRef": {"name": tenant.namespace}, "projectId": tenant.project, "appId": "269012345678901234", "secret": {"name": "other"}},
    });
    let file = World::shared()
        .await
        .cluster
        .scratch()
        .join(format!("{}.json", tenant.namespace));
    std::fs::write(&file, oidc.to_string()).unwrap();
    let applied = World::shared()
        .await
        .cluster
        .kubectl(&["apply", "-f", file.to_str().unwrap()]);
    assert!(applied.status.success(), "{applied:?}");
    let ran = as_admin(&tenant, &["status", "same"]).await;
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("NAME   KIND "), "{ran:?}");
    assert_eq!(lines.len(), 3, "{ran:?}");
    let one = as_admin(&tenant, &["status", "aas/same"]).await;
    assert_eq!(one.stdout.lines().count(), 2, "{one:?}");
}
