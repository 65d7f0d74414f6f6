//! The operator's binary, as a process of a test.

use std::fs::File;
use std::io::{BufRead, BufReader, Write as _};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Mutex;
use std::time::Duration;

use rustix::process::{Pid, Signal, kill_process};
use serde_json::Value;

use super::world::OPERATOR_NAMESPACE;

/// Whether `check` passed, and what it printed: output, then errors.
pub async fn check(
    kubeconfig: &Path,
    arguments: &[&str],
    variables: &[(&str, &str)],
) -> (bool, String) {
    let output = tokio::process::Command::new(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
        .args(["check", "--namespace", OPERATOR_NAMESPACE])
        .args(arguments)
        .env("KUBECONFIG", kubeconfig)
        .envs(variables.iter().copied())
        .output()
        .await
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

/// The operator's binary, running.
pub struct Operator {
    child: Mutex<Child>,
    /// Everything it printed.
    pub log: PathBuf,
    /// Where /ready and /metrics are.
    pub admin: String,
}

impl Operator {
    /// Starts the binary against a cluster. `arguments` come after the usual ones.
    pub fn start(kubeconfig: &Path, directory: &Path, arguments: &[&str]) -> Self {
        let log = ["--log", "trace,hyper=debug,h2=info,rustls=debug"];
        let usual = [&["--leader-elect", "false"], &log[..], arguments].concat();
        Self::start_with(kubeconfig, directory, &usual)
    }

    /// Starts the binary without an opinion on leader election and logs.
    pub fn start_with(kubeconfig: &Path, directory: &Path, arguments: &[&str]) -> Self {
        Self::start_in(kubeconfig, directory, arguments, &[])
    }

    /// The same with further environment variables.
    pub fn start_in(
        kubeconfig: &Path,
        directory: &Path,
        arguments: &[&str],
        variables: &[(&str, &str)],
    ) -> Self {
        let log = directory.join(format!("operator-{}.log", uuid::Uuid::new_v4().simple()));
        let output = File::create(&log).unwrap();
        // A caller may set another one.
        let often = ["--drift-interval", "2s"];
        let often = if arguments.contains(&often[0]) {
            &[][..]
        } else {
            &often[..]
        };
        // A static is never dropped: the process ends itself when the pipe from this one closes without a word.
        let child = Command::new("sh")
            .args([
                "-c",
                r#"exec 3<&0; (read -r _ <&3 || kill -9 $$) & exec "$@" </dev/null 3<&-"#,
                "sh",
            ])
            .arg(env!("CARGO_BIN_EXE_zitadel-secret-operator"))
            .arg("run")
            .args(["--admin-address", "127.0.0.1:0", "--log-format", "json"])
            .args(["--minimum-interval", "1s"])
            .args(often)
            .args(arguments)
            .env("KUBECONFIG", kubeconfig)
            .env("POD_NAMESPACE", OPERATOR_NAMESPACE)
            .env("METRICS_PER_OBJECT", "true")
            .envs(variables.iter().copied())
            .stdin(Stdio::piped())
            .stdout(output.try_clone().unwrap())
            .stderr(output)
            .spawn()
            .unwrap();
        let mut operator = Self {
            child: Mutex::new(child),
            log,
            admin: String::new(),
        };
        operator.admin = operator.admin_address();
        operator
    }

    /// Reads the admin address off the log, where it stands in the first lines.
    fn admin_address(&self) -> String {
        for _ in 0..500 {
            let lines = BufReader::new(File::open(&self.log).unwrap())
                .lines()
                .map_while(Result::ok);
            for line in lines {
                let line: Value = serde_json::from_str(&line).unwrap_or_default();
                if let Some(address) = line["fields"]["address"]
                    .as_str()
                    .or_else(|| line["address"].as_str())
                {
                    return format!("http://{address}");
                }
            }
            std::thread::sleep(Duration::from_millis(20));
        }
        panic!(
            "the operator did not say its admin address: {}",
            self.printed()
        );
    }

    /// Everything that it printed so far.
    pub fn printed(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// The audit records so far.
    pub fn audit(&self) -> Vec<Value> {
        let lines = self.printed();
        lines
            .lines()
            .filter_map(|line| serde_json::from_str(line).ok())
            .filter(|line: &Value| line["target"] == "audit")
            .collect()
    }

    /// Status and body of a page of the admin server.
    pub async fn get(&self, path: &str) -> Option<(u16, String)> {
        use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
        let host = self.admin.strip_prefix("http://").unwrap();
        let mut stream = tokio::net::TcpStream::connect(host).await.ok()?;
        let request = format!("GET {path} HTTP/1.1\r\nhost: {host}\r\nconnection: close\r\n\r\n");
        stream.write_all(request.as_bytes()).await.ok()?;
        let mut answer = String::new();
        stream.read_to_string(&mut answer).await.ok()?;
        let status = answer.split(' ').nth(1)?.parse().ok()?;
        let body = answer.split_once("\r\n\r\n")?.1.to_owned();
        Some((status, body))
    }

    /// The process id.
    pub fn pid(&self) -> u32 {
        self.child.lock().unwrap().id()
    }

    /// Ends it at once, as a power failure would.
    pub fn kill(&self) {
        let mut child = self.child.lock().unwrap();
        let _ = child.kill();
        ended(&mut child);
    }

    /// Asks it to stop and waits for its exit code.
    pub fn stop(&self) -> Option<i32> {
        let mut child = self.child.lock().unwrap();
        kill_process(Pid::from_child(&child), Signal::TERM).unwrap();
        ended(&mut child)
    }

    /// Sends it a signal.
    pub fn signal(&self, signal: Signal) {
        kill_process(Pid::from_child(&self.child.lock().unwrap()), signal).unwrap();
    }
}

/// Waits for the end of a process and of its watchman, who must not outlive it: process ids are used again.
fn ended(child: &mut Child) -> Option<i32> {
    if let Some(mut watchman) = child.stdin.take() {
        let _ = watchman.write_all(b"\n");
    }
    child.wait().unwrap().code()
}

impl Drop for Operator {
    fn drop(&mut self) {
        self.kill();
    }
}
