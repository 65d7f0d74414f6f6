//! One round of decisions: the facts, the memory as it becomes, and the waits that follow from both. No I/O.

use std::time::Duration;

use super::facts::{AppFacts, AppView, Facts, Failure, Observed, Slot, Version};
use super::memory::{Backoff, Memory, Refusals};
use super::{Blocked, Claim, Entry, Report, Retry, Source, Step};
use crate::api::Reason;

/// One round: the facts, and the memory as it becomes.
pub(super) struct Round<'a> {
    pub(super) facts: &'a Facts,
    pub(super) memory: Memory,
    /// The application that is looked at.
    pub(super) slot: Slot,
    /// Whether an attempt was open of which it was never known whether it was carried out.
    pub(super) unresolved: bool,
}

impl<'a> Round<'a> {
    /// A round with nothing decided yet.
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            memory: facts.memory.clone(),
            slot: facts.active(),
            unresolved: false,
        }
    }

    /// What is known of the application that is looked at.
    pub(super) fn seen(&self) -> &'a AppFacts {
        self.facts.of(self.slot)
    }

    /// The step that reads these, of the application that is looked at.
    pub(super) const fn read(&self, sources: &'static [Source]) -> Step {
        Step::Read {
            sources,
            slot: self.slot,
        }
    }

    /// The step that writes a claim over the one that was read.
    pub(super) fn write_claim(&self, claim: Claim) -> Step {
        Step::WriteClaim {
            slot: self.slot,
            claim: Box::new(claim),
            over: self.claim_version(),
        }
    }

    /// The revision of the claim that was read.
    pub(super) fn claim_version(&self) -> Option<Version> {
        self.seen().claim.known()?.version().cloned()
    }

    /// How much of `span` is left since `since`; none if it is over.
    pub(super) fn left(&self, since: Duration, span: Duration) -> Option<Duration> {
        let gone = self.facts.now.boot.saturating_sub(since);
        span.checked_sub(gone).filter(|left| !left.is_zero())
    }

    /// The application, read live.
    pub(super) fn app(&mut self) -> Result<AppView, Step> {
        match &self.seen().app {
            Observed::Live(app) => Ok(*app),
            Observed::Failed(failure) => Err(self.failed(failure)),
            Observed::Unread | Observed::Cached(_) => Err(self.read(&[Source::App])),
        }
    }

    /// Makes sure that the object is what the watch shows: on the word of a watch that lags behind, nothing is changed.
    pub(super) fn current(&mut self) -> Result<(), Step> {
        match &self.facts.current {
            Observed::Live(true) => Ok(()),
            Observed::Live(false) => Err(rest(Report::Outdated {
                retry: Retry::After(self.facts.timing.probe),
            })),
            Observed::Failed(failure) => Err(self.failed(failure)),
            Observed::Unread | Observed::Cached(_) => Err(self.read(&[Source::Object])),
        }
    }

    /// The rest that a failure asks for. A changed object or connection does not wait.
    pub(super) fn backing_off(&self) -> Option<Step> {
        let backoff = self.memory.backoff.as_ref()?;
        self.waits_for(backoff)
    }

    /// The rest that a used up step budget asks for.
    pub(super) fn resting(&self) -> Option<Step> {
        let backoff = self.memory.backoff.as_ref()?;
        self.waits_for(backoff).filter(|_| backoff.everything)
    }

    fn waits_for(&self, backoff: &Backoff) -> Option<Step> {
        let facts = self.facts;
        if backoff.inputs != facts.object.inputs {
            return None;
        }
        let left = backoff
            .until
            .checked_sub(facts.now.boot)
            .filter(|left| !left.is_zero())?;
        let blocked = Blocked::from(&backoff.failure);
        let retry = Retry::After(left);
        Some(rest(if backoff.failure.permanent {
            Report::Stalled { blocked, retry }
        } else {
            waiting(blocked, retry)
        }))
    }

    /// The step that writes the Secret again from the value it holds. What somebody else undoes each time is written ever more rarely.
    pub(super) fn render(&self, over: Version, record: Option<(Slot, Entry)>) -> Step {
        let rewrites = self.memory.rewrites.as_ref();
        rewrites
            .and_then(|rewrites| self.waits_for(rewrites))
            .unwrap_or(Step::Render { over, record })
    }

    /// It is not known whether the attempt was carried out; what came back, where this process made it.
    pub(super) fn outcome_unknown(&self) -> Blocked {
        let failure = self.memory.unanswered.as_ref().map(|(_, failure)| failure);
        Blocked {
            answer: failure.and_then(|failure| failure.answer.clone()),
            error_id: failure.and_then(|failure| failure.error_id.clone()),
            ..Reason::OutcomeUnknown.into()
        }
    }

    /// A refusal that says nothing about the stored value: what was counted before counts no more.
    pub(super) fn refused_for_another_reason(&mut self, secret: &Version) {
        let now = self.facts.now.boot;
        self.memory.refusals = Some(Refusals {
            secret: secret.clone(),
            count: 0,
            first: now,
            last: now,
        });
    }

    /// Counts a refusal of the stored value; probes in quick succession count once. When the first was, and how many.
    pub(super) fn refused_once_more(&mut self, secret: &Version) -> (Duration, u32) {
        let now = self.facts.now.boot;
        let apart = self.facts.timing.dead / (self.facts.timing.dead_probes.max(2) - 1) / 2;
        let refusals = match self.memory.refusals.take() {
            Some(refusals) if refusals.secret == *secret => {
                let again = now.saturating_sub(refusals.last) >= apart;
                Refusals {
                    count: refusals.count + u32::from(again),
                    last: if again { now } else { refusals.last },
                    ..refusals
                }
            }
            _ => Refusals {
                secret: secret.clone(),
                count: 1,
                first: now,
                last: now,
            },
        };
        let counted = (refusals.first, refusals.count);
        self.memory.refusals = Some(refusals);
        counted
    }

    /// A read failed: forget what depends on uninterrupted reads, and wait, longer each time.
    pub(super) fn failed(&mut self, failure: &Failure) -> Step {
        self.memory.read_failed();
        let delay = self.memory.back_off(self.facts, failure);
        let blocked = Blocked::from(failure);
        rest(if failure.permanent {
            Report::Stalled {
                blocked,
                retry: Retry::After(delay),
            }
        } else {
            waiting(blocked, Retry::After(delay))
        })
    }
}

