//! Every metric that is exported: its name, type, labels and meaning, once. Registration, the reference page and its test
//! all read it here. No I/O.

use std::fmt::Write as _;

use super::labels::{GENERATE_OUTCOMES, VERDICTS, WindowPart, rotation_outcomes};
use crate::api::{self, Outcome};
use crate::rotation::Cause;

/// The prefix of every name.
pub const PREFIX: &str = "zitadel_secret_operator";

/// The type of a metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// Only rises; its series end in `_total`.
    Counter,
    /// Rises and falls.
    Gauge,
    /// Series end in `_bucket`, `_sum` and `_count`.
    Histogram,
    /// Always 1; its series end in `_info`.
    Info,
}

/// One metric.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Description {
    /// Its name without prefix and without the ending of its type. Those of the process have no prefix.
    pub name: &'static str,
    /// Its type.
    pub kind: Kind,
    /// The names of its labels.
    pub labels: &'static [&'static str],
    /// Its description, without a full stop.
    pub help: &'static str,
}

impl Description {
    /// The name without its unit, and whether the unit is seconds.
    pub fn name_and_unit(&self) -> (&'static str, bool) {
        match self.name.strip_suffix("_seconds") {
            Some(name) => (name, true),
            None => (self.name, false),
        }
    }

    /// The name with its prefix.
    pub fn family(&self) -> String {
        if self.name.starts_with("process_") {
            return self.name.to_owned();
        }
        format!("{PREFIX}_{}", self.name)
    }

    /// The name to query. Of a histogram it is what its three series begin with.
    pub fn full_name(&self) -> String {
        let ending = match self.kind {
            Kind::Counter => "_total",
            Kind::Info => "_info",
            Kind::Gauge | Kind::Histogram => "",
        };
        self.family() + ending
    }
}

macro_rules! catalogue {
    ($($title:literal { $($constant:ident: $kind:ident $name:literal [$($label:literal),*] $help:literal;)+ })+) => {
        $($(
            #[doc = $help]
            #[allow(clippy::doc_markdown, reason = "the text is what Prometheus shows, where backticks are only noise")]
            pub const $constant: Description =
                Description { name: $name, kind: Kind::$kind, labels: &[$($label),*], help: $help };
        )+)+

        /// All metrics, in the order of the reference page and under its headings.
        pub const SECTIONS: &[(&str, &[Description])] = &[$(($title, &[$($constant),+])),+];
    };
}

