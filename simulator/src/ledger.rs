//! The ledger: every request received and every generate executed, as a test's ground truth.

use std::collections::BTreeMap;
use std::sync::Mutex;

use jiff::Timestamp;
use serde::Serialize;

use crate::lock;
use crate::routes::Operation;
use crate::secret::SecretValue;

/// A request that reached the server.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct RequestRecord {
    /// Rising number, from 1.
    pub id: u64,
    /// When it was read, by the real clock.
    pub received_at: Timestamp,
    /// When its answer was ready, or it was given up.
    pub finished_at: Option<Timestamp>,
    /// HTTP method.
    pub method: String,
    /// Path and query string.
    pub path: String,
    /// Operation.
    pub operation: Operation,
    /// Project id in the path or body.
    pub project: Option<String>,
    /// App id in the path or body, or that of the client at introspection.
    pub app: Option<String>,
    /// Value of the attempt header.
    pub attempt: Option<String>,
    /// Value of `x-zitadel-orgid`.
    pub org: Option<String>,
    /// Who authenticated.
    pub user: Option<String>,
    /// Number of the connection.
    pub connection: u64,
    /// HTTP version, such as `HTTP/2.0`.
    pub version: String,
    /// How it ended.
    pub outcome: Outcome,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Outcome {
    /// Not yet.
    Open,
    /// With this status. The client may have hung up before.
    Answered(u16),
    /// The connection was ended by a fault.
    Dropped,
    /// The client had hung up before the execution, so nothing was executed.
    RolledBack,
}

/// A rotation that was executed.
#[derive(Clone, Debug, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Execution {
    /// The request that caused it; nothing: done by the test or by a scripted actor.
    pub request: Option<u64>,
    /// When, by the real clock.
    pub executed_at: Timestamp,
    /// Value of the attempt header.
    pub attempt: Option<String>,
    /// Project.
    pub project: String,
    /// App.
    pub app: String,
    /// Acting user.
    pub editor: String,
    /// Sequence of its event.
    pub sequence: u64,
    /// Date of its event, by ZITADEL's clock.
    pub change_date: Timestamp,
    /// The value it made.
    #[serde(skip)]
    pub secret: SecretValue,
    /// Whether the value came, or comes, to life.
    pub effect: Effect,
}

/// Whether a rotation's value comes to life.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Effect {
    /// When the projection reaches it.
    Applied,
    /// Never: the projection passes it by, or another rotation at the same time replaces it.
    None,
}

/// Counters that survive [`crate::Simulator::stop_recording`].
#[derive(Clone, Debug, Default, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Counters {
    /// Requests by operation.
    pub requests: BTreeMap<Operation, u64>,
    /// Executed rotations.
    pub executions: u64,
    /// Generate requests being worked on now.
    pub generates_in_flight: u64,
    /// Most of them at any time.
    pub max_generates_in_flight: u64,
    /// Connections accepted.
    pub connections: u64,
}

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
