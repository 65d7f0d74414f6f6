//! The client of the Kubernetes API server: no hidden retries, a deadline for every request, and metrics.

use std::pin::{Pin, pin};
use std::task::{Context, Poll};
use std::time::Duration;

use axum::body::Bytes;
use futures::future::BoxFuture;
use futures::{AsyncBufReadExt as _, FutureExt as _};
use http::{Request, Response};
use http_body::{Body as HttpBody, Frame, SizeHint};
use hyper_util::client::legacy::{self, connect::HttpConnector};
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt as _};
use tokio::time::{Instant, Sleep};
use tower::{BoxError, Layer, Service, ServiceBuilder};
use zeroize::{Zeroize as _, Zeroizing};

use super::clock::ServerClock;
use super::denied_requests::DeniedRequests;
use super::dns::SystemDns;
use super::metrics::{KubeCode, Metrics};
use super::request_name::{classify, is_watch, namespace};

/// Deadline of a request that is not a watch, including its answer.
pub const DEFAULT_DEADLINE: Duration = Duration::from_secs(10);

/// The API server did not answer in time. The request may still be executed.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("no response from the API server within {0:?}")]
pub struct DeadlineExceeded(pub Duration);

/// Creates a client whose requests go through `layer`.
///
/// kube's own retry (15 times on 429, 503 and 504) is off: a write with such an answer may have been executed, and
/// only the caller knows how to check.
pub fn kube_client(
    mut config: kube::Config,
    layer: &KubeRequestLayer,
) -> kube::Result<kube::Client> {
    config.default_retry = false;
    Ok(ClientBuilder::try_from(config)?.with_layer(layer).build())
}

/// The same where libc's own name resolution cannot be used: by the name servers in `/etc/resolv.conf`. A proxy's name is resolved by libc.
///
/// NB: in a program that is linked statically, glibc loads the modules of `/etc/nsswitch.conf`, which are for the glibc of that machine.
pub fn kube_client_with_system_dns(
    mut config: kube::Config,
    layer: &KubeRequestLayer,
) -> kube::Result<kube::Client> {
    if config.proxy_url.is_some() {
        return kube_client(config, layer);
    }
    config.default_retry = false;
    let mut connector = HttpConnector::new_with_resolver(SystemDns::default());
    connector.enforce_http(false);
    let connector = config.rustls_https_connector_with_connector(connector)?;
    let client = legacy::Client::builder(TokioExecutor::new()).build(connector);
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(client);
    let builder = ClientBuilder::new(service, config.default_namespace);
    Ok(builder.with_layer(layer).build())
}

/// The body of an answer, with one copy of it in memory: `Client::request` has several.
///
/// NB: futures' `read_to_end` writes zeros over all the room that is left, for each part that arrives.
pub async fn body(client: &kube::Client, request: Request<Vec<u8>>) -> kube::Result<Vec<u8>> {
    let mut stream = pin!(client.request_stream(request).await?);
    let mut body = Vec::new();
    loop {
        let part = stream.fill_buf().await.map_err(kube::Error::ReadEvents)?;
        if part.is_empty() {
            return Ok(body);
        }
        body.extend_from_slice(part);
        let length = part.len();
        stream.consume_unpin(length);
    }
}

/// Counts requests, reads the API server's clock from its answers, records denied requests and aborts a request after a deadline.
#[derive(Clone)]
pub struct KubeRequestLayer {
    metrics: Metrics,
    server_clock: ServerClock,
    denied: DeniedRequests,
    deadline: Duration,
}

impl KubeRequestLayer {
    /// `deadline` covers a request and its whole answer. For a watch, three times that covers the head of its answer.
    pub fn new(metrics: Metrics, server_clock: ServerClock, deadline: Duration) -> Self {
        Self {
            metrics,
            server_clock,
            denied: DeniedRequests::default(),
            deadline,
        }
    }

    /// Records denied requests there.
    #[must_use]
    pub fn recording(mut self, denied: &DeniedRequests) -> Self {
        self.denied = denied.clone();
        self
    }
}

impl<S> Layer<S> for KubeRequestLayer {
    type Service = KubeRequests<S>;

