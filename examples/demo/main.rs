//! The main job on real parts, step by step: `make demo`, or `cargo run --example demo` once everything is built.
//!
//! A Kubernetes API server, a ZITADEL simulator, and the operator's own binary. Every step is verified;
//! the exit code is 0 only if all of them succeeded. With the argument `tutorial` only the servers run, for
//! docs/tutorial.md.

mod cluster;
mod processes;
mod screen;
mod tutorial;
mod zitadel;

use std::path::{Path, PathBuf};
use std::process::{Command, ExitCode, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, bail, ensure};
use serde_json::Value;

use cluster::{Cluster, OPERATOR_NAMESPACE, TEAM_NAMESPACE};
use processes::Program;
use screen::{Screen, masked, ok};
use zitadel::Zitadel;

/// How long anything may take that needs no waiting.
const PATIENCE: Duration = Duration::from_secs(20);

/// The interval at first: short enough to watch a rotation become due.
const INTERVAL: u64 = 15;

#[tokio::main]
async fn main() -> ExitCode {
    let started = Instant::now();
    let tutorial = std::env::args()
        .nth(1)
        .is_some_and(|argument| argument == "tutorial");
    let keep =
        tutorial || std::env::var_os("KEEP").is_some_and(|keep| !keep.is_empty() && keep != "0");
    let given = std::env::var_os("KUBECONFIG")
        .filter(|path| !path.is_empty() && !tutorial)
        .map(PathBuf::from);
    let directory = match tempfile::Builder::new()
        .prefix("zitadel-secret-demo-")
        .tempdir()
    {
        Ok(directory) => directory,
        Err(error) => {
            eprintln!("no directory for the demo can be made: {error}");
            return ExitCode::FAILURE;
        }
    };
    let mut demo = None;
    let work = async {
        if prepare(&mut demo, directory.path(), given, keep)? {
            let demo = demo.as_mut().context("nothing was prepared")?;
            if tutorial {
                let _written = demo.write_tutorial()?;
                demo.done = true;
                return std::future::pending().await;
            }
            demo.run().await?;
            println!(
                "\nEvery step succeeded: {} seconds.",
                started.elapsed().as_secs()
            );
            if keep {
                demo.explain();
                std::future::pending::<()>().await;
            }
            return Ok(());
        }
        bail!("the cluster is not used; unset KUBECONFIG to have one of the demo's own")
    };
    let result = tokio::select! {
        result = work => result,
        signal = stopped() => Err(anyhow::anyhow!("{signal}")),
    };
    let kept = demo.as_ref().is_some_and(|demo| demo.done);
    let has_logs = demo.is_some();
    // The operator first, so that it does not see the cluster go.
    let cleaned = demo.map_or(Ok(()), Demo::end);
    match result.and(cleaned) {
        Ok(()) => ExitCode::SUCCESS,
        // Kept running until it was stopped by hand: nothing failed.
        Err(_) if kept && keep => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("\nFAILED: {error:#}");
            if has_logs {
                let logs = directory.keep();
                // Logs are for reading and for sending around; credentials are not.
                for credential in ["kubeconfig", "operator.kubeconfig", "files/operator.json"] {
                    let _ = std::fs::remove_file(logs.join(credential));
                }
                eprintln!("Logs are in {}", logs.display());
            }
            ExitCode::FAILURE
        }
    }
}

async fn stopped() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    match (
        signal(SignalKind::interrupt()),
        signal(SignalKind::terminate()),
    ) {
        (Ok(mut interrupt), Ok(mut terminate)) => {
            tokio::select! {
                _ = interrupt.recv() => "interrupted",
                _ = terminate.recv() => "terminated",
            }
        }
        _ => std::future::pending().await,
    }
}

/// The demo and what it runs.
struct Demo {
    /// Dropped, and so stopped, before the others.
    operator: Option<Program>,
    zitadel: Zitadel,
    cluster: Cluster,
    screen: Screen,
    programs: PathBuf,
    directory: PathBuf,
    /// The Secret's name.
    secret: &'static str,
    /// Whether its interval must outlast a person's curiosity.
    keep: bool,
    done: bool,
}

