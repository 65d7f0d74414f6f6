//! The operator's metrics, as OpenMetrics under `zitadel_secret_operator_`. `docs/reference/metrics.md` lists all of them.

use std::sync::Arc;
use std::sync::atomic::AtomicU64;
use std::time::Duration;

use jiff::Timestamp;
use prometheus_client::encoding::text::{encode_eof, encode_registry};
use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Metric, Registry, Unit};

mod activity;
mod catalogue;
mod inventory;
mod labels;
mod process;
mod requests;
mod series;

use crate::api::Outcome;
use crate::rotation::Cause;
pub use activity::ConnectionActivity;
pub use catalogue::{Description, Kind, SECTIONS, reference};
use inventory::InventoryCollector;
pub use inventory::{Inventory, InventorySource};
use labels::{
    Build, ByCause, ByCheck, ByKubeRequest, ByOperation, ByPart, ByReason, ByResult, ByVerdict,
    GENERATE_OUTCOMES, VERDICTS, rotation_outcomes,
};
pub use labels::{KubeCode, WindowPart};
use process::ProcessCollector;
pub use requests::RequestCounts;

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type HistogramFamily<S> = Family<S, Histogram, fn() -> Histogram>;

/// All metrics of one process; clones share the values. Labels are `&'static str` from closed lists, so no text from
/// outside can create a series; only objects and connections that exist have series with their names.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    /// Without the prefix.
    process: Arc<Registry>,
    generates: Family<ByCause, Counter>,
    rotations: Family<ByCause, Counter>,
    dark_window: HistogramFamily<ByPart>,
    dark_seconds: Counter<f64, AtomicU64>,
    rotation_delay: Histogram,
    rotation_complete: Histogram,
    unflushed_secrets: Gauge,
    oldest_unflushed: Gauge,
    reconciles: Family<ByResult, Counter>,
    reconcile_duration: Histogram,
    reconcile_errors: Family<ByReason, Counter>,
    zitadel_request_duration: HistogramFamily<ByOperation>,
    kubernetes_requests: Family<ByKubeRequest, Counter>,
    verification_verdicts: Family<ByVerdict, Counter>,
    leader: Gauge,
    ready: Family<ByCheck, Gauge>,
    inventory: InventoryCollector,
}

fn window_buckets() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
    ])
}

