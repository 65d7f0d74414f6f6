//! Random sequences of what people, tools and faults do to an object. Whatever the way, the end is the same: the object converges
//! to what its last spec says, and there were no more rotations than causes.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::panic,
    clippy::indexing_slicing,
    clippy::too_many_lines,
    missing_docs
)]

mod support;

use futures::StreamExt;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use serde_json::json;
use support::controlplane::Options;
use support::policy::{allow_secrets, deny_secrets};
use support::world::{OPERATOR_NAMESPACE, Operator, PATIENCE, Tenant, World};
use support::{data, eventually};
use zitadel_secret_operator::api::{ConditionType, Kind};
use zitadel_simulator::{
    Action, AppHandle, Availability, Config, Cut, Fault, Lag, Operation, Simulator,
};

/// Sequences in a run; the environment may ask for more.
const SEQUENCES: u64 = 200;
/// Under way at once.
const AT_ONCE: usize = 24;
/// Walks after which the operator is restarted.
const UNTIL_RESTART: usize = 70;
/// Seeds of sequences that failed once.
///
/// 49: the claim is deleted and a trigger set before the operator reconciles again. The status says then that the trigger is new.
/// 77, 171: the copy of a renamed Secret was posted, and a key of it that got another name later stayed.
const REGRESSIONS: &[u64] = &[49, 77, 84, 171];

/// One thing that happens.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Op {
    Trigger,
    RenameKey,
    LabelObject,
    WipeStatus,
    EditSecretValue,
    DeleteSecret,
    Recreate,
    SuspendAndResume,
    RevokeAndGrant,
    RotateElsewhere,
    DeactivateAndReactivate,
    DeleteClaim,
    CorruptClaim,
    LoseNextAnswer,
    RefuseNextCall,
    AddOrRemoveStandby,
    RenameSecret,
    RefuseAndAllowWrites,
    ZitadelDownAndUp,
    FailNextReads,
    DelayNextCall,
    NoEffectOfNextCall,
    Lag,
    ZitadelsClockJumps,
    BurstOfTriggers,
}

const OPS: [Op; 25] = [
    Op::Trigger,
    Op::RenameKey,
    Op::LabelObject,
    Op::WipeStatus,
    Op::EditSecretValue,
    Op::DeleteSecret,
    Op::Recreate,
    Op::SuspendAndResume,
    Op::RevokeAndGrant,
    Op::RotateElsewhere,
    Op::DeactivateAndReactivate,
    Op::DeleteClaim,
    Op::CorruptClaim,
    Op::LoseNextAnswer,
    Op::RefuseNextCall,
    Op::AddOrRemoveStandby,
    Op::RenameSecret,
    Op::RefuseAndAllowWrites,
    Op::ZitadelDownAndUp,
    Op::FailNextReads,
    Op::DelayNextCall,
    Op::NoEffectOfNextCall,
    Op::Lag,
    Op::ZitadelsClockJumps,
    Op::BurstOfTriggers,
];
/// Those that there were when the regressions were found.
const FORMER: usize = 24;
/// More than the breaker allows repairs.
const BURST: u32 = 8;

/// A sequence under way.
struct Walk<'a> {
    tenant: &'a Tenant,
    /// The application, and the one that is a standby at times.
    apps: [AppHandle; 2],
    standby: bool,
    /// Whether the former pair is retired. Only then an object with a standby generates once more for each rotation.
    overlap: bool,
    random: fastrand::Rng,
    trigger: u32,
    key: String,
    /// The Secret's name.
    secret: &'static str,
    /// Rotations that something so far may have caused.
    causes: u64,
    /// Faults that may still be waiting for their call.
    faults: Vec<u64>,
}

