//! The operator as a whole: from its arguments to its exit code.

pub mod controllers;
pub(crate) mod objects;
mod sync;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::StreamExt as _;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::cli::Run;
use crate::consumers::Abilities;
use crate::consumers::judge::Spans;
use crate::ids::AttemptId;
use crate::process::admin::{self, AdminState, Limits};
use crate::process::clock::{Clock, ServerClock, SystemClock};
use crate::process::denied_requests::DeniedRequests;
use crate::process::holding::Holding;
use crate::process::kube_client::{DEFAULT_DEADLINE, KubeRequestLayer, kube_client};
use crate::process::leader::{self, Identity, LeaderElector, LeadershipWatch};
use crate::process::metrics::Metrics;
use crate::process::pod_lock::{NotTaken, PodLock};
use crate::process::proxy;
use crate::process::readiness::{Check, Heartbeat, Readiness};
use crate::process::relist::Relist;
use crate::process::shutdown::{ExitCode, Signals, drain};
use crate::reconcile::context::{ProcessHandles, Settings};
use crate::rotation::{Holder, Timing};
use crate::store::scope::Scope;

/// The name of the Lease for leader election.
pub(crate) const LEADER_LEASE: &str = "zitadel-secret-operator";
/// How long releasing the Lease may take at shutdown.
const RELEASE: Duration = Duration::from_secs(3);

/// The part of the process that runs independently of the controllers.
struct Process {
    metrics: Metrics,
    readiness: Readiness,
    holding: Holding,
    signals: Signals,
    ended: CancellationToken,
    admin: JoinHandle<()>,
    watcher: JoinHandle<()>,
}

impl Process {
    /// Starts the admin server before anything else: probes must not depend on anything the rest waits for.
    async fn start(arguments: &Run) -> anyhow::Result<Self> {
        let metrics = Metrics::new();
        metrics.set_per_object(arguments.metrics_per_object);
        let readiness = Readiness::new(["connections", "watches"], metrics.clone());
        let admin = admin::bind(arguments.admin_address, Limits::default()).await?;
        tracing::info!(address = %admin.address(), version = env!("CARGO_PKG_VERSION"), "admin server");
        let ended = CancellationToken::new();
        let state = AdminState {
            readiness: readiness.clone(),
            heartbeat: Heartbeat::start(ended.clone()),
            metrics: metrics.clone(),
        };
        let holding = Holding::default();
        let signals = Signals::listen(holding.clone()).context("signals cannot be listened for")?;
        let watch = watch_holding(holding.clone(), readiness.clone(), metrics.clone());
        Ok(Self {
            admin: tokio::spawn(admin.serve(state, ended.clone())),
            watcher: tokio::spawn(watch),
            metrics,
            readiness,
            holding,
            signals,
            ended,
        })
    }

    async fn end(self) {
        self.watcher.abort();
        self.ended.cancel();
        let _ = tokio::time::timeout(Duration::from_secs(1), self.admin).await;
    }
}

/// The running election.
struct Election {
    leadership: LeadershipWatch,
    release: CancellationToken,
    task: JoinHandle<()>,
}

impl Election {
    fn start(
        client: kube::Client,
        arguments: &Run,
        holder: &Holder,
        clock: Arc<dyn Clock>,
        relist: Relist,
    ) -> anyhow::Result<Self> {
        let identity = Identity {
            pod: holder.pod.clone(),
            process: holder.process.clone(),
        };
        let timing = leader::LeaseTiming::default();
        let elector = LeaderElector::new(
            client,
            &arguments.scope.namespace,
            LEADER_LEASE,
            identity,
            timing,
            clock,
            relist,
        )?;
        let release = CancellationToken::new();
        Ok(Self {
            leadership: elector.watch(),
            task: tokio::spawn(elector.run(release.clone())),
            release,
        })
    }
}

