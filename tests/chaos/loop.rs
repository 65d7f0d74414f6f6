//! Triggers, kills, restarts of replicas and of the API server, until quiescence.

use std::path::PathBuf;
use std::time::{Duration, Instant};

use fastrand::Rng;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::{Api, ListParams, Patch, PatchParams};
use serde_json::json;
use tokio::sync::Mutex;
use zitadel_secret_operator::rotation::Claim;
use zitadel_simulator::{Action, Fault, Gate, Lag, Operation};

use super::support::audit::AuditLog;
use super::support::controlplane::Options;
use super::support::fleet::{Fleet, name};
use super::support::process::{Launch, Process};
use super::support::world::{OPERATOR_NAMESPACE, World};
use super::verdict::{self, SecretHistory};

/// What is done in one run.
pub struct Plan {
    /// How often a replica is killed.
    pub kills: usize,
    /// Whether one of them leads.
    pub leader_elect: bool,
    /// Objects.
    pub objects: usize,
    /// Of all random choices.
    pub seed: u64,
}

/// A replica was killed.
pub struct Kill {
    /// When.
    pub at: Timestamp,
    /// What it had printed.
    pub log: PathBuf,
}

/// How much faster than in a real cluster the protocol's spans pass.
const SPEED: u32 = 10;
/// With the protocol's spans divided by that, anything that should happen happens far sooner.
const QUIESCENCE: Duration = Duration::from_mins(3);

