//! Observes: the facts as the watches show them, without a request. It never writes, and decides nothing.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;
use k8s_openapi::api::core::v1::Secret;
use parking_lot::Mutex;

use crate::api::{AppSecretStatus, ConditionType, ForeignSecret, HistoryEntry, Outcome, Reason};
use crate::connection::Connection;
use crate::ids::{ApiVersion, AppId, AttemptId, Sequence};
use crate::reconcile::app_state::AppState;
use crate::reconcile::context::Context;
use crate::report::failure::NotReady;
use crate::rotation::{
    AppFacts, Backlog, Bytes32, Cause, ClaimView, CommitRecord, DueState, Entry, Explained, Facts,
    Failure, Former, Gates, Now, ObjectView, Observed, Owner, Salt, SecretState, Slot, Uptake,
};
use crate::store::claim::KeptClaim;
use crate::store::reading::{self, Reading};
use crate::store::secret::SecretTarget;
use crate::target::{self, Target};
use crate::zitadel::{AppRef, JournalDepth, ProjectState};

/// Clocks that differ by more than this are not trusted with due times.
const MOST_SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// One application of an object.
#[derive(Debug, Clone)]
pub struct Application {
    /// The application, with the organization that calls act in.
    pub app: AppRef,
    /// The name of its claim.
    pub claim: String,
    /// Its client id, once known.
    pub client_id: Option<String>,
}

/// One reconciliation of one object: its target, its connection, what was read so far.
pub struct Reconciliation {
    /// What is wanted.
    pub target: Arc<Target>,
    /// The connection, if it can be used.
    pub connection: Result<Arc<Connection>, Failure>,
    /// The application that `spec.appId` names.
    pub primary: Application,
    /// The application beside it, if there is one.
    pub standby: Option<Application>,
    /// The instance and project, as a hash.
    pub scope: String,
    /// What is known between reconciliations.
    pub state: Arc<Mutex<AppState>>,
    /// The status as it was when the reconciliation began.
    pub status: AppSecretStatus,
    /// The Secret as it was last read.
    pub reading: Option<Reading>,
    /// The organization that owns the applications, once known.
    pub resource_owner: Option<String>,
    /// The newest secret that each application had when its journal was last read, if another actor made it.
    pub foreign: HashMap<AppId, ForeignSecret>,
    /// The state of the project, once read.
    pub project: Option<ProjectState>,
    /// Why the application that was read last cannot be rotated, if so.
    pub not_ready: Option<NotReady>,
    /// The attempt that made the stored value, and when that was written.
    pub published: Option<(AttemptId, Timestamp)>,
    /// The issuer, as the connection declares it, whether it can be used or not.
    issuer: String,
    /// How far back each application's journal was last read.
    pub read_since: HashMap<AppId, JournalDepth>,
    /// Random bytes for fingerprints.
    salt: Salt,
}

/// Random bytes for the fingerprints of one write.
pub(crate) fn fresh_salt() -> Salt {
    let mut bytes = [0; 32];
    // NB: never fails on Linux; a fingerprint by known bytes would still distinguish values.
    let _ = aws_lc_rs::rand::fill(&mut bytes);
    Bytes32(bytes)
}

impl Reconciliation {
    /// Remembers a failure: the next try comes later.
    pub(crate) fn back_off(&self, facts: &Facts, failure: &Failure) {
        self.state.lock().memory.back_off(facts, failure);
    }

    /// A reconciliation with nothing read yet.
    pub fn new(context: &Context, target: Arc<Target>, status: &AppSecretStatus) -> Self {
        let connection = context.connections.get(&target.connection);
        // NB: also where it cannot be used: what is known of an application, and held for it, is kept under one name.
        let issuer = match &connection {
            Ok(connection) => {
                let issuer = connection.endpoints.issuer.clone();
                context.store.remember_issuer(&target.connection, &issuer);
                issuer
            }
            Err(_) => context.store.issuer(&target.connection).unwrap_or_default(),
        };
        let primary = application(connection.as_ref().ok(), &issuer, &target.app);
        let target = if target.provisioned {
            let standby = context.store.provisioned_by(&primary.claim);
            Arc::new(Target {
                standby,
                ..Arc::unwrap_or_clone(target)
            })
        } else {
            target
        };
        Self {
            scope: target::apps::scope(&issuer, &primary.app),
            // NB: what is remembered of two applications is kept under the one that never changes.
            state: context.app(&primary.claim),
            primary,
            standby: None,
            connection,
            status: status.clone(),
            target,
            reading: None,
            resource_owner: None,
            foreign: HashMap::new(),
            project: None,
            not_ready: None,
            published: None,
            issuer,
            read_since: HashMap::new(),
            salt: fresh_salt(),
        }
    }

