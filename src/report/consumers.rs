//! The consumers of a credential in the status: numbers, condition, sentence. No I/O.

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{
    AppSecretStatus, Behind, ConditionType, ConsumersStatus, Reason, Status, seconds,
};
use crate::consumers::rotation::Rotation;
use crate::consumers::tally::{Consumer, Followed, Progress, Tally};
use crate::reconcile::consumers::Seen;

/// Consumers that a sentence names.
const NAMED: usize = 3;

/// Reports what is known of the consumers. `now` is the time of conditions, `time` the control plane's.
pub fn report(
    status: &mut AppSecretStatus,
    seen: &Seen,
    generation: Option<i64>,
    now: Timestamp,
    time: Timestamp,
) {
    let Followed { rotation, progress } = match seen {
        Seen::AsReported => return,
        Seen::Nothing => {
            status.consumers = None;
            status.conditions.remove(ConditionType::ConsumersCurrent);
            return;
        }
        Seen::Followed(followed) => &**followed,
    };
    let secret = &rotation.wanted.secret;
    // NB: the time may step back a little. What was late stays so until it is through.
    let same = status.consumers.as_ref();
    let same = same.is_some_and(|it| it.attempt == rotation.attempt.to_string());
    let was = status.conditions.get(ConditionType::ConsumersCurrent);
    let was_late = was.is_some_and(|was| was.reason == Reason::DeadlineExceeded.as_str());
    let is_late = rotation.deadline() <= time || (same && was_late);
    let behind = if is_late {
        Reason::DeadlineExceeded
    } else {
        Reason::RollingOut
    };
    let (holds, reason, message) = match progress {
        Progress::Unseen => (
            Status::Unknown,
            Reason::ConsumersUnseen,
            format!(
                "The operator may not see the Pods of namespace {}, so it is not known whether those that use Secret {secret} have the new client secret: set consumers.refresh or consumers.restart in the chart",
                rotation.owner.namespace
            ),
        ),
        Progress::Counting => (
            Status::False,
            behind,
            format!("The Pods that use Secret {secret} are being counted"),
        ),
        Progress::Counted { tally, .. } if tally.is_complete() => (
            Status::True,
            Reason::AllCurrent,
            match tally.total {
                0 => format!("No Pod uses Secret {secret}"),
                1 => format!("The Pod that uses Secret {secret} has the new client secret"),
                total => {
                    format!("All {total} Pods that use Secret {secret} have the new client secret")
                }
            },
        ),
        Progress::Counted { tally, obstacle } => (
            Status::False,
            behind,
            sentence(rotation, tally, obstacle.as_deref()),
        ),
    };
    status.consumers = match progress {
        Progress::Unseen => None,
        Progress::Counting => Some(ConsumersStatus {
            attempt: rotation.attempt.to_string(),
            ..ConsumersStatus::default()
        }),
        Progress::Counted { tally, .. } => Some(numbers(rotation, tally)),
    };
    let type_ = ConditionType::ConsumersCurrent;
    let conditions = &mut status.conditions;
    conditions.set(type_, holds, reason, message, generation, now);
}

fn numbers(rotation: &Rotation, tally: &Tally) -> ConsumersStatus {
    let behind = tally.behind.iter().map(|consumer| Behind {
        pod: consumer.pod.clone(),
        workload: consumer.workload.clone(),
        container: consumer.which.container.clone(),
        how: consumer.which.how.to_owned(),
        since: consumer.which.since.map(|since| Time(seconds(since))),
    });
    ConsumersStatus {
        attempt: rotation.attempt.to_string(),
        total: tally.total.into(),
        current: tally
            .total
            .saturating_sub(tally.stale + tally.unknown)
            .into(),
        stale: tally.stale.into(),
        unknown: tally.unknown.into(),
        behind: behind.take(ConsumersStatus::BEHIND).collect(),
    }
}

/// Which consumers are behind, and what is done about it or what a person can do.
fn sentence(rotation: &Rotation, tally: &Tally, obstacle: Option<&str>) -> String {
    let secret = &rotation.wanted.secret;
    let late = tally.stale + tally.unknown;
    let named: Vec<_> = tally.behind.iter().take(NAMED).map(name).collect();
    let rest = late as usize - named.len().min(late as usize);
    let more = if rest == 0 {
        String::new()
    } else {
        format!(" and {rest} more")
    };
    let next = match obstacle {
        Some(obstacle) => format!(". {obstacle}"),
        None if tally.needs_restart && rotation.policy.restart && rotation.replaced => {
            ". Their workloads are restarted, a few at a time".to_owned()
        }
        None if tally.needs_restart => {
            ". Restart them, or set spec.consumers.restart: WhenStale".to_owned()
        }
        None => String::new(),
    };
    format!(
        "{late} of {} Pods that use Secret {secret} may still have the former client secret: {}{more}{next}",
        tally.total.max(late),
        named.join(", ")
    )
}

