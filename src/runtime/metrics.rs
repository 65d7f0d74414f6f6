//! What the operator counts, as OpenMetrics under `zitadel_secret_operator_`. No object names in labels.

use std::sync::Arc;
use std::time::Duration;

use prometheus_client::metrics::counter::Counter;
use prometheus_client::metrics::family::Family;
use prometheus_client::metrics::gauge::Gauge;
use prometheus_client::metrics::histogram::Histogram;
use prometheus_client::metrics::info::Info;
use prometheus_client::registry::{Registry, Unit};

mod labels;

use labels::{
    Build, ByCause, ByKubeRequest, ByOperation, ByPart, ByReason, ByResult, ByState, ByVerdict,
};
pub use labels::{KubeCode, WindowPart};

/// The media type of [`Metrics::encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

type HistogramFamily<S> = Family<S, Histogram, fn() -> Histogram>;

/// All metrics of one process; clones share the values. Labels are `&'static str` from exhaustive matches, so no text
/// from outside can make a series.
#[derive(Clone)]
pub struct Metrics {
    registry: Arc<Registry>,
    generates: Family<ByCause, Counter>,
    rotations: Family<ByCause, Counter>,
    dark_window: HistogramFamily<ByPart>,
    unflushed_secrets: Gauge,
    open_claims: Gauge,
    reconciles: Family<ByResult, Counter>,
    reconcile_duration: Histogram,
    reconcile_errors: Family<ByReason, Counter>,
    zitadel_requests: Family<ByOperation, Counter>,
    kubernetes_requests: Family<ByKubeRequest, Counter>,
    verification_verdicts: Family<ByVerdict, Counter>,
    leader: Gauge,
    managed_objects: Family<ByState, Gauge>,
    overdue_objects: Gauge,
    next_rotation: Gauge,
}

