//! `consumers --restart`: restarts the workloads whose Pods keep a former value, with the caller's rights where the operator has none.
//!
//! It writes what the operator writes, the same annotation of the Pod template, so that neither restarts a workload again for the same
//! rotation.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::time::Duration;

use kube::api::PatchParams;
use tokio::time::Instant;

use crate::consumers::judge::Spans;
use crate::consumers::requests;
use crate::consumers::rotation::Rotation;
use crate::consumers::workload::{Plan, Workload, WorkloadId};
use crate::plugin::cli;
use crate::plugin::cluster::{Cluster, FIELD_MANAGER};
use crate::plugin::exit::{Exit, Failure};
use crate::plugin::fault::{Asked, ClusterError};
use crate::plugin::output::{Output, note};
use crate::plugin::pods::{Consumer, Credential, State};

/// Between two looks at workloads that roll out.
const PAUSE: Duration = Duration::from_secs(1);

/// A request about a workload.
pub fn asked(verb: &'static str, id: &WorkloadId, namespace: &str) -> Asked {
    let resource = format!("{}.apps", id.kind.plural());
    Asked::of(verb, &resource, Some(namespace)).named(&id.name)
}

/// The restarts of one rotation.
struct Restarts<'a> {
    cluster: &'a Cluster,
    annotations: BTreeMap<String, String>,
    params: PatchParams,
    /// What waits for its turn.
    pending: VecDeque<WorkloadId>,
    /// What rolls out, and whether it was restarted here.
    rolling: Vec<(WorkloadId, bool)>,
    /// Whether something is left that was not restarted.
    is_left: bool,
}

/// Restarts the workloads of those that keep a former value, and waits until they have rolled out. Exit code 1 if something is left.
pub async fn run(
    cluster: &Cluster,
    arguments: &cli::Consumers,
    credential: &Credential,
    consumers: &[Consumer],
    output: &mut Output,
) -> Result<Exit, Failure> {
    let former = consumers.iter().filter(|it| it.state == State::Former);
    let workloads: BTreeSet<WorkloadId> = former
        .clone()
        .filter_map(|it| it.workload.clone())
        .collect();
    let others: Vec<_> = former.filter(|it| it.workload.is_none()).collect();
    for consumer in &others {
        let owner = consumer.owner.as_deref().unwrap_or("nothing");
        note(&format!(
            "Pod {} belongs to {owner}, which is not restarted: delete the Pod, or have it made anew",
            consumer.pod
        ));
    }
    let Some(rotation) = credential.made.as_ref().filter(|_| !workloads.is_empty()) else {
        note("no workload has Pods that keep a former value: nothing is restarted");
        return Ok(exit(!others.is_empty()));
    };
    let mut restarts = Restarts {
        cluster,
        annotations: BTreeMap::from([(rotation.annotation.clone(), rotation.attempt.to_string())]),
        params: PatchParams {
            field_manager: Some(FIELD_MANAGER.to_owned()),
            dry_run: arguments.dry_run,
            ..PatchParams::default()
        },
        pending: workloads.into_iter().collect(),
        rolling: Vec::new(),
        is_left: !others.is_empty(),
    };
    if arguments.dry_run {
        while let Some(id) = restarts.pending.pop_front() {
            restarts.begin(id, output).await?;
        }
        return Ok(exit(restarts.is_left));
    }
    until_safe(cluster, rotation).await;
    restarts.all(arguments, output).await?;
    Ok(exit(restarts.is_left))
}

const fn exit(is_left: bool) -> Exit {
    if is_left { Exit::Finding } else { Exit::Fine }
}

/// Waits until new Pods are known to read the new value: right after a write a kubelet may still have the former one.
async fn until_safe(cluster: &Cluster, rotation: &Rotation) {
    let from = rotation.restarts_from(&Spans::new(1));
    let left = from.duration_since(cluster.now());
    if let Ok(left) = Duration::try_from(left)
        && !left.is_zero()
    {
        note(&format!(
            "the value was written just now: restarts begin in {} s, when every kubelet has it",
            left.as_secs() + 1
        ));
        tokio::time::sleep(left).await;
    }
}

