//! Scripting a running simulator: faults, gates, and what the ledger says afterwards.

use crate::Simulator;
use crate::faults::actions::{Action, Cut};
use crate::faults::gates::Gate;
use crate::faults::{Fault, FaultState};
use crate::ledger::{Counters, Execution, RequestRecord};
use crate::random;
use crate::routes::Operation;

impl Simulator {
    /// Adds a fault; its number says later how often it fired.
    pub fn inject(&self, fault: Fault) -> u64 {
        self.shared.faults.add(fault)
    }

    /// Requests that a fault has hit.
    pub fn fired(&self, fault: u64) -> u64 {
        self.shared.faults.fired(fault)
    }

    /// All faults with their counters.
    pub fn faults(&self) -> Vec<FaultState> {
        self.shared.faults.states()
    }

    /// Removes one fault.
    pub fn remove_fault(&self, fault: u64) {
        self.shared.faults.remove(fault);
    }

    /// Removes every fault and opens every gate.
    pub fn clear_faults(&self) {
        self.shared.faults.clear();
        self.shared.gates.release_all();
    }

    /// The gate of this name, made when first asked for.
    pub fn gate(&self, name: &str) -> Gate {
        self.shared.gates.named(name)
    }

    /// Holds the next request of this operation before its execution.
    pub fn hold_before(&self, operation: Operation) -> Gate {
        let gate = self.gate(&format!("hold-{}", random::token(12)));
        self.inject(Fault::on(
            operation,
            Action::HoldBefore {
                gate: gate.name().to_owned(),
                outlives_client: false,
            },
        ));
        gate
    }

    /// Holds the next answer of this operation after its execution.
    pub fn hold_after(&self, operation: Operation) -> Gate {
        let gate = self.gate(&format!("hold-{}", random::token(12)));
        self.inject(Fault::on(
            operation,
            Action::HoldAfter {
                gate: gate.name().to_owned(),
            },
        ));
        gate
    }

    /// Ends every open connection.
    pub fn cut_connections(&self, cut: Cut) {
        self.shared.cut_connections(cut);
    }

    /// Every request received, in order.
    pub fn request_log(&self) -> Vec<RequestRecord> {
        self.shared.ledger.requests()
    }

    /// Every rotation executed, in order, by whomever.
    pub fn executions(&self) -> Vec<Execution> {
        self.shared.ledger.executions()
    }

    /// Rotations executed for one app.
    pub fn generates(&self, app: &str) -> u64 {
        self.shared.ledger.count_executions(app)
    }

    /// Requests of one operation.
    pub fn requests(&self, operation: Operation) -> u64 {
        self.counters()
            .requests
            .get(&operation)
            .copied()
            .unwrap_or(0)
    }

    /// Counters.
    pub fn counters(&self) -> Counters {
        self.shared.ledger.counters()
    }

    /// Forgets what the ledger holds.
    pub fn clear_ledger(&self) {
        self.shared.ledger.clear();
    }

    /// Keeps counters only, from now on: for long runs.
    pub fn stop_recording(&self) {
        self.shared.ledger.record(false);
    }
}
