//! What is known when a step is decided. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{Reason, Recovery};
use crate::ids::{ApiVersion, AttemptId, Sequence};
use crate::rotation::cause::kind::Cause;
use crate::rotation::claim::{Claim, Holder};
use crate::rotation::commit::HandledTrigger;
use crate::rotation::journal::Journal;
use crate::rotation::memory::Memory;
use crate::rotation::observed::{Failure, Observed, Version};
use crate::rotation::record::{Owner, RecordError};
use crate::rotation::schedule::DueState;
use crate::rotation::secret::{Former, SecretState, Value};
use crate::rotation::slot::Slot;
use crate::rotation::timing::Timing;
use crate::rotation::verdict::Verdict;

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
    /// Distinguishes one state of the object's spec and connection from another.
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
    pub adoption_required: bool,
    /// The revision of the Secret that the status says was verified.
    pub verified: Option<String>,
    /// The newest value that ZITADEL accepted before it was published, by the history in the status.
    pub proven: Option<Sequence>,
    /// Where the schedule stands, by the stored value's date and ZITADEL's clock.
    pub due: DueState,
    /// When the pair before the stored one can stop being accepted at the soonest, on ZITADEL's clock; none where it is not known, or has stopped.
    pub overlap_ends: Option<Timestamp>,
    /// When it stops being accepted whatever consumers hold; none: never, or not known.
    pub overlap_latest: Option<Timestamp>,
    /// Whether consumers may hold that pair.
    pub consumers: Uptake,
    /// The application whose pair was stored last, by the status; only for where the Secret is gone.
    pub last_active: Option<Slot>,
    /// Whether the standby application is still to be checked: the spec is new, or it was not ready.
    pub standby_unseen: bool,
    /// Whether the operator creates the standby application.
    pub provisioned: bool,
    /// Rotations that the breaker does not count.
    pub explained: Explained,
}

/// Which credential the consumers hold, as far as the end of the overlap depends on it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Default)]
pub enum Uptake {
    /// It does not: the time alone counts, or there is no previous pair.
    #[default]
    NotAwaited,
    /// It cannot be known. What may be in use is not ended for that, and holds nothing up.
    Unseen,
    /// Some may hold the previous pair.
    Behind,
    /// All have the stored pair.
    Current,
}

/// `spec.recovery`, resolved.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct RecoveryView {
    /// Whether a missing Secret is repaired.
    pub missing: bool,
    /// Whether a rejected secret is repaired.
    pub rejected: bool,
}

impl From<Recovery> for RecoveryView {
    fn from(recovery: Recovery) -> Self {
        use crate::api::RecoveryPolicy::Rotate;
        Self {
            missing: recovery.missing() == Rotate,
            rejected: recovery.rejected() == Rotate,
        }
    }
}

/// Rotations of the application that are no repairs, and those that are, by what the status's history says: ten at most, so that
/// who writes it can widen the breaker where the claim is gone, and not switch it off.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default)]
pub struct Explained {
    /// First issues, scheduled rotations, triggers, retirements.
    pub asked: Vec<Sequence>,
    /// Repairs.
    pub repairs: Vec<Sequence>,
}

impl Explained {
    /// The rotations that don't count where the journal stands in. The commit record explains one that the history does not know.
    pub(super) fn sequences(&self, secret: Option<&SecretState>) -> Vec<Sequence> {
        let mut all = self.asked.clone();
        if let Some(SecretState::Present(view)) = secret {
            let recorded = Slot::ALL.into_iter().filter_map(|slot| view.entry(slot));
            let recorded = recorded.map(|entry| entry.sequence);
            all.extend(recorded.filter(|sequence| !self.repairs.contains(sequence)));
        }
        all
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
    reason = "there is one a eval, and nearly always it is there"
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
    /// The claim, if there is one that can be read.
    pub fn readable(&self) -> Option<&Claim> {
        match self {
            Self::Present { record, .. } => record.as_ref().ok(),
            Self::Absent => None,
        }
    }

    /// Its revision, if there is one.
    pub const fn version(&self) -> Option<&Version> {
        match self {
            Self::Present { version, .. } => Some(version),
            Self::Absent => None,
        }
    }
}

/// The application at ZITADEL.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct AppView {
    /// Why it can't be rotated, if so.
    pub refused: Option<Reason>,
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
    /// Its sequence by the last scan of its project, if there was one.
    pub hint: Option<Sequence>,
}

impl AppFacts {
    /// The claim as it is known, if there is one that can be read.
    pub fn known_claim(&self) -> Option<&Claim> {
        self.claim.known()?.readable()
    }

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
    /// The version of ZITADEL's API in use.
    pub api: ApiVersion,
    /// Connection, grant, rivals.
    pub gates: Gates,
    /// The Secret.
    pub secret: Observed<SecretState>,
    /// The application that `spec.appId` names.
    pub primary: AppFacts,
    /// The standby application, if there is one.
    pub standby: Option<AppFacts>,
    /// The verdict on the stored value.
    pub probe: Observed<Verdict>,
    /// The Secret that the object kept before `spec.secret.name` was changed.
    pub former: Option<Former>,
    /// An id for the next attempt, made by the shell.
    pub fresh_attempt: AttemptId,
    /// What this process remembers of earlier reconciliations.
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
        let attempt = self.of(slot).known_claim().and_then(Claim::live_attempt);
        let tried = attempt
            .filter(|attempt| attempt.cause != Cause::Retire)
            .map(|attempt| attempt.id);
        (tried, std::cmp::Reverse(slot))
    }

    /// The trigger that counts as handled where no claim says: by the record of the object's own Secret, where there is none by the
    /// status, and where that says nothing the one that is there.
    ///
    /// NB: the status of an object that was made again during a rotation may be a mirror of the former one's claim.
    pub(super) fn handled_trigger(&self) -> Option<String> {
        let object = &self.object;
        if let Some(SecretState::Present(secret)) = self.secret.known()
            && let HandledTrigger::Recorded(trigger) = &secret.handled_trigger
            && (secret.owned || *trigger == object.trigger)
        {
            return trigger.clone();
        }
        let observed = object.observed_trigger.as_ref();
        observed
            .or(object.trigger.as_ref())
            .filter(|trigger| !trigger.is_empty())
            .cloned()
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
    fn what_was_read_of_an_application_is_forgotten_and_what_is_known_of_it_stays() {
        let mut app = AppFacts {
            claim: Observed::Live(ClaimView::Absent),
            app: Observed::Live(AppView { refused: None }),
            journal: Observed::Failed(Failure::new(Reason::JournalUnavailable, true)),
            as_before_call: Some(true),
            hint: Some(Sequence(5)),
        };
        let (known, hint) = (app.app.clone(), app.hint);
        app.forget();
        assert_eq!((&app.app, app.hint), (&known, hint));
        assert_eq!((app.claim, app.as_before_call), (Observed::Unread, None));
        assert_eq!(app.journal, Observed::Unread);
    }

    #[test]
    fn what_is_not_said_of_recovery_is_repaired() {
        for (missing_policy, rejected_policy, missing, rejected) in [
            (None, None, true, true),
            (Some(Report), Some(Rotate), false, true),
            (Some(Rotate), Some(Report), true, false),
        ] {
            let recovery = Recovery {
                missing: missing_policy,
                rejected: rejected_policy,
            };
            let view = RecoveryView { missing, rejected };
            assert_eq!(RecoveryView::from(recovery), view);
        }
    }
}
