//! The series of objects and connections, made on each scrape from what the watches show. They need no timer and
//! disappear with the object.

use std::fmt;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, OnceLock};

use jiff::Timestamp;
use kube::ResourceExt as _;
use kube::core::DeserializeGuard;
use prometheus_client::collector::Collector;
use prometheus_client::encoding::{DescriptorEncoder, EncodeLabelSet, MetricEncoder};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;

use super::catalogue::{self, Description};
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
        encode_consumers(inventory.consumers, &mut encoder)?;
        if self.0.per_object.load(Ordering::Relaxed) {
            let listed = objects.get(..MOST_LISTED).unwrap_or(objects);
            let listed: Vec<_> = listed.iter().map(|kept| Listed::new(kept)).collect();
            encode_each(&listed, &mut encoder)?;
        }
        encode_connections(&inventory, &mut encoder)
    }
}

/// One object, for series of its own.
struct Listed {
    kind: Kind,
    namespace: String,
    name: String,
    /// None if it can't be read.
    object: Option<AppSecret>,
}

impl Listed {
    fn new(kept: &Object) -> Self {
        Self {
            kind: kept.kind(),
            namespace: kept.namespace().unwrap_or_default(),
            name: kept.name_any(),
            object: kept.read().ok(),
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
        .next_rotation
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
        .filter_map(|summary| summary.next_rotation)
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
    Ok(())
}

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

fn gauge(
    encoder: &mut DescriptorEncoder,
    metric: &Description,
    values: impl FnOnce(&mut MetricEncoder) -> fmt::Result,
) -> fmt::Result {
    let (name, seconds) = metric.name_and_unit();
    let unit = seconds.then_some(&Unit::Seconds);
    // NB: of metrics that are registered the library itself ends the help with a full stop.
    let help = format!("{}.", metric.help);
    let mut encoder = encoder.encode_descriptor(name, &help, unit, MetricType::Gauge)?;
    values(&mut encoder)
}

fn one(encoder: &mut MetricEncoder, labels: &impl EncodeLabelSet, value: i64) -> fmt::Result {
    encoder.encode_family(labels)?.encode_gauge(&value)
}

fn number(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::super::Metrics;
    use super::*;

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
        let metrics = Metrics::new();
        metrics.set_per_object(true);
        let objects = Arc::clone(objects);
        metrics.set_inventory(Box::new(move || {
            Some(Inventory {
                objects: objects.lock().clone(),
                connections: Vec::new(),
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
