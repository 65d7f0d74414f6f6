//! The pair before the stored one: how long it must live on, and what waits for that. No I/O.

use crate::rotation::facts::{Facts, Uptake};
use crate::rotation::schedule::DueState;

/// Whether a consumer may hold the previous pair, and is waited for.
fn awaits_consumers(facts: &Facts) -> bool {
    let object = &facts.object;
    let is_longest = |latest| latest <= facts.now.time;
    object.consumers == Uptake::Behind && !object.overlap_latest.is_some_and(is_longest)
}

/// Whether the previous pair is to be made useless, as far as time and consumers go.
pub(super) fn is_over(facts: &Facts) -> bool {
    let ends = facts.object.overlap_ends;
    ends.is_some_and(|ends| ends <= facts.now.time) && !awaits_consumers(facts)
}

/// Where the schedule stands. What is due waits for consumers that hold the previous pair: its application is the one that is next.
pub(super) fn due(facts: &Facts) -> DueState {
    match facts.object.due {
        DueState::Due { since, .. } if awaits_consumers(facts) => {
            DueState::AwaitingConsumers { since }
        }
        due => due,
    }
}
