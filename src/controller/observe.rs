//! Observes: fills in the facts that a decision asks for. It reads and never writes, and decides nothing.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::claim;
use super::connections::Connection;
use super::context::{AppState, Context, lock};
use super::failure;
use super::probe::probe;
use super::secret::{self, Place, Reading};
use super::target::{self, Target};
use crate::api::{ApiAppSecret, ApiAppSecretStatus, ConditionType, Reason};
use crate::ids::AttemptId;
use crate::rotation::{
    AppView, ClaimView, DueState, Facts, Failure, Former, Gates, Journal, JournalEvent, Now,
    ObjectView, Observed, Owner, Probe, SecretState, Source,
};
use crate::zitadel::{AppKind, AppRef, AppState as State, ChangeKind};

/// Clocks that differ by more than this are not trusted with due times.
const MOST_SKEW: jiff::SignedDuration = jiff::SignedDuration::from_mins(5);

/// One round of one object: its target, its connection, what was read so far.
pub struct Round {
    /// What is wanted.
    pub target: Arc<Target>,
    /// The connection, if it can be used.
    pub connection: Result<Arc<Connection>, Failure>,
    /// The application, with the organisation that calls act in.
    pub app: AppRef,
    /// The instance and project, as a hash.
    pub scope: String,
    /// The name of the claim.
    pub claim: String,
    /// What is known between rounds.
    pub state: Arc<Mutex<AppState>>,
    /// The status as it was when the round began.
    pub status: ApiAppSecretStatus,
    /// The Secret as it was last read.
    pub reading: Option<Reading>,
    /// The client id, once known.
    pub client_id: Option<String>,
    /// The organisation that owns the application, once known.
    pub resource_owner: Option<String>,
}

impl Round {
    /// A round with nothing read yet.
    pub fn new(
        context: &Context,
        target: Arc<Target>,
        status: Option<&ApiAppSecretStatus>,
    ) -> Self {
        let connection = context.connections.get(&target.connection);
        let (issuer, app) = match &connection {
            Ok(connection) => (
                connection.endpoints.issuer.clone(),
                connection.app(&target.app),
            ),
            Err(_) => (String::new(), target.app.clone()),
        };
        let claim = target::claim_name(&issuer, &app);
        Self {
            scope: target::scope(&issuer, &app),
            state: context.app(&claim),
            claim,
            app,
            connection,
            status: status.cloned().unwrap_or_default(),
            target,
            reading: None,
            client_id: None,
            resource_owner: None,
        }
    }

