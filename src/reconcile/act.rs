//! Acts: carries out exactly one step. It decides nothing; what came of the step is remembered for the next decision.

use std::sync::Arc;

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::Patch;

use crate::api::{Reason, RehearsalPolicy};
use crate::ids::{AttemptId, Sequence};
use crate::process::kube_error;
use crate::reconcile::claim;
use crate::reconcile::context::Context;
use crate::reconcile::limits::ClaimPermit;
use crate::reconcile::mutated::Mutations;
use crate::reconcile::observe::Reconciliation;
use crate::reconcile::provision::provision;
use crate::reconcile::rename;
use crate::reconcile::rotate;
use crate::report::failure;
use crate::rotation::{
    Claim, CommitRecord, Entry, Facts, Failure, Observed, Recorded, Slot, Step, UnknownFields,
    Version,
};
use crate::store::apply;
use crate::store::reading::{self, Undone};
use crate::store::secret::{Published, SecretTarget};
use crate::store::wiped::Stored;
use crate::zitadel::ClientSecret;

/// The length of the placeholder in a rehearsal when nothing is stored: ZITADEL's default.
const SECRET_LENGTH: usize = 64;

/// Carries out a step. Afterwards `facts` hold only what is still known.
pub async fn act(
    context: &Arc<Context>,
    reconciliation: &mut Reconciliation,
    permits: &mut ClaimPermit,
    step: Step,
    facts: &mut Facts,
) {
    match step {
        Step::Read { sources, slot } => reconciliation.read(context, sources, slot, facts).await,
        Step::CreateShell => {
            // The answer of a creation is as fresh as a read, so what else was read still stands beside it.
            let known = (facts.primary.clone(), facts.standby.clone());
            forget(facts);
            if create_shell(context, reconciliation, facts).await {
                (facts.primary, facts.standby) = known;
            }
        }
        Step::Rehearse { slot, over } => {
            rehearse(context, reconciliation, slot, &over, facts).await;
        }
        Step::WriteClaim { slot, claim, over } => {
            if claim.live_attempt().is_none()
                || has_turn(context, reconciliation, permits, facts).await
            {
                write_claim(
                    context,
                    reconciliation,
                    permits,
                    slot,
                    &claim,
                    over.as_ref(),
                    facts,
                )
                .await;
            }
            forget(facts);
            facts.fresh_attempt = AttemptId(uuid::Uuid::now_v7());
        }
        Step::Provision { claim, over } => {
            forget(facts);
            provision(context, reconciliation, *claim, over.as_ref(), facts).await;
        }
        Step::Send {
            slot,
            attempt,
            cause,
            secret,
        } => {
            let what = rotate::GenerateRequest {
                slot,
                attempt,
                cause,
            };
            // NB: what was read for the recheck is not read again for the next decision, which is checked by a recheck of its own.
            if rotate::send(context, reconciliation, permits, what, &secret, facts).await {
                forget_zitadel(facts);
            } else {
                forget(facts);
                forget_zitadel(facts);
                reconciliation.recall(context, facts);
            }
        }
        Step::Render { over, record } => {
            render(context, reconciliation, &over, record, facts).await;
            forget(facts);
            // NB: what was written is as good as what the watch will show of it, so that nothing is read where all is well now.
            reconciliation.recall(context, facts);
        }
        Step::Move { former, over } => {
            facts.secret = Observed::Unread;
            rename::move_from(context, reconciliation, &former, over.as_ref(), facts).await;
        }
        Step::DropFormer(former) => {
            rename::drop_former(context, reconciliation, &former, facts).await;
        }
        Step::Rest(_) => {}
    }
    reconciliation.refresh(context, facts);
}

fn forget(facts: &mut Facts) {
    facts.current = Observed::Unread;
    facts.secret = Observed::Unread;
    facts.primary.forget();
    if let Some(standby) = &mut facts.standby {
        standby.forget();
    }
    facts.probe = Observed::Unread;
}

