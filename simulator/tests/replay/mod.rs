//! The recorded world on a simulator, and requests with their placeholders filled in.

pub mod compare;
pub mod values;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Deserialize;
use serde_json::{Value, json};
use values::Values;
use zitadel_simulator::{Config, NewApp, Role, Scope, Simulator};

use compare::Observed;

/// One recorded exchange.
#[derive(Debug, Deserialize)]
pub struct Exchange {
    pub name: String,
    pub method: String,
    pub path: String,
    pub headers: BTreeMap<String, String>,
    #[serde(default)]
    pub body: Option<Value>,
    pub status: u16,
    pub response_headers: BTreeMap<String, String>,
    pub response: Value,
}

/// A simulator with the recorded world, and what its placeholders stand for.
pub struct Replay {
    simulator: Simulator,
    http: reqwest::Client,
    pub values: Values,
    /// Answer of the unlimited app search.
    pub all_apps: Vec<Value>,
    key_pem: String,
}

impl Replay {
    /// Organizations, projects and users, as before the first exchange.
    pub fn start() -> Self {
        let simulator = Simulator::start(Config::default()).unwrap();
        let mut values = Values::default();
        let org = simulator.create_org("golden-130825");
        let org2 = simulator.create_org("golden-130825-2");
        let home = simulator.create_org("home");
        let project = simulator.create_project(&org, "payments");
        let project2 = simulator.create_project(&org, "ledger");
        let users = [
            ("operator", &org, "operator130825"),
            ("viewer", &org, "viewer130825"),
            ("ledgerowner", &org, "ledgerowner130825"),
            ("nobody", &org, "nobody130825"),
            ("boss", &home, "boss"),
        ];
        let expiry = Timestamp::from_second(4_070_908_800).unwrap();
        for (name, org, user_name) in users {
            let id = simulator.create_named_user(org, user_name, name);
            let pat = simulator.create_expiring_pat(&id, expiry).unwrap();
            values.bind(&format!("user.{name}"), &id);
            values.bind(
                &if name == "boss" {
                    "boss".to_owned()
                } else {
                    format!("{name}.pat")
                },
                &pat,
            );
        }
        simulator.grant(&values.get("user.boss"), Role::IamOwner, Scope::Instance);
        let key = simulator
            .create_machine_key(&values.get("user.operator"))
            .unwrap();
        let key_file: Value = serde_json::from_str(&key.json).unwrap();
        for (name, value) in [
            ("org", org),
            ("org2", org2),
            ("project", project),
            ("project2", project2),
        ] {
            values.bind(name, &value);
        }
        values.bind("operator.keyId", &key.key_id);
        values.bind("url", &simulator.url());
        values.bind("junk", "no-such-token");
        let key_pem = key_file["key"].as_str().unwrap().to_owned();
        let http = reqwest::Client::builder().build().unwrap();
        Self {
            simulator,
            http,
            values,
            all_apps: Vec::new(),
            key_pem,
        }
    }

