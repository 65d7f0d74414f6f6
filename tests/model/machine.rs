//! What can happen in the world: the replicas' steps, decided by the shipped code, and the adversary's.

use stateright::Model;

use crate::actor::{self, Known, Report, Step};
use crate::adversary::{crash, person};
use crate::calls::{Effect, deliver, execute};
use crate::properties;
use crate::replica::{SOURCES, begins, done, read};
use crate::world::{
    Admission, Age, Attempt, Broken, Claim, FAULTS, Fault, Former, GONE, JUNK, MESSAGES, Memo,
    Message, Object, Phase, REPLICAS, Reads, Replica, Secret, Seen, State, Status, TWO,
};

/// A mechanism that is taken away, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    Nothing,
    ClaimCas,
    Quiet,
    Recheck,
    /// The recheck reads Secret and journal, but not the claim.
    RecheckOfClaim,
    SequenceFence,
    SecretCas,
    JournalAndRecheck,
    Prove,
    SendOnce,
    PairedProbe,
    StandingProbe,
    UncancellableFlush,
    Rehearsal,
    /// The status names the wrong application as the one whose pair is stored.
    LastActive,
    /// The project is not scanned for rotations by others.
    ProjectScan,
    /// The status's verdict counts for whatever the Secret holds.
    VerifiedRevision,
    /// A replica that did not write a value supposes that it was accepted before.
    Proven,
    /// The Secret under its former name is removed whatever it holds by now.
    FormerRevision,
    /// What the watch shows is taken for the object.
    CurrentObject,
    /// A stored value whose attempt's outcome is not known is not asked about.
    Doubts,
    /// A value that is refused while the stored one is accepted is dropped when the time to prove it is over.
    Lag,
    /// What the API server answers to a write of the Secret is not compared with what was sent.
    Compare,
    /// Rotations that were asked for count as repairs.
    AskedFor,
    /// Consumers that may hold the pair before the stored one are not waited for.
    Consumers,
    /// The standby that is to be created is not waited for.
    Provision,
}

/// One configuration: how many replicas, how it starts, and what the adversary may do.
#[derive(Clone, Debug)]
pub struct World {
    pub name: &'static str,
    pub replicas: u8,
    /// Nothing was issued yet; otherwise a good value is stored.
    pub first: bool,
    pub faults: &'static [(Fault, u8)],
    /// ZITADEL's change list can't be read.
    pub no_journal: bool,
    /// Each read is a transition of its own.
    pub torn: bool,
    /// Rounds may also begin with caches that lag behind.
    pub stale: bool,
    /// The project is scanned for changes before each reconciliation.
    pub scans_project: bool,
    /// Secret writes are refused at first.
    pub refusing: bool,
    pub standby: Standby,
    /// The object has a status, and the verdicts and names in it are used.
    pub status: bool,
    /// Whether the object is as its watch shows it is confirmed by a read.
    pub confirms_object: bool,
    /// What admission makes of what is written, at first.
    pub admission: Admission,
    /// Claims remember repairs.
    pub breaker: bool,
    /// So many rotations were asked for within the breaker's window before.
    pub asked: u8,
    pub without: Without,
}

/// Whether there is a standby application, and what became of it so far.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Standby {
    None,
    /// It was never used.
    New,
    /// Its pair is stored, and the first application's, which was stored before, is still accepted.
    Active,
    /// The same, and an overlap of no time is declared: the pair before is made useless at once.
    Overlap,
    /// The same, once every consumer has the stored pair. The slowest still has the one before.
    Consumers,
    /// The operator is to create it.
    Provisioned,
}

impl Standby {
    /// Whether the pair before the stored one is made useless.
    pub const fn overlaps(self) -> bool {
        matches!(self, Self::Overlap | Self::Consumers)
    }
}

impl World {
    /// The configuration that the others are variations of.
    pub const PLAIN: Self = Self {
        name: "",
        replicas: 2,
        first: false,
        faults: &[],
        no_journal: false,
        torn: false,
        stale: true,
        scans_project: false,
        refusing: false,
        standby: Standby::None,
        status: false,
        confirms_object: false,
        admission: Admission::AsSent,
        breaker: false,
        asked: 0,
        without: Without::Nothing,
    };
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    Send,
    /// Of an application.
    Take(u8),
    /// The attempts, newest first.
    Open(u8),
    Drift,
    Unreadable,
    Missing,
    Dead,
    Backoff,
    Provision,
}

