//! What a fault may do to a request. Does no I/O.

use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::config::millis;
use crate::faults::replies::Reply;

/// How a connection ends.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Cut {
    /// FIN.
    #[default]
    Close,
    /// RST.
    Reset,
}

/// Which of two executions is answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Which {
    /// The first.
    First,
    /// The second.
    Second,
}

/// What a fault does. Several rules may hit one request; their actions add up, in the order in which they were made.
#[derive(Clone, Debug, PartialEq, Deserialize, Serialize)]
#[serde(rename_all = "camelCase")]
pub enum Action {
    /// Before execution: wait. `outlives_client`: executed even if the client has hung up, as from a proxy's queue.
    #[serde(rename_all = "camelCase")]
    DelayBefore {
        /// How long, in milliseconds.
        #[serde(with = "millis")]
        delay: Duration,
        /// Executed even if the client has hung up.
        #[serde(default)]
        outlives_client: bool,
    },
    /// Before execution: wait at a gate.
    #[serde(rename_all = "camelCase")]
    HoldBefore {
        /// Name of the gate.
        gate: String,
        /// Executed even if the client has hung up.
        #[serde(default)]
        outlives_client: bool,
    },
    /// Answer without execution.
    RespondBefore(Reply),
    /// End the connection without execution.
    DropBefore(Cut),
    /// Executed twice, as from a retrying middlebox.
    Duplicate(Which),
    /// The rotation's event is in the journal, the projection passes it by for good, the old secret stays valid.
    WithoutEffect,
    /// Another rotation at the same time. The first has the lower sequence and the later date and survives; the second is dead.
    Crossed(Which),
    /// After execution: wait.
    DelayAfter(#[serde(with = "millis")] Duration),
    /// After execution: wait at a gate.
    HoldAfter {
        /// Name of the gate.
        gate: String,
    },
    /// Executed, but answered with something else.
    RespondAfter(Reply),
    /// Executed, then the connection ends without an answer.
    DropAfter(Cut),
    /// Executed; the connection ends after this many bytes of the body.
    Truncate(usize),
    /// Executed; another body with the same status and headers.
    ReplaceBody(String),
    /// Executed; bytes that are no UTF-8 instead of the body.
    Garbage,
    /// Executed; the JSON body grows by this many bytes.
    Oversize(usize),
    /// Executed; the body is followed by blanks that never end.
    Endless,
    /// Executed; a wrong content type.
    ContentType(String),
    /// Executed; compressed although the client did not ask for it.
    Gzip,
}
