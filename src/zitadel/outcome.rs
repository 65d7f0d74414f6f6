//! What an answer of generate means. No I/O.
//!
//! The one question: was a new secret made? Generate is carried out once or not at all, cannot be asked for again, and
//! shows the secret only here, so every doubt is [`Outcome::Unknown`].

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::Value;

use super::answer::{Answer, Failure};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::error_body::{ErrorBody, error_of};
use super::secret::ClientSecret;
use super::wire;
use crate::ids::{OrganizationId, Sequence};

/// What became of one generate call.
pub enum Outcome {
    /// Carried out, and this is the new secret.
    Success {
        /// The new secret; shown nowhere else.
        secret: ClientSecret,
        /// The event's number in the project.
        sequence: Sequence,
        /// When the event was made, by ZITADEL's clock.
        change_date: Timestamp,
        /// The organisation that owns the project.
        resource_owner: Option<String>,
    },
    /// Carried out and this is the new secret, but its place in the journal must be looked up.
    SuccessWithoutSequence {
        /// The new secret; shown nowhere else.
        secret: ClientSecret,
    },
    /// Proven not to have been carried out; the present secret lives.
    NotExecuted(ZitadelError),
    /// It may have been carried out, now or later: only the journal can tell.
    Unknown(ZitadelError),
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Generated {
    client_secret: secrecy::SecretString,
    #[serde(default)]
    details: Value,
}

/// Judges what came back from generate.
pub fn classify(result: Result<&Answer, Failure>) -> Outcome {
    match result {
        Ok(answer) if (200..300).contains(&answer.status) => {
            success(&answer.body).unwrap_or_else(|| Outcome::Unknown(malformed(answer)))
        }
        Ok(answer) if proves_no_execution(answer) => {
            Outcome::NotExecuted(error_of(Operation::Generate, answer))
        }
        Ok(answer) => Outcome::Unknown(error_of(Operation::Generate, answer)),
        Err(failure @ Failure::NotSent(..)) => {
            Outcome::NotExecuted(failure.of(Operation::Generate))
        }
        Err(failure @ Failure::MaybeSent(..)) => Outcome::Unknown(failure.of(Operation::Generate)),
    }
}

fn malformed(answer: &Answer) -> ZitadelError {
    ZitadelError::new(Operation::Generate, ErrorClass::Malformed).with_answer(answer.status, None)
}

fn success(body: &[u8]) -> Option<Outcome> {
    use secrecy::ExposeSecret;
    let answer: Generated = serde_json::from_slice(body).ok()?;
    let secret = ClientSecret::try_from(answer.client_secret.expose_secret()).ok()?;
    let detail = |name| answer.details.get(name).unwrap_or(&Value::Null);
    let sequence = wire::sequence(detail("sequence"));
    let change_date = wire::timestamp(detail("changeDate"));
    let (Some(sequence), Some(change_date)) = (sequence, change_date) else {
        return Some(Outcome::SuccessWithoutSequence { secret });
    };
    let owner = detail("resourceOwner").as_str();
    let resource_owner = owner
        .and_then(|owner| OrganizationId::try_from(owner).ok())
        .map(String::from);
    Some(Outcome::Success {
        secret,
        sequence,
        change_date,
        resource_owner,
    })
}

/// Whether ZITADEL itself refused the call before carrying it out. An action target's refusal proves nothing: targets on the
/// response side run after the deed and choose their 4xx freely. Nor does an error without an id: a proxy could have made it.
fn proves_no_execution(answer: &Answer) -> bool {
    // NB: 408 and 499 say that somebody stopped waiting, not that nothing was done.
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
