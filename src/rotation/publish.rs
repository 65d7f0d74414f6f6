//! From ZITADEL's answer to the write of the Secret, as a state machine: prove, keep as a candidate, write, or drop. The shell
//! asks what it is to ask, and records what came back. No I/O, no clock.

use std::time::Duration;

use crate::rotation::timing::Timing;
use crate::rotation::verdict::Verdict;

/// What is asked before a value is written.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Question {
    /// The application: the GET makes ZITADEL's projection catch up. Its answer decides nothing.
    App,
    /// Whether the new value is accepted.
    New,
    /// Whether the pair in the Secret is accepted.
    Stored,
}

/// The pair in the Secret, beside which a value was received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Beside {
    /// There is none.
    Nothing,
    /// One of the same application, which the new value replaces.
    Replaced,
    /// One of the other application, which the rotation does not touch.
    Standby,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Next {
    /// Ask this, and take no answer after that long for none.
    Ask(Question, Duration),
    /// Wait for that long.
    Wait(Duration),
    /// Write the value. It was accepted, or nothing better is known.
    Write {
        /// Whether it was accepted.
        accepted: bool,
    },
    /// Drop the value: it has no effect at ZITADEL, which accepts the stored one.
    Drop,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
enum Phase {
    Received,
    Candidate,
}

/// A received value on its way to the Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Publish {
    beside: Beside,
    phase: Phase,
    /// What is asked next; none: a pause comes first.
    ask: Option<Question>,
    new: Option<Verdict>,
    stored: Option<Verdict>,
    pause: Duration,
    answered: Duration,
    prove: Duration,
    lag: Duration,
}

impl Publish {
    const FIRST_PAUSE: Duration = Duration::from_millis(2);

    /// A value that was received at this time, since boot.
    pub fn received(answered: Duration, beside: Beside, timing: &Timing) -> Self {
        Self {
            beside,
            phase: Phase::Received,
            ask: Some(Question::App),
            new: None,
            stored: None,
            pause: Self::FIRST_PAUSE,
            answered,
            prove: timing.prove,
            lag: timing.lag,
        }
    }

    /// Whether the value is kept while the stored pair works.
    pub fn is_candidate(&self) -> bool {
        self.phase == Phase::Candidate
    }

    /// What came back for a question.
    pub fn record_answer(&mut self, question: Question, verdict: Verdict, now: Duration) {
        let half = now.saturating_sub(self.answered) >= self.prove / 2;
        self.ask = match question {
            Question::App => Some(Question::New),
            Question::New => {
                self.new = Some(verdict);
                // NB: most values are accepted within a fraction of a second: the stored one is asked about only if not.
                let asked = self.beside != Beside::Nothing
                    && (self.is_candidate()
                        || (half && self.stored.is_none_or(|stored| stored == Verdict::Unknown)));
                (asked && verdict != Verdict::Accepted).then_some(Question::Stored)
            }
            Question::Stored => {
                self.stored = Some(verdict);
                None
            }
        };
    }

    /// What to do next.
    pub fn next(&mut self, now: Duration) -> Next {
        if self.new == Some(Verdict::Accepted) {
            return Next::Write { accepted: true };
        }
        if self.stored == Some(Verdict::Rejected) && self.new.is_some() {
            return Next::Write { accepted: false };
        }
        match self.phase {
            Phase::Received => self.prove(now),
            Phase::Candidate => self.keep(now),
        }
    }

    /// One deadline over everything that is asked before the write.
    fn prove(&mut self, now: Duration) -> Next {
        let over = self.answered.saturating_add(self.prove);
        let left = over.saturating_sub(now);
        if left.is_zero() {
            let refused = self.new == Some(Verdict::Rejected);
            let kept = match self.beside {
                Beside::Nothing => false,
                Beside::Replaced => refused && self.stored == Some(Verdict::Accepted),
                Beside::Standby => true,
            };
            if !kept {
                return Next::Write { accepted: false };
            }
            self.phase = Phase::Candidate;
            self.pause = self.prove;
            self.ask = None;
            return self.keep(now);
        }
        if let Some(question) = self.ask {
            // Half of it: where one question hangs there is time for another.
            return Next::Ask(question, left.min(self.prove / 2));
        }
        self.ask = Some(Question::New);
        let pause = self.pause.min(left);
        self.pause = (self.pause * 2).min(self.prove / 5);
        Next::Wait(pause)
    }

    /// The stored pair works, so waiting costs nothing, and dropping early would cost a good value.
    fn keep(&mut self, now: Duration) -> Next {
        if let Some(question) = self.ask {
            return Next::Ask(question, self.prove);
        }
        let lagged = now.saturating_sub(self.answered) >= self.lag;
        if lagged && (self.new, self.stored) == (Some(Verdict::Rejected), Some(Verdict::Accepted)) {
            return Next::Drop;
        }
        self.ask = Some(Question::App);
        let pause = self.pause;
        self.pause = (self.pause * 2).min(self.prove * 4);
        // NB: the last question comes when the longest known lag is over, not up to 20 s later.
        let left = self.answered.saturating_add(self.lag).saturating_sub(now);
        Next::Wait(if left.is_zero() {
            pause
        } else {
            pause.min(left)
        })
    }
}

