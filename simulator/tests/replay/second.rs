//! The second recording: the application service v2, secrets of OIDC applications, keys of applications.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use zitadel_simulator::{AuthMethod, Config, Lag, NewApp, Role, Scope, Simulator};

use super::values::Values;
use super::{Exchange, Replay};

/// Why an exchange is not replayed, if it is not.
pub fn skipped(exchange: &Exchange) -> Option<&'static str> {
    let (name, path) = (exchange.name.as_str(), exchange.path.as_str());
    let of_users = ["/management/v1/users/", "/zitadel.user.v2.UserService/"];
    if of_users.iter().any(|prefix| path.starts_with(prefix))
        || path == "/auth/v1/users/me/changes/_search"
    {
        return Some("secrets, keys, tokens and journals of users");
    }
    if name.starts_with("jwt-bearer, ") || name.starts_with("whoami, ") {
        return Some("needs a key or token of a user that an exchange above made");
    }
    let without_user = [
        "client_credentials, unknown user",
        "client_credentials by an API app",
    ];
    if name.starts_with("client_credentials") && !without_user.contains(&name) {
        return Some("needs a secret of a user that an exchange above made");
    }
    (name == "v2 generate, connect timeout of 1 ms")
        .then_some("the answer depends on what the time-out interrupts")
}

impl Replay {
    /// Organizations, projects, users and API applications, as before the first exchange.
    pub fn second() -> Self {
        let simulator = Simulator::start(Config::default()).unwrap();
        let mut values = Values::default();
        let org = simulator.create_org("golden-060548");
        let org2 = simulator.create_org("golden-060548-2");
        let home = simulator.create_org("home");
        let expiry = Timestamp::from_second(4_070_908_800).unwrap();
        let mut user = |name: &str, org: &str, user_name: &str, pat: &str| {
            let id = simulator.create_named_user(org, user_name, name);
            let token = simulator.create_expiring_pat(&id, expiry).unwrap();
            values.bind(&format!("user.{name}"), &id);
            values.bind(&format!("user.{name}.name"), user_name);
            values.bind(pat, &token);
            id
        };
        let boss = user("boss", &home, "boss", "boss");
        let operator = user("operator", &org, "operator060548", "operator.pat");
        let viewer = user("viewer", &org, "viewer060548", "viewer.pat");
        let ledger_owner = user("ledgerowner", &org, "ledgerowner060548", "ledgerowner.pat");
        user("nobody", &org, "nobody060548", "nobody.pat");
        let org_owner = user("orgowner", &org, "orgowner060548", "orgowner.pat");
        simulator.grant(&boss, Role::IamOwner, Scope::Instance);
        simulator.act_as(&boss);

        let project = simulator.create_project(&org, "payments");
        let project2 = simulator.create_project(&org, "ledger");
        let mut app = |project: &str, name: &str, app_name: &str, method| {
            let new = NewApp {
                name: app_name.to_owned(),
                method,
                ..NewApp::default()
            };
            let app = simulator.create_app(project, &new).unwrap();
            values.bind(name, &app.id);
            values.bind(&format!("{name}.clientId"), &app.client_id);
            if let Some(secret) = &app.secret {
                values.bind(&format!("{name}.secret0"), secret);
            }
            app.id
        };
        app(&project, "appA", "orders", AuthMethod::Basic);
        app(&project, "appB", "orders-standby", AuthMethod::Basic);
        app(&project, "appKey", "jwt", AuthMethod::PrivateKeyJwt);
        let removed = app(&project, "appRemoved", "removed", AuthMethod::Basic);
        let inactive = app(&project, "appInactive", "inactive", AuthMethod::Basic);
        app(&project2, "appLedger", "ledger", AuthMethod::Basic);
        simulator.remove_app(&removed).unwrap();
        simulator.deactivate_app(&inactive).unwrap();
        simulator.grant(
            &operator,
            Role::ProjectOwner,
            Scope::Project(project.clone()),
        );
        simulator.grant(
            &viewer,
            Role::ProjectOwnerViewer,
            Scope::Project(project.clone()),
        );
        simulator.grant(
            &ledger_owner,
            Role::ProjectOwner,
            Scope::Project(project2.clone()),
        );
        simulator.grant(&org_owner, Role::OrgOwner, Scope::Org(org.clone()));

        let key = simulator.create_machine_key(&operator).unwrap();
        let key_file: Value = serde_json::from_str(&key.json).unwrap();
        for (name, value) in [
            ("org", org),
            ("org2", org2),
            ("project", project),
            ("project2", project2),
        ] {
            values.bind(name, &value);
        }
        values.bind("url", &simulator.url());
        values.bind("junk", "no-such-token");
        Self {
            simulator,
            http: reqwest::Client::new(),
            values,
            all_apps: Vec::new(),
            key_pem: key_file["key"].as_str().unwrap().to_owned(),
        }
    }