/// Generate was sent: what ZITADEL said is of before.
fn forget_zitadel(facts: &mut Facts) {
    facts.current = Observed::Unread;
    for slot in Slot::ALL {
        let of = facts.of_mut(slot);
        (of.journal, of.app) = (Observed::Unread, Observed::Unread);
    }
    facts.probe = Observed::Unread;
}

/// Whether the Secret was created.
async fn create_shell(
    context: &Context,
    reconciliation: &mut Reconciliation,
    facts: &mut Facts,
) -> bool {
    let Some(place) = reconciliation.place() else {
        return false;
    };
    let sent = place.shell();
    let Ok(shell) = serde_json::from_value((*sent).clone()) else {
        return false;
    };
    match reconciliation
        .secrets(context)
        .create(&apply::put(), &shell)
        .await
    {
        Ok(written) => {
            context.store.wrote_secret(&written);
            reconciliation.saw_secret(context, Some(&written), facts);
            match Mutations::between(&sent, &written).failure() {
                Some(mutated) => reconciliation.back_off(facts, &mutated),
                None => return true,
            }
            false
        }
        // It is there already, or it is not known whether it is: the next evaluation reads it.
        Err(error) if kube_error::is_taken(&error) => false,
        Err(error) => {
            let failure = failure::before_generate(failure::kubernetes(&error));
            reconciliation.back_off(facts, &failure);
            false
        }
    }
}

/// Step 4 of the protocol: everything that would refuse the write shows up while the old credential still lives.
async fn rehearse(
    context: &Context,
    reconciliation: &mut Reconciliation,
    slot: Slot,
    over: &Version,
    facts: &mut Facts,
) {
    let Some(place) = reconciliation.place() else {
        return;
    };
    let length = reconciliation
        .reading
        .as_ref()
        .and_then(|reading| reading.value.as_ref())
        .map_or(SECRET_LENGTH, ClientSecret::len);
    let placeholder: String = uuid::Uuid::new_v4()
        .simple()
        .to_string()
        .chars()
        .cycle()
        .take(length)
        .collect();
    let application = reconciliation.application(slot);
    let client_id = application.client_id.clone().unwrap_or_default();
    let entry = Entry {
        attempt: Some(facts.fresh_attempt),
        sequence: Sequence(u64::MAX),
        change_date: facts.now.time,
    };
    let before = reconciliation
        .reading
        .as_ref()
        .and_then(|reading| reading.commit.as_ref());
    let recorded = Recorded {
        entry,
        client_id: client_id.clone(),
        unknown: UnknownFields::default(),
    };
    let published = Published {
        time: Some(context.process.clock.wall()),
        trigger: facts.object.trigger.clone(),
    };
    let commit = place.commit(&application.app.app, recorded, before, published);
    let object = match place.rehearsal(commit, &client_id, &placeholder, over) {
        Ok(object) => object,
        Err(error) => {
            let failure = Failure {
                answer: Some(error.to_string()),
                ..Failure::new(Reason::InvalidSpec, true)
            };
            return reconciliation.back_off(facts, &failure);
        }
    };
    let params = apply::apply().dry_run();
    let result = reconciliation
        .secrets(context)
        .patch(&place.target.secret.name, &params, &Patch::Apply(&*object))
        .await;
    match result {
        Ok(stored) => match Mutations::between(&object, &Stored::from(stored)).failure() {
            None => reconciliation
                .state
                .lock()
                .memory
                .rehearsed(slot, over.clone()),
            Some(mutated) => reconciliation.back_off(facts, &mutated),
        },
        // NB: journal and probe speak of the Secret as it was; kept, a dead value would count as verified.
        Err(error) if kube_error::is_conflict(&error) => forget(facts),
        Err(error) => {
            let failure = failure::before_generate(failure::kubernetes(&error));
            let allowed = reconciliation
                .connection
                .as_ref()
                .is_ok_and(|connection| connection.rehearsal == RehearsalPolicy::BestEffort);
            if failure.reason == Reason::DryRunUnsupported && allowed {
                reconciliation
                    .state
                    .lock()
                    .memory
                    .rehearsed(slot, over.clone());
            } else {
                reconciliation.back_off(facts, &failure);
            }
        }
    }
}

