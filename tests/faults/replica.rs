//! A replica of the operator in this process: a thread with a runtime of its own that can be killed, frozen and asked to end at
//! any point of its work.

use std::path::PathBuf;
use std::sync::atomic::{AtomicI64, Ordering};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use jiff::Timestamp;
use kube::client::ClientBuilder;
use kube::config::{KubeConfigOptions, Kubeconfig};
use tokio::runtime::Handle;
use tokio_util::sync::CancellationToken;
use zitadel_secret_operator::operator::controllers;
use zitadel_secret_operator::process::clock::{Clock, ServerClock, SystemClock};
use zitadel_secret_operator::process::denied_requests::DeniedRequests;
use zitadel_secret_operator::process::holding::Holding;
use zitadel_secret_operator::process::kube_client::KubeRequestLayer;
use zitadel_secret_operator::process::leader::{self, Identity, LeaderElector, LeadershipWatch};
use zitadel_secret_operator::process::metrics::Metrics;
use zitadel_secret_operator::process::readiness::Readiness;
use zitadel_secret_operator::process::relist::Relist;
use zitadel_secret_operator::process::shutdown::{ExitCode, Signals, drain};
use zitadel_secret_operator::reconcile::context::{Abilities, ProcessHandles, Settings, Spans};
use zitadel_secret_operator::rotation::{Holder, Timing};
use zitadel_secret_operator::store::scope::Scope;

use super::layer::{DEADLINE, FaultLayer, Wire};

/// The spans of the protocol in these tests, about a sixtieth of the real ones.
pub fn timing() -> Timing {
    let ms = Duration::from_millis;
    Timing {
        lost: Duration::from_millis(200),
        request: ms(600),
        recheck: ms(400),
        send: ms(300),
        prove: ms(300),
        lag: ms(1250),
        takeover: ms(2000),
        quiet: ms(1600),
        missing: ms(200),
        dead: ms(1250),
        probe: ms(200),
        probe_most: ms(1000),
        retry_first: ms(150),
        retry_soonest: ms(50),
        retry_most: ms(600),
        ..Timing::default()
    }
    .check()
    .unwrap()
}

/// How much faster consumers are looked at: at first every 50 ms, and every 1.5 s at the most.
const CONSUMERS: u32 = 200;

/// The name of the Lease for leader election.
pub const LEADER_LEASE: &str = "leader";

/// By which a replica is killed, frozen and stopped.
pub struct Controls {
    pub number: usize,
    killed: CancellationToken,
    signals: Signals,
    stopped: Mutex<Option<Timestamp>>,
    frozen: Mutex<bool>,
    thawed: Condvar,
}

impl Controls {
    pub fn is_dead(&self) -> bool {
        self.killed.is_cancelled()
    }

    /// Ends the replica as SIGKILL does: nothing runs any more.
    pub fn kill(&self) {
        self.killed.cancel();
        self.thaw();
    }

    /// Asks the replica to end, as SIGTERM does.
    pub fn stop(&self) {
        self.stopped
            .lock()
            .unwrap()
            .get_or_insert_with(Timestamp::now);
        self.signals.stop.cancel();
    }

    /// When it was asked to end.
    pub fn stopped_at(&self) -> Option<Timestamp> {
        *self.stopped.lock().unwrap()
    }

    /// Blocks the replica's own thread until it is thawed. To be called on that thread.
    pub fn freeze_here(&self) {
        let mut frozen = self.frozen.lock().unwrap();
        *frozen = true;
        while *frozen {
            frozen = self.thawed.wait(frozen).unwrap();
        }
    }

    pub fn is_frozen(&self) -> bool {
        *self.frozen.lock().unwrap()
    }

    pub fn thaw(&self) {
        *self.frozen.lock().unwrap() = false;
        self.thawed.notify_all();
    }
}

/// How a replica ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    Killed,
    Exited(ExitCode),
}

/// What a replica is started with.
#[derive(Clone)]
pub struct Setup {
    pub kubeconfig: PathBuf,
    pub wire: Arc<Wire>,
    /// The operator's own namespace.
    pub operator_namespace: String,
    /// The namespace and connection that it sees.
    pub namespace: String,
    pub leader_election: bool,
    /// Whether it may list Pods.
    pub sees_pods: bool,
    /// The spans of the protocol.
    pub timing: Timing,
    /// How far the host's wall clock is off, in seconds; the time since boot is right.
    pub skew: Arc<AtomicI64>,
}

/// The clocks of a host whose wall clock is wrong.
struct SkewedClock(Arc<AtomicI64>);

impl Clock for SkewedClock {
    fn wall(&self) -> Timestamp {
        let skew = jiff::SignedDuration::from_secs(self.0.load(Ordering::SeqCst));
        SystemClock.wall() + skew
    }

    fn boot(&self) -> Duration {
        SystemClock.boot()
    }
}

/// A replica.
pub struct Replica {
    pub controls: Arc<Controls>,
    pub holder: Holder,
    pub holding: Holding,
    pub readiness: Readiness,
    pub metrics: Metrics,
    handle: Handle,
    thread: Option<JoinHandle<End>>,
}

