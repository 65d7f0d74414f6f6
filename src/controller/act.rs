//! Acts: carries out exactly one step. It decides nothing; what came of the step is remembered for the next decision.

use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use tokio::sync::{OwnedSemaphorePermit, oneshot};

use super::claim;
use super::context::{Context, lock, revision};
use super::failure;
use super::flush::{self, Received, prove_and_write};
use super::observe::Round;
use super::secret::FIELD_MANAGER;
use crate::api::{Outcome as Ended, Reason};
use crate::ids::{AttemptId, Sequence};
use crate::rotation::{
    Cause, Claim, ClaimView, Entry, Facts, Failure, Observed, Recorded, Step, Version,
};
use crate::zitadel::{Outcome, ZitadelError};

/// How long a reconcile waits for a rotation that it started. After that the rotation goes on by itself and asks for another look.
const PATIENCE: Duration = Duration::from_secs(3);

/// The length of the placeholder in a rehearsal when nothing is stored: ZITADEL's default.
const SECRET_LENGTH: usize = 64;

/// Permission to have a claim open, held from before the claim until generate was sent.
#[derive(Default)]
pub struct Turn(Option<OwnedSemaphorePermit>);

/// Carries out a step. Afterwards `facts` hold only what is still known.
pub async fn act(
    context: &Arc<Context>,
    round: &mut Round,
    turn: &mut Turn,
    step: Step,
    facts: &mut Facts,
) {
    match step {
        Step::Read(sources) => round.read(context, sources, facts).await,
        Step::CreateShell => {
            create_shell(context, round, facts).await;
            forget(facts);
        }
        Step::Rehearse(over) => rehearse(context, round, &over, facts).await,
        Step::WriteClaim { claim, over } => {
            write_claim(context, round, turn, &claim, over.as_ref(), facts).await;
            forget(facts);
            facts.fresh_attempt = AttemptId(uuid::Uuid::now_v7());
        }
        Step::Send {
            attempt,
            cause,
            secret,
        } => {
            send(context, round, turn, attempt, cause, &secret, facts).await;
            forget(facts);
        }
        Step::Render { over, adopt } => {
            render(context, round, &over, adopt, facts).await;
            forget(facts);
        }
        Step::Rest(_) => {}
    }
    round.refresh(context, facts);
}

fn forget(facts: &mut Facts) {
    facts.claim = Observed::Unread;
    facts.secret = Observed::Unread;
    facts.journal = Observed::Unread;
    facts.probe = Observed::Unread;
}

fn back_off(round: &Round, facts: &Facts, failure: &Failure) {
    lock(&round.state).memory.back_off(facts, failure);
}

fn secrets(context: &Context, round: &Round) -> Api<Secret> {
    Api::namespaced(context.client.clone(), &round.target.owner.namespace)
}

async fn create_shell(context: &Context, round: &Round, facts: &Facts) {
    let Some(place) = round.place() else { return };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let Ok(shell) = serde_json::from_value(place.shell()) else {
        return;
    };
    match secrets(context, round).create(&params, &shell).await {
        Ok(written) => {
            flush::remember(context, place, &round.state, &written);
        }
        // It is there already, or it is not known whether it is: the next round looks.
        Err(error) if matches!(&error, kube::Error::Api(status) if status.code == 409) => {}
        Err(error) => back_off(round, facts, &failure::kubernetes(&error)),
    }
}

/// Step 4 of the protocol: everything that would refuse the write shows up while the old credential still lives.
async fn rehearse(context: &Context, round: &mut Round, over: &Version, facts: &mut Facts) {
    let Some(place) = round.place() else { return };
    let length = round
        .reading
        .as_ref()
        .and_then(|reading| reading.value.as_ref())
        .map_or(SECRET_LENGTH, |value| value.len());
    let placeholder: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .cycle()
        .take(length)
        .collect();
    let client_id = round.client_id.clone().unwrap_or_default();
    let entry = Entry {
        attempt: Some(facts.fresh_attempt),
        sequence: Sequence(u64::MAX),
        change_date: facts.now.time,
    };
    let before = round
        .reading
        .as_ref()
        .and_then(|reading| reading.commit.as_ref());
    let commit = place.commit(
        Recorded {
            entry,
            client_id: client_id.clone(),
        },
        before,
    );
    let object = place.full(&commit, &client_id, &placeholder, Some(over));
    let params = PatchParams::apply(FIELD_MANAGER).force().dry_run();
    let result = secrets(context, round)
        .patch(&place.target.secret.name, &params, &Patch::Apply(&object))
        .await;
    match result {
        Ok(_) => lock(&round.state).memory.rehearsed(over.clone()),
        // NB: journal and probe speak of the Secret as it was; kept, a dead value would count as verified.
        Err(error) if failure::is_conflict(&error) => forget(facts),
        Err(error) => back_off(round, facts, &failure::kubernetes(&error)),
    }
}

