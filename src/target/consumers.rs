//! What an object asks to be done for the consumers of its Secret: `spec.consumers`, resolved. No I/O.

use std::time::Duration;

use crate::api::{Consumers, RefreshPolicy, RestartPolicy};
use crate::consumers::workload::WorkloadId;
use crate::rotation::parse_interval;
use crate::target::error::TargetError;

/// `spec.consumers`, resolved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConsumerPolicy {
    /// Whether Pods are prompted.
    pub refresh: bool,
    /// Whether workloads are restarted.
    pub restart: bool,
    /// How long consumers may take.
    pub deadline: Duration,
    /// Workloads that use the credential in a way that their Pods do not show, in order.
    pub workloads: Vec<WorkloadId>,
    /// Whether the object says any of it.
    pub is_given: bool,
}

impl ConsumerPolicy {
    /// What the deadline is where the object does not say.
    const DEADLINE: Duration = Duration::from_mins(30);

    /// Reads what the object says.
    ///
    /// # Errors
    /// A deadline that is no length of time, or a workload that cannot be restarted.
    pub fn read(given: Option<&Consumers>) -> Result<Self, TargetError> {
        let default = Consumers::default();
        let consumers = given.unwrap_or(&default);
        let deadline = match consumers.deadline.as_deref() {
            Some(text) => match parse_interval(text).map_err(TargetError::Deadline)? {
                Duration::ZERO => return Err(TargetError::DeadlineZero),
                deadline => deadline,
            },
            None => Self::DEADLINE,
        };
        let workloads = consumers.workloads.iter().flatten();
        let workloads = workloads.map(|named| {
            let id = WorkloadId::named(named);
            id.ok_or_else(|| TargetError::Workload(named.kind.clone()))
        });
        Ok(Self {
            refresh: consumers.refresh.unwrap_or_default() == RefreshPolicy::Prompt,
            restart: consumers.restart.unwrap_or_default() == RestartPolicy::WhenStale,
            deadline,
            workloads: workloads.collect::<Result<_, _>>()?,
            is_given: given.is_some(),
        })
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn defaults_prompt_and_restart_nothing_and_wrong_values_are_refused_again() {
        let read = |spec: serde_json::Value| {
            let consumers: Consumers = serde_json::from_value(spec).unwrap();
            ConsumerPolicy::read(Some(&consumers))
        };
        let default = ConsumerPolicy::read(None).unwrap();
        assert!(default.refresh && !default.restart && !default.is_given);
        assert_eq!(default.deadline, Duration::from_mins(30));
        let given = read(json!({
            "refresh": "None", "restart": "WhenStale", "deadline": "5m",
            "workloads": [{"apiVersion": "apps/v1", "kind": "Deployment", "name": "gateway"}],
        }));
        let given = given.unwrap();
        assert!(!given.refresh && given.restart && given.is_given);
        assert_eq!(given.deadline, Duration::from_mins(5));
        assert_eq!(given.workloads[0].to_string(), "Deployment/gateway");
        let error = |spec| read(spec).unwrap_err().to_string();
        let long = error(json!({"deadline": "30 m"}));
        assert!(long.starts_with("spec.consumers.deadline has"), "{long}");
        let zero = error(json!({"deadline": "0s"}));
        assert!(
            zero.starts_with("spec.consumers.deadline is zero"),
            "{zero}"
        );
        let job = json!({"workloads": [{"apiVersion": "batch/v1", "kind": "Job", "name": "x"}]});
        let job = error(job);
        assert!(job.contains("\"Job\""), "{job}");
    }
}
