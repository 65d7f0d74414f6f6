//! Objects that no operator reconciles, or that need attention. No I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::api::{Kind, Reason, ZitadelConnection};
use crate::plugin::cluster::{Listed, Metadata, Scope};
use crate::plugin::doctor::connections;
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::operators::Operators;
use crate::plugin::standing::{Shown, Standing};

/// An object, as far as it matters here.
pub struct Owned {
    /// Its kind.
    pub kind: Kind,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
    /// Its uid.
    pub uid: String,
    /// Its connection.
    pub connection: String,
    /// The project of its applications.
    pub project: String,
    /// Its applications.
    pub apps: Vec<String>,
    /// How urgent it is.
    pub standing: Standing,
}

impl Owned {
    /// Keeps of an object what is judged.
    pub fn of(kind: Kind, object: Listed<Shown>, now: Timestamp) -> Self {
        let (standing, object) = match object {
            Listed::Read(object) => (Standing::of_object(&object, now), object),
            Listed::Unreadable(metadata) => {
                let object = Shown {
                    metadata,
                    ..Shown::default()
                };
                (Standing::unreadable(), object)
            }
        };
        let Metadata {
            namespace,
            name,
            uid,
            ..
        } = object.metadata;
        let (spec, status) = (object.spec, object.status);
        let connection = spec.connection_ref.map(|reference| reference.name);
        let standby = spec.standby.and_then(|standby| standby.app_id);
        let others = [standby, status.active_app_id, status.standby_app_id];
        Self {
            kind,
            namespace,
            name,
            uid,
            connection: connection.unwrap_or_else(|| "default".to_owned()),
            project: spec.project_id,
            apps: std::iter::once(spec.app_id)
                .chain(others.into_iter().flatten())
                .collect(),
            standing,
        }
    }
}

/// The connections by name; none for one that this version cannot read.
pub type Connections = BTreeMap<String, Option<ZitadelConnection>>;

/// The objects of the scope, and what they are judged by.
pub struct Known<'a> {
    /// All objects of the scope.
    pub objects: &'a [Owned],
    /// All connections; none: they could not be listed.
    pub connections: Option<&'a Connections>,
    /// The operators.
    pub operators: &'a Operators,
    /// Which objects are meant.
    pub scope: &'a Scope,
    /// The API server's time.
    pub now: Timestamp,
}

impl Known<'_> {
    /// Why no operator reconciles an object, as far as that is known.
    fn unmanaged(&self, object: &Owned) -> Option<String> {
        let name = &object.connection;
        let Some(connection) = self.connections?.get(name) else {
            return Some(format!("the ZitadelConnection {name} does not exist"));
        };
        let connection = connection.as_ref()?;
        let class = connection.spec.class();
        let mut all = self.operators.installations();
        let is_managed = all.any(|it| it.manages(class, &object.namespace));
        (self.operators.are_known(self.now) && !is_managed).then(|| {
            format!(
                "no operator of the controllerClass {class} watches the namespace {}: add it to watchNamespaces of the chart",
                object.namespace
            )
        })
    }
}

/// Judges the objects.
pub fn judge(known: &Known<'_>) -> Vec<Finding> {
    let of = |verdict, message| Finding::new(Check::Object, verdict, message);
    let mut unmanaged: BTreeMap<(&str, String), Vec<&Owned>> = BTreeMap::new();
    let mut late = 0;
    for object in known.objects {
        if let Some(why) = known.unmanaged(object) {
            unmanaged
                .entry((&object.connection, why))
                .or_default()
                .push(object);
        } else if object.standing.level.needs_attention() {
            late += 1;
        }
    }
    let mut findings: Vec<Finding> = unmanaged
        .into_iter()
        .map(|((connection, why), objects)| {
            let named = some(&objects);
            let message = format!("no operator reconciles {named}: {why}");
            let finding = of(Verdict::Problem, message);
            finding
                .about("", connections::object(connection))
                .fix("kubectl get zitadelconnections")
        })
        .collect();
    let flags = flags(known.scope);
    if late > 0 {
        let all = known.objects.len();
        let message = format!("{late} of {all} objects need attention");
        let command = format!("kubectl zitadel-secret status {flags}");
        findings.push(of(Verdict::Warning, message).fix(command));
    } else if findings.is_empty() {
        let message = format!("none of {} objects needs attention", known.objects.len());
        findings.push(of(Verdict::Ok, message));
    }
    findings.push(skewed(known, &flags));
    findings
}

