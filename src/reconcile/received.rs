//! A value that was received: how it is proven before it is written.

use std::sync::Arc;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;

use crate::api::ForeignSecret;
use crate::connection::Connection;
use crate::ids::{AttemptId, Sequence};
use crate::reconcile::app_state::AppState;
use crate::reconcile::context::Context;
use crate::reconcile::mutated::Mutations;
use crate::reconcile::probe::paired;
use crate::rotation::{
    Beside, Cause, CommitRecord, Entry, Failure, Next, Publish, Question, Recorded, Salt, Slot,
    UnknownFields, Verdict, Version,
};
use crate::store::reading::Reading;
use crate::store::secret::{Published, SecretTarget};
use crate::store::wiped::Manifest;
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
    /// When it was written, in the commit record: the time of the last try, on the API server's clock.
    pub published: parking_lot::Mutex<Timestamp>,
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
    /// How long after its time a scheduled rotation was written.
    pub(super) fn delay(&self) -> Option<Duration> {
        if self.cause != Cause::Due {
            return None;
        }
        let stored = self.stored.as_ref()?.commit.as_ref()?.stored()?;
        let due = self.target.schedule.start(stored.entry.change_date)?;
        let delay = self.published.lock().duration_since(due);
        Some(Duration::try_from(delay).unwrap_or_default())
    }

    pub(super) fn place<'a>(&'a self, target: &'a Target) -> SecretTarget<'a> {
        SecretTarget {
            target,
            scope: &self.scope,
            endpoints: &self.connection.endpoints,
            salt: self.salt,
        }
    }

    /// The Secret with the value in it, over a revision and what that records of another application.
    pub(super) fn object(
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
            time: Some(*self.published.lock()),
            trigger: self.trigger.clone(),
        };
        let commit = place.commit(&self.app.app, recorded, before, published);
        place.full(commit, &self.client_id, self.value.expose(), over)
    }

    /// What of the value and its record was not stored as it was sent.
    pub(super) fn mutated(
        &self,
        target: &Target,
        before: Option<&CommitRecord>,
        stored: &Secret,
    ) -> Option<Failure> {
        Mutations::between(&self.object(target, before, None), stored).failure()
    }

    /// Whether the Secret holds the value, by its keys and not only by its record.
    pub(super) fn is_stored(
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

    pub(super) async fn verdict(&self) -> Verdict {
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
    pub(super) async fn prove(&self, context: &Context) -> Option<Proven> {
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
            kind = %self.target.owner.kind,
            namespace = self.target.owner.namespace,
            name = self.target.owner.name,
            "ZITADEL does not accept the new credential yet; it is kept in memory, and the Secret keeps the one that works"
        );
        self.state.lock().memory.candidate = true;
        context.store.wake(&self.target.owner);
    }
}

/// How a value came to be written.
pub(super) struct Proven {
    /// Whether it was accepted.
    pub(super) accepted: bool,
    /// Since when, at the most, the stored value is not accepted.
    pub(super) dark_since: Instant,
}
