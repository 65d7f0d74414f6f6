//! Negative controls: the same faults with one mechanism of the protocol taken away on the wire. What then goes wrong must be found,
//! or the matrix would not find it either.

use std::time::Duration;

use zitadel_secret_operator::rotation::AttemptState;
use zitadel_simulator::Operation;

use super::cell::{self, Boundary, Cell, Setting};
use super::further::{at_rest, at_rest_in, at_rest_with, patient};
use super::invariants;
use super::lane::Lane;
use super::layer::{Act, Rule, Without};
use super::replica::Setup;
use crate::support::controlplane::ControlPlane;
use crate::support::eventually;
use crate::support::policy::{allow_secrets, deny_secrets};
use crate::support::world::PATIENCE;

/// What a run found to be wrong.
type Found = Vec<String>;

/// With the mechanism nothing is wrong, without it something that begins with `expected`; prints what.
async fn control<F>(mechanism: &str, expected: &str, run: impl Fn(bool) -> F)
where
    F: Future<Output = Found>,
{
    let (with, without) = tokio::join!(run(true), run(false));
    assert!(with.is_empty(), "with {mechanism}: {with:#?}");
    let found = without.iter().find(|what| what.starts_with(expected));
    assert!(found.is_some(), "without {mechanism}: {without:#?}");
    println!("control: without {mechanism}: {}", found.unwrap());
}

/// The claim is not durable before the call.
pub async fn write_ahead() {
    control("the claim before the call", "I2", unclaimed).await;
}

/// A claim is written over another holder's.
pub async fn claim_precondition() {
    control("the claim's precondition", "I4", two_claims).await;
}

/// A Secret is written over a newer one.
pub async fn secret_precondition() {
    control("the Secret's precondition", "I6", late_write).await;
}

/// A Secret that can't be written is found out too late.
pub async fn rehearsal() {
    control("the rehearsal", "I5", refused_write).await;
}

/// A former pair is retired although a consumer has it.
pub async fn consumers() {
    control("the sight of consumers", "I24", unseen).await;
}

async fn within(what: impl Future<Output = ()>) {
    let done = tokio::time::timeout(PATIENCE, what).await;
    assert!(done.is_ok(), "it never came to that");
}

/// Takes a mechanism away, unless it is to stay.
fn take_away(lane: &Lane, stays: bool, mechanism: Without) {
    if !stays {
        lane.wire.take_away(mechanism);
    }
}

/// A cell of the matrix, without a mechanism unless it is to stay.
async fn cell(boundary: Boundary, strike: u8, stays: bool, mechanism: Without) -> Found {
    let replicas = if strike == 13 { 2 } else { 1 };
    let (mut lane, _) = at_rest(replicas).await;
    let cell = Cell {
        boundary,
        strike,
        replicas,
        way: if strike == 13 { "before" } else { "" },
        setting: Setting::Alone,
        without: (!stays).then_some(mechanism),
    };
    cell::run(&mut lane, &cell).await.problems
}

async fn unclaimed(stays: bool) -> Found {
    cell(Boundary::Event, 7, stays, Without::WriteAhead).await
}

/// A replica stands still with a value that it has not written yet, until another one has written a newer one.
async fn late_write(stays: bool) -> Found {
    cell(Boundary::Apply, 13, stays, Without::SecretPrecondition).await
}

/// A replica that is about to claim stands still until another one has claimed and its call is under way.
async fn two_claims(stays: bool) -> Found {
    // NB: without the precondition the claim goes out as a patch, which the operator has no right to.
    let admin = ControlPlane::shared().await.admin_kubeconfig();
    let with_rights = |setup: &mut Setup| {
        patient(setup);
        setup.kubeconfig = admin.to_owned();
    };
    let (mut lane, app) = at_rest_with(2, with_rights).await;
    take_away(&lane, stays, Without::ClaimPrecondition);
    let gate = lane.zitadel.hold_before(Operation::Generate);
    let claims =
        |seen: &super::layer::Seen| seen.resource == "leases" && seen.claims(AttemptState::Open);
    lane.wire.add(Rule::new(vec![Act::FreezeBefore], claims));
    lane.trigger(&app, "b").await;
    within(gate.reached()).await;
    let victim = lane.wire.fired()[0].replica;
    lane.replica(victim).unwrap().controls.thaw();
    if stays {
        eventually(PATIENCE, || async {
            let writes = lane.wire.writes();
            let mut victims = writes.iter().filter(|write| write.seen.replica == victim);
            victims.any(|write| write.status == 409).then_some(())
        })
        .await;
    } else {
        eventually(PATIENCE, || async {
            let carried_out = !invariants::executed(&lane, &app).is_empty();
            carried_out.then_some(())
        })
        .await;
    }
    gate.release();
    lane.zitadel.clear_faults();
    let mut found = Found::new();
    if let Err(unrest) = lane.settle(&app, "b", PATIENCE).await {
        found.push(unrest);
    }
    let cell = Cell {
        boundary: Boundary::ClaimPut,
        strike: 0,
        replicas: 2,
        way: "",
        setting: Setting::Alone,
        without: None,
    };
    found.extend(invariants::check(&lane, &app, &cell).await);
    found
}

/// A consumer has the former pair, whether or not it is seen.
async fn unseen(stays: bool) -> Found {
    let (mut lane, app) = at_rest_in(Setting::Behind).await;
    lane.consumer().await;
    take_away(&lane, stays, Without::Consumers);
    lane.trigger(&app, "b").await;
    let mut found = Found::new();
    if stays {
        found.extend(lane.settle(&app, "b", PATIENCE).await.err());
    } else {
        eventually(PATIENCE, || async {
            let former = lane.zitadel.accepts(&app.id, &lane.adopted);
            (!former).then_some(())
        })
        .await;
    }
    let cell = Cell {
        boundary: Boundary::Pods,
        strike: 0,
        replicas: 1,
        way: "",
        setting: Setting::Behind,
        without: None,
    };
    found.extend(invariants::check(&lane, &app, &cell).await);
    found
}

/// A policy of the cluster refuses the write of the Secret, dry runs as well.
async fn refused_write(stays: bool) -> Found {
    let (mut lane, app) = at_rest(1).await;
    deny_secrets(&lane.client, &lane.namespace).await;
    take_away(&lane, stays, Without::Rehearsal);
    lane.trigger(&app, "b").await;
    eventually(PATIENCE, || async {
        let status = lane.objects().get(super::lane::NAME).await.unwrap().status;
        let text = serde_json::to_string(&status).unwrap();
        text.contains("SecretWriteRefused").then_some(())
    })
    .await;
    let mut found = Found::new();
    let generates = invariants::executed(&lane, &app).len();
    if generates > 0 {
        found.push(format!(
            "I5: {generates} generate(s) although the Secret can't be written"
        ));
    }
    allow_secrets(&lane.client, &lane.namespace).await;
    // What is held is written then, and nothing is made twice.
    if let Err(unrest) = lane
        .settle(&app, "b", PATIENCE + Duration::from_secs(60))
        .await
    {
        found.push(unrest);
    }
    let generates = invariants::executed(&lane, &app).len();
    if generates != 1 {
        found.push(format!("{generates} generates in the end"));
    }
    found
}
