//! Reconciles one object: observe, decide, act, until there is nothing to do; then report.

use std::sync::Arc;
use std::time::{Duration, Instant};

use kube::api::{Patch, PatchParams};
use kube::core::DynamicObject;
use kube::discovery::ApiResource;
use kube::runtime::controller::Action;
use kube::runtime::events::{Event, EventType};
use kube::{Api, Resource, ResourceExt};
use serde_json::json;

use super::act::{Turn, act};
use super::context::{Context, Guarded, lock};
use super::flush;
use super::observe::Round;
use super::secret::FIELD_MANAGER;
use super::status;
use super::target::{Target, TargetError};
use crate::api::{ApiAppSecret, ApiAppSecretStatus, ConditionType, Conditions, Reason, Status};
use crate::rotation::{Facts, Report, Retry, Step, decide};
use crate::runtime::refusals::Refusal;

/// Steps of one round at most. A rotation takes about ten; more than this means that the world changes faster than it is looked at.
const STEPS: usize = 64;

/// Why a reconcile ended early.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// The status could not be written.
    #[error("the status could not be written")]
    Status(#[source] kube::Error),
}

impl Error {
    /// The reason, for metrics and logs.
    pub const fn reason(&self) -> &'static str {
        match self {
            Self::Status(_) => "StatusWriteFailed",
        }
    }
}

/// Looks at one object and does what is to be done.
pub async fn reconcile(guarded: Arc<Guarded>, context: Arc<Context>) -> Result<Action, Error> {
    let started = Instant::now();
    let result = match &guarded.0 {
        Ok(object) => one(object, &context).await,
        Err(invalid) => unreadable(&guarded, &invalid.error, &context).await,
    };
    match &result {
        Ok(_) => context.metrics.reconciled("ok", started.elapsed()),
        Err(error) => context
            .metrics
            .reconcile_failed(error.reason(), started.elapsed()),
    }
    result
}

async fn one(object: &ApiAppSecret, context: &Arc<Context>) -> Result<Action, Error> {
    // NB: no finalizer: whatever is still to be written is written by its own task, and claims are swept.
    if object.meta().deletion_timestamp.is_some() {
        return Ok(Action::await_change());
    }
    let target = match Target::read(object, context.settings.minimum_interval) {
        Ok(target) => Arc::new(target),
        Err(error) => return refused(object, &error, context).await,
    };
    let mut round = Round::new(context, target, current_status(object, context).as_ref());
    let mut facts = round.begin(context);
    let mut turn = Turn::default();
    for _ in 0..STEPS {
        let step = {
            let mut state = lock(&round.state);
            facts.memory = state.memory.clone();
            let decision = decide(&facts);
            state.memory = decision.memory;
            facts.memory = state.memory.clone();
            decision.step
        };
        tracing::trace!(
            namespace = round.target.owner.namespace,
            name = round.target.owner.name,
            ?step,
            "decided"
        );
        match step {
            Step::Rest(Report::Outdated { retry }) => return Ok(next_look(&facts, retry)),
            Step::Rest(rest) => return report(object, context, &round, &facts, &rest).await,
            // No new work after the signal to stop; what was claimed is sent or given up.
            Step::CreateShell | Step::Rehearse { .. } | Step::WriteClaim { .. }
                if context.stop.is_cancelled() && facts.memory.claimed.is_none() =>
            {
                return Ok(Action::await_change());
            }
            step => act(context, &mut round, &mut turn, step, &mut facts).await,
        }
    }
    tracing::warn!(
        namespace = round.target.owner.namespace,
        name = round.target.owner.name,
        "too many changes within one look; looking again"
    );
    Ok(Action::requeue(Duration::from_secs(1)))
}

/// The object's status: as it was written last, if the watch lags behind.
fn current_status(object: &ApiAppSecret, context: &Context) -> Option<ApiAppSecretStatus> {
    let seen = object.resource_version().unwrap_or_default();
    let uid = object.uid().unwrap_or_default();
    let cache = context.caches.of(&object.namespace().unwrap_or_default());
    let listed = |written| cache.is_none_or(|cache| cache.objects_shown.listed_since(written));
    let mut statuses = lock(&context.statuses);
    match statuses.get(&uid) {
        Some(written) if written.is_newer_than(&seen) && !listed(written) => {
            Some(written.view.clone())
        }
        _ => {
            statuses.remove(&uid);
            object.status.clone()
        }
    }
}

