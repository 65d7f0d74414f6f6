//! The calls to ZITADEL over one connection. They are counted where the connection is kept, so that its series go with it. No I/O.

use std::collections::BTreeMap;

use parking_lot::Mutex;

/// The calls over a connection, by operation and outcome: both from closed lists.
#[derive(Debug, Default)]
pub struct RequestCounts(Mutex<BTreeMap<(&'static str, &'static str), u64>>);

impl RequestCounts {
    /// Counts a call.
    pub fn count(&self, operation: &'static str, outcome: &'static str) {
        *self.0.lock().entry((operation, outcome)).or_default() += 1;
    }

    /// Operation, outcome and number.
    pub fn current(&self) -> Vec<(&'static str, &'static str, u64)> {
        let counts = self.0.lock();
        let counts = counts.iter();
        counts
            .map(|((operation, outcome), count)| (*operation, *outcome, *count))
            .collect()
    }
}
