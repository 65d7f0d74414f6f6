//! The Pods that use a credential, and which value they have: by the operator's own code, seen with the caller's rights.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;

use crate::api::{AppSecret, AppSecretStatus, ConditionType};
use crate::consumers::find::{Use, Wanted, uses};
use crate::consumers::judge::Spans;
use crate::consumers::pod::Pod;
use crate::consumers::requests;
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::{Count, View};
use crate::consumers::workload::{Belongs, WorkloadId, annotation};
use crate::ids::AttemptId;
use crate::plugin::cluster::Cluster;
use crate::plugin::exit::Failure;
use crate::plugin::fault::{Asked, ClusterError};
use crate::process::kube_client::DEFAULT_DEADLINE;
use crate::rotation::Cause;
use crate::rotation::schedule::interval::later;
use crate::target::Target;

/// Pods of a page.
const PAGE: u32 = 100;
/// How long a write may have taken of which the status does not say that.
const UNKNOWN_WRITE: std::time::Duration = std::time::Duration::from_mins(1);

/// A credential whose consumers are looked for.
#[derive(Debug, Clone)]
pub struct Credential {
    /// What its object asks for.
    pub target: Target,
    /// The rotation that made the value; of one that was adopted, or is yet to be issued, there is none.
    pub made: Option<Rotation>,
    /// Whether the operator has seen that every Pod has the value.
    is_all_current: bool,
}

/// Which value a Pod has.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub enum State {
    /// A former one, until it is replaced.
    Former,
    /// It is not known.
    Unknown,
    /// The kubelet refreshes its files within a minute or two.
    Refreshing,
    /// The one that is stored.
    Current,
    /// The one that is stored: there was no other.
    Unrotated,
}

impl State {
    /// Whether it may have a former value.
    pub const fn is_behind(self) -> bool {
        matches!(self, Self::Former | Self::Unknown | Self::Refreshing)
    }
}

/// A Pod that uses the credential.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Consumer {
    /// Its name.
    pub pod: String,
    /// What it belongs to, such as `Deployment/orders`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// The containers, and how each uses it.
    pub uses: Vec<Used>,
    /// Since when the containers that use it have run: the first of them.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub since: Option<Timestamp>,
    /// Which value it has.
    pub state: State,
    /// Why it is not known, or not the stored one.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub why: Option<&'static str>,
    /// The workload that can be restarted for it.
    #[serde(skip)]
    pub workload: Option<WorkloadId>,
    /// Whether a running Pod keeps the value that it has: it is not in files that the kubelet refreshes.
    #[serde(skip)]
    pub keeps: bool,
}

/// How a container uses it.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize)]
pub struct Used {
    /// The container.
    pub container: String,
    /// How.
    pub how: &'static str,
}

const fn how(use_: Use) -> &'static str {
    match use_ {
        Use::Environment => "environment",
        Use::Directory => "files",
        Use::SubPath => "subPath",
        Use::Init => "init container",
    }
}

impl Credential {
    /// Reads what an object says.
    pub fn read(object: &AppSecret) -> Result<Self, Failure> {
        let target = Target::read_unlimited(object)
            .map_err(|error| Failure::Finding(format!("the object cannot be used: {error}")))?;
        let status = object.status.as_ref();
        let made = status.and_then(|status| made(status, &target));
        let is_all_current = status.zip(made.as_ref()).is_some_and(|(status, made)| {
            let counted = status.consumers.as_ref();
            let is_of_it =
                counted.is_some_and(|counted| counted.attempt == made.attempt.to_string());
            is_of_it && status.conditions.is_true(ConditionType::ConsumersCurrent)
        });
        Ok(Self {
            target,
            made,
            is_all_current,
        })
    }

