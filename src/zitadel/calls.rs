//! The calls: path, parameters and parser of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::header::AUTHORIZATION;
use reqwest::Method;
use serde_json::Value;
use zeroize::Zeroizing;

use super::answer::{Answer, SendError};
use super::application::{self, AppRef, Application};
use super::client::{Client, authorized, within};
use super::discovery::{self, Discovery};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::generate_outcome::{self, GenerateOutcome};
use super::introspection::{self, Introspection, ProbeToken};
use super::journal::{self, Change};
use super::journal_depth::JournalDepth;
use super::project::ProjectState;
use super::secret::ClientSecret;
use super::send_deadline;
use super::sensitive;
use super::token::{Audience, Token};
use super::transport::{LIST_BODY, SMALL_BODY};
use super::v1;
use crate::api::Kind;
use crate::ids::{ApiVersion, AppId, AttemptId, OrganizationId, ProjectId, Sequence, UserId};

/// Page size of a list of applications, below ZITADEL's own limit of 1,000.
const APP_PAGE: usize = 500;
/// How often all pages are read while applications seem to be missing.
const APP_PASSES: usize = 4;
/// A project with more applications is too large.
const MOST_APPS: usize = 20 * APP_PAGE;
/// Size of the first page of a journal.
const PAGE: usize = 100;
/// Size of later pages of a journal. Nearly always the first page is enough.
const LATER_PAGE: usize = 500;
/// A journal with more pages is too large.
const MAX_PAGES: usize = 100;
/// A text in the form of a token that is not one.
const JUNK_TOKEN: &str = "zitadel-secret-operator-probe";
/// When a probe says `Inactive`, a token younger than this is not suspected to be revoked.
const SUSPECT_AGE: Duration = Duration::from_mins(1);

impl Client {
    /// The service user of the credential: the editor of own journal entries (`GET /auth/v1/users/me`).
    pub async fn me(&self) -> Result<UserId, ZitadelError> {
        let request = || self.transport.read(Method::GET, "/auth/v1/users/me");
        let read = self.read(Operation::Me, SMALL_BODY, request, |answer| {
            let body: Value = serde_json::from_slice(&answer.body).ok()?;
            UserId::try_from(body.pointer("/user/id")?.as_str()?).ok()
        });
        self.call(Operation::Me, self.timeouts.call, read).await
    }

    /// Whether ZITADEL serves this version of the API, by a question about an application that does not exist.
    pub async fn is_served(&self) -> Result<bool, ZitadelError> {
        let (Ok(project), Ok(id)) = (ProjectId::try_from("0"), AppId::try_from("0")) else {
            return Ok(false);
        };
        let app = AppRef {
            organization: None,
            project,
            app: id,
        };
        let call = self.backend().app(&app);
        let request = || call.read(&self.transport);
        let read = self.read(Operation::Api, SMALL_BODY, request, |_| Some(()));
        let answer = self.call(Operation::Api, self.timeouts.call, read).await;
        match answer {
            Ok(()) => Ok(true),
            Err(error) if error.class() == ErrorClass::NotServed => Ok(false),
            Err(error) if error.class() == ErrorClass::Unauthenticated => Err(error),
            // Only ZITADEL's own verdict has an id.
            Err(error) if error.error_id().is_some() => Ok(true),
            Err(error) => Err(error),
        }
    }

    /// Fetches the access tokens, so that generate does not have to ask for one first.
    pub async fn prepare(&self, project: &ProjectId) -> Result<(), ZitadelError> {
        let project = Audience::Project(project.clone());
        let both = async {
            let api = self.tokens.token(&Audience::Api, &self.transport);
            // NB: a rotation can do without the token for the project; it is then not proven in that way.
            let proof = self.tokens.token(&project, &self.transport);
            futures::join!(api, proof).0
        };
        within(Operation::Token, self.timeouts.call, both)
            .await
            .map(drop)
    }

