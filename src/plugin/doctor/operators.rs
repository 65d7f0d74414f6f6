//! The operators: whether each runs, leads, has its rights, and is of this version. No I/O.

use jiff::Timestamp;

use crate::check::access::Access;
use crate::check::leader::leads;
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::installation::Installation;
use crate::plugin::doctor::leader;
use crate::plugin::fault::ClusterError;

/// What installs an operator.
const INSTALL: &str = "helm install zitadel-secret-operator charts/zitadel-secret-operator --namespace zitadel-secret-operator --create-namespace --values values.yaml --wait";

/// A namespace in which an operator is, or was.
pub struct Place {
    /// Its name.
    pub namespace: String,
    /// The operators' Deployments in it, and what the API server denies each of them.
    pub installations: Vec<(Installation, Result<Vec<Access>, ClusterError>)>,
    /// The Lease of the leader election.
    pub lease: leader::Read,
}

impl Place {
    /// Whether nothing runs in it any more: what is left is the Lease of a leader that has ended.
    fn is_left(&self, now: Timestamp) -> bool {
        let Ok([first, last]) = &self.lease else {
            return false;
        };
        self.installations.is_empty() && leads(last.as_ref(), first.as_ref(), now).is_err()
    }
}

/// What is known of the operators.
#[derive(Default)]
pub struct Operators {
    /// Where one is, or was.
    pub places: Vec<Place>,
    /// Why others may be missing.
    pub errors: Vec<(Check, ClusterError)>,
    /// Whether they were looked for in one namespace alone.
    pub is_partial: bool,
}

impl Operators {
    /// All installations.
    pub fn installations(&self) -> impl Iterator<Item = &Installation> {
        let all = self.places.iter().flat_map(|place| &place.installations);
        all.map(|(installation, _)| installation)
    }

    /// Whether these are all operators, and their settings are known. Where there is none at all, one may run in another way.
    pub fn are_known(&self, now: Timestamp) -> bool {
        let is_known = |place: &Place| !place.installations.is_empty() || place.is_left(now);
        let is_complete = !self.is_partial && self.errors.is_empty();
        is_complete && self.installations().next().is_some() && self.places.iter().all(is_known)
    }
}

/// Judges all of them.
pub fn judge(operators: &Operators, now: Timestamp) -> Vec<Finding> {
    let mut findings = Vec::new();
    for (check, error) in &operators.errors {
        let finding = Finding::unknown(*check, error);
        findings.push(Finding {
            message: format!("{}, or --operator-namespace", finding.message),
            ..finding
        });
    }
    let is_left = |place: &Place| place.is_left(now);
    if operators.errors.is_empty() && operators.places.iter().all(is_left) {
        let place = if operators.is_partial {
            "in that namespace"
        } else {
            "in the cluster"
        };
        let message = format!(
            "no operator runs {place}: it has neither a Deployment with the labels of the chart nor a leader"
        );
        findings.push(Finding::new(Check::Operator, Verdict::Problem, message).fix(INSTALL));
    }
    for place in &operators.places {
        of_place(place, now, &mut findings);
    }
    findings.extend(rivals(operators));
    findings
}

fn of_place(place: &Place, now: Timestamp, findings: &mut Vec<Finding>) {
    let namespace = place.namespace.as_str();
    for (installation, denied) in &place.installations {
        let object = installation.object();
        let about = |finding: Finding| finding.about(namespace, object.as_str());
        findings.push(about(replicas(installation)));
        findings.extend(version(installation).map(about));
        match denied {
            Ok(denied) if denied.is_empty() => {
                let message = format!("{} has all rights that it needs", installation.user());
                findings.push(about(Finding::new(Check::Rights, Verdict::Ok, message)));
            }
            Ok(denied) => findings.extend(missing(installation, denied).into_iter().map(about)),
            Err(error) => findings.push(about(Finding::unknown(Check::Rights, error))),
        }
    }
    let elects = |(installation, _): &(Installation, _)| installation.elects;
    let is_expected = place.installations.iter().any(elects);
    let has_lease = matches!(&place.lease, Ok([_, Some(_)]));
    if place.installations.is_empty() || is_expected || has_lease {
        findings.extend(leader::judge(namespace, &place.lease, is_expected, now));
    }
}