impl Walk<'_> {
    fn spec(&self, suspend: bool) -> serde_json::Value {
        let mut spec = json!({
            "suspend": suspend,
            "rotation": {"trigger": format!("t{}", self.trigger)},
            "secret": {"name": self.secret, "data": data(&[("CLIENT_ID", "ClientId"), (&self.key, "ClientSecret")]), "deletionPolicy": "Retain"},
        });
        if self.standby {
            spec["standby"] = json!({"type": "Existing", "appId": self.apps[1].id});
            if self.overlap {
                spec["rotation"]["overlap"] = json!({"minimum": "1s"});
            }
        }
        spec
    }

    /// One of the applications.
    fn any(&mut self) -> String {
        self.apps[self.random.usize(..2)].id.clone()
    }

    async fn apply(&self, suspend: bool) {
        self.tenant
            .apply("walk", &self.apps[0].id, self.spec(suspend))
            .await
            .unwrap();
    }

    /// Whether all is well and nothing is under way.
    async fn is_at_rest(&self) -> bool {
        // A former pair is retired some time after its rotation, and nothing in the status says that it is about to be.
        if self.standby && self.overlap {
            return false;
        }
        let Ok(object) = self.tenant.objects().get("walk").await else {
            return false;
        };
        let Some(status) = &object.status else {
            return false;
        };
        let ready = status.conditions.get(ConditionType::Ready);
        let current = ready.is_some_and(|ready| {
            ready.reason == "UpToDate" && ready.observed_generation == object.metadata.generation
        });
        let handled = status.observed_trigger == Some(format!("t{}", self.trigger));
        let value = self.tenant.value(self.secret, &self.key).await;
        let good = status.active_app_id.as_ref().is_some_and(|app| {
            let newest = self
                .tenant
                .zitadel
                .latest(app)
                .map(|newest| newest.to_string());
            status.sequence == newest
                && value.is_some_and(|value| self.tenant.zitadel.accepts(app, &value))
        });
        current && handled && good
    }

    /// The claims that name this walk's object.
    async fn claims(&self) -> Vec<String> {
        let leases: Api<Lease> = Api::namespaced(self.tenant.client.clone(), OPERATOR_NAMESPACE);
        let all = leases
            .list(&ListParams::default().labels("zitadel-secrets.dev/claim"))
            .await
            .unwrap();
        let mine = format!("\"namespace\":\"{}\"", self.tenant.namespace);
        let names = all.into_iter().filter_map(|lease| {
            let text = lease
                .metadata
                .annotations?
                .remove("zitadel-secrets.dev/claim")?;
            text.contains(&mine).then_some(lease.metadata.name?)
        });
        names.collect()
    }

    /// Whether the operator could not know that the last trigger is new, for want of a claim, and the breaker is still open.
    /// A person sees that, and does what the message says.
    async fn trigger_was_taken_for_an_old_one(&self) -> bool {
        let wanted = Some(format!("t{}", self.trigger));
        let judged = eventually(2 * PATIENCE, || async {
            let status = self.tenant.objects().get("walk").await.ok()?.status?;
            let ready = status.conditions.get(ConditionType::Ready)?;
            let handled = status.observed_trigger == wanted;
            match ready.reason.as_str() {
                "BreakerOpen" if handled => Some(true),
                _ => (handled && status.conditions.is_true(ConditionType::Ready)).then_some(false),
            }
        });
        tokio::time::timeout(PATIENCE, judged)
            .await
            .unwrap_or(false)
    }

    /// What was executed on the two applications, and what the claims say: to understand a failure. No secret.
    async fn trace(&self) -> Vec<String> {
        let executions = self.tenant.zitadel.executions();
        let mine = executions
            .into_iter()
            .filter(|execution| self.apps.iter().any(|app| app.id == execution.app));
        let mut trace: Vec<String> = mine
            .map(|it| {
                let (at, app, sequence) = (it.executed_at, it.app, it.sequence);
                format!(
                    "{at} app {app} sequence {sequence} attempt {:?}",
                    it.attempt
                )
            })
            .collect();
        let leases: Api<Lease> = Api::namespaced(self.tenant.client.clone(), OPERATOR_NAMESPACE);
        for name in self.claims().await {
            if let Ok(lease) = leases.get(&name).await {
                let annotations = lease.metadata.annotations.unwrap_or_default();
                trace.extend(annotations.get("zitadel-secrets.dev/claim").cloned());
            }
        }
        if let Ok(secret) = self.tenant.secrets().get(self.secret).await {
            let annotations = secret.metadata.annotations.unwrap_or_default();
            trace.extend(
                annotations
                    .into_iter()
                    .map(|(key, value)| format!("{key}={value}")),
            );
        }
        trace
    }

    async fn step(&mut self, op: Op) {
        let tenant = self.tenant;
        let merge = |value: serde_json::Value| Patch::Merge(value);
        let params = PatchParams::default();
        match op {
            Op::Trigger => {
                self.trigger += 1;
                self.causes += 1;
                self.apply(false).await;
            }
            Op::BurstOfTriggers => {
                for _ in 0..BURST {
                    self.trigger += 1;
                    self.causes += 1;
                    self.apply(false).await;
                    let wanted = format!("t{}", self.trigger);
                    let handled = tenant.until("walk", |object| {
                        let handled = object.status.as_ref()?.observed_trigger.as_ref()?;
                        (*handled == wanted).then_some(())
                    });
                    // What is in the way may need longer.
                    let _ = tokio::time::timeout(std::time::Duration::from_secs(2), handled).await;
                }
            }
            Op::RenameKey => {
                let next = if self.key == "CLIENT_SECRET" {
                    "PASSWORD"
                } else {
                    "CLIENT_SECRET"
                };
                next.clone_into(&mut self.key);
                self.apply(false).await;
            }
            Op::LabelObject => {
                let label = json!({"metadata": {"labels": {"walk": format!("l{}", self.trigger)}}});
                tenant
                    .objects()
                    .patch("walk", &params, &merge(label))
                    .await
                    .unwrap();
            }
            Op::WipeStatus => {
                tenant
                    .objects()
                    .patch_status("walk", &params, &merge(json!({"status": null})))
                    .await
                    .unwrap();
            }
            Op::EditSecretValue => {
                self.causes += 1;
                let data = json!({"stringData": {self.key.clone(): "edited-by-hand"}});
                // NB: it may not be there, or be deleted by the step before.
                let secrets = tenant.secrets();
                let _ = secrets.patch(self.secret, &params, &merge(data)).await;
            }
            Op::DeleteSecret => {
                self.causes += 1;
                let _ = tenant
                    .secrets()
                    .delete(self.secret, &DeleteParams::default())
                    .await;
            }
            Op::Recreate => {
                // Over a good Secret it costs nothing; one in the middle of a first issue may leave nothing behind.
                self.causes += u64::from(!self.is_at_rest().await);
                tenant.delete("walk").await;
                eventually(PATIENCE, || async {
                    tenant
                        .objects()
                        .get_opt("walk")
                        .await
                        .unwrap()
                        .is_none()
                        .then_some(())
                })
                .await;
                self.apply(false).await;
            }
            Op::SuspendAndResume => {
                self.apply(true).await;
                tenant.reason("walk", "Suspended").await;
                self.apply(false).await;
            }
            Op::RevokeAndGrant => {
                tenant.apply_connection(json!({"grants": []})).await;
                tenant.apply_connection(json!({})).await;
            }
            Op::RotateElsewhere => {
                self.causes += 1;
                let app = self.any();
                tenant.zitadel.rotate_elsewhere(&app, None).unwrap();
            }
            Op::DeactivateAndReactivate => {
                let app = self.any();
                let _ = tenant.zitadel.deactivate_app(&app);
                let _ = tenant.zitadel.reactivate_app(&app);
            }
            Op::DeleteClaim => {
                // Without its claim a rotation under way may be made again.
                self.causes += u64::from(!self.is_at_rest().await);
                let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
                for name in self.claims().await {
                    let _ = leases.delete(&name, &DeleteParams::default()).await;
                }
            }
            Op::CorruptClaim => {
                self.causes += u64::from(!self.is_at_rest().await);
                let leases: Api<Lease> = Api::namespaced(tenant.client.clone(), OPERATOR_NAMESPACE);
                for name in self.claims().await {
                    let broken = json!({"metadata": {"annotations": {"zitadel-secrets.dev/claim": "{\"version\":1,"}}});
                    let _ = leases.patch(&name, &params, &merge(broken)).await;
                }
            }
            Op::LoseNextAnswer => {
                self.causes += 1;
                let app = self.any();
                let fault = Fault::on(Operation::Generate, Action::DropAfter(Cut::Reset)).app(app);
                self.faults.push(tenant.zitadel.inject(fault));
            }
            Op::RefuseNextCall => {
                let app = self.any();
                let fault = Fault::on(Operation::Generate, Action::DropBefore(Cut::Close)).app(app);
                self.faults.push(tenant.zitadel.inject(fault));
            }
            Op::AddOrRemoveStandby => {
                self.standby = tenant.kind == Kind::ApiApp && !self.standby;
                self.apply(false).await;
            }
            Op::RenameSecret => {
                self.secret = if self.secret == "walk" {
                    "renamed"
                } else {
                    "walk"
                };
                self.apply(false).await;
            }
            Op::RefuseAndAllowWrites => {
                deny_secrets(&tenant.client, &tenant.namespace).await;
                self.trigger += 1;
                self.causes += 1;
                self.apply(false).await;
                let refused = tenant.reason("walk", "SecretWriteRefused");
                let patience = std::time::Duration::from_secs(8);
                let _ = tokio::time::timeout(patience, refused).await;
                allow_secrets(&tenant.client, &tenant.namespace).await;
            }
            Op::ZitadelDownAndUp => {
                // A call that is under way is cut.
                self.causes += u64::from(!self.is_at_rest().await);
                let up = |availability| {
                    tenant
                        .zitadel
                        .configure(|settings| settings.availability = availability);
                };
                up(self
                    .random
                    .choice([
                        Availability::Refusing,
                        Availability::Resetting,
                        Availability::InternalError,
                    ])
                    .unwrap());
                self.trigger += 1;
                self.causes += 1;
                self.apply(false).await;
                // Until a replica has noticed.
                let noticed = tenant.until("walk", |object| {
                    let seen = object.status.as_ref()?.observed_generation;
                    (seen == object.metadata.generation).then_some(())
                });
                let patience = std::time::Duration::from_secs(8);
                let _ = tokio::time::timeout(patience, noticed).await;
                up(Availability::Up);
            }
            Op::FailNextReads => {
                for operation in [Operation::GetApp, Operation::Journal, Operation::Introspect] {
                    let cut = Action::DropAfter(Cut::Reset);
                    let fault = Fault::on(operation, cut).times(2);
                    self.faults.push(tenant.zitadel.inject(fault));
                }
            }
            Op::DelayNextCall => {
                // Longer than anybody waits for it: it is carried out after it was given up.
                self.causes += 1;
                let late = Action::DelayBefore {
                    delay: std::time::Duration::from_millis(2500),
                    outlives_client: true,
                };
                let fault = Fault::on(Operation::Generate, late);
                self.faults.push(tenant.zitadel.inject(fault));
            }
            Op::NoEffectOfNextCall => {
                self.causes += 1;
                let fault = Fault::on(Operation::Generate, Action::WithoutEffect);
                self.faults.push(tenant.zitadel.inject(fault));
            }
            Op::Lag => {
                tenant
                    .zitadel
                    .configure(|settings| settings.projection_lag = Lag::Observed);
            }
            Op::ZitadelsClockJumps => {
                let hours = self.random.i64(-30..30);
                tenant
                    .zitadel
                    .configure(|settings| settings.clock_skew_ms = hours * 3_600_000);
            }
        }
    }
}

