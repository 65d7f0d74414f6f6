//! The operator's binary as a process that can be killed and measured: for benchmarks and the kill loop.

use std::fs::File;
use std::io::{BufRead as _, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::{Mutex, PoisonError};
use std::time::{Duration, Instant};

use serde_json::Value;

use super::world::OPERATOR_NAMESPACE;

/// How to start a replica.
#[derive(Clone, Debug)]
pub struct Launch {
    /// The operator's binary.
    pub binary: PathBuf,
    /// Where the cluster is, and as whom.
    pub kubeconfig: PathBuf,
    /// For logs.
    pub directory: PathBuf,
    /// The name of its pod.
    pub pod: String,
    /// Whether only one replica works at a time.
    pub leader_elect: bool,
    /// Further arguments.
    pub arguments: Vec<String>,
}

impl Launch {
    /// A replica with default arguments, by the binary that was built with this program.
    pub fn new(kubeconfig: &Path, directory: &Path) -> Self {
        let built = env!("CARGO_BIN_EXE_zitadel-secret-operator");
        Self {
            binary: std::env::var_os("ZSO_OPERATOR").map_or_else(|| built.into(), PathBuf::from),
            kubeconfig: kubeconfig.to_owned(),
            directory: directory.to_owned(),
            pod: "operator-0".to_owned(),
            leader_elect: false,
            arguments: Vec::new(),
        }
    }

    /// The same in a pod of another name.
    #[must_use]
    pub fn pod(mut self, name: &str) -> Self {
        name.clone_into(&mut self.pod);
        self
    }

    /// The same with or without leader election.
    #[must_use]
    pub fn leader_elect(mut self, on: bool) -> Self {
        self.leader_elect = on;
        self
    }

    /// The same with these arguments besides.
    #[must_use]
    pub fn arguments(mut self, arguments: &[&str]) -> Self {
        self.arguments
            .extend(arguments.iter().map(|argument| (*argument).to_owned()));
        self
    }

    /// Starts it; it listens on its admin address when this returns.
    pub fn start(&self) -> Process {
        let log = self.directory.join(format!(
            "{}-{}.log",
            self.pod,
            uuid::Uuid::new_v4().simple()
        ));
        let output = File::create(&log).unwrap();
        let child = Command::new(&self.binary)
            .arg("run")
            .args(["--admin-address", "127.0.0.1:0", "--log-format", "json"])
            .args(["--namespace", OPERATOR_NAMESPACE, "--pod-name", &self.pod])
            .args(["--pod-uid", &format!("{}-{}", self.pod, std::process::id())])
            .args(["--leader-elect", &self.leader_elect.to_string()])
            .args(&self.arguments)
            .env("KUBECONFIG", &self.kubeconfig)
            .stdin(Stdio::null())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let started = Instant::now();
        let mut process = Process {
            child: Mutex::new(child),
            log,
            admin: String::new(),
        };
        process.admin = process.admin_address(started);
        process
    }
}

/// A running replica; killed when dropped.
pub struct Process {
    child: Mutex<Child>,
    /// Everything it prints.
    pub log: PathBuf,
    /// Where /ready and /metrics are.
    pub admin: String,
}

/// What a process has in memory, in MiB.
#[derive(Clone, Copy, Debug)]
pub struct Memory {
    /// `VmRSS`.
    pub resident: f64,
    /// `RssAnon`: what is not a file that is mapped in.
    pub anonymous: f64,
}

impl Process {
    /// Reads the admin address off the log, where it stands in the first lines.
    fn admin_address(&self, started: Instant) -> String {
        while started.elapsed() < Duration::from_secs(20) {
            let lines = BufReader::new(File::open(&self.log).unwrap()).lines();
            for line in lines.map_while(Result::ok) {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["address"].as_str() {
                    return format!("http://{address}");
                }
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        panic!("the operator did not start: {}", self.printed());
    }

    /// Everything that it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.lock().id()
    }

    /// Ends it at once, as a power failure would (SIGKILL).
    pub fn kill(&self) {
        let mut child = self.lock();
        let _ = child.kill(); // an error means that it has ended
        let _ = child.wait();
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: rustix::process::Signal) {
        let pid = i32::try_from(self.pid()).unwrap();
        let pid = rustix::process::Pid::from_raw(pid).unwrap();
        rustix::process::kill_process(pid, signal).unwrap();
    }

    /// Its exit code, if it has ended.
    pub fn ended(&self) -> Option<std::process::ExitStatus> {
        self.lock().try_wait().unwrap()
    }

    /// Whether it says that it is ready.
    pub async fn is_ready(&self) -> bool {
        let answer = reqwest::get(format!("{}/ready", self.admin)).await;
        answer.is_ok_and(|answer| answer.status().is_success())
    }

    /// What it says about its readiness, if it answers.
    pub async fn readiness(&self) -> Option<String> {
        let answer = reqwest::get(format!("{}/ready", self.admin)).await.ok()?;
        answer.text().await.ok()
    }

    /// The sum of all values of a metric, by its full name after the prefix.
    pub async fn metric(&self, name: &str) -> Option<f64> {
        self.metric_of(name, &[]).await
    }

    /// The sum of those values of a metric whose labels have all of these values.
    pub async fn metric_of(&self, name: &str, labels: &[&str]) -> Option<f64> {
        let answer = reqwest::get(format!("{}/metrics", self.admin)).await.ok()?;
        let text = answer.text().await.ok()?;
        let name = format!("zitadel_secret_operator_{name}");
        let values = text.lines().filter_map(|line| {
            let rest = line.strip_prefix(&name)?;
            let labelled = |label: &&str| rest.contains(&format!("\"{label}\""));
            (rest.starts_with(['{', ' ']) && labels.iter().all(labelled))
                .then(|| rest.rsplit(' ').next()?.parse::<f64>().ok())?
        });
        Some(values.sum())
    }

    /// What it has in memory now.
    pub fn memory(&self) -> Memory {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.pid())).unwrap();
        let mebibytes = |field: &str| {
            let line = status.lines().find_map(|line| line.strip_prefix(field));
            let kibibytes: f64 = line
                .and_then(|line| line.trim_start_matches(':').split_whitespace().next())
                .and_then(|number| number.parse().ok())
                .unwrap();
            kibibytes / 1024.0
        };
        Memory {
            resident: mebibytes("VmRSS"),
            anonymous: mebibytes("RssAnon"),
        }
    }

    /// CPU time that it used so far, in seconds: a multiple of 10 ms.
    pub fn cpu(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.pid())).unwrap();
        // The name in parentheses may hold blanks; user and system time are the 12th and 13th after it.
        let (_, fields) = stat.rsplit_once(')').unwrap();
        let ticks: f64 = fields
            .split_whitespace()
            .skip(11)
            .take(2)
            .map(|ticks| ticks.parse::<f64>().unwrap())
            .sum();
        ticks / 100.0
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Child> {
        self.child.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.kill();
    }
}
