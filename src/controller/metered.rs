//! Counts and times the calls to ZITADEL.

use std::time::Instant;

use async_trait::async_trait;

use crate::ids::{AttemptId, OrganizationId, ProjectId, UserId};
use crate::process::clock::ServerClock;
use crate::process::metrics::Metrics;
use crate::zitadel::{
    AppRef, Application, Change, ClientSecret, Detail, Discovery, ErrorClass, Fault, Introspection,
    Outcome, ProbeToken, ProjectState, Since, Zitadel, ZitadelError,
};

/// A client whose calls are counted.
pub struct Metered<Z> {
    inner: Z,
    metrics: Metrics,
    doubt: Box<dyn Fn() + Send + Sync>,
}

impl<Z: Zitadel> Metered<Z> {
    /// Counts the calls of `inner`, and says so where one makes it doubtful whether the connection works.
    pub fn new(inner: Z, metrics: Metrics, doubt: impl Fn() + Send + Sync + 'static) -> Self {
        Self {
            inner,
            metrics,
            doubt: Box::new(doubt),
        }
    }

    /// NB: the check of a connection is made of `me` and `discovery`: those ask for no other one.
    fn judge(&self, error: &ZitadelError) {
        let doubtful = error.detail().map(Detail::fault) == Some(&Fault::TokenServerError)
            || matches!(
                error.class(),
                ErrorClass::Unauthenticated
                    | ErrorClass::TokenRefused
                    | ErrorClass::UnreachableDns
                    | ErrorClass::UnreachableConnect
                    | ErrorClass::Tls
                    | ErrorClass::Interrupted
                    | ErrorClass::Timeout
                    | ErrorClass::Unavailable
            );
        if doubtful {
            (self.doubt)();
        }
    }

    async fn count<T>(
        &self,
        operation: &'static str,
        call: impl Future<Output = Result<T, ZitadelError>>,
    ) -> Result<T, ZitadelError> {
        let sent = Instant::now();
        let result = call.await;
        if let Err(error) = &result
            && !matches!(operation, "me" | "discovery")
        {
            self.judge(error);
        }
        let outcome = result
            .as_ref()
            .map_or_else(|error| error.class().reason(), |_| "Ok");
        self.metrics
            .zitadel_request(operation, outcome, sent.elapsed());
        result
    }
}

#[async_trait]
impl<Z: Zitadel> Zitadel for Metered<Z> {
    async fn me(&self) -> Result<UserId, ZitadelError> {
        self.count("me", self.inner.me()).await
    }

    async fn prepare(&self, project: &ProjectId) -> Result<(), ZitadelError> {
        self.inner.prepare(project).await
    }

    async fn generate(&self, app: &AppRef, attempt: AttemptId) -> Outcome {
        let sent = Instant::now();
        let outcome = self.inner.generate(app, attempt).await;
        if let Outcome::NotExecuted(error) | Outcome::Unknown(error) = &outcome {
            self.judge(error);
        }
        let word = match &outcome {
            Outcome::Success { .. } | Outcome::SuccessWithoutSequence { .. } => "Ok",
            Outcome::NotExecuted(error) | Outcome::Unknown(error) => error.class().reason(),
        };
        self.metrics
            .zitadel_request("generate", word, sent.elapsed());
        outcome
    }

    async fn app(&self, app: &AppRef) -> Result<Application, ZitadelError> {
        self.count("app", self.inner.app(app)).await
    }

    async fn project(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<ProjectState, ZitadelError> {
        self.count("project", self.inner.project(organization, project))
            .await
    }

    async fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<Vec<Application>, ZitadelError> {
        self.count("apps", self.inner.apps(organization, project))
            .await
    }

    async fn changes(&self, app: &AppRef, since: Since) -> Result<Vec<Change>, ZitadelError> {
        self.count("changes", self.inner.changes(app, since)).await
    }

    async fn introspect(
        &self,
        client_id: &str,
        secret: &ClientSecret,
        token: ProbeToken,
    ) -> Result<Introspection, ZitadelError> {
        self.count(
            "introspect",
            self.inner.introspect(client_id, secret, token),
        )
        .await
    }

    async fn discovery(&self) -> Result<Discovery, ZitadelError> {
        self.count("discovery", self.inner.discovery()).await
    }

    fn clock(&self) -> &ServerClock {
        self.inner.clock()
    }
}