catalogue! {
    "Rotations" {
        GENERATES: Counter "generates" ["cause", "outcome"]
            "Calls that generate a client secret";
        ROTATIONS: Counter "rotations" ["cause", "outcome"]
            "Rotations that ended after their new value was received";
        DARK_WINDOW: Histogram "dark_window_seconds" ["part"]
            "Time from ZITADEL's response until the Secret is written. Without a standby application the Secret holds no working credential meanwhile";
        DARK_SECONDS: Counter "dark_seconds" []
            "Seconds in which a Secret held no working credential because of a rotation: the dark windows of objects without a standby application, and the time from a call whose response was lost to its repair; first issues left out";
        ROTATION_DELAY: Histogram "rotation_delay_seconds" []
            "Time from when a scheduled rotation could first start, due and in a window, until the Secret is written";
        ROTATION_COMPLETE: Histogram "rotation_complete_seconds" []
            "Time from the written Secret until every Pod that uses it has the new client secret. Only with the right to see Pods";
        UNFLUSHED_SECRETS: Gauge "unflushed_secrets" []
            "Client secrets that are being generated or held only in the memory of this process";
        OLDEST_UNFLUSHED: Gauge "oldest_unflushed_secret_timestamp_seconds" []
            "Start of the oldest rotation among unflushed_secrets, 0 if there is none";
        VERIFICATION_VERDICTS: Counter "verification_verdicts" ["verdict"]
            "Results of verifying stored client secrets against ZITADEL";
    }
    "All objects together" {
        MANAGED_OBJECTS: Gauge "managed_objects" ["kind", "state"]
            "Objects by kind and state";
        OVERDUE_OBJECTS: Gauge "overdue_objects" []
            "Objects whose rotation is overdue: with the reason Overdue, or due for more than an hour. Suspended ones do not count";
        UNVERIFIED_OBJECTS: Gauge "unverified_objects" []
            "Objects whose stored client secret was not verified for a day: ZITADEL did not accept it, and did not show that its application is unchanged. Suspended ones do not count";
        VERIFIED_AGE: Gauge "verified_age_seconds" []
            "Time since the last verification, of the object that has waited longest, 0 if there is none. Suspended ones do not count";
        BREAKER_OPEN_OBJECTS: Gauge "breaker_open_objects" []
            "Objects whose repairs have stopped, with the reason BreakerOpen";
        CONSUMERS: Gauge "consumers" ["state"]
            "Pods that use a Secret whose last rotation this process has followed. Only with the right to see Pods";
        LATE_CONSUMERS_OBJECTS: Gauge "late_consumers_objects" []
            "Objects with Pods that may still have the former client secret after spec.consumers.deadline";
        OPEN_CLAIMS: Gauge "open_claims" []
            "Objects with an attempt whose outcome is not known yet";
        NEXT_ROTATION: Gauge "next_rotation_timestamp_seconds" []
            "When the next scheduled rotation of all is due, 0 if there is none";
        UPCOMING_ROTATIONS: Gauge "upcoming_rotations" ["day"]
            "Objects whose next rotation can start on that day, counted in periods of 24 hours from now";
    }
    "Each object" {
        OBJECT_INFO: Gauge "object_info" ["kind", "namespace", "name", "connection", "project", "app", "secret"]
            "Always 1: what the object names, for joins with other metrics";
        OBJECT_CONDITION: Gauge "object_condition" ["kind", "namespace", "name", "condition", "status", "reason"]
            "1 for each current condition of the object";
        OBJECT_NEXT_ROTATION: Gauge "object_next_rotation_timestamp_seconds" ["kind", "namespace", "name"]
            "When the next rotation can start. In the past while a due one cannot be carried out. Absent without an interval";
        OBJECT_ROTATION: Gauge "object_rotation_timestamp_seconds" ["kind", "namespace", "name", "cause"]
            "When ZITADEL generated the stored client secret, and the cause. Its age is time() minus this";
        OBJECT_VERIFIED: Gauge "object_verified_timestamp_seconds" ["kind", "namespace", "name"]
            "When the stored client secret was last verified, or since when it is known not to work. Absent before the first one";
    }
    "Each connection" {
        CONNECTION_CONDITION: Gauge "connection_condition" ["connection", "condition", "status", "reason"]
            "1 for each current condition of the ZitadelConnection";
        CONNECTION_CREDENTIAL_EXPIRY: Gauge "connection_credential_expiry_timestamp_seconds" ["connection"]
            "Expiry of the credential. Absent if it is unknown, as for a personal access token";
        CONNECTION_CLOCK_SKEW: Gauge "connection_clock_skew_seconds" ["connection"]
            "ZITADEL's clock minus that of this process, by the last response. More than 300 in either direction holds scheduled rotations back";
        ZITADEL_REQUESTS: Counter "zitadel_requests" ["connection", "operation", "outcome"]
            "Calls to ZITADEL; token requests count on their own, with the operation token";
    }
    "Work" {
        RECONCILES: Counter "reconciles" ["result"]
            "Reconciliations of objects";
        RECONCILE_DURATION: Histogram "reconcile_duration_seconds" []
            "Duration of reconciliations of objects";
        RECONCILE_ERRORS: Counter "reconcile_errors" ["reason"]
            "Failed reconciliations";
        ZITADEL_REQUEST_DURATION: Histogram "zitadel_request_duration_seconds" ["operation"]
            "Duration of calls to ZITADEL, including the request for an access token if a new one was needed";
        KUBERNETES_REQUESTS: Counter "kubernetes_requests" ["verb", "resource", "code"]
            "Requests to the Kubernetes API server, and watches that began";
        CLOCK_SKEW: Gauge "clock_skew_seconds" []
            "The clock of the Kubernetes API server minus that of this process, by the last response. More than 300 in either direction holds scheduled rotations back";
        LEADER: Gauge "leader" []
            "1 while this replica is active; without leader election always";
        READY: Gauge "ready" ["check"]
            "0 while this check keeps the replica from being ready; /ready shows the cause";
        BUILD: Info "build" ["version"]
            "The running version";
    }
    "The process" {
        PROCESS_CPU: Counter "process_cpu_seconds" []
            "User and system CPU time";
        PROCESS_RESIDENT_MEMORY: Gauge "process_resident_memory_bytes" []
            "Resident memory. Only on Linux, as are the next three";
        PROCESS_THREADS: Gauge "process_threads" []
            "Threads";
        PROCESS_OPEN_FDS: Gauge "process_open_fds" []
            "Open file descriptors";
        PROCESS_MAX_FDS: Gauge "process_max_fds" []
            "Limit of open file descriptors. Absent if there is none";
        PROCESS_START_TIME: Gauge "process_start_time_seconds" []
            "When the process started";
    }
}

/// The calls whose label is `operation`.
const OPERATIONS: [&str; 11] = [
    "me",
    "api",
    "generate",
    "app",
    "project",
    "apps",
    "create_app",
    "changes",
    "introspect",
    "discovery",
    "token",
];