/// Runs a plan and says what came of it.
///
/// # Panics
/// When a credential was lost.
pub async fn run(plan: Plan) {
    let title = if plan.leader_elect {
        "elected"
    } else {
        "both work"
    };
    println!(
        "chaos [{title}] seed {}: CHAOS_SEED={} repeats it",
        plan.seed, plan.seed
    );
    let mut random = Rng::with_seed(plan.seed);
    let world = World::own(Options {
        audit: true,
        ..Options::default()
    })
    .await;
    let mut audit = AuditLog::from_now(world.cluster.audit_log());
    let tenant = world.tenant("chaos").await;
    // Each kill in the window is a repair; how many are too many is not the question here.
    tenant
        .apply_connection(json!({"limits": {"repairs": {"count": 1000}}}))
        .await;
    let fleet = Fleet::new(tenant, plan.objects);
    world.zitadel.configure(|settings| {
        settings.projection_lag = Lag::Observed;
        settings.generate_latency = Duration::from_millis(5);
    });
    let launch = |pod: String| {
        Launch::new(&world.kubeconfig, &world.directory)
            .pod(&pod)
            .leader_elect(plan.leader_elect)
            .arguments(&[
                "--protocol-speed",
                &SPEED.to_string(),
                "--drift-interval",
                "2s",
            ])
    };
    let replicas = ["operator-a", "operator-b"].map(|pod| launch(pod.to_owned()).start());
    let replicas = Mutex::new(Vec::from(replicas));
    fleet.create_all().await;
    fleet.settled(0..plan.objects, "0", QUIESCENCE).await;
    let history = SecretHistory::watch(&fleet.tenant);

    let mut kills: Vec<Kill> = Vec::new();
    let mut restarts = 0;
    let mut aimed = 0;
    let mut pods = ["operator-a", "operator-b"].map(ToOwned::to_owned);
    let mut waits = random.fork();
    let killing = async {
        while kills.len() < plan.kills {
            tokio::time::sleep(Duration::from_millis(waits.u64(50..700))).await;
            if plan.leader_elect {
                await_leader(&replicas).await;
            }
            // Every other kill is aimed at the destructive window, the others come at any time.
            let aim = if kills.len().is_multiple_of(2) {
                Aim::take(&fleet, &pods).await
            } else {
                None
            };
            let mut replicas = replicas.lock().await;
            let place = aim
                .as_ref()
                .map_or_else(|| waits.usize(..replicas.len()), |aim| aim.place);
            let victim = &replicas[place];
            if let Some(aim) = &aim
                && waits.bool()
            {
                // The value is in its memory, and not yet in the Secret.
                aim.gate.release();
                while_missing(victim, &aim.attempt).await;
            }
            kills.push(Kill {
                at: Timestamp::now(),
                log: victim.log.clone(),
            });
            victim.kill();
            aimed += usize::from(aim.is_some());
            if let Some(aim) = aim {
                aim.gate.release();
            }
            // The container restarts in its pod, or another pod comes.
            let pod = if waits.bool() {
                format!("operator-{}", ["a", "b"][place])
            } else {
                format!("operator-{}-{}", ["a", "b"][place], kills.len())
            };
            if kills.len() % 25 == plan.kills.min(20) / 2 {
                world.cluster.restart().await;
                restarts += 1;
            }
            pods[place].clone_from(&pod);
            replicas[place] = launch(pod).start();
        }
    };
    let mut choices = random.fork();
    let mut triggers = 0;
    tokio::select! {
        () = killing => {}
        () = rotate_all_the_time(&fleet, &mut choices, &mut triggers) => {}
    }
    world.zitadel.clear_faults();
    let rests = Instant::now();
    let lifted = settle(&fleet).await;
    let rested = rests.elapsed();
    let lost = fleet.faults().await;

    let replicas = replicas.into_inner();
    let logs = kills.iter().map(|kill| kill.log.clone());
    let logs: Vec<_> = logs
        .chain(replicas.iter().map(|replica| replica.log.clone()))
        .collect();
    let found = verdict::reckon(&fleet, &kills, &logs, &audit.read());
    println!("chaos [{title}] kills {}", kills.len());
    println!("chaos [{title}] kills that were aimed at the destructive window {aimed}");
    println!(
        "chaos [{title}] kills in the destructive window {}",
        found.in_window
    );
    println!("chaos [{title}] restarts of the API server {restarts}");
    println!("chaos [{title}] calls that a kill met {}", found.met);
    println!("chaos [{title}] triggers {triggers}");
    println!("chaos [{title}] generates {}", found.generates);
    println!("chaos [{title}] generates by cause {:?}", found.causes);
    println!("chaos [{title}] breakers lifted by a new trigger {lifted}");
    println!(
        "chaos [{title}] seconds to quiescence {:.1}",
        rested.as_secs_f64()
    );
    println!("chaos [{title}] lost credentials {}", lost.len());
    world.cluster.kill();
    // A fault of the tests, not of the operator: a run that hits nothing shows nothing.
    assert!(
        found.in_window * 4 >= plan.kills,
        "seed {}: {} kills in the window",
        plan.seed,
        found.in_window
    );
    // One value for each object, one for each trigger at most, and one for each call that a kill met. What was still in a socket when
    // the process died is received later than the kill, and not counted among those: hence the few besides.
    let most = plan.objects + triggers + lifted + found.met + 2 + plan.kills / 50;
    assert!(
        found.generates <= most,
        "seed {}: {} generates, {most} at most",
        plan.seed,
        found.generates
    );
    let repairs: usize = ["LostAttempt", "SecretInvalid", "SecretMissing"]
        .iter()
        .filter_map(|cause| found.causes.get(*cause))
        .sum();
    assert!(
        repairs <= found.met + 2 + plan.kills / 50,
        "seed {}: {repairs} repairs, {} calls that a kill met",
        plan.seed,
        found.met
    );
    assert_eq!(lost, Vec::<String>::new(), "seed {}", plan.seed);
    assert_eq!(found.sent_twice, Vec::<String>::new(), "seed {}", plan.seed);
    assert_eq!(
        history.overwritten(),
        Vec::<String>::new(),
        "seed {}",
        plan.seed
    );
}

/// An answer of generate that is held on its way back, and the replica that it is for.
struct Aim {
    place: usize,
    attempt: String,
    gate: Gate,
}

