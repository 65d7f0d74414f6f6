//! Reconciles one object: observe, decide, act, until there is nothing to do; then report.
//!
//! * [`observe`] collects the facts that the [store](crate::store) knows, without a request
//! * [`crate::rotation::decide()`] returns one step
//! * [`read`] reads what a step asks for: GETs, and ZITADEL's application, journal and introspection
//! * [`mod@act`] carries out a step; [`rotate`] and [`flush`] are the part of it that nothing interrupts
//!   ([`received`] is the value meanwhile), [`rename`] moves a value to a new name, [`provision`] creates the standby application;
//!   [`mod@claim`] writes claims
//! * [`consumers`] has the consumers of a new value followed
//! * [`crate::report::settle`] writes the status and the events
//!
//! [`context`] has the handles that all of these share, [`app_state`] what is remembered of an application. [`limits`] and [`retries`]
//! pace reconciliations.

pub(crate) mod act;
pub(crate) mod app_state;
pub(crate) mod claim;
#[cfg(test)]
pub(crate) mod compatibility;
pub(crate) mod consumers;
pub mod context;
pub(crate) mod flush;
pub(crate) mod journal;
pub(crate) mod limits;
pub(crate) mod mutated;
pub(crate) mod observe;
pub(crate) mod probe;
pub(crate) mod provision;
pub(crate) mod read;
pub(crate) mod received;
pub(crate) mod rename;
pub(crate) mod retries;
pub(crate) mod rivals;
pub(crate) mod rotate;

use std::sync::Arc;
use std::time::Instant;

use kube::Resource;
use kube::runtime::controller::Action;

use crate::api::AppSecret;
use crate::reconcile::act::act;
use crate::reconcile::context::Context;
use crate::reconcile::limits::ClaimPermit;
use crate::reconcile::observe::Reconciliation;
use crate::report::unreadable;
use crate::report::{self, Error};
use crate::rotation::{Report, Step, decide, out_of_steps};
use crate::store::object::Object;
use crate::target::Target;

/// Steps of one reconciliation at most. A rotation takes about ten, and twice as many where others change things meanwhile; more than this means
/// that there is no end of it.
const STEPS: usize = 20;

/// Reconciles one object.
pub async fn reconcile(kept: Arc<Object>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let result = match kept.read() {
        Ok(object) => Box::pin(one(&object, &context)).await,
        Err(error) => {
            let metadata = kept.metadata();
            let reported = unreadable::object(&context, kept.kind(), &metadata, &error);
            let reported = reported.await.map_err(Error::Status);
            reported.map(|reported| reported.again(&context))
        }
    };
    match &result {
        Ok(_) => context.process.metrics.reconciled("ok", started.elapsed()),
        Err(error) => context
            .process
            .metrics
            .reconcile_failed(error.reason(), started.elapsed()),
    }
    result
}

async fn one(object: &AppSecret, context: &Arc<Context>) -> Result<Action, Error> {
    // NB: no finalizer: whatever is still to be written is written by its own task, and claims are swept.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let target = match Target::read(object, context.process.settings.minimum_interval) {
        Ok(target) => Arc::new(target),
        Err(error) => return report::invalid(object, &error, context).await,
    };
    let current = report::current(object, context);
    let mut reconciliation = Reconciliation::new(context, target, &current.status);
    let mut facts = reconciliation.begin(context);
    let mut permits = ClaimPermit::default();
    for _ in 0..STEPS {
        let (step, lost) = {
            let mut state = reconciliation.state.lock();
            let known = state.memory.lost;
            facts.memory = state.memory.clone();
            let decision = decide(&facts);
            state.memory = decision.memory;
            facts.memory = state.memory.clone();
            (decision.step, facts.memory.lost != known)
        };
        if lost {
            report::lost(object, context, &facts, &step);
            reconciliation.take_loss(&facts);
        }
        tracing::trace!(
            kind = %reconciliation.target.owner.kind,
            namespace = reconciliation.target.owner.namespace,
            name = reconciliation.target.owner.name,
            ?step,
            "decided"
        );
        match step {
            Step::Rest(Report::Outdated { retry }) => return Ok(report::requeue(&facts, retry)),
            Step::Rest(rest) => {
                return report::settle(object, context, &current, &reconciliation, &facts, &rest)
                    .await;
            }
            // No new work by a replica that does not lead any more, or whose process was suspended so long that it cannot know.
            Step::CreateShell
            | Step::Rehearse { .. }
            | Step::WriteClaim { .. }
            | Step::Provision { .. }
                if !context.process.lead.leads()
                    && !context.process.stop.is_cancelled()
                    && facts.memory.claimed.is_none() =>
            {
                return Ok(Action::requeue(std::time::Duration::from_secs(1)));
            }
            // No new work after the signal to stop; what was claimed is sent or given up.
            Step::CreateShell
            | Step::Rehearse { .. }
            | Step::WriteClaim { .. }
            | Step::Provision { .. }
                if context.process.stop.is_cancelled() && facts.memory.claimed.is_none() =>
            {
                return Ok(Action::await_change());
            }
            step => act(context, &mut reconciliation, &mut permits, step, &mut facts).await,
        }
    }
    // What was read is forgotten by now; the report is made from what the watches show.
    drop(permits);
    let mut facts = reconciliation.begin(context);
    let report = {
        let mut state = reconciliation.state.lock();
        facts.memory = state.memory.clone();
        let decision = out_of_steps(&facts);
        state.memory = decision.memory;
        facts.memory = state.memory.clone();
        decision.step
    };
    tracing::warn!(
        kind = %reconciliation.target.owner.kind,
        namespace = reconciliation.target.owner.namespace,
        name = reconciliation.target.owner.name,
        "too many changes at once; retrying with growing delays"
    );
    match report {
        Step::Rest(rest) => {
            report::settle(object, context, &current, &reconciliation, &facts, &rest).await
        }
        _ => Ok(Action::requeue(facts.timing.retry_soonest)),
    }
}
