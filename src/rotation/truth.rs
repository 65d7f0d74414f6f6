//! What is reported says the truth about the stored value: it is asked about first where it may be dead. No I/O.

use std::time::Duration;

use crate::api::Reason;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::memory::DoubtKind;
use crate::rotation::observed::Observed;
use crate::rotation::secret::{SecretState, SecretView, Value};
use crate::rotation::step::{Blocked, Report, Retry, Source, Step, rest};
use crate::rotation::verdict::Verdict;
use crate::rotation::verified::{Verified, verified};

impl<'a> Evaluation<'a> {
    /// News about the stored value, unless ZITADEL was asked about it after the news was read.
    pub(super) fn doubts(&mut self, kind: DoubtKind) {
        if !matches!(self.facts.probe, Observed::Live(_)) {
            self.memory.doubts(kind, self.facts.now.boot);
        }
    }

    /// The Secret that a verdict is about, if there is one that can be asked about.
    fn judgeable(&self) -> Option<&'a SecretView> {
        match &self.facts.secret {
            Observed::Live(SecretState::Present(view))
                if view.value == Value::Present && self.facts.former.is_none() =>
            {
                Some(view)
            }
            _ => None,
        }
    }

    /// Takes note of what ZITADEL has just said of the stored value.
    pub(super) fn take_verdict(&mut self) {
        let (Some(view), Observed::Live(verdict)) = (self.judgeable(), &self.facts.probe) else {
            return;
        };
        // NB: without a verdict, what is known stands.
        if *verdict != Verdict::Unknown {
            self.memory
                .judged(&view.version, *verdict, self.facts.now.boot);
        }
        if let Some(rejection) = &mut self.memory.rejected {
            rejection.asked = rejection.asked.saturating_add(1);
        }
    }

    /// Takes note of an attempt that may replace the stored value, if it was not seen before: its answer may be lost. And of a value that
    /// is not the one that was refused.
    pub(super) fn see_news(&mut self) {
        let facts = self.facts;
        let stored = match (&facts.former, facts.secret.known()) {
            (Some(former), _) => Some(&former.version),
            (None, Some(SecretState::Present(view))) => Some(&view.version),
            (None, _) => None,
        };
        if let (Some(rejection), Some(stored)) = (&self.memory.rejected, stored)
            && rejection.secret != *stored
        {
            self.memory.doubts(DoubtKind::News, facts.now.boot);
        }
        let slot = facts.active();
        let Some(claim) = facts.of(slot).known_claim() else {
            return;
        };
        let carried = match facts.secret.known() {
            Some(secret) => secret.attempt(slot),
            None => return,
        };
        let Some(attempt) = claim.live_attempt().map(|attempt| attempt.id) else {
            return;
        };
        let memory = &self.memory;
        let claimed = memory.claimed.as_ref().map(|claimed| claimed.attempt);
        let known = [carried, memory.not_executed, claimed].contains(&Some(attempt))
            || memory.open.iter().any(|(id, _)| *id == attempt)
            || (facts.former.as_ref()).is_some_and(|former| former.carries.contains(&attempt));
        if !known {
            self.doubts(DoubtKind::News);
        }
    }

    /// Whether the stored value is asked about before a wait is reported: it may be dead by now.
    fn asks(&self) -> bool {
        let memory = &self.memory;
        let waits = memory.drift.is_some()
            || memory.unreadable.is_some()
            || memory
                .open
                .iter()
                .any(|(attempt, _)| memory.not_executed != Some(*attempt));
        waits || memory.doubt.is_some() || verified(self.facts, memory).is_red()
    }

    /// The wait until the stored value is asked about again.
    pub(super) fn until_asked_again(&self) -> Duration {
        let refused = self.memory.rejected.as_ref().map_or(0, |it| it.asked);
        let unanswered = self.memory.doubt.as_ref().map_or(0, |it| it.asked);
        match (refused.max(unanswered), &self.memory.unreadable) {
            // It is accepted. A claim that stays as it is keeps the question open for as long: then it is asked ever more rarely.
            (0, Some((_, since))) => {
                let (timing, now) = (&self.facts.timing, self.facts.now.boot);
                now.saturating_sub(*since)
                    .max(timing.probe)
                    .min(timing.probe_most)
            }
            (asked, _) => self.after_asking(asked),
        }
    }

    /// The wait after the question was asked so many times.
    pub(super) fn after_asking(&self, times: u32) -> Duration {
        let timing = &self.facts.timing;
        let before = times.saturating_sub(1);
        timing
            .probe
            .saturating_mul(2_u32.saturating_pow(before.min(16)))
            .min(timing.probe_most)
    }

    /// Makes a report say the truth about the stored value: it is asked about first where it may be dead.
    pub(super) fn truthful(&mut self, step: Step) -> Step {
        let facts = self.facts;
        let is_reported = match &step {
            Step::Rest(report) => !matches!(report, Report::Quiet(_) | Report::Outdated { .. }),
            _ => false,
        };
        if !is_reported || !self.is_askable() {
            return self.said(step);
        }
        if matches!(facts.probe, Observed::Unread | Observed::Cached(_)) {
            if !self.asks() {
                return self.said(step);
            }
            // NB: what failed is met once more, and counts once.
            let before = facts.memory.clone();
            self.memory.backoff = before.backoff;
            self.memory.rewrites = before.rewrites;
            self.memory.unanswered = before.unanswered;
            self.memory.not_executed = before.not_executed;
            self.slot = facts.active();
            return self.read(&[Source::Probe]);
        }
        if let Some(doubt) = &mut self.memory.doubt {
            doubt.asked = doubt.asked.saturating_add(1);
        }
        self.said(step)
    }

    /// Whether the stored value can be asked about.
    fn is_askable(&self) -> bool {
        self.judgeable().is_some_and(|view| view.commit.is_ok())
            && self.memory.holding.is_none()
            && self.facts.gates.connection.is_ok()
    }

    /// Makes a report say the truth about the stored value: nothing is called usable that is not known to be, and it is checked again
    /// soon as long as that lasts.
    pub(super) fn said(&self, step: Step) -> Step {
        let facts = self.facts;
        let report = match step {
            Step::Rest(report) => report,
            other => return other,
        };
        let verified = verified(facts, &self.memory);
        let again = self.until_asked_again();
        let soon = |retry: Retry| match retry {
            Retry::After(wait) => Retry::After(wait.min(again)),
            Retry::OnChange | Retry::At(_) => Retry::After(again),
        };
        let asked = self.is_askable() && self.asks();
        rest(match report {
            Report::Settled { .. } if !verified.is_usable() => Report::Working {
                blocked: because(Reason::NoVerdict.into(), verified),
                retry: Retry::After(again),
            },
            Report::Usable { blocked, retry } if !verified.is_usable() => Report::Working {
                blocked: because(blocked, verified),
                retry: if asked { soon(retry) } else { retry },
            },
            Report::Usable { blocked, retry } if asked => Report::Usable {
                blocked,
                retry: soon(retry),
            },
            Report::Working { blocked, retry } if asked => Report::Working {
                blocked,
                retry: soon(retry),
            },
            Report::Stalled { blocked, retry } if asked => Report::Stalled {
                blocked,
                retry: soon(retry),
            },
            other => other,
        })
    }
}

/// Why the object is not ready: that ZITADEL rejects what is stored says more than what is waited for.
fn because(blocked: Blocked, verified: Verified) -> Blocked {
    let waits = matches!(
        blocked.reason,
        Reason::NoVerdict | Reason::OutcomeUnknown | Reason::AttemptOpen | Reason::ClaimUnreadable
    );
    if waits && verified == Verified::Rejected {
        return Reason::Refused.into();
    }
    blocked
}
