//! A Deployment, StatefulSet or DaemonSet: how far its rollout is, and whether it may be restarted. No I/O.

use std::collections::BTreeMap;
use std::fmt::{self, Display, Write as _};

use aws_lc_rs::digest;
use serde::Deserialize;

use crate::api::WorkloadRef;
use crate::consumers::pod::Pod;

/// The kinds that are restarted.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// A Deployment.
    Deployment,
    /// A `StatefulSet`.
    StatefulSet,
    /// A `DaemonSet`.
    DaemonSet,
}

impl Kind {
    const ALL: [Self; 3] = [Self::Deployment, Self::StatefulSet, Self::DaemonSet];

    const fn as_str(self) -> &'static str {
        match self {
            Self::Deployment => "Deployment",
            Self::StatefulSet => "StatefulSet",
            Self::DaemonSet => "DaemonSet",
        }
    }

    /// As kubectl names one of them.
    pub const fn singular(self) -> &'static str {
        match self {
            Self::Deployment => "deployment",
            Self::StatefulSet => "statefulset",
            Self::DaemonSet => "daemonset",
        }
    }

    /// As it stands in the path of a request.
    pub const fn plural(self) -> &'static str {
        match self {
            Self::Deployment => "deployments",
            Self::StatefulSet => "statefulsets",
            Self::DaemonSet => "daemonsets",
        }
    }

    fn parse(api_version: &str, kind: &str) -> Option<Self> {
        let mut all = Self::ALL.into_iter();
        all.find(|known| api_version == "apps/v1" && known.as_str() == kind)
    }
}

/// A workload of a namespace.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WorkloadId {
    /// Its kind.
    pub kind: Kind,
    /// Its name.
    pub name: String,
}

impl Display for WorkloadId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.kind.as_str(), self.name)
    }
}

impl WorkloadId {
    /// The workload that an object names. None if it is of another kind, which the CRD does not let through.
    pub fn named(reference: &WorkloadRef) -> Option<Self> {
        Some(Self {
            kind: Kind::parse(&reference.api_version, &reference.kind)?,
            name: reference.name.clone(),
        })
    }
}

/// What a Pod belongs to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Belongs {
    /// A workload that can be restarted.
    To(WorkloadId),
    /// Something else, in words; such as a Job.
    Otherwise(String),
    /// Nothing.
    ToNothing,
}

impl Belongs {
    /// What a Pod belongs to. A `ReplicaSet` that a Deployment made has its name, and the hash that the Pod is labelled with, as its own.
    pub fn of(pod: &Pod) -> Self {
        let mut owners = pod.metadata.owner_references.iter();
        let Some(owner) = owners.find(|owner| owner.controller == Some(true)) else {
            return Self::ToNothing;
        };
        if let Some(kind) = Kind::parse(&owner.api_version, &owner.kind) {
            let name = owner.name.clone();
            return Self::To(WorkloadId { kind, name });
        }
        let hash = pod.metadata.labels.template_hash.as_deref();
        let name = hash.and_then(|hash| owner.name.strip_suffix(hash)?.strip_suffix('-'));
        match name {
            Some(name) if owner.kind == "ReplicaSet" && !name.is_empty() => Self::To(WorkloadId {
                kind: Kind::Deployment,
                name: name.to_owned(),
            }),
            _ => Self::Otherwise(format!("{}/{}", owner.kind, owner.name)),
        }
    }
}

/// The annotation on a Pod template that says for which rotation of a Secret its Pods were restarted.
pub fn annotation(secret: &str) -> String {
    let hash = digest::digest(&digest::SHA256, secret.as_bytes());
    let bytes = hash.as_ref().iter().take(8);
    bytes.fold(ANNOTATION_PREFIX.to_owned(), |mut text, byte| {
        // NB: writing into a String can't fail.
        let _ = write!(text, "{byte:02x}");
        text
    })
}

/// What those annotations begin with.
pub const ANNOTATION_PREFIX: &str = "zitadel-secrets.dev/rotation-";