fn replicas(installation: &Installation) -> Finding {
    let Installation {
        namespace, name, ..
    } = installation;
    let of = |verdict, message| Finding::new(Check::Operator, verdict, message);
    match installation.replicas {
        [0, ..] => of(Verdict::Problem, "it is scaled to 0: nothing is rotated".to_owned()).fix(
            format!("kubectl scale deployment {name} --namespace {namespace} --replicas 1"),
        ),
        [wanted, 0, _] => of(
            Verdict::Problem,
            format!("none of {wanted} replicas is ready: nothing is rotated"),
        )
        .fix(format!(
            "kubectl describe pods --namespace {namespace} --selector app.kubernetes.io/component=operator"
        )),
        [wanted, ready, updated] if ready < wanted || updated < wanted => of(
            Verdict::Warning,
            format!("{ready} of {wanted} replicas are ready, and {updated} of the last change"),
        )
        .fix(format!(
            "kubectl rollout status deployment/{name} --namespace {namespace}"
        )),
        [wanted, ..] => {
            let replicas = if wanted == 1 { "replica is" } else { "replicas are" };
            of(Verdict::Ok, format!("{wanted} {replicas} ready"))
        }
    }
}

/// Another version than that of the plugin. The last number is of corrections alone.
fn version(installation: &Installation) -> Option<Finding> {
    let own = env!("CARGO_PKG_VERSION");
    let Some(version) = installation.version.as_deref() else {
        let message = "its version is not known: it has no label app.kubernetes.io/version";
        return Some(Finding::new(Check::Operator, Verdict::Info, message));
    };
    let feature = |version: &str| {
        version
            .rsplit_once('.')
            .map(|(feature, _)| feature.to_owned())
    };
    let verdict = match version {
        same if same == own => return None,
        _ if feature(version) == feature(own) => Verdict::Info,
        _ => Verdict::Warning,
    };
    let message = format!(
        "the operator is of version {version} and this plugin of {own}: use the plugin of the operator's version"
    );
    Some(Finding::new(Check::Operator, verdict, message))
}

/// What is denied, the verbs of a resource in one line.
fn missing(installation: &Installation, denied: &[Access]) -> Vec<Finding> {
    let is_of_one = |a: &Access, b: &Access| {
        (a.right.group, a.right.resource, &a.namespace, &a.name)
            == (b.right.group, b.right.resource, &b.namespace, &b.name)
    };
    let groups = denied.chunk_by(is_of_one);
    let findings = groups.filter_map(|group| {
        let (first, others) = group.split_first()?;
        let more = others.iter().map(|access| format!("{}, ", access.verb));
        let message = format!(
            "{} may not {}{}: {}",
            installation.user(),
            more.collect::<String>(),
            first.words(),
            first.granted_by()
        );
        let finding = Finding::new(Check::Rights, Verdict::Problem, message);
        Some(finding.fix(format!(
            "helm upgrade zitadel-secret-operator charts/zitadel-secret-operator --namespace {} --values values.yaml",
            installation.namespace
        )))
    });
    findings.collect()
}

/// Operators of one class that watch a namespace together.
fn rivals(operators: &Operators) -> Option<Finding> {
    let all: Vec<_> = operators.installations().collect();
    let pairs = all.iter().enumerate().flat_map(|(at, one)| {
        let others = all.iter().skip(at + 1);
        others.map(move |other| (*one, *other))
    });
    let (one, other) = pairs.into_iter().find(|(one, other)| {
        let overlap = || {
            let watched = one
                .scope
                .parts()
                .into_iter()
                .flatten()
                .chain(other.scope.parts().into_iter().flatten());
            let mut watched = watched.peekable();
            watched.peek().is_none()
                || watched.any(|name| one.scope.covers(name) && other.scope.covers(name))
        };
        one.class == other.class && overlap()
    })?;
    let message = format!(
        "another operator of the controllerClass {} watches the same namespaces: {}/{}; give each its own, or delete one",
        one.class, other.namespace, other.name
    );
    let finding = Finding::new(Check::Operator, Verdict::Problem, message);
    Some(finding.about(&one.namespace, one.object()))
}

#[cfg(test)]
mod tests {
    use k8s_openapi::api::coordination::v1::Lease;
    use serde_json::{Value, json};

    use super::*;
    use crate::check::access::accesses;
    use crate::operator::LEADER_LEASE;
    use crate::plugin::doctor::fixtures::{deployment, installation, now};
    use crate::rights;
    use crate::store::scope::Scope;

    fn lease(holder: &str, renewed: &str) -> Lease {
        let spec =
            json!({"holderIdentity": holder, "renewTime": renewed, "leaseDurationSeconds": 15});
        let lease =
            json!({"metadata": {"name": LEADER_LEASE, "namespace": "operators"}, "spec": spec});
        serde_json::from_value(lease).unwrap()
    }

    fn judged(
        installations: Vec<Installation>,
        lease: [Option<Lease>; 2],
    ) -> Vec<(Check, Verdict)> {
        let place = Place {
            namespace: "operators".to_owned(),
            installations: installations
                .into_iter()
                .map(|it| (it, Ok(Vec::new())))
                .collect(),
            lease: Ok(lease),
        };
        let operators = Operators {
            places: vec![place],
            ..Operators::default()
        };
        let findings = judge(&operators, now());
        findings.iter().map(|it| (it.check, it.result)).collect()
    }

