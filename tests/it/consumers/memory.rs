//! What a thousand large Pods cost the operator.

use std::fs;

use futures::{StreamExt as _, stream};
use kube::api::ListParams;

use super::*;

const PODS: usize = 1000;
/// Bytes of annotations, and of a variable, in each Pod. The API server takes 256 KiB of annotations.
const HALF: usize = 250_000;
/// A pass and a thousand prompts, ten a second, on a busy machine.
const BATCH: u32 = 20;
/// Between the memory before and the most during the batch.
const GOAL_MIB: f64 = 20.0;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
#[ignore = "takes minutes; `make outage` runs it for its figures"]
async fn a_thousand_pods_of_half_a_megabyte_cost_little_memory_and_one_prompt_each() {
    let world = World::shared().await;
    let operator = world.own_operator(&["--consumers-refresh", "true"]).await;
    grant(world, &operator.namespace).await;
    let tenant = operator.tenant_at("memory", world, &world.zitadel).await;
    let it = Consuming { tenant };
    let extra = json!({"rotation": {"trigger": "0"}});
    it.tenant.issued("orders", extra).await;
    it.until("AllCurrent").await;
    it.pod("first", directory(), json!({})).await;
    let made = stream::iter(1..PODS).map(|number| it.large(number));
    made.buffer_unordered(8).collect::<Vec<_>>().await;

    let pid = operator.operator.pid();
    let idle = mebibytes(pid, "VmRSS");
    let before = Requests::read(&operator).await;
    // From now on the peak is counted anew.
    fs::write(format!("/proc/{pid}/clear_refs"), "5").unwrap();
    it.tenant.trigger("orders", "1").await;
    eventually(PATIENCE * BATCH, || async {
        let object = it.tenant.objects().get("orders").await.unwrap();
        let status = object.status.as_ref()?;
        let consumers = status.consumers.as_ref()?;
        let handled = status.observed_trigger.as_deref() == Some("1");
        let of_last = consumers.attempt == status.last_rotation.as_ref()?.attempt;
        let is_over = reason(&object, ConditionType::ConsumersCurrent) == "AllCurrent";
        (handled && of_last && is_over).then_some(())
    })
    .await;
    let peak = mebibytes(pid, "VmHWM");
    let after = Requests::read(&operator).await;
    let patches = after.patches - before.patches;
    println!("figure consumer_memory_mib {:.1} MiB", peak - idle);
    println!("figure consumer_memory_idle_mib {idle:.1} MiB");
    println!(
        "figure consumer_memory_after_mib {:.1} MiB",
        mebibytes(pid, "VmRSS")
    );
    println!("figure consumer_prompts {patches} requests");
    println!(
        "figure consumer_pages {} requests",
        after.lists - before.lists
    );
    it.all_have_one_prompt().await;
    assert_eq!(patches, PODS, "each Pod is prompted once");
    assert!(
        peak - idle <= GOAL_MIB,
        "{idle} MiB idle, {peak} MiB at most"
    );
}

impl Consuming {
    async fn large(&self, number: usize) {
        let padding = "x".repeat(HALF);
        let use_ = directory();
        let mut container = use_["container"].clone();
        container["name"] = json!("app");
        container["image"] = json!("app");
        container["env"] = json!([{"name": "PADDING", "value": padding}]);
        let pod = json!({
            "apiVersion": "v1", "kind": "Pod",
            "metadata": {"name": format!("p-{number:04}"), "annotations": {"padding": padding}},
            "spec": {"containers": [container], "volumes": use_["volumes"]},
        });
        let pod = serde_json::from_value(pod).unwrap();
        let made = self.pods().create(&PostParams::default(), &pod).await;
        made.unwrap();
    }

    async fn all_have_one_prompt(&self) {
        let object = self.tenant.objects().get("orders").await.unwrap();
        let attempt = consumers_of(&object).attempt.clone();
        let all = self.pods().list_metadata(&ListParams::default()).await;
        let prompted = all.unwrap().into_iter().filter(|pod| {
            let annotations = pod.metadata.annotations.as_ref();
            annotations.and_then(|all| all.get("zitadel-secrets.dev/refresh")) == Some(&attempt)
        });
        assert_eq!(prompted.count(), PODS);
    }
}

/// A field of what the kernel says of a process's memory.
fn mebibytes(pid: u32, field: &str) -> f64 {
    let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
    let mut values = status.lines().filter_map(|line| line.strip_prefix(field));
    let kibibytes = values.next().unwrap().trim_start_matches(':');
    let kibibytes = kibibytes.split_whitespace().next().unwrap();
    kibibytes.parse::<f64>().unwrap() / 1024.0
}

/// Requests about Pods so far.
struct Requests {
    lists: usize,
    patches: usize,
}

impl Requests {
    async fn read(operator: &OwnOperator) -> Self {
        let (_, text) = operator.operator.get("/metrics").await.unwrap();
        let of = |verb: &str| {
            let name = format!("kubernetes_requests_total{{verb=\"{verb}\",resource=\"pods\"");
            let lines = text.lines().filter(|line| line.contains(&name));
            lines
                .map(|line| line.rsplit(' ').next().unwrap().parse::<usize>().unwrap())
                .sum()
        };
        Self {
            lists: of("list"),
            patches: of("patch"),
        }
    }
}
