//! What a running operator exports: each metric that an alert or the dashboard asks for, and the series of objects and connections.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use crate::fixtures::{alone, lose_answer};
use crate::support::eventually;
use crate::support::world::{Operator, PATIENCE, Tenant, World};
use jiff::Timestamp;
use serde_json::json;
use zitadel_secret_operator::api::AppSecret;
use zitadel_secret_operator::ids::AttemptId;
use zitadel_simulator::Operation;

const PREFIX: &str = "zitadel_secret_operator_";

async fn tenant(prefix: &str) -> Tenant {
    World::shared().await.tenant(prefix).await
}

/// One scrape: by `name{labels}`, without the prefix.
async fn scrape() -> BTreeMap<String, f64> {
    let operator = World::shared().await.operator.clone().unwrap();
    scrape_of(&operator).await
}

async fn scrape_of(operator: &Operator) -> BTreeMap<String, f64> {
    let (status, text) = operator.get("/metrics").await.unwrap();
    assert_eq!(status, 200);
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    lines
        .map(|line| {
            let (series, value) = line.rsplit_once(' ').unwrap();
            // Those of the process have no prefix.
            let series = series.strip_prefix(PREFIX).unwrap_or(series);
            (series.to_owned(), value.parse().unwrap())
        })
        .collect()
}

/// The series in which a text occurs.
fn with(scrape: &BTreeMap<String, f64>, text: &str) -> BTreeSet<String> {
    let series = scrape.keys().filter(|series| series.contains(text));
    series.cloned().collect()
}

/// The names of metrics in a file, without the prefix.
fn asked_for(file: &str) -> BTreeSet<String> {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join(file);
    let text = std::fs::read_to_string(path).unwrap();
    let name = |c: char| c.is_ascii_lowercase() || c == '_';
    let names = text.split(PREFIX).skip(1);
    let names: BTreeSet<_> = names
        .map(|rest| rest.split(|c| !name(c)).next().unwrap().to_owned())
        .filter(|found| !found.is_empty())
        .collect();
    assert!(names.len() >= 8, "{file}: {names:?}");
    names
}

/// Has the connection use a key: it says when it expires, and tokens are requested with it.
async fn uses_key(tenant: &Tenant) {
    let key = tenant.zitadel.create_machine_key(&tenant.user).unwrap();
    tenant.set_credential(&key.json).await;
    let credential =
        json!({"serviceAccountKey": {"secretKeyRef": {"name": tenant.namespace, "key": "token"}}});
    tenant.apply_connection(json!({"auth": credential})).await;
    tenant.connected().await;
}

/// A series as it is scraped, with the names that the sample has.
fn as_in_sample(tenant: &Tenant, app: &str, series: &str) -> String {
    let prefix = if series.starts_with("process_") {
        ""
    } else {
        PREFIX
    };
    let names = [
        (tenant.namespace.as_str(), "orders"),
        (tenant.project.as_str(), "200"),
        (app, "1000"),
    ];
    let quoted = |text: &str| format!("\"{text}\"");
    names
        .iter()
        .fold(format!("{prefix}{series}"), |text, (name, sample)| {
            text.replace(&quoted(name), &quoted(sample))
        })
}

/// Its name and the names of its labels.
fn shape(series: &str) -> String {
    let parts = series.split('"').step_by(2);
    parts.collect::<Vec<_>>().join("\"")
}