#[cfg(test)]
mod tests {
    use std::cell::RefCell;

    use super::*;

    const BOOT: Duration = Duration::from_hours(1);

    /// What became of a value, when, and how often the new value was asked about. `new` and `stored` say what a question at that time
    /// since the answer brings, and how long the answer takes.
    fn run(
        beside: Beside,
        new: impl Fn(Duration) -> (Verdict, Duration),
        stored: impl Fn(Duration) -> (Verdict, Duration),
    ) -> (Next, Duration, u32) {
        let mut machine = Publish::received(BOOT, beside, &Timing::default());
        let (mut now, mut asked) = (BOOT, 0);
        for _ in 0..1000 {
            match machine.next(now) {
                Next::Ask(question, within) => {
                    let (verdict, takes) = match question {
                        Question::App => (Verdict::Unknown, Duration::from_millis(5)),
                        Question::New => {
                            asked += 1;
                            new(now.saturating_sub(BOOT))
                        }
                        Question::Stored => stored(now.saturating_sub(BOOT)),
                    };
                    let (verdict, takes) = if takes > within {
                        (Verdict::Unknown, within)
                    } else {
                        (verdict, takes)
                    };
                    now += takes;
                    machine.record_answer(question, verdict, now);
                }
                Next::Wait(pause) => now += pause,
                end => return (end, now.saturating_sub(BOOT), asked),
            }
        }
        (Next::Wait(Duration::ZERO), now.saturating_sub(BOOT), asked)
    }

    const S: fn(u64) -> Duration = Duration::from_secs;
    const MS: Duration = Duration::from_millis(3);

    fn always(verdict: Verdict) -> impl Fn(Duration) -> (Verdict, Duration) {
        move |_| (verdict, MS)
    }

    fn from(at: Duration) -> impl Fn(Duration) -> (Verdict, Duration) {
        move |now| {
            let accepted = now >= at;
            (
                if accepted {
                    Verdict::Accepted
                } else {
                    Verdict::Rejected
                },
                MS,
            )
        }
    }

    fn until(at: Duration) -> impl Fn(Duration) -> (Verdict, Duration) {
        move |now| {
            let accepted = now < at;
            (
                if accepted {
                    Verdict::Accepted
                } else {
                    Verdict::Rejected
                },
                MS,
            )
        }
    }

    const ACCEPTED: Next = Next::Write { accepted: true };
    const UNPROVEN: Next = Next::Write { accepted: false };

    #[test]
    fn a_value_that_is_accepted_is_written_at_once() {
        let (end, at, asked) = run(
            Beside::Replaced,
            from(Duration::ZERO),
            always(Verdict::Rejected),
        );
        assert_eq!((end, asked), (ACCEPTED, 1));
        assert!(at < Duration::from_millis(10));
    }

    #[test]
    fn a_judge_that_learns_late_costs_no_good_value() {
        for lag in [1, 3, 8, 40, 74] {
            for beside in [Beside::Replaced, Beside::Standby] {
                let (end, at, asked) = run(beside, from(S(lag)), until(S(lag)));
                assert!(matches!(end, Next::Write { .. }), "{lag} {end:?}");
                assert!(at <= S(lag + 20), "{lag} {at:?}");
                assert!(asked < 30, "{asked}");
            }
        }
    }

    #[test]
    fn without_effect_is_said_only_after_the_longest_known_lag() {
        for beside in [Beside::Replaced, Beside::Standby] {
            let (end, at, _) = run(beside, always(Verdict::Rejected), always(Verdict::Accepted));
            assert_eq!(end, Next::Drop);
            assert!(at >= S(75) && at < S(76), "{at:?}");
        }
    }

    #[test]
    fn whatever_hangs_the_value_is_written_when_the_time_to_prove_it_is_over() {
        let hangs = |_| (Verdict::Accepted, S(60));
        let (end, at, _) = run(Beside::Replaced, hangs, hangs);
        assert_eq!((end, at), (UNPROVEN, S(5)));
        let (end, at, _) = run(Beside::Nothing, hangs, hangs);
        assert_eq!((end, at), (UNPROVEN, S(5)));
        let (end, at, _) = run(Beside::Replaced, always(Verdict::Rejected), hangs);
        assert_eq!(end, UNPROVEN);
        assert!(at <= S(5), "{at:?}");
    }

