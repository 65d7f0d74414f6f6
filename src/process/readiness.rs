//! Readiness and liveness of this process, as reported by its parts. No I/O.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::time::Duration;

use parking_lot::Mutex;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use super::metrics::Metrics;

/// The state of one check behind `/ready`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Check {
    /// It passes.
    Ok,
    /// The process is not ready because of this.
    NotYet(String),
    /// Information that does not affect readiness.
    Info(String),
}

/// The named checks behind `/ready`; clones share them.
///
/// A standby replica is ready: it can take over at any time.
#[derive(Clone)]
pub struct Readiness {
    checks: Arc<Mutex<BTreeMap<&'static str, Check>>>,
    required: Arc<[&'static str]>,
    metrics: Metrics,
}

impl Readiness {
    /// Not ready while any of `required` is [`Check::NotYet`], as all of them are initially. These are also exported as metrics.
    pub fn new<const N: usize>(required: [&'static str; N], metrics: Metrics) -> Self {
        let readiness = Self {
            checks: Arc::default(),
            required: required.into(),
            metrics,
        };
        for name in required {
            readiness.set(name, Check::NotYet("not checked yet".into()));
        }
        readiness
    }

    /// Sets or adds a check. The text must be the operator's own: every client that reaches the port can read it.
    pub fn set(&self, name: &'static str, check: Check) {
        let mut checks = self.checks.lock();
        if self.required.contains(&name) {
            let ready = !matches!(check, Check::NotYet(_));
            self.metrics.set_ready(name, ready);
        }
        checks.insert(name, check);
    }

    /// Takes a check off the list.
    pub fn clear(&self, name: &'static str) {
        self.checks.lock().remove(name);
    }

    /// Whether the process is ready, and one line for each check.
    pub fn report(&self) -> (bool, String) {
        let checks = self.checks.lock();
        let mut text = String::new();
        for (name, check) in checks.iter() {
            // NB: writing to a String cannot fail.
            let _ = match check {
                Check::Ok => writeln!(text, "[+] {name}: ok"),
                Check::NotYet(reason) => writeln!(text, "[-] {name}: {reason}"),
                Check::Info(note) => writeln!(text, "[i] {name}: {note}"),
            };
        }
        let ready = !checks
            .values()
            .any(|check| matches!(check, Check::NotYet(_)));
        (ready, text)
    }
}

/// The heartbeat behind `/live`: a task of the runtime that ticks. It depends on nothing outside the process, because
/// a restart fixes neither the API server nor ZITADEL, and would lose what is held in memory.
#[derive(Debug, Clone)]
pub struct Heartbeat(Arc<Mutex<Instant>>);

impl Heartbeat {
    const PERIOD: Duration = Duration::from_secs(1);

    /// If the last tick is older than this, the runtime is stuck. It is measured with the monotonic clock, which stops while the host
    /// is suspended: resuming is no reason for a restart.
    pub const STALE: Duration = Duration::from_secs(30);

    /// Starts ticking on the current tokio runtime until `stop`.
    pub fn start(stop: CancellationToken) -> Self {
        let heartbeat = Self(Arc::new(Mutex::new(Instant::now())));
        let ticking = heartbeat.clone();
        tokio::spawn(stop.run_until_cancelled_owned(async move {
            loop {
                tokio::time::sleep(Self::PERIOD).await;
                *ticking.0.lock() = Instant::now();
            }
        }));
        heartbeat
    }

    /// Whether the last tick is recent.
    pub fn alive(&self) -> bool {
        let last = *self.0.lock();
        last.elapsed() < Self::STALE
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_is_ready_when_all_required_checks_are_ok() {
        let readiness = Readiness::new(["crds", "watch"], Metrics::new());
        assert!(!readiness.report().0);
        readiness.set("crds", Check::Ok);
        assert!(!readiness.report().0);
        readiness.set("watch", Check::Ok);
        assert_eq!(
            readiness.report(),
            (true, "[+] crds: ok\n[+] watch: ok\n".into())
        );
        readiness.set("watch", Check::NotYet("the API server refuses it".into()));
        assert_eq!(
            readiness.report(),
            (
                false,
                "[+] crds: ok\n[-] watch: the API server refuses it\n".into()
            )
        );
    }

    #[test]
    fn only_required_checks_are_exported_as_metrics() {
        let metrics = Metrics::new();
        let readiness = Readiness::new(["connections", "watches"], metrics.clone());
        let exported = |check: &str| {
            let text = metrics.encode();
            let series = format!("zitadel_secret_operator_ready{{check=\"{check}\"}} ");
            let line = text.lines().find_map(|line| line.strip_prefix(&series));
            line.map(ToOwned::to_owned)
        };
        assert_eq!(exported("watches").as_deref(), Some("0"));
        readiness.set("watches", Check::Ok);
        readiness.set("connections", Check::Info("standby".into()));
        readiness.set("holding", Check::Info("2 unwritten secrets".into()));
        assert_eq!(exported("watches").as_deref(), Some("1"));
        assert_eq!(exported("connections").as_deref(), Some("1"));
        assert_eq!(exported("holding"), None);
        readiness.set("watches", Check::NotYet("the API server refuses it".into()));
        assert_eq!(exported("watches").as_deref(), Some("0"));
    }

    #[test]
    fn information_is_shown_and_does_not_affect_readiness() {
        let readiness = Readiness::new([], Metrics::new());
        readiness.set("holding", Check::Info("2 unwritten secrets".into()));
        assert_eq!(
            readiness.report(),
            (true, "[i] holding: 2 unwritten secrets\n".into())
        );
        readiness.clear("holding");
        assert_eq!(readiness.report(), (true, String::new()));
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_is_alive_until_its_heartbeat_stops() {
        let stop = CancellationToken::new();
        let heartbeat = Heartbeat::start(stop.clone());
        tokio::time::sleep(Heartbeat::STALE * 10).await;
        assert!(heartbeat.alive());
        stop.cancel();
        tokio::time::sleep(Heartbeat::STALE / 2).await;
        assert!(heartbeat.alive());
        tokio::time::sleep(Heartbeat::STALE).await;
        assert!(!heartbeat.alive());
    }
}