    /// Generates a new secret, which invalidates the current one. At most one request is ever sent: no retry, no redirect.
    pub async fn generate(&self, kind: Kind, app: &AppRef, attempt: AttemptId) -> GenerateOutcome {
        let started = Instant::now();
        let outcome = self.generate_once(kind, app, attempt).await;
        let error = match &outcome {
            GenerateOutcome::NotExecuted(error) | GenerateOutcome::Unknown(error) => Some(error),
            GenerateOutcome::Success { .. } | GenerateOutcome::SuccessWithoutSequence { .. } => {
                None
            }
        };
        self.report(Operation::Generate, error, started);
        outcome
    }

    async fn generate_once(&self, kind: Kind, app: &AppRef, attempt: AttemptId) -> GenerateOutcome {
        let operation = Operation::Generate;
        let started = self.transport.clock.boot();
        let token = self.tokens.token(&Audience::Api, &self.transport);
        let deadline = self.timeouts.call.min(self.timeouts.generate);
        let token = match within(Operation::Token, deadline, token).await {
            Ok(token) => token,
            Err(error) => return GenerateOutcome::NotExecuted(error),
        };
        // NB: one deadline for token and request, on a clock that includes suspension of the host. Nothing may be sent after it, because
        // other replicas rely on the journal being final soon after. It is checked once more when there is a connection.
        let deadline = started.saturating_add(self.timeouts.generate);
        let left = deadline.saturating_sub(self.transport.clock.boot());
        if left.is_zero() {
            return GenerateOutcome::NotExecuted(ZitadelError::new(operation, ErrorClass::Timeout));
        }
        let request = self.backend().generate(kind, app).once(&self.transport);
        let request = request.header("x-zitadel-secret-operator-attempt", attempt.to_string());
        let request = match authorized(request, &token, operation) {
            Ok(request) => request,
            Err(error) => return GenerateOutcome::NotExecuted(error),
        };
        let sending = self.transport.send(request, SMALL_BODY, left);
        let result = send_deadline::send_before(deadline, sending).await;
        if matches!(&result, Ok(answer) if answer.status == 401) {
            self.tokens.discard(&token);
        }
        let parse = |body: &[u8]| self.backend().generated(body);
        generate_outcome::classify(result.as_ref().map_err(SendError::clone), parse)
    }

    /// Reads one application. Over v1, ZITADEL's projection catches up as a side effect, so that a new secret is known afterwards.
    pub async fn app(&self, app: &AppRef) -> Result<Application, ZitadelError> {
        let call = self.backend().app(app);
        let request = || call.read(&self.transport);
        let read = async {
            let parse = |answer: &Answer| Some(self.backend().read_app(app, &answer.body));
            let read = self.read(Operation::App, SMALL_BODY, request, parse);
            let error = |class| ZitadelError::new(Operation::App, class).with_answer(200, None);
            read.await?.map_err(error)
        };
        self.call(Operation::App, self.timeouts.call, read).await
    }

    /// Whether a project is active, which needs `project.read`.
    pub async fn project(
        &self,
        organization: Option<&OrganizationId>,
        id: &ProjectId,
    ) -> Result<ProjectState, ZitadelError> {
        let call = self.backend().project(organization, id);
        let request = || call.read(&self.transport);
        let read = self.read(Operation::Project, SMALL_BODY, request, |answer| {
            self.backend().read_project(id, &answer.body)
        });
        self.call(Operation::Project, self.timeouts.call, read)
            .await
    }

    /// All applications of a project.
    pub async fn apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<Vec<Application>, ZitadelError> {
        let all = self.all_apps(organization, project);
        self.call(Operation::Apps, self.timeouts.list, all).await
    }