/// The description of each label: where it occurs, if it has several meanings, and its values.
fn label_notes() -> Vec<(&'static str, String)> {
    let quoted = |words: &[&str]| {
        let words: Vec<_> = words.iter().map(|word| format!("`{word}`")).collect();
        words.join(", ")
    };
    let causes = Cause::ALL.map(Cause::as_str);
    let rotated = [&causes[..], &["Adopted", "Unknown"]].concat();
    let rotated_to: Vec<_> = rotation_outcomes().map(Outcome::as_str).collect();
    let parts = WindowPart::ALL.map(WindowPart::as_str);
    vec![
        ("kind", quoted(&api::Kind::ALL.map(api::Kind::as_str))),
        ("namespace, name", "of the object. Where Prometheus has a label `namespace` for the scraped pod, it calls this one `exported_namespace`, unless `honorLabels` is on, as in the chart's monitors".to_owned()),
        ("connection", "name of the ZitadelConnection. Its series go with it".to_owned()),
        ("project, app", "of `spec.projectId` and `spec.appId`".to_owned()),
        ("secret", "name of the Secret".to_owned()),
        ("day", "`0` (within 24 hours, or in the past) to `6`".to_owned()),
        ("condition", format!("{}; of a connection `Ready` and `Stalled`", quoted(&["Ready", "Reconciling", "Stalled", "Verified", "ConsumersCurrent"]))),
        ("status", quoted(&["True", "False", "Unknown"])),
        ("reason", "of conditions: a [reason](../troubleshooting.md). Of `reconcile_errors_total`: what failed".to_owned()),
        ("cause", format!("{}. Of `object_rotation_timestamp_seconds` also {}", quoted(&causes), quoted(rotated.get(causes.len()..).unwrap_or_default()))),
        ("outcome", format!(
            "of `generates_total`: {}. Of `rotations_total`: {}. Of `zitadel_requests_total`: `Ok`, or the class of the error",
            quoted(&GENERATE_OUTCOMES), quoted(&rotated_to)
        )),
        ("part", format!("{}: until ZITADEL accepts the new value, from then until the Secret is written, both", quoted(&parts))),
        ("verdict", quoted(&VERDICTS)),
        ("state", format!(
            "of `managed_objects`: {}: Ready; manual action is required; neither. Of `consumers`: {}",
            quoted(&["ready", "stalled", "working"]), quoted(&["current", "stale", "unknown"])
        )),
        ("result", quoted(&["ok", "error"])),
        ("operation", quoted(&OPERATIONS)),
        ("verb, resource", "as in RBAC".to_owned()),
        ("code", "HTTP status, `deadline`, or `failed` if there was no response".to_owned()),
        ("check", "`watches`: whether all watches work; `connections`: whether each was checked".to_owned()),
        ("version", "such as `0.1.0`".to_owned()),
    ]
}

/// The reference page, `docs/reference/metrics.md`.
pub fn reference() -> String {
    let mut page = String::from(
        "# Metrics\n\n\
         <!-- Written by `make reference` from src/process/metrics/catalogue.rs. Do not edit. -->\n\n\
         The operator exports these at `/metrics` as OpenMetrics text. Names and labels are stable: `CHANGELOG.md`\n\
         lists every change. All names begin with `zitadel_secret_operator_`, but those of the process, which\n\
         are the ones that Prometheus' own client libraries use. See [alerts](../how-to/alerts.md) for what to do about them.\n\n\
         Metrics of objects and connections are made from what the watches show at the time of the scrape. They disappear\n\
         with the object. Only the active replica has them; a standby does not. With several replicas and without leader\n\
         election each has them, so use the `max`. Metrics of each object are exported with `--metrics-per-object=true`\n\
         (in the chart `metrics.perObject`), of at most 10,000 objects. No label contains text from ZITADEL, a Secret or a status: except for names,\n\
         every value is from a closed list, and a word that is not in it is `Other`.\n",
    );
    for (title, metrics) in SECTIONS {
        // NB: writing into a String can't fail.
        let _ = write!(
            page,
            "\n## {title}\n\n| name | type | labels | |\n| --- | --- | --- | --- |\n"
        );
        for metric in *metrics {
            let labels: Vec<_> = metric
                .labels
                .iter()
                .map(|label| format!("`{label}`"))
                .collect();
            let kind = match metric.kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
                Kind::Histogram => "histogram",
                Kind::Info => "info",
            };
            let name = metric.full_name();
            let _ = writeln!(
                page,
                "| `{name}` | {kind} | {} | {} |",
                labels.join(", "),
                metric.help
            );
        }
    }
    page.push_str("\n## Labels\n\n| label | values |\n| --- | --- |\n");
    for (label, values) in label_notes() {
        let _ = writeln!(page, "| {label} | {values} |");
    }
    page
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn names_are_unique_and_of_prometheus_form() {
        let mut names = BTreeSet::new();
        for metric in SECTIONS.iter().flat_map(|(_, metrics)| *metrics) {
            let name = metric.full_name();
            assert!(
                name.bytes().all(|b| b.is_ascii_lowercase() || b == b'_'),
                "{name}"
            );
            assert!(
                !metric.help.ends_with('.') && !metric.name.ends_with("_total"),
                "{name}"
            );
            assert!(names.insert(name), "{}", metric.name);
        }
    }

    #[test]
    fn every_label_is_explained_and_no_other() {
        let used: BTreeSet<_> = SECTIONS
            .iter()
            .flat_map(|(_, metrics)| *metrics)
            .flat_map(|metric| metric.labels)
            .copied()
            .collect();
        let notes = label_notes();
        let explained: BTreeSet<_> = notes
            .iter()
            .flat_map(|(labels, _)| labels.split(", "))
            .collect();
        assert_eq!(used, explained);
    }
}
