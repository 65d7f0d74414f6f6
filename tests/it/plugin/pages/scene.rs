//! The cluster of the pages: an operator that runs, its objects, and Pods that use one of them.

use jiff::{SignedDuration, Timestamp};
use k8s_openapi::api::apps::v1::Deployment;
use k8s_openapi::api::core::v1::Pod;
use k8s_openapi::api::rbac::v1::Role;
use kube::ResourceExt as _;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams, PostParams};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::{Value, json};
use zitadel_secret_operator::api::{AppSecret, ConditionType, Kind};
use zitadel_simulator::AppHandle;

use super::manifests::{deployment, environment, every_3_days, files, on_weekdays};
use super::past::{PAST, Past, hours_ago};
use super::shell::Shell;
use crate::consumers::{ARGUMENTS, grant, running};
use crate::fixtures::reason;
use crate::plugin::doctor::age_definition;
use crate::plugin::install;
use crate::support::controlplane::Options;
use crate::support::operator::Operator;
use crate::support::world::{OPERATOR_NAMESPACE, PATIENCE, Tenant, World};
use crate::support::{apply, eventually};

/// An application that ZITADEL does not have.
const NO_APP: &str = "269012345678901234";

pub struct Scene {
    world: World,
    operator: Operator,
    tenant: Tenant,
    began: Timestamp,
    /// The applications of orders-api and billing-api.
    apps: [AppHandle; 2],
    /// What is written on the pages for what the simulator made.
    samples: Vec<(String, &'static str)>,
    shell: Shell,
}

impl Scene {
    /// An operator with the objects of namespace `orders`, and two Deployments whose Pods use one of them.
    pub async fn new() -> Self {
        let world = World::own(Options::default()).await;
        let tenant = world.tenant_named(Kind::ApiApp, "orders").await;
        let pod = install(&tenant.client).await;
        grant(&world, OPERATOR_NAMESPACE).await;
        let operator = Operator::start_in(
            &world.kubeconfig,
            &world.directory,
            &ARGUMENTS,
            &[("POD_NAME", &pod)],
        );
        let began = Timestamp::now();
        let orders = tenant.issued("orders-api", on_weekdays(began)).await;
        let billing = tenant.issued("billing-api", every_3_days(began)).await;
        let is_counted = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            status.consumers.as_ref().map(drop)
        };
        tenant.until("billing-api", is_counted).await;
        let ledger = tenant.apply("ledger-api", NO_APP, json!({})).await;
        ledger.unwrap();
        tenant.reason("ledger-api", "AppNotFound").await;
        create_secret(&tenant).await;
        let scene = Self {
            samples: vec![
                (tenant.url.clone(), "https://iam.example.com"),
                (tenant.user.clone(), "312345678901234567"),
                (tenant.project.clone(), "312345678901234568"),
                (orders.id.clone(), "312345678901234569"),
                (billing.id.clone(), "312345678901234570"),
            ],
            apps: [orders, billing],
            shell: Shell::new(&world.cluster),
            began,
            world,
            operator,
            tenant,
        };
        scene.deploy("orders", 3, &environment()).await;
        scene.deploy("gateway", 12, &files()).await;
        scene
    }

    /// A Deployment whose Pod has run for so many days, and two hours.
    async fn deploy(&self, name: &str, days: i64, uses: &Value) {
        let client = self.tenant.client.clone();
        let deployments: Api<Deployment> = Api::namespaced(client, "orders");
        apply(&deployments, &deployment(name, uses)).await.unwrap();
        let started = hours_ago(self.began, 24 * days + 2);
        self.runs(name, None, started).await;
    }

