//! An object as `plan` reads it.

use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;
use serde::Deserialize;

use crate::api::{ApiAppSecretSpec, AppSecret, AppSecretStatus, Kind};

/// An object of either kind.
// NB: of the kind that is asked for, and so read at once: an `AppSecret` looks for its kind first.
#[derive(Deserialize)]
pub struct Object {
    metadata: ObjectMeta,
    spec: ApiAppSecretSpec,
    status: Option<AppSecretStatus>,
}

impl Object {
    /// The object, whose kind is known from what was asked.
    pub fn of_kind(self, kind: Kind) -> AppSecret {
        AppSecret {
            kind,
            metadata: self.metadata,
            spec: self.spec,
            status: self.status,
        }
    }
}