/// Starts the cluster and the simulator. False if the caller's cluster may not be used.
fn prepare(
    demo: &mut Option<Demo>,
    directory: &Path,
    given: Option<PathBuf>,
    keep: bool,
) -> anyhow::Result<bool> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let programs = processes::built()?;
    println!("A Kubernetes API server, a ZITADEL simulator and the operator, all on this machine.");
    let Some(cluster) = Cluster::take(root, directory, given)? else {
        return Ok(false);
    };
    cluster.write_kubeconfig()?;
    let zitadel = Zitadel::start(&programs, directory)?;
    *demo = Some(Demo {
        operator: None,
        zitadel,
        screen: Screen::new(cluster.kubectl_program(), directory),
        cluster,
        programs,
        directory: directory.to_owned(),
        secret: "orders-api-oauth",
        keep,
        done: false,
    });
    Ok(true)
}

impl Demo {
    async fn run(&mut self) -> anyhow::Result<()> {
        self.install()?;
        self.start_operator()?;
        self.connect()?;
        let first = self.issue().await?;
        let second = self.wait_until_due(&first).await?;
        let third = self.trigger(&second).await?;
        self.lose_an_answer(&third).await?;
        self.change_nothing().await?;
        self.done = true;
        Ok(())
    }

    /// Writes `target/tutorial`, which is removed when what is handed back is dropped.
    fn write_tutorial(&self) -> anyhow::Result<Written> {
        let written = Written(Path::new(env!("CARGO_MANIFEST_DIR")).join("target/tutorial"));
        std::fs::create_dir_all(&written.0)?;
        let kubectl = self.cluster.kubectl_program();
        let kubectl = kubectl.parent().and_then(Path::to_str);
        let kubeconfig = self.directory.join("kubeconfig");
        let inputs = tutorial::Inputs {
            kubectl: kubectl.context("the path of kubectl is no text")?,
            operator: self
                .programs
                .to_str()
                .context("the path of the operator is no text")?,
            kubeconfig: kubeconfig
                .to_str()
                .context("the path of the kubeconfig is no text")?,
            issuer: &self.zitadel.url,
            organization: &self.zitadel.organization,
            project: &self.zitadel.project,
            app: &self.zitadel.app,
            token: &self.zitadel.token,
        };
        for (name, text) in tutorial::files(&inputs) {
            std::fs::write(written.0.join(name), text)?;
        }
        std::fs::copy(
            self.directory.join("files/operator.json"),
            written.0.join("key.json"),
        )?;
        println!(
            "Both servers run until ^C. Continue in a second terminal, with docs/tutorial.md:\n\n  . target/tutorial/env"
        );
        Ok(written)
    }

    fn install(&mut self) -> anyhow::Result<()> {
        self.screen.step(
            "The custom resource definitions, and a namespace each for the operator and a team",
        );
        self.screen.quietly("version")?;
        let crds = self.directory.join("crds");
        std::fs::create_dir(&crds)?;
        println!("$ zitadel-secret-operator crd --output crds");
        let made = Command::new(self.programs.join("zitadel-secret-operator"))
            .args(["crd", "--output"])
            .arg(&crds)
            .status()?;
        ensure!(made.success(), "the definitions cannot be written");
        self.screen.kubectl("apply -f crds")?;
        self.screen.kubectl(
            "wait --for=condition=Established crd apiappsecrets.zitadel-secrets.dev oidcappsecrets.zitadel-secrets.dev zitadelconnections.zitadel-secrets.dev",
        )?;
        let rbac = Path::new(env!("CARGO_MANIFEST_DIR")).join("examples/minimal/rbac.yaml");
        std::fs::copy(rbac, self.directory.join("rbac.yaml"))?;
        self.screen.kubectl("apply -f rbac.yaml")?;
        self.screen
            .kubectl(&format!("create namespace {TEAM_NAMESPACE}"))?;
        self.screen.kubectl(&format!(
            "create secret generic zitadel-key -n {OPERATOR_NAMESPACE} --from-file=key.json=files/operator.json"
        ))?;
        Ok(())
    }

    fn start_operator(&mut self) -> anyhow::Result<()> {
        self.screen
            .step("The operator, with only the permissions of its service account");
        self.launch()?;
        ok("the operator is running; its log is operator.log");
        Ok(())
    }

    fn launch(&mut self) -> anyhow::Result<()> {
        let kubeconfig = self
            .cluster
            .write_operator_kubeconfig(if self.keep { 24 } else { 1 })?;
        let arguments = format!(
            "run --namespace {OPERATOR_NAMESPACE} --admin-address 127.0.0.1:0 --minimum-interval 10s"
        );
        println!("$ zitadel-secret-operator {arguments}");
        let mut command = Command::new(self.programs.join("zitadel-secret-operator"));
        command
            .args(arguments.split(' '))
            .args(["--log-format", "json"])
            .env("KUBECONFIG", kubeconfig)
            .current_dir(&self.directory)
            .stdin(Stdio::null());
        let log = self.directory.join("operator.log");
        self.operator = Some(Program::start("the operator", &mut command, &log)?);
        Ok(())
    }

