//! The standby application that the operator creates (`spec.standby.type: Provisioned`). No I/O.
//!
//! Creating it needs no attempt. Nothing is rotated by it; and a name is unique in a project, so that a second call is refused and the
//! application is found by its name. Its id is recorded in the claim of the application that `spec.appId` names.

use std::ops::ControlFlow::{self, Break, Continue};

use crate::api::Reason;
use crate::rotation::cause::found::taken_over;
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::Claim;
use crate::rotation::claims::Claims;
use crate::rotation::evaluation::Evaluation;
use crate::rotation::facts::Facts;
use crate::rotation::observed::Observed;
use crate::rotation::secret::SecretState;
use crate::rotation::slot::Slot;
use crate::rotation::step::{Report, Retry, Source, Step, rest, stalled, waiting};

/// Creates the standby application where none is known, or ZITADEL has the known one no more.
pub(super) fn provision(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step> {
    let facts = eval.facts;
    let known = claims.primary.and_then(|claim| claim.standby.as_ref());
    if !facts.object.provisioned || (known.is_some() && !is_gone(eval)) {
        return Continue(());
    }
    let unconfirmed = is_unconfirmed(facts, claims);
    let claim = match of_object(eval, claims) {
        Some(claim) if unconfirmed || claims.open(Slot::Primary, secret).is_none() => claim,
        None if unconfirmed => return own_claim(eval, claims, secret),
        Some(_) | None => return Continue(()),
    };
    eval.slot = Slot::Primary;
    let ready = match &facts.primary.app {
        Observed::Unread | Observed::Cached(_) => {
            return Break(eval.read(&[Source::Object, Source::App]));
        }
        Observed::Live(app) => app.refused.is_none(),
        Observed::Failed(_) => false,
    };
    if ready && eval.held_back_provision().is_none() {
        eval.current()?;
        let claim = Claim {
            standby: None,
            ..claim.clone()
        };
        return Break(Step::Provision {
            claim: Box::new(claim),
            over: eval.claim_version(),
        });
    }
    if unconfirmed {
        return Break(rest(not_provisioned(eval)));
    }
    Continue(())
}

/// What a rotation waits for that need not end the stored pair: the standby application, and before that a claim to record it in. A repair
/// does not wait, since what it replaces is dead already.
pub(super) fn before_rotation(
    eval: &mut Evaluation<'_>,
    cause: Cause,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step> {
    let facts = eval.facts;
    let open = claims.open(Slot::Primary, secret).is_some();
    if !is_awaited(eval) || cause.is_repair() || open {
        return Continue(());
    }
    eval.slot = Slot::Primary;
    let app = eval.app()?;
    let retry = Retry::After(facts.timing.retry_most);
    if let Some(reason) = app.refused {
        return Break(rest(stalled(reason, retry)));
    }
    match of_object(eval, claims) {
        None => own_claim(eval, claims, secret),
        // An attempt that is known not to have been carried out is given up first: beside an open one nothing is created.
        Some(claim) if is_stored_open(eval, secret) => Break(eval.write_claim(claim.clone())),
        Some(_) => Break(rest(not_provisioned(eval))),
    }
}

/// Whether the claim is stored with an open attempt, whatever is known of that by now.
fn is_stored_open(eval: &Evaluation<'_>, secret: &SecretState) -> bool {
    let stored = eval.facts.primary.known_claim();
    let claims = Claims::default().with(Slot::Primary, stored);
    claims.open(Slot::Primary, secret).is_some()
}

/// Whether there is a standby application by the Secret alone, which is the tenant's word. Before the claim says so, nothing is done with it,
/// and its claim is not looked at: it may be another object's.
pub(super) fn is_unconfirmed(facts: &Facts, claims: Claims<'_>) -> bool {
    let known = claims.primary.and_then(|claim| claim.standby.as_ref());
    facts.object.provisioned && known.is_none() && facts.standby.is_some()
}

/// Whether the standby application is still to be created.
pub(super) fn is_awaited(eval: &Evaluation<'_>) -> bool {
    eval.facts.object.provisioned && eval.facts.standby.is_none()
}

/// What is reported while the standby application cannot be created.
pub(super) fn not_provisioned(eval: &Evaluation<'_>) -> Report {
    let timing = &eval.facts.timing;
    eval.held_back_provision()
        .unwrap_or_else(|| match &eval.facts.primary.app {
            Observed::Failed(failure) if !failure.permanent => {
                waiting(failure.into(), Retry::After(timing.retry_first))
            }
            _ => waiting(
                Reason::StandbyNotReady.into(),
                Retry::After(timing.retry_most),
            ),
        })
}

/// Whether ZITADEL has the standby application no more. While the Secret holds its pair that is first replaced.
fn is_gone(eval: &Evaluation<'_>) -> bool {
    let facts = eval.facts;
    let standby = facts.standby.as_ref().map(|standby| &standby.app);
    facts.idle() == Some(Slot::Standby)
        && matches!(standby, Some(Observed::Failed(failure)) if failure.reason == Reason::AppNotFound)
}

/// The object's own claim of the application that `spec.appId` names.
fn of_object<'a>(eval: &Evaluation<'_>, claims: Claims<'a>) -> Option<&'a Claim> {
    let owner = &eval.facts.object.owner;
    claims.primary.filter(|claim| claim.owner == *owner)
}

/// Writes that claim, with what the one before remembers.
fn own_claim(
    eval: &mut Evaluation<'_>,
    claims: Claims<'_>,
    secret: &SecretState,
) -> ControlFlow<Step> {
    eval.slot = Slot::Primary;
    let trigger = eval.facts.handled_trigger();
    let make = if secret.is_recorded() {
        Claim::settled
    } else {
        Claim::unissued
    };
    let claim = taken_over(eval, claims.primary, trigger, make)?;
    Break(eval.write_claim(claim))
}