/// Which objects are meant, as flags.
fn flags(scope: &Scope) -> String {
    let place = match &scope.namespace {
        Some(namespace) => format!("--namespace {namespace}"),
        None => "--all-namespaces".to_owned(),
    };
    match &scope.labels {
        Some(labels) => format!("{place} --selector '{labels}'"),
        None => place,
    }
}

/// What the operator says of the clock of ZITADEL.
fn skewed(known: &Known<'_>, flags: &str) -> Finding {
    let of = |verdict, message| Finding::new(Check::Clock, verdict, message);
    let word = Reason::ClockSkew.as_str();
    let skewed: Vec<_> = known
        .objects
        .iter()
        .filter(|it| it.standing.word == word)
        .collect();
    let Some(first) = skewed.first() else {
        let message = "no object reports that the clocks of the operator, of the API server and of ZITADEL differ";
        return of(Verdict::Ok, message.to_owned());
    };
    let message = format!("{}: {}", some(&skewed), first.standing.message);
    let command = format!("kubectl zitadel-secret status {flags}");
    of(Verdict::Problem, message).fix(command)
}

/// One object, and how many others.
fn some(objects: &[&Owned]) -> String {
    let first = objects
        .first()
        .map(|it| format!("{} {}/{}", it.kind, it.namespace, it.name));
    let first = first.unwrap_or_default();
    match objects.len().saturating_sub(1) {
        0 => first,
        1 => format!("{first} and another object"),
        more => format!("{first} and {more} others"),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::plugin::doctor::fixtures::{connections, installation, now, owned};
    use crate::plugin::doctor::operators::Place;

    fn judged(objects: &[Owned], class: &str, watched: &str) -> Vec<(Check, Verdict, String)> {
        let place = Place {
            namespace: "operators".to_owned(),
            installations: vec![(installation(&[watched]), Ok(Vec::new()))],
            lease: Ok([None, None]),
        };
        let known = Known {
            objects,
            connections: Some(&connections(class)),
            operators: &Operators {
                places: vec![place],
                ..Operators::default()
            },
            scope: &Scope {
                namespace: Some("orders".to_owned()),
                labels: None,
            },
            now: now(),
        };
        let findings = judge(&known).into_iter();
        findings
            .map(|it| (it.check, it.result, it.message))
            .collect()
    }

    #[test]
    fn objects_that_no_operator_reconciles_are_one_line_for_each_reason() {
        let named = |name: &str, connection: &str| {
            owned(name, |it| {
                it["spec"]["connectionRef"] = json!({"name": connection});
            })
        };
        let all = [
            named("a", "gone"),
            named("b", "gone"),
            named("c", "newer"),
            named("d", "default"),
        ];
        let found = judged(&all, "b", "--watch-namespaces=orders");
        assert_eq!(
            found[0].2,
            "no operator reconciles ApiAppSecret orders/a and another object: the ZitadelConnection gone does not exist"
        );
        assert_eq!(
            found[1].0,
            Check::Clock,
            "of the others none is wrong: {found:?}"
        );
        let found = judged(&all[3..], "b", "--watch-namespaces=billing");
        assert_eq!(found[0].1, Verdict::Problem);
        assert!(
            found[0]
                .2
                .contains("the controllerClass b watches the namespace orders"),
            "{found:?}"
        );
        assert_eq!(judged(&all[3..], "c", "")[0].1, Verdict::Problem);
        assert_eq!(judged(&all[3..], "b", "")[0].1, Verdict::Ok);
    }

    #[test]
    fn objects_that_need_attention_are_counted_and_a_clock_is_named() {
        let late = owned("a", |it| {
            it["status"]["conditions"][0]["status"] = "False".into();
            it["status"]["conditions"][0]["reason"] = "ClockSkew".into();
        });
        let found = judged(&[late, owned("b", |_| {})], "b", "");
        assert_eq!(
            found[0],
            (
                Check::Object,
                Verdict::Warning,
                "1 of 2 objects need attention".to_owned()
            )
        );
        assert_eq!((found[1].0, found[1].1), (Check::Clock, Verdict::Problem));
    }
}