impl Aim {
    /// Waits for the next call to be carried out; none if it takes too long, or the API server can't say whose it is.
    async fn take(fleet: &Fleet, pods: &[String; 2]) -> Option<Self> {
        let zitadel = &fleet.tenant.zitadel;
        let gate = zitadel.hold_after(Operation::Generate);
        let found = async {
            tokio::time::timeout(Duration::from_secs(10), gate.reached())
                .await
                .ok()?;
            let requests = zitadel.request_log();
            let open = |id: u64| {
                requests
                    .iter()
                    .any(|request| request.id == id && request.finished_at.is_none())
            };
            let executions = zitadel.executions();
            let last = executions
                .iter()
                .rfind(|made| made.request.is_some_and(open))?;
            let attempt = last.attempt.clone()?;
            let leases: Api<Lease> =
                Api::namespaced(fleet.tenant.client.clone(), OPERATOR_NAMESPACE);
            let claims = ListParams::default().labels("zitadel-secrets.dev/claim");
            let holder = leases
                .list(&claims)
                .await
                .ok()?
                .into_iter()
                .find_map(|lease| {
                    let annotations = lease.metadata.annotations?;
                    let claim = annotations.get("zitadel-secrets.dev/claim")?;
                    let made = Claim::from_json(claim).ok()?.attempt?;
                    (made.id.to_string() == attempt).then_some(made.holder.pod)
                })?;
            let place = pods
                .iter()
                .position(|pod| holder.split('.').next() == Some(pod))?;
            Some((place, attempt))
        };
        let found = found.await;
        if found.is_none() {
            gate.release();
        }
        found.map(|(place, attempt)| Self {
            place,
            attempt,
            gate,
        })
    }
}

/// Waits until a replica has logged the answer to that attempt.
async fn while_missing(replica: &Process, attempt: &str) {
    let began = Instant::now();
    let logged = |line: &str| line.contains(attempt) && line.contains("\"audit\"");
    while !replica.printed().lines().any(logged) && began.elapsed() < Duration::from_secs(1) {
        tokio::time::sleep(Duration::from_millis(1)).await;
    }
}

/// Waits until a replica leads: a kill before that hits no active replica.
async fn await_leader(replicas: &Mutex<Vec<Process>>) {
    let began = Instant::now();
    while began.elapsed() < Duration::from_secs(30) {
        for replica in replicas.lock().await.iter() {
            if replica.metric("leader").await == Some(1.0) {
                return;
            }
        }
        tokio::time::sleep(Duration::from_millis(200)).await;
    }
}

/// New triggers for objects at random; a part of the answers of generate is late, which widens the window.
async fn rotate_all_the_time(fleet: &Fleet, random: &mut Rng, triggers: &mut usize) {
    let objects = fleet.tenant.objects();
    for trigger in 1_u64.. {
        *triggers += 1;
        let n = random.usize(..fleet.apps.len());
        let zitadel = &fleet.tenant.zitadel;
        let ahead = zitadel
            .faults()
            .iter()
            .filter(|fault| fault.fired == 0)
            .count();
        if ahead < 3 {
            let late = Action::DelayAfter(Duration::from_millis(random.u64(20..400)));
            zitadel.inject(Fault::on(Operation::Generate, late).nth(random.u64(1..4)));
        }
        let patch = Patch::Merge(json!({"spec": {"rotation": {"trigger": trigger.to_string()}}}));
        // The API server may be away just now.
        let _ = objects
            .patch(&name(n), &PatchParams::default(), &patch)
            .await;
        tokio::time::sleep(Duration::from_millis(random.u64(5..60))).await;
    }
}

/// Waits until every object is Ready. Where so many were lost that the breaker is open, a person sets a new trigger, as its reason
/// says; returns for how many.
async fn settle(fleet: &Fleet) -> usize {
    let objects = fleet.tenant.objects();
    let began = Instant::now();
    let mut lifted = 0;
    loop {
        let found = verdict::unsettled(&objects).await;
        if found.iter().all(|(_, reason)| reason.is_none()) {
            return lifted;
        }
        if began.elapsed() > QUIESCENCE {
            println!("not Ready: {found:?}");
            return lifted;
        }
        for (name, _) in found
            .iter()
            .filter(|(_, reason)| reason.as_deref() == Some("BreakerOpen"))
        {
            lifted += 1;
            let patch = json!({"spec": {"rotation": {"trigger": format!("lift-{lifted}")}}});
            objects
                .patch(name, &PatchParams::default(), &Patch::Merge(patch))
                .await
                .unwrap();
        }
        tokio::time::sleep(Duration::from_millis(500)).await;
    }
}
