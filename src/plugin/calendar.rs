//! When the credential of an object is rotated next, and after that: by the operator's own decision and schedule. No I/O.
//!
//! What the operator alone knows is taken from the status: when the value was made, which trigger was handled, and by the reason of `Ready` what a
//! rotation waits for. A rotation is taken to be carried out when it can start, and the next one counts from there.

use jiff::Timestamp;
use serde::Serialize;

use crate::api::{AppSecret, AppSecretStatus, Condition, ConditionType, Reason, Status};
use crate::plugin::decision::{Act, Course, Scene};
use crate::rotation::{Cause, Schedule};
use crate::target::Target;

/// A rotation that lies ahead.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Upcoming {
    /// When it can start. If it waits for something without a time: now.
    pub time: Timestamp,
    /// Why it is made.
    pub cause: Cause,
    /// When it became due, or will, if it cannot start then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub due: Option<Timestamp>,
    /// What it waits for, if not for its time alone: the reason of a condition.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub waits: Option<String>,
}

/// Why nothing is rotated until someone does something.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// In one word: the reason of a condition, or `Terminating`.
    pub reason: String,
    /// In a sentence.
    pub message: String,
}

/// The rotations of an object within a time, the first one first. Made one by one, however many there are.
#[derive(Debug, Clone)]
pub struct Rotations {
    schedule: Schedule,
    /// Whether there is a pair before the stored one, which ends.
    standby: bool,
    /// The next one.
    next: Option<Upcoming>,
    /// The one before the next that makes the former pair useless.
    retirement: Option<Upcoming>,
    until: Timestamp,
}

/// The rotations of an object from now on until then.
///
/// # Errors
/// If nothing is rotated at all until someone does something.
pub fn rotations(object: &AppSecret, now: Timestamp, until: Timestamp) -> Result<Rotations, Held> {
    let target = Target::read_unlimited(object)
        .map_err(|error| Held::by(Reason::InvalidSpec.as_str(), error.to_string()))?;
    let status = object.status.clone().unwrap_or_default();
    let scene = Scene::present(&target, &status, now);
    ahead(&scene, &scene.course(), until)
}

/// The rotations of an object that the operator does that with.
///
/// # Errors
/// If nothing is rotated at all until someone does something.
pub fn ahead(scene: &Scene<'_>, course: &Course, until: Timestamp) -> Result<Rotations, Held> {
    let Scene {
        target,
        status,
        now,
        ..
    } = *scene;
    let pending = under_way(status).or_else(|| course.cause());
    let pending = pending.filter(|cause| !matches!(cause, Cause::Due | Cause::Retire));
    if let Some(held) = held(scene, course, pending) {
        return Err(held);
    }
    let ready = status.conditions.get(ConditionType::Ready);
    let made = status.change_date.as_ref().map(|made| made.0);
    let next = match (pending, made) {
        (Some(cause), _) => Some(Upcoming {
            time: now,
            cause,
            due: None,
            waits: ready.and_then(blocked),
        }),
        (None, Some(made)) => scheduled(&target.schedule, made, now).map(|mut next| {
            if course.awaits_consumers() {
                next.waits = Some(Reason::AwaitingConsumers.as_str().to_owned());
                return next;
            }
            next.held_up(ready, status, now)
        }),
        (None, None) => None,
    };
    let ends = scene.overlap_end();
    let retirement = ends.map(|ends| Upcoming::retirement(ends.max(now), None));
    Ok(Rotations {
        schedule: target.schedule.clone(),
        standby: target.standby.is_some() || target.provisioned,
        next,
        retirement,
        until,
    })
}

impl Held {
    fn by(reason: &str, message: impl Into<String>) -> Self {
        Self {
            reason: reason.to_owned(),
            message: message.into(),
        }
    }
}

impl Upcoming {
    /// Whether it starts now, as far as is known.
    pub fn is_now(&self, now: Timestamp) -> bool {
        self.time <= now && self.waits.as_deref() != Some(Reason::AwaitingConsumers.as_str())
    }

    /// The end of the pair before the stored one.
    fn retirement(time: Timestamp, waits: Option<Reason>) -> Self {
        Self {
            time,
            cause: Cause::Retire,
            due: None,
            waits: waits.map(|reason| reason.as_str().to_owned()),
        }
    }