/// `UPDATE_SAMPLES=1` writes the sample. Every query of the dashboard, and all rules, run over it (`make rules`).
#[tokio::test]
async fn the_sample_of_a_scrape_has_the_series_of_a_running_operator() {
    let (own, tenant) = alone("sample").await;
    uses_key(&tenant).await;
    let rotation = |trigger: &str| json!({"rotation": {"interval": "30d", "trigger": trigger}});
    let app = tenant.issued("api", rotation("a")).await;
    tenant.apply("api", &app.id, rotation("b")).await.unwrap();
    tenant.apply("gone", "999", json!({})).await.unwrap();
    tenant.reason("gone", "AppNotFound").await;
    let found = eventually(PATIENCE, || async {
        let found = scrape_of(&own.operator).await;
        let shown = [
            "connection_credential_expiry_timestamp_seconds{",
            "cause=\"Trigger\"} ",
            "reason=\"AppNotFound\"}",
        ];
        let lines: Vec<_> = found.keys().map(|series| format!("{series} ")).collect();
        let is_there = |text: &&str| lines.iter().any(|line| line.contains(text));
        let rotated = found["rotations_total{cause=\"Trigger\",outcome=\"Published\"}"] > 0.5;
        (rotated && shown.iter().all(is_there)).then_some(found)
    })
    .await;
    let found: BTreeMap<_, _> = found
        .into_iter()
        .map(|(series, value)| (as_in_sample(&tenant, &app.id, &series), value))
        .collect();
    let file = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/rules/testdata/scrape.txt");
    if std::env::var_os("UPDATE_SAMPLES").is_some() {
        let lines = found
            .iter()
            .map(|(series, value)| format!("{series} {value}\n"));
        let lines: Vec<_> = lines.collect();
        std::fs::write(&file, lines.concat()).unwrap();
    }
    let sample = std::fs::read_to_string(&file).unwrap();
    let sample = sample.lines().map(|line| line.rsplit_once(' ').unwrap().0);
    let shapes: BTreeSet<_> = found.keys().map(|series| shape(series)).collect();
    for series in sample {
        assert!(shapes.contains(&shape(series)), "{series}");
        let is_of_object = series.starts_with("zitadel_secret_operator_object_");
        assert!(!is_of_object || found.contains_key(series), "{series}");
    }
}

#[tokio::test]
async fn everything_that_alerts_and_dashboard_ask_for_is_exported() {
    let tenant = tenant("everything").await;
    uses_key(&tenant).await;
    tenant
        .issued("api", json!({"rotation": {"interval": "30d"}}))
        .await;
    let found = eventually(PATIENCE, || async {
        let found = scrape().await;
        // Both are computed from what the watches have shown.
        let shown = [
            "connection_credential_expiry_timestamp_seconds",
            "object_next_rotation_timestamp_seconds",
        ];
        let all = shown.iter().all(|name| !with(&found, name).is_empty());
        all.then_some(found)
    })
    .await;
    let names: BTreeSet<_> = found
        .keys()
        .map(|series| series.split('{').next().unwrap().to_owned())
        .collect();
    for file in [
        "charts/zitadel-secret-operator/files/alerts.yaml",
        "charts/zitadel-secret-operator/files/dashboard.json",
        "tests/rules/alerts_test.go",
    ] {
        let missing: Vec<_> = asked_for(file).difference(&names).cloned().collect();
        assert!(
            missing.is_empty(),
            "{file} asks for what is not exported: {missing:?}"
        );
    }
    let expiry = tenant.connections().get(&tenant.namespace).await.unwrap();
    let expiry: Timestamp = expiry.status.unwrap().credential_expiry.unwrap().0;
    let series = format!(
        "connection_credential_expiry_timestamp_seconds{{connection=\"{}\"}}",
        tenant.namespace
    );
    assert_eq!(time(found[&series]), seconds(expiry));
}

/// The time in a metric.
fn time(value: f64) -> Timestamp {
    Timestamp::from_duration(jiff::SignedDuration::from_secs_f64(value)).unwrap()
}

fn seconds(time: Timestamp) -> Timestamp {
    Timestamp::from_second(time.as_second()).unwrap()
}

