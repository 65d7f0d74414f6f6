//! `zitadel-secret-operator check`: verifies that the operator has its permissions, that a replica leads, and that its connections are
//! ready.
//! It changes nothing, and needs no permissions of its own.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::{
    ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec,
};
use kube::api::{Api, ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt as _};

use crate::api::{ConditionType, ZitadelConnection};
use crate::cli::Check;
use crate::process::clock::{ServerClock, SystemClock};
use crate::process::kube_client::{DEFAULT_DEADLINE, KubeRequestLayer, kube_client};
use crate::process::metrics::Metrics;
use crate::process::proxy;
use crate::rights::{self, Right, RightScope};
use crate::store::scope::Scope;

mod leader;

use leader::leader;

/// Concurrent access reviews.
const CONCURRENCY: usize = 8;

/// One verb in one place.
struct Access {
    right: &'static Right,
    verb: &'static str,
    namespace: Option<String>,
    name: Option<String>,
}

impl Access {
    fn review(&self) -> SelfSubjectAccessReview {
        let (resource, subresource) = match self.right.resource.split_once('/') {
            Some((resource, subresource)) => (resource, Some(subresource.to_owned())),
            None => (self.right.resource, None),
        };
        let attributes = ResourceAttributes {
            group: Some(self.right.group.to_owned()),
            resource: Some(resource.to_owned()),
            subresource,
            verb: Some(self.verb.to_owned()),
            namespace: self.namespace.clone(),
            name: self.name.clone(),
            ..ResourceAttributes::default()
        };
        SelfSubjectAccessReview {
            spec: SelfSubjectAccessReviewSpec {
                resource_attributes: Some(attributes),
                ..SelfSubjectAccessReviewSpec::default()
            },
            ..SelfSubjectAccessReview::default()
        }
    }

    /// The chart values that grant it.
    fn granted_by(&self, scope: &Scope) -> String {
        let switch = self.right.switch;
        let switch = switch.map_or_else(String::new, |switch| format!(", {switch}: true"));
        let rights = format!("granted by the chart with rbac.create: true{switch}");
        let namespace = self.namespace.as_ref().or(self.name.as_ref());
        match (self.right.scope, scope, namespace) {
            (RightScope::Cluster, ..) => rights,
            (RightScope::Own, _, Some(own)) => {
                format!("{rights}, installed into namespace {own}: see --namespace")
            }
            (_, Scope::Namespaces(_), Some(namespace)) => {
                format!("{rights} and {namespace} in watchNamespaces")
            }
            _ => format!(
                "{rights} and watchNamespaces: []; where only some namespaces are to be watched, see --watch-namespaces"
            ),
        }
    }

    fn words(&self) -> String {
        let mut words = format!("{} {}", self.verb, self.right.resource);
        if let Some(name) = &self.name {
            // NB: writing to a String cannot fail.
            let _ = write!(words, " {name}");
        }
        if let Some(namespace) = &self.namespace {
            let _ = write!(words, " in namespace {namespace}");
        }
        words
    }
}

/// Prints what is missing. The exit code is 0 only if nothing is.
///
/// # Errors
/// If the API server cannot be reached.
pub async fn run(arguments: Check) -> anyhow::Result<ExitCode> {
    let config = kube::Config::infer()
        .await
        .context("no cluster is configured")?;
    let clock = ServerClock::new(Arc::new(SystemClock));
    let layer = KubeRequestLayer::new(Metrics::new(), clock.clone(), DEFAULT_DEADLINE);
    proxy::reachable(&config).await?;
    let client = kube_client(config, &layer).context("no client for the cluster can be made")?;
    let class = arguments.scope.controller_class;
    let scope = Scope::new(arguments.scope.watch_namespaces);
    let rights = rights::needed(arguments.consumers.refresh, arguments.consumers.restart);
    let accesses = accesses(rights, &arguments.scope.namespace, &scope);
    let all = accesses.len();
    let missing = denied(&client, accesses).await?;
    println!("permissions: {} of {all} are granted", all - missing.len());
    for access in &missing {
        println!("  missing: {}", access.words());
        println!("           {}", access.granted_by(&scope));
    }
    // NB: without a leader, no replica keeps the status of connections up to date.
    let led = !arguments.leader_elect || {
        let namespace = &arguments.scope.namespace;
        leader(&client, namespace, &clock, arguments.timeout).await
    };
    let connected = connections(&client, &class, arguments.timeout).await;
    Ok(if missing.is_empty() && led && connected {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    })
}