/// Runs the operator until it receives a signal to stop.
///
/// # Errors
/// If the admin address cannot be bound, no cluster is configured, or the timing is invalid. No request was sent to the cluster then.
pub async fn run(arguments: Run) -> anyhow::Result<ExitCode> {
    let timing = Timing::default().scaled(arguments.protocol_speed).check()?;
    let process = Process::start(&arguments).await?;
    let clock: Arc<dyn Clock> = Arc::new(SystemClock);
    let api_clock = ServerClock::new(Arc::clone(&clock));
    let config = kube::Config::infer()
        .await
        .context("no cluster is configured")?;
    // NB: it may recover.
    if let Err(error) = proxy::reachable(&config).await {
        tracing::error!(%error, "the API server cannot be reached through the configured proxy");
    }
    let (denied, relist) = (DeniedRequests::default(), Relist::default());
    let layer = KubeRequestLayer::new(process.metrics.clone(), api_clock.clone(), DEFAULT_DEADLINE)
        .recording(&denied);
    let client =
        || kube_client(config.clone(), &layer).context("no client for the cluster can be made");
    let lock = arguments.pod_uid.as_deref().map(PodLock::take);
    let holder = holder(&arguments, lock.as_ref());
    let election = if arguments.leader_elect {
        let clock = Arc::clone(&clock);
        let relist = relist.clone();
        Some(Election::start(
            client()?,
            &arguments,
            &holder,
            clock,
            relist,
        )?)
    } else {
        None
    };
    // No new work starts after this signal.
    let stop = process.signals.stop.clone();
    let lead = match &election {
        Some(election) => election.leadership.clone(),
        None => LeadershipWatch::always(Arc::clone(&clock)),
    };
    let handles = ProcessHandles {
        client: client()?,
        flush_client: client()?,
        settings: Settings {
            namespace: arguments.scope.namespace.clone(),
            holder,
            timing,
            minimum_interval: arguments.minimum_interval,
            drift_interval: arguments.drift_interval,
            scope: Scope::new(arguments.scope.watch_namespaces.clone()),
            class: arguments.scope.controller_class.clone(),
            consumers: Abilities {
                refresh: arguments.consumers.refresh,
                restart: arguments.consumers.restart,
            },
            consumer_spans: Spans::new(arguments.protocol_speed),
        },
        clock,
        api_clock,
        metrics: process.metrics.clone(),
        denied,
        holding: process.holding.clone(),
        lead,
        stop,
        relist,
    };
    let work = work(handles, process.readiness.clone());
    let outcome = Box::pin(drain(
        work,
        &process.holding,
        &process.signals,
        arguments.grace,
    ))
    .await;
    // Another replica may take over only after the last credential is written. While one is held, the Lease is left to expire.
    if let Some(election) = election.filter(|_| outcome != ExitCode::Held) {
        election.release.cancel();
        let _ = tokio::time::timeout(RELEASE, election.task).await;
    }
    process.end().await;
    Ok(outcome)
}

/// The identity of this process. The pod's uid identifies it only if no other process of the pod is alive: then earlier ones have
/// ended, and their leases and claims can be taken over without waiting. Two pods may have the same name, so without a uid each process
/// counts as a pod of its own.
fn holder(arguments: &Run, lock: Option<&Result<PodLock, NotTaken>>) -> Holder {
    let process = uuid::Uuid::new_v4().simple().to_string();
    let unique = match (&arguments.pod_uid, lock) {
        (Some(uid), Some(Ok(_))) => uid,
        (Some(_), Some(Err(NotTaken::Taken))) => {
            tracing::warn!(
                "another process of this pod is alive: run one container of the operator in a pod"
            );
            &process
        }
        _ => &process,
    };
    Holder {
        pod: format!("{}.{unique}", arguments.pod_name),
        process,
    }
}

/// Runs the controllers until this replica stops. While it does not lead, they only watch, so that it knows all objects and open claims
/// when it takes over. Losing leadership is no reason to exit: while the API server is unreachable no other replica leads either, and
/// the kubelet's back-off would delay a restart.
async fn work(handles: ProcessHandles, readiness: Readiness) {
    let metrics = handles.metrics.clone();
    let (leadership, stop) = (handles.lead.clone(), handles.stop.clone());
    let controllers = controllers::run(handles, readiness);
    let follow = async {
        while leadership.leading().await {
            tracing::info!("leading");
            metrics.set_leader(true);
            leadership.standby().await;
            metrics.set_leader(false);
            tracing::warn!(
                "no longer leading: nothing new starts, held credentials are still written, and this replica keeps trying to become leader"
            );
        }
        // The elector has ended, and nothing else would notice.
        stop.cancel();
        std::future::pending::<()>().await;
    };
    tokio::select! {
        _ = controllers => {}
        () = follow => {}
    }
}

/// Reports how many credentials are held in memory.
async fn watch_holding(holding: Holding, readiness: Readiness, metrics: Metrics) {
    let mut changes = std::pin::pin!(holding.changes());
    while let Some(held) = changes.next().await {
        let oldest = holding.attempts().first().map(AttemptId::made_at);
        metrics.set_unflushed_secrets(held, oldest);
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
