//! `consumers`: the Pods that use a credential and which value each of them has; with `--restart`, restarts the workloads that are behind.

use jiff::Timestamp;

use crate::api::AppSecret;
use crate::consumers::requests;
use crate::plugin::cli::{self, Global};
use crate::plugin::cluster::{Cluster, Listed};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::ClusterError;
use crate::plugin::output::{Cell, Column, Output, Record, Tone, note, span};
use crate::plugin::pods::{Consumer, Credential, State};
use crate::plugin::restart;

impl Record for Consumer {
    fn reference(&self) -> String {
        format!("pod/{}", self.pod)
    }
}

impl State {
    const fn tone(self) -> Tone {
        match self {
            Self::Former => Tone::Bad,
            Self::Unknown => Tone::Warning,
            Self::Refreshing | Self::Unrotated => Tone::Plain,
            Self::Current => Tone::Good,
        }
    }

    const fn word(self) -> &'static str {
        match self {
            Self::Former => "Former",
            Self::Unknown => "Unknown",
            Self::Refreshing => "Refreshing",
            Self::Current => "Current",
            Self::Unrotated => "Unrotated",
        }
    }
}

/// Such as `environment (app), files (sidecar)`.
fn how(consumer: &Consumer) -> String {
    let uses = consumer
        .uses
        .iter()
        .map(|used| match used.container.as_str() {
            "" => used.how.to_owned(),
            container => format!("{} ({container})", used.how),
        });
    uses.collect::<Vec<_>>().join(", ")
}

fn columns() -> [Column<Consumer>; 6] {
    let since = |consumer: &Consumer, now: Timestamp| {
        let since = consumer.since.map(|since| span(now.duration_since(since)));
        Cell::maybe(since.as_deref())
    };
    let instant = |consumer: &Consumer, _| {
        let since = consumer.since.map(|since| since.to_string());
        Cell::maybe(since.as_deref())
    };
    [
        Column::new("POD", |consumer, _| Cell::plain(&consumer.pod)),
        Column::new("OWNER", |consumer, _| {
            Cell::maybe(consumer.owner.as_deref())
        }),
        Column::new("RUNNING", since),
        Column::wide("RUNNING SINCE", instant),
        Column::new("STATE", |consumer, _| {
            Cell::new(consumer.state.word(), consumer.state.tone())
        }),
        Column::new("HOW", |consumer, _| Cell::plain(&how(consumer))),
    ]
}

/// Reads an object whose consumers are looked for.
pub async fn credential(
    cluster: &Cluster,
    reference: &cli::Reference,
) -> Result<(AppSecret, Credential), Failure> {
    let (kind, object) = cluster.one::<AppSecret>(reference).await?;
    let Listed::Read(object) = object else {
        return Err(Failure::Finding(format!(
            "{kind} {} was written for another version of the API: use the plugin of the operator's version",
            reference.name
        )));
    };
    let credential = Credential::read(&object)?;
    Ok((object, credential))
}

/// Shows who uses a credential. Exit code 1 if one of them may have a former value.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Consumers,
    output: &mut Output,
) -> Result<Exit, Failure> {
    global.one_object()?;
    let (_, credential) = credential(cluster, &arguments.name).await?;
    let consumers = credential.consumers(cluster).await?;
    if arguments.restart {
        return restart::run(cluster, arguments, &credential, &consumers, output).await;
    }
    output.records(&columns(), &consumers, cluster.now())?;
    let secret = &credential.target.secret.name;
    if consumers.is_empty() {
        note(&format!(
            "no Pod of namespace {} uses Secret {secret}",
            cluster.namespace()
        ));
    }
    say_missing(cluster, &credential, &consumers).await?;
    let behind = consumers.iter().filter(|it| it.state.is_behind());
    let behind = behind.count();
    if behind == 0 {
        return Ok(Exit::Fine);
    }
    if !output.is_for_program() {
        note(&format!(
            "{behind} of {} may have a former value of Secret {secret}{}",
            consumers.len(),
            next(&consumers, arguments)
        ));
    }
    Ok(Exit::Finding)
}

/// What gets the value to those that are behind.
fn next(consumers: &[Consumer], arguments: &cli::Consumers) -> String {
    let mut former = consumers.iter().filter(|it| it.state == State::Former);
    let is_unknown = consumers.iter().any(|it| it.state == State::Unknown);
    if former.clone().any(|it| it.workload.is_some()) {
        format!(
            ": `kubectl zitadel-secret consumers {} --restart` restarts their workloads",
            arguments.name
        )
    } else if former.next().is_some() {
        ": have the Pods made anew that are Former".to_owned()
    } else if is_unknown {
        String::new()
    } else {
        ": the kubelet refreshes their files within three minutes of the rotation".to_owned()
    }
}

/// Workloads that the object names, and that do not exist, use nothing: it is said.
async fn say_missing(
    cluster: &Cluster,
    credential: &Credential,
    consumers: &[Consumer],
) -> Result<(), Failure> {
    for id in &credential.target.consumers.workloads {
        if consumers.iter().any(|it| it.workload.as_ref() == Some(id)) {
            continue;
        }
        let asked = restart::asked("get", id, cluster.namespace());
        match requests::workload(cluster.client(), cluster.namespace(), id).await {
            Ok(Some(_)) => {}
            Ok(None) => note(&format!(
                "{id} does not exist: correct spec.consumers.workloads"
            )),
            Err(error) => match cluster.error(&error, &asked) {
                error @ ClusterError::Denied(_) => {
                    note(&format!("it is not known whether {id} exists: {error}"));
                }
                error => return Err(error.into()),
            },
        }
    }
    Ok(())
}
