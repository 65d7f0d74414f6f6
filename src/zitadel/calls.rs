//! The calls: path, parameters and judgement of each.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use http::header::{AUTHORIZATION, CONTENT_TYPE};
use reqwest::{Method, RequestBuilder};
use serde_json::{Value, json};
use zeroize::Zeroizing;

use super::answer::{Answer, Failure};
use super::application::{self, AppRef, Application};
use super::client::{Client, authorized, within};
use super::discovery::{self, Discovery};
use super::error::{ErrorClass, Operation, ZitadelError};
use super::introspection::{self, Introspection, ProbeToken};
use super::journal::{self, Change};
use super::last_look;
use super::outcome::{self, Outcome};
use super::project::{self, ProjectState};
use super::secret::ClientSecret;
use super::sensitive;
use super::since::Since;
use super::token::{Audience, Token};
use super::transport::{LIST_BODY, SMALL_BODY};
use crate::ids::{AppId, AttemptId, OrganizationId, ProjectId, Sequence, UserId};

/// Applications asked for at once, under ZITADEL's own limit of 1,000.
const APP_PAGE: usize = 500;
/// How often the pages are read while some of them seem to be missing.
const APP_PASSES: usize = 4;
/// Applications of a project beyond which it is called too large.
const MOST_APPS: usize = 20 * APP_PAGE;
/// Entries of a journal asked for first.
const PAGE: usize = 100;
/// Entries of a journal asked for at once after the first page: nearly every answer is in that one.
const LATER_PAGE: usize = 500;
/// Pages of a journal read before it is called too large.
const MAX_PAGES: usize = 100;
/// Something in the form of a token that is none.
const JUNK_TOKEN: &str = "zitadel-secret-operator-probe";
/// A probe token that is younger than this is not suspected when a probe says `Inactive`.
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

    /// Fetches the access tokens, so that generate does not have to ask for one first.
    pub async fn prepare(&self, project: &ProjectId) -> Result<(), ZitadelError> {
        let project = Audience::Project(project.clone());
        let both = async {
            let api = self.tokens.token(&Audience::Api, &self.transport);
            // NB: without the token of the proof a rotation is only not proven in that way.
            let proof = self.tokens.token(&project, &self.transport);
            futures::join!(api, proof).0
        };
        within(Operation::Token, self.timeouts.call, both)
            .await
            .map(drop)
    }

    /// Generates a new secret, which invalidates the current one. At most one request is ever sent: no retry, no redirect.
    pub async fn generate(&self, app: &AppRef, attempt: AttemptId) -> Outcome {
        let started = Instant::now();
        let outcome = self.generate_once(app, attempt).await;
        let error = match &outcome {
            Outcome::NotExecuted(error) | Outcome::Unknown(error) => Some(error),
            Outcome::Success { .. } | Outcome::SuccessWithoutSequence { .. } => None,
        };
        self.report(Operation::Generate, error, started);
        outcome
    }

    async fn generate_once(&self, app: &AppRef, attempt: AttemptId) -> Outcome {
        let operation = Operation::Generate;
        let started = self.transport.clock.boot();
        let token = self.tokens.token(&Audience::Api, &self.transport);
        let deadline = self.timeouts.call.min(self.timeouts.generate);
        let token = match within(Operation::Token, deadline, token).await {
            Ok(token) => token,
            Err(error) => return Outcome::NotExecuted(error),
        };
        // NB: one deadline over token and request, on a clock that goes on while the host is suspended: after it nothing may
        // leave, because others rely on the journal being final soon after. It is looked at once more when there is a connection.
        let deadline = started.saturating_add(self.timeouts.generate);
        let left = deadline.saturating_sub(self.transport.clock.boot());
        if left.is_zero() {
            return Outcome::NotExecuted(ZitadelError::new(operation, ErrorClass::Timeout));
        }
        let path = format!("{}/api_config/_generate_client_secret", app_path(app));
        let request = in_organization(
            self.transport.once(Method::POST, &path),
            app.organization.as_ref(),
        );
        let request = request
            .header("x-zitadel-secret-operator-attempt", attempt.to_string())
            .header(CONTENT_TYPE, "application/json")
            .body("{}");
        let request = match authorized(request, &token, operation) {
            Ok(request) => request,
            Err(error) => return Outcome::NotExecuted(error),
        };
        let sending = self.transport.send(request, SMALL_BODY, left);
        let result = last_look::until(deadline, sending).await;
        if matches!(&result, Ok(answer) if answer.status == 401) {
            self.tokens.forget(&token);
        }
        outcome::classify(result.as_ref().map_err(Failure::clone))
    }

    /// Reads one application. As a side effect ZITADEL's projection catches up, so that a new secret is known afterwards.
    pub async fn app(&self, app: &AppRef) -> Result<Application, ZitadelError> {
        let path = app_path(app);
        let request = || {
            let request = self.transport.read(Method::GET, &path);
            in_organization(request, app.organization.as_ref())
        };
        let read = self.read(Operation::App, SMALL_BODY, request, |answer| {
            application::parse(&answer.body).filter(|read| read.id == app.app)
        });
        self.call(Operation::App, self.timeouts.call, read).await
    }

    /// Whether a project is active (`GET /management/v1/projects/{id}`, which needs `project.read`).
    pub async fn project(
        &self,
        organization: Option<&OrganizationId>,
        id: &ProjectId,
    ) -> Result<ProjectState, ZitadelError> {
        let path = format!("/management/v1/projects/{id}");
        let request = || in_organization(self.transport.read(Method::GET, &path), organization);
        let read = self.read(Operation::Project, SMALL_BODY, request, |answer| {
            project::parse(&answer.body, id)
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

    /// The application's journal as far back as requested, possibly further; ascending, each sequence once. It is complete that far, or an
    /// error is returned: a gap could hide a rotation. Only where there are tens of thousands of entries the oldest of them are left out;
    /// without a new secret among the newest ones it is an error ([`ErrorClass::TooLarge`]).
    pub async fn changes(&self, app: &AppRef, since: Since) -> Result<Vec<Change>, ZitadelError> {
        let all = self.all_changes(app, since);
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

    async fn all_apps(
        &self,
        organization: Option<&OrganizationId>,
        project: &ProjectId,
    ) -> Result<Vec<Application>, ZitadelError> {
        let path = format!("/management/v1/projects/{project}/apps/_search");
        let parse = |answer: &Answer| application::parse_page(&answer.body);
        let mut apps: BTreeMap<AppId, Application> = BTreeMap::new();
        // NB: ZITADEL gives no order, so of several pages each may show what another one showed, and none what it should have.
        for _ in 0..APP_PASSES {
            let (mut seen, mut unreadable) = (0, 0);
            loop {
                let query =
                    json!({"query": {"offset": seen.to_string(), "limit": APP_PAGE, "asc": true}});
                let request = || {
                    let request = self.transport.read(Method::POST, &path).json(&query);
                    in_organization(request, organization)
                };
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

    async fn all_changes(&self, app: &AppRef, since: Since) -> Result<Vec<Change>, ZitadelError> {
        // NB: the parameters go in the query string, a body is ignored; newest first, `query.sequence` means "less than". What is
        // added meanwhile is newer than the first page.
        let path = format!("{}/changes/_search", app_path(app));
        let parse = |answer: &Answer| journal::parse_page(&answer.body);
        let mut all: Vec<Change> = Vec::new();
        let mut cursor: Option<Sequence> = None;
        for number in 0..MAX_PAGES {
            let limit = if number == 0 { PAGE } else { LATER_PAGE };
            let mut query = vec![("query.limit", limit.to_string())];
            query.extend(cursor.map(|cursor| ("query.sequence", cursor.to_string())));
            let request = || {
                let request = self.transport.read(Method::POST, &path).query(&query);
                in_organization(request, app.organization.as_ref())
            };
            let page = self
                .read(Operation::Changes, LIST_BODY, request, parse)
                .await?;
            // NB: that a page of this size is given whole was seen; a larger one may be cut, and then only an empty one is the end.
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
            // A page that is in another order, not older than the one before, or not readable at all: the rest cannot be seen.
            let is_older = cursor.is_none_or(|cursor| newest < Some(cursor));
            if oldest.is_none() || !newest_first || !is_older {
                return Err(ZitadelError::new(Operation::Changes, ErrorClass::Malformed));
            }
            if since.is_reached_by(&all) {
                return Ok(journal::in_order(all));
            }
            cursor = oldest;
        }
        if Since::NEWEST.is_reached_by(&all) {
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
            // Perhaps revoked meanwhile; the next probe gets another one.
            self.tokens.forget(&token);
        }
        Ok(verdict)
    }
}

fn app_path(app: &AppRef) -> String {
    format!("/management/v1/projects/{}/apps/{}", app.project, app.app)
}

fn in_organization(
    request: RequestBuilder,
    organization: Option<&OrganizationId>,
) -> RequestBuilder {
    match organization {
        Some(organization) => request.header("x-zitadel-orgid", organization.as_str()),
        None => request,
    }
}

fn form_encoded(text: &str) -> Zeroizing<String> {
    let mut encoded = Zeroizing::new(String::with_capacity(3 * text.len()));
    encoded.extend(form_urlencoded::byte_serialize(text.as_bytes()));
    encoded
}
