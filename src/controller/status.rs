//! Reports: the status of an object from what a round came to. Pure, but for the one function that writes it.

use jiff::{SignedDuration, SignedDurationRound, Timestamp, Unit};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Time;
use serde::Serialize;
use serde_json::{Map, Value as Json, json};

use super::flush::Flushed;
use super::observe::Round;
use crate::api::{
    ApiAppSecretStatus, ConditionType, HistoryEntry, LastRotation, OpenAttempt, Outcome, Reason,
    Status,
};
use crate::rotation::{Blocked, ClaimView, CommitRecord, Facts, Report, SecretState};

/// Entries of the history that are kept.
const HISTORY: usize = 10;

/// The status that follows from a round.
pub fn status(
    round: &Round,
    facts: &Facts,
    report: &Report,
    flushed: Option<&Flushed>,
    now: Timestamp,
) -> ApiAppSecretStatus {
    let target = &round.target;
    let mut status = round.status.clone();
    let generation = target.generation;
    status.observed_generation = generation;
    status.schedule = Some(target.schedule.describe());
    status.secret_name = Some(target.secret.name.clone());
    let stored = match facts.secret.known() {
        Some(SecretState::Present(view)) => Some(view),
        _ => None,
    };
    let claim = match facts.claim.known() {
        Some(ClaimView::Present {
            record: Ok(claim), ..
        }) => Some(claim),
        _ => None,
    };
    let entry = stored.and_then(|view| view.commit.as_ref().ok()?.as_ref());
    if let Some(entry) = entry {
        status.active_app_id = Some(round.app.app.to_string());
        status.sequence = Some(entry.sequence.to_string());
        status.change_date = Some(Time(entry.change_date));
        if let Some(id) = client_id(round) {
            status.client_id = Some(id);
        }
        if let Some(owner) = flushed
            .and_then(|f| f.resource_owner.clone())
            .or_else(|| round.resource_owner.clone())
        {
            status.resource_owner = Some(owner);
        }
        status.secret_resource_version = stored.map(|view| view.version.revision.clone());
        let attempt = entry.attempt.map(|attempt| attempt.to_string());
        let known = status.last_rotation.as_ref().is_some_and(|last| {
            attempt
                .as_ref()
                .map_or(last.time.0 == entry.change_date, |attempt| {
                    *attempt == last.attempt
                })
        });
        if !known {
            let mine = flushed.filter(|flushed| Some(flushed.attempt) == entry.attempt);
            let cause = mine.map(|flushed| flushed.cause).or_else(|| {
                let attempted = claim?.attempt.as_ref()?;
                (Some(attempted.id) == entry.attempt).then_some(attempted.cause)
            });
            let reason = match (entry.attempt, cause) {
                (None, _) => "Adopted",
                (Some(_), Some(cause)) => cause.as_str(),
                (Some(_), None) => "Unknown",
            };
            let dark_window = mine.map(|flushed| short(flushed.proving + flushed.writing));
            let time = Time(entry.change_date);
            status.last_rotation = Some(LastRotation {
                time: time.clone(),
                reason: reason.to_owned(),
                attempt: attempt.unwrap_or_default(),
                dark_window: dark_window.clone(),
            });
            let outcome = match (entry.attempt, mine) {
                (None, _) => Outcome::Adopted,
                (_, Some(flushed)) => flushed.outcome,
                (_, None) => Outcome::Published,
            };
            let past = HistoryEntry {
                time: time.clone(),
                reason: reason.to_owned(),
                sequence: Some(entry.sequence.to_string()),
                change_date: Some(time),
                outcome,
                dark_window,
            };
            status.history.insert(0, past);
        }
    }
    if let Some(flushed) = flushed.filter(|flushed| {
        matches!(
            flushed.outcome,
            Outcome::WithoutEffect | Outcome::Superseded
        )
    }) {
        let time = Time(flushed.change_date);
        let seen = status
            .history
            .iter()
            .any(|past| past.sequence.as_deref() == Some(&flushed.sequence.to_string()));
        if !seen {
            let past = HistoryEntry {
                time: time.clone(),
                reason: flushed.cause.as_str().to_owned(),
                sequence: Some(flushed.sequence.to_string()),
                change_date: Some(time),
                outcome: flushed.outcome,
                dark_window: None,
            };
            status.history.insert(0, past);
        }
    }
    status.history.truncate(HISTORY);
    let resolved = entry.and_then(|entry| entry.attempt);
    status.attempt = claim
        .and_then(|claim| claim.live_attempt())
        .filter(|attempt| Some(attempt.id) != resolved)
        .map(|attempt| OpenAttempt {
            id: attempt.id.to_string(),
            phase: if facts.memory.holding == Some(attempt.id) {
                "Writing"
            } else {
                "Open"
            }
            .to_owned(),
            reason: attempt.cause.as_str().to_owned(),
            started_at: Some(Time(attempt.time)),
        });
    if let Some(claim) = claim {
        let resolved = claim
            .live_attempt()
            .is_some_and(|attempt| Some(attempt.id) == resolved);
        status.observed_trigger = claim.trigger(resolved).map(ToOwned::to_owned);
    }
    status.next_rotation_time = facts
        .object
        .due
        .next_start()
        .map(|time| crate::api::seconds(time).to_string());
    conditions(&mut status, round, report, now);
    verified(&mut status, facts, generation, now);
    status
}

