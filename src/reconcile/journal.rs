//! An application's journal: how far back a decision needs it, and what was seen in it. No I/O.

use std::collections::{BTreeMap, BTreeSet};

use jiff::Timestamp;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;

use crate::api::{ForeignSecret, seconds};
use crate::connection::Connection;
use crate::ids::{ApiVersion, AppId, Sequence};
use crate::reconcile::context::Context;
use crate::reconcile::observe::Reconciliation;
use crate::report::failure;
use crate::rotation::{
    Attempt, Claim, ClaimView, Entry, Facts, Journal, JournalEvent, Loss, Observed, SecretState,
    Slot,
};
use crate::zitadel::{AppRef, Change, ChangeKind, ErrorClass, JournalDepth, ZitadelError};

/// How far back the journal of an application has to be read for what is known now.
///
/// * The breaker counts in its long period.
/// * A stored value is compared with what is newer, and that its own event is there explains a refusal away.
/// * Of an open attempt it is asked what came after it, and whether what was there before it still is.
/// * Before a claimed attempt is sent, only whether there is a newer secret, and there is little time for that.
pub fn needed(facts: &Facts, slot: Slot) -> JournalDepth {
    let claim = facts.of(slot).claim.known();
    let attempt = claim
        .and_then(ClaimView::readable)
        .and_then(Claim::live_attempt);
    // NB: what was written itself is not read yet when it is checked for the last time.
    let is_claimed = facts.memory.claimed.as_ref().is_some_and(|claimed| {
        let stands = claim.is_none() || attempt.is_some_and(|open| open.id == claimed.attempt);
        claimed.slot == slot && stands
    });
    if is_claimed {
        return JournalDepth::NEWEST;
    }
    let counted = facts.now.time.checked_sub(facts.timing.breaker_long);
    let counted = counted.unwrap_or_default();
    since(recorded(facts, slot), open(facts, slot), counted)
}

/// What the Secret records for an application.
fn recorded(facts: &Facts, slot: Slot) -> Option<&Entry> {
    match facts.secret.known()? {
        SecretState::Present(secret) => secret.entry(slot),
        SecretState::Absent => None,
    }
}

/// The attempt of an application that the Secret does not carry.
fn open(facts: &Facts, slot: Slot) -> Option<&Attempt> {
    let attempt = facts.of(slot).known_claim()?.live_attempt()?;
    let carried = recorded(facts, slot).and_then(|entry| entry.attempt);
    (carried != Some(attempt.id)).then_some(attempt)
}

/// The version of ZITADEL's API that is asked for the journal: an open attempt is finished over the one that it was begun over.
pub fn kept_by(facts: &Facts, slot: Slot) -> ApiVersion {
    let begun_over = open(facts, slot).map(|attempt| attempt.api);
    begun_over.map_or(facts.api, |api| api.min(facts.api))
}

/// Back to what is recorded of the stored value, to what an open attempt found, and to where the breaker's count begins.
fn since(stored: Option<&Entry>, open: Option<&Attempt>, counted: Timestamp) -> JournalDepth {
    let recorded = stored.map(|entry| entry.sequence);
    // An attempt that found no secret at all, or could not read the journal, needs the whole journal.
    let before = open.map(|open| open.pre_sequence.or(recorded).unwrap_or(Sequence(0)));
    JournalDepth {
        sequence: recorded.into_iter().chain(before).min(),
        time: stored.map_or(counted, |entry| entry.change_date.min(counted)),
    }
}

/// What the answer to the reading of a journal shows.
pub fn seen(
    context: &Context,
    connection: &Connection,
    result: Result<Vec<Change>, ZitadelError>,
) -> Observed<Journal> {
    let readable = match &result {
        Ok(_) => Some(true),
        Err(error) => error.is_permanent().then_some(false),
    };
    if readable.is_some_and(|readable| connection.shared.saw_journal(readable)) {
        context.wake_connection(&connection.name);
    }
    let event = |change: Change| JournalEvent {
        sequence: change.sequence,
        time: change.change_date,
        own: connection.made(&change),
    };
    match result {
        Ok(changes) => {
            let secrets = |change: &Change| change.kind == ChangeKind::SecretChanged;
            Observed::Live(Journal(
                changes.into_iter().filter(secrets).map(event).collect(),
            ))
        }
        Err(error) => {
            let mut failure = failure::zitadel(&error);
            // One without end stays so, and is as good as one that may not be read: only a probe of the value can decide.
            failure.permanent |= error.class() == ErrorClass::TooLarge;
            // NB: while v1 is in use, the connection's check decides whether it is gone for good.
            failure.permanent |= error.class() == ErrorClass::NotServed
                && connection.zitadel.api() == ApiVersion::V2;
            Observed::Failed(failure)
        }
    }
}

