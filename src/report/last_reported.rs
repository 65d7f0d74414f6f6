//! What this process last reported of an object: whether a status says the same. No I/O.

use std::hash::{DefaultHasher, Hash as _, Hasher as _};
use std::time::Duration;

use crate::api::{AppSecretStatus, Condition, ConditionType};

/// What an object's status said when this process wrote it last. All that is ever asked is whether a status says the same: it is kept as
/// two hashes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LastReported {
    /// What its conditions say.
    words: u64,
    /// The whole of its `Ready` condition.
    ready: u64,
    /// When it was written, since boot.
    time: Duration,
}

impl LastReported {
    /// A status that was written at this time since boot.
    pub fn new(status: &AppSecretStatus, time: Duration) -> Self {
        Self {
            words: words(status),
            ready: ready(status),
            time,
        }
    }

    /// Whether this process wrote the `Ready` condition of a status.
    pub fn wrote_ready_of(self, status: &AppSecretStatus) -> bool {
        self.ready == ready(status)
    }

    /// How long the same is not said again, because another actor has said something different since. Two replicas that do not agree,
    /// as when only one of them reaches ZITADEL, would answer each other without end.
    pub fn contradicted(
        self,
        current: &AppSecretStatus,
        status: &AppSecretStatus,
        now: Duration,
        pause: Duration,
    ) -> Option<Duration> {
        let left = (self.time + pause).checked_sub(now)?;
        (self.words == words(status) && self.words != words(current)).then_some(left)
    }
}

/// What the conditions of a status say, as a hash: not when they came to it.
fn words(status: &AppSecretStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    for condition in status.conditions.iter() {
        let Condition {
            type_,
            status,
            reason,
            message,
            observed_generation,
            ..
        } = condition;
        (type_, status, reason, message, observed_generation).hash(&mut hasher);
    }
    hasher.finish()
}

/// The `Ready` condition of a status, as a hash.
fn ready(status: &AppSecretStatus) -> u64 {
    let mut hasher = DefaultHasher::new();
    // NB: a condition serializes, always.
    let ready = serde_json::to_string(&status.conditions.get(ConditionType::Ready));
    ready.unwrap_or_default().hash(&mut hasher);
    hasher.finish()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::{Reason, Status};

    const PAUSE: Duration = Duration::from_secs(20);

    fn saying(reason: Reason) -> AppSecretStatus {
        let mut status = AppSecretStatus::default();
        let now = jiff::Timestamp::UNIX_EPOCH;
        let conditions = &mut status.conditions;
        conditions.set(ConditionType::Ready, Status::True, reason, "", Some(1), now);
        status
    }

    #[test]
    fn replicas_that_do_not_agree_do_not_answer_each_other_without_end() {
        let (mine, others) = (saying(Reason::NoVerdict), saying(Reason::UpToDate));
        let last_reported = LastReported::new(&mine, Duration::from_secs(100));
        let left = |current, status, now| {
            last_reported.contradicted(current, status, Duration::from_secs(now), PAUSE)
        };
        assert_eq!(left(&others, &mine, 105), Some(Duration::from_secs(15)));
        assert_eq!(
            left(&others, &mine, 121),
            None,
            "after a while it is said again"
        );
        assert_eq!(
            left(&mine, &mine, 105),
            None,
            "no other replica reported anything else"
        );
        let news = saying(Reason::Refused);
        assert_eq!(left(&others, &news, 105), None, "it is news");
        let mut changed = mine.clone();
        changed.sequence = Some("7".into());
        let left = last_reported.contradicted(&mine, &changed, Duration::from_secs(105), PAUSE);
        assert_eq!(
            left, None,
            "no other replica reported anything else, and a field has changed"
        );
    }
}
