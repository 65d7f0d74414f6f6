//! One rotation, from the call to the written Secret, in a task of its own that nothing stops.

use std::sync::Arc;
use std::time::{Duration, Instant};

use tokio::sync::{OwnedSemaphorePermit, oneshot};

use crate::api::{ForeignSecret, Outcome, Reason};
use crate::connection::Connection;
use crate::ids::{ApiVersion, AttemptId, Sequence};
use crate::process::panic::catch_panic;
use crate::reconcile::app_state::AppState;
use crate::reconcile::app_state::Flushed;
use crate::reconcile::context::Context;
use crate::reconcile::flush::{correct, prove_and_write};
use crate::reconcile::limits::ClaimPermit;
use crate::reconcile::observe::{Application, Reconciliation, fresh_salt};
use crate::reconcile::received::Received;
use crate::report::event::Severity;
use crate::report::failure;
use crate::rotation::{Attempt, Cause, Facts, Slot, Version};
use crate::store::reading::Reading;
use crate::target::Target;
use crate::zitadel::{AppRef, ChangeKind, GenerateOutcome, JournalDepth, ZitadelError};

/// How long a reconcile waits for a rotation that it started. After that the rotation goes on by itself and asks for another reconciliation.
const PATIENCE: Duration = Duration::from_secs(3);

/// What is to be generated.
#[derive(Debug, Clone, Copy)]
pub struct GenerateRequest {
    /// The application.
    pub slot: Slot,
    /// The attempt.
    pub attempt: AttemptId,
    /// Why.
    pub cause: Cause,
}

/// Steps 7 to 10 of the protocol. They run in a task of their own: from the call on, nothing may stop them.
///
/// Whether the claim and the Secret still stand as they were read for the recheck: no value was received, and they are as fresh as `T_send`
/// asks for.
pub async fn send(
    context: &Arc<Context>,
    reconciliation: &mut Reconciliation,
    permits: &mut ClaimPermit,
    GenerateRequest {
        slot,
        attempt,
        cause,
    }: GenerateRequest,
    secret: &Version,
    facts: &Facts,
) -> bool {
    let Ok(connection) = reconciliation.connection.clone() else {
        return false;
    };
    // The last answer of the recheck: whatever moves after that is not seen.
    let rechecked = facts.now.boot;
    let late = |now: Duration| now.saturating_sub(rechecked) >= facts.timing.send;
    if permits.generate.is_none() {
        let claimed = reconciliation
            .state
            .lock()
            .memory
            .claimed
            .as_ref()
            .map(|it| it.since);
        let gone = claimed.map_or(Duration::MAX, |since| rechecked.saturating_sub(since));
        let wait = facts.timing.recheck.saturating_sub(gone);
        let permit = Arc::clone(&connection.shared.generate_slots).acquire_owned();
        permits.generate = tokio::time::timeout(wait, permit)
            .await
            .ok()
            .and_then(Result::ok);
    }
    let Application { app, client_id, .. } = reconciliation.application(slot).clone();
    let (true, Some(client_id), Ok(guard)) = (
        permits.generate.is_some(),
        client_id,
        context.process.holding.hold(attempt),
    ) else {
        reconciliation.state.lock().memory.claim_unusable();
        return false;
    };
    // Before the last check of the clock, since it may take its time. Where it fails, generate says so.
    let _ = connection.zitadel.prepare(&app.project).await;
    // The last check of the clock before the bytes leave. What is late is rechecked, now with the permission and a token at hand.
    if late(context.process.clock.boot()) {
        return false;
    }
    let Some(permit) = permits.generate.take() else {
        return false;
    };
    reconciliation.state.lock().memory.sending(attempt);
    if cause.is_repair() {
        connection.shared.repaired(context.process.clock.boot());
    }
    // NB: that an answer was lost is said when that is seen.
    if matches!(cause, Cause::SecretMissing | Cause::SecretInvalid) {
        let note = repairing(cause, &reconciliation.target.secret.name, app.app.as_str());
        let (about, severity) = (&reconciliation.target.owner, Severity::Warning);
        context
            .events
            .attempt(about, severity, reason(cause), &note);
    }
    let stored = reconciliation
        .reading
        .take()
        .filter(|reading| reading.view.version == *secret);
    let (done, finished) = oneshot::channel();
    let task = Task {
        context: Arc::clone(context),
        target: Arc::clone(&reconciliation.target),
        connection,
        replaced: match cause {
            // Only then it may have been in use.
            Cause::FirstIssue => reconciliation.foreign.remove(&app.app),
            // NB: of that one the answer was lost, so nothing was reported yet.
            Cause::LostAttempt => {
                let mut state = reconciliation.state.lock();
                state
                    .unreported_replacement
                    .take()
                    .map(|replaced| *replaced)
            }
            _ => None,
        },
        app,
        slot,
        scope: reconciliation.scope.clone(),
        state: Arc::clone(&reconciliation.state),
        attempt,
        cause,
        client_id,
        stored,
        facts: facts.clone(),
    };
    let claim_slot = permits.claim.take();
    let (shared, state) = (Arc::clone(context), Arc::clone(&reconciliation.state));
    let owner = reconciliation.target.owner.clone();
    context.tasks.spawn(async move {
        let rotation = Box::pin(task.run(permit, claim_slot));
        let ended = catch_panic("a rotation", attempt, rotation).await;
        if ended.is_none() {
            // If there was a value, it is gone. The journal shows that, as after a lost answer.
            let now = shared.process.clock.boot();
            state.lock().memory.unknown(attempt, now);
        }
        drop(guard);
        // A reconcile that still waits goes on by itself, from what is known now.
        if done.send(ended.flatten()).is_err() {
            shared.store.wake(&owner);
        }
    });
    let ended = tokio::time::timeout(PATIENCE, finished).await;
    reconciliation.reading = ended.ok().and_then(Result::ok).flatten();
    reconciliation.reading.is_some() && !late(context.process.clock.boot())
}

