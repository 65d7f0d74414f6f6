//! Follows a rotation from its trigger to the last consumer, and says what changes on the way.

use std::time::Duration;

use kube::ResourceExt as _;
use tokio::time::Instant;

use crate::api::{AppSecret, Condition, ConditionType, Status};
use crate::plugin::cli::short;
use crate::plugin::cluster::{Cluster, Listed};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::ClusterError;
use crate::plugin::output::note;
use crate::plugin::pods::{Credential, State};

/// Between two looks at the object.
const PAUSE: Duration = Duration::from_secs(1);
/// Between two counts of Pods, where the operator does not count them.
const COUNT_PAUSE: Duration = Duration::from_secs(5);

/// How a rotation ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Followed {
    /// The attempt.
    pub attempt: String,
    /// How the command ends.
    pub exit: Exit,
}

/// How far a rotation is.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Stage {
    /// Nothing was generated for the trigger yet; in a sentence.
    Waiting(String),
    /// It cannot go on by itself.
    Stuck(String),
    /// The Secret has the new value, and the operator counts who does not have it yet.
    Delivering(String),
    /// The same, and the operator sees no Pods.
    Unseen,
    /// Every Pod has it.
    Complete(String),
}

impl Stage {
    fn of(object: &AppSecret, trigger: &str, before: Option<&str>) -> Self {
        if object.spec.trigger() != Some(trigger) {
            let now = object.spec.trigger().unwrap_or("none");
            return Self::Stuck(format!(
                "someone else has changed spec.rotation.trigger meanwhile, to {now}: whether this one was carried out, the history shows"
            ));
        }
        if object.metadata.deletion_timestamp.is_some() {
            return Self::Stuck("the object is being deleted".to_owned());
        }
        let Some(status) = &object.status else {
            return Self::Waiting("waiting for the operator".to_owned());
        };
        let last = status
            .last_rotation
            .as_ref()
            .map(|last| last.attempt.as_str());
        let is_handled = status.observed_trigger.as_deref() == Some(trigger);
        let conditions = &status.conditions;
        let current = |type_| {
            let condition = conditions.get(type_);
            condition.filter(|it| it.observed_generation == object.metadata.generation)
        };
        if !is_handled || last == before || last.is_none() {
            if object.spec.is_suspended() {
                return Self::Stuck(
                    "the object is suspended: it rotates when spec.suspend is taken away"
                        .to_owned(),
                );
            }
            let stalled = current(ConditionType::Stalled).filter(|it| it.status == Status::True);
            if let Some(stalled) = stalled {
                return Self::Stuck(said(stalled));
            }
            let ready = current(ConditionType::Ready);
            let is_blocked = |ready: &&Condition| {
                conditions.is_true(ConditionType::Reconciling) || ready.status != Status::True
            };
            return Self::Waiting(
                ready
                    .filter(is_blocked)
                    .map_or_else(|| "waiting for the operator".to_owned(), said),
            );
        }
        let counted = status
            .consumers
            .as_ref()
            .map(|counted| counted.attempt.as_str());
        match conditions.get(ConditionType::ConsumersCurrent) {
            Some(consumers) if counted == last && consumers.status == Status::True => {
                Self::Complete(consumers.message.clone())
            }
            Some(consumers) if counted == last && consumers.status == Status::False => {
                Self::Delivering(said(consumers))
            }
            _ => Self::Unseen,
        }
    }
}

fn said(condition: &Condition) -> String {
    format!("{}: {}", condition.reason, condition.message)
}

/// Follows the rotation that `trigger` asked for of an object as it was before. Ends when every Pod has the new value; where neither the
/// operator nor the caller may see Pods, when the Secret has it.
pub async fn to_the_last_consumer(
    cluster: &Cluster,
    object: &AppSecret,
    trigger: &str,
    timeout: Duration,
) -> Result<Followed, Failure> {
    let (kind, name) = (object.kind, object.name_any());
    let before = object
        .status
        .as_ref()
        .and_then(|status| status.last_rotation.as_ref());
    let before = before.map(|last| last.attempt.clone());
    let ends = Instant::now() + timeout;
    let mut last_said = String::new();
    let mut say = |text: &str| {
        if text != last_said {
            note(text);
            text.clone_into(&mut last_said);
        }
    };
    let mut is_written = false;
    loop {
        let mut pause = PAUSE;
        let mut so_far = String::new();
        match cluster.get::<AppSecret>(kind, &name).await {
            Ok(Listed::Read(object)) => {
                let stage = Stage::of(&object, trigger, before.as_deref());
                let attempt = attempt_of(&object);
                let followed = |exit| Followed {
                    attempt: attempt.clone(),
                    exit,
                };
                if !is_written && !matches!(stage, Stage::Waiting(_) | Stage::Stuck(_)) {
                    is_written = true;
                    say(&format!(
                        "the Secret has the new client secret (attempt {attempt})"
                    ));
                }
                match stage {
                    Stage::Waiting(text) | Stage::Delivering(text) => so_far = text,
                    Stage::Stuck(text) => return Err(Failure::Finding(text)),
                    Stage::Complete(text) => {
                        say(&text);
                        return Ok(followed(Exit::Fine));
                    }
                    Stage::Unseen => match delivered(cluster, &object).await? {
                        Delivered::All(text) | Delivered::Unseen(text) => {
                            say(&text);
                            return Ok(followed(Exit::Fine));
                        }
                        Delivered::Not(text) => {
                            pause = COUNT_PAUSE;
                            so_far = text;
                        }
                    },
                }
                say(&so_far);
            }
            Ok(Listed::Unreadable(_)) => {
                let text = "the object was written for another version of the API meanwhile";
                return Err(Failure::Finding(text.to_owned()));
            }
            Err(
                error @ (ClusterError::TimedOut { .. }
                | ClusterError::Unreachable(_)
                | ClusterError::Unavailable { .. }),
            ) => say(&format!("{error}; trying again")),
            Err(error) => return Err(error.into()),
        }
        if Instant::now() + pause >= ends {
            return Err(Failure::Timeout(format!(
                "not complete after {} s, and it goes on without this command{}; `kubectl zitadel-secret status {}/{name}` shows how far it is",
                timeout.as_secs(),
                if so_far.is_empty() {
                    so_far
                } else {
                    format!(" ({so_far})")
                },
                short(kind)
            )));
        }
        tokio::time::sleep(pause).await;
    }
}

