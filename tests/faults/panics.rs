//! Panics of the operator: bugs that are not known yet.

use zitadel_secret_operator::process::shutdown::ExitCode;
use zitadel_simulator::Operation;

use super::further::{PATIENCE, at_rest, at_rest_with, patient};
use super::invariants;
use super::layer::{Act, Rule};
use super::replica::End;
use crate::support::eventually;

/// The task that writes a value panics: it is the only one that has it.
pub async fn while_a_value_is_written() {
    let (mut lane, app) = at_rest(1).await;
    lane.wire.add(Rule::new(vec![Act::Panic], |seen| {
        seen.verb == "patch" && seen.resource == "secrets" && !seen.dry_run
    }));
    lane.trigger(&app, "b").await;
    lane.ends_with(&app, "b", 1).await;
    assert_eq!(lane.wire.fired().len(), 1);
    assert!(!lane.replicas[0].has_ended(), "the others go on");
}

/// A reconciliation panics, which takes all reconciliations along, while a value is on its way.
pub async fn while_a_value_is_held() {
    let (mut lane, app) = at_rest_with(1, patient).await;
    let gate = lane.zitadel.hold_after(Operation::Generate);
    lane.trigger(&app, "b").await;
    gate.reached().await;
    // No task waits for the call any more when the object says that it is under way.
    lane.wire.add(Rule::new(vec![Act::Panic], |seen| {
        seen.resource == "apiappsecrets/status"
    }));
    eventually(PATIENCE, || async {
        (lane.wire.fired().len() == 1).then_some(())
    })
    .await;
    let mut replica = lane.replicas.remove(0);
    assert_eq!(replica.holding.count(), 1);
    assert!(!replica.has_ended(), "it waits for what it holds");
    gate.release();
    assert_eq!(replica.ended().await, End::Exited(ExitCode::Panicked));
    lane.fill().await.unwrap();
    lane.settle(&app, "b", PATIENCE).await.unwrap();
    assert_eq!(invariants::executed(&lane, &app).len(), 1);
}
