//! From ZITADEL's answer to the durable Secret. Nothing else stands in between, and nothing stops it but the end of the process.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use kube::Api;

use crate::api::{ForeignSecret, Outcome, Reason};
use crate::connection::Connection;
use crate::ids::{AttemptId, Sequence};
use crate::process::metrics::WindowPart;
use crate::process::panic::{catch_panic, retry_on_panic};
use crate::reconcile::app_state::{AppState, Flushed};
use crate::reconcile::context::Context;
use crate::reconcile::mutated::Mutations;
use crate::reconcile::probe::{paired, probe};
use crate::report::event::Severity;
use crate::report::failure;
use crate::rotation::{
    Beside, Cause, CommitRecord, Entry, Failure, Fence, Next, Publish, Question, Recorded, Salt,
    SecretState, Slot, UnknownFields, Verdict, Version, fence,
};
use crate::store::apply;
use crate::store::reading::{self, Reading};
use crate::store::secret::{Published, SecretTarget};
use crate::store::wiped::{self, Manifest};
use crate::target::Target;
use crate::zitadel::{AppRef, ClientSecret, Introspection, ProbeToken};

/// A value that was just received, and everything that is needed to write it.
pub struct Received {
    /// What is wanted.
    pub target: Arc<Target>,
    /// The connection it came over.
    pub connection: Arc<Connection>,
    /// The application.
    pub app: AppRef,
    /// Which of the object's that is.
    pub slot: Slot,
    /// The secret that it replaced, if that was another actor's.
    pub replaced: Option<ForeignSecret>,
    /// The instance and project, as a hash.
    pub scope: String,
    /// The attempt that made it.
    pub attempt: AttemptId,
    /// Why it was made.
    pub cause: Cause,
    /// The value.
    pub value: ClientSecret,
    /// ZITADEL's sequence of it.
    pub sequence: Sequence,
    /// ZITADEL's time of it.
    pub change_date: Timestamp,
    /// The organization that owns the application.
    pub resource_owner: Option<String>,
    /// The client id.
    pub client_id: String,
    /// The Secret as it was when the attempt was rechecked.
    pub stored: Option<Reading>,
    /// The trigger that is handled by it.
    pub trigger: Option<String>,
    /// The operator's clock: the time of its publication in the commit record.
    pub published: Timestamp,
    /// Random bytes for the fingerprints.
    pub salt: Salt,
    /// When the answer came.
    pub answered: Instant,
    /// The same, since boot.
    pub answered_boot: Duration,
    /// What is known of the application.
    pub state: Arc<parking_lot::Mutex<AppState>>,
}

impl Received {
    fn place<'a>(&'a self, target: &'a Target) -> SecretTarget<'a> {
        SecretTarget {
            target,
            scope: &self.scope,
            endpoints: &self.connection.endpoints,
            salt: self.salt,
        }
    }

    /// The Secret with the value in it, over a revision and what that records of another application.
    fn object(
        &self,
        target: &Target,
        before: Option<&CommitRecord>,
        over: Option<&Version>,
    ) -> Manifest {
        let entry = Entry {
            attempt: Some(self.attempt),
            sequence: self.sequence,
            change_date: self.change_date,
        };
        let place = self.place(target);
        let recorded = Recorded {
            entry,
            client_id: self.client_id.clone(),
            unknown: UnknownFields::default(),
        };
        let published = Published {
            time: Some(self.published),
            trigger: self.trigger.clone(),
        };
        let commit = place.commit(&self.app.app, recorded, before, published);
        place.full(commit, &self.client_id, self.value.expose(), over)
    }

    /// What of the value and its record was not stored as it was sent.
    fn mutated(
        &self,
        target: &Target,
        before: Option<&CommitRecord>,
        stored: &Secret,
    ) -> Option<Failure> {
        Mutations::between(&self.object(target, before, None), stored).failure()
    }

    /// Whether the Secret holds the value, by its keys and not only by its record.
    fn is_stored(
        &self,
        target: &Target,
        record: Option<&CommitRecord>,
        seen: Option<&Secret>,
    ) -> bool {
        seen.is_some_and(|seen| self.mutated(target, record, seen).is_none())
    }

