//! Says that another operator of the same class keeps the same objects. Both rotate each credential then, and neither sees the claims of
//! the other: what shows it is the record on the Secret.

use std::sync::Arc;

use crate::api::{AppSecret, Reason};
use crate::ids::AttemptId;
use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::rotation::{Facts, foreign_attempt};

/// Says so where the record shows it for the second time: of claim and Secret, which are read one after the other, the one that was read
/// first may be the older one.
pub fn report(
    object: &AppSecret,
    context: &Arc<Context>,
    reconciliation: &Reconciliation,
    facts: &Facts,
) {
    let Some(attempt) = foreign_attempt(facts) else {
        return;
    };
    {
        let foreign = &mut reconciliation.state.lock().foreign;
        let seen = foreign.filter(|(known, _)| *known == attempt);
        *foreign = Some((attempt, seen.is_some()));
        if seen != Some((attempt, false)) {
            return;
        }
    }
    let owner = &reconciliation.target.owner;
    let note = note(
        &reconciliation.target.secret.name,
        attempt,
        &context.process.settings.namespace,
        &context.process.settings.class,
    );
    tracing::warn!(
        kind = %owner.kind,
        namespace = owner.namespace,
        name = owner.name,
        %attempt,
        class = context.process.settings.class,
        "another operator of this class keeps the same object"
    );
    context
        .events
        .warning(object, Reason::AnotherOperator, &note);
    context.another_operator.send_replace(Some(format!(
        "another operator of class {} keeps the same objects: {} {}/{}, {}",
        context.process.settings.class,
        owner.kind,
        owner.namespace,
        owner.name,
        context.process.clock.wall().strftime("%FT%TZ")
    )));
}

fn note(secret: &str, attempt: AttemptId, namespace: &str, class: &str) -> String {
    format!(
        "Secret {secret} was written by attempt {attempt}, which no claim in namespace {namespace} knows: another operator of class {class} keeps this object too, so each rotation is made twice. Stop one of them, or give each a class of its own (--controller-class, and spec.controllerClass of the connection). If the claims were restored from a backup, nothing is to be done"
    )
}
