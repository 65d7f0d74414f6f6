//! `doctor`: the whole installation, a line for each check, and what fixes what is wrong.

mod caller;
mod connections;
mod definitions;
mod finding;
#[cfg(test)]
mod fixtures;
mod from_here;
mod gather;
mod installation;
mod leader;
mod leftovers;
mod objects;
mod operators;

use futures::{StreamExt as _, future, stream};
use kube::ResourceExt as _;

use crate::api::ZitadelConnection;
use crate::check::CONCURRENCY;
use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Listed, Scope};
use crate::plugin::doctor::finding::{Check, Finding, Verdict};
use crate::plugin::doctor::objects::{Connections, Known};
use crate::plugin::doctor::operators::Operators;
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::output::{Format, Output, note};

/// Checks the installation. Exit code 1 if something is wrong, 3 if nothing is and something could not be checked for want of a right.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Doctor,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let scope = cluster.scope(global);
    let mut findings = check(cluster, &scope, arguments).await?;
    findings.sort();
    findings.dedup();
    let exit = finding::exit(&findings);
    let found = findings.iter().filter(|it| it.result < Verdict::Unknown);
    let found = found.count();
    let unchecked = findings.iter().filter(|it| it.result == Verdict::Unknown);
    let unchecked = unchecked.count();
    if output.format() == Format::Name {
        findings.retain(|finding| finding.object.is_some());
        findings.dedup_by(|one, other| one.object == other.object);
    }
    output.records(&finding::columns(), &findings, cluster.now())?;
    if !output.is_for_program() {
        note(&format!(
            "{found} of {} checks found something, and {unchecked} could not be made",
            findings.len()
        ));
    }
    Ok(exit)
}

async fn check(
    cluster: &Cluster,
    scope: &Scope,
    arguments: &cli::Doctor,
) -> Result<Vec<Finding>, Failure> {
    let served = match gather::served(cluster).await {
        Ok(()) => true,
        Err(error) if error.is_not_served() => false,
        Err(error) => return Err(error.into()),
    };
    let mut findings: Vec<Finding> = cluster.skew().map(caller::clock).into_iter().collect();
    let own = arguments.operator_namespace.as_deref();
    let needs = caller::needs();
    let (definitions, operators, denied) = tokio::join!(
        gather::definitions(cluster),
        gather::operators(cluster, own),
        gather::denied_to_caller(cluster, scope, needs),
    );
    findings.extend(definitions.iter().map(definitions::judge));
    findings.extend(operators::judge(&operators, cluster.now()));
    match denied {
        Ok(denied) => findings.extend(caller::judge(&denied, scope)),
        Err(error) => findings.push(Finding::unknown(Check::Caller, &error)),
    }
    if !served {
        let message = "the cluster does not serve zitadel-secrets.dev/v1alpha1: the custom resource definitions are not installed, or are of another version";
        findings.push(
            Finding::new(Check::Definition, Verdict::Problem, message).fix(definitions::APPLY),
        );
        return Ok(findings);
    }
    let (connections, known) = tokio::join!(
        gather::connections(cluster),
        gather::objects(cluster, scope)
    );
    let connections = match connections {
        Ok(connections) => {
            findings.extend(connections::judge(&connections, &operators, cluster.now()));
            if arguments.from_here {
                findings.extend(from_here(cluster, &connections, &operators).await);
            }
            Some(by_name(connections))
        }
        Err(error) => {
            findings.push(Finding::unknown(Check::Connection, &error));
            None
        }
    };
    match known {
        Ok(known) => {
            let known = Known {
                objects: &known,
                connections: connections.as_ref(),
                operators: &operators,
                scope,
                now: cluster.now(),
            };
            findings.extend(objects::judge(&known));
            findings.extend(left_behind(cluster, &known).await);
        }
        Err(error) => {
            let checks = [Check::Object, Check::Claim, Check::Secret];
            findings.extend(checks.map(|check| Finding::unknown(check, &error)));
        }
    }
    Ok(findings)
}

/// What is left behind. With labels it cannot be said: which objects are gone shows only beside all that are there.
async fn left_behind(cluster: &Cluster, known: &Known<'_>) -> Vec<Finding> {
    if known.scope.labels.is_some() {
        return Vec::new();
    }
    let namespaces = known
        .operators
        .places
        .iter()
        .map(|place| place.namespace.as_str());
    let claims = namespaces.map(
        async |namespace| match gather::claims(cluster, namespace).await {
            Ok(claims) => leftovers::claims(known, namespace, &claims),
            Err(error) => vec![Finding::unknown(Check::Claim, &error)],
        },
    );
    let (claims, secrets) = tokio::join!(
        future::join_all(claims),
        gather::secrets(cluster, known.scope)
    );
    let mut findings: Vec<Finding> = claims.into_iter().flatten().collect();
    if known.operators.places.is_empty() && !known.operators.errors.is_empty() {
        let message = "not checked: claims are in the operator's namespace, which is not known";
        findings.push(Finding::new(Check::Claim, Verdict::Unknown, message));
    }
    match secrets {
        Ok(secrets) => findings.extend(leftovers::secrets(known.objects, &secrets)),
        Err(error) => findings.push(Finding::unknown(Check::Secret, &error)),
    }
    findings
}

fn by_name(connections: Vec<Listed<ZitadelConnection>>) -> Connections {
    let connections = connections.into_iter().map(|connection| match connection {
        Listed::Read(connection) => (connection.name_any(), Some(connection)),
        Listed::Unreadable(metadata) => (metadata.name, None),
    });
    connections.collect()
}

async fn from_here(
    cluster: &Cluster,
    connections: &[Listed<ZitadelConnection>],
    operators: &Operators,
) -> Vec<Finding> {
    let asked = connections
        .iter()
        .filter_map(|connection| match connection {
            Listed::Read(connection) => Some(from_here::ask(cluster, connection, operators)),
            Listed::Unreadable(_) => None,
        });
    let asked = stream::iter(asked).buffered(CONCURRENCY);
    let findings: Vec<Vec<Finding>> = asked.collect().await;
    findings.into_iter().flatten().collect()
}
