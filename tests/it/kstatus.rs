//! What GitOps tools see of an object in each of its states.

use crate::fixtures::{root, tenant};
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::api::{Api, DeleteParams, Patch, PatchParams, PostParams};
use serde::Serialize;
use serde_json::{Value, json};
use std::collections::BTreeSet;
use std::path::PathBuf;
use zitadel_secret_operator::api::{ApiAppSecret, ConditionType, ZitadelConnection};
use zitadel_simulator::{Action, Availability, Config, Fault, Operation, Simulator};

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
        |extra| serde_json::from_value::<ApiAppSecret>(tenant.manifest("api", &app.id, extra));
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

/// As if the stored value had been made so many hours ago.
async fn age(tenant: &Tenant, secret: &str, app: &str, hours: i64) {
    let stored = tenant.secret(secret).await;
    let record = &stored.metadata.annotations.unwrap()["zitadel-secrets.dev/commit"];
    let mut record: Value = serde_json::from_str(record).unwrap();
    let then = Timestamp::now() - jiff::SignedDuration::from_hours(hours);
    record["apps"][app]["changeDate"] = json!(then.to_string());
    let annotations = json!({"zitadel-secrets.dev/commit": record.to_string()});
    tenant
        .edit_secret(secret, json!({"metadata": {"annotations": annotations}}))
        .await;
}

#[tokio::test]
async fn an_object_that_waits_for_a_window_or_has_missed_one() {
    let tenant = tenant("window").await;
    let app = tenant.app("api");
    // Not open now, and open once an hour.
    let minute = (Timestamp::now().as_second() / 60 + 30) % 60;
    let window = |schedule: &str| json!({"rotation": {"interval": "1d", "jitterPercent": 0, "windows": [{"name": "w", "schedule": schedule, "duration": "1m"}]}});
    let hourly = format!("{minute} * * * *");
    tenant.apply("api", &app.id, window(&hourly)).await.unwrap();
    tenant.ready("api").await;
    age(&tenant, "api", &app.id, 72).await;
    let mut overdue = tenant.reason("api", "Overdue").await;
    age(&tenant, "api", &app.id, 24).await;
    let mut awaiting = tenant.reason("api", "AwaitingWindow").await;
    for object in [&mut overdue, &mut awaiting] {
        let windows = object
            .spec
            .rotation
            .as_mut()
            .unwrap()
            .windows
            .as_mut()
            .unwrap();
        windows[0].schedule = "30 * * * *".to_owned();
        object.status.as_mut().unwrap().schedule = Some("every 1d, in a window".to_owned());
    }
    is_sample(&tenant, "overdue", &overdue);
    is_sample(&tenant, "awaiting-window", &awaiting);
}

#[tokio::test]
async fn an_object_that_catches_up_after_downtime_says_when_it_starts() {
    let world = World::own(Options::default()).await;
    let tenant = world.tenant("turn").await;
    let start = || Operator::start(&world.kubeconfig, &world.directory, &[]);
    let operator = start();
    let names = ["a", "b", "c", "d"];
    let apps = names.map(|name| tenant.app(name));
    for (name, app) in names.iter().zip(&apps) {
        let daily = json!({"rotation": {"interval": "1d", "jitterPercent": 0}});
        tenant.apply(name, &app.id, daily).await.unwrap();
    }
    for name in names {
        tenant.ready(name).await;
    }
    operator.kill();
    for (name, app) in names.iter().zip(&apps) {
        age(&tenant, name, &app.id, 48).await;
    }
    // What else is due makes the queue long enough for one of the four to be seen in it.
    let due = json!({"status": {"conditions": [], "nextRotationTime": "2026-01-01T00:00:00Z"}});
    for n in 0..60 {
        let name = format!("other-{n}");
        let suspended = json!({"suspend": true});
        tenant.apply(&name, &name, suspended).await.unwrap();
        tenant
            .objects()
            .patch_status(&name, &PatchParams::default(), &Patch::Merge(&due))
            .await
            .unwrap();
    }
    let operator = start();
    let mut waits = eventually(PATIENCE, || async {
        for name in names {
            let object = tenant.objects().get(name).await.unwrap();
            let ready = object.status.as_ref()?.conditions.get(ConditionType::Ready);
            if ready.is_some_and(|ready| ready.reason == "CatchingUp") {
                return Some(object);
            }
        }
        None
    })
    .await;
    // Any of them.
    let name = waits.metadata.name.replace("api".to_owned()).unwrap();
    let text = serde_json::to_string(&waits).unwrap();
    let text = ["\"", ";"].iter().fold(text, |text, end| {
        text.replace(
            &format!("in Secret {name}{end}"),
            &format!("in Secret api{end}"),
        )
    });
    let waits: ApiAppSecret = serde_json::from_str(&text).unwrap();
    is_sample(&tenant, "catching-up", &waits);
    operator.kill();
}