impl Restarts<'_> {
    /// Restarts all of them, so many at a time, and waits for each.
    async fn all(
        &mut self,
        arguments: &cli::Consumers,
        output: &mut Output,
    ) -> Result<(), Failure> {
        let begun = Instant::now();
        let most = usize::from(arguments.max_unavailable);
        loop {
            for (id, is_ours) in std::mem::take(&mut self.rolling) {
                self.look_again(id, is_ours).await?;
            }
            while self.rolling.len() < most
                && let Some(id) = self.pending.pop_front()
            {
                self.begin(id, output).await?;
            }
            if self.rolling.is_empty() {
                return Ok(());
            }
            if begun.elapsed() >= arguments.timeout {
                let names: Vec<_> = self.rolling.iter().map(|(id, _)| id.to_string()).collect();
                return Err(Failure::Timeout(format!(
                    "{} has not rolled out within {} s{}",
                    names.join(", "),
                    arguments.timeout.as_secs(),
                    match self.pending.len() {
                        0 => String::new(),
                        left => format!("; {left} were not restarted: run the command again"),
                    }
                )));
            }
            tokio::time::sleep(PAUSE).await;
        }
    }

    /// Restarts a workload, or says why not.
    async fn begin(&mut self, id: WorkloadId, output: &mut Output) -> Result<(), Failure> {
        let Some(workload) = self.look(&id).await? else {
            return Ok(());
        };
        match workload.plan(id.kind, &self.annotations) {
            Plan::Restart => {
                self.restart(&id, &workload).await?;
                let done = if self.params.dry_run {
                    "would be restarted"
                } else {
                    "restarted"
                };
                output.line(&format!("{}.apps/{} {done}", id.kind.singular(), id.name))?;
                output.flush()?;
                self.rolling.push((id, true));
            }
            Plan::Wait => {
                note(&format!("{id} rolls out already: waiting for it"));
                self.rolling.push((id, false));
            }
            Plan::Done => note(&format!("{id} was restarted for this rotation already")),
            Plan::Failed => self.fail(&id),
            Plan::Leave(why) => self.leave(&id, why),
        }
        Ok(())
    }

    /// Looks at a workload that rolls out.
    async fn look_again(&mut self, id: WorkloadId, is_ours: bool) -> Result<(), Failure> {
        let Some(workload) = self.look(&id).await? else {
            return Ok(());
        };
        match workload.plan(id.kind, &self.annotations) {
            Plan::Wait => self.rolling.push((id, is_ours)),
            Plan::Done => note(&format!("{id} has rolled out")),
            Plan::Failed => self.fail(&id),
            Plan::Restart if is_ours => {
                self.leave(
                    &id,
                    "something took the annotation away again, such as a GitOps tool",
                );
            }
            // NB: its Pods may be new by now: they are to be counted again before it is restarted once more.
            Plan::Restart => self.leave(
                &id,
                "someone else's rollout has ended: run the command again",
            ),
            Plan::Leave(why) => self.leave(&id, why),
        }
        Ok(())
    }

    async fn look(&mut self, id: &WorkloadId) -> Result<Option<Workload>, Failure> {
        let (client, namespace) = (self.cluster.client(), self.cluster.namespace());
        let found = requests::workload(client, namespace, id).await;
        let found = found.map_err(|error| self.error("get", id, &error))?;
        if found.is_none() {
            self.leave(id, "it does not exist");
        }
        Ok(found)
    }

    async fn restart(&self, id: &WorkloadId, workload: &Workload) -> Result<(), Failure> {
        let (client, namespace) = (self.cluster.client(), self.cluster.namespace());
        let (uid, annotations) = (workload.uid(), &self.annotations);
        let asked = requests::restart(client, namespace, id, uid, annotations, &self.params).await;
        Ok(asked.map_err(|error| self.error("patch", id, &error))?)
    }

    fn error(&self, verb: &'static str, id: &WorkloadId, error: &kube::Error) -> ClusterError {
        let asked = asked(verb, id, self.cluster.namespace());
        self.cluster.error(error, &asked)
    }

    fn leave(&mut self, id: &WorkloadId, why: &str) {
        note(&format!("{id} is not restarted: {why}"));
        self.is_left = true;
    }

    /// After a rollout that failed nothing else is restarted.
    fn fail(&mut self, id: &WorkloadId) {
        self.leave(id, "its rollout has failed");
        for id in std::mem::take(&mut self.pending) {
            self.leave(&id, "a rollout before it has failed");
        }
    }
}