/// Runs one sequence. The text says what was found wrong.
async fn walk(world: &World, seed: u64) -> Result<(), String> {
    let mut random = fastrand::Rng::with_seed(seed);
    let length = random.usize(3..9);
    let ops: Vec<Op> = (0..length)
        .map(|_| {
            let known = if REGRESSIONS.contains(&seed) {
                FORMER
            } else {
                OPS.len()
            };
            OPS[random.usize(..known)]
        })
        .collect();
    let zitadel = Simulator::start(Config {
        threads: 1,
        ..Config::default()
    })
    .unwrap();
    // One in four keeps an OIDC application, which has no standby.
    let kind = match seed % 4 {
        3 if !REGRESSIONS.contains(&seed) => Kind::OidcApp,
        _ => Kind::ApiApp,
    };
    let tenant = world.tenant_with(kind, "walk", &zitadel).await;
    let apps = [tenant.app("walk"), tenant.app("walk-standby")];
    let mut walk = Walk {
        tenant: &tenant,
        apps,
        standby: random.bool() && kind == Kind::ApiApp,
        overlap: random.bool(),
        random: random.fork(),
        trigger: 0,
        key: "CLIENT_SECRET".to_owned(),
        secret: "walk",
        causes: 1,
        faults: Vec::new(),
    };
    walk.apply(false).await;
    let mut steps: Vec<String> = Vec::new();
    for op in &ops {
        if random.bool() {
            // Half of the steps come when everything is at rest, the others in the middle of what the last one caused.
            let _ =
                tokio::time::timeout(std::time::Duration::from_secs(8), tenant.ready("walk")).await;
        }
        walk.step(*op).await;
        steps.push(format!("{} {op:?}", jiff::Timestamp::now()));
    }
    // What has not struck by now does not strike the last rotation, after which nothing is left to lift the breaker.
    for fault in walk.faults.drain(..) {
        tenant.zitadel.remove_fault(fault);
    }
    tenant
        .zitadel
        .configure(|settings| settings.clock_skew_ms = 0);
    // A new trigger passes every brake, so that the end does not depend on which of them had closed on the way.
    walk.step(Op::Trigger).await;
    steps.push(format!("{} Trigger", jiff::Timestamp::now()));
    if ops.contains(&Op::DeleteClaim) && walk.trigger_was_taken_for_an_old_one().await {
        walk.step(Op::Trigger).await;
        steps.push(format!("{} Trigger", jiff::Timestamp::now()));
    }
    let wanted = format!("t{}", walk.trigger);
    let (end, patience) = (
        std::time::Duration::from_secs(90),
        std::time::Duration::from_secs(89),
    );
    let settled = eventually(end, || async {
        let object = tenant.objects().get("walk").await.ok()?;
        let status = object.status.as_ref()?;
        let ready = status.conditions.is_true(ConditionType::Ready);
        let handled = status.observed_trigger.as_deref() == Some(&wanted);
        let value = tenant.value(walk.secret, &walk.key).await?;
        let active = status.active_app_id.as_ref()?;
        let newest = tenant
            .zitadel
            .latest(active)
            .map(|sequence| sequence.to_string());
        let app = walk.apps.iter().find(|app| app.id == *active)?;
        let client_id = tenant.value(walk.secret, "CLIENT_ID").await?;
        (ready
            && handled
            && status.sequence == newest
            && app.client_id == client_id
            && tenant.zitadel.accepts(active, &value))
        .then_some(())
    });
    let (standby, overlap) = (walk.standby, walk.overlap);
    let verdict = |what: String| {
        format!("seed {seed}, {kind}, {ops:?}, standby {standby}, overlap {overlap}: {what}")
    };
    if tokio::time::timeout(patience, settled).await.is_err() {
        let object = tenant.objects().get("walk").await;
        let status = object.map(|object| serde_json::to_string(&object.status).unwrap_or_default());
        let mut trace = walk.trace().await;
        trace.extend(steps);
        return Err(verdict(format!(
            "did not converge: {status:?}\n  {}",
            trace.join("\n  ")
        )));
    }
    let made: u64 = walk.apps.iter().map(|app| tenant.generates(app)).sum();
    let others = ops.iter().filter(|op| **op == Op::RotateElsewhere).count();
    let own = made.saturating_sub(u64::try_from(others).unwrap());
    let retires = if walk.overlap { walk.causes } else { 0 };
    if own > walk.causes + retires {
        return Err(verdict(format!(
            "{own} rotations for {} causes",
            walk.causes
        )));
    }
    let other = if walk.key == "PASSWORD" {
        "CLIENT_SECRET"
    } else {
        "PASSWORD"
    };
    // NB: a key that a person wrote as well is theirs, too, and stays when the operator gives it up.
    let theirs = ops.contains(&Op::EditSecretValue);
    if !theirs && tenant.value(walk.secret, other).await.is_some() {
        return Err(verdict(format!("key {other} is still there")));
    }
    if ops.contains(&Op::BurstOfTriggers) && repairs(&ops) <= 1 && !is_repaired(&walk).await {
        let trace = walk.trace().await.join("\n  ");
        return Err(verdict(format!(
            "after a burst nothing is repaired\n  {trace}"
        )));
    }
    tenant.delete("walk").await;
    Ok(())
}