#[tokio::test]
async fn an_object_with_two_applications() {
    let tenant = tenant("standby").await;
    let (first, second) = (tenant.app("a"), tenant.app("b"));
    let apply = async |trigger: &str, overlap: &str| {
        let rotation = json!({"trigger": trigger, "overlap": {"minimum": overlap}});
        let extra =
            json!({"standby": {"type": "Existing", "appId": second.id}, "rotation": rotation});
        tenant.apply("api", &first.id, extra).await.unwrap();
    };
    apply("0", "1h").await;
    tenant.ready("api").await;
    apply("1", "1h").await;
    let settled = |object: &ApiAppSecret, reason: &str| {
        let status = object.status.as_ref()?;
        let past = status.history.first()?;
        (past.reason == reason && status.attempt.is_none()).then_some(())
    };
    tenant
        .until("api", |object| settled(object, "Trigger"))
        .await;
    is_sample(&tenant, "standby-overlap", &tenant.ready("api").await);
    apply("1", "0s").await;
    tenant
        .until("api", |object| settled(object, "Retire"))
        .await;
    is_sample(&tenant, "standby-retired", &tenant.ready("api").await);

    // A standby that cannot take over: reported before it is needed, and a matter for a person when it is.
    let (first, second) = (tenant.app("c"), tenant.app("d"));
    tenant.zitadel.deactivate_app(&second.id).unwrap();
    let apply = async |trigger: &str| {
        let rotation = json!({"trigger": trigger});
        let extra =
            json!({"standby": {"type": "Existing", "appId": second.id}, "rotation": rotation});
        tenant.apply("unready", &first.id, extra).await.unwrap();
    };
    apply("0").await;
    let unready = tenant.reason("unready", "StandbyNotReady").await;
    is_sample(&tenant, "standby-not-ready", &unready);
    apply("1").await;
    let stalled = |object: &ApiAppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        conditions.is_true(ConditionType::Stalled).then_some(())
    };
    let needed = tenant.until("unready", stalled).await;
    is_sample(&tenant, "standby-needed", &needed);
}

#[tokio::test]
async fn an_object_for_which_a_person_must_act() {
    let tenant = tenant("stalled").await;
    let app = tenant.app("api");
    let apply = async |name: &str, app: &str, extra: Value| {
        tenant.apply(name, app, extra).await.unwrap();
    };
    apply("elsewhere", &app.id, json!({"projectId": "elsewhere"})).await;
    is_sample(
        &tenant,
        "not-granted",
        &tenant.reason("elsewhere", "NotGranted").await,
    );
    apply(
        "zero",
        &app.id,
        json!({"rotation": {"windows": [{"name": "w", "schedule": "0 0 30 2 *", "duration": "1h"}]}}),
    )
    .await;
    is_sample(
        &tenant,
        "invalid-spec",
        &tenant.reason("zero", "InvalidSpec").await,
    );
    apply("never", &app.id, json!({"suspend": true})).await;
    is_sample(
        &tenant,
        "suspended-at-once",
        &tenant.reason("never", "Suspended").await,
    );

    let report = json!({"recovery": {"missing": "Report", "rejected": "Report"}});
    let (gone, dead) = (tenant.app("gone"), tenant.app("dead"));
    apply("gone", &gone.id, report.clone()).await;
    apply("dead", &dead.id, report).await;
    tenant.ready("gone").await;
    tenant.ready("dead").await;
    tenant.delete_secret("gone").await;
    is_sample(
        &tenant,
        "secret-missing",
        &tenant.reason("gone", "SecretMissing").await,
    );
    tenant.zitadel.rotate_elsewhere(&dead.id, None).unwrap();
    let dead = tenant.reason("dead", "RotatedElsewhere").await;
    is_sample(&tenant, "rotated-elsewhere", &dead);
}

#[tokio::test]
async fn an_object_whose_repairs_have_stopped() {
    let tenant = tenant("breaker").await;
    let app = tenant.app("api");
    let useless = Action::ReplaceBody("{}".to_owned());
    let fault = Fault::on(Operation::Generate, useless)
        .app(&app.id)
        .always();
    tenant.zitadel.inject(fault);
    tenant.apply("api", &app.id, json!({})).await.unwrap();
    is_sample(
        &tenant,
        "breaker-open",
        &tenant.reason("api", "BreakerOpen").await,
    );
}

