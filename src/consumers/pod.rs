//! What is read of a Pod: how it uses Secrets and which of its containers run. Nothing else is kept, whatever else it contains. No I/O.

use std::collections::BTreeMap;
use std::time::Duration;

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::{Deserialize, Deserializer};

/// A page of a list of Pods.
#[derive(Debug, Deserialize)]
pub struct PodPage {
    /// Where the next page begins.
    #[serde(default)]
    pub metadata: PageMetadata,
    /// The Pods.
    #[serde(default)]
    pub items: Vec<Pod>,
}

/// The metadata of a page.
#[derive(Debug, Default, Deserialize)]
pub struct PageMetadata {
    /// The token for the next page; absent or empty at the end.
    #[serde(default, rename = "continue")]
    pub continue_: Option<String>,
}

/// A Pod.
#[derive(Debug, Default, Deserialize)]
pub struct Pod {
    /// Its metadata.
    pub metadata: Metadata,
    /// What it is made of.
    #[serde(default)]
    pub spec: Spec,
    /// What is known of it.
    #[serde(default)]
    pub status: Status,
}

/// A Pod's metadata.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Metadata {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its uid.
    #[serde(default)]
    pub uid: String,
    /// When it was created, on the API server's clock.
    pub creation_timestamp: Option<Time>,
    /// Its annotations.
    #[serde(default)]
    pub annotations: Annotations,
    /// One of its labels.
    #[serde(default)]
    pub labels: Labels,
    /// What it belongs to.
    #[serde(default)]
    pub owner_references: Vec<OwnerReference>,
}

/// The operator's own annotations. Others are not kept.
#[derive(Debug, Default)]
pub struct Annotations(BTreeMap<String, String>);

impl<'de> Deserialize<'de> for Annotations {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let mut all = BTreeMap::<String, String>::deserialize(deserializer)?;
        all.retain(|name, _| name.starts_with("zitadel-secrets.dev/"));
        Ok(Self(all))
    }
}

impl Annotations {
    /// Whether the containers read mounted files only when they start.
    pub fn reads_on_start(&self) -> bool {
        let reload = self.0.get("zitadel-secrets.dev/reload");
        reload.is_some_and(|when| when == "on-start")
    }

    /// The value of an annotation of the operator's.
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.get(name).map(String::as_str)
    }
}

/// The labels that matter.
#[derive(Debug, Default, Deserialize)]
pub struct Labels {
    /// By which a Deployment tells its ReplicaSets apart; their names end in it.
    #[serde(rename = "pod-template-hash")]
    pub template_hash: Option<String>,
}

/// A reference to an owner.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct OwnerReference {
    /// Its group and version.
    #[serde(default)]
    pub api_version: String,
    /// Its kind.
    #[serde(default)]
    pub kind: String,
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether it controls the Pod.
    #[serde(default)]
    pub controller: Option<bool>,
}

/// What a Pod is made of.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    /// Its containers.
    #[serde(default)]
    pub containers: Vec<Container>,
    /// Those that run first; with `restartPolicy: Always` beside the others.
    #[serde(default)]
    pub init_containers: Vec<Container>,
    /// Those that were added for a person.
    #[serde(default)]
    pub ephemeral_containers: Vec<Container>,
    /// Its volumes.
    #[serde(default)]
    pub volumes: Vec<Volume>,
}

/// A container.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Container {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Its variables.
    #[serde(default)]
    pub env: Vec<Variable>,
    /// All keys of something as variables.
    #[serde(default)]
    pub env_from: Vec<Variables>,
    /// Where it mounts volumes.
    #[serde(default)]
    pub volume_mounts: Vec<Mount>,
    /// Of an init container: whether it runs beside the others.
    pub restart_policy: Option<String>,
}

/// A variable.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variable {
    /// Where its value comes from.
    pub value_from: Option<VariableSource>,
}

/// Where the value of a variable comes from.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct VariableSource {
    /// A key of a Secret.
    pub secret_key_ref: Option<KeyRef>,
}

/// A key of a Secret.
#[derive(Debug, Default, Deserialize)]
pub struct KeyRef {
    /// The Secret.
    #[serde(default)]
    pub name: String,
    /// The key.
    #[serde(default)]
    pub key: String,
}

/// All keys of something as variables.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Variables {
    /// A Secret.
    pub secret_ref: Option<SecretRef>,
}

/// A Secret by its name.
#[derive(Debug, Default, Deserialize)]
pub struct SecretRef {
    /// Its name.
    #[serde(default)]
    pub name: String,
}

