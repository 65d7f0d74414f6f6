//! How the operator writes: always as the one field manager.

use k8s_openapi::api::core::v1::Secret;
use kube::Api;
use kube::api::{Patch, PatchParams, PostParams};
use serde::Deserialize as _;

use crate::rotation::Version;
use crate::store::wiped::{Manifest, Stored};

/// The one field manager of everything that the operator writes.
pub const FIELD_MANAGER: &str = "zitadel-secret-operator";

/// How something is created or replaced.
pub(crate) fn put() -> PostParams {
    PostParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PostParams::default()
    }
}

/// How something is applied. By force: whose fields are not to be taken is decided before.
pub(crate) fn apply() -> PatchParams {
    PatchParams::apply(FIELD_MANAGER).force()
}

/// How single fields are changed.
pub(crate) fn patch() -> PatchParams {
    PatchParams {
        field_manager: Some(FIELD_MANAGER.to_owned()),
        ..PatchParams::default()
    }
}

/// Applies a Secret over the revision that stands in it, or creates it if there is none to be written over.
pub(crate) async fn secret(
    api: &Api<Secret>,
    name: &str,
    object: &Manifest,
    over: Option<&Version>,
) -> Result<Stored, kube::Error> {
    if over.is_some() {
        let patch = Patch::Apply(&**object);
        return api.patch(name, &apply(), &patch).await.map(Stored::from);
    }
    // NB: an apply would create it as well, but only POST is create-only: a Secret that appears meanwhile is not overwritten.
    let object = Secret::deserialize(&**object).map_err(kube::Error::SerdeError)?;
    let object = Stored::from(object);
    api.create(&put(), &object).await.map(Stored::from)
}