fn request_buckets() -> Histogram {
    Histogram::new([
        0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0,
    ])
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

impl Metrics {
    /// Everything at zero.
    pub fn new() -> Self {
        let mut process = Registry::default();
        process.register_collector(Box::new(ProcessCollector::new()));
        let mut metrics = Self {
            registry: Arc::default(),
            process: Arc::new(process),
            generates: Family::default(),
            rotations: Family::default(),
            dark_window: Family::new_with_constructor(window_buckets),
            dark_seconds: Counter::default(),
            rotation_delay: Histogram::new([
                60.0, 300.0, 900.0, 3600.0, 14_400.0, 86_400.0, 604_800.0,
            ]),
            rotation_complete: Histogram::new([
                1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 150.0, 300.0, 900.0, 3600.0,
            ]),
            unflushed_secrets: Gauge::default(),
            oldest_unflushed: Gauge::default(),
            reconciles: Family::default(),
            reconcile_duration: Histogram::new([
                0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0,
            ]),
            reconcile_errors: Family::default(),
            zitadel_request_duration: Family::new_with_constructor(request_buckets),
            kubernetes_requests: Family::default(),
            verification_verdicts: Family::default(),
            leader: Gauge::default(),
            ready: Family::default(),
            inventory: InventoryCollector::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics.start_at_zero();
        metrics
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix(catalogue::PREFIX);
        let version = env!("CARGO_PKG_VERSION");
        let to = &mut registry;
        add(to, &catalogue::BUILD, Info::new(Build { version }));
        add(to, &catalogue::GENERATES, self.generates.clone());
        add(to, &catalogue::ROTATIONS, self.rotations.clone());
        add(to, &catalogue::DARK_WINDOW, self.dark_window.clone());
        add(to, &catalogue::DARK_SECONDS, self.dark_seconds.clone());
        add(to, &catalogue::ROTATION_DELAY, self.rotation_delay.clone());
        add(
            to,
            &catalogue::ROTATION_COMPLETE,
            self.rotation_complete.clone(),
        );
        add(
            to,
            &catalogue::UNFLUSHED_SECRETS,
            self.unflushed_secrets.clone(),
        );
        add(
            to,
            &catalogue::OLDEST_UNFLUSHED,
            self.oldest_unflushed.clone(),
        );
        add(to, &catalogue::RECONCILES, self.reconciles.clone());
        add(
            to,
            &catalogue::RECONCILE_DURATION,
            self.reconcile_duration.clone(),
        );
        add(
            to,
            &catalogue::RECONCILE_ERRORS,
            self.reconcile_errors.clone(),
        );
        add(
            to,
            &catalogue::ZITADEL_REQUEST_DURATION,
            self.zitadel_request_duration.clone(),
        );
        add(
            to,
            &catalogue::KUBERNETES_REQUESTS,
            self.kubernetes_requests.clone(),
        );
        add(
            to,
            &catalogue::VERIFICATION_VERDICTS,
            self.verification_verdicts.clone(),
        );
        add(to, &catalogue::LEADER, self.leader.clone());
        add(to, &catalogue::READY, self.ready.clone());
        registry.register_collector(Box::new(self.inventory.clone()));
        registry
    }

    /// Starts counters at 0 whose first event matters: Prometheus sees no increase in a series that begins at 1.
    fn start_at_zero(&self) {
        for cause in Cause::ALL.map(Cause::as_str) {
            for outcome in GENERATE_OUTCOMES {
                drop(self.generates.get_or_create(&ByCause { cause, outcome }));
            }
            for outcome in rotation_outcomes().map(Outcome::as_str) {
                drop(self.rotations.get_or_create(&ByCause { cause, outcome }));
            }
        }
        for verdict in VERDICTS {
            drop(
                self.verification_verdicts
                    .get_or_create(&ByVerdict { verdict }),
            );
        }
    }

    /// Sets whether each object has series of its own. Off by default.
    pub fn set_per_object(&self, per_object: bool) {
        self.inventory.set_per_object(per_object);
    }

    /// Sets the source of the series of objects and connections. Only the first call has an effect.
    pub fn set_inventory(&self, source: InventorySource) {
        self.inventory.set(source);
    }

    /// Counts a call that generates a client secret.
    pub fn generate(&self, cause: &'static str, outcome: &'static str) {
        self.generates
            .get_or_create(&ByCause { cause, outcome })
            .inc();
    }

    /// Counts a rotation that ended.
    pub fn rotation(&self, cause: &'static str, outcome: Outcome) {
        let outcome = outcome.as_str();
        self.rotations
            .get_or_create(&ByCause { cause, outcome })
            .inc();
    }

    /// Records a part of a rotation's dark window.
    pub fn dark_window(&self, part: WindowPart, took: Duration) {
        self.dark_window
            .get_or_create(&ByPart { part })
            .observe(took.as_secs_f64());
    }

    /// Counts time in which the Secret of an object held no working credential.
    pub fn dark(&self, time: Duration) {
        self.dark_seconds.inc_by(time.as_secs_f64());
    }

    /// Records how long after its time a scheduled rotation was published.
    pub fn rotation_delay(&self, delay: Duration) {
        self.rotation_delay.observe(delay.as_secs_f64());
    }

    /// Records how long the consumers of a rotation took to get its value.
    pub fn rotation_complete(&self, took: Duration) {
        self.rotation_complete.observe(took.as_secs_f64());
    }

    /// Sets how many rotations hold the process, and when the oldest of them began.
    pub fn set_unflushed_secrets(&self, count: usize, oldest: Option<Timestamp>) {
        self.unflushed_secrets.set(gauge_value(count));
        self.oldest_unflushed
            .set(oldest.map_or(0, Timestamp::as_second));
    }

    /// Counts a reconciliation that succeeded or only has to wait.
    pub fn reconciled(&self, result: &'static str, took: Duration) {
        self.reconciles.get_or_create(&ByResult { result }).inc();
        self.reconcile_duration.observe(took.as_secs_f64());
    }

    /// Counts a reconciliation that failed, as `reconciles{result="error"}` and by its reason.
    pub fn reconcile_failed(&self, reason: &'static str, took: Duration) {
        self.reconciled("error", took);
        self.reconcile_errors
            .get_or_create(&ByReason { reason })
            .inc();
    }

    /// Records how long a call to ZITADEL took. It is counted in [`RequestCounts`].
    pub fn zitadel_request(&self, operation: &'static str, took: Duration) {
        self.zitadel_request_duration
            .get_or_create(&ByOperation { operation })
            .observe(took.as_secs_f64());
    }

    /// Counts a request to the API server.
    pub fn kubernetes_request(&self, verb: &'static str, resource: &'static str, code: KubeCode) {
        let labels = ByKubeRequest {
            verb,
            resource,
            code,
        };
        self.kubernetes_requests.get_or_create(&labels).inc();
    }

    /// Counts a verification of a stored credential.
    pub fn verification(&self, verdict: &'static str) {
        self.verification_verdicts
            .get_or_create(&ByVerdict { verdict })
            .inc();
    }

    /// Sets whether this replica leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// Sets whether a required check allows this replica to be ready.
    pub fn set_ready(&self, check: &'static str, ready: bool) {
        let check = self.ready.get_or_create(&ByCheck { check });
        check.set(i64::from(ready));
    }

    /// All values in the OpenMetrics text format ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // NB: writing to a String cannot fail, and none of our label values does.
        let _ = encode_registry(&mut text, &self.registry);
        let _ = encode_registry(&mut text, &self.process);
        let _ = encode_eof(&mut text);
        text
    }
}

fn add(registry: &mut Registry, metric: &Description, values: impl Metric) {
    match metric.name_and_unit() {
        (name, true) => registry.register_with_unit(name, metric.help, Unit::Seconds, values),
        (name, false) => registry.register(name, metric.help, values),
    }
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use std::collections::{BTreeMap, BTreeSet};

    use jiff::SignedDuration;
    use serde_json::json;

    use super::*;
    use crate::consumers::tally::Totals;

    #[test]
    fn what_is_counted_stands_in_the_exposition_under_its_full_name() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.generate("Due", "Success");
        clone.generate("Due", "Success");
        clone.rotation("Retire", Outcome::Retired);
        clone.dark_window(WindowPart::Prove, Duration::from_millis(20));
        clone.reconcile_failed("Forbidden", Duration::from_millis(2));
        clone.kubernetes_request("get", "secrets", KubeCode::Status(404));
        clone.kubernetes_request("update", "leases", KubeCode::Deadline);
        clone.set_leader(true);
        clone.set_unflushed_secrets(2, Some("2026-01-01T00:00:00Z".parse().unwrap()));
        clone.zitadel_request("generate", Duration::from_millis(20));
        clone.rotation_delay(Duration::from_secs(90));
        clone.dark(Duration::from_millis(250));
        clone.dark(Duration::from_millis(500));
        let text = metrics.encode();
        for line in [
            "generates_total{cause=\"Due\",outcome=\"Success\"} 2",
            "rotations_total{cause=\"Retire\",outcome=\"Retired\"} 1",
            "dark_window_seconds_count{part=\"prove\"} 1",
            "dark_window_seconds_bucket{le=\"0.01\",part=\"prove\"} 0",
            "dark_window_seconds_bucket{le=\"0.025\",part=\"prove\"} 1",
            "reconciles_total{result=\"error\"} 1",
            "reconcile_errors_total{reason=\"Forbidden\"} 1",
            "reconcile_duration_seconds_count 1",
            "kubernetes_requests_total{verb=\"get\",resource=\"secrets\",code=\"404\"} 1",
            "kubernetes_requests_total{verb=\"update\",resource=\"leases\",code=\"deadline\"} 1",
            "leader 1",
            "rotations_total{cause=\"LostAttempt\",outcome=\"Published\"} 0",
            "rotations_total{cause=\"Due\",outcome=\"Retired\"} 0",
            "rotation_delay_seconds_bucket{le=\"60.0\"} 0",
            "rotation_delay_seconds_bucket{le=\"300.0\"} 1",
            "dark_seconds_total 0.75",
            "zitadel_request_duration_seconds_count{operation=\"generate\"} 1",
            "unflushed_secrets 2",
            "oldest_unflushed_secret_timestamp_seconds 1767225600",
            concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            let line = format!("zitadel_secret_operator_{line}\n");
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }

    /// Type and labels of each family, as a scrape shows them.
    fn families(text: &str) -> BTreeMap<String, (String, BTreeSet<String>)> {
        let mut families = BTreeMap::new();
        let mut name = String::new();
        for line in text.lines() {
            if let Some((family, kind)) = line
                .strip_prefix("# TYPE ")
                .and_then(|rest| rest.split_once(' '))
            {
                family.clone_into(&mut name);
                families.insert(name.clone(), (kind.to_owned(), BTreeSet::new()));
            } else if !line.starts_with('#') {
                assert!(line.starts_with(&name), "{line} is not of {name}");
                let labels = line.split_once('{').map_or("", |(_, rest)| rest);
                let labels = labels.split_once('}').map_or("", |(labels, _)| labels);
                let names = labels.split(',').filter_map(|label| label.split_once('='));
                let names = names.map(|(label, _)| label.to_owned());
                let (_, seen) = families.get_mut(&name).unwrap();
                seen.extend(names.filter(|label| label != "le"));
            }
        }
        families
    }

    #[test]
    fn the_catalogue_has_every_metric_with_its_type_and_labels() {
        let metrics = Metrics::new();
        metrics.set_per_object(true);
        metrics.dark_window(WindowPart::Prove, Duration::ZERO);
        metrics.reconcile_failed("x", Duration::ZERO);
        metrics.kubernetes_request("get", "secrets", KubeCode::Status(404));
        metrics.zitadel_request("me", Duration::ZERO);
        metrics.set_ready("watches", true);
        let condition = json!({
            "type": "Ready", "status": "True", "reason": "UpToDate", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        });
        let verified = json!({
            "type": "Verified", "status": "True", "reason": "Accepted", "message": "",
            "lastTransitionTime": "2026-01-01T00:00:00Z"
        });
        let object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "x", "namespace": "x"}, "spec": {"projectId": "1", "appId": "2"},
            "status": {
                "conditions": [condition, verified], "nextRotationTime": "2026-01-01T00:00:00Z",
                "lastRotation": {"time": "2026-01-01T00:00:00Z", "reason": "Due", "attempt": "x"},
            },
        });
        let connection = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection", "metadata": {"name": "x"},
            "spec": {"url": "https://x", "auth": {"personalAccessToken": {"secretKeyRef": {"name": "x", "key": "x"}}}},
            "status": {"conditions": [condition], "credentialExpiry": "2026-01-01T00:00:00Z"},
        });
        let object = Arc::new(serde_json::from_value(object).unwrap());
        let connection = Arc::new(serde_json::from_value(connection).unwrap());
        metrics.set_inventory(Box::new(move || {
            Some(Inventory {
                objects: vec![Arc::clone(&object)],
                connections: vec![Arc::clone(&connection)],
                activity: vec![ConnectionActivity {
                    requests: vec![("me", "Ok", 1)],
                    clock_skew: Some(SignedDuration::ZERO),
                    ..ConnectionActivity::of("x", Timestamp::UNIX_EPOCH)
                }],
                clock_skew: Some(SignedDuration::ZERO),
                consumers: Totals::default(),
                now: Timestamp::UNIX_EPOCH,
            })
        }));
        let described = SECTIONS.iter().flat_map(|(_, metrics)| *metrics);
        let described: BTreeMap<_, _> = described
            .map(|metric| {
                let kind = format!("{:?}", metric.kind).to_lowercase();
                let labels = metric.labels.iter().map(|label| (*label).to_owned());
                (metric.family(), (kind, labels.collect()))
            })
            .collect();
        assert_eq!(families(&metrics.encode()), described);
    }
}
