//! The shutdown of the process: signals, values that must not be lost, and the exit code.
//!
//! Order of the shutdown: `stop` (no new work) → sent calls and flushes finish → [`drain`] returns → leadership is released →
//! the admin server stops.

use std::future::Future;
use std::time::Duration;

use futures::{Stream, StreamExt as _};
use tokio::signal::unix::{SignalKind, signal};
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::holding::Holding;

/// How long [`drain`] waits by default: below the pod's `terminationGracePeriodSeconds` of 120 s, so that the rest
/// can be logged before SIGKILL.
pub const DEFAULT_GRACE: Duration = Duration::from_secs(110);

/// The exit code of the process.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ExitCode {
    /// Nothing is held.
    Ok,
    /// A new credential was not written in time: 75, `EX_TEMPFAIL` of sysexits.h. The next process finds the claim.
    Held,
    /// A task panicked, and nothing is held: 70, `EX_SOFTWARE`.
    Panicked,
}

impl ExitCode {
    /// The number the parent process sees.
    pub fn code(self) -> u8 {
        match self {
            Self::Ok => 0,
            Self::Held => 75,
            Self::Panicked => 70,
        }
    }
}

impl From<ExitCode> for std::process::ExitCode {
    fn from(exit: ExitCode) -> Self {
        exit.code().into()
    }
}

/// The effects of signals.
#[derive(Debug, Clone, Default)]
pub struct Signals {
    /// The first signal: start no new work, finish the rest.
    pub stop: CancellationToken,
    /// A further signal while nothing is held: do not wait for the rest.
    pub hurry: CancellationToken,
}

impl Signals {
    /// Listens for SIGTERM and SIGINT from now on.
    pub fn listen(holding: Holding) -> std::io::Result<Self> {
        let terminate = received(SignalKind::terminate())?;
        let interrupt = received(SignalKind::interrupt())?;
        let signals = Self::default();
        let either = futures::stream::select(terminate, interrupt);
        tokio::spawn(signals.clone().follow(either, holding));
        Ok(signals)
    }

    async fn follow(self, received: impl Stream<Item = ()>, holding: Holding) {
        let mut received = std::pin::pin!(received);
        while received.next().await.is_some() {
            let held = holding.count();
            if !self.stop.is_cancelled() {
                tracing::info!(held, "stopping");
                self.stop.cancel();
            } else if held > 0 {
                tracing::warn!(
                    held,
                    "a further signal is ignored while new credentials are not written"
                );
            } else {
                self.hurry.cancel();
            }
        }
    }
}

fn received(kind: SignalKind) -> std::io::Result<impl Stream<Item = ()>> {
    let signal = signal(kind)?;
    Ok(futures::stream::unfold(signal, |mut signal| async {
        signal.recv().await.map(|()| ((), signal))
    }))
}

/// Runs `work`. After `signals.stop`, waits at most `grace` for it to return and for everything held to be written.
///
/// `work` is a task of its own. If it panics, `signals.stop` is canceled, and what is held is still written. It has ended, or is
/// canceled, when this returns.
///
/// From then on [`Holding::hold`] fails, unless the grace period ran out: then what is still held is logged and the process should end
/// with [`ExitCode::Held`].
pub async fn drain(
    work: impl Future<Output = ()> + Send + 'static,
    holding: &Holding,
    signals: &Signals,
    grace: Duration,
) -> ExitCode {
    let mut working = JoinSet::new();
    working.spawn(work);
    let mut end = ExitCode::Ok;
    let finished = async {
        tokio::select! {
            ended = working.join_next() => if let Some(Err(error)) = ended {
                let held = holding.count();
                tracing::error!(%error, held, "a task panicked; held values are still written, then the process exits");
                end = ExitCode::Panicked;
                signals.stop.cancel();
            },
            () = signals.hurry.cancelled() => {}
        }
        holding.closed().await;
    };
    let out_of_grace = async {
        signals.stop.cancelled().await;
        tokio::time::sleep(grace).await;
    };
    // Work that holds nothing is no reason for an alarm: the next process continues it.
    let nothing_held = tokio::select! {
        biased;
        () = finished => true,
        () = out_of_grace => holding.close_if_empty(),
    };
    // NB: another replica may start after this.
    working.shutdown().await;
    if nothing_held {
        return end;
    }
    for attempt in holding.attempts() {
        tracing::error!(%attempt, "ending with a credential that is not written to its Secret");
    }
    ExitCode::Held
}

#[cfg(test)]
mod tests {
    use futures::FutureExt as _;
    use tokio::sync::mpsc;

    use super::*;
    use crate::ids::AttemptId;
    use crate::process::holding::Ending;