/// Waits for permission to claim. False where that took long, or the operator stops meanwhile: the facts behind the claim are old by
/// then, and are read again with the permission in hand.
async fn has_turn(
    context: &Context,
    reconciliation: &mut Reconciliation,
    permits: &mut ClaimPermit,
    facts: &mut Facts,
) -> bool {
    let Ok(connection) = &reconciliation.connection else {
        return false;
    };
    if permits.claim.is_some() {
        return true;
    }
    let began = context.process.clock.boot();
    // NB: never closed.
    let permit = Arc::clone(&connection.shared.claim_slots).acquire_owned();
    permits.claim = context
        .process
        .stop
        .run_until_cancelled(permit)
        .await
        .and_then(Result::ok);
    let fresh = context.process.clock.boot().saturating_sub(began) < facts.timing.send;
    if !fresh {
        reconciliation.project = None;
        facts.primary.app = Observed::Unread;
        if let Some(standby) = &mut facts.standby {
            standby.app = Observed::Unread;
        }
    }
    fresh && permits.claim.is_some()
}

async fn write_claim(
    context: &Context,
    reconciliation: &Reconciliation,
    permits: &mut ClaimPermit,
    slot: Slot,
    claim: &Claim,
    over: Option<&Version>,
    facts: &Facts,
) {
    let attempt = claim.live_attempt().map(|attempt| attempt.id);
    let result = claim::put(context, reconciliation, slot, claim, over).await;
    let mut state = reconciliation.state.lock();
    match (result, attempt) {
        (Err(error), _) if kube_error::is_refusal(&error) => {
            state.memory.claim_not_written();
            if !kube_error::is_conflict(&error) {
                state.memory.back_off(facts, &failure::claim(&error));
            }
        }
        (Err(error), _) if kube_error::is_webhook(&error) => {
            state.memory.claim_not_written();
            state.memory.back_off(facts, &failure::claim(&error));
        }
        // Written, or perhaps: the recheck goes on only if the claim that is stored is this one.
        (_, Some(attempt)) => {
            state
                .memory
                .claimed(slot, attempt, context.process.clock.boot());
        }
        (_, None) => state.memory.claim_not_written(),
    }
    if state.memory.claimed.is_none() {
        *permits = ClaimPermit::default();
    }
}

/// The trigger that counts as handled for a value that is taken over.
fn handled_trigger(facts: &Facts, slot: Slot) -> Option<String> {
    match facts.of(slot).known_claim() {
        Some(claim) => claim.handled(None).map(ToOwned::to_owned),
        None => facts.object.trigger.clone(),
    }
}

/// The trigger that counts as handled by the object's own claim, for the value that a record is about; empty if there was none.
fn handled_by_claim(facts: &Facts, record: &CommitRecord) -> Option<String> {
    let claim = facts.of(facts.active()).known_claim();
    let claim = claim.filter(|claim| claim.owner == record.owner)?;
    let stored = record.stored().and_then(|stored| stored.entry.attempt);
    Some(claim.handled(stored).unwrap_or_default().to_owned())
}

/// Takes off a Secret that was just applied what was only posted before, such as a key that has another name by now.
async fn disown(
    api: &Api<Secret>,
    place: SecretTarget<'_>,
    written: &Secret,
) -> Result<Option<Stored>, kube::Error> {
    let reading = reading::read(place, &written.metadata, Some(written), |_| true);
    let Some(patch) = reading.disowned() else {
        return Ok(None);
    };
    let name = &place.target.secret.name;
    let written = api.patch(name, &apply::patch(), &patch).await?;
    Ok(Some(written.into()))
}

