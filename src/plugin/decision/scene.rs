//! An object as it will be, and the facts of a decision about it, by what its status says. No I/O.

use std::time::Duration;

use jiff::Timestamp;

use crate::api::{AppSecretStatus, ConditionType, Reason};
use crate::ids::{ApiVersion, AttemptId, Sequence};
use crate::rotation::{
    AppFacts, AppView, Claim, ClaimView, DueState, Entry, Explained, Facts, Failure, Former, Gates,
    HandledTrigger, Holder, Memory, Now, ObjectView, Observed, Origin, Owner, SecretState,
    SecretView, Slot, Timing, Uptake, Value, Verdict, Version,
};
use crate::target::Target;
use crate::target::secret_template::Template;

/// An object as it will be, and what is known around it.
#[derive(Debug, Clone, Copy)]
pub struct Scene<'a> {
    /// What it asks for.
    pub target: &'a Target,
    /// Its status.
    pub status: &'a AppSecretStatus,
    /// The Secret that it asks for at present.
    pub written: &'a Template,
    /// Whether a grant covers it.
    pub granted: bool,
    /// Whether its connection is to the ZITADEL that made the stored pair.
    pub same_zitadel: bool,
    /// A Secret of the name that it gives, if that is not the one of its status.
    pub found: Option<Found>,
    /// The time.
    pub now: Timestamp,
}

/// A Secret that exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Found {
    /// The operator made it, or took it over.
    Managed,
    /// It is another actor's.
    Foreign,
}

impl<'a> Scene<'a> {
    /// An object as it is. If it is to take over a Secret, there is one.
    pub fn present(target: &'a Target, status: &'a AppSecretStatus, now: Timestamp) -> Self {
        Self {
            target,
            status,
            written: &target.secret,
            granted: true,
            same_zitadel: true,
            found: target.secret.adopt.then_some(Found::Foreign),
            now,
        }
    }

    pub(super) fn facts(&self) -> Facts {
        let Self { target, status, .. } = *self;
        let former = status.secret_name.as_ref().filter(|_| self.is_issued());
        let former = former.filter(|name| **name != target.secret.name);
        let secret = match (self.is_issued(), former, self.found) {
            (true, None, _) => SecretState::Present(self.stored()),
            (_, _, None) => SecretState::Absent,
            (_, _, Some(found)) => SecretState::Present(self.found(found)),
        };
        let claim = if self.is_issued() && self.same_zitadel {
            let handled = status.observed_trigger.clone();
            let claim = Claim::settled(target.owner.clone(), handled, None);
            let standby = status.standby_app_id.as_deref();
            let standby = standby.filter(|_| target.provisioned);
            let standby = standby.and_then(|standby| standby.try_into().ok());
            live(Claim { standby, ..claim })
        } else {
            ClaimView::Absent
        };
        let has_standby = target.standby.is_some() || self.active() == Slot::Standby;
        let has_standby = has_standby || (target.provisioned && status.standby_app_id.is_some());
        Facts {
            timing: Timing {
                // NB: what is asked again and again, until it is certain, is certain here.
                dead: Duration::ZERO,
                dead_probes: 1,
                missing: Duration::ZERO,
                ..Timing::default()
            },
            now: Now {
                boot: Duration::from_hours(24),
                time: self.now,
                skewed: false,
            },
            holder: Holder {
                pod: String::new(),
                process: String::new(),
            },
            object: self.object(),
            current: Observed::Live(true),
            api: ApiVersion::default(),
            gates: Gates {
                connection: Ok(()),
                granted: self.granted,
                rival: None,
                repairs_exhausted: false,
            },
            secret: Observed::Live(secret),
            primary: app(claim),
            standby: has_standby.then(|| app(ClaimView::Absent)),
            probe: Observed::Live(if self.same_zitadel {
                Verdict::Accepted
            } else {
                Verdict::Rejected
            }),
            former: former.map(|name| Former {
                name: name.clone(),
                version: version("former"),
                sequence: self.entry().sequence,
                carries: Vec::new(),
            }),
            fresh_attempt: AttemptId(uuid::Uuid::nil()),
            memory: Memory::default(),
        }
    }

    /// When the pair before the stored one ends; none where that depends on consumers alone, or on the next rotation.
    pub fn overlap_end(&self) -> Option<Timestamp> {
        let object = self.object();
        match object.consumers {
            Uptake::NotAwaited | Uptake::Current => object.overlap_ends,
            Uptake::Behind | Uptake::Unseen => object.overlap_latest,
        }
    }

