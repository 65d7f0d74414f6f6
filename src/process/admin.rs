//! The admin server: `/live`, `/ready` and `/metrics` over plain HTTP/1.
//!
//! It is bound before anything else, so that a port in use ends the process before it has claimed anything. It serves until the very
//! end, so that a drain can be observed.
//!
//! Any client that reaches the port may open connections and send nothing. The kubelet must be answered nevertheless: otherwise it
//! would restart the container, and a held value would be lost.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::IntoResponse;
use axum::routing::get;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Mutex;
use tokio_util::sync::CancellationToken;

use super::log_limit::LogLimit;
use super::metrics::{self, Metrics};
use super::readiness::{Heartbeat, Readiness};

mod open;

use open::Open;

/// Limits for clients.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Concurrent connections. One more closes an open one.
    pub connections: usize,
    /// Deadline for the request line and the headers.
    pub header_read: Duration,
    /// Deadline for a connection, from accept to close. It serves one request.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header_read: Duration::from_secs(2),
            connection: Duration::from_secs(10),
        }
    }
}

/// The admin server cannot listen on the address.
#[derive(Debug, thiserror::Error)]
#[error("the admin server cannot listen on {address}")]
pub struct BindError {
    /// The configured address.
    pub address: SocketAddr,
    /// The error of the system.
    source: std::io::Error,
}

/// The state that the server reports.
#[derive(Clone)]
pub struct AdminState {
    /// For `/ready`.
    pub readiness: Readiness,
    /// For `/live`.
    pub heartbeat: Heartbeat,
    /// For `/metrics`.
    pub metrics: Metrics,
}

/// A server that is bound but does not serve yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// Binds the port. Port 0 selects a free one, see [`Admin::address`]. `[::]` also serves IPv4; on a host without IPv6, it falls back to
/// `0.0.0.0`.
pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Admin, BindError> {
    let failed = |source| BindError { address, source };
    let listener = match TcpListener::bind(address).await {
        Err(_) if address.ip() == IpAddr::V6(Ipv6Addr::UNSPECIFIED) => {
            TcpListener::bind((Ipv4Addr::UNSPECIFIED, address.port())).await
        }
        bound => bound,
    };
    let listener = listener.map_err(failed)?;
    let address = listener.local_addr().map_err(failed)?;
    Ok(Admin {
        listener,
        address,
        limits,
    })
}

impl Admin {
    /// The address it is bound to.
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until `stop`. Connections that are still open then end with the runtime.
    pub async fn serve(self, state: AdminState, stop: CancellationToken) {
        let service = TowerToHyperService::new(routes(state));
        let mut open = Open::new(self.limits.connections);
        let log = LogLimit::default();
        let serve = async {
            loop {
                match self.listener.accept().await {
                    Ok((stream, peer)) => {
                        let connection = serve_one(stream, service.clone(), self.limits);
                        open.make_room(peer.ip());
                        open.add(peer.ip(), tokio::spawn(connection).abort_handle());
                    }
                    // Out of file descriptors, or the peer has already left: a busy loop helps with neither.
                    Err(error) => {
                        if let Some(left_out) = log.allows("accept") {
                            tracing::warn!(%error, left_out, "the admin server cannot accept a connection");
                        }
                        tokio::time::sleep(Duration::from_millis(200)).await;
                    }
                }
            }
        };
        stop.run_until_cancelled(serve).await;
    }
}

async fn serve_one(stream: TcpStream, service: TowerToHyperService<Router>, limits: Limits) {
    let connection = hyper::server::conn::http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.header_read)
        // A probe or scrape is one request; no client may keep a connection.
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection broke"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

fn routes(state: AdminState) -> Router {
    let one_at_a_time = Arc::new(Mutex::new(()));
    let metrics =
        move |State(state): State<AdminState>| exposition(state, Arc::clone(&one_at_a_time));
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(metrics))
        .with_state(state)
}

async fn live(State(state): State<AdminState>) -> impl IntoResponse {
    if state.heartbeat.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the runtime is stuck\n")
    }
}

async fn ready(State(state): State<AdminState>) -> impl IntoResponse {
    let (ready, text) = state.readiness.report();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text)
}

