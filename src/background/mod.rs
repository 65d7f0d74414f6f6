//! What is done from time to time rather than on an event.
//!
//! * [`drift`] finds rotations by other actors, [`restore`] an API server that was restored from a backup
//! * [`sweep`] deletes the claims of applications that no object names
//! * [`standby_replica`] is what a replica does while another one leads
//! * [`usage`] counts the objects of each connection
//! * [`health`] and [`inventory`] report to `/ready` and the metrics

pub(crate) mod drift;
pub(crate) mod health;
pub(crate) mod inventory;
pub(crate) mod restore;
pub(crate) mod standby_replica;
pub(crate) mod sweep;
pub(crate) mod usage;

use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Interval, MissedTickBehavior, interval};

use crate::reconcile::context::Context;

/// An interval that waits a whole period after a late tick, and does not make up for missed ones.
pub(crate) fn every(period: Duration) -> Interval {
    let mut ticks = interval(period);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    ticks
}

/// Wakes the objects that wait for a slot, in case a wake-up was missed.
pub async fn wake_waiters_periodically(context: Arc<Context>) {
    let mut ticks = every(Duration::from_secs(15));
    loop {
        ticks.tick().await;
        context.pools.wake_waiters();
    }
}
