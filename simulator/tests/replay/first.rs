//! The first recording: secrets of API applications over management v1.

use jiff::Timestamp;
use serde_json::Value;
use zitadel_simulator::{Config, NewApp, Role, Scope, Simulator};

use super::values::Values;
use super::{Exchange, Replay};

impl Replay {
    /// Organizations, projects and users, as before the first exchange.
    pub fn first() -> Self {
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
    pub async fn steps_before_first(&mut self, exchange: &Exchange) {
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
}