impl Timer {
    const ALL: [Self; 12] = [
        Self::Send,
        Self::Take(0),
        Self::Take(1),
        Self::Open(0),
        Self::Open(1),
        Self::Open(2),
        Self::Drift,
        Self::Unreadable,
        Self::Missing,
        Self::Dead,
        Self::Backoff,
        Self::Provision,
    ];
}

/// How a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Well,
    /// The reconciliation begins with caches that lag behind.
    Stale,
    /// The write is done, its answer lost.
    AnswerLost,
    /// The write of a claim never arrives, and no one knows.
    NeverArrived,
    /// The probe brings no verdict.
    NoVerdict,
    /// The journal can't be read now.
    JournalFails,
    /// The status isn't written.
    StatusLost,
}

/// One transition. Numbers are replicas or messages.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Action {
    Step(u8, How),
    ReadOne(u8, u8),
    Passes(u8, Timer),
    PassesLate(u8, Timer),
    View(u8),
    Flush(u8),
    FlushAnswerLost(u8),
    ProveWithoutVerdict(u8),
    Cancel(u8),
    Crash(u8, bool),
    Execute(u8),
    ExecuteWithoutEffect(u8),
    ExecuteLate(u8),
    Duplicate(u8),
    Vanish(u8),
    Deliver(u8),
    LoseAnswer(u8),
    LoseRequest(u8),
    Refuse(u8),
    GiveUp(u8),
    /// To an application, where that matters.
    Do(Fault, u8),
    Recreate,
    Resume,
    Admit,
    /// ZITADEL accepts an application's late value.
    CatchUp(u8),
    /// The slowest consumer takes the value that is in the Secret.
    RollOut,
    Day,
}

impl Action {
    /// Whether it happens without any fault, so that progress may rely on it.
    pub const fn is_fair(self) -> bool {
        matches!(
            self,
            Self::Step(_, How::Well | How::Stale)
                | Self::ReadOne(..)
                | Self::Passes(..)
                | Self::View(_)
                | Self::Flush(_)
                | Self::Execute(_)
                | Self::Vanish(_)
                | Self::Deliver(_)
                | Self::Recreate
                | Self::Resume
                | Self::Admit
                | Self::CatchUp(_)
                | Self::RollOut
                | Self::Day
        )
    }
}

impl World {
    pub fn start(&self) -> State {
        let object = Object {
            exists: true,
            uid: 1,
            ..Object::default()
        };
        let mut left = [0; FAULTS];
        for (fault, times) in self.faults {
            left[*fault as usize] = *times;
        }
        let mut replicas = [Replica::default(); REPLICAS];
        for replica in replicas.iter_mut().take(self.replicas.into()) {
            replica.view = object;
        }
        // How many values were made and stored so far.
        let made: u8 = match self.standby {
            _ if self.first => 0,
            Standby::None | Standby::New | Standby::Provisioned => 1,
            Standby::Active | Standby::Overlap | Standby::Consumers => 2,
        };
        let claim = |id: u8| {
            let attempt = Attempt {
                id,
                pre: 0,
                cause: if id == 1 { 0 } else { 1 },
                trigger: 0,
                holder: GONE,
                open: true,
                counts: false,
            };
            (id <= made).then_some(Claim {
                revision: id,
                owner: 1,
                issued: id == 2,
                attempt: Some(attempt),
                ..Claim::default()
            })
        };
        let secret = (made > 0).then_some(Secret {
            revision: 1,
            active: made.saturating_sub(1),
            recorded: true,
            attempt: made,
            sequence: made,
            idle: if made == 2 { (1, 1) } else { (0, 0) },
            value: made,
            owner: 1,
            edited: false,
        });
        let of = |id: u8| if id <= made { id } else { 0 };
        let events = [of(1), of(2)];
        let ids = (2 << made) - 2;
        let mut start = State {
            claims: [claim(1), claim(2)],
            secrets: [secret, None],
            object,
            status: Status::default(),
            valid: events,
            late: [0; TWO],
            newest: events,
            own: events,
            cut: 0,
            held: made,
            slowest: u8::from(self.standby == Standby::Consumers),
            due: 0,
            refusing: self.refusing,
            admission: self.admission,
            messages: [None; MESSAGES],
            replicas,
            left,
            executed: 0,
            allowed: u8::from(self.first) + u8::from(self.standby.overlaps()),
            published_trigger: 0,
            sent: ids,
            durable: ids,
            broken: 0,
        };
        let shown = self.shows(&start, 1);
        for replica in start.replicas.iter_mut().take(self.replicas.into()) {
            replica.shown = shown;
        }
        if self.status
            && let Some(secret) = secret
        {
            start.status = Status {
                active: secret.active,
                name: 0,
                verified: 1,
                last: secret.attempt,
                proven: secret.sequence,
            };
        }
        start
    }

