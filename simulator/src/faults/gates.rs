//! Gates: a request waits at one until the test opens it. Works across runtimes.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use tokio::sync::{Semaphore, watch};

use crate::lock;

/// A place where requests are held until the test lets them go.
#[derive(Clone, Debug)]
pub struct Gate {
    name: Arc<str>,
    arrived: Arc<watch::Sender<u64>>,
    permits: Arc<Semaphore>,
}

impl Gate {
    fn new(name: &str) -> Self {
        Self {
            name: name.into(),
            arrived: Arc::new(watch::Sender::new(0)),
            permits: Arc::new(Semaphore::new(0)),
        }
    }

    /// The name by which [`crate::Action`] refers to this gate.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Waits until at least one request has arrived.
    pub async fn reached(&self) {
        self.reached_by(1).await;
    }

    /// Waits until at least this many requests have arrived, counted since the gate was made.
    pub async fn reached_by(&self, count: u64) {
        // The sender lives in `self`, so the wait cannot fail.
        let _ = self
            .arrived
            .subscribe()
            .wait_for(|arrived| *arrived >= count)
            .await;
    }

    /// Requests that have arrived since the gate was made.
    pub fn arrived(&self) -> u64 {
        *self.arrived.borrow()
    }

    /// Opens the gate for everybody, for good.
    pub fn release(&self) {
        self.permits.close();
    }

    /// Lets one request pass.
    pub fn release_one(&self) {
        self.permits.add_permits(1);
    }

    pub(crate) async fn pass(&self) {
        self.arrived.send_modify(|arrived| *arrived += 1);
        // An error means that the gate is open for good.
        if let Ok(permit) = self.permits.acquire().await {
            permit.forget();
        }
    }
}

/// All gates by name.
#[derive(Debug, Default)]
pub(crate) struct Gates(Mutex<HashMap<String, Gate>>);

impl Gates {
    /// The gate of this name, made when first asked for.
    pub(crate) fn named(&self, name: &str) -> Gate {
        lock(&self.0)
            .entry(name.to_owned())
            .or_insert_with(|| Gate::new(name))
            .clone()
    }

    /// Opens every gate and forgets it: the name makes a new one.
    pub(crate) fn release_all(&self) {
        for (_, gate) in lock(&self.0).drain() {
            gate.release();
        }
    }
}
