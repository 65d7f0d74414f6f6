//! Obstacles that are in the way of the next rotation only: the stored client secret is as declared, and works. No I/O.

use crate::api::Reason;
use crate::rotation::facts::Facts;
use crate::rotation::memory::Memory;
use crate::rotation::secret::SecretState;
use crate::rotation::verified::verified;

/// Whether consumers can use what the Secret holds, although a person must act before anything else can be written to it.
pub fn is_usable_beside(reason: Reason, facts: &Facts, memory: &Memory) -> bool {
    let as_declared = match facts.secret.known() {
        Some(SecretState::Present(view)) => {
            view.managed && view.owned && view.rendered && view.held_elsewhere.is_none()
        }
        Some(SecretState::Absent) | None => false,
    };
    // NB: under its new name a Secret that was renamed does not exist yet.
    concerns_what_is_next(reason)
        && as_declared
        && facts.former.is_none()
        // What was received last is not what is stored, and replaced it perhaps at ZITADEL.
        && memory.holding.is_none()
        && verified(facts, memory).is_usable()
}

/// Whether a reason says nothing of the stored value. What it says of an application, a project, the operator's rights at ZITADEL, the
/// connection or another owner may be the end of the value as well.
const fn concerns_what_is_next(reason: Reason) -> bool {
    matches!(
        reason,
        Reason::StandbyNotReady
            | Reason::StandbyNameTaken
            | Reason::SecretContested
            | Reason::SecretTypeMismatch
            | Reason::SecretImmutable
            | Reason::SecretWriteForbidden
            | Reason::SecretWriteRefused
            | Reason::SecretMutated
            | Reason::QuotaExceeded
            | Reason::NamespaceTerminating
            | Reason::DryRunUnsupported
            | Reason::ClaimWriteForbidden
    )
}
