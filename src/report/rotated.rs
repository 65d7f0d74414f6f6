//! The event of a finished rotation. No I/O.

use crate::api::{ConsumersStatus, ForeignSecret, Outcome, Reason};
use crate::reconcile::app_state::Flushed;
use crate::report::event::Severity;
use crate::rotation::Cause;

/// The event of a finished rotation.
///
/// `consumers` are those of the stored value: when the former pair is retired all the same, whoever still holds it is named.
pub fn event(flushed: &Flushed, consumers: Option<&ConsumersStatus>) -> (Severity, Reason, String) {
    let attempt = flushed.attempt;
    let sequence = flushed.sequence;
    match (flushed.outcome, flushed.cause) {
        (Outcome::WithoutEffect, _) => (
            Severity::Warning,
            Reason::WithoutEffect,
            format!(
                "Rotation {attempt} had no effect at ZITADEL, which still accepts the old secret; it is repeated"
            ),
        ),
        (Outcome::Superseded, _) => (
            Severity::Warning,
            Reason::LostAttempt,
            format!("Rotation {attempt} was superseded before it could be written"),
        ),
        (Outcome::Retired, _) => {
            let note = format!(
                "The overlap is over: the former client secret, of app {}, is accepted no more",
                flushed.app
            );
            match consumers.filter(|consumers| consumers.stale + consumers.unknown > 0) {
                None => (Severity::Normal, Reason::Retired, note),
                Some(behind) => {
                    let names = behind.behind.iter();
                    let names = names.filter_map(|it| it.pod.as_ref().or(it.workload.as_ref()));
                    let names: Vec<_> = names.map(String::as_str).collect();
                    let note = format!(
                        "{note}. {} of {} consumers may still hold it: {}",
                        behind.stale + behind.unknown,
                        behind.total,
                        names.join(", ")
                    );
                    (Severity::Warning, Reason::Retired, note)
                }
            }
        }
        (_, cause @ (Cause::FirstIssue | Cause::LostAttempt)) => {
            let (reason, made) = if cause == Cause::FirstIssue {
                (Reason::Issued, "Issued the first client secret".to_owned())
            } else {
                let made = format!("Rotated the client secret ({})", cause.as_str());
                (Reason::Rotated, made)
            };
            match &flushed.replaced {
                // NB: what was replaced is not the operator's, and may have been in use.
                Some(foreign) => {
                    let note = format!("{made}, {sequence}. {}", replaced(foreign));
                    let type_ = if foreign.with_app == Some(true) {
                        Severity::Normal
                    } else {
                        Severity::Warning
                    };
                    (type_, reason, note)
                }
                None => (Severity::Normal, reason, format!("{made}, {sequence}")),
            }
        }
        (_, cause) => (
            Severity::Normal,
            Reason::Rotated,
            format!("Rotated the client secret ({}), {sequence}", cause.as_str()),
        ),
    }
}

fn replaced(foreign: &ForeignSecret) -> String {
    let user = foreign.user_id.as_deref();
    let by = user.map_or_else(String::new, |user| format!(" by user {user}"));
    let time = foreign.time.0;
    if foreign.with_app == Some(true) {
        // NB: the journal does not say whether it was created to authenticate by a secret.
        format!(
            "If the application had one since it was created{by} at {time}, that is accepted no more: anyone who used it needs the new one"
        )
    } else {
        format!(
            "It replaced one that was made{by} at {time}: anyone who used that needs the new one"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use jiff::Timestamp;

    use super::*;
    use crate::ids::{AppId, AttemptId, Sequence};

    #[test]
    fn the_event_names_who_made_a_replaced_secret_also_after_a_lost_answer() {
        let time = Timestamp::UNIX_EPOCH;
        let noted = |cause, with_app| {
            let flushed = Flushed {
                attempt: AttemptId(uuid::Uuid::nil()),
                cause,
                outcome: Outcome::Published,
                app: AppId::try_from("2").unwrap(),
                replaced: Some(ForeignSecret {
                    user_id: Some("77".to_owned()),
                    time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time),
                    with_app,
                    unknown: BTreeMap::default(),
                }),
                sequence: Sequence(5),
                change_date: time,
                resource_owner: None,
                proving: Duration::ZERO,
                writing: Duration::ZERO,
                revision: None,
            };
            event(&flushed, None)
        };
        for cause in [Cause::FirstIssue, Cause::LostAttempt] {
            let (type_, _, note) = noted(cause, None);
            assert!(matches!(type_, Severity::Warning));
            assert!(
                note.contains("made by user 77 at 1970-01-01T00:00:00Z"),
                "{note}"
            );
            let (_, _, note) = noted(cause, Some(true));
            assert!(
                note.contains("since it was created by user 77 at 1970"),
                "{note}"
            );
        }
    }

    #[test]
    fn who_still_holds_a_pair_that_is_retired_all_the_same_is_named() {
        let retired = |consumers: Option<&ConsumersStatus>| {
            let flushed = Flushed {
                attempt: AttemptId(uuid::Uuid::nil()),
                cause: Cause::Retire,
                outcome: Outcome::Retired,
                app: AppId::try_from("2").unwrap(),
                replaced: None,
                sequence: Sequence(5),
                change_date: Timestamp::UNIX_EPOCH,
                resource_owner: None,
                proving: Duration::ZERO,
                writing: Duration::ZERO,
                revision: None,
            };
            event(&flushed, consumers)
        };
        let (severity, _, note) = retired(None);
        assert!(matches!(severity, Severity::Normal) && note.ends_with("accepted no more"));
        let behind = serde_json::json!({
            "attempt": "a", "total": 3, "current": 1, "stale": 1, "unknown": 1,
            "behind": [{"pod": "web-1", "how": "environment"}, {"workload": "Deployment/x", "how": "does not exist"}],
        });
        let (severity, _, note) = retired(serde_json::from_value(behind).ok().as_ref());
        assert!(matches!(severity, Severity::Warning), "{note}");
        assert!(
            note.ends_with("2 of 3 consumers may still hold it: web-1, Deployment/x"),
            "{note}"
        );
    }
}
