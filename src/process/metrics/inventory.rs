//! The series of objects and connections, made on each scrape from what the watches show. They need no timer and
//! disappear with the object.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::DescriptorEncoder;

use super::activity::{ConnectionActivity, Verifications, encode_activity, encode_verified};
use super::catalogue;
use super::series::{gauge, one};
use crate::api::{
    AppSecret, AppSecretStatus, ConditionType, Conditions, Kind, Reason, Status, ZitadelConnection,
    ZitadelConnectionStatus,
};
use crate::consumers::tally::Totals;
use crate::rotation::{Cause, GRACE};
use crate::store::object::{Object, Summary};

/// What the watches show now.
pub struct Inventory {
    /// All objects, also those that can't be read.
    pub objects: Vec<Arc<Object>>,
    /// All `ZitadelConnection`s.
    pub connections: Vec<Arc<DeserializeGuard<ZitadelConnection>>>,
    /// What was seen of each connection.
    pub activity: Vec<ConnectionActivity>,
    /// The clock of the API server minus that of the process.
    pub clock_skew: Option<SignedDuration>,
    /// The consumers of all rotations.
    pub consumers: Totals,
    /// The time by which something is overdue.
    pub now: Timestamp,
}

/// Where the inventory comes from; none while nothing is watched.
pub type InventorySource = Box<dyn Fn() -> Option<Inventory> + Send + Sync>;

/// At most so many objects have series of their own.
const MOST_LISTED: usize = 10_000;

/// A collector whose source is set when the watches begin.
#[derive(Clone, Default)]
pub(super) struct InventoryCollector(Arc<Shared>);

#[derive(Default)]
struct Shared {
    source: OnceLock<InventorySource>,
    per_object: AtomicBool,
}

impl InventoryCollector {
    /// Sets the source. Only the first one counts: a process begins its watches once.
    pub(super) fn set(&self, source: InventorySource) {
        let _ = self.0.source.set(source);
    }

    /// Sets whether each object has series of its own.
    pub(super) fn set_per_object(&self, per_object: bool) {
        self.0.per_object.store(per_object, Ordering::Relaxed);
    }
}

impl fmt::Debug for InventoryCollector {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("InventoryCollector")
    }
}

impl Collector for InventoryCollector {
    fn encode(&self, mut encoder: DescriptorEncoder) -> fmt::Result {
        let Some(inventory) = self.0.source.get().and_then(|source| source()) else {
            return Ok(());
        };
        let objects = &inventory.objects;
        encode_together(objects, inventory.now, &mut encoder)?;
        encode_verified(objects, &inventory.activity, inventory.now, &mut encoder)?;
        encode_consumers(inventory.consumers, &mut encoder)?;
        if self.0.per_object.load(Ordering::Relaxed) {
            let listed = objects.get(..MOST_LISTED).unwrap_or(objects);
            let verified = Verifications::of(&inventory.activity);
            let listed = listed.iter().map(|kept| Listed::new(kept, &verified));
            let listed: Vec<_> = listed.collect();
            encode_each(&listed, &mut encoder)?;
        }
        encode_connections(&inventory, &mut encoder)?;
        encode_activity(&inventory.activity, inventory.clock_skew, &mut encoder)
    }
}

/// One object, for series of its own.
struct Listed {
    kind: Kind,
    namespace: String,
    name: String,
    /// None if it can't be read.
    object: Option<AppSecret>,
    verified: Option<Timestamp>,
}

impl Listed {
    fn new(kept: &Object, verified: &Verifications<'_>) -> Self {
        Self {
            kind: kept.kind(),
            namespace: kept.namespace().unwrap_or_default(),
            name: kept.name_any(),
            object: kept.read().ok(),
            verified: verified.time(kept),
        }
    }

    fn status(&self) -> Option<&AppSecretStatus> {
        self.object.as_ref()?.status.as_ref()
    }

    fn conditions(&self) -> Vec<[&'static str; 3]> {
        if self.object.is_none() {
            return unreadable();
        }
        self.status()
            .map_or_else(Vec::new, |status| conditions(&status.conditions))
    }

    fn next_rotation(&self) -> Option<Timestamp> {
        Some(self.status()?.next_rotation_time.as_ref()?.0)
    }