fn attempt_of(object: &AppSecret) -> String {
    let status = object.status.as_ref();
    let last = status.and_then(|status| status.last_rotation.as_ref());
    last.map(|last| last.attempt.clone()).unwrap_or_default()
}

/// Who has the new value, by the caller's own rights.
enum Delivered {
    All(String),
    Not(String),
    Unseen(String),
}

async fn delivered(cluster: &Cluster, object: &AppSecret) -> Result<Delivered, Failure> {
    let credential = Credential::read(object)?;
    let consumers = match credential.consumers(cluster).await {
        Ok(consumers) => consumers,
        Err(error @ ClusterError::Denied(_)) => {
            return Ok(Delivered::Unseen(format!(
                "which Pods have the new client secret is not known: the operator does not see them, and {error}"
            )));
        }
        Err(error) => return Err(error.into()),
    };
    let behind: Vec<_> = consumers.iter().filter(|it| it.state.is_behind()).collect();
    let Some(first) = behind.first() else {
        return Ok(Delivered::All(match consumers.len() {
            0 => "no Pod uses the Secret".to_owned(),
            count => format!("all {count} Pods that use the Secret have the new client secret"),
        }));
    };
    let restart = if behind.iter().any(|it| it.state == State::Former) {
        format!(
            ". In another terminal: kubectl zitadel-secret consumers {}/{} --restart",
            short(object.kind),
            object.name_any()
        )
    } else {
        String::new()
    };
    Ok(Delivered::Not(format!(
        "{} of {} Pods may still have the former client secret, such as {}{restart}",
        behind.len(),
        consumers.len(),
        first.pod
    )))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;

    fn stage(change: impl FnOnce(&mut Value)) -> Stage {
        let condition = |type_: &str, status: &str, reason: &str| {
            json!({
                "type": type_, "status": status, "reason": reason, "message": "m", "observedGeneration": 2,
                "lastTransitionTime": "2026-11-30T12:00:00Z",
            })
        };
        let mut object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u", "generation": 2},
            "spec": {"projectId": "1", "appId": "2", "rotation": {"trigger": "t"}},
            "status": {
                "observedTrigger": "t", "lastRotation": {"time": "2026-11-30T12:00:00Z", "reason": "Trigger", "attempt": "b"},
                "consumers": {"attempt": "b", "total": 1, "current": 1, "stale": 0, "unknown": 0},
                "conditions": [condition("Ready", "True", "UpToDate"), condition("ConsumersCurrent", "True", "AllCurrent")],
            },
        });
        change(&mut object);
        Stage::of(&serde_json::from_value(object).unwrap(), "t", Some("a"))
    }

    #[test]
    fn a_rotation_is_complete_when_the_consumers_of_its_own_attempt_are() {
        assert_eq!(stage(|_| ()), Stage::Complete("m".to_owned()));
        let of_another = stage(|it| it["status"]["consumers"]["attempt"] = json!("a"));
        assert_eq!(of_another, Stage::Unseen);
        let behind = stage(|it| it["status"]["conditions"][1]["status"] = json!("False"));
        assert_eq!(behind, Stage::Delivering("AllCurrent: m".to_owned()));
        let unseen = stage(|it| it["status"]["conditions"][1]["status"] = json!("Unknown"));
        assert_eq!(unseen, Stage::Unseen);
    }

    #[test]
    fn until_its_own_trigger_is_handled_it_waits_or_is_stuck() {
        let waiting = Stage::Waiting("waiting for the operator".to_owned());
        let before = |it: &mut Value| it["status"]["observedTrigger"] = json!("s");
        assert_eq!(stage(before), waiting);
        assert_eq!(
            stage(|it| it["status"]["lastRotation"]["attempt"] = json!("a")),
            waiting
        );
        let stalled = stage(|it| {
            before(it);
            it["status"]["conditions"][0]["type"] = json!("Stalled");
        });
        assert_eq!(stalled, Stage::Stuck("UpToDate: m".to_owned()));
        let blocked = stage(|it| {
            before(it);
            it["status"]["conditions"][0]["status"] = json!("False");
        });
        assert_eq!(blocked, Stage::Waiting("UpToDate: m".to_owned()));
        assert!(matches!(
            stage(|it| it["spec"]["suspend"] = json!(true)),
            Stage::Complete(_)
        ));
        let suspended = stage(|it| {
            before(it);
            it["spec"]["suspend"] = json!(true);
        });
        assert!(matches!(suspended, Stage::Stuck(_)));
        let undone = stage(|it| it["spec"]["rotation"]["trigger"] = json!("u"));
        assert!(matches!(undone, Stage::Stuck(_)));
    }
}
