//! Reports: the status of an object from what a reconciliation came to. Pure, but for the one function that writes it.

use std::collections::BTreeMap;

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, Time};
use serde::Serialize;
use serde_json::{Map, Value as Json};

use crate::api::{
    ApiAppSecretStatus, Condition, ConditionType, HistoryEntry, LastRotation, OpenAttempt, Outcome,
    PreviousPair, Reason, Status, seconds,
};
use crate::reconcile::app_state::Flushed;
use crate::reconcile::observe::{Reconciliation, previous};
use crate::report::message::{self, Scene, first_in, journal_denied, message};
use crate::rotation::{
    self, Awaits, Blocked, Cause, Claim, ClaimView, Entry, Facts, Observed, Report, SecretState,
    Slot, Value, Verdict, Verified,
};

/// The status that follows from a reconciliation.
pub fn status(
    reconciliation: &Reconciliation,
    facts: &Facts,
    report: &Report,
    flushed: &[Flushed],
    now: Timestamp,
) -> ApiAppSecretStatus {
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
    let claim_of = |slot| match facts.of(slot).claim.known() {
        Some(ClaimView::Present {
            record: Ok(claim), ..
        }) => Some(claim),
        _ => None,
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
    status.history.truncate(ApiAppSecretStatus::HISTORY);
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
    status: &mut ApiAppSecretStatus,
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
            ends: facts.object.overlap_ends.map(|ends| Time(seconds(ends))),
        })
    });
    status.sequence = Some(entry.sequence.to_string());
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
    status: &mut ApiAppSecretStatus,
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
        let sequence = Some(entry.sequence.to_string());
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
        sequence: Some(entry.sequence.to_string()),
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

/// Whether a rotation ended without its value in the Secret.
const fn is_unwritten(outcome: Outcome) -> bool {
    matches!(
        outcome,
        Outcome::WithoutEffect | Outcome::Superseded | Outcome::Retired
    )
}

/// Takes a rotation into the history whose value is not in the Secret: it was not written, or the next rotation's already stands there.
fn remember_gone(
    status: &mut ApiAppSecretStatus,
    reconciliation: &Reconciliation,
    flushed: &Flushed,
) {
    let sequence = Some(flushed.sequence.to_string());
    if status.history.iter().any(|past| past.sequence == sequence) {
        return;
    }
    let written = !is_unwritten(flushed.outcome);
    let past = HistoryEntry {
        time: Time(seconds(flushed.change_date)),
        reason: flushed.cause.as_str().to_owned(),
        sequence,
        change_date: Some(MicroTime(flushed.change_date)),
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
        (Awaits::CatchUp, _) => {
            let text = format!(
                "Rotation became due while the operator was away, like many others; it starts at {at}"
            );
            (Reason::CatchingUp, text)
        }
    }
}

/// The time in each message stays what it was in `before` where it says the same: `is_own` if this process wrote that. While another actor
/// undoes each write, each of its own is a revision of the Secret, and none is news by itself.
pub fn steady(
    status: &mut ApiAppSecretStatus,
    before: &ApiAppSecretStatus,
    is_own: bool,
    now: Timestamp,
) {
    for condition in before.conditions.iter() {
        let same = |after: &&Condition| {
            (after.status, &after.reason, after.observed_generation)
                == (
                    condition.status,
                    &condition.reason,
                    condition.observed_generation,
                )
                && message::is_same(&condition.message, &after.message, |was, is| {
                    message::stands(was, is, is_own, now)
                })
        };
        if status
            .conditions
            .get(condition.type_)
            .is_some_and(|after| same(&after))
        {
            status.conditions.say(condition.type_, &condition.message);
        }
    }
    let same_but_for_the_revision = ApiAppSecretStatus {
        secret_resource_version: before.secret_resource_version.clone(),
        ..status.clone()
    };
    let contested = (before.conditions.get(ConditionType::Ready))
        .is_some_and(|ready| ready.reason == Reason::SecretContested.as_str());
    if contested && same_but_for_the_revision == *before {
        *status = same_but_for_the_revision;
    }
}

