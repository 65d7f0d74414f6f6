//! The status of an object from what a reconciliation came to. No I/O.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};

use crate::api::{
    AppSecretStatus, Condition, ConditionType, HistoryEntry, LastRotation, OpenAttempt, Outcome,
    PreviousPair, Reason, Status, seconds,
};
use crate::ids::Sequence;
use crate::reconcile::app_state::Flushed;
use crate::reconcile::observe::{Reconciliation, previous};
use crate::report::message::{Scene, first_in, journal_denied, message};
use crate::rotation::{
    self, Awaits, Blocked, Cause, Claim, Entry, Facts, Observed, Report, SecretState, Slot, Uptake,
    Value, Verdict, Verified,
};

/// The status that follows from a reconciliation.
pub fn status(
    reconciliation: &Reconciliation,
    facts: &Facts,
    report: &Report,
    flushed: &[Flushed],
    now: Timestamp,
) -> AppSecretStatus {
    let target = &reconciliation.target;
    let mut status = reconciliation.status.clone();
    status.observed_generation = target.generation;
    status.schedule = Some(target.schedule.describe());
    // NB: as long as a value has not moved to its new name, whatever is there is another actor's.
    let view = match facts.secret.known() {
        Some(SecretState::Present(view)) if facts.former.is_none() => Some(view),
        _ => None,
    };
    let kept = view.filter(|view| view.owned && matches!(view.commit, Ok(Some(_))));
    match (&facts.former, kept) {
        (Some(former), _) => status.secret_name = Some(former.name.clone()),
        (None, Some(_)) => status.secret_name = Some(target.secret.name.clone()),
        (None, None) if facts.gates.connection.is_ok() && facts.secret.known().is_some() => {
            status.secret_name = None;
        }
        (None, None) => {}
    }
    if facts.gates.connection.is_ok() {
        let standby = reconciliation.standby.as_ref();
        status.standby_app_id = standby.map(|standby| standby.app.app.to_string());
    }
    let claim_of = |slot| {
        // NB: which application's claim this is may be the word of the Secret. What another object's says is none of this one's business.
        let claim = facts.of(slot).known_claim();
        claim.filter(|claim| claim.owner.is_named_as(&target.owner))
    };
    let claim = claim_of(facts.active());
    let entry = view.and_then(|view| view.commit.as_ref().ok()?.as_ref());
    let carried = entry.and_then(|entry| entry.attempt);
    let mine = flushed
        .iter()
        .find(|flushed| Some(flushed.attempt) == carried);
    let (last, earlier) = flushed.split_last().unzip();
    let earlier = earlier.into_iter().flatten();
    for gone in earlier.filter(|flushed| Some(flushed.attempt) != carried) {
        remember_gone(&mut status, reconciliation, gone);
    }
    if let Some(entry) = entry {
        stored(&mut status, reconciliation, facts, entry, last);
        status.secret_resource_version = view.map(|view| view.version.revision.clone());
        let attempted = claim.and_then(|claim| claim.attempt.as_ref());
        let claimed = attempted.filter(|attempt| Some(attempt.id) == entry.attempt);
        let cause = mine
            .map(|flushed| flushed.cause)
            .or(claimed.and_then(|attempt| attempt.cause.known()));
        remember(&mut status, reconciliation, entry, cause, mine);
    }
    if let Some(last) = last.filter(|last| is_unwritten(last.outcome)) {
        remember_gone(&mut status, reconciliation, last);
    }
    status.history.truncate(AppSecretStatus::HISTORY);
    let open = |slot: &Slot| {
        let attempt = claim_of(*slot).and_then(Claim::live_attempt)?;
        let carried = view.and_then(|view| view.entry(*slot)?.attempt);
        (Some(attempt.id) != carried).then_some(attempt)
    };
    // The idle application is the one that is worked on.
    let active = facts.active();
    let open = [facts.idle(), Some(active)].iter().flatten().find_map(open);
    status.attempt = open.map(|attempt| {
        let writing = facts.memory.holding == Some(attempt.id);
        OpenAttempt {
            id: attempt.id.to_string(),
            phase: if writing { "Writing" } else { "Open" }.to_owned(),
            reason: attempt.cause.as_str().to_owned(),
            started_at: Some(Time(attempt.time)),
        }
    });
    if let Some(claim) = claim {
        status.observed_trigger = claim.handled(carried).map(ToOwned::to_owned);
    }
    let next = facts.object.due.next_rotation();
    status.next_rotation_time = next.map(|time| Time(seconds(time)));
    conditions(&mut status, reconciliation, facts, report, now);
    verified(&mut status, reconciliation, facts, mine.is_some(), now);
    status
}

