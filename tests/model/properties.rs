//! What must hold in every state, and that a good state can be reached from each.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault};
use std::time::{Duration, Instant};

use stateright::{Checker, Model, Property};
use zitadel_secret_operator::rotation::{Cause, Verdict};

use crate::actor::{Known, Report};
use crate::hash::{Fast, Wide};
use crate::machine::{Action, Without, World};
use crate::world::{Broken, Flush, Phase, Secret, Seen, State, TWO};

/// The names of the properties that hold in every state.
pub const ALWAYS: [(&str, Broken); 15] = [
    ("send once", Broken::SendOnce),
    ("serial", Broken::Serial),
    ("monotone", Broken::Monotone),
    ("charge", Broken::Charge),
    ("necessity", Broken::Necessity),
    ("refused value never published", Broken::RefusedPublished),
    ("truth", Broken::Truth),
    ("write-ahead", Broken::WriteAhead),
    ("preflight", Broken::Preflight),
    ("bounded", Broken::Bounded),
    ("held pair spared", Broken::Held),
    ("newest kept", Broken::Dropped),
    ("only for the present object", Broken::Old),
    ("ready is true", Broken::Ready),
    ("slowest consumer spared", Broken::Slowest),
];

/// The name of the property that a good state can be reached from each.
pub const RECOVERS: &str = "recovers";

pub fn always() -> Vec<Property<World>> {
    vec![
        Property::always("send once", |_, s: &State| !s.has_broken(Broken::SendOnce)),
        Property::always("serial", |_, s: &State| !s.has_broken(Broken::Serial)),
        Property::always("monotone", |_, s: &State| !s.has_broken(Broken::Monotone)),
        Property::always("charge", |_, s: &State| !s.has_broken(Broken::Charge)),
        Property::always("necessity", |_, s: &State| !s.has_broken(Broken::Necessity)),
        Property::always("refused value never published", |_, s: &State| {
            !s.has_broken(Broken::RefusedPublished)
        }),
        Property::always("truth", |_, s: &State| !s.has_broken(Broken::Truth)),
        Property::always("write-ahead", |_, s: &State| {
            !s.has_broken(Broken::WriteAhead)
        }),
        Property::always("preflight", |_, s: &State| !s.has_broken(Broken::Preflight)),
        Property::always("bounded", |_, s: &State| !s.has_broken(Broken::Bounded)),
        Property::always("held pair spared", |_, s: &State| {
            !s.has_broken(Broken::Held)
        }),
        Property::always("newest kept", |_, s: &State| !s.has_broken(Broken::Dropped)),
        Property::always("only for the present object", |_, s: &State| {
            !s.has_broken(Broken::Old)
        }),
        Property::always("ready is true", |_, s: &State| !s.has_broken(Broken::Ready)),
        Property::always("slowest consumer spared", |_, s: &State| {
            !s.has_broken(Broken::Slowest)
        }),
    ]
}

