//! What is known when a step is decided. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use super::{Claim, DueState, Entry, Explained, Holder, Memory, Owner, RecordError, Timing};
use crate::api::{Reason, Recovery};
use crate::ids::{AttemptId, Sequence};

/// Something that is read when a decision needs it.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub enum Observed<T> {
    /// Not read in this round.
    Unread,
    /// Taken from a watch: may lag behind, so good enough to rest on, never to act on.
    Cached(T),
    /// Read from the server in this round.
    Live(T),
    /// The read failed.
    Failed(Failure),
}

impl<T> Observed<T> {
    /// What is known, from a watch or a read.
    pub fn known(&self) -> Option<&T> {
        match self {
            Self::Cached(value) | Self::Live(value) => Some(value),
            Self::Unread | Self::Failed(_) => None,
        }
    }
}

/// Why a read or a call failed.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Failure {
    /// The reason that a person is told.
    pub reason: Reason,
    /// Whether it will stay so until somebody changes something.
    pub permanent: bool,
    /// ZITADEL's error id, if it has the form of one.
    pub error_id: Option<String>,
    /// What came back, in words of the operator's own: the HTTP status, or what kind of answer it was.
    pub answer: Option<String>,
    /// The call to ZITADEL that failed, if it was one.
    pub call: Option<&'static str>,
    /// Why the connection cannot be used, in its own sentence, if that is why.
    pub connection: Option<String>,
}

impl Failure {
    /// A failure of which no more is known than its reason.
    pub const fn new(reason: Reason, permanent: bool) -> Self {
        Self {
            reason,
            permanent,
            error_id: None,
            answer: None,
            call: None,
            connection: None,
        }
    }
}

/// A revision of a Kubernetes object. Only both together name one very object.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Version {
    /// Its uid.
    pub uid: String,
    /// Its resourceVersion.
    pub revision: String,
}

/// The clocks.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Now {
    /// Time since boot, sleep included. Deadlines are judged on it.
    pub boot: Duration,
    /// ZITADEL's clock, as well as it is known. Due times are judged on it.
    pub time: Timestamp,
    /// Whether the clocks of ZITADEL, Kubernetes and this host differ by more than five minutes.
    pub skewed: bool,
}

/// The `ApiAppSecret`, as far as decisions go.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::struct_excessive_bools,
    reason = "each is a fact of its own, as the object says it"
)]
pub struct ObjectView {
    /// Its identity.
    pub owner: Owner,
    /// Tells one state of the object's spec and of its connection from another.
    pub inputs: String,
    /// Whether it is being deleted.
    pub deleting: bool,
    /// Whether everything is stopped.
    pub suspended: bool,
    /// `spec.rotation.trigger`.
    pub trigger: Option<String>,
    /// The trigger that was handled last, by the status; empty if there was none, `None` if the status says nothing of it.
    pub observed_trigger: Option<String>,
    /// `spec.recovery`.
    pub recovery: RecoveryView,
    /// Whether `spec.secret.adoptionPolicy` is `Required`.
    pub adopt: bool,
    /// The revision of the Secret that the status says was verified.
    pub verified: Option<String>,
    /// The newest value that ZITADEL accepted before it was published, by the history in the status.
    pub proven: Option<Sequence>,
    /// Where the schedule stands, by the stored value's date and ZITADEL's clock.
    pub due: DueState,
    /// When the pair before the stored one stops being accepted, on ZITADEL's clock; none where it is not known, or has stopped.
    pub overlap_ends: Option<Timestamp>,
    /// The application whose pair was stored last, by the status; only for where the Secret is gone.
    pub last_active: Option<Slot>,
    /// Whether the standby application is still to be looked at: the spec is new, or it was not ready.
    pub standby_unseen: bool,
    /// Rotations that the breaker does not count.
    pub explained: Explained,
}

/// `spec.recovery`, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecoveryView {
    /// Whether a missing Secret is repaired.
    pub missing: bool,
    /// Whether a refused secret is repaired.
    pub invalid: bool,
}

impl From<Recovery> for RecoveryView {
    fn from(recovery: Recovery) -> Self {
        use crate::api::RecoveryPolicy::Rotate;
        Self {
            missing: recovery.missing() == Rotate,
            invalid: recovery.rejected() == Rotate,
        }
    }
}

/// What must hold before ZITADEL is called at all.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Gates {
    /// The connection: usable, or why not.
    pub connection: Result<(), Failure>,
    /// Whether a grant covers namespace, project and application.
    pub granted: bool,
    /// An older `ApiAppSecret` for the same application.
    pub rival: Option<Owner>,
    /// Whether the connection's limit of repairs is used up.
    pub repairs_exhausted: bool,
}