    fn rotation(&self) -> Option<(&'static str, Timestamp)> {
        let last = self.status()?.last_rotation.as_ref()?;
        let known = Cause::ALL
            .map(Cause::as_str)
            .into_iter()
            .chain(["Adopted", "Unknown"]);
        Some((listed(known, &last.reason), last.time.0))
    }
}

/// The state of an object, as a label.
fn state(summary: Option<Summary>) -> &'static str {
    match summary {
        None => "stalled",
        Some(summary) if summary.stalled => "stalled",
        Some(summary) if summary.ready => "ready",
        Some(_) => "working",
    }
}

fn is_overdue(summary: &Summary, now: Timestamp) -> bool {
    let waits = summary
        .next_rotation()
        .is_some_and(|next| now.duration_since(next) > GRACE);
    summary.reason == Some(Reason::Overdue) || (waits && summary.reason != Some(Reason::Suspended))
}

/// The word if it is in the list. NB: users may edit a status; its words must not create series of their own.
fn listed(list: impl IntoIterator<Item = &'static str>, word: &str) -> &'static str {
    list.into_iter()
        .find(|known| *known == word)
        .unwrap_or("Other")
}

/// Type, status and reason of each condition.
fn conditions(conditions: &Conditions) -> Vec<[&'static str; 3]> {
    let reasons = || Reason::ALL.iter().map(|reason| reason.as_str());
    conditions
        .iter()
        .map(|condition| {
            let type_ = match condition.type_ {
                ConditionType::Ready => "Ready",
                ConditionType::Reconciling => "Reconciling",
                ConditionType::Stalled => "Stalled",
                ConditionType::Verified => "Verified",
                ConditionType::ConsumersCurrent => "ConsumersCurrent",
            };
            let status = match condition.status {
                Status::True => "True",
                Status::False => "False",
                Status::Unknown => "Unknown",
            };
            [type_, status, listed(reasons(), &condition.reason)]
        })
        .collect()
}

/// The series of all objects together.
fn encode_together(
    objects: &[Arc<Object>],
    now: Timestamp,
    encoder: &mut DescriptorEncoder,
) -> fmt::Result {
    let summaries = || objects.iter().filter_map(|object| object.summary());
    let count = |holds: &dyn Fn(&Summary) -> bool| number(summaries().filter(holds).count());
    let seconds = |time: Option<Timestamp>| time.map_or(0, Timestamp::as_second);

    gauge(encoder, &catalogue::MANAGED_OBJECTS, |values| {
        for kind in Kind::ALL {
            for wanted in ["ready", "stalled", "working"] {
                let of_kind = objects.iter().filter(|object| object.kind() == kind);
                let states = of_kind.map(|object| state(object.summary()));
                let count = states.filter(|state| *state == wanted).count();
                let labels = [("kind", kind.as_str()), ("state", wanted)];
                one(values, &labels, number(count))?;
            }
        }
        Ok(())
    })?;
    let next = summaries()
        .filter_map(|summary| summary.next_rotation())
        .min();
    for (metric, value) in [
        (
            &catalogue::OVERDUE_OBJECTS,
            count(&|summary| is_overdue(summary, now)),
        ),
        (
            &catalogue::BREAKER_OPEN_OBJECTS,
            count(&|summary| summary.reason == Some(Reason::BreakerOpen)),
        ),
        (
            &catalogue::OPEN_CLAIMS,
            count(&|summary| summary.open_attempt),
        ),
        (&catalogue::NEXT_ROTATION, seconds(next)),
    ] {
        gauge(encoder, metric, |values| values.encode_gauge(&value))?;
    }
    let mut days = [0_i64; DAYS.len()];
    for next in summaries().filter_map(|summary| summary.next_rotation()) {
        let ahead = next.duration_since(now).max(SignedDuration::ZERO);
        let day = usize::try_from(ahead.as_hours() / 24).unwrap_or(usize::MAX);
        if let Some(count) = days.get_mut(day) {
            *count += 1;
        }
    }
    gauge(encoder, &catalogue::UPCOMING_ROTATIONS, |values| {
        let mut days = DAYS.into_iter().zip(days);
        days.try_for_each(|(day, count)| one(values, &[("day", day)], count))
    })
}

/// The days of `upcoming_rotations`, as labels.
const DAYS: [&str; 7] = ["0", "1", "2", "3", "4", "5", "6"];
/// The series of consumers.
fn encode_consumers(totals: Totals, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let Totals {
        current,
        stale,
        unknown,
        late,
    } = totals;
    let value = |count: u64| i64::try_from(count).unwrap_or(i64::MAX);
    gauge(encoder, &catalogue::CONSUMERS, |values| {
        for (state, count) in [("current", current), ("stale", stale), ("unknown", unknown)] {
            one(values, &[("state", state)], value(count))?;
        }
        Ok(())
    })?;
    gauge(encoder, &catalogue::LATE_CONSUMERS_OBJECTS, |values| {
        values.encode_gauge(&value(late))
    })
}

/// The series of each object.
fn encode_each(objects: &[Listed], encoder: &mut DescriptorEncoder) -> fmt::Result {
    gauge(encoder, &catalogue::OBJECT_INFO, |values| {
        for it in objects {
            if let Some(object) = &it.object {
                let spec = &object.spec;
                let labels = [
                    ("kind", it.kind.as_str()),
                    ("namespace", it.namespace.as_str()),
                    ("name", it.name.as_str()),
                    ("connection", spec.connection_name()),
                    ("project", spec.project_id.as_str()),
                    ("app", spec.app_id.as_str()),
                    ("secret", spec.secret_name(&it.name)),
                ];
                one(values, &labels, 1)?;
            }
        }
        Ok(())
    })?;
    gauge(encoder, &catalogue::OBJECT_VERIFIED, |values| {
        for object in objects {
            if let Some(verified) = object.verified {
                let labels = [
                    ("kind", object.kind.as_str()),
                    ("namespace", object.namespace.as_str()),
                    ("name", object.name.as_str()),
                ];
                one(values, &labels, verified.as_second())?;
            }
        }
        Ok(())
    })?;
    gauge(encoder, &catalogue::OBJECT_CONDITION, |values| {
        for object in objects {
            for [condition, status, reason] in object.conditions() {
                let labels = [
                    ("kind", object.kind.as_str()),
                    ("namespace", object.namespace.as_str()),
                    ("name", object.name.as_str()),
                    ("condition", condition),
                    ("status", status),
                    ("reason", reason),
                ];
                one(values, &labels, 1)?;
            }
        }
        Ok(())
    })?;
    gauge(encoder, &catalogue::OBJECT_NEXT_ROTATION, |values| {
        for object in objects {
            if let Some(next) = object.next_rotation() {
                let labels = [
                    ("kind", object.kind.as_str()),
                    ("namespace", object.namespace.as_str()),
                    ("name", object.name.as_str()),
                ];
                one(values, &labels, next.as_second())?;
            }
        }
        Ok(())
    })?;
    gauge(encoder, &catalogue::OBJECT_ROTATION, |values| {
        for object in objects {
            if let Some((cause, time)) = object.rotation() {
                let labels = [
                    ("kind", object.kind.as_str()),
                    ("namespace", object.namespace.as_str()),
                    ("name", object.name.as_str()),
                    ("cause", cause),
                ];
                one(values, &labels, time.as_second())?;
            }
        }
        Ok(())
    })
}

/// The conditions of what can't be read.
fn unreadable() -> Vec<[&'static str; 3]> {
    let reason = Reason::InvalidObject.as_str();
    vec![["Ready", "False", reason], ["Stalled", "True", reason]]
}

fn encode_connections(inventory: &Inventory, encoder: &mut DescriptorEncoder) -> fmt::Result {
    let status = |guarded: &Arc<DeserializeGuard<ZitadelConnection>>| match &guarded.0 {
        Ok(connection) => connection.status.clone(),
        Err(_) => Some(ZitadelConnectionStatus::default()),
    };
    let known = inventory.connections.iter();
    let known: Vec<_> = known
        .filter_map(|guarded| Some((guarded.name_any(), guarded.0.is_ok(), status(guarded)?)))
        .collect();
    gauge(encoder, &catalogue::CONNECTION_CONDITION, |values| {
        for (connection, readable, status) in &known {
            let shown = if *readable {
                conditions(&status.conditions)
            } else {
                unreadable()
            };
            for [condition, holds, reason] in shown {
                let labels = [
                    ("connection", connection.as_str()),
                    ("condition", condition),
                    ("status", holds),
                    ("reason", reason),
                ];
                one(values, &labels, 1)?;
            }
        }
        Ok(())
    })?;
    gauge(
        encoder,
        &catalogue::CONNECTION_CREDENTIAL_EXPIRY,
        |values| {
            for (connection, _, status) in &known {
                if let Some(expiry) = &status.credential_expiry {
                    one(values, &[("connection", connection)], expiry.0.as_second())?;
                }
            }
            Ok(())
        },
    )
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Metrics;
    use super::*;
    use crate::ids::ProjectKey;

    #[expect(
        clippy::needless_pass_by_value,
        reason = "the values are made where they are used"
    )]
    fn object(name: &str, status: Value) -> Arc<Object> {
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": name, "namespace": "orders"},
            "spec": {"projectId": "1", "appId": "2"}, "status": status,
        });
        Arc::new(serde_json::from_value(object).unwrap())
    }

    fn condition(type_: &str, status: &str, reason: &str) -> Value {
        json!({"type": type_, "status": status, "reason": reason, "message": "", "lastTransitionTime": "2026-01-01T00:00:00Z"})
    }

    fn exported(objects: &Arc<parking_lot::Mutex<Vec<Arc<Object>>>>) -> Metrics {
        exported_with(objects, Vec::new)
    }

    fn exported_with(
        objects: &Arc<parking_lot::Mutex<Vec<Arc<Object>>>>,
        activity: impl Fn() -> Vec<ConnectionActivity> + Send + Sync + 'static,
    ) -> Metrics {
        let metrics = Metrics::new();
        metrics.set_per_object(true);
        let objects = Arc::clone(objects);
        metrics.set_inventory(Box::new(move || {
            Some(Inventory {
                objects: objects.lock().clone(),
                connections: Vec::new(),
                activity: activity(),
                clock_skew: Some(SignedDuration::from_secs(-7)),
                consumers: Totals::default(),
                now: "2026-01-02T00:00:00Z".parse().unwrap(),
            })
        }));
        metrics
    }

    fn has(text: &str, line: &str) -> bool {
        text.contains(&format!("\nzitadel_secret_operator_{line}\n"))
    }

    #[test]
    fn an_object_has_its_series_until_it_is_gone() {
        let next = "2026-02-01T00:00:00Z";
        let status = json!({
            "conditions": [condition("Ready", "True", "UpToDate"), condition("Verified", "True", "Accepted")],
            "nextRotationTime": next,
            "lastRotation": {"time": "2026-01-01T00:00:00Z", "reason": "Due", "attempt": "x"},
        });
        let objects = Arc::new(parking_lot::Mutex::new(vec![object("api", status)]));
        let metrics = exported(&objects);
        let text = metrics.encode();
        for line in [
            r#"object_condition{kind="ApiAppSecret",namespace="orders",name="api",condition="Ready",status="True",reason="UpToDate"} 1"#,
            r#"object_condition{kind="ApiAppSecret",namespace="orders",name="api",condition="Verified",status="True",reason="Accepted"} 1"#,
            r#"object_rotation_timestamp_seconds{kind="ApiAppSecret",namespace="orders",name="api",cause="Due"} 1767225600"#,
            r#"object_next_rotation_timestamp_seconds{kind="ApiAppSecret",namespace="orders",name="api"} 1769904000"#,
            r#"managed_objects{kind="ApiAppSecret",state="ready"} 1"#,
            r#"object_info{kind="ApiAppSecret",namespace="orders",name="api",connection="default",project="1",app="2",secret="api"} 1"#,
            "next_rotation_timestamp_seconds 1769904000",
            "overdue_objects 0",
        ] {
            assert!(has(&text, line), "{line} is missing in\n{text}");
        }
        objects.lock().clear();
        let text = metrics.encode();
        assert!(!text.contains(r#"name="api""#), "{text}");
        assert!(
            has(
                &text,
                r#"managed_objects{kind="ApiAppSecret",state="ready"} 0"#
            ),
            "{text}"
        );
    }

    #[test]
    fn the_series_of_each_object_are_opt_in_and_bounded() {
        let status = json!({"conditions": [condition("Ready", "True", "UpToDate")]});
        let objects = vec![object("api", status); MOST_LISTED + 7];
        let metrics = exported(&Arc::new(parking_lot::Mutex::new(objects)));
        let listed = || metrics.encode().matches("object_condition{").count();
        assert_eq!(listed(), MOST_LISTED);
        metrics.set_per_object(false);
        assert_eq!(listed(), 0);
        let all = format!(
            "managed_objects{{kind=\"ApiAppSecret\",state=\"ready\"}} {}",
            MOST_LISTED + 7
        );
        assert!(has(&metrics.encode(), &all));
    }

    #[test]
    fn overdue_counts_what_says_so_and_what_is_due_for_over_an_hour_but_not_what_is_suspended() {
        let due = |reason: &str, next: &str| json!({"conditions": [condition("Ready", "True", reason)], "nextRotationTime": next});
        let objects = vec![
            object("says-so", due("Overdue", "2026-03-01T00:00:00Z")),
            object("blocked", due("ZitadelUnreachable", "2026-01-01T22:59:59Z")),
            object(
                "just-due",
                due("ZitadelUnreachable", "2026-01-01T23:30:00Z"),
            ),
            object("suspended", due("Suspended", "2026-01-01T00:00:00Z")),
            object("breaker", due("BreakerOpen", "2026-03-01T00:00:00Z")),
        ];
        let text = exported(&Arc::new(parking_lot::Mutex::new(objects))).encode();
        assert!(has(&text, "overdue_objects 2"), "{text}");
        assert!(has(&text, "breaker_open_objects 1"), "{text}");
    }

    #[test]
    fn upcoming_rotations_are_counted_by_day() {
        let next = |time: &str| object("x", json!({"nextRotationTime": time}));
        let objects = [
            "2026-01-01T00:00:00Z",
            "2026-01-02T23:59:59Z",
            "2026-01-03T00:00:00Z",
            "2026-01-08T23:59:59Z",
            "2026-01-09T00:00:00Z",
        ];
        let objects = Arc::new(parking_lot::Mutex::new(objects.map(next).to_vec()));
        let text = exported(&objects).encode();
        for (day, count) in [("0", 2), ("1", 1), ("2", 0), ("6", 1)] {
            let line = format!("upcoming_rotations{{day=\"{day}\"}} {count}");
            assert!(has(&text, &line), "{line} is missing in\n{text}");
        }
    }

    #[test]
    fn a_client_secret_was_verified_when_zitadel_accepted_it_or_showed_that_its_application_is_unchanged()
     {
        const HOUR: i64 = 3600;
        let verified = |status: &str, reason: &str, message: &str| {
            let mut verified = condition("Verified", status, reason);
            verified["message"] = json!(message);
            json!({"conditions": [condition("Ready", "True", reason), verified]})
        };
        let asked = "asked at 2026-01-01T18:00:00Z";
        let all = [
            object("accepted", verified("True", "Accepted", asked)),
            object("no-time", verified("True", "Accepted", "")),
            object("rejected", verified("False", "Refused", asked)),
            object("suspended", verified("True", "Suspended", "")),
            object("new", json!({})),
        ];
        let objects = Arc::new(parking_lot::Mutex::new(Vec::new()));
        // Since when its connection is watched, and which project was scanned ten minutes ago.
        let seen = |since: &str, project: Option<&'static str>| {
            let since: Timestamp = since.parse().unwrap();
            let exported = exported_with(&objects, move || {
                let scan = "2026-01-01T23:50:00Z".parse().unwrap();
                let scanned = project.map(|id| (ProjectKey::of(id), scan));
                vec![ConnectionActivity {
                    scanned: scanned.into_iter().collect(),
                    ..ConnectionActivity::of("default", since)
                }]
            });
            exported.encode()
        };
        let (long_ago, noon) = ("2025-01-01T00:00:00Z", "2026-01-01T12:00:00Z");
        for (name, since, project, age) in [
            ("accepted", long_ago, None, 6 * HOUR),
            ("no-time", long_ago, None, 24 * HOUR),
            ("no-time", noon, None, 12 * HOUR),
            ("accepted", noon, None, 6 * HOUR),
            ("no-time", long_ago, Some("1"), 600),
            ("no-time", noon, Some("2"), 12 * HOUR),
            ("rejected", long_ago, Some("1"), 24 * HOUR),
            ("suspended", long_ago, None, 0),
            ("new", long_ago, None, 0),
        ] {
            let of = |object: &&Arc<Object>| object.name_any() == name;
            *objects.lock() = all.iter().filter(of).cloned().collect();
            let text = seen(since, project);
            let line = format!("verified_age_seconds {age}");
            assert!(has(&text, &line), "{name}: {text}");
            assert!(has(&text, "unverified_objects 0"), "{name}: {text}");
        }
        // A second more than a day.
        let mut late = condition("Verified", "False", "Refused");
        late["lastTransitionTime"] = json!("2025-12-31T23:59:59Z");
        *objects.lock() = vec![object("late", json!({"conditions": [late]}))];
        let text = seen(long_ago, Some("1"));
        assert!(has(&text, "unverified_objects 1"), "{text}");
        let series = r#"object_verified_timestamp_seconds{kind="ApiAppSecret",namespace="orders",name="late"} 1767225599"#;
        assert!(has(&text, series), "{text}");
    }

    #[test]
    fn what_was_seen_of_a_connection_is_shown_for_as_long_as_it_is_there() {
        let there = Arc::new(AtomicBool::new(true));
        let is_there = Arc::clone(&there);
        let metrics = exported_with(&Arc::default(), move || {
            let seen = ConnectionActivity {
                requests: vec![("generate", "Ok", 3), ("token", "Timeout", 1)],
                clock_skew: Some(SignedDuration::from_secs(90)),
                ..ConnectionActivity::of("default", Timestamp::UNIX_EPOCH)
            };
            let seen = is_there.load(Ordering::Relaxed).then_some(seen);
            seen.into_iter().collect()
        });
        let lines = [
            r#"zitadel_requests_total{connection="default",operation="generate",outcome="Ok"} 3"#,
            r#"zitadel_requests_total{connection="default",operation="token",outcome="Timeout"} 1"#,
            r#"connection_clock_skew_seconds{connection="default"} 90"#,
        ];
        let text = metrics.encode();
        assert!(has(&text, "clock_skew_seconds -7"), "{text}");
        for line in lines {
            assert!(has(&text, line), "{line} is missing in\n{text}");
        }
        there.store(false, Ordering::Relaxed);
        assert!(!metrics.encode().contains(r#"connection="default""#));
    }

    #[test]
    fn words_written_into_a_status_create_no_series() {
        let status = json!({
            "conditions": [condition("Ready", "True", "Hello\" 1\n")],
            "lastRotation": {"time": "2026-01-01T00:00:00Z", "reason": "canary\n", "attempt": "x"},
        });
        let text = exported(&Arc::new(parking_lot::Mutex::new(vec![object(
            "api", status,
        )])))
        .encode();
        assert!(
            text.contains(r#"reason="Other""#) && text.contains(r#"cause="Other""#),
            "{text}"
        );
        assert!(
            !text.contains("canary") && !text.contains("Hello"),
            "{text}"
        );
    }

    #[test]
    fn an_object_that_cannot_be_read_is_stalled() {
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders"}, "spec": {"projectId": 7},
        });
        let object = Arc::new(serde_json::from_value(object).unwrap());
        let text = exported(&Arc::new(parking_lot::Mutex::new(vec![object]))).encode();
        assert!(
            has(
                &text,
                r#"managed_objects{kind="ApiAppSecret",state="stalled"} 1"#
            ),
            "{text}"
        );
        let line = r#"object_condition{kind="ApiAppSecret",namespace="orders",name="api",condition="Stalled",status="True",reason="InvalidObject"} 1"#;
        assert!(has(&text, line), "{text}");
    }
}