struct Task {
    context: Arc<Context>,
    target: Arc<Target>,
    connection: Arc<Connection>,
    slot: Slot,
    app: AppRef,
    replaced: Option<ForeignSecret>,
    scope: String,
    state: Arc<parking_lot::Mutex<AppState>>,
    attempt: AttemptId,
    cause: Cause,
    client_id: String,
    stored: Option<Reading>,
    facts: Facts,
}

impl Task {
    /// Gives back the Secret as it was read, unless it may have been written.
    async fn run(
        mut self,
        permit: OwnedSemaphorePermit,
        claim_slot: Option<OwnedSemaphorePermit>,
    ) -> Option<Reading> {
        let kind = self.target.owner.kind;
        let outcome = self
            .connection
            .zitadel
            .generate(kind, &self.app, self.attempt)
            .await;
        let answered = Instant::now();
        let answered_boot = self.context.process.clock.boot();
        let mut sequenced = true;
        drop((permit, claim_slot));
        self.audit(&outcome);
        self.count_outage(&outcome);
        let now = self.context.process.clock.boot();
        let (value, sequence, change_date, resource_owner) = match outcome {
            GenerateOutcome::Success {
                secret,
                sequence,
                change_date,
                resource_owner,
            } => (secret, sequence, change_date, resource_owner),
            GenerateOutcome::SuccessWithoutSequence { secret } => {
                // The order is known at least; the rest is corrected from the journal, if there is one, once the value is written.
                sequenced = false;
                (secret, self.next(), self.facts.now.time, None)
            }
            GenerateOutcome::NotExecuted(error) => {
                let mut state = self.state.lock();
                state.memory.generate_not_executed(self.attempt);
                state
                    .memory
                    .back_off(&self.facts, &failure::zitadel(&error));
                return self.stored;
            }
            GenerateOutcome::Unknown(error) => {
                let mut state = self.state.lock();
                let failure = failure::zitadel(&error);
                state.memory.unanswered(self.attempt, now, failure);
                state.memory.answer = Some((self.attempt, error.answer()));
                state.unreported_replacement = self.replaced.map(Box::new);
                return self.stored;
            }
        };
        if self.cause == Cause::Retire {
            drop(value);
            self.retired(sequence, change_date);
            return None;
        }
        let trigger = self.claimed().and_then(|attempt| attempt.trigger.clone());
        let mut received = Received {
            target: Arc::clone(&self.target),
            connection: Arc::clone(&self.connection),
            slot: self.slot,
            app: self.app.clone(),
            replaced: self.replaced.take(),
            scope: self.scope.clone(),
            attempt: self.attempt,
            cause: self.cause,
            value,
            sequence,
            change_date,
            resource_owner,
            client_id: self.client_id.clone(),
            trigger,
            published: parking_lot::Mutex::new(self.context.consumers.now()),
            salt: fresh_salt(),
            stored: self.stored.take(),
            answered,
            answered_boot,
            state: Arc::clone(&self.state),
        };
        let mut flushed = prove_and_write(&self.context, &received).await;
        if !sequenced {
            self.place(&mut received, &mut flushed).await;
        }
        drop(received);
        if flushed.revision.is_some() {
            self.connection.rotated(&self.app, flushed.sequence);
        }
        self.context
            .process
            .metrics
            .rotation(self.cause.as_str(), flushed.outcome);
        let mut state = self.state.lock();
        let verified = flushed
            .revision
            .clone()
            .filter(|_| flushed.outcome == Outcome::Published);
        if flushed.outcome == Outcome::WithoutEffect {
            state.memory.dropped(self.attempt);
        } else {
            state.memory.flushed(verified);
        }
        state.finished(flushed);
        None
    }