    fn object(&self) -> ObjectView {
        let Self { target, status, .. } = *self;
        let made = self.entry().change_date;
        let overlap = target.schedule.overlap();
        let overlap = overlap.filter(|_| status.previous.is_some());
        ObjectView {
            owner: target.owner.clone(),
            inputs: String::new(),
            deleting: target.deleting,
            suspended: target.suspended,
            trigger: target.trigger.clone(),
            observed_trigger: status
                .last_rotation
                .as_ref()
                .map(|_| status.observed_trigger.clone().unwrap_or_default()),
            recovery: target.recovery.into(),
            adoption_required: target.secret.adopt,
            verified: self.same_zitadel.then(|| version("stored").revision),
            proven: None,
            due: self.due(),
            overlap_ends: overlap.map(|overlap| overlap.ends(made)),
            overlap_latest: overlap.and_then(|overlap| overlap.latest(made)),
            consumers: match overlap {
                Some(overlap) if overlap.awaits_consumers => self.uptake(),
                _ => Uptake::NotAwaited,
            },
            last_active: None,
            standby_unseen: target.standby.is_some()
                || (target.provisioned && status.standby_app_id.is_none()),
            provisioned: target.provisioned,
            explained: Explained::default(),
        }
    }

    /// Where the schedule stands. A start after downtime is the operator's to say.
    fn due(&self) -> DueState {
        let Self { target, status, .. } = *self;
        let Some(made) = status.change_date.as_ref().filter(|_| self.is_issued()) else {
            return DueState::OnTriggerOnly;
        };
        let state = target.schedule.state(made.0, self.now);
        let ready = status.conditions.get(ConditionType::Ready);
        let catches_up = ready.is_some_and(|it| it.reason == Reason::CatchingUp.as_str());
        match (state, &status.next_rotation_time) {
            (DueState::Due { since, overdue }, Some(starts))
                if catches_up && starts.0 > self.now =>
            {
                DueState::CatchingUp {
                    since,
                    starts: starts.0,
                    overdue,
                }
            }
            (state, _) => state,
        }
    }

    fn uptake(&self) -> Uptake {
        let status = self.status;
        if status.consumers.is_none() {
            Uptake::Unseen
        } else if status.conditions.is_true(ConditionType::ConsumersCurrent) {
            Uptake::Current
        } else {
            Uptake::Behind
        }
    }

    /// Whether there is a value that the operator wrote or took over.
    fn is_issued(&self) -> bool {
        self.status.change_date.is_some() && self.status.last_rotation.is_some()
    }

    fn active(&self) -> Slot {
        match &self.status.active_app_id {
            Some(active) if active != self.target.app.app.as_str() => Slot::Standby,
            _ => Slot::Primary,
        }
    }

    fn entry(&self) -> Entry {
        let status = self.status;
        let sequence = status.sequence.as_deref().and_then(|it| it.parse().ok());
        Entry {
            attempt: None,
            sequence: Sequence(sequence.unwrap_or(1)),
            change_date: status.change_date.as_ref().map_or(self.now, |it| it.0),
        }
    }

    /// The Secret with the stored value.
    pub(super) fn stored(&self) -> SecretView {
        let Self {
            target, written, ..
        } = *self;
        let entry = self.same_zitadel.then(|| self.entry());
        let refused = (written.type_ != target.secret.type_).then_some(Reason::SecretTypeMismatch);
        let rendered = Template {
            adopt: target.secret.adopt,
            name: target.secret.name.clone(),
            ..written.clone()
        };
        SecretView {
            idle: entry.clone().filter(|_| self.status.previous.is_some()),
            commit: Ok(entry),
            active: self.active(),
            rendered: rendered == target.secret && self.same_zitadel,
            refused,
            ..self.shell()
        }
    }

    /// A Secret that is there before the object is.
    fn found(&self, found: Found) -> SecretView {
        let is_managed = found == Found::Managed;
        SecretView {
            managed: is_managed,
            commit: Ok(is_managed.then(|| self.entry())),
            owned: false,
            rendered: false,
            value: Value::Present,
            origin: Origin::Unknown,
            ..self.shell()
        }
    }

    /// The operator's own Secret without a value.
    pub(super) fn shell(&self) -> SecretView {
        SecretView {
            version: version("stored"),
            managed: true,
            active: Slot::Primary,
            commit: Ok(None),
            idle: None,
            held_elsewhere: None::<Owner>,
            owned: true,
            value: if self.is_issued() {
                Value::Present
            } else {
                Value::Absent
            },
            origin: Origin::Own,
            fingerprint: None,
            handled_trigger: HandledTrigger::Unrecorded,
            rendered: true,
            refused: None,
            co_written: false,
        }
    }
}

fn version(revision: &str) -> Version {
    Version {
        uid: String::new(),
        revision: revision.to_owned(),
    }
}

fn live(claim: Claim) -> ClaimView {
    ClaimView::Present {
        version: version("claim"),
        record: Ok(claim),
        held_elsewhere: false,
    }
}

pub(super) fn present(claim: Claim) -> Observed<ClaimView> {
    Observed::Live(live(claim))
}

/// An application that can be rotated, and whose journal says nothing.
pub(super) fn app(claim: ClaimView) -> AppFacts {
    AppFacts {
        claim: Observed::Live(claim),
        app: Observed::Live(AppView { refused: None }),
        journal: Observed::Failed(Failure::new(Reason::JournalUnavailable, true)),
        as_before_call: None,
        hint: None,
    }
}
