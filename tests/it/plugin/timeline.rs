//! `timeline`.

use kube::api::{Patch, PatchParams};
use serde_json::json;

use super::*;
use crate::fixtures::{abandon, tenant};

/// Something of another system that breaks out of a page or of a terminal, if it can.
const HOSTILE: &str =
    "</style></title><script>alert(1)</script>\"'><img src=x onerror=alert(2)>\u{1b}[2J";

#[tokio::test]
async fn a_line_for_each_credential_shows_what_was_and_what_is_to_come() {
    let tenant = tenant("timeline").await;
    tenant
        .issued(
            "orders",
            json!({"rotation": {"trigger": "a", "interval": "6h", "jitterPercent": 0}}),
        )
        .await;
    tenant.trigger("orders", "b").await;
    tenant.rotated("orders", "Trigger").await;
    tenant
        .apply("wrong", "269012345678901234", json!({}))
        .await
        .unwrap();
    tenant.reason("wrong", "AppNotFound").await;
    let kubeconfig = World::shared().await.cluster.admin_kubeconfig();
    let own = ["-n", &tenant.namespace];
    let with_locale = |locale: &str| {
        let arguments = [&own[..], &["timeline", "--since", "1d"]].concat();
        let mut command = command(kubeconfig, &arguments);
        Ran::from(command.env("LC_ALL", locale).output().unwrap())
    };
    let ran = with_locale("C.UTF-8");
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].contains("│now"), "{ran:?}");
    assert!(lines[1].starts_with("wrong "), "the worst first: {ran:?}");
    assert!(
        lines[1].contains('█') && lines[1].ends_with("AppNotFound"),
        "{ran:?}"
    );
    assert!(
        lines[2].starts_with("orders ") && lines[2].contains("▲│"),
        "{ran:?}"
    );
    assert!(ran.stdout.contains("▲ rotated on a trigger"), "{ran:?}");
    let ascii = with_locale("C");
    assert!(
        ascii.stdout.is_ascii() && ascii.stdout.contains("T|"),
        "{ascii:?}"
    );
    assert_eq!(ascii.stdout.lines().count(), ran.stdout.lines().count());

    let json = as_admin(
        &tenant,
        &[
            "timeline", "orders", "--since", "1d", "--days", "1", "-o", "json",
        ],
    );
    let json = json.await.json();
    let events = json["items"][0]["events"].as_array().unwrap().clone();
    let kinds: Vec<_> = events
        .iter()
        .map(|event| event["event"].as_str().unwrap())
        .collect();
    assert_eq!(kinds[..2], ["firstIssue", "trigger"], "{json:#}");
    let ahead = kinds.iter().filter(|kind| **kind == "next").count();
    assert!((3..=4).contains(&ahead), "{json:#}");
    let last = tenant.status("orders").await.last_rotation.unwrap();
    assert_eq!(
        json["items"][0]["events"][1]["darkWindowMilliseconds"],
        json!(last.dark_window_milliseconds)
    );
    let states = json["items"][0]["states"].as_array().unwrap();
    assert_eq!(states.last().unwrap()["state"], "usable", "{json:#}");
    let yaml = as_admin(&tenant, &["timeline", "-o", "yaml"]).await.stdout;
    let yaml: Value = serde_saphyr::from_str(&yaml).unwrap();
    assert_eq!(yaml["items"][0]["status"], "AppNotFound");
    let names = as_admin(&tenant, &["timeline", "-o", "name"]).await;
    assert_eq!(
        names.stdout,
        "apiappsecret.zitadel-secrets.dev/wrong\napiappsecret.zitadel-secrets.dev/orders\n"
    );
}

#[tokio::test]
async fn a_page_is_a_file_that_is_there_as_a_whole_or_not_at_all() {
    let tenant = tenant("page").await;
    tenant.issued("orders", json!({})).await;
    let directory = tempfile::tempdir().unwrap();
    let file = directory.path().join("fleet.html");
    let html = |path: &Path| {
        let path = path.to_str().unwrap().to_owned();
        let tenant = &tenant;
        async move { as_admin(tenant, &["timeline", "--html", &path]).await }
    };
    std::fs::write(&file, "former").unwrap();
    let ran = html(&file).await;
    assert_eq!(
        (ran.code, ran.stdout.as_str(), ran.stderr.as_str()),
        (Some(0), "", "")
    );
    let page = std::fs::read_to_string(&file).unwrap();
    assert!(page.starts_with("<!doctype html>") && page.ends_with("</html>\n"));
    assert!(page.contains("first issue"), "{page}");
    let printed = as_admin(&tenant, &["timeline", "--html", "-"]).await;
    assert!(printed.stdout.starts_with("<!doctype html>"), "{printed:?}");
    assert!(printed.stdout.ends_with("</html>\n"), "{printed:?}");

    html(directory.path()).await.ends(2, "is a directory");
    html(&directory.path().join("absent/fleet.html"))
        .await
        .ends(2, "does not exist");
    html(Path::new("/proc/fleet.html"))
        .await
        .ends(1, "/proc/fleet.html cannot be written");
    let both = as_admin(&tenant, &["timeline", "--html", "-", "-o", "json"]).await;
    both.ends(2, "--html makes a page");
    for since in ["0s", "11000d", "soon"] {
        let ran = as_admin(&tenant, &["timeline", "--since", since]).await;
        ran.ends(2, "write such as");
    }
    let entries = std::fs::read_dir(directory.path()).unwrap();
    assert_eq!(entries.count(), 1, "nothing is left behind");
}

#[tokio::test]
async fn text_of_a_status_breaks_out_of_nothing() {
    let tenant = tenant("hostile").await;
    abandon(&tenant).await;
    let name = "0.a-b--c.z9";
    tenant
        .apply(name, "269012345678901234", json!({}))
        .await
        .unwrap();
    let patch = json!({"status": {
        "observedGeneration": 1,
        "conditions": [{
            "type": "Ready", "status": "False", "reason": "Broken", "message": HOSTILE, "lastTransitionTime": "2026-01-01T00:00:00Z",
        }],
        "history": [{
            "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string(), "reason": "</title><script>", "outcome": "<b>'\"&\u{1b}",
            "darkWindowMilliseconds": i64::MAX, "replaced": {"userId": HOSTILE, "time": jiff::Timestamp::now().strftime("%Y-%m-%dT%H:%M:%SZ").to_string()},
        }],
    }});
    tenant
        .objects()
        .patch_status(name, &PatchParams::default(), &Patch::Merge(patch))
        .await
        .unwrap();
    let page = as_admin(&tenant, &["timeline", "--html", "-"]).await;
    assert_eq!(page.code, Some(0), "{page:?}");
    let page = page.stdout;
    assert!(
        page.contains("&lt;script&gt;alert(1)&lt;/script&gt;"),
        "{page}"
    );
    assert!(page.contains(name), "{page}");
    for forbidden in ["<script", "<img", "\u{1b}", "<b>'"] {
        assert!(!page.contains(forbidden), "{forbidden}: {page}");
    }
    for format in ["table", "wide", "json", "yaml", "name"] {
        let ran = as_admin(&tenant, &["timeline", name, "-o", format]).await;
        assert_eq!(ran.code, Some(0), "{ran:?}");
        assert!(!ran.stdout.contains('\u{1b}'), "{ran:?}");
    }
}