    /// An application.
    pub fn application(&self, slot: Slot) -> &Application {
        match (slot, &self.standby) {
            (Slot::Standby, Some(standby)) => standby,
            _ => &self.primary,
        }
    }

    pub(crate) fn application_mut(&mut self, slot: Slot) -> &mut Application {
        match (slot, &mut self.standby) {
            (Slot::Standby, Some(standby)) => standby,
            _ => &mut self.primary,
        }
    }

    /// Where the Secret stands. None without a connection.
    pub fn place(&self) -> Option<SecretTarget<'_>> {
        let connection = self.connection.as_ref().ok()?;
        Some(SecretTarget {
            target: &self.target,
            scope: &self.scope,
            endpoints: &connection.endpoints,
            salt: self.salt,
        })
    }

    /// The facts as the watches show them.
    pub fn begin(&mut self, context: &Context) -> Facts {
        let secret = self.cached_secret(context);
        let target = &self.target;
        let revision = self.status.secret_resource_version.clone();
        let verified = self.status.conditions.is_true(ConditionType::Verified);
        let ready = self.status.conditions.get(ConditionType::Ready);
        // Only a report that all is well was made after the standby was read.
        let seen = ready.is_some_and(|ready| {
            let well = [
                Reason::UpToDate,
                Reason::AwaitingWindow,
                Reason::CatchingUp,
                Reason::AwaitingConsumers,
                Reason::Overdue,
            ];
            ready.observed_generation == target.generation
                && well.map(Reason::as_str).contains(&ready.reason.as_str())
        });
        let last_active = self.status.active_app_id.as_deref();
        let unknown = target.provisioned && target.standby.is_none();
        let timing = context.process.settings.timing;
        let mut facts = Facts {
            timing,
            now: self.now(context),
            holder: context.process.settings.holder.clone(),
            object: ObjectView {
                owner: target.owner.clone(),
                inputs: self.inputs(),
                deleting: target.deleting,
                suspended: target.suspended,
                trigger: target.trigger.clone(),
                observed_trigger: (self.status.last_rotation.as_ref())
                    .map(|_| self.status.observed_trigger.clone().unwrap_or_default()),
                recovery: target.recovery.into(),
                adoption_required: target.secret.adopt,
                verified: revision.filter(|_| verified),
                proven: proven(&self.status),
                due: DueState::OnTriggerOnly,
                overlap_ends: None,
                overlap_latest: None,
                consumers: Uptake::default(),
                last_active: last_active.and_then(|active| {
                    let standby = target.standby.as_ref().map(AppId::as_str);
                    match active {
                        active if active == target.app.app.as_str() => Some(Slot::Primary),
                        active if Some(active) == standby => Some(Slot::Standby),
                        _ => None,
                    }
                }),
                standby_unseen: unknown || (target.standby.is_some() && !seen),
                provisioned: target.provisioned,
                explained: explained(&self.status),
            },
            api: self.api(),
            gates: self.gates(context),
            secret: Observed::Cached(secret),
            primary: self.nothing_read(Slot::Primary),
            standby: None,
            current: Observed::Unread,
            probe: Observed::Unread,
            former: None,
            fresh_attempt: AttemptId(uuid::Uuid::now_v7()),
            memory: crate::rotation::Memory::default(),
        };
        self.line_up(&mut facts);
        self.recall_claims(context, &mut facts);
        facts.former = self.former(context);
        self.refresh(context, &mut facts);
        facts
    }

    /// The version of ZITADEL's API in use.
    fn api(&self) -> ApiVersion {
        let connection = self.connection.as_ref().ok();
        let api = connection.map(|connection| connection.zitadel.api());
        api.unwrap_or_default()
    }

    fn nothing_read(&self, slot: Slot) -> AppFacts {
        let app = &self.application(slot).app;
        let connection = self.connection.as_ref().ok();
        AppFacts {
            claim: Observed::Unread,
            app: Observed::Unread,
            journal: Observed::Unread,
            as_before_call: None,
            hint: connection.and_then(|connection| connection.hint(app)),
        }
    }

    /// Gives the facts a place for the standby, if there is one now.
    pub(crate) fn line_up(&self, facts: &mut Facts) {
        facts.standby = self
            .standby
            .as_ref()
            .map(|_| self.nothing_read(Slot::Standby));
    }

    /// Takes note of which applications the Secret speaks of. Whether that is news.
    pub(crate) fn take_record(&mut self, record: Option<&CommitRecord>) -> bool {
        let here = record.filter(|record| record.scope == self.scope);
        self.published =
            here.and_then(|record| Some((record.stored()?.entry.attempt?, record.published_time?)));
        let standby = reading::standby(&self.target, here);
        let known = self.standby.as_ref().map(|standby| &standby.app.app);
        let news = known != standby.as_ref();
        if news {
            let connection = self.connection.as_ref().ok();
            let issuer = &self.issuer;
            self.standby =
                standby.map(|app| application(connection, issuer, &self.target.app_ref(&app)));
        }
        for application in std::iter::once(&mut self.primary).chain(&mut self.standby) {
            let recorded = here.and_then(|record| record.apps.get(&application.app.app));
            if let Some(recorded) = recorded {
                application.client_id = Some(recorded.client_id.clone());
            }
        }
        news
    }

    /// Takes note of the standby application that the operator created.
    pub(crate) fn provisioned(&mut self, standby: AppId) {
        Arc::make_mut(&mut self.target).standby = Some(standby);
    }

    /// Takes note of the standby application that the claim names, as it was just read: what was read beside it may be about another one.
    pub(crate) fn saw_provisioned(&mut self, facts: &mut Facts) {
        let claim = facts.primary.known_claim();
        let named = claim.and_then(|claim| claim.standby.as_ref());
        if self.target.provisioned && self.target.standby.as_ref() != named {
            Arc::make_mut(&mut self.target).standby = named.cloned();
            facts.secret = Observed::Unread;
        }
    }

    /// Whether a grant covers an application of the object. That of the application which `spec.appId` names covers the one that the
    /// operator created beside it. Before that is known, nothing is done with either but to find out.
    fn is_granted(
        &self,
        connection: &Connection,
        labels: impl Fn(&str) -> Option<String>,
        app: &AppRef,
    ) -> bool {
        let standby = self.target.standby.as_ref();
        let own = self.target.provisioned
            && app.app != self.target.app.app
            && standby.is_none_or(|standby| *standby == app.app);
        own || connection.grants(&self.target.owner, labels, app)
    }

    fn inputs(&self) -> String {
        let connection = self.connection.as_ref().ok();
        let made_from = connection.map_or("", |connection| &connection.made_from);
        let outages = connection.map_or(0, |connection| connection.shared.outages());
        format!("{:?}/{made_from}/{outages}", self.target.object_version())
    }

    /// The clocks, the gates and what follows from them, as they are now.
    pub fn refresh(&self, context: &Context, facts: &mut Facts) {
        facts.now = self.now(context);
        facts.gates = self.gates(context);
        facts.object.due = match facts.secret.known() {
            Some(SecretState::Present(view)) => match &view.commit {
                Ok(Some(entry)) => self.due(context, entry.change_date, facts.now),
                _ => DueState::OnTriggerOnly,
            },
            _ => DueState::OnTriggerOnly,
        };
        let made = previous(facts).map(|(_, stored)| stored.change_date);
        let overlap = self.target.schedule.overlap().zip(made);
        facts.object.overlap_ends = overlap.map(|(overlap, made)| overlap.ends(made));
        facts.object.overlap_latest = overlap.and_then(|(overlap, made)| overlap.latest(made));
        let awaits = overlap.filter(|(overlap, _)| overlap.awaits_consumers);
        facts.object.consumers = match (awaits, self.published) {
            (Some(_), Some((attempt, _))) => context.consumers.awaited(&self.target.owner, attempt),
            // When it was written is not recorded, so that no Pod is known to be younger.
            (Some(_), None) => Uptake::Unseen,
            (None, _) => Uptake::NotAwaited,
        };
    }

    fn due(&self, context: &Context, last: Timestamp, now: Now) -> DueState {
        let schedule = &self.target.schedule;
        let Some((began, span)) = context.backlog() else {
            return schedule.state(last, now.time);
        };
        let since = now.time.checked_sub(now.boot.saturating_sub(began));
        let backlog = Backlog {
            since: since.unwrap_or(now.time),
            span,
        };
        schedule.state_after_downtime(last, now.time, &self.target.owner.uid, backlog)
    }

    /// The next instant at which the schedule has something else to say.
    pub fn next_change(&self, facts: &Facts) -> Option<Timestamp> {
        let Some(SecretState::Present(view)) = facts.secret.known() else {
            return None;
        };
        let entry = view.commit.as_ref().ok()?.as_ref()?;
        let schedule = &self.target.schedule;
        let changes = schedule.next_change(entry.change_date, facts.now.time);
        let ends = [facts.object.overlap_ends, facts.object.overlap_latest];
        let ends = ends.into_iter().flatten();
        let ends = ends.filter(|ends| *ends > facts.now.time);
        changes.into_iter().chain(ends).min()
    }

    fn now(&self, context: &Context) -> Now {
        let boot = context.process.clock.boot();
        let local = context.process.clock.wall();
        let server = self
            .connection
            .as_ref()
            .ok()
            .and_then(|connection| connection.zitadel.clock().now());
        let time = server.unwrap_or(local);
        let far = |other: Timestamp| other.duration_since(time).abs() > MOST_SKEW;
        let skewed = far(local) || context.process.api_clock.now().is_some_and(far);
        Now { boot, time, skewed }
    }

    fn gates(&self, context: &Context) -> Gates {
        let target = &self.target;
        let labels = |name: &str| context.store.namespace_label(&target.owner.namespace, name);
        // NB: the connection as it is now: a grant may have been taken away since the reconciliation began.
        let present = context.connections.get(&target.connection);
        let granted = match (&self.connection, &present) {
            (Ok(begun), Ok(present)) if begun.endpoints == present.endpoints => {
                std::iter::once(&self.primary)
                    .chain(&self.standby)
                    .all(|app| self.is_granted(present, labels, &app.app))
            }
            _ => false,
        };
        // NB: a grant that is taken away is reported also while ZITADEL is down.
        let reached = if granted { self.reaches() } else { Ok(()) };
        Gates {
            granted,
            repairs_exhausted: match &self.connection {
                Ok(connection) => connection.repairs_exhausted(context.process.clock.boot()),
                Err(_) => false,
            },
            connection: self
                .connection
                .as_ref()
                .map_err(Clone::clone)
                .and(present.as_ref().map(drop).map_err(Clone::clone))
                .and(reached)
                .and(self.lives_on(context)),
            rival: present
                .as_ref()
                .ok()
                .and_then(|present| self.rival(context, present)),
        }
    }

    /// While ZITADEL cannot be reached at all the connection's own check asks for it, alone, and wakes everybody when it is back.
    fn reaches(&self) -> Result<(), Failure> {
        let connection = self.connection.as_ref().ok();
        connection
            .and_then(|connection| connection.shared.outage())
            .map_or(Ok(()), Err)
    }

    /// In a namespace that is being deleted nothing is begun any more.
    fn lives_on(&self, context: &Context) -> Result<(), Failure> {
        if context.store.is_terminating(&self.target.owner.namespace) {
            return Err(Failure::new(Reason::NamespaceTerminating, true));
        }
        Ok(())
    }

    /// The Secret as the watch shows it, or as this process wrote it where the watch lags behind.
    fn cached_secret(&mut self, context: &Context) -> SecretState {
        let Target { owner, secret, .. } = &*self.target;
        let found = context.store.secret(&owner.namespace, &secret.name);
        let reading = found.zip(self.place()).map(|(found, place)| {
            reading::read(place, &found.metadata(), None, |owner| {
                context.store.keeps_secret(owner, place.target)
            })
        });
        let record = reading.as_ref().and_then(|reading| reading.commit.as_ref());
        self.take_record(record);
        let mut state = reading::state(reading.as_ref());
        if let SecretState::Present(view) = &mut state {
            view.rendered &= self.state.lock().drifted.as_ref() != Some(&view.version);
        }
        state
    }

    /// The claims as the watch shows them, or as this process wrote them where the watch lags behind.
    fn recall_claims(&self, context: &Context, facts: &mut Facts) {
        for slot in facts.slots() {
            let Application { app, claim, .. } = self.application(*slot);
            facts.of_mut(*slot).claim = Observed::Cached(self.cached_claim(context, app, claim));
        }
    }

    /// The claim of an application as the watch shows it, or as this process wrote it where the watch lags behind.
    pub(crate) fn cached_claim(&self, context: &Context, app: &AppRef, name: &str) -> ClaimView {
        let claim = context.store.claims.get(name);
        self.claim_view(context, app, claim.as_deref())
    }

    pub(crate) fn claim_view(
        &self,
        context: &Context,
        app: &AppRef,
        claim: Option<&KeptClaim>,
    ) -> ClaimView {
        let elsewhere =
            |owner: &Owner| *owner != self.target.owner && context.store.keeps_app(app, owner);
        KeptClaim::view(claim, elsewhere)
    }

    /// Takes in the Secret as the API server just answered it.
    pub fn saw_secret(&mut self, context: &Context, found: Option<&Secret>, facts: &mut Facts) {
        let reading = found.zip(self.place()).map(|(secret, place)| {
            reading::read(place, &secret.metadata, Some(secret), |owner| {
                context.store.keeps_secret(owner, place.target)
            })
        });
        let view = reading.as_ref().map(|reading| &reading.view);
        let drifted = view.filter(|view| !view.rendered);
        self.state.lock().drifted = drifted.map(|view| view.version.clone());
        facts.secret = Observed::Live(reading::state(reading.as_ref()));
        if self.take_record(reading.as_ref().and_then(|reading| reading.commit.as_ref())) {
            self.line_up(facts);
        }
        self.reading = reading;
    }

    /// A Secret that holds this object's value under a name that the object does not give it any more.
    fn former(&self, context: &Context) -> Option<Former> {
        let names = context.store.secrets_of(&self.target.owner);
        let others = names
            .iter()
            .filter(|name| **name != self.target.secret.name);
        others
            .filter_map(|name| self.former_of(context, name))
            .max_by_key(|former| former.sequence)
    }

    fn former_of(&self, context: &Context, name: &str) -> Option<Former> {
        let found = context.store.secret(&self.target.owner.namespace, name)?;
        let reading = reading::read(self.place()?, &found.metadata(), None, |_| false);
        let view = reading.view;
        let stored = view.commit.ok().flatten().filter(|_| view.owned)?;
        let carries = [&Some(stored.clone()), &view.idle];
        Some(Former {
            name: name.to_owned(),
            version: view.version,
            sequence: stored.sequence,
            carries: carries
                .into_iter()
                .flatten()
                .filter_map(|entry| entry.attempt)
                .collect(),
        })
    }

    /// Compares the stored client secret with the one that each claim's attempt found, where both were read.
    pub(crate) fn compare_with_claims(&self, facts: &mut Facts) {
        let value = self
            .reading
            .as_ref()
            .and_then(|reading| reading.value.as_ref());
        for slot in facts.slots() {
            let attempt = facts.of(*slot).known_claim();
            let attempt = attempt.and_then(|claim| claim.attempt.as_ref());
            let stored = attempt.and_then(|attempt| attempt.stored.as_ref());
            let same = stored.zip(value);
            let same = same.map(|(stored, value)| stored.matches(value.expose().as_bytes()));
            facts.of_mut(*slot).as_before_call = same;
        }
    }

    /// Falls back to what the watches show and this process wrote.
    pub fn recall(&mut self, context: &Context, facts: &mut Facts) {
        facts.secret = Observed::Cached(self.cached_secret(context));
        if facts.standby.is_some() != self.standby.is_some() {
            self.line_up(facts);
        }
        self.recall_claims(context, facts);
    }
}

