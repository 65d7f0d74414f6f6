//! Reports: the object's status, and events about it.
//!
//! * [`status`] makes the status of what a reconciliation came to, [`message`] its sentences, [`failure`] the reasons of errors
//! * [`consumers`] is the part of it about the Pods that use the credential
//! * [`steady`] and [`last_reported`] leave out what is not worth a write, [`merge_patch`] makes the patch of the rest
//! * [`changes`] finds what is worth an event, [`rotated`] is that of a rotation, [`event`] publishes them
//! * [`unreadable`] reports an object that does not fit the schema, [`another_operator`] a second operator of the same class

pub(crate) mod another_operator;
pub(crate) mod changes;
pub(crate) mod consumers;
pub(crate) mod event;
pub(crate) mod failure;
pub(crate) mod last_reported;
pub(crate) mod merge_patch;
pub(crate) mod message;
pub(crate) mod rotated;
pub(crate) mod status;
pub(crate) mod steady;
pub(crate) mod unreadable;

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use kube::api::Patch;
use kube::runtime::controller::Action;
use kube::{Api, Resource as _, ResourceExt};
use serde_json::json;

use crate::api::{AppSecret, AppSecretStatus, ConditionType, Conditions, Reason, Status, seconds};
use crate::process::denied_requests::DeniedRequest;
use crate::process::kube_error;
use crate::reconcile::app_state::Unpublished;
use crate::reconcile::consumers as consumers_of_object;
use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::report::event::Severity;
use crate::report::last_reported::LastReported;
use crate::rotation::{Facts, Loss, Report, Retry, Step};
use crate::store::apply;
use crate::store::cache::WrittenStatus;
use crate::store::object::Object;
use crate::store::overlay::revision;
use crate::target::error::TargetError;
use crate::target::owner;
use crate::target::quote;

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

/// An object's status, and the revision of the object that carries it.
pub struct Current {
    /// The status. Empty if there is none.
    pub status: AppSecretStatus,
    /// None: the view is known to be old, and the status is written over whatever is there.
    revision: Option<String>,
}

/// The object's status: as it was written last, if the watch lags behind.
pub fn current(object: &AppSecret, context: &Context) -> Current {
    let seen = object.resource_version().unwrap_or_default();
    let uid = object.uid().unwrap_or_default();
    let objects = context
        .store
        .objects_of(object.kind, &object.namespace().unwrap_or_default());
    let written = objects.and_then(|objects| objects.statuses.lock().get(&uid).cloned());
    match written.filter(|written| revision(&written.revision) > revision(&seen)) {
        Some(written) => Current {
            status: written.status,
            revision: Some(written.revision),
        },
        None => Current {
            status: object.status.clone().unwrap_or_default(),
            revision: Some(seen),
        },
    }
}