#[tokio::test]
async fn an_object_whose_zitadel_is_down() {
    let zitadel = Simulator::start(Config::default()).unwrap();
    let tenant = World::shared().await.tenant_at("down", &zitadel).await;
    let (due, other, new) = (tenant.app("due"), tenant.app("other"), tenant.app("new"));
    tenant.apply("due", &due.id, json!({})).await.unwrap();
    tenant.apply("other", &other.id, json!({})).await.unwrap();
    tenant.ready("due").await;
    tenant.ready("other").await;
    zitadel.set_availability(Availability::Unavailable);
    tenant.apply("new", &new.id, json!({})).await.unwrap();
    // First its own call fails, then the connection's check says it for all.
    let says_it = |object: &ApiAppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        let ready = conditions.get(ConditionType::Ready)?;
        let by_connection = ready.message.contains(" cannot be used: ");
        (ready.reason == "ZitadelUnavailable" && by_connection).then_some(())
    };
    is_sample(&tenant, "zitadel-down", &tenant.until("new", says_it).await);
    tenant
        .apply(
            "due",
            &due.id,
            json!({"rotation": {"interval": "1s", "jitterPercent": 0}}),
        )
        .await
        .unwrap();
    let is_due = |object: &ApiAppSecret| {
        says_it(object)?;
        let since: Timestamp = object.status.as_ref()?.next_rotation_time.as_ref()?.0;
        let seen = object.status.as_ref()?.observed_generation == object.metadata.generation;
        (seen && since <= Timestamp::now()).then_some(())
    };
    let due = tenant.until("due", is_due).await;
    let since: Timestamp = due
        .status
        .as_ref()
        .unwrap()
        .next_rotation_time
        .as_ref()
        .unwrap()
        .0;
    assert!(
        since <= Timestamp::now(),
        "it says since when it is due: {since}"
    );
    is_sample(&tenant, "due-and-zitadel-down", &due);

    // A connection that never worked, and an object that worked over another one.
    let mut connection: Value =
        serde_json::to_value(tenant.connections().get(&tenant.namespace).await.unwrap()).unwrap();
    let name = format!("{}-down", tenant.namespace);
    connection["metadata"] = json!({"name": name});
    connection["status"] = Value::Null;
    let connection: ZitadelConnection = serde_json::from_value(connection).unwrap();
    tenant
        .connections()
        .create(&PostParams::default(), &connection)
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        let status = tenant.connections().get(&name).await.unwrap().status?;
        status.conditions.get(ConditionType::Ready).map(drop)
    })
    .await;
    tenant
        .apply("other", &other.id, json!({"connectionRef": {"name": name}}))
        .await
        .unwrap();
    let other = tenant.reason("other", "ZitadelUnavailable").await;
    is_sample(&tenant, "connection-down", &other);
}

#[tokio::test]
async fn an_object_whose_new_value_is_on_its_way_or_cannot_be_written() {
    let world = World::own(Options::default()).await;
    // Without hurry: a generate that is held must not run into its deadline.
    let operator = Operator::start(&world.kubeconfig, &world.directory, &[]);
    let tenant = world.tenant("held").await;
    let app = tenant.app("api");
    let gate = world.zitadel.hold_after(Operation::Generate);
    tenant.apply("api", &app.id, json!({})).await.unwrap();
    tokio::time::timeout(PATIENCE, gate.reached())
        .await
        .unwrap();
    is_sample(
        &tenant,
        "rotating",
        &tenant.reason("api", "SecretHeld").await,
    );
    tenant.edit_secret("api", json!({"immutable": true})).await;
    gate.release();
    is_sample(
        &tenant,
        "held",
        &tenant.reason("api", "SecretImmutable").await,
    );
    drop(operator);
}

#[tokio::test]
async fn a_connection_in_its_states() {
    let tenant = tenant("connection").await;
    let connections = tenant.connections();
    let connection = || async { connections.get(&tenant.namespace).await.unwrap() };
    tenant.connected().await;
    is_sample(&tenant, "connection-connected", &connection().await);
    tenant.zitadel.revoke_token(&tenant.pat);
    // The check is made when the Secret changes.
    tenant.set_credential(&tenant.pat).await;
    let reported = async |reason: &str| {
        tenant
            .apply_connection(json!({"limits": {"concurrentGenerates": 1}}))
            .await;
        eventually(PATIENCE, || async {
            (tenant.connection_reason().await == reason).then_some(())
        })
        .await;
    };
    reported("CredentialRejected").await;
    is_sample(&tenant, "connection-rejected", &connection().await);
    let secrets: Api<Secret> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
    secrets
        .delete(&tenant.namespace, &DeleteParams::default())
        .await
        .unwrap();
    reported("CredentialMissing").await;
    is_sample(&tenant, "connection-missing", &connection().await);

    let mut new: Value = serde_json::to_value(connection().await).unwrap();
    new["metadata"] = json!({"name": format!("{}-new", tenant.namespace)});
    new["status"] = Value::Null;
    let new: ZitadelConnection = serde_json::from_value(new).unwrap();
    let new = connections
        .create(&PostParams::default(), &new)
        .await
        .unwrap();
    is_sample(&tenant, "connection-new", &new);
}
