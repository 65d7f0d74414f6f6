//! What ends a replica, and what people and other programs do.

use crate::actor;
use crate::calls::awaited;
use crate::world::{Claim, Fault, JUNK, Message, Replica, Seen, State};

pub fn crash(n: &mut State, i: u8, elsewhere: bool) {
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
            if let Seen::Live(claims) = &mut replica.reads.claim {
                actor::orphan(claims, i);
            }
        }
    }
}

/// What people and other programs do.
pub fn person(n: &mut State, fault: Fault, slot: usize) -> bool {
    let new = n.unused();
    let name = usize::from(n.object.name);
    if matches!(
        fault,
        Fault::Trigger | Fault::Rename | Fault::Suspend | Fault::Recreate
    ) {
        // The status as it was then is what comes with the object that is old now.
        for replica in &mut n.replicas {
            if replica.view == n.object {
                replica.view_status = n.status;
            }
        }
    }
    match fault {
        Fault::Foreign => {
            n.newest[slot] = new;
            n.valid[slot] = new;
            n.late[slot] = 0;
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
            // Without the lock nothing shows what is on its way.
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
