//! Leader election on a `coordination.k8s.io/v1` Lease, by client-go's rules.
//!
//! It saves work and requests; the safety of a credential does not depend on it. It is still strict: writes are conditional,
//! expiry is judged by observed changes on this process's own clock, and a holder that cannot renew steps down before another
//! replica may take over.

use std::sync::Arc;
use std::time::Duration;

use kube::Client;
use tokio::sync::watch;
use tokio_util::sync::CancellationToken;

use super::clock::Clock;
use super::log_limit::LogLimit;
use super::relist::Relist;

mod election;
mod lease;
#[cfg(test)]
mod tests;

use election::{Election, Move, Write};
pub use election::{Identity, LeaseTiming, TimingError};
use lease::{LeaseStore, WriteError};

/// Whether this replica is active or a standby.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Leadership {
    /// Another replica leads, or none.
    #[default]
    Standby,
    /// This replica leads.
    Leading,
}

/// The state that the elector publishes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
struct Published {
    state: Leadership,
    /// The end of leadership unless the Lease is renewed, since boot.
    until: Duration,
    /// How many times this process began to lead.
    terms: u64,
}

/// Observes whether this replica leads; clones share it.
#[derive(Clone)]
pub struct LeadershipWatch {
    published: watch::Receiver<Published>,
    clock: Arc<dyn Clock>,
    /// Keeps the channel open when there is no elector.
    _always: Option<Arc<watch::Sender<Published>>>,
}

impl LeadershipWatch {
    /// Without leader election: every replica leads from the start.
    pub fn always(clock: Arc<dyn Clock>) -> Self {
        let (sender, published) = watch::channel(Published {
            state: Leadership::Leading,
            until: Duration::MAX,
            terms: 1,
        });
        Self {
            published,
            clock,
            _always: Some(Arc::new(sender)),
        }
    }

    /// Whether this replica leads. This includes the clock: a process that was suspended must not start anything before the elector has
    /// renewed its Lease.
    pub fn leads(&self) -> bool {
        let published = *self.published.borrow();
        published.state == Leadership::Leading && self.clock.boot() < published.until
    }

    /// How many times this process has begun to lead.
    pub fn terms(&self) -> u64 {
        self.published.borrow().terms
    }

    /// Waits until this replica begins or ceases to lead. Never returns after the elector has ended.
    pub async fn changed(&mut self) {
        if self.published.changed().await.is_err() {
            std::future::pending::<()>().await;
        }
    }

    /// Waits until this replica leads. Returns `false` if the elector has ended, so that it never will.
    pub async fn leading(&self) -> bool {
        let mut published = self.published.clone();
        published
            .wait_for(|published| published.state == Leadership::Leading)
            .await
            .is_ok()
    }

    /// Waits until this replica does not lead.
    pub async fn standby(&self) {
        let mut published = self.published.clone();
        // NB: an error means that the elector has ended, and leadership with it.
        let _ = published
            .wait_for(|published| published.state == Leadership::Standby)
            .await;
    }
}

/// A candidate.
pub struct LeaderElector {
    election: Election,
    store: LeaseStore,
    timing: LeaseTiming,
    clock: Arc<dyn Clock>,
    state: watch::Sender<Published>,
    namespace: String,
    log: LogLimit,
}

impl LeaderElector {
    /// `client` should be one of its own, without retries ([`super::kube_client`]), so that renewals never queue behind other
    /// requests.
    pub fn new(
        client: Client,
        namespace: &str,
        name: &str,
        identity: Identity,
        timing: LeaseTiming,
        clock: Arc<dyn Clock>,
        relist: Relist,
    ) -> Result<Self, TimingError> {
        let timing = timing.checked()?;
        Ok(Self {
            store: LeaseStore::new(client, namespace, name, &identity.holder(), timing, relist),
            election: Election::new(identity, timing),
            timing,
            clock,
            state: watch::Sender::default(),
            namespace: namespace.to_owned(),
            log: LogLimit::default(),
        })
    }

    /// A watch of whether this replica leads.
    pub fn watch(&self) -> LeadershipWatch {
        LeadershipWatch {
            published: self.state.subscribe(),
            clock: Arc::clone(&self.clock),
            _always: None,
        }
    }

    /// Takes part until `release`, then releases the Lease if this replica holds it.
    ///
    /// Cancel `release` only after the last flush. If something could not be written, drop this future instead: the
    /// Lease then expires, and the next leader starts no earlier than necessary.
    pub async fn run(mut self, release: CancellationToken) {
        loop {
            let started = self.clock.boot();
            self.attempt().await;
            let pause = self.pause(started);
            if release
                .run_until_cancelled(tokio::time::sleep(pause))
                .await
                .is_none()
            {
                break;
            }
        }
        self.release().await;
    }