async fn report(
    object: &ApiAppSecret,
    context: &Arc<Context>,
    round: &Round,
    facts: &Facts,
    report: &Report,
) -> Result<Action, Error> {
    let flushed = lock(&round.state).flushed.clone();
    let status = status::status(round, facts, report, flushed.as_ref(), context.clock.wall());
    write(object, context, &round.status, &status).await?;
    if let Some(flushed) = flushed {
        // Once: another look may have reported it meanwhile.
        let mut state = lock(&round.state);
        if state
            .flushed
            .as_ref()
            .is_some_and(|present| present.attempt == flushed.attempt)
        {
            state.flushed = None;
            drop(state);
            let (type_, reason, note) = flush::event(&flushed);
            publish(context, object, type_, reason, note);
        }
    }
    let stalled = |status: &ApiAppSecretStatus| {
        status
            .conditions
            .get(ConditionType::Stalled)
            .map(|condition| (condition.reason.clone(), condition.message.clone()))
    };
    if let (Report::Stalled { blocked, .. }, Some((_, note))) = (report, stalled(&status))
        && stalled(&round.status).map(|(reason, _)| reason)
            != stalled(&status).map(|(reason, _)| reason)
    {
        publish(context, object, EventType::Warning, blocked.reason, note);
    }
    let retry = match report {
        Report::Settled { next, .. } => {
            let change = round.next_change(facts);
            let first = next.iter().copied().chain(change).min();
            first.map_or(Retry::OnChange, Retry::At)
        }
        Report::Quiet(_) => Retry::OnChange,
        Report::Usable { retry, .. }
        | Report::Working { retry, .. }
        | Report::Stalled { retry, .. }
        | Report::Outdated { retry } => *retry,
    };
    Ok(next_look(facts, retry))
}

/// When to look again without being told.
fn next_look(facts: &Facts, retry: Retry) -> Action {
    match retry {
        Retry::OnChange => Action::await_change(),
        Retry::After(wait) => Action::requeue(wait.max(Duration::from_millis(10))),
        Retry::At(time) => {
            let left = time.duration_since(facts.now.time).unsigned_abs();
            let left = if time <= facts.now.time {
                Duration::from_millis(10)
            } else {
                left
            };
            // NB: timers stand still while the host sleeps; a day at most, and the clock is looked at again.
            Action::requeue(left.min(Duration::from_secs(24 * 3600)))
        }
    }
}

async fn write(
    object: &ApiAppSecret,
    context: &Context,
    before: &ApiAppSecretStatus,
    after: &ApiAppSecretStatus,
) -> Result<(), Error> {
    // NB: not by whether `object` has a status: the watch may not show the one that was just written.
    if before == after {
        return Ok(());
    }
    let uid = object.uid().unwrap_or_default();
    let api: Api<ApiAppSecret> = Api::namespaced(
        context.client.clone(),
        &object.namespace().unwrap_or_default(),
    );
    // NB: with the uid, the status of an object that was deleted and created again is not written over its successor's.
    let patch = json!({"metadata": {"uid": uid}, "status": status::merge_patch(before, after)});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    match api
        .patch_status(&object.name_any(), &params, &Patch::Merge(patch))
        .await
    {
        Ok(written) => {
            let revision = written.resource_version().unwrap_or_default();
            let status = written.status.unwrap_or_default();
            let cache = context.caches.of(&object.namespace().unwrap_or_default());
            // NB: an object comes out of its namespace's cache, so there is one.
            if let Some(shown) = cache.map(|cache| &cache.objects_shown) {
                let written = shown.written(&object.name_any(), &revision, status);
                lock(&context.statuses).insert(uid, written);
            }
            Ok(())
        }
        Err(error) => Err(Error::Status(error)),
    }
}

/// Publishes an event, best effort: an event that fails must not fail anything else.
fn publish(
    context: &Arc<Context>,
    object: &ApiAppSecret,
    type_: EventType,
    reason: Reason,
    note: String,
) {
    let reference = object.object_ref(&());
    let context = Arc::clone(context);
    let tasks = context.tasks.clone();
    tasks.spawn(async move {
        let event = Event {
            type_,
            reason: reason.as_str().to_owned(),
            note: Some(note),
            action: "Rotate".to_owned(),
            secondary: None,
        };
        if let Err(error) = context.recorder.publish(&event, &reference).await {
            tracing::debug!(%error, "an event could not be published");
        }
    });
}