/// A workload as the API server has it.
#[derive(Debug, Default, Deserialize)]
pub struct Workload {
    metadata: Metadata,
    #[serde(default)]
    spec: Spec,
    #[serde(default)]
    status: Status,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Metadata {
    #[serde(default)]
    uid: String,
    #[serde(default)]
    generation: i64,
    deletion_timestamp: Option<String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct Spec {
    #[serde(default)]
    paused: bool,
    replicas: Option<i64>,
    update_strategy: Option<UpdateStrategy>,
    #[serde(default)]
    template: Template,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase")]
struct UpdateStrategy {
    #[serde(rename = "type")]
    type_: Option<String>,
    rolling_update: Option<RollingUpdate>,
}

#[derive(Debug, Default, Deserialize)]
struct RollingUpdate {
    #[serde(default)]
    partition: i64,
}

#[derive(Debug, Default, Deserialize)]
struct Template {
    #[serde(default)]
    metadata: TemplateMetadata,
}

#[derive(Debug, Default, Deserialize)]
struct TemplateMetadata {
    #[serde(default)]
    annotations: BTreeMap<String, String>,
}

#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "camelCase", default)]
struct Status {
    observed_generation: i64,
    replicas: i64,
    updated_replicas: i64,
    available_replicas: i64,
    desired_number_scheduled: i64,
    updated_number_scheduled: i64,
    number_available: i64,
    conditions: Vec<Condition>,
}

#[derive(Debug, Default, Deserialize)]
struct Condition {
    #[serde(default, rename = "type")]
    type_: String,
    #[serde(default)]
    reason: String,
}

/// What is done about a workload whose Pods have the former value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Plan {
    /// It is restarted.
    Restart,
    /// It was, or someone else changed it, and the rollout goes on.
    Wait,
    /// It was, and the rollout is over.
    Done,
    /// Its rollout has failed: nothing else is restarted for the same rotations.
    Failed,
    /// It is left alone, for this reason.
    Leave(&'static str),
}

impl Workload {
    /// Its uid.
    pub fn uid(&self) -> &str {
        &self.metadata.uid
    }

    /// How often what is wanted of it was changed.
    pub const fn generation(&self) -> i64 {
        self.metadata.generation
    }

    /// What is done about it, for rotations with these annotations.
    pub fn plan(&self, kind: Kind, wanted: &BTreeMap<String, String>) -> Plan {
        if self.metadata.deletion_timestamp.is_some() {
            return Plan::Leave("it is being deleted");
        }
        let strategy = self.spec.update_strategy.as_ref();
        if strategy.is_some_and(|it| it.type_.as_deref() == Some("OnDelete")) {
            return Plan::Leave("its update strategy is OnDelete: delete its Pods");
        }
        let rolling = strategy.and_then(|it| it.rolling_update.as_ref());
        if kind == Kind::StatefulSet && rolling.is_some_and(|it| it.partition > 0) {
            return Plan::Leave("its rolling update has a partition: delete its Pods");
        }
        if self.spec.paused {
            return Plan::Leave("it is paused: resume it");
        }
        let annotations = &self.spec.template.metadata.annotations;
        let asked = wanted
            .iter()
            .all(|(name, value)| annotations.get(name) == Some(value));
        match (self.rollout(kind), asked) {
            (Rollout::Failed, _) => Plan::Failed,
            (Rollout::Rolling, _) => Plan::Wait,
            (Rollout::Complete, true) => Plan::Done,
            (Rollout::Complete, false) => Plan::Restart,
        }
    }

    fn rollout(&self, kind: Kind) -> Rollout {
        let status = &self.status;
        let failed =
            |it: &Condition| it.type_ == "Progressing" && it.reason == "ProgressDeadlineExceeded";
        if status.observed_generation < self.metadata.generation {
            return Rollout::Rolling;
        }
        if status.conditions.iter().any(failed) {
            return Rollout::Failed;
        }
        let (wanted, all, updated, available) = match kind {
            Kind::Deployment | Kind::StatefulSet => (
                self.spec.replicas.unwrap_or(1),
                status.replicas,
                status.updated_replicas,
                status.available_replicas,
            ),
            Kind::DaemonSet => (
                status.desired_number_scheduled,
                status.desired_number_scheduled,
                status.updated_number_scheduled,
                status.number_available,
            ),
        };
        if updated >= wanted && all <= updated && available >= wanted {
            Rollout::Complete
        } else {
            Rollout::Rolling
        }
    }
}

enum Rollout {
    Complete,
    Rolling,
    Failed,
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn read(value: Value) -> Workload {
        serde_json::from_value(value).unwrap()
    }

    fn at_rest() -> Value {
        json!({
            "metadata": {"uid": "u", "generation": 3},
            "spec": {"replicas": 2, "template": {"metadata": {"annotations": {"a": "b"}}}},
            "status": {"observedGeneration": 3, "replicas": 2, "updatedReplicas": 2, "availableReplicas": 2},
        })
    }

    fn wanted() -> BTreeMap<String, String> {
        BTreeMap::from([("r".to_owned(), "1".to_owned())])
    }

    fn plan(change: impl FnOnce(&mut Value)) -> Plan {
        let mut workload = at_rest();
        change(&mut workload);
        read(workload).plan(Kind::Deployment, &wanted())
    }

    #[test]
    fn a_workload_at_rest_is_restarted_once_a_rotation() {
        assert_eq!(plan(|_| ()), Plan::Restart);
        let asked = |value: &str| {
            let value = value.to_owned();
            move |it: &mut Value| {
                it["spec"]["template"]["metadata"]["annotations"]["r"] = json!(value);
            }
        };
        assert_eq!(plan(asked("1")), Plan::Done);
        assert_eq!(
            plan(asked("0")),
            Plan::Restart,
            "that was the rotation before"
        );
    }

    #[test]
    fn a_rollout_is_waited_for_whoever_began_it() {
        for (pointer, value) in [
            ("/metadata/generation", 4),
            ("/status/updatedReplicas", 1),
            ("/status/replicas", 3),
            ("/status/availableReplicas", 1),
        ] {
            let begun = plan(|it| *it.pointer_mut(pointer).unwrap() = json!(value));
            assert_eq!(begun, Plan::Wait, "{pointer}");
        }
        let failed = plan(|it| {
            it["status"]["updatedReplicas"] = json!(1);
            it["status"]["conditions"] = json!([{"type": "Progressing", "status": "False", "reason": "ProgressDeadlineExceeded"}]);
        });
        assert_eq!(failed, Plan::Failed);
        let none = plan(|it| {
            it["spec"]["replicas"] = json!(0);
            it["status"] = json!({"observedGeneration": 3});
        });
        assert_eq!(
            none,
            Plan::Restart,
            "its next Pods read the new value; it does no harm"
        );
    }

    #[test]
    fn what_would_not_be_replaced_by_a_restart_is_left_alone() {
        let leave = |change: &dyn Fn(&mut Value)| plan(|it| change(it));
        for plan in [
            leave(&|it| it["spec"]["paused"] = json!(true)),
            leave(&|it| it["spec"]["updateStrategy"] = json!({"type": "OnDelete"})),
            leave(&|it| it["metadata"]["deletionTimestamp"] = json!("2026-11-30T00:00:00Z")),
        ] {
            assert!(matches!(plan, Plan::Leave(_)), "{plan:?}");
        }
        let mut part = at_rest();
        part["spec"]["updateStrategy"] =
            json!({"type": "RollingUpdate", "rollingUpdate": {"partition": 1}});
        let part = read(part).plan(Kind::StatefulSet, &wanted());
        assert!(matches!(part, Plan::Leave(_)), "{part:?}");
    }

    #[test]
    fn a_daemon_set_is_counted_by_its_nodes() {
        let mut set = json!({
            "metadata": {"generation": 1},
            "status": {"observedGeneration": 1, "desiredNumberScheduled": 3, "updatedNumberScheduled": 3, "numberAvailable": 3},
        });
        let plan = |set: &Value| read(set.clone()).plan(Kind::DaemonSet, &wanted());
        assert_eq!(plan(&set), Plan::Restart);
        set["status"]["numberAvailable"] = json!(2);
        assert_eq!(plan(&set), Plan::Wait);
    }

    #[test]
    fn a_pod_belongs_to_the_workload_that_controls_it() {
        let of = |owner: Value, hash: Option<&str>| {
            let labels = hash.map_or(json!({}), |hash| json!({"pod-template-hash": hash}));
            let pod = json!({"metadata": {"ownerReferences": [owner], "labels": labels}});
            Belongs::of(&serde_json::from_value(pod).unwrap())
        };
        let owner = |version: &str, kind: &str, name: &str| json!({"apiVersion": version, "kind": kind, "name": name, "controller": true});
        let id = |kind, name: &str| {
            Belongs::To(WorkloadId {
                kind,
                name: name.to_owned(),
            })
        };
        let set = |name| owner("apps/v1", "ReplicaSet", name);
        assert_eq!(
            of(set("a-b-5d4f"), Some("5d4f")),
            id(Kind::Deployment, "a-b")
        );
        let other = |text: &str| Belongs::Otherwise(text.to_owned());
        // One of Argo Rollouts, and one that a person made.
        assert_eq!(of(set("a-5d4f"), None), other("ReplicaSet/a-5d4f"));
        assert_eq!(of(set("a"), Some("5d4f")), other("ReplicaSet/a"));
        let stateful = owner("apps/v1", "StatefulSet", "db");
        assert_eq!(of(stateful, None), id(Kind::StatefulSet, "db"));
        assert_eq!(of(owner("batch/v1", "Job", "j"), None), other("Job/j"));
        let foreign = owner("example.com/v1", "Deployment", "x");
        assert_eq!(of(foreign, None), other("Deployment/x"));
        let loose = json!({"apiVersion": "apps/v1", "kind": "DaemonSet", "name": "d"});
        assert_eq!(of(loose, None), Belongs::ToNothing);
    }

    #[test]
    fn the_annotation_is_named_after_the_secret() {
        let name = annotation("orders-api-oauth");
        assert_eq!(name.len(), ANNOTATION_PREFIX.len() + 16);
        assert_ne!(name, annotation("orders"));
        assert_eq!(name, annotation("orders-api-oauth"));
    }
}
