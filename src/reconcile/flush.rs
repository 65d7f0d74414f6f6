//! From ZITADEL's answer to the durable Secret. Nothing else stands in between, and nothing stops it but the end of the process.

use std::sync::Arc;
use std::time::Duration;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::api::{Outcome, Reason};
use crate::process::kube_error;
use crate::process::metrics::WindowPart;
use crate::process::panic::{catch_panic, retry_on_panic};
use crate::reconcile::app_state::Flushed;
use crate::reconcile::consumers;
use crate::reconcile::context::Context;
use crate::reconcile::probe::probe;
use crate::reconcile::received::{Proven, Received};
use crate::report::failure;
use crate::rotation::{Cause, CommitRecord, Failure, Fence, SecretState, Verdict, Version, fence};
use crate::store::apply;
use crate::store::reading;
use crate::store::wiped;
use crate::target::Target;

/// Proves and writes a received value. Returns when it is durable, superseded, or of no use to anyone; a panic on the way is not the
/// end of it.
pub async fn prove_and_write(context: &Context, received: &Received) -> Flushed {
    let attempt = received.attempt;
    let proof = catch_panic("proving a value", attempt, received.prove(context)).await;
    // NB: after a panic it is written: it may be the only value that works.
    let proof = proof.unwrap_or(Some(Proven {
        accepted: false,
        dark_since: received.answered,
    }));
    received.state.lock().memory.candidate = false;
    let dark_since = proof.as_ref().map_or(received.answered, |it| it.dark_since);
    let proving = dark_since.elapsed();
    let (outcome, revision) = match proof {
        None => (Outcome::WithoutEffect, None),
        Some(Proven { accepted, .. }) => {
            let write = || publish(context, received, accepted);
            retry_on_panic("writing a value", attempt, write).await
        }
    };
    let total = dark_since.elapsed();
    let writing = total.saturating_sub(proving);
    if revision.is_some() {
        consumers::written(context, received);
        context
            .process
            .metrics
            .dark_window(WindowPart::Prove, proving);
        context
            .process
            .metrics
            .dark_window(WindowPart::Write, writing);
        context
            .process
            .metrics
            .dark_window(WindowPart::Total, total);
        if received.target.standby.is_none() && received.cause != Cause::FirstIssue {
            context.process.metrics.dark(total);
        }
        if let Some(delay) = received.delay() {
            context.process.metrics.rotation_delay(delay);
        }
    }
    Flushed {
        attempt: received.attempt,
        cause: received.cause,
        outcome,
        app: received.app.app.clone(),
        replaced: received.replaced.clone(),
        sequence: received.sequence,
        change_date: received.change_date,
        resource_owner: received.resource_owner.clone(),
        proving,
        writing,
        revision,
    }
}

/// Writes until it is done: the value exists nowhere else.
async fn publish(
    context: &Context,
    received: &Received,
    accepted: bool,
) -> (Outcome, Option<String>) {
    let published = if accepted {
        Outcome::Published
    } else {
        Outcome::Unproven
    };
    let namespace = &received.target.owner.namespace;
    let api: Api<Secret> = Api::namespaced(context.process.flush_client.clone(), namespace);
    let mut stored = reading::state(received.stored.as_ref());
    // An accepted new value means that the one that was stored before it is dead, whatever its sequence says.
    let mut outlived = match &stored {
        SecretState::Present(view) if accepted => Some(view.version.clone()),
        _ => None,
    };
    let mut record = received
        .stored
        .as_ref()
        .and_then(|reading| reading.commit.clone());
    let mut pause = Duration::from_millis(50);
    let mut target = Arc::clone(&received.target);
    let mut seen: Option<wiped::Stored> = None;
    loop {
        target = present(context, received, &target, &stored);
        let judged = fence(
            &stored,
            received.slot,
            received.attempt,
            received.sequence,
            outlived.as_ref(),
            target.secret.adopt,
            received.is_stored(&target, record.as_ref(), seen.as_deref()),
        );
        let attempted = match judged {
            Fence::Written(version) => return (published, Some(version.revision)),
            Fence::Write(version) => {
                let before = record.as_ref();
                *received.published.lock() = context.consumers.now();
                Some(apply(context, &api, received, &target, before, Some(&version)).await)
            }
            Fence::Create if context.store.object(&target.owner).is_some() => {
                *received.published.lock() = context.consumers.now();
                Some(apply(context, &api, received, &target, None, None).await)
            }
            Fence::Create => {
                tracing::warn!(attempt = %received.attempt, "the object and its Secret are gone, so its new credential is dropped");
                return (Outcome::Superseded, None);
            }
            Fence::Prove(version) => match received.verdict().await {
                Verdict::Accepted => {
                    outlived = Some(version);
                    continue;
                }
                Verdict::Rejected => return (Outcome::Superseded, None),
                Verdict::Unknown => None,
            },
            Fence::Refused => None,
        };
        match attempted {
            Some(Ok(written)) => {
                let Some(mutated) = received.mutated(&target, record.as_ref(), &written) else {
                    let revision = context.store.wrote_secret(&written);
                    return (published, Some(revision));
                };
                report_write_blocked(context, received, mutated);
                judge_stored(context, received, &target, &written).await;
            }
            Some(Err(error)) if kube_error::is_conflict(&error) => {}
            Some(Err(error)) => {
                report_write_blocked(context, received, failure::kubernetes(&error));
            }
            None => {
                let conflict = Failure::new(Reason::SecretKeyConflict, true);
                report_write_blocked(context, received, conflict);
            }
        }
        tokio::time::sleep(pause).await;
        pause = (pause * 2).min(Duration::from_secs(5));
        match api.get_opt(&target.secret.name).await {
            Ok(found) => {
                let found = found.map(wiped::Stored::from);
                // NB: asked again, since the object may have been made again while this was read.
                let read = present(context, received, &target, &stored);
                if read.secret.name == target.secret.name {
                    target = read;
                }
                let reading = found.as_ref().map(|secret| {
                    let place = received.place(&target);
                    reading::read(place, &secret.metadata, Some(secret), |owner| {
                        context.store.keeps_secret(owner, &target)
                    })
                });
                stored = reading::state(reading.as_ref());
                record = reading.and_then(|reading| reading.commit);
                seen = found;
            }
            Err(error) => report_write_blocked(context, received, failure::kubernetes(&error)),
        }
    }
}