/// Judges the moment at which generate is sent.
pub fn send(n: &mut State, known: &Known, slot: u8, attempt: u8, cause: Cause) {
    if n.sent & (1 << attempt) != 0 {
        n.breaks(Broken::SendOnce);
    }
    if n.durable & (1 << attempt) == 0 {
        n.breaks(Broken::WriteAhead);
    }
    // NB: where the claim was deleted, neither knows of the other.
    let locked = n.claim_of(attempt);
    let under_way =
        |m: crate::world::Message| m.slot == slot && m.sequence == 0 && !m.late && !m.unlocked;
    if locked.is_some() && n.messages().any(under_way) {
        n.breaks(Broken::Serial);
    }
    if n.refusing || n.admission.shows() {
        n.breaks(Broken::Preflight);
    }
    let trigger = locked
        .and_then(|claim| claim.attempt)
        .map_or(0, |attempt| attempt.trigger);
    // The cause is judged by what was read last, which is as much as can be known.
    let secret = match known.reads.secret {
        Seen::Live(secret) if !known.cached => secret,
        _ => n.secrets[usize::from(known.object.name)],
    };
    let active = secret.map_or(0, |secret| secret.active);
    let own = |slot: u8| match known.reads.journal[usize::from(slot)] {
        Seen::Live((_, own, _)) if !known.no_journal => own,
        _ => n.own[usize::from(slot)],
    };
    let (sequence, value) = secret.map_or((0, 0), |s| (s.sequence, s.value));
    let before = secret.map_or(0, |secret| {
        if slot == active {
            secret.sequence
        } else {
            secret.idle.1
        }
    });
    let holds = match cause {
        Cause::FirstIssue | Cause::SecretMissing => value == 0,
        Cause::Due => sequence != 0 && sequence <= n.due,
        Cause::Trigger => trigger > n.published_trigger,
        Cause::SecretInvalid => value != 0 && value != n.valid[usize::from(active)],
        Cause::LostAttempt => {
            value == 0
                || own(active) > sequence
                || own(slot) > before
                || ((known.no_journal || n.cut != 0) && value != n.valid[usize::from(active)])
        }
        Cause::Retire => known.overlap && slot != active && before != 0 && before < sequence,
    };
    if !holds {
        n.breaks(Broken::Necessity);
    }
    // Where there is another application, the pair that consumers hold stays as it is.
    // NB: which one they hold is only known as far as the status says so, once the Secret is gone.
    let named = n.status.last != 0 && n.status.active == slot;
    let held = known.standby && named && n.held != 0 && n.valid[usize::from(slot)] == n.held;
    let stored_is_another = value != 0 && active != slot;
    // One that is still to be created is waited for, but by repairs.
    let early = known.provisioned && !known.standby && !cause.is_repair();
    if early || (held && !stored_is_another) {
        n.breaks(Broken::Held);
    }
    // What only time asks for leaves the pair alone that a consumer still holds.
    let is_held = n.slowest != 0 && n.valid[usize::from(slot)] == n.slowest;
    if is_held && matches!(cause, Cause::Due | Cause::Retire) {
        n.breaks(Broken::Slowest);
    }
}

/// Judges the moment at which something is begun: nothing is, for an object that had changed before the claim was read.
pub fn begin(n: &mut State, confirms_object: bool, known: &Known) {
    if confirms_object && known.reads.old {
        n.breaks(Broken::Old);
    }
}

/// Judges the moment at which a value is written to the Secret.
pub fn publish(n: &mut State, flush: &Flush, name: usize) {
    let Some(old) = n.secrets[name] else { return };
    let before = if old.active == flush.slot {
        old.sequence
    } else {
        old.idle.1
    };
    if before > flush.sequence && flush.outlived != old.revision {
        n.breaks(Broken::Monotone);
    }
    let accepted = old.value != 0 && old.value == n.valid[usize::from(old.active)];
    // NB: what was accepted a moment ago may be replaced by another actor just then.
    if !flush.blind && !flush.proven && accepted && !n.accepts(flush.sequence) {
        n.breaks(Broken::RefusedPublished);
    }
}

/// Judges the moment at which a value is given up: not one that ZITADEL accepts, or is about to.
pub fn drop_candidate(n: &mut State, flush: &Flush) {
    if n.accepts(flush.sequence) || n.late.contains(&flush.sequence) {
        n.breaks(Broken::Dropped);
    }
}

/// Judges the moment at which a value moves to a new name.
pub fn moved(n: &mut State, name: usize, former: Secret) {
    let lost = |old: Secret| n.accepts(old.value) && !n.accepts(former.value);
    if n.secrets[name].is_some_and(lost) {
        n.breaks(Broken::Dropped);
    }
}

/// Judges the moment at which a Secret of a former name is deleted.
pub fn dropped(n: &mut State, known: &Known, former: Secret) {
    let kept = n.secrets[usize::from(known.object.name)];
    if n.accepts(former.value) && !kept.is_some_and(|kept| n.accepts(kept.value)) {
        n.breaks(Broken::Dropped);
    }
}