    /// Creates an API application that authenticates by client secret, and returns its id; the first client secret is dropped. Where the
    /// project has an application of that name, it is an error ([`ErrorClass::AlreadyExists`]). Only over v1.
    pub async fn create_app(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
        name: &str,
    ) -> Result<AppId, ZitadelError> {
        self.only_v1(Operation::CreateApp)?;
        let call = v1::create_app(organization, project, name);
        // NB: where it is sent twice, the second one is refused for its name.
        let request = || call.read(&self.transport);
        let read = self.read(Operation::CreateApp, SMALL_BODY, request, |answer| {
            application::parse_created(&answer.body)
        });
        self.call(Operation::CreateApp, self.timeouts.call, read)
            .await
    }

    /// The id of the application with that name, in whatever case: a project has one at most. Only over v1.
    pub async fn app_named(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
        name: &str,
    ) -> Result<Option<AppId>, ZitadelError> {
        self.only_v1(Operation::Apps)?;
        let call = v1::app_named(organization, project, name);
        let request = || call.read(&self.transport);
        let read = self.read(Operation::Apps, LIST_BODY, request, |answer| {
            application::parse_page(&answer.body)
        });
        let page = self.call(Operation::Apps, self.timeouts.call, read).await?;
        Ok(page.apps.into_iter().next().map(|app| app.id))
    }

    /// The application's journal as far back as requested, possibly further; ascending, each sequence once. It is complete that far, or an
    /// error is returned: a gap could hide a rotation. Only where there are tens of thousands of entries the oldest of them are left out;
    /// without a new secret among the newest ones it is an error ([`ErrorClass::TooLarge`]). Only over v1.
    pub async fn changes(
        &self,
        app: &AppRef,
        depth: JournalDepth,
    ) -> Result<Vec<Change>, ZitadelError> {
        self.only_v1(Operation::Changes)?;
        let all = self.all_changes(app, depth);
        self.call(Operation::Changes, self.timeouts.list, all).await
    }

    /// ZITADEL's verdict on a client id and secret.
    pub async fn introspect(
        &self,
        client_id: &str,
        secret: &ClientSecret,
        token: ProbeToken,
    ) -> Result<Introspection, ZitadelError> {
        let probe = self.probe(client_id, secret, token);
        self.call(Operation::Introspect, self.timeouts.call, probe)
            .await
    }

    /// ZITADEL's OIDC configuration; an error unless its issuer is the configured URL.
    pub async fn discovery(&self) -> Result<Discovery, ZitadelError> {
        let started = Instant::now();
        let result = self.read_discovery().await;
        self.report(Operation::Discovery, result.as_ref().err(), started);
        result
    }

    async fn read_discovery(&self) -> Result<Discovery, ZitadelError> {
        let request = self
            .transport
            .read(Method::GET, "/.well-known/openid-configuration");
        let answer = self
            .transport
            .send(request, SMALL_BODY, self.timeouts.call)
            .await
            .map_err(|failure| failure.of(Operation::Discovery))?;
        discovery::parse(&answer, &self.issuer)
    }

    /// Nothing is asked of an API that does not have it.
    fn only_v1(&self, operation: Operation) -> Result<(), ZitadelError> {
        match self.api {
            ApiVersion::V1 => Ok(()),
            ApiVersion::V2 => Err(ZitadelError::new(operation, ErrorClass::NotInApi)),
        }
    }

    async fn all_apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<Vec<Application>, ZitadelError> {
        let parse = |answer: &Answer| self.backend().read_apps(&answer.body);
        let mut apps: BTreeMap<AppId, Application> = BTreeMap::new();
        // NB: ZITADEL guarantees no order, so pages may overlap and miss applications.
        for _ in 0..APP_PASSES {
            let (mut seen, mut unreadable) = (0, 0);
            loop {
                let call = self.backend().apps(organization, project, seen, APP_PAGE);
                let request = || call.read(&self.transport);
                let page = self
                    .read(Operation::Apps, LIST_BODY, request, parse)
                    .await?;
                seen += page.len;
                unreadable += page.len - page.apps.len();
                apps.extend(page.apps.into_iter().map(|app| (app.id.clone(), app)));
                if page.len < APP_PAGE {
                    break;
                }
                if seen >= MOST_APPS {
                    return Err(ZitadelError::new(Operation::Apps, ErrorClass::TooLarge));
                }
            }
            if apps.len() + unreadable >= seen {
                break;
            }
        }
        Ok(apps.into_values().collect())
    }

