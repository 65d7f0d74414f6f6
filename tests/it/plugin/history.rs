//! `history`.

use serde_json::json;

use super::*;
use crate::fixtures::tenant;

#[tokio::test]
async fn each_rotation_is_shown_with_its_reason_the_newest_first() {
    let tenant = tenant("history").await;
    tenant
        .issued("orders", json!({"rotation": {"trigger": "a"}}))
        .await;
    tenant.trigger("orders", "b").await;
    tenant.rotated("orders", "Trigger").await;
    let ran = as_admin(&tenant, &["history"]).await;
    assert_eq!((ran.code, ran.stderr.as_str()), (Some(0), ""), "{ran:?}");
    let lines: Vec<_> = ran.stdout.lines().collect();
    assert!(lines[0].starts_with("TIME "), "{ran:?}");
    assert!(lines[1].contains("orders   Trigger "), "{ran:?}");
    assert!(lines[2].contains("orders   FirstIssue "), "{ran:?}");
    assert!(lines[2].ends_with("Published"), "{ran:?}");
    assert_eq!(lines.len(), 3);
    let json = as_admin(&tenant, &["history", "orders", "-o", "json"])
        .await
        .json();
    let last = tenant.status("orders").await;
    let last = last.last_rotation.unwrap();
    assert_eq!(json["items"][0]["attempt"], last.attempt);
    let all = as_admin(&tenant, &["history", "-A", "--since", "7d"]).await;
    assert!(all.stdout.contains(&tenant.namespace), "{all:?}");
    let none = as_admin(&tenant, &["history", "--since", "0s"]).await;
    none.ends(0, "no rotations in namespace history-");
    let wrong = as_admin(&tenant, &["history", "--since", "a week"]).await;
    wrong.ends(2, "write such as 30d");
}