/// NB: with many objects this takes a while, so it never runs on a worker of the runtime.
async fn exposition(state: AdminState, one_at_a_time: Arc<Mutex<()>>) -> impl IntoResponse {
    let _guard = one_at_a_time.lock().await;
    let metrics = state.metrics;
    match tokio::task::spawn_blocking(move || metrics.encode()).await {
        Ok(text) => Ok(([(header::CONTENT_TYPE, metrics::CONTENT_TYPE)], text)),
        Err(_) => Err(StatusCode::INTERNAL_SERVER_ERROR),
    }
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::process::readiness::Check;

    async fn started(limits: Limits) -> (SocketAddr, AdminState, CancellationToken) {
        let stop = CancellationToken::new();
        let metrics = Metrics::new();
        let state = AdminState {
            readiness: Readiness::new(["crds"], metrics.clone()),
            heartbeat: Heartbeat::start(stop.clone()),
            metrics,
        };
        let admin = bind(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
        let address = admin.address();
        tokio::spawn(admin.serve(state.clone(), stop.clone()));
        (address, state, stop)
    }

    #[tokio::test]
    async fn the_default_address_serves_both_families() {
        let any = (Ipv6Addr::UNSPECIFIED, 0).into();
        let admin = bind(any, Limits::default()).await.unwrap();
        let port = admin.address().port();
        assert!(
            TcpStream::connect((Ipv4Addr::LOCALHOST, port))
                .await
                .is_ok()
        );
        if admin.address().is_ipv6() {
            assert!(
                TcpStream::connect((Ipv6Addr::LOCALHOST, port))
                    .await
                    .is_ok()
            );
        }
    }

    async fn get(address: SocketAddr, path: &str) -> String {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let request = format!("GET {path} HTTP/1.1\r\nhost: admin\r\n\r\n");
        stream.write_all(request.as_bytes()).await.unwrap();
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.unwrap();
        answer
    }

    #[tokio::test]
    async fn a_process_is_live_before_it_is_ready() {
        let (address, state, _stop) = started(Limits::default()).await;
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/ready").await.starts_with("HTTP/1.1 503 "));
        state.readiness.set("crds", Check::Ok);
        let answer = get(address, "/ready").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("[+] crds: ok\n"), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn metrics_are_served_as_openmetrics() {
        let (address, state, _stop) = started(Limits::default()).await;
        state.metrics.set_leader(true);
        let answer = get(address, "/metrics").await;
        assert!(
            answer.contains(&format!("content-type: {}\r\n", metrics::CONTENT_TYPE)),
            "{answer}"
        );
        assert!(
            answer.contains("zitadel_secret_operator_leader 1\n"),
            "{answer}"
        );
    }

    #[tokio::test]
    async fn a_slow_scrape_delays_no_probe() {
        let (address, state, _stop) = started(Limits::default()).await;
        let (start, mut started) = tokio::sync::mpsc::unbounded_channel();
        let (finish, finished) = std::sync::mpsc::channel::<()>();
        let finished = std::sync::Mutex::new(finished);
        let (late, is_late) = tokio::sync::watch::channel(false);
        state.metrics.set_inventory(Box::new(move || {
            start.send(()).unwrap();
            let waited = finished
                .lock()
                .unwrap()
                .recv_timeout(Duration::from_secs(10));
            late.send_replace(waited.is_err());
            None
        }));
        let scrape = tokio::spawn(get(address, "/metrics"));
        started.recv().await.unwrap();
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200 "));
        finish.send(()).unwrap();
        assert!(scrape.await.unwrap().starts_with("HTTP/1.1 200 "));
        assert!(!*is_late.borrow(), "the probe had to wait for the scrape");
    }

    // NB: elsewhere the other addresses of the loopback are not there from the beginning.
    #[cfg(target_os = "linux")]
    #[tokio::test(flavor = "multi_thread", worker_threads = 2)]
    async fn clients_that_send_nothing_do_not_keep_the_kubelet_from_its_answer() {
        const SILENT: usize = 200;
        /// Longer than a busy machine delays an answer, and shorter than a silent client may stay.
        const PATIENCE: Duration = Duration::from_secs(30);
        /// A connection from an address of this host.
        async fn connect_from(peer: [u8; 4], address: SocketAddr) -> std::io::Result<TcpStream> {
            let socket = tokio::net::TcpSocket::new_v4()?;
            socket.bind((peer, 0).into())?;
            socket.connect(address).await
        }
        let limits = Limits {
            header_read: PATIENCE * 4,
            connection: PATIENCE * 4,
            ..Limits::default()
        };
        let (address, ..) = started(limits).await;
        let (opened, mut all_open) = tokio::sync::watch::channel(0);
        for peer in [[127, 0, 0, 2], [127, 0, 0, 3]] {
            for _ in 0..SILENT / 2 {
                let opened = opened.clone();
                // Opens another one whenever its own is closed.
                tokio::spawn(async move {
                    loop {
                        if let Ok(mut silent) = connect_from(peer, address).await {
                            opened.send_modify(|count| *count += 1);
                            let _ = silent.read(&mut [0]).await;
                        } else {
                            // NB: it fails at once where there is no free port, and the others must go on.
                            tokio::task::yield_now().await;
                        }
                    }
                });
            }
        }
        all_open.wait_for(|count| *count >= SILENT).await.unwrap();
        for probe in 0..20 {
            let answer = tokio::time::timeout(PATIENCE, get(address, "/live")).await;
            let answer = answer.unwrap_or_else(|_| panic!("probe {probe} was not answered"));
            assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        }
    }

    #[tokio::test]
    async fn an_address_that_is_taken_is_an_error_that_names_it() {
        let taken = bind(([127, 0, 0, 1], 0).into(), Limits::default())
            .await
            .unwrap();
        let error = bind(taken.address(), Limits::default()).await.unwrap_err();
        assert!(error.to_string().contains(&taken.address().to_string()));
    }

    #[tokio::test]
    async fn a_stopped_server_gives_its_port_back() {
        let (address, _, stop) = started(Limits::default()).await;
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200 "));
        stop.cancel();
        let freed = async {
            while TcpStream::connect(address).await.is_ok() {
                tokio::task::yield_now().await;
            }
        };
        tokio::time::timeout(Duration::from_secs(10), freed)
            .await
            .unwrap();
    }
}