    /// The client id of the pair that is stored: with a standby another one than that of the new value.
    fn stored_client_id(&self) -> &str {
        let record = self
            .stored
            .as_ref()
            .and_then(|stored| stored.commit.as_ref());
        record
            .and_then(|record| record.stored())
            .map_or(&self.client_id, |stored| &stored.client_id)
    }

    async fn verdict(&self) -> Verdict {
        self.judge(&self.client_id, &self.value).await
    }

    async fn judge(&self, client_id: &str, value: &ClientSecret) -> Verdict {
        let token = ProbeToken::Own(self.app.project.clone());
        let zitadel = &self.connection.zitadel;
        match zitadel.introspect(client_id, value, token).await {
            Ok(Introspection::Active) => Verdict::Accepted,
            Ok(Introspection::Refused) => Verdict::Rejected,
            // NB: also because the operator's own token was revoked, and that may stay so.
            Ok(Introspection::Inactive | Introspection::NoVerdict) | Err(_) => {
                paired(&self.connection, client_id, value).await
            }
        }
    }

    /// The pair in the Secret, as far as publishing goes.
    fn beside(&self) -> Beside {
        let stored = self.stored.as_ref();
        let value = stored.and_then(|reading| reading.value.as_ref());
        match (stored, value) {
            (Some(reading), Some(value)) if !value.same_as(&self.value) => {
                if reading.view.active == self.slot {
                    Beside::Replaced
                } else {
                    Beside::Standby
                }
            }
            _ => Beside::Nothing,
        }
    }

    async fn ask(&self, question: Question) -> Verdict {
        let zitadel = &self.connection.zitadel;
        match question {
            Question::App => {
                let _ = zitadel.app(&self.app).await;
                Verdict::Unknown
            }
            Question::New => self.verdict().await,
            Question::Stored => {
                let stored = self
                    .stored
                    .as_ref()
                    .and_then(|reading| reading.value.as_ref());
                match stored {
                    Some(stored) => self.judge(self.stored_client_id(), stored).await,
                    None => Verdict::Unknown,
                }
            }
        }
    }

    /// Carries out the steps of the state machine until the value is to be written; none if it is to be dropped.
    async fn prove(&self, context: &Context) -> Option<Proven> {
        let timing = &context.process.settings.timing;
        let mut machine = Publish::received(self.answered_boot, self.beside(), timing);
        let mut kept = false;
        // As long as the stored value is accepted, no one is without one.
        let mut dark_since = self.answered;
        loop {
            match machine.next(context.process.clock.boot()) {
                Next::Ask(question, within) => {
                    let asked = tokio::time::timeout(within, self.ask(question)).await;
                    let verdict = asked.unwrap_or(Verdict::Unknown);
                    if (question, verdict) == (Question::Stored, Verdict::Accepted) {
                        dark_since = Instant::now();
                    }
                    machine.record_answer(question, verdict, context.process.clock.boot());
                }
                Next::Wait(pause) => {
                    if machine.is_candidate() && !kept {
                        kept = true;
                        self.keep(context);
                    }
                    tokio::time::sleep(pause).await;
                }
                Next::Write { accepted } => {
                    return Some(Proven {
                        accepted,
                        dark_since,
                    });
                }
                Next::Drop => return None,
            }
        }
    }

    /// Says that the value waits while the stored one works.
    fn keep(&self, context: &Context) {
        tracing::info!(
            attempt = %self.attempt,
            namespace = self.target.owner.namespace,
            name = self.target.owner.name,
            "ZITADEL does not accept the new credential yet; it is kept in memory, and the Secret keeps the one that works"
        );
        self.state.lock().memory.candidate = true;
        context.store.wake(&self.target.owner);
    }
}

