//! Candidates in a simulated network: delays, lost requests and answers, pauses, clocks that run at different rates.

use std::time::Duration;

use proptest::prelude::*;

use super::election::{Election, Identity, LeaseTiming, Move, Record, Write};

const CANDIDATES: usize = 3;

/// What happens next in the world.
#[derive(Debug, Clone, Copy)]
enum Happening {
    /// Time passes.
    Pass(u64),
    /// A candidate makes its next move.
    Act(usize),
    /// A request reaches the server.
    Arrive(prop::sample::Index),
    /// An answer reaches the candidate.
    Answer(prop::sample::Index),
    /// A candidate stops waiting for an answer; its request may still arrive.
    GiveUp(usize),
    /// A candidate gives its Lease back.
    Release(usize),
    /// A candidate makes a move that is answered at once.
    RoundTrip(usize),
    /// A candidate's process ends and another one begins in the same pod. What was sent may still arrive.
    Restart(usize),
}

fn happening() -> impl Strategy<Value = Happening> {
    let who = 0..CANDIDATES;
    prop_oneof![
        4 => (1..6000_u64).prop_map(Happening::Pass),
        4 => who.clone().prop_map(Happening::Act),
        4 => any::<prop::sample::Index>().prop_map(Happening::Arrive),
        4 => any::<prop::sample::Index>().prop_map(Happening::Answer),
        1 => who.clone().prop_map(Happening::GiveUp),
        1 => who.clone().prop_map(Happening::Release),
        1 => who.clone().prop_map(Happening::Restart),
        6 => who.prop_map(Happening::RoundTrip),
    ]
}

#[derive(Debug, Clone)]
enum Answer {
    Read(Option<Record>),
    Written(Record),
    Conflict,
}

#[derive(Debug)]
struct Request {
    id: u64,
    from: usize,
    sent: Duration,
    /// What to write, on the condition that this version (none: nothing) stands.
    write: Option<(Record, Option<String>)>,
    answer: Option<Answer>,
}

struct Candidate {
    identity: Identity,
    election: Election,
    /// Permille of real time, and what the clock showed in the beginning.
    clock: (u64, u64),
    waits_for: Option<u64>,
    /// The version it read last.
    seen: Option<String>,
}

struct World {
    now: u64,
    count: u64,
    lease: Option<Record>,
    network: Vec<Request>,
    candidates: Vec<Candidate>,
    leaders: std::collections::BTreeSet<usize>,
}

impl World {
    fn new(clocks: [(u64, u64); CANDIDATES]) -> Self {
        let candidate = |(who, clock): (usize, (u64, u64))| {
            let identity = Identity {
                pod: format!("candidate-{who}"),
                process: "0".into(),
            };
            Candidate {
                election: Election::new(identity.clone(), LeaseTiming::default()),
                identity,
                clock,
                waits_for: None,
                seen: None,
            }
        };
        Self {
            now: 0,
            count: 0,
            lease: None,
            network: Vec::new(),
            candidates: clocks.into_iter().enumerate().map(candidate).collect(),
            leaders: std::collections::BTreeSet::new(),
        }
    }

    fn clock(&self, who: usize) -> Duration {
        let (rate, start) = self.candidates[who].clock;
        Duration::from_micros(start * 1000 + self.now * rate)
    }

    fn send(&mut self, from: usize, write: Option<Write>) {
        self.count += 1;
        let candidate = &mut self.candidates[from];
        let write = write.map(|write| {
            let record = Record {
                holder: if write == Write::Release {
                    String::new()
                } else {
                    candidate.identity.holder()
                },
                lease: Some(Duration::from_secs(15)),
                version: self.count.to_string(),
            };
            let condition = candidate.seen.clone().filter(|_| write != Write::Create);
            (record, condition)
        });
        candidate.waits_for = Some(self.count);
        let (id, sent) = (self.count, self.clock(from));
        self.network.push(Request {
            id,
            from,
            sent,
            write,
            answer: None,
        });
    }

    fn act(&mut self, who: usize) -> bool {
        if self.candidates[who].waits_for.is_some() {
            return false;
        }
        let now = self.clock(who);
        let election = &mut self.candidates[who].election;
        match election.next(now) {
            Move::StepDown => election.step_down(),
            Move::Wait => election.doubt(),
            Move::Read => self.send(who, None),
            Move::Write(write) => self.send(who, Some(write)),
        }
        self.candidates[who].waits_for.is_some()
    }

    fn arrive(&mut self, index: usize) {
        let request = &mut self.network[index];
        if request.answer.is_some() {
            return;
        }
        let standing = self.lease.as_ref().map(|lease| lease.version.clone());
        request.answer = Some(match &request.write {
            None => Answer::Read(self.lease.clone()),
            Some((record, condition)) if *condition == standing => {
                self.lease = Some(record.clone());
                Answer::Written(record.clone())
            }
            Some(_) => Answer::Conflict,
        });
    }