/// The spec can't be used.
async fn refused(
    object: &ApiAppSecret,
    error: &TargetError,
    context: &Arc<Context>,
) -> Result<Action, Error> {
    let reason = Reason::InvalidSpec;
    let before = current_status(object, context).unwrap_or_default();
    let mut after = before.clone();
    after.observed_generation = object.metadata.generation;
    stall(
        &mut after.conditions,
        reason,
        &error.to_string(),
        object.metadata.generation,
        context,
    );
    let new = before.conditions.get(ConditionType::Stalled)
        != after.conditions.get(ConditionType::Stalled);
    write(object, context, &before, &after).await?;
    if new {
        publish(
            context,
            object,
            EventType::Warning,
            reason,
            error.to_string(),
        );
    }
    Ok(Action::await_change())
}

/// A watch is refused, so nothing is known of the object. What was known of it stands, and nothing is done.
pub async fn blind(guarded: &Guarded, refusal: &Refusal, context: &Context) -> Result<(), Error> {
    let Ok(object) = &guarded.0 else {
        return Ok(());
    };
    let before = current_status(object, context).unwrap_or_default();
    let mut after = before.clone();
    let message = format!("{refusal}; nothing is decided before the operator can see everything");
    let generation = object.metadata.generation;
    let was = before.conditions.get(ConditionType::Ready);
    let was = was.map_or(Status::Unknown, |ready| ready.status);
    stall(
        &mut after.conditions,
        Reason::Forbidden,
        &message,
        generation,
        context,
    );
    let now = context.clock.wall();
    let conditions = &mut after.conditions;
    conditions.set(
        ConditionType::Ready,
        was,
        Reason::Forbidden,
        message,
        generation,
        now,
    );
    write(object, context, &before, &after).await
}

fn stall(
    conditions: &mut Conditions,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    context: &Context,
) {
    let now = context.clock.wall();
    conditions.set(
        ConditionType::Ready,
        Status::False,
        reason,
        message,
        generation,
        now,
    );
    conditions.set(
        ConditionType::Stalled,
        Status::True,
        reason,
        message,
        generation,
        now,
    );
    conditions.remove(ConditionType::Reconciling);
}

/// The object can't even be read: a value that the schema of another version let through.
async fn unreadable(
    guarded: &Guarded,
    error: &str,
    context: &Arc<Context>,
) -> Result<Action, Error> {
    let metadata = guarded.meta();
    let key = (
        metadata.uid.clone().unwrap_or_default(),
        metadata.generation,
    );
    if !lock(&context.unreadable).insert(key.clone()) {
        return Ok(Action::await_change());
    }
    let field = wanted(error);
    tracing::warn!(
        namespace = metadata.namespace,
        name = metadata.name,
        field,
        "an object cannot be read"
    );
    let mut conditions = Conditions::default();
    let message = format!(
        "The object cannot be read ({field}): compare it with the installed custom resource definition"
    );
    stall(
        &mut conditions,
        Reason::InvalidObject,
        &message,
        metadata.generation,
        context,
    );
    let resource = ApiResource::erase::<ApiAppSecret>(&());
    let namespace = metadata.namespace.clone().unwrap_or_default();
    let api: Api<DynamicObject> =
        Api::namespaced_with(context.client.clone(), &namespace, &resource);
    let patch = json!({"metadata": {"uid": key.0.clone()}, "status": {"observedGeneration": metadata.generation, "conditions": conditions}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let result = api
        .patch_status(
            &metadata.name.clone().unwrap_or_default(),
            &params,
            &Patch::Merge(patch),
        )
        .await;
    if let Err(error) = result {
        lock(&context.unreadable).remove(&key);
        return Err(Error::Status(error));
    }
    Ok(Action::await_change())
}

/// The part of serde's message that does not quote the value: which field is missing, or what was expected.
fn wanted(error: &str) -> &str {
    let short = |text: &&str| text.len() <= 200;
    if error.starts_with("missing field `") {
        return Some(error).filter(short).unwrap_or("a field is missing");
    }
    let expected = error.rfind("expected ").and_then(|at| error.get(at..));
    expected.filter(short).unwrap_or("a field has another type")
}

#[cfg(test)]
mod tests {
    use super::wanted;

    #[test]
    fn what_stands_in_an_object_that_cannot_be_read_is_not_repeated() {
        for (error, told) in [
            ("missing field `projectId`", "missing field `projectId`"),
            (
                "invalid type: string \"canary, expected x\", expected struct X",
                "expected struct X",
            ),
            (
                "unknown variant `canary`, expected `Delete` or `Retain`",
                "expected `Delete` or `Retain`",
            ),
            ("canary", "a field has another type"),
        ] {
            assert_eq!(wanted(error), told);
        }
    }
}