/// How a value came to be written.
struct Proven {
    /// Whether it was accepted.
    accepted: bool,
    /// Since when, at the most, the stored value is not accepted.
    dark_since: Instant,
}

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
                Some(apply(context, &api, received, &target, before, Some(&version)).await)
            }
            Fence::Create if context.store.object(&target.owner).is_some() => {
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
            Some(Err(error)) if failure::is_conflict(&error) => {}
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

/// The event of a finished rotation.
pub fn event(flushed: &Flushed) -> (Severity, Reason, String) {
    let attempt = flushed.attempt;
    let sequence = flushed.sequence;
    match (flushed.outcome, flushed.cause) {
        (Outcome::WithoutEffect, _) => (
            Severity::Warning,
            Reason::WithoutEffect,
            format!(
                "Rotation {attempt} had no effect at ZITADEL, which goes on accepting the old secret; it is repeated"
            ),
        ),
        (Outcome::Superseded, _) => (
            Severity::Warning,
            Reason::LostAttempt,
            format!("Rotation {attempt} was superseded before it could be written"),
        ),
        (Outcome::Retired, _) => (
            Severity::Normal,
            Reason::Retired,
            format!(
                "The overlap is over: the former client secret, of app {}, is accepted no more",
                flushed.app
            ),
        ),
        (_, cause @ (Cause::FirstIssue | Cause::LostAttempt)) => {
            let (reason, made) = if cause == Cause::FirstIssue {
                (Reason::Issued, "Issued the first client secret".to_owned())
            } else {
                let made = format!("Rotated the client secret ({})", cause.as_str());
                (Reason::Rotated, made)
            };
            match &flushed.replaced {
                // NB: what was replaced is not the operator's, and may have been in use.
                Some(foreign) => {
                    let note = format!("{made}, sequence {sequence}. {}", replaced(foreign));
                    let type_ = if foreign.with_app == Some(true) {
                        Severity::Normal
                    } else {
                        Severity::Warning
                    };
                    (type_, reason, note)
                }
                None => (
                    Severity::Normal,
                    reason,
                    format!("{made}, sequence {sequence}"),
                ),
            }
        }
        (_, cause) => (
            Severity::Normal,
            Reason::Rotated,
            format!(
                "Rotated the client secret ({}), sequence {sequence}",
                cause.as_str()
            ),
        ),
    }
}

fn replaced(foreign: &ForeignSecret) -> String {
    let user = foreign.user_id.as_deref();
    let by = user.map_or_else(String::new, |user| format!(" by user {user}"));
    let time = foreign.time.0;
    if foreign.with_app == Some(true) {
        // NB: the journal does not say whether it was created to authenticate by a secret.
        format!(
            "If the application had one since it was created{by} at {time}, that is accepted no more: anyone who used it needs the new one"
        )
    } else {
        format!(
            "It replaced one that was made{by} at {time}: anyone who used that needs the new one"
        )
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use crate::ids::AppId;

    #[test]
    fn the_event_names_who_made_a_replaced_secret_also_after_a_lost_answer() {
        let time = Timestamp::UNIX_EPOCH;
        let noted = |cause, with_app| {
            event(&Flushed {
                attempt: AttemptId(uuid::Uuid::nil()),
                cause,
                outcome: Outcome::Published,
                app: AppId::try_from("2").unwrap(),
                replaced: Some(ForeignSecret {
                    user_id: Some("77".to_owned()),
                    time: k8s_openapi::apimachinery::pkg::apis::meta::v1::Time(time),
                    with_app,
                    unknown: BTreeMap::default(),
                }),
                sequence: Sequence(5),
                change_date: time,
                resource_owner: None,
                proving: Duration::ZERO,
                writing: Duration::ZERO,
                revision: None,
            })
        };
        for cause in [Cause::FirstIssue, Cause::LostAttempt] {
            let (type_, _, note) = noted(cause, None);
            assert!(matches!(type_, Severity::Warning));
            assert!(
                note.contains("made by user 77 at 1970-01-01T00:00:00Z"),
                "{note}"
            );
            let (_, _, note) = noted(cause, Some(true));
            assert!(
                note.contains("since it was created by user 77 at 1970"),
                "{note}"
            );
        }
    }
}
