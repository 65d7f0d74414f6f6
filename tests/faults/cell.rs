//! One cell of the matrix: a fault at a boundary of one rotation that is due, and what came of it.

use std::fmt;
use std::sync::Arc;
use std::time::{Duration, Instant};

use k8s_openapi::api::core::v1::Secret;
use kube::api::{Patch, PatchParams};
use serde_json::json;
use tokio_util::sync::CancellationToken;
use zitadel_secret_operator::api::Kind;
use zitadel_secret_operator::rotation::AttemptState;
use zitadel_simulator::{
    Action, AppHandle, Cut, Fault as Script, Operation, Outcome as Ended, Reply, Which,
};

use super::invariants;
use super::lane::{Lane, NAME, claim};
use super::layer::{Act, Bad, Rule, Seen, Without};
use super::replica::{LEADER_LEASE, timing};

/// Where a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Boundary {
    /// The watch of the objects.
    Watch,
    /// GET of the object.
    Object,
    /// GET of the Secret.
    Secret,
    /// ZITADEL's token endpoint.
    Token,
    /// GET of the application.
    App,
    /// The journal.
    Journal,
    /// The rehearsal.
    Rehearsal,
    /// The write of the claim.
    ClaimPut,
    /// The Secret, read once more after the claim.
    Recheck,
    /// Generate.
    Generate,
    /// The write of the Secret.
    Apply,
    /// Introspection with the new value.
    Prove,
    /// A claim given up.
    Void,
    /// The status of the object.
    Status,
    /// The event.
    Event,
    /// The leader's Lease.
    Renew,
    /// The list of the Pods.
    Pods,
}

impl Boundary {
    pub const ALL: [Self; 17] = [
        Self::Watch,
        Self::Object,
        Self::Secret,
        Self::Token,
        Self::App,
        Self::Journal,
        Self::Rehearsal,
        Self::ClaimPut,
        Self::Recheck,
        Self::Generate,
        Self::Apply,
        Self::Prove,
        Self::Void,
        Self::Status,
        Self::Event,
        Self::Renew,
        Self::Pods,
    ];

    /// The operation of ZITADEL, if it is one.
    pub fn operation(self) -> Option<Operation> {
        match self {
            Self::Token => Some(Operation::Token),
            Self::App => Some(Operation::GetApp),
            Self::Journal => Some(Operation::Journal),
            Self::Generate => Some(Operation::Generate),
            Self::Prove => Some(Operation::Introspect),
            _ => None,
        }
    }

    /// Whether a request to the API server is the one, for an object of that kind.
    fn meets(self, kind: Kind, seen: &Seen) -> bool {
        let is = |verb: &str, resource: &str| seen.verb == verb && seen.resource == resource;
        let objects = kind.plural();
        match self {
            Self::Watch => seen.resource == objects && matches!(seen.verb, "list" | "watch"),
            Self::Object => is("get", objects),
            Self::Secret => is("get", "secrets") && seen.name == NAME && !seen.claimed,
            Self::Rehearsal => seen.resource == "secrets" && seen.dry_run,
            Self::ClaimPut => seen.resource == "leases" && seen.claims(AttemptState::Open),
            Self::Recheck => is("get", "secrets") && seen.name == NAME && seen.claimed,
            Self::Apply => is("patch", "secrets") && !seen.dry_run,
            Self::Void => seen.resource == "leases" && seen.claims(AttemptState::Void),
            Self::Status => {
                seen.verb == "patch" && seen.resource.strip_suffix("/status") == Some(objects)
            }
            Self::Event => seen.resource == "events" && seen.verb != "get",
            Self::Renew => seen.verb == "update" && seen.name == LEADER_LEASE,
            Self::Pods => is("list", "pods"),
            Self::Token | Self::App | Self::Journal | Self::Generate | Self::Prove => false,
        }
    }

    pub fn number(self) -> usize {
        Self::ALL.iter().position(|other| *other == self).unwrap()
    }
}

impl fmt::Display for Boundary {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "B{:<2} {:?}", self.number(), self)
    }
}