    pub fn known(&self, state: &State, i: u8, stale: bool) -> Known {
        let replica = &state.replicas[usize::from(i)];
        let mut reads = replica.reads;
        let begins = begins(&reads);
        let cached = begins && !stale;
        let mut shown = replica.shown;
        if cached {
            reads.claim = Seen::Live(state.claims);
            reads.secret = Seen::Live(state.secrets[usize::from(replica.view.name)]);
            shown = self.shows(state, replica.view.uid);
        }
        if begins {
            reads.former = shown[usize::from(1 - replica.view.name)];
        }
        if self.without == Without::RecheckOfClaim
            && let Seen::Live(claims) = &mut reads.claim
        {
            presume(claims, replica.memo.claimed, i, &reads.secret);
        }
        let status = if replica.view == state.object {
            state.status
        } else {
            // It comes with the object.
            replica.view_status
        };
        let status = match (self.without, reads.secret) {
            (Without::LastActive, _) => Status {
                active: 1 - status.active,
                ..status
            },
            (Without::VerifiedRevision, Seen::Live(Some(secret))) => Status {
                verified: secret.revision,
                ..status
            },
            _ => status,
        };
        Known {
            replica: i,
            object: replica.view,
            hint: if begins && self.scans_project && self.without != Without::ProjectScan {
                state.valid
            } else {
                replica.hint
            },
            reads,
            status,
            standby: match self.standby {
                Standby::None => false,
                Standby::Provisioned => is_known(&reads, state, replica.view.name),
                _ => true,
            },
            provisioned: self.standby == Standby::Provisioned,
            no_provision: self.without == Without::Provision,
            overlap: self.standby.overlaps(),
            slowest: if self.without == Without::Consumers {
                0
            } else {
                state.slowest
            },
            confirms_object: self.confirms_object && self.without != Without::CurrentObject,
            cached,
            due: state.due,
            no_journal: self.no_journal || self.without == Without::JournalAndRecheck,
            no_quiet: self.without == Without::Quiet,
            breaker: self.breaker,
            asked: self.asked,
            asked_count: self.without == Without::AskedFor,
            memo: replica.memo,
        }
    }

    /// An object's Secrets, by name, as a watch shows them that does not lag behind.
    pub fn shows(&self, state: &State, uid: u8) -> [Former; TWO] {
        if !self.renames() {
            return Default::default();
        }
        state.secrets.map(|secret| match secret {
            Some(secret) if secret.owner == uid && secret.recorded => Former {
                revision: secret.revision,
                sequence: secret.sequence,
                carries: [secret.attempt, secret.idle.0],
            },
            _ => Former::default(),
        })
    }

    pub fn renames(&self) -> bool {
        self.faults.iter().any(|(fault, _)| *fault == Fault::Rename)
    }

    fn lags(&self) -> bool {
        self.faults.iter().any(|(fault, _)| *fault == Fault::Lag)
    }

    pub fn without_recheck(&self) -> bool {
        matches!(self.without, Without::Recheck | Without::JournalAndRecheck)
    }

