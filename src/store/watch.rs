//! Watches that come back: also where they can't be resumed.

use std::collections::{HashSet, VecDeque};
use std::fmt::Debug;
use std::hash::Hash;
use std::time::Duration;

use futures::{Stream, StreamExt as _, stream};
use kube::runtime::WatchStreamExt as _;
use kube::runtime::reflector::{Lookup, Store};
use kube::runtime::utils::Backoff;
use kube::runtime::watcher::{self, Event, watcher};
use kube::{Api, Resource};
use serde::de::DeserializeOwned;

use crate::process::relist::Relist;
use crate::store::prune::PAGE;

/// Failures in a row after which a watch begins anew.
const MOST_FAILURES: u32 = 3;

/// A watch that is begun again after every failure, from where it was; from the beginning, with a list, after a few failures in a row,
/// and where the server's data went back.
///
/// NB: kube lists again only after the answer that the revision is too old (410). An API server whose etcd was restored from a backup
/// takes a revision that is yet to come, or says that it is too *new*, until as many writes were made again: a watch that insists is
/// blind for that long, and never sees what was restored.
pub fn watch<K>(
    api: Api<K>,
    config: watcher::Config,
    relist: &Relist,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>> + use<K>
where
    K: Resource + Clone + DeserializeOwned + Debug + Send + 'static,
{
    let config = config.page_size(PAGE);
    let begin = move || watcher(api.clone(), config.clone()).boxed();
    anew(begin, relist.subscribe()).backoff(backoff())
}

fn anew<S, T, E>(
    begin: impl Fn() -> S,
    went_back: tokio::sync::watch::Receiver<u64>,
) -> impl Stream<Item = Result<T, E>>
where
    S: Stream<Item = Result<T, E>> + Unpin,
{
    let inner = begin();
    stream::unfold(
        (inner, 0, begin, went_back),
        |(mut inner, mut failures, begin, mut went_back)| async move {
            let item = loop {
                tokio::select! {
                    Ok(()) = went_back.changed() => {
                        failures = 0;
                        inner = begin();
                    }
                    item = inner.next() => break item?,
                }
            };
            failures = if item.is_err() { failures + 1 } else { 0 };
            if failures >= MOST_FAILURES {
                failures = 0;
                inner = begin();
            }
            Some((item, (inner, failures, begin, went_back)))
        },
    )
}

/// The same events, and after each list a deletion of everything that `store` had and the list leaves out: what was deleted while the
/// watch was interrupted is shown in no other way, and what depends on it must be woken. To be put before the store is written.
///
/// NB: such a deletion has no revision; that of the object as it was last seen says nothing of how far the watch has come.
pub fn with_missed_deletions<K, S>(
    events: S,
    store: Store<K>,
) -> impl Stream<Item = Result<Event<K>, watcher::Error>>
where
    K: Resource + Lookup<DynamicType = <K as Resource>::DynamicType> + Clone + 'static,
    <K as Resource>::DynamicType: Eq + Hash + Clone,
    S: Stream<Item = Result<Event<K>, watcher::Error>> + Unpin,
{
    let state = (events, store, HashSet::new(), VecDeque::new());
    stream::unfold(
        state,
        |(mut events, store, mut listed, mut gone)| async move {
            if let Some(object) = gone.pop_front() {
                return Some((Ok(Event::Delete(object)), (events, store, listed, gone)));
            }
            let event = events.next().await?;
            match &event {
                Ok(Event::Init) => listed.clear(),
                Ok(Event::InitApply(object)) => {
                    listed.insert(identity(object));
                }
                Ok(Event::InitDone) => {
                    let listed = std::mem::take(&mut listed);
                    let known = store.state();
                    let missed = known.iter().filter(|object| {
                        let object: &K = object.as_ref();
                        !listed.contains(&identity(object))
                    });
                    gone = missed
                        .map(|object| {
                            let mut object = K::clone(object);
                            object.meta_mut().resource_version = None;
                            object
                        })
                        .collect();
                }
                Ok(Event::Apply(_) | Event::Delete(_)) | Err(_) => {}
            }
            Some((event, (events, store, listed, gone)))
        },
    )
}

fn identity<K: Resource>(object: &K) -> (Option<String>, Option<String>) {
    let metadata = object.meta();
    (metadata.namespace.clone(), metadata.name.clone())
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

/// How long a controller waits after a failure of one of its watches: not at all. Each of them waits by itself, and a controller that
/// waits hears nothing of the others meanwhile: with kube's own pause for more than half a minute after an API server was restarted.
pub struct NoPause;

impl Iterator for NoPause {
    type Item = Duration;

    fn next(&mut self) -> Option<Duration> {
        Some(Duration::ZERO)
    }
}

impl Backoff for NoPause {
    fn reset(&mut self) {}
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use k8s_openapi::api::core::v1::Secret;
    use kube::runtime::reflector;

    use super::*;

    /// What comes out of watches that say these things one after the other, and how many were begun.
    async fn watched(each: &[Result<u8, ()>], take: usize) -> (Vec<Result<u8, ()>>, u32) {
        let begun = Cell::new(0);
        let watches = || {
            begun.set(begun.get() + 1);
            stream::iter(each.to_vec())
        };
        let stream = anew(watches, Relist::default().subscribe());
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
    async fn a_watch_begins_anew_where_the_data_went_back() {
        let relist = Relist::default();
        let begun = Cell::new(0);
        let watches = || {
            begun.set(begun.get() + 1);
            let silent = stream::pending::<Result<u8, ()>>();
            stream::iter([Ok(begun.get())]).chain(silent)
        };
        let mut stream = std::pin::pin!(anew(watches, relist.subscribe()));
        assert_eq!(stream.next().await, Some(Ok(1)));
        assert!(futures::poll!(stream.next()).is_pending());
        relist.data_went_back("a test");
        assert_eq!(stream.next().await, Some(Ok(2)));
    }

    fn named(name: &str) -> Secret {
        let mut secret = Secret::default();
        secret.metadata.name = Some(name.into());
        secret.metadata.namespace = Some("orders".into());
        secret.metadata.resource_version = Some("900".into());
        secret
    }

    #[tokio::test]
    async fn what_a_later_list_leaves_out_is_deleted_after_it_and_nothing_else_is() {
        let (store, mut writer) = reflector::store();
        let list = |names: &[&str]| {
            let shown: Vec<_> = names
                .iter()
                .map(|name| Event::InitApply(named(name)))
                .collect();
            [vec![Event::Init], shown, vec![Event::InitDone]].concat()
        };
        let broken = vec![Event::Init, Event::InitApply(named("b"))];
        let events = [
            list(&["a", "b"]),
            vec![Event::Apply(named("c")), Event::Delete(named("b"))],
            broken,
            list(&["c"]),
            list(&["c"]),
        ];
        let events = stream::iter(events.concat().into_iter().map(Ok));
        let events = with_missed_deletions(events, store.clone());
        let mut deleted = Vec::new();
        let mut lists = 0;
        let mut events = std::pin::pin!(events);
        while let Some(Ok(event)) = events.next().await {
            writer.apply_watcher_event(&event);
            lists += u32::from(matches!(event, Event::InitDone));
            if let Event::Delete(secret) = event {
                let metadata = secret.metadata;
                deleted.push((lists, metadata.name.unwrap(), metadata.resource_version));
            }
        }
        let revision = Some("900".to_owned());
        assert_eq!(
            deleted,
            [(1, "b".to_owned(), revision), (2, "a".to_owned(), None)]
        );
        assert_eq!(store.len(), 1);
    }

    #[tokio::test]
    async fn a_watch_that_recovers_is_gone_on_with() {
        let recovers = [Err(()), Err(()), Ok(1), Err(()), Err(()), Ok(2)];
        let (items, begun) = watched(&recovers, 6).await;
        assert_eq!((items.len(), begun), (6, 1));
    }
}