/// What the Secret holds.
fn stored(
    status: &mut AppSecretStatus,
    reconciliation: &Reconciliation,
    facts: &Facts,
    entry: &Entry,
    flushed: Option<&Flushed>,
) {
    let active = facts.active();
    let application = reconciliation.application(active);
    status.active_app_id = Some(application.app.app.to_string());
    status.previous = previous(facts).and_then(|_| {
        let idle = reconciliation.application(active.other());
        Some(PreviousPair {
            app_id: idle.app.app.to_string(),
            client_id: idle.client_id.clone()?,
            ends: match facts.object.consumers {
                Uptake::NotAwaited | Uptake::Current => facts.object.overlap_ends,
                Uptake::Behind | Uptake::Unseen => facts.object.overlap_latest,
            }
            .map(|ends| Time(seconds(ends))),
        })
    });
    status.sequence = number(entry.sequence);
    status.change_date = Some(MicroTime(entry.change_date));
    if let Some(id) = &application.client_id {
        status.client_id = Some(id.clone());
    }
    let owner = flushed.and_then(|flushed| flushed.resource_owner.clone());
    if let Some(owner) = owner.or_else(|| reconciliation.resource_owner.clone()) {
        status.resource_owner = Some(owner);
    }
}

/// Takes the stored value into the history, unless it is there.
fn remember(
    status: &mut AppSecretStatus,
    reconciliation: &Reconciliation,
    entry: &Entry,
    cause: Option<Cause>,
    mine: Option<&Flushed>,
) {
    let attempt = entry
        .attempt
        .map(|attempt| attempt.to_string())
        .unwrap_or_default();
    let time = Time(seconds(entry.change_date));
    let known = |last: &LastRotation| last.attempt == attempt && last.time == time;
    if status.last_rotation.as_ref().is_some_and(known) {
        if mine.is_none() {
            return;
        }
        // Another replica saw the Secret before this one had reported the rotation: it could only suppose its cause.
        let sequence = number(entry.sequence);
        status
            .history
            .retain(|past| past.time != time || past.sequence != sequence);
    }
    let (reason, outcome) = match (entry.attempt, cause) {
        (None, _) => ("Adopted", Outcome::Adopted),
        (Some(_), cause) => {
            let outcome = mine.map_or(Outcome::Published, |flushed| flushed.outcome);
            (cause.map_or("Unknown", Cause::as_str), outcome)
        }
    };
    let dark_window = mine.map(|flushed| milliseconds(flushed.proving + flushed.writing));
    status.last_rotation = Some(LastRotation {
        time: time.clone(),
        reason: reason.to_owned(),
        attempt,
        dark_window_milliseconds: dark_window,
    });
    let past = HistoryEntry {
        time,
        reason: reason.to_owned(),
        sequence: number(entry.sequence),
        change_date: Some(MicroTime(entry.change_date)),
        outcome: outcome.as_str().to_owned(),
        app_id: reconciliation
            .standby
            .as_ref()
            .and(status.active_app_id.clone()),
        replaced: mine.and_then(|flushed| flushed.replaced.clone()),
        dark_window_milliseconds: dark_window,
        unknown: BTreeMap::new(),
    };
    status.history.insert(0, past);
}

/// ZITADEL's number, if the API has numbers.
fn number(sequence: Sequence) -> Option<String> {
    sequence.number().map(|number| number.to_string())
}

/// Whether a rotation ended without its value in the Secret.
const fn is_unwritten(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::WithoutEffect | Outcome::Superseded | Outcome::Retired
    )
}

/// Takes a rotation into the history whose value is not in the Secret: it was not written, or the next rotation's already stands there.
fn remember_gone(status: &mut AppSecretStatus, reconciliation: &Reconciliation, flushed: &Flushed) {
    let sequence = number(flushed.sequence);
    let change_date = Some(MicroTime(flushed.change_date));
    let same = |past: &HistoryEntry| past.sequence == sequence && past.change_date == change_date;
    if status.history.iter().any(same) {
        return;
    }
    let written = !is_unwritten(flushed.outcome);
    let past = HistoryEntry {
        time: Time(seconds(flushed.change_date)),
        reason: flushed.cause.as_str().to_owned(),
        sequence,
        change_date,
        outcome: flushed.outcome.as_str().to_owned(),
        app_id: reconciliation
            .standby
            .as_ref()
            .map(|_| flushed.app.to_string()),
        replaced: flushed.replaced.clone().filter(|_| written),
        dark_window_milliseconds: written.then(|| milliseconds(flushed.proving + flushed.writing)),
        unknown: BTreeMap::new(),
    };
    status.history.insert(0, past);
}

