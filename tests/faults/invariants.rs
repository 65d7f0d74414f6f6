//! What must hold after every cell, whatever the fault was. Numbers are those of the plan.
//!
//! Checked here: I1 (by waiting for rest, and once more), I2, I3, I4, I5 (that a rehearsal succeeded), I6, I7 with I8 (by the number
//! and the causes), I10a, I11 (claims, status), I12, I16, I17, I20 (at rest no request is made but those made from time to time), I21, I23, I24.
//! Not here: I9, I13, I14, I15, I18, I19, I22: `docs/reliability.md` says which tests they have. Beyond the matrix the same is checked, but
//! for what a test itself has broken; each says what and why.

use std::collections::{BTreeMap, BTreeSet};

use kube::ResourceExt as _;
use zitadel_secret_operator::api::{ConditionType, Status};
use zitadel_secret_operator::ids::AppId;
use zitadel_secret_operator::rotation::{AttemptCause, AttemptState, Cause};
use zitadel_simulator::{AppHandle, Effect, Execution, Operation, RequestRecord};

use super::audit;
use super::cell::{Boundary, Cell};
use super::lane::{Lane, NAME, claim, commit, value};
use super::layer::Written;

/// The attempts that ZITADEL carried out for the subject, each once.
pub fn executed(lane: &Lane, app: &AppHandle) -> Vec<Execution> {
    let mut seen = BTreeSet::new();
    lane.zitadel
        .executions()
        .into_iter()
        .filter(|execution| lane.apps(app).any(|app| app.id == execution.app))
        .filter(|execution| {
            execution
                .attempt
                .clone()
                .is_some_and(|attempt| seen.insert(attempt))
        })
        .collect()
}