    #[test]
    fn a_leader_that_renews_leads_whatever_its_clock_says_and_the_clock_is_judged() {
        let fresh = Some(lease("pod", "2026-11-30T11:59:58Z"));
        let ok = [
            (Check::Operator, Verdict::Ok),
            (Check::Rights, Verdict::Ok),
            (Check::Leader, Verdict::Ok),
        ];
        let all = judged(vec![installation(&[])], [fresh.clone(), fresh.clone()]);
        assert_eq!(all, [&ok[..], &[(Check::Clock, Verdict::Ok)]].concat());
        let wrong = [
            Some(lease("pod", "2026-11-30T11:00:00Z")),
            Some(lease("pod", "2026-11-30T11:00:02Z")),
        ];
        let all = judged(vec![installation(&[])], wrong);
        assert_eq!(all, [&ok[..], &[(Check::Clock, Verdict::Warning)]].concat());
        let old = Some(lease("pod", "2026-11-30T11:00:00Z"));
        let all = judged(vec![installation(&[])], [old.clone(), old.clone()]);
        assert_eq!(all[2], (Check::Leader, Verdict::Problem));
        assert_eq!(
            judged(Vec::new(), [old.clone(), old]),
            [
                (Check::Operator, Verdict::Problem),
                (Check::Leader, Verdict::Warning)
            ]
        );
        let alone = judged(vec![installation(&["--leader-elect=false"])], [None, None]);
        assert_eq!(alone, ok[..2]);
    }

    #[test]
    fn replicas_and_versions_are_judged() {
        let of = |change: fn(&mut Value)| {
            let mut deployment = deployment(&[]);
            change(&mut deployment);
            let installation =
                Installation::of(&serde_json::from_value(deployment).unwrap()).unwrap();
            (
                replicas(&installation).result,
                version(&installation).map(|it| it.result),
            )
        };
        assert_eq!(of(|_| {}), (Verdict::Ok, None));
        assert_eq!(
            of(|it| it["spec"]["replicas"] = 0.into()).0,
            Verdict::Problem
        );
        assert_eq!(of(|it| it["status"] = json!({})).0, Verdict::Problem);
        assert_eq!(
            of(|it| it["spec"]["replicas"] = 2.into()).0,
            Verdict::Warning
        );
        assert_eq!(
            of(|it| it["metadata"]["labels"]["app.kubernetes.io/version"] = "99.1.0".into()).1,
            Some(Verdict::Warning)
        );
        assert_eq!(
            of(|it| it["metadata"]["labels"] = json!({})).1,
            Some(Verdict::Info)
        );
    }

    #[test]
    fn what_the_operator_may_not_is_one_line_for_each_resource() {
        let installation = installation(&[]);
        let all = accesses(rights::needed(false, true), "operators", &Scope::Cluster);
        let denied: Vec<_> = all
            .into_iter()
            .filter(|it| it.right.resource == "leases" || it.right.resource == "pods")
            .collect();
        let found = missing(&installation, &denied);
        assert_eq!(found.len(), 2);
        assert!(found[0].message.starts_with("system:serviceaccount:operators:zso may not list, watch, create, update, delete, get leases in namespace operators: granted by"), "{found:?}");
        assert!(
            found[1].message.contains("consumers.restart: true"),
            "{found:?}"
        );
    }

    #[test]
    fn two_operators_of_one_class_are_rivals_where_they_watch_the_same() {
        let rivals = |one: &[&str], other: &[&str]| {
            let all = vec![installation(one), installation(other)];
            let all = judged(all, [None, None]);
            all.contains(&(Check::Operator, Verdict::Problem))
        };
        assert!(rivals(&[], &[]));
        assert!(rivals(&["--watch-namespaces=a"], &[]));
        assert!(!rivals(
            &["--watch-namespaces=a"],
            &["--watch-namespaces=b"]
        ));
        assert!(!rivals(&[], &["--controller-class=c"]));
    }

    #[test]
    fn no_operator_at_all_is_a_problem_unless_it_is_not_known() {
        let mut operators = Operators::default();
        let now = now();
        assert_eq!(judge(&operators, now)[0].result, Verdict::Problem);
        let asked = crate::plugin::fault::Asked::of("list", "deployments.apps", None);
        operators
            .errors
            .push((Check::Operator, ClusterError::Denied(asked)));
        let all = judge(&operators, now);
        assert_eq!(all.len(), 1);
        assert!(
            all[0]
                .message
                .ends_with("in the whole cluster, or --operator-namespace"),
            "{all:?}"
        );
    }
}
