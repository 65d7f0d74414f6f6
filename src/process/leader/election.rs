//! The rules of leader election, as client-go's `leaderelection` has them. No I/O, no clock: the time comes as an
//! argument, always this process's own time since boot.
//!
//! Why at most one leads: a holder stops believing `renew_deadline` after it *sent* its last write that went through.
//! Another may write only after it has seen the record unchanged for the record's lease duration, which is longer, and
//! its write carries the version that it saw. Only the rates of the clocks count (they may differ by
//! `lease / renew_deadline`), never what they show.

use std::time::Duration;

/// A candidate: one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its pod. Another process of the same pod is taken to have ended: whoever gives this must know that no two of them live at
    /// the same time ([`crate::process::pod_lock`]).
    pub pod: String,
    /// Made anew by each process.
    pub process: String,
}

impl Identity {
    /// As it stands in the Lease.
    pub(super) fn holder(&self) -> String {
        format!("{}_{}", self.pod, self.process)
    }

    /// Whether `holder` was a process of this pod before this one.
    fn succeeds(&self, holder: &str) -> bool {
        let process = holder
            .strip_prefix(self.pod.as_str())
            .and_then(|rest| rest.strip_prefix('_'));
        process.is_some_and(|process| process != self.process)
    }
}

/// The times of an election. The first three are client-go's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Timing {
    /// How long the others leave a record alone that does not change. Written in whole seconds.
    pub lease: Duration,
    /// A leader that has not renewed for so long steps down.
    pub renew_deadline: Duration,
    /// From one try to the next.
    pub retry: Duration,
    /// A standby waits up to this part of a retry period more, so that several do not come at once. NB: client-go's 1.2 would let a
    /// standby notice a renewal 4.4 s late, and the Lease counts from there.
    pub jitter: f64,
}

impl Default for Timing {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            jitter: 0.2,
        }
    }
}

/// These times cannot keep two from leading.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "leader election needs: lease duration > renew deadline > retry period × (1 + jitter) > 0, lease duration at least 1 s"
)]
pub struct TimingError;

impl Timing {
    /// At most for one request: half the renew deadline, so that one that is never answered does not cost the leadership. It is what
    /// client-go gives the client of an election (`resourcelock.NewFromKubeconfig`).
    pub(super) fn request(self) -> Duration {
        self.renew_deadline / 2
    }

    /// Checks what client-go checks: a leader must have the time for two tries.
    pub fn checked(self) -> Result<Self, TimingError> {
        let sound = self.lease >= Duration::from_secs(1)
            && self.lease > self.renew_deadline
            && self.jitter >= 0.0
            && self.renew_deadline.as_secs_f64() > self.retry.as_secs_f64() * (1.0 + self.jitter)
            && !self.retry.is_zero();
        sound.then_some(self).ok_or(TimingError)
    }
}

/// What counts of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty: nobody.
    pub(super) holder: String,
    /// `None`: absent or not positive.
    pub(super) lease: Option<Duration>,
    /// `uid` and `resourceVersion`. NB: every renewal changes it, even where the holder's wall clock stands still; the
    /// price is that an edit of a label starts the wait anew.
    pub(super) version: String,
}

/// What to do next.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Stop leading, before anything else.
    StepDown,
    /// Read the Lease.
    Read,
    /// Write it, on the condition that it still is as seen.
    Write(Write),
    /// Nothing until the next try.
    Wait,
}

/// A write to the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// It is absent.
    Create,
    /// It is another's, or nobody's.
    Take,
    /// It is ours.
    Renew,
    /// Give it back.
    Release,
}

#[derive(Debug, Clone)]
struct Seen {
    record: Option<Record>,
    /// When it may be taken if it stays as it is.
    free_from: Duration,
}

/// One candidate's view.
#[derive(Debug, Clone)]
pub(super) struct Election {
    identity: Identity,
    me: String,
    timing: Timing,
    seen: Option<Seen>,
    /// What was seen may be out of date: nothing is written on it.
    doubtful: bool,
    /// When the last write that made or kept us leader was sent.
    renewed: Option<Duration>,
}