    /// One attempt: at most a read and a write, and once more after a conflict.
    async fn attempt(&mut self) {
        for _ in 0..5 {
            let now = self.clock.boot();
            match self.election.next(now) {
                Move::StepDown => {
                    self.election.step_down();
                    self.publish();
                }
                Move::Read => {
                    if !self.read().await {
                        break;
                    }
                }
                Move::Write(write) => match self.write(write, now).await {
                    Some(WriteError::Conflict) => {}
                    None
                    | Some(
                        WriteError::NoNamespace | WriteError::Refused(_) | WriteError::Unknown(_),
                    ) => break,
                },
                Move::Wait => break,
            }
        }
        self.publish();
        if !self.election.leads(self.clock.boot()) {
            self.election.doubt();
        }
    }

    /// Returns whether there was an answer.
    async fn read(&mut self) -> bool {
        let limit = self.limit();
        match tokio::time::timeout(limit, self.store.read()).await {
            Ok(Ok(record)) => {
                self.election.read(record, self.clock.boot());
                true
            }
            Ok(Err(error)) => {
                if let Some(left_out) = self.log.allows("read") {
                    let namespace = &self.namespace;
                    tracing::warn!(%error, namespace, left_out, "the leader election Lease cannot be read");
                }
                false
            }
            Err(_) => {
                if let Some(left_out) = self.log.allows("read") {
                    tracing::warn!(left_out, "reading the leader election Lease took too long");
                }
                false
            }
        }
    }

    /// `sent` is from before the request, so that leadership ends early rather than late.
    async fn write(&mut self, write: Write, sent: Duration) -> Option<WriteError> {
        let limit = self.limit();
        let error =
            match tokio::time::timeout(limit, self.store.write(write, self.clock.wall())).await {
                Ok(Ok(record)) => {
                    self.election.written(record, sent);
                    return None;
                }
                Ok(Err(error)) => error,
                Err(elapsed) => WriteError::Unknown(kube::Error::Service(elapsed.into())),
            };
        self.election.doubt();
        match &error {
            WriteError::Conflict => {
                tracing::debug!("the leader election Lease was changed by another");
            }
            WriteError::NoNamespace => {
                if let Some(left_out) = self.log.allows("namespace") {
                    let namespace = &self.namespace;
                    tracing::warn!(
                        namespace,
                        left_out,
                        "no replica can lead: the namespace of the leader election Lease does not exist"
                    );
                }
            }
            WriteError::Refused(cause) => {
                if let Some(left_out) = self.log.allows("refused") {
                    let namespace = &self.namespace;
                    tracing::warn!(error = %cause, namespace, left_out, "the leader election Lease must not be written: check RBAC and admission webhooks");
                }
            }
            WriteError::Unknown(cause) => {
                if let Some(left_out) = self.log.allows("write") {
                    let namespace = &self.namespace;
                    tracing::warn!(error = %cause, namespace, left_out, "it is not known whether the leader election Lease was written");
                }
            }
        }
        Some(error)
    }

    async fn release(&mut self) {
        let held = self.election.holds();
        // NB: stop leading before another replica may begin.
        self.election.step_down();
        self.publish();
        if !held {
            return;
        }
        for _ in 0..2 {
            let sent = self.clock.boot();
            match self.write(Write::Release, sent).await {
                Some(WriteError::Conflict) if self.read().await && self.election.holds() => {}
                _ => break,
            }
        }
        self.election.step_down();
    }

    /// The deadline of a request, which does not exceed the remaining leadership.
    fn limit(&self) -> Duration {
        self.timing
            .request()
            .min(self.remaining().unwrap_or(Duration::MAX))
    }

    /// The remaining leadership if nothing is written.
    fn remaining(&self) -> Option<Duration> {
        let now = self.clock.boot();
        let until = self.election.leads_until()?;
        Some(until.saturating_sub(now))
    }

    /// The time until the next attempt, counted from the start of the last one, so that a slow API server also answers the next one in time.
    fn pause(&self, started: Duration) -> Duration {
        let now = self.clock.boot();
        let took = now.saturating_sub(started);
        if let Some(remaining) = self.remaining() {
            return self.timing.retry.saturating_sub(took).min(remaining);
        }
        let pause = self
            .timing
            .retry
            .mul_f64(1.0 + fastrand::f64() * self.timing.jitter)
            .saturating_sub(took);
        // It is known when the Lease expires, so a standby need not take over any later. If several standbys try then, one writes and the
        // others get a conflict.
        let free = self
            .election
            .free_from()
            .map(|free| free.saturating_sub(now))
            .filter(|left| !left.is_zero());
        free.map_or(pause, |left| left.min(pause))
    }

    fn publish(&self) {
        let leads = self.election.leads(self.clock.boot());
        let until = self.election.leads_until().unwrap_or_default();
        let state = if leads {
            Leadership::Leading
        } else {
            Leadership::Standby
        };
        self.state.send_if_modified(|current| {
            let changed = current.state != state;
            current.until = until;
            if changed {
                tracing::info!(?state, "leadership");
                current.state = state;
                current.terms += u64::from(state == Leadership::Leading);
            }
            changed
        });
    }
}

impl Drop for LeaderElector {
    // A dropped candidate renews nothing, so its watches must not report that it leads.
    fn drop(&mut self) {
        self.election.step_down();
        self.publish();
    }
}