/// Reports what a reconciliation came to: its status, the event of a rotation, the event of an object that is now stalled. When to reconcile again.
///
/// # Errors
///
/// The API server did not take the status.
pub async fn settle(
    object: &AppSecret,
    context: &Arc<Context>,
    current: &Current,
    reconciliation: &Reconciliation,
    facts: &Facts,
    report: &Report,
) -> Result<Action, Error> {
    another_operator::report(object, context, reconciliation, facts);
    let (flushed, last_reported) = {
        let state = reconciliation.state.lock();
        (state.flushed.clone(), state.last_reported)
    };
    let wall = context.process.clock.wall();
    let mut status = status::status(reconciliation, facts, report, &flushed, wall);
    let seen = consumers_of_object::see(context, reconciliation, facts);
    let generation = reconciliation.target.generation;
    consumers::report(
        &mut status,
        &seen,
        generation,
        wall,
        context.consumers.now(),
    );
    let is_own = last_reported
        .is_some_and(|last_reported| last_reported.wrote_ready_of(&reconciliation.status));
    steady::steady(&mut status, &reconciliation.status, is_own, facts.now.time);
    let now = context.process.clock.boot();
    let timing = &context.process.settings.timing;
    let contradicted = last_reported
        .filter(|_| flushed.is_empty())
        .and_then(|last_reported| {
            last_reported.contradicted(&reconciliation.status, &status, now, timing.probe)
        });
    if let Some(left) = contradicted {
        return Ok(requeue(facts, Retry::After(left)));
    }
    if status != reconciliation.status {
        remember_unpublished(reconciliation);
        if !write(object, context, current, &status).await? {
            // What the watch shows next is reconciled first.
            return Ok(requeue(facts, Retry::After(timing.retry_first)));
        }
        reconciliation.state.lock().last_reported = Some(LastReported::new(&status, now));
    }
    for flushed in flushed {
        // Once: another reconciliation may have reported it meanwhile.
        let mut state = reconciliation.state.lock();
        let before = state.flushed.len();
        state
            .flushed
            .retain(|other| other.attempt != flushed.attempt);
        let reported = state.flushed.len() < before;
        drop(state);
        if reported {
            let (severity, reason, note) =
                rotated::event(&flushed, reconciliation.status.consumers.as_ref());
            context.events.attempt(object, severity, reason, &note);
        }
    }
    let unpublished = reconciliation.state.lock().unpublished.take();
    let unpublished = unpublished.filter(|it| it.uid == reconciliation.target.owner.uid);
    let before = unpublished.as_ref().map(|it| &it.before);
    let before = before.unwrap_or(&reconciliation.status);
    publish(object, context, before, &status);
    let retry = match report {
        Report::Settled { next, .. } => {
            let change = reconciliation.next_change(facts);
            let late = consumers_of_object::late_at(&seen, context.consumers.now());
            let first = next.iter().copied().chain(change).chain(late).min();
            first.map_or(Retry::OnChange, Retry::At)
        }
        Report::Quiet(_) => Retry::OnChange,
        Report::Usable { retry, .. }
        | Report::Working { retry, .. }
        | Report::Stalled { retry, .. }
        | Report::Outdated { retry } => *retry,
    };
    Ok(requeue(facts, retry))
}

/// Remembers the status before a write until its news are published.
///
/// NB: a write whose answer is lost may have been carried out. What it says is news, though the next reconciliation finds it there.
fn remember_unpublished(reconciliation: &Reconciliation) {
    let uid = &reconciliation.target.owner.uid;
    let mut state = reconciliation.state.lock();
    if state.unpublished.as_ref().is_none_or(|it| it.uid != *uid) {
        let (uid, before) = (uid.clone(), reconciliation.status.clone());
        state.unpublished = Some(Box::new(Unpublished { uid, before }));
    }
}

/// When to reconcile again without an event.
pub fn requeue(facts: &Facts, retry: Retry) -> Action {
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
            // NB: timers stand still while the host sleeps; a day at most, and the clock is read again.
            Action::requeue(left.min(Duration::from_secs(24 * 3600)))
        }
    }
}