/// Judges the moment at which a replica reports that all is well.
pub fn settled(n: &mut State, known: &Known) {
    let in_sight = known.object == n.object
        && known.reads.claim == Seen::Live(n.claims)
        && known.reads.secret == Seen::Live(n.secret())
        && known.hint == n.valid;
    let quiet =
        n.messages().next().is_none() && n.replicas.iter().all(|r| r.phase == Phase::Deciding);
    if in_sight && quiet && !holds_the_valid(n) {
        n.breaks(Broken::Truth);
    }
}

/// Judges the moment at which a replica reports that the stored value can be used: never against what ZITADEL has just said, and never
/// unasked beside an attempt of which it is not known what became, where that has in fact killed the value.
pub fn usable(n: &mut State, known: &Known) {
    let Seen::Live(Some(secret)) = known.reads.secret else {
        return;
    };
    let unmoved = n.secret() == Some(secret) && known.object == n.object;
    if known.cached || !unmoved || known.reads.former.revision != 0 || secret.value == 0 {
        return;
    }
    let open = match known.reads.claim {
        Seen::Live(claims) => claims[usize::from(secret.active)]
            .and_then(|claim| claim.attempt)
            .is_some_and(|attempt| {
                let refused = known.memo.not_executed == attempt.id;
                attempt.open && attempt.id != secret.attempt && !refused
            }),
        Seen::Unread | Seen::Down => false,
    };
    let lies = match known.reads.probe {
        Some(Verdict::Rejected) => true,
        Some(Verdict::Accepted | Verdict::Unknown) => false,
        None => open && !n.accepts(secret.value),
    };
    if lies {
        n.breaks(Broken::Ready);
    }
}

fn holds_the_valid(n: &State) -> bool {
    n.secret()
        .is_some_and(|secret| secret.value == n.valid[usize::from(secret.active)])
}

/// The Secret holds the value that ZITADEL accepts, nothing is under way, and every replica says so.
fn good(world: &World, state: &State) -> bool {
    let idle = state.messages().next().is_none()
        && state.replicas.iter().all(|r| r.phase == Phase::Deciding);
    let stored = state
        .secret()
        .is_some_and(|secret| secret.recorded && secret.owner == state.object.uid);
    let stray = state.secrets[usize::from(1 - state.object.name)].is_some();
    idle && stored
        && state.late == [0; TWO]
        && !stray
        && holds_the_valid(state)
        && state.object.exists
        && !state.object.suspended
        && (0..world.replicas).all(|i| {
            state.replicas[usize::from(i)].view == state.object
                && world.report(state, i) == Some(Report::Settled)
        })
}

