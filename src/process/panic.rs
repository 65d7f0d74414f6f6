//! Contains panics, so that none of them loses a client secret that exists nowhere else. A panic is a bug in this program or in a
//! library; here it costs time, but not the value.

use std::panic::AssertUnwindSafe;
use std::time::Duration;

use futures::FutureExt as _;

use crate::ids::AttemptId;

/// The pause before work that panicked is retried.
const PAUSE: Duration = Duration::from_secs(5);

/// Returns the result of `work`, or `None` if it panicked. The panic is logged; everything it owned is lost.
pub async fn catch_panic<T>(
    doing: &'static str,
    attempt: AttemptId,
    work: impl Future<Output = T>,
) -> Option<T> {
    // NB: shared state is behind locks that ignore poisoning, and is replaced as a whole.
    let result = AssertUnwindSafe(work).catch_unwind().await;
    if result.is_err() {
        tracing::error!(%attempt, doing, "a panic: this is a bug of the operator, please report it");
    }
    result.ok()
}

/// Retries the work after a pause each time it panics, and returns its result.
pub async fn retry_on_panic<T, F: Future<Output = T>>(
    doing: &'static str,
    attempt: AttemptId,
    begin: impl Fn() -> F,
) -> T {
    loop {
        if let Some(returned) = catch_panic(doing, attempt, async { begin().await }).await {
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
    async fn work_that_panics_is_retried_with_what_it_borrows_until_it_returns() {
        let (value, times) = (String::from("the only copy"), Cell::new(0));
        let begun = tokio::time::Instant::now();
        let length = retry_on_panic("a test", attempt(), || async {
            times.set(times.get() + 1);
            tokio::task::yield_now().await;
            assert!(times.get() > 2, "a test");
            value.len()
        });
        assert_eq!(length.await, value.len());
        assert_eq!((times.get(), begun.elapsed()), (3, PAUSE * 2));
    }

    #[tokio::test]
    async fn a_panic_differs_from_a_result() {
        assert_eq!(catch_panic("a test", attempt(), async { 7 }).await, Some(7));
        let panics = async { panic!("a test") };
        assert_eq!(catch_panic::<()>("a test", attempt(), panics).await, None);
    }
}