    /// Where the Secret stands. None without a connection.
    pub fn place(&self) -> Option<Place<'_>> {
        let connection = self.connection.as_ref().ok()?;
        Some(Place {
            target: &self.target,
            scope: &self.scope,
            endpoints: &connection.endpoints,
        })
    }

    /// The facts as the watches show them.
    pub fn begin(&mut self, context: &Context) -> Facts {
        let (claim, secret, client_id) = self.cached(context);
        self.client_id = client_id;
        let target = &self.target;
        let hint = self
            .connection
            .as_ref()
            .ok()
            .and_then(|connection| connection.hint(&self.app));
        let verified = self
            .status
            .conditions
            .is_true(ConditionType::Verified)
            .then(|| self.status.secret_resource_version.clone())
            .flatten();
        let timing = context.settings.timing;
        let mut facts = Facts {
            timing,
            now: self.now(context),
            holder: context.settings.holder.clone(),
            object: ObjectView {
                owner: target.owner.clone(),
                inputs: self.inputs(),
                deleting: target.deleting,
                suspended: target.suspended,
                trigger: target.trigger.clone(),
                recovery: target.recovery.into(),
                adopt: target.secret.adopt,
                verified,
                due: DueState::OnTriggerOnly,
                explained: (
                    target.schedule.explained(timing.breaker_short),
                    target.schedule.explained(timing.breaker_long),
                ),
            },
            gates: self.gates(context),
            claim: Observed::Cached(claim),
            secret: Observed::Cached(secret),
            app: Observed::Unread,
            current: Observed::Unread,
            journal: Observed::Unread,
            probe: Observed::Unread,
            former: None,
            hint,
            fresh_attempt: AttemptId(uuid::Uuid::now_v7()),
            memory: crate::rotation::Memory::default(),
        };
        facts.former = self.former(context, self.status.secret_name.as_deref());
        self.refresh(context, &mut facts);
        facts
    }

    fn inputs(&self) -> String {
        let connection = self.connection.as_ref().ok();
        let made_from = connection.map_or("", |connection| &connection.made_from);
        format!("{}/{made_from}", self.target.generation.unwrap_or_default())
    }

    /// The clocks, the gates and what follows from them, as they are now.
    pub fn refresh(&self, context: &Context, facts: &mut Facts) {
        facts.now = self.now(context);
        facts.gates = self.gates(context);
        facts.object.due = match facts.secret.known() {
            Some(SecretState::Present(view)) => match &view.commit {
                Ok(Some(entry)) => self
                    .target
                    .schedule
                    .state(entry.change_date, facts.now.time),
                _ => DueState::OnTriggerOnly,
            },
            _ => DueState::OnTriggerOnly,
        };
    }

    /// The next instant at which the schedule has something else to say.
    pub fn next_change(&self, facts: &Facts) -> Option<Timestamp> {
        let Some(SecretState::Present(view)) = facts.secret.known() else {
            return None;
        };
        let entry = view.commit.as_ref().ok()?.as_ref()?;
        let schedule = &self.target.schedule;
        schedule.next_change(entry.change_date, facts.now.time)
    }

    fn now(&self, context: &Context) -> Now {
        let boot = context.clock.boot();
        let local = context.clock.wall();
        let server = self
            .connection
            .as_ref()
            .ok()
            .and_then(|connection| connection.zitadel.clock());
        let time = server.map_or(local, |server| server.now(boot));
        let far = |other: Timestamp| other.duration_since(time).abs() > MOST_SKEW;
        let skewed = far(local) || context.api_clock.now().is_some_and(far);
        Now { boot, time, skewed }
    }

    fn gates(&self, context: &Context) -> Gates {
        let target = &self.target;
        let labels = |name: &str| context.namespace_label(&target.owner.namespace, name);
        Gates {
            granted: match &self.connection {
                Ok(connection) => connection.grants(&target.owner.namespace, labels, &self.app),
                Err(_) => false,
            },
            repairs_exhausted: match &self.connection {
                Ok(connection) => connection.repairs_exhausted(context.clock.boot()),
                Err(_) => false,
            },
            connection: self.connection.as_ref().map(drop).map_err(Clone::clone),
            rival: lock(&context.index).rival(&target.owner),
        }
    }

    /// The claim and the Secret as the watches show them, or as this process wrote them where the watches lag behind.
    ///
    /// Also the client id by the Secret's commit record.
    fn cached(&self, context: &Context) -> (ClaimView, SecretState, Option<String>) {
        let namespace = &context.settings.namespace;
        let stores = &context.stores;
        let state = lock(&self.state);
        let claim = match &state.claim {
            Some(written) if !stores.claims_shown.shows(written) => written.view.clone(),
            _ => {
                let reference = ObjectRef::new(&self.claim).within(namespace);
                self.claim_view(context, stores.claims.get(&reference).as_deref())
            }
        };
        let target = &self.target;
        let (secret, client_id) = match &state.secret {
            Some(written)
                if written.name == target.secret.name && !stores.secrets_shown.shows(written) =>
            {
                (written.view.clone(), None)
            }
            _ => {
                let reference = ObjectRef::new(&target.secret.name).within(&target.owner.namespace);
                let metadata = stores.secrets.get(&reference);
                let reading = metadata
                    .as_ref()
                    .zip(self.place())
                    .map(|(metadata, place)| {
                        secret::read(place, &metadata.metadata, None, |owner| {
                            context.keeps_secret(owner, place.target)
                        })
                    });
                let recorded = reading.as_ref().and_then(|reading| {
                    let record = reading.commit.as_ref()?;
                    record.recorded(&self.scope, &self.app.app)
                });
                let client_id = recorded.map(|recorded| recorded.client_id.clone());
                (secret::state(reading.as_ref()), client_id)
            }
        };
        (claim, secret, client_id)
    }

    /// Whether an object exists and still names this object's application.
    fn keeps_app(&self, context: &Context, owner: &Owner) -> bool {
        match context.object(owner).as_deref().map(|object| &object.0) {
            Some(Ok(object)) => {
                object.spec.project_id == self.app.project.as_str()
                    && object.spec.app_id == self.app.app.as_str()
            }
            Some(Err(_)) => true,
            None => false,
        }
    }

    fn claim_view(&self, context: &Context, lease: Option<&Lease>) -> ClaimView {
        let elsewhere =
            |owner: &Owner| *owner != self.target.owner && self.keeps_app(context, owner);
        claim::view(lease, elsewhere)
    }

    /// Takes in the Secret as the API server just answered it.
    pub fn saw_secret(&mut self, context: &Context, found: Option<&Secret>, facts: &mut Facts) {
        let reading = found.zip(self.place()).map(|(secret, place)| {
            secret::read(place, &secret.metadata, Some(secret), |owner| {
                context.keeps_secret(owner, place.target)
            })
        });
        facts.secret = Observed::Live(secret::state(reading.as_ref()));
        if reading.is_none() && facts.former.is_none() {
            // The status may not know the former name any more. Rare enough to look at all of them.
            let namespace = &self.target.owner.namespace;
            let secrets = context.stores.secrets.state();
            let names = secrets
                .iter()
                .filter(|secret| secret.namespace().as_ref() == Some(namespace));
            facts.former = names
                .map(|secret| secret.name_any())
                .find_map(|name| self.former(context, Some(&name)));
        }
        self.reading = reading;
    }

    /// The Secret of that name, if it holds this object's value and the object names another one by now.
    fn former(&self, context: &Context, name: Option<&str>) -> Option<Former> {
        let name = name.filter(|name| *name != self.target.secret.name)?;
        let reference = ObjectRef::new(name).within(&self.target.owner.namespace);
        let found = context.stores.secrets.get(&reference)?;
        let reading = secret::read(self.place()?, &found.metadata, None, |_| false);
        let holds = reading.view.owned && matches!(reading.view.commit, Ok(Some(_)));
        holds.then(|| Former {
            name: name.to_owned(),
            version: reading.view.version,
        })
    }

    /// Falls back to what the watches show and this process wrote.
    pub fn recall(&self, context: &Context, facts: &mut Facts) {
        let (claim, secret, _) = self.cached(context);
        facts.claim = Observed::Cached(claim);
        facts.secret = Observed::Cached(secret);
    }

    /// Whether the object is stored as this round has it.
    async fn is_current(&self, context: &Context) -> Result<bool, kube::Error> {
        let owner = &self.target.owner;
        let api: Api<ApiAppSecret> = Api::namespaced(context.client.clone(), &owner.namespace);
        let found = api.get_metadata_opt(&owner.name).await?;
        Ok(found.is_some_and(|found| {
            let metadata = found.metadata;
            metadata.uid.as_ref() == Some(&owner.uid)
                && metadata.generation == self.target.generation
                && metadata.deletion_timestamp.is_none()
        }))
    }

    /// Reads what is asked for, at once.
    pub async fn read(&mut self, context: &Context, sources: &[Source], facts: &mut Facts) {
        let Ok(connection) = self.connection.clone() else {
            return;
        };
        let wants = |source| sources.contains(&source);
        let secret = async {
            if !wants(Source::Secret) {
                return None;
            }
            let api: Api<Secret> =
                Api::namespaced(context.client.clone(), &self.target.owner.namespace);
            Some(api.get_opt(&self.target.secret.name).await)
        };
        let lease = async {
            if !wants(Source::Claim) {
                return None;
            }
            let api: Api<Lease> =
                Api::namespaced(context.client.clone(), &context.settings.namespace);
            Some(api.get_opt(&self.claim).await)
        };
        let journal = async {
            if !wants(Source::Journal) {
                return None;
            }
            Some(connection.zitadel.changes(&self.app, None).await)
        };
        let app = async {
            if !wants(Source::App) {
                return None;
            }
            Some(connection.zitadel.app(&self.app).await)
        };
        let object = async {
            if !wants(Source::Object) {
                return None;
            }
            Some(self.is_current(context).await)
        };
        let (object, secret, lease, journal, app) =
            futures::join!(object, secret, lease, journal, app);
        if let Some(result) = object {
            facts.current = match result {
                Ok(current) => Observed::Live(current),
                Err(error) => Observed::Failed(unreadable(&error)),
            };
        } else if wants(Source::Claim) {
            // It must be known to be current after the claim was read.
            facts.current = Observed::Unread;
        }
        if let Some(result) = secret {
            match result {
                Ok(found) => {
                    self.saw_secret(context, found.as_ref(), facts);
                }
                Err(error) => facts.secret = Observed::Failed(unreadable(&error)),
            }
        }
        if let Some(result) = lease {
            facts.claim = match result {
                Ok(lease) => Observed::Live(self.claim_view(context, lease.as_ref())),
                Err(error) => Observed::Failed(unreadable(&error)),
            };
        }
        if let Some(result) = journal {
            let readable = match &result {
                Ok(_) => Some(true),
                Err(error) => error.is_permanent().then_some(false),
            };
            if readable.is_some_and(|readable| connection.shared.saw_journal(readable)) {
                context.wake_connection(&connection.name);
            }
            facts.journal = match result {
                Ok(changes) => Observed::Live(Journal(
                    changes
                        .into_iter()
                        .filter(|change| change.kind == ChangeKind::SecretChanged)
                        .map(|change| JournalEvent {
                            sequence: change.sequence,
                            time: change.change_date,
                            own: change.editor.as_ref() == Some(&connection.user),
                        })
                        .collect(),
                )),
                Err(error) => Observed::Failed(failure::zitadel(&error)),
            };
        }
        if let Some(result) = app {
            facts.app = match result {
                Ok(app) => {
                    let refused = match (app.kind, app.state) {
                        (AppKind::ApiBasic, State::Active) if app.client_id.is_some() => None,
                        (AppKind::ApiBasic | AppKind::ApiPrivateKeyJwt, _) => {
                            Some(Reason::AppNotReady)
                        }
                        _ => Some(Reason::AppNotApi),
                    };
                    self.client_id = app.client_id;
                    self.resource_owner = app.resource_owner;
                    Observed::Live(AppView { refused })
                }
                Err(error) => Observed::Failed(failure::zitadel(&error)),
            };
        }
        if wants(Source::Probe) {
            facts.probe = Observed::Live(self.probe(context, &connection).await);
        }
        self.refresh(context, facts);
    }

    /// What introspection says of the stored value.
    async fn probe(&mut self, context: &Context, connection: &Connection) -> Probe {
        let recorded = self.reading.as_ref().and_then(|reading| {
            let record = reading
                .commit
                .as_ref()?
                .recorded(&self.scope, &self.app.app)?;
            Some(record.client_id.clone())
        });
        if let Some(client_id) = recorded.or_else(|| self.client_id.clone()) {
            self.client_id = Some(client_id);
        } else if let Ok(app) = connection.zitadel.app(&self.app).await {
            self.client_id = app.client_id;
        }
        let value = self
            .reading
            .as_ref()
            .and_then(|reading| reading.value.as_ref());
        let verdict = match (&self.client_id, value) {
            (Some(client_id), Some(value)) => probe(connection, &self.app, client_id, value).await,
            _ => Probe::NoVerdict,
        };
        context.metrics.verification(match verdict {
            Probe::Valid => "valid",
            Probe::Refused => "refused",
            Probe::NoVerdict => "none",
        });
        verdict
    }
}

fn unreadable(error: &kube::Error) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => Failure {
            reason: Reason::SecretWriteForbidden,
            permanent: true,
            error_id: None,
        },
        _ => Failure {
            reason: Reason::KubernetesUnavailable,
            permanent: false,
            error_id: None,
        },
    }
}
