//! What the objects of the pages are: how credentials are rotated, and how Deployments use one of them.

use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde_json::{Value, json};

use super::past::hours;

/// A rotation on weekdays only, in a window that opens in more than five hours.
pub fn on_weekdays(now: Timestamp) -> Value {
    let zone = TimeZone::get("Europe/Zurich").unwrap();
    let opens = now + SignedDuration::from_hours(6);
    let schedule = format!("0 {} * * MON-FRI", opens.to_zoned(zone).hour());
    let window = json!({"name": "nights", "schedule": schedule, "duration": "2h", "timeZone": "Europe/Zurich"});
    json!({"rotation": {"interval": "30d", "windows": [window]}})
}

/// A rotation every three days, in a window that opens daily at the time of the day that it is in three hours: [`PAST`] has its next one.
pub fn every_3_days(now: Timestamp) -> Value {
    let opens = hours(now, 3).to_zoned(TimeZone::UTC);
    let schedule = format!("{} {} * * *", opens.minute(), opens.hour());
    let window = json!({"name": "daily", "schedule": schedule, "duration": "1h"});
    json!({"rotation": {"interval": "3d", "jitterPercent": 0, "windows": [window]}})
}

/// A Deployment whose container uses the Secret so.
pub fn deployment(name: &str, uses: &Value) -> Value {
    let labels = json!({"app": name});
    let mut container = json!({"name": "app", "image": "app"});
    let container_uses = uses["container"].as_object().unwrap().clone();
    container.as_object_mut().unwrap().extend(container_uses);
    json!({
        "apiVersion": "apps/v1", "kind": "Deployment", "metadata": {"name": name},
        "spec": {
            "selector": {"matchLabels": labels},
            "template": {
                "metadata": {"labels": labels},
                "spec": {"containers": [container], "volumes": uses["volumes"]},
            },
        },
    })
}

/// What uses it as environment variables.
pub fn environment() -> Value {
    json!({"container": {"envFrom": [{"secretRef": {"name": "orders-api"}}]}, "volumes": []})
}

/// What uses it as files of a directory.
pub fn files() -> Value {
    let mount = json!({"name": "oauth", "mountPath": "/etc/oauth", "readOnly": true});
    let volume = json!({"name": "oauth", "secret": {"secretName": "orders-api"}});
    json!({"container": {"volumeMounts": [mount]}, "volumes": [volume]})
}