    #[test]
    fn where_neither_is_accepted_the_newest_is_written() {
        let (end, at, _) = run(
            Beside::Replaced,
            always(Verdict::Rejected),
            always(Verdict::Rejected),
        );
        assert_eq!(end, UNPROVEN);
        assert!(at <= S(5));
        let (end, at, _) = run(
            Beside::Replaced,
            always(Verdict::Unknown),
            always(Verdict::Unknown),
        );
        assert_eq!((end, at), (UNPROVEN, S(5)));
        // The stored one dies while the new one waits.
        let (end, at, _) = run(Beside::Replaced, always(Verdict::Rejected), until(S(12)));
        assert_eq!(end, UNPROVEN);
        assert!(at >= S(12) && at < S(35), "{at:?}");
    }

    #[test]
    fn beside_a_standby_nothing_unproven_replaces_a_pair_that_works() {
        for stored in [Verdict::Accepted, Verdict::Unknown] {
            let (end, _, _) = run(Beside::Standby, always(Verdict::Unknown), always(stored));
            assert!(matches!(end, Next::Wait(_)), "{stored:?} {end:?}");
        }
        let (end, _, _) = run(
            Beside::Standby,
            always(Verdict::Unknown),
            always(Verdict::Rejected),
        );
        assert_eq!(end, UNPROVEN);
        let (end, at, _) = run(
            Beside::Nothing,
            always(Verdict::Unknown),
            always(Verdict::Unknown),
        );
        assert_eq!((end, at), (UNPROVEN, S(5)));
    }

    /// When a question was asked, since the answer.
    fn noted<'a>(
        times: &'a RefCell<Vec<Duration>>,
        answers: impl Fn(Duration) -> (Verdict, Duration) + 'a,
    ) -> impl Fn(Duration) -> (Verdict, Duration) + 'a {
        move |now| {
            times.borrow_mut().push(now);
            answers(now)
        }
    }

    #[test]
    fn the_stored_value_is_asked_about_only_where_the_new_one_is_not_accepted_soon() {
        let asked = |beside, new: Verdict, accepted: Duration, stored: Verdict| {
            let times = RefCell::default();
            let judge = |now| {
                (
                    if now < accepted {
                        new
                    } else {
                        Verdict::Accepted
                    },
                    MS,
                )
            };
            run(beside, judge, noted(&times, always(stored)));
            let mut times = times.into_inner();
            times.retain(|at| *at < S(5));
            times
        };
        for beside in [Beside::Replaced, Beside::Standby] {
            let soon = asked(beside, Verdict::Rejected, S(2), Verdict::Accepted);
            assert!(soon.is_empty(), "{beside:?} {soon:?}");
            // Once it is known to work, that is enough until the time to prove the new one is over.
            let late = asked(beside, Verdict::Rejected, S(4), Verdict::Accepted);
            assert_eq!(late.len(), 1, "{beside:?} {late:?}");
            assert!(late[0] >= Duration::from_millis(2500), "{late:?}");
            // Without a verdict it is asked about again.
            let silent = asked(beside, Verdict::Rejected, S(8), Verdict::Unknown);
            assert!(silent.len() > 1, "{beside:?} {silent:?}");
        }
        let nothing = asked(Beside::Nothing, Verdict::Rejected, S(4), Verdict::Accepted);
        assert!(nothing.is_empty(), "there is none: {nothing:?}");
    }

    #[test]
    fn where_one_question_hangs_there_is_time_for_another() {
        let hangs_once = |now| {
            let hangs = now < S(1);
            (Verdict::Accepted, if hangs { S(60) } else { MS })
        };
        let (end, at, asked) = run(Beside::Replaced, hangs_once, always(Verdict::Accepted));
        assert_eq!((end, asked), (ACCEPTED, 2));
        assert!(at < S(3), "{at:?}");
    }

    #[test]
    fn while_a_value_is_proven_it_is_asked_about_every_second_at_least() {
        let times = RefCell::default();
        let judge = noted(&times, always(Verdict::Unknown));
        let (end, at, _) = run(Beside::Nothing, judge, always(Verdict::Unknown));
        assert_eq!((end, at), (UNPROVEN, S(5)));
        let times = times.into_inner();
        let apart = times.windows(2).map(|pair| pair[1].saturating_sub(pair[0]));
        let longest = apart.max().unwrap();
        assert!(longest <= S(1) + MS, "{longest:?}");
    }

    #[test]
    fn a_value_is_a_candidate_only_once_the_time_to_prove_it_is_over() {
        let mut machine = Publish::received(BOOT, Beside::Standby, &Timing::default());
        assert!(!machine.is_candidate());
        machine.next(BOOT + S(4));
        assert!(!machine.is_candidate());
        machine.next(BOOT + S(5));
        assert!(machine.is_candidate());
    }

    #[test]
    fn pauses_double_and_a_candidate_is_asked_ever_more_rarely() {
        let (_, _, asked) = run(
            Beside::Replaced,
            always(Verdict::Rejected),
            always(Verdict::Accepted),
        );
        assert!(asked <= 24, "{asked}");
    }
}