/// How the object rotates, and at which moment a fault strikes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Setting {
    /// With one application, while it rotates.
    Alone,
    /// With a standby application, while it rotates.
    Standby,
    /// With a standby application whose former pair is kept for a consumer that stays behind, while it rotates.
    Behind,
    /// The same when that consumer has the new value, so that the former pair is retired.
    Retiring,
    /// With one application, over ZITADEL's API v2, which has no journal, while it rotates.
    V2,
    /// With an OIDC application, while it rotates.
    Oidc,
}

impl Setting {
    pub const ALL: [Self; 6] = [
        Self::Alone,
        Self::Standby,
        Self::Behind,
        Self::Retiring,
        Self::V2,
        Self::Oidc,
    ];

    /// The kind of the object.
    pub fn kind(self) -> Kind {
        match self {
            Self::Oidc => Kind::OidcApp,
            _ => Kind::ApiApp,
        }
    }

    /// Whether the object has a standby application.
    pub fn has_standby(self) -> bool {
        !matches!(self, Self::Alone | Self::V2 | Self::Oidc)
    }

    /// Whether the former pair is kept until a consumer is current.
    pub fn awaits_consumers(self) -> bool {
        matches!(self, Self::Behind | Self::Retiring)
    }

    /// What follows the number of replicas in a name; empty where nothing does.
    pub fn words(self) -> &'static str {
        match self {
            Self::Alone => "",
            Self::Standby => "a standby application",
            Self::Behind => "a consumer that stays behind",
            Self::Retiring => "a former pair that is retired",
            Self::V2 => "API v2",
            Self::Oidc => "an OIDC application",
        }
    }

    /// The word that selects its cells.
    pub fn word(self) -> &'static str {
        match self {
            Self::Alone => "",
            Self::Standby => "standby",
            Self::Behind => "behind",
            Self::Retiring => "retiring",
            Self::V2 => "v2",
            Self::Oidc => "oidc",
        }
    }

    /// Whether a fault is tried here. Beside consumers these are the steps between which they make a difference.
    fn covers(self, boundary: Boundary, strike: u8, replicas: usize) -> bool {
        use Boundary as B;
        let steps: &[Boundary] = match self {
            Self::Alone | Self::Standby => return boundary != B::Pods,
            Self::V2 | Self::Oidc => {
                let differ = match self {
                    // What a journal would say makes a difference from the claim on.
                    Self::V2 => !matches!(
                        boundary,
                        B::Watch
                            | B::Object
                            | B::Secret
                            | B::Token
                            | B::Journal
                            | B::Rehearsal
                            | B::Event
                            | B::Renew
                            | B::Pods
                    ),
                    // The steps whose request, record or message has the kind in it.
                    _ => !matches!(
                        boundary,
                        B::Secret | B::Token | B::Rehearsal | B::Recheck | B::Renew | B::Pods
                    ),
                };
                // NB: how ZITADEL is made unreachable at that moment counts the reads of the journal.
                let unreachable = self == Self::V2 && (boundary, strike) == (B::Generate, 11);
                let tried = replicas == 1 || matches!(strike, 1 | 2 | 12);
                return differ && tried && !unreachable;
            }
            Self::Behind => &[B::ClaimPut, B::Generate, B::Apply, B::Status, B::Pods],
            Self::Retiring => &[
                B::Journal,
                B::ClaimPut,
                B::Recheck,
                B::Generate,
                B::Apply,
                B::Status,
                B::Event,
                B::Pods,
            ],
        };
        let strikes: &[u8] = match replicas {
            1 => &[1, 2, 3, 4, 7, 9, 11],
            _ => &[1, 2, 12],
        };
        // NB: how ZITADEL is made unreachable counts the reads of a rotation.
        let unreachable = strike == 11 && boundary.operation().is_some();
        steps.contains(&boundary) && strikes.contains(&strike) && !unreachable
    }
}

/// A cell.
#[derive(Clone, Debug, PartialEq)]
pub struct Cell {
    pub boundary: Boundary,
    /// F1 to F14 of the plan.
    pub strike: u8,
    pub replicas: usize,
    /// Which of several ways, where there are several.
    pub way: &'static str,
    /// How the object rotates.
    pub setting: Setting,
    /// A mechanism that is taken away, for a control.
    pub without: Option<Without>,
}

