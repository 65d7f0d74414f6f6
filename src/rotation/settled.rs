//! Whether all is well by what the watches show, so that no request is needed at all. No I/O.

use crate::rotation::claim::Claim;
use crate::rotation::facts::{ClaimView, Facts};
use crate::rotation::memory::Memory;
use crate::rotation::overlap;
use crate::rotation::schedule::DueState;
use crate::rotation::secret::{SecretState, Value};
use crate::rotation::slot::Slot;
use crate::rotation::verified::{Verified, verified};

/// Whether all is well by what the watches show, so that no request is needed at all.
pub(super) fn settled(facts: &Facts, memory: &Memory) -> bool {
    let Some(SecretState::Present(secret)) = facts.secret.known() else {
        return false;
    };
    let claim = |slot| match facts.of(slot).claim.known() {
        Some(ClaimView::Present {
            record: Ok(claim),
            held_elsewhere: false,
            ..
        }) => Some(claim),
        _ => None,
    };
    let open = |slot: Slot| {
        let attempt = claim(slot).and_then(Claim::live_attempt);
        attempt.is_some_and(|attempt| {
            secret.entry(slot).and_then(|entry| entry.attempt) != Some(attempt.id)
        })
    };
    let idle_is_quiet = facts.idle().is_none_or(|idle| {
        let absent = matches!(facts.of(idle).claim.known(), Some(ClaimView::Absent));
        (absent || claim(idle).is_some()) && !open(idle)
    });
    let (Some(claim), Ok(Some(entry))) = (claim(secret.active), &secret.commit) else {
        return false;
    };
    facts.former.is_none()
        && secret.managed
        && secret.owned
        && secret.held_elsewhere.is_none()
        && secret.refused.is_none()
        && secret.rendered
        && secret.value != Value::Absent
        && claim.owner == facts.object.owner
        && !open(secret.active)
        && idle_is_quiet
        && !overlap::is_over(facts)
        && !facts.object.standby_unseen
        && (facts.object.trigger.is_none()
            || facts.object.trigger.as_deref() == claim.handled(entry.attempt))
        && memory.drift.is_none()
        && verified(facts, memory) == Verified::Accepted
        && facts
            .of(secret.active)
            .hint
            .is_none_or(|hint| !memory.is_news(hint, entry))
        && !matches!(overlap::due(facts), DueState::Due { .. })
}