/// An application over a connection.
pub(crate) fn application(
    connection: Option<&Arc<Connection>>,
    issuer: &str,
    app: &AppRef,
) -> Application {
    let app = connection.map_or_else(|| app.clone(), |connection| connection.app(app));
    Application {
        claim: target::apps::claim_name(issuer, &app),
        app,
        client_id: None,
    }
}

/// The rotations that the history explains: ten at most, whatever the status says, so that who writes it can widen the breaker where
/// the claim is gone, and not switch it off.
fn explained(status: &AppSecretStatus) -> Explained {
    let mut explained = Explained::default();
    for past in status.history.iter().take(AppSecretStatus::HISTORY) {
        let cause = Cause::ALL
            .into_iter()
            .find(|cause| cause.as_str() == past.reason);
        let sequence = place(past);
        let (Some(cause), Some(sequence)) = (cause, sequence) else {
            continue;
        };
        if cause.is_repair() {
            explained.repairs.push(sequence);
        } else {
            explained.asked.push(sequence);
        }
    }
    explained
}

/// The newest value that was accepted before it was published. Only the replica that published it knows that, and how long it took; others
/// suppose it.
fn proven(status: &AppSecretStatus) -> Option<Sequence> {
    let published = |past: &&HistoryEntry| {
        past.outcome == Outcome::Published.as_str() && past.dark_window_milliseconds.is_some()
    };
    let newest = status.history.iter().find(published)?;
    place(newest)
}

