//! Listens, takes connections, speaks HTTP/1.1, h2 and h2c on one port, as ZITADEL does.
//!
//! [`exchange`] takes one request from arrival to answer.

pub(crate) mod exchange;
pub(crate) mod shared;
pub(crate) mod tls;
pub(crate) mod wire;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::body::{Body, to_bytes};
use bytes::Bytes;
use futures_util::stream;
use http::{Request, Response};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use jiff::fmt::rfc2822::DateTimePrinter;
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio_rustls::TlsAcceptor;

use crate::config::Availability;
use crate::faults::actions::Cut;
use crate::routes::answer::{Answer, Delivery, End};
use crate::server::exchange::Arrival;
use crate::server::shared::Shared;
use crate::server::wire::{Control, Wire};

/// Largest request body that is read.
const MAX_BODY: usize = 1 << 20;

/// Accepts connections for ever, except while the server is to refuse them.
pub(crate) async fn listen(
    shared: Arc<Shared>,
    address: SocketAddr,
    first: TcpListener,
    tls: Option<TlsAcceptor>,
) {
    let mut settings = shared.settings.subscribe();
    let mut listener = first;
    let numbers = AtomicU64::new(1);
    loop {
        loop {
            tokio::select! {
                accepted = listener.accept() => if let Ok((stream, _)) = accepted {
                    let control = Control::new(numbers.fetch_add(1, Ordering::Relaxed));
                    tokio::spawn(connection(Arc::clone(&shared), stream, control, tls.clone()));
                },
                _ = settings.wait_for(|settings| settings.availability == Availability::Refusing) => break,
            }
        }
        drop(listener);
        shared.set_listening(false);
        let _ = settings
            .wait_for(|settings| settings.availability != Availability::Refusing)
            .await;
        listener = loop {
            match TcpListener::bind(address).await {
                Ok(listener) => break listener,
                // Another process may hold the port for a moment.
                Err(_) => tokio::time::sleep(Duration::from_millis(10)).await,
            }
        };
        shared.set_listening(true);
    }
}

async fn connection(
    shared: Arc<Shared>,
    stream: TcpStream,
    control: Arc<Control>,
    tls: Option<TlsAcceptor>,
) {
    // Without it answers only come later.
    let _ = stream.set_nodelay(true);
    shared.ledger.connect();
    shared.connected(Arc::clone(&control));
    let wire = Wire::new(stream, Arc::clone(&control));
    tokio::select! {
        () = converse(&shared, wire, &control, tls) => {}
        () = control.ended() => {}
    }
    shared.disconnected(&control);
}

async fn converse(
    shared: &Arc<Shared>,
    mut wire: Wire,
    control: &Arc<Control>,
    tls: Option<TlsAcceptor>,
) {
    match shared.settings().availability {
        Availability::Refusing | Availability::Resetting => {
            // Whatever arrives, or the client's end, is what it waits for.
            let _ = wire.read(&mut [0]).await;
            control.cut(Cut::Reset);
            std::future::pending::<()>().await;
        }
        Availability::Hanging => std::future::pending().await,
        Availability::Garbage => {
            // The client may have gone.
            let _ = wire
                .write_all(b"\x00\x01\x02 neither TLS nor HTTP\r\n\r\n")
                .await;
        }
        _ => match tls {
            None => speak_http(shared, wire, control).await,
            Some(tls) => {
                if let Ok(stream) = tls.accept(wire).await {
                    speak_http(shared, stream, control).await;
                }
            }
        },
    }
}

async fn speak_http<S>(shared: &Arc<Shared>, stream: S, control: &Arc<Control>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let service = service_fn(|request| {
        let (shared, control) = (Arc::clone(shared), Arc::clone(control));
        async move { Ok::<_, Infallible>(serve(shared, control, request).await) }
    });
    let builder = Builder::new(TokioExecutor::new());
    // An error is the client's hanging up, or a fault.
    let _ = builder
        .serve_connection(TokioIo::new(stream), service)
        .await;
}

async fn serve(
    shared: Arc<Shared>,
    control: Arc<Control>,
    request: Request<Incoming>,
) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let Ok(body) = to_bytes(Body::new(body), MAX_BODY).await else {
        return respond(
            &shared,
            Answer::new(413, "text/plain", "request too large\n"),
        );
    };
    let arrival = Arrival {
        connection: control.id,
        method: parts.method,
        uri: parts.uri,
        version: parts.version,
        headers: parts.headers,
        body,
    };
    let (client, delivery) = oneshot::channel();
    tokio::spawn(exchange::work(Arc::clone(&shared), arrival, client));
    match delivery.await {
        Ok(Delivery::Answer(answer)) => respond(&shared, answer),
        Ok(Delivery::Drop(cut)) => end(&control, cut).await,
        Ok(Delivery::RolledBack) | Err(_) => end(&control, Cut::Close).await,
    }
}

/// Ends the connection; never returns, because its task is dropped with it.
async fn end(control: &Control, cut: Cut) -> Response<Body> {
    control.cut(cut);
    std::future::pending().await
}

fn respond(shared: &Shared, answer: Answer) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = http::StatusCode::from_u16(answer.status)
        .unwrap_or(http::StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    for (name, value) in &answer.headers {
        if let (Ok(name), Ok(value)) = (
            http::HeaderName::try_from(name),
            http::HeaderValue::try_from(value),
        ) {
            headers.append(name, value);
        }
    }
    let date = DateTimePrinter::new().timestamp_to_rfc9110_string(&shared.now());
    if let Some(date) = date
        .ok()
        .and_then(|date| http::HeaderValue::try_from(date).ok())
    {
        headers.insert(http::header::DATE, date);
    }
    if let End::CutAfter(_) = answer.end {
        headers.insert(http::header::CONTENT_LENGTH, answer.body.len().into());
    }
    *response.body_mut() = body(answer);
    response
}

fn body(answer: Answer) -> Body {
    match answer.end {
        End::Whole => answer.body.into(),
        End::CutAfter(bytes) => Body::from_stream(stream::unfold(0_u8, move |step| {
            let part = answer.body.slice(..bytes.min(answer.body.len()));
            async move {
                if step == 0 {
                    return Some((Ok(part), 1));
                }
                // The part is sent while this waits.
                tokio::time::sleep(Duration::from_millis(20)).await;
                (step == 1).then(|| (Err(std::io::Error::other("cut by a fault")), 2))
            }
        })),
        End::Never => Body::from_stream(stream::unfold(Some(answer.body), |first| async {
            let blanks = Bytes::from_static(&[b' '; 16_384]);
            if first.is_none() {
                tokio::time::sleep(Duration::from_millis(5)).await;
            }
            Some((Ok::<_, Infallible>(first.unwrap_or(blanks)), None))
        })),
    }
}
