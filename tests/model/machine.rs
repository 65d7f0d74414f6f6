//! What can happen in the world: the replicas' steps, decided by the shipped code, and the adversary's.

use stateright::Model;
use zitadel_secret_operator::rotation::{Cause, Fence};

use crate::actor::{self, APP, CLAIM, JOURNAL, Known, PROBE, Report, SECRET, Step};
use crate::properties;
use crate::world::{
    Age, Attempt, Broken, Claim, FAULTS, Fault, Flush, GONE, JUNK, MESSAGES, Memo, Message, Object,
    Phase, REPLICAS, Replica, Round, Secret, Seen, State, Verdict,
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
    pub without: Without,
}

impl Default for World {
    fn default() -> Self {
        Self {
            name: "",
            replicas: 2,
            first: false,
            faults: &[],
            no_journal: false,
            torn: false,
            stale: true,
            look: false,
            refusing: false,
            without: Without::Nothing,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Timer {
    Send,
    Take,
    Open,
    Drift,
    Unreadable,
    Missing,
    Dead,
    Backoff,
}

impl Timer {
    const ALL: [Self; 8] = [
        Self::Send,
        Self::Take,
        Self::Open,
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
    Do(Fault),
    Recreate,
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
            trigger: 0,
        };
        let mut left = [0; FAULTS];
        for (fault, times) in self.faults {
            left[*fault as usize] = *times;
        }
        let mut replicas = [Replica::default(); REPLICAS];
        for replica in replicas.iter_mut().take(self.replicas.into()) {
            replica.view = object;
        }
        let stored = !self.first;
        let attempt = Attempt {
            id: 1,
            pre: 0,
            cause: 0,
            trigger: 0,
            holder: GONE,
            open: true,
        };
        State {
            claim: stored.then_some(Claim {
                revision: 1,
                owner: 1,
                attempt: Some(attempt),
                ..Claim::default()
            }),
            secret: stored.then_some(Secret {
                revision: 1,
                attempt: 1,
                sequence: 1,
                value: 1,
                owner: 1,
            }),
            object,
            valid: stored.into(),
            newest: stored.into(),
            own: stored.into(),
            due: 0,
            refusing: self.refusing,
            messages: [None; MESSAGES],
            replicas,
            left,
            executed: 0,
            allowed: self.first.into(),
            published_trigger: 0,
            sent: if stored { 2 } else { 0 },
            durable: if stored { 2 } else { 0 },
            broken: 0,
        }
    }

    fn known(&self, state: &State, i: u8, stale: bool) -> Known {
        let replica = &state.replicas[usize::from(i)];
        let mut round = replica.round;
        let begins = begins(&round);
        let cached = begins && !stale;
        if cached {
            round.claim = Seen::Live(state.claim);
            round.secret = Seen::Live(state.secret);
        }
        Known {
            replica: i,
            object: replica.view,
            hint: if begins && self.look {
                state.valid
            } else {
                replica.hint
            },
            round,
            cached,
            due: state.due,
            no_journal: self.no_journal || self.without == Without::JournalAndRecheck,
            no_quiet: self.without == Without::Quiet,
            memo: replica.memo,
        }
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
            && let Some(attempt) = n.claim.and_then(|claim| claim.attempt)
        {
            memo = replica.memo;
            step = Step::Send {
                attempt: memo.claimed.0,
                cause: attempt.cause,
                secret: memo.claimed.1,
            };
        }
        let mine = &mut n.replicas[usize::from(i)];
        mine.memo = memo;
        mine.hint = known.hint;
        let writes = matches!(
            step,
            Step::Write { .. } | Step::CreateShell | Step::Render { .. }
        );
        match how {
            How::AnswerLost if !writes => return false,
            How::NeverArrived if !matches!(step, Step::Write { fresh: true, .. }) => return false,
            How::NoVerdict => {
                let Step::Read(sources) = step else {
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
                let Step::Read(sources) = step else {
                    return false;
                };
                if sources & JOURNAL == 0 {
                    return false;
                }
                for source in [CLAIM, SECRET, APP] {
                    if sources & source != 0 {
                        read(n, i, source);
                    }
                }
                n.replicas[usize::from(i)].round.journal = Seen::Down;
                n.spend(Fault::JournalFails);
                return true;
            }
            _ => {}
        }
        let never = how == How::NeverArrived;
        let lost = never || how == How::AnswerLost;
        if lost {
            n.spend(Fault::LostWriteAnswer);
        }
        let mut conflict = false;
        let mine = &mut n.replicas[usize::from(i)];
        match step {
            Step::Read(sources) if self.torn => {
                mine.round.pending = sources;
                return true;
            }
            Step::Read(sources) => {
                for source in [CLAIM, SECRET, APP, JOURNAL, PROBE] {
                    if sources & source != 0 {
                        read(n, i, source);
                    }
                }
                return true;
            }
            Step::Rest(report) => {
                mine.round = Round::default();
                mine.hint = 0;
                if report == Report::Settled {
                    properties::settled(n, &known);
                }
                return true;
            }
            Step::CreateShell => {
                let refused = n.refusing && self.without != Without::Rehearsal;
                if refused {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if n.secret.is_none() {
                    n.secret = Some(Secret {
                        revision: n.unused(),
                        owner: known.object.uid,
                        ..Secret::default()
                    });
                } else if lost {
                    return false;
                }
            }
            Step::Rehearse(secret) => {
                if n.refusing && self.without != Without::Rehearsal {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if n.secret.is_some_and(|stored| stored.revision == secret) {
                    mine.memo = actor::rehearsed(&memo, secret);
                } else {
                    // Forgets what was read below.
                    conflict = true;
                }
            }
            Step::Write { claim, over, fresh } => {
                let stored = n.claim.map_or(0, |claim| claim.revision);
                let done = stored == over || self.without == Without::ClaimCas;
                if lost && !done {
                    return false;
                }
                if done && !never {
                    write_claim(n, claim, fresh);
                }
                let id = n.unused();
                let mine = &mut n.replicas[usize::from(i)];
                mine.memo = if done && fresh {
                    actor::claimed(&memo, id)
                } else {
                    actor::claim_refused(&memo)
                };
            }
            Step::Render { over, adopt } => {
                if n.refusing {
                    mine.memo = actor::back_off(&Known { memo, ..known });
                } else if let Some(secret) = &mut n.secret
                    && secret.revision == over
                {
                    secret.revision = 62;
                    secret.owner = known.object.uid;
                    if let Some(sequence) = adopt {
                        secret.attempt = 0;
                        secret.sequence = sequence;
                    }
                } else if lost {
                    return false;
                }
            }
            Step::Send {
                attempt,
                cause,
                secret,
            } => {
                let trigger = n
                    .claim
                    .and_then(|claim| claim.attempt)
                    .map_or(0, |attempt| attempt.trigger);
                properties::send(n, &known, attempt, Cause::ALL[usize::from(cause)], trigger);
                let old = match known.round.secret {
                    Seen::Live(Some(secret)) => secret.value,
                    _ => n.secret.map_or(0, |secret| secret.value),
                };
                let mine = &mut n.replicas[usize::from(i)];
                mine.memo = actor::sending(&memo, attempt);
                mine.phase = Phase::Waiting {
                    attempt,
                    stored: match known.round.secret {
                        Seen::Live(stored) => stored.filter(|stored| stored.revision == secret),
                        _ => None,
                    },
                    old,
                    owner: known.object.uid,
                    trigger,
                };
                n.sent |= 1 << attempt;
                let stored_attempt = n.claim.and_then(|claim| claim.attempt).map(|a| a.id);
                n.put_message(Message {
                    attempt,
                    sequence: 0,
                    awaited: true,
                    late: false,
                    unlocked: stored_attempt != Some(attempt),
                });
            }
        }
        // As the shell: only a write of claim or Secret, and a call, make everything else be read again.
        let mine = &mut n.replicas[usize::from(i)];
        match step {
            Step::Rehearse(_) if !conflict => {}
            _ => {
                mine.round = Round {
                    app: mine.round.app && mine.phase == Phase::Deciding,
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
        let accepted = n.valid == flush.sequence;
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
            } else if flush.old != 0 && n.valid == flush.old {
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
            flush.stored = Seen::Live(n.secret);
            n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
            return true;
        };
        let verdict = actor::fence(stored, flush.attempt, flush.sequence, flush.outlived);
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
                let there = n.secret.map_or(0, |secret| secret.revision);
                let matches =
                    there == revision || (self.without == Without::SecretCas && n.secret.is_some());
                if !matches {
                    if lost {
                        return false;
                    }
                    flush.stored = Seen::Unread;
                    n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
                    return true;
                }
                properties::publish(n, &flush);
                n.secret = Some(Secret {
                    revision: n.unused(),
                    attempt: flush.attempt,
                    sequence: flush.sequence,
                    value: flush.sequence,
                    owner: flush.owner,
                });
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
            Timer::Take => &mut memo.watched.2,
            Timer::Open => &mut memo.open.1,
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
            Timer::Take => {
                let attempt = n.claim.and_then(|claim| claim.attempt).map_or(0, |a| a.id);
                let slow = n.replicas.iter().any(|other| other.works_on(attempt));
                if slow != late || (late && !n.may(Fault::Slow)) {
                    return false;
                }
                if late {
                    n.spend(Fault::Slow);
                }
            }
            Timer::Open | Timer::Drift | Timer::Unreadable => {
                // What was sent under an attempt that was open when the wait began.
                let until = if timer == Timer::Open {
                    memo.open.0
                } else {
                    u8::MAX
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
                n.replicas[usize::from(i)].round.pending &= !source;
                read(n, i, source);
                true
            }
            Action::Passes(i, timer) => self.passes(n, i, timer, false),
            Action::PassesLate(i, timer) => self.passes(n, i, timer, true),
            Action::View(i) => {
                n.replicas[usize::from(i)].view = n.object;
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
            Action::Do(fault) => person(n, fault),
            Action::Recreate => {
                n.object.exists = true;
                n.object.uid += 1;
                true
            }
            Action::Admit => {
                n.refusing = false;
                true
            }
            Action::Day => {
                if let Some(claim) = &mut n.claim {
                    claim.repaired = Age::Over;
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
                sequence: 0,
                awaited: true,
                late: false,
                unlocked: false,
            });
            n.breaks(Broken::SendOnce);
            return true;
        }
        if fault == Fault::EarlyTimeout {
            if let Some(message) = message {
                message.awaited = false;
            }
        } else {
            *message = None;
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

fn read(n: &mut State, i: u8, source: u8) {
    let (claim, secret, journal, valid) = (n.claim, n.secret, (n.newest, n.own), n.valid);
    let round = &mut n.replicas[usize::from(i)].round;
    match source {
        CLAIM => round.claim = Seen::Live(claim),
        SECRET => round.secret = Seen::Live(secret),
        APP => round.app = true,
        JOURNAL => round.journal = Seen::Live(journal),
        _ => {
            // The value that was read is the one that is tried.
            let value = match round.secret {
                Seen::Live(Some(secret)) => secret.value,
                _ => 0,
            };
            round.probe = Some(if value != 0 && value == valid {
                Verdict::Valid
            } else {
                Verdict::Refused
            });
        }
    }
}

fn write_claim(n: &mut State, mut claim: Claim, fresh: bool) {
    claim.revision = n.unused();
    if fresh && let Some(attempt) = &mut claim.attempt {
        attempt.id = n.unused();
        n.durable |= 1 << n.unused();
    }
    n.claim = Some(claim);
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
        stored,
        old,
        owner,
        trigger,
    } = mine.phase
    else {
        return false;
    };
    mine.phase = Phase::Flushing(Flush {
        attempt,
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
    if !message.awaited {
        n.messages[usize::from(m)] = None;
    }
    n.newest = event;
    n.own = event;
    if effect {
        n.valid = event;
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
        if let Some(claim) = &mut n.claim {
            actor::orphan(claim, i);
        }
        for replica in &mut n.replicas {
            if let Seen::Live(Some(claim)) = &mut replica.round.claim {
                actor::orphan(claim, i);
            }
        }
    }
}

/// What people and other programs do.
fn person(n: &mut State, fault: Fault) -> bool {
    let new = n.unused();
    match fault {
        Fault::Foreign => {
            n.newest = new;
            n.valid = new;
        }
        Fault::Trigger if n.object.exists => n.object.trigger += 1,
        Fault::Due => match n.secret {
            Some(secret) if secret.sequence != 0 && n.due != secret.sequence => {
                n.due = secret.sequence;
            }
            _ => return false,
        },
        Fault::DeleteSecret if n.secret.is_some() => n.secret = None,
        Fault::EditSecret | Fault::StripRecord => match &mut n.secret {
            Some(secret) if secret.value != 0 => {
                secret.revision = new;
                if fault == Fault::EditSecret {
                    secret.value = JUNK;
                } else {
                    secret.attempt = 0;
                    secret.sequence = 0;
                }
            }
            _ => return false,
        },
        Fault::DeleteClaim if n.claim.is_some() => {
            n.claim = None;
            // Without the lock nothing tells of what is on its way.
            for message in n.messages.iter_mut().flatten() {
                message.unlocked = true;
            }
        }
        Fault::DamageClaim if n.claim.is_some() => {
            n.claim = Some(Claim {
                revision: new,
                damaged: true,
                ..Claim::default()
            });
        }
        Fault::Recreate if n.object.exists => n.object.exists = false,
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
        ] {
            if state.may(fault) {
                actions.push(Action::Do(fault));
            }
        }
        if !state.object.exists {
            actions.push(Action::Recreate);
        }
        if state.refusing {
            actions.push(Action::Admit);
        }
        if state
            .claim
            .is_some_and(|claim| claim.repaired == Age::Fresh)
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
                for source in [CLAIM, SECRET, APP, JOURNAL, PROBE] {
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