async fn write_claim(
    context: &Context,
    round: &Round,
    turn: &mut Turn,
    claim: &Claim,
    over: Option<&Version>,
    facts: &Facts,
) {
    let Ok(connection) = &round.connection else {
        return;
    };
    let attempt = claim.live_attempt().map(|attempt| attempt.id);
    if attempt.is_some() && turn.0.is_none() {
        // NB: never closed. Waiting here costs nothing: what was decided on is looked at once more after the claim.
        turn.0 = Arc::clone(&connection.shared.ahead)
            .acquire_owned()
            .await
            .ok();
    }
    let namespace = &context.settings.namespace;
    let api: Api<Lease> = Api::namespaced(context.client.clone(), namespace);
    let Ok(lease) =
        serde_json::from_value::<Lease>(claim::lease(namespace, &round.claim, claim, over))
    else {
        return;
    };
    let params = PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    };
    let result = match over {
        Some(_) => api.replace(&round.claim, &params, &lease).await,
        None => api.create(&params, &lease).await,
    };
    let mut state = lock(&round.state);
    match (result, attempt) {
        (Ok(written), attempt) => {
            let view = claim::view(Some(&written), |_| false);
            if let ClaimView::Present { version, .. } = &view {
                state.claim = Some((revision(&version.revision), view));
            }
            match attempt {
                Some(attempt) => state.memory.claimed(attempt, context.clock.boot()),
                None => state.memory.claim_refused(),
            }
        }
        (Err(error), _) if failure::is_refusal(&error) => {
            state.memory.claim_refused();
            if matches!(&error, kube::Error::Api(status) if status.code == 403) {
                let failure = Failure {
                    reason: Reason::ClaimWriteForbidden,
                    permanent: true,
                    error_id: None,
                };
                state.memory.back_off(facts, &failure);
            }
        }
        // Perhaps written: the recheck goes on only if the claim that is stored is this one.
        (Err(_), Some(attempt)) => state.memory.claimed(attempt, context.clock.boot()),
        (Err(_), None) => state.memory.claim_refused(),
    }
    if state.memory.claimed.is_none() {
        turn.0 = None;
    }
}

/// Steps 7 to 10 of the protocol. They run in a task of their own: from the call on, nothing may stop them.
async fn send(
    context: &Arc<Context>,
    round: &mut Round,
    turn: &mut Turn,
    attempt: AttemptId,
    cause: Cause,
    secret: &Version,
    facts: &Facts,
) {
    let Ok(connection) = round.connection.clone() else {
        return;
    };
    let claimed_at = lock(&round.state)
        .memory
        .claimed
        .as_ref()
        .map(|claimed| claimed.since);
    let late = |now: Duration| {
        claimed_at.is_none_or(|since| now.saturating_sub(since) >= facts.timing.send)
    };
    let wait = facts.timing.send;
    let permit =
        tokio::time::timeout(wait, Arc::clone(&connection.shared.sending).acquire_owned()).await;
    let (Ok(Ok(permit)), Some(client_id)) = (permit, round.client_id.clone()) else {
        return;
    };
    let Ok(guard) = context.holding.hold(attempt) else {
        return;
    };
    // The last look at the clock before the bytes leave: a claim that has grown old may have been taken over.
    if late(context.clock.boot()) {
        return;
    }
    lock(&round.state).memory.sending(attempt);
    if cause.is_repair() {
        connection.shared.repaired(context.clock.boot());
    }
    let stored = round
        .reading
        .take()
        .filter(|reading| reading.view.version == *secret);
    let (done, finished) = oneshot::channel();
    let task = Task {
        context: Arc::clone(context),
        target: Arc::clone(&round.target),
        connection,
        app: round.app.clone(),
        scope: round.scope.clone(),
        state: Arc::clone(&round.state),
        attempt,
        cause,
        client_id,
        stored,
        facts: facts.clone(),
    };
    let ahead = turn.0.take();
    context.tasks.spawn(async move {
        task.run(permit, ahead).await;
        drop(guard);
        // NB: nobody listens any more when the reconcile has lost patience; then it was woken instead.
        let _ = done.send(());
    });
    let _ = tokio::time::timeout(PATIENCE, finished).await;
}

struct Task {
    context: Arc<Context>,
    target: Arc<super::target::Target>,
    connection: Arc<super::connections::Connection>,
    app: crate::zitadel::AppRef,
    scope: String,
    state: Arc<std::sync::Mutex<super::context::AppState>>,
    attempt: AttemptId,
    cause: Cause,
    client_id: String,
    stored: Option<super::secret::Reading>,
    facts: Facts,
}

