//! The first recording: secrets of API applications over management v1.

use serde_json::Value;
use zitadel_simulator::NewApp;

use super::{Exchange, Replay};

impl Replay {
    /// As before the first exchange.
    pub fn first() -> Self {
        let users = ["operator", "viewer", "ledgerowner", "nobody"];
        let mut replay = Self::set_up("130825", &users);
        let operator = replay.values.get("user.operator");
        let key = replay.simulator.create_machine_key(&operator).unwrap();
        let key_file: Value = serde_json::from_str(&key.json).unwrap();
        replay.values.bind("operator.keyId", &key.key_id);
        key_file["key"]
            .as_str()
            .unwrap()
            .clone_into(&mut replay.key_pem);
        replay
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
                self.grant_projects();
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
