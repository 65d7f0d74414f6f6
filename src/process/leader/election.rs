//! The rules of leader election, as in client-go's `leaderelection`. No I/O, no clock: the time is an argument, always this
//! process's own time since boot.
//!
//! Why at most one replica leads: a holder stops leading `renew_deadline` after it *sent* its last successful write. Another
//! replica may write only after it has observed the record unchanged for the record's lease duration, which is longer, and its
//! write carries the observed version. Only the rates of the clocks matter (they may differ by `lease / renew_deadline`), never
//! their readings.

use std::time::Duration;

/// A candidate: one process.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its pod. Another process of the same pod counts as ended: the caller must ensure that no two of them run at the same time
    /// ([`crate::process::pod_lock`]).
    pub pod: String,
    /// Unique to each process.
    pub process: String,
}

impl Identity {
    /// The identity as written into the Lease.
    pub(super) fn holder(&self) -> String {
        format!("{}_{}", self.pod, self.process)
    }

    /// Whether `holder` was an earlier process of this pod.
    fn succeeds(&self, holder: &str) -> bool {
        let process = holder
            .strip_prefix(self.pod.as_str())
            .and_then(|rest| rest.strip_prefix('_'));
        process.is_some_and(|process| process != self.process)
    }
}

/// The times of an election. The first three are client-go's.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct LeaseTiming {
    /// How long other replicas respect an unchanged record. Written in whole seconds.
    pub lease: Duration,
    /// A leader that has not renewed for this long steps down.
    pub renew_deadline: Duration,
    /// The time between two attempts.
    pub retry: Duration,
    /// A standby waits up to this fraction of a retry period longer, so that several do not try at once. NB: with client-go's 1.2 a
    /// standby could observe a renewal 4.4 s late, and its wait starts there.
    pub jitter: f64,
}

impl Default for LeaseTiming {
    fn default() -> Self {
        Self {
            lease: Duration::from_secs(15),
            renew_deadline: Duration::from_secs(10),
            retry: Duration::from_secs(2),
            jitter: 0.2,
        }
    }
}

/// These times do not prevent two leaders.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "leader election needs: lease duration > renew deadline > retry period × (1 + jitter) > 0, lease duration at least 1 s"
)]
pub struct TimingError;

impl LeaseTiming {
    /// The deadline of one request: half the renew deadline, so that one lost answer does not end leadership. client-go uses the same for
    /// the client of an election (`resourcelock.NewFromKubeconfig`).
    pub(super) fn request(self) -> Duration {
        self.renew_deadline / 2
    }

    /// Checks the same as client-go: a leader must have time for two attempts.
    pub fn checked(self) -> Result<Self, TimingError> {
        let sound = self.lease >= Duration::from_secs(1)
            && self.lease > self.renew_deadline
            && self.jitter >= 0.0
            && self.renew_deadline.as_secs_f64() > self.retry.as_secs_f64() * (1.0 + self.jitter)
            && !self.retry.is_zero();
        sound.then_some(self).ok_or(TimingError)
    }
}

/// The relevant part of a Lease.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Record {
    /// Empty if there is no holder.
    pub(super) holder: String,
    /// `None`: absent or not positive.
    pub(super) lease: Option<Duration>,
    /// `uid` and `resourceVersion`. NB: every renewal changes it, even if the holder's wall clock stands still. As a trade-off, an edit of a
    /// label restarts the wait.
    pub(super) version: String,
}

/// The next move of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Move {
    /// Stop leading, before anything else.
    StepDown,
    /// Read the Lease.
    Read,
    /// Write the Lease, on the condition that it has not changed.
    Write(Write),
    /// Do nothing until the next attempt.
    Wait,
}

/// A write to the Lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Write {
    /// The Lease is absent.
    Create,
    /// It is held by another replica, or by none.
    Take,
    /// This replica holds it.
    Renew,
    /// Release it.
    Release,
}

#[derive(Debug, Clone)]
struct Seen {
    record: Option<Record>,
    /// When it may be taken if it does not change.
    free_from: Duration,
}

/// A candidate's view.
#[derive(Debug, Clone)]
pub(super) struct Election {
    identity: Identity,
    me: String,
    timing: LeaseTiming,
    seen: Option<Seen>,
    /// The last observation may be outdated, so nothing is written based on it.
    doubtful: bool,
    /// When the last successful write was sent.
    renewed: Option<Duration>,
}

impl Election {
    /// The identity must be unique to this process: two with the same name would both lead.
    pub(super) fn new(identity: Identity, timing: LeaseTiming) -> Self {
        Self {
            me: identity.holder(),
            identity,
            timing,
            seen: None,
            doubtful: true,
            renewed: None,
        }
    }

    /// The next move at `now`. Every move except `Wait` must be followed by the method that reports its result.
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

    /// The end of leadership unless a write succeeds.
    pub(super) fn leads_until(&self) -> Option<Duration> {
        self.renewed
            .map(|sent| sent.saturating_add(self.timing.renew_deadline))
    }

    /// The Lease was read; the answer arrived at `now`.
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
            // Its deletion does not stop its holder from leading.
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

    /// Whether a record of that holder makes no replica leader: it was released, or its process has ended.
    fn is_free(&self, holder: &str) -> bool {
        holder.is_empty() || self.identity.succeeds(holder)
    }

    /// When a Lease held by another replica may be taken, if it does not change.
    pub(super) fn free_from(&self) -> Option<Duration> {
        let seen = self.seen.as_ref()?;
        let others = seen
            .record
            .as_ref()
            .is_none_or(|record| record.holder != self.me);
        others.then_some(seen.free_from)
    }

    /// A write succeeded: it was sent at `sent`, and `record` is the result.
    pub(super) fn written(&mut self, record: Record, sent: Duration) {
        self.seen = Some(Seen {
            free_from: sent.saturating_add(self.timing.lease),
            record: Some(record),
        });
        self.doubtful = false;
        self.renewed = Some(sent);
    }

    /// A write was rejected, its outcome is unknown, or time has passed: the next move is a read.
    pub(super) fn doubt(&mut self) {
        self.doubtful = true;
    }

    /// Stops leading. If the record still names this replica, it may renew or release it.
    pub(super) fn step_down(&mut self) {
        self.renewed = None;
        self.doubtful = true;
    }

    /// Whether the last observed Lease names this replica, so that there is something to release.
    pub(super) fn holds(&self) -> bool {
        let record = self.seen.as_ref().and_then(|seen| seen.record.as_ref());
        record.is_some_and(|record| record.holder == self.me)
    }
}

#[cfg(test)]
mod tests;