/// The claim as it is stored.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a round, and nearly always it is there"
)]
pub enum ClaimView {
    /// There is none.
    Absent,
    /// There is one.
    Present {
        /// Its revision.
        version: Version,
        /// Its content.
        record: Result<Claim, RecordError>,
        /// Whether the `ApiAppSecret` that it names is another one that exists.
        held_elsewhere: bool,
    },
}

impl ClaimView {
    /// Its revision, if there is one.
    pub const fn version(&self) -> Option<&Version> {
        match self {
            Self::Present { version, .. } => Some(version),
            Self::Absent => None,
        }
    }
}

/// The Secret of the declared name.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
#[expect(
    clippy::large_enum_variant,
    reason = "there is one a round, and nearly always it is there"
)]
pub enum SecretState {
    /// There is none.
    Absent,
    /// There is one.
    Present(SecretView),
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
    pub commit: Result<Option<super::Entry>, RecordError>,
    /// The entry of its commit record for the other application, if there is one.
    pub idle: Option<super::Entry>,
    /// The `ApiAppSecret` that its commit record names, if that is another one that exists.
    pub held_elsewhere: Option<Owner>,
    /// Whether the commit record names this very object as the owner.
    pub owned: bool,
    /// The client secret in it.
    pub value: Value,
    /// Whose it is, by the bytes; unknown where only metadata was read.
    pub origin: super::Origin,
    /// Its fingerprint, if it was read.
    pub fingerprint: Option<super::Fingerprint>,
    /// The trigger that was handled when it was written, by the commit record.
    pub handled_trigger: super::HandledTrigger,
    /// Whether keys, labels, annotations, type and owner are as declared.
    pub rendered: bool,
    /// Whether the API server would refuse to change it, immutable or of another type, or another tool applies one of its keys as well.
    pub refused: Option<Reason>,
    /// Whether a field manager besides the operator wrote the client secret; only known where the data was read.
    pub co_written: bool,
}

/// Which of an object's two applications.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Slot {
    /// `spec.appId`.
    #[default]
    Primary,
    /// `spec.standby.appId`, or what that was when the stored pair was made.
    Standby,
}

impl Slot {
    /// Both.
    pub const ALL: [Self; 2] = [Self::Primary, Self::Standby];

    /// The other one.
    #[must_use]
    pub const fn other(self) -> Self {
        match self {
            Self::Primary => Self::Standby,
            Self::Standby => Self::Primary,
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

impl SecretView {
    /// What is recorded of the last value of an application.
    pub fn entry(&self, slot: Slot) -> Option<&super::Entry> {
        if slot == self.active {
            self.commit.as_ref().ok()?.as_ref()
        } else {
            self.idle.as_ref()
        }
    }
}

/// The client secret in a Secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Value {
    /// Not looked at: only metadata is watched.
    Unseen,
    /// There is none.
    Absent,
    /// There is one.
    Present,
}

/// The application at ZITADEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppView {
    /// Why it can't be rotated, if so.
    pub refused: Option<Reason>,
}

/// One `secret.changed` of the application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct JournalEvent {
    /// Its sequence.
    pub sequence: Sequence,
    /// Its time.
    pub time: Timestamp,
    /// Whether the operator's own user made it.
    pub own: bool,
}

impl JournalEvent {
    /// What to record of the value that it made.
    pub const fn entry(&self, attempt: Option<AttemptId>) -> Entry {
        Entry {
            attempt,
            sequence: self.sequence,
            change_date: self.time,
        }
    }
}

/// The `secret.changed` events of the application, oldest first.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Journal(pub Vec<JournalEvent>);

impl Journal {
    /// The newest event.
    pub fn newest(&self) -> Option<&JournalEvent> {
        self.0.iter().max_by_key(|event| event.sequence)
    }

    /// The newest event of the operator's own user.
    pub fn newest_own(&self) -> Option<&JournalEvent> {
        self.0
            .iter()
            .filter(|event| event.own)
            .max_by_key(|event| event.sequence)
    }

    /// Whether the operator's own user rotated after `sequence`.
    pub fn own_after(&self, sequence: Option<Sequence>) -> bool {
        self.newest_own()
            .is_some_and(|event| Some(event.sequence) > sequence)
    }

    /// Own events within `period` before `now`.
    pub fn own_within(
        &self,
        period: Duration,
        now: Timestamp,
    ) -> impl Iterator<Item = &JournalEvent> {
        let from = now.checked_sub(period).unwrap_or(Timestamp::MIN);
        self.0
            .iter()
            .filter(move |event| event.own && event.time > from)
    }
}

/// What introspection says of the stored client secret.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Probe {
    /// It is accepted.
    Valid,
    /// It is refused, and so is a wrong one.
    Refused,
    /// Nothing can be concluded.
    NoVerdict,
}

