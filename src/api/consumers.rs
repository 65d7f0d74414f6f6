//! What is done for the Pods that use a credential, and what is known of them: `spec.consumers` and `status.consumers`. No I/O.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::rule;

/// What is done for the Pods that use the Secret after a rotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq, Eq)]
#[serde(rename_all = "camelCase")]
pub struct Consumers {
    /// Prompt: an annotation of each Pod that mounts the Secret is changed, so that the kubelet brings the new files within a second or
    /// two instead of a minute or two. None: nothing is done. Default: Prompt.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub refresh: Option<RefreshPolicy>,

    /// WhenStale: Deployments, StatefulSets and DaemonSets whose Pods keep the former value until they are replaced, such as in an
    /// environment variable, are restarted, a few at a time. Never: they are only reported. Default: Never.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub restart: Option<RestartPolicy>,

    /// How long after a rotation consumers may take to get the new value before it is reported as a problem, such as 30m. Default: 30m.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend("x-kubernetes-validations" = rule::duration_above_zero("30m"))
    )]
    pub deadline: Option<String>,

    /// Workloads of the same namespace that use the credential in a way that their Pods do not show. They are taken to need a restart.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(
        length(max = 32),
        extend(
            "x-kubernetes-list-type" = "map",
            "x-kubernetes-list-map-keys" = ["apiVersion", "kind", "name"]
        )
    )]
    pub workloads: Option<Vec<WorkloadRef>>,
}

/// A Deployment, StatefulSet or DaemonSet of the same namespace.
#[derive(
    JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash,
)]
#[serde(rename_all = "camelCase")]
pub struct WorkloadRef {
    /// apps/v1.
    #[schemars(length(max = 64), extend("x-kubernetes-validations" = rule::workload_version()))]
    pub api_version: String,
    /// Deployment, StatefulSet or DaemonSet.
    #[schemars(length(max = 63), extend("x-kubernetes-validations" = rule::workload_kind()))]
    pub kind: String,
    /// Its name.
    #[schemars(length(max = 253), extend("x-kubernetes-validations" = rule::object_name("gateway")))]
    pub name: String,
}

/// How Pods that mount the Secret get the new value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RefreshPolicy {
    /// An annotation of each is changed: the kubelet refreshes the volume at once.
    #[default]
    Prompt,
    /// When the kubelet comes to it.
    None,
}

/// What is done for workloads that keep the former value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum RestartPolicy {
    /// Nothing.
    #[default]
    Never,
    /// They are restarted.
    WhenStale,
}

/// The Pods that use the Secret, and which of them have the value of the last rotation.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, Default, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct ConsumersStatus {
    /// The rotation that is spoken of, as in lastRotation.
    #[schemars(length(max = 64))]
    pub attempt: String,
    /// Pods that use the Secret.
    pub total: i64,
    /// Those that have the new value.
    pub current: i64,
    /// Those that still have the former value.
    pub stale: i64,
    /// Those of which it is not known.
    pub unknown: i64,
    /// Up to ten of those that may have the former value.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    #[schemars(length(max = 10))]
    pub behind: Vec<Behind>,
}

impl ConsumersStatus {
    /// Entries of `behind` that are kept: `maxItems` of its schema.
    pub const BEHIND: usize = 10;
}

/// A consumer that may have the former value.
#[derive(JsonSchema, Serialize, Deserialize, Clone, Debug, PartialEq)]
#[serde(rename_all = "camelCase")]
pub struct Behind {
    /// The Pod. Absent for a workload of spec.consumers.workloads without one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 253))]
    pub pod: Option<String>,
    /// What it belongs to, such as Deployment/orders-api. Absent for a Pod of its own.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 320))]
    pub workload: Option<String>,
    /// The container. Absent where the whole Pod is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(length(max = 63))]
    pub container: Option<String>,
    /// How it uses the Secret, or why it is not known which value it has.
    #[schemars(length(max = 128))]
    pub how: String,
    /// Since when it has run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub since: Option<Time>,
}