/// When ZITADEL last accepted the stored value, where it cannot be asked now and that verdict stands.
fn accepted(status: &ApiAppSecretStatus, facts: &Facts, report: &Report) -> Option<Timestamp> {
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
    status: &mut ApiAppSecretStatus,
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
    status: &mut ApiAppSecretStatus,
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

/// The JSON merge patch that turns one status into another: only the fields that differ, at whatever depth, those that are gone as null.
/// Fields that this version does not know are in neither, and stay as they are.
pub fn merge_patch<T: Serialize>(before: &T, after: &T) -> Json {
    let object = |status: &T| match serde_json::to_value(status) {
        Ok(Json::Object(fields)) => fields,
        // NB: a status serialises as an object, always.
        _ => Map::new(),
    };
    Json::Object(difference(&object(before), object(after)))
}

fn difference(before: &Map<String, Json>, after: Map<String, Json>) -> Map<String, Json> {
    let gone: Vec<String> = before
        .keys()
        .filter(|field| !after.contains_key(*field))
        .cloned()
        .collect();
    let changed = after.into_iter().filter_map(|(field, value)| {
        let value = match (before.get(&field), value) {
            (Some(was), value) if *was == value => return None,
            (Some(Json::Object(was)), Json::Object(is)) => Json::Object(difference(was, is)),
            (_, value) => value,
        };
        Some((field, value))
    });
    let gone = gone.into_iter().map(|field| (field, Json::Null));
    changed.chain(gone).collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn status(text: Json) -> ApiAppSecretStatus {
        serde_json::from_value(text).unwrap()
    }

    #[test]
    fn a_patch_takes_away_what_is_gone_at_any_depth_and_touches_nothing_that_is_the_same() {
        let rotation = |more: Json| {
            let mut all = json!({"time": "2027-01-01T00:00:00Z", "reason": "Due", "attempt": "a"});
            all.as_object_mut()
                .unwrap()
                .extend(more.as_object().unwrap().clone());
            all
        };
        let before = status(json!({
            "sequence": "7",
            "clientId": "c",
            "lastRotation": rotation(json!({"darkWindowMilliseconds": 12})),
        }));
        let after = status(json!({
            "sequence": "7",
            "lastRotation": rotation(json!({"reason": "Trigger"})),
        }));
        assert_eq!(
            merge_patch(&before, &after),
            json!({"clientId": null, "lastRotation": {"reason": "Trigger", "darkWindowMilliseconds": null}})
        );
        assert_eq!(merge_patch(&after, &after), json!({}));
    }

    #[test]
    fn a_patch_leaves_what_a_later_version_wrote_outside_of_lists_where_it_is() {
        let stored = include_str!("../../tests/fixtures/object-of-a-later-version.json");
        let stored: Json = serde_json::from_str(stored).unwrap();
        let mut merged = stored["status"].clone();
        let before = status(merged.clone());
        let mut after = before.clone();
        after.sequence = Some("9".to_owned());
        after.last_rotation = after.last_rotation.map(|last| LastRotation {
            reason: "Trigger".to_owned(),
            ..last
        });
        after.history.insert(
            0,
            HistoryEntry {
                outcome: Outcome::Published.as_str().to_owned(),
                ..after.history[0].clone()
            },
        );
        json_patch(&mut merged, &merge_patch(&before, &after));
        assert_eq!(merged["lastRotation"]["added"], 1);
        assert_eq!(merged["lastRotation"]["reason"], "Trigger");
        assert_eq!(merged["attempt"], stored["status"]["attempt"]);
        assert_eq!(merged["previous"], stored["status"]["previous"]);
        assert_eq!(merged["history"][1], stored["status"]["history"][0]);
        assert_eq!(merged["conditions"], stored["status"]["conditions"]);
    }

    /// RFC 7386, as the API server has it.
    fn json_patch(target: &mut Json, patch: &Json) {
        let Some(fields) = patch.as_object() else {
            *target = patch.clone();
            return;
        };
        if !target.is_object() {
            *target = json!({});
        }
        for (field, value) in fields {
            if value.is_null() {
                target.as_object_mut().unwrap().remove(field);
            } else {
                json_patch(&mut target[field], value);
            }
        }
    }

    #[test]
    fn a_time_in_a_message_changes_only_with_the_wait() {
        use ConditionType::{Ready, Stalled};
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let with = |time: &str| {
            let mut status = ApiAppSecretStatus::default();
            for type_ in [Ready, Stalled] {
                let text = format!("raise it. The operator tries again at {time}");
                let set = &mut status.conditions;
                set.set(
                    type_,
                    Status::True,
                    Reason::QuotaExceeded,
                    text,
                    Some(1),
                    now,
                );
            }
            status
        };
        let (before, alike) = (with("2026-11-29T03:00:10Z"), with("2026-11-29T03:00:11Z"));
        let later = with("2026-11-29T03:05:00Z");
        let steadied = |mut after: ApiAppSecretStatus, is_own| {
            steady(&mut after, &before, is_own, now);
            after
        };
        assert_eq!(steadied(alike, true), before);
        assert_eq!(steadied(later.clone(), true), later, "a new wait");
        assert_eq!(
            steadied(later.clone(), false),
            before,
            "replicas do not correct each other"
        );
        let mut other = later;
        let set = &mut other.conditions;
        let text = "raise it. The operator tries again at 2026-11-29T03:00:10Z";
        set.set(
            Ready,
            Status::False,
            Reason::QuotaExceeded,
            text,
            Some(1),
            now,
        );
        assert!(!steadied(other, true).conditions.is_true(Ready));
    }

    #[test]
    fn while_a_label_is_undone_again_and_again_the_revision_of_the_secret_alone_is_no_news() {
        let now: Timestamp = "2026-11-29T03:00:00Z".parse().unwrap();
        let with = |reason, revision: &str, sequence: &str| {
            let mut status = ApiAppSecretStatus {
                secret_resource_version: Some(revision.to_owned()),
                sequence: Some(sequence.to_owned()),
                ..ApiAppSecretStatus::default()
            };
            let set = &mut status.conditions;
            set.set(ConditionType::Ready, Status::True, reason, "", Some(1), now);
            status
        };
        let steadied = |before: &ApiAppSecretStatus, mut after: ApiAppSecretStatus| {
            steady(&mut after, before, true, now);
            after
        };
        let contested = with(Reason::SecretContested, "7", "5");
        let undone = with(Reason::SecretContested, "8", "5");
        assert_eq!(steadied(&contested, undone), contested);
        let rotated = with(Reason::SecretContested, "8", "6");
        assert_eq!(steadied(&contested, rotated.clone()), rotated);
        let (well, written) = (
            with(Reason::UpToDate, "7", "5"),
            with(Reason::UpToDate, "8", "5"),
        );
        assert_eq!(steadied(&well, written.clone()), written);
        assert_eq!(steadied(&contested, written.clone()), written, "it holds");
    }
}