    /// Waits for a Pod of a Deployment, other than a former one, and says as its kubelet that it has run since then.
    async fn runs(&self, deployment: &str, former: Option<&str>, started: Timestamp) {
        let pods = self.pods();
        let params = ListParams::default().labels(&format!("app={deployment}"));
        let pod = eventually(PATIENCE, || async {
            let pods = pods.list(&params).await.unwrap().into_iter();
            let mut names = pods.map(|pod| pod.name_any());
            names.find(|name| Some(name.as_str()) != former)
        })
        .await;
        let status = Patch::Merge(running(started, SignedDuration::ZERO));
        pods.patch_status(&pod, &PatchParams::default(), &status)
            .await
            .unwrap();
    }

    fn pods(&self) -> Api<Pod> {
        Api::namespaced(self.tenant.client.clone(), "orders")
    }

    /// The lines that a command of a page prints, with the samples of the pages.
    pub async fn printed(&self, command: &str) -> Vec<String> {
        let go_on = async |line: &str, plugin| self.go_on(line, plugin).await;
        let lines = self.shell.printed(command, go_on).await;
        let samples = lines.into_iter().map(|line| self.with_samples(line));
        samples.collect()
    }

    fn with_samples(&self, line: String) -> String {
        let samples = self.samples.iter();
        samples.fold(line, |line, (real, sample)| line.replace(real, sample))
    }

    /// Rotates the credential that Pods use. The trigger is gone afterwards: a later one is not the second.
    pub async fn rotate_orders(&self) {
        self.tenant.trigger("orders-api", "1").await;
        self.until_consumers("RollingOut").await;
        let none = json!({"spec": {"rotation": {"trigger": null}}});
        self.tenant.edit("orders-api", none).await;
        self.tenant.ready("orders-api").await;
    }

    /// Waits until the operator has counted the Pods for the last rotation, with this result.
    async fn until_consumers(&self, expected: &str) {
        let counted = |object: &AppSecret| {
            let status = object.status.as_ref()?;
            let counted = &status.consumers.as_ref()?;
            let is_last = counted.attempt == status.last_rotation.as_ref()?.attempt;
            let is_so = reason(object, ConditionType::ConsumersCurrent) == expected;
            let stale = i64::from(expected == "RollingOut");
            (is_last && is_so && counted.stale == stale).then_some(())
        };
        self.tenant.until("orders-api", counted).await;
    }

    /// The operator does nothing until a command waits for it.
    pub fn hold_operator(&self) {
        self.operator.signal(Signal::STOP);
    }

    /// Whether a command has waited for it or not.
    pub fn let_operator_go_on(&self) {
        self.operator.signal(Signal::CONT);
    }

    /// Does what a command that prints this waits for. Meanwhile the command is held: it sees where that leads to, and nothing on the way.
    async fn go_on(&self, line: &str, plugin: Pid) {
        let is_behind = line.starts_with("RollingOut: ");
        if line != "waiting for the operator" && !is_behind {
            return;
        }
        kill_process(plugin, Signal::STOP).unwrap();
        if is_behind {
            self.restart("orders").await;
            self.until_consumers("AllCurrent").await;
        } else {
            let last = self.tenant.status("orders-api").await.last_rotation;
            self.let_operator_go_on();
            let rotated = |object: &AppSecret| {
                let status = object.status.as_ref()?;
                let is_handled = status.observed_trigger.as_deref() == object.spec.trigger();
                (is_handled && status.last_rotation != last).then_some(())
            };
            self.tenant.until("orders-api", rotated).await;
            self.until_consumers("RollingOut").await;
        }
        kill_process(plugin, Signal::CONT).unwrap();
    }

    /// Replaces the Pod of a Deployment.
    async fn restart(&self, deployment: &str) {
        let params = ListParams::default().labels(&format!("app={deployment}"));
        let former = self.pods().list(&params).await.unwrap().items.remove(0);
        let former = former.name_any();
        let now = DeleteParams::default().grace_period(0);
        self.pods().delete(&former, &now).await.unwrap();
        // NB: of what starts within seconds of the write it is not known which value it has.
        let later = Timestamp::now() + SignedDuration::from_mins(1);
        self.runs(deployment, Some(&former), later).await;
    }