fn client_id(round: &Round) -> Option<String> {
    let recorded = |commit: &CommitRecord| {
        Some(
            commit
                .recorded(&round.scope, &round.app.app)?
                .client_id
                .clone(),
        )
    };
    let read = round
        .reading
        .as_ref()
        .and_then(|reading| reading.commit.as_ref())
        .and_then(recorded);
    read.or_else(|| round.client_id.clone())
}

/// Ready, Reconciling and Stalled, as kstatus reads them.
fn conditions(status: &mut ApiAppSecretStatus, round: &Round, report: &Report, now: Timestamp) {
    use ConditionType::{Ready, Reconciling, Stalled};
    let generation = round.target.generation;
    let conditions = &mut status.conditions;
    let set =
        |conditions: &mut crate::api::Conditions, type_, holds: bool, reason, message: &str| {
            conditions.set(type_, holds.into(), reason, message, generation, now);
        };
    match report {
        Report::Settled {
            awaiting,
            overdue,
            next,
        } => {
            let (reason, message) = match (awaiting, overdue, next) {
                (true, true, Some(next)) => (
                    Reason::Overdue,
                    format!(
                        "Rotation is overdue; the next window opens at {}",
                        crate::api::seconds(*next)
                    ),
                ),
                (true, _, Some(next)) => (
                    Reason::AwaitingWindow,
                    format!(
                        "Rotation is due and waits for the window at {}",
                        crate::api::seconds(*next)
                    ),
                ),
                _ => (
                    Reason::UpToDate,
                    format!(
                        "Secret {} holds the newest client secret",
                        round.target.secret.name
                    ),
                ),
            };
            set(conditions, Ready, true, reason, &message);
            conditions.remove(Reconciling);
            conditions.remove(Stalled);
        }
        Report::Usable { blocked, .. } => {
            let text = message(blocked, round);
            set(conditions, Ready, true, blocked.reason, &text);
            set(conditions, Reconciling, true, blocked.reason, &text);
            conditions.remove(Stalled);
        }
        Report::Working { blocked, .. } => {
            let text = message(blocked, round);
            // Without a connection the Secret can't be judged; what was known of it stands.
            let unknown = round.connection.is_err() && conditions.get(Ready).is_some();
            if unknown {
                let was = conditions
                    .get(Ready)
                    .map_or(Status::Unknown, |ready| ready.status);
                conditions.set(Ready, was, blocked.reason, &text, generation, now);
            } else {
                set(conditions, Ready, false, blocked.reason, &text);
            }
            conditions.set(
                Reconciling,
                Status::True,
                blocked.reason,
                &text,
                generation,
                now,
            );
            conditions.remove(Stalled);
        }
        Report::Stalled { blocked, .. } => {
            let text = message(blocked, round);
            set(conditions, Ready, false, blocked.reason, &text);
            set(conditions, Stalled, true, blocked.reason, &text);
            conditions.remove(Reconciling);
        }
        Report::Quiet(reason) => {
            let was = conditions
                .get(Ready)
                .map_or(Status::Unknown, |ready| ready.status);
            let text = message(&(*reason).into(), round);
            conditions.set(Ready, was, *reason, text, generation, now);
            conditions.remove(Reconciling);
            conditions.remove(Stalled);
        }
    }
}