    async fn all_changes(
        &self,
        app: &AppRef,
        depth: JournalDepth,
    ) -> Result<Vec<Change>, ZitadelError> {
        // NB: entries added meanwhile are newer than the first page.
        let parse = |answer: &Answer| journal::parse_page(&answer.body);
        let mut all: Vec<Change> = Vec::new();
        let mut cursor: Option<Sequence> = None;
        for number in 0..MAX_PAGES {
            let limit = if number == 0 { PAGE } else { LATER_PAGE };
            let call = v1::changes(app, limit, cursor);
            let request = || call.read(&self.transport);
            let page = self
                .read(Operation::Changes, LIST_BODY, request, parse)
                .await?;
            // NB: a page of this size was seen to be complete. A larger one may be truncated, so only an empty page is the end.
            let is_last = page.len == 0 || (number == 0 && page.len < PAGE);
            let newest_first = page
                .changes
                .is_sorted_by(|newer, older| newer.sequence >= older.sequence);
            let newest = page.changes.first().map(|change| change.sequence);
            let oldest = page.changes.last().map(|change| change.sequence);
            all.extend(page.changes);
            if is_last {
                return Ok(journal::in_order(all));
            }
            // A page in another order, not older than the one before, or without a readable entry: the rest is unreachable.
            let is_older = cursor.is_none_or(|cursor| newest < Some(cursor));
            if oldest.is_none() || !newest_first || !is_older {
                return Err(ZitadelError::new(Operation::Changes, ErrorClass::Malformed));
            }
            if depth.is_reached_by(&all) {
                return Ok(journal::in_order(all));
            }
            cursor = oldest;
        }
        if JournalDepth::NEWEST.is_reached_by(&all) {
            return Ok(journal::in_order(all));
        }
        Err(ZitadelError::new(Operation::Changes, ErrorClass::TooLarge))
    }

    async fn probe(
        &self,
        client_id: &str,
        secret: &ClientSecret,
        probe: ProbeToken,
    ) -> Result<Introspection, ZitadelError> {
        let own = match probe {
            ProbeToken::Junk => None,
            ProbeToken::Own(project) => {
                let audience = Audience::Project(project);
                Some(self.tokens.token(&audience, &self.transport).await?)
            }
        };
        let token = own.as_ref().map_or(JUNK_TOKEN, Token::expose);
        // NB: ZITADEL unescapes both parts of Basic credentials, so a raw `%` or `+` would become something else.
        let (id, secret) = (form_encoded(client_id), form_encoded(secret.expose()));
        let credentials = sensitive::basic(&id, &secret).ok_or_else(|| {
            ZitadelError::new(Operation::Introspect, ErrorClass::CredentialMalformed)
        })?;
        let request = self
            .transport
            .read(Method::POST, "/oauth/v2/introspect")
            .header(AUTHORIZATION, credentials);
        let request = sensitive::form(request, &[("token", token)]);
        let answer = self
            .transport
            .send(request, SMALL_BODY, self.timeouts.call)
            .await
            .map_err(|failure| failure.of(Operation::Introspect))?;
        let verdict = introspection::judge(&answer)?;
        if let Some(token) = own
            && verdict == Introspection::Inactive
            && token.age(self.transport.clock.boot()) > SUSPECT_AGE
        {
            // It may have been revoked; the next probe gets a new one.
            self.tokens.discard(&token);
        }
        Ok(verdict)
    }
}

fn form_encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
    encoded
}
