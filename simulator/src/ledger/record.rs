//! What the ledger records. Does no I/O.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;

use crate::routes::{Api, Operation};
use crate::world::secret::SecretValue;

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
    /// The API that it was called through.
    pub api: Api,
    /// Project id in the path or body.
    pub project: Option<String>,
    /// App id in the path or body, or that of the client at an OAuth endpoint.
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