    fn connect(&mut self) -> anyhow::Result<()> {
        self.screen
            .step("A connection: where ZITADEL is, and who may use it");
        let Zitadel {
            url,
            organization,
            project,
            ..
        } = &self.zitadel;
        let connection = format!(
            "apiVersion: zitadel-secrets.dev/v1alpha1
kind: ZitadelConnection
metadata:
  name: default
spec:
  url: {url}
  auth:
    serviceAccountKey:
      secretKeyRef: {{name: zitadel-key, key: key.json}}
  organizationId: \"{organization}\"
  grants:
  - name: team
    namespaces: [{TEAM_NAMESPACE}]
    projectIds: [\"{project}\"]
"
        );
        self.screen.file("connection.yaml", &connection)?;
        self.screen.kubectl("apply -f connection.yaml")?;
        self.screen
            .kubectl("wait --for=condition=Ready zitadelconnection/default --timeout=20s")?;
        self.screen.kubectl("get zitadelconnections")?;
        Ok(())
    }

    async fn issue(&mut self) -> anyhow::Result<String> {
        self.screen
            .step("An ApiAppSecret: the client secret is generated and stored");
        let Zitadel { project, app, .. } = &self.zitadel;
        let object = format!(
            "apiVersion: zitadel-secrets.dev/v1alpha1
kind: ApiAppSecret
metadata:
  name: orders-api
spec:
  projectId: \"{project}\"
  appId: \"{app}\"
  secret:
    name: orders-api-oauth
  rotation:
    interval: {INTERVAL}s
    jitterPercent: 0
"
        );
        self.screen.file("orders-api.yaml", &object)?;
        self.screen.kubectl("apply -f orders-api.yaml")?;
        self.screen
            .kubectl("wait --for=condition=Ready apiappsecret/orders-api --timeout=20s")?;
        self.screen.kubectl("get aas")?;
        let value = self.show_secret()?;
        let status = self.show_status("FirstIssue")?;
        let owner = status.get("resourceOwner").and_then(Value::as_str);
        ensure!(
            owner == Some(&self.zitadel.organization),
            "the status names another organization"
        );
        ensure!(
            self.zitadel.generated().await? == 1,
            "not one client secret was generated"
        );
        println!(
            "OLD is the client secret that ZITADEL generated when the application was created."
        );
        let first = self.zitadel.first_secret.clone();
        self.zitadel.prove(&value, &first).await?;
        Ok(value)
    }

    async fn wait_until_due(&mut self, old: &str) -> anyhow::Result<String> {
        self.screen
            .step("A rotation that is due, 15 seconds after the previous one");
        let before = self.status()?;
        let due = text(&before, "nextRotationTime")?;
        println!("status.nextRotationTime is {due}; waiting");
        let patience = Duration::from_secs(INTERVAL) + PATIENCE;
        self.until(patience, |status| reason(status) == Some("Due"))
            .await?;
        self.settle()?;
        let status = self.show_status("Due")?;
        // Both are ZITADEL's time. Interval and jitter are counted from it, so a rotation is never early.
        let made =
            |status: &Value| anyhow::Ok(text(status, "changeDate")?.parse::<jiff::Timestamp>()?);
        let age = made(&status)?.duration_since(made(&before)?);
        ensure!(
            age >= jiff::SignedDuration::from_secs(i64::try_from(INTERVAL)?),
            "it was rotated after {age:#}, too early"
        );
        ok(&format!(
            "the secret was rotated when it was {:.1} seconds old",
            age.as_secs_f64()
        ));
        self.screen.kubectl("get aas")?;
        let value = self.show_secret()?;
        self.zitadel.prove(&value, old).await?;
        Ok(value)
    }

    async fn trigger(&mut self, old: &str) -> anyhow::Result<String> {
        self.screen
            .step("An immediate rotation, by a new trigger; the interval is now 3 minutes");
        self.screen.kubectl(
            r#"patch aas orders-api --type=merge -p '{"spec":{"rotation":{"interval":"3m","trigger":"2026-11-leak"}}}'"#,
        )?;
        self.until(PATIENCE, |status| {
            status.get("observedTrigger").and_then(Value::as_str) == Some("2026-11-leak")
        })
        .await?;
        self.settle()?;
        self.show_status("Trigger")?;
        let value = self.show_secret()?;
        self.zitadel.prove(&value, old).await?;
        Ok(value)
    }

    async fn lose_an_answer(&mut self, old: &str) -> anyhow::Result<()> {
        self.screen
            .step("The worst case: ZITADEL rotates, and its response is lost");
        let before = self.zitadel.generated().await?;
        self.zitadel.lose_the_next_answer().await?;
        self.screen.kubectl(
            r#"patch aas orders-api --type=merge -p '{"spec":{"rotation":{"trigger":"unlucky"}}}'"#,
        )?;
        self.until(PATIENCE, |status| reason(status) == Some("LostAttempt"))
            .await?;
        self.settle()?;
        self.show_status("LostAttempt")?;
        ensure!(
            self.zitadel.generated().await? == before + 2,
            "it took another number of generate calls than two"
        );
        ok("ZITADEL's change log shows that a secret was lost, so another one was generated");
        let value = self.show_secret()?;
        self.zitadel.prove(&value, old).await
    }

    async fn change_nothing(&mut self) -> anyhow::Result<()> {
        self.screen.step(
            "What never rotates: a new label, other keys, another name of the Secret, a restart of the operator",
        );
        let (value, before) = (self.value()?, self.zitadel.generated().await?);
        self.screen.kubectl("label aas orders-api team=orders")?;
        self.screen.kubectl(
            r#"patch aas orders-api --type=merge -p '{"spec":{"secret":{"data":[{"key":"CLIENT_ID","from":"ClientId"},{"key":"CLIENT_SECRET","from":"ClientSecret"},{"key":"ISSUER","from":"Issuer"}]}}}'"#,
        )?;
        let patience = Instant::now() + PATIENCE;
        while self.data("ISSUER")?.as_deref() != Some(&self.zitadel.url) {
            ensure!(Instant::now() < patience, "the Secret has no key ISSUER");
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ok("the Secret has the new key");
        let code = match &mut self.operator {
            Some(operator) => operator.stop()?,
            None => None,
        };
        ensure!(code == Some(0), "the operator ended with {code:?}");
        ok("the operator stopped with exit code 0");
        self.launch()?;
        self.screen.kubectl(
            r#"patch aas orders-api --type=merge -p '{"spec":{"secret":{"name":"orders-credentials"}}}'"#,
        )?;
        let former = std::mem::replace(&mut self.secret, "orders-credentials");
        let patience = Instant::now() + PATIENCE;
        while self.data("CLIENT_SECRET")?.is_none() || self.exists(former)? {
            ensure!(
                Instant::now() < patience,
                "the restarted operator does not move the Secret"
            );
            self.alive()?;
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
        ok("the restarted operator moved the Secret to its new name");
        self.show_secret()?;
        ensure!(self.value()? == value, "the client secret was changed");
        let after = self.zitadel.generated().await?;
        ensure!(
            after == before,
            "{} client secrets were generated",
            after - before
        );
        ok("the client secret is unchanged, and none was generated");
        self.compare_the_books().await
    }

    /// The operator's audit log and the simulator's ledger must agree.
    async fn compare_the_books(&mut self) -> anyhow::Result<()> {
        println!("$ grep '\"target\":\"audit\"' operator.log");
        let log = std::fs::read_to_string(self.directory.join("operator.log"))?;
        let records = log
            .lines()
            .filter_map(|line| serde_json::from_str::<Value>(line).ok())
            .filter(|line| line.get("target").and_then(Value::as_str) == Some("audit"));
        let mut calls = 0;
        for record in records {
            let field = |name| record.get(name).and_then(Value::as_str).unwrap_or("-");
            println!(
                "{{..., \"cause\":\"{}\", \"result\":\"{}\", ...}}",
                field("cause"),
                field("result")
            );
            calls += 1;
        }
        let generated = self.zitadel.generated().await?;
        ensure!(
            calls == generated && generated == 5,
            "the operator recorded {calls} calls, ZITADEL {generated}"
        );
        ok("the operator's audit log and the simulator's ledger agree: 5 calls");
        ensure!(
            !log.contains(&self.value()?),
            "the client secret is in the log"
        );
        ok("the client secret is not in the operator's log");
        Ok(())
    }

    /// Waits for what was just decided to be reported as well.
    fn settle(&mut self) -> anyhow::Result<()> {
        self.screen
            .quietly("wait --for=condition=Ready apiappsecret/orders-api --timeout=20s")
            .map(drop)
    }

    fn alive(&mut self) -> anyhow::Result<()> {
        self.zitadel.check()?;
        self.operator.as_mut().map_or(Ok(()), Program::check)
    }

    fn status(&self) -> anyhow::Result<Value> {
        let object = self.screen.quietly("get aas orders-api -o json")?;
        let mut object: Value = serde_json::from_str(&object)?;
        Ok(object
            .get_mut("status")
            .map(Value::take)
            .unwrap_or_default())
    }

    async fn until(
        &mut self,
        patience: Duration,
        holds: impl Fn(&Value) -> bool,
    ) -> anyhow::Result<()> {
        let end = Instant::now() + patience;
        loop {
            let status = self.status()?;
            if holds(&status) {
                return Ok(());
            }
            ensure!(
                Instant::now() < end,
                "this did not happen within {} seconds; the status is {status}",
                patience.as_secs()
            );
            self.alive()?;
            tokio::time::sleep(Duration::from_millis(200)).await;
        }
    }

    /// Shows sequence, time and cause of the stored value; the cause must be this one.
    fn show_status(&self, cause: &str) -> anyhow::Result<Value> {
        self.screen.kubectl(
            r"get aas orders-api -o jsonpath='{.status.sequence} {.status.changeDate} {.status.lastRotation.reason} {.status.lastRotation.darkWindowMilliseconds}'",
        )?;
        let status = self.status()?;
        ensure!(
            reason(&status) == Some(cause),
            "the last rotation was for another reason than {cause}: {status}"
        );
        text(&status, "sequence")?.parse::<u64>()?;
        ok(&format!(
            "sequence, changeDate, the reason {cause}, and the milliseconds from ZITADEL's response to the written Secret"
        ));
        Ok(status)
    }

    fn exists(&self, secret: &str) -> anyhow::Result<bool> {
        let found = self
            .screen
            .quietly(&format!("get secret {secret} --ignore-not-found -o name"))?;
        Ok(!found.trim().is_empty())
    }

    /// The value of a key of the Secret, if both are there.
    fn data(&self, key: &str) -> anyhow::Result<Option<String>> {
        let get = format!("get secret {} --ignore-not-found -o json", self.secret);
        let secret = self.screen.quietly(&get)?;
        if secret.trim().is_empty() {
            return Ok(None);
        }
        let secret: k8s_openapi::api::core::v1::Secret = serde_json::from_str(&secret)?;
        let bytes = secret.data.and_then(|mut data| data.remove(key));
        Ok(bytes.map(|bytes| String::from_utf8(bytes.0)).transpose()?)
    }

    fn value(&self) -> anyhow::Result<String> {
        self.data("CLIENT_SECRET")?
            .context("the Secret has no client secret")
    }

    fn show_secret(&self) -> anyhow::Result<String> {
        println!(
            "$ kubectl get secret {} -o yaml   # decoded, and masked here",
            self.secret
        );
        let id = self
            .data("CLIENT_ID")?
            .context("the Secret has no client id")?;
        let value = self.value()?;
        println!("  CLIENT_ID: {id}\n  CLIENT_SECRET: {}", masked(&value));
        ensure!(
            id == self.zitadel.client_id,
            "the Secret has another client id than the application"
        );
        Ok(value)
    }

    /// What a person can try while everything goes on running.
    fn explain(&self) {
        let directory = self.directory.display();
        println!(
            "
KEEP is set: everything keeps running until ^C.

  export KUBECONFIG={directory}/kubeconfig
  alias kubectl={}
  kubectl get aas -w
  kubectl describe aas orders-api
  kubectl get events
  kubectl patch aas orders-api --type=merge -p '{{\"spec\":{{\"rotation\":{{\"trigger\":\"mine\"}}}}}}'
  kubectl delete secret orders-credentials      # it is recreated within half a minute
  tail -f {directory}/operator.log",
            self.cluster.kubectl_program().display()
        );
        if !self.cluster.is_own() {
            println!("  (everything created in the cluster is removed at the end)");
        }
    }

    /// Stops the operator, then what it stands on.
    fn end(mut self) -> anyhow::Result<()> {
        drop(self.operator.take());
        self.cluster.clean_up()
    }
}

/// A directory that ends with this.
struct Written(PathBuf);

impl Drop for Written {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.0) {
            eprintln!("{} is still there: {error}", self.0.display());
        }
    }
}

fn reason(status: &Value) -> Option<&str> {
    status
        .pointer("/lastRotation/reason")
        .and_then(Value::as_str)
}

fn text<'a>(status: &'a Value, field: &str) -> anyhow::Result<&'a str> {
    status
        .get(field)
        .and_then(Value::as_str)
        .with_context(|| format!("the status has no {field}"))
}