    /// Takes away a right of the operator, a field of a definition, and a connection.
    pub async fn take_away(&self) {
        let client = &self.tenant.client;
        let roles: Api<Role> = Api::namespaced(client.clone(), OPERATOR_NAMESPACE);
        let mut role = roles.get("zitadel-secret-operator").await.unwrap();
        let is_kept = |resources: &Option<Vec<String>>| {
            let mut resources = resources.iter().flatten();
            !resources.any(|resource| resource == "configmaps")
        };
        role.rules
            .as_mut()
            .unwrap()
            .retain(|rule| is_kept(&rule.resources));
        let params = PostParams::default();
        roles
            .replace("zitadel-secret-operator", &params, &role)
            .await
            .unwrap();
        age_definition(&self.world.cluster);
        let nowhere = json!({"connectionRef": {"name": "nowhere"}});
        self.tenant.apply("lost", NO_APP, nowhere).await.unwrap();
        eventually(PATIENCE, || async {
            // The API server's authorizer learns of roles by a watch.
            let printed = self
                .printed("kubectl zitadel-secret doctor -n orders")
                .await;
            let is_missing = |line: &String| line.contains("configmaps");
            printed.iter().any(is_missing).then_some(())
        })
        .await;
    }

    /// Ends the operator, and has days go by as [`PAST`] has them.
    pub async fn days_go_by(&mut self) {
        self.operator.kill();
        self.tenant.delete("lost").await;
        for past in &PAST {
            self.goes_by(past).await;
        }
        self.edit_of_a_file();
    }

    async fn goes_by(&self, past: &Past) {
        let Past {
            namespace, name, ..
        } = past;
        let client = self.tenant.client.clone();
        let objects: Api<AppSecret> = Api::namespaced_with(client, namespace, &Kind::ApiApp);
        if let Some(interval) = past.interval {
            self.world.cluster.namespace(namespace).await;
            let rotation = json!({"rotation": {"interval": interval, "jitterPercent": 0}});
            let mut made = self.tenant.manifest(name, NO_APP, rotation);
            made["metadata"]["namespace"] = json!(namespace);
            apply(&objects, &made).await.unwrap();
        }
        let object = objects.get(name).await.unwrap();
        let status = json!({"status": past.status(&object, self.began)});
        objects
            .patch_status(name, &PatchParams::default(), &Patch::Merge(status))
            .await
            .unwrap();
    }

    /// The file `orders.yaml` of the pages: a trigger, an object that is new, three edits of one, and an object as it is.
    fn edit_of_a_file(&mut self) {
        let tenant = &self.tenant;
        let search = tenant.app("search").id;
        let [orders, billing] = &self.apps;
        let mut triggered = on_weekdays(self.began);
        triggered["rotation"]["trigger"] = json!("leak, INC-1235");
        let renamed = json!({"rotation": {"interval": "7d", "jitterPercent": 0}, "secret": {"name": "billing-oauth", "labels": {"team": "billing"}}});
        let objects = [
            tenant.manifest("orders-api", &orders.id, triggered),
            tenant.manifest("search-api", &search, json!({})),
            tenant.manifest("billing-api", &billing.id, renamed),
            tenant.manifest("ledger-api", NO_APP, json!({})),
        ];
        let documents = objects.map(|object| serde_saphyr::to_string(&object).unwrap());
        let path = self.shell.directory().join("orders.yaml");
        std::fs::write(path, documents.join("---\n")).unwrap();
        self.samples.push((search, "312345678901234571"));
    }
}

/// A Secret as a person made it for a consumer.
async fn create_secret(tenant: &Tenant) {
    let values = json!({"clientId": "x", "clientSecret": "y", "issuer": "z"});
    let secret = json!({"metadata": {"name": "orders-oauth"}, "stringData": values});
    let secret = serde_json::from_value(secret).unwrap();
    let params = PostParams {
        field_manager: Some("kubectl-create".to_owned()),
        ..PostParams::default()
    };
    tenant.secrets().create(&params, &secret).await.unwrap();
}
