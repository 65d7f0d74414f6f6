//! The end of a wait as a time of day, for people. No I/O.

use jiff::{RoundMode, Timestamp, TimestampRound, Unit};

use crate::api::Reason;
use crate::rotation::facts::Facts;
use crate::rotation::step::Blocked;

/// When the operator acts next, if it waits for a time and not for a change: the end of the wait, on the clock that due times are judged
/// on. It stays the same for as long as the wait lasts.
pub fn next_try(blocked: &Blocked, facts: &Facts) -> Option<Timestamp> {
    // NB: the check of a connection is one for all of its objects, and has waits of its own.
    if blocked.connection.is_some() || facts.gates.connection.is_err() {
        return None;
    }
    let (memory, timing, now) = (&facts.memory, &facts.timing, facts.now);
    let waits = [&memory.backoff, &memory.rewrites, &memory.provision]
        .into_iter()
        .flatten();
    let backoff = waits
        .filter(|wait| wait.failure.reason == blocked.reason)
        .filter(|wait| wait.inputs == facts.object.inputs)
        .map(|wait| wait.until)
        .max();
    let opened = memory.open.iter().map(|(_, since)| *since).max();
    let ends = match blocked.reason {
        Reason::OutcomeUnknown => {
            let drift = memory.drift.map(|(_, since)| since);
            opened.max(drift).map(|since| since + timing.quiet)
        }
        Reason::AttemptOpen => {
            let watched = memory.watched.iter().map(|watched| watched.since);
            watched.max().map(|since| since + timing.takeover)
        }
        Reason::ClaimUnreadable => {
            let damaged = memory.unreadable.as_ref();
            damaged.map(|(_, since)| *since + timing.quiet)
        }
        Reason::SecretMissing => memory.missing.map(|since| since + timing.missing),
        Reason::LostAttempt => {
            let claim = facts.of(facts.active()).known_claim();
            let pause = claim.map(|claim| timing.lost_pause(claim.repairs.lost(now.time, timing)));
            opened.zip(pause).map(|(since, pause)| since + pause)
        }
        _ => None,
    };
    let end = backoff.max(ends).filter(|end| *end > now.boot)?;
    to_the_second(
        now.time
            .checked_add(end.saturating_sub(now.boot))
            .unwrap_or(now.time),
    )
}

/// NB: rounded up, so that the time that is reported is never too early.
fn to_the_second(time: Timestamp) -> Option<Timestamp> {
    let whole = TimestampRound::new()
        .smallest(Unit::Second)
        .mode(RoundMode::Ceil);
    time.round(whole).ok()
}
