//! `rotate`: says what a rotation will do, sets the trigger, and follows the rotation to the last consumer.
//!
//! [`forecast`] is what it will do, [`follow`] how far it is.

mod follow;
mod forecast;

use std::io::{self, BufRead as _, IsTerminal as _, Write as _};

use kube::api::{Patch, PatchParams};
use kube::core::Request;
use kube::{Resource as _, ResourceExt as _};
use serde::Serialize;
use serde::de::IgnoredAny;
use serde_json::json;
use tokio::signal::unix::{SignalKind, signal};

use crate::api::{AppSecret, Kind};
use crate::plugin::cli::{self, Global, short};
use crate::plugin::cluster::{Cluster, FIELD_MANAGER, resource};
use crate::plugin::consumers::credential;
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::Asked;
use crate::plugin::gitops::Ownership;
use crate::plugin::output::{Format, Output, note};
use crate::plugin::rotate::follow::Followed;
use crate::plugin::rotate::forecast::Forecast;
use crate::plugin::safe;
use crate::plugin::trigger::{change, trigger};

/// What was done, for programs.
#[derive(Debug, Serialize)]
#[serde(rename_all = "camelCase")]
struct Done {
    kind: Kind,
    namespace: String,
    name: String,
    trigger: String,
    #[serde(skip_serializing_if = "Option::is_none")]
    attempt: Option<String>,
}

/// Rotates an object.
pub async fn run(
    cluster: &Cluster,
    global: &Global,
    arguments: &cli::Rotate,
    output: &mut Output,
) -> Result<Exit, Failure> {
    global.one_object()?;
    let is_asked = !arguments.yes && !arguments.dry_run;
    if is_asked && !(io::stdin().is_terminal() && io::stderr().is_terminal()) {
        let text = "a rotation is to be confirmed, and there is no terminal to ask on: add --yes, or --dry-run to see what it would do";
        return Err(Failure::Usage(text.to_owned()));
    }
    let (object, credential) = credential(cluster, &arguments.name).await?;
    let trigger = trigger(&arguments.reason, &object, cluster.now());
    let ownership = Ownership::read(&object.metadata);
    if let Some(tool) = &ownership.tool {
        return refuse(&object, &trigger, tool, &ownership, output);
    }
    let pods = credential.consumers(cluster).await;
    let forecast = Forecast {
        object: &object,
        target: &credential.target,
        pods: pods.as_deref(),
        now: cluster.now(),
    };
    for line in forecast.lines() {
        note(&line);
    }
    if let Some(manager) = ownership.trigger.first() {
        note(&format!(
            "* spec.rotation.trigger was set by {manager}: whoever applies the former text again rotates once more"
        ));
    }
    if arguments.dry_run {
        note("Nothing was changed.");
        return Ok(Exit::Fine);
    }
    if is_asked && !confirmed()? {
        note("Nothing was changed.");
        return Ok(Exit::Finding);
    }
    // NB: from here on ^C is not the end of the process.
    let mut interrupts = signal(SignalKind::interrupt())?;
    set(cluster, &object, &trigger).await?;
    let mut done = Done {
        kind: object.kind,
        namespace: object.namespace().unwrap_or_default(),
        name: object.name_any(),
        trigger,
        attempt: None,
    };
    if !arguments.wait {
        print(output, &done, "triggered")?;
        return Ok(Exit::Fine);
    }
    let outcome = tokio::select! {
        outcome = follow::to_the_last_consumer(cluster, &object, &done.trigger, arguments.timeout) => outcome?,
        _ = interrupts.recv() => {
            note(&format!(
                "The rotation goes on without this command; `kubectl zitadel-secret status {}/{} -n {}` shows how far it is",
                short(done.kind), done.name, done.namespace
            ));
            return Ok(Exit::Interrupted);
        }
    };
    let Followed { attempt, exit } = outcome;
    done.attempt = Some(attempt);
    print(output, &done, "rotated")?;
    Ok(exit)
}

/// Refuses to change what a tool applies from Git, and prints the change to commit.
fn refuse(
    object: &AppSecret,
    trigger: &str,
    tool: &str,
    ownership: &Ownership,
    output: &mut Output,
) -> Result<Exit, Failure> {
    let (kind, name) = (object.kind, object.name_any());
    note(&format!(
        "{kind} {name} is kept by {tool}, so nothing was changed: a trigger that is not in Git is undone, or rotates once more when Git is applied. Commit this:"
    ));
    output.manifest(&change(object, trigger))?;
    if !ownership.is_trigger_in_git {
        let namespace = object.namespace().unwrap_or_default();
        note(&format!(
            "If Git has no spec.rotation.trigger and there is no time for a commit, this rotates at once: kubectl patch {} -n {namespace} --type merge -p '{}'",
            resource(kind, &name),
            json!({"spec": {"rotation": {"trigger": trigger}}})
                .to_string()
                .replace('\'', r"'\''")
        ));
    }
    Ok(Exit::Finding)
}

fn confirmed() -> Result<bool, Failure> {
    let mut stderr = io::stderr();
    write!(stderr, "Rotate now? [y/N] ")?;
    stderr.flush()?;
    let mut answer = String::new();
    io::stdin().lock().read_line(&mut answer)?;
    let answer = answer.trim().to_ascii_lowercase();
    Ok(answer == "y" || answer == "yes")
}

/// Sets the trigger of the object that was looked at, and of no other that has its name by now.
async fn set(cluster: &Cluster, object: &AppSecret, trigger: &str) -> Result<(), Failure> {
    let namespace = Some(cluster.namespace());
    let name = object.name_any();
    let asked = Asked::kind("patch", object.kind, namespace).named(&name);
    let patch =
        json!({"metadata": {"uid": object.uid()}, "spec": {"rotation": {"trigger": trigger}}});
    let params = PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    };
    let request = Request::new(AppSecret::url_path(&object.kind, namespace));
    let request = request.patch(&name, &params, &Patch::Merge(patch));
    let request = request.map_err(kube::Error::BuildRequest);
    let set = match request {
        Ok(request) => cluster.client().request::<IgnoredAny>(request).await,
        Err(error) => Err(error),
    };
    match set {
        Ok(_) => Ok(()),
        Err(error) => Err(cluster.error(&error, &asked).into()),
    }
}

fn print(output: &mut Output, done: &Done, word: &str) -> Result<(), Failure> {
    let reference = resource(done.kind, &done.name);
    match output.format() {
        Format::Json | Format::Yaml => output.document(done)?,
        Format::Name => output.line(&reference)?,
        Format::Table | Format::Wide => output.line(&safe::text(&format!("{reference} {word}")))?,
    }
    output.flush()
}
