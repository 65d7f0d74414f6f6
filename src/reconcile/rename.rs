//! Acts: moves a value to the Secret's new name, and clears away what the operator wrote under the former one.

use std::collections::BTreeSet;

use k8s_openapi::api::core::v1::Secret;
use kube::api::{DeleteParams, Patch, Preconditions};
use serde_json::{Map, Value as Json, json};

use crate::process::kube_error;
use crate::reconcile::context::Context;
use crate::reconcile::mutated::Mutations;
use crate::reconcile::observe::Reconciliation;
use crate::report::failure;
use crate::rotation::{Facts, Former, Version};
use crate::store::apply::{self, FIELD_MANAGER};
use crate::store::reading;
use crate::store::secret::{COMMIT_ANNOTATION, MANAGED_LABEL};
use crate::store::wiped::Stored;

/// Writes the Secret under its new name. The former one goes in a step of its own, after this one is durable.
pub(crate) async fn move_from(
    context: &Context,
    reconciliation: &mut Reconciliation,
    former: &Former,
    over: Option<&Version>,
    facts: &mut Facts,
) {
    let result = copy(context, reconciliation, former, over, facts).await;
    match result {
        Ok(Some(written)) => reconciliation.saw_secret(context, Some(&written), facts),
        // It changed or went meanwhile: the next evaluation reads it.
        Ok(None) => facts.former = None,
        Err(error) if kube_error::is_conflict(&error) => {}
        Err(error) => reconciliation.back_off(facts, &failure::kubernetes(&error)),
    }
}

async fn copy(
    context: &Context,
    reconciliation: &Reconciliation,
    former: &Former,
    over: Option<&Version>,
    facts: &Facts,
) -> Result<Option<Stored>, kube::Error> {
    let Some(place) = reconciliation.place() else {
        return Ok(None);
    };
    let api = reconciliation.secrets(context);
    let Some(source) = api.get_opt(&former.name).await? else {
        return Ok(None);
    };
    let reading = reading::read(place, &source.metadata, Some(&source), |_| false);
    let recorded = matches!(reading.view.commit, Ok(Some(_)));
    let (Some(record), Some(value)) = (reading.commit.filter(|_| recorded), &reading.value) else {
        return Ok(None);
    };
    let commit = place.amended(&record, None);
    let client_id = record.stored().map_or("", |stored| &stored.client_id);
    let object = place.again(commit, client_id, value.expose(), Some(&record), over);
    let name = &place.target.secret.name;
    let written = apply::secret(&api, name, &object, over).await?;
    context.store.wrote_secret(&written);
    if let Some(mutated) = Mutations::between(&object, &written).failure() {
        reconciliation.back_off(facts, &mutated);
    }
    Ok(Some(written))
}

/// Deletes the Secret of the former name. One that others have written keys of is theirs from now on: it only loses what is the
/// operator's alone.
pub(crate) async fn drop_former(
    context: &Context,
    reconciliation: &Reconciliation,
    former: &Former,
    facts: &mut Facts,
) {
    facts.former = None;
    match clear(context, reconciliation, former).await {
        Ok(()) => {}
        Err(error) if kube_error::is_conflict(&error) => {}
        Err(error) => reconciliation.back_off(facts, &failure::kubernetes(&error)),
    }
}

async fn clear(
    context: &Context,
    reconciliation: &Reconciliation,
    former: &Former,
) -> Result<(), kube::Error> {
    let api = reconciliation.secrets(context);
    let Some(found) = api.get_opt(&former.name).await? else {
        return Ok(());
    };
    let Version { uid, revision } = &former.version;
    let ours = ours_alone(&found);
    let shared = found
        .data
        .iter()
        .flatten()
        .any(|(key, _)| !ours.contains(key));
    if shared {
        let patch = disowning(
            &found,
            &ours,
            &reconciliation.target.owner.uid,
            &former.version,
        );
        return api
            .patch(&former.name, &apply::patch(), &Patch::Merge(patch))
            .await
            .map(drop);
    }
    let preconditions = Preconditions {
        uid: Some(uid.clone()),
        resource_version: Some(revision.clone()),
    };
    let params = DeleteParams {
        preconditions: Some(preconditions),
        ..DeleteParams::default()
    };
    api.delete(&former.name, &params).await.map(drop)
}

/// The keys of a Secret's data that no one but the operator has written.
fn ours_alone(secret: &Secret) -> BTreeSet<String> {
    let (mut ours, mut others) = (BTreeSet::new(), BTreeSet::new());
    for entry in secret.metadata.managed_fields.iter().flatten() {
        let keys = reading::owned_keys(entry).map(ToOwned::to_owned);
        if entry.manager.as_deref() == Some(FIELD_MANAGER) {
            ours.extend(keys);
        } else {
            others.extend(keys);
        }
    }
    ours.retain(|key| !others.contains(key));
    ours
}

/// The patch that takes these keys, the operator's marks and its object's ownership off a Secret of that very revision.
fn disowning(secret: &Secret, keys: &BTreeSet<String>, owner: &str, version: &Version) -> Json {
    let nothing = |keys: &BTreeSet<String>| -> Map<String, Json> {
        keys.iter().map(|key| (key.clone(), Json::Null)).collect()
    };
    let references = secret.metadata.owner_references.clone();
    let mut references = references.unwrap_or_default();
    references.retain(|reference| reference.uid != owner);
    json!({
        "metadata": {
            "uid": version.uid,
            "resourceVersion": version.revision,
            "labels": {MANAGED_LABEL: null},
            "annotations": {COMMIT_ANNOTATION: null},
            "ownerReferences": references,
        },
        "data": nothing(keys),
    })
}
