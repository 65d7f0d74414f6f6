//! A reverse proxy on the loopback interface between the operator and ZITADEL, which can lose the answer of one generate call.
//!
//! It understands HTTP, so it cuts single answers of an https ZITADEL, too: the operator dials it by plain http, which is allowed for loopback
//! addresses, and it dials ZITADEL as any client does, with the certificate authorities of the system.

use std::convert::Infallible;
use std::fmt;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use http::header::{CONNECTION, CONTENT_LENGTH, HOST, TRANSFER_ENCODING};
use http::{HeaderMap, HeaderName, Request, Response, StatusCode};
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::TokioIo;
use jiff::Timestamp;
use serde_json::Value;
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{JoinHandle, JoinSet};

/// What happens to a generate call.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Fault {
    /// ZITADEL carries it out, and the connection ends without an answer.
    LoseAnswer,
    /// ZITADEL carries it out, and the answer never comes.
    HoldAnswer,
    /// It never reaches ZITADEL, and no answer comes.
    HoldRequest,
}

/// A generate call that ZITADEL carried out and whose answer the operator never saw.
#[derive(Clone, Debug)]
pub struct Lost {
    /// The application.
    pub app: String,
    /// By ZITADEL's answer: the date of the event.
    pub date: Timestamp,
}

#[derive(Default)]
struct State {
    armed: Option<Fault>,
    /// Faults that happened.
    struck: usize,
    lost: Vec<Lost>,
}

struct Shared {
    upstream: String,
    http: reqwest::Client,
    state: Mutex<State>,
}

/// The proxy, until it is dropped.
pub struct Cutter {
    address: SocketAddr,
    shared: Arc<Shared>,
    running: JoinHandle<()>,
}

impl Cutter {
    /// Starts one in front of this URL.
    pub async fn start(upstream: &str) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let http = reqwest::Client::builder().redirect(reqwest::redirect::Policy::none());
        let shared = Arc::new(Shared {
            upstream: upstream.to_owned(),
            http: http.build().unwrap(),
            state: Mutex::default(),
        });
        Self {
            address: listener.local_addr().unwrap(),
            running: tokio::spawn(accept(listener, Arc::clone(&shared))),
            shared,
        }
    }

    /// Where the operator dials.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// The next generate call meets this fault.
    pub fn arm(&self, fault: Fault) {
        self.shared.state.lock().unwrap().armed = Some(fault);
    }

    /// How many faults happened.
    pub fn struck(&self) -> usize {
        self.shared.state.lock().unwrap().struck
    }

    /// The answers that were lost.
    pub fn lost(&self) -> Vec<Lost> {
        self.shared.state.lock().unwrap().lost.clone()
    }
}

impl Drop for Cutter {
    fn drop(&mut self) {
        self.running.abort();
    }
}

/// Ends the connection of a call without an answer.
#[derive(Debug)]
struct Cut;

impl fmt::Display for Cut {
    fn fmt(&self, formatter: &mut fmt::Formatter<'_>) -> fmt::Result {
        formatter.write_str("cut")
    }
}

impl std::error::Error for Cut {}

async fn accept(listener: TcpListener, shared: Arc<Shared>) {
    // NB: those that are under way end with this task.
    let mut connections = JoinSet::new();
    while let Ok((stream, _)) = listener.accept().await {
        connections.spawn(serve(stream, Arc::clone(&shared)));
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let service = service_fn(move |request| {
        let shared = Arc::clone(&shared);
        async move { shared.pass(request).await }
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    // An error is a fault of this proxy or the end of the operator.
    let _ = connection.await;
}

impl Shared {
    async fn pass(&self, request: Request<Incoming>) -> Result<Response<Body>, Cut> {
        let (head, body) = request.into_parts();
        let body = to_bytes(Body::new(body), usize::MAX)
            .await
            .map_err(|_| Cut)?;
        let path = head.uri.path_and_query().map_or("/", |path| path.as_str());
        let app = generated_app(path, &body);
        let fault = app.as_ref().and_then(|_| self.strike());
        if fault == Some(Fault::HoldRequest) {
            let _: Infallible = std::future::pending().await;
        }
        let request = self
            .http
            .request(head.method, format!("{}{path}", self.upstream))
            .headers(end_to_end(head.headers))
            .body(body);
        // NB: what ZITADEL did not answer is no fault of this proxy's: the operator gets what a gateway says.
        let Ok(answer) = request.send().await else {
            return Ok(bad_gateway());
        };
        let (status, headers) = (answer.status(), end_to_end(answer.headers().clone()));
        let Ok(body) = answer.bytes().await else {
            return Ok(bad_gateway());
        };
        if let (Some(fault), Some(app)) = (fault, app) {
            self.lose(app, &body);
            if fault == Fault::HoldAnswer {
                let _: Infallible = std::future::pending().await;
            }
            return Err(Cut);
        }
        let mut answer = Response::new(Body::from(body));
        *answer.status_mut() = status;
        *answer.headers_mut() = headers;
        Ok(answer)
    }

    /// Takes the fault that this generate call meets. A request that is held has happened from here on.
    fn strike(&self) -> Option<Fault> {
        let mut state = self.state.lock().unwrap();
        let fault = state.armed.take()?;
        state.struck += usize::from(fault == Fault::HoldRequest);
        Some(fault)
    }

    /// Remembers an answer that the operator does not get, but for its client secret. A refusal generated nothing.
    fn lose(&self, app: String, body: &Bytes) {
        let mut state = self.state.lock().unwrap();
        state.struck += 1;
        let body: Value = serde_json::from_slice(body).unwrap_or_default();
        let date = [&body["details"]["changeDate"], &body["creationDate"]];
        let date = date
            .into_iter()
            .find_map(|date| date.as_str()?.parse().ok());
        state.lost.extend(date.map(|date| Lost { app, date }));
    }
}

/// The application of a generate call; nothing for other calls.
fn generated_app(path: &str, body: &[u8]) -> Option<String> {
    if path.ends_with("/_generate_client_secret") {
        return path.rsplit('/').nth(2).map(str::to_owned);
    }
    if !path.ends_with(".ApplicationService/GenerateClientSecret") {
        return None;
    }
    let body: Value = serde_json::from_slice(body).unwrap_or_default();
    body["applicationId"].as_str().map(str::to_owned)
}

/// Without what is between two programs only.
fn end_to_end(mut headers: HeaderMap) -> HeaderMap {
    let own = [HOST, CONNECTION, CONTENT_LENGTH, TRANSFER_ENCODING];
    let kept = HeaderName::from_static("keep-alive");
    for name in own.into_iter().chain([kept]) {
        headers.remove(name);
    }
    headers
}

fn bad_gateway() -> Response<Body> {
    let mut answer = Response::new(Body::empty());
    *answer.status_mut() = StatusCode::BAD_GATEWAY;
    answer
}