/// Writes the status, if it differs. False if the object is not what was read: it was changed meanwhile, so that a replica with an old view
/// does not undo what another one wrote, or its watch shows another spec than the API server has.
async fn write(
    object: &AppSecret,
    context: &Context,
    current: &Current,
    after: &AppSecretStatus,
) -> Result<bool, Error> {
    // NB: not by whether `object` has a status: the watch may not show the one that was just written. And not by the values, of which more
    // may be known than what is written, such as fractions of a second.
    let status = merge_patch::merge_patch(&current.status, after);
    if status.as_object().is_some_and(serde_json::Map::is_empty) {
        return Ok(true);
    }
    let uid = object.uid().unwrap_or_default();
    // NB: with the uid, the status of an object that was deleted and created again is not written over its successor's.
    let metadata = match &current.revision {
        Some(revision) => json!({"uid": uid, "resourceVersion": revision}),
        None => json!({"uid": uid}),
    };
    let patch = json!({"metadata": metadata, "status": status});
    let namespace = object.namespace().unwrap_or_default();
    // NB: an object comes out of its namespace's cache, so there is one.
    let Some(objects) = context.store.objects_of(object.kind, &namespace) else {
        return Ok(false);
    };
    let client = context.process.client.clone();
    let api: Api<Object> = Api::namespaced_with(client, &namespace, &object.kind);
    let writing = objects
        .own_statuses
        .begin(&namespace, &object.name_any(), || {
            context.store.wake(&owner(object));
        });
    let written = api
        .patch_status(&object.name_any(), &apply::patch(), &Patch::Merge(patch))
        .await;
    match written {
        Ok(written) => {
            let revision = written.resource_version().unwrap_or_default();
            writing.written(&written);
            let stored = written.read();
            let same = written.meta().generation != object.metadata.generation
                || stored
                    .as_ref()
                    .is_ok_and(|stored| stored.spec == object.spec);
            if !same {
                let relist = &context.process.relist;
                relist.shown_otherwise(object.kind.as_str(), written.meta());
            }
            let status = stored.ok().and_then(|stored| stored.status);
            let text = revision.clone();
            let written = WrittenStatus {
                revision,
                status: status.unwrap_or_default(),
            };
            objects.statuses.lock().insert(uid, &text, written);
            Ok(same)
        }
        Err(error) if kube_error::is_taken(&error) => Ok(false),
        Err(error) => Err(Error::Status(error)),
    }
}

/// An answer was lost: an event for each, which says what follows.
pub fn lost(object: &AppSecret, context: &Arc<Context>, facts: &Facts, step: &Step) {
    let memory = &facts.memory;
    let what = match memory.lost {
        None => return,
        Some(Loss::Event(sequence)) => format!("a rotation ({sequence})"),
        Some(Loss::Attempt(attempt)) => format!("rotation {attempt}"),
    };
    let open = memory.open.iter().map(|(attempt, _)| *attempt);
    let answer = memory.answer.as_ref();
    let answer = answer.filter(|(attempt, _)| open.into_iter().any(|open| open == *attempt));
    let answer = answer.map_or_else(String::new, |(_, answer)| format!(" ({answer})"));
    let next = replacement(step, facts.now.time);
    let note = format!(
        "ZITADEL carried out {what}, but its response was lost{answer}, so no one has that client secret{next}"
    );
    let (severity, reason) = (Severity::Warning, Reason::LostAttempt);
    context.events.attempt(object, severity, reason, &note);
}

/// When the client secret of a lost answer is replaced, as the end of a sentence. Empty where that is held back: the condition says why.
fn replacement(step: &Step, now: Timestamp) -> String {
    match step {
        Step::Rest(Report::Working { blocked, retry } | Report::Usable { blocked, retry })
            if blocked.reason == Reason::LostAttempt =>
        {
            let at = match retry {
                Retry::After(left) => format!(", at {}", seconds(now + *left)),
                Retry::At(_) | Retry::OnChange => String::new(),
            };
            format!(
                "; it is replaced after a pause{at}, because this is not the first one within an hour"
            )
        }
        Step::Rest(_) => String::new(),
        _ => "; it is replaced".to_owned(),
    }
}

/// Publishes what is news in a status that was just written.
fn publish(
    object: &AppSecret,
    context: &Context,
    before: &AppSecretStatus,
    after: &AppSecretStatus,
) {
    for news in changes::of_object(before, after) {
        context
            .events
            .paced(object, news.severity, news.reason, &news.note);
    }
}

/// What a former spec said is no plan any more.
fn unscheduled(status: &mut AppSecretStatus) {
    status.schedule = None;
    status.next_rotation_time = None;
}

