//! What a rotation of an object would do now, in sentences. No I/O.

use jiff::Timestamp;

use crate::api::{AppSecret, AppSecretStatus, ConditionType, OverlapEnd, Status};
use crate::plugin::fault::ClusterError;
use crate::plugin::output::span;
use crate::plugin::pods::Consumer;
use crate::target::Target;

/// So many Pods are named.
const NAMED: usize = 10;

/// What is known before a rotation.
pub struct Forecast<'a> {
    /// The object.
    pub object: &'a AppSecret,
    /// What it asks for.
    pub target: &'a Target,
    /// The Pods that use its Secret, or why they are not known.
    pub pods: Result<&'a [Consumer], &'a ClusterError>,
    /// The time.
    pub now: Timestamp,
}

impl Forecast<'_> {
    /// The sentences, one a line.
    pub fn lines(&self) -> Vec<String> {
        let owner = &self.target.owner;
        let subject = format!(
            "A rotation of {} {}/{} generates a new client secret of app {} for Secret {}:",
            owner.kind, owner.namespace, owner.name, self.target.app.app, self.target.secret.name
        );
        let sentences = [
            self.state(),
            self.window(),
            Some(self.former()),
            Some(self.consumers()),
        ];
        let sentences = sentences.into_iter().flatten();
        let sentences = sentences.map(|sentence| format!("* {sentence}"));
        std::iter::once(subject).chain(sentences).collect()
    }

    fn status(&self) -> Option<&AppSecretStatus> {
        self.object.status.as_ref()
    }

    /// What may keep it from being carried out.
    fn state(&self) -> Option<String> {
        if self.target.deleting {
            return Some("The object is being deleted: nothing is rotated any more".to_owned());
        }
        if self.target.suspended {
            return Some(
                "It is suspended: the rotation waits until spec.suspend is taken away".to_owned(),
            );
        }
        let Some(status) = self.status() else {
            return Some("No operator has reconciled it yet: check that one runs".to_owned());
        };
        let stalled = status.conditions.get(ConditionType::Stalled);
        if let Some(stalled) = stalled.filter(|stalled| stalled.status == Status::True) {
            return Some(format!(
                "It is stalled ({}), and a trigger may not be enough: {}",
                stalled.reason, stalled.message
            ));
        }
        let open = status.attempt.as_ref()?;
        Some(format!(
            "A rotation is under way ({}): this would be another one after it",
            open.reason
        ))
    }

    /// When it starts; none where that depends on something else.
    fn window(&self) -> Option<String> {
        if self.target.deleting || self.target.suspended {
            return None;
        }
        let schedule = self.target.schedule.describe();
        Some(match self.target.schedule.closed_until(self.now) {
            Some(opens) if opens == Timestamp::MAX => {
                format!("It starts at once, although no window ever opens ({schedule})")
            }
            Some(opens) => format!(
                "It starts at once, outside of its windows: the next one opens at {opens:.0}, in {} ({schedule})",
                span(opens.duration_since(self.now))
            ),
            None => format!("It starts at once ({schedule})"),
        })
    }

    /// What becomes of the value that is in use.
    fn former(&self) -> String {
        if self.object.spec.standby.is_none() {
            return "The present client secret stops working at once: whoever holds it is rejected until it has the new one".to_owned();
        }
        let overlap = self
            .object
            .spec
            .rotation
            .as_ref()
            .and_then(|it| it.overlap.as_ref());
        let until = match overlap {
            None => "until the next rotation".to_owned(),
            Some(overlap) => {
                let mut parts = Vec::new();
                parts.extend(
                    overlap
                        .minimum
                        .as_ref()
                        .map(|minimum| format!("for {minimum}")),
                );
                if overlap.until == Some(OverlapEnd::ConsumersCurrent) {
                    parts.push("until every Pod has the new one".to_owned());
                }
                parts.extend(
                    overlap
                        .maximum
                        .as_ref()
                        .map(|maximum| format!("at most for {maximum}")),
                );
                parts.join(", ")
            }
        };
        let previous = self.status().and_then(|status| status.previous.as_ref());
        let before = previous.map_or_else(String::new, |previous| {
            format!(
                ". The pair before it (client id {}), which still works, stops working at once",
                previous.client_id
            )
        });
        format!(
            "The present client secret keeps working {until}, because there is a standby{before}"
        )
    }

    /// Which Pods keep the value that they have.
    fn consumers(&self) -> String {
        let pods = match self.pods {
            Ok(pods) => pods,
            Err(error) => return format!("Which Pods use the Secret is not known: {error}"),
        };
        let keep: Vec<_> = pods.iter().filter(|pod| pod.keeps).collect();
        let secret = &self.target.secret.name;
        if pods.is_empty() {
            return format!("No Pod of the namespace uses Secret {secret}");
        }
        if keep.is_empty() {
            return format!(
                "{} {secret}, all in mounted files, which the kubelet refreshes",
                match pods.len() {
                    1 => "1 Pod uses Secret".to_owned(),
                    count => format!("{count} Pods use Secret"),
                }
            );
        }
        let names = keep.iter().take(NAMED).map(|pod| match &pod.owner {
            Some(owner) => format!("{} ({owner})", pod.pod),
            None => pod.pod.clone(),
        });
        let names: Vec<_> = names.collect();
        let rest = match keep.len() - names.len() {
            0 => String::new(),
            rest => format!(" and {rest} more"),
        };
        let then = if self.target.consumers.restart {
            "the operator restarts their workloads, where it has the right".to_owned()
        } else {
            format!(
                "restart them afterwards, with `kubectl zitadel-secret consumers {} --restart`",
                self.target.owner.name
            )
        };
        format!(
            "{} of {} Pods that use Secret {secret} keep the old value until they are restarted: {}{rest}; {then}",
            keep.len(),
            pods.len(),
            names.join(", ")
        )
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::fault::Asked;
    use crate::plugin::pods::{State, Used};

    fn forecast(spec: &Value, status: &Value, pods: Result<&[Consumer], &ClusterError>) -> String {
        let mut object = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ApiAppSecret",
            "metadata": {"name": "api", "namespace": "orders", "uid": "u"},
            "spec": {"projectId": "1", "appId": "2"}, "status": status,
        });
        for (name, value) in spec.as_object().unwrap() {
            object["spec"][name] = value.clone();
        }
        let object: AppSecret = serde_json::from_value(object).unwrap();
        let target = Target::read_unlimited(&object).unwrap();
        let now = "2026-11-30T12:00:00Z".parse().unwrap();
        let forecast = Forecast {
            object: &object,
            target: &target,
            pods,
            now,
        };
        forecast.lines().join("\n")
    }

    fn pod(name: &str, keeps: bool) -> Consumer {
        Consumer {
            pod: name.to_owned(),
            owner: Some("Deployment/web".to_owned()),
            uses: vec![Used {
                container: "app".to_owned(),
                how: "environment",
            }],
            since: None,
            state: State::Current,
            why: None,
            workload: None,
            keeps,
        }
    }

    #[test]
    fn it_says_when_what_stops_working_and_who_keeps_the_old_value() {
        let pods = [pod("web-1", true), pod("web-2", false)];
        assert_eq!(
            forecast(&json!({}), &json!({}), Ok(&pods)),
            "A rotation of ApiAppSecret orders/api generates a new client secret of app 2 for Secret api:\n\
             * It starts at once (on trigger only)\n\
             * The present client secret stops working at once: whoever holds it is rejected until it has the new one\n\
             * 1 of 2 Pods that use Secret api keep the old value until they are restarted: web-1 (Deployment/web); restart them afterwards, \
             with `kubectl zitadel-secret consumers api --restart`"
        );
        let text = forecast(
            &json!({"consumers": {"restart": "WhenStale"}}),
            &json!({}),
            Ok(&pods),
        );
        assert!(
            text.contains("the operator restarts their workloads"),
            "{text}"
        );
        let text = forecast(&json!({}), &json!({}), Ok(&pods[1..]));
        assert!(
            text.contains("1 Pod uses Secret api, all in mounted files"),
            "{text}"
        );
        let denied = ClusterError::Denied(Asked::of("list", "pods", Some("orders")));
        let text = forecast(&json!({}), &json!({}), Err(&denied));
        assert!(
            text.contains("not known: you may not list pods in namespace orders"),
            "{text}"
        );
    }

    #[test]
    fn a_window_that_is_closed_is_said() {
        let windows = json!([{"name": "w", "schedule": "0 3 * * *", "duration": "2h"}]);
        let rotation = json!({"rotation": {"interval": "30d", "windows": windows}});
        let text = forecast(&rotation, &json!({}), Ok(&[]));
        let closed = "outside of its windows: the next one opens at 2026-12-01T03:00:00Z, in 15h";
        assert!(text.contains(closed), "{text}");
        assert!(
            text.contains("No Pod of the namespace uses Secret api"),
            "{text}"
        );
    }

    #[test]
    fn with_a_standby_the_present_pair_goes_on_and_the_one_before_it_ends() {
        let spec = json!({
            "standby": {"type": "Existing", "appId": "3"},
            "rotation": {"overlap": {"minimum": "1h", "until": "ConsumersCurrent", "maximum": "7d"}},
        });
        let previous = json!({"previous": {"appId": "3", "clientId": "c@p"}});
        let text = forecast(&spec, &previous, Ok(&[]));
        let until = "keeps working for 1h, until every Pod has the new one, at most for 7d";
        assert!(text.contains(until), "{text}");
        assert!(
            text.contains("(client id c@p), which still works, stops working at once"),
            "{text}"
        );
    }

    #[test]
    fn what_may_keep_it_from_being_carried_out_comes_first() {
        let stalled = json!({"conditions": [{
            "type": "Stalled", "status": "True", "reason": "NotGranted", "message": "no grant", "lastTransitionTime": "2026-11-30T11:00:00Z",
        }]});
        for (spec, status, part) in [
            (json!({"suspend": true}), json!({}), "It is suspended"),
            (json!({}), Value::Null, "No operator has reconciled it"),
            (json!({}), stalled, "It is stalled (NotGranted)"),
            (
                json!({}),
                json!({"attempt": {"id": "a", "phase": "Open", "reason": "Due"}}),
                "A rotation is under way (Due)",
            ),
        ] {
            let text = forecast(&spec, &status, Ok(&[]));
            assert!(text.contains(part), "{text}");
        }
        let text = forecast(&json!({"suspend": true}), &json!({}), Ok(&[]));
        assert!(!text.contains("at once ("), "{text}");
    }
}
