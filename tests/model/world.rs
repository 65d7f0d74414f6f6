//! The abstract world of the model: what Kubernetes and ZITADEL hold, what is on its way, and what the replicas know.
//!
//! Every identifier is a small number, and after each transition the numbers are renamed to their ranks, so that histories
//! that differ only in how many revisions or attempts they used up are one state.

use zitadel_secret_operator::rotation::{Publish, Verdict};

pub const REPLICAS: usize = 3;
pub const MESSAGES: usize = 4;
/// An object's applications: the first one and the standby. Also the names that its Secret may have.
pub const TWO: usize = 2;
/// A value that a person wrote into the Secret: ZITADEL never accepts it.
pub const JUNK: u8 = 63;
/// The pod of a holder that is gone.
pub const GONE: u8 = 9;

/// Since when something is remembered: unset, or less or more than the span that matters ago.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Age {
    #[default]
    Unset,
    Fresh,
    Over,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Attempt {
    pub id: u8,
    /// The newest event before it; 0 for none.
    pub pre: u8,
    /// Index into `Cause::ALL`.
    pub cause: u8,
    pub trigger: u8,
    pub holder: u8,
    pub open: bool,
    /// It is the last repair that its claim remembers.
    pub counts: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Claim {
    pub revision: u8,
    /// Its content was damaged by a person.
    pub damaged: bool,
    pub owner: u8,
    pub handled: u8,
    pub issued: bool,
    /// When a refused value was last repaired: not, within a day, or earlier.
    pub repaired: Age,
    pub attempt: Option<Attempt>,
    /// Replaced attempts and their triggers, oldest first.
    pub replaced: [(u8, u8); 4],
    /// How many repairs it remembers, where the breaker is part of the world.
    pub repairs: u8,
    /// It names the standby that the operator created.
    pub standby: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Secret {
    pub revision: u8,
    /// The application whose pair it holds.
    pub active: u8,
    /// Whether there is a commit record: the attempt and the sequence in it.
    pub recorded: bool,
    pub attempt: u8,
    pub sequence: u8,
    /// The same of the other application's last value; sequence 0: none.
    pub idle: (u8, u8),
    /// The value, named by the sequence of the event that made it; 0: none.
    pub value: u8,
    pub owner: u8,
    /// A person wrote the value.
    pub edited: bool,
}

/// A generate request, and its answer once it was carried out.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Message {
    pub attempt: u8,
    pub slot: u8,
    /// The event that it made; 0: not carried out yet.
    pub sequence: u8,
    /// A replica waits for the answer.
    pub awaited: bool,
    /// It outlived the quiet period.
    pub late: bool,
    /// A middlebox made it, or its claim was deleted meanwhile.
    pub unlocked: bool,
}

/// The `ApiAppSecret`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Object {
    pub exists: bool,
    pub uid: u8,
    pub trigger: u8,
    /// The name of its Secret.
    pub name: u8,
    pub suspended: bool,
    /// How often it was suspended or went on: only that distinguishes one such state of it from another.
    pub generation: u8,
}

/// What the object's status says, where that matters.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Status {
    pub active: u8,
    pub name: u8,
    /// The revision of the Secret that was verified.
    pub verified: u8,
    /// The attempt at the head of the history, and the newest value that was accepted before it was published.
    pub last: u8,
    pub proven: u8,
}

/// What was read in this reconciliation.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Seen<T> {
    #[default]
    Unread,
    Live(T),
    /// Failed for now.
    Down,
}

/// The facts of a reconciliation that are read one by one. It starts with nothing read, and with Secret and claim from the watches.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Reads {
    pub claim: Seen<[Option<Claim>; TWO]>,
    pub secret: Seen<Option<Secret>>,
    pub app: [bool; TWO],
    /// The newest event and the newest own event, and whether older ones were cut.
    pub journal: [Seen<(u8, u8, bool)>; TWO],
    pub probe: Option<Verdict>,
    /// Whether the object was found to be as it is thought to be.
    pub current: Option<bool>,
    /// Whether it was not, when the claim was read.
    pub old: bool,
    /// The Secret under its former name: its revision, its sequence and the attempts that it carries; revision 0: none is known.
    pub former: Former,
    /// Sources that are still to be read before the next decision, one bit each, where reads are apart, and of which application.
    pub pending: u8,
    pub slot: u8,
}

