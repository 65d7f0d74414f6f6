//! What GitOps tools see of an object in each of its states.

mod trouble;
mod waiting;

use std::collections::BTreeSet;
use std::path::PathBuf;

use jiff::Timestamp;
use kube::api::PostParams;
use serde::Serialize;
use serde_json::{Value, json};
use zitadel_secret_operator::api::AppSecret;

use crate::fixtures::{root, tenant};
use crate::support::world::Tenant;

/// The samples that Argo CD's scripts, kstatus and Flux's expressions are tried on.
const SAMPLES: [&str; 27] = [
    "catching-up",
    "awaiting-window",
    "breaker-open",
    "connection-connected",
    "connection-down",
    "connection-missing",
    "connection-new",
    "connection-rejected",
    "deleted",
    "due-and-zitadel-down",
    "held",
    "invalid-spec",
    "new",
    "not-granted",
    "overdue",
    "rotated-elsewhere",
    "rotating",
    "secret-missing",
    "spec-changed",
    "standby-needed",
    "standby-not-ready",
    "standby-overlap",
    "standby-retired",
    "suspended",
    "suspended-at-once",
    "up-to-date",
    "zitadel-down",
];

fn samples() -> PathBuf {
    root().join("tests/rules/testdata/objects")
}

/// Compares an object with its sample. `UPDATE_SAMPLES=1` writes the sample instead.
#[track_caller]
fn is_sample(tenant: &Tenant, name: &str, object: &impl Serialize) {
    assert!(SAMPLES.contains(&name), "{name}");
    let object = serde_json::to_value(object).unwrap();
    let mut text = object.to_string();
    let id = |value: &Value| value.as_str().unwrap_or("no-id").to_owned();
    let (app, standby, client) = (
        id(&object["spec"]["appId"]),
        id(&object["spec"]["standby"]["appId"]),
        id(&object["status"]["clientId"]),
    );
    for (real, sample) in [
        (&app, "1000"),
        (&standby, "1001"),
        (&client, "2000"),
        (&tenant.url, "https://iam.example.com"),
        (&tenant.namespace, "orders"),
        (&tenant.organization, "100"),
        (&tenant.project, "200"),
        (&tenant.user, "300"),
    ] {
        text = text.replace(real.as_str(), sample);
    }
    let mut object: Value = serde_json::from_str(&text).unwrap();
    let metadata = object["metadata"].as_object_mut().unwrap();
    let kept = [
        "name",
        "namespace",
        "generation",
        "finalizers",
        "deletionTimestamp",
    ];
    metadata.retain(|field, _| kept.contains(&field.as_str()));
    // What tools read, and with a standby what became of each application; other tests check the rest of the status.
    let two = object["spec"].get("standby").is_some();
    if let Some(status) = object["status"].as_object_mut() {
        let looked_at = ["observedGeneration", "conditions"];
        let of_two = ["activeAppId", "history"];
        status.retain(|field, _| {
            looked_at.contains(&field.as_str()) || two && of_two.contains(&field.as_str())
        });
        for past in status.get_mut("history").into_iter().flat_map(rows) {
            past.retain(|field, _| {
                ["time", "reason", "outcome", "appId"].contains(&field.as_str())
            });
        }
    }
    settle(&mut object);
    let text = serde_json::to_string_pretty(&object).unwrap() + "\n";
    let path = samples().join(format!("{name}.json"));
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        std::fs::create_dir_all(samples()).unwrap();
        std::fs::write(path, text).unwrap();
        return;
    }
    let sample = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(
        sample == text,
        "{} is not what the operator writes (UPDATE_SAMPLES=1 writes it):\n{text}",
        path.display()
    );
}

fn rows(list: &mut Value) -> impl Iterator<Item = &mut serde_json::Map<String, Value>> {
    let rows = list.as_array_mut().into_iter().flatten();
    rows.filter_map(Value::as_object_mut)
}

/// Replaces the times, which are others at each run.
fn settle(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(settle),
        Value::Object(fields) => fields.values_mut().for_each(settle),
        Value::String(text) => {
            let words = text.split(' ').map(|word| {
                let time = word.trim_end_matches([';', ',', '.']);
                match time.parse::<Timestamp>() {
                    Ok(_) => word.replace(time, "2026-01-01T00:00:00Z"),
                    Err(_) => word.to_owned(),
                }
            });
            *text = words.collect::<Vec<_>>().join(" ");
        }
        Value::Null | Value::Bool(_) | Value::Number(_) => {}
    }
}

#[test]
fn there_is_a_sample_of_each_state_and_no_other() {
    let files = std::fs::read_dir(samples()).unwrap();
    let names: BTreeSet<_> = files
        .map(|file| {
            file.unwrap()
                .path()
                .file_stem()
                .unwrap()
                .to_str()
                .unwrap()
                .to_owned()
        })
        .collect();
    assert_eq!(names, SAMPLES.map(ToOwned::to_owned).into());
}

#[tokio::test]
async fn an_object_from_its_creation_to_its_deletion() {
    let tenant = tenant("life").await;
    let app = tenant.app("api");
    let manifest =
        |extra| serde_json::from_value::<AppSecret>(tenant.manifest("api", &app.id, extra));
    let made = manifest(json!({"rotation": {"interval": "30d", "jitterPercent": 0}})).unwrap();
    let made = tenant
        .objects()
        .create(&PostParams::default(), &made)
        .await
        .unwrap();
    is_sample(&tenant, "new", &made);
    is_sample(&tenant, "up-to-date", &tenant.ready("api").await);
    let changed = tenant
        .edit("api", json!({"spec": {"rotation": {"interval": "60d"}}}))
        .await;
    is_sample(&tenant, "spec-changed", &changed);
    tenant.ready("api").await;
    tenant.edit("api", json!({"spec": {"suspend": true}})).await;
    is_sample(
        &tenant,
        "suspended",
        &tenant.reason("api", "Suspended").await,
    );
    let finalizers = json!({"metadata": {"finalizers": ["example.com/keep"]}});
    tenant.edit("api", finalizers).await;
    tenant.delete("api").await;
    is_sample(
        &tenant,
        "deleted",
        &tenant.objects().get("api").await.unwrap(),
    );
    tenant
        .edit("api", json!({"metadata": {"finalizers": null}}))
        .await;
}
