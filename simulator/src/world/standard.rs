//! The world that most tests use.

use std::collections::BTreeMap;

use crate::Simulator;
use crate::world::build::AppHandle;
use crate::world::file::{UserHandle, WorldFile};

/// The world that most tests use.
#[derive(Clone, Debug)]
pub struct StandardWorld {
    /// Organization with everything in it.
    pub org: String,
    /// An empty organization.
    pub other_org: String,
    /// Project `payments`.
    pub payments: String,
    /// Project `ledgers`.
    pub ledgers: String,
    /// API app with BASIC, in `payments`.
    pub orders: AppHandle,
    /// Its standby.
    pub standby: AppHandle,
    /// `private_key_jwt` app.
    pub jwt: AppHandle,
    /// Deactivated app.
    pub inactive: AppHandle,
    /// Removed app.
    pub removed: AppHandle,
    /// OIDC app.
    pub web: AppHandle,
    /// API app in `ledgers`.
    pub ledger: AppHandle,
    /// `PROJECT_OWNER` of `payments`.
    pub operator: UserHandle,
    /// `PROJECT_OWNER_VIEWER` of `payments`.
    pub viewer: UserHandle,
    /// `PROJECT_OWNER` of `ledgers`.
    pub ledger_owner: UserHandle,
    /// No membership.
    pub nobody: UserHandle,
    /// `IAM_OWNER`, at home in the other organization.
    pub boss: UserHandle,
}

const STANDARD: &str = r#"{
  "organizations": [
    {"name": "acme", "projects": [
      {"name": "payments", "apps": [
        {"name": "orders"},
        {"name": "orders-standby"},
        {"name": "jwt", "method": "PRIVATE_KEY_JWT"},
        {"name": "inactive", "state": "INACTIVE"},
        {"name": "removed", "state": "REMOVED"},
        {"name": "web", "oidcRedirectUri": "https://localhost/cb"}
      ]},
      {"name": "ledgers", "apps": [{"name": "ledger"}]}
    ]},
    {"name": "other"}
  ],
  "users": [
    {"userName": "operator", "organization": "acme", "roles": [{"role": "PROJECT_OWNER", "project": "payments"}]},
    {"userName": "viewer", "organization": "acme", "roles": [{"role": "PROJECT_OWNER_VIEWER", "project": "payments"}]},
    {"userName": "ledger-owner", "organization": "acme", "roles": [{"role": "PROJECT_OWNER", "project": "ledgers"}]},
    {"userName": "nobody", "organization": "acme"},
    {"userName": "boss", "organization": "other", "roles": [{"role": "IAM_OWNER"}]}
  ]
}"#;

impl WorldFile {
    /// The standard world; see [`StandardWorld`].
    pub fn standard() -> Self {
        // A test reads it, so the default is never taken.
        serde_json::from_str(STANDARD).unwrap_or_default()
    }

    /// The same, where every user has a key file besides the PAT.
    pub fn standard_with_keys() -> Self {
        let mut file = Self::standard();
        file.users
            .iter_mut()
            .for_each(|user| user.machine_key = true);
        file
    }
}

impl Simulator {
    /// Builds the standard world. Its operator has a PAT; a key comes from [`Simulator::create_machine_key`].
    pub fn standard_world(&self) -> StandardWorld {
        let summary = self.load_world(&WorldFile::standard()).unwrap_or_default();
        let id =
            |map: &BTreeMap<String, String>, name: &str| map.get(name).cloned().unwrap_or_default();
        let app = |name: &str| {
            let none = AppHandle {
                id: String::new(),
                project: String::new(),
                client_id: String::new(),
                secret: None,
            };
            summary.apps.get(name).cloned().unwrap_or(none)
        };
        let user = |name: &str| summary.users.get(name).cloned().unwrap_or_default();
        StandardWorld {
            org: id(&summary.organizations, "acme"),
            other_org: id(&summary.organizations, "other"),
            payments: id(&summary.projects, "payments"),
            ledgers: id(&summary.projects, "ledgers"),
            orders: app("orders"),
            standby: app("orders-standby"),
            jwt: app("jwt"),
            inactive: app("inactive"),
            removed: app("removed"),
            web: app("web"),
            ledger: app("ledger"),
            operator: user("operator"),
            viewer: user("viewer"),
            ledger_owner: user("ledger-owner"),
            nobody: user("nobody"),
            boss: user("boss"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Config;

    #[test]
    fn the_standard_world_has_everything_it_promises() {
        let simulator = Simulator::start(Config::default()).unwrap();
        let world = simulator.standard_world();
        assert!(simulator.accepts(&world.orders.id, world.orders.secret.as_deref().unwrap()));
        assert!(!simulator.accepts(
            &world.inactive.id,
            world.inactive.secret.as_deref().unwrap()
        ));
        assert_eq!(world.jwt.secret, None);
        assert_eq!(world.boss.pat.len(), 277);
        assert_eq!(simulator.project_sequence(&world.payments), Some(17));
    }
}