    fn passes(&self, n: &mut State, i: u8, timer: Timer, late: bool) -> bool {
        let replica = &n.replicas[usize::from(i)];
        let mut memo = replica.memo;
        let age = match timer {
            Timer::Send => &mut memo.claimed.2,
            Timer::Take(slot) => &mut memo.watched[usize::from(slot)].2,
            Timer::Open(slot) => &mut memo.open[usize::from(slot)].1,
            Timer::Drift => &mut memo.drift.1,
            Timer::Unreadable => &mut memo.unreadable.1,
            Timer::Missing => &mut memo.missing,
            Timer::Dead => &mut memo.streak.2,
            Timer::Backoff => &mut memo.backoff.0,
            Timer::Provision => &mut memo.provision.0,
        };
        if *age != Age::Fresh {
            return false;
        }
        *age = Age::Over;
        match timer {
            Timer::Send => {
                if late || !n.may(Fault::Delay) {
                    return false;
                }
                n.spend(Fault::Delay);
            }
            // Within a reconciliation no Secret under another name comes to be known.
            Timer::Take(_) if self.renames() && !begins(&n.replicas[usize::from(i)].reads) => {
                return false;
            }
            Timer::Take(slot) => {
                let claim = n.claims[usize::from(slot)];
                let attempt = claim.and_then(|claim| claim.attempt).map_or(0, |a| a.id);
                let slow = n.replicas.iter().any(|other| other.works_on(attempt));
                if slow != late || (late && !n.may(Fault::Slow)) {
                    return false;
                }
                if late {
                    n.spend(Fault::Slow);
                }
            }
            Timer::Open(_) | Timer::Drift | Timer::Unreadable => {
                // What was sent under an attempt that was open when the wait began.
                let until = match timer {
                    Timer::Open(slot) => memo.open[usize::from(slot)].0,
                    _ => u8::MAX,
                };
                let unsent = n.replicas.iter().any(|other| {
                    other.memo.claimed.2 == Age::Fresh
                        && other.memo.claimed.0 <= until
                        && other.phase == Phase::Deciding
                });
                let flushing = n
                    .replicas
                    .iter()
                    .any(|other| matches!(other.phase, Phase::Flushing(_)));
                // They are longer than the longest known lag.
                if unsent || flushing || n.late != [0; TWO] {
                    return false;
                }
                let on_its_way = n
                    .messages()
                    .any(|message| message.attempt <= until && !message.late);
                if on_its_way != late || (late && !n.may(Fault::Late)) {
                    return false;
                }
                if late {
                    n.spend(Fault::Late);
                    for message in n.messages.iter_mut().flatten() {
                        message.late |= message.attempt <= until;
                    }
                }
            }
            Timer::Missing | Timer::Dead | Timer::Backoff | Timer::Provision => {
                // NB: what was asked before the lag was over does not count, so the time is over between two reconciliations.
                let lags = n.late != [0; TWO] || (self.lags() && !begins(&replica.reads));
                if late || (timer == Timer::Dead && lags) {
                    return false;
                }
            }
        }
        n.replicas[usize::from(i)].memo = memo;
        true
    }

    fn apply(&self, n: &mut State, action: Action) -> bool {
        match action {
            Action::Step(i, how) => self.step(n, i, how),
            Action::ReadOne(i, source) => {
                let reads = &mut n.replicas[usize::from(i)].reads;
                reads.pending &= !source;
                let slot = reads.slot;
                read(n, i, slot, source);
                true
            }
            Action::Passes(i, timer) => self.passes(n, i, timer, false),
            Action::PassesLate(i, timer) => self.passes(n, i, timer, true),
            Action::View(i) => {
                n.replicas[usize::from(i)].view = n.object;
                n.replicas[usize::from(i)].view_status = Status::default();
                true
            }
            Action::Flush(i) => self.flush(n, i, false),
            Action::FlushAnswerLost(i) => self.flush(n, i, true),
            Action::ProveWithoutVerdict(i) => self.silent(n, i),
            Action::Cancel(i) => {
                done(n, i, 0);
                true
            }
            Action::Crash(i, elsewhere) => {
                crash(n, i, elsewhere);
                n.replicas[usize::from(i)].shown = self.shows(n, n.object.uid);
                true
            }
            Action::Execute(m) => execute(n, m, Effect::Now),
            Action::ExecuteWithoutEffect(m) => {
                n.spend(Fault::WithoutEffect);
                execute(n, m, Effect::Never)
            }
            Action::ExecuteLate(m) => {
                n.spend(Fault::Lag);
                execute(n, m, Effect::Later)
            }
            Action::RollOut => match n.secret() {
                Some(secret) if n.slowest < secret.value && secret.value != JUNK => {
                    n.slowest = secret.value;
                    true
                }
                _ => false,
            },
            Action::CatchUp(slot) => {
                let late = &mut n.late[usize::from(slot)];
                n.valid[usize::from(slot)] = std::mem::take(late);
                true
            }
            Action::Duplicate(m) => {
                let Some(message) = n.messages[usize::from(m)] else {
                    return false;
                };
                n.spend(Fault::Duplicate);
                n.put_message(Message {
                    awaited: false,
                    unlocked: true,
                    ..message
                });
                true
            }
            Action::Vanish(m) => {
                n.messages[usize::from(m)] = None;
                true
            }
            Action::Deliver(i) => deliver(n, i, self.without),
            Action::LoseAnswer(i) => self.no_answer(n, i, Fault::LostAnswer),
            Action::LoseRequest(i) => self.no_answer(n, i, Fault::LostRequest),
            Action::GiveUp(i) => self.no_answer(n, i, Fault::EarlyTimeout),
            Action::Refuse(i) => self.refuse(n, i),
            Action::Do(fault, slot) => person(n, fault, slot.into()),
            Action::Recreate => {
                n.object.exists = true;
                n.object.uid += 1;
                n.status = Status::default();
                true
            }
            Action::Resume => {
                n.object.suspended = false;
                n.object.generation += 1;
                true
            }
            Action::Admit => {
                n.refusing = false;
                n.admission = Admission::AsSent;
                true
            }
            Action::Day => {
                for claim in n.claims.iter_mut().flatten() {
                    if claim.repaired == Age::Fresh {
                        claim.repaired = Age::Over;
                    }
                }
                true
            }
        }
    }
}