    /// The value is no one's. That it was made is recorded at the next reconciliation, from the journal, as after a lost answer.
    fn retired(&self, sequence: Sequence, change_date: jiff::Timestamp) {
        self.connection.rotated(&self.app, sequence);
        let outcome = Outcome::Retired;
        self.context
            .process
            .metrics
            .rotation(self.cause.as_str(), outcome);
        let mut state = self.state.lock();
        state
            .memory
            .unknown(self.attempt, self.context.process.clock.boot());
        state.finished(Flushed {
            attempt: self.attempt,
            cause: self.cause,
            outcome,
            app: self.app.app.clone(),
            replaced: None,
            sequence,
            change_date,
            resource_owner: None,
            proving: Duration::ZERO,
            writing: Duration::ZERO,
            revision: None,
        });
    }

    /// Corrects the record of a value that was written before it was known where it stands in the journal.
    async fn place(&self, received: &mut Received, flushed: &mut Flushed) {
        let Some(revision) = flushed.revision.as_deref() else {
            return;
        };
        let Some((sequence, change_date)) = self.place_in_journal().await else {
            return;
        };
        (received.sequence, received.change_date) = (sequence, change_date);
        // NB: where it can't be corrected now, the record has the order that is known, and the next reconciliation corrects it.
        if let Some(revision) = correct(&self.context, received, Some(revision)).await {
            (flushed.sequence, flushed.change_date) = (sequence, change_date);
            flushed.revision = Some(revision);
        }
    }

    /// The place in the journal of a rotation whose answer did not name it, if the journal shows it now.
    async fn place_in_journal(&self) -> Option<(Sequence, jiff::Timestamp)> {
        let before = self.pre_sequence();
        let since = before.map_or(JournalDepth::NEWEST, JournalDepth::to_entry);
        let changes = self
            .connection
            .zitadel
            .changes(&self.app, since)
            .await
            .unwrap_or_default();
        let own = changes.into_iter().rev().find(|change| {
            change.kind == ChangeKind::SecretChanged
                && Some(change.sequence) > before
                && self.connection.made(change)
        });
        own.map(|change| (change.sequence, change.change_date))
    }

    /// The lowest place that a value can have whose answer does not name it.
    fn next(&self) -> Sequence {
        match self.connection.zitadel.api() {
            ApiVersion::V1 => {
                let before = self.pre_sequence().map_or(0, |before| before.0);
                Sequence(before.saturating_add(1))
            }
            ApiVersion::V2 => Sequence::of_time(self.facts.now.time),
        }
    }

    fn pre_sequence(&self) -> Option<Sequence> {
        self.claimed()?.pre_sequence
    }