    /// A Pod, if it uses the credential.
    pub fn consumer(&self, pod: &Pod, now: Timestamp) -> Option<Consumer> {
        let unrotated = self.unrotated();
        let rotation = self.made.as_ref().unwrap_or(&unrotated);
        let mut count = Count::default();
        let spans = Spans::new(1);
        let view = View {
            now,
            spans: &spans,
            prompted: &|_, _| None,
        };
        count.see(pod, rotation, view);
        if count.tally.total == 0 {
            return None;
        }
        let behind = count.tally.behind.first();
        let state = if self.made.is_none() {
            State::Unrotated
        } else if self.is_all_current || behind.is_none() {
            // NB: what starts later has read the stored value, too.
            State::Current
        } else if count.tally.unknown > 0 {
            State::Unknown
        } else if count.refreshed.is_some() {
            State::Refreshing
        } else {
            State::Former
        };
        let found = uses(pod, &rotation.wanted);
        let why = behind.filter(|_| state.is_behind()).map(|it| it.which.how);
        let (workload, owner) = match Belongs::of(pod) {
            Belongs::To(id) => (Some(id.clone()), Some(id.to_string())),
            Belongs::Otherwise(owner) => (None, Some(owner)),
            Belongs::ToNothing => (None, None),
        };
        let on_start = pod.metadata.annotations.reads_on_start();
        let running = found
            .iter()
            .filter_map(|(name, _)| pod.container(name)?.running_since());
        let started = pod.status.start_time.as_ref().map(|time| time.0);
        Some(Consumer {
            pod: pod.metadata.name.clone(),
            owner,
            since: running.min().or(started),
            state,
            why,
            workload,
            keeps: found.is_empty()
                || on_start
                || found.iter().any(|(_, use_)| *use_ != Use::Directory),
            uses: described(&found),
        })
    }

    /// The Pods that use it, those that are behind first.
    pub async fn consumers(&self, cluster: &Cluster) -> Result<Vec<Consumer>, ClusterError> {
        let namespace = cluster.namespace();
        let asked = Asked::of("list", "pods", Some(namespace));
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let page = requests::pods(cluster.client(), namespace, PAGE, from.as_deref()).await;
            let (pods, next) = page.map_err(|error| cluster.error(&error, &asked))?;
            let now = cluster.now();
            found.extend(pods.iter().filter_map(|pod| self.consumer(pod, now)));
            match next {
                Some(next) => from = Some(next),
                None => break,
            }
        }
        found.sort_by(|one, other| {
            (one.state, &one.owner, &one.pod).cmp(&(other.state, &other.owner, &other.pod))
        });
        Ok(found)
    }

    /// A rotation that never was, to find the Pods by.
    fn unrotated(&self) -> Rotation {
        rotation(
            &self.target,
            AttemptId(uuid::Uuid::nil()),
            Timestamp::MIN,
            false,
        )
    }
}

fn described(found: &[(&str, Use)]) -> Vec<Used> {
    if found.is_empty() {
        let container = String::new();
        let how = "named in spec.consumers.workloads";
        return vec![Used { container, how }];
    }
    let used = found.iter().map(|(container, use_)| Used {
        container: (*container).to_owned(),
        how: how(*use_),
    });
    used.collect()
}

/// The rotation that made the stored value, by what the status says.
fn made(status: &AppSecretStatus, target: &Target) -> Option<Rotation> {
    let last = status.last_rotation.as_ref()?;
    let attempt = AttemptId(last.attempt.parse().ok()?);
    let Time(time) = last.time;
    // NB: by ZITADEL's clock, or by that of the operator that made the attempt: whichever is later.
    let generated = time.max(attempt.made_at());
    let dark = last
        .dark_window_milliseconds
        .and_then(|dark| u64::try_from(dark).ok());
    let took = dark.map_or(UNKNOWN_WRITE, std::time::Duration::from_millis);
    // The write that arrived took as long as a request may take, at the most.
    let written = later(later(generated, took), DEFAULT_DEADLINE + Spans::SECOND);
    let is_first = last.reason == Cause::FirstIssue.as_str();
    Some(rotation(target, attempt, written, !is_first))
}

fn rotation(target: &Target, attempt: AttemptId, written: Timestamp, replaced: bool) -> Rotation {
    Rotation {
        owner: target.owner.clone(),
        attempt,
        written,
        replaced,
        wanted: Wanted {
            secret: target.secret.name.clone(),
            keys: target.secret.data.keys().map(ToOwned::to_owned).collect(),
        },
        annotation: annotation(&target.secret.name),
        policy: target.consumers.clone(),
    }
}
