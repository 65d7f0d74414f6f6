//! The pair before the stored one: how long it must live on, and what waits for that. No I/O.

use crate::rotation::facts::{Facts, Uptake};
use crate::rotation::schedule::DueState;

/// Whether the longest time is over for which consumers are waited for.
fn is_longest(facts: &Facts) -> bool {
    let latest = facts.object.overlap_latest;
    latest.is_some_and(|latest| latest <= facts.now.time)
}

/// Whether the previous pair is to be made useless, as far as time and consumers go.
pub(super) fn is_over(facts: &Facts) -> bool {
    let ends = facts.object.overlap_ends;
    match facts.object.consumers {
        Uptake::NotAwaited | Uptake::Current => ends.is_some_and(|ends| ends <= facts.now.time),
        Uptake::Behind | Uptake::Unseen => is_longest(facts),
    }
}

/// Where the schedule stands. What is due waits for consumers that hold the previous pair: its application is the one that is next.
pub(super) fn due(facts: &Facts) -> DueState {
    match facts.object.due {
        DueState::Due { since, .. }
            if facts.object.consumers == Uptake::Behind && !is_longest(facts) =>
        {
            DueState::AwaitingConsumers { since }
        }
        due => due,
    }
}
