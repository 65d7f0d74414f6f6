//! What a replica does: the steps that the shipped code decides on, and the task that writes a received value.

use zitadel_secret_operator::rotation::{Cause, Fence, Next, Question, Verdict};

use crate::actor::{self, APP, CLAIM, JOURNAL, Known, OBJECT, PROBE, Report, SECRET, Step};
use crate::machine::{How, Without, World};
use crate::properties;
use crate::world::{
    Age, Claim, Fault, Flush, Former, JUNK, Message, Phase, Reads, Secret, Seen, State, TWO,
};

impl World {
    /// One step of a replica that has nothing in flight.
    pub fn step(&self, n: &mut State, i: u8, how: How) -> bool {
        let replica = n.replicas[usize::from(i)];
        if replica.phase != Phase::Deciding
            || !replica.view.exists
            || replica.reads.pending != 0
            || (how == How::Stale && !begins(&replica.reads))
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
        // What is known of the stored value is repeated, whatever became of the attempt.
        if self.without == Without::Doubts
            && matches!(step, Step::Read(PROBE, _))
            && known.memo.open.iter().any(|(attempt, _)| *attempt != 0)
        {
            step = Step::Rest(Report::Usable);
        }
        let shown = self.shows(n, replica.view.uid);
        let mine = &mut n.replicas[usize::from(i)];
        mine.memo = memo;
        mine.hint = known.hint;
        if known.cached {
            mine.shown = shown;
        }

        mine.reads.former = known.reads.former;
        let name = usize::from(replica.view.name);
        let writes = matches!(
            step,
            Step::Write { .. }
                | Step::CreateShell
                | Step::Render { .. }
                | Step::Move(_)
                | Step::Provision(_)
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
                mine.reads.probe = Some(if self.without == Without::PairedProbe {
                    Verdict::Accepted
                } else {
                    Verdict::Unknown
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
                n.replicas[usize::from(i)].reads.journal[usize::from(slot)] = Seen::Down;
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
            properties::begin(n, self.confirms_object, &known);
        }
        let mine = &mut n.replicas[usize::from(i)];
        match step {
            Step::Read(sources, slot) if self.torn => {
                mine.reads.pending = sources;
                mine.reads.slot = slot;
                return true;
            }
            Step::Read(sources, slot) => {
                for source in SOURCES {
                    if sources & source != 0 {
                        read(n, i, slot, source);
                    }
                }
                // What a probe was for: nothing that happens between it and the report makes a difference to anybody else.
                let next = || actor::decide(&self.known(n, i, false)).0;
                return if sources == PROBE && matches!(next(), Step::Rest(_)) {
                    self.step(n, i, How::Well)
                } else {
                    true
                };
            }
            Step::Rest(report) => {
                mine.reads = Reads::default();
                mine.hint = [0; TWO];
                if self.status && how != How::StatusLost && report != Report::Outdated {
                    write_status(n, i, &known, self.without == Without::Proven);
                }
                if matches!(report, Report::Settled | Report::Usable) {
                    properties::usable(n, &known);
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
                mine.reads.secret = Seen::Unread;
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
                        mine.reads.secret = Seen::Live(n.secrets[name]);
                    }
                } else {
                    mine.reads.former = Former::default();
                }
                // As the shell: nothing else is read again.
                return true;
            }
            Step::DropFormer(revision) => {
                mine.reads.former = Former::default();
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
            Step::Provision(over) => {
                // NB: the application itself is there or not; it is the same one each time.
                if lost {
                    mine.memo = actor::not_provisioned(&Known { memo, ..known });
                } else if let Some(claim) = &mut n.claims[0]
                    && claim.revision == over
                {
                    claim.standby = true;
                    claim.revision = 62;
                    mine.memo = actor::provisioned(&memo);
                }
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
                let refused = n.refusing || n.admission.shows();
                if refused && self.without != Without::Rehearsal {
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
                    actor::claim_not_written(&memo)
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
                let old = match known.reads.secret {
                    Seen::Live(Some(secret)) => secret.value,
                    _ => n.secrets[name].map_or(0, |secret| secret.value),
                };
                let mine = &mut n.replicas[usize::from(i)];
                mine.memo = actor::sending(&memo, attempt);
                mine.phase = Phase::Waiting {
                    attempt,
                    slot,
                    retire: cause == Cause::Retire,
                    stored: match known.reads.secret {
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
                mine.reads = Reads {
                    app: if mine.phase == Phase::Deciding {
                        mine.reads.app
                    } else {
                        [false; TWO]
                    },
                    ..Reads::default()
                };
            }
        }
        true
    }

    /// One step of the task that proves and writes a received value.
    pub fn flush(&self, n: &mut State, i: u8, lost: bool) -> bool {
        let Phase::Flushing(mut flush) = n.replicas[usize::from(i)].phase else {
            return false;
        };
        let accepted = n.accepts(flush.sequence);
        // As `flush::present`: under the former name all the same, unless the Secret of that name is gone.
        if flush.stored == Seen::Live(None) {
            flush.name = n.replicas[usize::from(i)].view.name;
        }
        let name = usize::from(flush.name);
        if flush.proof.is_some() {
            return !lost && self.prove(n, i, flush);
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
            self.contains(&flush, stored),
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
                let written = n.admission.stores(Secret {
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
                n.secrets[name] = Some(written);
                n.held = if written.value == JUNK {
                    0
                } else {
                    flush.sequence
                };
                if self.standby.overlaps() {
                    n.allowed += 1;
                }
                if self.status {
                    n.replicas[usize::from(i)].flushed = (flush.attempt, flush.proven);
                }
                n.published_trigger = n.published_trigger.max(flush.trigger);
                // What the answer contains decides, as what is read would.
                let contains = self.contains(&flush, Some(written));
                let (slot, outlived) = (flush.slot, flush.outlived);
                let stored = Some(written);
                let answer = actor::fence(
                    stored,
                    slot,
                    flush.attempt,
                    flush.sequence,
                    outlived,
                    contains,
                );
                if lost {
                    n.spend(Fault::LostWriteAnswer);
                }
                if lost || !matches!(answer, Fence::Written(_)) {
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

    /// Whether the Secret contains what was sent.
    fn contains(&self, flush: &Flush, stored: Option<Secret>) -> bool {
        let kept = |secret: Secret| {
            (secret.recorded, secret.attempt, secret.value) == (true, flush.attempt, flush.sequence)
        };
        self.without == Without::Compare || stored.is_some_and(kept)
    }

    /// What the shipped machine asks until it waits, or has come to its end.
    fn prove(&self, n: &mut State, i: u8, mut flush: Flush) -> bool {
        let Some(mut machine) = flush.proof else {
            return false;
        };
        loop {
            let now = actor::since_answer(flush.at);
            match machine.next(now) {
                Next::Ask(question, _) => {
                    let accepted = match question {
                        Question::App => None,
                        Question::New => Some(n.accepts(flush.sequence)),
                        Question::Stored => Some(n.accepts(flush.old)),
                    };
                    let verdict = match accepted {
                        Some(true) => Verdict::Accepted,
                        Some(false) => Verdict::Rejected,
                        None => Verdict::Unknown,
                    };
                    machine.record_answer(question, verdict, now);
                    // The world may change between two questions.
                    if self.torn && question != Question::App {
                        break;
                    }
                }
                Next::Wait(_) => {
                    let next = (flush.at + 1).min(actor::TIMES - 1);
                    if next == actor::LAGGED && n.late[usize::from(flush.slot)] != 0 {
                        // No lag is that long.
                        return false;
                    }
                    flush.at = next;
                    break;
                }
                Next::Write { accepted } => {
                    proven(n, i, flush, accepted);
                    return true;
                }
                Next::Drop => {
                    properties::drop_candidate(n, &flush);
                    let mine = &mut n.replicas[usize::from(i)];
                    mine.memo = actor::dropped(&mine.memo, flush.attempt);
                    mine.phase = Phase::Deciding;
                    return true;
                }
            }
        }
        flush.proof = Some(machine);
        n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
        true
    }

    /// The judge hangs for as long as a value is proven.
    pub fn silent(&self, n: &mut State, i: u8) -> bool {
        let Phase::Flushing(mut flush) = n.replicas[usize::from(i)].phase else {
            return false;
        };
        let Some(mut machine) = flush.proof else {
            return false;
        };
        if flush.at >= actor::PROVEN {
            return false;
        }
        n.spend(Fault::NoVerdict);
        flush.blind = true;
        loop {
            match machine.next(actor::since_answer(flush.at)) {
                Next::Ask(question, _) if flush.at < actor::PROVEN => {
                    flush.at += 1;
                    let now = actor::since_answer(flush.at);
                    machine.record_answer(question, Verdict::Unknown, now);
                }
                Next::Wait(_) if flush.at < actor::PROVEN => flush.at += 1,
                Next::Write { accepted } => {
                    proven(n, i, flush, accepted);
                    return true;
                }
                Next::Ask(..) | Next::Wait(_) | Next::Drop => break,
            }
        }
        flush.proof = Some(machine);
        n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
        true
    }
}

/// The value is to be written.
fn proven(n: &mut State, i: u8, mut flush: Flush, accepted: bool) {
    flush.proof = None;
    flush.at = 0;
    if accepted {
        flush.proven = true;
        if let Seen::Live(Some(stored)) = flush.stored {
            flush.outlived = stored.revision;
        }
    }
    n.replicas[usize::from(i)].phase = Phase::Flushing(flush);
}

pub fn begins(reads: &Reads) -> bool {
    reads.claim == Seen::Unread && reads.secret == Seen::Unread && reads.pending == 0
}

/// In this order: the object after the claim, and the probe after the Secret.
pub const SOURCES: [u8; 6] = [CLAIM, OBJECT, SECRET, APP, JOURNAL, PROBE];

pub fn read(n: &mut State, i: u8, slot: u8, source: u8) {
    let slot = usize::from(slot);
    let (claims, secrets, journal, valid) = (n.claims, n.secrets, n.journal(slot), n.valid);
    let object = n.object;
    let mine = &mut n.replicas[usize::from(i)];
    let view = mine.view;
    let reads = &mut mine.reads;
    match source {
        CLAIM => {
            reads.claim = Seen::Live(claims);
            // It must be known to be current after the claim was read.
            reads.current = None;
            reads.old = view != object;
        }
        OBJECT => reads.current = Some(view == object),
        SECRET => {
            let found = secrets[usize::from(view.name)];
            reads.secret = Seen::Live(found);
        }
        APP => reads.app[slot] = true,
        JOURNAL => reads.journal[slot] = Seen::Live(journal),
        _ => {
            // The value that was read is the one that is tried.
            let accepted = match reads.secret {
                Seen::Live(Some(secret)) => {
                    secret.value != 0 && secret.value == valid[usize::from(secret.active)]
                }
                _ => false,
            };
            reads.probe = Some(if accepted {
                Verdict::Accepted
            } else {
                Verdict::Rejected
            });
        }
    }
}

pub fn write_claim(n: &mut State, slot: u8, mut claim: Claim, fresh: bool) {
    claim.revision = n.unused();
    if fresh && let Some(attempt) = &mut claim.attempt {
        attempt.id = n.unused();
        n.durable |= 1 << n.unused();
    }
    n.claims[usize::from(slot)] = Some(claim);
}

/// Writes the status, as far as decisions use it.
pub fn write_status(n: &mut State, i: u8, known: &Known, supposes: bool) {
    let mine = &mut n.replicas[usize::from(i)];
    let flushed = std::mem::take(&mut mine.flushed);
    let memo = mine.memo;
    // NB: the write names the revision of the object that was seen.
    if known.object != n.object {
        return;
    }
    n.status.name = known.object.name;
    let Seen::Live(Some(secret)) = known.reads.secret else {
        n.status.verified = 0;
        return;
    };
    let known_good = [memo.verified, known.status.verified].contains(&secret.revision);
    n.status.verified = if known_good && memo.rejected == 0 && memo.doubt == 0 {
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
        // A replica that did not write it can only suppose that it was proven.
        if (mine && flushed.1) || (!mine && supposes) {
            n.status.proven = secret.sequence;
        }
    }
}

/// The flush is over.
pub fn done(n: &mut State, i: u8, verified: u8) {
    let mine = &mut n.replicas[usize::from(i)];
    mine.memo = actor::flushed(&mine.memo, verified);
    mine.phase = Phase::Deciding;
}
