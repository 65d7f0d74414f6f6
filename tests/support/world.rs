//! A world for tests: a cluster, a simulator and the operator's real binary, which all tests of one binary share.
//!
//! Each test takes a [`Tenant`]: a namespace, a connection and an organization of its own.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use kube::api::Api;
use serde_json::json;
use tokio::sync::OnceCell;
use zitadel_secret_operator::api::Kind;
use zitadel_simulator::{Config, Role, Scope, Simulator};

use super::controlplane::{ControlPlane, Options};
pub use super::operator::Operator;
pub use super::tenant::Tenant;
use super::tenant::kind_of_tests;
use super::{apply, eventually, rights};

/// The namespace that the operator runs in.
pub const OPERATOR_NAMESPACE: &str = "zitadel-secret-operator";
/// How long anything that should happen may take on a busy machine.
pub const PATIENCE: Duration = Duration::from_mins(1);

/// A cluster with the CRDs, and a simulator.
pub struct World {
    /// The cluster.
    pub cluster: Arc<ControlPlane>,
    /// ZITADEL.
    pub zitadel: Simulator,
    /// For logs. `ZSO_TEST_LOGS` names one that is kept.
    pub directory: PathBuf,
    /// The operator's: a service account with the chart's rights.
    pub kubeconfig: PathBuf,
    /// The operator, if this world has one that all share.
    pub operator: Option<Arc<Operator>>,
}

static SHARED: OnceCell<World> = OnceCell::const_new();

impl World {
    /// The world that all tests of one file share, with an operator.
    pub async fn shared() -> &'static Self {
        SHARED
            .get_or_init(|| {
                Box::pin(async {
                    let mut world = Self::on(Arc::clone(ControlPlane::shared().await)).await;
                    let operator = Operator::start(
                        &world.kubeconfig,
                        &world.directory,
                        &["--protocol-speed", "20"],
                    );
                    world.operator = Some(Arc::new(operator));
                    world
                })
            })
            .await
    }

    /// A world of one's own, without an operator.
    pub async fn own(options: Options) -> Self {
        Self::on(Arc::new(ControlPlane::start(options).await)).await
    }

    async fn on(cluster: Arc<ControlPlane>) -> Self {
        install_definitions(&cluster.client().await).await;
        cluster.namespace(OPERATOR_NAMESPACE).await;
        let kubeconfig = rights::grant(&cluster, OPERATOR_NAMESPACE).await;
        let zitadel = Simulator::start(Config::default()).unwrap();
        let directory = std::env::var_os("ZSO_TEST_LOGS")
            .map_or_else(|| cluster.scratch().to_owned(), PathBuf::from);
        Self {
            cluster,
            zitadel,
            directory,
            kubeconfig,
            operator: None,
        }
    }

    /// An operator of its own controller class, in a namespace of its own, for a test that needs other settings than the shared one has.
    /// Its tenants come from [`OwnOperator::tenant_at`].
    pub async fn own_operator(&self, arguments: &[&str]) -> OwnOperator {
        let namespace = self.cluster.fresh_namespace("operator").await;
        let kubeconfig = rights::grant(&self.cluster, &namespace).await;
        let own = ["--controller-class", &namespace, "--namespace", &namespace];
        let arguments = [&own, arguments].concat();
        let arguments: Vec<_> = arguments.iter().map(ToString::to_string).collect();
        let start = move |directory: &Path| {
            let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
            Operator::start(&kubeconfig, directory, &arguments)
        };
        OwnOperator {
            operator: start(&self.directory),
            namespace,
            directory: self.directory.clone(),
            start: Box::new(start),
        }
    }

    /// A namespace, an organization with a project, a service user and a connection that grants the one to the other.
    pub async fn tenant(&self, prefix: &str) -> Tenant {
        self.tenant_at(prefix, &self.zitadel).await
    }

    /// The same at another ZITADEL.
    pub async fn tenant_at(&self, prefix: &str, zitadel: &Simulator) -> Tenant {
        self.tenant_of(kind_of_tests(), prefix, zitadel, None).await
    }

    /// The same for objects of a kind.
    pub async fn tenant_with(&self, kind: Kind, prefix: &str, zitadel: &Simulator) -> Tenant {
        self.tenant_of(kind, prefix, zitadel, None).await
    }

    async fn tenant_of(
        &self,
        kind: Kind,
        prefix: &str,
        zitadel: &Simulator,
        operator: Option<&OwnOperator>,
    ) -> Tenant {
        let namespace = self.cluster.fresh_namespace(prefix).await;
        self.tenant_in(kind, namespace, zitadel, operator).await
    }

    /// A tenant whose namespace, connection and credential have this name.
    pub async fn tenant_named(&self, kind: Kind, name: &str) -> Tenant {
        self.cluster.namespace(name).await;
        self.tenant_in(kind, name.to_owned(), &self.zitadel, None)
            .await
    }

    async fn tenant_in(
        &self,
        kind: Kind,
        namespace: String,
        zitadel: &Simulator,
        operator: Option<&OwnOperator>,
    ) -> Tenant {
        let client = self.cluster.client().await;
        let organization = zitadel.create_org(&namespace);
        let project = zitadel.create_project(&organization, "payments");
        let user = zitadel.create_user(&organization, "operator");
        zitadel.grant(&user, Role::ProjectOwner, Scope::Project(project.clone()));
        let pat = zitadel.create_pat(&user).unwrap();
        let tenant = Tenant {
            client,
            zitadel: zitadel.clone(),
            url: zitadel.url(),
            namespace,
            organization,
            project,
            user,
            pat,
            kind,
            class: operator.map(|operator| operator.namespace.clone()),
        };
        tenant.set_credential(&tenant.pat).await;
        if !zitadel.url().starts_with("https") {
            tenant.apply_connection(json!({})).await;
        }
        tenant
    }
}

/// An operator beside the shared one.
pub struct OwnOperator {
    /// The process.
    pub operator: Operator,
    /// Its namespace, and its controller class.
    pub namespace: String,
    directory: PathBuf,
    start: Box<dyn Fn(&Path) -> Operator + Send + Sync>,
}

impl OwnOperator {
    /// Kills the process, and starts another one.
    pub fn kill_and_start_again(&mut self) {
        self.operator.kill();
        self.operator = (self.start)(&self.directory);
    }

    /// A tenant of this operator.
    pub async fn tenant_at(&self, prefix: &str, world: &World, zitadel: &Simulator) -> Tenant {
        let kind = kind_of_tests();
        world.tenant_of(kind, prefix, zitadel, Some(self)).await
    }
}

/// Installs the custom resource definitions and waits until they are served.
pub async fn install_definitions(client: &Client) {
    use k8s_openapi::apiextensions_apiserver::pkg::apis::apiextensions::v1::CustomResourceDefinition;
    let api: Api<CustomResourceDefinition> = Api::all(client.clone());
    for definition in zitadel_secret_operator::api::definitions().unwrap() {
        let name = definition.metadata.name.clone().unwrap();
        apply(&api, &definition).await.unwrap();
        eventually(PATIENCE, || async {
            let found = api.get(&name).await.ok()?;
            let conditions = found.status?.conditions?;
            conditions
                .iter()
                .any(|c| c.type_ == "Established" && c.status == "True")
                .then_some(())
        })
        .await;
    }
}
