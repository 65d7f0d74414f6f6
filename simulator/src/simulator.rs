//! The running simulator: start, settings, faults, gates, ledger, stop.

use std::collections::HashMap;
use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Condvar, Mutex};
use std::thread::JoinHandle;
use std::time::Duration;

use tokio::sync::{oneshot, watch};

use crate::config::{Availability, Config, Settings};
use crate::faults::Faults;
use crate::faults::actions::Cut;
use crate::faults::gates::Gates;
use crate::ledger::Ledger;
use crate::server::shared::Shared;
use crate::server::tls::{self, TlsError};
use crate::server::wire::Control;
use crate::world::World;
use crate::world::instance::Hosts;
use crate::{lock, server};

/// Why the simulator did not start.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is not to be had, or there is no thread.
    #[error("cannot listen: {0}")]
    Listen(#[from] std::io::Error),
    /// No certificate.
    #[error(transparent)]
    Tls(#[from] TlsError),
}

/// A running simulator. It lives in a thread and a runtime of its own, so it may be used from any test, async or not;
/// methods block for a lock only, those that open or close ports and connections for milliseconds. Clones are the same simulator; it stops when the last one is dropped.
#[derive(Clone, Debug)]
pub struct Simulator {
    pub(crate) shared: Arc<Shared>,
    address: SocketAddr,
    ca_pem: Option<Arc<str>>,
    running: Arc<Running>,
}

/// The server's thread, which ends when this is dropped.
#[derive(Debug)]
struct Running {
    stop: Mutex<Option<oneshot::Sender<()>>>,
    thread: Mutex<Option<JoinHandle<()>>>,
}

impl Running {
    fn stop(&self) {
        lock(&self.stop).take();
        if let Some(thread) = lock(&self.thread).take() {
            // A panic in the server's thread is shown by the thread itself.
            let _ = thread.join();
        }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.stop();
    }
}

impl Simulator {
    /// Starts with an empty world. Connections are accepted when this returns.
    pub fn start(config: Config) -> Result<Self, StartError> {
        let listener = TcpListener::bind(config.listen)?;
        listener.set_nonblocking(true)?;
        let names = ["localhost", "127.0.0.1", "::1"].map(str::to_owned);
        let tls = config.tls.then(|| {
            tls::acceptor(
                names
                    .into_iter()
                    .chain(config.external_hosts.clone())
                    .collect(),
            )
        });
        let (tls, ca_pem) = tls.transpose()?.unzip();
        let shared = Arc::new(Shared {
            settings: watch::Sender::new(config.settings),
            world: Mutex::new(World::new()),
            faults: Faults::default(),
            gates: Gates::default(),
            ledger: Ledger::default(),
            hosts: Hosts::new(&config.external_hosts),
            tls: config.tls,
            attempt_header: config.attempt_header,
            connections: (Mutex::default(), Condvar::new()),
            listening: (Mutex::new(true), Condvar::new()),
        });
        let address = listener.local_addr()?;
        let runtime = tokio::runtime::Builder::new_multi_thread()
            .worker_threads(config.threads.max(1))
            .thread_name("zitadel-simulator")
            .enable_all()
            .build()?;
        let (stop, stopped) = oneshot::channel::<()>();
        let served = Arc::clone(&shared);
        let thread = std::thread::Builder::new()
            .name("zitadel-simulator".to_owned())
            .spawn(move || {
                runtime.block_on(async move {
                    if let Ok(listener) = tokio::net::TcpListener::from_std(listener) {
                        tokio::spawn(server::listen(served, address, listener, tls));
                    }
                    // An error means that the last handle is gone: stop as well.
                    let _ = stopped.await;
                });
                runtime.shutdown_timeout(Duration::from_millis(100));
            })?;
        let running = Running {
            stop: Mutex::new(Some(stop)),
            thread: Mutex::new(Some(thread)),
        };
        Ok(Self {
            shared,
            address,
            ca_pem: ca_pem.map(Arc::from),
            running: Arc::new(running),
        })
    }

    /// Stops listening, ends every connection, and waits until that is done, whatever clones there are.
    pub fn shutdown(self) {
        self.running.stop();
    }

    /// Address of the ZITADEL side.
    pub const fn address(&self) -> SocketAddr {
        self.address
    }

    /// URL of the ZITADEL side without a trailing slash: the issuer for clients that use it as it is.
    pub fn url(&self) -> String {
        format!(
            "{}://{}",
            if self.shared.tls { "https" } else { "http" },
            self.address
        )
    }

    /// The CA to trust, as PEM, if the simulator speaks TLS.
    pub fn ca_pem(&self) -> Option<&str> {
        self.ca_pem.as_deref()
    }

    /// Present settings.
    pub fn settings(&self) -> Settings {
        self.shared.settings()
    }

    /// Changes settings; in force when this returns, also where the port is opened or closed.
    pub fn configure(&self, change: impl FnOnce(&mut Settings)) {
        self.shared.configure(change);
    }

    /// Changes whether and how the server can be reached.
    pub fn set_availability(&self, availability: Availability) {
        self.configure(|settings| settings.availability = availability);
    }
}

impl Shared {
    pub(crate) fn configure(&self, change: impl FnOnce(&mut Settings)) {
        let mut before = Availability::Up;
        let mut after = Availability::Up;
        self.settings.send_modify(|settings| {
            before = settings.availability;
            change(settings);
            after = settings.availability;
        });
        if before == after {
            return;
        }
        let broken = |availability| {
            use Availability as A;
            matches!(
                availability,
                A::Refusing | A::Resetting | A::Hanging | A::Garbage
            )
        };
        if broken(before) || broken(after) {
            self.cut_connections(Cut::Reset);
        }
        let wanted = after != Availability::Refusing;
        let listening = lock(&self.listening.0);
        // NB: the port comes back when it is free; a test sees a refused connection if that takes longer.
        drop(
            self.listening
                .1
                .wait_timeout_while(listening, PATIENCE, |listening| *listening != wanted),
        );
    }

    /// Ends every connection that is open now, and waits until they have ended.
    pub(crate) fn cut_connections(&self, cut: Cut) {
        let open = lock(&self.connections.0);
        let cut_ones: Vec<u64> = open.keys().copied().collect();
        for control in open.values() {
            control.cut(cut);
        }
        let waits =
            |open: &mut HashMap<u64, Arc<Control>>| cut_ones.iter().any(|id| open.contains_key(id));
        drop(self.connections.1.wait_timeout_while(open, PATIENCE, waits));
    }
}

/// How long a change of the listener or the connections may take; it is a matter of milliseconds.
const PATIENCE: Duration = Duration::from_secs(5);
