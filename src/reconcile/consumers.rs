//! Which rotations have their consumers followed, and how far they are.

use jiff::Timestamp;

use crate::api::{ConditionType, ConsumersStatus};
use crate::consumers::find::Wanted;
use crate::consumers::judge::Spans;
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::Followed;
use crate::consumers::workload::annotation;
use crate::process::kube_client::DEFAULT_DEADLINE;
use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::reconcile::received::Received;
use crate::rotation::schedule::interval::later;
use crate::rotation::{Cause, Facts, SecretState};
use crate::target::Target;

/// What is known of the consumers of an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Seen {
    /// There is nothing to say of them.
    Nothing,
    /// What the status says stands.
    AsReported,
    /// So far they are.
    Followed(Box<Followed>),
}

fn wanted(target: &Target) -> Wanted {
    Wanted {
        secret: target.secret.name.clone(),
        keys: target.secret.data.keys().map(ToOwned::to_owned).collect(),
    }
}

/// A value was just written: its consumers are followed from now on.
pub fn written(context: &Context, received: &Received) {
    let target = context.store.present(&received.target);
    if !context.consumers.sees_pods() || target.suspended {
        return;
    }
    context.consumers.follow(Rotation {
        owner: target.owner.clone(),
        attempt: received.attempt,
        written: context.consumers.now(),
        replaced: received.cause != Cause::FirstIssue,
        annotation: annotation(&target.secret.name),
        wanted: wanted(&target),
        policy: target.consumers.clone(),
    });
}

/// The rotation that made the stored value; none where that is not known, or where nothing but this object's own Secret would say so.
fn stored(reconciliation: &Reconciliation, facts: &Facts) -> Option<Rotation> {
    let Some(SecretState::Present(view)) = facts.secret.known() else {
        return None;
    };
    let entry = view.commit.as_ref().ok()?.as_ref()?;
    let (attempt, published) = reconciliation.published?;
    if !view.owned || facts.former.is_some() || entry.attempt != Some(attempt) {
        return None;
    }
    let claim = facts.of(view.active).known_claim();
    let cause = claim
        .and_then(|claim| claim.attempt.as_ref())
        .filter(|claimed| claimed.id == attempt)
        .and_then(|claimed| claimed.cause.known());
    let target = &reconciliation.target;
    Some(Rotation {
        owner: target.owner.clone(),
        attempt,
        // The write that arrived was begun then; it took as long as a request may take, at the most.
        written: later(published, DEFAULT_DEADLINE + Spans::SECOND),
        replaced: cause.is_some_and(|cause| cause != Cause::FirstIssue),
        annotation: annotation(&target.secret.name),
        wanted: wanted(target),
        policy: target.consumers.clone(),
    })
}

/// What is known of the consumers of an object, for its report. They are followed unless the status says that they were through.
pub fn see(context: &Context, reconciliation: &Reconciliation, facts: &Facts) -> Seen {
    let target = &reconciliation.target;
    if target.suspended {
        context
            .consumers
            .forget(&target.owner.namespace, &target.owner.uid);
        return Seen::AsReported;
    }
    let Some(SecretState::Present(view)) = facts.secret.known() else {
        return Seen::AsReported;
    };
    let Some(rotation) = stored(reconciliation, facts) else {
        // Another value is on its way under another name, or nothing was ever rotated.
        let unknown = facts.former.is_some() || view.commit.is_err();
        return if unknown {
            Seen::AsReported
        } else {
            Seen::Nothing
        };
    };
    let overlap = target.schedule.overlap();
    let awaits = overlap.is_some_and(|overlap| overlap.awaits_consumers);
    if !context.consumers.sees_pods() {
        let is_asked = target.consumers.is_given || awaits;
        return if is_asked {
            Seen::Followed(Box::new(context.consumers.follow(rotation)))
        } else {
            Seen::Nothing
        };
    }
    let status = &reconciliation.status;
    let attempt = rotation.attempt.to_string();
    let is_reported = |it: &ConsumersStatus| it.attempt == attempt;
    let is_through = status.consumers.as_ref().is_some_and(is_reported)
        && status.conditions.is_true(ConditionType::ConsumersCurrent);
    let owner = &rotation.owner;
    let known = context
        .consumers
        .progress(&owner.namespace, &owner.uid, rotation.attempt);
    // NB: the former pair is given up only for what this process has seen itself.
    let is_awaited = awaits && facts.object.overlap_ends.is_some();
    if known.is_none() && is_through && !is_awaited {
        return Seen::AsReported;
    }
    Seen::Followed(Box::new(context.consumers.follow(rotation)))
}

/// When consumers that are behind now are to be reported as a problem, if that is yet to come.
pub fn late_at(seen: &Seen, now: Timestamp) -> Option<Timestamp> {
    match seen {
        Seen::Followed(followed) if !followed.progress.is_complete() => {
            Some(followed.rotation.deadline()).filter(|at| *at > now)
        }
        Seen::Followed(_) | Seen::AsReported | Seen::Nothing => None,
    }
}
