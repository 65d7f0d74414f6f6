//! How far a watch has come: whether what this process wrote was shown by it already. No I/O.

use std::sync::atomic::{AtomicU64, Ordering};

use kube::ResourceExt;
use kube::runtime::watcher::Event;

/// A resourceVersion as a number: they can be compared within a resource since Kubernetes 1.35.
pub fn revision(text: &str) -> u64 {
    text.parse().unwrap_or(0)
}

/// How far one watch has come. Deletions count as well: an object that was written and is absent may lag behind, or be gone.
#[derive(Debug, Default)]
pub struct Progress {
    /// The highest revision of any event.
    revision: AtomicU64,
    /// Lists that were begun.
    begun: AtomicU64,
    /// The number of the last list that was shown as a whole.
    finished: AtomicU64,
}

/// Something that this process wrote, for as long as a watch has not shown it.
#[derive(Debug, Clone)]
pub struct Written<T> {
    /// The name of the object.
    pub name: String,
    /// What was written.
    pub view: T,
    revision: u64,
    lists: u64,
}

impl<T> Written<T> {
    /// Whether it was written after that revision. Only of the same object, and only where no list came between: an etcd that was
    /// restored from a backup counts from a lower revision on.
    pub fn is_newer_than(&self, text: &str) -> bool {
        self.revision > revision(text)
    }

    /// The revision that it was written with.
    pub fn revision(&self) -> String {
        self.revision.to_string()
    }
}

impl Progress {
    /// Takes note of an event that the store of the watch has applied.
    pub fn note<K: kube::Resource, E>(&self, event: &Result<Event<K>, E>) {
        match event {
            Ok(Event::Init) => {
                self.begun.fetch_add(1, Ordering::SeqCst);
                // NB: an etcd that was restored from a backup counts from a lower revision on.
                self.revision.store(0, Ordering::SeqCst);
            }
            Ok(Event::InitDone) => {
                let begun = self.begun.load(Ordering::SeqCst);
                self.finished.store(begun, Ordering::SeqCst);
            }
            Ok(Event::Apply(object) | Event::Delete(object)) => {
                let shown = revision(&object.resource_version().unwrap_or_default());
                self.revision.fetch_max(shown, Ordering::SeqCst);
            }
            // NB: a list need not be in the order of revisions, so one of its objects says nothing of the others.
            Ok(Event::InitApply(_)) | Err(_) => {}
        }
    }

    /// Something that was just written, with this revision.
    pub fn written<T>(&self, name: &str, text: &str, view: T) -> Written<T> {
        Written {
            name: name.to_owned(),
            view,
            revision: revision(text),
            lists: self.begun.load(Ordering::SeqCst),
        }
    }

    /// Whether the watch has shown it, or what became of it since. To be asked before the store is read.
    pub fn shows<T>(&self, written: &Written<T>) -> bool {
        self.revision.load(Ordering::SeqCst) >= written.revision || self.listed_since(written)
    }

    /// Whether a list that was begun after it was written has been shown as a whole.
    pub fn listed_since<T>(&self, written: &Written<T>) -> bool {
        self.finished.load(Ordering::SeqCst) > written.lists
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use k8s_openapi::api::core::v1::Secret;

    #[expect(clippy::unnecessary_wraps, reason = "as a watch gives it")]
    fn event(
        revision: u64,
        wrap: fn(Secret) -> Event<Secret>,
    ) -> Result<Event<Secret>, std::convert::Infallible> {
        let mut secret = Secret::default();
        secret.metadata.resource_version = Some(revision.to_string());
        Ok(wrap(secret))
    }

    #[test]
    fn a_write_is_shown_by_any_later_event_also_by_the_deletion_of_what_was_written() {
        let progress = Progress::default();
        progress.note(&event(5, Event::Apply));
        let written = progress.written("a", "7", ());
        assert!(!progress.shows(&written));
        progress.note(&event(6, Event::Delete));
        assert!(!progress.shows(&written));
        progress.note(&event(8, Event::Delete));
        assert!(progress.shows(&written));
    }

    #[test]
    fn a_write_is_shown_by_a_list_that_was_begun_after_it_and_by_no_earlier_one() {
        let progress = Progress::default();
        progress.note(&event(0, |_| Event::Init));
        let written = progress.written("a", "7", ());
        progress.note(&event(9, Event::InitApply));
        progress.note(&event(0, |_| Event::InitDone));
        assert!(!progress.shows(&written));
        progress.note(&event(0, |_| Event::Init));
        assert!(!progress.shows(&written));
        progress.note(&event(0, |_| Event::InitDone));
        assert!(progress.shows(&written));
    }

    #[test]
    fn what_was_written_before_an_older_state_was_restored_counts_no_more_once_that_was_listed() {
        let progress = Progress::default();
        progress.note(&event(0, |_| Event::Init));
        progress.note(&event(0, |_| Event::InitDone));
        let written = progress.written("a", "900", ());
        assert!(written.is_newer_than("12") && !progress.listed_since(&written));
        progress.note(&event(0, |_| Event::Init));
        progress.note(&event(12, Event::InitApply));
        progress.note(&event(0, |_| Event::InitDone));
        assert!(progress.listed_since(&written));
    }
}