    fn attempt() -> AttemptId {
        AttemptId(uuid::Uuid::now_v7())
    }

    fn stopped() -> Signals {
        let signals = Signals::default();
        signals.stop.cancel();
        signals
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_holds_nothing_ends_with_0_and_starts_nothing_more() {
        let holding = Holding::default();
        let exit = drain(std::future::ready(()), &holding, &stopped(), DEFAULT_GRACE).await;
        assert_eq!(exit.code(), 0);
        assert_eq!(holding.hold(attempt()).unwrap_err(), Ending);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_waits_for_what_it_holds() {
        let holding = Holding::default();
        let guard = holding.hold(attempt()).unwrap();
        let begun = tokio::time::Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(guard);
        });
        let exit = drain(std::future::ready(()), &holding, &stopped(), DEFAULT_GRACE).await;
        assert_eq!(exit, ExitCode::Ok);
        assert_eq!(begun.elapsed().as_secs(), 100);
    }

    #[tokio::test(start_paused = true)]
    async fn a_process_that_cannot_write_ends_with_75_after_the_grace() {
        let holding = Holding::default();
        let lost = attempt();
        let _guard = holding.hold(lost).unwrap();
        let begun = tokio::time::Instant::now();
        let exit = drain(std::future::ready(()), &holding, &stopped(), DEFAULT_GRACE).await;
        assert_eq!(exit.code(), 75);
        assert_eq!(begun.elapsed().as_secs(), 110);
        assert_eq!(holding.attempts(), [lost]);
    }

    #[tokio::test(start_paused = true)]
    async fn the_grace_counts_from_the_signal_and_work_without_a_value_ends_with_0() {
        let holding = Holding::default();
        let signals = Signals::default();
        let stop = signals.stop.clone();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(1000)).await;
            stop.cancel();
        });
        let begun = tokio::time::Instant::now();
        let exit = drain(std::future::pending(), &holding, &signals, DEFAULT_GRACE).await;
        assert_eq!(exit, ExitCode::Ok);
        assert_eq!(begun.elapsed().as_secs(), 1110);
    }

    #[tokio::test(start_paused = true)]
    async fn a_panic_does_not_lose_what_is_held() {
        let (holding, signals) = (Holding::default(), Signals::default());
        let guard = holding.hold(attempt()).unwrap();
        let begun = tokio::time::Instant::now();
        tokio::spawn(async move {
            tokio::time::sleep(Duration::from_secs(100)).await;
            drop(guard);
        });
        let panics = async { panic!("a test") };
        let exit = drain(panics, &holding, &signals, DEFAULT_GRACE).await;
        assert_eq!(exit.code(), 70);
        assert_eq!(begun.elapsed().as_secs(), 100);
        assert!(signals.stop.is_cancelled());
        assert_eq!(holding.hold(attempt()).unwrap_err(), Ending);
    }

    #[tokio::test(start_paused = true)]
    async fn what_cannot_be_written_after_a_panic_is_waited_for_as_long_as_after_a_signal() {
        let (holding, signals) = (Holding::default(), Signals::default());
        let lost = attempt();
        let _guard = holding.hold(lost).unwrap();
        let begun = tokio::time::Instant::now();
        let panics = async { panic!("a test") };
        let exit = drain(panics, &holding, &signals, DEFAULT_GRACE).await;
        assert_eq!(exit, ExitCode::Held);
        assert_eq!(begun.elapsed(), DEFAULT_GRACE);
        assert_eq!(holding.attempts(), [lost]);
    }

    #[tokio::test(start_paused = true)]
    async fn a_second_signal_is_ignored_while_something_is_held_and_hurries_otherwise() {
        let holding = Holding::default();
        let signals = Signals::default();
        let (send, receive) = mpsc::unbounded_channel();
        let stream =
            futures::stream::unfold(receive, |mut r| async { r.recv().await.map(|s| (s, r)) });
        tokio::spawn(signals.clone().follow(stream, holding.clone()));
        let guard = holding.hold(attempt()).unwrap();

        send.send(()).unwrap();
        signals.stop.cancelled().await;
        send.send(()).unwrap();
        tokio::time::sleep(Duration::from_secs(1)).await;
        assert!(!signals.hurry.is_cancelled());
        let mut draining = std::pin::pin!(drain(
            std::future::pending(),
            &holding,
            &signals,
            DEFAULT_GRACE
        ));
        assert!(draining.as_mut().now_or_never().is_none());

        drop(guard);
        send.send(()).unwrap();
        assert_eq!(draining.await, ExitCode::Ok);
        assert!(signals.hurry.is_cancelled());
    }
}
