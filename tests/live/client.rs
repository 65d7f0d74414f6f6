//! The calls that the suite itself makes of ZITADEL: management v1, which every version since 2.71 serves, and introspection.
//!
//! An error names the call, the status and ZITADEL's error id: no text of the server, no token, no client secret.

use std::time::Duration;

use jiff::Timestamp;
use reqwest::{Method, StatusCode};
use secrecy::{ExposeSecret as _, SecretString};
use serde_json::{Value, json};

/// How long a new organization, project or membership may be unknown to ZITADEL's projections.
const SETTLES: Duration = Duration::from_secs(20);
const PAGE: usize = 500;

/// Why a call had no use.
#[derive(Debug, thiserror::Error)]
pub enum CallError {
    /// No answer: the call may have been carried out.
    #[error("{call}: no answer from {url}")]
    NoAnswer {
        /// What was asked.
        call: &'static str,
        /// ZITADEL's URL.
        url: String,
    },
    /// An answer other than 2xx.
    #[error("{call}: ZITADEL answers {status} {id}")]
    Refused {
        /// What was asked.
        call: &'static str,
        /// Its status.
        status: StatusCode,
        /// ZITADEL's error id, such as `AUTH-5mWD2`.
        id: String,
    },
    /// An answer without what it is for.
    #[error("{call}: the answer has no {field}")]
    Incomplete {
        /// What was asked.
        call: &'static str,
        /// The field.
        field: &'static str,
    },
}

impl CallError {
    /// What to do about it, where the making of the organization failed.
    pub fn advice(&self) -> String {
        let why = match self {
            Self::Refused { status, .. } if *status == StatusCode::UNAUTHORIZED => {
                "ZITADEL rejects the token in ZITADEL_TOKEN_FILE"
            }
            Self::Refused { status, .. } if *status == StatusCode::FORBIDDEN => {
                "the user of ZITADEL_TOKEN_FILE may not make an organization: it needs IAM_OWNER, or another role with org.create"
            }
            Self::Refused { status, .. } if *status == StatusCode::NOT_FOUND => {
                "the user of ZITADEL_TOKEN_FILE has no membership (it needs IAM_OWNER, or another role with org.create), or ZITADEL_URL is not \
                 the URL of an instance"
            }
            Self::NoAnswer { .. } => {
                "ZITADEL_URL cannot be reached; if it was, an organization of this name may be left"
            }
            _ => "ZITADEL does not do as asked",
        };
        format!("{why} ({self})")
    }

    /// Whether waiting may help: ZITADEL learns of new objects by projections.
    fn may_settle(&self) -> bool {
        let early = [StatusCode::FORBIDDEN, StatusCode::NOT_FOUND];
        matches!(self, Self::Refused { status, .. } if early.contains(status))
    }
}

/// An application.
#[derive(Clone, Debug)]
pub struct App {
    /// Its id.
    pub id: String,
    /// Its client id.
    pub client_id: String,
}

/// A new client secret in an application's journal.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Change {
    /// Of the project.
    pub sequence: u64,
    /// When, to the microsecond.
    pub date: Timestamp,
    /// Id of the user who made it.
    pub editor: String,
}

/// A ZITADEL, as the user of a token.
pub struct Zitadel {
    http: reqwest::Client,
    url: String,
    token: SecretString,
}

impl Zitadel {
    /// The ZITADEL at this URL.
    pub fn new(url: &str, token: SecretString) -> Self {
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30));
        Self {
            http: http.build().unwrap(),
            url: url.trim_end_matches('/').to_owned(),
            token,
        }
    }

    /// Its URL, without a slash at the end.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Makes an organization, and returns its id. It is asked once: a name may be used twice.
    pub async fn make_organization(&self, name: &str) -> Result<String, CallError> {
        let call = "make an organization";
        let request = self.request(Method::POST, "orgs");
        let answer = self.answer(call, request.json(&json!({"name": name})));
        text(call, &answer.await?, "id")
    }

    /// Removes it with everything in it.
    pub async fn remove_organization(&self, id: &str) -> Result<(), CallError> {
        let call = "remove the organization";
        let request = self.request(Method::DELETE, "orgs/me");
        let request = request.header("x-zitadel-orgid", id);
        self.answer(call, request).await.map(drop)
    }

    /// What is in an organization.
    pub fn within<'a>(&'a self, organization: &'a str) -> Organization<'a> {
        Organization {
            zitadel: self,
            id: organization,
        }
    }

    /// Whether introspection by this pair says that the token is active.
    pub async fn accepts(
        &self,
        client_id: &str,
        client_secret: &str,
        token: &SecretString,
    ) -> bool {
        let encoded = |text: &str| form_urlencoded::byte_serialize(text.as_bytes()).collect();
        let (id, secret): (String, String) = (encoded(client_id), encoded(client_secret));
        let request = self.http.post(format!("{}/oauth/v2/introspect", self.url));
        let request = request.basic_auth(id, Some(secret));
        let request = request.form(&[("token", token.expose_secret())]);
        let Ok(answer) = request.send().await else {
            return false;
        };
        let answer: Value = answer.json().await.unwrap_or_default();
        answer["active"] == true
    }

    fn request(&self, method: Method, path: &str) -> reqwest::RequestBuilder {
        let url = format!("{}/management/v1/{path}", self.url);
        let request = self.http.request(method, url);
        request.bearer_auth(self.token.expose_secret())
    }

    async fn answer(
        &self,
        call: &'static str,
        request: reqwest::RequestBuilder,
    ) -> Result<Value, CallError> {
        // NB: the error of reqwest names the URL, which has ids in it, and no header.
        let none = |_| CallError::NoAnswer {
            call,
            url: self.url.clone(),
        };
        let answer = request.send().await.map_err(none)?;
        let status = answer.status();
        let body: Value = answer.json().await.unwrap_or_default();
        if status.is_success() {
            return Ok(body);
        }
        let id = body["details"][0]["id"].as_str().unwrap_or_default();
        let known = |c: char| c.is_ascii_alphanumeric() || c == '-';
        let id = id.chars().filter(|c| known(*c)).take(40).collect();
        Err(CallError::Refused { call, status, id })
    }
}

