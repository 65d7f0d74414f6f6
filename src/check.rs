//! `zitadel-secret-operator check`: verifies that the operator has its permissions, that a replica leads, and that its connections are
//! ready.
//! It changes nothing, and needs no permissions of its own.

use std::fmt::Write as _;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use futures::{StreamExt as _, TryStreamExt as _, stream};
use k8s_openapi::api::authorization::v1::SelfSubjectAccessReview;
use kube::api::{Api, ListParams, PostParams};
use kube::core::DeserializeGuard;
use kube::{Client, ResourceExt as _};

use crate::api::{ConditionType, ZitadelConnection};
use crate::cli::Check;
use crate::process::clock::{ServerClock, SystemClock};
use crate::process::kube_client::{DEFAULT_DEADLINE, KubeRequestLayer, kube_client};
use crate::process::metrics::Metrics;
use crate::process::proxy;
use crate::rights;
use crate::store::scope::Scope;

pub(crate) mod access;
pub(crate) mod leader;

use access::{Access, accesses, self_review};
use leader::leader;

/// Requests at the same time.
pub(crate) const CONCURRENCY: usize = 8;

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
        println!("           {}", access.granted_where(&scope));
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

/// The ones that the API server denies.
async fn denied(client: &Client, accesses: Vec<Access>) -> anyhow::Result<Vec<Access>> {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    without(accesses, async |access: &Access| {
        let review = self_review(access.attributes());
        let answer = api.create(&PostParams::default(), &review).await;
        let answer = answer
            .with_context(|| format!("the API server cannot be asked: {}", access.words()))?;
        Ok(answer.status.is_some_and(|status| status.allowed))
    })
    .await
}

/// Those that are not allowed, in their order. Asks about several at the same time.
pub(crate) async fn without<T, E>(
    needed: Vec<T>,
    is_allowed: impl AsyncFn(&T) -> Result<bool, E>,
) -> Result<Vec<T>, E> {
    let answers = stream::iter(needed).map(async |it| {
        let is_allowed = is_allowed(&it).await?;
        Ok((!is_allowed).then_some(it))
    });
    let denied: Vec<Option<T>> = answers.buffered(CONCURRENCY).try_collect().await?;
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
