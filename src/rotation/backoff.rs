//! How long to wait after what did not change the world: longer each time. No I/O.

use std::time::Duration;

use crate::rotation::facts::Facts;
use crate::rotation::hash::fnv1a;
use crate::rotation::memory::{Backoff, Memory};
use crate::rotation::observed::Failure;

impl Memory {
    /// Generate was not carried out, or a read failed: the wait before the next try, by what is remembered of earlier ones.
    pub fn back_off(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let next = longer(
            self.backoff.as_deref(),
            facts,
            failure,
            facts.timing.retry_first,
            Growth::of(failure),
        );
        self.backoff.insert(next.into()).left(facts)
    }

    /// Something was tried and nothing came of it, for example a claim that was given up: as [`Memory::back_off`], but sooner again.
    pub fn set_back(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let next = longer(
            self.backoff.as_deref(),
            facts,
            failure,
            facts.timing.retry_soonest,
            Growth::of(failure),
        );
        self.backoff.insert(next.into()).left(facts)
    }

    /// More steps were made at once than any rotation takes: nothing at all is done for a while.
    pub(super) fn stop_for_a_while(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let soonest = facts.timing.retry_soonest;
        let next = longer(
            self.backoff.as_deref(),
            facts,
            failure,
            soonest,
            Growth::Fast,
        );
        let next = Backoff {
            everything: true,
            ..next
        };
        self.backoff.insert(next.into()).left(facts)
    }

    /// The Secret was written again with the value that it holds. If that is undone, the next time is later; it is forgotten once it
    /// has held for ten times as long.
    pub fn rewritten(&mut self, facts: &Facts, failure: &Failure) {
        let soonest = facts.timing.retry_soonest;
        let lasted = |before: &&Backoff| {
            let wait = Growth::Fast.wait(soonest, before.count, facts.timing.retry_most);
            facts.now.boot < before.until.saturating_add(wait.saturating_mul(10))
        };
        let before = self.rewrites.as_deref().filter(lasted);
        self.rewrites = Some(longer(before, facts, failure, soonest, Growth::Fast).into());
    }
}

impl Memory {
    /// The standby application could not be created.
    pub fn not_provisioned(&mut self, facts: &Facts, failure: &Failure) {
        let (before, first) = (self.provision.as_deref(), facts.timing.retry_first);
        let next = longer(before, facts, failure, first, Growth::of(failure));
        self.provision = Some(next.into());
    }

    /// The API server stores labels or annotations of the Secret otherwise than they are sent: they are left so for as long as a wait is
    /// at most, unless the object is changed.
    pub fn left_as_it_is(&mut self, facts: &Facts, failure: &Failure) {
        self.rewrites = Some(Box::new(Backoff {
            until: facts.now.boot.saturating_add(facts.timing.retry_most),
            ..longer(None, facts, failure, facts.timing.retry_most, Growth::Slow)
        }));
    }
}

impl Backoff {
    fn left(&self, facts: &Facts) -> Duration {
        self.until.saturating_sub(facts.now.boot)
    }
}

/// How waits grow.
#[derive(Clone, Copy)]
enum Growth {
    /// Twice as long each time.
    Slow,
    /// Four times as long each time.
    Fast,
}

impl Growth {
    /// A refusal that should be for good may pass all the same: ZITADEL answers 401 and 403 while it fails to load something, and for a
    /// moment after a role was given. So the first wait is as short as any, and the longest is reached sooner.
    const fn of(failure: &Failure) -> Self {
        if failure.permanent {
            Self::Fast
        } else {
            Self::Slow
        }
    }

    /// The wait after `count` times in a row.
    fn wait(self, first: Duration, count: u32, most: Duration) -> Duration {
        let factor: u32 = match self {
            Self::Slow => 2,
            Self::Fast => 4,
        };
        first
            .saturating_mul(factor.saturating_pow(count.saturating_sub(1).min(16)))
            .min(most)
    }
}

/// The one waiting rule for everything that did not change the world: longer each time, up to an hour, and anew only for a changed object
/// or connection, after a rotation, or when all is well.
fn longer(
    before: Option<&Backoff>,
    facts: &Facts,
    failure: &Failure,
    first: Duration,
    growth: Growth,
) -> Backoff {
    // A changed object does not wait for what failed before.
    let inputs = &facts.object.inputs;
    let before = before.filter(|it| it.inputs == *inputs);
    let count = before.map_or(0, |it| it.count).saturating_add(1);
    let wait = growth.wait(first, count, facts.timing.retry_most);
    let wait = spread(wait, &facts.object.owner.uid, count);
    Backoff {
        count,
        until: facts.now.boot.saturating_add(wait),
        failure: failure.clone(),
        inputs: inputs.clone(),
        everything: false,
    }
}

/// ±20 %, the same for an object and count every time.
fn spread(wait: Duration, uid: &str, count: u32) -> Duration {
    let hash = fnv1a(uid.bytes().chain(count.to_le_bytes()));
    let percent = 80 + u32::try_from(hash % 41).unwrap_or(20);
    wait.saturating_mul(percent) / 100
}