impl Replica {
    /// Starts one. A `pod` that was there before is a container that restarts in it.
    pub fn start(number: usize, pod: &str, setup: &Setup) -> Self {
        let runtime = tokio::runtime::Builder::new_current_thread()
            .enable_all()
            // NB: after each task the outermost future is polled, so that a kill takes effect at once.
            .event_interval(1)
            .build()
            .unwrap();
        let handle = runtime.handle().clone();
        let controls = Arc::new(Controls {
            number,
            killed: CancellationToken::new(),
            signals: Signals::default(),
            stopped: Mutex::default(),
            frozen: Mutex::default(),
            thawed: Condvar::new(),
        });
        let holder = Holder {
            pod: pod.to_owned(),
            process: uuid::Uuid::new_v4().simple().to_string(),
        };
        let holding = Holding::default();
        let metrics = Metrics::new();
        let readiness = Readiness::new(["connections", "watches"], metrics.clone());
        let run = run(
            Arc::clone(&controls),
            holder.clone(),
            holding.clone(),
            readiness.clone(),
            metrics.clone(),
            setup.clone(),
        );
        let killed = controls.killed.clone();
        let thread = std::thread::Builder::new()
            // As the main thread has it, on which the operator runs: futures are large without optimization.
            .stack_size(8 * 1024 * 1024)
            .name(format!("replica-{number}"))
            .spawn(move || {
                let end = runtime.block_on(async {
                    tokio::select! {
                        biased;
                        () = killed.cancelled() => End::Killed,
                        exit = run => End::Exited(exit),
                    }
                });
                runtime.shutdown_background();
                end
            })
            .unwrap();
        Self {
            controls,
            holder,
            holding,
            readiness,
            metrics,
            handle,
            thread: Some(thread),
        }
    }

    /// How many reconciliations it has finished.
    pub fn reconciled(&self) -> u64 {
        let text = self.metrics.encode();
        let name = "zitadel_secret_operator_reconciles_total";
        let counts = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(name)?;
            rest.rsplit(' ').next()?.parse::<u64>().ok()
        });
        counts.sum()
    }

    /// What to print of it when a test fails.
    pub fn state(&self) -> String {
        let controls = &self.controls;
        format!(
            "{}: dead {}, frozen {}, ended {}, stopped {:?}, {:?}",
            controls.number,
            controls.is_dead(),
            controls.is_frozen(),
            self.has_ended(),
            controls.stopped_at(),
            self.readiness.report()
        )
    }

    /// Whether it sees everything it watches.
    pub fn is_ready(&self) -> bool {
        self.readiness.report().0
    }

    /// Blocks its thread from wherever it is, until it is thawed.
    pub async fn freeze(&self) {
        let controls = Arc::clone(&self.controls);
        self.handle.spawn(async move { controls.freeze_here() });
        while !self.controls.is_frozen() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    }

    pub fn has_ended(&self) -> bool {
        self.thread.as_ref().is_none_or(JoinHandle::is_finished)
    }

    /// Waits for the end.
    pub async fn ended(&mut self) -> End {
        let thread = self.thread.take().unwrap();
        tokio::task::spawn_blocking(move || thread.join().unwrap())
            .await
            .unwrap()
    }
}

impl Drop for Replica {
    fn drop(&mut self) {
        self.controls.kill();
    }
}

/// What `operator::run` does, with this replica's clients, times and signals.
async fn run(
    controls: Arc<Controls>,
    holder: Holder,
    holding: Holding,
    readiness: Readiness,
    metrics: Metrics,
    setup: Setup,
) -> ExitCode {
    let clock: Arc<dyn Clock> = Arc::new(SkewedClock(Arc::clone(&setup.skew)));
    let api_clock = ServerClock::new(Arc::clone(&clock));
    let kubeconfig = Kubeconfig::read_from(&setup.kubeconfig).unwrap();
    let mut config =
        kube::Config::from_custom_kubeconfig(kubeconfig, &KubeConfigOptions::default())
            .await
            .unwrap();
    config.default_retry = false;
    let signals = controls.signals.clone();
    let faults = FaultLayer {
        wire: Arc::clone(&setup.wire),
        controls,
        namespace: setup.namespace.clone(),
    };
    let deadline = KubeRequestLayer::new(metrics.clone(), api_clock.clone(), DEADLINE);
    let client = move || {
        ClientBuilder::try_from(config.clone())
            .unwrap()
            .with_layer(&faults)
            .with_layer(&deadline)
            .build()
    };
    let relist = Relist::default();
    let lead_clock = Arc::clone(&clock);
    let election = setup.leader_election.then(|| {
        let identity = Identity {
            pod: holder.pod.clone(),
            process: holder.process.clone(),
        };
        let timing = leader::LeaseTiming {
            lease: Duration::from_millis(1500),
            renew_deadline: Duration::from_millis(1000),
            retry: Duration::from_millis(200),
            jitter: 0.2,
        };
        LeaderElector::new(
            client(),
            &setup.operator_namespace,
            LEADER_LEASE,
            identity,
            timing,
            clock.clone(),
            relist.clone(),
        )
        .unwrap()
    });
    let lead = match &election {
        Some(elector) => elector.watch(),
        None => LeadershipWatch::always(lead_clock),
    };
    let parts = ProcessHandles {
        client: client(),
        flush_client: client(),
        settings: Settings {
            namespace: setup.operator_namespace.clone(),
            holder: holder.clone(),
            timing: setup.timing,
            minimum_interval: Duration::from_secs(1),
            drift_interval: Duration::from_secs(1),
            scope: Scope::Cluster,
            class: zitadel_secret_operator::api::DEFAULT_CLASS.to_owned(),
            consumers: Abilities {
                refresh: setup.sees_pods,
                restart: false,
            },
            consumer_spans: Spans::new(CONSUMERS),
        },
        clock: Arc::clone(&clock),
        api_clock,
        metrics,
        denied: DeniedRequests::default(),
        holding: holding.clone(),
        lead,
        stop: signals.stop.clone(),
        relist: relist.clone(),
    };
    let work = async move {
        let release = CancellationToken::new();
        let election = election.map(|elector| tokio::spawn(elector.run(release.clone())));
        controllers::run(parts, readiness).await;
        release.cancel();
        if let Some(election) = election {
            let _ = election.await;
        }
    };
    drain(work, &holding, &signals, Duration::from_secs(60)).await
}