/// The place of a past rotation: its sequence, or the time that stands for it.
fn place(past: &HistoryEntry) -> Option<Sequence> {
    match &past.sequence {
        Some(sequence) => sequence.parse().ok().map(Sequence),
        None => past
            .change_date
            .as_ref()
            .map(|date| Sequence::of_time(date.0)),
    }
}

/// The entries of the pair before the stored one, if that is still accepted, and of the stored one.
pub fn previous(facts: &Facts) -> Option<(&Entry, &Entry)> {
    let Some(SecretState::Present(view)) = facts.secret.known() else {
        return None;
    };
    let stored = view.entry(view.active)?;
    let idle = view.entry(view.active.other())?;
    // One that was retired is newer than the stored one.
    (idle.change_date < stored.change_date).then_some((idle, stored))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_status_that_claims_that_everything_was_asked_for_excuses_ten_rotations_at_most() {
        let entry = |sequence: u64| serde_json::json!({"time": "2026-01-01T00:00:00Z", "reason": "Trigger", "sequence": sequence.to_string(), "outcome": "Published"});
        let history: Vec<_> = (0..1000).map(entry).collect();
        let status = serde_json::from_value(serde_json::json!({"history": history}));
        assert_eq!(explained(&status.unwrap()).asked.len(), 10);
    }

    #[test]
    fn the_history_tells_what_was_asked_for_from_repairs_whatever_came_of_either() {
        let entry = |(sequence, reason, outcome): (u64, &str, &str)| serde_json::json!({"time": "2026-01-01T00:00:00Z", "reason": reason, "sequence": sequence.to_string(), "outcome": outcome});
        let history = [
            (9, "Due", "Unproven"),
            (8, "LostAttempt", "Published"),
            (7, "Trigger", "WithoutEffect"),
            (6, "Adopted", "Adopted"),
            (5, "Retire", "Retired"),
            (4, "FirstIssue", "Published"),
        ];
        let history: Vec<_> = history.into_iter().map(entry).collect();
        let status = serde_json::from_value(serde_json::json!({"history": history}));
        let explained = explained(&status.unwrap());
        assert_eq!(explained.asked, [9, 7, 5, 4].map(Sequence));
        assert_eq!(explained.repairs, [8].map(Sequence));
    }
}