/// What an exploration came to.
pub struct Outcome {
    pub states: usize,
    pub time: Duration,
    /// The violated properties, each with the actions that lead there.
    pub violations: Vec<(&'static str, Vec<Action>)>,
}

fn fingerprint(state: &State) -> u64 {
    BuildHasherDefault::<Wide>::default().hash_one(state)
}

/// Explores every reachable state, then walks back from the good ones along the transitions that need no fault.
pub fn explore(world: &World, most: usize) -> Outcome {
    let begun = Instant::now();
    let mut index: HashMap<u64, u32, BuildHasherDefault<Fast>> = HashMap::default();
    let mut queue: VecDeque<(u32, State)> = VecDeque::new();
    // The state that found it first, and by which action; for the path to a violation.
    let mut parents: Vec<(u32, Action)> = Vec::new();
    let mut edges: Vec<(u32, u32)> = Vec::new();
    let mut reached: Vec<bool> = Vec::new();
    let mut violations: Vec<(&'static str, Vec<Action>)> = Vec::new();
    let mut found: u16 = 0;
    for state in world.init_states() {
        index.insert(fingerprint(&state), 0);
        parents.push((u32::MAX, Action::Day));
        reached.push(good(world, &state));
        queue.push_back((0, state));
    }
    let mut actions = Vec::new();
    while let Some((from, state)) = queue.pop_front() {
        actions.clear();
        world.actions(&state, &mut actions);
        for action in &actions {
            let Some(next) = world.next_state(&state, *action) else {
                continue;
            };
            let new = u32::try_from(parents.len()).unwrap();
            let to = *index.entry(fingerprint(&next)).or_insert(new);
            if action.is_fair() {
                edges.push((to, from));
            }
            if to != new {
                continue;
            }
            parents.push((from, *action));
            // A violation is reported as such, not as a state without a way out.
            reached.push(next.broken != 0 || good(world, &next));
            let news = next.broken & !found;
            found |= next.broken;
            for (name, broken) in ALWAYS {
                if news & (1 << broken as u16) != 0 {
                    violations.push((name, path(&parents, new)));
                }
            }
            if next.broken == 0 {
                queue.push_back((new, next));
            }
        }
        // A control has shown what it is for.
        if world.without != Without::Nothing && !violations.is_empty() {
            break;
        }
        if parents.len() > most {
            println!("  {}: more than {most} states", world.name);
            violations.push(("too many states", Vec::new()));
            break;
        }
    }
    let states = parents.len();
    drop(index);
    if violations.is_empty()
        && let Some(stuck) = stuck(&mut reached, edges)
    {
        violations.push((RECOVERS, path(&parents, stuck)));
    }
    Outcome {
        states,
        time: begun.elapsed(),
        violations,
    }
}

fn path(parents: &[(u32, Action)], mut at: u32) -> Vec<Action> {
    let mut actions = Vec::new();
    while parents[at as usize].0 != u32::MAX {
        actions.push(parents[at as usize].1);
        at = parents[at as usize].0;
    }
    actions.reverse();
    actions
}

/// The first state from which no good one can be reached.
fn stuck(reached: &mut [bool], mut edges: Vec<(u32, u32)>) -> Option<u32> {
    edges.sort_unstable();
    let mut work: Vec<u32> = (0..u32::try_from(reached.len()).unwrap())
        .filter(|at| reached[*at as usize])
        .collect();
    while let Some(at) = work.pop() {
        let begin = edges.partition_point(|edge| edge.0 < at);
        for (_, from) in edges[begin..].iter().take_while(|edge| edge.0 == at) {
            if !std::mem::replace(&mut reached[*from as usize], true) {
                work.push(*from);
            }
        }
    }
    reached
        .iter()
        .position(|reached| !reached)
        .map(|at| u32::try_from(at).unwrap())
}

/// The same properties by stateright's own checker.
pub fn check(world: &World) -> (usize, Vec<&'static str>) {
    let checker = world.clone().checker().threads(2).spawn_bfs().join();
    let mut names: Vec<_> = checker.discoveries().into_keys().collect();
    names.sort_unstable();
    (checker.unique_state_count(), names)
}

/// The states along a path, for a person to read; where no way out was found, also some of what goes on for ever.
pub fn print_path(world: &World, property: &str, path: &[Action]) {
    let mut state = world.start();
    let advance = |state: &mut State, action: Action| match world.next_state(state, action) {
        Some(next) => {
            match action {
                Action::Step(i, how) => {
                    println!("    {action:?} {:?}", world.decision(state, i, how));
                }
                _ => println!("    {action:?}"),
            }
            *state = next;
        }
        None => println!("    {action:?}: nothing"),
    };
    for action in path {
        advance(&mut state, *action);
    }
    println!("    {state:?}");
    if property != RECOVERS {
        return;
    }
    println!("  and then for example");
    let mut seen = std::collections::HashSet::new();
    while seen.insert(fingerprint(&state)) && seen.len() < 60 {
        let mut actions = Vec::new();
        world.actions(&state, &mut actions);
        actions.retain(|action| action.is_fair());
        let mut next = actions
            .iter()
            .filter_map(|action| Some((*action, world.next_state(&state, *action)?)));
        let fresh = next.find(|(_, next)| !seen.contains(&fingerprint(next)));
        let Some((action, _)) = fresh else { break };
        advance(&mut state, action);
    }
    println!("    {state:?}");
}
