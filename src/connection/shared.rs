//! What a connection keeps whatever becomes of its client: permits, counts, what was seen of its projects.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::Semaphore;

use crate::ids::{AppId, ProjectId, ProjectKey, Sequence};
use crate::process::metrics::{ConnectionActivity, RequestCounts};
use crate::rotation::Failure;

/// What a connection keeps when its credential or spec changes.
pub struct Shared {
    in_flight: Mutex<usize>,
    /// Claims that may be open at once: the one being sent and one that is ready.
    pub claim_slots: Arc<Semaphore>,
    /// Generate calls that may be under way at once.
    pub generate_slots: Arc<Semaphore>,
    repairs: Mutex<VecDeque<Duration>>,
    pub(super) hints: Mutex<HashMap<(ProjectId, AppId), Sequence>>,
    journal: Mutex<Option<bool>>,
    scans: Mutex<Scans>,
    /// The calls over it.
    pub(crate) requests: RequestCounts,
    /// Why ZITADEL cannot be reached at all, by the connection's own check, and since how many outages it is watched.
    outage: Mutex<(u64, Option<Failure>)>,
    /// Whether a call said that the API in use is not served any more.
    api_doubted: AtomicBool,
    /// For when the connection's check was last asked for, since boot; perhaps it is still to come.
    doubted: Mutex<Option<Duration>>,
}

/// When projects were last scanned, since boot. Of projects that no object names any more the times stay: they are few.
#[derive(Default)]
struct Scans {
    since: Option<Duration>,
    projects: HashMap<ProjectKey, Duration>,
}

/// So far apart the checks are that failed calls ask for.
const DOUBT_PERIOD: Duration = Duration::from_secs(10);

impl Shared {
    pub(crate) fn new(in_flight: usize) -> Arc<Self> {
        Arc::new(Self {
            in_flight: Mutex::new(in_flight),
            claim_slots: Arc::new(Semaphore::new(in_flight + 1)),
            generate_slots: Arc::new(Semaphore::new(in_flight)),
            repairs: Mutex::default(),
            hints: Mutex::default(),
            journal: Mutex::default(),
            scans: Mutex::default(),
            requests: RequestCounts::default(),
            outage: Mutex::default(),
            api_doubted: AtomicBool::new(false),
            doubted: Mutex::default(),
        })
    }

    /// So many generate calls may be under way from now on. What is under way goes on, and counts.
    pub(crate) fn limit(&self, in_flight: usize) {
        let mut before = self.in_flight.lock();
        for permits in [&self.claim_slots, &self.generate_slots] {
            if let Some(more) = in_flight.checked_sub(*before) {
                permits.add_permits(more);
            } else if let Ok(less) = u32::try_from(*before - in_flight) {
                let permits = Arc::clone(permits);
                // NB: it waits in line until that many are given back.
                tokio::spawn(async move {
                    if let Ok(gone) = permits.acquire_many_owned(less).await {
                        gone.forget();
                    }
                });
            }
        }
        *before = in_flight;
    }

    /// ZITADEL was reached again, or not at all, by the connection's own check. True if that is news.
    pub(crate) fn saw_outage(&self, failure: Option<Failure>) -> bool {
        let mut outage = self.outage.lock();
        let ended = outage.1.is_some() && failure.is_none();
        outage.0 += u64::from(ended);
        let news = outage.1 != failure;
        outage.1 = failure;
        news
    }

    /// Why ZITADEL cannot be reached at all, if so. One check asks again, and everybody waits for it.
    pub fn outage(&self) -> Option<Failure> {
        self.outage.lock().1.clone()
    }

    /// How many outages are over: objects that waited one out need not wait any longer.
    pub fn outages(&self) -> u64 {
        self.outage.lock().0
    }

    /// Something makes it doubtful whether the connection works. After which wait its check is to be asked for, unless one is still to
    /// come anyway.
    pub(crate) fn doubts(&self, now: Duration) -> Option<Duration> {
        let mut doubted = self.doubted.lock();
        let next = doubted.map_or(now, |last| now.max(last.saturating_add(DOUBT_PERIOD)));
        if doubted.is_some_and(|last| last > now) {
            return None;
        }
        *doubted = Some(next);
        Some(next.saturating_sub(now))
    }

