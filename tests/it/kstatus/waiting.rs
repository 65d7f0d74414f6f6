//! An object that waits for a window, catches up, or has two applications.

use jiff::Timestamp;
use kube::api::{Patch, PatchParams};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType};

use super::is_sample;
use crate::fixtures::tenant;
use crate::support::controlplane::Options;
use crate::support::eventually;
use crate::support::world::{Operator, PATIENCE, Tenant, World};

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
    let waits: AppSecret = serde_json::from_str(&text).unwrap();
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
    let settled = |object: &AppSecret, reason: &str| {
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
    let stalled = |object: &AppSecret| {
        let conditions = &object.status.as_ref()?.conditions;
        conditions.is_true(ConditionType::Stalled).then_some(())
    };
    let needed = tenant.until("unready", stalled).await;
    is_sample(&tenant, "standby-needed", &needed);
}