impl Task {
    async fn run(self, permit: OwnedSemaphorePermit, ahead: Option<OwnedSemaphorePermit>) {
        let outcome = self
            .connection
            .zitadel
            .generate(&self.app, self.attempt)
            .await;
        let answered = Instant::now();
        drop((permit, ahead));
        self.audit(&outcome);
        let now = self.context.clock.boot();
        let (value, sequence, change_date, resource_owner) = match outcome {
            Outcome::Success {
                secret,
                sequence,
                change_date,
                resource_owner,
            } => (
                secret,
                sequence,
                change_date,
                resource_owner.map(String::from),
            ),
            // To be corrected from the journal: the order at least is known.
            Outcome::SuccessWithoutSequence { secret } => {
                let before = self.pre_sequence().map_or(0, |before| before.0);
                (
                    secret,
                    Sequence(before.saturating_add(1)),
                    self.facts.now.time,
                    None,
                )
            }
            Outcome::NotExecuted(error) => {
                let mut state = lock(&self.state);
                state.memory.refused(self.attempt);
                state
                    .memory
                    .back_off(&self.facts, &failure::zitadel(&error));
                drop(state);
                self.context.wake(&self.target.owner);
                return;
            }
            Outcome::Unknown(_) => {
                lock(&self.state).memory.unknown(self.attempt, now);
                self.context.wake(&self.target.owner);
                return;
            }
        };
        let received = Received {
            target: Arc::clone(&self.target),
            connection: Arc::clone(&self.connection),
            app: self.app.clone(),
            scope: self.scope.clone(),
            attempt: self.attempt,
            cause: self.cause,
            value,
            sequence,
            change_date,
            resource_owner,
            client_id: self.client_id.clone(),
            stored: self.stored,
            answered,
            state: Arc::clone(&self.state),
        };
        let flushed = prove_and_write(&self.context, &received).await;
        drop(received);
        if flushed.revision.is_some() {
            self.connection.rotated(&self.app, flushed.sequence);
        }
        self.context
            .metrics
            .rotation(self.cause.as_str(), ended(flushed.outcome));
        let mut state = lock(&self.state);
        let verified = flushed
            .revision
            .clone()
            .filter(|_| flushed.outcome == Ended::Published);
        state.memory.flushed(verified);
        state.flushed = Some(flushed);
        drop(state);
        self.context.wake(&self.target.owner);
    }

    fn pre_sequence(&self) -> Option<Sequence> {
        match self.facts.claim.known() {
            Some(ClaimView::Present {
                record: Ok(claim), ..
            }) => claim.attempt.as_ref()?.pre_sequence,
            _ => None,
        }
    }

    /// One record for each call, whatever came of it.
    fn audit(&self, outcome: &Outcome) {
        let error = |error: &ZitadelError| {
            (
                error.class().reason(),
                error.error_id().unwrap_or_default().to_owned(),
            )
        };
        let (result, sequence, (class, error_id)) = match outcome {
            Outcome::Success { sequence, .. } => ("Success", Some(sequence.0), Default::default()),
            Outcome::SuccessWithoutSequence { .. } => {
                ("SuccessWithoutSequence", None, Default::default())
            }
            Outcome::NotExecuted(e) => ("NotExecuted", None, error(e)),
            Outcome::Unknown(e) => ("Unknown", None, error(e)),
        };
        self.context.metrics.generate(self.cause.as_str(), result);
        tracing::info!(
            target: "audit",
            attempt = %self.attempt,
            cause = self.cause.as_str(),
            connection = self.connection.name,
            project = %self.app.project,
            app = %self.app.app,
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

fn ended(outcome: Ended) -> &'static str {
    match outcome {
        Ended::Published => "Published",
        Ended::Unproven => "Unproven",
        Ended::WithoutEffect => "WithoutEffect",
        Ended::Superseded => "Superseded",
        Ended::Adopted => "Adopted",
    }
}

/// Writes the Secret again from the value it holds.
async fn render(
    context: &Context,
    round: &Round,
    over: &Version,
    adopt: Option<Entry>,
    facts: &Facts,
) {
    let Some(place) = round.place() else { return };
    let Some(reading) = round
        .reading
        .as_ref()
        .filter(|reading| reading.view.version == *over)
    else {
        return;
    };
    let Some(value) = &reading.value else { return };
    let recorded = reading
        .commit
        .as_ref()
        .and_then(|record| record.recorded(&round.scope, &round.app.app));
    let client_id = recorded
        .map(|recorded| recorded.client_id.clone())
        .or_else(|| round.client_id.clone());
    let entry = adopt.or_else(|| recorded.map(|recorded| recorded.entry.clone()));
    let (Some(client_id), Some(entry)) = (client_id, entry) else {
        return;
    };
    let commit = place.commit(
        Recorded {
            entry,
            client_id: client_id.clone(),
        },
        reading.commit.as_ref(),
    );
    let object = place.full(&commit, &client_id, value.expose(), Some(over));
    let params = PatchParams::apply(FIELD_MANAGER).force();
    match secrets(context, round)
        .patch(&place.target.secret.name, &params, &Patch::Apply(&object))
        .await
    {
        Ok(written) => {
            let revision = flush::remember(context, place, &round.state, &written);
            let mut state = lock(&round.state);
            let known = [
                state.memory.verified.as_ref(),
                facts.object.verified.as_ref(),
            ];
            // The value is the same, so what is known of it holds for the new revision.
            if known.contains(&Some(&over.revision)) {
                state.memory.verified = Some(revision);
            }
        }
        Err(error) if failure::is_conflict(&error) => {}
        Err(error) => back_off(round, facts, &failure::kubernetes(&error)),
    }
}
