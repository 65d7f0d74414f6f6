//! Reads and writes the Lease of an election. Every write is conditional on the last observed version.

use k8s_openapi::api::coordination::v1::{Lease, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::MicroTime;
use kube::api::{ObjectMeta, PostParams};
use kube::{Api, Client};

use super::election::{LeaseTiming, Record, Write};
use crate::process::kube_error;
use crate::process::relist::Relist;

/// Why a write did not succeed, as far as known.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    /// The Lease has changed.
    #[error("the Lease was changed by another")]
    Conflict,
    /// Its namespace does not exist.
    #[error("the namespace does not exist")]
    NoNamespace,
    /// The API server, or something that it asks, does not allow it.
    #[error("the write to the Lease was refused")]
    Refused(#[source] kube::Error),
    /// It may have succeeded.
    #[error("the outcome of a write to the Lease is unknown")]
    Unknown(#[source] kube::Error),
}

/// A Lease, as last observed.
pub(super) struct LeaseStore {
    api: Api<Lease>,
    name: String,
    me: String,
    timing: LeaseTiming,
    seen: Option<Lease>,
    relist: Relist,
}

impl LeaseStore {
    pub(super) fn new(
        client: Client,
        namespace: &str,
        name: &str,
        me: &str,
        timing: LeaseTiming,
        relist: Relist,
    ) -> Self {
        Self {
            api: Api::namespaced(client, namespace),
            name: name.to_owned(),
            me: me.to_owned(),
            timing,
            seen: None,
            relist,
        }
    }

    pub(super) async fn read(&mut self) -> kube::Result<Option<Record>> {
        let found = self.api.get_opt(&self.name).await?;
        if let (Some(before), Some(now)) = (&self.seen, &found)
            && is_older(now, before)
        {
            self.relist
                .data_went_back("the Lease of the leader election");
        }
        self.seen = found;
        Ok(self.seen.as_ref().map(record))
    }

    pub(super) async fn write(
        &mut self,
        write: Write,
        now: jiff::Timestamp,
    ) -> Result<Record, WriteError> {
        let parameters = PostParams {
            field_manager: Some("zitadel-secret-operator".into()),
            ..PostParams::default()
        };
        let lease = self.next_lease(write, now);
        let written = if write == Write::Create {
            self.api.create(&parameters, &lease).await
        } else {
            self.api.replace(&self.name, &parameters, &lease).await
        };
        match written {
            Ok(lease) => {
                let record = record(&lease);
                self.seen = Some(lease);
                Ok(record)
            }
            Err(error) if write == Write::Create && kube_error::is_absent(&error) => {
                Err(WriteError::NoNamespace)
            }
            Err(error) if kube_error::is_conflict(&error) => Err(WriteError::Conflict),
            Err(error) if kube_error::is_refusal(&error) => Err(WriteError::Refused(error)),
            Err(error) => Err(WriteError::Unknown(error)),
        }
    }

    /// The Lease to write. It keeps foreign fields, and `uid` and `resourceVersion`: the version alone is no precondition if the
    /// Lease was deleted, because a PUT then creates it.
    fn next_lease(&self, write: Write, now: jiff::Timestamp) -> Lease {
        let fresh = || Lease {
            metadata: ObjectMeta {
                name: Some(self.name.clone()),
                ..ObjectMeta::default()
            },
            spec: None,
        };
        let mut lease = match (&self.seen, write) {
            (Some(seen), Write::Take | Write::Renew | Write::Release) => seen.clone(),
            (_, Write::Create) | (None, _) => fresh(),
        };
        lease.metadata.managed_fields = None;
        let spec = lease.spec.get_or_insert_with(LeaseSpec::default);
        spec.renew_time = Some(MicroTime(now));
        spec.lease_duration_seconds = Some(whole_seconds(self.timing.lease));
        spec.holder_identity = Some(self.me.clone());
        match write {
            Write::Create => {
                spec.acquire_time = Some(MicroTime(now));
                spec.lease_transitions = Some(0);
            }
            Write::Take => {
                spec.acquire_time = Some(MicroTime(now));
                spec.lease_transitions =
                    Some(spec.lease_transitions.unwrap_or(0).saturating_add(1));
            }
            Write::Renew => {}
            Write::Release => {
                spec.acquire_time = Some(MicroTime(now));
                spec.holder_identity = Some(String::new());
                spec.lease_duration_seconds = Some(1);
            }
        }
        lease
    }
}

/// Whether a read returned an earlier state of the same Lease.
fn is_older(now: &Lease, before: &Lease) -> bool {
    let revision = |lease: &Lease| {
        lease
            .metadata
            .resource_version
            .as_ref()?
            .parse::<u64>()
            .ok()
    };
    now.metadata.uid == before.metadata.uid
        && revision(now).is_some_and(|now| revision(before).is_some_and(|before| now < before))
}

fn record(lease: &Lease) -> Record {
    let spec = lease.spec.as_ref();
    let seconds = spec.and_then(|spec| spec.lease_duration_seconds);
    let text = |value: &Option<String>| value.clone().unwrap_or_default();
    Record {
        holder: spec
            .map(|spec| text(&spec.holder_identity))
            .unwrap_or_default(),
        lease: seconds
            .and_then(|seconds| u64::try_from(seconds).ok())
            .filter(|seconds| *seconds > 0)
            .map(std::time::Duration::from_secs),
        version: format!(
            "{}/{}",
            text(&lease.metadata.uid),
            text(&lease.metadata.resource_version)
        ),
    }
}

/// Rounds up: other replicas must never wait for less than this replica relies on.
fn whole_seconds(duration: std::time::Duration) -> i32 {
    let up = duration.as_secs() + u64::from(duration.subsec_nanos() > 0);
    i32::try_from(up).unwrap_or(i32::MAX)
}