impl fmt::Display for Cell {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            boundary,
            strike,
            replicas,
            way,
            setting,
            without,
        } = self;
        if *setting != Setting::Alone {
            write!(f, "with {}, ", setting.words())?;
        }
        write!(f, "B{} {boundary:?} × F{strike}", boundary.number())?;
        if !way.is_empty() {
            write!(f, " ({way})")?;
        }
        write!(f, ", {replicas} replicas")?;
        if let Some(mechanism) = without {
            write!(f, ", without {mechanism:?}")?;
        }
        Ok(())
    }
}

impl Cell {
    /// How many generates must be carried out in all, one being due: the table of the plan.
    pub fn expected(&self) -> (usize, usize) {
        let (least, most) = self.rotations();
        match self.setting {
            // NB: the date of an application makes the operator ask about the stored value at any time, so that a death then may come before
            // there is a new one.
            Setting::V2 if self.boundary == Boundary::Prove => (1, most),
            Setting::Alone | Setting::Standby | Setting::V2 | Setting::Oidc => (least, most),
            Setting::Behind => (least + 1, most + 1),
            // NB: what came of a retirement is read from the journal, so that a lost answer costs nothing.
            Setting::Retiring if self.strike == 12 => (2, 3),
            Setting::Retiring => (2, 2),
        }
    }

    fn rotations(&self) -> (usize, usize) {
        use Boundary as B;
        match (self.boundary, self.strike, self.way) {
            // The first answer of a duplicated generate is dead when it comes; the second is not.
            (B::Generate, 6, "second") => (1, 1),
            // NB: who dies with the value in memory loses it, while proving as much as while writing.
            (B::Generate, 2 | 4 | 5 | 6 | 8 | 10, _) | (B::Apply, 1, _) | (B::Prove, 1 | 2, _) => {
                (2, 2)
            }
            (B::Generate | B::Apply, 12, _) => (1, 3),
            // NB: without an election the other replica can't know that the value is held, and makes another once it may.
            (B::Apply, 9, "long") => (1, self.replicas),
            // NB: the Lease is renewed at any time, so that a death then may hit the moment in which a value is held.
            (B::Renew, 1 | 2, _) => (1, 2),
            (_, 12 | 13, _) => (1, 2),
            _ => (1, 1),
        }
    }

    /// The most time that may pass until everything is at rest.
    fn bound(&self) -> Duration {
        let usual = timing().quiet + Duration::from_secs(20);
        match (self.boundary, self.strike) {
            // The client's own deadlines for reads: 10 s, and 30 s for lists.
            (Boundary::Journal, 3 | 5) => usual + Duration::from_secs(30),
            _ => usual + Duration::from_secs(10),
        }
    }

    /// All cells that mean something, for that many replicas.
    pub fn all((replicas, setting): (usize, Setting)) -> Vec<Self> {
        let mut cells = Vec::new();
        for boundary in Boundary::ALL {
            for strike in (1..=14).filter(|it| setting.covers(boundary, *it, replicas)) {
                for way in ways(boundary, strike, replicas) {
                    cells.push(Self {
                        boundary,
                        strike,
                        replicas,
                        way,
                        setting,
                        without: None,
                    });
                }
            }
        }
        cells
    }
}

/// The ways in which a fault can strike at a boundary; none if the pair means nothing.
fn ways(boundary: Boundary, strike: u8, replicas: usize) -> Vec<&'static str> {
    use Boundary as B;
    let write = matches!(
        boundary,
        B::ClaimPut | B::Generate | B::Apply | B::Void | B::Status | B::Event | B::Renew
    );
    match (boundary, strike) {
        // A read that is carried out changes nothing: answered with 500 before or after, and twice or once, is the same.
        (_, 6 | 8) if !write => vec![],
        (_, 13) if replicas == 1 => vec![],
        // With an election there is one worker; a standby does nothing at all.
        (B::Renew, 13) => vec![],
        (B::Generate, 6) => vec!["first", "second"],
        (B::Apply, 9) => vec!["short", "long"],
        (B::Generate, 8) => vec!["proxy", "action"],
        (B::Generate, 10) => vec!["truncated", "garbled", "oversized", "without secret"],
        (_, 12 | 13) if write && boundary != B::Renew => vec!["before", "after"],
        _ => vec![""],
    }
}

