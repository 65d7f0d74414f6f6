//! What is not worth another write of a status. No I/O.

use jiff::Timestamp;

use crate::api::{AppSecretStatus, Condition, ConditionType, Reason};
use crate::report::message;

/// The time in each message stays what it was in `before` where it says the same: `is_own` if this process wrote that. While another actor
/// undoes every write of the Secret, a new revision alone is not worth a write.
pub fn steady(
    status: &mut AppSecretStatus,
    before: &AppSecretStatus,
    is_own: bool,
    now: Timestamp,
) {
    for condition in before.conditions.iter() {
        let same = |after: &&Condition| {
            (after.status, &after.reason, after.observed_generation)
                == (
                    condition.status,
                    &condition.reason,
                    condition.observed_generation,
                )
                && message::is_same(&condition.message, &after.message, |was, is| {
                    message::stands(was, is, is_own, now)
                })
        };
        if status
            .conditions
            .get(condition.type_)
            .is_some_and(|after| same(&after))
        {
            status.conditions.say(condition.type_, &condition.message);
        }
    }
    let ready = before.conditions.get(ConditionType::Ready);
    if ready.is_some_and(|ready| ready.reason == Reason::SecretContested.as_str()) {
        let same = before.secret_resource_version.clone();
        let revision = std::mem::replace(&mut status.secret_resource_version, same);
        if status != before {
            status.secret_resource_version = revision;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::Status;

    #[test]
    fn a_time_in_a_message_changes_only_with_the_wait() {
        use ConditionType::{Ready, Stalled};
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let with = |time: &str| {
            let mut status = AppSecretStatus::default();
            for type_ in [Ready, Stalled] {
                let text = format!("raise it. The operator tries again at {time}");
                let set = &mut status.conditions;
                set.set(
                    type_,
                    Status::True,
                    Reason::QuotaExceeded,
                    text,
                    Some(1),
                    now,
                );
            }
            status
        };
        let (before, alike) = (with("2026-11-29T03:00:10Z"), with("2026-11-29T03:00:11Z"));
        let later = with("2026-11-29T03:05:00Z");
        let steadied = |mut after: AppSecretStatus, is_own| {
            steady(&mut after, &before, is_own, now);
            after
        };
        assert_eq!(steadied(alike, true), before);
        assert_eq!(steadied(later.clone(), true), later, "a new wait");
        assert_eq!(
            steadied(later.clone(), false),
            before,
            "replicas do not correct each other"
        );
        let mut other = later;
        let set = &mut other.conditions;
        let text = "raise it. The operator tries again at 2026-11-29T03:00:10Z";
        set.set(
            Ready,
            Status::False,
            Reason::QuotaExceeded,
            text,
            Some(1),
            now,
        );
        assert!(!steadied(other, true).conditions.is_true(Ready));
    }

    #[test]
    fn while_a_label_is_undone_again_and_again_the_revision_of_the_secret_alone_is_no_news() {
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let with = |reason, revision: &str, sequence: &str| {
            let mut status = AppSecretStatus {
                secret_resource_version: Some(revision.to_owned()),
                sequence: Some(sequence.to_owned()),
                ..AppSecretStatus::default()
            };
            let set = &mut status.conditions;
            set.set(ConditionType::Ready, Status::True, reason, "", Some(1), now);
            status
        };
        let steadied = |before: &AppSecretStatus, mut after: AppSecretStatus| {
            steady(&mut after, before, true, now);
            after
        };
        let contested = with(Reason::SecretContested, "7", "5");
        let undone = with(Reason::SecretContested, "8", "5");
        assert_eq!(steadied(&contested, undone), contested);
        let rotated = with(Reason::SecretContested, "8", "6");
        assert_eq!(steadied(&contested, rotated.clone()), rotated);
        let (well, written) = (
            with(Reason::UpToDate, "7", "5"),
            with(Reason::UpToDate, "8", "5"),
        );
        assert_eq!(steadied(&well, written.clone()), written);
        assert_eq!(steadied(&contested, written.clone()), written, "it holds");
    }
}
