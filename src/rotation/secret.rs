//! The Secret, as far as decisions go. No I/O.

use crate::api::Reason;
use crate::ids::{AttemptId, Sequence};
use crate::rotation::commit::{Entry, HandledTrigger};
use crate::rotation::fingerprint::{Fingerprint, Origin};
use crate::rotation::observed::Version;
use crate::rotation::record::Owner;
use crate::rotation::record::RecordError;
use crate::rotation::slot::Slot;

/// The Secret of the declared name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a eval, and nearly always it is there"
)]
pub enum SecretState {
    /// There is none.
    Absent,
    /// There is one.
    Present(SecretView),
}

impl SecretState {
    /// The attempt that it carries for an application.
    pub(super) fn attempt(&self, slot: Slot) -> Option<AttemptId> {
        match self {
            Self::Present(secret) => secret.entry(slot)?.attempt,
            Self::Absent => None,
        }
    }

    /// What is recorded for an application.
    pub(super) fn entry(&self, slot: Slot) -> Option<&Entry> {
        match self {
            Self::Present(secret) => secret.entry(slot),
            Self::Absent => None,
        }
    }

    /// Its revision.
    pub(super) const fn version(&self) -> Option<&Version> {
        match self {
            Self::Present(secret) => Some(&secret.version),
            Self::Absent => None,
        }
    }

    /// Whether it says which value of the operator's is in it.
    pub(super) const fn is_recorded(&self) -> bool {
        matches!(self, Self::Present(secret) if matches!(secret.commit, Ok(Some(_))))
    }

    /// The Secret, if it holds a value that is recorded.
    pub(super) fn recorded(&self) -> Option<&SecretView> {
        match self {
            Self::Present(secret) if secret.value == Value::Present && self.is_recorded() => {
                Some(secret)
            }
            _ => None,
        }
    }
}

/// What matters of the Secret.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the Secret shows it"
)]
pub struct SecretView {
    /// Its revision.
    pub version: Version,
    /// Whether the operator made it or took it over.
    pub managed: bool,
    /// The application whose pair it holds, or is taken to hold where nothing is recorded.
    pub active: Slot,
    /// The entry of its commit record for the pair that it holds; `Ok(None)` without one.
    pub commit: Result<Option<Entry>, RecordError>,
    /// The entry of its commit record for the other application, if there is one.
    pub idle: Option<Entry>,
    /// The `ApiAppSecret` that its commit record names, if that is another one that exists.
    pub held_elsewhere: Option<Owner>,
    /// Whether the commit record names this very object as the owner.
    pub owned: bool,
    /// The client secret in it.
    pub value: Value,
    /// Whose it is, by the bytes; unknown where only metadata was read.
    pub origin: Origin,
    /// Its fingerprint, if it was read.
    pub fingerprint: Option<Fingerprint>,
    /// The trigger that was handled when it was written, by the commit record.
    pub handled_trigger: HandledTrigger,
    /// Whether keys, labels, annotations, type and owner are as declared.
    pub rendered: bool,
    /// Whether the API server would refuse to change it, immutable or of another type, or another tool applies one of its keys as well.
    pub refused: Option<Reason>,
    /// Whether a field manager besides the operator wrote the client secret; only known where the data was read.
    pub co_written: bool,
}

impl SecretView {
    /// What is recorded of the last value of an application.
    pub fn entry(&self, slot: Slot) -> Option<&Entry> {
        if slot == self.active {
            self.commit.as_ref().ok()?.as_ref()
        } else {
            self.idle.as_ref()
        }
    }
}

/// A Secret under a name that the object does not give it any more.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Former {
    /// Its name.
    pub name: String,
    /// Its revision.
    pub version: Version,
    /// The sequence of the value in it.
    pub sequence: Sequence,
    /// The attempts that it carries.
    pub carries: Vec<AttemptId>,
}

/// The client secret in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// Not read: only metadata is watched.
    Unseen,
    /// There is none.
    Absent,
    /// There is one.
    Present,
}