    fn answer(&mut self, index: usize) {
        if self.network[index].answer.is_none() {
            return;
        }
        let request = self.network.swap_remove(index);
        let now = self.clock(request.from);
        let candidate = &mut self.candidates[request.from];
        if candidate
            .waits_for
            .take_if(|id| *id == request.id)
            .is_none()
        {
            return;
        }
        match request.answer {
            Some(Answer::Read(record)) => {
                candidate.seen = record.as_ref().map(|record| record.version.clone());
                candidate.election.read(record, now);
            }
            Some(Answer::Written(record)) => {
                candidate.seen = Some(record.version.clone());
                candidate.election.written(record, request.sent);
            }
            Some(Answer::Conflict) | None => candidate.election.doubt(),
        }
    }

    fn happen(&mut self, happening: Happening) {
        let pending = self.network.len();
        match happening {
            Happening::Pass(millis) => self.now += millis,
            Happening::Act(who) => {
                self.act(who);
            }
            Happening::Arrive(index) if pending > 0 => self.arrive(index.index(pending)),
            Happening::Answer(index) if pending > 0 => self.answer(index.index(pending)),
            Happening::Arrive(_) | Happening::Answer(_) => {}
            Happening::GiveUp(who) => {
                if self.candidates[who].waits_for.take().is_some() {
                    self.candidates[who].election.doubt();
                }
            }
            Happening::Release(who) => {
                let candidate = &mut self.candidates[who];
                if candidate.waits_for.is_none() && candidate.election.holds() {
                    candidate.election.step_down();
                    self.send(who, Some(Write::Release));
                    self.candidates[who].waits_for = None;
                }
            }
            Happening::Restart(who) => {
                self.count += 1;
                let process = self.count.to_string();
                let candidate = &mut self.candidates[who];
                candidate.identity.process = process;
                candidate.election =
                    Election::new(candidate.identity.clone(), LeaseTiming::default());
                candidate.waits_for = None;
                candidate.seen = None;
            }
            Happening::RoundTrip(who) => {
                if self.act(who) {
                    self.arrive(pending);
                    self.answer(pending);
                }
            }
        }
    }

    fn leading(&mut self) -> Vec<usize> {
        let leads = |who: &usize| self.candidates[*who].election.leads(self.clock(*who));
        let leading: Vec<usize> = (0..CANDIDATES).filter(leads).collect();
        self.leaders.extend(&leading);
        leading
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(256))]

    #[test]
    fn at_most_one_candidate_leads_at_any_time(
        // NB: up to ±10 % apart; real clocks differ by 0.1 ‰.
        clocks in prop::array::uniform3((900..1100_u64, 0..1_000_000_u64)),
        happenings in prop::collection::vec(happening(), 1..400),
    ) {
        let mut world = World::new(clocks);
        for happening in happenings {
            world.happen(happening);
            let leading = world.leading();
            prop_assert!(leading.len() <= 1, "{leading:?} lead at {} ms after {happening:?}", world.now);
        }
    }
}

#[test]
fn leadership_goes_to_another_when_its_holder_stops_and_not_before_its_time() {
    let mut world = World::new([(1000, 5), (1000, 900_000), (1000, 0)]);
    for _ in 0..3 {
        world.happen(Happening::RoundTrip(0));
        world.happen(Happening::RoundTrip(1));
    }
    assert_eq!(world.leading(), [0]);
    let mut taken = None;
    while taken.is_none() && world.now < 60_000 {
        world.happen(Happening::Pass(500));
        for _ in 0..3 {
            world.happen(Happening::RoundTrip(1));
        }
        taken = (world.leading() == [1]).then_some(world.now);
    }
    assert_eq!(taken, Some(15_000));
    world.happen(Happening::RoundTrip(0));
    assert_eq!(world.leading(), [1]);
}

#[test]
fn a_process_that_begins_in_the_pod_of_the_leader_leads_at_once() {
    let mut world = World::new([(1000, 5), (1000, 900_000), (1000, 0)]);
    for _ in 0..3 {
        world.happen(Happening::RoundTrip(0));
        world.happen(Happening::RoundTrip(1));
    }
    assert_eq!(world.leading(), [0]);
    world.happen(Happening::Restart(0));
    assert!(world.leading().is_empty());
    world.happen(Happening::RoundTrip(1));
    assert!(world.leading().is_empty());
    world.happen(Happening::RoundTrip(0));
    world.happen(Happening::RoundTrip(0));
    assert_eq!(world.leading(), [0]);
}
