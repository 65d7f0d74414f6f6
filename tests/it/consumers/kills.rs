//! A batch of restarts whose operator is killed again and again.

use super::restart::{Kubelet, rotated};
use super::*;

const WORKLOADS: usize = 50;
const KILLS: usize = 10;

#[tokio::test]
#[ignore = "takes minutes; `make outage` runs it for its figure"]
async fn each_of_fifty_workloads_is_restarted_once_however_often_the_operator_is_killed() {
    let world = World::shared().await;
    let mut operator = world.own_operator(&ARGUMENTS).await;
    grant(world, &operator.namespace).await;
    let tenant = operator.tenant_at("kills", world, &world.zitadel).await;
    let it = Arc::new(Consuming { tenant });
    let restart = json!({"restart": "WhenStale"});
    it.tenant.issued("orders", rotated("0", &restart)).await;
    let kubelet = Kubelet::start(&it);
    let names: Vec<_> = (0..WORKLOADS).map(|n| format!("w-{n:02}")).collect();
    let names: Vec<_> = names.iter().map(String::as_str).collect();
    kubelet.let_in(&names);
    for name in &names {
        it.deployment(name).await;
    }
    it.rolled_out(&names).await;
    it.tenant.trigger("orders", "1").await;
    for kill in 1..=KILLS {
        // Spread over the batch: before each, some more were restarted.
        let so_far = WORKLOADS * kill / (KILLS + 1);
        eventually(PATIENCE * 5, || async {
            (it.restarted().await.len() >= so_far).then_some(())
        })
        .await;
        operator.kill_and_start_again();
    }
    it.until("AllCurrent").await;
    let mut restarts = 0;
    for (name, annotations) in it.annotated().await {
        assert_eq!(annotations.len(), 1, "{name}: {annotations:?}");
        let deployment = it.deployments().get(&name).await.unwrap();
        restarts += deployment.metadata.generation.unwrap() - 1;
    }
    println!("figure restart_batch_restarts {restarts} restarts");
    assert_eq!(restarts, i64::try_from(WORKLOADS).unwrap());
}
