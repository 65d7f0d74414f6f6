//! The connections, by what the operator says of them. No I/O.

use jiff::{SignedDuration, Timestamp};
use kube::ResourceExt as _;

use crate::api::{ConditionType, KeyRef, Status, ZitadelConnection};
use crate::plugin::cluster::{Listed, Metadata};
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::operators::Operators;
use crate::plugin::output::span;
use crate::plugin::standing::Standing;

/// A credential that expires within this time is to be replaced, as the alert `ZitadelConnectionCredentialExpiring` has it.
const SOON: SignedDuration = SignedDuration::from_hours(14 * 24);

/// A connection as kubectl takes it.
pub fn object(name: &str) -> String {
    format!("zitadelconnection.zitadel-secrets.dev/{name}")
}

/// Judges all of them.
pub fn judge(
    connections: &[Listed<ZitadelConnection>],
    operators: &Operators,
    now: Timestamp,
) -> Vec<Finding> {
    if connections.is_empty() {
        let message =
            "there is no ZitadelConnection: create one, as examples/minimal/connection.yaml does";
        let command = "kubectl apply --filename connection.yaml";
        return vec![Finding::new(Check::Connection, Verdict::Warning, message).fix(command)];
    }
    let findings = connections.iter().flat_map(|connection| match connection {
        Listed::Read(connection) => {
            let name = object(&connection.name_any());
            let findings = std::iter::once(ready(connection, operators, now));
            let findings = findings.chain(credential(connection, operators, now));
            findings.map(|it| it.about("", name.as_str())).collect()
        }
        Listed::Unreadable(Metadata { name, .. }) => {
            let message = Standing::unreadable().message;
            let finding = Finding::new(Check::Connection, Verdict::Warning, message);
            vec![finding.about("", object(name))]
        }
    });
    findings.collect()
}

fn ready(connection: &ZitadelConnection, operators: &Operators, now: Timestamp) -> Finding {
    let of = |verdict, message| Finding::new(Check::Connection, verdict, message);
    let class = connection.spec.class();
    let describe = format!(
        "kubectl describe zitadelconnection {}",
        connection.name_any()
    );
    if operators.are_known(now) && !operators.installations().any(|it| it.class == class) {
        let message = format!("no operator has its controllerClass {class}");
        return of(Verdict::Problem, message).fix(format!(
            "kubectl edit zitadelconnection {}",
            connection.name_any()
        ));
    }
    let status = connection.status.as_ref();
    let ready = status.and_then(|status| status.conditions.get(ConditionType::Ready));
    let Some(ready) = ready else {
        let message = "no operator has checked it".to_owned();
        return of(Verdict::Warning, message).fix(describe);
    };
    if ready.observed_generation != connection.metadata.generation {
        let message = format!(
            "the operator has not checked it since its last edit; before, it was: {}",
            ready.message
        );
        return of(Verdict::Warning, message).fix(describe);
    }
    if ready.status != Status::True {
        let message = format!(
            "{}: {}: {}",
            whereto(connection),
            ready.reason,
            ready.message
        );
        return of(Verdict::Problem, message).fix(describe);
    }
    let message = format!("{}: {}", whereto(connection), ready.message);
    let journal = status.and_then(|status| status.api.as_ref());
    if journal.is_some_and(|api| api.journal == "Unreadable") {
        let message = format!(
            "{message}. Its journal cannot be read, so that a lost client secret is found later: see docs/zitadel.md"
        );
        return of(Verdict::Info, message);
    }
    of(Verdict::Ok, message)
}

/// Where it goes: the issuer, and what is dialed instead.
fn whereto(connection: &ZitadelConnection) -> String {
    let url = &connection.spec.url;
    match &connection.spec.endpoint {
        Some(endpoint) => format!("{url} at {endpoint}"),
        None => url.clone(),
    }
}