/// Corrects the record of a value that was written before it was known where it stands in the journal. The revision that was written.
pub async fn correct(context: &Context, received: &Received, over: Option<&str>) -> Option<String> {
    let namespace = &received.target.owner.namespace;
    let api: Api<Secret> = Api::namespaced(context.process.flush_client.clone(), namespace);
    let target = context.store.present(&received.target);
    let found = api.get_opt(&target.secret.name).await.ok()??;
    let found = wiped::Stored::from(found);
    let place = received.place(&target);
    let reading = reading::read(place, &found.metadata, Some(&found), |_| false);
    let version = reading.view.version;
    // NB: where another actor has changed it meanwhile, the next reconciliation corrects the record.
    let before = reading
        .commit
        .filter(|_| over == Some(version.revision.as_str()))?;
    let written = apply(
        context,
        &api,
        received,
        &target,
        Some(&before),
        Some(&version),
    )
    .await
    .ok()?;
    let kept = received.mutated(&target, Some(&before), &written).is_none();
    kept.then(|| context.store.wrote_secret(&written))
}

/// The target as it stands now. Where the Secret has another name by now it is written under the former one all the same, from which it
/// is moved; under the new one only if the former is gone already.
fn present(
    context: &Context,
    received: &Received,
    before: &Arc<Target>,
    stored: &SecretState,
) -> Arc<Target> {
    let mut target = context.store.present(&received.target);
    if target.secret.name != before.secret.name && *stored != SecretState::Absent {
        Arc::make_mut(&mut target)
            .secret
            .name
            .clone_from(&before.secret.name);
    }
    target
}

/// Says, once a reason, that a value is held and can't be written.
fn report_write_blocked(context: &Context, received: &Received, failure: Failure) {
    let mut state = received.state.lock();
    if state.memory.write_blocked.as_deref() != Some(&failure) {
        tracing::error!(
            attempt = %received.attempt,
            kind = %received.target.owner.kind,
            namespace = received.target.owner.namespace,
            name = received.target.owner.name,
            reason = failure.reason.as_str(),
            answer = failure.answer,
            "a new credential is held in memory because its Secret cannot be written; it is tried again until it can"
        );
        state.memory.write_blocked = Some(failure.into());
        drop(state);
        context.store.wake(&received.target.owner);
    }
}

/// The Secret holds something else than was sent: asks ZITADEL whether that can be used, once a revision.
async fn judge_stored(context: &Context, received: &Received, target: &Target, stored: &Secret) {
    let reading = reading::read(
        received.place(target),
        &stored.metadata,
        Some(stored),
        |_| false,
    );
    let version = reading.view.version;
    let is_known = {
        let memory = &received.state.lock().memory;
        let rejected = memory.rejected.as_ref().map(|rejection| &rejection.secret);
        rejected == Some(&version) || memory.verified.as_ref() == Some(&version.revision)
    };
    if is_known {
        return;
    }
    // NB: a client id that should be there and is not makes the Secret useless.
    let stored_id = match target.secret.data.client_id_key() {
        Some(_) => reading.client_id.as_ref(),
        None => Some(&received.client_id),
    };
    let verdict = match (&reading.value, stored_id) {
        (Some(value), Some(id)) => probe(&received.connection, &received.app, id, value).await,
        _ => Verdict::Rejected,
    };
    received
        .state
        .lock()
        .memory
        .judged(&version, verdict, context.process.clock.boot());
    context.store.wake(&received.target.owner);
}

async fn apply(
    context: &Context,
    api: &Api<Secret>,
    received: &Received,
    target: &Target,
    before: Option<&CommitRecord>,
    over: Option<&Version>,
) -> Result<wiped::Stored, kube::Error> {
    let object = received.object(target, before, over);
    let written = apply::secret(api, &target.secret.name, &object, over).await?;
    if over.is_none() {
        context.store.wrote_secret(&written);
    }
    Ok(written)
}
