//! What becomes of a call that is under way.

use crate::actor;
use crate::machine::{Without, World};
use crate::world::{Broken, Fault, Flush, Message, Phase, Seen, State};

impl World {
    pub fn no_answer(&self, n: &mut State, i: u8, fault: Fault) -> bool {
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
    pub fn refuse(&self, n: &mut State, i: u8) -> bool {
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

pub fn message_at(n: &mut State, m: usize) -> Option<&mut Message> {
    n.messages[m].as_mut()
}

/// The message that a replica waits for.
pub fn awaited(n: &State, i: u8) -> Option<(usize, u8)> {
    let Phase::Waiting { attempt, .. } = n.replicas[usize::from(i)].phase else {
        return None;
    };
    let m = n
        .messages
        .iter()
        .position(|slot| slot.is_some_and(|m| m.awaited && m.attempt == attempt))?;
    Some((m, attempt))
}

pub fn deliver(n: &mut State, i: u8, without: Without) -> bool {
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
    let proof =
        (without != Without::Prove).then(|| actor::received(stored, slot, without == Without::Lag));
    mine.phase = Phase::Flushing(Flush {
        name: mine.view.name,
        attempt,
        slot,
        sequence,
        old,
        owner,
        trigger,
        proof,
        at: 0,
        proven: false,
        blind: false,
        outlived: 0,
        stored: Seen::Live(stored),
    });
    n.messages[m] = None;
    true
}

/// When ZITADEL accepts what it made.
pub enum Effect {
    Now,
    Later,
    Never,
}

pub fn execute(n: &mut State, m: u8, effect: Effect) -> bool {
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
    match effect {
        Effect::Now => {
            n.valid[slot] = event;
            // What it learns of is in order.
            n.late[slot] = 0;
        }
        Effect::Later => n.late[slot] = event,
        Effect::Never => {}
    }
    n.executed += 1;
    true
}