/// When the operator's credential expires, if it says so.
fn credential(
    connection: &ZitadelConnection,
    operators: &Operators,
    now: Timestamp,
) -> Option<Finding> {
    let of = |verdict, message| Some(Finding::new(Check::Credential, verdict, message));
    let status = connection.status.as_ref()?;
    let Some(expiry) = status.credential_expiry.as_ref() else {
        // NB: one that could not be used says nothing of its expiry either.
        return if status.conditions.is_true(ConditionType::Ready) {
            of(
                Verdict::Info,
                "when it expires is not known: a personal access token does not say so, nor does a key without an expiration date"
                    .to_owned(),
            )
        } else {
            None
        };
    };
    let left = expiry.0.duration_since(now);
    let replace = |finding: Finding| match replacing(connection, operators) {
        Some(command) => finding.fix(command),
        None => finding,
    };
    let words = "create another key for the service user in ZITADEL, and replace the Secret";
    if !left.is_positive() {
        let message = format!("it expired {} ago, at {}: {words}", span(-left), expiry.0);
        return of(Verdict::Problem, message).map(replace);
    }
    if left < SOON {
        let message = format!("it expires in {}, at {}: {words}", span(left), expiry.0);
        return of(Verdict::Warning, message).map(replace);
    }
    of(Verdict::Ok, format!("it expires in {}", span(left)))
}

/// What puts another credential in place of the one that there is.
fn replacing(connection: &ZitadelConnection, operators: &Operators) -> Option<String> {
    let KeyRef { name, key } = connection.spec.auth.method()?.key();
    let class = connection.spec.class();
    let mut installations = operators.installations();
    let own = installations.find(|it| it.class == class)?;
    Some(format!(
        "kubectl create secret generic {name} --namespace {} --from-file={key}=FILE --dry-run=client --output yaml | kubectl replace --filename -",
        own.namespace
    ))
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::plugin::doctor::fixtures::{installation, now};
    use crate::plugin::doctor::operators::Place;

    fn judged(change: impl FnOnce(&mut Value)) -> Vec<(Check, Verdict)> {
        let mut connection = json!({
            "apiVersion": "zitadel-secrets.dev/v1alpha1", "kind": "ZitadelConnection",
            "metadata": {"name": "default", "generation": 2},
            "spec": {
                "url": "https://iam.example.com", "controllerClass": "b",
                "auth": {"serviceAccountKey": {"secretKeyRef": {"name": "k", "key": "key.json"}}},
            },
            "status": {
                "credentialExpiry": "2027-11-30T12:00:00Z",
                "conditions": [{
                    "type": "Ready", "status": "True", "reason": "Connected", "message": "Connected", "observedGeneration": 2,
                    "lastTransitionTime": "2026-11-30T11:00:00Z",
                }],
            },
        });
        change(&mut connection);
        let connection = Listed::Read(serde_json::from_value(connection).unwrap());
        let place = Place {
            namespace: "operators".to_owned(),
            installations: vec![(installation(&[]), Ok(Vec::new()))],
            lease: Ok([None, None]),
        };
        let operators = Operators {
            places: vec![place],
            ..Operators::default()
        };
        let all = judge(&[connection], &operators, now());
        all.iter().map(|it| (it.check, it.result)).collect()
    }

    #[test]
    fn a_connection_is_what_the_operator_says_of_its_last_generation() {
        let first = |change: fn(&mut Value)| judged(change)[0];
        assert_eq!(
            judged(|_| {}),
            [
                (Check::Connection, Verdict::Ok),
                (Check::Credential, Verdict::Ok)
            ]
        );
        assert_eq!(
            first(|it| it["metadata"]["generation"] = 3.into()).1,
            Verdict::Warning
        );
        assert_eq!(
            first(|it| it["status"]["conditions"][0]["status"] = "False".into()).1,
            Verdict::Problem
        );
        assert_eq!(
            first(|it| it["spec"]["controllerClass"] = "c".into()).1,
            Verdict::Problem
        );
        assert_eq!(first(|it| it["status"] = json!({})).1, Verdict::Warning);
        assert_eq!(
            first(|it| it["status"]["api"] = json!({"inUse": "V1", "journal": "Unreadable"})).1,
            Verdict::Info
        );
    }

    #[test]
    fn a_credential_is_replaced_two_weeks_before_it_expires() {
        for (expiry, verdict) in [
            (json!("2026-11-30T11:59:59Z"), Verdict::Problem),
            (json!("2026-12-14T11:59:59Z"), Verdict::Warning),
            (json!("2026-12-14T12:00:00Z"), Verdict::Ok),
            (Value::Null, Verdict::Info),
        ] {
            let found = judged(|it| it["status"]["credentialExpiry"] = expiry.clone());
            assert_eq!(found[1], (Check::Credential, verdict), "{expiry}");
        }
    }
}
