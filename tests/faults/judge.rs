//! Introspection that hangs or answers late while a new value is proven: the value is not lost, the dark window has an end, and nothing
//! untrue is said meanwhile.

use std::time::Duration;

use jiff::Timestamp;
use zitadel_secret_operator::api::{AppSecret, ConditionType, Status};
use zitadel_simulator::{Action, AppHandle, Execution, Fault as Script, Operation};

use super::further::{PATIENCE, at_rest_beside};
use super::invariants;
use super::lane::Lane;
use crate::support::eventually;

/// The time to prove a value. A question on each pair with so much time of its own would take twice as long.
const PROVE: Duration = Duration::from_secs(2);
/// For one write, on a busy machine.
const WRITE: Duration = Duration::from_millis(1500);

async fn lane(replicas: usize, standby: bool) -> (Lane, AppHandle) {
    let change = |setup: &mut super::replica::Setup| {
        setup.timing.prove = PROVE;
        setup.timing.lag = PROVE * 5;
        // No replica takes the attempt over meanwhile.
        setup.timing.takeover = PATIENCE * 4;
    };
    at_rest_beside(replicas, standby, change).await
}

/// The rotation that was made.
async fn made(lane: &Lane, app: &AppHandle) -> Execution {
    eventually(PATIENCE, || async {
        invariants::executed(lane, app).first().cloned()
    })
    .await
}

/// Waits until it is stored, and returns how long after its execution that was.
async fn stored_after(lane: &Lane, made: &Execution) -> Duration {
    eventually(PATIENCE, || async {
        (lane.stored().await? == made.secret.expose()).then_some(())
    })
    .await;
    Timestamp::now()
        .duration_since(made.executed_at)
        .unsigned_abs()
}

/// What an object says of its value.
fn says(object: &AppSecret) -> (bool, Option<bool>) {
    let Some(status) = &object.status else {
        return (false, None);
    };
    let of = |type_| status.conditions.get(type_).map(|it| it.status);
    let verified = match of(ConditionType::Verified) {
        Some(Status::True) => Some(true),
        Some(Status::False) => Some(false),
        _ => None,
    };
    (status.conditions.is_true(ConditionType::Ready), verified)
}

/// Never ready over a value that was rejected, and never a verdict on the new value before there is one.
fn assert_no_lie(lane: &Lane, made: &Execution, judged: bool) {
    for object in lane.history.objects() {
        let (ready, verified) = says(&object);
        assert!(!(ready && verified == Some(false)), "{:?}", object.status);
        let sequence = object.status.as_ref().and_then(|it| it.sequence.clone());
        let of_new = sequence == Some(made.sequence.to_string());
        assert!(
            judged || !of_new || verified.is_none(),
            "there is no verdict: {:?}",
            object.status
        );
    }
}

/// What the object says came of it.
fn outcome(lane: &Lane, made: &Execution) -> Option<String> {
    let sequence = Some(made.sequence.to_string());
    let said = lane.history.objects().into_iter();
    let said = said.flat_map(|object| object.status.unwrap_or_default().history);
    said.filter(|entry| entry.sequence == sequence)
        .map(|entry| entry.outcome)
        .next()
}

/// From now on no question to it is answered. Returns the fault.
fn answers_nothing(lane: &Lane) -> u64 {
    let hang = Action::DelayBefore {
        delay: PATIENCE * 4,
        outlives_client: false,
    };
    lane.zitadel
        .inject(Script::on(Operation::Introspect, hang).always())
}

/// It answers nothing.
pub async fn hangs(replicas: usize) {
    let (mut lane, app) = lane(replicas, false).await;
    let hang = answers_nothing(&lane);
    lane.history.clear();
    lane.trigger(&app, "b").await;
    let made = made(&lane, &app).await;
    let dark = stored_after(&lane, &made).await;
    assert!(dark <= PROVE + WRITE, "dark for {dark:?}");
    lane.says("NoVerdict").await;
    assert_no_lie(&lane, &made, false);
    lane.zitadel.remove_fault(hang);
    lane.ends_with(&app, "b", 1).await;
    assert_no_lie(&lane, &made, true);
}

/// It answers nothing, and the pair in the Secret is another application's, which works: that stays until the new one is proven.
pub async fn hangs_beside_a_standby(replicas: usize) {
    let (mut lane, app) = lane(replicas, true).await;
    let before = lane.stored().await;
    let hang = answers_nothing(&lane);
    lane.history.clear();
    lane.trigger(&app, "b").await;
    let made = made(&lane, &app).await;
    lane.says("SecretHeld").await;
    // Longer than a value is proven.
    eventually(PATIENCE, || async {
        let since = Timestamp::now().duration_since(made.executed_at);
        assert_eq!(
            lane.stored().await,
            before,
            "the pair that works was replaced"
        );
        (since.unsigned_abs() > PROVE + WRITE).then_some(())
    })
    .await;
    assert_no_lie(&lane, &made, false);
    lane.zitadel.remove_fault(hang);
    lane.ends_with(&app, "b", 1).await;
    assert_no_lie(&lane, &made, true);
}

/// Each answer takes longer than a value usually needs to be proven, and not as long as there is for one question.
pub async fn answers_late(replicas: usize) {
    for standby in [false, true] {
        let (mut lane, app) = lane(replicas, standby).await;
        let late = Action::DelayAfter(PROVE / 3);
        let late = lane
            .zitadel
            .inject(Script::on(Operation::Introspect, late).always());
        lane.history.clear();
        lane.trigger(&app, "b").await;
        let made = made(&lane, &app).await;
        let dark = stored_after(&lane, &made).await;
        assert!(dark <= PROVE + WRITE, "{standby}: dark for {dark:?}");
        lane.ends_with(&app, "b", 1).await;
        assert_no_lie(&lane, &made, true);
        let ended = outcome(&lane, &made);
        assert_eq!(ended.as_deref(), Some("Published"), "{standby}: unproven");
        lane.zitadel.remove_fault(late);
    }
}