    /// The same with what the operator says that it waits for.
    fn held_up(
        mut self,
        ready: Option<&Condition>,
        status: &AppSecretStatus,
        now: Timestamp,
    ) -> Self {
        let Some(ready) = ready.filter(|_| self.time <= now) else {
            return self;
        };
        let is = |reason: Reason| ready.reason == reason.as_str();
        if is(Reason::CatchingUp)
            && let Some(starts) = &status.next_rotation_time
        {
            self.time = starts.0.max(now);
        }
        if is(Reason::CatchingUp) {
            self.waits = Some(ready.reason.clone());
        } else {
            self.waits = blocked(ready);
        }
        self
    }
}

impl Rotations {
    /// The schedule in words.
    pub fn schedule(&self) -> String {
        self.schedule.describe()
    }

    /// When the pair before that of a rotation ends.
    fn retirement(&self, made: Timestamp) -> Option<Upcoming> {
        let overlap = self.schedule.overlap().filter(|_| self.standby)?;
        let waits = overlap
            .awaits_consumers
            .then_some(Reason::AwaitingConsumers);
        Some(Upcoming::retirement(overlap.ends(made), waits))
    }
}

impl Iterator for Rotations {
    type Item = Upcoming;

    fn next(&mut self) -> Option<Upcoming> {
        let next = self.next.as_ref().map(|next| next.time);
        // NB: a rotation that comes first replaces the former pair itself.
        let retirement = self.retirement.take();
        let retirement = retirement.filter(|it| next.is_none_or(|next| it.time < next));
        if let Some(retirement) = retirement {
            return Some(retirement).filter(|it| it.time < self.until);
        }
        let rotation = self.next.take().filter(|it| it.time < self.until)?;
        self.next = scheduled(&self.schedule, rotation.time, rotation.time);
        self.retirement = self.retirement(rotation.time);
        Some(rotation)
    }
}

/// The next scheduled rotation of a value that was made then.
fn scheduled(schedule: &Schedule, made: Timestamp, now: Timestamp) -> Option<Upcoming> {
    let due = schedule.next_change(made, made)?;
    let ready = due.max(now);
    let opens = schedule.closed_until(ready);
    let time = opens.unwrap_or(ready);
    Some(Upcoming {
        time,
        cause: Cause::Due,
        due: (due < time).then_some(due),
        waits: opens.map(|_| Reason::AwaitingWindow.as_str().to_owned()),
    })
}

/// Why the rotation is made that is under way.
fn under_way(status: &AppSecretStatus) -> Option<Cause> {
    let open = status.attempt.as_ref()?;
    let mut causes = Cause::ALL.into_iter();
    causes.find(|cause| cause.as_str() == open.reason)
}

/// Why nothing is rotated until someone does something.
fn held(scene: &Scene<'_>, course: &Course, pending: Option<Cause>) -> Option<Held> {
    let Scene { target, status, .. } = scene;
    if target.deleting {
        return Some(Held::by("Terminating", "it is being deleted"));
    }
    if target.suspended {
        let message = "nothing is rotated until spec.suspend is taken away";
        return Some(Held::by(Reason::Suspended.as_str(), message));
    }
    let stalled = status.conditions.get(ConditionType::Stalled);
    let stalled = stalled.filter(|it| it.status == Status::True);
    // NB: what stalled before an edit may be over with it.
    let is_present = |it: &&Condition| it.observed_generation >= target.generation;
    if let Some(stalled) = stalled.filter(is_present) {
        // A trigger makes a new value where a repair is not allowed.
        let is_passed = pending == Some(Cause::Trigger) && yields_to_trigger(&stalled.reason);
        return (!is_passed).then(|| Held::by(&stalled.reason, stalled.message.as_str()));
    }
    if let Some(reason) = course.stalled() {
        return Some(Held::by(reason.as_str(), reason.meaning().trim()));
    }
    course.acts.contains(&Act::TakesOver).then(|| {
        let message = "it takes over an existing Secret, and nothing is generated for that";
        Held::by("Pending", message)
    })
}

fn yields_to_trigger(reason: &str) -> bool {
    let repairs = [
        Reason::SecretMissing,
        Reason::SecretInvalid,
        Reason::Contested,
        Reason::BreakerOpen,
        Reason::RepairLimit,
    ];
    repairs.iter().any(|it| it.as_str() == reason)
}

/// What keeps the operator from a rotation that could start, if `Ready` says so.
fn blocked(ready: &Condition) -> Option<String> {
    let is_free = [
        Reason::UpToDate,
        Reason::Overdue,
        Reason::AwaitingWindow,
        Reason::AwaitingConsumers,
        Reason::CatchingUp,
        Reason::Suspended,
        Reason::AttemptOpen,
    ];
    let is_free = is_free.iter().any(|it| it.as_str() == ready.reason);
    (!is_free).then(|| ready.reason.clone())
}

#[cfg(test)]
mod tests;