/// A Secret as its watch shows it: revision, sequence, attempts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Former {
    pub revision: u8,
    pub sequence: u8,
    pub carries: [u8; TWO],
}

/// `rotation::Memory` in small numbers.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Memo {
    pub prepared: (u8, u8),
    pub claimed: (u8, u8, Age, u8),
    pub holding: u8,
    pub not_executed: u8,
    /// An attempt whose value was dropped.
    pub without_effect: u8,
    /// Newest first.
    pub open: [(u8, Age); TWO + 1],
    pub unreadable: (u8, Age, u8),
    /// By application.
    pub watched: [(u8, u8, Age); TWO],
    pub missing: Age,
    /// Revision, whether one counts, and the age of the first.
    pub streak: (u8, u8, Age),
    pub drift: (u8, Age),
    /// Age, trigger, permanent.
    pub backoff: (Age, u8, bool),
    /// The standby could not be created. The trigger then.
    pub provision: (Age, u8),
    pub verified: u8,
    pub rejected: u8,
    /// 0: none.
    pub doubt: u8,
    /// By the scan, and stored then.
    pub drift_seen: (u8, u8),
}

/// The task that proves and writes a received value.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Flush {
    /// The name of the Secret that is written.
    pub name: u8,
    pub attempt: u8,
    pub slot: u8,
    pub sequence: u8,
    /// The value that was stored when the request was sent.
    pub old: u8,
    pub owner: u8,
    pub trigger: u8,
    /// The machine that proves the value, until it is to be written, and the time since the answer.
    pub proof: Option<Publish>,
    pub at: u8,
    pub proven: bool,
    /// There was no verdict on it.
    pub blind: bool,
    pub outlived: u8,
    pub stored: Seen<Option<Secret>>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Phase {
    #[default]
    Deciding,
    /// Generate was sent: attempt, the Secret at the recheck and its value, uid and trigger of the object.
    Waiting {
        attempt: u8,
        slot: u8,
        /// No one gets the value.
        retire: bool,
        stored: Option<Secret>,
        old: u8,
        owner: u8,
        trigger: u8,
    },
    Flushing(Flush),
}

/// One replica.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Replica {
    pub view: Object,
    /// The applications' sequences at the last scan of the project; 0: none yet.
    pub hint: [u8; TWO],
    /// The object's Secrets that its watch shows, by name.
    pub shown: [Former; TWO],
    /// The status that came with `view`, where that is old.
    pub view_status: Status,
    /// The attempt that it flushed last, and whether its value was proven, until the status says so.
    pub flushed: (u8, bool),
    pub reads: Reads,
    pub memo: Memo,
    pub phase: Phase,
}

/// What the adversary may do, and how often each is still allowed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Fault {
    Crash,
    LostRequest,
    Refused,
    LostAnswer,
    EarlyTimeout,
    Duplicate,
    /// A request, or its holder, outlives the quiet period.
    Late,
    /// More than `T_send` passes between claim and send.
    Delay,
    /// A replica is slower than `T_take` between claim and Secret.
    Slow,
    LostWriteAnswer,
    WithoutEffect,
    Foreign,
    DeleteSecret,
    EditSecret,
    StripRecord,
    DeleteClaim,
    DamageClaim,
    Recreate,
    NoVerdict,
    JournalFails,
    Trigger,
    Due,
    /// ZITADEL forgets the events so far.
    Cut,
    Rename,
    Suspend,
    /// A status that isn't written.
    LostStatus,
    /// Introspection learns of a rotation later than a value is proven, and not later than the longest known lag.
    Lag,
}

pub const FAULTS: usize = 27;