/// What is said where all is well.
fn settled(
    awaits: Awaits,
    overdue: bool,
    next: Option<Timestamp>,
    secret: &str,
) -> (Reason, String) {
    let at = next.map(|next| seconds(next).to_string());
    let at = at.unwrap_or_default();
    match (awaits, overdue) {
        (Awaits::Nothing, _) => {
            let text = format!("Secret {secret} holds the newest client secret");
            (Reason::UpToDate, text)
        }
        (Awaits::Window, true) => {
            let text = format!("Rotation is overdue; the next window opens at {at}");
            (Reason::Overdue, text)
        }
        (Awaits::Window, false) => {
            let text = format!("Rotation is due and waits for the window at {at}");
            (Reason::AwaitingWindow, text)
        }
        (Awaits::Consumers, _) => {
            let text = "Rotation is due and waits until every consumer has the client secret of the last one; status.consumers names those that do not".to_owned();
            (Reason::AwaitingConsumers, text)
        }
        (Awaits::CatchUp, _) => {
            let text = format!(
                "Rotation became due while the operator was away, like many others; it starts at {at}"
            );
            (Reason::CatchingUp, text)
        }
    }
}

/// When ZITADEL last accepted the stored value, where it cannot be asked now and that verdict stands.
fn accepted(status: &AppSecretStatus, facts: &Facts, report: &Report) -> Option<Timestamp> {
    let (Report::Usable { blocked, .. }
    | Report::Working { blocked, .. }
    | Report::Stalled { blocked, .. }) = report
    else {
        return None;
    };
    let is_away = facts.gates.connection.is_err() || blocked.reason.is_zitadel_away();
    let stands = matches!(
        rotation::verified(facts, &facts.memory),
        Verified::Accepted | Verified::AsBefore
    );
    let before = status.conditions.get(ConditionType::Verified)?;
    let accepted = before.reason == Reason::Accepted.as_str();
    (is_away && stands && accepted)
        .then(|| first_in(&before.message))
        .flatten()
}

/// Ready, Reconciling and Stalled, as kstatus reads them.
fn conditions(
    status: &mut AppSecretStatus,
    reconciliation: &Reconciliation,
    facts: &Facts,
    report: &Report,
    now: Timestamp,
) {
    use ConditionType::{Ready, Reconciling, Stalled};
    let generation = reconciliation.target.generation;
    let (handled, attempt) = (status.observed_trigger.clone(), status.attempt.clone());
    let reading = reconciliation.reading.as_ref();
    let scene = Scene {
        stalled: matches!(report, Report::Stalled { .. }),
        idle: facts
            .idle()
            .map(|slot| &reconciliation.application(slot).app.app),
        former: facts.former.as_ref().map(|former| former.name.as_str()),
        keys: reading.map(|reading| reading.keys.as_slice()),
        found_type: reading.and_then(|reading| reading.type_.as_deref()),
        writer: reading.and_then(|reading| reading.writer.as_ref()),
        not_ready: reconciliation.not_ready,
        handled: handled.as_deref(),
        attempt: attempt.as_ref(),
        held: facts.memory.holding.is_some() || facts.memory.candidate,
        candidate: facts.memory.candidate,
        accepted: accepted(status, facts, report),
        ..Scene::new(&reconciliation.target, &facts.timing)
    };
    let denied = reconciliation.state.lock().denied.first().cloned();
    let denied = denied.map(|app| journal_denied(&reconciliation.target, &app));
    let message = |blocked: &Blocked| match &denied {
        Some(text) if blocked.reason == Reason::JournalUnavailable => text.clone(),
        _ => {
            let next = rotation::next_try(blocked, facts);
            message(blocked, &Scene { next, ..scene })
        }
    };
    let conditions = &mut status.conditions;
    let set =
        |conditions: &mut crate::api::Conditions, type_, holds: bool, reason, message: &str| {
            conditions.set(type_, holds.into(), reason, message, generation, now);
        };
    match report {
        Report::Settled {
            awaits,
            overdue,
            next,
        } => {
            let (reason, mut message) =
                settled(*awaits, *overdue, *next, &reconciliation.target.secret.name);
            if let Some(denied) = &denied {
                message.push_str(". ");
                message.push_str(denied);
            }
            set(conditions, Ready, true, reason, &message);
            conditions.remove(Reconciling);
            conditions.remove(Stalled);
        }
        Report::Usable { blocked, .. } => {
            let text = message(blocked);
            set(conditions, Ready, true, blocked.reason, &text);
            set(conditions, Reconciling, true, blocked.reason, &text);
            conditions.remove(Stalled);
        }
        Report::Working { blocked, .. } => {
            let text = message(blocked);
            // Where the Secret can't be seen, what was known of it stands.
            let unknown = rotation::verified(facts, &facts.memory) == Verified::AsBefore;
            if unknown && conditions.get(Ready).is_some() {
                let was = conditions
                    .get(Ready)
                    .map_or(Status::Unknown, |ready| ready.status);
                conditions.set(Ready, was, blocked.reason, &text, generation, now);
            } else {
                set(conditions, Ready, false, blocked.reason, &text);
            }
            set(conditions, Reconciling, true, blocked.reason, &text);
            conditions.remove(Stalled);
        }
        Report::Stalled { blocked, .. } => {
            let text = message(blocked);
            let usable = rotation::is_usable_beside(blocked.reason, facts, &facts.memory);
            set(conditions, Ready, usable, blocked.reason, &text);
            set(conditions, Stalled, true, blocked.reason, &text);
            conditions.remove(Reconciling);
        }
        Report::Quiet(reason) => {
            let was = conditions
                .get(Ready)
                .map_or(Status::Unknown, |ready| ready.status);
            let was = match rotation::verified(facts, &facts.memory) {
                Verified::Rejected | Verified::Doubted | Verified::Gone if was == Status::True => {
                    Status::False
                }
                _ => was,
            };
            let text = message(&(*reason).into());
            conditions.set(Ready, was, *reason, text, generation, now);
            conditions.remove(Reconciling);
            conditions.remove(Stalled);
        }
        // NB: of an object that is not the stored one nothing is reported.
        Report::Outdated { .. } => {}
    }
}

