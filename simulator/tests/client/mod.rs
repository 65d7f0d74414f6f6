//! A plain client of the simulator for tests.

#![allow(dead_code)]

use std::collections::HashMap;
use std::time::Duration;

use serde_json::Value;
use zitadel_simulator::{ATTEMPT_HEADER, AppHandle, Config, Simulator, StandardWorld};

/// Acts as the standard world's operator.
pub struct Client {
    pub http: reqwest::Client,
    pub url: String,
    pat: String,
    org: String,
}

/// An answer, read to its end.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HashMap<String, String>,
    pub bytes: Vec<u8>,
    /// Null if the body is no JSON.
    pub json: Value,
}

/// A simulator with the standard world, and a client that acts as its operator.
pub fn start() -> (Simulator, StandardWorld, Client) {
    let simulator = Simulator::start(Config::default()).unwrap();
    let world = simulator.standard_world();
    let client = Client::new(&simulator, &world);
    (simulator, world, client)
}

impl Client {
    pub fn new(simulator: &Simulator, world: &StandardWorld) -> Self {
        Self::with_timeout(simulator, world, Duration::from_secs(10))
    }

    pub fn with_timeout(simulator: &Simulator, world: &StandardWorld, timeout: Duration) -> Self {
        let mut http = reqwest::Client::builder()
            .timeout(timeout)
            // A pool would keep connections that have been cut.
            .pool_max_idle_per_host(0)
            .redirect(reqwest::redirect::Policy::none())
            .retry(reqwest::retry::never());
        if let Some(ca) = simulator.ca_pem() {
            http = http.tls_certs_only([reqwest::Certificate::from_pem(ca.as_bytes()).unwrap()]);
        }
        Self {
            http: http.build().unwrap(),
            url: simulator.url(),
            pat: world.operator.pat.clone(),
            org: world.org.clone(),
        }
    }

    pub async fn generate(&self, app: &AppHandle) -> Result<Answer, reqwest::Error> {
        self.generate_as(app, "").await
    }

    pub async fn generate_as(
        &self,
        app: &AppHandle,
        attempt: &str,
    ) -> Result<Answer, reqwest::Error> {
        let path = format!("{}/api_config/_generate_client_secret", app_path(app));
        let request = self
            .http
            .post(format!("{}{path}", self.url))
            .header(ATTEMPT_HEADER, attempt)
            .body("{}");
        self.send(request).await
    }

    pub async fn get_app(&self, app: &AppHandle) -> Answer {
        self.send(self.http.get(format!("{}{}", self.url, app_path(app))))
            .await
            .unwrap()
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.send(self.http.get(format!("{}{path}", self.url)))
            .await
            .unwrap()
    }

    /// A call over Connect: service and method, and the message.
    pub async fn v2(&self, path: &str, message: Value) -> Answer {
        let url = format!("{}/{path}", self.url);
        self.send(self.http.post(url).json(&message)).await.unwrap()
    }

    pub async fn create_app(&self, project: &str, name: &str) -> Answer {
        let url = format!("{}/management/v1/projects/{project}/apps/api", self.url);
        let body = serde_json::json!({"name": name});
        self.send(self.http.post(url).body(body.to_string()))
            .await
            .unwrap()
    }

    pub async fn rename(&self, app: &AppHandle, name: &str) -> Answer {
        let url = format!("{}{}", self.url, app_path(app));
        let body = serde_json::json!({"name": name});
        self.send(self.http.put(url).body(body.to_string()))
            .await
            .unwrap()
    }

    pub async fn journal(&self, app: &AppHandle, query: &str) -> Answer {
        let url = format!("{}{}/changes/_search{query}", self.url, app_path(app));
        self.send(self.http.post(url)).await.unwrap()
    }

    /// Whether introspection of the operator's own PAT with this secret is positive.
    pub async fn introspects(&self, app: &AppHandle, secret: &str) -> bool {
        let answer = self.introspect(app, secret).await;
        answer.json["active"] == true
    }

    pub async fn introspect(&self, app: &AppHandle, secret: &str) -> Answer {
        let url = format!("{}/oauth/v2/introspect", self.url);
        let request = self
            .http
            .post(url)
            .basic_auth(&app.client_id, Some(secret))
            .form(&[("token", &self.pat)]);
        read(request.send().await.unwrap()).await.unwrap()
    }

    async fn send(&self, request: reqwest::RequestBuilder) -> Result<Answer, reqwest::Error> {
        let request = request
            .bearer_auth(&self.pat)
            .header("x-zitadel-orgid", &self.org);
        read(request.send().await?).await
    }
}

fn app_path(app: &AppHandle) -> String {
    format!("/management/v1/projects/{}/apps/{}", app.project, app.id)
}

pub async fn read(response: reqwest::Response) -> Result<Answer, reqwest::Error> {
    let status = response.status().as_u16();
    let headers = response.headers().iter();
    let headers = headers
        .map(|(name, value)| (name.to_string(), value.to_str().unwrap().to_owned()))
        .collect();
    let bytes = response.bytes().await?.to_vec();
    let json = serde_json::from_slice(&bytes).unwrap_or_default();
    Ok(Answer {
        status,
        headers,
        bytes,
        json,
    })
}

/// Waits for a condition that another thread brings about.
pub async fn until(condition: impl Fn() -> bool) {
    tokio::time::timeout(Duration::from_secs(10), async {
        while !condition() {
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    })
    .await
    .expect("the condition came true");
}
