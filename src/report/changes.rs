//! Which changes of a status are worth an event. No I/O.

use crate::api::{ApiInUse, AppSecretStatus, Condition, ConditionType, Conditions, Reason, Status};
use crate::ids::ApiVersion;
use crate::report::event::Severity;

/// What an event says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct News {
    /// Whether it is about an outage.
    pub severity: Severity,
    /// The reason.
    pub reason: Reason,
    /// The sentence.
    pub note: String,
}

/// The news in the status of an object: a reason that begins, one that ends, an adoption.
pub fn of_object(before: &AppSecretStatus, after: &AppSecretStatus) -> Vec<News> {
    let mut news = Vec::new();
    let adopted = after
        .last_rotation
        .as_ref()
        .filter(|last| last.reason == Reason::Adopted.as_str());
    if adopted.is_some() && before.last_rotation.as_ref() != adopted {
        let secret = after.secret_name.as_deref().unwrap_or_default();
        news.push(News {
            severity: Severity::Normal,
            reason: Reason::Adopted,
            note: format!(
                "Adopted the client secret in Secret {secret}, which ZITADEL accepts; nothing was generated"
            ),
        });
    }
    // NB: each lost answer has an event of its own.
    let ready = of_ready(&before.conditions, &after.conditions);
    news.extend(ready.filter(|ready| ready.reason != Reason::LostAttempt));
    let verified = |status: &AppSecretStatus| {
        let verified = status.conditions.get(ConditionType::Verified)?;
        (verified.status == Status::False).then(|| verified.clone())
    };
    news.extend(of_consumers(&before.conditions, &after.conditions));
    if let Some(now) = verified(after)
        && verified(before).map(|before| before.reason) != Some(now.reason.clone())
        && let Some(reason) = reason(&now)
        && news.iter().all(|known| known.reason != reason)
    {
        news.push(News {
            severity: Severity::Warning,
            reason,
            note: now.message,
        });
    }
    news
}

/// The news of consumers: some are late, or those that were have the new value.
fn of_consumers(before: &Conditions, after: &Conditions) -> Option<News> {
    let late = Reason::DeadlineExceeded;
    let was = before.get(ConditionType::ConsumersCurrent);
    let now = after.get(ConditionType::ConsumersCurrent)?;
    let was_late = was.is_some_and(|was| was.reason == late.as_str());
    let (severity, reason) = match reason(now)? {
        reason if reason == late && !was_late => (Severity::Warning, reason),
        reason @ Reason::AllCurrent if was_late => (Severity::Normal, reason),
        _ => return None,
    };
    Some(News {
        severity,
        reason,
        note: now.message.clone(),
    })
}

/// What API v2 does not give.
pub const V2_GUARANTEES: &str = "it has no journal, so a client secret whose response was lost is replaced within minutes instead of at once, and a rotation by another actor is found by asking ZITADEL about the stored client secret";

/// The news of the version of ZITADEL's API that a connection uses.
pub fn of_api(before: Option<&ApiInUse>, after: Option<&ApiInUse>) -> Option<News> {
    let (before, after) = (&before?.in_use, &after?.in_use);
    if before == after {
        return None;
    }
    let weaker = after == ApiVersion::V2.as_str();
    let (severity, what) = if weaker {
        (Severity::Warning, V2_GUARANTEES)
    } else {
        (Severity::Normal, "it has a journal")
    };
    Some(News {
        severity,
        reason: Reason::ApiChanged,
        note: format!("ZITADEL's API {after} is used instead of {before}: {what}"),
    })
}

/// The news in the condition `Ready`, of an object or a connection.
pub fn of_ready(before: &Conditions, after: &Conditions) -> Option<News> {
    let was = before.get(ConditionType::Ready);
    let now = after.get(ConditionType::Ready)?;
    if was.is_some_and(|was| was.reason == now.reason) {
        return None;
    }
    let reason = reason(now)?;
    let note = now.message.clone();
    let severity = Severity::of(reason);
    if !is_well(&now.reason) {
        return Some(News {
            severity,
            reason,
            note,
        });
    }
    // All is well. That is news after a problem, and where a connection is usable for the first time.
    match was {
        Some(was) if !is_well(&was.reason) => Some(News {
            severity,
            reason,
            note: format!("{note}; no longer {}", was.reason),
        }),
        None if reason == Reason::Connected => Some(News {
            severity,
            reason,
            note,
        }),
        _ => None,
    }
}

/// The reason of a condition, if this version knows it.
fn reason(condition: &Condition) -> Option<Reason> {
    let mut all = Reason::ALL.iter().copied();
    all.find(|reason| reason.as_str() == condition.reason)
}

