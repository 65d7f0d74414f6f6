//! What consumers on a real node see of rotations: `make outage` prints the figures. Nothing timed is asserted.

use std::time::Duration;

use serde_json::{Value, json};

use super::installed::{Installed, installed};
use crate::support::consumers::{self, Use, deployment};
use crate::support::eventually;
use crate::support::world::{PATIENCE, Tenant};

/// How often a series rotates; unprompted ones less often, because each takes more than a minute.
const ROTATIONS: usize = 20;
const UNPROMPTED: usize = 3;

/// Consumers of one tenant in Deployments of their own.
struct Series<'a> {
    installed: &'a Installed,
    tenant: Tenant,
    consumers: Vec<String>,
    /// Fields of the object's spec besides the trigger.
    spec: Value,
    app: String,
}

impl<'a> Series<'a> {
    /// An object, and Pods that use its Secret in these ways, so many each.
    async fn new(
        installed: &'a Installed,
        prefix: &str,
        uses: &[Use],
        replicas: u32,
        spec: impl FnOnce(&Tenant) -> Value,
    ) -> Self {
        let tenant = installed.tenant(prefix).await;
        let app = tenant.app("orders").id.clone();
        let spec = spec(&tenant);
        tenant.apply("orders", &app, spec.clone()).await.unwrap();
        tenant.ready("orders").await;
        let target = installed.target(&tenant);
        let mut series = Self {
            installed,
            consumers: Vec::new(),
            spec,
            app,
            tenant,
        };
        for how in uses {
            let name = format!("{prefix}-{}", format!("{how:?}").to_lowercase());
            let object = deployment(&name, *how, "orders", replicas, &target);
            consumers::start(&series.tenant.client, &series.tenant.namespace, &object).await;
            series.consumers.push(name);
        }
        let pods = uses.len() * replicas as usize;
        series.until(|seen| seen.len() == pods).await;
        series
    }

    fn seen(&self) -> Vec<consumers::Seen> {
        let all = self.consumers.iter();
        all.flat_map(|name| self.installed.reports.of(name))
            .collect()
    }

    /// Waits until all Pods that run are served, and this holds for them.
    async fn until(&self, done: impl Fn(&[consumers::Seen]) -> bool) {
        eventually(PATIENCE * 4, || async {
            let mut seen = self.seen();
            seen.retain(|seen| seen.state != "ended");
            let served = seen.iter().all(|seen| seen.state == "accepted");
            (served && done(&seen)).then_some(())
        })
        .await;
    }

    /// Rotates, and waits each time until everything is served by the new value.
    async fn rotate(&self, times: usize) {
        for n in 0..times {
            let mut spec = self.spec.clone();
            spec["rotation"]["trigger"] = json!(n.to_string());
            self.tenant.apply("orders", &self.app, spec).await.unwrap();
            self.tenant.handled("orders", &n.to_string()).await;
            let stored = self.tenant.client_secret("orders").await.unwrap();
            let new = consumers::checksum(&stored);
            self.until(|seen| seen.iter().all(|seen| seen.value == new))
                .await;
        }
    }

    /// Prints median and 99th percentile of the dark times.
    fn print(&self, name: &str, suffix: &str) {
        let mut dark: Vec<Duration> = self.seen().into_iter().flat_map(|seen| seen.dark).collect();
        dark.sort_unstable();
        for (percent, word) in [(50, "p50"), (99, "p99")] {
            let at = (dark.len() * percent / 100).min(dark.len() - 1);
            let seconds = dark[at].as_secs_f64();
            println!("figure {name}_dark_{word}_seconds{suffix} {seconds:.2} s");
        }
        println!("figure {name}_dark_samples{suffix} {} rows", dark.len());
    }

    /// Ends the consumers, so that they do not take time from the next ones.
    fn end(&self) {
        let arguments = [
            "delete",
            "deployment",
            "--all",
            "--namespace",
            &self.tenant.namespace,
        ];
        assert!(
            self.installed
                .world
                .cluster
                .kubectl(&arguments)
                .status
                .success()
        );
    }
}

const FILES: [Use; 2] = [Use::Directory, Use::Projected];
const FIXED: [Use; 4] = [Use::Env, Use::EnvFrom, Use::SubPath, Use::InitContainer];

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make outage"]
async fn outage_of_file_consumers_without_a_prompt() {
    let (installed, _turn) = installed().await;
    consumers::import(&installed.node);
    // NB: the other series may have been first.
    let rights = "consumers.refresh=false,consumers.restart=false";
    installed.helm("upgrade", &["--set", rights]).await;
    let spec = |_: &Tenant| json!({"rotation": {}});
    let series = Series::new(installed, "unprompted", &FILES, 5, spec).await;
    series.rotate(UNPROMPTED).await;
    series.print("file_consumer", "_unprompted");
    series.end();
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "takes minutes: make outage"]
async fn outage_of_consumers_that_are_prompted_or_restarted() {
    let (installed, _turn) = installed().await;
    consumers::import(&installed.node);
    let rights = "consumers.refresh=true,consumers.restart=true";
    installed.helm("upgrade", &["--set", rights]).await;

    let spec = |_: &Tenant| json!({"rotation": {}});
    let series = Series::new(installed, "prompted", &FILES, 5, spec).await;
    series.rotate(ROTATIONS).await;
    series.print("file_consumer", "");
    series.end();

    let restart = json!({"restart": "WhenStale"});
    let spec = |_: &Tenant| json!({"rotation": {}, "consumers": restart});
    let series = Series::new(installed, "restarted", &FIXED, 1, spec).await;
    series.rotate(ROTATIONS / 4).await;
    series.print("env_consumer", "");
    series.end();

    let spec = |tenant: &Tenant| {
        let standby = tenant.app("orders-standby").id.clone();
        let overlap = json!({"until": "ConsumersCurrent", "maximum": "1h"});
        json!({
            "rotation": {"interval": "24h", "overlap": overlap}, "consumers": restart,
            "standby": {"type": "Existing", "appId": standby},
        })
    };
    let series = Series::new(installed, "standby", &Use::ALL, 1, spec).await;
    series.rotate(ROTATIONS).await;
    let seen = series.seen();
    let total = |of: fn(&consumers::Seen) -> u64| seen.iter().map(of).sum::<u64>();
    println!("figure standby_calls {}", total(|seen| seen.calls));
    println!(
        "figure standby_refused_calls {}",
        total(|seen| seen.refused)
    );
    println!(
        "figure standby_calls_without_an_answer {}",
        total(|seen| seen.errors)
    );
    series.end();
}
