//! What a pass over the Pods of a namespace came to, for one rotation. No I/O.

use std::collections::BTreeSet;

use jiff::Timestamp;

use crate::api::ConsumersStatus;
use crate::consumers::find::{Use, uses};
use crate::consumers::judge::{Holds, Spans, Which, Written, judge};
use crate::consumers::pod::Pod;
use crate::consumers::rotation::Rotation;
use crate::consumers::workload::{Belongs, WorkloadId};

/// How many Pods use the Secret, and which of them do not have the new value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tally {
    /// Pods that use the Secret.
    pub total: u32,
    /// Those with a former value.
    pub stale: u32,
    /// Those of which it is not known.
    pub unknown: u32,
    /// Whether some have a former value until they are replaced.
    pub needs_restart: bool,
    /// Some of those that may have a former value.
    pub behind: Vec<Consumer>,
}

/// A consumer that may have a former value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Consumer {
    /// The Pod; none: a workload that the object names.
    pub pod: Option<String>,
    /// What it belongs to.
    pub workload: Option<String>,
    /// The container, how it uses the Secret, since when it has run.
    pub which: Which,
}

impl Tally {
    /// Whether every consumer has the new value.
    pub const fn is_complete(&self) -> bool {
        self.stale == 0 && self.unknown == 0
    }

    /// A workload that the object names does not exist.
    pub fn missing(&mut self, workload: &WorkloadId) {
        let which = Which {
            container: None,
            how: "does not exist: correct spec.consumers.workloads",
            since: None,
        };
        let consumer = Consumer {
            pod: None,
            workload: Some(workload.to_string()),
            which,
        };
        self.total = self.total.saturating_add(1);
        self.add(false, consumer);
    }

    /// Counts a consumer that may have a former value.
    pub fn add(&mut self, stale: bool, consumer: Consumer) {
        if stale {
            self.stale = self.stale.saturating_add(1);
        } else {
            self.unknown = self.unknown.saturating_add(1);
        }
        if self.behind.len() < ConsumersStatus::BEHIND {
            self.behind.push(consumer);
        }
    }
}

/// A pass, as far as it has come: what is known of one rotation.
#[derive(Debug, Default)]
pub struct Count {
    /// The numbers.
    pub tally: Tally,
    /// The workloads that the object names and that have Pods.
    pub named: BTreeSet<WorkloadId>,
    /// The workloads whose Pods need to be replaced.
    pub workloads: BTreeSet<WorkloadId>,
    /// When the last of the Pods has the new value that need not be replaced for it.
    pub refreshed: Option<Timestamp>,
}

/// How the Pods of a namespace are looked at.
#[derive(Clone, Copy)]
pub struct View<'a> {
    /// The time, on the control plane's clock.
    pub now: Timestamp,
    /// The spans.
    pub spans: &'a Spans,
    /// When a Pod with that uid was prompted for a rotation.
    pub prompted: &'a dyn Fn(&str, &Rotation) -> Option<Timestamp>,
}

impl Count {
    /// Counts a Pod. Whether it is to be prompted for this rotation.
    pub fn see(&mut self, pod: &Pod, rotation: &Rotation, view: View<'_>) -> bool {
        if pod.has_ended() {
            return false;
        }
        let belongs = Belongs::of(pod);
        let mut uses = uses(pod, &rotation.wanted);
        let is_named = match &belongs {
            Belongs::To(id) => rotation.policy.workloads.contains(id),
            Belongs::Otherwise(_) | Belongs::ToNothing => false,
        };
        if let (true, Belongs::To(id)) = (is_named, &belongs) {
            self.named.insert(id.clone());
        }
        if is_named && uses.is_empty() {
            // What its Pods do not show is read when they start.
            uses.push(("", Use::Init));
        }
        if uses.is_empty() {
            return false;
        }
        self.tally.total = self.tally.total.saturating_add(1);
        let prompted = (view.prompted)(&pod.metadata.uid, rotation);
        let written = Written {
            at: rotation.written,
            now: view.now,
            prompted,
            spans: view.spans,
        };
        let is_mounted = uses.iter().any(|(_, use_)| *use_ == Use::Directory);
        let consumer = |which: Which| Consumer {
            pod: Some(pod.metadata.name.clone()),
            workload: match &belongs {
                Belongs::To(id) => Some(id.to_string()),
                Belongs::Otherwise(name) => Some(name.clone()),
                Belongs::ToNothing => None,
            },
            which: Which {
                container: which.container.filter(|name| !name.is_empty()),
                ..which
            },
        };
        // Its template was annotated for this rotation: it was made after the write, whenever that was.
        let restarted = pod.metadata.annotations.get(&rotation.annotation);
        if restarted.is_some_and(|attempt| attempt == rotation.attempt.to_string()) {
            return false;
        }
        match judge(pod, &uses, written) {
            Holds::Current => false,
            Holds::Refreshed(at) => {
                let last = self.refreshed.map_or(at, |last| last.max(at));
                self.refreshed = Some(last);
                let since = pod.status.start_time.as_ref().map(|time| time.0);
                let which = Which {
                    container: None,
                    how: "mounted files, which the kubelet refreshes",
                    since,
                };
                self.tally.add(true, consumer(which));
                prompted.is_none()
            }
            Holds::Unknown(which) => {
                self.tally.add(false, consumer(which));
                false
            }
            Holds::Former(which) => {
                if let Belongs::To(id) = &belongs {
                    self.workloads.insert(id.clone());
                }
                self.tally.needs_restart = true;
                self.tally.add(true, consumer(which));
                is_mounted && prompted.is_none()
            }
        }
    }
}

