//! One evaluation of the facts: the memory as it becomes, and what every question needs of both. No I/O.

use std::ops::ControlFlow::{self, Break, Continue};
use std::time::Duration;

use crate::api::Reason;
use crate::rotation::claim::Claim;
use crate::rotation::commit::Entry;
use crate::rotation::facts::{AppFacts, AppView, Facts};
use crate::rotation::memory::{Backoff, Memory, RejectionStreak};
use crate::rotation::observed::{Failure, Observed, Version};
use crate::rotation::overlap;
use crate::rotation::repairs::Repairs;
use crate::rotation::schedule::DueState;
use crate::rotation::slot::Slot;
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest, waiting};

/// One evaluation: the facts, and the memory as it becomes.
pub(super) struct Evaluation<'a> {
    pub(super) facts: &'a Facts,
    pub(super) memory: Memory,
    /// The application in question.
    pub(super) slot: Slot,
    /// Whether an attempt was open of which it was never known whether it was carried out.
    pub(super) unresolved: bool,
}

impl<'a> Evaluation<'a> {
    /// An evaluation with nothing decided yet.
    pub(super) fn new(facts: &'a Facts) -> Self {
        Self {
            facts,
            memory: facts.memory.clone(),
            slot: facts.active(),
            unresolved: false,
        }
    }