/// The commit record of a Secret that is written again, and the client id in it. None where there is no value to record.
fn record_again(
    reconciliation: &Reconciliation,
    place: SecretTarget<'_>,
    recorded: Option<&CommitRecord>,
    record: Option<(Slot, Entry)>,
    facts: &Facts,
) -> Option<(CommitRecord, String)> {
    let app = |slot| &reconciliation.application(slot).app.app;
    let Some(before) = recorded else {
        // A pair that is taken over.
        let (slot, entry) = record?;
        let client_id = reconciliation.application(slot).client_id.clone()?;
        let recorded = Recorded {
            entry,
            client_id: client_id.clone(),
            unknown: UnknownFields::default(),
        };
        let published = Published {
            time: None,
            trigger: handled_trigger(facts, slot),
        };
        let commit = place.commit(app(slot), recorded, None, published);
        return Some((commit, client_id));
    };
    let entry = record.map(|(slot, entry)| (app(slot), entry));
    let mut commit = place.amended(before, entry);
    // What the record says is of when the value was written, or of an object before this one.
    if let Some(handled) = handled_by_claim(facts, &commit) {
        commit.trigger = Some(handled);
    }
    Some((commit, before.stored()?.client_id.clone()))
}

/// Writes the Secret again from the value it holds.
async fn render(
    context: &Context,
    reconciliation: &Reconciliation,
    over: &Version,
    record: Option<(Slot, Entry)>,
    facts: &Facts,
) {
    let Some(place) = reconciliation.place() else {
        return;
    };
    let Some(reading) = reconciliation
        .reading
        .as_ref()
        .filter(|reading| reading.view.version == *over)
    else {
        return;
    };
    let Some(value) = &reading.value else { return };
    let api = reconciliation.secrets(context);
    let name = &place.target.secret.name;
    let known = [
        facts.memory.verified.as_ref(),
        facts.object.verified.as_ref(),
    ];
    let accepted = known.contains(&Some(&over.revision));
    // The value is the same, so what is known of it holds for the new revision.
    let rewritten = |written: &Secret| {
        let revision = context.store.wrote_secret(written);
        if accepted {
            reconciliation.state.lock().memory.verified = Some(revision);
        }
    };
    let failed = |error: &kube::Error| {
        if !kube_error::is_conflict(error) {
            reconciliation.back_off(facts, &failure::kubernetes(error));
        }
    };
    let mut disowned = None;
    if let Some(patch) = reading.disowned() {
        match api.patch(name, &apply::patch(), &patch).await {
            // NB: not counted: what is left is written right after it.
            Ok(written) => {
                let written = Stored::from(written);
                rewritten(&written);
                let left = reading::read(place, &written.metadata, Some(&written), |_| true);
                if left.view.rendered && left.view.owned {
                    return;
                }
                disowned = Some(left);
            }
            Err(error) => return failed(&error),
        }
    }
    let reading = disowned.as_ref().unwrap_or(reading);
    let over = &reading.view.version;
    let recorded = reading.commit.as_ref();
    let recorded = recorded.filter(|_| matches!(reading.view.commit, Ok(Some(_))));
    let Some((commit, client_id)) = record_again(reconciliation, place, recorded, record, facts)
    else {
        return;
    };
    // A value that ZITADEL accepts is the operator's from now on; of any other the origin stays what it is.
    let object = if accepted {
        place.full(commit, &client_id, value.expose(), Some(over))
    } else {
        let before = recorded;
        place.again(commit, &client_id, value.expose(), before, Some(over))
    };
    match apply::secret(&api, name, &object, Some(over)).await {
        Ok(written) => {
            let mutations = Mutations::between(&object, &written);
            if let Some(mutated) = mutations.failure() {
                context.store.wrote_secret(&written);
                reconciliation.back_off(facts, &mutated);
                return;
            }
            match disown(&api, place, &written).await {
                Ok(disowned) => rewritten(disowned.as_ref().unwrap_or(&written)),
                Err(error) => {
                    rewritten(&written);
                    failed(&error);
                }
            }
            let mut state = reconciliation.state.lock();
            if let Some(left) = mutations.left() {
                state.memory.left_as_it_is(facts, &left);
            } else {
                let undone = reading.undone.as_ref().map(Undone::failure);
                let undone = undone.unwrap_or_else(|| Failure::new(Reason::SecretMutated, false));
                state.memory.rewritten(facts, &undone);
            }
        }
        Err(error) => failed(&error),
    }
}