fn accesses(rights: Vec<&'static Right>, own: &str, scope: &Scope) -> Vec<Access> {
    let mut accesses = Vec::new();
    for right in rights {
        let places: Vec<(Option<String>, Option<String>)> = match (right.scope, scope) {
            (RightScope::Own, _) => vec![(Some(own.to_owned()), None)],
            (RightScope::Cluster, _) | (_, Scope::Cluster) => vec![(None, None)],
            (RightScope::Watched, Scope::Namespaces(names)) => names
                .iter()
                .map(|name| (Some(name.clone()), None))
                .collect(),
            (RightScope::WatchedNamespaces, Scope::Namespaces(names)) => names
                .iter()
                .map(|name| (None, Some(name.clone())))
                .collect(),
        };
        for verb in right.verbs {
            for (namespace, name) in &places {
                accesses.push(Access {
                    right,
                    verb,
                    namespace: namespace.clone(),
                    name: name.clone(),
                });
            }
        }
    }
    accesses
}

/// The ones that the API server denies.
async fn denied(client: &Client, accesses: Vec<Access>) -> anyhow::Result<Vec<Access>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let api = &api;
    let answers = stream::iter(accesses).map(|access| async move {
        let review = access.review();
        let answer = api.create(&PostParams::default(), &review).await;
        let allowed = answer
            .with_context(|| format!("the API server cannot be asked: {}", access.words()))?
            .status
            .is_some_and(|status| status.allowed);
        anyhow::Ok((!allowed).then_some(access))
    });
    let denied: Vec<_> = answers.buffered(CONCURRENCY).try_collect().await?;
    Ok(denied.into_iter().flatten().collect())
}

/// Waits until there is a connection of the class and all of them are ready, at most `timeout`. Prints which are not, and why.
async fn connections(client: &Client, class: &str, timeout: Duration) -> bool {
    let mut report = format!("connections: no response within {timeout:?}\n");
    let ready = async {
        loop {
            let (ready, text) = observe(client, class).await;
            report = text;
            if ready {
                return;
            }
            tokio::time::sleep(Duration::from_secs(1)).await;
        }
    };
    let ready = tokio::time::timeout(timeout, ready).await.is_ok();
    print!("{report}");
    ready
}

async fn observe(client: &Client, class: &str) -> (bool, String) {
    let api: Api<DeserializeGuard<ZitadelConnection>> = Api::all(client.clone());
    let mut all = match api.list(&ListParams::default()).await {
        Ok(all) => all.items,
        Err(kube::Error::Api(status)) => {
            return (
                false,
                format!(
                    "connections: the API server responded with HTTP {}\n",
                    status.code
                ),
            );
        }
        Err(_) => {
            return (
                false,
                "connections: no response from the API server\n".to_owned(),
            );
        }
    };
    let others = all.len();
    // NB: the class of an unreadable connection is unknown.
    all.retain(|guarded| {
        let connection = guarded.0.as_ref();
        connection.map_or(true, |connection| connection.spec.class() == class)
    });
    let others = others - all.len();
    if all.is_empty() {
        let text = match others {
            0 => "connections: there is no ZitadelConnection: create one\n".to_owned(),
            _ => format!(
                "connections: none has the spec.controllerClass {class}; other operators have {others}\n"
            ),
        };
        return (false, text);
    }
    let mut every = true;
    let mut text = String::new();
    for guarded in &all {
        let Ok(connection) = &guarded.0 else {
            every = false;
            let _ = writeln!(
                text,
                "connection {}: it cannot be read: compare it with the installed custom resource definition",
                guarded.name_any()
            );
            continue;
        };
        let status = connection.status.as_ref();
        let ready = status.and_then(|status| status.conditions.get(ConditionType::Ready));
        let current =
            ready.filter(|ready| ready.observed_generation == connection.metadata.generation);
        let holds = status.is_some_and(|status| status.conditions.is_true(ConditionType::Ready));
        every &= current.is_some() && holds;
        let (reason, message) = current.map_or(
            (
                "Unknown",
                "the operator has not checked it yet: is it running?",
            ),
            |ready| (ready.reason.as_str(), ready.message.as_str()),
        );
        // NB: writing to a String cannot fail.
        let _ = writeln!(
            text,
            "connection {}: {reason}: {message}",
            connection.name_any()
        );
    }
    (every, text)
}