    /// What is known of the application in question.
    pub(super) fn seen(&self) -> &'a AppFacts {
        self.facts.of(self.slot)
    }

    /// The step that reads these, of the application in question.
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
    pub(super) fn app(&mut self) -> ControlFlow<Step, AppView> {
        match &self.seen().app {
            Observed::Live(app) => Continue(*app),
            // NB: by the reason itself a person would look for it in spec.appId.
            Observed::Failed(failure)
                if self.slot == Slot::Standby && failure.reason == Reason::AppNotFound =>
            {
                let reason = Reason::StandbyNotReady;
                let failure = Failure {
                    reason,
                    ..failure.clone()
                };
                Break(rest(self.failed(&failure)))
            }
            Observed::Failed(failure) => Break(rest(self.failed(failure))),
            Observed::Unread | Observed::Cached(_) => Break(self.read(&[Source::App])),
        }
    }

    /// Makes sure that the object is what the watch shows: on the word of a watch that lags behind, nothing is changed.
    pub(super) fn current(&mut self) -> ControlFlow<Step> {
        match &self.facts.current {
            Observed::Live(true) => Continue(()),
            Observed::Live(false) => Break(rest(Report::Outdated {
                retry: Retry::After(self.facts.timing.probe),
            })),
            Observed::Failed(failure) => Break(rest(self.failed(failure))),
            Observed::Unread | Observed::Cached(_) => Break(self.read(&[Source::Object])),
        }
    }

    /// The rest that a failure asks for. A changed object or connection does not wait.
    pub(super) fn backing_off(&self) -> Option<Report> {
        let backoff = self.memory.backoff.as_ref()?;
        self.waits_for(backoff)
    }

    /// The rest that a used up step budget asks for.
    pub(super) fn resting(&self) -> Option<Report> {
        let backoff = self.memory.backoff.as_ref()?;
        self.waits_for(backoff).filter(|_| backoff.everything)
    }

    fn waits_for(&self, backoff: &Backoff) -> Option<Report> {
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
        Some(if backoff.failure.permanent {
            Report::Stalled { blocked, retry }
        } else {
            waiting(blocked, retry)
        })
    }

    /// The rest before the Secret is written again from the value it holds. What another actor undoes each time is written ever more
    /// rarely.
    pub(super) fn backing_off_rewrites(&self) -> Option<Report> {
        self.waits_for(self.memory.rewrites.as_ref()?)
    }

    /// The rest before the standby application is created once more.
    pub(super) fn held_back_provision(&self) -> Option<Report> {
        self.waits_for(self.memory.provision.as_ref()?)
    }

    /// A wait that ends when the next rotation is due, if that is sooner.
    pub(super) fn until_due(&self, wait: Duration) -> Duration {
        match self.facts.object.due {
            DueState::NotDue { next } => {
                wait.min(next.duration_since(self.facts.now.time).unsigned_abs())
            }
            _ => wait,
        }
    }

    /// The report that all is well. What another actor undoes each time is not said to be well before it has held for as long as the next
    /// write would wait.
    pub(super) fn settled_unless_undone(&self) -> Report {
        let again = self.memory.rewrites.as_deref().filter(|it| it.count > 1);
        match again.and_then(|again| self.waits_for(again)) {
            Some(Report::Usable {
                blocked,
                retry: Retry::After(left),
            }) => waiting(blocked, Retry::After(self.until_due(left))),
            _ => Report::settled(overlap::due(self.facts)),
        }
    }

    /// The step that writes the Secret again from the value it holds.
    pub(super) fn render(&self, over: Version, record: Option<(Slot, Entry)>) -> Step {
        self.backing_off_rewrites()
            .map_or(Step::Render { over, record }, rest)
    }

    /// The repairs that a claim has to remember which is written over this one. Where there is none, the journal stands in: a claim that
    /// was deleted must not reset the breaker.
    pub(super) fn repairs(&mut self, claim: Option<&Claim>) -> ControlFlow<Step, Repairs> {
        if let Some(claim) = claim {
            return Continue(claim.counted());
        }
        let facts = self.facts;
        match &self.seen().journal {
            Observed::Live(journal) => {
                let explained = facts.object.explained.sequences(facts.secret.known());
                let (now, timing) = (facts.now.time, &facts.timing);
                Continue(Repairs::by_journal(journal, &explained, now, timing))
            }
            Observed::Unread | Observed::Cached(_) => Break(self.read(&[Source::Journal])),
            Observed::Failed(failure) if failure.permanent => Continue(Repairs::default()),
            Observed::Failed(failure) => Break(rest(self.failed(failure))),
        }
    }

    /// A value that is taken over is recorded with the newest event, so it must be probed after that event was read and its effect
    /// can be seen. What an earlier probe said is of before.
    pub(super) fn read_before_probe(&self) -> ControlFlow<Step> {
        if matches!(self.seen().journal, Observed::Unread | Observed::Cached(_)) {
            return Break(self.read(&[Source::Journal, Source::App, Source::Probe]));
        }
        // NB: after the journal, so that the effect of its newest event can be seen.
        if matches!(self.seen().app, Observed::Unread | Observed::Cached(_)) {
            return Break(self.read(&[Source::App, Source::Probe]));
        }
        Continue(())
    }

    /// While the request may still be on its way, the old credential works and nothing is done.
    pub(super) fn quiet(&self, sent: Option<Duration>) -> ControlFlow<Step> {
        match sent.and_then(|since| self.left(since, self.facts.timing.quiet)) {
            Some(left) => {
                let retry = Retry::After(left);
                Break(rest(waiting(self.outcome_unknown(), retry)))
            }
            None => Continue(()),
        }
    }

    /// It is not known whether the attempt was carried out; what came back, where this process made it.
    pub(super) fn outcome_unknown(&self) -> Blocked {
        let failure = self.memory.unanswered.as_ref().map(|it| &it.1);
        Blocked {
            answer: failure.and_then(|failure| failure.answer.clone()),
            error_id: failure.and_then(|failure| failure.error_id.clone()),
            ..Reason::OutcomeUnknown.into()
        }
    }

    /// A rejection that says nothing about the stored value: what was counted before counts no more.
    pub(super) fn restart_streak(&mut self, secret: &Version) {
        let now = self.facts.now.boot;
        self.memory.streak = Some(Box::new(RejectionStreak {
            secret: secret.clone(),
            count: 0,
            first: now,
            last: now,
        }));
    }

    /// Counts a rejection of the stored value; probes in quick succession count once. When the first was, and how many.
    pub(super) fn count_rejection(&mut self, secret: &Version) -> (Duration, u32) {
        let now = self.facts.now.boot;
        let apart = self.facts.timing.dead / (self.facts.timing.dead_probes.max(2) - 1) / 2;
        let streak = match self.memory.streak.take() {
            Some(streak) if streak.secret == *secret => {
                let again = now.saturating_sub(streak.last) >= apart;
                RejectionStreak {
                    count: streak.count + u32::from(again),
                    last: if again { now } else { streak.last },
                    ..*streak
                }
            }
            _ => RejectionStreak {
                secret: secret.clone(),
                count: 1,
                first: now,
                last: now,
            },
        };
        let counted = (streak.first, streak.count);
        self.memory.streak = Some(Box::new(streak));
        counted
    }

    /// A read failed: forget what depends on uninterrupted reads, and wait, longer each time.
    pub(super) fn failed(&mut self, failure: &Failure) -> Report {
        self.memory.read_failed();
        let retry = Retry::After(self.memory.back_off(self.facts, failure));
        let blocked = Blocked::from(failure);
        if failure.permanent {
            Report::Stalled { blocked, retry }
        } else {
            waiting(blocked, retry)
        }
    }
}