/// Whether a reason says that nothing is wrong, and nothing is stopped.
fn is_well(reason: &str) -> bool {
    [
        Reason::UpToDate,
        Reason::AwaitingWindow,
        Reason::CatchingUp,
        Reason::AwaitingConsumers,
        Reason::Connected,
    ]
    .iter()
    .any(|well| well.as_str() == reason)
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;
    use crate::api::LastRotation;

    fn status(conditions: &[(ConditionType, Status, Reason)]) -> AppSecretStatus {
        let mut status = AppSecretStatus {
            secret_name: Some("orders".to_owned()),
            ..AppSecretStatus::default()
        };
        for (type_, holds, reason) in conditions {
            let note = format!("{} it is", reason.as_str());
            let set = &mut status.conditions;
            set.set(
                *type_,
                *holds,
                *reason,
                note,
                Some(1),
                Timestamp::UNIX_EPOCH,
            );
        }
        status
    }

    fn ready(holds: bool, reason: Reason) -> AppSecretStatus {
        status(&[(ConditionType::Ready, holds.into(), reason)])
    }

    fn events(
        before: &AppSecretStatus,
        after: &AppSecretStatus,
    ) -> Vec<(Severity, Reason, String)> {
        let news = of_object(before, after).into_iter();
        news.map(|news| (news.severity, news.reason, news.note))
            .collect()
    }

    #[test]
    fn a_reason_is_news_when_it_begins_and_when_it_ends_and_not_in_between() {
        use Severity::{Normal, Warning};
        let none = AppSecretStatus::default();
        let well = ready(true, Reason::UpToDate);
        let down = ready(true, Reason::ZitadelTimeout);
        let held = ready(false, Reason::QuotaExceeded);
        assert_eq!(
            events(&none, &well),
            [],
            "a first issue has an event of its own"
        );
        assert_eq!(
            events(&well, &down),
            [(
                Warning,
                Reason::ZitadelTimeout,
                "ZitadelTimeout it is".to_owned()
            )]
        );
        assert_eq!(events(&down, &down), []);
        assert_eq!(
            events(&down, &held),
            [(
                Warning,
                Reason::QuotaExceeded,
                "QuotaExceeded it is".to_owned()
            )]
        );
        assert_eq!(
            events(&held, &well),
            [(
                Normal,
                Reason::UpToDate,
                "UpToDate it is; no longer QuotaExceeded".to_owned()
            )]
        );
        assert_eq!(events(&well, &ready(true, Reason::AwaitingWindow)), []);
        let suspended = ready(true, Reason::Suspended);
        let begins = events(&well, &suspended);
        assert_eq!(
            begins,
            [(Normal, Reason::Suspended, "Suspended it is".to_owned())]
        );
        assert_eq!(events(&suspended, &well).len(), 1);
    }

    #[test]
    fn every_reason_that_is_not_well_is_news_when_it_begins() {
        let well = ready(true, Reason::UpToDate);
        for reason in Reason::ALL {
            let begun = events(&well, &ready(false, *reason));
            let reasons: Vec<_> = begun.iter().map(|(_, reason, _)| *reason).collect();
            // A lost answer has an event of its own.
            let news = !is_well(reason.as_str()) && *reason != Reason::LostAttempt;
            let expected = news.then_some(*reason);
            assert_eq!(reasons, Vec::from_iter(expected));
        }
        let held = events(&well, &ready(true, Reason::SecretHeld));
        assert_eq!(held[0].0, Severity::Warning);
    }

    #[test]
    fn a_refused_value_is_a_warning_also_while_ready_speaks_of_something_else() {
        let well = ready(true, Reason::UpToDate);
        let doubt = [
            (ConditionType::Ready, Status::False, Reason::ZitadelTimeout),
            (ConditionType::Verified, Status::False, Reason::Refused),
        ];
        let news = events(&well, &status(&doubt));
        assert_eq!(news.len(), 2);
        assert_eq!(
            news[1],
            (
                Severity::Warning,
                Reason::Refused,
                "Refused it is".to_owned()
            )
        );
        assert_eq!(events(&status(&doubt), &status(&doubt)), []);
        let same = [
            (ConditionType::Ready, Status::False, Reason::SecretMissing),
            (
                ConditionType::Verified,
                Status::False,
                Reason::SecretMissing,
            ),
        ];
        assert_eq!(events(&well, &status(&same)).len(), 1, "once is enough");
    }

    #[test]
    fn an_adoption_and_a_first_connection_are_news() {
        let mut adopted = ready(true, Reason::UpToDate);
        adopted.last_rotation = Some(LastRotation {
            time: Time(Timestamp::UNIX_EPOCH),
            reason: "Adopted".to_owned(),
            attempt: String::new(),
            dark_window_milliseconds: None,
        });
        let none = AppSecretStatus::default();
        let sentence = "Adopted the client secret in Secret orders, which ZITADEL accepts; nothing was generated";
        assert_eq!(
            events(&none, &adopted),
            [(Severity::Normal, Reason::Adopted, sentence.to_owned())]
        );
        assert_eq!(events(&adopted, &adopted), []);
        let connected = ready(true, Reason::Connected).conditions;
        let first = of_ready(&none.conditions, &connected).unwrap();
        assert_eq!(
            (first.severity, first.reason),
            (Severity::Normal, Reason::Connected)
        );
        assert_eq!(of_ready(&connected, &connected), None);
    }
}
