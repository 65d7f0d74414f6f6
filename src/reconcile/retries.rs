//! How long something that failed waits until it is tried again: longer each time. Does no I/O.

use std::borrow::Borrow;
use std::collections::HashMap;
use std::hash::Hash;
use std::time::Duration;

use backon::{BackoffBuilder as _, ExponentialBackoff, ExponentialBuilder};
use parking_lot::Mutex;

/// The waits of those that failed the last time.
#[derive(Debug)]
pub struct Retries<K>(Mutex<HashMap<K, ExponentialBackoff>>);

impl<K> Default for Retries<K> {
    fn default() -> Self {
        Self(Mutex::default())
    }
}

impl<K: Eq + Hash> Retries<K> {
    /// The longest wait, before jitter doubles it at most. After an outage of the API server objects are reconciled sooner:
    /// its watch begins anew then.
    pub const LONGEST: Duration = Duration::from_secs(60);

    /// It failed once more: how long to wait.
    pub fn failed(&self, key: K) -> Duration {
        let mut all = self.0.lock();
        let backoff = all.entry(key).or_insert_with(|| {
            ExponentialBuilder::default()
                .with_min_delay(Duration::from_secs(1))
                .with_max_delay(Self::LONGEST)
                .with_factor(2.0)
                .with_jitter()
                .without_max_times()
                .build()
        });
        backoff.next().unwrap_or(Self::LONGEST)
    }

    /// It did not fail: the next failure is a first one.
    pub fn succeeded<Q: Eq + Hash + ?Sized>(&self, key: &Q)
    where
        K: Borrow<Q>,
    {
        self.0.lock().remove(key);
    }

    /// Forgets those that are gone.
    pub fn retain(&self, keep: impl Fn(&K) -> bool) {
        self.0.lock().retain(|key, _| keep(key));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn waits_double_up_to_a_bound_and_begin_anew_after_a_success() {
        let retries = Retries::default();
        for expected in [1, 2, 4, 8, 16, 32, 60, 60, 60] {
            let wait = retries.failed("a").as_secs_f64();
            let expected = f64::from(expected);
            assert!((expected..=2.0 * expected).contains(&wait), "{wait}");
        }
        assert!(retries.failed("b") <= Duration::from_secs(2));
        retries.succeeded(&"a");
        assert!(retries.failed("a") <= Duration::from_secs(2));
        retries.retain(|key| *key == "b");
        assert!(retries.failed("a") <= Duration::from_secs(2));
        assert!(retries.failed("b") >= Duration::from_secs(2));
    }

    #[test]
    fn those_that_fail_together_do_not_come_back_together() {
        let retries = Retries::default();
        let waits: std::collections::BTreeSet<_> = (0..20).map(|n| retries.failed(n)).collect();
        assert!(waits.len() > 10, "{waits:?}");
    }
}