/// A rotation, and how far its consumers are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The rotation.
    pub rotation: Rotation,
    /// How far.
    pub progress: Progress,
}

impl Followed {
    /// The same rotation as its object has it now. Who wrote the value knows best when that was, and what it replaced.
    pub fn with(&self, rotation: Rotation) -> Self {
        let known = &self.rotation;
        let rotation = Rotation {
            written: known.written.min(rotation.written),
            replaced: known.replaced,
            ..rotation
        };
        let is_same =
            known.wanted == rotation.wanted && known.policy.workloads == rotation.policy.workloads;
        let progress = if is_same {
            self.progress.clone()
        } else {
            Progress::Counting
        };
        Self { rotation, progress }
    }

    /// Whether the same is to be done for it, whenever it was written.
    pub fn asks_the_same(&self, other: &Self) -> bool {
        let written = self.rotation.written;
        let other = other.rotation.clone();
        self.rotation == Rotation { written, ..other }
    }
}

/// How far the consumers of a rotation are.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Progress {
    /// They are being counted.
    Counting,
    /// The operator may not see Pods.
    Unseen,
    /// They were counted.
    Counted {
        /// The numbers.
        tally: Tally,
        /// What keeps a workload from being restarted, such as `Deployment/x: it is paused`; none if nothing does.
        obstacle: Option<String>,
    },
}

impl Progress {
    /// Whether every consumer has the new value.
    pub const fn is_complete(&self) -> bool {
        matches!(self, Self::Counted { tally, .. } if tally.is_complete())
    }
}

/// The consumers of all rotations together.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Pods with the new value.
    pub current: u64,
    /// Pods with a former value.
    pub stale: u64,
    /// Pods of which it is not known.
    pub unknown: u64,
    /// Rotations with Pods that may have a former value after their deadline.
    pub late: u64,
}

impl Totals {
    /// Adds a rotation. `is_late` says whether its deadline is over.
    pub fn add(&mut self, progress: &Progress, is_late: bool) {
        let Progress::Counted { tally, .. } = progress else {
            return;
        };
        let Tally {
            total,
            stale,
            unknown,
            ..
        } = tally;
        self.current += u64::from(total.saturating_sub(stale.saturating_add(*unknown)));
        self.stale += u64::from(*stale);
        self.unknown += u64::from(*unknown);
        self.late += u64::from(is_late && !tally.is_complete());
    }
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use serde_json::json;

    use super::*;
    use crate::consumers::find::Wanted;
    use crate::consumers::workload::annotation;
    use crate::ids::AttemptId;
    use crate::rotation::Owner;
    use crate::target::consumers::ConsumerPolicy;

    #[test]
    fn a_pod_that_was_restarted_for_the_rotation_has_its_value_however_late_the_write_is_thought_to_be()
     {
        let at = |second| Timestamp::from_second(second).unwrap();
        let rotation = Rotation {
            owner: Owner {
                kind: crate::api::Kind::ApiApp,
                namespace: "orders".to_owned(),
                name: "api".to_owned(),
                uid: "u".to_owned(),
            },
            attempt: AttemptId(uuid::Uuid::nil()),
            written: at(1000),
            replaced: true,
            annotation: annotation("oauth"),
            wanted: Wanted {
                secret: "oauth".to_owned(),
                keys: ["S".to_owned()].into(),
            },
            policy: ConsumerPolicy::read(None).unwrap(),
        };
        let seen = |attempt: String| {
            let key =
                json!({"name": "S", "valueFrom": {"secretKeyRef": {"name": "oauth", "key": "S"}}});
            let pod = json!({
                "metadata": {
                    "name": "p", "creationTimestamp": at(990).to_string(), "annotations": {annotation("oauth"): attempt, "other": "x"},
                },
                "spec": {"containers": [{"name": "c", "env": [key]}]},
                "status": {"containerStatuses": [{"name": "c", "state": {"running": {"startedAt": at(991).to_string()}}}]},
            });
            let mut count = Count::default();
            let view = View {
                now: at(1000) + Duration::from_hours(1),
                spans: &Spans::new(1),
                prompted: &|_, _| None,
            };
            count.see(&serde_json::from_value(pod).unwrap(), &rotation, view);
            (count.tally.total, count.tally.stale)
        };
        assert_eq!(seen(rotation.attempt.to_string()), (1, 0));
        assert_eq!(seen("of another rotation".to_owned()), (1, 1));
    }
}