impl Fault {
    /// How many generate calls it may cost, or cause.
    pub const fn worth(self) -> u8 {
        match self {
            Self::LostRequest
            | Self::Refused
            | Self::Delay
            | Self::LostWriteAnswer
            | Self::StripRecord
            | Self::DamageClaim
            | Self::Recreate
            | Self::NoVerdict
            | Self::JournalFails
            | Self::Cut
            | Self::Rename
            | Self::Suspend
            | Self::LostStatus
            | Self::Lag => 0,
            Self::Crash
            | Self::LostAnswer
            | Self::EarlyTimeout
            | Self::Slow
            | Self::WithoutEffect
            | Self::Foreign
            | Self::DeleteSecret
            | Self::EditSecret
            | Self::DeleteClaim
            | Self::Trigger
            | Self::Due => 1,
            // The copy kills the value of the first, and so does a repair that was under way.
            Self::Duplicate | Self::Late => 2,
        }
    }
}

/// What must never happen; each is a bit of `State::broken`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Broken {
    SendOnce,
    Serial,
    Monotone,
    Charge,
    Necessity,
    RefusedPublished,
    Truth,
    WriteAhead,
    Preflight,
    Bounded,
    Held,
    Dropped,
    Old,
    Ready,
    Slowest,
}

/// What admission makes of a Secret with a value that is written.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Admission {
    #[default]
    AsSent,
    /// It changes the value, in dry runs too.
    Changes,
    /// It changes the value in real writes only.
    ChangesReal,
    /// It drops the commit record in real writes only.
    DropsRecordReal,
}

impl Admission {
    /// Whether a dry run shows it.
    pub const fn shows(self) -> bool {
        matches!(self, Self::Changes)
    }

    /// What is stored of a write.
    pub fn stores(self, sent: Secret) -> Secret {
        match self {
            Self::AsSent => sent,
            Self::Changes | Self::ChangesReal => Secret {
                value: JUNK,
                edited: true,
                ..sent
            },
            Self::DropsRecordReal => Secret {
                recorded: false,
                attempt: 0,
                sequence: 0,
                idle: (0, 0),
                ..sent
            },
        }
    }
}

/// Everything.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct State {
    pub claims: [Option<Claim>; TWO],
    /// By name.
    pub secrets: [Option<Secret>; TWO],
    pub object: Object,
    pub status: Status,
    /// The values that ZITADEL accepts, by application.
    pub valid: [u8; TWO],
    /// Values that were made and that ZITADEL accepts only later, in place of those; 0: none.
    pub late: [u8; TWO],
    /// The newest `secret.changed`, and the newest of the operator's own.
    pub newest: [u8; TWO],
    pub own: [u8; TWO],
    /// Events up to this one are forgotten.
    pub cut: u8,
    /// The value that was published last: consumers hold it.
    pub held: u8,
    /// The value that the slowest consumer holds, where they are waited for; 0: they are not.
    pub slowest: u8,
    /// Stored values up to this one are due.
    pub due: u8,
    /// The API server refuses writes of the Secret.
    pub refusing: bool,
    /// What its admission makes of a Secret with a value.
    pub admission: Admission,
    pub messages: [Option<Message>; MESSAGES],
    pub replicas: [Replica; REPLICAS],
    pub left: [u8; FAULTS],
    /// Requests carried out so far, and those that causes and faults so far allow.
    pub executed: u8,
    pub allowed: u8,
    /// The newest trigger for which a value was published.
    pub published_trigger: u8,
    /// Attempts that were sent, and those that a stored claim named, one bit each.
    pub sent: u64,
    pub durable: u64,
    pub broken: u16,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Name {
    Claim,
    Secret,
    Attempt,
    Sequence,
}

impl State {
    pub fn breaks(&mut self, what: Broken) {
        self.broken |= 1 << what as u8;
    }

    pub const fn has_broken(&self, what: Broken) -> bool {
        self.broken & (1 << what as u8) != 0
    }

    pub const fn may(&self, fault: Fault) -> bool {
        self.left[fault as usize] > 0
    }

    pub fn spend(&mut self, fault: Fault) {
        self.left[fault as usize] -= 1;
        self.allowed += fault.worth();
    }