/// What came of a cell.
pub struct Outcome {
    pub cell: Cell,
    pub generates: usize,
    pub problems: Vec<String>,
    pub time: Duration,
}

/// Runs a cell in a lane.
pub async fn run(lane: &mut Lane, cell: &Cell) -> Outcome {
    let begun = Instant::now();
    let mut run = Run {
        problems: Vec::new(),
        trigger: "b",
        victim: None,
    };
    if cell.boundary == Boundary::Watch {
        // A watch that failed waits longer each time; what the cells before did to it must not count.
        lane.replicas.clear();
    }
    let app = match run.prepare(lane, cell).await {
        Ok(app) => app,
        Err(problem) => {
            return Outcome {
                cell: cell.clone(),
                generates: 0,
                problems: vec![format!("before the fault: {problem}")],
                time: begun.elapsed(),
            };
        }
    };
    run.strike(lane, cell, &app).await;
    lane.replicas.iter().for_each(|replica| {
        if !replica.controls.is_dead() {
            replica.controls.thaw();
        }
    });
    run.settle(lane, cell, &app).await;
    lane.zitadel.clear_faults();
    if cell.setting == Setting::Behind {
        lane.release().await;
        run.settle(lane, cell, &app).await;
    }
    let generates = invariants::executed(lane, &app).len();
    let (least, most) = cell.expected();
    if generates < least || generates > most {
        run.problems
            .push(format!("{generates} generates, not {least} to {most}"));
    }
    run.problems
        .extend(invariants::check(lane, &app, cell).await);
    Outcome {
        cell: cell.clone(),
        generates,
        problems: run.problems,
        time: begun.elapsed(),
    }
}

struct Run {
    problems: Vec<String>,
    trigger: &'static str,
    victim: Option<usize>,
}

impl Run {
    async fn settle(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        if let Err(problem) = lane.settle(app, self.trigger, cell.bound()).await {
            self.problems.push(format!("not at rest {problem}"));
        }
    }

    /// What makes the replicas do what a fault is to strike.
    async fn begin(&self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        match cell.setting {
            Setting::Retiring => lane.release().await,
            _ => lane.trigger(app, self.trigger).await,
        }
    }

    async fn prepare(&mut self, lane: &mut Lane, cell: &Cell) -> Result<AppHandle, String> {
        lane.zitadel.clear_faults();
        lane.wire.clear();
        lane.clean().await;
        lane.history.clear();
        lane.fill().await?;
        let app = lane.subject().await;
        lane.settle(&app, "a", Duration::from_secs(20)).await?;
        lane.wire.clear();
        if cell.setting.awaits_consumers() {
            lane.consumer().await;
        }
        if cell.setting == Setting::Retiring {
            lane.trigger(&app, self.trigger).await;
            lane.settle(&app, self.trigger, Duration::from_secs(20))
                .await?;
            lane.wire.forget_claimed();
        }
        Ok(app)
    }

    async fn strike(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        if let Some(mechanism) = cell.without {
            lane.wire.take_away(mechanism);
        }
        match cell.boundary {
            Boundary::Token => lane.zitadel.revoke_access_tokens(),
            // A claim is given up when the Secret was touched between the claim and the second reading.
            Boundary::Void => {
                let kind = cell.setting.kind();
                let token = CancellationToken::new();
                let touch = Rule::new(vec![Act::Wait(token.clone()); 2], move |seen| {
                    Boundary::ClaimPut.meets(kind, seen)
                });
                lane.wire.add(touch.prelude());
                let (client, wire, secrets) =
                    (lane.client.clone(), Arc::clone(&lane.wire), lane.secrets());
                tokio::spawn(async move {
                    let claimed = |wire: &super::layer::Wire| {
                        wire.writes()
                            .iter()
                            .any(|w| w.seen.claims(AttemptState::Open))
                    };
                    while !claimed(&wire) {
                        tokio::time::sleep(Duration::from_millis(2)).await;
                    }
                    touch_secret(&secrets).await;
                    token.cancel();
                    drop(client);
                });
            }
            _ => {}
        }
        if cell.boundary.operation().is_some() {
            self.at_zitadel(lane, cell, app).await;
        } else {
            self.at_kubernetes(lane, cell, app).await;
        }
    }

