//! ZITADEL's side: the simulator, asked as its consumers ask ZITADEL.

use std::path::Path;
use std::process::{Command, Stdio};

use anyhow::{Context as _, ensure};
use serde_json::{Value, json};

use super::processes::Program;
use super::screen::ok;

/// An organization with one project and one API application; the operator's user owns the project, `caller` calls the API.
const WORLD: &str = r#"{
  "organizations": [{"name": "acme", "projects": [{"name": "payments", "apps": [{"name": "orders"}]}]}],
  "users": [
    {"userName": "operator", "organization": "acme", "machineKey": true, "roles": [{"role": "PROJECT_OWNER", "project": "payments"}]},
    {"userName": "caller", "organization": "acme"}
  ]
}"#;

/// The simulator and what is in it.
pub struct Zitadel {
    program: Program,
    http: reqwest::Client,
    admin: String,
    /// Its URL, the issuer.
    pub url: String,
    /// The organization.
    pub organization: String,
    /// The project.
    pub project: String,
    /// The application.
    pub app: String,
    /// The application's client id.
    pub client_id: String,
    /// The client secret that was made with the application.
    pub first_secret: String,
    /// The token of a caller of the API, which the application introspects.
    pub token: String,
}

impl Zitadel {
    /// Starts the simulator. The operator's key file is `files/operator.json` in the directory.
    pub fn start(programs: &Path, directory: &Path) -> anyhow::Result<Self> {
        std::fs::write(directory.join("world.json"), WORLD)?;
        let mut command = Command::new(programs.join("zitadel-simulator"));
        command
            .args(["--world", "world.json", "--files", "files"])
            .arg("--exit-with-parent")
            .current_dir(directory)
            .stdin(Stdio::piped());
        let log = directory.join("simulator.log");
        let (program, ready) = Program::announced("the simulator", &mut command, &log)?;
        let text = |path: &str| {
            let found = ready.pointer(path).and_then(Value::as_str);
            found
                .map(ToOwned::to_owned)
                .with_context(|| format!("the simulator does not name {path}"))
        };
        Ok(Self {
            program,
            http: reqwest::Client::new(),
            admin: text("/adminUrl")?,
            url: text("/url")?,
            organization: text("/world/organizations/acme")?,
            project: text("/world/projects/payments")?,
            app: text("/world/apps/orders/id")?,
            client_id: text("/world/apps/orders/clientId")?,
            first_secret: text("/world/apps/orders/secret")?,
            token: text("/world/users/caller/pat")?,
        })
    }

    /// Whether it still runs.
    pub fn check(&mut self) -> anyhow::Result<()> {
        self.program.check()
    }

    /// Introspects the caller's token as the application, and shows it as curl would.
    pub async fn introspect(&self, variable: &str, secret: &str) -> anyhow::Result<(u16, Value)> {
        let answer = self
            .http
            .post(format!("{}/oauth/v2/introspect", self.url))
            .basic_auth(&self.client_id, Some(secret))
            .form(&[("token", &self.token)])
            .send()
            .await?;
        let (status, body) = (answer.status().as_u16(), answer.text().await?);
        println!(
            "$ curl -u \"$CLIENT_ID:${variable}\" -d \"token=$TOKEN\" {}/oauth/v2/introspect",
            self.url
        );
        let shown: String = body.chars().take(56).collect();
        let more = if shown.len() < body.len() { "..." } else { "" };
        println!("HTTP {status} {shown}{more}");
        Ok((status, serde_json::from_str(&body)?))
    }

    /// The new value must be accepted, the old one refused.
    pub async fn prove(&self, new: &str, old: &str) -> anyhow::Result<()> {
        ensure!(new != old, "the client secret is still the old one");
        let (status, body) = self.introspect("NEW", new).await?;
        let active = body.get("active") == Some(&Value::Bool(true));
        ensure!(status == 200 && active, "the new value is not accepted");
        let (status, body) = self.introspect("OLD", old).await?;
        let error = body.get("error").and_then(Value::as_str);
        ensure!(
            status == 400 && error == Some("unauthorized_client"),
            "the old value is not refused"
        );
        ok("the new client secret is accepted, and the old one is rejected");
        Ok(())
    }

    /// How many client secrets were generated for the application, by the simulator's own ledger.
    pub async fn generated(&self) -> anyhow::Result<u64> {
        let answer: Value = self
            .http
            .get(format!("{}/apps/{}", self.admin, self.app))
            .send()
            .await?
            .json()
            .await?;
        answer
            .get("generates")
            .and_then(Value::as_u64)
            .context("no ledger")
    }

    /// The next generate call is carried out, and its answer never arrives.
    pub async fn lose_the_next_answer(&self) -> anyhow::Result<()> {
        let fault = json!({"operation": "generate", "action": {"dropAfter": "close"}});
        let answer = self
            .http
            .post(format!("{}/faults", self.admin))
            .json(&fault)
            .send()
            .await?;
        println!(
            "$ curl -H 'Content-Type: application/json' -d '{fault}' {}/faults",
            self.admin
        );
        println!("{}", answer.error_for_status()?.text().await?);
        Ok(())
    }
}