    /// The attempt, as it was claimed.
    fn claimed(&self) -> Option<&Attempt> {
        let claim = self.facts.of(self.slot).known_claim();
        claim?.attempt.as_ref()
    }

    /// Counts the time since the call whose value was lost, which left no working credential. From the answer on it is the dark window.
    fn count_outage(&self, outcome: &GenerateOutcome) {
        let claim = self.facts.of(self.slot).known_claim();
        let lost = claim.and_then(|claim| claim.replaced.last());
        let (Cause::LostAttempt, None, Some(lost)) = (self.cause, &self.target.standby, lost)
        else {
            return;
        };
        let made = self.attempt.made_at();
        let until = match outcome {
            GenerateOutcome::Success { .. } | GenerateOutcome::SuccessWithoutSequence { .. } => {
                self.context.process.clock.wall()
            }
            // The next attempt counts from this one.
            GenerateOutcome::NotExecuted(_) | GenerateOutcome::Unknown(_) => made,
        };
        // NB: by the clocks of two processes perhaps, of which the later one may be behind.
        let outage = until.duration_since(lost.id.made_at());
        let outage = Duration::try_from(outage).unwrap_or_default();
        self.context.process.metrics.dark(outage);
    }

    /// One record for each call, whatever came of it.
    fn audit(&self, outcome: &GenerateOutcome) {
        let error = |error: &ZitadelError| {
            (
                error.class().reason(),
                error.error_id().unwrap_or_default().to_owned(),
            )
        };
        let (result, sequence, (class, error_id)) = match outcome {
            GenerateOutcome::Success { sequence, .. } => {
                ("Success", sequence.number(), Default::default())
            }
            GenerateOutcome::SuccessWithoutSequence { .. } => {
                ("SuccessWithoutSequence", None, Default::default())
            }
            GenerateOutcome::NotExecuted(e) => ("NotExecuted", None, error(e)),
            GenerateOutcome::Unknown(e) => ("Unknown", None, error(e)),
        };
        self.context
            .process
            .metrics
            .generate(self.cause.as_str(), result);
        tracing::info!(
            target: "audit",
            attempt = %self.attempt,
            cause = self.cause.as_str(),
            connection = self.connection.name,
            project = %self.app.project,
            app = %self.app.app,
            kind = %self.target.owner.kind,
            namespace = self.target.owner.namespace,
            name = self.target.owner.name,
            uid = self.target.owner.uid,
            result,
            sequence,
            class,
            error_id,
            "generate"
        );
    }
}

/// The reason of the event that says why a repair is made.
const fn reason(cause: Cause) -> Reason {
    match cause {
        Cause::SecretMissing => Reason::SecretMissing,
        Cause::SecretInvalid => Reason::SecretInvalid,
        Cause::FirstIssue | Cause::Due | Cause::Trigger | Cause::LostAttempt | Cause::Retire => {
            Reason::LostAttempt
        }
    }
}

/// Why a repair is made, and that it is.
fn repairing(cause: Cause, secret: &str, app: &str) -> String {
    let why = match cause {
        Cause::SecretMissing => format!("The client secret in Secret {secret} is gone"),
        Cause::SecretInvalid => format!("ZITADEL rejects the client secret in Secret {secret}"),
        Cause::FirstIssue | Cause::Due | Cause::Trigger | Cause::LostAttempt | Cause::Retire => {
            "A client secret was generated and lost before it was written".to_owned()
        }
    };
    format!("{why}; a new one is generated for app {app}")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_repair_says_why_it_is_made() {
        for (cause, note) in [
            (
                Cause::LostAttempt,
                "A client secret was generated and lost before it was written; a new one is generated for app 7",
            ),
            (
                Cause::SecretInvalid,
                "ZITADEL rejects the client secret in Secret orders; a new one is generated for app 7",
            ),
            (
                Cause::SecretMissing,
                "The client secret in Secret orders is gone; a new one is generated for app 7",
            ),
        ] {
            assert_eq!(repairing(cause, "orders", "7"), note);
            assert_eq!(reason(cause).as_str(), cause.as_str());
        }
    }
}