impl Replica {
    /// Whether it is between the claim of that attempt and the Secret.
    pub fn works_on(&self, attempt: u8) -> bool {
        match self.phase {
            Phase::Deciding => self.memo.claimed.0 == attempt && self.memo.claimed.2 == Age::Fresh,
            Phase::Waiting { attempt: own, .. } => own == attempt,
            Phase::Flushing(flush) => flush.attempt == attempt,
        }
    }
}

impl Model for World {
    type State = State;
    type Action = Action;

    fn init_states(&self) -> Vec<State> {
        vec![self.start()]
    }

    fn actions(&self, state: &State, actions: &mut Vec<Action>) {
        if state.broken != 0 {
            return;
        }
        for i in 0..self.replicas {
            self.replica_actions(state, i, actions);
        }
        for m in 0..MESSAGES {
            let Some(message) = state.messages[m] else {
                continue;
            };
            if message.sequence != 0 {
                continue;
            }
            let m = u8::try_from(m).unwrap();
            actions.push(Action::Execute(m));
            if state.may(Fault::WithoutEffect) {
                actions.push(Action::ExecuteWithoutEffect(m));
            }
            if state.may(Fault::Lag) {
                actions.push(Action::ExecuteLate(m));
            }
            if state.may(Fault::Duplicate) && !message.unlocked {
                actions.push(Action::Duplicate(m));
            }
            if !message.awaited {
                actions.push(Action::Vanish(m));
            }
        }
        for fault in [
            Fault::Foreign,
            Fault::DeleteSecret,
            Fault::EditSecret,
            Fault::StripRecord,
            Fault::DeleteClaim,
            Fault::DamageClaim,
            Fault::Recreate,
            Fault::Trigger,
            Fault::Due,
            Fault::Cut,
            Fault::Rename,
            Fault::Suspend,
        ] {
            if !state.may(fault) {
                continue;
            }
            actions.push(Action::Do(fault, 0));
            let of_one = matches!(
                fault,
                Fault::Foreign | Fault::DeleteClaim | Fault::DamageClaim
            );
            if of_one && self.standby != Standby::None {
                actions.push(Action::Do(fault, 1));
            }
        }
        if !state.object.exists {
            actions.push(Action::Recreate);
        }
        if state.object.suspended {
            actions.push(Action::Resume);
        }
        if state.refusing || state.admission != Admission::AsSent {
            actions.push(Action::Admit);
        }
        if state.slowest != 0 {
            actions.push(Action::RollOut);
        }
        for slot in [0, 1] {
            if state.late[usize::from(slot)] != 0 {
                actions.push(Action::CatchUp(slot));
            }
        }
        if state
            .claims
            .iter()
            .flatten()
            .any(|claim| claim.repaired == Age::Fresh)
            && state.messages().next().is_none()
        {
            actions.push(Action::Day);
        }
    }

    fn next_state(&self, state: &State, action: Action) -> Option<State> {
        let mut next = *state;
        if !self.apply(&mut next, action) {
            return None;
        }
        next.rename();
        let mut next = next.canonical(self.replicas);
        if next.executed > next.allowed {
            next.breaks(Broken::Charge);
        }
        (next != *state).then_some(next)
    }

    fn properties(&self) -> Vec<stateright::Property<Self>> {
        properties::always()
    }
}

