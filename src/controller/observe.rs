//! Observes: fills in the facts that a decision asks for. It reads and never writes, and decides nothing.

use std::sync::{Arc, Mutex};

use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::runtime::reflector::ObjectRef;
use kube::{Api, ResourceExt};

use super::claim;
use super::connections::Connection;
use super::context::{AppState, Context, lock, revision};
use super::failure;
use super::probe::probe;
use super::secret::{self, Place, Reading};
use super::target::{self, Target};
use crate::api::{ApiAppSecret, ApiAppSecretStatus, ConditionType, Reason};
use crate::ids::AttemptId;
use crate::rotation::{
    AppView, ClaimView, DueState, Facts, Failure, Gates, Journal, JournalEvent, Now, ObjectView,
    Observed, Owner, Probe, SecretState, Source,
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
    pub fn begin(&self, context: &Context) -> Facts {
        let target = &self.target;
        let (claim, secret) = self.cached(context);
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
            hint,
            fresh_attempt: AttemptId(uuid::Uuid::now_v7()),
            memory: crate::rotation::Memory::default(),
        };
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
    /// NB: what the watches do not show at all counts as absent, even if this process wrote it: it may have been deleted since.
    /// Nothing is done about it before it was read.
    fn cached(&self, context: &Context) -> (ClaimView, SecretState) {
        let namespace = &context.settings.namespace;
        let lease = context
            .stores
            .claims
            .get(&ObjectRef::new(&self.claim).within(namespace));
        let seen = lease.as_ref().map_or(0, |lease| {
            revision(&lease.resource_version().unwrap_or_default())
        });
        let state = lock(&self.state);
        let claim = match &state.claim {
            Some((written, view)) if lease.is_some() && *written > seen => view.clone(),
            _ => self.claim_view(context, lease.as_deref()),
        };
        let target = &self.target;
        let reference = ObjectRef::new(&target.secret.name).within(&target.owner.namespace);
        let metadata = context.stores.secrets.get(&reference);
        let seen = metadata.as_ref().map_or(0, |secret| {
            revision(&secret.resource_version().unwrap_or_default())
        });
        let secret = match &state.secret {
            Some((written, view)) if metadata.is_some() && *written > seen => view.clone(),
            _ => {
                let reading = metadata
                    .as_ref()
                    .zip(self.place())
                    .map(|(metadata, place)| {
                        secret::read(place, &metadata.metadata, None, |owner| {
                            self.keeps_secret(context, owner)
                        })
                    });
                secret::state(reading.as_ref())
            }
        };
        (claim, secret)
    }

    /// Whether an object exists and still names this object's Secret.
    fn keeps_secret(&self, context: &Context, owner: &Owner) -> bool {
        let object = context
            .object(owner)
            .filter(|_| owner.namespace == self.target.owner.namespace);
        match object.as_deref().map(|object| &object.0) {
            Some(Ok(object)) => object.spec.secret_name(&owner.name) == self.target.secret.name,
            // An object that can't be read may well mean this Secret.
            Some(Err(_)) => true,
            None => false,
        }
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
                self.keeps_secret(context, owner)
            })
        });
        facts.secret = Observed::Live(secret::state(reading.as_ref()));
        self.reading = reading;
    }

    /// Falls back to what the watches show and this process wrote.
    pub fn recall(&self, context: &Context, facts: &mut Facts) {
        let (claim, secret) = self.cached(context);
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
