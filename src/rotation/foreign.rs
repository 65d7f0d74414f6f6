//! Whether another operator writes the same Secret: one of the same class in another namespace, whose claims this one does not see. No I/O.

use std::time::Duration;

use crate::ids::AttemptId;
use crate::rotation::facts::{ClaimView, Facts};
use crate::rotation::observed::Observed;
use crate::rotation::secret::SecretState;
use crate::rotation::slot::Slot;

/// By how much the clocks of two operators may differ for their attempts to be put in order.
const CLOCKS: Duration = Duration::from_mins(1);

/// The attempt that the Secret carries, if no claim of this operator knows it although it came after the attempt in the claim.
///
/// NB: only by a claim that was just read: a watch that lags behind shows what another replica wrote into the Secret before its claim.
/// Where the claim was lost, or the Secret comes from a backup, an unknown attempt is no sign of another operator.
pub fn foreign_attempt(facts: &Facts) -> Option<AttemptId> {
    let Some(SecretState::Present(secret)) = facts.secret.known() else {
        return None;
    };
    let foreign = |slot: &Slot| {
        let entry = secret.entry(*slot)?;
        let stored = entry.attempt?;
        let Observed::Live(ClaimView::Present {
            record: Ok(claim), ..
        }) = &facts.of(*slot).claim
        else {
            return None;
        };
        let own = claim.attempt.as_ref()?;
        let known = own.id == stored || claim.replaced.iter().any(|it| it.id == stored);
        let later = if let Some(before) = own.pre_sequence {
            entry.sequence > before
        } else {
            let latest = stored.made_at().checked_add(CLOCKS);
            latest.is_ok_and(|latest| latest >= own.id.made_at())
        };
        let same = secret.owned && claim.owner == facts.object.owner;
        (same && !known && later).then_some(stored)
    };
    facts.slots().iter().find_map(foreign)
}
