//! The last look at the clock, between the connection and the request: what is late does not leave. No I/O but reading the clock.
//!
//! Tokio's timers stand still while the host is suspended, and making a connection takes several round trips. So the clock that goes
//! on is asked once more when there is a connection to write to. A host that is suspended in the microseconds after that is the one
//! case that is left.

use std::error::Error;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use futures::FutureExt;
use futures::future::BoxFuture;
use tower::{Layer, Service};

use crate::process::clock::Clock;

tokio::task_local! {
    /// Until when, since boot, the request of this task may leave.
    static UNTIL: Duration;
}

/// Sends, but only until that instant since boot.
pub(super) async fn until<T>(instant: Duration, sending: impl Future<Output = T>) -> T {
    UNTIL.scope(instant, sending).await
}

/// The time was up when the connection stood.
#[derive(Debug, thiserror::Error)]
#[error("too late to send")]
pub(super) struct Late;

/// Looks at the clock after a connection was made.
#[derive(Clone)]
pub(super) struct LastLook(pub(super) Arc<dyn Clock>);

impl<S> Layer<S> for LastLook {
    type Service = Connector<S>;

    fn layer(&self, inner: S) -> Connector<S> {
        Connector {
            inner,
            clock: Arc::clone(&self.0),
        }
    }
}

/// Makes connections that are still in time.
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
            // NB: a client without a pool connects in the task that sends; where nothing is said of the time it is late.
            let in_time = UNTIL.try_with(|until| clock.boot() < *until);
            if in_time.unwrap_or(false) {
                Ok(connection)
            } else {
                Err(Late.into())
            }
        }
        .boxed()
    }
}