#[tokio::test]
async fn the_series_of_an_object_say_what_its_status_says_and_go_with_it() {
    let tenant = tenant("series").await;
    let (app, other_app) = (tenant.app("api"), tenant.app("other"));
    let rotation = |trigger: &str| json!({"rotation": {"interval": "30d", "trigger": trigger}});
    tenant.apply("api", &app.id, rotation("a")).await.unwrap();
    tenant
        .apply("other", &other_app.id, json!({"projectId": "elsewhere"}))
        .await
        .unwrap();
    tenant.ready("api").await;
    tenant.reason("other", "NotGranted").await;
    tenant.apply("api", &app.id, rotation("b")).await.unwrap();
    let object = tenant
        .until("api", |object: &AppSecret| {
            let last = object.status.as_ref()?.last_rotation.as_ref()?;
            (last.reason == "Trigger").then_some(())
        })
        .await;
    let own = |name: &str| {
        let namespace = &tenant.namespace;
        format!("kind=\"ApiAppSecret\",namespace=\"{namespace}\",name=\"{name}\"")
    };
    let (api, other) = (own("api"), own("other"));
    let expected = [
        format!(
            "object_condition{{{api},condition=\"Ready\",status=\"True\",reason=\"UpToDate\"}}"
        ),
        format!(
            "object_condition{{{api},condition=\"Verified\",status=\"True\",reason=\"Accepted\"}}"
        ),
        format!("object_next_rotation_timestamp_seconds{{{api}}}"),
        format!("object_verified_timestamp_seconds{{{api}}}"),
        format!(
            "object_info{{{api},connection=\"{}\",project=\"{}\",app=\"{}\",secret=\"api\"}}",
            tenant.namespace, tenant.project, app.id
        ),
        format!(
            "object_info{{{other},connection=\"{}\",project=\"elsewhere\",app=\"{}\",secret=\"other\"}}",
            tenant.namespace, other_app.id
        ),
        format!("object_rotation_timestamp_seconds{{{api},cause=\"Trigger\"}}"),
        format!(
            "object_condition{{{other},condition=\"Ready\",status=\"False\",reason=\"NotGranted\"}}"
        ),
        format!(
            "object_condition{{{other},condition=\"Stalled\",status=\"True\",reason=\"NotGranted\"}}"
        ),
    ];
    let expected: BTreeSet<_> = expected.into();
    let namespace = format!("namespace=\"{}\"", tenant.namespace);
    let found = eventually(PATIENCE, || async {
        let found = scrape().await;
        (with(&found, &namespace) == expected).then_some(found)
    })
    .await;
    let status = object.status.unwrap();
    let at = |series: String| time(found[&series]);
    let next: Timestamp = status.next_rotation_time.unwrap().0;
    assert_eq!(
        at(format!("object_next_rotation_timestamp_seconds{{{api}}}")),
        next
    );
    let asked = at(format!("object_verified_timestamp_seconds{{{api}}}"));
    let made = status.change_date.unwrap().0;
    assert!(asked >= seconds(made), "{asked}");
    // Nothing asks about the value again; that its application is unchanged is seen by every scan.
    let verified = format!("object_verified_timestamp_seconds{{{api}}}");
    eventually(PATIENCE, || async {
        let now = time(scrape().await[&verified]);
        (now > asked + jiff::SignedDuration::from_secs(1)).then_some(())
    })
    .await;
    assert_eq!(
        at(format!(
            "object_rotation_timestamp_seconds{{{api},cause=\"Trigger\"}}"
        )),
        seconds(made)
    );

    tenant.delete("api").await;
    tenant.delete("other").await;
    eventually(PATIENCE, || async {
        with(&scrape().await, &namespace).is_empty().then_some(())
    })
    .await;
    let connection = format!("connection=\"{}\"", tenant.namespace);
    assert!(!with(&scrape().await, &connection).is_empty());
    let connections = tenant.connections();
    connections
        .delete(&tenant.namespace, &kube::api::DeleteParams::default())
        .await
        .unwrap();
    eventually(PATIENCE, || async {
        with(&scrape().await, &connection).is_empty().then_some(())
    })
    .await;
}

#[tokio::test]
async fn the_time_from_a_lost_answer_to_its_repair_is_dark() {
    let (own, tenant) = alone("outage").await;
    let app = tenant.issued("api", json!({})).await;
    lose_answer(&tenant, &app);
    tenant.trigger("api", "x").await;
    tenant.rotated("api", "LostAttempt").await;
    let attempts = own.operator.audit().into_iter().skip(1);
    let attempts: Vec<AttemptId> = attempts
        .map(|line| AttemptId(line["attempt"].as_str().unwrap().parse().unwrap()))
        .collect();
    let [lost, repair] = attempts[..] else {
        panic!("{attempts:?}");
    };
    let outage = repair.made_at().duration_since(lost.made_at());
    let dark = scrape_of(&own.operator).await["dark_seconds_total"];
    assert!(
        dark >= outage.as_secs_f64(),
        "{dark} s of an outage of {outage:#}"
    );
}