/// How many repairs the steps may have caused, at the most; many where a step removed the memory of them.
fn repairs(ops: &[Op]) -> usize {
    let of = |op: &Op| match op {
        Op::DeleteClaim | Op::CorruptClaim => OPS.len(),
        Op::EditSecretValue
        | Op::DeleteSecret
        | Op::Recreate
        | Op::RotateElsewhere
        | Op::DeactivateAndReactivate
        | Op::LoseNextAnswer
        | Op::RefuseAndAllowWrites
        | Op::ZitadelDownAndUp
        | Op::FailNextReads
        | Op::DelayNextCall
        | Op::NoEffectOfNextCall
        | Op::AddOrRemoveStandby => 1,
        _ => 0,
    };
    ops.iter().map(of).sum()
}

/// Whether the Secret is made again after it was deleted, without a trigger: the breaker is closed, however much was asked for.
async fn is_repaired(walk: &Walk<'_>) -> bool {
    let tenant = walk.tenant;
    let (secrets, params) = (tenant.secrets(), DeleteParams::default());
    let _ = secrets.delete(walk.secret, &params).await;
    let made = eventually(2 * PATIENCE, || async {
        let value = tenant.value(walk.secret, &walk.key).await?;
        let apps = walk.apps.iter();
        apps.map(|app| &app.id)
            .any(|app| tenant.zitadel.accepts(app, &value))
            .then_some(())
    });
    tokio::time::timeout(PATIENCE, made).await.is_ok()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whatever_happens_the_end_depends_on_the_last_spec_and_rotations_on_causes_alone() {
    let count = std::env::var("SEQUENCES")
        .ok()
        .and_then(|count| count.parse().ok())
        .unwrap_or(SEQUENCES);
    let first: u64 = std::env::var("SEQUENCE_SEED")
        .ok()
        .and_then(|seed| seed.parse().ok())
        .unwrap_or(1);
    let seeds = REGRESSIONS.iter().copied().chain(first..first + count);
    let world = World::own(Options::default()).await;
    let directory = &world.directory;
    let kubeconfig = &world.kubeconfig;
    let start = || Operator::start(kubeconfig, directory, &["--protocol-speed", "20"]);
    let mut operator = start();
    let mut failures = Vec::new();
    let seeds: Vec<_> = seeds.collect();
    for seeds in seeds.chunks(UNTIL_RESTART) {
        let walks = futures::stream::iter(seeds)
            .map(|seed| walk(&world, *seed))
            .buffer_unordered(AT_ONCE);
        failures.extend(
            walks
                .filter_map(|result| async { result.err() })
                .collect::<Vec<_>>()
                .await,
        );
        // NB: between the walks: one of them may refuse the write that the end is waiting for, and all of them have only so much
        // patience. Replicas that end in the midst of everything are tried in tests/chaos.rs.
        assert_eq!(operator.stop(), Some(0), "a value was held at the end");
        operator = start();
    }
    println!("sequences: {count} walked, {} failed", failures.len());
    assert!(failures.is_empty(), "{}", failures.join("\n"));
}