/// An organization of a ZITADEL.
#[derive(Clone, Copy)]
pub struct Organization<'a> {
    zitadel: &'a Zitadel,
    id: &'a str,
}

impl Organization<'_> {
    /// Makes a project, and returns its id.
    pub async fn make_project(&self, name: &str) -> Result<String, CallError> {
        let call = "make a project";
        let body = json!({"name": name});
        text(call, &self.ask(call, "projects", &body).await?, "id")
    }

    /// Makes an API application that authenticates by client secret. The first secret is dropped.
    pub async fn make_api_app(&self, project: &str, name: &str) -> Result<App, CallError> {
        let body = json!({"name": name, "authMethodType": "API_AUTH_METHOD_TYPE_BASIC"});
        let path = format!("projects/{project}/apps/api");
        self.make_app("make an API application", &path, &body).await
    }

    /// Makes an OIDC application that authenticates by client secret. The first secret is dropped.
    pub async fn make_oidc_app(&self, project: &str, name: &str) -> Result<App, CallError> {
        let body = json!({
            "name": name, "redirectUris": ["https://localhost/callback"], "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
            "grantTypes": ["OIDC_GRANT_TYPE_AUTHORIZATION_CODE"], "appType": "OIDC_APP_TYPE_WEB",
            "authMethodType": "OIDC_AUTH_METHOD_TYPE_BASIC",
        });
        let path = format!("projects/{project}/apps/oidc");
        let call = "make an OIDC application";
        self.make_app(call, &path, &body).await
    }

    async fn make_app(
        &self,
        call: &'static str,
        path: &str,
        body: &Value,
    ) -> Result<App, CallError> {
        let answer = self.ask(call, path, body).await?;
        Ok(App {
            id: text(call, &answer, "appId")?,
            client_id: text(call, &answer, "clientId")?,
        })
    }

    /// Makes a service user, and returns its id.
    pub async fn make_service_user(&self, name: &str) -> Result<String, CallError> {
        let call = "make a service user";
        let body = json!({"userName": name, "name": name});
        let answer = self.ask(call, "users/machine", &body).await?;
        text(call, &answer, "userId")
    }

    /// Makes a personal access token of a service user, which ends with the user.
    pub async fn make_token(&self, user: &str) -> Result<SecretString, CallError> {
        let call = "make a personal access token";
        let answer = self
            .ask(call, &format!("users/{user}/pats"), &json!({}))
            .await?;
        text(call, &answer, "token").map(Into::into)
    }

    /// Makes a user an owner of a project.
    pub async fn make_owner(&self, project: &str, user: &str) -> Result<(), CallError> {
        let body = json!({"userId": user, "roles": ["PROJECT_OWNER"]});
        let path = format!("projects/{project}/members");
        let call = "make the service user PROJECT_OWNER";
        self.ask(call, &path, &body).await.map(drop)
    }

    /// The new client secrets in the journal of an application, oldest first.
    pub async fn secret_changes(&self, project: &str, app: &str) -> Result<Vec<Change>, CallError> {
        let call = "read the journal";
        let (mut found, mut after) = (Vec::new(), 0);
        loop {
            let path = format!(
                "projects/{project}/apps/{app}/changes/_search?query.limit={PAGE}&query.asc=true&query.sequence={after}"
            );
            let answer = self.ask(call, &path, &json!({})).await?;
            let page = answer["result"].as_array().cloned().unwrap_or_default();
            for item in &page {
                let change = change(call, item)?;
                after = after.max(change.sequence);
                let kind = item["eventType"]["key"].as_str().unwrap_or_default();
                if kind.ends_with(".secret.changed") {
                    found.push(change);
                }
            }
            if page.len() < PAGE {
                return Ok(found);
            }
        }
    }

    /// Asks again as long as ZITADEL may not know yet what was just made. NB: no call that is refused like this was carried out.
    async fn ask(&self, call: &'static str, path: &str, body: &Value) -> Result<Value, CallError> {
        let asked = tokio::time::Instant::now();
        loop {
            let request = self.zitadel.request(Method::POST, path).json(body);
            let request = request.header("x-zitadel-orgid", self.id);
            match self.zitadel.answer(call, request).await {
                Err(error) if error.may_settle() && asked.elapsed() < SETTLES => {
                    tokio::time::sleep(Duration::from_millis(200)).await;
                }
                ended => return ended,
            }
        }
    }
}

fn change(call: &'static str, item: &Value) -> Result<Change, CallError> {
    let number = text(call, item, "sequence")?.parse();
    let date = text(call, item, "changeDate")?.parse();
    let invalid = |field| CallError::Incomplete { call, field };
    Ok(Change {
        sequence: number.map_err(|_| invalid("sequence"))?,
        date: date.map_err(|_| invalid("changeDate"))?,
        editor: text(call, item, "editorId")?,
    })
}

fn text(call: &'static str, answer: &Value, field: &'static str) -> Result<String, CallError> {
    let found = answer[field].as_str().map(str::to_owned);
    found.ok_or(CallError::Incomplete { call, field })
}
