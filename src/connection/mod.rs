//! The connections that reconciliations share: their clients, grants and limits.
//!
//! * [`connect`] makes one of a `ZitadelConnection`: it reads its [`inputs`], has it [`check`]ed at ZITADEL and reports; [`unusable`] is why it
//!   cannot be used
//! * [`registry`] has them by name. [`grants`] says who may use one, [`terms`] how much; [`shared`] is what outlives its client

pub(crate) mod check;
pub(crate) mod connect;
pub(crate) mod grants;
pub(crate) mod inputs;
pub(crate) mod registry;
pub(crate) mod shared;
pub(crate) mod terms;
pub(crate) mod unusable;

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use crate::api::{
    Auth, Proxy, Reason, RehearsalPolicy, Tls, ZitadelConnection, ZitadelConnectionSpec,
};
use crate::connection::grants::ParsedGrant;
use crate::connection::shared::Shared;
use crate::connection::terms::{RepairLimit, TermsError, organization};
use crate::ids::{AppId, OrganizationId, ProjectId, Sequence, UserId};
use crate::rotation::{Failure, Owner};
use crate::store::secret::Endpoints;
use crate::target::{ObjectVersion, object_version};
use crate::zitadel::{AppRef, Change, Client, ZitadelError};

/// A connection that can be used.
#[derive(Clone)]
pub struct Connection {
    /// Its name.
    pub name: String,
    /// The client.
    pub zitadel: Arc<Client>,
    /// Whose credential it is: own journal entries are this user's. Always known where v1 is in use.
    pub user: Option<UserId>,
    /// Where consumers find things.
    pub endpoints: Endpoints,
    /// The organization of objects that name none.
    pub organization: Option<OrganizationId>,
    /// Whether a rotation needs the rehearsal of its write.
    pub rehearsal: RehearsalPolicy,
    /// Who may use it.
    pub(crate) grants: Vec<ParsedGrant>,
    /// What of it lives longer than this client.
    pub shared: Arc<Shared>,
    /// The limit of repairs.
    pub(crate) repair_limit: RepairLimit,
    /// Differs between two states of its spec, credential and certificate authorities.
    pub(crate) made_from: String,
    /// What its client was made from.
    pub(crate) reach: Reach,
    /// The edition of the object whose terms it has.
    pub(crate) terms: ObjectVersion,
}

/// What a client is made from. Everything else of a connection applies without one.
#[derive(Clone, PartialEq, Eq)]
pub struct Reach {
    /// By the spec.
    pub(crate) declared: Declared,
    /// Differs between two states of the stored credential.
    pub(crate) credential: String,
    /// The same for the certificate authorities.
    pub(crate) authorities: String,
    /// The same for what belongs to the proxy.
    pub(crate) proxy: String,
}

/// Where a credential goes, and which.
#[derive(Clone, PartialEq, Eq)]
pub struct Declared {
    url: String,
    endpoint: Option<String>,
    tls: Option<Tls>,
    proxy: Option<Proxy>,
    auth: Auth,
}

impl Declared {
    /// What a spec declares.
    pub fn by(spec: &ZitadelConnectionSpec) -> Self {
        Self {
            url: spec.url.clone(),
            endpoint: spec.endpoint.clone(),
            tls: spec.tls.clone(),
            proxy: spec.proxy.clone(),
            auth: spec.auth.clone(),
        }
    }
}

impl Connection {
    /// The same client on the terms of a spec: who may use it, and how much.
    pub(crate) fn on_terms(self, object: &ZitadelConnection) -> Result<Self, TermsError> {
        let spec = &object.spec;
        let terms = object_version(&object.metadata);
        let organization = organization(spec)?;
        let repair_limit = RepairLimit::read(spec)?;
        self.shared.limit(spec.concurrent_generates());
        Ok(Self {
            organization,
            rehearsal: spec.rehearsal(),
            grants: spec.grants.iter().map(ParsedGrant::from).collect(),
            repair_limit,
            made_from: format!(
                "{terms:?}/{}/{}/{}/{}",
                self.reach.credential,
                self.reach.authorities,
                self.reach.proxy,
                self.zitadel.api()
            ),
            terms,
            ..self
        })
    }

    /// Whether so many repairs were made that more must wait.
    pub fn repairs_exhausted(&self, now: Duration) -> bool {
        let limit = self.repair_limit;
        self.shared.repairs_within(limit.window, now) >= limit.count
    }

    /// Whether the operator's own user made a change.
    pub fn made(&self, change: &Change) -> bool {
        change.editor.is_some() && change.editor == self.user
    }

    /// The application's sequence by the last scan of its project.
    pub fn hint(&self, app: &AppRef) -> Option<Sequence> {
        self.shared
            .hints
            .lock()
            .get(&(app.project.clone(), app.app.clone()))
            .copied()
    }

    /// Takes note of a rotation that was just made here, so that it is no news at the next scan.
    pub fn rotated(&self, app: &AppRef, sequence: Sequence) {
        self.shared
            .hints
            .lock()
            .insert((app.project.clone(), app.app.clone()), sequence);
    }

    /// Lists all applications of a project in one request, and returns those whose sequence differs from the last scan. Nothing is
    /// known of any of them if it fails.
    pub async fn scan(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<HashSet<AppId>, ZitadelError> {
        let apps = self.zitadel.apps(organization, project).await?;
        let mut hints = self.shared.hints.lock();
        let news = apps.into_iter().filter_map(|app| {
            let before = hints.insert((project.clone(), app.id.clone()), app.sequence);
            (before != Some(app.sequence)).then_some(app.id)
        });
        Ok(news.collect())
    }

    /// The application with the organization that calls about it act in.
    pub fn app(&self, app: &AppRef) -> AppRef {
        AppRef {
            organization: app
                .organization
                .clone()
                .or_else(|| self.organization.clone()),
            ..app.clone()
        }
    }

    /// Whether a grant covers an application for an object. `labels` are those of its namespace.
    pub fn grants(
        &self,
        object: &Owner,
        labels: impl Fn(&str) -> Option<String>,
        app: &AppRef,
    ) -> bool {
        self.grants
            .iter()
            .any(|grant| grant.covers(object.kind, &object.namespace, &labels, app))
    }
}

/// What is declared now was not reached yet.
pub(crate) fn unreached() -> Failure {
    Failure::new(Reason::ZitadelUnreachable, false)
}

pub(crate) fn permanent(reason: Reason) -> Failure {
    Failure::new(reason, true)
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_connection_that_was_made_again_has_terms_of_its_own() {
        let made = |uid: &str, generation: i64| {
            let spec = json!({
                "url": "https://iam.example.com", "grants": [],
                "auth": {"personalAccessToken": {"secretKeyRef": {"name": "a", "key": "b"}}},
            });
            let mut made = ZitadelConnection::new("default", serde_json::from_value(spec).unwrap());
            made.metadata.uid = Some(uid.to_owned());
            made.metadata.generation = Some(generation);
            object_version(&made.metadata)
        };
        assert_eq!(made("u", 1), made("u", 1));
        assert_ne!(made("u", 1), made("u", 2));
        assert_ne!(made("u", 1), made("v", 1));
    }
}
