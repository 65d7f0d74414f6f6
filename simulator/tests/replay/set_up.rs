//! What both recordings begin with: organizations, projects, users with their tokens, and later their memberships.

use jiff::Timestamp;
use zitadel_simulator::{Config, Role, Scope, Simulator};

use super::Replay;
use super::values::Values;

impl Replay {
    /// `run` is the number in the recorded names.
    pub(super) fn set_up(run: &str, users: &[&str]) -> Self {
        let simulator = Simulator::start(Config::default()).unwrap();
        let mut values = Values::default();
        let org = simulator.create_org(&format!("golden-{run}"));
        let org2 = simulator.create_org(&format!("golden-{run}-2"));
        let home = simulator.create_org("home");
        values.bind("org", &org);
        values.bind("org2", &org2);
        values.bind("url", &simulator.url());
        values.bind("junk", "no-such-token");
        let mut replay = Self {
            simulator,
            http: reqwest::Client::new(),
            values,
            all_apps: Vec::new(),
            key_pem: String::new(),
        };
        let boss = replay.add_user(&home, "boss", "boss", "boss");
        replay
            .simulator
            .grant(&boss, Role::IamOwner, Scope::Instance);
        replay.simulator.act_as(&boss);
        for (placeholder, name) in [("project", "payments"), ("project2", "ledger")] {
            let project = replay.simulator.create_project(&org, name);
            replay.values.bind(placeholder, &project);
        }
        for name in users {
            replay.add_user(&org, name, &format!("{name}{run}"), &format!("{name}.pat"));
        }
        replay
    }

    /// A user with a token.
    fn add_user(&mut self, org: &str, name: &str, user_name: &str, pat: &str) -> String {
        let expiry = Timestamp::from_second(4_070_908_800).unwrap();
        let id = self.simulator.create_named_user(org, user_name, name);
        let token = self.simulator.create_expiring_pat(&id, expiry).unwrap();
        self.values.bind(&format!("user.{name}"), &id);
        self.values.bind(&format!("user.{name}.name"), user_name);
        self.values.bind(pat, &token);
        id
    }

    /// The memberships on the two projects.
    pub(super) fn grant_projects(&self) {
        for (user, role, project) in [
            ("operator", Role::ProjectOwner, "project"),
            ("viewer", Role::ProjectOwnerViewer, "project"),
            ("ledgerowner", Role::ProjectOwner, "project2"),
        ] {
            let user = self.values.get(&format!("user.{user}"));
            let scope = Scope::Project(self.values.get(project));
            self.simulator.grant(&user, role, scope);
        }
    }
}
