//! What must hold in every state, and that a good state can be reached from each.

use std::collections::{HashMap, VecDeque};
use std::hash::{BuildHasher, BuildHasherDefault, Hasher};
use std::time::{Duration, Instant};

use stateright::{Checker, Model, Property};
use zitadel_secret_operator::rotation::Cause;

use crate::actor::{Fast, Known, Report};
use crate::machine::{Action, Without, World};
use crate::world::{Broken, Flush, Phase, Seen, State};

/// The names of the properties that hold in every state.
pub const ALWAYS: [(&str, Broken); 10] = [
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
    ]
}

/// Judges the moment at which generate is sent.
pub fn send(n: &mut State, known: &Known, attempt: u8, cause: Cause, trigger: u8) {
    if n.sent & (1 << attempt) != 0 {
        n.breaks(Broken::SendOnce);
    }
    if n.durable & (1 << attempt) == 0 {
        n.breaks(Broken::WriteAhead);
    }
    // NB: where the claim was deleted, nothing tells one of the other.
    let locked = n
        .claim
        .and_then(|claim| claim.attempt)
        .is_some_and(|stored| stored.id == attempt);
    if locked
        && n.messages()
            .any(|m| m.sequence == 0 && !m.late && !m.unlocked)
    {
        n.breaks(Broken::Serial);
    }
    if n.refusing {
        n.breaks(Broken::Preflight);
    }
    // The cause is judged by what was read last, which is as much as can be known.
    let secret = match known.round.secret {
        Seen::Live(secret) if !known.cached => secret,
        _ => n.secret,
    };
    let own = match known.round.journal {
        Seen::Live((_, own)) if !known.no_journal => own,
        _ => n.own,
    };
    let (sequence, value) = secret.map_or((0, 0), |s| (s.sequence, s.value));
    let holds = match cause {
        Cause::FirstIssue | Cause::SecretMissing => value == 0,
        Cause::Due => sequence != 0 && sequence <= n.due,
        Cause::Trigger => trigger > n.published_trigger,
        Cause::SecretInvalid => value != 0 && value != n.valid,
        Cause::LostAttempt => {
            value == 0 || own > sequence || (known.no_journal && value != n.valid)
        }
        // There is one application here.
        Cause::Retire => false,
    };
    if !holds {
        n.breaks(Broken::Necessity);
    }
}

/// Judges the moment at which a value is written to the Secret.
pub fn publish(n: &mut State, flush: &Flush) {
    let Some(old) = n.secret else { return };
    if old.sequence > flush.sequence && flush.outlived != old.revision {
        n.breaks(Broken::Monotone);
    }
    if !flush.blind && old.value != 0 && old.value == n.valid && flush.sequence != n.valid {
        n.breaks(Broken::RefusedPublished);
    }
}

/// Judges the moment at which a replica reports that all is well.
pub fn settled(n: &mut State, known: &Known) {
    let in_sight = known.object == n.object
        && known.round.claim == Seen::Live(n.claim)
        && known.round.secret == Seen::Live(n.secret)
        && known.hint == n.valid;
    let quiet =
        n.messages().next().is_none() && n.replicas.iter().all(|r| r.phase == Phase::Deciding);
    if in_sight && quiet && n.secret.is_none_or(|secret| secret.value != n.valid) {
        n.breaks(Broken::Truth);
    }
}

/// The Secret holds the value that ZITADEL accepts, nothing is under way, and every replica says so.
fn good(world: &World, state: &State) -> bool {
    let idle = state.messages().next().is_none()
        && state.replicas.iter().all(|r| r.phase == Phase::Deciding);
    let stored = state.secret.is_some_and(|secret| {
        secret.value == state.valid && secret.sequence != 0 && secret.owner == state.object.uid
    });
    idle && stored
        && state.object.exists
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

/// 64 well-mixed bits for a state.
#[derive(Default)]
struct Wide(u64, u64);

impl Hasher for Wide {
    fn finish(&self) -> u64 {
        let folded = u128::from(self.0 ^ 0x9e37_79b9_7f4a_7c15)
            * u128::from(self.1 ^ 0xd6e8_feb8_6659_fd93 | 1);
        (folded as u64) ^ ((folded >> 64) as u64)
    }

    fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            self.write_u8(*byte);
        }
    }

    fn write_u8(&mut self, byte: u8) {
        self.write_u64(byte.into());
    }

    fn write_u64(&mut self, word: u64) {
        self.0 = (self.0.rotate_left(5) ^ word).wrapping_mul(0x517c_c1b7_2722_0a95);
        self.1 = (self.1.rotate_left(23) ^ word ^ self.0 >> 32).wrapping_mul(0xff51_afd7_ed55_8ccd);
    }

    fn write_isize(&mut self, word: isize) {
        self.write_u64(word.cast_unsigned() as u64);
    }

    fn write_usize(&mut self, word: usize) {
        self.write_u64(word as u64);
    }
}

/// Explores every reachable state, then walks back from the good ones along the transitions that need no fault.
pub fn explore(world: &World, most: usize) -> Outcome {
    let begun = Instant::now();
    let mut index: HashMap<u64, u32, BuildHasherDefault<Fast>> = HashMap::default();
    let mut queue: VecDeque<(u32, State)> = VecDeque::new();
    // Who found it first, and by which action; for the path to a violation.
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

/// The states along a path, for a person to read.
pub fn tell(world: &World, path: &[Action]) {
    let mut state = world.start();
    for action in path {
        match action {
            Action::Step(i, how) => {
                println!("    {action:?} {:?}", world.decision(&state, *i, *how));
            }
            _ => println!("    {action:?}"),
        }
        if let Some(next) = world.next_state(&state, *action) {
            state = next;
        }
    }
    println!("    {state:?}");
}