    async fn at_kubernetes(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        let (boundary, kind) = (cell.boundary, cell.setting.kind());
        let acts = kubernetes_acts(cell);
        lane.wire
            .add(Rule::new(acts, move |seen| boundary.meets(kind, seen)));
        if boundary == Boundary::Watch {
            lane.wire.cut_watches();
            if cell.strike != 12 && cell.strike != 13 {
                self.reached(lane, cell).await;
            }
        }
        self.begin(lane, cell, app).await;
        if !self.reached(lane, cell).await {
            return;
        }
        let victim = lane.wire.fired()[0].replica;
        self.victim = Some(victim);
        match cell.strike {
            12 => self.pause(lane, victim).await,
            13 => self.meanwhile(lane, cell, app, victim).await,
            _ => {}
        }
    }

    /// Waits until the fault has struck.
    async fn reached(&mut self, lane: &mut Lane, cell: &Cell) -> bool {
        let begun = Instant::now();
        while lane.wire.fired().is_empty() {
            if begun.elapsed() > Duration::from_secs(15) {
                self.problems.push(format!("{cell} was never reached"));
                return false;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        true
    }

    /// The victim stands still for twice the quiet period.
    async fn pause(&mut self, lane: &mut Lane, victim: usize) {
        tokio::time::sleep(timing().quiet * 2).await;
        if let Some(replica) = lane.replica(victim) {
            replica.controls.thaw();
        }
    }

    /// The victim stands still until another replica has made a whole rotation.
    async fn meanwhile(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle, victim: usize) {
        // The first rotation is done by then; another one must be due.
        if matches!(cell.boundary, Boundary::Status | Boundary::Event)
            || (cell.boundary == Boundary::Apply && cell.way == "after")
        {
            self.trigger = "c";
            lane.trigger(app, self.trigger).await;
        }
        let holder = lane.replica(victim).unwrap().holder.clone();
        let begun = Instant::now();
        loop {
            let secret = lane.secrets().get(NAME).await.unwrap();
            let stored = super::lane::commit(&secret).and_then(|commit| {
                let made = commit.stored()?;
                made.entry.attempt
            });
            let active = lane.claim_name(lane.active(app, &secret));
            let lease = lane.leases().get_opt(&active).await.unwrap();
            let attempt = lease.as_ref().and_then(claim).and_then(|c| c.attempt);
            let done = attempt
                .is_some_and(|attempt| attempt.holder != holder && stored == Some(attempt.id));
            if done {
                break;
            }
            if begun.elapsed() > Duration::from_secs(15) {
                self.problems
                    .push("the other replica made no rotation".into());
                break;
            }
            tokio::time::sleep(Duration::from_millis(10)).await;
        }
        if let Some(replica) = lane.replica(victim) {
            replica.controls.thaw();
        }
    }

    async fn at_zitadel(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        let operation = cell.boundary.operation().unwrap();
        if cell.strike == 11 {
            self.unreachable(lane, cell, app).await;
            return;
        }
        // The first one to come is the victim; to know who that is, the others stand still until it has come.
        let of_process = matches!(cell.strike, 1 | 2 | 12 | 13 | 14);
        if of_process {
            for replica in &lane.replicas[1..] {
                replica.freeze().await;
            }
        }
        let victim = lane.replicas[0].controls.number;
        let after = cell.strike == 2 || cell.way == "after";
        let gate = lane.zitadel.gate(&format!("{cell}"));
        let name = || gate.name().to_owned();
        let hold = if after {
            Action::HoldAfter { gate: name() }
        } else {
            Action::HoldBefore {
                gate: name(),
                outlives_client: matches!(cell.strike, 12 | 13),
            }
        };
        let held = matches!(cell.strike, 1 | 2 | 3 | 5 | 12 | 13 | 14)
            && !(cell.strike == 5 && operation == Operation::Generate);
        let mut actions = match cell.strike {
            5 if operation != Operation::Generate => vec![Action::HoldAfter { gate: name() }],
            _ if held => vec![hold],
            _ => zitadel_actions(cell),
        };
        let mut first = None;
        for (index, action) in actions.drain(..).enumerate() {
            let script = Script::on(operation, action);
            // NB: rules count all requests that they concern, so each but the first lets those before it pass.
            let script = Script {
                skip: index as u64,
                ..script
            };
            let id = lane.zitadel.inject(script);
            first.get_or_insert(id);
        }
        let first = first.unwrap();
        self.begin(lane, cell, app).await;
        let begun = Instant::now();
        while lane.zitadel.fired(first) == 0 || (held && gate.arrived() == 0) {
            if begun.elapsed() > Duration::from_secs(15) {
                self.problems.push(format!("{cell} was never reached"));
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
        if !of_process {
            return;
        }
        self.victim = Some(victim);
        let replica = lane.replica(victim).unwrap();
        match cell.strike {
            1 | 2 => {
                replica.controls.kill();
                while !lane.replica(victim).unwrap().has_ended() {
                    tokio::time::sleep(Duration::from_millis(1)).await;
                }
            }
            12 | 13 => replica.freeze().await,
            _ => replica.controls.stop(),
        }
        for replica in &lane.replicas {
            if replica.controls.number != victim {
                replica.controls.thaw();
            }
        }
        if cell.strike == 1 {
            self.hung_up(lane, operation).await;
        }
        gate.release();
        match cell.strike {
            12 => self.pause(lane, victim).await,
            13 => self.meanwhile(lane, cell, app, victim).await,
            _ => {}
        }
    }

    /// Waits until ZITADEL has noticed that the client is gone.
    async fn hung_up(&mut self, lane: &Lane, operation: Operation) {
        let begun = Instant::now();
        let noticed = || {
            let log = lane.zitadel.request_log();
            let last = log
                .iter()
                .rev()
                .find(|request| request.operation == operation);
            last.is_none_or(|request| request.outcome != Ended::Open)
        };
        while !noticed() {
            if begun.elapsed() > Duration::from_secs(5) {
                self.problems
                    .push("ZITADEL did not notice the death".into());
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }

    /// ZITADEL cannot be connected to at that point.
    async fn unreachable(&mut self, lane: &mut Lane, cell: &Cell, app: &AppHandle) {
        // NB: rotations made by the operator start new connections for generate; reads use those that are open.
        match cell.boundary {
            Boundary::Generate => {
                let gate = lane.zitadel.gate(&format!("{cell}"));
                let hold = Action::HoldAfter {
                    gate: gate.name().to_owned(),
                };
                let id = lane
                    .zitadel
                    .inject(Script::on(Operation::Journal, hold).nth(2));
                lane.trigger(app, self.trigger).await;
                self.arrival(lane, id).await;
                lane.relay.refuse(usize::MAX).await;
                gate.release();
            }
            Boundary::Prove => {
                let gate = lane.zitadel.gate(&format!("{cell}"));
                let hold = Action::HoldAfter {
                    gate: gate.name().to_owned(),
                };
                let id = lane.zitadel.inject(Script::on(Operation::Generate, hold));
                lane.trigger(app, self.trigger).await;
                self.arrival(lane, id).await;
                lane.relay.refuse(1).await;
                gate.release();
            }
            _ => {
                lane.relay.refuse(0).await;
                lane.trigger(app, self.trigger).await;
            }
        }
        // Until the refusal has shown somewhere, or the value that could not be proven is stored.
        let begun = Instant::now();
        while begun.elapsed() < Duration::from_secs(10) {
            let object = lane.objects().get(NAME).await.unwrap();
            let text = serde_json::to_string(&object.status).unwrap();
            if text.contains("Unreachable") || text.contains("Unproven") || text.contains("Timeout")
            {
                break;
            }
            tokio::time::sleep(Duration::from_millis(5)).await;
        }
        if begun.elapsed() >= Duration::from_secs(10) {
            let object = lane.objects().get(NAME).await.unwrap();
            let text = serde_json::to_string(&object.status).unwrap();
            self.problems
                .push(format!("no message says that ZITADEL is away: {text}"));
        }
        lane.relay.accept().await;
    }

    async fn arrival(&mut self, lane: &Lane, fault: u64) {
        let begun = Instant::now();
        while lane.zitadel.fired(fault) == 0 {
            if begun.elapsed() > Duration::from_secs(15) {
                self.problems.push("the boundary was never reached".into());
                return;
            }
            tokio::time::sleep(Duration::from_millis(2)).await;
        }
    }
}

async fn touch_secret(secrets: &kube::Api<Secret>) {
    let touch = json!({"metadata": {"labels": {"touched": "by-another"}}});
    secrets
        .patch(NAME, &PatchParams::default(), &Patch::Merge(touch))
        .await
        .unwrap();
}

fn kubernetes_acts(cell: &Cell) -> Vec<Act> {
    let after = cell.way == "after";
    match cell.strike {
        1 => vec![Act::DieBefore],
        2 => vec![Act::DieAfter],
        3 => vec![Act::Drop],
        4 => vec![Act::CutAfter],
        5 => vec![Act::LateAfter],
        6 => vec![Act::Twice],
        7 => vec![Act::Refuse(500), Act::Refuse(503)],
        8 => vec![Act::RefuseAfter(500), Act::RefuseAfter(504)],
        // NB: the watch waits twice as long after each refusal.
        9 if cell.boundary == Boundary::Watch => [410, 403, 429].map(Act::Refuse).to_vec(),
        9 if cell.way == "short" || cell.boundary == Boundary::Status => {
            [403, 422, 429].map(Act::Refuse).to_vec()
        }
        9 => [400, 401, 403, 404, 409, 413, 422, 429]
            .map(Act::Refuse)
            .to_vec(),
        10 => vec![
            Act::Spoil(Bad::Truncated),
            Act::Spoil(Bad::Garbled),
            Act::Spoil(Bad::WrongType),
            Act::Spoil(Bad::Oversized),
        ],
        11 => vec![Act::Unreachable],
        12 | 13 if after => vec![Act::FreezeAfter],
        12 | 13 => vec![Act::FreezeBefore],
        _ => vec![Act::Stop],
    }
}

fn zitadel_actions(cell: &Cell) -> Vec<Action> {
    let generate = cell.boundary == Boundary::Generate;
    match (cell.strike, cell.way) {
        (4, _) => vec![Action::DropAfter(Cut::Reset)],
        (5, _) => vec![Action::DelayAfter(timing().request * 2)],
        (6, "second") => vec![Action::Duplicate(Which::Second)],
        (6, _) => vec![Action::Duplicate(Which::First)],
        (7, _) => vec![
            Action::RespondBefore(Reply::ingress_html(502)),
            Action::RespondBefore(Reply::zitadel(500, 13, "", "internal")),
        ],
        (8, "action") => vec![Action::RespondAfter(Reply::action_interrupted())],
        (8, _) => vec![Action::RespondAfter(Reply::ingress_html(504))],
        (9, _) if matches!(cell.boundary, Boundary::Token | Boundary::Prove) => vec![
            Action::RespondBefore(Reply::oauth(400, "invalid_grant")),
            Action::RespondBefore(Reply::oauth(401, "invalid_client")),
            Action::RespondBefore(Reply::instance_blocked()),
        ],
        (9, _) => vec![
            Action::RespondBefore(Reply::zitadel(400, 3, "COMMAND-1", "invalid")),
            Action::RespondBefore(Reply::token_invalid()),
            Action::RespondBefore(Reply::org_unknown()),
            Action::RespondBefore(Reply::no_membership()),
            Action::RespondBefore(Reply::quota_exhausted()),
        ],
        (10, "truncated") => vec![Action::Truncate(20)],
        (10, "garbled") => vec![Action::Garbage],
        (10, "oversized") => vec![Action::Oversize(2 * 1024 * 1024)],
        (10, _) if generate => vec![Action::ReplaceBody("{}".into())],
        (10, _) => vec![
            Action::Truncate(20),
            Action::Garbage,
            Action::Oversize(2 * 1024 * 1024),
            Action::ReplaceBody("[7]".into()),
        ],
        _ => Vec::new(),
    }
}
