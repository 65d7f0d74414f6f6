//! Watches that come back: also where they can't be resumed.

use std::fmt::Debug;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

/// Failures in a row after which a watch begins anew.
const MOST_FAILURES: u32 = 3;

/// A watch that is begun again after every failure, from where it was; after a few failures in a row from the beginning, with a list.
///
/// NB: kube begins anew only when it is told that the revision is too old (410). An API server whose etcd was restored from a backup
/// says that the revision is too *new*, and goes on saying so until as many writes were made again: a watch that insists is blind for
/// that long.
pub fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    anew_after_failures(move || watcher(api.clone(), config.clone()).boxed()).backoff(backoff())
}

fn anew_after_failures<S, T, E>(begin: impl Fn() -> S) -> impl Stream<Item = Result<T, E>>
where
    S: Stream<Item = Result<T, E>> + Unpin,
{
    let inner = begin();
    stream::unfold(
        (inner, 0, begin),
        |(mut inner, failures, begin)| async move {
            let item = inner.next().await?;
            let mut failures = if item.is_err() { failures + 1 } else { 0 };
            if failures >= MOST_FAILURES {
                failures = 0;
                inner = begin();
            }
            Some((item, (inner, failures, begin)))
        },
    )
}

/// How long a watch that failed waits before it is tried again: an operator that is blind for half a minute is too late with repairs.
fn backoff() -> watcher::ExponentialBackoff {
    backon::ExponentialBuilder::default()
        .with_min_delay(Duration::from_millis(500))
        .with_max_delay(Duration::from_secs(5))
        .with_factor(2.0)
        .with_jitter()
        .without_max_times()
        .into()
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What comes out of watches that say these things one after the other, and how many were begun.
    async fn watched(each: &[Result<u8, ()>], take: usize) -> (Vec<Result<u8, ()>>, u32) {
        let begun = Cell::new(0);
        let stream = anew_after_failures(|| {
            begun.set(begun.get() + 1);
            stream::iter(each.to_vec())
        });
        let items = stream.take(take).collect().await;
        (items, begun.get())
    }

    #[tokio::test]
    async fn a_watch_that_fails_again_and_again_begins_anew_and_its_failures_are_passed_on() {
        let (items, begun) = watched(&[Ok(1), Err(()), Err(()), Err(())], 8).await;
        assert_eq!(items[..4], [Ok(1), Err(()), Err(()), Err(())]);
        assert_eq!(items[4..], items[..4]);
        assert_eq!(begun, 3);
    }

    #[tokio::test]
    async fn a_watch_that_recovers_is_gone_on_with() {
        let recovers = [Err(()), Err(()), Ok(1), Err(()), Err(()), Ok(2)];
        let (items, begun) = watched(&recovers, 6).await;
        assert_eq!((items.len(), begun), (6, 1));
    }
}