    fn layer(&self, inner: S) -> Self::Service {
        KubeRequests {
            inner,
            layer: self.clone(),
        }
    }
}

/// The service that [`KubeRequestLayer`] makes.
#[derive(Clone)]
pub struct KubeRequests<S> {
    inner: S,
    layer: KubeRequestLayer,
}

impl<S, B> Service<Request<Body>> for KubeRequests<S>
where
    S: Service<
            Request<Body>,
            Response = Response<B>,
            Error: Into<BoxError>,
            Future: Send + 'static,
        >,
    B: HttpBody,
{
    type Response = Response<DeadlineBody<B>>;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<Self::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context).map_err(Into::into)
    }

    fn call(&mut self, request: Request<Body>) -> Self::Future {
        let watch = is_watch(&request);
        let (verb, resource) = classify(&request);
        let namespace = namespace(&request).to_owned();
        let KubeRequestLayer {
            metrics,
            server_clock,
            denied,
            deadline,
        } = self.layer.clone();
        // NB: the API server holds the head of a watch back until its cache is as new as the watch asks for.
        let patience = if watch { deadline * 3 } else { deadline };
        let begins = Instant::now() + patience;
        let ends = (!watch).then_some(begins);
        let request = if resource == "secrets" {
            wiped_afterwards(request)
        } else {
            request
        };
        let answer = self.inner.call(request);
        async move {
            // A watch that is never answered would blind the operator for good.
            let (code, outcome) = match tokio::time::timeout_at(begins, answer).await {
                Ok(Ok(response)) => {
                    server_clock.observe(response.headers());
                    let code = KubeCode::Status(response.status().as_u16());
                    let bound = |inner| DeadlineBody::new(inner, ends, deadline);
                    (code, Ok(response.map(bound)))
                }
                Ok(Err(error)) => (KubeCode::Failed, Err(error.into())),
                Err(_) => (KubeCode::Deadline, Err(DeadlineExceeded(patience).into())),
            };
            metrics.kubernetes_request(verb, resource, code);
            denied.record(verb, resource, &namespace, code);
            outcome
        }
        .boxed()
    }
}

/// The same request, whose body is wiped as soon as it was sent: it holds the client secret.
fn wiped_afterwards(request: Request<Body>) -> Request<Body> {
    let (parts, body) = request.into_parts();
    // NB: only a body that is there as a whole can be taken at once.
    if body.try_clone().is_none() {
        return Request::from_parts(parts, body);
    }
    let bytes = body.collect_bytes().now_or_never();
    let bytes = bytes.and_then(Result::ok).unwrap_or_default();
    let copy = Zeroizing::new(bytes.to_vec());
    if let Ok(mut bytes) = bytes.try_into_mut() {
        bytes.as_mut().zeroize();
    }
    Request::from_parts(parts, Body::from(Bytes::from_owner(copy)))
}

/// An answer's body that fails when the deadline of its request is over.
pub struct DeadlineBody<B> {
    inner: Pin<Box<B>>,
    ends: Option<Pin<Box<Sleep>>>,
    deadline: Duration,
}

impl<B> DeadlineBody<B> {
    fn new(inner: B, ends: Option<Instant>, deadline: Duration) -> Self {
        Self {
            inner: Box::pin(inner),
            ends: ends.map(|at| Box::pin(tokio::time::sleep_until(at))),
            deadline,
        }
    }
}

impl<B: HttpBody<Data = Bytes, Error: Into<BoxError>>> HttpBody for DeadlineBody<B> {
    type Data = Bytes;
    type Error = BoxError;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, BoxError>>> {
        if let Poll::Ready(frame) = self.inner.as_mut().poll_frame(context) {
            return Poll::Ready(frame.map(|result| result.map_err(Into::into)));
        }
        match self.ends.as_mut().map(|ends| ends.as_mut().poll(context)) {
            Some(Poll::Ready(())) => Poll::Ready(Some(Err(DeadlineExceeded(self.deadline).into()))),
            _ => Poll::Pending,
        }
    }

    fn is_end_stream(&self) -> bool {
        self.inner.is_end_stream()
    }

    fn size_hint(&self) -> SizeHint {
        self.inner.size_hint()
    }
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use futures::{StreamExt as _, stream};