impl Memory {
    /// Generate was not carried out, or a read failed: the wait before the next try, by what is remembered of earlier ones.
    pub fn back_off(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let next = longer(
            self.backoff.as_ref(),
            facts,
            failure,
            facts.timing.retry_first,
            false,
        );
        self.backoff.insert(next).left(facts)
    }

    /// Something was tried and nothing came of it, for example a claim that was given up: as [`Memory::back_off`], but sooner again.
    pub fn set_back(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let next = longer(
            self.backoff.as_ref(),
            facts,
            failure,
            facts.timing.retry_soonest,
            false,
        );
        self.backoff.insert(next).left(facts)
    }

    /// More steps were made at once than any rotation takes: nothing at all is done for a while.
    pub(super) fn stop_for_a_while(&mut self, facts: &Facts, failure: &Failure) -> Duration {
        let soonest = facts.timing.retry_soonest;
        let next = longer(self.backoff.as_ref(), facts, failure, soonest, true);
        self.backoff.insert(next).left(facts)
    }

    /// The Secret was written again with the value that it holds. If that is undone, the next time is later; it is forgotten once it
    /// has held for ten times as long.
    pub fn rewritten(&mut self, facts: &Facts, failure: &Failure) {
        let soonest = facts.timing.retry_soonest;
        let lasted = |before: &&Backoff| {
            let wait = doubled(soonest, 2, before.count, facts.timing.retry_most);
            facts.now.boot < before.until.saturating_add(wait.saturating_mul(10))
        };
        let before = self.rewrites.as_ref().filter(lasted);
        self.rewrites = Some(longer(before, facts, failure, soonest, false));
    }
}

impl Memory {
    /// The API server stores labels or annotations of the Secret otherwise than they are sent: they are left so for as long as a wait is
    /// at most, unless the object is changed.
    pub fn left_as_it_is(&mut self, facts: &Facts, failure: &Failure) {
        self.rewrites = Some(Backoff {
            until: facts.now.boot.saturating_add(facts.timing.retry_most),
            ..longer(None, facts, failure, facts.timing.retry_most, false)
        });
    }
}

impl Backoff {
    fn left(&self, facts: &Facts) -> Duration {
        self.until.saturating_sub(facts.now.boot)
    }
}

/// The one waiting rule for everything that did not change the world: longer each time, up to an hour, and anew only for a changed object
/// or connection, after a rotation, or when all is well.
fn longer(
    before: Option<&Backoff>,
    facts: &Facts,
    failure: &Failure,
    first: Duration,
    everything: bool,
) -> Backoff {
    // Whoever has changed the object meanwhile need not wait for what failed before.
    let inputs = &facts.object.inputs;
    let before = before.filter(|it| it.inputs == *inputs);
    let count = before.map_or(0, |it| it.count).saturating_add(1);
    // NB: a refusal that should be for good may pass all the same: ZITADEL answers 401 and 403 while it fails to load something,
    // and for a moment after a role was given. Nor do many steps at once say that there is no end of them. So the first wait is as short as any, and the longest is reached sooner.
    let sooner = failure.permanent || everything;
    let factor = if sooner { 4 } else { 2 };
    let wait = doubled(first, factor, count, facts.timing.retry_most);
    let wait = spread(wait, &facts.object.owner.uid, count);
    Backoff {
        count,
        until: facts.now.boot.saturating_add(wait),
        failure: failure.clone(),
        inputs: inputs.clone(),
        everything,
    }
}

fn doubled(first: Duration, factor: u32, count: u32, most: Duration) -> Duration {
    first
        .saturating_mul(factor.saturating_pow(count.saturating_sub(1).min(16)))
        .min(most)
}

/// ±20 %, the same for an object and count every time.
fn spread(wait: Duration, uid: &str, count: u32) -> Duration {
    let hash = uid
        .bytes()
        .chain(count.to_le_bytes())
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    let percent = 80 + u32::try_from(hash % 41).unwrap_or(20);
    wait.saturating_mul(percent) / 100
}

pub(super) fn rest(report: Report) -> Step {
    Step::Rest(report)
}

pub(super) fn stalled(reason: Reason, retry: Retry) -> Step {
    rest(Report::Stalled {
        blocked: reason.into(),
        retry,
    })
}

/// Waiting. Whether there is a credential that can be used meanwhile, [`Round::truthful`] says of every report.
pub(super) const fn waiting(blocked: Blocked, retry: Retry) -> Report {
    Report::Usable { blocked, retry }
}
