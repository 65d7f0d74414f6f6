//! The event of a finished rotation. No I/O.

use crate::api::{ForeignSecret, Outcome, Reason};
use crate::reconcile::app_state::Flushed;
use crate::report::event::Severity;
use crate::rotation::Cause;

/// The event of a finished rotation.
pub fn event(flushed: &Flushed) -> (Severity, Reason, String) {
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
        (Outcome::Retired, _) => (
            Severity::Normal,
            Reason::Retired,
            format!(
                "The overlap is over: the former client secret, of app {}, is accepted no more",
                flushed.app
            ),
        ),
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
                    let note = format!("{made}, sequence {sequence}. {}", replaced(foreign));
                    let type_ = if foreign.with_app == Some(true) {
                        Severity::Normal
                    } else {
                        Severity::Warning
                    };
                    (type_, reason, note)
                }
                None => (
                    Severity::Normal,
                    reason,
                    format!("{made}, sequence {sequence}"),
                ),
            }
        }
        (_, cause) => (
            Severity::Normal,
            Reason::Rotated,
            format!(
                "Rotated the client secret ({}), sequence {sequence}",
                cause.as_str()
            ),
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
            event(&Flushed {
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
            })
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
}
