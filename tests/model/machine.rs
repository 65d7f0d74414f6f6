//! What can happen in the world: the replicas' steps, decided by the shipped code, and the adversary's.

use stateright::Model;
use zitadel_secret_operator::rotation::{Cause, Fence};

use crate::actor::{self, APP, CLAIM, JOURNAL, Known, OBJECT, PROBE, Report, SECRET, Step};
use crate::properties;
use crate::world::{
    Age, Attempt, Broken, Claim, FAULTS, Fault, Flush, Former, GONE, JUNK, MESSAGES, Memo, Message,
    Object, Phase, REPLICAS, Replica, Round, Secret, Seen, State, Status, TWO, Verdict,
};

/// A mechanism that is taken away, to see that it is missed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Without {
    Nothing,
    ClaimCas,
    Quiet,
    Recheck,
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
    /// Nobody looks over the project for what others did.
    Look,
    /// The status's verdict counts for whatever the Secret holds.
    VerifiedRevision,
    /// Who did not write a value supposes that it was accepted before.
    Proven,
    /// The Secret under its former name is removed whatever it holds by now.
    FormerRevision,
    /// What the watch shows is taken for the object.
    CurrentObject,
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
    /// The project is looked over for changes before each round.
    pub look: bool,
    /// Secret writes are refused at first.
    pub refusing: bool,
    pub standby: Standby,
    /// The object has a status, and the verdicts and names in it are used.
    pub status: bool,
    /// Whether the object is as its watch shows it is looked up.
    pub looks: bool,
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
        look: false,
        refusing: false,
        standby: Standby::None,
        status: false,
        looks: false,
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
}

impl Timer {
    const ALL: [Self; 11] = [
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
    ];
}