impl Election {
    /// The identity must be unique to this process: two of one name would both lead.
    pub(super) fn new(identity: Identity, timing: Timing) -> Self {
        Self {
            me: identity.holder(),
            identity,
            timing,
            seen: None,
            doubtful: true,
            renewed: None,
        }
    }

    /// The next move at `now`. Every move but `Wait` must be followed by the method that says what came of it.
    pub(super) fn next(&self, now: Duration) -> Move {
        let record = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        let others = record.is_some_and(|record| record.holder != self.me);
        if self.renewed.is_some() && (!self.leads(now) || (others && !self.doubtful)) {
            return Move::StepDown;
        }
        let Some(seen) = self.seen.as_ref().filter(|_| !self.doubtful) else {
            return Move::Read;
        };
        match &seen.record {
            Some(record) if record.holder == self.me => Move::Write(Write::Renew),
            _ if now < seen.free_from => Move::Wait,
            Some(_) => Move::Write(Write::Take),
            None => Move::Write(Write::Create),
        }
    }

    /// Whether this candidate leads at `now`.
    pub(super) fn leads(&self, now: Duration) -> bool {
        self.leads_until().is_some_and(|until| now < until)
    }

    /// When leadership ends unless a write goes through.
    pub(super) fn leads_until(&self) -> Option<Duration> {
        self.renewed
            .map(|sent| sent.saturating_add(self.timing.renew_deadline))
    }

    /// The Lease was read; the answer came in at `now`.
    pub(super) fn read(&mut self, record: Option<Record>, now: Duration) {
        self.doubtful = false;
        let before = self.seen.take();
        let lease_of = |record: &Record| record.lease.unwrap_or(self.timing.lease);
        let free_from = match (&record, &before) {
            (
                Some(new),
                Some(Seen {
                    record: Some(old),
                    free_from,
                }),
            ) if new.version == old.version => *free_from,
            (
                None,
                Some(Seen {
                    record: None,
                    free_from,
                }),
            ) => *free_from,
            (Some(new), _) if self.is_free(&new.holder) => now,
            (Some(new), _) => now.saturating_add(lease_of(new)),
            // Somebody deleted it, which does not stop its holder from leading.
            (
                None,
                Some(Seen {
                    record: Some(old), ..
                }),
            ) if !self.is_free(&old.holder) && !self.leads(now) => {
                now.saturating_add(lease_of(old))
            }
            (None, _) => now,
        };
        self.seen = Some(Seen { record, free_from });
    }

    /// Whether nobody leads by a record of that holder: it was given back, or its process has ended.
    fn is_free(&self, holder: &str) -> bool {
        holder.is_empty() || self.identity.succeeds(holder)
    }

    /// When a Lease that is another's may be taken, if it stays as it was seen.
    pub(super) fn free_from(&self) -> Option<Duration> {
        let seen = self.seen.as_ref()?;
        let others = seen
            .record
            .as_ref()
            .is_none_or(|record| record.holder != self.me);
        others.then_some(seen.free_from)
    }

    /// Our write went through: it was sent at `sent`, and `record` is what stands now.
    pub(super) fn written(&mut self, record: Record, sent: Duration) {
        self.seen = Some(Seen {
            free_from: sent.saturating_add(self.timing.lease),
            record: Some(record),
        });
        self.doubtful = false;
        self.renewed = Some(sent);
    }

    /// A write was refused or its outcome is unknown, or time has passed: read before anything is written.
    pub(super) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Leads no more. The record may still name us: it is then ours to renew or to release.
    pub(super) fn step_down(&mut self) {
        self.renewed = None;
        self.doubtful = true;
    }

    /// Whether the Lease names us as far as we know, so that there is something to release.
    pub(super) fn holds(&self) -> bool {
        let record = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        record.is_some_and(|record| record.holder == self.me)
    }
}

#[cfg(test)]
mod tests;