    /// The steps that were made without a recorded exchange, and the pace of the projection.
    pub async fn steps_before_second(&mut self, exchange: &Exchange) {
        let lag = |lag| {
            self.simulator
                .configure(|settings| settings.projection_lag = lag);
        };
        match exchange.name.as_str() {
            // The next exchange shows the application as it was before.
            "v2 generate" => lag(Lag::Never),
            "v2 generate, own organisation in header" => lag(Lag::None),
            "OIDC generate" => {
                self.add_oidc_app("appOidc", "BASIC", &ALL_GRANTS).await;
                for (name, method) in [
                    ("appOidcPost", "POST"),
                    ("appOidcNone", "NONE"),
                    ("appOidcKey", "PRIVATE_KEY_JWT"),
                ] {
                    self.add_oidc_app(name, method, &ALL_GRANTS[..1]).await;
                }
            }
            "token, bogus code, right secret" => {
                self.bind_secret("appOidc.current secret", "appOidc.secret11");
                self.bind_secret("appOidc.replaced secret", "appOidc.secret10");
                self.bind_secret("appOidcPost.current", "appOidcPost.secret13");
                self.bind_secret("appKey.current secret", "appKey.secret9");
            }
            _ => {}
        }
    }

    async fn add_oidc_app(&mut self, name: &str, method: &str, grants: &[&str]) {
        let body = json!({
            "name": if name == "appOidc" { "web" } else { name },
            "redirectUris": ["https://localhost/cb"],
            "responseTypes": ["OIDC_RESPONSE_TYPE_CODE"],
            "grantTypes": grants,
            "authMethodType": format!("OIDC_AUTH_METHOD_TYPE_{method}"),
        });
        let path = format!("/projects/{}/apps/oidc", self.values.get("project"));
        let made = self.as_owner("POST", &path, &body.to_string()).await;
        let text = |field: &str| made[field].as_str().unwrap();
        self.values.bind(name, text("appId"));
        self.values
            .bind(&format!("{name}.clientId"), text("clientId"));
        let has_secret = ["BASIC", "POST"].contains(&method);
        assert_eq!(made["clientSecret"].is_string(), has_secret, "{name}");
    }

    fn bind_secret(&mut self, words: &str, name: &str) {
        let value = self.values.get(name);
        self.values.bind(words, &value);
    }

    /// The private key for a client assertion: that of the key file with this id, or another one.
    pub fn app_key(&self, exchange: &Exchange, wish: &str) -> String {
        let id = wish
            .split(' ')
            .find_map(|pair| pair.strip_prefix("kid="))
            .unwrap();
        if exchange.name.ends_with("wrong private key") || id == "1" {
            return self.key_pem.clone();
        }
        let files = ["keyId30", "keyId31", "keyId32", "keyIdV2"];
        let file = files
            .into_iter()
            .find(|name| self.values.find(&format!("appKey.{name}")) == Some(id))
            .unwrap();
        let file = self.values.get(&format!("base64(key file appKey.{file})"));
        let file: Value = serde_json::from_slice(&STANDARD.decode(file).unwrap()).unwrap();
        assert_eq!(file["type"], "application");
        assert_eq!(file["keyId"], id);
        assert_eq!(file["appId"], self.values.get("appKey"));
        assert_eq!(file["clientId"], self.values.get("appKey.clientId"));
        assert!(file["expirationDate"].as_str().unwrap().ends_with('Z'));
        file["key"].as_str().unwrap().to_owned()
    }
}

const ALL_GRANTS: [&str; 4] = [
    "OIDC_GRANT_TYPE_AUTHORIZATION_CODE",
    "OIDC_GRANT_TYPE_REFRESH_TOKEN",
    "OIDC_GRANT_TYPE_DEVICE_CODE",
    "OIDC_GRANT_TYPE_TOKEN_EXCHANGE",
];