    pub fn messages(&self) -> impl Iterator<Item = Message> + '_ {
        self.messages.iter().flatten().copied()
    }

    pub fn put_message(&mut self, message: Message) {
        match self.messages.iter_mut().find(|slot| slot.is_none()) {
            Some(slot) => *slot = Some(message),
            None => self.breaks(Broken::Bounded),
        }
    }

    /// The Secret of the name that the object gives it.
    pub fn secret(&self) -> Option<Secret> {
        self.secrets[usize::from(self.object.name)]
    }

    /// Whether ZITADEL accepts that value.
    pub fn accepts(&self, value: u8) -> bool {
        value != 0 && self.valid.contains(&value)
    }

    /// The newest event and the newest own one, as far as ZITADEL remembers them.
    pub fn journal(&self, slot: usize) -> (u8, u8, bool) {
        let kept = |sequence: u8| if sequence > self.cut { sequence } else { 0 };
        let cut = self.cut != 0 && self.newest[slot] != 0;
        (kept(self.newest[slot]), kept(self.own[slot]), cut)
    }

    /// The claim whose attempt that is.
    pub fn claim_of(&self, attempt: u8) -> Option<Claim> {
        let mine = |claim: &Claim| claim.attempt.is_some_and(|a| a.id == attempt);
        self.claims.into_iter().flatten().find(mine)
    }

    /// An attempt id, or a revision, that is not used yet. They are renamed afterwards.
    pub fn unused(&self) -> u8 {
        62
    }

    /// The names in use, to their ranks.
    pub fn rename(&mut self) {
        // NB: 62 is a new name; there is at most one of each kind in a transition.
        let mut used = [0_u64; 4];
        self.each(&mut |name, id| used[name as usize] |= 1 << *id);
        for used in &mut used {
            *used &= !1 & !(1 << JUNK);
        }
        let rank = |name: Name, id: u8| {
            let below = used[name as usize] & ((1_u64 << id) - 1);
            u8::try_from(below.count_ones()).unwrap_or(0) + 1
        };
        let renamed = |bits: u64| {
            let mut out = 0;
            let mut known = bits & used[Name::Attempt as usize];
            while known != 0 {
                let id = known.trailing_zeros();
                known &= known - 1;
                out |= 1 << rank(Name::Attempt, u8::try_from(id).unwrap_or(0));
            }
            out
        };
        self.sent = renamed(self.sent);
        self.durable = renamed(self.durable);
        self.each(&mut |name, id| {
            if *id != 0 && *id != JUNK {
                *id = rank(name, *id);
            }
        });
        self.messages
            .sort_unstable_by_key(|slot| std::cmp::Reverse(*slot));
    }

    /// Which of the replicas is the first one makes no difference: of the states that differ in that alone, always the same one.
    pub fn canonical(self, replicas: u8) -> Self {
        const ORDERS: [[u8; REPLICAS]; 6] = [
            [0, 1, 2],
            [1, 0, 2],
            [0, 2, 1],
            [2, 1, 0],
            [1, 2, 0],
            [2, 0, 1],
        ];
        let orders: usize = (1..=usize::from(replicas)).product();
        let others = ORDERS[1..orders].iter();
        others
            .map(|order| self.ordered(*order))
            .fold(self, Self::min)
    }

    /// With the replicas in another order, each of them by the number of its new place.
    fn ordered(mut self, order: [u8; REPLICAS]) -> Self {
        let place = |claims: &mut [Option<Claim>; TWO]| {
            for attempt in claims
                .iter_mut()
                .flatten()
                .filter_map(|claim| claim.attempt.as_mut())
            {
                if let Some(place) = order.iter().position(|old| *old == attempt.holder) {
                    attempt.holder = place as u8;
                }
            }
        };
        self.replicas = order.map(|old| self.replicas[usize::from(old)]);
        place(&mut self.claims);
        for replica in &mut self.replicas {
            if let Seen::Live(claims) = &mut replica.reads.claim {
                place(claims);
            }
        }
        self
    }

    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        for sequence in [
            &mut self.valid,
            &mut self.late,
            &mut self.newest,
            &mut self.own,
        ]
        .into_iter()
        .flatten()
        {
            f(Name::Sequence, sequence);
        }
        f(Name::Sequence, &mut self.cut);
        f(Name::Sequence, &mut self.held);
        f(Name::Sequence, &mut self.slowest);
        f(Name::Sequence, &mut self.due);
        self.status.each(f);
        for claim in self.claims.iter_mut().flatten() {
            claim.each(f);
        }
        for secret in self.secrets.iter_mut().flatten() {
            secret.each(f);
        }
        for message in self.messages.iter_mut().flatten() {
            f(Name::Attempt, &mut message.attempt);
            f(Name::Sequence, &mut message.sequence);
        }
        for replica in &mut self.replicas {
            replica.each(f);
        }
    }
}

