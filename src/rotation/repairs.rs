//! The repairs of one application that its claim remembers, and that the breaker counts. No I/O.

use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::ids::Sequence;
use crate::rotation::cause::kind::{AttemptCause, Cause};
use crate::rotation::journal::{Journal, JournalEvent};
use crate::rotation::timing::Timing;

/// What a claim remembers of one repair besides its time. An older version drops it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct RepairCause {
    /// When it began, as in `repairs`.
    pub time: Timestamp,
    /// Its cause. A newer version may know others.
    pub cause: String,
    /// What came in place of the answer that it makes up for, in words of the operator's own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub answer: Option<String>,
}

impl RepairCause {
    /// A rotation that is repeated because it had no effect. The attempt keeps the cause that it had.
    pub const WITHOUT_EFFECT: &'static str = "WithoutEffect";
}

/// The repairs of one application that count.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Default, Serialize, Deserialize)]
pub struct Repairs {
    /// When they began, on ZITADEL's clock, oldest first.
    #[serde(rename = "repairs", default, skip_serializing_if = "Vec::is_empty")]
    pub times: Vec<Timestamp>,
    /// Why, as far as it is known.
    #[serde(
        rename = "repairCauses",
        default,
        skip_serializing_if = "Vec::is_empty"
    )]
    pub causes: Vec<RepairCause>,
}

impl Repairs {
    /// How many are remembered: as many as open the breaker.
    const MOST: usize = Timing::BREAKER_LONG_LIMIT as usize;

    /// Those of several claims: with a standby, two remember the same.
    pub(super) fn of(claims: impl Iterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for one in claims {
            all.times.extend(one.times);
            all.causes.extend(one.causes);
        }
        all.trimmed()
    }

    /// The operator's own rotations in the journal that nothing explains: what counts where no claim remembers the repairs.
    pub(super) fn by_journal(
        journal: &Journal,
        explained: &[Sequence],
        now: Timestamp,
        timing: &Timing,
    ) -> Self {
        let own = journal.own_within(timing.breaker_long, now);
        let is_known = |event: &JournalEvent| explained.iter().any(|place| event.is_at(*place));
        let unexplained = own.filter(|event| !is_known(event));
        Self {
            times: unexplained.map(|event| event.time).collect(),
            causes: Vec::new(),
        }
        .trimmed()
    }

    /// The same, and one that begins now. The time that it is remembered by: its own.
    pub(super) fn add(
        &mut self,
        time: Timestamp,
        cause: &str,
        answer: Option<String>,
    ) -> Timestamp {
        let time = self.free(time);
        self.times.push(time);
        self.causes.push(RepairCause {
            time,
            cause: cause.to_owned(),
            answer,
        });
        *self = std::mem::take(self).trimmed();
        time
    }

    /// This time, or the next one that no repair has.
    ///
    /// NB: ZITADEL's clock is known to the second only, and two repairs of one time would count once.
    pub(super) fn free(&self, mut time: Timestamp) -> Timestamp {
        while self.times.contains(&time) {
            time = time
                .checked_add(Duration::from_millis(1))
                .unwrap_or(Timestamp::MAX);
        }
        time
    }

    /// Forgets the one that an attempt was, if it was one: it was not carried out.
    pub(super) fn forget(&mut self, time: Timestamp, cause: &AttemptCause) {
        let word = cause.as_str();
        let counted = |known: &RepairCause| {
            known.time == time
                && (known.cause == word || known.cause == RepairCause::WITHOUT_EFFECT)
        };
        if !cause.is_known_repair() && !self.causes.iter().any(counted) {
            return;
        }
        self.times.retain(|known| *known != time);
        self.causes.retain(|known| known.time != time);
    }

    fn trimmed(mut self) -> Self {
        self.times.sort_unstable();
        self.times.dedup();
        self.times
            .drain(..self.times.len().saturating_sub(Self::MOST));
        self.causes
            .retain(|known| self.times.binary_search(&known.time).is_ok());
        self.causes.sort_unstable();
        self.causes.dedup_by_key(|known| known.time);
        self
    }

    /// When the breaker closes; none: it is closed. Its windows slide, so it closes by itself.
    pub fn closes(&self, now: Timestamp, timing: &Timing) -> Option<Timestamp> {
        let end = |limit: u32, period: Duration| {
            // NB: nothing that counts is in the future; a clock that went back must not keep it open for longer.
            let oldest = self.times.iter().rev().nth(limit as usize - 1)?;
            (*oldest).min(now).checked_add(period).ok()
        };
        let short = end(Timing::BREAKER_SHORT_LIMIT, timing.breaker_short);
        let long = end(Timing::BREAKER_LONG_LIMIT, timing.breaker_long);
        short.max(long).filter(|end| *end > now)
    }

    /// Repairs of lost answers within the short window.
    pub(super) fn lost(&self, now: Timestamp, timing: &Timing) -> usize {
        let from = now.checked_sub(timing.breaker_short);
        let from = from.unwrap_or(Timestamp::MIN);
        let lost =
            |known: &&RepairCause| known.cause == Cause::LostAttempt.as_str() && known.time > from;
        self.causes.iter().filter(lost).count()
    }
}

#[cfg(test)]
mod tests;