#[tokio::test]
async fn a_rotation_is_counted_once_and_timed_and_what_is_under_way_is_shown_with_its_age() {
    // The only test with this operator. A call that is held too long is lost, and made up for.
    let repairs = |scrape: &BTreeMap<String, f64>, metric: &str| -> f64 {
        let of_repairs = |series: &&String| {
            series.starts_with(metric)
                && (series.contains("\"SecretMissing\"") || series.contains("\"LostAttempt\""))
        };
        let series = scrape.keys().filter(of_repairs);
        series.map(|series| scrape[series]).sum()
    };
    let windows = "dark_window_seconds_count{part=\"total\"}";
    let (own, tenant) = alone("counted").await;
    let scrape = async || scrape_of(&own.operator).await;
    let app = tenant.issued("api", json!({})).await;
    let before = scrape().await;
    for (metric, outcome) in [
        ("generates_total", "Success"),
        ("rotations_total", "Published"),
    ] {
        let series = format!("{metric}{{cause=\"SecretMissing\",outcome=\"{outcome}\"}}");
        assert!(before[&series] < 0.5, "it is there, at 0, before the first");
    }
    let began = seconds(Timestamp::now());
    let gate = tenant.zitadel.hold_after(Operation::Generate);
    tenant.delete_secret("api").await;
    let oldest = eventually(PATIENCE, || async {
        let now = scrape().await;
        let oldest = time(now["oldest_unflushed_secret_timestamp_seconds"]);
        (now["unflushed_secrets"] > 0.5).then_some(oldest)
    })
    .await;
    let second = jiff::SignedDuration::from_secs(1);
    assert!(
        oldest >= began - second && oldest <= Timestamp::now(),
        "{oldest}"
    );
    gate.release();
    tenant.until_accepted(&app, "api").await;
    let after = eventually(PATIENCE, || async {
        let now = scrape().await;
        (repairs(&now, "rotations_total") > 0.5 && now["unflushed_secrets"] < 0.5).then_some(now)
    })
    .await;
    assert_eq!(
        time(after["oldest_unflushed_secret_timestamp_seconds"]),
        Timestamp::UNIX_EPOCH
    );
    let made = u32::try_from(tenant.generates(&app)).unwrap() - 1;
    let counted = repairs(&after, "generates_total");
    assert!(
        (counted - f64::from(made)).abs() < 0.5,
        "{counted} calls are counted, ZITADEL made {made}"
    );
    assert!(after[windows] > before[windows]);
    // It has no standby application.
    assert!(after["dark_seconds_total"] > before["dark_seconds_total"]);
    let generated = |connection: &str| {
        let labels = format!("connection=\"{connection}\",operation=\"generate\",outcome=\"Ok\"");
        after.get(&format!("zitadel_requests_total{{{labels}}}"))
    };
    assert!(generated(&tenant.namespace).is_some_and(|count| *count > 1.5));
    assert!(after["process_resident_memory_bytes"] > 1e6);
}

#[tokio::test]
async fn a_scheduled_rotation_is_timed_from_when_it_could_start() {
    let tenant = tenant("delay").await;
    let app = tenant.app("api");
    let every = |interval: &str| json!({"rotation": {"interval": interval, "jitterPercent": 0}});
    tenant.apply("api", &app.id, every("1s")).await.unwrap();
    tenant.until_generates(&app, 2).await;
    tenant.apply("api", &app.id, every("30d")).await.unwrap();
    eventually(PATIENCE, || async {
        let now = scrape().await;
        let at_most = "rotation_delay_seconds_bucket{le=\"60.0\"}";
        (now[at_most] > 0.5).then_some(())
    })
    .await;
}