impl Status {
    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        f(Name::Secret, &mut self.verified);
        f(Name::Attempt, &mut self.last);
        f(Name::Sequence, &mut self.proven);
    }
}

impl Former {
    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        f(Name::Secret, &mut self.revision);
        f(Name::Sequence, &mut self.sequence);
        for attempt in &mut self.carries {
            f(Name::Attempt, attempt);
        }
    }
}

impl Claim {
    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        f(Name::Claim, &mut self.revision);
        if let Some(attempt) = &mut self.attempt {
            f(Name::Attempt, &mut attempt.id);
            f(Name::Sequence, &mut attempt.pre);
        }
        for (attempt, _) in &mut self.replaced {
            f(Name::Attempt, attempt);
        }
    }
}

impl Secret {
    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        f(Name::Secret, &mut self.revision);
        f(Name::Attempt, &mut self.attempt);
        f(Name::Sequence, &mut self.sequence);
        f(Name::Attempt, &mut self.idle.0);
        f(Name::Sequence, &mut self.idle.1);
        f(Name::Sequence, &mut self.value);
    }
}

impl Replica {
    fn each(&mut self, f: &mut impl FnMut(Name, &mut u8)) {
        for hint in &mut self.hint {
            f(Name::Sequence, hint);
        }
        for shown in &mut self.shown {
            shown.each(f);
        }
        f(Name::Attempt, &mut self.flushed.0);
        self.view_status.each(f);
        self.reads.former.each(f);
        if let Seen::Live(claims) = &mut self.reads.claim {
            for claim in claims.iter_mut().flatten() {
                claim.each(f);
            }
        }
        if let Seen::Live(Some(secret)) = &mut self.reads.secret {
            secret.each(f);
        }
        for journal in &mut self.reads.journal {
            if let Seen::Live((newest, own, _)) = journal {
                f(Name::Sequence, newest);
                f(Name::Sequence, own);
            }
        }
        let memo = &mut self.memo;
        f(Name::Secret, &mut memo.prepared.0);
        f(Name::Attempt, &mut memo.claimed.0);
        f(Name::Secret, &mut memo.claimed.1);
        f(Name::Attempt, &mut memo.holding);
        f(Name::Attempt, &mut memo.not_executed);
        f(Name::Attempt, &mut memo.without_effect);
        for (attempt, _) in &mut memo.open {
            f(Name::Attempt, attempt);
        }
        f(Name::Claim, &mut memo.unreadable.0);
        for (claim, secret, _) in &mut memo.watched {
            f(Name::Claim, claim);
            f(Name::Secret, secret);
        }
        f(Name::Secret, &mut memo.streak.0);
        f(Name::Sequence, &mut memo.drift.0);
        f(Name::Secret, &mut memo.verified);
        f(Name::Secret, &mut memo.rejected);
        f(Name::Sequence, &mut memo.drift_seen.0);
        f(Name::Sequence, &mut memo.drift_seen.1);
        match &mut self.phase {
            Phase::Deciding => {}
            Phase::Waiting {
                attempt,
                stored,
                old,
                ..
            } => {
                f(Name::Attempt, attempt);
                if let Some(stored) = stored {
                    stored.each(f);
                }
                f(Name::Sequence, old);
            }
            Phase::Flushing(flush) => {
                f(Name::Attempt, &mut flush.attempt);
                f(Name::Sequence, &mut flush.sequence);
                f(Name::Sequence, &mut flush.old);
                f(Name::Secret, &mut flush.outlived);
                if let Seen::Live(Some(secret)) = &mut flush.stored {
                    secret.each(f);
                }
            }
        }
    }
}