/// Verified: the verdict of the last question about exactly these bytes. Ready follows from the same notion, [`rotation::verified`].
fn verified(
    status: &mut AppSecretStatus,
    reconciliation: &Reconciliation,
    facts: &Facts,
    is_new: bool,
    now: Timestamp,
) {
    let known = facts.secret.known();
    let unseen = matches!(known, Some(SecretState::Present(view)) if view.value == Value::Unseen);
    let before = status.conditions.get(ConditionType::Verified);
    let gone = before.is_some_and(|verified| verified.reason == Reason::SecretMissing.as_str());
    let name = facts.former.as_ref().map(|former| former.name.as_str());
    let name = name.unwrap_or(reconciliation.target.secret.name.as_str());
    let (holds, reason, message) = match rotation::verified(facts, &facts.memory) {
        Verified::AsBefore => return,
        // That the value is gone was seen when it was read; the watch does not show values.
        Verified::Nothing if gone && unseen => return,
        Verified::Gone if status.last_rotation.is_some() => (
            Status::False,
            Reason::SecretMissing,
            format!("The client secret in Secret {name} is gone"),
        ),
        Verified::Gone | Verified::Nothing => {
            status.conditions.remove(ConditionType::Verified);
            return;
        }
        Verified::Rejected => (
            Status::False,
            Reason::Refused,
            format!("ZITADEL rejects the client secret in Secret {name}"),
        ),
        Verified::Accepted => (
            Status::True,
            Reason::Accepted,
            match asked(reconciliation, facts, before, is_new, now) {
                Some(time) => {
                    format!("ZITADEL accepts the client secret in Secret {name}; asked at {time}")
                }
                None => format!("ZITADEL accepts the client secret in Secret {name}"),
            },
        ),
        Verified::Unasked | Verified::Doubted => (
            Status::Unknown,
            Reason::NoVerdict,
            format!(
                "It is not known yet whether ZITADEL accepts the client secret in Secret {name}"
            ),
        ),
    };
    status.conditions.set(
        ConditionType::Verified,
        holds,
        reason,
        message,
        reconciliation.target.generation,
        now,
    );
}

/// When ZITADEL was asked about a value that it accepts. Asked again within a minute, the former time stands: it is true as well.
fn asked(
    reconciliation: &Reconciliation,
    facts: &Facts,
    before: Option<&Condition>,
    is_new: bool,
    now: Timestamp,
) -> Option<Timestamp> {
    const FINE: SignedDuration = SignedDuration::from_mins(1);
    let before = before.filter(|before| before.reason == Reason::Accepted.as_str());
    let before = before.and_then(|before| first_in(&before.message));
    let is_asked = matches!(facts.probe, Observed::Live(Verdict::Accepted));
    let revision = match facts.secret.known() {
        Some(SecretState::Present(view)) => Some(&view.version.revision),
        _ => None,
    };
    let is_same = revision == reconciliation.status.secret_resource_version.as_ref();
    match before {
        Some(time) if !is_new && !is_asked => Some(time),
        Some(time) if !is_new && is_same && now.duration_since(time) < FINE => Some(time),
        _ => (is_new || is_asked).then(|| seconds(now)),
    }
}

/// A length of time in whole milliseconds, rounded up.
fn milliseconds(span: std::time::Duration) -> i64 {
    i64::try_from(span.as_micros().div_ceil(1000)).unwrap_or(i64::MAX)
}