/// What is known of one application.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct AppFacts {
    /// The claim.
    pub claim: Observed<ClaimView>,
    /// The application at ZITADEL.
    pub app: Observed<AppView>,
    /// Its journal.
    pub journal: Observed<Journal>,
    /// Whether the stored client secret has the bytes that were stored before the call of the claim's attempt; none where it was not
    /// read, or the claim does not say.
    pub as_before_call: Option<bool>,
    /// Its sequence by the last look at its whole project, if there was one.
    pub hint: Option<Sequence>,
}

impl AppFacts {
    /// Forgets what was read: the world may have changed.
    pub fn forget(&mut self) {
        self.claim = Observed::Unread;
        self.journal = Observed::Unread;
        self.as_before_call = None;
    }
}

/// Everything that a decision is made from.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct Facts {
    /// The spans of the protocol.
    pub timing: Timing,
    /// The clocks.
    pub now: Now,
    /// This process.
    pub holder: Holder,
    /// The `ApiAppSecret`.
    pub object: ObjectView,
    /// Whether the `ApiAppSecret` is stored as it stands in `object`.
    pub current: Observed<bool>,
    /// Connection, grant, rivals.
    pub gates: Gates,
    /// The Secret.
    pub secret: Observed<SecretState>,
    /// The application that `spec.appId` names.
    pub primary: AppFacts,
    /// The standby application, if there is one.
    pub standby: Option<AppFacts>,
    /// The verdict on the stored value.
    pub probe: Observed<Probe>,
    /// The Secret that the object kept before `spec.secret.name` was changed.
    pub former: Option<Former>,
    /// An id for the next attempt, made by the shell.
    pub fresh_attempt: AttemptId,
    /// What this process remembers of earlier rounds.
    pub memory: Memory,
}

impl Facts {
    /// What is known of an application.
    pub fn of(&self, slot: Slot) -> &AppFacts {
        match (slot, &self.standby) {
            (Slot::Standby, Some(standby)) => standby,
            _ => &self.primary,
        }
    }

    /// The same, to be filled in.
    pub fn of_mut(&mut self, slot: Slot) -> &mut AppFacts {
        match (slot, &mut self.standby) {
            (Slot::Standby, Some(standby)) => standby,
            _ => &mut self.primary,
        }
    }

    /// The applications that there are.
    pub fn slots(&self) -> &'static [Slot] {
        if self.standby.is_some() {
            &Slot::ALL
        } else {
            &[Slot::Primary]
        }
    }

    /// The application whose pair the Secret holds. Where it holds none: the one whose pair it held last, by the status, or else the
    /// one that an attempt was made on last; the first one where nothing is known.
    pub fn active(&self) -> Slot {
        if let Some(SecretState::Present(secret)) = self.secret.known()
            && (secret.value != Value::Absent || matches!(secret.commit, Ok(Some(_))))
        {
            return secret.active;
        }
        let attempted = || {
            Slot::ALL
                .into_iter()
                .max_by_key(|slot| self.last_tried(*slot))
        };
        self.object
            .last_active
            .or_else(attempted)
            .filter(|_| self.standby.is_some())
            .unwrap_or_default()
    }

    /// The attempt at a new value that was made last on an application, by its claim. A later one has a greater id.
    ///
    /// NB: not by their times, which are on ZITADEL's clock: that is known to the second only, and may go back by one.
    fn last_tried(&self, slot: Slot) -> (Option<AttemptId>, std::cmp::Reverse<Slot>) {
        let claim = match self.of(slot).claim.known() {
            Some(ClaimView::Present { record, .. }) => record.as_ref().ok(),
            _ => None,
        };
        let attempt = claim.and_then(Claim::live_attempt);
        let tried = attempt
            .filter(|attempt| attempt.cause != super::Cause::Retire)
            .map(|attempt| attempt.id);
        (tried, std::cmp::Reverse(slot))
    }

    /// The application whose pair the Secret does not hold.
    pub fn idle(&self) -> Option<Slot> {
        self.standby.as_ref().map(|_| self.active().other())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::api::RecoveryPolicy::{Report, Rotate};

    #[test]
    fn what_is_not_said_of_recovery_is_repaired() {
        for (missing_policy, rejected_policy, missing, invalid) in [
            (None, None, true, true),
            (Some(Report), Some(Rotate), false, true),
            (Some(Rotate), Some(Report), true, false),
        ] {
            let recovery = Recovery {
                missing: missing_policy,
                rejected: rejected_policy,
            };
            let view = RecoveryView { missing, invalid };
            assert_eq!(RecoveryView::from(recovery), view);
        }
    }
}
