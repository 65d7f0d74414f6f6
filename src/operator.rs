//! The operator as a whole: from its arguments to its exit code.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::controller::{self, Parts, Settings};
use crate::rotation::{Holder, Timing};
use crate::runtime::admin::{self, Limits, Subject};
use crate::runtime::clock::{Clock, ServerClock, SystemClock};
use crate::runtime::holding::Holding;
use crate::runtime::kube_client::{DEFAULT_DEADLINE, KubeRequestLayer, kube_client};
use crate::runtime::leader::{self, LeaderElector};
use crate::runtime::metrics::Metrics;
use crate::runtime::readiness::{Check, Heartbeat, Readiness};
use crate::runtime::shutdown::{ExitCode, Signals, drain};

/// The name of the Lease for leader election.
const LEADER_LEASE: &str = "zitadel-secret-operator";

/// Runs the operator until it is told to stop.
///
/// # Errors
/// If the admin address cannot be bound or no cluster is configured: nothing was done then.
pub async fn run(arguments: Run) -> anyhow::Result<ExitCode> {
    let metrics = Metrics::new();
    let readiness = Readiness::new(["connections", "watches"]);
    // Bound before anything else: probes must not depend on what the rest waits for.
    let admin = admin::bind(arguments.admin_address, Limits::default()).await?;
    tracing::info!(address = %admin.address(), version = env!("CARGO_PKG_VERSION"), "admin server");
    let ended = CancellationToken::new();
    let subject = Subject {
        readiness: readiness.clone(),
        heartbeat: Heartbeat::start(ended.clone()),
        metrics: metrics.clone(),
    };
    let admin = tokio::spawn(admin.serve(subject, ended.clone()));

    let holding = Holding::default();
    let signals = Signals::listen(holding.clone()).context("signals cannot be listened for")?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let api_clock = ServerClock::new(Arc::clone(&clock));
    let timing = Timing::default().scaled(arguments.protocol_speed).check()?;
    let config = kube::Config::infer()
        .await
        .context("no cluster is configured")?;
    let layer = KubeRequestLayer::new(metrics.clone(), api_clock.clone(), DEFAULT_DEADLINE);
    let holder = Holder {
        pod: arguments.pod_name.clone(),
        process: uuid::Uuid::new_v4().simple().to_string(),
    };
    let identity = format!("{}_{}", holder.pod, holder.process);
    let settings = Settings {
        namespace: arguments.namespace.clone(),
        holder,
        timing,
        minimum_interval: arguments.minimum_interval,
        drift_interval: arguments.drift_interval,
    };
    let client = |config: &kube::Config| {
        kube_client(config.clone(), &layer).context("no client for the cluster can be made")
    };
    // No new work after this: the signal, or another leader.
    let stop = signals.stop.child_token();
    let parts = Parts {
        client: client(&config)?,
        flush_client: client(&config)?,
        settings,
        clock: Arc::clone(&clock),
        api_clock,
        metrics: metrics.clone(),
        holding: holding.clone(),
        stop: stop.clone(),
    };
    let watched = tokio::spawn(watch_holding(
        holding.clone(),
        readiness.clone(),
        metrics.clone(),
    ));

    let release = CancellationToken::new();
    let work = async {
        if !arguments.leader_elect {
            metrics.set_leader(true);
            controller::run(parts, readiness.clone()).await;
            return anyhow::Ok(());
        }
        let timing = leader::Timing::default().checked()?;
        let elector = LeaderElector::new(
            client(&config)?,
            &arguments.namespace,
            LEADER_LEASE,
            &identity,
            timing,
            clock,
        )?;
        let leadership = elector.watch();
        let election = tokio::spawn(elector.run(release.clone()));
        // A standby has nothing to wait for: it is ready to take over.
        readiness.set("connections", Check::Info("standby".to_owned()));
        readiness.set("watches", Check::Info("standby".to_owned()));
        let leads = tokio::select! {
            leads = leadership.leading() => leads,
            () = stop.cancelled() => false,
        };
        if leads {
            metrics.set_leader(true);
            tracing::info!("leading");
            let lost = async {
                leadership.standby().await;
                tracing::warn!(
                    "no longer leading; what is held is still written, then this process ends"
                );
                stop.cancel();
                signals.stop.cancel();
            };
            tokio::select! {
                _ = controller::run(parts, readiness.clone()) => {}
                () = lost_and_drained(lost, &stop) => {}
            }
        }
        release.cancel();
        let _ = election.await;
        Ok(())
    };
    let (failed, outcome) = {
        let failure = std::sync::Mutex::new(None);
        let work = async {
            if let Err(error) = work.await {
                failure
                    .lock()
                    .unwrap_or_else(std::sync::PoisonError::into_inner)
                    .replace(error);
                signals.stop.cancel();
            }
        };
        let outcome = drain(work, &holding, &signals, arguments.grace).await;
        (
            failure
                .into_inner()
                .unwrap_or_else(std::sync::PoisonError::into_inner),
            outcome,
        )
    };
    watched.abort();
    ended.cancel();
    let _ = tokio::time::timeout(Duration::from_secs(1), admin).await;
    match failed {
        Some(error) => Err(error),
        None => Ok(outcome),
    }
}

/// After leadership is lost the controllers get the same stop as after a signal; this never ends before them.
async fn lost_and_drained(lost: impl Future<Output = ()>, stop: &CancellationToken) {
    tokio::select! {
        () = lost => {}
        () = stop.cancelled() => {}
    }
    std::future::pending::<()>().await;
}

/// Says how many credentials are held in memory.
async fn watch_holding(holding: Holding, readiness: Readiness, metrics: Metrics) {
    let mut changes = std::pin::pin!(holding.changes());
    while let Some(held) = changes.next().await {
        metrics.set_unflushed_secrets(held);
        if held == 0 {
            readiness.clear("holding");
        } else {
            readiness.set(
                "holding",
                Check::Info(format!("{held} credentials are not written yet")),
            );
        }
    }
}
