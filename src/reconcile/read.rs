//! Observes: reads live what a decision asks for. It never writes, and decides nothing.

use futures::future::OptionFuture;
use k8s_openapi::api::coordination::v1::Lease;
use k8s_openapi::api::core::v1::Secret;
use kube::{Api, Resource as _};

use crate::api::{Kind, Reason};
use crate::connection::Connection;
use crate::reconcile::context::Context;
use crate::reconcile::journal;
use crate::reconcile::observe::Reconciliation;
use crate::reconcile::probe::probe;
use crate::report::failure::{self, CLIENT_ID, NotReady};
use crate::rotation::{
    AppView, Doubt, Facts, Failure, Observed, SecretState, Slot, Source, Verdict,
};
use crate::store::claim::KeptClaim;
use crate::store::object::Object;
use crate::store::wiped::Stored;
use crate::zitadel::{
    AppKind, AppRef, AppState as State, Application as Found, ProjectState, ZitadelError,
};

impl Reconciliation {
    /// Whether the object is stored as this reconciliation has it.
    async fn is_current(&self, context: &Context) -> Result<bool, kube::Error> {
        let owner = &self.target.owner;
        let client = context.process.client.clone();
        let api: Api<Object> = Api::namespaced_with(client, &owner.namespace, &owner.kind);
        let Some(found) = api.get_opt(&owner.name).await? else {
            return Ok(false);
        };
        let (metadata, same) = (found.meta(), found.uid() == owner.uid);
        if same && metadata.generation < self.target.generation {
            let evidence = format!("the generation of an {}", owner.kind);
            context.process.relist.data_went_back(&evidence);
        }
        let shown = context.store.object(owner);
        if shown.is_some_and(|shown| shown.is_otherwise(&found)) {
            let kind = owner.kind.as_str();
            context.process.relist.shown_otherwise(kind, found.meta());
            return Ok(false);
        }
        Ok(same
            && metadata.generation == self.target.generation
            && metadata.deletion_timestamp.is_none())
    }