/// The object is gone: an event names the standby application that the operator created for it and left in ZITADEL.
pub fn deleted(object: &AppSecret, context: &Context) {
    let Some(standby) = context.store.provisioned(object) else {
        return;
    };
    let spec = &object.spec;
    let note = format!(
        "App {standby}, which the operator created in project {} as the standby of app {}, is still there, and its client secret may be in use: delete it in ZITADEL when it is not",
        spec.project_id, spec.app_id
    );
    context.events.normal(object, Reason::StandbyKept, &note);
}

/// The spec can't be used.
pub async fn invalid(
    object: &AppSecret,
    error: &TargetError,
    context: &Arc<Context>,
) -> Result<Action, Error> {
    let reason = Reason::InvalidSpec;
    let current = current(object, context);
    let mut after = current.status.clone();
    after.observed_generation = object.metadata.generation;
    unscheduled(&mut after);
    // NB: a spec serializes, always.
    let spec = json!({"spec": serde_json::to_value(&object.spec).unwrap_or_default()});
    stall(
        &mut after.conditions,
        reason,
        &quote::refusal(&error.to_string(), &spec),
        object.metadata.generation,
        context,
    );
    if !write(object, context, &current, &after).await? {
        return Ok(Action::requeue(context.process.settings.timing.retry_first));
    }
    publish(object, context, &current.status, &after);
    Ok(Action::await_change())
}

/// A watch is refused, so nothing is known of the object. What was known of it stands, and nothing is done.
pub async fn blind(kept: &Object, request: &DeniedRequest, context: &Context) -> Result<(), Error> {
    let Ok(object) = &kept.read() else {
        return Ok(());
    };
    let current = Current {
        revision: None,
        ..current(object, context)
    };
    let mut after = current.status.clone();
    let message = format!("{request}; nothing is decided before the operator can see everything");
    let generation = object.metadata.generation;
    let was = current.status.conditions.get(ConditionType::Ready);
    let was = was.map_or(Status::Unknown, |ready| ready.status);
    stall(
        &mut after.conditions,
        Reason::Forbidden,
        &message,
        generation,
        context,
    );
    let now = context.process.clock.wall();
    let conditions = &mut after.conditions;
    conditions.set(
        ConditionType::Ready,
        was,
        Reason::Forbidden,
        message,
        generation,
        now,
    );
    if write(object, context, &current, &after).await? {
        publish(object, context, &current.status, &after);
    }
    Ok(())
}

/// Not `Ready`, and `Stalled`: a person must act.
pub(crate) fn stall(
    conditions: &mut Conditions,
    reason: Reason,
    message: &str,
    generation: Option<i64>,
    context: &Context,
) {
    let now = context.process.clock.wall();
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

#[cfg(test)]
mod tests {
    use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

    use super::*;

    #[test]
    fn while_the_spec_is_invalid_no_schedule_of_a_former_one_is_shown() {
        let mut status = AppSecretStatus {
            schedule: Some("on day 31".to_owned()),
            next_rotation_time: Some(Time("2026-12-31T03:00:00Z".parse().unwrap())),
            sequence: Some("7".to_owned()),
            ..AppSecretStatus::default()
        };
        unscheduled(&mut status);
        assert_eq!((status.schedule, status.next_rotation_time), (None, None));
        assert_eq!(
            status.sequence.as_deref(),
            Some("7"),
            "what is stored is stored"
        );
    }

    #[test]
    fn the_event_of_a_lost_answer_says_when_the_client_secret_is_replaced() {
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let rest = |reason: Reason, retry| {
            let blocked = reason.into();
            Step::Rest(Report::Working { blocked, retry })
        };
        let minute = Retry::After(Duration::from_mins(1));
        let read = Step::Read {
            sources: &[],
            slot: crate::rotation::Slot::Primary,
        };
        assert_eq!(replacement(&read, now), "; it is replaced");
        assert_eq!(
            replacement(&rest(Reason::LostAttempt, minute), now),
            "; it is replaced after a pause, at 2026-11-29T03:01:00Z, because this is not the first one within an hour"
        );
        assert_eq!(replacement(&rest(Reason::BreakerOpen, minute), now), "");
    }
}
