//! A deadline that is checked between the connection and the request, so that nothing is sent after it. No I/O except reading the clock.
//!
//! Tokio's timers stop while the host is suspended, and connecting takes several round trips. So a clock that includes suspension is
//! checked once more when there is a connection to write to. The only remaining case is a host that is suspended in the microseconds
//! after that.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tower::{Layer, Service};

use crate::process::clock::Clock;

tokio::task_local! {
    /// The deadline, since boot, for sending the request of this task.
    static DEADLINE: Duration;
}

/// Sends a request unless the deadline, since boot, passes before there is a connection.
pub(super) async fn send_before<T>(deadline: Duration, sending: impl Future<Output = T>) -> T {
    DEADLINE.scope(deadline, sending).await
}

/// The deadline passed before there was a connection.
#[derive(Debug, thiserror::Error)]
#[error("too late to send")]
pub(super) struct DeadlinePassed;

/// Checks the deadline when a connection is established.
#[derive(Clone)]
pub(super) struct SendDeadline(pub(super) Arc<dyn Clock>);

impl<S> Layer<S> for SendDeadline {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector {
            inner,
            clock: Arc::clone(&self.0),
        }
    }
}

/// Connects, and fails if the deadline has passed by then.
#[derive(Clone)]
pub(super) struct Connector<S> {
    inner: S,
    clock: Arc<dyn Clock>,
}

type BoxError = Box<dyn Error + Send + Sync>;

impl<S, R> Service<R> for Connector<S>
where
    S: Service<R, Error = BoxError>,
    S::Future: Send + 'static,
    S::Response: Send,
{
    type Response = S::Response;
    type Error = BoxError;
    type Future = BoxFuture<'static, Result<S::Response, BoxError>>;

    fn poll_ready(&mut self, context: &mut Context<'_>) -> Poll<Result<(), BoxError>> {
        self.inner.poll_ready(context)
    }

    fn call(&mut self, request: R) -> Self::Future {
        let clock = Arc::clone(&self.clock);
        let connecting = self.inner.call(request);
        async move {
            let connection = connecting.await?;
            // NB: a client without a pool connects in the task that sends. Without a deadline the request counts as late.
            let in_time = DEADLINE.try_with(|deadline| clock.boot() < *deadline);
            if in_time.unwrap_or(false) {
                Ok(connection)
            } else {
                Err(DeadlinePassed.into())
            }
        }
        .boxed()
    }
}