/// How a step goes.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum How {
    Well,
    /// The round begins with caches that lag behind.
    Stale,
    /// The write is done, its answer lost.
    AnswerLost,
    /// The write of a claim never arrives, and nobody knows.
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
            Standby::None | Standby::New => 1,
            Standby::Active | Standby::Overlap => 2,
        };
        let claim = |id: u8| {
            let attempt = Attempt {
                id,
                pre: 0,
                cause: if id == 1 { 0 } else { 1 },
                trigger: 0,
                holder: GONE,
                open: true,
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
            newest: events,
            own: events,
            cut: 0,
            held: made,
            due: 0,
            refusing: self.refusing,
            messages: [None; MESSAGES],
            replicas,
            left,
            executed: 0,
            allowed: u8::from(self.first) + u8::from(self.standby == Standby::Overlap),
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

    fn known(&self, state: &State, i: u8, stale: bool) -> Known {
        let replica = &state.replicas[usize::from(i)];
        let mut round = replica.round;
        let begins = begins(&round);
        let cached = begins && !stale;
        let mut shown = replica.shown;
        if cached {
            round.claim = Seen::Live(state.claims);
            round.secret = Seen::Live(state.secrets[usize::from(replica.view.name)]);
            shown = self.shows(state, replica.view.uid);
        }
        if begins {
            round.former = shown[usize::from(1 - replica.view.name)];
        }
        let told = if replica.view == state.object {
            state.status
        } else {
            // It comes with the object.
            replica.told
        };
        let status = match (self.without, round.secret) {
            (Without::LastActive, _) => Status {
                active: 1 - told.active,
                ..told
            },
            (Without::VerifiedRevision, Seen::Live(Some(secret))) => Status {
                verified: secret.revision,
                ..told
            },
            _ => told,
        };
        Known {
            replica: i,
            object: replica.view,
            hint: if begins && self.look && self.without != Without::Look {
                state.valid
            } else {
                replica.hint
            },
            round,
            status,
            standby: self.standby != Standby::None,
            overlap: self.standby == Standby::Overlap,
            looks: self.looks && self.without != Without::CurrentObject,
            cached,
            due: state.due,
            no_journal: self.no_journal || self.without == Without::JournalAndRecheck,
            no_quiet: self.without == Without::Quiet,
            memo: replica.memo,
        }
    }

    /// An object's Secrets, by name, as a watch shows them that does not lag behind.
    fn shows(&self, state: &State, uid: u8) -> [Former; TWO] {
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

    fn renames(&self) -> bool {
        self.faults.iter().any(|(fault, _)| *fault == Fault::Rename)
    }

    fn without_recheck(&self) -> bool {
        matches!(self.without, Without::Recheck | Without::JournalAndRecheck)
    }

    /// One step of a replica that has nothing in flight.
    fn step(&self, n: &mut State, i: u8, how: How) -> bool {
        let replica = n.replicas[usize::from(i)];
        if replica.phase != Phase::Deciding
            || !replica.view.exists
            || replica.round.pending != 0
            || (how == How::Stale && !begins(&replica.round))
        {
            return false;
        }
        let known = self.known(n, i, how == How::Stale);
        let (mut step, mut memo) = actor::decide(&known);
        if self.without_recheck()
            && replica.memo.claimed.2 == Age::Fresh
            && !matches!(step, Step::Send { .. })
            && let Some(attempt) =
                n.claims[usize::from(replica.memo.claimed.3)].and_then(|claim| claim.attempt)
        {
            memo = replica.memo;
            step = Step::Send {
                slot: memo.claimed.3,
                attempt: memo.claimed.0,
                cause: attempt.cause,
                secret: memo.claimed.1,
            };
        }
        let shown = self.shows(n, replica.view.uid);
        let mine = &mut n.replicas[usize::from(i)];
        mine.memo = memo;
        mine.hint = known.hint;
        if known.cached {
            mine.shown = shown;
        }

        mine.round.former = known.round.former;
        let name = usize::from(replica.view.name);
        let writes = matches!(
            step,
            Step::Write { .. }
                | Step::CreateShell
                | Step::Render { .. }
                | Step::Move(_)
                | Step::DropFormer(_)
        );
        match how {
            How::AnswerLost if !writes => return false,
            How::NeverArrived if !matches!(step, Step::Write { fresh: true, .. }) => return false,
            How::NoVerdict => {
                let Step::Read(sources, _) = step else {
                    return false;
                };
                if sources & PROBE == 0 {
                    return false;
                }
                // A lone probe takes any 200 for a yes.
                mine.round.probe = Some(if self.without == Without::PairedProbe {
                    Verdict::Valid
                } else {
                    Verdict::None
                });
                n.spend(Fault::NoVerdict);
                return true;
            }
            How::JournalFails => {
                let Step::Read(sources, slot) = step else {
                    return false;
                };
                if sources & JOURNAL == 0 {
                    return false;
                }
                for source in SOURCES {
                    if sources & source != 0 {
                        read(n, i, slot, source);
                    }
                }
                n.replicas[usize::from(i)].round.journal[usize::from(slot)] = Seen::Down;
                n.spend(Fault::JournalFails);
                return true;
            }
            How::StatusLost => {
                if !matches!(step, Step::Rest(_)) {
                    return false;
                }
                n.spend(Fault::LostStatus);
            }
            _ => {}
        }
        let never = how == How::NeverArrived;
        let lost = never || how == How::AnswerLost;
        if lost {
            n.spend(Fault::LostWriteAnswer);
        }
        let mut conflict = false;
        if matches!(
            step,
            Step::Move(_) | Step::DropFormer(_) | Step::Write { fresh: true, .. }
        ) {
            properties::begin(n, self.looks, &known);
        }
        let mine = &mut n.replicas[usize::from(i)];
        match step {
            Step::Read(sources, slot) if self.torn => {
                mine.round.pending = sources;
                mine.round.slot = slot;
                return true;
            }
            Step::Read(sources, slot) => {
                for source in SOURCES {
                    if sources & source != 0 {
                        read(n, i, slot, source);
                    }
                }
                return true;
            }
            Step::Rest(report) => {
                mine.round = Round::default();
                mine.hint = [0; TWO];
                if self.status && how != How::StatusLost && report != Report::Outdated {
                    tell(n, i, &known, self.without == Without::Proven);
                }
                if report == Report::Settled {
                    properties::settled(n, &known);
                }
                return true;
            }
            Step::Move(over) => {
                let former = n.secrets[1 - name];
                let former = former.filter(|secret| secret.recorded && secret.value != 0);
                let there = n.secrets[name].map_or(0, |secret| secret.revision);
                mine.round.secret = Seen::Unread;
                if n.refusing {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if let Some(former) = former {
                    if there != over {
                        return !lost;
                    }
                    properties::moved(n, name, former);
                    n.secrets[name] = Some(Secret {
                        revision: n.unused(),
                        owner: known.object.uid,
                        edited: false,
                        ..former
                    });
                    let mine = &mut n.replicas[usize::from(i)];
                    if lost {
                        mine.memo = actor::back_off(&Known { memo, ..known });
                    } else {
                        mine.round.secret = Seen::Live(n.secrets[name]);
                    }
                } else {
                    mine.round.former = Former::default();
                }
                // As the shell: nothing else is read again.
                return true;
            }
            Step::DropFormer(revision) => {
                mine.round.former = Former::default();
                let blind = self.without == Without::FormerRevision;
                if let Some(former) = n.secrets[1 - name]
                    && (former.revision == revision || blind)
                {
                    properties::dropped(n, &known, former);
                    n.secrets[1 - name] = None;
                } else if lost {
                    return false;
                }
                return true;
            }
            Step::CreateShell => {
                let refused = n.refusing && self.without != Without::Rehearsal;
                if refused {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if n.secrets[name].is_none() {
                    n.secrets[name] = Some(Secret {
                        revision: n.unused(),
                        owner: known.object.uid,
                        ..Secret::default()
                    });
                } else if lost {
                    return false;
                }
            }
            Step::Rehearse(slot, secret) => {
                if n.refusing && self.without != Without::Rehearsal {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if n.secrets[name].is_some_and(|stored| stored.revision == secret) {
                    mine.memo = actor::rehearsed(&memo, slot, secret);
                } else {
                    // Forgets what was read below.
                    conflict = true;
                }
            }
            Step::Write {
                slot,
                claim,
                over,
                fresh,
            } => {
                let stored = n.claims[usize::from(slot)].map_or(0, |claim| claim.revision);
                let done = stored == over || self.without == Without::ClaimCas;
                if lost && !done {
                    return false;
                }
                if done && !never {
                    write_claim(n, slot, claim, fresh);
                }
                let id = n.unused();
                let mine = &mut n.replicas[usize::from(i)];
                mine.memo = if done && fresh {
                    actor::claimed(&memo, slot, id)
                } else {
                    actor::claim_refused(&memo)
                };
            }
            Step::Render { over, record } => {
                if n.refusing {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if let Some(secret) = &mut n.secrets[name]
                    && secret.revision == over
                    // Without a value there is nothing to write again.
                    && secret.value != 0
                    && (secret.recorded || record.is_some())
                {
                    secret.revision = 62;
                    secret.owner = known.object.uid;
                    match record {
                        Some((slot, attempt, sequence))
                            if !secret.recorded || slot == secret.active =>
                        {
                            secret.recorded = true;
                            secret.active = slot;
                            secret.attempt = attempt;
                            secret.sequence = sequence;
                        }
                        Some((_, attempt, sequence)) if secret.idle.1 != 0 => {
                            secret.idle = (attempt, sequence);
                        }
                        _ => {}
                    }
                    // The value is the same, so what is known of it holds for the new revision.
                    if [mine.memo.verified, known.status.verified].contains(&over) {
                        mine.memo.verified = 62;
                    }
                } else if lost {
                    return false;
                }
            }
            Step::Send {
                slot,
                attempt,
                cause,
                secret,
            } => {
                let cause = Cause::ALL[usize::from(cause)];
                properties::send(n, &known, slot, attempt, cause);
                let trigger = n
                    .claim_of(attempt)
                    .and_then(|claim| claim.attempt)
                    .map_or(0, |attempt| attempt.trigger);
                let old = match known.round.secret {
                    Seen::Live(Some(secret)) => secret.value,
                    _ => n.secrets[name].map_or(0, |secret| secret.value),
                };
                let mine = &mut n.replicas[usize::from(i)];
                mine.memo = actor::sending(&memo, attempt);
                mine.phase = Phase::Waiting {
                    attempt,
                    slot,
                    retire: cause == Cause::Retire,
                    stored: match known.round.secret {
                        Seen::Live(stored) => stored.filter(|stored| stored.revision == secret),
                        _ => None,
                    },
                    old,
                    owner: known.object.uid,
                    trigger,
                };
                n.sent |= 1 << attempt;
                let unlocked = n.claim_of(attempt).is_none();
                n.put_message(Message {
                    attempt,
                    slot,
                    sequence: 0,
                    awaited: true,
                    late: false,
                    unlocked,
                });
            }
        }
        // As the shell: only a write of claim or Secret, and a call, make everything else be read again.
        let mine = &mut n.replicas[usize::from(i)];
        match step {
            Step::Rehearse(..) if !conflict => {}
            _ => {
                mine.round = Round {
                    app: if mine.phase == Phase::Deciding {
                        mine.round.app
                    } else {
                        [false; TWO]
                    },
                    ..Round::default()
                };
            }
        }
        true
    }

    /// One step of the task that proves and writes a received value.
    fn flush(&self, n: &mut State, i: u8, lost: bool) -> bool {
        let Phase::Flushing(mut flush) = n.replicas[usize::from(i)].phase else {
            return false;
        };
        let accepted = n.accepts(flush.sequence);
        // As `flush::present`: under the former name all the same, unless the Secret of that name is gone.
        if flush.stored == Seen::Live(None) {
            flush.name = n.replicas[usize::from(i)].view.name;
        }
        let name = usize::from(flush.name);
        if !flush.tried {
            if lost {
                return false;
            }
            flush.tried = true;
            if self.without == Without::Prove {
                // Published as it came.
            } else if accepted {
                flush.proven = true;
                if let Seen::Live(Some(stored)) = flush.stored {
                    flush.outlived = stored.revision;
                }
            } else if n.accepts(flush.old) {
                // Without effect: dropped.
                done(n, i, 0);
                return true;
            }
            n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
            return true;
        }
        let Seen::Live(stored) = flush.stored else {
            if lost {
                return false;
            }
            flush.stored = Seen::Live(n.secrets[name]);
            n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
            return true;
        };
        let verdict = actor::fence(
            stored,
            flush.slot,
            flush.attempt,
            flush.sequence,
            flush.outlived,
        );
        let verdict = match verdict {
            Fence::Prove(version) if self.without == Without::SequenceFence => {
                Fence::Write(version)
            }
            other => other,
        };
        let revision = stored.map_or(0, |secret| secret.revision);
        if lost && !matches!(verdict, Fence::Write(_) | Fence::Create) {
            return false;
        }
        match verdict {
            Fence::Written(_) => done(n, i, if flush.proven { revision } else { 0 }),
            Fence::Prove(_) if accepted => {
                flush.proven = true;
                flush.outlived = revision;
                n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
            }
            Fence::Prove(_) => done(n, i, 0),
            Fence::Refused => return false,
            Fence::Create if !n.object.exists || n.object.uid != flush.owner => done(n, i, 0),
            Fence::Create | Fence::Write(_) => {
                if n.refusing {
                    return false;
                }
                let there = n.secrets[name].map_or(0, |secret| secret.revision);
                let matches = there == revision
                    || (self.without == Without::SecretCas && n.secrets[name].is_some());
                if !matches {
                    if lost {
                        return false;
                    }
                    flush.stored = Seen::Unread;
                    n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
                    return true;
                }
                properties::publish(n, &flush, name);
                let before = stored.filter(|secret| secret.recorded);
                let idle = before.map_or((0, 0), |before| {
                    if before.active == flush.slot {
                        before.idle
                    } else {
                        (before.attempt, before.sequence)
                    }
                });
                n.secrets[name] = Some(Secret {
                    revision: n.unused(),
                    active: flush.slot,
                    recorded: true,
                    attempt: flush.attempt,
                    sequence: flush.sequence,
                    idle,
                    value: flush.sequence,
                    owner: flush.owner,
                    edited: false,
                });
                n.held = flush.sequence;
                if self.standby == Standby::Overlap {
                    n.allowed += 1;
                }
                if self.status {
                    n.replicas[usize::from(i)].flushed = (flush.attempt, flush.proven);
                }
                n.published_trigger = n.published_trigger.max(flush.trigger);
                if lost {
                    n.spend(Fault::LostWriteAnswer);
                    flush.stored = Seen::Unread;
                    n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
                } else {
                    let proven = flush.proven || self.without == Without::StandingProbe;
                    let verified = if proven { n.unused() } else { 0 };
                    done(n, i, verified);
                }
            }
        }
        true
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
            Timer::Dead => &mut memo.refusals.3,
            Timer::Backoff => &mut memo.backoff.0,
        };
        if *age != Age::Fresh {
            return false;
        }
        *age = Age::Over;
        if timer == Timer::Dead {
            memo.refusals.2 = Age::Over;
        }
        match timer {
            Timer::Send => {
                if late || !n.may(Fault::Delay) {
                    return false;
                }
                n.spend(Fault::Delay);
            }
            // Within a round no Secret under another name comes to be known.
            Timer::Take(_) if self.renames() && !begins(&n.replicas[usize::from(i)].round) => {
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
                if unsent || flushing {
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
            Timer::Missing | Timer::Dead | Timer::Backoff => {
                if late {
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
                let round = &mut n.replicas[usize::from(i)].round;
                round.pending &= !source;
                let slot = round.slot;
                read(n, i, slot, source);
                true
            }
            Action::Passes(i, timer) => self.passes(n, i, timer, false),
            Action::PassesLate(i, timer) => self.passes(n, i, timer, true),
            Action::View(i) => {
                n.replicas[usize::from(i)].view = n.object;
                n.replicas[usize::from(i)].told = Status::default();
                true
            }
            Action::Flush(i) => self.flush(n, i, false),
            Action::FlushAnswerLost(i) => self.flush(n, i, true),
            Action::ProveWithoutVerdict(i) => {
                let Phase::Flushing(flush) = &mut n.replicas[usize::from(i)].phase else {
                    return false;
                };
                if flush.tried {
                    return false;
                }
                flush.tried = true;
                flush.blind = true;
                n.spend(Fault::NoVerdict);
                true
            }
            Action::Cancel(i) => {
                done(n, i, 0);
                true
            }
            Action::Crash(i, elsewhere) => {
                crash(n, i, elsewhere);
                n.replicas[usize::from(i)].shown = self.shows(n, n.object.uid);
                true
            }
            Action::Execute(m) => execute(n, m, true),
            Action::ExecuteWithoutEffect(m) => {
                n.spend(Fault::WithoutEffect);
                execute(n, m, false)
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
            Action::Deliver(i) => deliver(n, i),
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

    fn no_answer(&self, n: &mut State, i: u8, fault: Fault) -> bool {
        let Some((m, attempt)) = awaited(n, i) else {
            return false;
        };
        let message = &mut n.messages[m];
        let carried_out = message.is_some_and(|message| message.sequence != 0);
        let message = *message;
        if carried_out != (fault == Fault::LostAnswer) {
            return false;
        }
        if self.without == Without::SendOnce {
            // The client library sends it again.
            n.spend(fault);
            if fault != Fault::EarlyTimeout {
                n.messages[m] = None;
            } else if let Some(message) = message_at(n, m) {
                message.awaited = false;
            }
            n.put_message(Message {
                attempt,
                slot: message.map_or(0, |message| message.slot),
                sequence: 0,
                awaited: true,
                late: false,
                unlocked: false,
            });
            n.breaks(Broken::SendOnce);
            return true;
        }
        if fault == Fault::EarlyTimeout {
            if let Some(message) = message_at(n, m) {
                message.awaited = false;
            }
        } else {
            n.messages[m] = None;
        }
        n.spend(fault);
        let mine = &mut n.replicas[usize::from(i)];
        mine.memo = actor::unknown(&mine.memo, attempt);
        mine.phase = Phase::Deciding;
        true
    }

    /// Not carried out, and known to be so.
    fn refuse(&self, n: &mut State, i: u8) -> bool {
        let Some((m, attempt)) = awaited(n, i) else {
            return false;
        };
        if n.messages[m].is_some_and(|message| message.sequence != 0) {
            return false;
        }
        n.messages[m] = None;
        n.spend(Fault::Refused);
        let known = self.known(n, i, true);
        let mine = &mut n.replicas[usize::from(i)];
        mine.memo = actor::not_executed(&known, attempt);
        mine.phase = Phase::Deciding;
        true
    }
}

fn message_at(n: &mut State, m: usize) -> Option<&mut Message> {
    n.messages[m].as_mut()
}

impl Replica {
    /// Whether it is between the claim of that attempt and the Secret.
    fn works_on(&self, attempt: u8) -> bool {
        match self.phase {
            Phase::Deciding => self.memo.claimed.0 == attempt && self.memo.claimed.2 == Age::Fresh,
            Phase::Waiting { attempt: own, .. } => own == attempt,
            Phase::Flushing(flush) => flush.attempt == attempt,
        }
    }
}

fn begins(round: &Round) -> bool {
    round.claim == Seen::Unread && round.secret == Seen::Unread && round.pending == 0
}

/// In this order: the object after the claim, and the probe after the Secret.
const SOURCES: [u8; 6] = [CLAIM, OBJECT, SECRET, APP, JOURNAL, PROBE];

fn read(n: &mut State, i: u8, slot: u8, source: u8) {
    let slot = usize::from(slot);
    let (claims, secrets, journal, valid) = (n.claims, n.secrets, n.journal(slot), n.valid);
    let object = n.object;
    let mine = &mut n.replicas[usize::from(i)];
    let view = mine.view;
    let round = &mut mine.round;
    match source {
        CLAIM => {
            round.claim = Seen::Live(claims);
            // It must be known to be current after the claim was read.
            round.current = None;
            round.old = view != object;
        }
        OBJECT => round.current = Some(view == object),
        SECRET => {
            let found = secrets[usize::from(view.name)];
            round.secret = Seen::Live(found);
        }
        APP => round.app[slot] = true,
        JOURNAL => round.journal[slot] = Seen::Live(journal),
        _ => {
            // The value that was read is the one that is tried.
            let accepted = match round.secret {
                Seen::Live(Some(secret)) => {
                    secret.value != 0 && secret.value == valid[usize::from(secret.active)]
                }
                _ => false,
            };
            round.probe = Some(if accepted {
                Verdict::Valid
            } else {
                Verdict::Refused
            });
        }
    }
}

fn write_claim(n: &mut State, slot: u8, mut claim: Claim, fresh: bool) {
    claim.revision = n.unused();
    if fresh && let Some(attempt) = &mut claim.attempt {
        attempt.id = n.unused();
        n.durable |= 1 << n.unused();
    }
    n.claims[usize::from(slot)] = Some(claim);
}

/// Writes the status, as far as decisions use it.
fn tell(n: &mut State, i: u8, known: &Known, supposes: bool) {
    let mine = &mut n.replicas[usize::from(i)];
    let flushed = std::mem::take(&mut mine.flushed);
    let memo = mine.memo;
    // NB: the write names the revision of the object that was seen.
    if known.object != n.object {
        return;
    }
    n.status.name = known.object.name;
    let Seen::Live(Some(secret)) = known.round.secret else {
        n.status.verified = 0;
        return;
    };
    let known_good = [memo.verified, known.status.verified].contains(&secret.revision);
    n.status.verified = if known_good && memo.refusals.0 == 0 && !memo.in_doubt {
        secret.revision
    } else {
        0
    };
    if !secret.recorded {
        return;
    }
    n.status.active = secret.active;
    let mine = flushed.0 == secret.attempt && flushed.0 != 0;
    if secret.attempt != 0 && (secret.attempt != n.status.last || mine) {
        n.status.last = secret.attempt;
        // Who did not write it can only suppose that it was proven.
        if (mine && flushed.1) || (!mine && supposes) {
            n.status.proven = secret.sequence;
        }
    }
}

/// The flush is over.
fn done(n: &mut State, i: u8, verified: u8) {
    let mine = &mut n.replicas[usize::from(i)];
    mine.memo = actor::flushed(&mine.memo, verified);
    mine.phase = Phase::Deciding;
}

/// The message that a replica waits for.
fn awaited(n: &State, i: u8) -> Option<(usize, u8)> {
    let Phase::Waiting { attempt, .. } = n.replicas[usize::from(i)].phase else {
        return None;
    };
    let m = n
        .messages
        .iter()
        .position(|slot| slot.is_some_and(|m| m.awaited && m.attempt == attempt))?;
    Some((m, attempt))
}

fn deliver(n: &mut State, i: u8) -> bool {
    let Some((m, _)) = awaited(n, i) else {
        return false;
    };
    let sequence = n.messages[m].map_or(0, |message| message.sequence);
    if sequence == 0 {
        return false;
    }
    let mine = &mut n.replicas[usize::from(i)];
    let Phase::Waiting {
        attempt,
        slot,
        retire,
        stored,
        old,
        owner,
        trigger,
    } = mine.phase
    else {
        return false;
    };
    if retire {
        mine.memo = actor::unknown(&mine.memo, attempt);
        mine.phase = Phase::Deciding;
        n.messages[m] = None;
        return true;
    }
    mine.phase = Phase::Flushing(Flush {
        name: mine.view.name,
        attempt,
        slot,
        sequence,
        old,
        owner,
        trigger,
        tried: false,
        proven: false,
        blind: false,
        outlived: 0,
        stored: Seen::Live(stored),
    });
    n.messages[m] = None;
    true
}

fn execute(n: &mut State, m: u8, effect: bool) -> bool {
    let event = n.unused();
    let Some(message) = &mut n.messages[usize::from(m)] else {
        return false;
    };
    message.sequence = event;
    let slot = usize::from(message.slot);
    if !message.awaited {
        n.messages[usize::from(m)] = None;
    }
    n.newest[slot] = event;
    n.own[slot] = event;
    if effect {
        n.valid[slot] = event;
    }
    n.executed += 1;
    true
}

fn crash(n: &mut State, i: u8, elsewhere: bool) {
    n.spend(Fault::Crash);
    if let Some((m, _)) = awaited(n, i) {
        n.messages[m] = n.messages[m]
            .filter(|message| message.sequence == 0)
            .map(|message| Message {
                awaited: false,
                ..message
            });
    }
    n.replicas[usize::from(i)] = Replica {
        view: n.object,
        ..Replica::default()
    };
    if elsewhere {
        actor::orphan(&mut n.claims, i);
        for replica in &mut n.replicas {
            if let Seen::Live(claims) = &mut replica.round.claim {
                actor::orphan(claims, i);
            }
        }
    }
}

/// What people and other programs do.
fn person(n: &mut State, fault: Fault, slot: usize) -> bool {
    let new = n.unused();
    let name = usize::from(n.object.name);
    if matches!(
        fault,
        Fault::Trigger | Fault::Rename | Fault::Suspend | Fault::Recreate
    ) {
        // The status as it was then is what comes with the object that is old now.
        for replica in &mut n.replicas {
            if replica.view == n.object {
                replica.told = n.status;
            }
        }
    }
    match fault {
        Fault::Foreign => {
            n.newest[slot] = new;
            n.valid[slot] = new;
        }
        Fault::Trigger if n.object.exists => n.object.trigger += 1,
        Fault::Due => match n.secrets[name] {
            Some(secret) if secret.recorded && n.due != secret.sequence => {
                n.due = secret.sequence;
            }
            _ => return false,
        },
        Fault::DeleteSecret if n.secrets[name].is_some() => n.secrets[name] = None,
        Fault::EditSecret | Fault::StripRecord => match &mut n.secrets[name] {
            Some(secret) if secret.value != 0 => {
                secret.revision = new;
                if fault == Fault::EditSecret {
                    secret.value = JUNK;
                    secret.edited = true;
                    n.held = 0;
                } else {
                    secret.recorded = false;
                    secret.attempt = 0;
                    secret.sequence = 0;
                    secret.idle = (0, 0);
                }
            }
            _ => return false,
        },
        Fault::DeleteClaim if n.claims[slot].is_some() => {
            n.claims[slot] = None;
            // Without the lock nothing tells of what is on its way.
            for message in n.messages.iter_mut().flatten() {
                message.unlocked |= usize::from(message.slot) == slot;
            }
        }
        Fault::DamageClaim if n.claims[slot].is_some() => {
            n.claims[slot] = Some(Claim {
                revision: new,
                damaged: true,
                ..Claim::default()
            });
        }
        Fault::Recreate if n.object.exists => n.object.exists = false,
        Fault::Cut => {
            let newest = n.newest[0].max(n.newest[1]);
            if n.cut == newest {
                return false;
            }
            n.cut = newest;
        }
        Fault::Rename => n.object.name = 1 - n.object.name,
        Fault::Suspend if !n.object.suspended => {
            n.object.suspended = true;
            n.object.generation += 1;
        }
        _ => return false,
    }
    n.spend(fault);
    true
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
        if state.refusing {
            actions.push(Action::Admit);
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
            Phase::Deciding if replica.round.pending != 0 => {
                for source in SOURCES {
                    // NB: the probe tries the value that was read, so it comes after the Secret.
                    if replica.round.pending & source != 0 {
                        actions.push(Action::ReadOne(i, source));
                    }
                }
            }
            Phase::Deciding => {
                actions.push(Action::Step(i, How::Well));
                let begins = begins(&replica.round);
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

    /// What a replica would report if it looked now, with everything in sight.
    pub fn report(&self, state: &State, i: u8) -> Option<Report> {
        let known = self.known(state, i, false);
        match actor::decide(&known).0 {
            Step::Rest(report) => Some(report),
            _ => None,
        }
    }
}