    use super::*;
    use crate::process::clock::SystemClock;

    fn request(method: &str, uri: &str) -> Request<Body> {
        Request::builder()
            .method(method)
            .uri(uri)
            .body(Body::empty())
            .unwrap()
    }

    /// A server that answers after `delay` with a `Date` and a body that never ends.
    fn client(delay: Duration) -> (kube::Client, Metrics, ServerClock) {
        let (metrics, server_clock) = (Metrics::new(), ServerClock::new(Arc::new(SystemClock)));
        let server = tower::service_fn(move |_: Request<Body>| async move {
            tokio::time::sleep(delay).await;
            let body = stream::once(async { Ok::<_, std::io::Error>(Bytes::from_static(b"{")) })
                .chain(stream::pending());
            let response = Response::builder()
                .status(200)
                .header("date", "Sun, 06 Nov 2044 08:49:37 GMT");
            Ok::<_, BoxError>(response.body(axum::body::Body::from_stream(body)).unwrap())
        });
        let layer = KubeRequestLayer::new(metrics.clone(), server_clock.clone(), DEFAULT_DEADLINE);
        let client = ClientBuilder::new(server, "default")
            .with_layer(&layer)
            .build();
        (client, metrics, server_clock)
    }

    #[tokio::test]
    async fn a_body_that_is_wiped_afterwards_is_sent_as_it_was() {
        for text in ["", r#"{"data":{"a":"YQ=="}}"#] {
            let request = Request::builder().uri("/api/v1/namespaces/a/secrets/b");
            let request = request.body(Body::from(text.as_bytes().to_vec())).unwrap();
            let body = wiped_afterwards(request).into_body();
            assert_eq!(body.collect_bytes().await.unwrap(), text);
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_request_that_is_not_answered_fails_at_the_deadline_and_is_counted() {
        let (client, metrics, _) = client(Duration::from_hours(1));
        let begun = Instant::now();
        let error = client
            .send(request("GET", "/api/v1/namespaces/a/secrets/b"))
            .await
            .unwrap_err();
        assert!(
            matches!(&error, kube::Error::Service(error) if error.is::<DeadlineExceeded>()),
            "{error:?}"
        );
        assert_eq!(begun.elapsed(), DEFAULT_DEADLINE);
        let counted =
            "kubernetes_requests_total{verb=\"get\",resource=\"secrets\",code=\"deadline\"} 1\n";
        assert!(metrics.encode().contains(counted));
    }

    #[tokio::test(start_paused = true)]
    async fn an_answer_that_does_not_end_fails_at_the_deadline_of_its_request() {
        let (client, metrics, server_clock) = client(Duration::from_secs(4));
        let begun = Instant::now();
        let response = client
            .send(request("GET", "/api/v1/secrets"))
            .await
            .unwrap();
        assert!(response.into_body().collect_bytes().await.is_err());
        assert_eq!(begun.elapsed(), DEFAULT_DEADLINE);
        let counted =
            "kubernetes_requests_total{verb=\"list\",resource=\"secrets\",code=\"200\"} 1\n";
        assert!(metrics.encode().contains(counted));
        assert_eq!(
            server_clock.now().unwrap().strftime("%Y").to_string(),
            "2044"
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_answered_has_no_deadline() {
        let (client, ..) = client(Duration::ZERO);
        let response = client
            .send(request("GET", "/api/v1/secrets?watch=true"))
            .await
            .unwrap();
        let reading = response.into_body().collect_bytes();
        assert!(
            tokio::time::timeout(DEFAULT_DEADLINE * 10, reading)
                .await
                .is_err()
        );
    }

    #[tokio::test(start_paused = true)]
    async fn a_watch_that_is_not_answered_fails_at_the_deadline() {
        let (client, ..) = client(Duration::from_hours(1));
        let begun = Instant::now();
        let answer = client
            .send(request("GET", "/api/v1/secrets?watch=true"))
            .await;
        let error = format!("{:?}", answer.unwrap_err());
        assert!(error.contains("DeadlineExceeded(30s)"), "{error}");
        assert_eq!(begun.elapsed(), DEFAULT_DEADLINE * 3);
    }
}
