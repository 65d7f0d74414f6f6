//! What a panic must not do: take along a client secret that exists nowhere else. A panic is a mistake in this program or in a
//! library; here it costs time, and not the value.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::ids::AttemptId;

/// Between two tries of what panics again and again.
const PAUSE: Duration = Duration::from_secs(5);

/// What `work` returns. None: it panicked, which is logged; whatever it owned is gone.
pub async fn caught<T>(
    doing: &'static str,
    attempt: AttemptId,
    work: impl Future<Output = T>,
) -> Option<T> {
    // NB: what is shared is behind locks that go on after a panic, and is replaced as a whole.
    let caught = AssertUnwindSafe(work).catch_unwind().await;
    if caught.is_err() {
        tracing::error!(%attempt, doing, "a panic: this is a bug of the operator, please report it");
    }
    caught.ok()
}

/// Begins the work again, after a pause, each time it panics. Returns what it returns.
pub async fn until_it_returns<T, F: Future<Output = T>>(
    doing: &'static str,
    attempt: AttemptId,
    begin: impl Fn() -> F,
) -> T {
    loop {
        if let Some(returned) = caught(doing, attempt, async { begin().await }).await {
            return returned;
        }
        tokio::time::sleep(PAUSE).await;
    }
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    fn attempt() -> AttemptId {
        AttemptId(uuid::Uuid::now_v7())
    }

    #[tokio::test(start_paused = true)]
    async fn work_that_panics_is_begun_again_with_what_it_borrows_until_it_returns() {
        let (value, times) = (String::from("the only copy"), Cell::new(0));
        let begun = tokio::time::Instant::now();
        let length = until_it_returns("a test", attempt(), || async {
            times.set(times.get() + 1);
            tokio::task::yield_now().await;
            assert!(times.get() > 2, "a test");
            value.len()
        });
        assert_eq!(length.await, value.len());
        assert_eq!((times.get(), begun.elapsed()), (3, PAUSE * 2));
    }

    #[tokio::test]
    async fn a_panic_is_told_from_what_is_returned() {
        assert_eq!(caught("a test", attempt(), async { 7 }).await, Some(7));
        let panics = async { panic!("a test") };
        assert_eq!(caught::<()>("a test", attempt(), panics).await, None);
    }
}