    /// Reads what is asked for, at once.
    pub async fn read(
        &mut self,
        context: &Context,
        sources: &[Source],
        slot: Slot,
        facts: &mut Facts,
    ) {
        let Ok(connection) = self.connection.clone() else {
            return;
        };
        let wants = |source| sources.contains(&source);
        let (secrets, leases) = (self.secrets(context), claims(context));
        let zitadel = &connection.zitadel;
        let app = self.application(slot).app.clone();
        let since = journal::needed(facts, slot);
        let journal = zitadel.over(journal::kept_by(facts, slot));
        let second = wants(Source::Claim).then_some(()).and(self.standby.clone());
        let (object, secret, lease, standby, journal, found, project) = futures::join!(
            OptionFuture::from(wants(Source::Object).then(|| self.is_current(context))),
            OptionFuture::from(
                wants(Source::Secret).then(|| secrets.get_opt(&self.target.secret.name))
            ),
            OptionFuture::from(wants(Source::Claim).then(|| leases.get_opt(&self.primary.claim))),
            OptionFuture::from(second.as_ref().map(|app| leases.get_opt(&app.claim))),
            OptionFuture::from(wants(Source::Journal).then(|| journal.changes(&app, since))),
            OptionFuture::from(wants(Source::App).then(|| zitadel.app(&app))),
            OptionFuture::from(wants(Source::App).then(|| self.project(&connection, &app))),
        );
        if let Some(result) = object {
            facts.current = match result {
                Ok(current) => Observed::Live(current),
                Err(error) => Observed::Failed(unreadable(&error, Reason::Forbidden)),
            };
        } else if wants(Source::Claim) {
            // It must be known to be current after the claim was read.
            facts.current = Observed::Unread;
        }
        if let Some(result) = secret {
            match result {
                Ok(found) => {
                    let found = found.map(Stored::from);
                    self.saw_secret(context, found.as_deref(), facts);
                }
                Err(error) => {
                    facts.secret =
                        Observed::Failed(unreadable(&error, Reason::SecretWriteForbidden));
                }
            }
        }
        let asked = second.map(|app| app.claim);
        for (slot, result) in [(Slot::Primary, lease), (Slot::Standby, standby)] {
            // NB: the Secret that was read beside it may name another standby by now: then its claim is still to be read.
            let same = slot == Slot::Primary
                || asked.as_deref() == self.standby.as_ref().map(|app| app.claim.as_str());
            if let Some(result) = result.filter(|_| same) {
                facts.of_mut(slot).claim = match result {
                    Ok(lease) => {
                        let app = &self.application(slot).app;
                        let claim = lease.as_ref().map(KeptClaim::from);
                        Observed::Live(self.claim_view(context, app, claim.as_ref()))
                    }
                    Err(error) => Observed::Failed(unreadable(&error, Reason::ClaimWriteForbidden)),
                };
            }
        }
        if wants(Source::Claim) {
            self.saw_provisioned(facts);
        }
        if let Some(result) = journal {
            self.take_foreign(&app, &result);
            journal::note_denial(&mut self.state.lock().denied, &app.app, &result);
            self.read_since.insert(app.app.clone(), since);
            facts.of_mut(slot).journal = journal::seen(context, &connection, result);
        }
        if let Some((found, project)) = found.zip(project) {
            self.project = project.as_ref().ok().copied();
            facts.of_mut(slot).app = self.saw_app(slot, found, project);
        }
        if wants(Source::Probe) {
            // The report of a new doubt waits for the first answer only so long; the next question has more time. NB: a judge that hangs must
            // not keep the report waiting.
            let new = |doubt: &Doubt| doubt.asked == 0;
            let within = if facts.memory.doubt.as_ref().is_some_and(new) {
                facts.timing.news
            } else {
                facts.timing.prove
            };
            let probe = self.probe(context, &connection, facts);
            let verdict = tokio::time::timeout(within, probe).await;
            facts.probe = Observed::Live(verdict.unwrap_or(Verdict::Unknown));
        }
        self.compare_with_claims(facts);
        self.refresh(context, facts);
        self.forget_what_is_too_short(facts);
    }

    /// The state of the project, asked for once in a reconciliation.
    async fn project(
        &self,
        connection: &Connection,
        app: &AppRef,
    ) -> Result<ProjectState, ZitadelError> {
        if let Some(state) = self.project {
            return Ok(state);
        }
        let zitadel = &connection.zitadel;
        let asked = zitadel.project(app.organization.as_ref(), &app.project);
        asked.await
    }

    /// The Secrets of the object's namespace.
    pub(crate) fn secrets(&self, context: &Context) -> Api<Secret> {
        Api::namespaced(context.process.client.clone(), &self.target.owner.namespace)
    }

    fn saw_app(
        &mut self,
        slot: Slot,
        found: Result<Found, ZitadelError>,
        project: Result<ProjectState, ZitadelError>,
    ) -> Observed<AppView> {
        let inactive = match project {
            Ok(state) => state == ProjectState::Inactive,
            // NB: a role of one's own may read applications and not the project; then only introspection can decide.
            Err(error) if error.is_permanent() => false,
            Err(error) => return Observed::Failed(failure::zitadel(&error)),
        };
        match found {
            Ok(app) => {
                let active = app.state == State::Active;
                let unfit = unfit(self.target.owner.kind, app.kind);
                let inactive_app = (!active).then_some((Reason::AppNotReady, NotReady::Inactive));
                let not_ready = unfit.or(inactive_app);
                self.not_ready = not_ready.map(|(_, why)| why);
                if not_ready.is_none() && app.client_id.is_none() {
                    return Observed::Failed(Failure {
                        answer: Some(CLIENT_ID.to_owned()),
                        ..Failure::new(Reason::UnexpectedAnswer, false)
                    });
                }
                let inactive_project = inactive.then_some(Reason::ProjectInactive);
                let refused = not_ready.map(|(reason, _)| reason).or(inactive_project);
                self.application_mut(slot).client_id = app.client_id;
                self.resource_owner = app.resource_owner;
                Observed::Live(AppView { refused })
            }
            Err(error) => Observed::Failed(failure::zitadel(&error)),
        }
    }