    /// The steps that were made without a recorded exchange.
    pub async fn steps_before(&mut self, exchange: &Exchange) {
        let project = self.values.get("project");
        let app = |name: &str, step: &str| {
            format!("/projects/{project}/apps/{}{step}", self.values.get(name))
        };
        match exchange.name.as_str() {
            "generate" => {
                let web = NewApp {
                    name: "web".to_owned(),
                    oidc_redirect_uri: Some("https://localhost/cb".to_owned()),
                    ..NewApp::default()
                };
                let web = self.simulator.create_app(&project, &web).unwrap();
                let user = |name: &str| self.values.get(&format!("user.{name}"));
                self.simulator.grant(
                    &user("operator"),
                    Role::ProjectOwner,
                    Scope::Project(project.clone()),
                );
                self.simulator.grant(
                    &user("viewer"),
                    Role::ProjectOwnerViewer,
                    Scope::Project(project.clone()),
                );
                let ledger = Scope::Project(self.values.get("project2"));
                self.simulator
                    .grant(&user("ledgerowner"), Role::ProjectOwner, ledger);
                self.as_owner("POST", &app("appInactive", "/_deactivate"), "")
                    .await;
                self.as_owner("DELETE", &app("appRemoved", ""), "").await;
                self.values.bind("appOidc", &web.id);
                self.values.bind("appOidc.clientId", &web.client_id);
            }
            "(barrier)" => {
                let operator = self.values.get("user.operator");
                let made = self
                    .simulator
                    .rotate_elsewhere(&self.values.get("appA"), Some(&operator))
                    .unwrap();
                self.values.bind("appA.current", made.secret.expose());
            }
            "(barrier) app deactivated" => {
                self.as_owner("POST", &app("appA", "/_deactivate"), "")
                    .await;
            }
            "(barrier) app reactivated" => {
                self.as_owner("POST", &app("appA", "/_reactivate"), "")
                    .await;
            }
            "(barrier) project deactivated" => {
                self.as_owner("POST", &format!("/projects/{project}/_deactivate"), "")
                    .await;
            }
            "app after rename" => {
                self.as_owner("POST", &format!("/projects/{project}/_reactivate"), "")
                    .await;
                self.as_owner("PUT", &app("appA", ""), r#"{"name": "orders-renamed"}"#)
                    .await;
            }
            _ => {}
        }
    }

    /// A call of the instance owner, which must succeed.
    async fn as_owner(&self, method: &str, path: &str, body: &'static str) {
        let url = format!("{}/management/v1{path}", self.simulator.url());
        let request = self.http.request(method.parse().unwrap(), url).body(body);
        let request = request
            .bearer_auth(self.values.get("boss"))
            .header("x-zitadel-orgid", self.values.get("org"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
    }

    pub async fn send(&mut self, exchange: &Exchange) -> Observed {
        let url = format!(
            "{}{}",
            self.simulator.url(),
            self.values.fill(&exchange.path)
        );
        let mut request = self.http.request(exchange.method.parse().unwrap(), url);
        let form = exchange
            .headers
            .values()
            .any(|value| value == "application/x-www-form-urlencoded");
        for (name, value) in &exchange.headers {
            request = request.header(name, self.values.header(&exchange.name, value));
        }
        match &exchange.body {
            Some(Value::String(body)) if form => {
                let pairs: Vec<(String, String)> = body
                    .split('&')
                    .map(|pair| pair.split_once('=').unwrap())
                    .map(|(name, value)| (name.to_owned(), self.form_value(exchange, value)))
                    .collect();
                request = request.form(&pairs);
            }
            Some(Value::String(body)) => request = request.body(self.values.fill(body)),
            Some(body) => request = request.body(self.values.fill(&body.to_string())),
            None => {}
        }
        Observed::read(request.send().await.unwrap()).await
    }

    /// A form value; `{assertion …}` becomes a signed JWT with these claims.
    fn form_value(&self, exchange: &Exchange, value: &str) -> String {
        let value = self.values.fill(value);
        let Some(wish) = value
            .strip_prefix("{assertion ")
            .and_then(|wish| wish.strip_suffix('}'))
        else {
            return value;
        };
        let wish: BTreeMap<&str, &str> = wish
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let now = Timestamp::now().as_second();
        let exp: i64 = wish["exp"].strip_prefix("now").unwrap().parse().unwrap();
        let iat = if exchange.name.contains("two hours ago") {
            now - 7200
        } else {
            now
        };
        let user = self.values.get("user.operator");
        let claims =
            json!({"iss": user, "sub": user, "aud": wish["aud"], "iat": iat, "exp": now + exp});
        let mut header = jsonwebtoken::Header::new(jsonwebtoken::Algorithm::RS256);
        header.kid = Some(wish["kid"].to_owned());
        let key = jsonwebtoken::EncodingKey::from_rsa_pem(self.key_pem.as_bytes()).unwrap();
        jsonwebtoken::encode(&header, &claims, &key).unwrap()
    }
}
