//! What a group of figures works on: a control plane, a simulator and a fleet of its own.

use std::time::Duration;

use k8s_openapi::api::rbac::v1::ClusterRoleBinding;
use kube::Api;
use kube::api::PostParams;
use serde_json::json;
use zitadel_simulator::Simulator;

use crate::support::audit::{AuditLog, Request};
use crate::support::controlplane::{ControlPlane, Options};
use crate::support::fleet::Fleet;
use crate::support::process::{Launch, Process};
use crate::support::world::{OPERATOR_NAMESPACE, World};

/// The operator's name for the API server, by which the audit log identifies its requests.
pub const USER: &str = "operator-under-measurement";
/// The Lease of leader election.
pub const LEADER_LEASE: &str = "zitadel-secret-operator";
/// Far longer than anything takes.
pub const LONG: Duration = Duration::from_mins(10);

/// A control plane, a simulator and a fleet.
pub struct Stage {
    /// Cluster and simulator.
    pub world: World,
    /// Objects and applications.
    pub fleet: Fleet,
    /// What the API server was asked.
    pub audit: AuditLog,
    kubeconfig: std::path::PathBuf,
}

impl Stage {
    /// A fleet of applications without objects.
    pub async fn new(applications: usize) -> Self {
        let world = World::own(Options {
            audit: true,
            ..Options::default()
        })
        .await;
        let kubeconfig = world.cluster.kubeconfig_for_user(USER, &[]).await;
        let bindings: Api<ClusterRoleBinding> = Api::all(world.cluster.client().await);
        let binding = serde_json::from_value(json!({
            "metadata": {"name": USER},
            "roleRef": {"apiGroup": "rbac.authorization.k8s.io", "kind": "ClusterRole", "name": "cluster-admin"},
            "subjects": [{"apiGroup": "rbac.authorization.k8s.io", "kind": "User", "name": USER}],
        }))
        .unwrap();
        bindings
            .create(&PostParams::default(), &binding)
            .await
            .unwrap();
        let tenant = world.tenant("fleet").await;
        let fleet = Fleet::new(tenant, applications);
        let audit = AuditLog::from_now(world.cluster.audit_log());
        Self {
            world,
            fleet,
            audit,
            kubeconfig,
        }
    }

    /// ZITADEL.
    pub fn zitadel(&self) -> &Simulator {
        &self.world.zitadel
    }

    /// The cluster.
    pub fn cluster(&self) -> &ControlPlane {
        &self.world.cluster
    }

    /// How the operator is started: default times, one replica.
    pub fn launch(&self) -> Launch {
        Launch::new(&self.kubeconfig, &self.world.directory)
    }

    /// Starts the operator and waits until it has nothing to do.
    pub async fn operator(&self) -> Process {
        let operator = self.launch().start();
        while !operator.is_ready().await {
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
        quiet(&operator, LONG).await;
        operator
    }

    /// The operator's requests since this was last asked.
    pub fn requests(&mut self) -> Vec<Request> {
        self.audit.read_of(USER, LEADER_LEASE)
    }

    /// Has every object of the first `size` applications issued.
    pub async fn issue(&self, operator: &Process, size: usize) {
        let extra = json!({"rotation": {"trigger": "0"}});
        let before = rotations(operator).await;
        self.fleet.create(0..size, &extra).await;
        rotated(operator, before + size).await;
        self.fleet.settled(0..size, "0", LONG).await;
        quiet(operator, LONG).await;
    }
}

impl Drop for Stage {
    fn drop(&mut self) {
        // The next group is measured without this one's control plane.
        self.world.cluster.kill();
    }
}

/// Rotations that ended in a process so far: their Secrets are durable.
pub async fn rotations(operator: &Process) -> usize {
    let count = operator.metric("rotations_total").await.unwrap_or(0.0);
    #[allow(
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "a small count"
    )]
    let count = count as usize;
    count
}

/// Waits until this many rotations have ended.
pub async fn rotated(operator: &Process, count: usize) {
    let waiting = async {
        while rotations(operator).await < count {
            assert_eq!(operator.ended(), None, "the operator ended");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    let done = tokio::time::timeout(LONG, waiting).await;
    assert!(
        done.is_ok(),
        "{count} rotations did not end: {:?}",
        operator.log
    );
}

/// Waits until the process has used no CPU for a second; returns for how long it had used none then.
pub async fn quiet(operator: &Process, patience: Duration) {
    let began = std::time::Instant::now();
    let mut idle = 0;
    let mut before = operator.cpu();
    while idle < 10 && began.elapsed() < patience {
        tokio::time::sleep(Duration::from_millis(100)).await;
        let now = operator.cpu();
        idle = if now > before { 0 } else { idle + 1 };
        before = now;
    }
}

/// The namespace of claims.
pub const fn claims_namespace() -> &'static str {
    OPERATOR_NAMESPACE
}