/// A consumer in a sentence, such as `web-1 (Deployment/web, container app: environment)`.
fn name(consumer: &Consumer) -> String {
    let how = consumer.which.how;
    let container = consumer.which.container.as_ref();
    let container = container.map(|container| format!("container {container}: {how}"));
    let details = [
        consumer.pod.as_ref().and(consumer.workload.clone()),
        container.or_else(|| Some(how.to_owned())),
    ];
    let details: Vec<_> = details.into_iter().flatten().collect();
    let name = consumer.pod.as_ref().or(consumer.workload.as_ref());
    let name = name.map_or("a Pod", String::as_str);
    format!("{name} ({})", details.join(", "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::AppSecret;
    use crate::consumers::find::Wanted;
    use crate::consumers::judge::Which;
    use crate::ids::AttemptId;
    use crate::target::{Target, owner};

    fn at(seconds: i64) -> Timestamp {
        Timestamp::from_second(seconds).unwrap()
    }

    fn rotation(restart: bool) -> Rotation {
        let object = serde_json::json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"}, "spec": {"projectId": "1", "appId": "2"},
        });
        let object: AppSecret = serde_json::from_value(object).unwrap();
        let target = Target::read(&object, std::time::Duration::from_secs(1)).unwrap();
        let mut policy = target.consumers;
        policy.restart = restart;
        Rotation {
            owner: owner(&object),
            attempt: AttemptId(uuid::Uuid::nil()),
            written: at(1000),
            replaced: true,
            annotation: String::new(),
            wanted: Wanted {
                secret: "oauth".to_owned(),
                keys: ["A".to_owned()].into(),
            },
            policy,
        }
    }

    fn told(progress: Progress, restart: bool, now: i64) -> (Status, String, String) {
        let mut status = AppSecretStatus::default();
        let seen = Seen::Followed(Box::new(Followed {
            rotation: rotation(restart),
            progress,
        }));
        report(&mut status, &seen, Some(1), at(now), at(now));
        let told = status.conditions.get(ConditionType::ConsumersCurrent);
        let told = told.unwrap();
        (told.status, told.reason.clone(), told.message.clone())
    }

    fn counted(total: u32, stale: u32, obstacle: Option<&str>) -> Progress {
        let consumer = |number| Consumer {
            pod: Some(format!("web-{number}")),
            workload: Some("Deployment/web".to_owned()),
            which: Which {
                container: Some("app".to_owned()),
                how: "environment",
                since: Some(at(500)),
            },
        };
        Progress::Counted {
            tally: Tally {
                total,
                stale,
                unknown: 0,
                needs_restart: stale > 0,
                behind: (0..stale.min(10)).map(consumer).collect(),
            },
            obstacle: obstacle.map(ToOwned::to_owned),
        }
    }

    #[test]
    fn it_is_said_who_is_behind_and_what_can_be_done() {
        let (holds, reason, message) = told(counted(5, 4, None), false, 1010);
        assert_eq!((holds, reason.as_str()), (Status::False, "RollingOut"));
        assert_eq!(
            message,
            "4 of 5 Pods that use Secret oauth may still have the former client secret: web-0 (Deployment/web, container app: environment), \
             web-1 (Deployment/web, container app: environment), web-2 (Deployment/web, container app: environment) and 1 more. Restart \
             them, or set spec.consumers.restart: WhenStale"
        );
        let (.., message) = told(counted(5, 1, None), true, 1010);
        assert!(
            message.ends_with("Their workloads are restarted, a few at a time"),
            "{message}"
        );
        let paused = "Deployment/web: it is paused: resume it";
        let (_, reason, message) = told(counted(5, 1, Some(paused)), true, 1000 + 1801);
        assert_eq!(reason, "DeadlineExceeded");
        assert!(message.ends_with(paused), "{message}");
    }

    #[test]
    fn all_of_them_none_and_unseen_are_told_apart() {
        for (progress, expected) in [
            (
                counted(3, 0, None),
                (
                    Status::True,
                    "AllCurrent",
                    "All 3 Pods that use Secret oauth have",
                ),
            ),
            (
                counted(0, 0, None),
                (Status::True, "AllCurrent", "No Pod uses Secret oauth"),
            ),
            (
                Progress::Unseen,
                (
                    Status::Unknown,
                    "ConsumersUnseen",
                    "The operator may not see the Pods of namespace orders",
                ),
            ),
            (
                Progress::Counting,
                (
                    Status::False,
                    "RollingOut",
                    "The Pods that use Secret oauth are being counted",
                ),
            ),
        ] {
            let (holds, reason, message) = told(progress, false, 1010);
            assert_eq!((holds, reason.as_str()), (expected.0, expected.1));
            assert!(message.starts_with(expected.2), "{message}");
        }
    }

    #[test]
    fn the_status_counts_and_names_ten_at_most_and_goes_with_its_rotation() {
        let mut status = AppSecretStatus::default();
        let seen = Seen::Followed(Box::new(Followed {
            rotation: rotation(false),
            progress: counted(500, 400, None),
        }));
        report(&mut status, &seen, Some(1), at(1010), at(1010));
        let numbers = status.consumers.clone().unwrap();
        assert_eq!(
            (numbers.total, numbers.current, numbers.stale),
            (500, 100, 400)
        );
        assert_eq!(numbers.behind.len(), 10);
        assert_eq!(numbers.behind[0].since, Some(Time(at(500))));
        let before = status.clone();
        report(&mut status, &Seen::AsReported, Some(2), at(1020), at(1020));
        assert_eq!(status, before);
        report(&mut status, &Seen::Nothing, Some(2), at(1020), at(1020));
        assert_eq!(status, AppSecretStatus::default());
    }
}