/// What does not hold.
pub async fn check(lane: &Lane, app: &AppHandle, cell: &Cell) -> Vec<String> {
    let mut broken = Vec::new();
    let mut must = |holds: bool, what: String| {
        if !holds {
            broken.push(what);
        }
    };
    let requests: Vec<RequestRecord> = lane
        .zitadel
        .request_log()
        .into_iter()
        .filter(|request| {
            request.operation == Operation::Generate
                && lane
                    .apps(app)
                    .any(|app| request.app.as_deref() == Some(&app.id))
        })
        .collect();
    let executions: Vec<Execution> = lane
        .zitadel
        .executions()
        .into_iter()
        .filter(|execution| lane.apps(app).any(|app| app.id == execution.app))
        .collect();
    let names: BTreeMap<String, String> = lane
        .apps(app)
        .map(|app| (app.id.clone(), lane.claim_name(app)))
        .collect();
    let writes = lane.wire.writes();
    must(
        !lane.history.has_gap(),
        "Gap: the tests themselves have not seen every revision".into(),
    );

    // I2: the attempt was durable before the call arrived.
    let mut causes = BTreeMap::new();
    for request in &requests {
        let attempt = request.attempt.clone().unwrap_or_default();
        let durable = writes.iter().find(|write| {
            (200..300).contains(&write.status)
                && write.seen.claims(AttemptState::Open)
                && request.app.as_ref().and_then(|app| names.get(app)) == Some(&write.seen.name)
                && (write.answered <= request.received_at
                    || lane.wire.had_read(&attempt, request.received_at))
                && write
                    .seen
                    .claim
                    .as_ref()
                    .and_then(|c| c.attempt.as_ref())
                    .is_some_and(|a| a.id.to_string() == attempt)
        });
        if let Some(found) = durable
            .and_then(|write| write.seen.claim.clone())
            .and_then(|c| c.attempt)
        {
            causes.insert(attempt.clone(), found.cause);
        }
        must(
            durable.is_some(),
            format!("I2: generate {attempt} arrived before its claim was durable"),
        );
        if let Some(claimed) = durable {
            let cause = causes.get(&attempt).and_then(AttemptCause::known);
            must(
                // NB: nothing of what a retirement makes is written.
                cause == Some(Cause::Retire) || rehearsed(&writes, claimed),
                format!("I5: no replica had rehearsed the write when {attempt} was claimed"),
            );
        }
    }
    // I3: no attempt is sent twice.
    let attempts: BTreeSet<_> = requests.iter().map(|r| r.attempt.clone()).collect();
    must(
        attempts.len() == requests.len(),
        "I3: an attempt was sent twice".into(),
    );
    // I4: unless a replica was paused, one call ends before the next begins.
    if !matches!(cell.strike, 12 | 13) {
        for pair in requests.windows(2) {
            // NB: once it is carried out the journal shows it, whatever becomes of the answer.
            let executed = executions.iter().find(|e| e.request == Some(pair[0].id));
            let end = executed.map(|e| e.executed_at).or(pair[0].finished_at);
            let over = end.is_some_and(|end| end <= pair[1].received_at);
            must(over, "I4: two calls at once".into());
        }
    }
    // I7: the first cause is the trigger, what is made besides is a repair.
    for (index, execution) in executed(lane, app).iter().enumerate() {
        let attempt = execution.attempt.clone().unwrap_or_default();
        let cause = causes.get(&attempt).and_then(AttemptCause::known);
        let allowed = match index {
            0 => cause == Some(Cause::Trigger),
            _ if lane.setting.awaits_consumers() && execution.app == app.id => {
                cause == Some(Cause::Retire)
            }
            _ => matches!(
                cause,
                Some(Cause::LostAttempt | Cause::SecretInvalid | Cause::Trigger)
            ),
        };
        must(
            allowed,
            format!("I7: rotation {index} because of {cause:?}"),
        );
    }
    secret_history(lane, app, &executions, &mut must);

    // I1 once more: the stored value is the newest, and the status says so.
    let secret = lane.secrets().get(NAME).await.unwrap();
    let stored = value(&secret).unwrap_or_default();
    let active = lane.active(app, &secret);
    must(
        lane.zitadel.accepts(&active.id, &stored),
        "I1: the stored value is refused".into(),
    );
    // With a standby the pair that is stored is never the one that is generated on; so the one that was taken over is as good as
    // before, unless another rotation went back to its application, or one that was paused came late.
    if lane.setting.awaits_consumers() {
        former_pair(lane, app, &executions, &mut must);
    } else if lane.standby.is_some() && !matches!(cell.strike, 12 | 13) {
        must(
            lane.zitadel.accepts(&app.id, &lane.adopted)
                && executions
                    .iter()
                    .all(|made| made.attempt.is_none() || made.app != app.id),
            "I0: the former pair was touched".into(),
        );
    }
    let object = lane.objects().get(NAME).await.unwrap();
    let status = object.status.clone().unwrap_or_default();
    let sequence = lane.latest(active).number().map(|s| s.to_string());
    must(
        status.sequence == sequence,
        format!(
            "I10: status.sequence is {:?}, not {sequence:?}",
            status.sequence
        ),
    );

    truth(lane, &mut must);

    // I11: no value stands in the object, in claims or in anything else that was written but Secrets.
    let text = serde_json::to_string(&object).unwrap()
        + &serde_json::to_string(&lane.history.leases()).unwrap();
    for execution in &executions {
        must(
            !text.contains(execution.secret.expose()),
            "I11: a secret stands in the object or a claim".into(),
        );
    }
    // I12: nothing else in the namespace was touched.
    let names: BTreeSet<String> = lane.history.secret_names().into_iter().collect();
    let bystander = lane.secrets().get("bystander").await.unwrap();
    must(
        names.iter().all(|name| name == NAME || name == "bystander")
            && bystander.resource_version().as_ref() == Some(&lane.bystander),
        format!("I12: another Secret was touched: {names:?}"),
    );
    let keys: Vec<_> = secret
        .data
        .iter()
        .flatten()
        .map(|(key, _)| key.as_str())
        .collect();
    must(
        keys == ["CLIENT_ID", "CLIENT_SECRET"],
        format!("I12: the keys are {keys:?}"),
    );
    // I16: no claim is begun after SIGTERM.
    for replica in &lane.replicas {
        let Some(stopped) = replica.controls.stopped_at() else {
            continue;
        };
        let late = writes.iter().any(|write| {
            write.seen.replica == replica.controls.number
                && write.seen.claims(AttemptState::Open)
                && write.begun > stopped
        });
        must(!late, "I16: a claim was begun after SIGTERM".into());
    }
    // I21: one audit record for each call, unless the process died in it.
    let records: Vec<_> = lane
        .apps(app)
        .flat_map(|app| audit::records(&app.id))
        .collect();
    let logged: BTreeSet<_> = records.iter().map(|r| r.attempt.clone()).collect();
    must(
        logged.len() == records.len(),
        "I21: a call was logged twice".into(),
    );
    // NB: the Lease is renewed at any time, also while a call is under way.
    let died = matches!(cell.strike, 1 | 2)
        && matches!(cell.boundary, Boundary::Generate | Boundary::Renew);
    let silent: Vec<_> = attempts
        .iter()
        .flatten()
        .filter(|attempt| !logged.contains(*attempt))
        .collect();
    must(
        silent.len() <= usize::from(died),
        format!("I21: nothing was logged of {silent:?}"),
    );
    broken
}