/// Where a container mounts a volume.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    /// The volume.
    #[serde(default)]
    pub name: String,
    /// One file of it.
    pub sub_path: Option<String>,
    /// The same, with variables in it.
    pub sub_path_expr: Option<String>,
}

/// A volume.
#[derive(Debug, Default, Deserialize)]
pub struct Volume {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// A Secret.
    pub secret: Option<SecretVolume>,
    /// Several things.
    pub projected: Option<Projected>,
}

/// A Secret as a volume.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SecretVolume {
    /// The Secret, as a volume of its own has it.
    pub secret_name: Option<String>,
    /// The Secret, as part of a projected volume has it.
    pub name: Option<String>,
    /// The keys; none: all.
    #[serde(default)]
    pub items: Vec<Item>,
}

/// A key in a volume.
#[derive(Debug, Default, Deserialize)]
pub struct Item {
    /// The key.
    #[serde(default)]
    pub key: String,
}

/// A volume of several things.
#[derive(Debug, Default, Deserialize)]
pub struct Projected {
    /// The things.
    #[serde(default)]
    pub sources: Vec<ProjectedSource>,
}

/// Part of a projected volume.
#[derive(Debug, Default, Deserialize)]
pub struct ProjectedSource {
    /// A Secret.
    pub secret: Option<SecretVolume>,
}

/// What is known of a Pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Status {
    /// Pending, Running, Succeeded, Failed or Unknown.
    pub phase: Option<String>,
    /// When its node took it on, on the node's clock.
    pub start_time: Option<Time>,
    /// Its conditions.
    #[serde(default)]
    pub conditions: Vec<PodCondition>,
    /// Its containers.
    #[serde(default)]
    pub container_statuses: Vec<ContainerStatus>,
    /// Its init containers.
    #[serde(default)]
    pub init_container_statuses: Vec<ContainerStatus>,
    /// Its ephemeral containers.
    #[serde(default)]
    pub ephemeral_container_statuses: Vec<ContainerStatus>,
}

/// A condition of a Pod.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct PodCondition {
    /// What it is about.
    #[serde(default, rename = "type")]
    pub type_: String,
    /// Whether it holds.
    #[serde(default)]
    pub status: String,
    /// Since when.
    pub last_transition_time: Option<Time>,
}

/// A container as it runs.
#[derive(Debug, Default, Deserialize)]
pub struct ContainerStatus {
    /// Its name.
    #[serde(default)]
    pub name: String,
    /// Whether it runs.
    #[serde(default)]
    pub state: ContainerState,
}

/// Whether a container runs.
#[derive(Debug, Default, Deserialize)]
pub struct ContainerState {
    /// It does.
    pub running: Option<Running>,
}

/// A container that runs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Running {
    /// Since when, on the node's clock.
    pub started_at: Option<Time>,
}

impl Pod {
    /// Whether it has ended, so that nothing in it runs any more.
    pub fn has_ended(&self) -> bool {
        matches!(self.status.phase.as_deref(), Some("Succeeded" | "Failed"))
    }

    /// The condition of that type.
    pub fn condition(&self, type_: &str) -> Option<&PodCondition> {
        let mut conditions = self.status.conditions.iter();
        conditions.find(|condition| condition.type_ == type_)
    }

    /// What is known of a container, of whatever sort.
    pub fn container(&self, name: &str) -> Option<&ContainerStatus> {
        let status = &self.status;
        let all = status.container_statuses.iter();
        let all = all.chain(&status.init_container_statuses);
        let mut all = all.chain(&status.ephemeral_container_statuses);
        all.find(|container| container.name == name)
    }

    /// How far the node's clock may be ahead of the control plane's: the time between the Pod's assignment, on the one, and the node's
    /// taking it on, on the other. A node that was late in that is thought to be ahead: then a container counts as older than it is.
    pub fn node_ahead(&self) -> Duration {
        let assigned = self.condition("PodScheduled");
        let assigned = assigned.and_then(|it| it.last_transition_time.as_ref());
        let started = self.status.start_time.as_ref();
        let ahead = assigned.zip(started).map(|(assigned, started)| {
            let ahead = started.0.duration_since(assigned.0);
            Duration::try_from(ahead)
                .unwrap_or_default()
                .min(MOST_AHEAD)
        });
        ahead.unwrap_or_default()
    }
}

/// Clocks that differ by more than this are not those of a cluster that works: Lease-based node heartbeats and tokens fail there.
const MOST_AHEAD: Duration = Duration::from_mins(5);

impl ContainerStatus {
    /// Since when it has run; none where it does not run.
    pub fn running_since(&self) -> Option<Timestamp> {
        let started = self.state.running.as_ref()?.started_at.as_ref()?;
        Some(started.0)
    }
}
