//! The claim for an attempt, by the claims before it. No I/O.

use crate::ids::{AttemptId, Sequence};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Attempt, AttemptState, Claim};
use crate::rotation::claims::Claims;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::Facts;
use crate::rotation::record::UnknownFields;
use crate::rotation::repairs::Repairs;
use crate::rotation::secret::SecretState;
use crate::rotation::slot::Slot;

/// The claims before an attempt: that of the stored pair's application and the one that is replaced. Often they are one.
pub(super) struct Before<'a> {
    /// The claim of the application whose pair is stored. It knows which trigger was handled.
    pub(super) stored: Option<&'a Claim>,
    /// The attempt that made the stored pair.
    pub(super) carried: Option<AttemptId>,
    /// The claim that is replaced.
    pub(super) replaced: Option<&'a Claim>,
    /// The last attempt on its application that came to its end.
    pub(super) replaced_carried: Option<AttemptId>,
    /// Whether a value was ever written.
    pub(super) issued: bool,
    /// The repairs that count.
    pub(super) repairs: Repairs,
}

impl<'a> Before<'a> {
    /// The claims before an attempt on that application.
    pub(super) fn of(facts: &Facts, claims: Claims<'a>, secret: &SecretState, slot: Slot) -> Self {
        Self {
            stored: claims.of(facts.active()),
            carried: secret.attempt(facts.active()),
            replaced: claims.of(slot),
            replaced_carried: secret.attempt(slot),
            issued: claims.all().any(|claim| claim.issued) || secret.is_recorded(),
            repairs: Repairs::of(claims.all().map(Claim::counted)),
        }
    }

    /// Whether that trigger is newer than both the handled one and the open attempts': it gives exactly one attempt past every brake.
    /// Without a claim it is not known to be: deleting claims must not gain an attempt for each.
    pub(super) fn without(&self, trigger: Option<&str>) -> bool {
        let tried = |claim: Option<&Claim>, carried| {
            claim.is_some_and(|claim| {
                let attempt = claim.attempt.as_ref().map(|attempt| attempt.id);
                attempt != carried && claim.trigger(true) == trigger
            })
        };
        trigger.is_some()
            && self
                .stored
                .is_some_and(|claim| claim.handled(self.carried) != trigger)
            && !tried(self.stored, self.carried)
            && !tried(self.replaced, self.replaced_carried)
    }

    /// Whether the rotation for that trigger was to make up for a lost answer, and was given up before it was sent: by another name the
    /// breaker would not count it.
    pub(super) fn gave_up_repair_for(&self, trigger: Option<&str>) -> bool {
        let attempt = self.replaced.and_then(|claim| claim.attempt.as_ref());
        attempt.is_some_and(|attempt| {
            attempt.cause == Cause::LostAttempt
                && attempt.state == AttemptState::Void
                && attempt.trigger.as_deref() == trigger
        })
    }
}

/// The claim for an attempt, over the one that is there. `counts`: as what it counts for the breaker, if it does, and the answer that was
/// lost.
pub(super) fn new_claim(
    eval: &Evaluation<'_>,
    cause: Cause,
    pre_sequence: Option<Sequence>,
    before: &Before<'_>,
    counts: Option<(&str, Option<String>)>,
) -> Claim {
    let facts = eval.facts;
    let mut repairs = before.repairs.clone();
    let time = match counts {
        Some((word, answer)) => repairs.add(facts.now.time, word, answer),
        None => repairs.free(facts.now.time),
    };
    let handled_trigger = match before.stored {
        Some(claim) => claim.handled(before.carried).map(ToOwned::to_owned),
        // The claim was damaged. If this attempt is given up, an older trigger must not count as a new one.
        None if before.issued => facts.handled_trigger(),
        None => None,
    };
    let open = before
        .replaced
        .and_then(Claim::live_attempt)
        .filter(|attempt| Some(attempt.id) != before.replaced_carried);
    // NB: the object was read after the claims, so what it says is the newest. What claims remember may be of long ago.
    let trigger = facts
        .object
        .trigger
        .clone()
        .or_else(|| open.and_then(|attempt| attempt.trigger.clone()))
        .or_else(|| handled_trigger.clone());
    let stored = match facts.secret.known() {
        Some(SecretState::Present(secret)) => secret.fingerprint.clone(),
        _ => None,
    };
    let attempt = Attempt {
        id: facts.fresh_attempt,
        stored,
        pre_sequence,
        api: facts.api,
        cause: cause.into(),
        trigger,
        holder: facts.holder.clone(),
        time,
        state: AttemptState::Open,
        unknown: UnknownFields::default(),
    };
    let repaired = |claim: Option<&Claim>| claim.and_then(|claim| claim.invalid_repair);
    Claim {
        version: Claim::VERSION,
        owner: facts.object.owner.clone(),
        handled_trigger,
        issued: before.issued || cause == Cause::SecretMissing,
        invalid_repair: match cause {
            Cause::SecretInvalid => Some(facts.now.time),
            _ => repaired(before.stored).max(repaired(before.replaced)),
        },
        repairs,
        replaced: before
            .replaced
            .map_or_else(Vec::new, |claim| claim.replaced(before.replaced_carried)),
        attempt: Some(attempt),
        standby: before.replaced.and_then(|claim| claim.standby.clone()),
        unknown: before
            .replaced
            .map(|claim| claim.unknown.clone())
            .unwrap_or_default(),
    }
}