/// Whether the API server said yes to a rehearsal of the process that wrote this claim, after its claim before this one.
fn rehearsed(writes: &[Written], claimed: &Written) -> bool {
    let by = |written: &&Written| {
        written.seen.replica == claimed.seen.replica && (200..300).contains(&written.status)
    };
    let rehearsal = |written: &&Written| written.seen.resource == "secrets" && written.seen.dry_run;
    let before = writes
        .iter()
        .filter(by)
        .filter(|w| w.answered <= claimed.begun);
    let last = before
        .filter(|w| rehearsal(w) || w.seen.claims(AttemptState::Open))
        .max_by_key(|w| w.answered);
    last.is_some_and(|last| rehearsal(&last))
}

/// I24: the former pair was accepted for as long as a consumer had it, and no longer.
fn former_pair(
    lane: &Lane,
    app: &AppHandle,
    executions: &[Execution],
    must: &mut impl FnMut(bool, String),
) {
    let mut of_former = executions
        .iter()
        .filter(|made| made.attempt.is_some() && made.app == app.id);
    let early = of_former.find(|made| lane.released.is_none_or(|at| made.executed_at < at));
    must(
        early.is_none(),
        "I24: the former pair was retired while a consumer had it".into(),
    );
    let accepted = lane.zitadel.accepts(&app.id, &lane.adopted);
    must(
        accepted == lane.released.is_none(),
        "I24: the former pair was not retired when no consumer had it any more".into(),
    );
}

/// I23: no revision of the object was ever ready beside a rejection, or while no replica had probed a value that is in doubt.
fn truth(lane: &Lane, must: &mut impl FnMut(bool, String)) {
    for object in lane.history.objects() {
        let status = object.status.unwrap_or_default();
        let of = |condition| {
            let found = status.conditions.get(condition);
            found.map(|found| (found.status, found.reason.clone()))
        };
        let Some((Status::True, ready)) = of(ConditionType::Ready) else {
            continue;
        };
        let (verified, why) =
            of(ConditionType::Verified).unwrap_or((Status::Unknown, String::new()));
        must(
            verified != Status::False,
            format!("I23: Ready=True ({ready}) beside Verified=False ({why})"),
        );
        // NB: an attempt that is open on the stored value's own application.
        let open = status.attempt.is_some() && lane.standby.is_none();
        must(
            !open || verified == Status::True,
            format!("I23: Ready=True ({ready}) beside an open attempt, and Verified={verified:?}"),
        );
    }
}

/// I6, I10a and I17: what the Secret held, one revision after the other.
fn secret_history(
    lane: &Lane,
    app: &AppHandle,
    executions: &[Execution],
    must: &mut impl FnMut(bool, String),
) {
    let mut before: BTreeMap<AppId, (u64, String)> = BTreeMap::new();
    let mut published = BTreeSet::new();
    for revision in lane.history.secret(NAME) {
        let Some((active, entry)) = commit(&revision).and_then(|commit| {
            let entry = commit.stored()?.entry.clone();
            Some((commit.active, entry))
        }) else {
            continue;
        };
        let held = value(&revision).unwrap_or_default();
        if let Some((sequence, value)) = before.get(&active) {
            must(
                // NB: the record of a value that stays may be corrected.
                entry.sequence.0 > *sequence || held == *value,
                format!("I6: {} came after {sequence}", entry.sequence),
            );
        }
        if let Some(execution) = executions.iter().find(|e| e.secret.expose() == held) {
            must(
                execution.effect == Effect::Applied,
                "I10a: a value was published that ZITADEL refuses while the stored one is accepted"
                    .into(),
            );
        }
        published.insert(held.clone());
        before.insert(active, (entry.sequence.0, held));
    }
    // I17: a value is dropped only when a newer one was made.
    if let Some(last) = executions
        .iter()
        .filter(|e| e.effect == Effect::Applied)
        // What a retirement makes is no one's.
        .filter(|e| !lane.setting.awaits_consumers() || e.app != app.id)
        .max_by_key(|e| e.sequence)
    {
        must(
            published.contains(last.secret.expose()),
            "I17: the newest value was never stored".into(),
        );
    }
    let _ = claim;
}
