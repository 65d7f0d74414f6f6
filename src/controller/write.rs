//! How the operator writes: always as the one field manager.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde_json::Value as Json;

use crate::rotation::Version;

/// The one field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "zitadel-secret-operator";

/// How something is created or replaced.
pub(super) fn put() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// How something is applied. By force: whose fields are not to be taken is decided before.
pub(super) fn apply() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// How single fields are changed.
pub(super) fn patch() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Applies a Secret over the revision that stands in it, or creates it if there is none to be written over.
pub(super) async fn secret(
    api: &Api<Secret>,
    name: &str,
    object: Json,
    over: Option<&Version>,
) -> Result<Secret, kube::Error> {
    if over.is_some() {
        return api.patch(name, &apply(), &Patch::Apply(object)).await;
    }
    // NB: an apply would create it as well, but only POST is create-only: a Secret that appears meanwhile is not overwritten.
    let object = serde_json::from_value(object).map_err(kube::Error::SerdeError)?;
    api.create(&put(), &object).await
}
