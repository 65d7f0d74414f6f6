//! The recorded worlds on a simulator, and requests with their placeholders filled in.

pub mod compare;
mod first;
pub mod second;
mod set_up;
pub mod values;

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use jsonwebtoken::{Algorithm, EncodingKey};
use serde::Deserialize;
use serde_json::{Value, json};
use values::Values;
use zitadel_simulator::Simulator;

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
    /// The private key of the client's own pair.
    key_pem: String,
}

impl Replay {
    /// A call of the instance owner, which must succeed.
    async fn as_owner(&self, method: &str, path: &str, body: &str) -> Value {
        let url = format!("{}/management/v1{path}", self.simulator.url());
        let request = self
            .http
            .request(method.parse().unwrap(), url)
            .body(body.to_owned());
        let request = request
            .bearer_auth(self.values.get("boss"))
            .header("x-zitadel-orgid", self.values.get("org"));
        let answer = request.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{path}");
        serde_json::from_str(&answer.text().await.unwrap()).unwrap()
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
        // Connect has no methods without it; the recording lists other types only.
        if exchange.path.starts_with("/zitadel.") && !exchange.headers.contains_key("Content-Type")
        {
            request = request.header("Content-Type", "application/json");
        }
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
            Some(body) => {
                let soon = Timestamp::now() + SignedDuration::from_secs(4);
                let soon = soon.strftime("%Y-%m-%dT%H:%M:%SZ").to_string();
                let body = body.to_string().replace("now+4s", &soon);
                request = request.body(self.values.fill(&body));
            }
            None => {}
        }
        Observed::read(request.send().await.unwrap()).await
    }

    /// A form value; `{assertion …}` and `{client assertion …}` become signed JWTs with these claims.
    fn form_value(&self, exchange: &Exchange, value: &str) -> String {
        // The second recording shows these as they were sent.
        let value = value.replace("%3A", ":").replace("%2F", "/");
        let value = self.values.fill(&value);
        let wish = |kind: &str| value.strip_prefix(kind)?.strip_suffix('}');
        if let Some(wish) = wish("{assertion ") {
            let kid = wish.split(' ').find_map(|pair| pair.strip_prefix("kid="));
            let machine_key = kid.and_then(|kid| self.machine_key(exchange, kid));
            let (user, key) = match &machine_key {
                Some(key) => ("user.svc", key),
                None => ("user.operator", &self.key_pem),
            };
            return self.assertion(exchange, wish, &self.values.get(user), key);
        }
        if let Some(wish) = wish("{client assertion iss=") {
            let (client_id, wish) = wish.split_once(' ').unwrap();
            let key = self.app_key(exchange, wish);
            return self.assertion(exchange, wish, client_id, &key);
        }
        value
    }

    /// A JWT with the claims asked for: `kid=… exp=now+… aud=… alg=…`.
    fn assertion(&self, exchange: &Exchange, wish: &str, issuer: &str, pem: &str) -> String {
        let wish: BTreeMap<&str, &str> = wish
            .split(' ')
            .map(|pair| pair.split_once('=').unwrap())
            .collect();
        let now = Timestamp::now().as_second();
        let exp = wish.get("exp").unwrap_or(&"now+3600");
        let exp: i64 = exp.strip_prefix("now").unwrap().parse().unwrap();
        let iat = if exchange.name.contains("two hours ago") {
            now - 7200
        } else {
            now
        };
        let url = self.values.get("url");
        let aud = wish.get("aud").copied().unwrap_or(&url);
        let claims =
            json!({"iss": issuer, "sub": issuer, "aud": aud, "iat": iat, "exp": now + exp});
        let (algorithm, key) = if wish.get("alg") == Some(&"ES256") {
            (Algorithm::ES256, EncodingKey::from_ec_pem(pem.as_bytes()))
        } else {
            (Algorithm::RS256, EncodingKey::from_rsa_pem(pem.as_bytes()))
        };
        let mut header = jsonwebtoken::Header::new(algorithm);
        header.kid = Some(wish["kid"].to_owned());
        jsonwebtoken::encode(&header, &claims, &key.unwrap()).unwrap()
    }
}
