//! The message while the breaker holds repairs back. No I/O.

use crate::rotation::{Cause, OpenBreaker, RepairCause, Standing};

/// Why repairs are held back: whether consumers are down, what was repaired why, and when it goes on.
pub(super) fn repairs_are_held(breaker: &OpenBreaker, secret: &str) -> String {
    let standing = match breaker.standing {
        Standing::Accepted => format!("ZITADEL accepts the client secret in Secret {secret}"),
        Standing::Rejected => {
            format!("Consumers are down: ZITADEL rejects the client secret in Secret {secret}")
        }
        Standing::Gone => {
            format!("Consumers are down: there is no client secret in Secret {secret}")
        }
        Standing::Unknown => {
            format!("It is not known whether ZITADEL accepts the client secret in Secret {secret}")
        }
    };
    let causes = &breaker.repairs.causes;
    let of = |cause: Cause| {
        let repairs = causes.iter().filter(|known| known.cause == cause.as_str());
        // The one that is held back would have been one more.
        repairs.count() + usize::from(breaker.held == cause)
    };
    let times = |number| {
        if number == 1 {
            "once".to_owned()
        } else {
            format!("{number} times")
        }
    };
    let mut why = Vec::new();
    let lost = of(Cause::LostAttempt);
    if lost > 0 {
        let remembered = || {
            causes
                .iter()
                .rev()
                .find_map(|known| known.answer.as_deref())
        };
        let answer = breaker.answer.as_deref().or_else(remembered);
        let answer = answer.map_or_else(String::new, |answer| format!(" ({answer})"));
        why.push(if lost == 1 {
            format!("ZITADEL carried out a rotation whose response could not be used{answer}")
        } else {
            format!(
                "ZITADEL carried out {lost} rotations whose responses could not be used{answer}"
            )
        });
    }
    let missing = of(Cause::SecretMissing);
    if missing > 0 {
        why.push(format!(
            "the client secret was deleted {}: find out who deletes it",
            times(missing)
        ));
    }
    let invalid = of(Cause::SecretInvalid);
    if invalid > 0 {
        why.push(format!(
            "ZITADEL rejected the stored client secret {}: find out who changes it",
            times(invalid)
        ));
    }
    let repeated = causes
        .iter()
        .filter(|known| known.cause == RepairCause::WITHOUT_EFFECT);
    let repeated = repeated.count() + usize::from(!breaker.held.is_repair());
    if repeated > 0 {
        why.push(format!(
            "ZITADEL returned a client secret that it never accepted {}",
            times(repeated)
        ));
    }
    let known = |it: &&RepairCause| {
        let repairs = Cause::ALL.into_iter().filter(|cause| cause.is_repair());
        let mut words = repairs
            .map(Cause::as_str)
            .chain([RepairCause::WITHOUT_EFFECT]);
        words.any(|word| word == it.cause)
    };
    let known = causes.iter().filter(known).count();
    let unknown = breaker.repairs.times.len().saturating_sub(known);
    if unknown > 0 {
        why.push(format!(
            "rotations of which no record says why they were made: {unknown}"
        ));
    }
    let closes = breaker
        .closes
        .round(jiff::Unit::Second)
        .unwrap_or(breaker.closes);
    format!(
        "{standing}. Repaired too often: {}. The next repair is made at {closes}; to rotate now, set a new spec.rotation.trigger",
        why.join("; ")
    )
}
