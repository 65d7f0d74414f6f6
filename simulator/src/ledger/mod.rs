//! The ledger: every request received and every generate executed, as a test's ground truth.

pub(crate) mod record;

use std::sync::Mutex;

use jiff::Timestamp;

use crate::lock;
use crate::routes::Operation;
pub use record::{Counters, Effect, Execution, Outcome, RequestRecord};

#[derive(Debug, Default)]
pub(crate) struct Ledger(Mutex<State>);

#[derive(Debug, Default)]
struct State {
    last_id: u64,
    stopped: bool,
    requests: Vec<RequestRecord>,
    executions: Vec<Execution>,
    counters: Counters,
}

impl Ledger {
    /// Notes a request and returns its number.
    pub(crate) fn begin(&self, mut record: RequestRecord) -> u64 {
        let mut state = lock(&self.0);
        state.last_id += 1;
        record.id = state.last_id;
        *state.counters.requests.entry(record.operation).or_default() += 1;
        if record.operation.generates() {
            let counters = &mut state.counters;
            counters.generates_in_flight += 1;
            counters.max_generates_in_flight = counters
                .max_generates_in_flight
                .max(counters.generates_in_flight);
        }
        if !state.stopped {
            state.requests.push(record);
        }
        state.last_id
    }

    pub(crate) fn finish(&self, id: u64, operation: Operation, outcome: Outcome) {
        let mut state = lock(&self.0);
        if operation.generates() {
            state.counters.generates_in_flight =
                state.counters.generates_in_flight.saturating_sub(1);
        }
        // Requests are in the order of their ids; after `clear` this one may be gone.
        if let Ok(index) = state.requests.binary_search_by_key(&id, |record| record.id)
            && let Some(record) = state.requests.get_mut(index)
        {
            record.finished_at = Some(Timestamp::now());
            record.outcome = outcome;
        }
    }

    pub(crate) fn execute(&self, execution: Execution) {
        let mut state = lock(&self.0);
        state.counters.executions += 1;
        if !state.stopped {
            state.executions.push(execution);
        }
    }

    pub(crate) fn connect(&self) {
        lock(&self.0).counters.connections += 1;
    }

    pub(crate) fn requests(&self) -> Vec<RequestRecord> {
        lock(&self.0).requests.clone()
    }

    pub(crate) fn executions(&self) -> Vec<Execution> {
        lock(&self.0).executions.clone()
    }

    pub(crate) fn counters(&self) -> Counters {
        lock(&self.0).counters.clone()
    }

    pub(crate) fn count_executions(&self, app: &str) -> u64 {
        let count = lock(&self.0)
            .executions
            .iter()
            .filter(|execution| execution.app == app)
            .count();
        u64::try_from(count).unwrap_or(u64::MAX)
    }

    /// Forgets records and counters, but not what is in flight.
    pub(crate) fn clear(&self) {
        let mut state = lock(&self.0);
        state.requests.clear();
        state.executions.clear();
        let in_flight = state.counters.generates_in_flight;
        state.counters = Counters {
            generates_in_flight: in_flight,
            max_generates_in_flight: in_flight,
            ..Counters::default()
        };
    }

    pub(crate) fn record(&self, on: bool) {
        lock(&self.0).stopped = !on;
    }
}