    /// What introspection says of the stored value.
    async fn probe(
        &mut self,
        context: &Context,
        connection: &Connection,
        facts: &mut Facts,
    ) -> Verdict {
        let mut slot = facts.active();
        for candidate in facts.slots() {
            let application = self.application(*candidate);
            if application.client_id.is_none()
                && (*candidate == slot || self.unrecorded_client_id().is_some())
                && let Ok(app) = connection.zitadel.app(&application.app).await
            {
                self.application_mut(*candidate).client_id = app.client_id;
            }
        }
        // A pair that is taken over says itself whose it is.
        if let Some(client_id) = self.unrecorded_client_id() {
            let of =
                |slot: &&Slot| self.application(**slot).client_id.as_deref() == Some(client_id);
            slot = facts.slots().iter().find(of).copied().unwrap_or(slot);
            if let Observed::Live(SecretState::Present(view)) = &mut facts.secret {
                view.active = slot;
            }
        }
        let value = self
            .reading
            .as_ref()
            .and_then(|reading| reading.value.as_ref());
        let application = self.application(slot);
        let verdict = match (&application.client_id, value) {
            (Some(client_id), Some(value)) => {
                probe(connection, &application.app, client_id, value).await
            }
            _ => Verdict::Unknown,
        };
        context.process.metrics.verification(match verdict {
            Verdict::Accepted => "valid",
            Verdict::Rejected => "refused",
            Verdict::Unknown => "none",
        });
        verdict
    }

    /// The client id in a Secret whose pair is not recorded, where the object has two applications.
    fn unrecorded_client_id(&self) -> Option<&str> {
        let reading = self.reading.as_ref().filter(|_| self.standby.is_some())?;
        if matches!(reading.view.commit, Ok(Some(_))) {
            return None;
        }
        reading.client_id.as_deref()
    }
}

/// Why objects of a kind cannot keep the client secret of such an application, if they cannot.
const fn unfit(kind: Kind, app: AppKind) -> Option<(Reason, NotReady)> {
    let of_another_type = match kind {
        Kind::ApiApp => Reason::AppNotApi,
        Kind::OidcApp => Reason::AppNotOidc,
    };
    Some(match (kind, app) {
        (Kind::ApiApp, AppKind::ApiBasic) | (Kind::OidcApp, AppKind::OidcSecret) => return None,
        (Kind::ApiApp, AppKind::ApiPrivateKeyJwt) | (Kind::OidcApp, AppKind::OidcPrivateKeyJwt) => {
            (Reason::AppNotReady, NotReady::Method)
        }
        (Kind::OidcApp, AppKind::OidcPublic) => (Reason::AppNotReady, NotReady::Public),
        (Kind::OidcApp, AppKind::ApiBasic | AppKind::ApiPrivateKeyJwt) => {
            (of_another_type, NotReady::Api)
        }
        (Kind::ApiApp, AppKind::OidcSecret | AppKind::OidcPrivateKeyJwt | AppKind::OidcPublic) => {
            (of_another_type, NotReady::Oidc)
        }
        (_, AppKind::Saml) => (of_another_type, NotReady::Saml),
        (_, AppKind::Other) => (of_another_type, NotReady::Unknown),
    })
}

fn claims(context: &Context) -> Api<Lease> {
    Api::namespaced(
        context.process.client.clone(),
        &context.process.settings.namespace,
    )
}

/// Why something of the cluster can't be read; `forbidden` if the right is missing.
fn unreadable(error: &kube::Error, forbidden: Reason) -> Failure {
    match error {
        kube::Error::Api(status) if status.code == 403 => Failure::new(forbidden, true),
        _ => Failure::new(Reason::KubernetesUnavailable, false),
    }
}