/// Takes note of whether the change list of an application may be read. A failure that passes says nothing of that.
pub fn note_denial(
    denied: &mut BTreeSet<AppId>,
    app: &AppId,
    result: &Result<Vec<Change>, ZitadelError>,
) {
    use ErrorClass::{NotAMember, PermissionDenied};
    match result {
        Ok(_) => {
            denied.remove(app);
        }
        Err(error) if matches!(error.class(), PermissionDenied | NotAMember) => {
            denied.insert(app.clone());
        }
        Err(_) => {}
    }
}

impl Reconciliation {
    /// Forgets journals that were not read far enough for what is known by now: the Secret or the claim was found to be another one.
    pub(crate) fn forget_what_is_too_short(&self, facts: &mut Facts) {
        for slot in facts.slots() {
            let read = self.read_since.get(&self.application(*slot).app.app);
            let enough = read.is_some_and(|read| read.covers(needed(facts, *slot)));
            let journal = &mut facts.of_mut(*slot).journal;
            if matches!(journal, Observed::Live(_)) && !enough {
                *journal = Observed::Unread;
            }
        }
    }

    /// Takes note of a rotation whose answer was lost, so that it is no news at the next scan of the project.
    pub(crate) fn take_loss(&self, facts: &Facts) {
        let (Some(Loss::Event(sequence)), Ok(connection)) = (facts.memory.lost, &self.connection)
        else {
            return;
        };
        let in_journal = |slot: &&Slot| match &facts.of(**slot).journal {
            Observed::Live(journal) => journal.0.iter().any(|event| event.sequence == sequence),
            _ => false,
        };
        if let Some(slot) = facts.slots().iter().find(in_journal) {
            connection.rotated(&self.application(*slot).app, sequence);
        }
    }

    fn is_own(&self, change: &Change) -> bool {
        let connection = self.connection.as_ref();
        connection.is_ok_and(|connection| connection.made(change))
    }

    /// Takes note of the newest secret: a first issue may replace one that is in use, another actor's or that of a former object.
    pub(crate) fn take_foreign(
        &mut self,
        app: &AppRef,
        result: &Result<Vec<Change>, ZitadelError>,
    ) {
        let of = |kind| {
            let changes = result.iter().flatten();
            let changes = changes.filter(move |change| change.kind == kind);
            changes.max_by_key(|change| change.sequence)
        };
        let foreign = match of(ChangeKind::SecretChanged) {
            Some(newest) => Some((newest, None)),
            // NB: no one has that of an application which the operator created.
            None => of(ChangeKind::Created)
                .filter(|created| !self.is_own(created))
                .map(|created| (created, Some(true))),
        };
        match foreign {
            Some((change, with_app)) => self.foreign.insert(
                app.app.clone(),
                ForeignSecret {
                    user_id: change.editor.as_ref().map(ToString::to_string),
                    time: Time(seconds(change.change_date)),
                    with_app,
                    unknown: BTreeMap::new(),
                },
            ),
            None => self.foreign.remove(&app.app),
        };
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::AttemptId;
    use crate::rotation::{AttemptState, Cause, Holder, UnknownFields};

    fn at(hour: i64) -> Timestamp {
        Timestamp::from_second(1_800_000_000 + hour * 3600).unwrap()
    }

    fn stored(sequence: u64, hour: i64) -> Entry {
        Entry {
            attempt: None,
            sequence: Sequence(sequence),
            change_date: at(hour),
        }
    }

    fn open(pre_sequence: Option<u64>) -> Attempt {
        Attempt {
            id: AttemptId(uuid::Uuid::nil()),
            pre_sequence: pre_sequence.map(Sequence),
            api: crate::ids::ApiVersion::V1,
            cause: Cause::Due.into(),
            trigger: None,
            stored: None,
            holder: Holder {
                pod: String::new(),
                process: String::new(),
            },
            time: at(0),
            state: AttemptState::Open,
            unknown: UnknownFields::default(),
        }
    }

    #[test]
    fn a_journal_is_read_back_to_the_oldest_thing_that_is_asked_of_it() {
        let value = stored(7, -100);
        let rows = [
            (None, None, (None, 0)),
            (Some(&value), None, (Some(7), -100)),
            (Some(&value), Some(open(Some(9))), (Some(7), -100)),
            (Some(&value), Some(open(Some(5))), (Some(5), -100)),
            // It is asked for own events after the stored value.
            (Some(&value), Some(open(None)), (Some(7), -100)),
            (None, Some(open(Some(5))), (Some(5), 0)),
            (None, Some(open(None)), (Some(0), 0)),
        ];
        for (stored, open, (sequence, hour)) in rows {
            let wanted = JournalDepth {
                sequence: sequence.map(Sequence),
                time: at(hour),
            };
            assert_eq!(since(stored, open.as_ref(), at(0)), wanted, "{wanted:?}");
        }
        let fresh = since(Some(&stored(7, 1)), None, at(0));
        assert_eq!(fresh.time, at(0), "the breaker counts further back");
    }
}