/// Verified: the last verdict on this revision of the Secret.
fn verified(
    status: &mut ApiAppSecretStatus,
    facts: &Facts,
    generation: Option<i64>,
    now: Timestamp,
) {
    let Some(SecretState::Present(view)) = facts.secret.known() else {
        status.conditions.remove(ConditionType::Verified);
        return;
    };
    let memory = &facts.memory;
    let revision = Some(&view.version.revision);
    let (holds, reason, message) = if memory.verified.as_ref() == revision {
        (
            Status::True,
            Reason::Accepted,
            "ZITADEL accepts the stored client secret",
        )
    } else if memory.refusals.is_some() {
        (
            Status::False,
            Reason::Refused,
            "ZITADEL refuses the stored client secret",
        )
    } else if facts.object.verified.as_ref() == revision {
        return;
    } else if matches!(view.commit, Ok(Some(_))) {
        (
            Status::Unknown,
            Reason::NoVerdict,
            "It is not known yet whether ZITADEL accepts the stored client secret",
        )
    } else {
        status.conditions.remove(ConditionType::Verified);
        return;
    };
    status.conditions.set(
        ConditionType::Verified,
        holds,
        reason,
        message,
        generation,
        now,
    );
}

/// What a person is told: which object, which field, what next.
fn message(blocked: &Blocked, round: &Round) -> String {
    let target = &round.target;
    let secret = &target.secret.name;
    let connection = &target.connection;
    let project = &target.app.project;
    let app = &target.app.app;
    let by = blocked
        .by
        .as_ref()
        .map(|owner| format!("{}/{}", owner.namespace, owner.name))
        .unwrap_or_default();
    let text = match blocked.reason {
        Reason::ConnectionNotFound => format!("ZitadelConnection {connection} does not exist: create it, or correct spec.connectionRef.name"),
        Reason::NotGranted => format!("ZitadelConnection {connection} has no grant for namespace {}, project {project} and app {app}: ask its owner to add one to spec.grants", target.owner.namespace),
        Reason::CredentialMissing | Reason::CredentialMalformed | Reason::CredentialRejected | Reason::CaBundleInvalid | Reason::ConnectionNotReady => {
            format!("The credential of ZitadelConnection {connection} cannot be used; its status says why")
        }
        Reason::ZitadelUnreachable | Reason::TlsFailed | Reason::ZitadelTimeout | Reason::ZitadelUnavailable | Reason::RateLimited | Reason::UnexpectedAnswer => {
            format!("{} (ZitadelConnection {connection}) The Secret is left as it is; this is tried again", blocked.reason.meaning().trim())
        }
        Reason::OrganizationNotFound => "The organisation does not exist, or the service user may not act in it: check spec.organizationId and the connection's organizationId".to_owned(),
        Reason::NotAMember => format!("The service user of ZitadelConnection {connection} has no membership that covers project {project}: add it as an administrator (PROJECT_OWNER) of the project, or correct spec.organizationId"),
        Reason::PermissionDenied => format!("The service user of ZitadelConnection {connection} may not rotate app {app} of project {project}: it needs the role PROJECT_OWNER on the project"),
        Reason::AppNotFound => format!("App {app} does not exist in project {project} of this organisation: check spec.appId, spec.projectId and spec.organizationId"),
        Reason::AppNotApi => format!("App {app} is not an API application: only those have the secret that is kept here"),
        Reason::AppNotReady => format!("App {app} is inactive, or does not authenticate by client secret (BASIC): activate it, or change its authentication method, in ZITADEL"),
        Reason::SecretNotOwned => format!("Secret {secret} exists and is not the operator's: choose another spec.secret.name, delete it, or set spec.secret.adopt: true"),
        Reason::SecretKeyConflict => format!("Secret {secret} is kept by ApiAppSecret {by}: choose another spec.secret.name"),
        Reason::SecretContested => format!("Keys of Secret {secret} are written by another tool as well: remove them there"),
        Reason::SecretTypeMismatch => format!("Secret {secret} has another type than spec.secret.type, and types cannot be changed: delete the Secret, or correct the field"),
        Reason::SecretImmutable => format!("Secret {secret} is immutable: delete it, or choose another spec.secret.name"),
        Reason::SecretWriteForbidden => format!("The operator may not read or write Secret {secret}: check its RBAC in namespace {}", target.owner.namespace),
        Reason::SecretWriteRefused => format!("The API server refuses Secret {secret}: an admission policy or webhook, or its size"),
        Reason::QuotaExceeded => format!("A quota of namespace {} does not allow Secret {secret}", target.owner.namespace),
        Reason::NamespaceTerminating => format!("Namespace {} is being deleted", target.owner.namespace),
        Reason::AppAlreadyClaimed => format!("App {app} is kept by ApiAppSecret {by}: one of the two must go"),
        Reason::BreakerOpen => "The credential was repaired too often within an hour or a day: find out who changes it, then set a new spec.rotation.trigger".to_owned(),
        Reason::SecretMissing => format!("The client secret in Secret {secret} is gone. With spec.recovery.missingSecret: Report nothing is done until spec.rotation.trigger gets a new value; with Rotate it is made anew"),
        Reason::SecretInvalid => "ZITADEL refuses the stored client secret. With spec.recovery.invalidSecret: Report nothing is done until spec.rotation.trigger gets a new value".to_owned(),
        Reason::RotatedElsewhere => "The client secret was rotated by another user of ZITADEL, and the stored one is refused. Set a new spec.rotation.trigger to take it back".to_owned(),
        Reason::Contested => "The client secret is being rotated by somebody else again and again: find out who, in the app's change list, then set a new spec.rotation.trigger".to_owned(),
        Reason::ClaimFromNewerVersion | Reason::CommitRecordFromNewerVersion => "A newer version of the operator has been here: upgrade this one".to_owned(),
        Reason::SecretHeld => "A new client secret is being proven and written".to_owned(),
        Reason::Suspended => "Everything is stopped by spec.suspend: true".to_owned(),
        other => other.meaning().trim().trim_end_matches('.').to_owned(),
    };
    match &blocked.error_id {
        Some(id) => format!("{text} ({id})"),
        None => text,
    }
}

fn short(span: std::time::Duration) -> String {
    let span = SignedDuration::try_from(span).unwrap_or(SignedDuration::MAX);
    let rounded = span
        .round(SignedDurationRound::new().smallest(Unit::Millisecond))
        .unwrap_or(span);
    format!("{rounded:#}")
}

/// The JSON merge patch that turns one status into another: fields that are gone are set to null.
pub fn merge_patch<T: Serialize>(before: &T, after: &T) -> Json {
    let object = |status: &T| match serde_json::to_value(status) {
        Ok(Json::Object(fields)) => fields,
        // NB: a status serialises as an object, always.
        _ => Map::new(),
    };
    let (before, mut after) = (object(before), object(after));
    let gone: Vec<String> = before
        .keys()
        .filter(|field| !after.contains_key(*field))
        .cloned()
        .collect();
    after.extend(gone.into_iter().map(|field| (field, Json::Null)));
    json!(after)
}