    /// A call said that the API in use is not served any more.
    pub(crate) fn doubts_api(&self) {
        self.api_doubted.store(true, Ordering::Relaxed);
    }

    /// Whether one did since the last time that this was asked.
    pub(crate) fn takes_api_doubt(&self) -> bool {
        self.api_doubted.swap(false, Ordering::Relaxed)
    }

    /// Whether ZITADEL's change list could be read the last time.
    pub fn journal_readable(&self) -> Option<bool> {
        *self.journal.lock()
    }

    /// Takes note of whether the change list could be read. True if that is news.
    pub fn saw_journal(&self, readable: bool) -> bool {
        self.journal.lock().replace(readable) != Some(readable)
    }

    /// A project was scanned, so that what changed before `begun` has been noticed.
    pub(crate) fn saw_project(&self, project: ProjectKey, begun: Duration) {
        self.scans.lock().projects.insert(project, begun);
    }

    /// What was seen of the connection of this name, for metrics. The clocks are the wall clock, and that since boot.
    pub(super) fn activity(
        &self,
        name: &str,
        wall: Timestamp,
        boot: Duration,
    ) -> ConnectionActivity {
        let mut scans = self.scans.lock();
        let since = *scans.since.get_or_insert(boot);
        let at = |then: Duration| earlier(wall, boot.saturating_sub(then));
        let scanned = scans.projects.iter();
        ConnectionActivity {
            requests: self.requests.current(),
            scanned: scanned.map(|(key, then)| (*key, at(*then))).collect(),
            ..ConnectionActivity::of(name, at(since))
        }
    }

    /// How many repairs were made within this time; older ones are forgotten.
    pub(super) fn repairs_within(&self, window: Duration, now: Duration) -> usize {
        let mut repairs = self.repairs.lock();
        while repairs
            .front()
            .is_some_and(|at| now.saturating_sub(*at) >= window)
        {
            repairs.pop_front();
        }
        repairs.len()
    }

    /// Counts a repair.
    pub fn repaired(&self, now: Duration) {
        self.repairs.lock().push_back(now);
    }
}

fn earlier(time: Timestamp, by: Duration) -> Timestamp {
    time.saturating_sub(by).unwrap_or(time)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::connection::unreached;

    #[test]
    fn an_outage_that_is_over_is_news_once() {
        let shared = Shared::new(1);
        assert!(!shared.saw_outage(None));
        assert!(shared.saw_outage(Some(unreached())));
        assert!(!shared.saw_outage(Some(unreached())));
        assert_eq!((shared.outage(), shared.outages()), (Some(unreached()), 0));
        assert!(shared.saw_outage(None));
        assert_eq!((shared.outage(), shared.outages()), (None, 1));
    }

    #[test]
    fn what_was_seen_of_a_connection_is_told_by_the_wall_clock() {
        let s = Duration::from_secs;
        let noon: Timestamp = "2026-01-01T12:00:00Z".parse().unwrap();
        let shared = Shared::new(1);
        let before = shared.activity("default", noon, s(100));
        assert_eq!((before.since, before.scanned.len()), (noon, 0));
        shared.saw_project(ProjectKey::of("1"), s(130));
        shared.requests.count("generate", "Ok");
        // The wall clock was set back by an hour meanwhile.
        let later = "2026-01-01T11:01:00Z".parse().unwrap();
        let after = shared.activity("default", later, s(160));
        let (since, scanned) = ("2026-01-01T11:00:00Z", "2026-01-01T11:00:30Z");
        assert_eq!(after.since, since.parse().unwrap());
        assert_eq!(
            after.scanned,
            HashMap::from([(ProjectKey::of("1"), scanned.parse().unwrap())])
        );
        assert_eq!(after.requests, [("generate", "Ok", 1)]);
    }

    #[test]
    fn a_doubt_asks_for_one_check_and_not_for_sixteen() {
        let shared = Shared::new(1);
        let s = Duration::from_secs;
        let asked = [0, 4, 5, 9, 10, 11, 40].map(|at| shared.doubts(s(at)));
        let (now, later) = (Some(s(0)), Some(s(6)));
        assert_eq!(asked, [now, later, None, None, Some(s(10)), None, now]);
    }
}
