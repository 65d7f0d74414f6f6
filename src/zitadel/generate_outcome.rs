//! The outcome of a generate call. No I/O.
//!
//! The question is whether a new secret was generated. The call is executed once or not at all, cannot be repeated, and returns the secret
//! only once, so every doubt is [`GenerateOutcome::Unknown`].

use jiff::Timestamp;
use secrecy::{ExposeSecret, SecretString};
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, SendError};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::{ErrorBody, error_of};
use super::secret::ClientSecret;
use super::wire;
use crate::ids::{OrganizationId, Sequence};

/// The outcome of one generate call.
pub enum GenerateOutcome {
    /// Executed, with the new secret.
    Success {
        /// The new secret, which ZITADEL does not show again.
        secret: ClientSecret,
        /// The event's number in the project.
        sequence: Sequence,
        /// The time of the event, by ZITADEL's clock.
        change_date: Timestamp,
        /// The organization that owns the project.
        resource_owner: Option<String>,
    },
    /// Executed, with the new secret, but its sequence must be read from the journal.
    SuccessWithoutSequence {
        /// The new secret, which ZITADEL does not show again.
        secret: ClientSecret,
    },
    /// Proven not to have been executed: the current secret stays valid.
    NotExecuted(ZitadelError),
    /// It may have been or may still be executed: only the journal shows it.
    Unknown(ZitadelError),
}

/// What a successful answer says.
pub struct Generated {
    /// The new secret, which ZITADEL does not show again.
    pub secret: ClientSecret,
    /// Its place among those of the application, and its time, if the answer names them.
    pub made: Option<(Sequence, Timestamp)>,
    /// The organization that owns the project, if the answer names it.
    pub resource_owner: Option<String>,
}

/// The outcome of a generate call, from its answer; `parse` reads a successful one.
pub fn classify(
    result: Result<&Answer, SendError>,
    parse: impl Fn(&[u8]) -> Option<Generated>,
) -> GenerateOutcome {
    match result {
        Ok(answer) if (200..300).contains(&answer.status) => match parse(&answer.body) {
            Some(generated) => success(generated),
            None => GenerateOutcome::Unknown(malformed(answer)),
        },
        Ok(answer) if proves_no_execution(answer) => {
            GenerateOutcome::NotExecuted(error_of(Operation::Generate, answer))
        }
        Ok(answer) => GenerateOutcome::Unknown(error_of(Operation::Generate, answer)),
        Err(failure @ SendError::NotSent(..)) => {
            GenerateOutcome::NotExecuted(failure.of(Operation::Generate))
        }
        Err(failure @ SendError::MaybeSent(..)) => {
            GenerateOutcome::Unknown(failure.of(Operation::Generate))
        }
    }
}

fn malformed(answer: &Answer) -> ZitadelError {
    ZitadelError::new(Operation::Generate, ErrorClass::Malformed).with_answer(answer.status, None)
}

fn success(generated: Generated) -> GenerateOutcome {
    let Generated {
        secret,
        made,
        resource_owner,
    } = generated;
    match made {
        Some((sequence, change_date)) => GenerateOutcome::Success {
            secret,
            sequence,
            change_date,
            resource_owner,
        },
        None => GenerateOutcome::SuccessWithoutSequence { secret },
    }
}

/// An answer of v1: the client secret, and in `details` its sequence, date and organization.
pub(super) fn with_sequence(body: &[u8]) -> Option<Generated> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        client_secret: SecretString,
        #[serde(default)]
        details: Value,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let detail = |name| answer.details.get(name).unwrap_or(&Value::Null);
    let sequence = wire::sequence(detail("sequence"));
    let owner = detail("resourceOwner").as_str();
    Some(Generated {
        secret: ClientSecret::try_from(answer.client_secret.expose_secret()).ok()?,
        made: sequence.zip(wire::timestamp(detail("changeDate"))),
        resource_owner: owner
            .and_then(|owner| OrganizationId::try_from(owner).ok())
            .map(String::from),
    })
}

/// An answer of v2: the client secret and its date.
pub(super) fn with_date(body: &[u8]) -> Option<Generated> {
    #[derive(Deserialize)]
    #[serde(rename_all = "camelCase")]
    struct Answer {
        client_secret: SecretString,
        #[serde(default)]
        creation_date: Value,
    }
    let answer: Answer = serde_json::from_slice(body).ok()?;
    let date = wire::timestamp(&answer.creation_date);
    Some(Generated {
        secret: ClientSecret::try_from(answer.client_secret.expose_secret()).ok()?,
        made: date.map(|date| (Sequence::of_time(date), date)),
        resource_owner: None,
    })
}

/// Whether ZITADEL itself rejected the call before executing it. An action target's rejection proves nothing: targets on the
/// response side run after the execution and choose their 4xx freely. Nor does an error without an id: a proxy may have sent it.
fn proves_no_execution(answer: &Answer) -> bool {
    // NB: 408 and 499 say that a party stopped waiting, not that nothing was executed.
    if !(400..500).contains(&answer.status) || matches!(answer.status, 408 | 499) {
        return false;
    }
    ErrorBody::parse(&answer.body).is_some_and(|body| {
        // InvalidArgument, NotFound, PermissionDenied, ResourceExhausted, FailedPrecondition, Unimplemented, Unauthenticated
        matches!(body.code, 3 | 5 | 7 | 8 | 9 | 12 | 16)
            && !body.ids.is_empty()
            && !body.is_from_an_action()
    })
}

#[cfg(test)]
mod tests;