fn window_buckets() -> Histogram {
    Histogram::new([
        0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0, 60.0, 300.0,
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
        let mut metrics = Self {
            registry: Arc::default(),
            generates: Family::default(),
            rotations: Family::default(),
            dark_window: Family::new_with_constructor(window_buckets),
            unflushed_secrets: Gauge::default(),
            open_claims: Gauge::default(),
            reconciles: Family::default(),
            reconcile_duration: Histogram::new([
                0.001, 0.005, 0.01, 0.05, 0.1, 0.5, 1.0, 5.0, 10.0, 60.0,
            ]),
            reconcile_errors: Family::default(),
            zitadel_requests: Family::default(),
            kubernetes_requests: Family::default(),
            verification_verdicts: Family::default(),
            leader: Gauge::default(),
            managed_objects: Family::default(),
            overdue_objects: Gauge::default(),
            next_rotation: Gauge::default(),
        };
        metrics.registry = Arc::new(metrics.register());
        metrics
    }

    fn register(&self) -> Registry {
        let mut registry = Registry::with_prefix("zitadel_secret_operator");
        let version = env!("CARGO_PKG_VERSION");
        registry.register("build", "The running version", Info::new(Build { version }));
        registry.register(
            "generates",
            "Calls that generate a client secret",
            self.generates.clone(),
        );
        registry.register("rotations", "Rotations that ended", self.rotations.clone());
        registry.register_with_unit(
            "dark_window",
            "Time in which the Secret holds no working credential during a rotation",
            Unit::Seconds,
            self.dark_window.clone(),
        );
        registry.register(
            "unflushed_secrets",
            "New credentials in memory that are not written to their Secret yet",
            self.unflushed_secrets.clone(),
        );
        registry.register(
            "open_claims",
            "Claims whose outcome is not known yet",
            self.open_claims.clone(),
        );
        registry.register("reconciles", "Reconciliations", self.reconciles.clone());
        registry.register_with_unit(
            "reconcile_duration",
            "Time a reconciliation took",
            Unit::Seconds,
            self.reconcile_duration.clone(),
        );
        registry.register(
            "reconcile_errors",
            "Failed reconciliations by reason",
            self.reconcile_errors.clone(),
        );
        registry.register(
            "zitadel_requests",
            "Requests to ZITADEL",
            self.zitadel_requests.clone(),
        );
        registry.register(
            "kubernetes_requests",
            "Requests to the Kubernetes API server",
            self.kubernetes_requests.clone(),
        );
        registry.register(
            "verification_verdicts",
            "What proving stored credentials came to",
            self.verification_verdicts.clone(),
        );
        registry.register("leader", "1 while this replica leads", self.leader.clone());
        registry.register(
            "managed_objects",
            "ApiAppSecrets by state",
            self.managed_objects.clone(),
        );
        registry.register(
            "overdue_objects",
            "ApiAppSecrets whose rotation is overdue",
            self.overdue_objects.clone(),
        );
        registry.register_with_unit(
            "next_rotation_timestamp",
            "When the next scheduled rotation of all is due, 0 if there is none",
            Unit::Seconds,
            self.next_rotation.clone(),
        );
        registry
    }

    /// Counts a call that generates a client secret.
    pub fn generate(&self, cause: &'static str, outcome: &'static str) {
        self.generates
            .get_or_create(&ByCause { cause, outcome })
            .inc();
    }

    /// Counts a rotation that ended.
    pub fn rotation(&self, cause: &'static str, outcome: &'static str) {
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

    /// How many new credentials are in memory and not written yet.
    pub fn set_unflushed_secrets(&self, count: usize) {
        self.unflushed_secrets.set(gauge_value(count));
    }

    /// How many claims are open.
    pub fn set_open_claims(&self, count: usize) {
        self.open_claims.set(gauge_value(count));
    }

    /// Counts a reconciliation that went well or only has to wait.
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

    /// Counts a request to ZITADEL.
    pub fn zitadel_request(&self, operation: &'static str, outcome: &'static str) {
        self.zitadel_requests
            .get_or_create(&ByOperation { operation, outcome })
            .inc();
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

    /// Counts what proving a stored credential came to.
    pub fn verification(&self, verdict: &'static str) {
        self.verification_verdicts
            .get_or_create(&ByVerdict { verdict })
            .inc();
    }

    /// Whether this replica leads.
    pub fn set_leader(&self, leads: bool) {
        self.leader.set(i64::from(leads));
    }

    /// How many objects are in this state.
    pub fn set_managed_objects(&self, state: &'static str, count: usize) {
        self.managed_objects
            .get_or_create(&ByState { state })
            .set(gauge_value(count));
    }

    /// How many objects should have been rotated by now.
    pub fn set_overdue_objects(&self, count: usize) {
        self.overdue_objects.set(gauge_value(count));
    }

    /// When the earliest scheduled rotation of all is due.
    pub fn set_next_rotation(&self, at: Option<jiff::Timestamp>) {
        self.next_rotation
            .set(at.map_or(0, jiff::Timestamp::as_second));
    }

    /// All values in the OpenMetrics text format ([`CONTENT_TYPE`]).
    pub fn encode(&self) -> String {
        let mut text = String::new();
        // NB: writing to a String cannot fail, and none of our label values does.
        let _ = prometheus_client::encoding::text::encode(&mut text, &self.registry);
        text
    }
}

fn gauge_value(count: usize) -> i64 {
    i64::try_from(count).unwrap_or(i64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_counted_stands_in_the_exposition_under_its_full_name() {
        let metrics = Metrics::new();
        let clone = metrics.clone();
        clone.generate("Due", "Success");
        clone.generate("Due", "Success");
        clone.rotation("Trigger", "Unknown");
        clone.dark_window(WindowPart::Prove, Duration::from_millis(20));
        clone.reconcile_failed("Forbidden", Duration::from_millis(2));
        clone.kubernetes_request("get", "secrets", KubeCode::Status(404));
        clone.kubernetes_request("update", "leases", KubeCode::Deadline);
        clone.set_leader(true);
        clone.set_managed_objects("Ready", 3);
        clone.set_unflushed_secrets(2);
        clone.set_next_rotation(Some("2026-01-01T00:00:00Z".parse().unwrap()));
        let text = metrics.encode();
        for line in [
            "generates_total{cause=\"Due\",outcome=\"Success\"} 2",
            "rotations_total{cause=\"Trigger\",outcome=\"Unknown\"} 1",
            "dark_window_seconds_count{part=\"prove\"} 1",
            "dark_window_seconds_bucket{le=\"0.01\",part=\"prove\"} 0",
            "dark_window_seconds_bucket{le=\"0.025\",part=\"prove\"} 1",
            "reconciles_total{result=\"error\"} 1",
            "reconcile_errors_total{reason=\"Forbidden\"} 1",
            "reconcile_duration_seconds_count 1",
            "kubernetes_requests_total{verb=\"get\",resource=\"secrets\",code=\"404\"} 1",
            "kubernetes_requests_total{verb=\"update\",resource=\"leases\",code=\"deadline\"} 1",
            "leader 1",
            "managed_objects{state=\"Ready\"} 3",
            "unflushed_secrets 2",
            "next_rotation_timestamp_seconds 1767225600",
            concat!("build_info{version=\"", env!("CARGO_PKG_VERSION"), "\"} 1"),
        ] {
            let line = format!("zitadel_secret_operator_{line}\n");
            assert!(text.contains(&line), "{line} is missing in\n{text}");
        }
        assert!(text.ends_with("# EOF\n"));
    }
}
