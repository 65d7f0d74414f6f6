//! The client against the simulator: real sockets, tokens, TLS and faults.

mod calls;
mod proxy;
mod rotation;

use std::time::Duration;

use zitadel_secret_operator::api::Kind;
use zitadel_secret_operator::ids::{AppId, AttemptId, OrganizationId, ProjectId, Sequence, UserId};
use zitadel_secret_operator::zitadel::{
    AppKind, AppRef, AppState, ChangeKind, Client, ClientConfig, ClientSecret, Credential,
    ErrorClass, GenerateOutcome, Introspection, Issuer, JournalDepth, ProbeToken, Timeouts,
};
use zitadel_simulator::{Config, Simulator, StandardWorld};

struct World {
    simulator: Simulator,
    world: StandardWorld,
}

impl World {
    fn start(config: Config) -> Self {
        let simulator = Simulator::start(config).unwrap();
        let world = simulator.standard_world();
        Self { simulator, world }
    }

    fn plain() -> Self {
        Self::start(Config::default())
    }

    fn config(&self, credential: Credential) -> ClientConfig {
        let url = Issuer::parse(&self.simulator.url(), false).unwrap();
        let timeouts = Timeouts {
            connect: Duration::from_millis(500),
            call: Duration::from_secs(4),
            list: Duration::from_secs(10),
            generate: Duration::from_secs(2),
        };
        ClientConfig {
            ca_pem: self.simulator.ca_pem().map(|pem| pem.as_bytes().to_vec()),
            timeouts,
            ..ClientConfig::new(url, credential)
        }
    }

    fn pat(&self) -> Credential {
        Credential::personal_access_token(self.world.operator.pat.as_bytes()).unwrap()
    }

    fn key(&self) -> Credential {
        let operator = &self.world.operator.id;
        let file = self.simulator.create_machine_key(operator).unwrap();
        Credential::service_account_key(file.json.as_bytes()).unwrap()
    }

    fn client(&self) -> Client {
        Client::new(self.config(self.pat())).unwrap()
    }

    fn app(&self, app: &str) -> AppRef {
        AppRef {
            organization: Some(OrganizationId::try_from(self.world.org.as_str()).unwrap()),
            project: self.project(),
            app: AppId::try_from(app).unwrap(),
        }
    }

    fn orders(&self) -> AppRef {
        self.app(&self.world.orders.id)
    }

    fn project(&self) -> ProjectId {
        ProjectId::try_from(self.world.payments.as_str()).unwrap()
    }
}

fn attempt() -> AttemptId {
    AttemptId(uuid::Uuid::now_v7())
}

fn unknown(outcome: GenerateOutcome) -> ErrorClass {
    match outcome {
        GenerateOutcome::Unknown(error) => error.class(),
        GenerateOutcome::NotExecuted(error) => panic!("not executed: {error}"),
        _ => panic!("success"),
    }
}

fn not_executed(outcome: GenerateOutcome) -> ErrorClass {
    match outcome {
        GenerateOutcome::NotExecuted(error) => error.class(),
        GenerateOutcome::Unknown(error) => panic!("unknown: {error}"),
        _ => panic!("success"),
    }
}

/// A whole rotation: generate, find it in the journal, prove it.
async fn rotates(world: &World, client: &Client) {
    let operator = UserId::try_from(world.world.operator.id.as_str()).unwrap();
    assert_eq!(client.me().await, Ok(operator.clone()));
    let orders = world.orders();
    let before = client.changes(&orders, JournalDepth::FULL).await.unwrap();
    let newest = before.last().map(|change| change.sequence);
    let id = attempt();
    let GenerateOutcome::Success {
        secret,
        sequence,
        change_date,
        ..
    } = client.generate(Kind::ApiApp, &orders, id).await
    else {
        panic!("no success");
    };
    let executions = world.simulator.executions();
    assert_eq!(executions.len(), 1);
    assert_eq!(executions[0].attempt, Some(id.to_string()));
    assert_eq!(Sequence(executions[0].sequence), sequence);
    let since = JournalDepth::to_entry(newest.unwrap());
    let mut after = client.changes(&orders, since).await.unwrap();
    after.retain(|change| Some(change.sequence) > newest);
    assert_eq!(after.len(), 1);
    assert_eq!(
        (after[0].sequence, after[0].change_date),
        (sequence, change_date)
    );
    assert_eq!(after[0].kind, ChangeKind::SecretChanged);
    assert_eq!(after[0].editor, Some(operator));
    let app = client.app(&orders).await.unwrap();
    assert_eq!(
        (app.sequence, app.kind, app.state),
        (sequence, AppKind::ApiBasic, AppState::Active)
    );
    let id = app.client_id.unwrap();
    let own = || ProbeToken::Own(world.project());
    assert_eq!(
        client.introspect(&id, &secret, own()).await,
        Ok(Introspection::Active)
    );
    assert_eq!(
        client.introspect(&id, &secret, ProbeToken::Junk).await,
        Ok(Introspection::Inactive)
    );
    let old = world.world.orders.secret.clone().unwrap();
    let old = ClientSecret::try_from(old.as_str()).unwrap();
    assert_eq!(
        client.introspect(&id, &old, own()).await,
        Ok(Introspection::Refused)
    );
    let apps = client
        .apps(orders.organization.as_ref(), &orders.project)
        .await
        .unwrap();
    assert!(apps.iter().any(|app| app.id == orders.app));
    let discovery = client.discovery().await.unwrap();
    assert_eq!(discovery.issuer.as_str(), world.simulator.url());
}
