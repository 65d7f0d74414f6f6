//! The admin server: `/live`, `/ready` and `/metrics` over plain HTTP/1.
//!
//! It is bound before anything else, so a port that is taken ends the process before it has claimed anything, and it
//! serves until the very end, so that a drain can be watched.

use std::net::SocketAddr;
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
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use super::metrics::{self, Metrics};
use super::readiness::{Heartbeat, Readiness};

/// What one client may cost.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Connections at once; more wait in the backlog of the socket.
    pub connections: usize,
    /// For the request line and the headers.
    pub header_read: Duration,
    /// For a connection from accept to close, which serves one request.
    pub connection: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: 64,
            header_read: Duration::from_secs(5),
            connection: Duration::from_secs(10),
        }
    }
}

/// The address cannot be listened on.
#[derive(Debug, thiserror::Error)]
#[error("the admin server cannot listen on {address}")]
pub struct BindError {
    /// What was asked for.
    pub address: SocketAddr,
    /// What the system says.
    source: std::io::Error,
}

/// What the server tells about.
#[derive(Clone)]
pub struct Subject {
    /// For `/ready`.
    pub readiness: Readiness,
    /// For `/live`.
    pub heartbeat: Heartbeat,
    /// For `/metrics`.
    pub metrics: Metrics,
}

/// A server that is bound and not serving yet.
#[derive(Debug)]
pub struct Admin {
    listener: TcpListener,
    address: SocketAddr,
    limits: Limits,
}

/// Binds the port. Port 0 takes a free one, see [`Admin::address`].
pub async fn bind(address: SocketAddr, limits: Limits) -> Result<Admin, BindError> {
    let failed = |source| BindError { address, source };
    let listener = TcpListener::bind(address).await.map_err(failed)?;
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

    /// Serves until `stop`. Connections that are open then end with the runtime.
    pub async fn serve(self, subject: Subject, stop: CancellationToken) {
        let service = TowerToHyperService::new(routes(subject));
        let slots = Arc::new(Semaphore::new(self.limits.connections));
        let serve = async {
            loop {
                // NB: the semaphore is never closed.
                let Ok(slot) = Arc::clone(&slots).acquire_owned().await else {
                    return;
                };
                match self.listener.accept().await {
                    Ok((stream, _)) => {
                        let service = service.clone();
                        let limits = self.limits;
                        tokio::spawn(async move {
                            serve_one(stream, service, limits).await;
                            drop(slot);
                        });
                    }
                    // Out of file descriptors, or the peer was faster: neither is helped by a busy loop.
                    Err(error) => {
                        tracing::warn!(%error, "the admin server cannot accept a connection");
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
        // A probe or scrape is one request; nobody may keep a slot.
        .keep_alive(false)
        .max_buf_size(16 * 1024)
        .serve_connection(TokioIo::new(stream), service);
    match tokio::time::timeout(limits.connection, connection).await {
        Ok(Ok(())) => {}
        Ok(Err(error)) => tracing::debug!(%error, "an admin connection broke"),
        Err(_) => tracing::debug!("an admin connection took too long"),
    }
}

fn routes(subject: Subject) -> Router {
    Router::new()
        .route("/live", get(live))
        .route("/ready", get(ready))
        .route("/metrics", get(exposition))
        .with_state(subject)
}

async fn live(State(subject): State<Subject>) -> impl IntoResponse {
    if subject.heartbeat.alive() {
        (StatusCode::OK, "ok\n")
    } else {
        (StatusCode::SERVICE_UNAVAILABLE, "the runtime is stuck\n")
    }
}

async fn ready(State(subject): State<Subject>) -> impl IntoResponse {
    let (ready, text) = subject.readiness.report();
    let status = if ready {
        StatusCode::OK
    } else {
        StatusCode::SERVICE_UNAVAILABLE
    };
    (status, text)
}

async fn exposition(State(subject): State<Subject>) -> impl IntoResponse {
    (
        [(header::CONTENT_TYPE, metrics::CONTENT_TYPE)],
        subject.metrics.encode(),
    )
}

#[cfg(test)]
mod tests {
    use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};

    use super::*;
    use crate::runtime::readiness::Check;

    async fn started(limits: Limits) -> (SocketAddr, Subject, CancellationToken) {
        let stop = CancellationToken::new();
        let subject = Subject {
            readiness: Readiness::new(["crds"]),
            heartbeat: Heartbeat::start(stop.clone()),
            metrics: Metrics::new(),
        };
        let admin = bind(([127, 0, 0, 1], 0).into(), limits).await.unwrap();
        let address = admin.address();
        tokio::spawn(admin.serve(subject.clone(), stop.clone()));
        (address, subject, stop)
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
        let (address, subject, _stop) = started(Limits::default()).await;
        assert!(get(address, "/live").await.starts_with("HTTP/1.1 200 "));
        assert!(get(address, "/ready").await.starts_with("HTTP/1.1 503 "));
        subject.readiness.set("crds", Check::Ok);
        let answer = get(address, "/ready").await;
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(answer.ends_with("[+] crds: ok\n"), "{answer}");
        assert!(get(address, "/").await.starts_with("HTTP/1.1 404 "));
    }

    #[tokio::test]
    async fn metrics_are_served_as_openmetrics() {
        let (address, subject, _stop) = started(Limits::default()).await;
        subject.metrics.set_leader(true);
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
    async fn clients_that_send_nothing_do_not_keep_the_server_from_others() {
        let limits = Limits {
            connections: 2,
            header_read: Duration::from_millis(50),
            connection: Duration::from_millis(100),
        };
        let (address, ..) = started(limits).await;
        let mut silent = Vec::new();
        for _ in 0..4 {
            silent.push(TcpStream::connect(address).await.unwrap());
        }
        let answer = tokio::time::timeout(Duration::from_secs(10), get(address, "/live")).await;
        assert!(answer.unwrap().starts_with("HTTP/1.1 200 "));
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