impl World {
    fn replica_actions(&self, state: &State, i: u8, actions: &mut Vec<Action>) {
        let replica = &state.replicas[usize::from(i)];
        match replica.phase {
            Phase::Deciding if replica.reads.pending != 0 => {
                for source in SOURCES {
                    // NB: the probe tries the value that was read, so it comes after the Secret.
                    if replica.reads.pending & source != 0 {
                        actions.push(Action::ReadOne(i, source));
                    }
                }
            }
            Phase::Deciding => {
                actions.push(Action::Step(i, How::Well));
                let begins = begins(&replica.reads);
                if self.stale && begins {
                    actions.push(Action::Step(i, How::Stale));
                }
                for (fault, how) in [
                    (Fault::LostWriteAnswer, How::AnswerLost),
                    (Fault::LostWriteAnswer, How::NeverArrived),
                    (Fault::NoVerdict, How::NoVerdict),
                    (Fault::JournalFails, How::JournalFails),
                    (Fault::LostStatus, How::StatusLost),
                ] {
                    if state.may(fault) {
                        actions.push(Action::Step(i, how));
                    }
                }
                if begins && replica.view != state.object {
                    actions.push(Action::View(i));
                }
                if replica.memo != Memo::default() {
                    for timer in Timer::ALL {
                        actions.push(Action::Passes(i, timer));
                        if state.may(Fault::Late) || state.may(Fault::Slow) {
                            actions.push(Action::PassesLate(i, timer));
                        }
                    }
                }
            }
            Phase::Waiting { .. } => {
                if self.renames() && replica.view != state.object {
                    actions.push(Action::View(i));
                }
                actions.push(Action::Deliver(i));
                for (fault, action) in [
                    (Fault::LostAnswer, Action::LoseAnswer(i)),
                    (Fault::LostRequest, Action::LoseRequest(i)),
                    (Fault::EarlyTimeout, Action::GiveUp(i)),
                    (Fault::Refused, Action::Refuse(i)),
                ] {
                    if state.may(fault) {
                        actions.push(action);
                    }
                }
            }
            Phase::Flushing(_) => {
                if self.renames() && replica.view != state.object {
                    actions.push(Action::View(i));
                }
                actions.push(Action::Flush(i));
                if state.may(Fault::LostWriteAnswer) {
                    actions.push(Action::FlushAnswerLost(i));
                }
                if state.may(Fault::NoVerdict) {
                    actions.push(Action::ProveWithoutVerdict(i));
                }
                if self.without == Without::UncancellableFlush {
                    actions.push(Action::Cancel(i));
                }
            }
        }
        if state.may(Fault::Crash) {
            actions.push(Action::Crash(i, false));
            actions.push(Action::Crash(i, true));
        }
    }

    /// What a replica would do next.
    pub fn decision(&self, state: &State, i: u8, how: How) -> Step {
        actor::decide(&self.known(state, i, how == How::Stale)).0
    }

    /// What a replica would report if it reconciled now, with everything in sight.
    pub fn report(&self, state: &State, i: u8) -> Option<Report> {
        let known = self.known(state, i, false);
        match actor::decide(&known).0 {
            Step::Rest(report) => Some(report),
            _ => None,
        }
    }
}

/// Takes it that one's own claim stands as it was written.
fn presume(
    claims: &mut [Option<Claim>; TWO],
    (attempt, _, _, slot): (u8, u8, Age, u8),
    holder: u8,
    secret: &Seen<Option<Secret>>,
) {
    let claim = &mut claims[usize::from(slot)];
    let stands = claim.is_some_and(|claim| claim.attempt.is_some_and(|it| it.id == attempt));
    let Seen::Live(Some(secret)) = secret else {
        return;
    };
    if attempt == 0 || stands {
        return;
    }
    *claim = Some(Claim {
        revision: claim.map_or(0, |claim| claim.revision),
        damaged: false,
        owner: secret.owner,
        handled: 0,
        issued: true,
        repaired: Age::Unset,
        attempt: Some(Attempt {
            id: attempt,
            pre: secret.sequence,
            // Due.
            cause: 1,
            trigger: 0,
            holder,
            open: true,
            counts: false,
        }),
        replaced: Default::default(),
        repairs: 0,
        standby: false,
    });
}

/// Whether a standby that the operator creates is known: by the claim, or because the Secret says that its pair is stored.
fn is_known(reads: &Reads, n: &State, name: u8) -> bool {
    let claims = match reads.claim {
        Seen::Live(claims) => claims,
        _ => n.claims,
    };
    let secret = match reads.secret {
        Seen::Live(secret) => secret,
        _ => n.secrets[usize::from(name)],
    };
    claims[0].is_some_and(|claim| claim.standby && !claim.damaged)
        || secret.is_some_and(|secret| secret.recorded && secret.active == 1)
}
